"""What can go wrong on the way to the hub, staged against the server on loopback: one case each, all at once.

Each case is a whole run of the stage ``hub`` in a process of the target interpreter; only the loading of the model
is left out, which takes torch (``framework`` is one that the stage does not load).
"""

from __future__ import annotations

import base64
import datetime
import os
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from hfdoctor.facts.sections.smoke import StageRun
from hfdoctor.smoke.plan import Ask, Step, hub_examples
from hfdoctor.smoke.run import TINY, Run

from .hub_server import Fault, Hub, Proxy, folder_files

EXAMPLES = hub_examples()
MODEL, DATASET, FILE = EXAMPLES["model"], EXAMPLES["dataset"], EXAMPLES["dataset_file"]
ROWS = b'id,review,star\n1,"good, says Ana",5\n2,"it is \xec\xa2\x8b\xeb\x8b\xa4",5\n3,so,3\n4,bad,1\n'
#: a token in the form of the hub's, one in another form, a password of a proxy
TOKEN, OTHER_TOKEN, PASSWORD = "hf_" + "Xy7" * 11, "corp/Key+of=Ana.42", "p4ss-Wort"
WEIGHTS = "model.safetensors"


def repositories() -> dict[str, dict[str, dict[str, bytes]]]:
    """Our own tiny decoder under the name of the public model, and a few rows under that of the public data set."""
    files = folder_files(Path(TINY) / "decoder")
    return {"models": {MODEL: files}, "datasets": {DATASET: {FILE: ROWS, "README.md": b"# rows\n"}}}


def clean_environment(home: Path) -> dict[str, str]:
    """The environment without anything that sends connections elsewhere."""
    prefixes = ("HF_", "HUGGING", "TRANSFORMERS_", "SSL_", "REQUESTS_", "CURL_", "XDG_", "PYTHON")
    kept = {n: v for n, v in os.environ.items() if not n.startswith(prefixes) and not n.lower().endswith("_proxy")}
    return {**kept, "HOME": str(home), "USERPROFILE": str(home)}


def run_stage(
    python: str,
    home: Path,
    environ: dict[str, str],
    *,
    framework: str = "jax",
    deadline_s: float = 90.0,
    model: str = "",
) -> StageRun:
    """The stage ``hub`` alone, in a child of ``python``."""
    run = Run(Ask(online=True, framework=framework, hub_model=model), python, environ, str(home))
    run._waiting = [Step("hub", deadline_s)]
    return run.go(time.monotonic() + deadline_s + 30)[0]


@dataclass
class Case:
    """One way to fail, or not to."""

    name: str
    faults: list[Fault] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    proxy: Proxy | None = None
    #: names in the environment that get the proxy's address, with ``login@`` before it
    proxies: tuple[str, ...] = ("HTTP_PROXY", "HTTPS_PROXY")
    login: str = ""
    model: str = ""
    deadline_s: float = 90.0
    change: Callable[[Hub], object] = lambda hub: None
    #: the names in the server's certificate, from an authority made for this case; () for no TLS
    names: tuple[str, ...] = ()
    expired: bool = False
    #: variables that name the authority's certificate
    trusted_by: tuple[str, ...] = ()


@dataclass
class Outcome:
    """How a case went, with what server and proxy saw of it."""

    stage: StageRun
    log: list[str]
    authorised: list[str]
    carried: list[str]
    seconds: float
    #: files in the person's home afterwards
    left: list[str]


def status(code: int, head: dict[str, str] | None = None, body: bytes = b"", path: str = "resolve") -> list[Fault]:
    """Every request to ``path`` is answered with this status."""
    return [Fault(path, status=code, headers=head or {}, body=body)]


