"""A value in the Windows registry: its bytes, its type, and whether it was there at all."""

from __future__ import annotations

import os

import msgspec

from ...conditions.changes import RegistryChange
from .. import raw_registry
from ..action import Action, Difference, Needs, NothingToDo, Progress, Refused, Seen, Workplace
from ..raw_registry import TYPES, Raw

#: what a person sees of a long value
_SHOWN = 120


class Stored(msgspec.Struct, frozen=True):
    """A value as the registry holds it: the number of its type and its bytes."""

    type: int
    data: bytes

    @property
    def raw(self) -> Raw:
        """The same for ``raw_registry``."""
        return self.type, self.data


class RegistryAction(Action, tag_field="kind", tag="registry"):
    """Sets or takes away one value. ``old`` and ``new`` None: not there. ``made``: keys that were missing before."""

    key: str
    name: str
    old: Stored | None
    new: Stored | None
    #: the topmost first
    made: list[str] = msgspec.field(default_factory=list)
    administrator: bool = False

    def describe(self) -> list[Difference]:
        """Old value, new value, each with its type."""
        return [Difference(f"{self.key} {self.name}", words(self.old), words(self.new))]

    def needs(self) -> Needs:
        """An administrator for what this process may not write."""
        return Needs(administrator=self.administrator)

    def look(self) -> Seen:
        """What the registry holds now."""
        now = stored(self.key, self.name)
        if now == self.new:
            return Seen("after")
        if now == self.old:
            unfinished = now is None and any(_is_empty(key) for key in self.made)
            return Seen("between" if unfinished else "before")
        return Seen("other", [Difference(f"{self.key} {self.name}", words(self.new), words(now))])

    def apply(self, progress: Progress) -> None:
        """Write the new value, through one question of Windows where an administrator must."""
        if self.look().state == "after":
            return  # all that needs an administrator was done together before
        if raw_registry.may_write(self.key):
            self.put(self.new)
        else:
            _as_administrator(self, "apply", force=False)
        now = stored(self.key, self.name)
        if now != self.new:
            raise Refused(
                f"{self.key} {self.name} is {words(now)} again right after it was set to {words(self.new)}: "
                "a policy of this computer decides it, so ask who looks after the computer"
            )

    def undo(self, progress: Progress, *, force: bool = False) -> None:
        """Write the old value with its old type, or take the value (and keys made for it) away."""
        state = self.look().state
        if state == "before":
            return
        if state == "other" and not force:
            raise Refused(f"{self.key} {self.name} was changed by somebody else since")
        if raw_registry.may_write(self.key):
            self.put(self.old)
            self.clear()
        else:
            _as_administrator(self, "undo", force=force)

    def put(self, value: Stored | None) -> None:
        """Write ``value`` with the rights of this process. Raises PermissionError, OSError."""
        raw_registry.put(self.key, self.name, value.raw if value else None)

    def clear(self) -> None:
        """Take away the keys that were made for the value, as far as nobody put anything into them."""
        for key in reversed(self.made):
            raw_registry.remove_if_empty(key)


def prepare_registry(change: RegistryChange, place: Workplace) -> RegistryAction:
    """See ``registered.prepare``."""
    if os.name != "nt":
        raise Refused(f"{change.key} is in the registry of Windows, which is not here")
    return prepared(change.key, change.name, encoded(change))


def prepared(key: str, name: str, new: Stored | None) -> RegistryAction:
    """The action that gives a value of the registry these bytes. Raises NothingToDo, Refused."""
    from ..elevated_child import may_be_changed

    hive, _, rest = key.partition("\\")
    if hive not in ("HKLM", "HKCU") or not rest or any(part in ("", ".", "..") for part in rest.split("\\")):
        raise Refused(f"{key} is not a key that hfdoctor changes")
    if hive == "HKCU" and packaged():
        raise Refused(
            f"{key} cannot be changed by this Python, which came from the Microsoft Store: what it writes there no "
            "other program sees. Run hfdoctor with another Python, or change it in the registry editor (regedit)"
        )
    try:
        name = raw_registry.stored_name(key, name)
    except OSError as error:
        raise _unreadable(key, error) from None
    old = stored(key, name)
    if old == new:
        raise NothingToDo
    try:
        made = [above for above in raw_registry.parents(key) if not raw_registry.key_exists(above)] if new else []
        writable = raw_registry.may_write(key)
    except OSError as error:
        raise _unreadable(key, error) from None
    if not writable and (hive == "HKCU" or not may_be_changed(key, name)):
        raise Refused(f"{key} {name} may not be changed by this user: ask who looks after the computer")
    return RegistryAction(key=key, name=name, old=old, new=new, made=made, administrator=not writable)


