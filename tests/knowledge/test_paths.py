"""install_paths: the longest names of a whole install, with the names of the Python that asks."""

from __future__ import annotations

import pytest

from hfdoctor.knowledge.companions import companion_for, load_companions
from hfdoctor.knowledge.paths import InstallPaths, install_paths, load_closures, load_wheel_paths
from hfdoctor.knowledge.sizes import install_size


def known(root: str, python: tuple[int, int]) -> InstallPaths:
    paths = install_paths(root, python)
    assert paths is not None
    return paths


@pytest.mark.parametrize("closure", load_closures(), ids=lambda row: f"{'+'.join(row.roots)}-{row.python}")
def test_every_closure_has_its_paths(closure: object) -> None:
    root, python = closure.roots[0], tuple(map(int, closure.python.split(".")))  # type: ignore[attr-defined]
    paths = known(root, python)  # type: ignore[arg-type]
    assert paths.packages == len(closure.wheels)  # type: ignore[attr-defined]
    for kind in (paths.files, paths.directories, paths.bytecode, paths.libraries):
        lengths = [entry.length for entry in kind]
        assert lengths == sorted(lengths, reverse=True)
        for entry in kind:
            assert entry.length == len(entry.path.encode("utf-16-le")) // 2
            assert entry.wheel in closure.wheels.values()  # type: ignore[attr-defined]
            assert "{" not in entry.path
    assert all(entry.path.endswith((".pyd", ".dll")) for entry in paths.libraries)
    assert all(f".cpython-3{python[1]}.pyc" in entry.path for entry in paths.bytecode)


def test_the_longest_of_all_parts_is_the_longest_of_the_whole() -> None:
    paths = known("torch", (3, 12))
    wheels = next(row.wheels for row in load_closures() if row.roots == ("torch",) and row.python == "3.12")
    longest = max(
        row.files[0].length for row in load_wheel_paths() if {row.wheel, *row.same_lengths} & set(wheels.values())
    )
    assert paths.files[0].length == longest


def test_names_carry_the_tag_of_the_python_that_asks() -> None:
    for minor in (11, 13):
        names = [entry.path for entry in known("torch", (3, minor)).libraries]
        assert any(f".cp3{minor}-win_amd64.pyd" in name for name in names)
        assert not any(f".cp3{other}-" in name for name in names for other in (10, 11, 12, 13, 14) if other != minor)


def test_what_the_table_does_not_know_is_none() -> None:
    assert install_paths("torch", (3, 8)) is None
    assert install_paths("torch", (3, 99)) is None
    assert install_paths("no-such-package", (3, 12)) is None


@pytest.mark.parametrize(
    ("os", "machine", "platform"),
    [
        ("linux", "x86_64", "linux_x86_64"),
        ("linux", "aarch64", "linux_aarch64"),
        ("windows", "AMD64", "win_amd64"),
        ("macos", "arm64", "macosx_arm64"),
    ],
)
def test_sizes_of_known_platforms(os: str, machine: str, platform: str) -> None:
    size = install_size(os, machine)
    assert size is not None and size.platform == platform
    assert {"torch", "transformers"} <= {part.package for part in size.parts}


def test_sizes_of_other_platforms_are_none() -> None:
    assert install_size("macos", "x86_64") is None
    assert install_size("windows", "ARM64") is None
    assert install_size("linux", "riscv64") is None


def test_companions_follow_what_they_publish() -> None:
    def release(package: str, torch: str) -> str | None:
        row = companion_for(package, torch)
        return row.release if row else None

    assert release("torchvision", "2.4.1") == "0.19.1"
    assert release("torchvision", "2.13.0+cu130") == "0.28.0"
    assert release("torchvision", "2.15.0") == "0.29.2"  # >=2.14.0 since 0.29.1
    assert release("torchaudio", "2.4.1+cpu") == "2.4.1"
    assert release("torchaudio", "2.15.0") is None  # 2.11.0, the last one, names no torch
    assert release("torchvision", "1.13.1") == "0.14.1"
    assert release("torchaudio", "1.10.2") == "0.10.2"
    assert release("xformers", "2.4.1") == "0.0.28.post1"
    assert release("torchvision", "1.0.1") is None
    assert release("torchvision", "not a version") is None


def test_the_torch_that_a_companion_asks_for() -> None:
    torch = {(row.package, row.release): row.torch for row in load_companions()}
    assert torch["torchvision", "0.19.1"] == "==2.4.1"
    assert torch["torchvision", "0.29.2"] == ">=2.14.0"
    assert torch["torchaudio", "0.13.1"] == "==1.13.1"
    assert torch["torchtext", "0.17.2"] == "==2.2.2"
    assert torch["torchaudio", "2.11.0"] is None  # its metadata do not name torch
