"""A copy of the torch environment that tests damage and that heals afterwards. The original is never written to."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Finding
from hfdoctor.facts.collect import run_probes
from hfdoctor.facts.probe import Context, Probe, Request
from hfdoctor.facts.probes import packages
from hfdoctor.facts.sections.packages import Packages
from hfdoctor.facts.snapshot import Snapshot


def link_tree(source: Path, copy: Path) -> None:
    """Copy a folder with hard links where the file system allows them: a gigabyte in a second."""

    def link(old: str, new: str) -> str:
        try:
            os.link(old, new, follow_symlinks=False)
        except OSError:
            shutil.copy2(old, new, follow_symlinks=False)
        return new

    shutil.copytree(source, copy, symlinks=True, copy_function=link)


class Patient:
    """A site-packages folder. Each change keeps what was there aside, so that ``heal`` can bring it back.

    Files are replaced and never written into: with hard links that would reach the original.
    """

    def __init__(self, site: Path, aside: Path) -> None:
        self.site = site
        self.aside = aside
        self._undo: list[tuple[Path, Path | None]] = []
        aside.mkdir()

    def find(self, pattern: str) -> Path:
        """The one path below site-packages that fits ``pattern``."""
        [found] = self.site.glob(pattern)
        return found

    def remove(self, path: Path) -> None:
        """Take a file or folder away."""
        kept = self.aside / str(len(self._undo))
        path.rename(kept)
        self._undo.append((path, kept))

    def write(self, path: Path, data: bytes) -> None:
        """Put a file with other content in the place of what is there, or where nothing is."""
        if os.path.lexists(path):
            self.remove(path)
        else:
            self._undo.append((path, None))
        path.write_bytes(data)

    def make_folder(self, path: Path) -> None:
        """Put an empty folder there instead of what is there."""
        if os.path.lexists(path):
            self.remove(path)
        else:
            self._undo.append((path, None))
        path.mkdir()

    def added(self, path: Path) -> Path:
        """Remember that the test itself made ``path``."""
        self._undo.append((path, None))
        return path

    def heal(self) -> None:
        """Bring everything back."""
        while self._undo:
            path, kept = self._undo.pop()
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif os.path.lexists(path):
                path.unlink()
            if kept is not None:
                kept.rename(path)


def look(machine: Snapshot, environ: Mapping[str, str] | None = None, deep: bool = False) -> Snapshot:
    """The snapshot ``machine`` with what the packages probe finds now."""
    request = Request(deep=deep, timeout_s=120.0, environ=dict(environ or {}))
    snapshot = msgspec.structs.replace(machine, packages=Packages(), probes={})
    context = Context(request, snapshot, time.monotonic() + request.timeout_s)
    run_probes([Probe("packages", packages.probe, budget_s=120.0)], context)
    assert snapshot.probes["packages"].outcome == "done", snapshot.probes["packages"].detail
    return snapshot


def verdicts(snapshot: Snapshot, *conditions: str) -> list[Finding]:
    """The findings of these conditions that are no pass and no skip."""
    report = diagnose(snapshot)
    wrong = [finding for finding in report.findings if finding.condition in conditions]
    return [finding for finding in wrong if finding.outcome not in ("pass", "skip")]