def stored(key: str, name: str) -> Stored | None:
    """The value now. Raises Refused if it may not be read."""
    try:
        raw = raw_registry.read(key, name)
    except OSError as error:
        raise _unreadable(key, error) from None
    return None if raw is None else Stored(*raw)


def encoded(change: RegistryChange) -> Stored | None:
    """The bytes of the value that a change wants. Raises Refused for what does not fit its type."""
    value = change.value
    if value is None:
        return None
    number = TYPES.get(change.type, -1)
    size = {"REG_DWORD": 4, "REG_QWORD": 8}.get(change.type, 0)
    if size and isinstance(value, int) and 0 <= value < 1 << (8 * size):
        return Stored(number, value.to_bytes(size, "little"))
    if change.type in ("REG_SZ", "REG_EXPAND_SZ") and isinstance(value, str) and "\0" not in value:
        return Stored(number, text_bytes(value))
    raise Refused(f"{change.key} {change.name}: {value!r} is no value of the type {change.type}")


def text_bytes(value: str) -> bytes:
    """A text as the registry holds it, with its end."""
    return (value + "\0").encode("utf-16-le", "surrogatepass")


def words(value: Stored | None) -> str:
    """A value as a plan shows it, with its type."""
    if value is None:
        return "not set"
    kind = next((name for name, number in TYPES.items() if number == value.type), f"type {value.type}")
    return f"{_shown(kind, value.data)} ({kind})"


def _shown(kind: str, data: bytes) -> str:
    if (kind, len(data)) in (("REG_DWORD", 4), ("REG_QWORD", 8)):
        return str(int.from_bytes(data, "little"))
    if kind in ("REG_SZ", "REG_EXPAND_SZ") and len(data) % 2 == 0:
        text = one_line(text_of(data))
        return f'"{text[:_SHOWN]}{"..." if len(text) > _SHOWN else ""}"'
    digits = data[: _SHOWN // 4].hex(" ") + (" ..." if len(data) > _SHOWN // 4 else "")
    return f"{len(data)} {'byte' if len(data) == 1 else 'bytes'} {digits}".rstrip()


def text_of(data: bytes) -> str:
    """A text of the registry as programs read it: up to its end."""
    return data[: len(data) // 2 * 2].decode("utf-16-le", "surrogatepass").partition("\0")[0]


def one_line(text: str) -> str:
    """``text`` as a terminal may show it: what would break the line or speak to the terminal is written as \\xNN."""
    from ...facts.legible import legible

    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in legible(text)
    )


def packaged() -> bool:
    """Whether this process belongs to a package (the Microsoft Store's Python): its HKCU is a private copy."""
    import sys

    if sys.platform == "win32":
        import ctypes

        try:
            ask = ctypes.WinDLL("kernel32").GetCurrentPackageFullName
        except AttributeError:  # Windows 7
            return False
        length = ctypes.c_uint32(0)
        no_package = 15700  # APPMODEL_ERROR_NO_PACKAGE
        return bool(ask(ctypes.byref(length), None) != no_package)
    return False


def _is_empty(key: str) -> bool:
    try:
        return raw_registry.is_empty(key)
    except OSError as error:
        raise _unreadable(key, error) from None


def _unreadable(key: str, error: OSError) -> Refused:
    return Refused(f"{key} cannot be read: {error.strerror or error}")


def _as_administrator(action: RegistryAction, direction: str, *, force: bool) -> None:
    from ..elevation import together
    from ..place import state_folder

    together([action], "undo" if direction == "undo" else "apply", state_folder(), force=force)
