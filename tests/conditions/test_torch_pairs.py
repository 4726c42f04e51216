"""torch-companion-mismatch and torch-too-old-for-transformers."""

from __future__ import annotations

import msgspec
import pytest

from hfdoctor.facts.fact import absent, failed, known
from hfdoctor.facts.sections.packages import ImportTrial, TorchBuild
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded
from tests.conditions.installed import changed, complaints, dist, finding, healthy_with, only, tried

PAIR, OLD, CONFLICT = "torch-companion-mismatch", "torch-too-old-for-transformers", "dependency-conflict"


def with_torch(
    version: str, *others: object, cuda: str = "", hip: str = "", builds: dict[str, str] | None = None
) -> Snapshot:
    """The healthy machine with another torch and with companions."""
    s = changed(healthy_with(*others), "torch", version=version)  # type: ignore[arg-type]
    s.packages.torch_build = known(TorchBuild(version, cuda=cuda, hip=hip), "torch/version.py")
    s.packages.companion_builds = known(builds or {}, "version.py")
    return s


# -- companions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("torch", "cuda", "companion", "stated"),
    [
        ("2.13.0", "13.0", dist("torchvision", "0.28.0", "torch (==2.13.0)"), "0.28.0+cu130"),
        ("2.13.0+cpu", "", dist("torchvision", "0.28.0+cpu", "torch==2.13.0"), "0.28.0+cpu"),
        ("2.7.1+cu126", "12.6", dist("torchvision", "0.22.1+cu128", "torch==2.7.1"), "0.22.1+cu128"),
        ("2.7.1+cu126", "12.6", dist("torchvision", "0.22.1+cpu", "torch==2.7.1"), "0.22.1+cpu"),
        ("2.13.0", "", dist("torchvision", "0.28.0", "torch==2.13.0"), "0.28.0"),
        ("2.7.0a0+79aa17489c.nv25.4", "12.9", dist("torchvision", "0.22.0a0", "torch"), "0.22.0a0"),
        ("2.8.0a0+34c6371d24.nv25.8", "13.0", dist("torchvision", "0.21.0a0", "torch"), "0.21.0a0"),
        ("2.7.1", "12.6", dist("torchvision", "0.21.0", "torch", installer="conda"), "0.21.0"),
        ("2.13.0+cu130", "13.0", dist("torchaudio", "2.11.0"), "2.11.0+cu130"),
        ("2.13.0", "13.0", dist("xformers", "0.0.35", "torch>=2.10", "numpy"), ""),
        (
            "2.9.0.dev20250801+cu128",
            "12.8",
            dist("torchvision", "0.24.0.dev20250801+cu128", "torch==2.9.0.dev20250801"),
            "",
        ),
    ],
)
def test_pairs_that_fit(torch: str, cuda: str, companion: object, stated: str) -> None:
    builds = {companion.name: stated} if stated else {}  # type: ignore[attr-defined]
    assert not complaints(with_torch(torch, companion, cuda=cuda, builds=builds))


def test_torchvision_for_another_torch_stops_transformers() -> None:
    s = with_torch("2.13.0+cpu", dist("torchvision", "0.22.1", "numpy", "torch (==2.7.1)", "pillow"))
    found = finding(s, PAIR)
    assert (found.outcome, found.severity, found.basis) == ("fail", "error", "derived")
    assert "torchvision 0.22.1" in found.summary and "2.13.0+cpu" in found.summary
    assert found.remedy
    assert found.remedy.steps[0].argv[4:] == [
        *("torch==2.13.0+cpu", "torchvision", "--index-url", "https://download.pytorch.org/whl/cpu")
    ]
    assert finding(s, "version-skew").outcome == "pass"


def test_without_transformers_it_is_a_warning() -> None:
    s = only(dist("torch", "2.13.0"), dist("torchvision", "0.22.1", "torch==2.7.1"))
    assert finding(s, PAIR).severity == "warning"


def test_a_patch_release_apart_is_a_warning() -> None:
    found = finding(with_torch("2.7.0", dist("torchvision", "0.22.1", "torch==2.7.1")), PAIR)
    assert (found.severity, found.basis) == ("warning", "derived")


