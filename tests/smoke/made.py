"""Made libraries: packages with the names of the real ones and just enough in them to be imported by the stages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

#: package -> its __init__.py
SOUND = {
    "numpy": (
        "__version__ = '2.4.6'\nclass _A(list):\n    def sum(self):\n        return 0\ndef zeros(n):\n    return _A()\n"
    ),
    "safetensors": "__version__ = '0.8.0'\nsafe_open = object\n",
    "tokenizers": "__version__ = '0.23.3'\nTokenizer = object\n",
    "torch": (
        "__version__ = '2.13.0+cpu'\nclass _T:\n    def sum(self):\n        return self\n    def item(self):\n"
        "        return 2.0\ndef ones(n):\n    return _T()\n"
    ),
    "transformers": "__version__ = '5.23.0'\nAutoModel = AutoTokenizer = object\n",
}


VERSIONS = {
    "numpy": "2.4.6",
    "safetensors": "0.8.0",
    "tokenizers": "0.23.3",
    "torch": "2.13.0+cpu",
    "transformers": "5.23.0",
}


def make(env: Path, changes: Mapping[str, str | None] | None = None) -> Path:
    """Install the packages in the environment ``env``, some with other code, those that are None not at all.

    Returns its site-packages.
    """
    site = next(env.glob("lib/python*/site-packages"), env / "Lib" / "site-packages")
    for name, code in {**SOUND, **(changes or {})}.items():
        if code is None:
            continue
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_bytes(code.encode())
        info = site / f"{name}-{VERSIONS[name]}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {VERSIONS[name]}\n\n")
        (info / "INSTALLER").write_text("pip\n")
        (info / "RECORD").write_text(f"{name}/__init__.py,,{len(code.encode())}\n{info.name}/METADATA,,\n")
    return site
