"""Settings of the hub libraries that cannot mean what was meant."""

from __future__ import annotations

import ntpath
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from ..facts.cache_paths import TRANSFORMERS_CACHE_VARIABLES, is_true
from ..facts.snapshot import Snapshot
from . import variable_steps
from .changes import PutAway
from .hub_setting_cures import QUOTES, bare, meant_address, meant_folder, meant_seconds
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Verdict
from .variable_steps import set_variable, unset_variable

#: variables that hold a folder or file, and whether the library expands ~ and $NAME in them
PATHS = {
    "HF_HOME": True,
    "HF_HUB_CACHE": True,
    "HUGGINGFACE_HUB_CACHE": True,
    "HF_ASSETS_CACHE": True,
    "HF_TOKEN_PATH": True,
    "HF_XET_CACHE": False,
    "HF_MODULES_CACHE": False,
}
#: variables that place the cache
PLACES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME")
#: switches: 1, ON, YES, TRUE in any case mean on, anything else means off, without a word
SWITCHES = r"HF_HUB_(?:OFFLINE|(?:DISABLE|ENABLE)_\w+)|TRANSFORMERS_OFFLINE"
#: read with int(): anything else stops "import huggingface_hub", and so "import transformers"
NUMBERS = ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT")
#: what a person writes who means "on"
MEANT_ON = frozenset({"1", "on", "yes", "true", "y", "t", "enable", "enabled", "2"})


