"""Argument lists as lines that a person can paste."""

from __future__ import annotations

from collections.abc import Sequence


def command_line(argv: Sequence[str], *, windows: bool) -> str:
    """Quote ``argv`` for cmd.exe and PowerShell, or for a POSIX shell."""
    if windows:
        return " ".join(_windows_word(word) for word in argv)
    import shlex  # most reports hold no command

    return shlex.join(argv)


def _windows_word(word: str) -> str:
    # cmd.exe takes < > & | ^ ( ) literally inside double quotes; a requirement such as "torch>=2.6" needs them
    if word and not any(character in ' \t"<>&|^(),;=%!' for character in word):
        return word
    return '"' + word.replace('"', '\\"') + '"'
