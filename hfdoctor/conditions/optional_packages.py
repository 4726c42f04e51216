"""Packages that are not required of everybody, and are certainly needed here; and one that is there and unwanted."""

from __future__ import annotations

import re

from ..facts.snapshot import Snapshot
from .changes import VariableChange
from .closure import closure_of
from .install_steps import install
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Skip, Step, Treatment, Verdict
from .requirement_lines import fits, normalised
from .seen_stages import Seen, cause, failures
from .variable_steps import unset_variable

_NO_MODULE = r"No module named '(\w+)"
_REQUIRES_LIBRARY = (
    r"requires the (\S+) library but it was not found in your environment"
    r"|packages that were not found in your environment: ([\w-]+)"
    r"|\brequires `?([A-Za-z][\w-]*)(?:[<>=]=?[\w.]+)?`?"
)
#: module (lower case) -> the distribution that has it. A name that is not here may belong to anybody on the index:
#: then no command is given
DISTRIBUTION_OF = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "google": "protobuf",
    "pil": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
_SAME_NAME = (
    *("accelerate", "blobfile", "einops", "ftfy", "httpx", "jinja2", "librosa", "numba", "numpy", "pandas", "peft"),
    *("protobuf", "psutil", "requests", "sacremoses", "scipy", "sentencepiece", "setuptools", "six", "soundfile"),
    *("tiktoken", "timm", "tokenizers", "torchvision", "typer"),
)
DISTRIBUTION_OF.update({name: name for name in _SAME_NAME})

_TRUE = frozenset({"1", "ON", "YES", "TRUE"})


# -- missing-optional-dependency --------------------------------------------------------------------------------------


def _missing_optional(s: Snapshot, goal: Goal) -> Verdict:
    trials = [trial.package for trial in s.packages.imports.maybe() or ()]
    trials += [stage.key for stage in s.smoke.stages.maybe() or () if stage.outcome != "skip"]
    if not trials:
        return Skip("not_tried")
    installed = s.packages.installed()
    declared = {ask.name for ask in closure_of(s, goal.packages).asks}
    for seen in failures(s):
        module = _module_missed(seen)
        name = DISTRIBUTION_OF.get(module.lower(), normalised(module))
        # what a package declares as required is dependency-conflict's; what is there and not found, broken-install's
        if not module or name in declared or name in installed or normalised(seen.package) == name:
            continue
        if cause(s, seen) != "missing-optional-dependency":
            continue
        fields: dict[str, Plain] = {"doing": seen.doing, "module": module, "distribution": name}
        clue = Clue(seen.fact, seen.key, "seen", {**fields, "message": seen.line()})
        step = Step(install(s, [name]), "add", fields, network=True)
        if module.lower() not in DISTRIBUTION_OF and not seen.lacks:
            step = Step(says="find", fields=fields)
        return Fail("missing", seen.severity, "observed", [clue], fields, Treatment("confirm", [step]))
    return Pass(len(trials), [Clue(s.packages.imports if s.packages.imports.known else s.smoke.stages, trials)])


def _module_missed(seen: Seen) -> str:
    if seen.lacks:
        return seen.lacks
    match = re.search(_REQUIRES_LIBRARY, seen.words) or re.search(_NO_MODULE, seen.words)
    return next((name for name in match.groups() if name), "") if match else ""


# -- hf-transfer-missing ----------------------------------------------------------------------------------------------

HF_TRANSFER = "HF_HUB_ENABLE_HF_TRANSFER"


def _hf_transfer(s: Snapshot, goal: Goal) -> Verdict:
    value = s.settings.variable(HF_TRANSFER)
    if value is None or value.upper() not in _TRUE:
        return Skip("not_asked")
    installed = s.packages.installed()
    hub = installed.get("huggingface-hub")
    if hub is None:
        return Skip("no_hub")
    if "hf-transfer" in installed:
        return Pass(1, [Clue(s.packages.distributions, f"hf-transfer {installed['hf-transfer'].version}")])
    from ..knowledge.settings import changes_for, load_env_variables

    if changes_for(HF_TRANSFER, "huggingface-hub", hub.version):
        return Pass(1, [Clue(s.packages.distributions, hub.version, "ignored", {"version": hub.version})])
    # what lies between the last release that was seen to need it and the first that does not is not known
    rows = [row for row in load_env_variables() if row.name == HF_TRANSFER and row.library == "huggingface-hub"]
    if not any(fits(hub.version, f"<={row.before}") for row in rows):
        return Pass(1, [Clue(s.packages.distributions, hub.version, "ignored", {"version": hub.version})])
    fields: dict[str, Plain] = {"version": hub.version, "value": value, "variable": HF_TRANSFER}
    clues = [
        Clue(s.settings.variables, value, "is_set", fields),
        Clue(s.packages.distributions, f"huggingface-hub {hub.version}", "needs", fields),
    ]
    steps = [
        Step(install(s, ["hf_transfer"]), "add_transfer", network=True),
        unset_variable(HF_TRANSFER, "or_unset", **fields),
    ]
    return Fail("raises", "warning", "table", clues, fields, Treatment("confirm", steps), len(clues))


# -- keras3 -----------------------------------------------------------------------------------------------------------

