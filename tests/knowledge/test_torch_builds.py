"""The builds of torch: what exists, for which GPUs, what pip brings, and what a driver runs."""

from __future__ import annotations

import pytest

from hfdoctor.knowledge.torch_builds import (
    best_variant,
    cuda_of_variant,
    default_variant,
    last_release_with,
    load_torch_builds,
    load_torch_releases,
    runs_cuda,
    targets_of,
    variants_of,
)

LINUX = ("linux", "x86_64")
WINDOWS = ("windows", "AMD64")


def runs(code: tuple[str, ...], capability: str) -> bool:
    """NVIDIA's rule for machine code, written once more: the same major, a minor not newer than the GPU's."""
    major, minor = (int(part) for part in capability.split("."))
    numbers = [int(name.removeprefix("sm_")) for name in code if name.removeprefix("sm_").isdecimal()]
    return any(number // 10 == major and number % 10 <= minor for number in numbers)


def numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))


def test_variants_by_release_and_platform() -> None:
    assert variants_of("2.7.1+cu126", "linux", "x86_64")[:1] == ("cpu",)
    assert {"cu118", "cu126", "cu128"} <= set(variants_of("2.7.1"))
    assert "cu128" not in variants_of("2.6.0")
    assert variants_of("2.2.2", "macos", "x86_64") == ("cpu",) and variants_of("2.3.0", "macos", "x86_64") == ()
    assert [name for name in variants_of("2.9.1") if name.startswith("cu")] == ["cu126", "cu128", "cu130"]
    for unknown in ("99.0", "nightly", "", "2.16.0.dev20261101", "0.4.1"):
        assert variants_of(unknown) == ()


@pytest.mark.parametrize(
    ("release", "system", "machine", "variant"),
    [
        ("2.15.0", *LINUX, "cu132"),
        ("2.7.1", *LINUX, "cu126"),
        ("2.4.1+cu121", *LINUX, "cu121"),
        ("1.12.1", *LINUX, "cu102"),
        ("2.10.0", "linux", "aarch64", "cpu"),
        ("2.11.0", "linux", "aarch64", "cu130"),
        ("2.15.0", *WINDOWS, "cpu"),
        ("2.13.0", "macos", "arm64", "cpu"),
        ("2.13.0", "macos", "x86_64", None),
        ("99.0", *LINUX, None),
        ("2.16.0.dev20261101", *LINUX, None),
    ],
)
def test_what_a_plain_install_brings(release: str, system: str, machine: str, variant: str | None) -> None:
    assert default_variant(release, system, machine) == variant


def test_targets_of_a_build() -> None:
    measured = targets_of("2.7.1", "cu126", *LINUX)
    assert measured is not None
    assert measured[0] == tuple(f"sm_{number}" for number in (50, 60, 70, 75, 80, 86, 90))
    assert targets_of("2.7.1", "cpu", *LINUX) == ((), ())
    volta = targets_of("2.7.0", "cu128", *LINUX)
    assert volta is not None and "sm_70" not in volta[0]
    # measured in 2.7.1, and built by the same list; of cu130 nobody said
    assert targets_of("2.7.0", "cu126", *LINUX) == measured
    assert targets_of("2.14.0", "cu130", "linux", "arm64") == targets_of("2.14.1", "cu130", "linux", "aarch64")
    assert targets_of("2.10.0", "cu130", "linux", "aarch64") is None
    for unknown in (("2.7.1", "cu999"), ("99.0", "cu126")):
        assert targets_of(*unknown, *LINUX) is None


@pytest.mark.parametrize(
    ("driver", "built", "answer"),
    [
        ("12.2", "12.8", True),
        ("13.2", "11.8", True),
        ("11.4", "12.1", False),
        ("12.9", "13.0", False),
        ("11.0", "11.8", True),
        ("10.1", "10.2", False),
        ("11.0", "10.2", True),
    ],
)
def test_minor_version_compatibility(driver: str, built: str, answer: bool) -> None:
    assert runs_cuda(driver, built) is answer


@pytest.mark.parametrize(
    ("release", "driver", "capability", "variant"),
    [
        ("2.9.1", "12.4", "8.9", "cu128"),
        ("2.9.1", "13.0", "8.9", "cu130"),
        ("2.9.1", "13.0", "6.1", "cu126"),  # newer variants leave Pascal out
        ("2.9.1", "11.8", "8.9", None),
        ("2.4.1", "12.4", "12.0", None),  # no build of that age has code for Blackwell
        ("2.7.1", "11.4", "3.7", "cu118"),
        ("99.0", "13.0", "8.9", None),
        ("2.9.1", "", "8.9", None),
    ],
)
def test_the_newest_variant_that_driver_and_gpu_run(
    release: str, driver: str, capability: str, variant: str | None
) -> None:
    assert best_variant(release, driver, capability, *LINUX, runs=runs) == variant


def test_the_last_release_for_an_old_gpu() -> None:
    assert last_release_with("6.1", *LINUX, runs=runs) == ("2.14.1", "cu126")
    assert last_release_with("3.7", *LINUX, runs=runs) == ("2.7.1", "cu118")
    assert last_release_with("3.0", *LINUX, runs=runs) is None
    newest = last_release_with("8.9", *LINUX, runs=runs)
    assert newest is not None and newest[0] == load_torch_releases()[0].release


def test_documents_agree_with_what_was_measured() -> None:
    """Where a document speaks of a build that was measured too, it names the same targets."""
    rows = load_torch_builds()
    compared = 0
    for measured in (row for row in rows if row.basis == "measured"):
        minor = numbers(measured.since)[:2]
        for row in rows:
            same = (row.variant, row.system, row.machine) == (measured.variant, measured.system, measured.machine)
            if row.basis == "documented" and same and row.code is not None:
                if not numbers(row.since) <= minor <= numbers(row.until):
                    continue
                assert (row.code, row.ptx) == (measured.code, measured.ptx), (row.since, row.variant, measured.since)
                compared += 1
    assert compared >= 12


def test_every_release_on_pypi_with_cuda_was_measured() -> None:
    """The newest patch release of each minor since 2.0, on each platform where PyPI has a CUDA build of it."""
    measured = {(row.since, f"{row.system}_{row.machine}", row.variant) for row in load_torch_builds()}
    minors = set()
    for release in load_torch_releases():
        minor = numbers(release.release)[:2]
        if minor >= (2, 0) and minor not in minors:
            for platform, variant in release.defaults.items():
                assert variant == "cpu" or (release.release, platform, variant) in measured
        minors.add(minor)


def test_rows_hold_together() -> None:
    seen = set()
    for row in load_torch_builds():
        key = (row.since, row.until, row.variant, row.system, row.machine)
        assert key not in seen
        seen.add(key)
        assert numbers(row.since) <= numbers(row.until)
        assert (row.code is None) == (row.ptx is None)
        if row.basis == "measured":
            assert row.since == row.until and row.source.startswith("https://pypi.org/") and row.code
        if row.variant == "cpu":
            assert row.code == row.ptx == ()
        if cuda_of_variant(row.variant) and row.code:
            assert all(name.startswith("sm_") for name in (*row.code, *row.few) if name not in row.ptx)
            assert all(name.startswith("compute_") for name in row.ptx or ())
    for release in load_torch_releases():
        for platform, variant in release.defaults.items():
            system, _, machine = platform.partition("_")
            assert variant in variants_of(release.release, system, machine), (release.release, platform)
