"""The ways out of a full disk and of a damaged cache, as recorded machines get them."""

from __future__ import annotations

from collections.abc import Sequence

from hfdoctor.conditions.changes import Command, PackageChange, PutAway, TreeMove, VariableChange
from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Finding, RemedyStep
from hfdoctor.conditions.ways import automatic, change_of, ways
from hfdoctor.facts.sections.hub import RepoTrouble
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded

PYTHON = "/home/ana/project/.venv/bin/python"


def finding(s: Snapshot, condition: str) -> Finding:
    (found,) = [one for one in diagnose(s).failed() if one.condition == condition]
    return found


def automatic_ways(s: Snapshot, condition: str = "disk-full") -> list[Sequence[RemedyStep]]:
    found = finding(s, condition)
    assert found.remedy and found.remedy.fix_class == "confirm"
    return [way for way in ways(found.remedy.steps) if automatic(way)]


def changes(way: Sequence[RemedyStep]) -> list[object]:
    return [change_of(step) for step in way if change_of(step) is not None]


def test_what_can_be_taken_back_and_helps_at_once_comes_first() -> None:
    found = automatic_ways(recorded.load("disk-full-second-disk"))
    assert [type(changes(way)[0]) for way in found] == [TreeMove, Command, Command, PutAway]
    assert changes(found[0]) == [
        TreeMove("/home/ana/.cache/huggingface/hub", "/data/ana/huggingface-hub"),
        VariableChange("HF_HUB_CACHE", "/data/ana/huggingface-hub"),
    ]
    assert "(3.9 GB)" in found[0][0].text and "1.8 TB are free" in found[0][0].text
    assert "undo --forget" in found[-1][-1].text


def test_what_frees_enough_comes_before_what_does_not() -> None:
    s = recorded.load("disk-full-second-disk")
    s.storage.volumes.value = []
    assert "old versions" in automatic_ways(s)[0][0].text
    health = s.hub.health.need()
    for one in health.old_revisions:
        one.bytes = 25_000_000
    assert "pip" in automatic_ways(s)[0][0].text


def test_on_windows_the_other_drive_is_named() -> None:
    way = automatic_ways(recorded.load("disk-full-windows-second-drive"))[0]
    assert changes(way) == [
        TreeMove(r"C:\Users\ana\.cache\huggingface\hub", r"D:\huggingface-hub"),
        VariableChange("HF_HUB_CACHE", r"D:\huggingface-hub"),
    ]


def test_an_old_library_gets_the_variable_that_it_reads() -> None:
    s = recorded.load("disk-full-second-disk")
    s.hub.variables_read.value = ["HF_HOME", "HUGGINGFACE_HUB_CACHE"]
    assert VariableChange("HUGGINGFACE_HUB_CACHE", "/data/ana/huggingface-hub") in changes(automatic_ways(s)[0])


def test_a_disk_without_room_for_the_cache_is_no_way_out() -> None:
    s = recorded.load("disk-full-second-disk")
    for volume in s.storage.volumes.need():
        volume.free = 4_000_000_000
    assert not any(isinstance(change, TreeMove) for way in automatic_ways(s) for change in changes(way))


def test_a_cache_of_nothing_is_not_emptied() -> None:
    s = recorded.load("disk-full-second-disk")
    for place in s.storage.places.need():
        if place.role == "pip-cache":
            place.bytes = 1000
    assert not any("pip" in step.text for way in automatic_ways(s) for step in way)


def test_a_card_of_nvidias_does_not_get_the_smaller_build_unasked() -> None:
    s = recorded.load("disk-full-cuda-build")
    s.gpu.devices = recorded.build("cuda").gpu.devices
    assert not any("smaller" in step.text for way in automatic_ways(s) for step in way)
    remedy = finding(s, "disk-full").remedy
    assert remedy and any("download.pytorch.org/whl/cpu" in step.text for step in remedy.steps)


def test_the_smaller_build_is_a_way_also_where_it_is_the_only_one() -> None:
    s = recorded.load("disk-full-cuda-build")
    for place in s.storage.places.need():
        if place.role in ("pip-cache", "uv-cache"):
            place.exists = False
    (way,) = automatic_ways(s)
    assert changes(way) == [PackageChange(PYTHON, ("torch",), index="https://download.pytorch.org/whl/cpu")]


