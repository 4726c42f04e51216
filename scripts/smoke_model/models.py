"""The two models: their sizes, their configurations, their weights.

They know nothing: the weights are random. The scales are chosen so that the numbers are of ordinary size, that every
part of a layer changes the result visibly, and that the decoder's best token is far ahead of the second best.
"""

from __future__ import annotations

import json

from .bpe import BOS, EOS, LONGEST, PAD, SPECIAL, VOCABULARY, tokenizer_files
from .weights import Numbers, Tensor, safetensors

WIDTH, HEADS, KEY_HEADS, INNER, LAYERS = 32, 4, 2, 48, 2
LABELS = 3
#: found by ``make_smoke_model.py``: the first with which goldens.py is content
ENCODER_SEED, DECODER_SEED = 112, 729


def encoder_tensors(seed: int) -> dict[str, Tensor]:
    """The body of a BERT, the head that fills masks and the head that classifies, in one file.

    Each class of transformers takes its own part and leaves the other head; neither is left with a weight to invent.
    The output matrix of the first head is the embedding matrix, which is why it is not stored.
    """
    numbers = Numbers(seed)
    tensors: dict[str, Tensor] = {}

    def linear(name: str, out: int, into: int, scale: float) -> None:
        tensors[f"{name}.weight"] = numbers.tensor(out, into, scale=scale)
        tensors[f"{name}.bias"] = numbers.tensor(out, scale=0.1)

    def norm(name: str) -> None:
        tensors[f"{name}.weight"] = numbers.tensor(WIDTH, scale=0.1, around=1.0)
        tensors[f"{name}.bias"] = numbers.tensor(WIDTH, scale=0.1)

    for name, rows in (("word", VOCABULARY), ("position", LONGEST), ("token_type", 2)):
        tensors[f"bert.embeddings.{name}_embeddings.weight"] = numbers.tensor(rows, WIDTH, scale=0.3)
    norm("bert.embeddings.LayerNorm")
    for layer in range(LAYERS):
        place = f"bert.encoder.layer.{layer}"
        for name in ("query", "key", "value"):
            linear(f"{place}.attention.self.{name}", WIDTH, WIDTH, 0.25)
        linear(f"{place}.attention.output.dense", WIDTH, WIDTH, 0.25)
        norm(f"{place}.attention.output.LayerNorm")
        linear(f"{place}.intermediate.dense", INNER, WIDTH, 0.2)
        linear(f"{place}.output.dense", WIDTH, INNER, 0.2)
        norm(f"{place}.output.LayerNorm")
    linear("bert.pooler.dense", WIDTH, WIDTH, 0.2)
    linear("cls.predictions.transform.dense", WIDTH, WIDTH, 0.2)
    norm("cls.predictions.transform.LayerNorm")
    tensors["cls.predictions.bias"] = numbers.tensor(VOCABULARY, scale=0.1)
    linear("classifier", LABELS, WIDTH, 0.3)
    return tensors


def decoder_tensors(seed: int) -> dict[str, Tensor]:
    """A Llama whose key heads are shared by two query heads each, and whose output matrix is the embedding matrix."""
    numbers = Numbers(seed)
    key_width = WIDTH // HEADS * KEY_HEADS
    tensors = {"model.embed_tokens.weight": numbers.tensor(VOCABULARY, WIDTH, scale=0.5)}
    for layer in range(LAYERS):
        place = f"model.layers.{layer}"
        tensors[f"{place}.input_layernorm.weight"] = numbers.tensor(WIDTH, scale=0.1, around=1.0)
        for name, out in (("q", WIDTH), ("k", key_width), ("v", key_width), ("o", WIDTH)):
            tensors[f"{place}.self_attn.{name}_proj.weight"] = numbers.tensor(out, WIDTH, scale=0.3)
        tensors[f"{place}.post_attention_layernorm.weight"] = numbers.tensor(WIDTH, scale=0.1, around=1.0)
        for name in ("gate", "up"):
            tensors[f"{place}.mlp.{name}_proj.weight"] = numbers.tensor(INNER, WIDTH, scale=0.3)
        tensors[f"{place}.mlp.down_proj.weight"] = numbers.tensor(WIDTH, INNER, scale=0.3)
    tensors["model.norm.weight"] = numbers.tensor(WIDTH, scale=0.1, around=1.5)
    return tensors


def encoder_config() -> dict[str, object]:
    """As transformers 4 writes it; 5 reads that, too."""
    labels = ["bad", "middling", "good"]
    return {
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "classifier_dropout": 0.0,
        "max_position_embeddings": LONGEST,
        "type_vocab_size": 2,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "pad_token_id": SPECIAL.index(PAD),
        "position_embedding_type": "absolute",
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
        "torch_dtype": "float32",
    }


def decoder_config() -> dict[str, object]:
    """As transformers 4 writes it; 5 reads that, too, and makes rope_parameters of rope_theta."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_HEADS,
        "intermediate_size": INNER,
        "hidden_act": "silu",
        "max_position_embeddings": 128,
        "initializer_range": 0.02,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": True,
        "use_cache": True,
        "pad_token_id": SPECIAL.index(PAD),
        "bos_token_id": SPECIAL.index(BOS),
        "eos_token_id": SPECIAL.index(EOS),
        "torch_dtype": "float32",
    }


def model_files(encoder_seed: int = ENCODER_SEED, decoder_seed: int = DECODER_SEED) -> dict[str, bytes]:
    """Every file of the two folders, by its path below hfdoctor/smoke/tiny."""
    generation = {
        "pad_token_id": SPECIAL.index(PAD),
        "bos_token_id": SPECIAL.index(BOS),
        "eos_token_id": SPECIAL.index(EOS),
    }
    files = {
        "encoder/config.json": _indented(encoder_config()),
        "encoder/model.safetensors": safetensors(encoder_tensors(encoder_seed)),
        "decoder/config.json": _indented(decoder_config()),
        "decoder/generation_config.json": _indented(generation),
        "decoder/model.safetensors": safetensors(decoder_tensors(decoder_seed)),
    }
    for name, content in tokenizer_files().items():
        files[f"encoder/{name}"] = files[f"decoder/{name}"] = content
    return files


def _indented(value: object) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"
