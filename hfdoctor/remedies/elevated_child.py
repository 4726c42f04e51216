"""Runs with an administrator's rights: sets the registry values of one plan, and accepts nothing else.

It is started as ``python -I -S -B elevated_child.py PLAN SHA256`` and uses the standard library alone, so that neither
the current folder nor PYTHONPATH, site-packages, ``.pth`` files or the folders of a virtual environment have a say in
what it runs. It believes neither the plan's place nor its sender: the hash on its command line is what Windows showed
the person who was asked, the file is read once, and only values of the short list below are ever touched.

What this cannot keep out: whoever can already write the person's own Python or hfdoctor's files can wait for an
elevation. That holds for every program that a person installs in their own folder.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

FORMAT = "hfdoctor.elevated/1"
#: seconds; a person may have been away while Windows asked
MAX_AGE_S = 600
#: values in one plan
MAX_VALUES = 32
#: bytes of one value
MAX_DATA = 32 * 1024

#: exit codes: all done; the plan is not accepted, a value is not as it was recorded (nothing was changed in both
#: cases); a value could not be changed (and all were put back); some could not be put back
DONE, NOT_ACCEPTED, NOT_AS_RECORDED, NOT_WRITTEN, NOT_PUT_BACK = 0, 2, 3, 4, 5

VARIABLES = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
#: switches that are on or off
SWITCHES = (
    (r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem", "LongPathsEnabled"),
    (r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\AppModelUnlock", "AllowDevelopmentWithoutDevLicense"),
)
#: variables of the computer that may be taken away (and put back): those that the libraries and their tools read
PREFIXES = (
    "ACCELERATE_",
    "BITSANDBYTES_",
    "CONDA_",
    "CUBLAS_",
    "CUDA_",
    "CUDNN_",
    "DATASETS_",
    "DIFFUSERS_",
    "HF_",
    "HIP_",
    "HSA_",
    "HUGGING",
    "JAX_",
    "KERAS_",
    "KMP_",
    "MKL_",
    "NCCL_",
    "NUMEXPR_",
    "NVIDIA_",
    "OMP_",
    "OPENBLAS_",
    "PIP_",
    "PYTHON",
    "PYTORCH_",
    "ROCM_",
    "ROCR_",
    "SAFETENSORS_",
    "TF_",
    "TOKENIZERS_",
    "TORCH",
    "TRANSFORMERS_",
    "TRITON_",
    "USE_",
    "UV_",
    "XDG_",
    "XLA_",
)
NAMES = (
    "ALL_PROXY",
    "CURL_CA_BUNDLE",
    "FTP_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
)

Raw = tuple[int, bytes]


class NotAccepted(Exception):
    """The plan is not one that the child carries out; says why."""


class Value(NamedTuple):
    """One value of a plan: what it is now, what it shall be, and the keys that go with it when it goes."""

    key: str
    name: str
    now: Raw | None
    then: Raw | None
    made: tuple[str, ...]


class Plan(NamedTuple):
    """A plan that was accepted. ``force``: whatever the values are now."""

    values: list[Value]
    undo: bool
    force: bool
    owner: str


def may_be_changed(key: str, name: str) -> bool:
    """Whether the value is one of those that an elevated child touches."""
    place = (key.casefold(), name.casefold())
    if any(place == (one.casefold(), other.casefold()) for one, other in SWITCHES):
        return True
    upper = name.upper()
    plain = upper.isascii() and upper.replace("_", "").isalnum()
    return key.casefold() == VARIABLES.casefold() and plain and (upper.startswith(PREFIXES) or upper in NAMES)


def accepted(data: bytes, sha256: str, nonce: str, owner: str, now_s: float) -> Plan:
    """The plan in ``data`` if its bytes, name, owner and age are right. Raises NotAccepted."""
    if not hmac.compare_digest(hashlib.sha256(data).hexdigest(), sha256):
        raise NotAccepted("the plan is not the one that was asked for")
    try:
        plan = json.loads(data)
    except (ValueError, RecursionError):
        raise NotAccepted("the plan is not JSON") from None
    if not isinstance(plan, dict) or plan.get("format") != FORMAT:
        raise NotAccepted("the plan is of another version")
    if set(plan) != {"format", "nonce", "made", "owner", "direction", "force", "values"}:
        raise NotAccepted("the plan says more or less than it may")
    if not nonce or plan["nonce"] != nonce:
        raise NotAccepted("the plan lies under another name")
    if not owner or plan["owner"] != owner:
        raise NotAccepted("the plan belongs to somebody else")
    made = plan["made"]
    if not isinstance(made, float) or not -60 <= now_s - made <= MAX_AGE_S:
        raise NotAccepted("the plan is too old")
    if plan["direction"] not in ("apply", "undo") or not isinstance(plan["force"], bool):
        raise NotAccepted("the plan has no direction")
    values = plan["values"]
    if not isinstance(values, list) or not 0 < len(values) <= MAX_VALUES:
        raise NotAccepted("the plan has no values")
    undo = plan["direction"] == "undo"
    found = [_value(value, undo) for value in values]
    if len({(value.key.casefold(), value.name.casefold()) for value in found}) != len(found):
        raise NotAccepted("the plan names a value twice")
    return Plan(found, undo, plan["force"], owner)


def _value(told: Any, undo: bool) -> Value:
    if not isinstance(told, dict) or set(told) != {"kind", "key", "name", "old", "new", "made"}:
        raise NotAccepted("a value says more or less than it may")
    key, name, made = told["key"], told["name"], told["made"]
    if told["kind"] != "registry" or not isinstance(key, str) or not isinstance(name, str):
        raise NotAccepted("the plan holds something else than registry values")
    if not may_be_changed(key, name):
        raise NotAccepted(f"{key} {name} is not on the list")
    old, new = _raw(told["old"]), _raw(told["new"])
    above = key.split("\\")
    keys = ["\\".join(above[: count + 1]) for count in range(1, len(above))]
    if not isinstance(made, list) or any(one not in keys for one in made):
        raise NotAccepted("the plan names keys that are not above its value")
    if key.casefold() == VARIABLES.casefold():
        if new is not None:
            raise NotAccepted("variables of the computer are only taken away")
    elif new not in (None, (4, b"\0\0\0\0"), (4, b"\1\0\0\0")):
        raise NotAccepted("a switch is on or off")
    return Value(key, name, new if undo else old, old if undo else new, tuple(made))


def _raw(told: Any) -> Raw | None:
    if told is None:
        return None
    if not isinstance(told, dict) or set(told) != {"type", "data"}:
        raise NotAccepted("a value has no bytes")
    kind, data = told["type"], told["data"]
    if isinstance(kind, bool) or not isinstance(kind, int) or not 0 <= kind <= 0xFFFFFFFF or not isinstance(data, str):
        raise NotAccepted("a value has no bytes")
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise NotAccepted("a value has no bytes") from None
    if len(raw) > MAX_DATA:
        raise NotAccepted("a value is too large")
    return kind, raw


def carry_out(plan: Plan, registry: Any) -> int:
    """Change all values or none; an exit code. ``registry`` is the module raw_registry."""
    before = [registry.read(value.key, value.name) for value in plan.values]
    if not plan.force and any(
        found not in (value.now, value.then) for found, value in zip(before, plan.values, strict=True)
    ):
        return NOT_AS_RECORDED
    changed: list[tuple[Value, Raw | None]] = []
    try:
        for value, found in zip(plan.values, before, strict=True):
            changed.append((value, found))
            if found != value.then:
                registry.put(value.key, value.name, value.then)
            if plan.undo:
                _clear(value, registry)
            if registry.read(value.key, value.name) != value.then:
                raise OSError("it did not hold")
    except OSError:
        return _put_back(changed, plan.undo, registry)
    return DONE


def _put_back(changed: list[tuple[Value, Raw | None]], undo: bool, registry: Any) -> int:
    code = NOT_WRITTEN
    for value, found in reversed(changed):
        try:
            if registry.read(value.key, value.name) != found:
                registry.put(value.key, value.name, found)
            if not undo:
                _clear(value, registry)
        except OSError:
            code = NOT_PUT_BACK
    return code


def _clear(value: Value, registry: Any) -> None:
    for key in reversed(value.made):
        registry.remove_if_empty(key)


def _beside(name: str) -> Any:
    """The module of that name in the folder of this file, whatever ``sys.path`` is."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(f"_hfdoctor_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(words: list[str]) -> int:
    """Carry out the plan that the command line names; the answer is an exit code, and nothing is written."""
    if len(words) != 2:
        return NOT_ACCEPTED
    path, sha256 = words
    registry, plan_file = _beside("raw_registry"), _beside("plan_file")
    # a file of this computer, by its full name: neither a share nor a device
    if len(path) < 4 or not path[0].isalpha() or path[1:3] != ":\\" or ".." in path.split("\\"):
        return NOT_ACCEPTED
    try:
        data, owner = plan_file.read_once(path)
        plan = accepted(data, sha256, Path(path).stem.rpartition("-")[2], owner, time.time())
    except (NotAccepted, plan_file.NotOurs, OSError) as reason:
        print(f"hfdoctor: {reason}", file=sys.stderr)
        return NOT_ACCEPTED
    try:
        return carry_out(plan, registry)
    except OSError as error:
        print(f"hfdoctor: {error}", file=sys.stderr)
        return NOT_WRITTEN


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
