"""Started by path in the target interpreter: ``python -B start.py PLAN.json``.

The stages and all that they take from the standard library are loaded before the person's folder comes onto sys.path:
a ``random.py`` there must trip the libraries, as it does for the person, and not the doctor.
"""

from __future__ import annotations

import os
import sys

#: what a script finds loaded when it begins
BEFORE = frozenset(sys.modules)
NAME = "hfdoctor_smoke"


def register() -> None:
    """Make the package that this file lies in importable as hfdoctor_smoke, without a place on sys.path.

    A process that multiprocessing spawns runs this file again, under another name, and finds our classes by it.
    """
    here = os.path.dirname(os.path.abspath(__file__))
    package = type(sys)(NAME)
    package.__path__ = [here]
    package.__file__ = os.path.join(here, "__init__.py")
    sys.modules[NAME] = package


def leave_path() -> None:
    """Take the folder of this file off sys.path, where Python put it: its names are those of libraries, too."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if not entry or os.path.abspath(entry) != here]


register()
if __name__ == "__main__":
    leave_path()
    from hfdoctor_smoke.main import main  # type: ignore[import-not-found]

    main(sys.argv[1], BEFORE)
