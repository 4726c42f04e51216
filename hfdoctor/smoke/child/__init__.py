"""What runs inside the target interpreter: standard library, and the target's own libraries.

Python 3.8 and later. Loaded under the name ``hfdoctor_smoke`` by start.py, by path: nothing of hfdoctor is on the
target's sys.path. Modules here import each other relatively, and the libraries only inside functions.
"""
