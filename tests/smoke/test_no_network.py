"""Without --online a run makes no connection and sends nothing, to nobody: not even to this machine.

The run is the real one, of every stage, in a network of its own that holds nothing (``unshare --net``), with strace on
every process of it; where neither can be had the test says so and is skipped. What is counted are the system calls of
all processes, so that no library escapes by not being Python.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from .hub_cases import clean_environment

pytestmark = [pytest.mark.torch, pytest.mark.allow_subprocess, pytest.mark.slow]

ROOT = Path(__file__).parent.parent.parent
#: runs all stages of the target and prints them as JSON; in a process of its own, which is what is watched
RUN = """
import os, sys, time
import msgspec
from hfdoctor.smoke.plan import Ask
from hfdoctor.smoke.run import Run
run = Run(Ask(level=sys.argv[2]), sys.argv[1], dict(os.environ), os.getcwd())
stages = run.go(time.monotonic() + 500)
sys.stdout.buffer.write(msgspec.json.encode(stages))
"""
#: address families that lead out of a process but not out of the machine's own files
LOCAL = ("AF_UNIX", "AF_LOCAL")


def permitted(*argv: str) -> bool:
    """Whether this program exists and may do what it is for."""
    if shutil.which(argv[0]) is None:
        return False
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def calls(trace: Path) -> list[str]:
    """Every system call that names an address outside the file system, in any process."""
    text = "\n".join(path.read_text("utf-8", "replace") for path in trace.parent.glob(trace.name + "*"))
    found = [line for line in text.splitlines() if re.match(r"(?:\d+ +)?(?:connect|sendto|sendmsg|sendmmsg)\(", line)]
    families = [line for line in found if (match := re.search(r"sa_family=(\w+)", line)) and match[1] not in LOCAL]
    # getaddrinfo asks the kernel which addresses there are (netlink): that is no connection, and is not made either
    return [line for line in families if "AF_NETLINK" not in line]


def run_watched(python: Path, home: Path, level: str) -> tuple[list[dict[str, object]], list[str]]:
    """The stages of a run, and the calls that lead to the network."""
    if not permitted("strace", "-f", "-o", "/dev/null", "true"):
        pytest.skip("strace is not there, or may not watch")
    isolated = permitted("unshare", "--map-root-user", "--net", "true")
    trace = home / "trace"
    argv = ["strace", "-ff", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace)]
    argv += [sys.executable, "-c", RUN, str(python), level]
    if isolated:
        argv = ["unshare", "--map-root-user", "--net", *argv]
    environ = {**clean_environment(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, capture_output=True, check=False, cwd=home, env=environ, timeout=550)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return msgspec.json.decode(done.stdout), calls(trace)


def test_a_whole_run_makes_no_connection(torch_env: Path, tmp_path: Path) -> None:
    stages, made = run_watched(torch_env / "bin" / "python", tmp_path, os.environ.get("HFDOCTOR_SMOKE_LEVEL", "full"))
    ran = {str(stage["name"]) for stage in stages if stage.get("outcome", "pass") == "pass"}
    assert {"import", "tokenizer", "model", "generate"} <= ran, stages
    assert "hub" not in {stage["name"] for stage in stages}
    assert made == []


def test_the_watch_sees_a_connection(tmp_path: Path) -> None:
    """The same watch on a program that does connect: else an empty list above would mean nothing."""
    if not permitted("strace", "-f", "-o", "/dev/null", "true"):
        pytest.skip("strace is not there, or may not watch")
    code = "import socket, subprocess, sys; s = socket.socket(); s.connect_ex(('127.0.0.1', 9)); "
    code += "subprocess.run([sys.executable, '-c', 'import socket; "
    code += 'socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53))' + "'])"
    trace = tmp_path / "trace"
    argv = ["strace", "-ff", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace)]
    subprocess.run([*argv, sys.executable, "-c", code], check=False, capture_output=True, timeout=60)
    seen = calls(trace)
    assert len(seen) == 2 and "127.0.0.1" in seen[0] + seen[1] and "192.0.2.1" in seen[0] + seen[1]