def cases() -> list[Case]:
    """All of them; those that wait longest come first."""
    answer = {"X-Error-Code": "GatedRepo", "X-Error-Message": f"Access to model {MODEL} is restricted."}
    login = "Basic " + base64.b64encode(f"ana:{PASSWORD}".encode()).decode()
    said = f"I know your token: Bearer {TOKEN} {OTHER_TOKEN}".encode()
    copies = {"HF_HUB_DISABLE_SYMLINKS": "1"}
    bundles, here = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), ("localhost", "127.0.0.1")
    short = {"HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_ETAG_TIMEOUT": "1"}
    return [
        Case("503", status(503)),
        Case("refused", environ={"HF_ENDPOINT": "http://localhost:9"}),
        Case("no-name", environ={"HF_ENDPOINT": "http://no-such-hub.invalid"}),
        Case("proxy-dead", environ={"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}),
        Case("tls-untrusted", names=here),
        Case("tls-wrong-name", names=("other.example",), trusted_by=bundles),
        Case("tls-expired", names=here, expired=True, trusted_by=bundles),
        Case("tls-no-bundle", names=here, environ=dict.fromkeys(bundles, "/etc/ssl/of-the-last-job.pem")),
        Case("stall-at-first", [Fault("resolve", stall=0)], short, deadline_s=8.0),
        Case("stall", [Fault("/lfs/", stall=3000)], short),
        Case("cut-always", [Fault("/lfs/", method="GET", cut=0)]),
        Case("429", status(429, {"Retry-After": "0"})),
        Case("429-long", status(429, {"Retry-After": "600"}), deadline_s=8.0),
        Case("plain"),
        Case("no-links", environ=copies),
        Case("no-links-no-lists", environ=copies, change=silent),
        Case("flip-no-links", [Fault("/lfs/", method="GET", flip=2000)], copies),
        Case("no-lists", change=silent),
        Case("cut", [Fault("/lfs/", method="GET", times=1, cut=5000)]),
        Case("flip-large", [Fault("/lfs/", method="GET", times=1, flip=2000)]),
        Case("flip-small", [Fault("tokenizer_config.json", method="GET", flip=30)]),
        Case("flip-rows", [Fault(FILE, method="GET", flip=30)]),
        Case("401", status(401, {"X-Error-Message": "Invalid credentials in Authorization header"}, said),
             {"HF_TOKEN": TOKEN}),
        Case("401-other-token", status(401, {"X-Error-Message": "Invalid credentials in Authorization header"}, said),
             {"HF_TOKEN": OTHER_TOKEN}),
        Case("403-gated", status(403, answer), {"HF_TOKEN": TOKEN}),
        Case("403-firewall", status(403, {}, b"<html>This page is blocked by Corp Web Guard</html>")),
        Case("404", model="nobody/nothing-of-this-name"),
        Case("404-with-token", model="nobody/nothing-of-this-name", environ={"HF_TOKEN": TOKEN}),
        Case("404-dataset", change=lambda hub: hub.repositories["datasets"].clear()),
        Case("not-a-hub", status(200, {}, b"<html>Please log in</html>")),
        Case("offline", environ={"HF_HUB_OFFLINE": "1"}),
        Case("proxy", proxy=Proxy()),
        Case("tls", names=here, trusted_by=bundles),
        Case("tls-proxy", names=here, trusted_by=bundles, proxy=Proxy()),
        Case("tls-407", names=here, trusted_by=bundles, proxy=Proxy(login=login), login="ana:wrong-wort@"),
        Case("tls-proxy-403", names=here, trusted_by=bundles, proxy=Proxy(refuses=True)),
        Case("proxy-bypassed", proxy=Proxy(), environ={"NO_PROXY": "localhost,127.0.0.1"}),
        Case("proxy-login", proxy=Proxy(login=login), login=f"ana:{PASSWORD}@"),
        Case("407", proxy=Proxy(login=login), login="ana:wrong-wort@"),
        Case("proxy-403", proxy=Proxy(refuses=True)),
    ]  # fmt: skip


def silent(hub: Hub) -> None:
    """An address that serves files and lists none."""
    hub.lists = False


def play(python: str, home: Path, case: Case) -> Outcome:
    """Stage one case."""
    home.mkdir()
    with ExitStack() as stack:
        hub = stack.enter_context(Hub(repositories(), *case.faults))
        case.change(hub)
        if case.names:
            secure(hub, case, home)
        environ = {**clean_environment(home), "HF_ENDPOINT": hub.url, **case.environ}
        environ |= dict.fromkeys(case.trusted_by, str(home / "authority.pem"))
        if case.proxy is not None:
            stack.enter_context(case.proxy)
            environ |= dict.fromkeys(case.proxies, f"http://{case.login}{case.proxy.address}")
        began = time.monotonic()
        stage = run_stage(python, home, environ, deadline_s=case.deadline_s, model=case.model)
        seconds = time.monotonic() - began
        left = [str(path.relative_to(home)) for path in home.rglob("*") if path.name != "authority.pem"]
        return Outcome(stage, hub.log, hub.authorised, case.proxy.carried if case.proxy else [], seconds, left)


def secure(hub: Hub, case: Case, home: Path) -> None:
    """Let the server speak TLS; the authority that signed its certificate lies in ``authority.pem``."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(home / "authority.pem"))
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    dates = {"not_before": past, "not_after": past + datetime.timedelta(days=1)} if case.expired else {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*case.names, **dates).configure_cert(context)
    hub.secured_by(context)


def play_all(python: str, folder: Path, at_once: int = 16) -> dict[str, Outcome]:
    """All cases by name: they mostly wait, for what a library gives up on only after a while."""
    with ThreadPoolExecutor(at_once) as pool:
        waiting = {case.name: pool.submit(play, python, folder / case.name, case) for case in cases()}
        return {name: future.result() for name, future in waiting.items()}
