"""Set hfdoctor up and run it, on a machine that has nothing but a CPython 3.10 or newer.

    python scripts/bootstrap.py [WORDS...]            hfdoctor WORDS (without words: hfdoctor check)
    python scripts/bootstrap.py test [PYTEST ARGS...] what the tests need, then all of them

It exits as what it runs does; 2: this Python cannot be used; 3: the set-up failed; 130: interrupted.
Settings, all optional: HFDOCTOR_VENV (where the environment goes, default .venv in this checkout) and
HFDOCTOR_TORCH_ENV (an environment with torch and transformers for the tests; empty: do without).

This one file keeps to what Python 2.7 and 3.0 can parse, so that an old Python says which one is needed
instead of failing on the grammar; the work is done in the folder set_up beside it.
"""

import os
import sys

OLDEST = (3, 10)


def refusal():
    """Why this Python cannot be used, or an empty string."""
    if sys.version_info[:2] < OLDEST:
        return "hfdoctor needs CPython %d.%d or newer; this is Python %s (%s)" % (
            OLDEST + (sys.version.split()[0], sys.executable)
        )
    if sys.implementation.name != "cpython":
        return "hfdoctor needs CPython %d.%d or newer; this is %s (%s)" % (
            OLDEST + (sys.implementation.name, sys.executable)
        )
    if not sys.executable:
        return "this Python does not say where its own program is (sys.executable is empty)"
    return ""


if __name__ == "__main__":
    problem = refusal()
    if problem:
        sys.stderr.write(problem + "\n")
        sys.exit(2)
    here = os.path.dirname(os.path.abspath(__file__))
    if not os.path.isdir(os.path.join(here, "set_up")):  # started through a link
        here = os.path.dirname(os.path.realpath(__file__))
    if not os.path.isdir(os.path.join(here, "set_up")):
        sys.stderr.write("this file alone is not enough: it needs the hfdoctor checkout it is part of\n")
        sys.exit(3)
    sys.path.insert(0, here)
    from set_up.entry import main

    sys.exit(main(sys.argv[1:]))
