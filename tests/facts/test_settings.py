"""Settings: what is kept of variables, what never is; pip's and uv's files held against pip's own reading."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hfdoctor.facts.fact import FactMissing, failed, known
from hfdoctor.facts.probe import Context, Request
from hfdoctor.facts.probes import installer_config, settings
from hfdoctor.facts.redaction import is_secret, proxy_without_credentials, without_credentials
from hfdoctor.facts.sections.settings import ConfigValue, Settings, Variable
from hfdoctor.facts.snapshot import Snapshot, dump, load

posix_only = pytest.mark.skipif(os.name == "nt", reason="paths of POSIX systems")


def observed(environ: dict[str, str], cwd: Path | None = None) -> Settings:
    snapshot = Snapshot()
    alone = {"PIP_CONFIG_FILE": os.devnull, **environ}  # not what this machine's own pip is set to
    settings.probe(Context(Request(environ=alone, cwd=cwd or Path.cwd()), snapshot, time.monotonic() + 10))
    section = snapshot.settings
    section.variables = known([entry for entry in section.variables.need() if entry.name in environ])
    return section


@pytest.mark.parametrize(
    "name",
    [
        *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "UV_INDEX_CORP_PASSWORD", "UV_INDEX_CORP_USERNAME", "UV_PUBLISH_TOKEN"),
        *("PIP_INDEX_SECRET", "HF_API_KEY", "CONDA_AUTH"),
    ],
)
def test_secrets_are_counted_never_kept(name: str) -> None:
    found = observed({name: "swordfish-1234"})
    entry = found.variables.need()[0]
    assert (entry.name, entry.secret, entry.length, entry.value) == (name, True, 14, "")
    assert b"swordfish" not in dump(Snapshot(settings=found))


@pytest.mark.parametrize(
    "name", ["HF_TOKEN_PATH", "TOKENIZERS_PARALLELISM", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "PIP_KEYRING_PROVIDER"]
)
def test_what_only_sounds_secret_is_kept(name: str) -> None:
    assert not is_secret(name)
    assert observed({name: "1"}).variable(name) == "1"


def test_foreign_variables_are_left_out() -> None:
    names = [
        entry.name
        for entry in observed(
            {"AWS_SECRET_ACCESS_KEY": "x", "TF_VAR_db": "x", "FOO": "x", "HF_HOME": "y"}
        ).variables.need()
    ]
    assert names == ["HF_HOME"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("https://ana:pw@host/simple", "https://***@host/simple"),
        ("https://token@host/simple https://a:b@c/d", "https://***@host/simple https://***@c/d"),
        ("https://ana:p/w@host/simple", "https://***@host/simple"),
        ("https://ana:p@w@host/simple", "https://***@host/simple"),
        ("https://host:8443/a@b", "https://host:8443/a@b"),
        ("http://[::1]:8080/a@b", "http://[::1]:8080/a@b"),
        ("https://host/simple?token=abc#frag", "https://host/simple?***#frag"),
        ("git+https://github.com/x/y@main", "git+https://github.com/x/y@main"),
        ("see hf_abcdefghijklmnopqrst", "see ***"),
        (r"C:\Users\me@corp\x", r"C:\Users\me@corp\x"),
        ("plain", "plain"),
    ],
)
def test_credentials_in_urls(text: str, wanted: str) -> None:
    assert without_credentials(text) == wanted


@pytest.mark.parametrize(
    ("value", "kept", "unescaped"),
    [
        ("http://ana:pw@proxy:8080", "http://***@proxy:8080", ""),
        ("http://ana:p#w@proxy:8080", "http://***@proxy:8080", "all"),
        ("http://ana:p/w@proxy:8080", "http://***@proxy:8080", "all"),
        (r"http://CORP\ana:pw@proxy:8080", "http://***@proxy:8080", "pip"),
        ("http://ana smith:p w@proxy:8080", "http://***@proxy:8080", ""),
        ("ana:p@w@proxy:8080", "***@proxy:8080", ""),
        ("http://proxy:8080", "http://proxy:8080", ""),
    ],
)
def test_credentials_of_proxies(value: str, kept: str, unescaped: str) -> None:
    assert proxy_without_credentials(value) == (kept, unescaped)
    entry = observed({"https_proxy": value}).variables.need()[0]
    assert (entry.value, entry.unescaped) == (kept, unescaped)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@posix_only
@pytest.mark.skipif(sys.platform == "darwin", reason="Linux' places of pip's files")
@pytest.mark.allow_subprocess
def test_pip_reads_the_same(tmp_path: Path) -> None:
    """pip's own ``pip config debug`` and ours agree on the files and on what holds in the end."""
    home, prefix = tmp_path / "home", tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(prefix)], check=True, capture_output=True)
    write(home / ".pip/pip.conf", "[global]\nindex-url = https://legacy.example/simple\ntimeout = 7\n")
    write(
        home / ".config/pip/pip.conf",
        "[global]\nindex-url = https://ana:pw@user.example/simple\n[install]\nNo_Compile = true\n",
    )
    write(
        tmp_path / "xdg/pip/pip.conf", "[global]\nextra-index-url =\n  https://one.example/\n  https://two.example/\n"
    )
    write(prefix / "pip.conf", "[install]\nindex-url = https://site.example/simple\n")
    environ = {"HOME": str(home), "XDG_CONFIG_DIRS": str(tmp_path / "xdg"), "PATH": os.environ["PATH"]}

    command = [str(prefix / "bin/python"), "-m", "pip", "config", "list"]
    pip = subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout
    ours = installer_config.pip_config(environ, str(home), str(prefix), str(tmp_path))
    assert "global.timeout='7'" in pip and "install.index-url='https://site.example/simple'" in pip
    last = {entry.name: entry.value for entry in ours.need()}
    theirs = dict(line.split("=", 1) for line in pip.splitlines())
    own = {name: value.strip("'") for name, value in theirs.items() if "\\n" not in value}
    for name, value in own.items():
        assert without_credentials(value) == last[name], name
    assert "pw@" not in repr(ours)

    section = Settings(variables=known([]), pip_config=ours)
    assert section.pip_option("index-url") == ("https://site.example/simple", str(prefix / "pip.conf"))
    assert section.pip_option("index-url", "download") == (
        "https://***@user.example/simple",
        str(home / ".config/pip/pip.conf"),
    )
    section.variables = known([Variable("PIP_INDEX_URL", "https://variable.example/")])
    assert section.pip_option("index-url") == ("https://variable.example/", "PIP_INDEX_URL")


