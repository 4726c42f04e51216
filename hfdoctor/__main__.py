"""``python -m hfdoctor``, and the program ``hfdoctor``."""

import gc
import os
import sys

# A check lasts a quarter of a second, of which looking for cycles among imported modules would take a twentieth
gc.set_threshold(100_000)

# -m puts the person's folder first on sys.path: their random.py must not become the doctor's own
_own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
try:
    _here = os.getcwd()
except OSError:  # the folder was removed under the shell's feet
    _here = ""
if sys.path and sys.path[0] in ("", _here) and _here != _own:
    del sys.path[0]

from hfdoctor.cli import main

if __name__ == "__main__":
    main()
