"""What published wheels were built against, for machines of which only the versions are known."""

from __future__ import annotations

from hfdoctor.knowledge.loader import Row, load_table
from hfdoctor.knowledge.versions import base_release, is_older, reaches


class TransformersTorch(Row, frozen=True, kw_only=True):
    """The oldest torch for the releases of transformers from ``since`` on and before ``before`` (None: to the newest).

    ``declared`` is what its own table of versions asks for; below ``enforced`` it takes torch for not installed ("" in
    releases that do not look).
    """

    since: str
    before: str | None
    declared: str
    enforced: str


class NumpyBuild(Row, frozen=True, kw_only=True):
    """With which major version of NumPy the wheels of ``package`` were compiled: from ``since`` on, before ``before``.

    ``system`` is linux, windows or macos. Releases without a row run with either.
    """

    package: str
    system: str
    since: str
    before: str
    built_with: str


class SharedWheelPath(Row, frozen=True, kw_only=True):
    """A library that wheels for several CUDA majors put at the same ``path`` below site-packages."""

    path: str
    owners: tuple[str, ...]


class TorchCxx11Abi(Row, frozen=True, kw_only=True):
    """Which C++ ABI PyTorch's own Linux x86-64 wheels have, from ``since`` on and before ``before``.

    ``cuda`` names the builds that the row is about, such as ``12.4``; () for all. ``cxx11``: the new one.
    """

    since: str
    before: str | None
    cuda: tuple[str, ...]
    cxx11: bool


def load_transformers_torch() -> tuple[TransformersTorch, ...]:
    """Rows, newest releases first; KnowledgeError when the table is damaged."""
    return load_table("transformers_torch", TransformersTorch)


def load_numpy_builds() -> tuple[NumpyBuild, ...]:
    """All rows; KnowledgeError when the table is damaged."""
    return load_table("numpy_builds", NumpyBuild)


def load_shared_wheel_paths() -> tuple[SharedWheelPath, ...]:
    """All rows; KnowledgeError when the table is damaged."""
    return load_table("shared_wheel_paths", SharedWheelPath)


def load_torch_cxx11_abi() -> tuple[TorchCxx11Abi, ...]:
    """Rows, newest releases first; KnowledgeError when the table is damaged."""
    return load_table("torch_cxx11_abi", TorchCxx11Abi)


def torch_for_transformers(release: str) -> TransformersTorch | None:
    """The row of this release of transformers; None for one that has none.

    A release after those that were read may ask for more: the newest row then still holds as a lower bound.
    """
    return next((row for row in load_transformers_torch() if _within(release, row.since, row.before)), None)


def oldest_transformers_beyond(torch: str) -> str:
    """The first release of transformers that does not accept torch ``torch`` (``2.3.1+cpu``) any more; "" for none."""
    beyond = [row.since for row in load_transformers_torch() if is_older(torch, row.enforced or row.declared)]
    return next((since for since in beyond if not any(is_older(other, since) for other in beyond)), "")


def numpy_build(package: str, release: str, system: str) -> NumpyBuild | None:
    """The row that says which NumPy this release was compiled with; None where it runs with either, or is not known."""
    return next(
        (
            row
            for row in load_numpy_builds()
            if row.package == package and row.system == system and _within(release, row.since, row.before)
        ),
        None,
    )


def cxx11_abi(release: str, cuda: str) -> TorchCxx11Abi | None:
    """The row for a release of torch built for this CUDA (``12.4``, "" for none); None where it is not known."""
    return next(
        (
            row
            for row in load_torch_cxx11_abi()
            if _within(release, row.since, row.before) and (not row.cuda or cuda in row.cuda)
        ),
        None,
    )


def _within(release: str, since: str, before: str | None) -> bool:
    base = base_release(release)
    return reaches(base, since) and (before is None or is_older(base, before))