#: the distributions in which transformers 4 looks for TensorFlow
TENSORFLOWS = (
    *("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tf-nightly", "tf-nightly-cpu", "tf-nightly-gpu"),
    *("tf-nightly-rocm", "intel-tensorflow", "intel-tensorflow-avx512", "tensorflow-rocm", "tensorflow-macos"),
    "tensorflow-aarch64",
)
#: the releases of transformers whose TensorFlow classes refuse Keras 3; the first and the last were read. They are
#: history: from 5.0 on there are no TensorFlow classes
REFUSES_KERAS_3 = ">=4.38,<5.0.dev0"


def _keras3(s: Snapshot, goal: Goal) -> Verdict:
    installed = s.packages.installed()
    transformers = installed.get("transformers")
    if transformers is None or fits(transformers.version, REFUSES_KERAS_3) is not True:
        return Skip("no_tf_classes")
    tensorflow = next((name for name in TENSORFLOWS if name in installed), None)
    if tensorflow is None or fits(installed[tensorflow].version, ">=2.0.dev0") is False:
        return Skip("no_tensorflow")
    keras = installed.get("keras") or installed.get("keras-nightly")
    if keras is None or fits(keras.version, ">=3.0.dev0") is not True:
        return Pass(1, [Clue(s.packages.distributions, f"keras {keras.version if keras else 'none'}")])
    if "tf-keras" in installed or "tf-keras-nightly" in installed:
        return Pass(1, [Clue(s.packages.distributions, "tf-keras")])
    use_tf, use_torch = (s.settings.variable(name) for name in ("USE_TF", "USE_TORCH"))
    if (use_tf is not None and use_tf.upper() not in (*_TRUE, "AUTO")) or (use_torch or "").upper() in _TRUE:
        return Pass(1, [Clue(s.settings.variables, f"USE_TF={use_tf}, USE_TORCH={use_torch}", "switched_off")])
    fields: dict[str, Plain] = {
        "keras": keras.version,
        "transformers": transformers.version,
        "tensorflow": f"{tensorflow} {installed[tensorflow].version}",
    }
    clues = [
        Clue(s.packages.distributions, f"keras {keras.version}", "keras_is", {**fields, "path": keras.path}),
        Clue(s.packages.distributions, fields["tensorflow"], "tensorflow_is", fields),
    ]
    # it asks for the distribution "tensorflow", and would bring that one beside another build
    flags = [] if tensorflow == "tensorflow" else ["--no-deps"]
    add = Step(install(s, ["tf-keras"], *flags), "add_tf_keras", network=True)
    steps = [add, Step(says="or_without", fields=fields, change=VariableChange("USE_TF", "0"))]
    for trial in s.packages.imports.maybe() or ():
        if "installed version of Keras is Keras 3" in f"{trial.message}\n{trial.stderr}":
            clues.insert(0, Clue(s.packages.imports, trial.package, "seen", {"package": trial.package}))
            return Fail("refuses", "error", "observed", clues, fields, Treatment("confirm", steps), len(clues))
    return Fail("refuses", "warning", "table", clues, fields, Treatment("confirm", steps), len(clues))


MISSING_OPTIONAL = Condition(
    id="missing-optional-dependency",
    family="packages",
    title="A package that is needed here is not installed, and no metadata asks for it",
    reads=("packages", "target", "smoke"),
    detect=_missing_optional,
    words={
        "not_tried": "what a program needs beyond the declared requirements shows only when it runs; "
        "--deep tries the imports",
        "missing": "{doing} fails: it needs {module}, which is not installed",
        "seen": "{doing} said: {message}",
        "add": "install {distribution}",
        "find": "find out which package has the module {module} (often one of that name) and install it",
    },
    # an import that fails in an environment of wrong or missing packages fails for that
    explained_by=("version-skew", "dependency-conflict", "broken-install"),
)

HF_TRANSFER_MISSING = Condition(
    id="hf-transfer-missing",
    family="packages",
    title="Fast downloads are switched on, but hf_transfer is not installed",
    reads=("settings", "packages"),
    detect=_hf_transfer,
    words={
        "not_asked": "HF_HUB_ENABLE_HF_TRANSFER is not set",
        "no_hub": "huggingface_hub is not installed",
        "ignored": "huggingface_hub {version} does without hf_transfer",
        "raises": "downloads fail: {variable} is set, and hf_transfer is not installed",
        "is_set": "{variable}={value}",
        "needs": "huggingface_hub {version} raises an error for each file then",
        "add_transfer": "install hf_transfer",
        "or_unset": "or remove the variable {variable}; downloads work without it",
    },
)

KERAS3 = Condition(
    id="keras3",
    family="packages",
    title="Keras 3 beside a transformers whose TensorFlow classes need Keras 2",
    reads=("packages", "settings"),
    detect=_keras3,
    words={
        "no_tf_classes": "no transformers is installed that has TensorFlow classes and refuses Keras 3",
        "no_tensorflow": "TensorFlow is not installed",
        "switched_off": "transformers is told to leave TensorFlow alone",
        "refuses": "transformers {transformers} refuses Keras {keras}: Trainer and the TensorFlow classes cannot be "
        "imported",
        "keras_is": "Keras {keras} is in {path}, and tf-keras is not installed",
        "tensorflow_is": "{tensorflow} is installed, so transformers loads its TensorFlow code too",
        "seen": "importing {package} said so",
        "add_tf_keras": "install tf-keras, which is Keras 2 under another name",
        "or_without": "or, if you do not need TensorFlow here, set the environment variable USE_TF=0",
    },
)

CONDITIONS: tuple[Condition, ...] = (KERAS3, HF_TRANSFER_MISSING, MISSING_OPTIONAL)
