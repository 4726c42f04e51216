"""The stage ``generate``: greedy generation, step by step the recorded tokens, and the pipelines."""

from __future__ import annotations

import time

from .compare import close, same
from .tiny_models import golden, load_model, load_tokenizer, one_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .teller import Stage

#: how far the probability of a filled mask may be off
PROBABILITY = 0.001
#: tokens that are generated without cache
WITHOUT_CACHE = 6


def run(stage: Stage) -> None:
    """Generate in a batch with cache, alone without, and alone with it by ``pipeline``. On the CPU."""
    if stage.plan.get("framework", "torch") != "torch":
        from . import other_frameworks

        other_frameworks.generate(stage)
        return
    tiny = stage.plan["tiny"]
    model, tokenizer = load_model(tiny, "causal_lm"), load_tokenizer(tiny, "decoder")
    with one_thread():
        generates_as_recorded(stage, model)
        began = time.perf_counter()
        continue_text(stage, model, tokenizer)
        fill_mask(stage, load_model(tiny, "masked_lm"), load_tokenizer(tiny))
        stage.fact("seconds_of_pipelines", round(time.perf_counter() - began, 3))


def generates_as_recorded(stage: Stage, model: Any, device: str = "cpu", dtype: str = "float32") -> bool:
    """Whether ``model`` (the decoder, on ``device``) continues the recorded prompts as recorded; notes deviations.

    What is recorded was made step by step, without cache, without batch and without ``generate``. The best token is
    ahead of the next by at least ``smallest_margin`` logits in each step: no order of summation in float32 can turn
    that, coarser numbers may.
    """
    recorded = golden(stage.plan["tiny"])["generation"]
    prompts = [prompt["ids"] for prompt in recorded["prompts"]]
    expected = [prompt["new_ids"] for prompt in recorded["prompts"]]
    count = recorded["new_tokens"]
    began = time.perf_counter()
    together = continued(model, prompts, count)
    stage.fact("tokens_per_second", round(count * len(prompts) / max(1e-6, time.perf_counter() - began)))
    good = same(stage, "tokens generated in a batch padded left", expected, together, device, dtype)
    alone = continued(model, prompts[:1], WITHOUT_CACHE, use_cache=False)[0]
    what = "tokens generated without cache"
    return same(stage, what, expected[0][:WITHOUT_CACHE], alone, device, dtype) and good


def continued(model: Any, prompts: list[list[int]], count: int, use_cache: bool = True) -> list[list[int]]:
    """The ``count`` tokens that greedy generation appends to each prompt; shorter ones are padded at the left."""
    import torch

    longest = max(len(prompt) for prompt in prompts)
    pad = model.config.pad_token_id
    rows = [[pad] * (longest - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    with torch.no_grad():
        result = model.generate(
            input_ids=torch.tensor(rows, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            max_new_tokens=count,
            do_sample=False,
            num_beams=1,
            use_cache=use_cache,
            pad_token_id=pad,
        )
    new: list[list[int]] = result[:, longest:].tolist()
    return new


def continue_text(stage: Stage, model: Any, tokenizer: Any) -> None:
    """``pipeline("text-generation")``: the recorded continuation as text."""
    from transformers import pipeline

    recorded = golden(stage.plan["tiny"])["generation"]
    prompt = recorded["prompts"][-1]
    pipe = pipeline("text-generation", model=model, tokenizer=tokenizer, device="cpu")
    said = pipe(
        prompt["text"],
        max_new_tokens=recorded["new_tokens"],
        do_sample=False,
        # what each of these is when it is not said has changed between versions
        add_special_tokens=False,
        clean_up_tokenization_spaces=False,
    )
    expected = prompt["text"] + prompt["new_text"]
    same(stage, "text that the pipeline text-generation made", expected, said[0]["generated_text"])


def fill_mask(stage: Stage, model: Any, tokenizer: Any) -> None:
    """``pipeline("fill-mask")``: the recorded tokens with their probabilities."""
    from transformers import pipeline

    recorded = golden(stage.plan["tiny"])["fill_mask"]
    pipe = pipeline("fill-mask", model=model, tokenizer=tokenizer, device="cpu")
    said = pipe(recorded["text"], top_k=len(recorded["tokens"]))
    tokens = [answer["token"] for answer in said]
    if same(stage, "tokens that the pipeline fill-mask put in", recorded["tokens"], tokens, dtype="int64"):
        scores = [answer["score"] for answer in said]
        close(stage, "probabilities that the pipeline fill-mask gave", recorded["scores"], scores, PROBABILITY)
