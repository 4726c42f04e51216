"""What is recorded of the models: made with the very functions that the stages of smoke compare with.

Needs torch and transformers in the Python that runs it; nothing else here does.
"""

from __future__ import annotations

import datetime
import importlib
import itertools
import platform
from typing import Any

TEXTS = [
    "The model reads a line of text.",
    "오늘은 날씨가 좋습니다. 같은 숫자가 나와야 합니다!",
    "hello 👩‍💻 🇰🇷 🙂🏽",
    "e\u0301 = é, \u1112\u1161\u11ab\u1100\u1173\u11af, n\u0303o",
    "",
    "  two  spaces,\ta tab\n\n and new lines  ",
    "a <mask> in the <s>text</s>, but no < mask >",
    "It's 漢字, naïve, ﬁne and ½: 1,024 × ١٢",
    "zero\u200bwidth and \u00a0hard space\r\n",
]
PAIR = ["Is it so?", "그렇습니다."]
#: a batch of texts of different length
BATCH = [0, 1, 4]
TRUNCATED_TO = 8
INPUTS = ["The model reads a <mask> of text.", "작은 <mask>"]
PROMPTS = ["The model reads the", "오늘은 날씨가"]
NEW_TOKENS = 16
FILLED = "The <mask> is warm."
BEST = 3
#: how far ahead the best token must be, in logits (their deviation is about 4), and a filled mask of the next
MARGIN, MASK_MARGIN = 0.3, 0.2
#: every so many columns of the logits are recorded; shares no factor with the size of the vocabulary
EACH = 37
TOLERANCES = {
    "about": (
        "Largest difference of a logit, absolute, on any device; the logits go up to 15."
        " Seen on x86-64 CPUs with torch 2.1.2, 2.13.0 and 2.15.0 and eight versions of transformers from 4.40.0 to"
        " 5.23.0: at most 0.000008. Sixty times that is allowed, for the orders of summation of other devices."
    ),
    "float32": 0.0005,
}


def goldens(tiny: str) -> dict[str, Any]:
    """Everything that is recorded of the models in ``tiny``. Raises ValueError where a margin is too small."""
    from hfdoctor.smoke.child import compare, tiny_models

    tokenizer = tiny_models.load_tokenizer(tiny)
    inputs = {name: values for name, values in tokenizer(INPUTS, padding=True).items() if name != "token_type_ids"}
    result: dict[str, Any] = {
        "made": made(),
        "tolerances": TOLERANCES,
        "tokenizer": of_tokenizer(tokenizer),
        "inputs": {"texts": INPUTS, **inputs},
        "logits": {},
    }
    import torch

    tensors = {name: torch.tensor(values) for name, values in inputs.items()}
    real = [[row, column] for row, mask in enumerate(inputs["attention_mask"]) for column, on in enumerate(mask) if on]
    for head in tiny_models.HEADS:
        logits = tiny_models.logits_of(tiny_models.load_model(tiny, head), tensors)
        rows = real if logits.dim() == 3 else [[row] for row in range(len(logits))]
        columns = range(0, logits.shape[-1], EACH if logits.dim() == 3 else 1)
        result["logits"][head] = compare.summary(logits, rows, columns)
    result["generation"] = of_generation(tiny_models.load_model(tiny, "causal_lm"), tokenizer)
    result["fill_mask"] = of_mask(tiny_models.load_model(tiny, "masked_lm"), tokenizer)
    recorded: dict[str, Any] = shortened(result)
    return recorded


def made() -> dict[str, str]:
    """The day and what made them."""
    names = ("torch", "transformers", "tokenizers", "safetensors", "numpy")
    versions = {name: str(importlib.import_module(name).__version__) for name in names}
    day = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return {"on": day, "python": platform.python_version(), "machine": platform.machine(), **versions}


