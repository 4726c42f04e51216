"""Makes tiny wheels: real ones, in a moment."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, str | bytes] | None = None,
    *,
    requires: Sequence[str] = (),
    scripts: Mapping[str, str] | None = None,
    data: Mapping[str, str] | None = None,
    wrong: str = "",
) -> Path:
    """Write ``name``-``version``-py3-none-any.whl into ``folder`` and return its path.

    ``files`` by their paths in site-packages (default: a module that knows its version), ``scripts`` as entry points,
    ``data`` by paths below the environment (``share/x``). ``wrong``: a file whose content is not what RECORD says.
    """
    module = name.replace("-", "_")
    stem = f"{module}-{version}"
    content: dict[str, str | bytes] = dict(
        files if files is not None else {f"{module}/__init__.py": f"__version__ = {version!r}\n"}
    )
    content |= {f"{stem}.data/data/{path}": text for path, text in (data or {}).items()}
    info = f"{stem}.dist-info"
    needs = "".join(f"Requires-Dist: {need}\n" for need in requires)
    content[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}\n"
    content[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if scripts:
        lines = "".join(f"{script} = {target}\n" for script, target in scripts.items())
        content[f"{info}/entry_points.txt"] = f"[console_scripts]\n{lines}"
    record = []
    for path, text in content.items():
        data_of = text.encode() if isinstance(text, str) else text
        digest = base64.urlsafe_b64encode(hashlib.sha256(data_of).digest()).rstrip(b"=").decode()
        record.append(f"{path},sha256={digest},{len(data_of)}")
    record.append(f"{info}/RECORD,,")
    content[f"{info}/RECORD"] = "\n".join(record) + "\n"
    if wrong:
        content[wrong] = str(content[wrong])[:-2] + "#\n"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in content.items():
            archive.writestr(path, text)
    return wheel