def test_one_new_torch_is_one_finding() -> None:
    """torch was upgraded alone: torchvision, torchaudio and vllm all still ask for the old one."""
    old = [dist(n, v, "torch==2.7.1") for n, v in (("torchvision", "0.22.1"), ("torchaudio", "2.7.1"), ("vllm", "0.9"))]
    s = with_torch("2.13.0", *old)
    found = finding(s, PAIR)
    text = " ".join(one.text for one in found.evidence)
    assert all(name in text for name in ("torchvision", "torchaudio", "vllm"))
    assert finding(s, CONFLICT).outcome == "pass"
    assert found.remedy
    assert set(found.remedy.steps[0].argv[4:]) == {"torch==2.13.0", "torchvision", "torchaudio"}
    assert "torch 2.7.1" in found.remedy.steps[1].text


def test_triton_of_another_version() -> None:
    s = with_torch("2.7.1", dist("triton", "3.4.0"), cuda="12.6")
    s = changed(s, "torch", requires=["filelock", "triton==3.3.1; platform_system == 'Linux'"])
    found = finding(s, PAIR)
    assert (found.severity, found.basis) == ("warning", "derived")
    assert "triton 3.4.0" in found.summary
    assert finding(s, CONFLICT).outcome == "pass"


def test_gpu_build_beside_a_cpu_torch() -> None:
    """From two indexes: the versions fit, the builds do not. Seen to end with "torchvision::nms does not exist"."""
    vision = dist("torchvision", "0.28.0", "torch==2.13.0")
    s = with_torch("2.13.0+cpu", vision, builds={"torchvision": "0.28.0+cu130"})
    found = finding(s, PAIR)
    assert (found.severity, found.basis) == ("error", "derived")
    assert found.remedy and "--force-reinstall" in found.remedy.steps[0].argv
    assert found.remedy.steps[0].argv[-1].endswith("/cpu")


def test_builds_for_two_generations_of_cuda() -> None:
    vision = dist("torchvision", "0.28.0+cu126", "torch==2.13.0")
    assert finding(with_torch("2.13.0+cu130", vision, cuda="13.0"), PAIR).severity == "error"
    audio = dist("torchaudio", "2.9.1+cu126", "torch==2.9.1")
    assert finding(with_torch("2.9.1+cu130", audio, cuda="13.0"), PAIR).severity == "warning"
    assert finding(with_torch("2.9.1+rocm6.4", audio, hip="6.4.43484"), PAIR).severity == "warning"


def test_the_build_is_not_guessed() -> None:
    vision = dist("torchvision", "0.28.0+cu126", "torch==2.13.0")
    s = with_torch("2.13.0+cpu", vision)
    s.packages.torch_build = failed("version.py has no version")
    assert finding(s, PAIR).outcome == "pass"


def test_table_only_where_the_metadata_say_nothing() -> None:
    s = with_torch("2.9.0", dist("torchvision", "0.22.1", "numpy", "torch"), cuda="12.8")
    found = finding(s, PAIR)
    assert (found.severity, found.basis) == ("warning", "table")
    assert any("read 20" in one.text for one in found.evidence)
    for other in ({"installer": "conda"}, {"direct_url": "https://example.org/x.git"}, {"editable": True}):
        assert finding(with_torch("2.9.0", dist("torchvision", "0.22.1", "torch", **other)), PAIR).outcome == "pass"


def test_seen_working_or_failing() -> None:
    s = with_torch("2.13.0", dist("torchvision", "0.22.1", "torch==2.7.1"))
    assert not complaints(tried(s, ImportTrial("torchvision", ok=True)))
    message = "operator torchvision::nms does not exist"
    s = tried(s, ImportTrial("torchvision", ok=False, error="RuntimeError", message=message))
    found = finding(s, PAIR)
    assert (found.severity, found.basis) == ("error", "observed")
    assert finding(s, "broken-install").outcome != "fail"
    again = with_torch(
        "2.13.0+cpu", dist("torchvision", "0.28.0", "torch==2.13.0"), builds={"torchvision": "0.28.0+cu130"}
    )
    found = finding(tried(again, ImportTrial("torchvision", ok=False, message=message)), PAIR)
    assert (found.severity, found.basis, len(found.evidence)) == ("error", "observed", 3)
    assert found.remedy and found.remedy.steps[0].argv.count("torchvision==0.28.0") == 1
    # transformers' own import says nothing of torchvision: it loads its models later
    s = with_torch("2.13.0", dist("torchvision", "0.22.1", "torch==2.7.1"))
    assert finding(tried(s, ImportTrial("transformers", ok=True)), PAIR).severity == "error"