def of_tokenizer(tokenizer: Any) -> dict[str, Any]:
    """Ids, offsets and the way back for each text; a batch, a pair and a truncated text."""
    texts = []
    for text in TEXTS:
        encoded = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
        texts.append(
            {
                "text": text,
                "ids": encoded["input_ids"],
                "offsets": [list(pair) for pair in encoded["offset_mapping"]],
                "special": encoded["special_tokens_mask"],
                "decoded": tokenizer.decode(encoded["input_ids"], skip_special_tokens=True),
                "decoded_whole": tokenizer.decode(encoded["input_ids"]),
            }
        )
    names = ("bos_token", "eos_token", "pad_token", "unk_token", "mask_token")
    pair = tokenizer(*PAIR, return_token_type_ids=True)
    batch = tokenizer([TEXTS[number] for number in BATCH], padding=True)
    return {
        "vocabulary": len(tokenizer),
        "special": {name: [getattr(tokenizer, name), getattr(tokenizer, name + "_id")] for name in names},
        "texts": texts,
        "batch": {"texts": BATCH, "ids": batch["input_ids"], "mask": batch["attention_mask"]},
        "pair": {"texts": PAIR, "ids": pair["input_ids"], "kinds": pair["token_type_ids"]},
        "truncated": {
            "text": 0,
            "length": TRUNCATED_TO,
            "ids": tokenizer(TEXTS[0], truncation=True, max_length=TRUNCATED_TO)["input_ids"],
        },
    }


def of_generation(model: Any, tokenizer: Any) -> dict[str, Any]:
    """The greedy continuation of each prompt, step by step without ``generate``, and how clear each step was."""
    import torch

    smallest = float("inf")
    prompts = []
    for text in PROMPTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        longer = list(ids)
        for _ in range(NEW_TOKENS):
            with torch.no_grad():
                first, second = model(input_ids=torch.tensor([longer])).logits[0, -1].topk(2).values.tolist()
                longer.append(int(model(input_ids=torch.tensor([longer])).logits[0, -1].argmax()))
            smallest = min(smallest, first - second)
        new = longer[len(ids) :]
        if tokenizer.eos_token_id in new:
            raise ValueError("the continuation ends early: search for another seed of the decoder")
        prompts.append({"text": text, "ids": ids, "new_ids": new, "new_text": tokenizer.decode(new)})
    if smallest < MARGIN:
        raise ValueError(f"the best token is only {smallest:.3f} ahead: search for another seed of the decoder")
    return {"new_tokens": NEW_TOKENS, "smallest_margin": smallest, "prompts": prompts}


def of_mask(model: Any, tokenizer: Any) -> dict[str, Any]:
    """The best tokens for a mask, with their probabilities."""
    import torch

    ids = tokenizer(FILLED)["input_ids"]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, ids.index(tokenizer.mask_token_id)]
    best = logits.topk(BEST + 1).values.tolist()
    smallest = min(one - other for one, other in itertools.pairwise(best))
    if smallest < MASK_MARGIN:
        raise ValueError(f"tokens for the mask are only {smallest:.3f} apart: search for another seed of the encoder")
    scores, tokens = logits.softmax(-1).topk(BEST)
    return {"text": FILLED, "tokens": tokens.tolist(), "scores": scores.tolist(), "smallest_margin": smallest}


def shortened(value: Any) -> Any:
    """Numbers with seven digits: what float32 holds."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, dict):
        return {name: shortened(part) for name, part in value.items()}
    return [shortened(part) for part in value] if isinstance(value, (list, tuple)) else value


def differences(expected: Any, got: Any, tolerance: float, where: str = "") -> list[str]:
    """Where two recordings differ: numbers by more than ``tolerance``, everything else at all."""
    if isinstance(expected, dict) and isinstance(got, dict) and expected.keys() == got.keys():
        parts = [(f"{where}.{name}", expected[name], got[name]) for name in expected]
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        parts = [(f"{where}[{number}]", a, b) for number, (a, b) in enumerate(zip(expected, got, strict=True))]
    elif isinstance(expected, float) and isinstance(got, float):
        return [] if abs(expected - got) <= tolerance else [f"{where}: {expected} was recorded, {got} came out"]
    else:
        return [] if expected == got else [f"{where}: {expected!r} was recorded, {got!r} came out"]
    return [line for name, a, b in parts for line in differences(a, b, tolerance, name)]
