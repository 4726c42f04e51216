"""Lines that torch and its users' terminals print: warnings about drivers and GPUs, answers at Python's prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .fields import Field
from .gpu_names import device
from .notes import Notes, PackageList
from .systems import read_os

WHO = "torch's own messages"
_PROMPT = "the Python prompt"
_HAND = "a line of the text"

_ARCHES = re.compile(r"supports CUDA capabilities ((?:(?:sm|compute)_\d{2,3}[af]?[ ,]{0,2}){1,60})\.")
_UNFIT = re.compile(r"(\S.{1,80}?) with CUDA capability sm_(\d{2,3}) is not compatible with the current PyTorch")
_FOUND = re.compile(
    r"Found GPU\s?(\d{1,2}) (\S.{1,80}?) which is of (?:cuda|compute) capability (?:\(CC\) )?(\d{1,2}\.\d)", re.I
)
_TOO_OLD = re.compile(r"driver on your system is too old \(found version (\d{4,6})\)")
#: part of a line -> kept as a message of torch
_KEPT = (
    "Found no NVIDIA driver on your system",
    "driver on your system is too old",
    "is not compatible with the current PyTorch installation",
    "The current PyTorch install supports CUDA capabilities",
    "no kernel image is available",
    "Torch not compiled with CUDA enabled",
    "No CUDA GPUs are available",
    "CUDA driver version is insufficient",
    "CUDA initialization:",
    "CUDA unknown error",
    "forward compatibility was attempted",
    "system not yet initialized",
    "Can't initialize NVML",
    "cuda capability supported by this version of PyTorch",
    "cuda capability supported by this library",
    "CUDA-capable device(s) is/are busy",
    "no CUDA-capable device is detected",
    "device kernel image is invalid",
    "PTX was compiled with an unsupported toolchain",
    "undefined symbol: __nvJitLink",
    "Could not load library libcudnn",
    "cannot open shared object file",
    "cuDNN error",
    "HIP error",
    "Torch not compiled with",
    "which is of cuda capability",
    "which is of compute capability",
)
#: no message is without one of these
_WORTH = re.compile(
    r"CUDA|NVIDIA|NumPy|_ARRAY_API|PyTorch|NVML|cuDNN|HIP|PTX|capability|libcudnn|nvJitLink|shared object|device kernel"
)
_CALL = re.compile(r"(?:print\()?(torch\.[\w.]{1,60}(?:\([^()]{0,20}\))?)\)?\s*\Z")
_NUMPY = re.compile(r"compiled using NumPy 1\.x cannot be run in NumPy (\d+\.\d+(?:\.\d+)?)")
_PATH = re.compile(r"[/\\](?:lib|Lib|site-packages|dist-packages)[/\\]")
_PYTHON_IN_PATH = re.compile(r"[/\\]python(\d\.\d{1,2})[/\\](?:site|dist)-packages[/\\]")
_WINDOWS_PATH = re.compile(r"(?:^|[\s\"'(])[A-Za-z]:\\[^\\/:*?\"<>|\s][^/:*?\"<>|]{0,200}\\")
_VERSION = r"v?(\d{1,2}\.\d{1,2}(?:\.\d{1,2})?[\w.+-]{0,40})"
_TORCH_BY_HAND = re.compile(
    rf"(?:pytorch|torch|torch\.__version__)\s*(?:version)?\s*(?:is|:|=|-|==)?\s*['\"(]?{_VERSION}"
    rf"|\bversion (?:of )?(?:py)?torch (?:is|:|=)\s*{_VERSION}",
    re.I,
)
_CUDA_BY_HAND = re.compile(
    r"(?:pytorch |torch )?cuda(?: version)?\s*(?:is|:|=|-)?\s*v?(\d{1,2}\.\d)(?:\.\d+)?\s*\Z", re.I
)
_OS_BY_HAND = re.compile(
    r"(?:Windows (?:8|10|11|Server \d{4})|Ubuntu \d\d\.\d\d|Debian \d\d|macOS \d\d)[\w .()]{0,30}", re.I
)
_PACKAGE_BY_HAND = re.compile(
    rf"(torchvision|torchaudio|transformers|numpy|triton|xformers|accelerate|tokenizers|diffusers|bitsandbytes|vllm)"
    rf"\s*(?:version)?\s*(?:is|:|=|-)?\s*{_VERSION}\s*\Z",
    re.I,
)


def read(lines: Sequence[Field], notes: Notes) -> None:
    """Read what torch said, then what stands at a prompt, then what was typed by hand."""
    seen: set[str] = set()
    for number, field in enumerate(lines):
        # a log repeats a warning at every step
        if len(field.line) > 12 and _WORTH.search(field.line) and field.line not in seen and len(seen) < 2_000:
            seen.add(field.line)
            _message(lines, number, notes)
    _prompt(lines, notes)
    _command(lines, notes)
    _paths(lines, notes)
    _by_hand(lines, notes)


def _message(lines: Sequence[Field], number: int, notes: Notes) -> None:
    line = lines[number].line
    if "NumPy" in line or "_ARRAY_API" in line:
        _numpy(lines, number, notes)
    text = _whole(lines, number)
    # what begins on a later line is read when that one's turn comes
    kept = min((at for at in map(text.find, _KEPT) if at >= 0), default=-1)
    unfit = _UNFIT.search(text)
    if not 0 <= kept < len(line) and not (unfit and unfit.start() < len(line)):
        return
    notes.format(WHO)
    notes.message(re.sub(r"^\S{1,300}:\d+: UserWarning: ", "", text.strip()))
    old = _TOO_OLD.search(text)
    if old:
        found = int(old[1])
        notes.say("driver_cuda", f"{found // 1000}.{found % 1000 // 10}", WHO)
        notes.say("driver_there", True, WHO)
    if "Found no NVIDIA driver on your system" in text:
        notes.say("driver_there", False, WHO)
    arches = _ARCHES.search(text)
    if arches:
        notes.say("arch_list", tuple(arches[1].replace(",", " ").split()), WHO)
    for match, (name, digits_at) in ((unfit, (1, 2)), (_FOUND.search(text), (2, 3))):
        if match is None or match.start() >= len(line):
            continue
        digits = match[digits_at]
        capability = digits if "." in digits else f"{int(digits[:-1])}.{digits[-1]}"
        one = device(re.sub(r"^.*UserWarning: |^[-*\u2022] ", "", match[name]))
        if one:
            notes.capabilities[one.name] = capability
            one.capability = capability
            notes.list_devices(WHO, [one], whole=False)


def _whole(lines: Sequence[Field], number: int) -> str:
    """A message with the lines that it goes on in, by itself or broken by a mail program."""
    text = lines[number].line
    for after in lines[number + 1 : number + 5]:
        more = after.line.strip()
        if not more or "File " in more or more.startswith(("[", "|", "+", ">>>", "$")) or len(text) > 600:
            break
        if after.key and ":" in more and "capabilit" not in more.lower() and "http" not in more:
            break
        text += " " + more
    return text


def _numpy(lines: Sequence[Field], number: int, notes: Notes) -> None:
    """NumPy's message that a module of its first generation was loaded with the second."""
    text = " ".join(field.line.strip() for field in lines[number : number + 3])
    match = _NUMPY.search(text)
    if match is None and "_ARRAY_API not found" not in text:
        return
    notes.format("NumPy's own messages")
    if match:
        notes.lists.append(PackageList("NumPy's own messages", {"numpy": (match[1], "pip")}))
    whole = "\n".join(field.line for field in lines[max(0, number - 40) : number + 60])
    # the module that was being loaded: torch, where its own files or functions stand in the trace
    if re.search(r"[/\\]torch[/\\]__init__\.py|\btorch\.\w+\(|import torch\b|from torch", whole):
        notes.say("numpy_trial", " ".join(text.split())[:300], "NumPy's own messages", weak=True)


