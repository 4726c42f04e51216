"""The tiny public model and data set that ``smoke --online`` fetches."""

from __future__ import annotations

import msgspec

from hfdoctor.knowledge.loader import Row, load_table


class PublicFile(msgspec.Struct, frozen=True):
    """A file at the commit that was looked at: bytes, and the hash that is its ETag; None where that is not known."""

    size: int | None
    etag: str | None


class HubExample(Row, frozen=True, kw_only=True):
    """A model with safetensors and a fast tokenizer, and a data set with a CSV file, small enough to be fetched often.

    Sizes and hashes are those of the two commits; both repositories may have moved on since.
    """

    model: str
    model_commit: str
    files: dict[str, PublicFile]
    dataset: str
    dataset_commit: str
    dataset_file: str
    dataset_size: int
    dataset_rows: int


def load_hub_examples() -> tuple[HubExample, ...]:
    """The first row is the one in use; KnowledgeError when the table is damaged."""
    return load_table("hub_examples", HubExample)
