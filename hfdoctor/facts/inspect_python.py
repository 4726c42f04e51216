"""Runs inside the target interpreter and prints what it is, as one line of JSON after MARKER.

ask_python.py imports it and is itself started by path, with the user's own settings and without -I or -S: what those
settings do to the interpreter is part of the truth. It imports only what every interpreter has loaded by then (json and
sysconfig alone would double its time), and it keeps to what Python 2.7 can parse: an interpreter that is too old says
which one it is. The types stand in comments for the same reason. Everything printed is ASCII, whatever the code page.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable  # noqa: F401
    from typing import Any  # noqa: F401

#: stands before the JSON: start-up files may print too
MARKER = "hfdoctor-facts:"
#: older interpreters only say what they are
OLDEST = (3, 8)
#: bytes of a .pth file that are looked at; site reads all, but no honest one is larger
PTH_LIMIT = 1000000
#: .pth files looked at in one folder
PTH_COUNT = 500


# -- a writer of JSON: importing json costs more than all the rest ----------------------------------------------------


def to_json(value):  # type: (Any) -> str
    """The value as ASCII JSON: None, bool, int, str, list, tuple and dict."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join([quote(str(key)) + ":" + to_json(item) for key, item in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([to_json(item) for item in value]) + "]"
    return quote(value if isinstance(value, str) else str(value))


def quote(text):  # type: (str) -> str
    """A JSON string. Bytes of a path that are no UTF-8 come out as Python's own escapes for them (PEP 383)."""
    out = []
    for char in text:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif 32 <= code < 127:
            out.append(char)
        elif code > 0xFFFF:
            code -= 0x10000
            out.append("\\u%04x\\u%04x" % (0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF)))
        else:
            out.append("\\u%04x" % code)
    return '"' + "".join(out) + '"'


# -- what it is -------------------------------------------------------------------------------------------------------


def interpreter():  # type: () -> dict[str, Any]
    """Version, implementation, word size, prefixes."""
    info = sys.version_info
    implementation = getattr(sys, "implementation", None)
    compiler = sys.version.rpartition("[")[2].rstrip("]") if "[" in sys.version else ""
    facts = {
        "version": sys.version.split()[0],
        "version_info": [info[0], info[1], info[2]],
        "release_level": info[3],
        "implementation": implementation.name if implementation else "cpython",
        "bits": 64 if sys.maxsize > 2**32 else 32,
        "executable": sys.executable or "",
        "prefix": sys.prefix,
        "base_prefix": getattr(sys, "base_prefix", None) or getattr(sys, "real_prefix", sys.prefix),
        "platform": platform(),
        "free_threaded": "free-threading build" in sys.version or "t" in getattr(sys, "abiflags", ""),
        "compiler": compiler,
        "machine": machine(),
    }  # type: dict[str, Any]
    facts["soabi"] = soabi()
    return facts


def platform():  # type: () -> str
    """What sysconfig.get_platform() says, without its import where it is this simple."""
    if os.name == "nt":
        version = sys.version.lower()
        for word, name in (("amd64", "win-amd64"), ("(arm64)", "win-arm64"), ("(arm)", "win-arm32")):
            if word in version:
                return name
        return "win32"
    system = sys.platform
    if system.startswith("linux"):
        return "linux-" + os.uname()[4].replace("/", "")
    import sysconfig  # macOS: it depends on what the interpreter was built for

    return sysconfig.get_platform()


def machine():  # type: () -> str
    """The processor the interpreter was built for."""
    if os.name == "nt":
        return {"win-amd64": "AMD64", "win-arm64": "ARM64", "win-arm32": "ARM", "win32": "x86"}[platform()]
    multiarch = getattr(getattr(sys, "implementation", None), "_multiarch", "")
    if multiarch and sys.platform.startswith("linux"):
        return str(multiarch).partition("-")[0]
    return os.uname()[4]


def soabi():  # type: () -> str
    """The tag in the names of compiled modules, e.g. cpython-311-x86_64-linux-gnu."""
    import _imp

    for suffix in _imp.extension_suffixes():
        parts = suffix.split(".")
        if len(parts) == 3 and not parts[1].startswith("abi3"):
            return str(parts[1])
    return ""


# -- where things are -------------------------------------------------------------------------------------------------


