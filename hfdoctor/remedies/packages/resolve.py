"""Works out, with uv, which packages change from which version to which so that the request holds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from ...conditions.requirement_lines import applies, fits, marker_environment, normalised, parse
from ...facts.probes.distributions import read_distributions
from ...facts.sections.packages import Distribution
from ..action import Difference, Refused
from .target import Site, Told
from .uv import Failed, run_uv

#: seconds; uv asks the index about each package and its versions
TIMEOUT_S = 600.0
_CHANGE = re.compile(r"^ ([-+~]) ([A-Za-z0-9][\w.-]*)==([^\s(]+)", re.MULTILINE)
#: rounds in which packages that a change would break are taken into it
_ROUNDS = 4


class Package(msgspec.Struct, omit_defaults=True):
    """One package that changes: the versions that are there (several where it is damaged), and the one that comes.

    ``new`` "" takes it away. ``asked``: the change names it, so that it is not there as another's need alone.
    """

    name: str
    old: list[str]
    new: str
    asked: bool = False


class Plan(msgspec.Struct):
    """What changes, what will not fit any more (with the packages as they are), and bytes to download (0: unknown)."""

    packages: list[Package]
    breaks: list[Difference]
    download_bytes: int = 0


class Wish(msgspec.Struct, frozen=True):
    """What is asked of uv: requirements, names whose installed version does not count, and how."""

    install: tuple[str, ...]
    remove: tuple[str, ...] = ()
    reinstall: bool = False
    upgrade: bool = False
    no_deps: bool = False
    pre: bool = False


class Resolver:
    """Asks uv about one environment. ``words`` and ``environ`` say which indexes and which cache it uses."""

    def __init__(
        self,
        python: str,
        told: Told,
        site: Site,
        words: Sequence[str],
        environ: Mapping[str, str],
        cwd: str,
        user: bool = False,
    ) -> None:
        self.python = python
        #: uv does not look into a person's own folder by itself
        self.place = ["--target", site.roots[site.libraries[0]].path] if user else []
        self.words = list(words)
        self.environ = environ
        self.cwd = cwd
        self.markers = marker_environment(told.interpreter())
        folders = [site.roots[number].path for number in site.libraries]
        try:
            self.installed = read_distributions(folders)
        except OSError as error:
            raise Refused(f"{error.filename or folders[0]} cannot be read: {error.strerror or error}") from None

    def plan(self, wish: Wish) -> Plan:
        """The smallest change that does what ``wish`` says and breaks no package that was whole before.

        Where there is none, the change alone, with what it breaks. Raises Refused with uv's reason.
        """
        asked = {name for text in wish.install if (name := name_of(text))}
        try:
            found = self._versions(wish, ())
        except Failed as failed:
            raise Refused(failed.refusal) from None
        alone, extra = found, ()  # type: tuple[list[Package], tuple[str, ...]]
        for _ in range(_ROUNDS if wish.install and not wish.no_deps else 0):
            broken = [entry for entry, _, _ in self._broken_by(found) if entry.name not in asked]
            if not broken:
                break
            as_they_are = tuple(f"{entry.name}=={entry.version}" for entry in broken)
            free = tuple(entry.name for entry in broken)
            better = self._try(wish, (*extra, *as_they_are))
            if better is None:
                better, extra = self._try(wish, (*extra, *free)), (*extra, *free)
            else:
                extra = (*extra, *as_they_are)
            if better is None:
                found = alone
                break
            found = better
        for package in found:
            package.asked = package.name in asked
        breaks = [
            Difference(f"{entry.name} {entry.version}, which needs {text}", "fits", f"will not fit {name} {version}")
            for entry, text, (name, version) in self._broken_by(found)
        ]
        return Plan(found, breaks, self._bytes(found))

    def _try(self, wish: Wish, extra: Sequence[str]) -> list[Package] | None:
        """The change for ``wish`` and the requirements ``extra``; None where no versions fit."""
        try:
            return self._versions(wish, extra)
        except Failed as failed:
            if failed.unsolvable:
                return None
            raise Refused(failed.refusal) from None

    def _versions(self, wish: Wish, extra: Sequence[str]) -> list[Package]:
        """The change for ``wish`` and the requirements ``extra``. Raises Failed."""
        versions: dict[str, list[str]] = {}
        for entry in self.installed:
            versions.setdefault(entry.name, []).append(entry.version)
        going = {normalised(name) for name in wish.remove}
        coming = self._ask(wish, extra) if wish.install else {}
        found = [Package(name, versions.get(name, []), version) for name, version in sorted(coming.items())]
        gone = [name for name in sorted(going) if name not in coming and name in versions]
        return [*found, *(Package(name, versions[name], "") for name in gone)]

    def _ask(self, wish: Wish, extra: Sequence[str]) -> dict[str, str]:
        words = ["pip", "install", "--dry-run", "--no-build", "--python", self.python, *self.place, *self.words]
        asked = [name for text in wish.install if (name := name_of(text))]
        anew = {normalised(name) for name in wish.remove}
        # what uv could not read stops it, unless it is to be written anew
        anew |= {entry.name for entry in self.installed if entry.problem}
        if wish.reinstall:
            anew |= set(asked)
        for name in sorted(anew):
            words += ["--reinstall-package", name]
        if wish.upgrade:
            for name in asked:
                words += ["--upgrade-package", name]
        if wish.no_deps:
            words.append("--no-deps")
        if wish.pre:
            words += ["--prerelease", "allow"]
        ended = run_uv([*words, "--", *wish.install, *extra], self.environ, self.cwd, TIMEOUT_S)
        said = ended.stderr.decode("utf-8", "replace")
        return {normalised(name): version for sign, name, version in _CHANGE.findall(said) if sign in "+~"}

    def _broken_by(self, packages: Sequence[Package]) -> list[tuple[Distribution, str, tuple[str, str]]]:
        """The packages that stay and whose needs are met now and not afterwards: which, which need, by what."""
        new = {package.name: package.new for package in packages}
        old = {entry.name: entry.version for entry in self.installed if not entry.problem}
        found = []
        for entry in self.installed:
            if entry.name in new or entry.problem:
                continue
            for text in entry.requires:
                line = parse(text)
                if line is None or line.name not in new or applies(line, self.markers, ()) is None:
                    continue
                version = new[line.name]
                was_met = line.name in old and fits(old[line.name], line.specifier) is not False
                if was_met and (not version or fits(version, line.specifier) is False):
                    found.append((entry, line.name + line.specifier, (line.name, version or "(gone)")))
                    break
        return found

    def _bytes(self, packages: Sequence[Package]) -> int:
        """Bytes of the wheels that come, 0 where the index does not say."""
        pins = [f"{package.name}=={package.new}" for package in packages if package.new]
        try:
            return locked(self.python, pins, self.words, self.environ, self.cwd, alone=True)[1] if pins else 0
        except Failed:
            return 0


def locked(
    python: str,
    requirements: Sequence[str],
    words: Sequence[str],
    environ: Mapping[str, str],
    cwd: str,
    *,
    alone: bool = False,
) -> tuple[dict[str, str], int]:
    """The versions that ``requirements`` come to where nothing is installed, and the bytes of their wheels.

    0 bytes: the index does not say. ``alone``: without what they need. Raises Failed.
    """
    command = [
        "pip",
        "compile",
        "--quiet",
        "--no-build",
        "--format",
        "pylock.toml",
        "--python",
        python,
        "--no-header",
        *words,
    ]
    command += ["--no-deps", "--prerelease", "allow"] if alone else []
    ended = run_uv([*command, "-"], environ, cwd, TIMEOUT_S, "\n".join(requirements).encode())
    versions: dict[str, str] = {}
    sizes = []
    for part in ended.stdout.decode("utf-8", "replace").split("[[packages]]")[1:]:
        name, version = (re.search(rf'^{key} = "([^"]+)"', part, re.MULTILINE) for key in ("name", "version"))
        if name and version:
            versions[normalised(name[1])] = version[1]
        found = re.findall(r"\bsize = (\d+)", part.partition("wheels = [")[2])
        sizes.append(max(map(int, found), default=0))
    return versions, sum(sizes) if all(sizes) else 0


def name_of(requirement: str) -> str:
    """The normalised name in a requirement; "" where there is none."""
    match = re.match(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)", requirement)
    return normalised(match[1]) if match else ""
