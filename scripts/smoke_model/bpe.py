"""The tokenizer: byte-level BPE, learned from text.txt, written in the plain form that tokenizers 0.19 and later read.

It is learned here, and not by the library ``tokenizers``, so that the file is the same whichever version is installed.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from pathlib import Path

PAD, BOS, EOS, UNK, MASK = "<pad>", "<s>", "</s>", "<unk>", "<mask>"
SPECIAL = (PAD, BOS, EOS, UNK, MASK)
VOCABULARY = 512
#: the longest input of the encoder, in tokens
LONGEST = 64
#: near enough to the pattern of GPT-2 for learning; tokenizers uses its own when it reads a text
WORDS = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?[^\s\w]+|\s+")


def byte_letters() -> dict[int, str]:
    """A visible character for each byte, as byte-level BPE writes them: itself where it is one, else from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + place) for place, byte in enumerate(rest)}


def learned_merges(text: str, count: int) -> list[tuple[str, str]]:
    """The ``count`` merges that byte-pair encoding learns of ``text``; of equally frequent pairs the smaller first."""
    letters = byte_letters()
    words = Counter(WORDS.findall(text))
    split = {word: [letters[byte] for byte in word.encode()] for word in words}
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in split.items():
            for pair in itertools.pairwise(parts):
                pairs[pair] += words[word]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for word, parts in split.items():
            split[word] = _merged(parts, best)
    return merges


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    result: list[str] = []
    for part in parts:
        if result and (result[-1], part) == pair:
            result[-1] += part
        else:
            result.append(part)
    return result


def tokenizer_files() -> dict[str, bytes]:
    """The two files of the tokenizer, by name."""
    text = Path(__file__).with_name("text.txt").read_text("utf-8")
    letters = sorted(byte_letters().values())
    merges = learned_merges(text, VOCABULARY - len(SPECIAL) - len(letters))
    tokens = [*SPECIAL, *letters, *(left + right for left, right in merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    if len(vocabulary) != VOCABULARY:
        raise ValueError("two merges make the same token: change the text")
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}

    def special(name: str, kind: int) -> dict[str, object]:
        return {"SpecialToken": {"id": name, "type_id": kind}}

    def sequence(name: str, kind: int) -> dict[str, object]:
        return {"Sequence": {"id": name, "type_id": kind}}

    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": name, **flags} for number, name in enumerate(SPECIAL)],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": byte_level,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special(BOS, 0), sequence("A", 0), special(EOS, 0)],
            "pair": [special(BOS, 0), sequence("A", 0), special(EOS, 0), sequence("B", 1), special(EOS, 1)],
            "special_tokens": {name: {"id": name, "ids": [vocabulary[name]], "tokens": [name]} for name in (BOS, EOS)},
        },
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": vocabulary,
            # since 0.20 these are written as pairs; this older form is read by all
            "merges": [f"{left} {right}" for left, right in merges],
        },
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "unk_token": UNK,
        "pad_token": PAD,
        "mask_token": MASK,
        "padding_side": "right",
        "clean_up_tokenization_spaces": False,
        # Llama takes no token_type_ids, and BERT makes zeros of none
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": LONGEST,
        "added_tokens_decoder": {str(number): {"content": name, **flags} for number, name in enumerate(SPECIAL)},
    }
    return {"tokenizer.json": plain_json(tokenizer), "tokenizer_config.json": plain_json(config)}


def plain_json(value: object) -> bytes:
    """Compact JSON in UTF-8, one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
