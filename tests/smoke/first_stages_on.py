"""Runs the first stages on several folders of tiny models in one process of the target; says as JSON how each went.

Started as ``python -m tests.smoke.first_stages_on FOLDER=STAGE,STAGE ...``, since a process for each would take long.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path


def main() -> None:
    """One object: "folder stage" -> error, message, deviations, facts; and "state" -> what was left behind."""
    said = os.dup(1)
    os.dup2(2, 1)
    import torch

    from hfdoctor.smoke.child.teller import Stage
    from hfdoctor.smoke.child.tiny_models import load_tokenizer

    def state():
        return [torch.get_num_threads(), torch.is_grad_enabled(), str(torch.get_default_dtype()), torch.initial_seed()]

    before = state()
    answers = {}
    for argument in sys.argv[1:]:
        folder, _, names = argument.partition("=")
        for name in names.split(","):
            stage = Stage(name, {"tiny": folder, "framework": "torch", "device": "cpu", "level": "generate"})
            error = message = ""
            try:
                importlib.import_module(f"hfdoctor.smoke.child.{name}").run(stage)
            except Exception as problem:
                error, message = type(problem).__name__, str(problem)
            answers[f"{Path(folder).name} {name}"] = {
                "error": error,
                "message": message,
                "deviations": stage.deviations,
                "facts": stage.facts,
            }
    same = before == state() and load_tokenizer(sys.argv[1].partition("=")[0]).padding_side == "right"
    answers["state"] = {"error": "" if same else "changed", "message": f"{before} {state()}"}
    os.write(said, json.dumps(answers).encode())


if __name__ == "__main__":
    main()
