"""For which GPUs a library was built, of whichever maker: CUDA first, then HIP."""

from __future__ import annotations

from typing import NamedTuple

from .fatbin import read_fat_binary
from .sections import NotReadable, Reader


class LibraryCode(NamedTuple):
    """What one library was built for; the fields as in facts.sections.native.GpuCode. ``kind`` is cuda or hip."""

    kind: str
    code: list[str]
    ptx: list[str]
    few: list[str]
    containers: int
    ptx_isa: str = ""


def read_library(reader: Reader, whole: bool = False) -> LibraryCode | None:
    """The GPU code of a library, None where it has none; ``whole`` as in read_fat_binary.

    Raises NotReadable and OSError.
    """
    cuda = read_fat_binary(reader, whole)
    if cuda is not None:
        return LibraryCode("cuda", *cuda)
    from .hip import read_hip_bundles

    hip = read_hip_bundles(reader)
    if hip is not None:
        return LibraryCode("hip", hip.code, [], hip.few, hip.bundles)
    return None


def read_file(path: str, at_most: int = 64 << 20) -> LibraryCode | None:
    """As read_library, of the file at ``path``, of which no more than ``at_most`` bytes are read."""
    with open(path, "rb", buffering=0) as file:
        try:
            return read_library(Reader(file, at_most))
        except MemoryError:
            raise NotReadable("it asks for more memory than there is") from None