def test_nightly_and_rocm_indexes() -> None:
    vision = dist("torchvision", "0.24.0.dev20250701+cu128", "torch==2.9.0.dev20250701")
    found = finding(with_torch("2.9.0.dev20250801+cu128", vision, cuda="12.8"), PAIR)
    assert found.remedy and found.remedy.steps[0].argv[-1] == "https://download.pytorch.org/whl/nightly/cu128"
    found = finding(with_torch("2.8.0+rocm6.4", dist("torchaudio", "2.7.1", "torch==2.7.1"), hip="6.4"), PAIR)
    assert found.remedy and found.remedy.steps[0].argv[-1] == "https://download.pytorch.org/whl/rocm6.4"


def test_nothing_to_judge() -> None:
    assert finding(recorded.build("linux"), PAIR).outcome == "skip"
    assert finding(only(dist("torchvision", "0.22.1", "torch==2.7.1")), PAIR).outcome == "skip"


# -- too old ----------------------------------------------------------------------------------------------------------


def old_torch(version: str, minimum: str = "2.6", source: str = "/x/transformers/utils/import_utils.py") -> Snapshot:
    s = changed(recorded.build("linux"), "torch", version=version)
    needs = s.packages.transformers_needs.need()
    fresh = msgspec.structs.replace(needs, minimum_torch=minimum, minimum_torch_source=source)
    s.packages.transformers_needs = known(fresh, "transformers")
    return s


@pytest.mark.parametrize("version", ["2.5.1", "2.3.0+cpu", "1.13.1", "2.6.0a0+df5bbc09d1.nv24.12", "2.6.0.dev20241112"])
def test_older_than_transformers_accepts(version: str) -> None:
    found = finding(old_torch(version), OLD)
    assert (found.severity, found.basis) == ("error", "derived")
    assert version in found.summary and "2.6" in found.summary
    assert found.remedy and "torch>=2.6" in found.remedy.steps[0].argv
    index = ["--index-url", "https://download.pytorch.org/whl/cpu"] if version.endswith("+cpu") else []
    assert found.remedy.steps[0].argv[5:] == index


@pytest.mark.parametrize("version", ["2.6.0", "2.6.0+cu124", "2.7.0a0+79aa17489c.nv25.4", "2.13.0", "unreadable"])
def test_new_enough(version: str) -> None:
    assert finding(old_torch(version), OLD).outcome == "pass"


def test_only_asked_for_in_the_table_is_a_warning() -> None:
    found = finding(old_torch("1.13", "2.0", "/x/transformers/dependency_versions_table.py"), OLD)
    assert (found.severity, found.basis) == ("warning", "derived")


def test_windows_path_of_the_source() -> None:
    found = finding(old_torch("2.1.0", "2.6", r"C:\x\transformers\utils\import_utils.py"), OLD)
    assert found.severity == "error"


def test_no_minimum_and_not_both() -> None:
    assert finding(old_torch("1.9", ""), OLD).outcome == "pass"
    s = healthy_with(without=("torch",))
    assert finding(s, OLD).outcome == "skip"
    s = old_torch("1.9")
    s.packages.transformers_needs = failed("unreadable")
    assert finding(s, OLD).outcome == "unknown"


def test_seen_to_be_disabled() -> None:
    text = "Disabling PyTorch because PyTorch >= 2.6 is required but found 2.3.0+cpu"
    s = tried(old_torch("2.3.0+cpu"), ImportTrial("transformers", ok=True, stderr=text))
    found = finding(s, OLD)
    assert (found.severity, found.basis) == ("error", "observed")


def test_uv_without_pip() -> None:
    s = old_torch("2.3.0")
    s.target.pip = absent("no pip")
    found = finding(s, OLD)
    assert found.remedy and found.remedy.steps[0].argv[:3] == ["uv", "pip", "install"]
