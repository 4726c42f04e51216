"""The stage ``tokenizer``: text to token ids and back, held against what is recorded."""

from __future__ import annotations

from .compare import same
from .tiny_models import golden, load_tokenizer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .teller import Stage


def run(stage: Stage) -> None:
    """Load the tokenizer as a person does, encode and decode in every ordinary way, and compare."""
    recorded = golden(stage.plan["tiny"])["tokenizer"]
    tokenizer = load_tokenizer(stage.plan["tiny"])
    stage.fact("class", type(tokenizer).__name__)
    stage.fact("texts", len(recorded["texts"]))
    same(stage, "whether the tokenizer is a fast one", True, bool(tokenizer.is_fast))
    same(stage, "size of the vocabulary", recorded["vocabulary"], len(tokenizer))
    for name, expected in recorded["special"].items():
        same(stage, name, expected, [getattr(tokenizer, name), getattr(tokenizer, name + "_id")])
    for number, one in enumerate(recorded["texts"]):
        one_text(stage, tokenizer, number, one)
    several(stage, tokenizer, recorded)
    if stage.plan.get("framework", "torch") == "torch":
        as_tensors(stage, tokenizer, recorded)


def one_text(stage: Stage, tokenizer: Any, number: int, one: dict[str, Any]) -> None:
    """Ids, offsets into the text, which ids are special, and the way back."""
    text = one["text"]
    encoded = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    same(stage, f"token ids of text {number}", one["ids"], encoded["input_ids"], dtype="int64")
    same(stage, f"offsets of text {number}", one["offsets"], encoded["offset_mapping"], dtype="int64")
    same(stage, f"special tokens of text {number}", one["special"], encoded["special_tokens_mask"], dtype="int64")
    decoded = tokenizer.decode(one["ids"], skip_special_tokens=True)
    same(stage, f"text of the token ids of text {number}", one["decoded"], decoded)
    same(stage, f"text with special tokens of text {number}", one["decoded_whole"], tokenizer.decode(one["ids"]))
    tokens = tokenizer.convert_ids_to_tokens(one["ids"])
    same(stage, f"ids of the tokens of text {number}", one["ids"], tokenizer.convert_tokens_to_ids(tokens))


def several(stage: Stage, tokenizer: Any, recorded: dict[str, Any]) -> None:
    """A batch padded at either side, a pair, a text that is cut off."""
    batch, pair, cut = recorded["batch"], recorded["pair"], recorded["truncated"]
    texts = [recorded["texts"][number]["text"] for number in batch["texts"]]
    side = tokenizer.padding_side
    try:
        for tokenizer.padding_side in ("right", "left"):
            got = tokenizer(texts, padding=True)
            left = tokenizer.padding_side == "left"
            for what, name, filler in (("ids", "input_ids", tokenizer.pad_token_id), ("mask", "attention_mask", 0)):
                rows = zip(batch[what], batch["mask"])
                expected = [moved(row, mask, filler) if left else row for row, mask in rows]
                same(stage, f"{name} of a batch padded {tokenizer.padding_side}", expected, got[name], dtype="int64")
    finally:
        tokenizer.padding_side = side
    got = tokenizer(*pair["texts"], return_token_type_ids=True)
    same(stage, "token ids of a pair of texts", pair["ids"], got["input_ids"], dtype="int64")
    same(stage, "which of a pair each token is of", pair["kinds"], got["token_type_ids"], dtype="int64")
    text = recorded["texts"][cut["text"]]["text"]
    ids = tokenizer(text, truncation=True, max_length=cut["length"])["input_ids"]
    same(stage, f"token ids of a text cut to {cut['length']} tokens", cut["ids"], ids, dtype="int64")
    ids = [one["ids"] for one in recorded["texts"]]
    expected_texts = [one["decoded"] for one in recorded["texts"]]
    same(stage, "texts decoded in a batch", expected_texts, tokenizer.batch_decode(ids, skip_special_tokens=True))


def moved(row: list[int], mask: list[int], filler: int) -> list[int]:
    """A row that is padded at the right, padded at the left with ``filler`` instead."""
    real = [value for value, on in zip(row, mask) if on]
    return [filler] * (len(row) - len(real)) + real


def as_tensors(stage: Stage, tokenizer: Any, recorded: dict[str, Any]) -> None:
    """The same batch as tensors of torch: what a model is fed with."""
    texts = [recorded["texts"][number]["text"] for number in recorded["batch"]["texts"]]
    got = tokenizer(texts, padding=True, return_tensors="pt")["input_ids"]
    same(stage, "token ids as a tensor", recorded["batch"]["ids"], got, dtype="int64")
    same(stage, "number type of token ids", "torch.int64", str(got.dtype))
