"""Drivers and the CUDA they run, by number."""

from __future__ import annotations

import pytest

from hfdoctor.knowledge.drivers import (
    cuda_at_least,
    cuda_of_driver,
    dotted,
    driver_is_enough,
    load_cuda_gpus,
    load_driver_cuda,
    load_drivers,
    needs_driver,
    oldest_gpu,
)


@pytest.mark.parametrize(
    ("version", "system", "cuda"),
    [
        ("535.104.05", "linux", "12.2"),
        ("535.54.03", "linux", "12.2"),
        ("530.30.02", "linux", "12.1"),
        ("525.147.05", "linux", "12.0"),
        ("510.47.03", "linux", "11.6"),
        ("470.256.02", "linux", "11.4"),
        ("450.119.03", "linux", "11.0"),
        ("595.58.03", "linux", "13.2"),
        ("565.57.01", "linux", "12.7"),
        ("546.33", "windows", "12.3"),
        ("560.94", "windows", "12.6"),
        ("566.36", "windows", "12.7"),
        ("572.70", "windows", "12.8"),
        ("576.52", "windows", "12.9"),
        ("591.74", "windows", "13.1"),
        ("610.74", "windows", "13.3"),
    ],
)
def test_the_cuda_that_a_driver_reports(version: str, system: str, cuda: str) -> None:
    assert cuda_of_driver(version, system) == cuda_at_least(version, system) == cuda


def test_a_number_is_compared_as_numbers() -> None:
    assert dotted("535.104.05") == (535, 104, 5) and dotted("535.104.05") > dotted("535.54.03")  # type: ignore[operator]
    assert driver_is_enough("525.105.17", "12.1", "linux") is True
    assert driver_is_enough("525.60.13", "12.9", "linux") is True
    assert driver_is_enough("525.60.11", "12.9", "linux") is False


def test_a_driver_newer_than_the_table_runs_at_least_its_newest_cuda() -> None:
    for system in ("linux", "windows"):
        newest = load_driver_cuda()[0]
        first = newest.linux if system == "linux" else newest.windows
        assert first is not None
        branch = int(first.split(".")[0])
        assert cuda_of_driver(first, system) == newest.cuda
        assert cuda_of_driver(f"{branch + 5}.10.01", system) is None
        assert cuda_at_least(f"{branch + 5}.10.01", system) == newest.cuda
        assert driver_is_enough(f"{branch + 5}.10.01", newest.cuda, system) is True


@pytest.mark.parametrize("version", ["", "N/A", "535.x", "340.108", "12a.1", "-1.0", "[N/A]"])
def test_what_is_no_number_or_too_old_is_unknown(version: str) -> None:
    assert cuda_of_driver(version, "linux") is None
    assert cuda_at_least(version, "linux") is None


@pytest.mark.parametrize(
    ("cuda", "system", "driver"),
    [
        ("12.4", "linux", "525.60.13"),
        ("12.8", "windows", "528.33"),
        ("13.2", "linux", "580"),
        ("11.8", "linux", "450.80.02"),
        ("10.2", "linux", "440.33"),
        ("10.2", "windows", "441.22"),
        ("99.0", "linux", None),
        ("7.0", "linux", None),
        ("12", "linux", None),
        ("", "linux", None),
        ("12.4", "macos", None),
    ],
)
def test_the_oldest_driver_for_a_cuda(cuda: str, system: str, driver: str | None) -> None:
    assert needs_driver(cuda, system) == driver


@pytest.mark.parametrize(
    ("cuda", "capability"),
    [
        ("13.2", "7.5"),
        ("12.8", "5.0"),
        ("11.8", "3.5"),
        ("10.2", "3.0"),
        ("8.0", "2.0"),
        ("99.0", None),
        ("13", "7.5"),
        ("", None),
    ],
)
def test_the_oldest_gpu_for_a_cuda(cuda: str, capability: str | None) -> None:
    assert oldest_gpu(cuda) == capability


def test_a_newer_cuda_never_has_code_for_an_older_gpu() -> None:
    rows = load_cuda_gpus()
    assert [dotted(row.cuda) for row in rows] == sorted((dotted(row.cuda) for row in rows), reverse=True)  # type: ignore[type-var]
    oldest = [dotted(row.oldest) for row in rows]
    assert None not in oldest and oldest == sorted(oldest, reverse=True)  # type: ignore[type-var]


def test_torch_was_published_for_no_gpu_older_than_its_cuda_allows() -> None:
    from hfdoctor.binaries.targets import cuda_target
    from hfdoctor.knowledge.torch_builds import cuda_of_variant, load_torch_builds

    compared = 0
    for row in load_torch_builds():
        targets = [target for name in row.code or () if (target := cuda_target(name)) is not None]
        oldest = oldest_gpu(cuda_of_variant(row.variant) or "")
        if targets and oldest:
            compared += 1
            assert min((one.major, one.minor) for one in targets) >= dotted(oldest), row  # type: ignore[operator]
    assert compared > 20


def test_unknown_is_neither_enough_nor_too_old() -> None:
    assert driver_is_enough("N/A", "12.4", "linux") is None
    assert driver_is_enough("535.104.05", "99.0", "linux") is None
    assert driver_is_enough("470.256.02", "12.4", "linux") is False


def test_a_newer_cuda_never_needs_an_older_driver() -> None:
    for rows in (load_drivers(), load_driver_cuda()):
        assert [dotted(row.cuda) for row in rows] == sorted((dotted(row.cuda) for row in rows), reverse=True)  # type: ignore[type-var]
        for column in ("linux", "windows"):
            numbers = [dotted(value) for row in rows if (value := getattr(row, column)) is not None]
            assert None not in numbers and numbers == sorted(numbers, reverse=True)  # type: ignore[type-var]
            assert len(set(numbers)) == len(numbers)


def test_the_first_driver_of_a_major_is_enough_for_all_of_it() -> None:
    for row in load_driver_cuda():
        for system in ("linux", "windows"):
            first = getattr(row, system)
            if first is not None and row.cuda.split(".")[0] != "11":  # 11.0 came out before what 11.1 needs
                if (row.cuda, system) == ("12.0", "windows"):
                    continue  # the toolkit's own driver, 527.41, is older than what NVIDIA asks for
                assert driver_is_enough(first, row.cuda, system) is True, row
