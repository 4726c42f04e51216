"""Observes the machine: operating system, processor, memory, limits, locale.

Reads files and asks the system directly: that takes a few milliseconds where a library takes fifty.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from ..fact import Fact, absent, known
from ..legible import legible
from ..observe import observe
from ..probe import Context
from ..sections.machine import Locale, OpenFiles

#: uname and Windows name the same processors differently
ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64", "x86": "i686", "i386": "i686", "i586": "i686"}


def probe(ctx: Context) -> None:
    """Fill ``ctx.snapshot.machine``."""
    section = ctx.snapshot.machine
    environ = ctx.request.environ
    section.cwd = known(legible(str(ctx.request.cwd)), "getcwd")
    observe(section, "home", lambda: home(environ), "HOME")
    observe(section, "locale", lambda: locale_of(environ), "locale")
    observe(section, "open_files", open_files, "getrlimit RLIMIT_NOFILE")
    if sys.platform == "win32":
        from . import machine_windows as own
    elif sys.platform == "darwin":
        from . import machine_macos as own
    else:
        from . import machine_linux as own
    own.fill(section, environ)


def architecture_name(raw: str) -> str:
    """The usual name of a processor architecture: x86_64, aarch64, i686, else ``raw`` in lower case."""
    return ARCHITECTURES.get(raw.lower(), raw.lower())


def home(environ: Mapping[str, str]) -> Fact[str]:
    """What ``~`` stands for; absent where Python itself would leave ``~`` as it is.

    Source: USERPROFILE (else HOMEDRIVE and HOMEPATH) on Windows; HOME, else the password database, elsewhere.
    """
    if sys.platform == "win32":
        if "USERPROFILE" in environ:
            return known(legible(environ["USERPROFILE"]), "USERPROFILE")
        if "HOMEPATH" in environ:
            return known(legible(environ.get("HOMEDRIVE", "") + environ["HOMEPATH"]), "HOMEDRIVE and HOMEPATH")
        return absent("neither USERPROFILE nor HOMEPATH is set", "USERPROFILE")
    if "HOME" in environ:
        return known(legible(environ["HOME"]), "HOME")
    import pwd

    uid = os.getuid()
    try:
        return known(legible(pwd.getpwuid(uid).pw_dir), "the password database")
    except KeyError:
        return absent(f"HOME is not set and user number {uid} has no entry in the password database", "HOME")


def locale_of(environ: Mapping[str, str]) -> Fact[Locale]:
    """Encodings and language of this process, which its children inherit. Source: locale, sys.stdout, LC_ALL/LANG."""
    import codecs
    import locale

    def name(encoding: str | None) -> str:
        try:
            return codecs.lookup(encoding).name if encoding else ""
        except LookupError:
            return encoding or ""

    if sys.version_info >= (3, 11):
        preferred = locale.getencoding()
    else:
        preferred = locale.getpreferredencoding(False)
    return known(
        Locale(
            preferred_encoding=name(preferred),
            output_encoding=name(getattr(sys.__stdout__, "encoding", None)),
            filesystem_encoding=name(sys.getfilesystemencoding()),
            language=_language(environ),
        ),
        "locale",
    )


def _language(environ: Mapping[str, str]) -> str:
    if sys.platform == "win32":
        from .machine_windows import user_language

        return user_language()
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = environ.get(variable, "")
        if value:
            return legible(value).partition(".")[0]
    return ""


def open_files() -> Fact[OpenFiles]:
    """The limit on open files that the target's own process would inherit. Source: getrlimit."""
    if sys.platform == "win32":
        return absent("Windows has no such limit", "sys.platform")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    return known(
        OpenFiles(soft=-1 if soft == unlimited else soft, hard=-1 if hard == unlimited else hard),
        "getrlimit RLIMIT_NOFILE",
    )
