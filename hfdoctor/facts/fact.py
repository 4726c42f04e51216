"""A fact: a value that was observed, or the reason why there is none."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")

Status = Literal["known", "absent", "failed", "timeout", "denied", "not-run"]


class FactMissing(Exception):
    """A condition needed a fact that could not be observed; the engine turns it into ``unknown``."""

    def __init__(self, fact: Fact[Any]) -> None:
        super().__init__(fact.reason or fact.status)
        self.fact = fact


class Fact(msgspec.Struct, Generic[T], omit_defaults=True):
    """One observed value, or the reason why it is missing.

    ``absent`` is knowledge (the thing was looked for and is not there); ``failed``, ``timeout``,
    ``denied`` and ``not-run`` are not: nothing may be concluded from them. ``source`` says where the
    value was read: a file, a registry key, a function, a command line.
    """

    value: T | None = None
    status: Status = "not-run"
    reason: str = ""
    source: str = ""

    @property
    def known(self) -> bool:
        """True if a value was observed."""
        return self.status == "known"

    @property
    def absent(self) -> bool:
        """True if the thing was looked for and is not there."""
        return self.status == "absent"

    def need(self) -> T:
        """Return the value; raise FactMissing for anything else, ``absent`` included."""
        if self.status != "known" or self.value is None:
            raise FactMissing(self)
        return self.value

    def or_absent(self) -> T | None:
        """Return the value, or None when it is known to be absent; raise FactMissing otherwise."""
        if self.status == "absent":
            return None
        return self.need()

    def maybe(self) -> T | None:
        """Return the value if there is one, else None. For embellishment only, never for a verdict."""
        return self.value if self.status == "known" else None


def known(value: T, source: str = "") -> Fact[T]:
    """A value that was observed at ``source``."""
    return Fact(value=value, status="known", source=source)


def absent(reason: str, source: str = "") -> Fact[Any]:
    """Looked for at ``source`` and not there."""
    return Fact(status="absent", reason=reason, source=source)


def failed(reason: str, source: str = "") -> Fact[Any]:
    """Could not be observed: a tool failed, or its answer was not understood."""
    return Fact(status="failed", reason=reason, source=source)


def timed_out(reason: str, source: str = "") -> Fact[Any]:
    """Could not be observed before the deadline."""
    return Fact(status="timeout", reason=reason, source=source)


def denied(reason: str, source: str = "") -> Fact[Any]:
    """Could not be observed for want of permission."""
    return Fact(status="denied", reason=reason, source=source)


def not_run(reason: str = "", source: str = "") -> Fact[Any]:
    """Was not looked at (needs ``--deep`` or ``--online``, or another observation that failed)."""
    return Fact(status="not-run", reason=reason, source=source)


def from_error(error: BaseException, source: str = "") -> Fact[Any]:
    """The fact for an exception met while observing: ``denied``, ``timeout`` or ``failed``."""
    reason = f"{type(error).__name__}: {error}"[:300]
    if isinstance(error, PermissionError):
        return denied(reason, source)
    if isinstance(error, TimeoutError):
        return timed_out(reason, source)
    return failed(reason, source)


def unobserved() -> Any:
    """Default for a section's field: a distinct ``not-run`` fact (typed Any so that it fits any Fact[T])."""
    return msgspec.field(default_factory=Fact)
