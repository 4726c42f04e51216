"""Reads what other tools print about a machine, as people paste it, into a Snapshot.

Only what the text says becomes known. What it does not say is ``not-run``; what it says in two ways that cannot both be
true, and what it has a line for without an answer, is ``failed`` with the reason.
"""

from __future__ import annotations

from ..snapshot import Snapshot, SnapshotError

#: what can be read, in the words of the message for a text in which nothing of it was found
UNDERSTOOD = (
    "a snapshot of hfdoctor, torch.utils.collect_env (vLLM's and SGLang's too), transformers env, accelerate env, "
    "nvidia-smi, pip list, pip freeze, conda list, messages of torch"
)


def read_text(text: str) -> Snapshot:
    """The machine that ``text`` describes.

    Raises SnapshotError if nothing in it is recognised; the message is one line. Never raises anything else, and looks
    at no more than some 1,000,000 characters.
    """
    from . import check_env, collect_env, hf_env, nvidia_smi, package_list, torch_words
    from .build import build
    from .clean import clean
    from .fields import fields
    from .notes import Notes

    notes = Notes()
    lines = fields(clean(text), {**collect_env.KEYS, **check_env.KEYS, **hf_env.KEYS, **nvidia_smi.KEYS})
    for reader in (collect_env, check_env, hf_env, nvidia_smi, package_list, torch_words):
        reader.read(lines, notes)
    if not notes.formats or not (notes.claims or notes.lists or notes.devices or notes.messages or notes.nvml):
        raise SnapshotError(f"nothing in it is understood; hfdoctor reads {UNDERSTOOD}")
    return build(notes)


def read_bytes(data: bytes) -> Snapshot:
    """The same of a file's bytes, whatever its encoding."""
    from .clean import decode

    return read_text(decode(data))
