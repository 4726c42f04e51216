"""A Windows machine that lies in folders of this one, for the loader that is played through on files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hfdoctor.binaries.files import LocalFile


class WindowsTree:
    """A Windows machine whose drives (or folders of them) lie in folders of this one.

    ``places`` maps a Windows folder to a folder here: ``{"C:\\\\": "/tmp/tree"}``. Names are compared without regard to
    case, as Windows does.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        pairs = [(_plain(name), Path(here)) for name, here in places.items()]
        self._places = sorted(pairs, key=lambda pair: -len(pair[0]))
        self._listings: dict[Path, dict[str, Path]] = {}

    def open(self, path: str) -> LocalFile:
        place = self._place(path)
        if place is None:
            raise FileNotFoundError(f"no such file: {path}")
        return LocalFile(str(place))

    def is_file(self, path: str) -> bool:
        place = self._place(path)
        return place is not None and place.is_file()

    def is_folder(self, path: str) -> bool:
        place = self._place(path)
        return place is not None and place.is_dir()

    def names(self, folder: str) -> list[str]:
        place = self._place(folder)
        return sorted(entry.name for entry in self._listing(place).values()) if place is not None else []

    def real(self, path: str) -> str:
        return path

    def _place(self, path: str) -> Path | None:
        plain = _plain(path)
        for name, here in self._places:
            if plain == name or plain.startswith(name + "\\"):
                found: Path | None = here
                for part in plain[len(name) :].split("\\"):
                    if part and found is not None:
                        found = self._listing(found).get(part)
                return found
        return None

    def _listing(self, place: Path) -> dict[str, Path]:
        if place not in self._listings:
            entries = place.iterdir() if place.is_dir() else ()
            self._listings[place] = {entry.name.lower(): entry for entry in entries}
        return self._listings[place]


def _plain(path: str) -> str:
    return path.replace("/", "\\").rstrip("\\").lower()
