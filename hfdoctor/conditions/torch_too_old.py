"""torch and the transformers that uses it: which is the oldest that it works with."""

from __future__ import annotations

from ..facts.sections.packages import Distribution
from ..facts.snapshot import Snapshot
from ..knowledge.versions import is_older
from .install_steps import install_like
from .model import Basis, Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Unknown, Verdict
from .newer_torch import WORDS as NEWER_WORDS
from .newer_torch import newer_torch
from .told_packages import known_from_text, torch_told


def _too_old(s: Snapshot, goal: Goal) -> Verdict:
    installed = s.packages.installed()
    torch, transformers = installed.get("torch"), installed.get("transformers")
    if transformers is None:
        return Skip("not_both")
    if known_from_text(s):
        return _too_old_told(s, transformers)
    if torch is None:
        return Skip("not_both")
    build = s.packages.torch_build.maybe()
    version = torch.version if not torch.problem else build.version if build else ""
    needs = s.packages.transformers_needs.need()
    if not needs.minimum_torch:
        return Pass(1, [Clue(s.packages.transformers_needs, needs.version, "no_minimum")])
    fields: dict[str, Plain] = {
        "torch": version,
        "minimum": needs.minimum_torch,
        "transformers": needs.version,
        "path": needs.minimum_torch_source,
    }
    # plain comparison, as transformers does it: 2.6.0a0 of a container is older than 2.6.0 to it, too
    if not is_older(version, needs.minimum_torch):
        return Pass(1, [Clue(s.packages.transformers_needs, needs.minimum_torch, "minimum_is", fields)])
    enforced = needs.minimum_torch_source.replace("\\", "/").endswith("/import_utils.py")
    clues = [Clue(s.packages.transformers_needs, needs.minimum_torch, "minimum_is", fields)]
    clues.append(Clue(s.packages.distributions, f"torch {version}", "torch_is", {**fields, "torch_path": torch.path}))
    basis: Basis = "derived"
    for trial in s.packages.imports.maybe() or ():
        if "Disabling PyTorch because" in f"{trial.message}\n{trial.stderr}":
            clues.insert(0, Clue(s.packages.imports, trial.package, "disabled", {"package": trial.package}))
            basis = "observed"
            break
    severity: Severity = "error" if enforced else "warning"
    says = "disabled_by" if enforced else "below"
    treatment = Treatment("confirm", _cure_old(s, needs.minimum_torch, version, fields))
    return Fail(says, severity, basis, clues, fields, treatment, len(clues))


def _cure_old(s: Snapshot, least: str, version: str, fields: dict[str, Plain]) -> list[Step]:
    """A newer torch; or the newest transformers that accepts this one."""
    from ..knowledge.generations import oldest_transformers_beyond

    newer = newer_torch(s, least, told=version)
    beyond = oldest_transformers_beyond(version)
    older = Step(says="older_transformers", fields=fields)
    if beyond:
        older = Step(install_like(s, "transformers", f"<{beyond}"), "older_transformers", fields, network=True)
    return [newer, older] if newer else [Step(says="no_newer_torch"), older]


def _too_old_told(s: Snapshot, transformers: Distribution) -> Verdict:
    """The same by the table of published releases, where the transformers' own files were not seen."""
    version = torch_told(s)
    if version == "":
        return Skip("not_both")
    if version is None:
        return Unknown("two_torches", clues=[Clue(s.packages.torch_build), Clue(s.packages.distributions, "torch")])
    from ..knowledge.generations import torch_for_transformers

    row = torch_for_transformers(transformers.version)
    if row is None:
        return Unknown("no_row", {"transformers": transformers.version})
    minimum = row.enforced or row.declared
    fields: dict[str, Plain] = {"torch": version, "minimum": minimum, "transformers": transformers.version}
    fields |= {"source": row.source, "as_of": row.as_of.isoformat()}
    clues = [
        Clue(s.packages.distributions, f"transformers {transformers.version}", "row", fields),
        Clue(s.packages.distributions, f"torch {version}", "torch_said", fields),
    ]
    if not is_older(version, minimum):
        return Pass(1, clues[:1])
    says = "disabled_by" if row.enforced else "below"
    treatment = Treatment("confirm", _cure_old(s, minimum, version, fields))
    return Fail(says, "warning", "table", clues, fields, treatment, len(clues))


TORCH_TOO_OLD = Condition(
    id="torch-too-old-for-transformers",
    family="packages",
    title="transformers does not work with a PyTorch as old as the installed one",
    reads=("packages",),
    detect=_too_old,
    words={
        "not_both": "transformers and torch are not both installed",
        "no_minimum": "this transformers names no oldest torch",
        "no_row": "which torch transformers {transformers} asks for is in no table",
        "two_torches": "the text names two versions of torch, or one that is none",
        "row": "transformers {transformers} asks for torch {minimum} or newer ({source}, read {as_of})",
        "torch_said": "torch {torch} is installed",
        "minimum_is": "transformers {transformers} asks for torch {minimum} or newer: {path}",
        "torch_is": "torch {torch} is in {torch_path}",
        "disabled": "importing {package} said that PyTorch is being disabled",
        "disabled_by": "transformers {transformers} ignores torch {torch}: it needs {minimum} or newer, "
        "and will say that PyTorch was not found",
        "below": "transformers {transformers} was made for torch {minimum} or newer, but torch {torch} is installed",
        **NEWER_WORDS,
        "no_newer_torch": "no newer torch has wheels for this Python, machine and driver: look at those first",
        "older_transformers": "or, if this torch must stay, install an older transformers that accepts it",
    },
)

CONDITIONS: tuple[Condition, ...] = (TORCH_TOO_OLD,)
