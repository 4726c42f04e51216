"""The Windows family: one tuple of what the modules beside this one detect."""

from __future__ import annotations

from . import windows_folders, windows_paths, windows_system
from .model import Condition

CONDITIONS: tuple[Condition, ...] = (
    windows_paths.WINDOWS_LONG_PATH,
    *windows_system.CONDITIONS,
    *windows_folders.CONDITIONS,
)
