"""keras3, hf-transfer-missing and missing-optional-dependency."""

from __future__ import annotations

import pytest

from hfdoctor.facts.fact import failed, known
from hfdoctor.facts.sections.packages import ImportTrial
from hfdoctor.facts.sections.settings import Variable
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded
from tests.conditions.installed import complaints, dist, finding, healthy_with, only, tried

KERAS, TRANSFER, OPTIONAL = "keras3", "hf-transfer-missing", "missing-optional-dependency"


def settings(s: Snapshot, **values: str) -> Snapshot:
    s.settings.variables = known([Variable(name, value) for name, value in sorted(values.items())], "environment")
    return s


# -- keras3 -----------------------------------------------------------------------------------------------------------


def with_keras(
    transformers: str = "4.57.6", keras: str = "3.15.1", tensorflow: str = "tensorflow", **more: str
) -> Snapshot:
    others = [dist(name.replace("_", "-"), version) for name, version in more.items()]
    return only(dist("transformers", transformers), dist(tensorflow, "2.21.0"), dist("keras", keras), *others)


@pytest.mark.parametrize("transformers", ["4.38.0", "4.44.2", "4.57.6"])
@pytest.mark.parametrize("tensorflow", ["tensorflow", "tensorflow-cpu"])
def test_keras_3_beside_a_transformers_that_refuses_it(transformers: str, tensorflow: str) -> None:
    found = finding(with_keras(transformers, tensorflow=tensorflow), KERAS)
    assert (found.outcome, found.severity, found.basis) == ("fail", "warning", "table")
    assert found.remedy
    # tf-keras asks for the distribution "tensorflow" and would bring a second one beside tensorflow-cpu
    assert ("--no-deps" in found.remedy.steps[0].argv) == (tensorflow != "tensorflow")


@pytest.mark.parametrize(
    "s",
    [
        with_keras(transformers="5.0.0"),
        with_keras(transformers="5.24.0.dev0"),
        with_keras(keras="2.15.0"),
        with_keras(tf_keras="2.21.0"),
        only(dist("transformers", "4.57.6"), dist("keras", "3.15.1")),
        only(dist("transformers", "4.57.6"), dist("tensorflow", "1.15.0"), dist("keras", "3.15.1")),
        only(dist("tensorflow", "2.21.0"), dist("keras", "3.15.1")),
        settings(with_keras(), USE_TF="0"),
        settings(with_keras(), USE_TF=""),
        settings(with_keras(), USE_TORCH="1"),
    ],
)
def test_keras_that_does_no_harm(s: Snapshot) -> None:
    assert finding(s, KERAS).outcome in ("pass", "skip")


def test_settings_that_change_nothing() -> None:
    assert finding(settings(with_keras(), USE_TF="auto", USE_TORCH="auto"), KERAS).outcome == "fail"
    assert finding(settings(with_keras(), USE_TF="1"), KERAS).outcome == "fail"


def test_keras_unknown_without_the_settings() -> None:
    s = with_keras()
    s.settings.variables = failed("no environment")
    assert finding(s, KERAS).outcome == "unknown"


def test_keras_seen() -> None:
    message = "Your currently installed version of Keras is Keras 3, but this is not yet supported in Transformers."
    found = finding(
        tried(with_keras(), ImportTrial("transformers", ok=False, error="ValueError", message=message)), KERAS
    )
    assert (found.severity, found.basis) == ("error", "observed")


# -- hf-transfer-missing ----------------------------------------------------------------------------------------------


def hub(version: str, *others: str, value: str | None = "1") -> Snapshot:
    s = only(dist("huggingface-hub", version), *(dist(name, "0.1.9") for name in others))
    return settings(s, **({} if value is None else {"HF_HUB_ENABLE_HF_TRANSFER": value}))


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
@pytest.mark.parametrize("version", ["0.17.3", "0.25.2", "0.36.2"])
def test_transfer_asked_for_and_not_there(version: str, value: str) -> None:
    found = finding(hub(version, value=value), TRANSFER)
    assert (found.outcome, found.severity, found.basis) == ("fail", "warning", "table")


@pytest.mark.parametrize(
    "s",
    [hub("0.36.2", "hf-transfer"), hub("1.0.0"), hub("2.4.0"), hub("0.36.2", value="0"), hub("0.36.2", value=None)],
)
def test_transfer_is_no_trouble(s: Snapshot) -> None:
    assert finding(s, TRANSFER).outcome in ("pass", "skip")


def test_transfer_unknown_without_settings() -> None:
    s = hub("0.36.2")
    s.settings.variables = failed("no environment")
    assert finding(s, TRANSFER).outcome == "unknown"


# -- missing-optional-dependency --------------------------------------------------------------------------------------


def test_nothing_is_claimed_without_trying() -> None:
    assert finding(recorded.build("linux"), OPTIONAL).outcome == "skip"
    assert not complaints(healthy_with())


def test_undeclared_module_that_was_missed() -> None:
    message = "No module named 'sentencepiece'"
    s = tried(
        recorded.build("linux"), ImportTrial("transformers", ok=False, error="ModuleNotFoundError", message=message)
    )
    found = finding(s, OPTIONAL)
    assert (found.severity, found.basis) == ("error", "observed")
    assert found.remedy and found.remedy.steps[0].argv[-1] == "sentencepiece"
    assert finding(s, "dependency-conflict").outcome == "pass"


def test_name_on_the_index_is_not_guessed() -> None:
    message = "No module named 'utils_of_somebody'"
    s = tried(
        recorded.build("linux"), ImportTrial("transformers", ok=False, error="ModuleNotFoundError", message=message)
    )
    found = finding(s, OPTIONAL)
    assert found.remedy and not found.remedy.steps[0].argv


def test_library_that_a_class_requires() -> None:
    message = "\nT5Tokenizer requires the SentencePiece library but it was not found in your environment. Check out"
    s = tried(recorded.build("linux"), ImportTrial("transformers", ok=False, error="ImportError", message=message))
    assert "SentencePiece" in finding(s, OPTIONAL).summary


@pytest.mark.parametrize(
    "message", ["No module named 'numpy'", "No module named 'torch._C'", "No module named 'yaml.loader'"]
)
def test_what_is_installed_is_not_missing(message: str) -> None:
    s = tried(
        recorded.build("linux"), ImportTrial("transformers", ok=False, error="ModuleNotFoundError", message=message)
    )
    assert finding(s, OPTIONAL).outcome == "pass"