def paths():  # type: () -> dict[str, Any]
    """Where packages go and where they are found."""
    import site

    folders = site.getsitepackages()
    mine = [p for p in folders if is_site_folder(p)] or folders
    lib = os.sep + "lib" + os.sep
    purelib = next((p for p in mine if lib in os.path.normcase(p)), mine[0])
    programs = "Scripts" if os.name == "nt" else "bin"
    scripts = os.path.join(sys.prefix, programs)
    if os.path.basename(os.path.dirname(sys.executable or "")) == "bin":
        scripts = os.path.join(sys.prefix, "bin")
    if purelib.startswith("/usr/local/") and sys.prefix == "/usr":  # Debian and Fedora keep /usr for their packages
        scripts = "/usr/local/bin"
    user = site.getusersitepackages()
    known = set([os.path.normcase(p) for p in folders] + [os.path.normcase(user)])
    found = [p for p in search_path() if is_site_folder(p) or os.path.normcase(p) in known]
    found = [p for p in found if os.path.normcase(p) != os.path.normcase(sys.prefix)]
    return {
        "purelib": purelib,
        "platlib": mine[0],
        "scripts": scripts,
        "stdlib": stdlib(),
        "site_packages": found,
        "user_site": user,
        "user_site_enabled": bool(site.ENABLE_USER_SITE),
    }


def is_site_folder(path):  # type: (str) -> bool
    """Whether a folder has the name of one that holds distributions."""
    return os.path.basename(path) in ("site-packages", "dist-packages")


def stdlib():  # type: () -> str
    """The folder (or zip file) of the standard library's Python modules."""
    return os.path.dirname(os.__file__)


def search_path():  # type: () -> list[str]
    """sys.path as it is for programs: without the folder of this file, which Python put first."""
    entries = [p for p in sys.path if isinstance(p, str)]
    own = os.path.dirname(os.path.abspath(__file__))
    if entries and os.path.abspath(entries[0]) == own:
        del entries[0]
    return entries


def externally_managed():  # type: () -> str
    """The PEP 668 marker; it does not apply inside a virtual environment."""
    if sys.prefix != sys.base_prefix:
        return ""
    marker = os.path.join(stdlib(), "EXTERNALLY-MANAGED")
    return marker if os.path.isfile(marker) else ""


def stdlib_modules():  # type: () -> list[str]
    """The names of the standard library's top-level modules."""
    listed = getattr(sys, "stdlib_module_names", None)
    if listed is not None:
        return sorted(listed)
    found = set(sys.builtin_module_names)
    for folder in (stdlib(), os.path.join(stdlib(), "lib-dynload")):
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            stem = name.partition(".")[0]
            if name.endswith((".py", ".so", ".pyd")) or os.path.isfile(os.path.join(folder, name, "__init__.py")):
                found.add(stem)
    return sorted(name for name in found if name.isidentifier())


def loaded_modules():  # type: () -> list[str]
    """The top-level modules that start-up has loaded from the standard library itself."""
    home = os.path.join(stdlib(), "")
    modules = [(name, module) for name, module in list(sys.modules.items()) if "." not in name]
    return [name for name, module in modules if (getattr(module, "__file__", "") or "").startswith(home)]


def fixed_modules(names, loaded):  # type: (Iterable[str], Iterable[str]) -> list[str]
    """Those of ``names`` that no file of a program can hide: built in, frozen, or loaded at start-up."""
    import _imp

    first = set(sys.builtin_module_names).union(loaded)
    return [name for name in names if name in first or _imp.is_frozen(name)]


# -- start-up files ---------------------------------------------------------------------------------------------------


def site_folders():  # type: () -> list[str]
    """The folders whose .pth files site reads, in its order."""
    import site

    folders = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    for folder in site.getsitepackages():
        if folder not in folders:
            folders.append(folder)
    return folders


def pth_files(folders, version):  # type: (Iterable[str], tuple[int, int]) -> list[dict[str, Any]]
    """The .pth files of these folders as the ``site`` of that version reads them."""
    found = []
    for folder in folders:
        try:
            names = sorted([name for name in os.listdir(folder) if name.endswith(".pth") and name[0] != "."])
        except OSError:
            continue
        for name in names[:PTH_COUNT]:
            found.append(read_pth(folder, name, version))
    return found


def read_pth(folder, name, version):  # type: (str, str, tuple[int, int]) -> dict[str, Any]
    """One .pth file: folders it adds, folders that are not there, lines that are executed, what cannot be read."""
    path = os.path.join(folder, name)
    entry = {"path": path, "adds": [], "missing": [], "executes": [], "error": ""}  # type: dict[str, Any]
    try:
        if not os.path.isfile(path):
            entry["error"] = "not a file"
            return entry
        with open(path, "rb") as file:
            data = file.read(PTH_LIMIT)
    except OSError as error:  # site passes over it too
        entry["error"] = "cannot be read: %s" % (error.strerror or type(error).__name__)
        return entry
    try:
        text = decode_pth(data, version)
    except UnicodeDecodeError as error:
        entry["error"] = "undecodable: byte 0x%02x at position %d is not %s" % (
            ord(data[error.start : error.start + 1]),
            error.start,
            error.encoding,
        )
        return entry
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith(("import ", "import\t")):
            entry["executes"].append(line[:200])
            continue
        if "\0" in line:
            entry["error"] = "holds a null character"
            break
        target = os.path.abspath(os.path.join(folder, line.rstrip()))
        entry["adds" if os.path.exists(target) else "missing"].append(target)
    return entry