def _prompt(lines: Sequence[Field], notes: Notes) -> None:
    """``>>> torch.__version__`` and the answer below it, or several calls and several answers."""
    for number, field in enumerate(lines[:-1]):
        line = field.line.strip()
        if not line.startswith((">>>", "In [")):
            continue
        call = _CALL.match(re.sub(r"^(?:>>> ?|In \[\d{1,4}\]: ?)", "", line))
        answer = re.sub(r"^Out\[\d{1,4}\]: ?", "", lines[number + 1].line.strip())
        if call is None or answer.startswith((">>>", "In [", "Traceback")):
            continue
        name = call[1].partition("(")[0]
        if _answer(name, answer.strip("'\""), notes):
            notes.format("answers at Python's prompt")


def _answer(name: str, plain: str, notes: Notes) -> bool:
    """Say what ``plain`` is the answer to; False if it is none."""
    if name == "torch.__version__" and re.fullmatch(_VERSION, plain):
        notes.say("torch", plain, _PROMPT)
    elif name == "torch.version.cuda" and re.fullmatch(r"\d{1,2}\.\d{1,2}|None", plain):
        notes.say("cuda_build", "" if plain == "None" else plain, _PROMPT)
    elif name == "torch.version.hip" and plain[:1].isdigit():
        notes.say("hip_build", plain.split()[0], _PROMPT)
    elif name in ("torch.cuda.is_available", "torch.backends.mps.is_available") and plain in ("True", "False"):
        notes.say("cuda" if "cuda" in name else "mps", plain == "True", _PROMPT)
    elif name == "torch.cuda.get_arch_list" and plain.startswith("[") and plain.endswith("]"):
        notes.say("arch_list", tuple(re.findall(r"(?:sm|compute)_\d{2,3}[af]?|gfx[0-9a-f]{3,5}", plain)), _PROMPT)
    elif name == "torch.cuda.get_device_name":
        one = device(plain)
        if one is None:
            return False
        notes.list_devices(_PROMPT, [one], whole=False)
    else:
        return False
    return True


