"""What torch sees to compute on, and which of it a run is to use.

The questions about a device are those of ``--deep``: facts/inspect_torch.py, which runs inside the target as this does
and needs nothing of hfdoctor either, is loaded from its file. Asked in two places they would drift apart.
"""

from __future__ import annotations

import importlib.util
import os
import re
import warnings

from .teller import Refused, Skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .teller import Stage

#: kinds of devices, those that people mean first; torch calls AMD's cuda, too
KINDS = ("cuda", "xpu", "mps")
QUESTIONS = os.path.join(os.path.dirname(__file__), "..", "..", "facts", "inspect_torch.py")

_loaded: dict[str, Any] = {}


def questions() -> Any:
    """The module of ``--deep`` that asks torch."""
    if "module" not in _loaded:
        spec = importlib.util.spec_from_file_location("hfdoctor_smoke.inspect_torch", os.path.abspath(QUESTIONS))
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        _loaded["module"] = module
    return _loaded["module"]


class Asker:
    """Has one question after the other answered; what is said besides is kept in ``messages``.

    It stands in for the Teller of inspect_torch.py, which has a process, a watchdog and a pipe of its own.
    """

    def __init__(self) -> None:
        self.messages: list[str] = []

    def stage(self, name: str, ask: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Have ``ask`` fill the answers; warnings and an exception become messages."""
        answers: dict[str, Any] = {}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                ask(answers)
            except Exception as error:
                self._note(f"{name}: {type(error).__name__}: {error}")
        for warning in caught:
            if not issubclass(warning.category, questions().QUIET):
                self._note(f"{name}: {warning.category.__name__}: {warning.message}")
        return answers

    def _note(self, text: str) -> None:
        line = questions().one_line(text)
        if line not in self.messages:
            self.messages.append(line)


class Sight:
    """What torch sees: ``available`` by kind (None where it gave no answer), its devices by name."""

    def __init__(self, torch: Any) -> None:
        ask, asker = questions(), Asker()
        places = {"cuda": torch, "mps": torch.backends, "xpu": torch}
        self.available = {kind: ask.ask_available(asker, kind, getattr(places[kind], kind, None)) for kind in KINDS}
        for_nvidia, for_amd = getattr(torch.version, "cuda", None), getattr(torch.version, "hip", None)
        if self.available["cuda"] is False and (for_nvidia or for_amd):
            asker.stage("cuda.init", lambda answers: answers.update(init=torch.cuda.init()))  # it says why it cannot
        found = asker.stage("architectures", lambda answers: answers.update(listed=ask.architectures(torch)))
        self.architectures: list[str] = found.get("listed", [])
        self.cudnn = ""
        if for_nvidia:  # of a HIP build this would be the version of MIOpen
            found = asker.stage("cudnn", lambda answers: answers.update(version=ask.cudnn_version(torch)))
            self.cudnn = found.get("version", "")
        self.devices: dict[str, dict[str, Any]] = {}
        for kind in KINDS:
            for device in ask.ask_devices(asker, torch, kind) if self.available[kind] else []:
                self.devices[named(kind, device["index"])] = device
        self.messages = asker.messages

    def tell(self, stage: Stage) -> None:
        """Note everything as facts; smoke/torch_word.py reads them."""
        for kind in KINDS:
            stage.fact(kind, self.available[kind])
        stage.fact("arch_list", " ".join(self.architectures))
        stage.fact("cudnn", self.cudnn)
        stage.fact("seen", " ".join(self.devices))
        for name, device in self.devices.items():
            for what in ("name", "capability", "memory"):
                stage.fact(f"{name} {what}", device.get(what))
        for number, message in enumerate(self.messages):
            stage.fact(f"message {number}", message)

    def of(self, kind: str) -> list[str]:
        """The names of the devices of a kind."""
        return [name for name, device in self.devices.items() if device["kind"] == kind]

    def in_words(self) -> str:
        """The devices with their names, for a person."""
        words = [f"{name} ({device['name']})" for name, device in self.devices.items()]
        if len(words) > 1:
            words[-2:] = [f"{words[-2]} and {words[-1]}"]
        return ", ".join(words) or "no GPU"


def named(kind: str, index: int) -> str:
    """What a device is called: ``cuda:1``. Of Apple's there is one."""
    return kind if kind == "mps" else f"{kind}:{index}"


def meant(asked: str, sight: Sight, torch: Any) -> list[str]:
    """The devices that ``asked`` (``--device``) stands for.

    Raises Skip where there is nothing for ``auto``, Refused for a device that does not exist, and torch's own
    exception where it sees nothing of the kind that was asked for.
    """
    if asked == "cpu":
        return ["cpu"]
    if asked == "all":
        return ["cpu", *sight.devices]
    if asked == "auto":
        best = next((kind for kind in KINDS if sight.of(kind)), None)
        if best is not None:
            return sight.of(best)
        unsure = [message for kind in KINDS if sight.available[kind] is None for message in sight.messages]
        raise Skip(f"torch could not say whether there is a GPU ({unsure[0]})" if unsure else "torch sees no GPU")
    match = re.match(r"(cuda|xpu|mps)(?::(\d+))?$", asked)
    if not match:
        raise Refused(f"{asked} names no device that this run knows: torch sees {sight.in_words()}")
    kind, index = match.groups()
    if not sight.of(kind):
        raise_why(kind, torch)
    if index is None:
        return sight.of(kind)
    name = named(kind, int(index))
    if name not in sight.devices or (kind == "mps" and int(index)):
        raise Refused(f"{asked} does not exist: torch sees {sight.in_words()}")
    return [name]


def raise_why(kind: str, torch: Any) -> None:
    """Raise what torch says when something is put on a device of a kind that it sees none of."""
    torch.zeros(1, device=kind)
    raise RuntimeError(f"torch.{'backends.' if kind == 'mps' else ''}{kind}.is_available() is False")