def decode_pth(data, version):  # type: (bytes, tuple[int, int]) -> str
    """The text of a .pth file; raises UnicodeDecodeError where ``site`` of that version would."""
    if version >= (3, 13):
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            pass
    return data.decode(locale_encoding())


def locale_encoding():  # type: () -> str
    """The encoding in which open() reads text without being told one."""
    stream = open(os.devnull)  # not the module locale: its import costs milliseconds
    try:
        return stream.encoding
    finally:
        stream.close()


def startup_modules():  # type: () -> list[dict[str, str]]
    """sitecustomize and usercustomize: those imported, and those that are there but did not stay."""
    import site

    found = []
    for name in ("sitecustomize", "usercustomize"):
        if name == "usercustomize" and not site.ENABLE_USER_SITE:
            continue
        module = sys.modules.get(name)
        if module is not None:
            found.append({"name": name, "path": getattr(module, "__file__", None) or "", "error": ""})
            continue
        for folder in search_path():
            for path in (os.path.join(folder, name, "__init__.py"), os.path.join(folder, name + ".py")):
                if os.path.isfile(path):
                    found.append({"name": name, "path": path, "error": "its import failed"})
                    break
            else:
                continue
            break
    return found


def pip_version(folders):  # type: (Iterable[str]) -> str
    """The version of the pip that ``python -m pip`` runs, from the name of its metadata folder; "" without pip."""
    for folder in folders:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        if "pip" not in names:
            continue
        versions = [name[4:].rpartition(".")[0] for name in names if name.startswith("pip-") and name.endswith("-info")]
        if versions:
            return max([version.partition("-py")[0] for version in versions], key=numbers)
    return ""


def numbers(version):  # type: (str) -> list[int]
    """The leading numbers of a version, to tell which of two is newer."""
    found = []
    for part in version.split("."):
        if not part.isdigit():
            break
        found.append(int(part))
    return found


# -- all of it --------------------------------------------------------------------------------------------------------


def gather(loaded):  # type: (Iterable[str]) -> dict[str, Any]
    """Every fact, each in its own try; ``errors`` says why one is missing."""
    facts = {}  # type: dict[str, Any]
    errors = {}  # type: dict[str, str]

    def fill(name, look, *given):  # type: (str, Callable[..., Any], Any) -> None
        try:
            facts[name] = look(*given)
        except Exception as error:
            errors[name] = ("%s: %s" % (type(error).__name__, error))[:300]

    version = (sys.version_info[0], sys.version_info[1])
    fill("interpreter", interpreter)
    facts["too_old"] = version < OLDEST
    facts["store"] = bool(os.name == "nt" and "PythonSoftwareFoundation" in sys.base_prefix)
    facts["framework"] = getattr(sys, "_framework", "")
    facts["safe_path"] = bool(getattr(sys.flags, "safe_path", False))
    facts["no_site"] = bool(sys.flags.no_site)
    fill("sys_path", search_path)
    fill("paths", paths)
    fill("externally_managed", externally_managed)
    fill("pth_files", lambda: pth_files(site_folders(), version))
    fill("startup_modules", startup_modules)
    fill("pip", lambda: pip_version(facts["paths"]["site_packages"]))
    fill("stdlib_modules", stdlib_modules)
    fill("fixed_modules", lambda: fixed_modules(facts["stdlib_modules"], loaded))
    facts["errors"] = errors
    return facts


def too_old():  # type: () -> dict[str, Any]
    """What an interpreter says that is too old for the rest."""
    info = sys.version_info
    return {
        "too_old": True,
        "errors": {},
        "interpreter": {
            "version": sys.version.split()[0],
            "version_info": [info[0], info[1], info[2]],
            "release_level": info[3],
            "implementation": "pypy" if hasattr(sys, "pypy_version_info") else "cpython",
            "bits": 64 if sys.maxsize > 2**32 else 32,
            "executable": sys.executable or "",
            "prefix": sys.prefix,
            "base_prefix": getattr(sys, "base_prefix", None) or getattr(sys, "real_prefix", sys.prefix),
            "platform": "",
        },
    }


def main():  # type: () -> None
    """Print the facts on stdout."""
    facts = gather(loaded_modules()) if sys.version_info >= OLDEST else too_old()
    line = "\n" + MARKER + to_json(facts) + "\n"
    data = line.encode("ascii")
    while data:  # not sys.stdout: a start-up file may have replaced or closed it
        data = data[os.write(1, data) :]