_CALLS = re.compile(
    r"torch\.(__version__|version\.cuda|version\.hip|cuda\.is_available\(\)|cuda\.get_device_name\(\d?\)"
    r"|cuda\.get_arch_list\(\)|backends\.mps\.is_available\(\))"
)


def _command(lines: Sequence[Field], notes: Notes) -> None:
    """``python -c "import torch; print(torch.__version__, ...)"`` and what it printed below."""
    for number, field in enumerate(lines[:-1]):
        line = field.line
        if " -c " not in line or "torch" not in line or "python" not in line or "print" not in line:
            continue
        calls = _CALLS.findall(line)
        answers: list[str] = []
        for after in lines[number + 1 : number + 1 + len(calls)]:
            text = after.line.strip()
            if not text or text.startswith(("$", "#", ">>>", "PS ", "C:\\", "Traceback")):
                break
            answers.append(text)
        if len(calls) > 1 and answers and (len(answers) < len(calls) or len(answers[0].split()) == len(calls)):
            answers = answers[0].split() if len(answers[0].split()) == len(calls) else []
        if not calls or len(answers) != len(calls):
            continue
        for call, answer in zip(calls, answers, strict=True):
            if _answer(f"torch.{call.partition('(')[0]}", answer.strip("'\",()"), notes):
                notes.format("answers at Python's prompt")


def _paths(lines: Sequence[Field], notes: Notes) -> None:
    """Which Python and which system a trace's own paths belong to: hints only."""
    versions: set[str] = set()
    windows = False
    for field in lines[:20_000]:
        line = field.line
        if len(line) > 1000 or ("/" not in line and "\\" not in line):
            continue
        match = _PYTHON_IN_PATH.search(line)
        if match and field.key not in ("cudnn version",) and "LD_LIBRARY" not in line:
            versions.add(match[1])
        windows = (
            windows
            or (_WINDOWS_PATH.search(line) is not None and _PATH.search(line) is not None)
            or (line.lstrip().startswith('File "') and _WINDOWS_PATH.search(line) is not None)
        )
    if len(versions) == 1:
        notes.say("python", versions.pop(), "a path in the text", weak=True)
    if windows:
        notes.say("system", "windows", "a path in the text", weak=True)


def _by_hand(lines: Sequence[Field], notes: Notes) -> None:
    """``PyTorch 2.4.0``, ``the version torch is 2.0.1``, ``cuda is 11.8``: a person's own words.

    A bare CUDA version is torch's only where it stands beside torch's own; it may as well be the toolkit's.
    """
    entries: dict[str, tuple[str, str]] = {}
    at = -9
    for number, field in enumerate(lines[:20_000]):
        text = field.line.strip().lstrip("-*\u2022 ").replace("`", "").replace("**", "")
        if not text or len(text) > 120 or "==" in text or "[" in text:
            continue
        torch = _TORCH_BY_HAND.match(text) or (_TORCH_BY_HAND.search(text) if "version" in text.lower() else None)
        if torch and "/" not in text and "\\" not in text and "used to build" not in text:
            version = (torch[1] or torch[2]).rstrip(".,;)")
            if not text[torch.end() :].strip(" .,;)'\"").startswith(("or", "and", "+", ">", "is required")):
                notes.say("torch", version, _HAND, weak="torch" in notes.claims)
                at = number
                notes.format("a list of versions")
            continue
        if "os" not in notes.claims and _OS_BY_HAND.fullmatch(text):
            read_os(text, _HAND, notes)
            continue
        cuda = _CUDA_BY_HAND.match(text)
        if cuda and number - at <= 2:
            notes.say("cuda_build", cuda[1], _HAND, weak=True)
            continue
        package = _PACKAGE_BY_HAND.match(text)
        if package:
            entries.setdefault(package[1].lower(), (package[2], "pip"))
    if entries:
        if "torch" in notes.claims or len(entries) > 1:
            notes.format("a list of versions")
        notes.lists.append(PackageList(_HAND, entries))
