"""A model of a kind that the installed transformers does not know."""

from __future__ import annotations

import re

from ..facts.snapshot import Snapshot
from .install_steps import install
from .model import Clue, Condition, Fail, Goal, Plain, Skip, Step, Treatment, Verdict
from .seen_stages import WORDS, Seen, first_of, ran


def _unknown(s: Snapshot, goal: Goal) -> Verdict:
    seen = first_of(s, "model-type-unknown")
    if seen is None:
        return ran(s, "model", "local") or Skip("not_run")
    entry = s.packages.installed().get("transformers") if s.packages.distributions.known else None
    fields: dict[str, Plain] = {"doing": seen.doing, "version": entry.version if entry else "", "what": _what(seen)}
    clues = [seen.clue("architecture|Unrecognized|Tokenizer class")]
    if entry is not None:
        clues.append(Clue(s.packages.distributions, f"transformers {entry.version}", "installed", fields))
    if "model_type" in seen.message and not fields["what"]:
        return Fail("no_type", seen.severity, "observed", clues, fields, Treatment("print-only", [Step(says="whole")]))
    steps = [
        Step(install(s, ["transformers"], "--upgrade"), "newer", network=True),
        Step(says="from_source", network=True),
        Step(says="own_code"),
    ]
    fields["what"] = fields["what"] or "its kind of model"
    return Fail("unknown", seen.severity, "observed", clues, fields, Treatment("confirm", steps), len(clues))


def _what(seen: Seen) -> str:
    """The type that the checkpoint names; "" where the message names none."""
    named = re.search(
        r"model type `([^`]+)`|Tokenizer class (\w+)|configuration class <class '([\w.]+)'>", seen.message
    )
    return next((name for name in named.groups() if name), "") if named else ""


MODEL_TYPE_UNKNOWN = Condition(
    id="model-type-unknown",
    family="packages",
    title="The model is of a kind that this transformers does not know",
    reads=("smoke", "packages", "target"),
    detect=_unknown,
    words={
        **WORDS,
        "not_run": "which models are to be loaded is not known (hfdoctor smoke --local-model PATH loads one)",
        "unknown": "{doing} fails: transformers {version} does not know {what}",
        "no_type": "{doing} fails: the model's config.json does not say what kind of model it is",
        "installed": "transformers {version} is installed",
        "newer": "install a newer transformers",
        "from_source": "if the model is newer than any release, its page says which commit of transformers has it",
        "own_code": "if it brings code of its own: load it with trust_remote_code=True, once you have read that code",
        "whole": "see that the folder holds the whole model, config.json with model_type among it",
    },
)

CONDITIONS: tuple[Condition, ...] = (MODEL_TYPE_UNKNOWN,)
