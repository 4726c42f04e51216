"""Observes the settings: environment variables, pip's and uv's configuration, certificate bundles."""

from __future__ import annotations

from collections.abc import Mapping

from ..fact import Fact, known
from ..legible import legible
from ..observe import observe
from ..probe import Context
from ..redaction import is_secret, proxy_without_credentials, without_credentials
from ..sections.settings import Variable

#: variables that steer the libraries, the installers and the interpreter
PREFIXES = (
    *("HF_", "HUGGINGFACE_", "HUGGING_FACE_", "TRANSFORMERS_", "PYTORCH_", "TORCH_", "TORCHINDUCTOR_", "TOKENIZERS_"),
    *("SAFETENSORS_", "ACCELERATE_", "DIFFUSERS_", "KERAS_", "TF_CPP_", "TF_USE_", "TF_ENABLE_", "XLA_"),
    *("USE_TORCH", "USE_TF", "USE_FLAX", "CUDA_", "CUDNN_", "NCCL_", "NVIDIA_", "HIP_", "HSA_", "ROCM_", "ROCR_"),
    *("TRITON_", "OMP_", "KMP_", "MKL_", "GOMP_", "OPENBLAS_", "NUMEXPR_", "VECLIB_", "PYTHON", "PIP_", "UV_"),
    *("PIPX_", "PYENV_", "CONDA_", "MAMBA_", "XDG_", "LC_", "WSL_", "DYLD_", "ONEDRIVE"),
    # which GPUs a program may see, in the words of Intel, SYCL and AMD
    *("ZE_", "ONEAPI_", "SYCL_", "GPU_", "AMD_"),
)
NAMES = frozenset(
    {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "FTP_PROXY"}
    | {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    | {
        "TMP",
        "TEMP",
        "TMPDIR",
        "HOME",
        "USERPROFILE",
        "HOMEDRIVE",
        "HOMEPATH",
        "APPDATA",
        "LOCALAPPDATA",
        "PROGRAMDATA",
    }
    | {"PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "VIRTUAL_ENV", "LANG", "LANGUAGE", "TERM", "NO_COLOR", "CI"}
    | {"GITHUB_ACTIONS", "KUBERNETES_SERVICE_HOST", "CONTAINER", "SYSTEMROOT", "SYSTEMDRIVE", "PROCESSOR_ARCHITECTURE"}
)


def probe(ctx: Context) -> None:
    """Fill ``ctx.snapshot.settings``."""
    from . import certificates, installer_config

    section = ctx.snapshot.settings
    environ = ctx.request.environ
    observe(section, "variables", lambda: variables(environ), "environment")
    home = _home(environ)
    interpreter = ctx.snapshot.target.interpreter.maybe()
    prefix = interpreter.prefix if interpreter else ""
    cwd = str(ctx.request.cwd)
    observe(section, "pip_config", lambda: installer_config.pip_config(environ, home, prefix, cwd), "pip.conf")
    observe(section, "uv_config", lambda: installer_config.uv_config(environ, home, cwd), "uv.toml")
    # last, because a bundle may lie on a file system that does not answer
    configured = [entry for entry in section.pip_config.maybe() or [] if entry.name.partition(".")[2] == "cert"]
    observe(section, "certificates", lambda: certificates.certificates(environ, home, cwd, configured), "environment")


def variables(environ: Mapping[str, str]) -> Fact[list[Variable]]:
    """The variables that matter, by name. Secret values are counted, never kept; credentials in URLs are masked."""
    found = []
    for name in sorted(environ):
        upper = name.upper()
        if upper not in NAMES and not upper.startswith(PREFIXES):
            continue
        value = environ[name]
        if is_secret(name):
            found.append(Variable(name=legible(name), secret=True, length=len(value)))
        elif upper.endswith("_PROXY") and upper != "NO_PROXY":
            masked, unescaped = proxy_without_credentials(legible(value))
            found.append(Variable(name=legible(name), value=masked, unescaped=unescaped))
        else:
            found.append(Variable(name=legible(name), value=without_credentials(legible(value))))
    return known(found, "environment")


def _home(environ: Mapping[str, str]) -> str:
    """What ``~`` stands for; "" where nothing says."""
    from .machine import home

    try:
        return home(environ).maybe() or ""
    except Exception:  # a broken name service: the machine's own section gives the reason
        return ""
