"""The parts of the Windows probe that can be held against data on any system."""

from __future__ import annotations

import ntpath
import struct
import time
from pathlib import Path

import pytest

from hfdoctor.facts.child import Ended
from hfdoctor.facts.fact import failed, known
from hfdoctor.facts.probe import Context, Request
from hfdoctor.facts.probes import windows, windows_folders, windows_long_paths, windows_store, windows_vc
from hfdoctor.facts.probes.windows_registry import converted, plain
from hfdoctor.facts.sections.target import Chosen, Interpreter, Paths, Start, Target
from hfdoctor.facts.sections.windows import Windows
from hfdoctor.facts.snapshot import Snapshot

PYTHON = "C:\\Users\\ana\\AppData\\Local\\Programs\\Python\\Python312"
STORE = "C:\\Program Files\\WindowsApps\\PythonSoftwareFoundation.Python.3.11_3.11.2544.0_x64__qbz5n2kfra8p0"


def target(prefix: str = "C:\\v", base: str = PYTHON) -> Target:
    python = ntpath.join(prefix, "Scripts", "python.exe")
    site = ntpath.join(prefix, "Lib", "site-packages")
    return Target(
        chosen=known(Chosen(python, "--python")),
        start=known(Start(True)),
        interpreter=known(
            Interpreter("3.12.10", [3, 12, 10], "final", "cpython", 64, python, prefix, base, "win-amd64")
        ),
        paths=known(Paths(site, site, ntpath.dirname(python), ntpath.join(base, "Lib"), [site])),
    )


class TestStore:
    @pytest.mark.parametrize(
        ("base", "store"),
        [
            (STORE, True),
            (STORE.upper().replace("\\", "/"), True),
            (PYTHON, False),
            # the install manager is a Store program too, but the Pythons that it installs are ordinary ones
            ("C:\\Program Files\\WindowsApps\\PythonSoftwareFoundation.PythonManager_25.0_x64__x", False),
            ("D:\\WindowsApps stuff\\PythonSoftwareFoundation.Python.3.11", False),
        ],
    )
    def test_by_its_folder(self, base: str, store: bool) -> None:
        assert windows_store.is_store_python(target(base=base)).need() is store

    def test_not_told_without_an_interpreter(self) -> None:
        assert windows_store.is_store_python(Target()).status == "not-run"

    def test_reparse_data(self) -> None:
        package = "PythonSoftwareFoundation.Python.3.11_qbz5n2kfra8p0"
        texts = "\0".join([package, f"{package}!Python", f"{STORE}\\python.exe", "0"]) + "\0"
        body = struct.pack("<I", 3) + texts.encode("utf-16-le")
        data = struct.pack("<IHH", windows_store.APPEXECLINK, len(body), 0) + body
        assert windows_store.package_in(data) == package
        # a buffer that is longer than the data, as Windows fills it
        assert windows_store.package_in(data + b"\0" * 50) == package

    @pytest.mark.parametrize("data", [b"", b"\x1b\0\0\x80", struct.pack("<IHH", 0xA000000C, 8, 0) + b"\0" * 12])
    def test_other_reparse_data(self, data: bytes) -> None:
        assert windows_store.package_in(data) == ""

    def test_real_programs_are_no_aliases(self, tmp_path: Path) -> None:
        (tmp_path / "python.exe").write_bytes(b"MZ")
        assert windows_store.aliases({"PATH": f'relative;;"{tmp_path}"'}).need() == []


class TestRuntime:
    @pytest.mark.parametrize(
        ("text", "numbers"),
        [("v14.44.35211.00", (14, 44, 35211, 0)), ("14.40", (14, 40)), ("", ()), ("fourteen", ()), ("14.x", ())],
    )
    def test_versions(self, text: str, numbers: tuple[int, ...]) -> None:
        assert windows_vc.numbers(text) == numbers

    def test_the_base_interpreter_comes_before_the_system_and_path_is_last(self) -> None:
        environ = {"SystemRoot": "C:\\Windows", "PATH": 'C:\\Tool;;"C:\\Other"'}
        folders = list(windows_vc.search_folders(target(), environ))
        assert folders[0] == (PYTHON, "python")
        assert folders[1] == ("C:\\v\\Lib\\site-packages\\torch\\lib", "torch")
        order = [what for _, what in folders]
        assert order.index("system") > max(at for at, what in enumerate(order) if what == "torch")
        assert folders[-2:] == [("C:\\Tool", "path"), ("C:\\Other", "path")]

    def test_all_copies_in_order_each_once(self, tmp_path: Path) -> None:
        one, two = tmp_path / "one", tmp_path / "two"
        one.mkdir()
        two.mkdir()
        (one / "msvcp140.dll").write_bytes(b"")
        (two / "msvcp140.dll").write_bytes(b"")
        (two / "vcruntime140.dll").mkdir()  # a folder is no library
        found = list(
            windows_vc.copies([(str(one), "python"), (str(two), "system"), (str(one), "path"), ("\0", "path")])
        )
        assert [(Path(copy.path).parent.name, copy.name, copy.via) for copy in found] == [
            ("one", "msvcp140.dll", "python"),
            ("two", "msvcp140.dll", "system"),
        ]

    def test_not_looked_for_without_an_interpreter(self) -> None:
        assert windows_vc.libraries(Target(), {}).status == "not-run"


