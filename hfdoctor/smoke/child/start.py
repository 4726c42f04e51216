"""Started by path in the target interpreter: ``python -B start.py PLAN.json``.

Everything of the standard library that the stages need is imported before the person's folder comes onto sys.path: a
``random.py`` there must trip the libraries, as it does for the person, and not the doctor.
"""

from __future__ import annotations

import os
import sys


def load() -> object:
    """The package that this file lies in, under a name of its own, without a place on sys.path."""
    import importlib
    import importlib.util

    here = os.path.dirname(os.path.abspath(__file__))
    name = "hfdoctor_smoke"
    spec = importlib.util.spec_from_file_location(
        name, os.path.join(here, "__init__.py"), submodule_search_locations=[here]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)
    return importlib.import_module(name + ".main")


if __name__ == "__main__":
    if sys.path and os.path.abspath(sys.path[0]) == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]  # Python put it there
    main = load()
    main.main(sys.argv[1])  # type: ignore[attr-defined]
