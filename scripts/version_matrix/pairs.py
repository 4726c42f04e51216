"""Pairs of transformers and torch: the ones that are tried unless others are named, and what they need besides."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass

#: the versions below were chosen on this day; "newest" follows the index
AS_OF = "2026-11-22"
#: the oldest that hfdoctor is for, two between, the last torch that had a build for the CPU where this was written
DEFAULT_PAIRS = ("4.40.2:2.1.2", "4.46.3:2.5.1", "4.57.6:2.9.1", "5.23.0:2.13.0", "newest:newest")
NEWEST = "newest"
#: Pythons that hfdoctor is for, oldest and newest
PYTHONS = ((3, 9), (3, 14))
#: without accelerate the stage train is skipped
ALWAYS = ("accelerate",)
#: the log for TensorBoard is tried where this is installed: with the newest pair
WITH_NEWEST = ("tensorboard",)
#: torch before this was built for NumPy 1, and does not say so
NUMPY_2 = (2, 3)
#: torch before this needs setuptools to compile (the older ones its pkg_resources, too, which left with version 81) and
#: says so on Python 3.12 and later alone; environments that uv makes have none
SAYS_SETUPTOOLS = (2, 10)


@dataclass(frozen=True)
class Pair:
    """Versions of transformers and torch, or "newest"."""

    transformers: str
    torch: str

    def __str__(self) -> str:
        return f"{self.transformers}:{self.torch}"

    def requirements(self) -> list[str]:
        """What is installed."""
        wanted = [
            name if version == NEWEST else f"{name}=={version}"
            for name, version in (("transformers", self.transformers), ("torch", self.torch))
        ]
        wanted += ALWAYS
        if self.torch == NEWEST:
            wanted += WITH_NEWEST
        else:
            torch = tuple(map(int, self.torch.split(".")[:2]))
            wanted += ["numpy<2"] * (torch < NUMPY_2) + ["setuptools<81"] * (torch < SAYS_SETUPTOOLS)
        return wanted


def pair(text: str) -> Pair:
    """TRANSFORMERS:TORCH. Raises ArgumentTypeError for anything else."""
    version = rf"(\d+\.\d+(?:\.\d+)?|{NEWEST})"
    found = re.fullmatch(f"{version}:{version}", text)
    if found is None:
        raise argparse.ArgumentTypeError(f'{text!r} is no pair like "4.57.6:2.9.1" or "newest:newest"')
    return Pair(*found.groups())


def minor(text: str) -> str:
    """A Python as "3.12". Raises ArgumentTypeError for what hfdoctor is not for."""
    found = re.fullmatch(r"3\.(\d+)", text)
    oldest, newest = PYTHONS
    if found is None or not oldest <= (3, int(found.group(1))) <= newest:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no Python like "3.12", from {".".join(map(str, oldest))} to {".".join(map(str, newest))}'
        )
    return text