@posix_only
def test_pip_config_file_variable(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write(home / ".config/pip/pip.conf", "[global]\nindex-url = https://user.example/\n")
    named = write(tmp_path / "own.conf", "[global]\nindex-url = https://named.example/\n")
    values = installer_config.pip_config({"PIP_CONFIG_FILE": str(named)}, str(home), "", str(tmp_path)).need()
    assert [v.value for v in values if v.name == "global.index-url"] == ["https://named.example/"]
    assert installer_config.pip_config({"PIP_CONFIG_FILE": os.devnull}, str(home), "", str(tmp_path)).need() == []


@posix_only
def test_a_pip_config_that_is_none_is_failed_with_its_name(tmp_path: Path) -> None:
    file = write(tmp_path / "home/.config/pip/pip.conf", "index-url = https://user.example/\n")
    fact = installer_config.pip_config({}, str(tmp_path / "home"), "", str(tmp_path))
    assert fact.status == "failed"
    assert str(file) in fact.reason
    with pytest.raises(FactMissing):
        Settings(variables=known([]), pip_config=fact).pip_option("index-url")


@posix_only
def test_a_folder_in_place_of_a_config_file(tmp_path: Path) -> None:
    (tmp_path / "home/.config/pip/pip.conf").mkdir(parents=True)
    assert installer_config.pip_config({}, str(tmp_path / "home"), "", str(tmp_path)).known


@posix_only
@pytest.mark.skipif(sys.version_info < (3, 11), reason="no reader for TOML before Python 3.11")
def test_uv_config(tmp_path: Path) -> None:
    project = tmp_path / "project"
    write(
        tmp_path / "home/.config/uv/uv.toml",
        'cache-dir = "/big/uv"\n[pip]\nindex-url = "https://ana:pw@user.example/"\n',
    )
    write(
        project / "pyproject.toml",
        '[tool.uv]\n[[tool.uv.index]]\nname = "cpu"\nurl = "https://download.pytorch.org/whl/cpu"\n',
    )
    (project / "sub").mkdir()
    fact = installer_config.uv_config({}, str(tmp_path / "home"), str(project / "sub"))
    assert [(e.name, e.value) for e in fact.need()] == [
        ("cache-dir", "/big/uv"),
        ("pip.index-url", "https://***@user.example/"),
        ("index[0].name", "cpu"),
        ("index[0].url", "https://download.pytorch.org/whl/cpu"),
    ]
    assert installer_config.uv_config({"UV_NO_CONFIG": "1"}, str(tmp_path / "home"), str(project)).need() == []
    write(project / "uv.toml", "cache-dir = \n")
    assert installer_config.uv_config({}, str(tmp_path / "home"), str(project)).status == "failed"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("needs the openssl program to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=x",
    ]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "ca.pem"


@pytest.mark.allow_subprocess
def test_bundles_are_judged_as_openssl_judges_them(certificate: Path, tmp_path: Path) -> None:
    import ssl

    whole = certificate.read_bytes()
    files = {
        "file": whole + b"\n# comment\n" + whole,
        "not-a-certificate": b"just text\n",
        "damaged": whole[: len(whole) // 2],
        "empty": b"",
        "key": (certificate.parent / "key").read_bytes(),
        "damaged-second": whole + whole.replace(b"\nMII", b"\n!!!"),
    }
    wanted = {"empty": "not-a-certificate", "key": "not-a-certificate", "damaged-second": "damaged"}
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        entry = observed({"SSL_CERT_FILE": str(path)}).certificates.need()[0]
        assert entry.state == wanted.get(name, name), name
        try:
            ssl.create_default_context(cafile=str(path))
            usable = True
        except OSError:
            usable = False
        assert usable == (entry.state == "file"), name
    assert observed({"SSL_CERT_FILE": str(tmp_path / "file")}).certificates.need()[0].certificates == 2


def test_bundles_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "hashed").mkdir()
    (tmp_path / "hashed/5ed36f99.0").write_text("x")
    environ = {
        "REQUESTS_CA_BUNDLE": "",
        "CURL_CA_BUNDLE": str(tmp_path / "nowhere.pem"),
        "SSL_CERT_FILE": f'"{tmp_path}/quoted.pem"',
        "SSL_CERT_DIR": os.pathsep.join([str(tmp_path / "hashed"), str(tmp_path / "gone")]),
        "PIP_CERT": "relative.pem",
    }
    found = [(e.name, e.state, e.certificates) for e in observed(environ, tmp_path).certificates.need()]
    assert found == [
        ("REQUESTS_CA_BUNDLE", "empty-value", None),
        ("CURL_CA_BUNDLE", "missing", None),
        ("SSL_CERT_FILE", "missing", None),
        ("PIP_CERT", "missing", None),
        ("SSL_CERT_DIR", "folder", 1),
        ("SSL_CERT_DIR", "missing", None),
    ]


@posix_only
def test_a_pipe_in_place_of_a_bundle_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    began = time.monotonic()
    assert observed({"SSL_CERT_FILE": str(tmp_path / "pipe")}).certificates.need()[0].state == "not-a-certificate"
    assert time.monotonic() - began < 2


@posix_only
def test_bundle_in_the_home(tmp_path: Path) -> None:
    write(tmp_path / "corp.pem", "text")
    environ = {"HOME": str(tmp_path), "PIP_CERT": "~/corp.pem", "SSL_CERT_FILE": "~/corp.pem"}
    found = {e.name: e.state for e in observed(environ).certificates.need()}
    assert found == {"PIP_CERT": "not-a-certificate", "SSL_CERT_FILE": "missing"}  # only pip knows what ~ is


@posix_only
def test_text_of_another_encoding_survives_as_json() -> None:
    section = observed({"HF_HOME": os.fsdecode(b"/data/\xb1\xe8"), "https_proxy": os.fsdecode(b"http://a:\xb1@h:1")})
    assert load(dump(Snapshot(settings=section))).settings.variable("HF_HOME") == "/data/��"


def test_a_broken_configuration_keeps_pip_options_unknown() -> None:
    section = Settings(variables=known([]), pip_config=failed("broken"))
    with pytest.raises(FactMissing):
        section.pip_option("cert")
    assert Settings(variables=known([]), pip_config=known([ConfigValue("global.cert", "/x", "f")])).pip_option(
        "cert"
    ) == ("/x", "f")
