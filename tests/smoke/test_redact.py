"""No secret of the person's environment leaves a run, wherever a library put it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from hfdoctor.facts.sections.smoke import Deviation, StageRun
from hfdoctor.smoke.plan import Ask, Step
from hfdoctor.smoke.redact import Redactor
from hfdoctor.smoke.run import Run

from .hub_cases import OTHER_TOKEN, PASSWORD, TOKEN, clean_environment

SIGNED = "https://cdn.example/xet/ab?X-Amz-Signature=" + "5f" * 20 + "&Expires=1"


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (f"Bearer {OTHER_TOKEN}", "Bearer ***"),
        (f"headers: {{'authorization': 'Bearer {TOKEN}'}}", "headers: {'authorization': 'Bearer ***'}"),
        (f"the token {TOKEN[:20]}", "the token ***"),
        (f"GET {SIGNED} timed out", "GET https://cdn.example/xet/ab?*** timed out"),
        ("with url: /xet/ab?Expires=1&Signature=abc (Caused by", "with url: /xet/ab?*** (Caused by"),
        (f"proxy http://ana:{PASSWORD}@proxy.corp:8080 refused", "proxy http://***@proxy.corp:8080 refused"),
        (f"password is {PASSWORD}!", "password is ***!"),
        ("\x1b[1mAvailable\x1b[22m: \x1b]0;title\x07yes\r\n\tno\x00", "Available: yes\n\tno"),
        (f"\x1b[31mBearer\x1b[0m {TOKEN}", "Bearer ***"),
        ("CUDA error: invalid device ordinal?", "CUDA error: invalid device ordinal?"),
        ("https://huggingface.co/a/b/resolve/main/config.json", "https://huggingface.co/a/b/resolve/main/config.json"),
    ],
)
def test_words(said: str, wanted: str) -> None:
    environ = {"HF_TOKEN": OTHER_TOKEN, "https_proxy": f"http://ana:{PASSWORD}@proxy.corp:8080", "HOME": "/nowhere"}
    assert Redactor(environ).text(said) == wanted


@pytest.mark.parametrize("name", ["HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME", "HOME"])
def test_the_token_in_its_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    below = {"HF_TOKEN_PATH": "token", "HF_HOME": "token", "XDG_CACHE_HOME": "huggingface/token"}
    file = tmp_path / below.get(name, ".cache/huggingface/token")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"  {OTHER_TOKEN}\n")
    value = str(file) if name == "HF_TOKEN_PATH" else str(tmp_path)
    monkeypatch.setenv(name, value)
    assert Redactor({name: value}).text(f"<{OTHER_TOKEN}>") == "<***>"


def test_every_part_of_a_stage() -> None:
    words = f"x {TOKEN}"
    stage = StageRun("hub", message=words, because=words, trace=[words], printed=[words], facts={"said": words, "n": 1})
    stage.deviations = [Deviation(words, expected=words, got=words)]
    Redactor({}).stage(stage)
    wanted = StageRun(
        "hub", message="x ***", because="x ***", trace=["x ***"], printed=["x ***"], facts={"said": "x ***", "n": 1}
    )
    wanted.deviations = [Deviation("x ***", expected="x ***", got="x ***")]
    assert stage == wanted


@pytest.mark.allow_subprocess
def test_what_a_library_prints(tmp_path: Path) -> None:
    """Long lines are cut: not before the secrets in them are gone."""
    package = tmp_path / "numpy"
    package.mkdir()
    code = f"import sys; print('y' * 390 + ' {OTHER_TOKEN}', file=sys.stderr); raise ValueError('{OTHER_TOKEN}')"
    (package / "__init__.py").write_text(code)
    environ = {**clean_environment(tmp_path), "HF_TOKEN": OTHER_TOKEN}
    run = Run(Ask(level="import"), sys.executable, environ, str(tmp_path))
    run._waiting = [Step("import numpy", 60.0)]
    stage = run.go(time.monotonic() + 90)[0]
    assert (stage.error, stage.message) == ("ValueError", "***")
    assert any("yyy" in line for line in stage.printed)
    assert OTHER_TOKEN[:5] not in "".join(stage.printed)