def _hub_settings(s: Snapshot, goal: Goal) -> Verdict:
    values = _values(s)
    location = s.hub.cache.need()
    seen = [
        name for name in values if name.startswith(("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "PYTORCH_TRANSFORMERS"))
    ]
    found = [
        *_places(s),
        *_paths(s, values),
        *_numbers(s, values),
        *_switches(s, values),
        *_not_read(s, values),
        *_contradictions(s, values),
        *_endpoint(s, values),
    ]
    if found:
        return found
    if not seen:
        return Skip("none_set")
    return Pass(len(seen), [Clue(s.settings.variables, sorted(seen)), Clue(s.hub.cache, location.path)])


def misplaced(s: Snapshot) -> bool:
    """Whether a setting puts the cache where it was not meant to be."""
    values = _values(s)
    return any((*_places(s), *_paths(s, values), *_not_read(s, values)))


def _values(s: Snapshot) -> dict[str, str]:
    """The variables by name; in upper case for Windows, which does not tell the cases apart."""
    windows = s.machine.os.need().system == "windows"
    return {
        entry.name.upper() if windows else entry.name: entry.value
        for entry in s.settings.variables.need()
        if not entry.secret
    }


def _fail(
    s: Snapshot,
    says: str,
    name: str,
    value: str,
    steps: Sequence[Step],
    severity: Severity = "warning",
    **more: Plain,
) -> Fail:
    fields: dict[str, Plain] = {"name": name, "value": value, **more}
    clue = Clue(s.settings.variables, f"{name}={value}", "is_set", fields)
    return Fail(says, severity, "derived", [clue], fields, Treatment("confirm", steps))


def _set_or_unset(name: str, meant: str, by_hand: str) -> list[Step]:
    """Set the variable to what was certainly meant, if that is known, else let the person do it; or unset it."""
    first = set_variable(name, meant) if meant else Step(says=by_hand, fields={"name": name})
    return [first, unset_variable(name, "or_unset_variable")]


def _places(s: Snapshot) -> Iterator[Fail]:
    """What stands where a folder must be."""
    location = s.hub.cache.need()
    named = {
        location.path: (location.kind, location.set_by),
        location.hf_home: (location.hf_home_kind, location.hf_home_set_by),
    }
    for path, (kind, set_by) in sorted(named.items(), key=lambda one: len(one[0])):
        if kind not in ("file", "below-a-file", "dangling-link"):
            continue
        fields: dict[str, Plain] = {"path": path, "name": set_by}
        clue = Clue(s.hub.cache, path, kind, fields)
        treatment = _room(path, kind, set_by)
        yield Fail("no_folder", "error", "observed", [clue], fields, treatment)
        return  # a file for HF_HOME is the reason for the cache below it


def _room(path: str, kind: str, set_by: str) -> Treatment:
    """Something else stands there: by default in the library's own place, or where the person's variable leads."""
    fields: dict[str, Plain] = {"path": path, "name": set_by}
    if set_by not in (*PLACES, *TRANSFORMERS_CACHE_VARIABLES):
        if kind != "file":  # a link may lead to a disk that is not there just now, a file may be the person's
            says = "link" if kind == "dangling-link" else "make_way"
            return Treatment("print-only", [Step(says=says, fields=fields)])
        return Treatment("confirm", [Step(says="make_room", fields=fields, change=PutAway(path))])
    first = [Step(says="set_folder", fields=fields)]
    if kind == "dangling-link":
        first = [Step(says="link", fields=fields), Step(says="or_set_folder", fields=fields)]
    return Treatment("confirm", [*first, unset_variable(set_by, "or_unset_variable")])


def _paths(s: Snapshot, values: Mapping[str, str]) -> Iterator[Fail]:
    flavour = ntpath if s.machine.os.need().system == "windows" else posixpath
    for name, expands in PATHS.items():
        value = values.get(name)
        if value is None or (name == "HUGGINGFACE_HUB_CACHE" and "HF_HUB_CACHE" in values):
            continue
        meant = meant_folder(s, value)
        steps = _set_or_unset(name, meant, "set_it")
        if value.strip() != value.strip().strip(QUOTES):
            yield _fail(s, "quoted", name, value, steps)
        elif value != value.strip():
            yield _fail(s, "blanks", name, value, steps)
        elif not value:
            yield _fail(s, "empty", name, value, [unset_variable(name)])
        elif unknown := _unexpanded(s, name):
            yield _fail(s, "unexpanded", name, value, steps, missing=unknown)
        elif flavour is posixpath and re.match(r"[A-Za-z]:[\\/]", value):
            yield _fail(s, "windows_path", name, value, steps)
        elif not _is_absolute(flavour, value) and not (expands and value[0] in "~$%"):
            yield _fail(s, "relative", name, value, _set_or_unset(name, meant or _folder_there(s, name), "set_it"))


def _folder_there(s: Snapshot, name: str) -> str:
    """The folder that a relative path leads to from here, if it exists: then it is the one that was used so far."""
    location = s.hub.cache.need()
    if location.set_by == name and location.kind == "folder":
        return location.path
    return location.hf_home if location.hf_home_set_by == name and location.hf_home_kind == "folder" else ""


def _unexpanded(s: Snapshot, name: str) -> str:
    """What looks like a variable and was left standing in the path that the library itself ends up with."""
    location = s.hub.cache.need()
    literal = location.literal if name == location.set_by else ""
    if name == "HF_HOME" and location.hf_home_set_by == name:
        literal = location.hf_home_literal
    found = re.search(r"\$\{?\w+\}?|%\w+%", literal)
    return found[0] if found else ""


def _is_absolute(flavour: object, value: str) -> bool:
    if flavour is posixpath:
        return value.startswith("/")
    drive, rest = ntpath.splitdrive(value)
    return rest.startswith(("\\", "/")) or (drive.startswith(("\\\\", "//")) and not rest)


def _numbers(s: Snapshot, values: Mapping[str, str]) -> Iterator[Fail]:
    for name in NUMBERS:
        value = values.get(name)
        if value is None:
            continue
        read = s.hub.variables_read.or_absent()
        try:
            int(value)
        except ValueError:
            if read is not None and name in read and not _imported(s):
                yield _fail(
                    s, "no_number", name, value, _set_or_unset(name, meant_seconds(value), "set_number"), "error"
                )


def _imported(s: Snapshot) -> bool:
    """Whether the library was seen to be imported with these very settings."""
    imports = s.packages.imports
    if imports.status == "not-run":
        return False
    return any(trial.ok and trial.package == "transformers" for trial in imports.need())


def _switches(s: Snapshot, values: Mapping[str, str]) -> Iterator[Fail]:
    offline = s.hub.offline.need()
    for name, value in sorted(values.items()):
        if re.fullmatch(SWITCHES, name) and not is_true(value) and bare(value).lower() in MEANT_ON:
            if name.endswith("_OFFLINE") and name != offline.variable:
                continue  # the other one decides
            severity: Severity = "warning" if name == offline.variable else "note"
            yield _fail(s, "not_on", name, value, _set_or_unset(name, "1", "set_it"), severity)


def _not_read(s: Snapshot, values: Mapping[str, str]) -> Iterator[Fail]:
    """A variable that places the cache, or the address, and that no installed library reads."""
    by_transformers = s.hub.transformers_variables_read
    for name in TRANSFORMERS_CACHE_VARIABLES:
        value = values.get(name)
        if value is None or any(other in values for other in PLACES):
            continue
        read = by_transformers.or_absent()
        location = s.hub.cache.need()
        if read is None or name in read or _same(s, value, location.path):
            continue
        fail = _fail(s, "not_read", name, value, _carried_over(s, name, value), path=location.path)
        yield _with_reader(fail, Clue(by_transformers, name, "transformers_silent", {"name": name}), s)
        return
    name = "HF_HUB_CACHE"
    if name in values and "HUGGINGFACE_HUB_CACHE" not in values:
        read = s.hub.variables_read.or_absent()
        location = s.hub.cache.need()
        if read is not None and name not in read and not _same(s, values[name], location.path):
            steps = [Step(says="use_instead", fields={"instead": "HF_HOME", "value": values[name]})]
            meant = meant_folder(s, values[name])
            if "HUGGINGFACE_HUB_CACHE" in read and meant:  # the older name of the very same setting
                steps = [set_variable("HUGGINGFACE_HUB_CACHE", meant), *_left_behind(s)]
            fail = _fail(s, "not_read", name, values[name], steps, path=location.path)
            yield _with_reader(fail, Clue(s.hub.variables_read, name, "hub_silent", {"name": name}), s)


def _carried_over(s: Snapshot, name: str, value: str) -> list[Step]:
    """The value under the name that is read; or the variable that nobody reads goes, and everything stays as it is."""
    meant = meant_folder(s, value)
    unset = unset_variable(name, "or_unset_unread", path=s.hub.cache.need().path)
    if not meant:
        return [Step(says="use_instead", fields={"instead": "HF_HUB_CACHE", "value": value}), unset]
    return [set_variable("HF_HUB_CACHE", meant), unset_variable(name), *_left_behind(s), unset]


def _left_behind(s: Snapshot) -> list[Step]:
    """Models that lie where the cache is now are not moved by a variable."""
    health = s.hub.health.maybe()
    if health is None or not health.files:
        return []
    return [Step(says="left_behind", fields={"path": s.hub.cache.need().path})]


def _with_reader(fail: Fail, reader: Clue, s: Snapshot) -> Fail:
    fail.clues = [*fail.clues, reader, Clue(s.hub.cache, s.hub.cache.need().path, "cache_is", fail.fields)]
    return fail


def _contradictions(s: Snapshot, values: Mapping[str, str]) -> Iterator[Fail]:
    new, old = values.get("HF_HUB_CACHE"), values.get("HUGGINGFACE_HUB_CACHE")
    if new and old and not _same(s, new, old):
        yield _contradiction(s, "two_caches", "HF_HUB_CACHE", new, "HUGGINGFACE_HUB_CACHE", old)
    new, old = values.get("HF_HUB_OFFLINE"), values.get("TRANSFORMERS_OFFLINE")
    if new and old and is_true(new) != is_true(old):
        yield _contradiction(s, "two_switches", "HF_HUB_OFFLINE", new, "TRANSFORMERS_OFFLINE", old)


def _contradiction(s: Snapshot, says: str, wins: str, new: str, loses: str, old: str) -> Fail:
    fail = _fail(s, says, wins, new, [unset_variable(loses)], "note", other=loses)
    fail.clues = [
        *fail.clues,
        Clue(s.settings.variables, f"{loses}={old}", "is_set", {"name": loses, "value": old}),
    ]
    return fail


def _endpoint(s: Snapshot, values: Mapping[str, str]) -> Iterator[Fail]:
    value = values.get("HF_ENDPOINT")
    if value is None:
        return
    if not s.hub.endpoint.need().strip():
        yield _fail(s, "empty_endpoint", "HF_ENDPOINT", value, [unset_variable("HF_ENDPOINT")])
    elif not value:
        return  # releases before 0.30 take nothing for the default
    elif value != value.strip(QUOTES + " \t\r\n") or not re.match(r"https?://[^/\s:]", value, re.IGNORECASE):
        yield _fail(
            s, "no_address", "HF_ENDPOINT", value, _set_or_unset("HF_ENDPOINT", meant_address(value), "set_address")
        )
    elif re.fullmatch(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/+[^/].*", value, re.IGNORECASE):
        yield _fail(s, "address_with_path", "HF_ENDPOINT", value, [unset_variable("HF_ENDPOINT")])


def _same(s: Snapshot, one: str, other: str) -> bool:
    if s.machine.os.need().system == "windows":
        return ntpath.normcase(ntpath.normpath(one)) == ntpath.normcase(ntpath.normpath(other))
    return posixpath.normpath(one) == posixpath.normpath(other)


HUB_SETTINGS = Condition(
    id="hub-settings",
    family="hub",
    title="A setting of the Hugging Face libraries cannot mean what was meant",
    reads=("settings", "hub", "machine", "packages"),
    detect=_hub_settings,
    words={
        **variable_steps.WORDS,
        "none_set": "no variable of the Hugging Face libraries is set",
        "is_set": "{name} is set to [{value}]",
        "quoted": "{name} has quotes around the path: the library takes them for part of the folder's name",
        "blanks": "{name} begins or ends with a blank: the library takes it for part of the folder's name",
        "empty": "{name} is set to nothing: the library then uses whatever folder a program is started in",
        "unexpanded": "{name} contains {missing}, which is not replaced: the library makes a folder of that name",
        "windows_path": "{name} is a Windows path: on this system it names a folder below the current one",
        "relative": "{name} is not an absolute path: every folder you start Python in gets its own cache",
        "no_folder": "{path} is not a folder, and the hub cache must be there: nothing can be downloaded or loaded",
        "file": "{path} is a file",
        "below-a-file": "a part of the path {path} is a file",
        "dangling-link": "{path} is a link that leads nowhere",
        "no_number": "{name} is not a whole number: import transformers stops with a ValueError",
        "not_on": "{name} does not mean on as it is written: the library knows 1, ON, YES and TRUE",
        "not_read": "{name} is not read any more: models are kept in {path} instead",
        "transformers_silent": "the installed transformers does not contain the name {name}",
        "hub_silent": "the installed huggingface_hub does not contain the name {name}",
        "cache_is": "the library keeps models in {path}",
        "two_caches": "{name} and {other} name different folders: the library uses {name}",
        "two_switches": "{name} and {other} contradict each other: the library follows {name}",
        "empty_endpoint": "HF_ENDPOINT is set to nothing: the library then has no address to connect to",
        "no_address": "HF_ENDPOINT is no web address: every download fails",
        "address_with_path": "HF_ENDPOINT must be the address alone: with a path after it every download fails",
        "set_it": "set {name} to the full path of a folder, without quotes",
        "set_folder": "set {name} to a folder",
        "or_set_folder": "or set {name} to another folder",
        "make_room": "move {path} away; the library makes the folder",
        "make_way": "find the file in that path and move it away; the library makes the folders",
        "link": "see where the link {path} leads: if to a disk that is not mounted, mount it",
        "set_number": "set {name} to a whole number of seconds",
        "use_instead": "set {instead} to [{value}]",
        "left_behind": "what lies in {path} stays there: move it along, or it is downloaded again",
        "or_unset_unread": "or unset {name} alone: models stay in {path}",
        "set_address": "set HF_ENDPOINT to an address that begins with https://, without quotes",
    },
)
