"""Whether what is installed is whole, and whether its compiled parts go together."""

from __future__ import annotations

from .broken_install import BROKEN_INSTALL
from .model import Condition
from .native_conflicts import NUMPY_ABI, OPENMP_DUPLICATE

CONDITIONS: tuple[Condition, ...] = (BROKEN_INSTALL, NUMPY_ABI, OPENMP_DUPLICATE)