def test_damaged_files_are_put_away_and_fetched_or_only_put_away() -> None:
    both, only = automatic_ways(recorded.load("cache-corrupt-cut-short"), "cache-corrupt")
    cache = "/home/ana/.cache/huggingface/hub/models--ana--tiny/"
    away = [
        PutAway(f"{cache}snapshots/e2d27a86ab48b2767c2332c6bcaf374bda41d932/model.safetensors"),
        PutAway(f"{cache}blobs/{'c' * 64}"),
    ]
    assert changes(only) == away == changes(both)[:2]
    (command,) = [change for change in changes(both) if isinstance(change, Command)]
    assert command.network and command.bytes == 548105171
    assert "--force-download" not in command.argv


def test_offline_mode_only_puts_away() -> None:
    s = recorded.load("cache-corrupt-cut-short")
    s.hub.offline = recorded.load("cache-corrupt-offline-ref").hub.offline
    (way,) = automatic_ways(s, "cache-corrupt")
    assert all(isinstance(change, PutAway) for change in changes(way))
    assert "with a network" in way[0].text


def test_a_branch_stays_where_its_version_is_fetched_by_its_commit() -> None:
    both, only = automatic_ways(recorded.load("cache-corrupt-blobs-removed"), "cache-corrupt")
    refs = PutAway("/home/ana/.cache/huggingface/hub/models--ana--tiny/refs/main")
    assert refs in changes(only) and refs not in changes(both)


def test_a_wrong_token_file_can_be_put_away_and_a_variable_not() -> None:
    found = automatic_ways(recorded.load("hub-auth-file-of-root"), "hub-auth")
    assert [changes(way) for way in found] == [[PutAway("/home/ana/.cache/huggingface/token")]]
    remedy = finding(recorded.load("hub-auth-placeholder"), "hub-auth").remedy
    assert remedy and remedy.fix_class == "print-only"


def test_a_folder_for_temporary_files_in_ones_home() -> None:
    """On the same disk: it has room, only /tmp may not be written."""
    s = recorded.load("permission-denied-no-temp")
    assert finding(s, "permission-denied").remedy
    s.storage.volumes = recorded.load("disk-full-second-disk").storage.volumes
    s.storage.volumes.need().reverse()
    s.storage.volumes.need()[0].free = 10**11
    (way,) = automatic_ways(s, "permission-denied")
    assert changes(way)[1:] == [VariableChange("TMPDIR", "/home/ana/temporary-files")]


def test_what_hf_xet_keeps_is_put_away() -> None:
    s = recorded.load("disk-full-second-disk")
    for place in s.storage.places.need():
        if place.role == "xet-cache":
            place.exists, place.bytes = True, 3_000_000_000
            place.filesystem = recorded.build("linux").storage.places.need()[0].filesystem
    way = automatic_ways(s)[-1]
    assert changes(way) == [PutAway("/home/ana/.cache/huggingface/xet")] and "(3.0 GB)" in way[0].text


def test_a_download_of_hours_is_not_the_first_way() -> None:
    s = recorded.load("cache-corrupt-cut-short")
    s.hub.health.need().troubles[0].expected_bytes = 40 * 10**9
    only, both = automatic_ways(s, "cache-corrupt")
    assert not any(isinstance(change, Command) for change in changes(only))
    assert "40.0 GB" in both[0].text and isinstance(changes(both)[-1], Command)


def test_a_file_of_unknown_size_does_not_make_a_long_download_short() -> None:
    s = recorded.load("cache-corrupt-cut-short")
    (large,) = s.hub.health.need().troubles
    large.expected_bytes = 40 * 10**9
    path = large.path.rpartition("/")[0] + "/config.json"
    s.hub.health.need().troubles.append(RepoTrouble(large.repo, "dangling-link", path, entries=[path]))
    only, both = automatic_ways(s, "cache-corrupt")
    assert not any(isinstance(change, Command) for change in changes(only))
    assert PutAway(f"/home/ana/.cache/huggingface/hub/{path}") in changes(both)
    assert "40.0 GB" in both[0].text
