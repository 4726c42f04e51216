"""What hfdoctor knows beforehand: tables that age, each row with the day it was read (``as_of``) and its ``source``.

Every table is a JSON file in this folder, read on first use by ``loader.load_table`` into frozen Structs. Importing
this package reads nothing. ``scripts/refresh_tables.py`` rebuilds what can be measured, and says what it cannot.

How long names are on Windows (``hfdoctor.knowledge.paths``)
    ``install_paths(root, (3, 11)) -> InstallPaths | None``
        ``root`` is "transformers", "torch" or "tensorflow". ``InstallPaths`` has ``root``, ``release``, ``python``,
        ``packages`` (how many), and ``files``, ``directories``, ``bytecode``, ``libraries``: up to five
        ``InstalledPath(path, length, package, release, wheel, source, as_of)`` each, longest first, over the whole
        closure. Lengths are UTF-16 units below site-packages. None: the table does not know this Python.
    ``load_wheel_paths() -> tuple[WheelPaths, ...]`` one row a release, ``load_closures() -> tuple[Closure, ...]``
        what each install brings.

For which interpreters there are wheels (``hfdoctor.knowledge.wheels``)
    ``wheels_for(package, Interpreter(python=(3, 14), os="linux", machine="x86_64", glibc=(2, 35)), today=date)``
        answers with a ``WheelAnswer``: ``state`` newest, older, none or unknown, what pip would take, what blocks it.
    ``load_wheel_tags() -> tuple[WheelTags, ...]``, ``newest_known_python() -> int``

How much an install weighs (``hfdoctor.knowledge.sizes``)
    ``install_size(os, machine) -> InstallSize | None``: bytes and files of torch + transformers and all they need.

What installers do with long names (``hfdoctor.knowledge.installers``)
    ``load_installer_places()``: the folders that pip and uv make below their cache and the temporary folder.

Builds of torch (``hfdoctor.knowledge.torch_builds``)
    ``variants_of("2.9.1", "linux", "x86_64")``, ``targets_of("2.9.1", "cu128", "linux", "x86_64")``,
    ``default_variant(release, system, machine)``: what is published, for which GPUs, and what pip brings;
    ``best_variant(...)``, ``last_release_with(...)``: what to install for a driver and a GPU.

Drivers and GPUs (``hfdoctor.knowledge.drivers``, ``hfdoctor.knowledge.gpu_names``)
    ``needs_driver("12.4", "linux")``, ``driver_is_enough(version, cuda, system)``, ``cuda_of_driver(version, system)``,
    ``oldest_gpu("12.4")``,
    ``capability_of("NVIDIA GeForce RTX 4090")``, ``capability_of_pci_id("10de:2684")``, ``gfx_of(name)``.

Smaller tables
    ``companions.companion_for("torchvision", "2.13.0+cu130")``, ``settings.changes_for(name, library, installed)``,
    ``download_stalls.load_download_stalls()``,
    ``baselines.cpu_baseline("numpy", "2.4.6", "x86_64")``, ``baselines.load_python_releases()``.

KnowledgeError (``hfdoctor.knowledge.loader``) means that hfdoctor's own installation is damaged.
"""
