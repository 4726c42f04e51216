"""What hfdoctor knows beforehand: tables that age, each row with the day it was read (``as_of``) and its ``source``.

Every table is a JSON file in this folder, read on first use by ``loader.load_table`` into frozen Structs. Importing
this package reads nothing. ``scripts/measure_wheels.py`` rebuilds what is measured from published wheels.

How long names are on Windows (``hfdoctor.knowledge.paths``)
    ``install_paths(root, (3, 11)) -> InstallPaths | None``
        ``root`` is "transformers", "torch" or "tensorflow". ``InstallPaths`` has ``root``, ``release``, ``python``,
        ``packages`` (how many), and ``files``, ``directories``, ``bytecode``, ``libraries``: up to five
        ``InstalledPath(path, length, package, release, wheel, source, as_of)`` each, longest first, over the whole
        closure. Lengths are UTF-16 units below site-packages. None: the table does not know this Python.
    ``load_wheel_paths() -> tuple[WheelPaths, ...]`` one row a release, ``load_closures() -> tuple[Closure, ...]``
        what each install brings.

KnowledgeError (``hfdoctor.knowledge.loader``) means that hfdoctor's own installation is damaged.
"""
