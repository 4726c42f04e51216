"""Records the training run that ``hfdoctor smoke`` follows: hfdoctor/smoke/tiny/golden_training.json.

    python scripts/make_smoke_training.py [--check]

Needs torch, transformers and accelerate, and the tiny encoder (scripts/make_smoke_model.py makes that first).
``--check`` writes nothing and prints how far this environment's run is from the recorded one.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
TINY = ROOT / "hfdoctor" / "smoke" / "tiny"
GOLDEN = TINY / "golden_training.json"
TOLERANCE = 5e-5
TOLERANCE_FROM = (
    "Largest difference of a loss on x86-64: 3.6e-7 over transformers 4.40.2 to 5.23.0 with torch 2.1.2 to 2.15.0 and "
    "Python 3.9 to 3.13, 1.0e-6 with the vector instructions of the processor switched off. Weights that are off by "
    "1e-6 (relative) change a loss by 5e-6. Times ten, for other processors and libraries; a run without the weight "
    "decay is off by 2.3e-4, one with another epsilon in the optimizer by 4.3e-4."
)

#: three kinds of text to tell apart: English, Korean, numbers
TEXTS = (
    (
        "The sea is calm today",
        "She reads a book by the window",
        "We walked home in the rain",
        "A cat sleeps on the chair",
        "The bread is still warm",
        "He plays the piano at night",
        "Open the door, please",
        "The train leaves in the morning",
        "They planted a tree last year",
        "My brother likes green tea",
        "The mountain is far away",
        "It was a long and quiet day",
        "The children laughed loudly",
        "Water the flowers tomorrow",
        "I forgot my umbrella",
        "Her coat hangs in the hall",
    ),
    (
        "오늘은 바다가 잔잔하다",
        "그녀는 창가에서 책을 읽는다",
        "우리는 비를 맞으며 걸었다",
        "고양이가 의자에서 잔다",
        "빵이 아직 따뜻하다",
        "그는 밤에 피아노를 친다",
        "문을 열어 주세요",
        "기차는 아침에 떠난다",
        "작년에 나무를 심었다",
        "동생은 녹차를 좋아한다",
        "산은 아주 멀리 있다",
        "길고 조용한 하루였다",
        "아이들이 크게 웃었다",
        "내일 꽃에 물을 주세요",
        "우산을 두고 왔다",
        "외투가 복도에 걸려 있다",
    ),
    (
        "31 27 64 19",
        "5 + 8 = 13",
        "2048 / 16",
        "7.25, 9.5, 11.75",
        "1999-12-31",
        "90 80 70 60 50",
        "12:45:07",
        "3 * 14 = 42",
        "100000",
        "6 6 6 4 4 4",
        "0.5 + 0.25",
        "404, 500, 503",
        "1 2 3 5 8 13 21",
        "88-17-05",
        "23 % 7 = 2",
        "365 * 24",
    ),
)
EVALUATED = 4
RECIPE = {
    "steps": 18,
    "batch_size": 6,
    "learning_rate": 4e-3,
    "warmup_steps": 4,
    "weight_decay": 0.01,
    "adam_epsilon": 1e-6,
    "seed": 7,
}


def rows() -> tuple[list[list[Any]], list[list[Any]]]:
    """Label and token ids of the examples, for training and for evaluation; the kinds take turns."""
    from hfdoctor.smoke.child.tiny_models import load_tokenizer

    tokenizer = load_tokenizer(str(TINY))
    turns = [
        [label, tokenizer(text)["input_ids"]] for texts in zip(*TEXTS, strict=True) for label, text in enumerate(texts)
    ]
    cut = EVALUATED * len(TEXTS)
    return turns[:-cut], turns[-cut:]


def record(recipe: dict[str, Any]) -> tuple[list[float], list[dict[str, float]]]:
    """Losses and evaluations of one run in this environment."""
    import torch

    from hfdoctor.smoke.child import training
    from hfdoctor.smoke.child.tiny_models import load_model

    torch.set_num_threads(1)
    model = load_model(str(TINY), "classifier", fresh=True)
    with tempfile.TemporaryDirectory() as folder:
        trainer, course = training.make_trainer(model, recipe, folder)
        trainer.train()
    return course.losses, training.evaluations(trainer)


def main(words: list[str]) -> None:
    """Record, or with ``--check`` compare."""
    import accelerate
    import torch
    import transformers

    if words == ["--check"]:
        golden = json.loads(GOLDEN.read_text("utf-8"))
        losses, evaluations = record(golden["recipe"])
        apart = max(abs(one - two) for one, two in zip(golden["losses"], losses, strict=True))
        print(f"{platform.python_version()} torch {torch.__version__} transformers {transformers.__version__}", end=" ")
        print(f"accelerate {accelerate.__version__}: largest difference {apart:.2e}", evaluations)
        return
    train, evaluate = rows()
    recipe = {**RECIPE, "train": train, "evaluate": evaluate}
    losses, evaluations = record(recipe)
    golden = {
        "made_with": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "accelerate": accelerate.__version__,
            "machine": platform.machine(),
        },
        "tolerance": TOLERANCE,
        "tolerance_from": TOLERANCE_FROM,
        "losses": losses,
        "evaluations": evaluations,
        "recipe": recipe,
    }
    GOLDEN.write_text(json.dumps(golden, separators=(",", ":")) + "\n", encoding="utf-8")
    print(GOLDEN, GOLDEN.stat().st_size, "bytes;", *(f"{loss:.4f}" for loss in losses), evaluations)


if __name__ == "__main__":
    main(sys.argv[1:])
