"""pip's, uv's and venv's command lines are read into changes; what is not wholly understood is left to the person."""

from __future__ import annotations

import pytest

from hfdoctor.conditions.changes import Change, NewEnvironment, PackageChange, PutAway
from hfdoctor.conditions.install_commands import change_in, together

PY = "/home/ana/project/.venv/bin/python"
PIP = [PY, "-m", "pip"]
UV = ["uv", "pip"]


@pytest.mark.parametrize(
    ("argv", "change"),
    [
        ([*PIP, "install", "numpy<2"], PackageChange(PY, ("numpy<2",))),
        ([*PIP, "install", "torch", "--upgrade"], PackageChange(PY, ("torch",), upgrade=True)),
        ([*PIP, "install", "--upgrade", "pip"], PackageChange(PY, ("pip",), upgrade=True)),
        (
            [*PIP, "install", "--force-reinstall", "--no-deps", "torch==2.15.0+cpu", "--index-url", "https://x/cpu"],
            PackageChange(PY, ("torch==2.15.0+cpu",), reinstall=True, no_deps=True, index="https://x/cpu"),
        ),
        ([*PIP, "install", "--ignore-installed", "tqdm==4"], PackageChange(PY, ("tqdm==4",), reinstall=True)),
        ([*PIP, "install", "a", "--extra-index-url", "https://x"], PackageChange(PY, ("a",), extra_index="https://x")),
        ([*PIP, "install", "--pre", "a"], PackageChange(PY, ("a",), pre=True)),
        ([*PIP, "uninstall", "-y", "torch", "torchvision"], PackageChange(PY, remove=("torch", "torchvision"))),
        ([*PIP, "uninstall", "flash-attn"], PackageChange(PY, remove=("flash-attn",))),
        ([*UV, "install", "--python", PY, "a==1", "b"], PackageChange(PY, ("a==1", "b"))),
        (
            [*UV, "install", "--python", PY, "--reinstall", "--no-deps", "a==1"],
            PackageChange(PY, ("a==1",), reinstall=True, no_deps=True),
        ),
        ([*UV, "uninstall", "--python", PY, "torch"], PackageChange(PY, remove=("torch",))),
        (["/usr/bin/python3", "-m", "venv", ".venv"], NewEnvironment("/usr/bin/python3", ".venv")),
        (["uv", "venv", "--python", "3.13", ".venv"], NewEnvironment("3.13", ".venv")),
    ],
)
def test_what_the_conditions_write(argv: list[str], change: Change) -> None:
    assert change_in(argv) == change


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["uv"],
        [*PIP],
        [*PIP, "check"],
        [*PIP, "install"],
        [*PIP, "install", "--upgrade"],
        [*PIP, "install", "--user", "a"],  # another place
        [*PIP, "install", "--target", "/x", "a"],
        [*PIP, "install", "-r", "requirements.txt"],
        [*PIP, "install", "--no-build-isolation", "flash-attn"],
        [*PIP, "install", "--break-system-packages", "a"],
        [*PIP, "install", "-y", "a"],  # pip itself has no such option
        [*UV, "install", "a"],  # which environment?
        [*UV, "install", "a", "--python"],
        [*UV, "sync", "--python", PY],
        ["conda", "install", "--prefix", "/x", "numpy"],
        ["sudo", *PIP, "install", "a"],
        ["bash", "-c", "pip install a"],
        [PY, "-m", "venv"],
        [PY, "-m", "venv", "--clear", ".venv"],
        [PY, "-m", "venv", "--system-site-packages"],
        ["uv", "venv", "--python", "3.13", "--clear"],
    ],
)
def test_what_is_left_to_the_person(argv: list[str]) -> None:
    assert change_in(argv) is None


def test_a_removal_and_the_install_after_it_are_one() -> None:
    away, new = PackageChange(PY, remove=("torch",)), PackageChange(PY, ("torch",), index="https://x/cu126")
    assert together([away, new]) == [PackageChange(PY, ("torch",), ("torch",), index="https://x/cu126")]


def test_installs_with_other_options_stay_apart() -> None:
    first, second = PackageChange(PY, ("torch",), index="https://x/cu126"), PackageChange(PY, ("transformers",))
    assert together([first, second]) == [first, second]
    assert together([PackageChange(PY, ("a",)), PackageChange(PY, ("b",))]) == [PackageChange(PY, ("a", "b"))]


def test_a_removal_after_an_install_stays_behind_it() -> None:
    install, away = PackageChange(PY, ("a",)), PackageChange(PY, remove=("a",))
    assert together([install, away]) == [install, away]


def test_two_environments_stay_apart() -> None:
    first, second = PackageChange(PY, ("a",)), PackageChange("/other/bin/python", ("a",))
    assert together([first, second]) == [first, second]


@pytest.mark.parametrize("python", [".venv/bin/python", ".venv\\Scripts\\python.exe"])
def test_what_is_installed_into_a_new_environment_comes_with_it(python: str) -> None:
    made = [NewEnvironment("/usr/bin/python3", ".venv"), PackageChange(python, ("transformers", "torch"))]
    assert together(made) == [NewEnvironment("/usr/bin/python3", ".venv", ("transformers", "torch"))]


def test_the_index_of_what_is_installed_into_a_new_environment_is_not_lost() -> None:
    new, inside = NewEnvironment("/usr/bin/python3", ".venv"), ".venv/bin/python"
    alone = [new, PackageChange(inside, ("torch",), index="https://x")]
    assert together(alone) == alone
    beside = PackageChange(inside, ("torch",), extra_index="https://x")
    both = NewEnvironment("/usr/bin/python3", ".venv", ("torch",), "https://x")
    assert together([new, beside]) == [both]
    later = PackageChange(inside, ("transformers",))
    assert together([new, beside, later]) == [both, later]
    with_it = NewEnvironment("/usr/bin/python3", ".venv", ("transformers",))
    assert together([new, later, beside]) == [with_it, beside]


def test_an_environment_beside_it_is_another() -> None:
    made = [NewEnvironment("/usr/bin/python3", ".venv"), PackageChange(".venv2/bin/python", ("a",))]
    assert together(made) == made


def test_other_changes_stay_in_order() -> None:
    changes: list[Change] = [PutAway("/x/~orch"), PackageChange(PY, ("torch",)), PutAway("/y")]
    assert together(changes) == changes
