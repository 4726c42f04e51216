"""Started in the target interpreter: lets ``inspect_python`` tell what that is.

Python compiles a script at each start, and for inspect_python.py that takes as long as all the rest of its run. The
byte code of an imported module is there already, where the target is of the version that hfdoctor itself runs on.
"""

import os
import sys

folder = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, folder)  # of the script: with PYTHONSAFEPATH it is not there by itself
try:
    import inspect_python  # type: ignore[import-not-found]
finally:
    sys.path.remove(folder)

inspect_python.main()