class TestRegistryValues:
    def test_bytes_and_nothing_become_text(self) -> None:
        assert plain("HKLM\\X", "a", 3, b"\x01\xff" * 100).value == "01ff" * 32
        assert plain("HKLM\\X", "a", 0, None).value == ""
        assert plain("HKLM\\X", "a", 7, ["x", "lone \ud800"]).value == ["x", "lone ?"]
        assert plain("HKLM\\X", "a", 99, "z").type == "type 99"

    def test_a_value_of_another_type_is_no_value(self) -> None:
        fact = known(plain("HKLM\\X", "PagingFiles", 1, "?:\\pagefile.sys"), "HKLM\\X, PagingFiles")
        read = converted(fact, ("REG_MULTI_SZ",), list)
        assert read.status == "failed"
        assert "REG_SZ" in read.reason
        assert converted(failed("no"), ("REG_DWORD",), int).status == "failed"


class TestFolders:
    def test_variables_in_any_case_and_unknown_ones_stay(self) -> None:
        environ = {"UserProfile": "C:\\Users\\ana"}
        assert windows_folders.expanded("%USERPROFILE%\\문서\\%X%", environ) == "C:\\Users\\ana\\문서\\%X%"

    def test_default_folders_without_a_registry(self) -> None:
        found = windows_folders.default_folders({"USERPROFILE": "C:\\Users\\ana", "PUBLIC": "C:\\Users\\Public"})
        assert "C:\\Users\\ana\\Documents" in found
        assert "C:\\Users\\Public\\Pictures" in found
        assert windows_folders.default_folders({}) == []


class TestFreshProcess:
    def said(self, text: str, code: int | None = 0, timed_out: bool = False) -> tuple[str, str, object]:
        process, proof = windows_long_paths.understand(Ended(code, text.encode(), b"boom", timed_out), "C:\\Temp")
        return process.status, proof.status, proof.maybe()

    def test_yes(self) -> None:
        process, proof = windows_long_paths.understand(
            Ended(0, b'{"enabled": true, "control": true, "ok": true, "length": 270}\n', b""), "C:\\Temp"
        )
        assert process.need() is True
        assert (proof.need().ok, proof.need().length) == (True, 270)

    @pytest.mark.parametrize("code", [2, 3, 206])
    def test_no(self, code: int) -> None:
        text = f'{{"enabled": false, "control": true, "ok": false, "length": 270, "error": "x", "code": {code}}}'
        process, proof = windows_long_paths.understand(Ended(0, text.encode(), b""), "C:\\Temp")
        assert process.need() is False
        assert (proof.need().ok, proof.need().code) == (False, code)

    @pytest.mark.parametrize(
        "text",
        [
            '{"control": true, "ok": false, "error": "OSError: disk full", "code": 112}',
            '{"ok": false, "error": "PermissionError: x", "code": 3}',  # not even the short one could be made
            "not JSON",
            "",
            "[1]",
        ],
    )
    def test_what_tells_nothing_about_long_paths_is_no_proof(self, text: str) -> None:
        assert self.said(text)[1] == "failed"

    def test_too_late(self) -> None:
        assert self.said("", None, timed_out=True)[:2] == ("timeout", "timeout")

    def test_a_target_that_does_not_start_is_not_started(self, tmp_path: Path) -> None:
        # no allow_subprocess: starting anything would fail this test
        snapshot = Snapshot(windows=Windows())
        snapshot.target.chosen = known(Chosen("C:\\stub\\python.exe", "--python"))
        snapshot.target.start = known(Start(False, trouble="store-stub"))
        ctx = Context(Request(cwd=tmp_path), snapshot, time.monotonic() + 5)
        process, proof = windows_long_paths.start_fresh_process(ctx).answer(1.0)
        assert process.status == proof.status == "not-run"


def test_the_probe_survives_a_system_that_is_not_windows(tmp_path: Path) -> None:
    """No registry, no aliases, no interpreter: every fact gets its reason, nothing is raised."""
    snapshot = Snapshot(windows=Windows())
    ctx = Context(Request(cwd=tmp_path, environ={"TEMP": str(tmp_path / "gone"), "PATH": "\0;x"}), snapshot, 0.0)
    windows.probe(ctx)
    assert snapshot.windows is not None
    for name in snapshot.windows.__struct_fields__:
        fact = getattr(snapshot.windows, name)
        assert fact.status != "not-run" or fact.reason, name


def test_elsewhere_there_is_no_section(tmp_path: Path) -> None:
    snapshot = Snapshot()
    windows.probe(Context(Request(cwd=tmp_path), snapshot, 0.0))
    assert snapshot.windows is None


def test_policy_files_that_cannot_be_read(tmp_path: Path) -> None:
    data, root = tmp_path / "data", tmp_path / "root"
    data.mkdir()
    environ = {"PROGRAMDATA": str(data), "SYSTEMROOT": str(root)}
    assert windows_long_paths.policy_fact(environ).absent
    (data / "ntuser.pol").write_bytes(b"rubbish")
    assert windows_long_paths.policy_fact(environ).status == "failed"
    (data / "ntuser.pol").unlink()
    (data / "ntuser.pol").mkdir()
    assert windows_long_paths.policy_fact(environ).status in ("failed", "denied")
