"""Fetching against a server that misbehaves in every way a public server has."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from misbehaving_server import MisbehavingServer
from rich.console import Console

from analysis.base.paths import ROOT
from analysis.panel.sources.download import Patience, check_folder, fetch
from analysis.panel.sources.raw import Manifest, have_everything, load_manifest

BODY = b"".join(hashlib.sha256(bytes([n, m])).digest() for n in range(2) for m in range(160))
OTHER = BODY[:-1] + b"?"
QUICK = Patience(answer=0.6, silence=2.0, tries=3, back_off=0.01, longest=0.3, slowest=1.0)
HASTY = replace(QUICK, silence=0.2)


@pytest.fixture(autouse=True)
def _own_folder_and_no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "CRIME_STUDY_DATA"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server():
    with MisbehavingServer() as running:
        yield running


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "raw"


def entry(path: str, mirror: str = "", official: str = "", body: bytes = BODY) -> dict[str, object]:
    """A manifest entry for a file that should hold ``body``."""
    source = {"official_url": official} if official else {"official_page": "an agency's page"}
    pinned = {"mirror_url": mirror} if mirror else {}
    return {"path": path, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()} | source | pinned


def listing(tmp_path: Path, *entries: dict[str, object], one_bar: bool = False) -> Path:
    """Write a manifest with one family of these files."""
    lines = [
        *("[licences]", 'free = "free"', "[citations]", 'agency = "An Agency."'),
        *("[families.tables]", 'title = "tables"', 'source = "an agency"', 'licence = "free"'),
        *('citation = "agency"', 'feeds = ["t"]', f"one_bar = {json.dumps(one_bar)}"),
    ]
    for item in entries:
        lines.append("[[families.tables.files]]")
        lines.extend(f"{key} = {json.dumps(value)}" for key, value in item.items())
    path = tmp_path / "manifest.toml"
    path.write_text("\n".join(lines))
    return path


def manifest(tmp_path: Path, *entries: dict[str, object], one_bar: bool = False) -> Manifest:
    return load_manifest(listing(tmp_path, *entries, one_bar=one_bar))


def on_disk(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# What a server does for a while, and the file arrives all the same ------------------------------------------


@pytest.mark.parametrize(
    ("manner", "ranges"),
    [
        ("well", [None]),
        ("chunked", [None]),
        ("breaks_once", [None, f"bytes={len(BODY) // 2}-"]),
        ("breaks_without_length", [None, f"bytes={len(BODY) // 2}-"]),
        ("silent_half_way", [None, f"bytes={len(BODY) // 2}-"]),
        ("ignores_range", [None, f"bytes={len(BODY) // 2}-"]),
        ("refuses_range", [None, f"bytes={len(BODY) // 2}-", None]),
        ("resumes_at_zero", [None, f"bytes={len(BODY) // 2}-", None]),
        ("resumes_wrongly", [None, f"bytes={len(BODY) // 2}-", None]),
        ("error_twice", [None, None, None]),
    ],
)
def test_file_arrives(tmp_path, folder, server, manner, ranges):
    listed = manifest(tmp_path, entry("deep/a.bin", server.put("a.bin", BODY, manner)))
    report = fetch(folder, listed, patience=HASTY if manner == "silent_half_way" else QUICK)
    assert report.ok, report.summary_lines()
    assert on_disk(folder) == {"deep/a.bin": BODY}
    assert server.ranges("a.bin") == ranges


def test_redirect_is_followed(tmp_path, folder, server):
    there = server.put("moved.bin", BODY)
    listed = manifest(tmp_path, entry("a.bin", server.put("a.bin", b"", "redirect", to=there)))
    assert fetch(folder, listed, patience=QUICK).ok
    assert on_disk(folder) == {"a.bin": BODY}


def test_empty_page_is_a_file(tmp_path, folder, server):
    listed = manifest(tmp_path, entry("empty.csv", server.put("empty.csv", b""), body=b""))
    assert fetch(folder, listed, patience=QUICK).fetched == ("empty.csv",)
    assert on_disk(folder) == {"empty.csv": b""}
    assert have_everything(folder, listed)


def test_slow_but_steady_arrives_and_too_slow_is_resumed(tmp_path, folder, server):
    steady, crawling = BODY[:2048], BODY[:512]
    listed = manifest(
        tmp_path,
        entry("steady.bin", server.put("steady.bin", steady, "trickling", seconds=0.005), body=steady),
        entry("crawl.bin", server.put("crawl.bin", crawling, "trickling_once", seconds=0.1), body=crawling),
    )
    report = fetch(folder, listed, patience=replace(QUICK, silence=0.25, slowest=400))
    assert on_disk(folder) == {"steady.bin": steady, "crawl.bin": crawling}, report.summary_lines()
    assert server.ranges("steady.bin") == [None]
    first, resumed = server.ranges("crawl.bin")
    assert first is None
    assert resumed is not None


@pytest.mark.parametrize("asks", ["0", "3600", "Wed, 21 Oct 2065 07:28:00 GMT"])
def test_retry_after_is_honoured_up_to_our_longest_wait(tmp_path, folder, server, asks):
    listed = manifest(tmp_path, entry("a.bin", server.put("a.bin", BODY, "busy_once", to=asks)))
    began = time.monotonic()
    assert fetch(folder, listed, patience=QUICK).ok
    assert (time.monotonic() - began >= QUICK.longest) == (asks != "0")


def test_waits_grow_are_spread_over_files_and_repeat():
    patience = Patience(back_off=1.0, longest=30.0)
    waits = [patience.wait("a.csv", n) for n in range(1, 5)]
    assert all(2 ** (n - 1) <= wait <= 1.5 * 2 ** (n - 1) for n, wait in enumerate(waits, 1))
    assert waits == [patience.wait("a.csv", n) for n in range(1, 5)]
    assert len({patience.wait(f"{n}.csv", 1) for n in range(20)}) == 20


# Two addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("manner", "body", "because"),
    [
        ("well", OTHER, "serves other bytes"),
        ("well", BODY + b"!", "serves 10,241 bytes, expected 10,240"),
        ("chunked", BODY[:-1], "serves 10,239 bytes, expected 10,240"),
        ("chunked", BODY + b"!", "serves more than the 10,240 bytes expected"),
        ("truncated", BODY, "broke off after 5,120 of 10,240 bytes"),
        ("silent", BODY, "fell silent for 0.2 s"),
        ("error", BODY, "HTTP 500"),
        ("missing", BODY, "HTTP 404 Not Found"),
    ],
)
def test_pinned_copy_stands_in_for_the_official_address(tmp_path, folder, server, manner, body, because):
    official = server.put("official.bin", body, manner)
    if manner == "missing":
        server.pages.clear()
    listed = manifest(tmp_path, entry("a.bin", server.put("pinned.bin", BODY), official))
    report = fetch(folder, listed, patience=HASTY)
    assert report.ok, report.summary_lines()
    assert on_disk(folder) == {"a.bin": BODY}
    assert because in report.passed_over["a.bin"]
    assert because in "\n".join(report.summary_lines())
    assert server.asked[0][0] == "/official.bin"


def test_pinned_copy_is_left_alone_where_the_official_address_serves(tmp_path, folder, server):
    listed = manifest(
        tmp_path, entry("a.bin", server.put("pinned.bin", BODY), server.put("official.bin", BODY))
    )
    assert fetch(folder, listed, patience=QUICK).ok
    assert [path for path, _ in server.asked] == ["/official.bin"]


def test_official_host_in_trouble_is_not_waited_for_by_every_file(tmp_path, folder, server):
    entries = [
        entry(f"{n}.bin", server.put(f"pinned-{n}", BODY), server.put(f"official-{n}", BODY, "silent"))
        for n in range(8)
    ]
    report = fetch(folder, manifest(tmp_path, *entries), patience=HASTY, workers=2)
    assert len(report.fetched) == 8
    assert len({path for path, _ in server.asked if "official" in path}) < 8


# What a server does for good: a clear message, nothing half-written, the rest fetched ----------------------


def test_each_trouble_is_named_and_the_rest_is_fetched(tmp_path, folder, server):
    troubles = {
        "wrong.bin": ("well", OTHER, "serves other bytes"),
        "short.bin": ("truncated", BODY, "broke off after 5,120 of 10,240 bytes"),
        "short-too.bin": ("truncated", BODY, "broke off after 5,120 of 10,240 bytes"),
        "gone.bin": ("well", BODY, "HTTP 404 Not Found"),
        "gone-too.bin": ("well", BODY, "HTTP 404 Not Found"),
        "ill.bin": ("error", BODY, "HTTP 500"),
        "silent.bin": ("silent", BODY, "fell silent"),
    }
    entries = []
    for name, (manner, body, _) in troubles.items():
        entries.append(entry(name, server.put(name, body, manner)))
    del server.pages["/gone.bin"], server.pages["/gone-too.bin"]
    entries += [entry(f"good-{n}.bin", server.put(f"good-{n}.bin", BODY)) for n in range(3)]

    report = fetch(folder, manifest(tmp_path, *entries), patience=HASTY)

    assert sorted(report.fetched) == ["good-0.bin", "good-1.bin", "good-2.bin"]
    assert [failure.path for failure in report.failed] == list(troubles)
    for failure in report.failed:
        assert troubles[failure.path][2] in failure.reason
        assert f"as {folder / failure.path}" in failure.way_out
        assert "an agency's page" in failure.way_out
        assert f"{server.root}/{failure.path}" in failure.way_out
        assert any(str(failure) in line for line in report.summary_lines())
    left = on_disk(folder)
    assert {name for name in left if not name.endswith(".part")} == set(report.fetched)
    assert {name for name in left if name.endswith(".part")} == {"short.bin.part", "short-too.bin.part"}


def test_many_alike_are_said_once(tmp_path, folder, server):
    entries = [entry(f"{n}.bin", f"{server.root}/{n}.bin") for n in range(30)]
    lines = fetch(folder, manifest(tmp_path, *entries), patience=QUICK).summary_lines()
    assert len(lines) == 2
    assert "30 files" in lines[1]
    assert "0.bin, 1.bin, 2.bin and 27 more" in lines[1]


def test_folder_that_cannot_be_written_is_named(tmp_path, folder, server):
    folder.mkdir()
    (folder / "taken").write_text("a file where a folder should be")
    entries = [entry("taken/a.bin", server.put("a", BODY)), entry("b.bin", server.put("b", BODY))]
    report = fetch(folder, manifest(tmp_path, *entries), patience=QUICK)
    assert report.fetched == ("b.bin",)
    assert "cannot be written" in report.failed[0].reason


# Breaks and reruns ------------------------------------------------------------------------------------------

INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits a deaf one
from pathlib import Path
from analysis.panel.sources.download import fetch
from analysis.panel.sources.raw import load_manifest
fetch(Path(sys.argv[1]), load_manifest(Path(sys.argv[2])))
"""


def test_ctrl_c_leaves_parts_that_the_next_run_resumes(tmp_path, folder, server):
    toml = listing(
        tmp_path,
        entry("whole.bin", server.put("whole.bin", BODY)),
        entry("slow.bin", server.put("slow.bin", BODY, "trickling_once", seconds=0.01)),
        entry("silent.bin", server.put("silent.bin", BODY, "silent_half_way")),
    )
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(folder), str(toml)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    parts = [folder / "slow.bin.part", folder / "silent.bin.part"]
    for _ in range(3000):
        if (folder / "whole.bin").exists() and all(p.exists() and p.stat().st_size > 100 for p in parts):
            break
        time.sleep(0.01)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    try:
        _, complaint = process.communicate(timeout=10)
    finally:
        process.kill()
    assert "KeyboardInterrupt" in complaint
    assert time.monotonic() - asked < 5
    left = on_disk(folder)
    assert set(left) == {"whole.bin", "slow.bin.part", "silent.bin.part"}
    assert all(BODY.startswith(content) for content in left.values())

    report = fetch(folder, load_manifest(toml), patience=QUICK)
    assert report.present == ("whole.bin",)
    assert report.fetched == ("slow.bin", "silent.bin")
    assert on_disk(folder) == dict.fromkeys(["whole.bin", "slow.bin", "silent.bin"], BODY)
    assert server.ranges("slow.bin") == [None, f"bytes={len(left['slow.bin.part'])}-"]
    assert server.ranges("silent.bin") == [None, f"bytes={len(left['silent.bin.part'])}-"]


@pytest.mark.parametrize("stale", [b"rubbish", b"x" * len(BODY), b"x" * (len(BODY) + 5)])
def test_a_part_of_something_else_does_no_harm(tmp_path, folder, server, stale):
    folder.mkdir()
    (folder / "a.bin.part").write_bytes(stale)
    assert fetch(folder, manifest(tmp_path, entry("a.bin", server.put("a.bin", BODY))), patience=QUICK).ok
    assert on_disk(folder) == {"a.bin": BODY}


def test_rerun_makes_no_request(tmp_path, folder, server, monkeypatch):
    listed = manifest(
        tmp_path, entry("a.bin", server.put("a.bin", BODY)), entry("b.bin", server.put("b.bin", BODY))
    )
    assert fetch(folder, listed, patience=QUICK).megabytes == pytest.approx(2 * len(BODY) / 1e6)
    stamps = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a connection was made"))
    again = fetch(folder, listed, patience=QUICK)
    assert (again.ok, again.fetched, again.present) == (True, (), ("a.bin", "b.bin"))
    assert again.summary_lines() == ["2 raw files in place, hashes checked; nothing to fetch."]
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == stamps
    assert len(server.asked) == 2


@pytest.mark.parametrize("damaged", [OTHER, b"", BODY[:100]])
def test_a_damaged_file_comes_anew_and_stays_until_then(tmp_path, folder, server, damaged):
    folder.mkdir()
    (folder / "a.bin").write_bytes(damaged)
    gone = manifest(tmp_path, entry("a.bin", f"{server.root}/nowhere"))
    assert not fetch(folder, gone, patience=QUICK).ok
    assert on_disk(folder) == {"a.bin": damaged}
    report = fetch(folder, manifest(tmp_path, entry("a.bin", server.put("a.bin", BODY))), patience=QUICK)
    assert report.replaced == ("a.bin",)
    assert on_disk(folder) == {"a.bin": BODY}


# No network -------------------------------------------------------------------------------------------------


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_refused_everywhere_is_said_once(tmp_path, folder):
    root = f"http://127.0.0.1:{closed_port()}"
    listed = manifest(tmp_path, *[entry(f"{n}.bin", f"{root}/{n}.bin") for n in range(50)])
    began = time.monotonic()
    report = fetch(folder, listed, patience=QUICK)
    assert time.monotonic() - began < QUICK.answer + 1.5
    assert report.offline
    assert len(report.failed) == 50
    lines = report.summary_lines()
    assert len(lines) == 2
    assert "No network: none of 127.0.0.1 answers" in lines[0]
    assert "50 raw files" in lines[0]
    assert not folder.exists()


@pytest.fixture
def hanging_names(monkeypatch):
    """Names below .example are never resolved, and never refused either."""
    release = threading.Event()
    genuine = socket.getaddrinfo

    def resolve(host, *args, **kwargs):
        if str(host).endswith(".example"):
            release.wait(20)
            raise socket.gaierror("released")
        return genuine(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    yield
    release.set()


def test_a_resolver_that_hangs_is_noticed_in_time(tmp_path, folder, hanging_names):
    listed = manifest(tmp_path, entry("a.bin", "https://pinned.example/a", "https://official.example/a"))
    began = time.monotonic()
    report = fetch(folder, listed, patience=QUICK)
    assert QUICK.answer <= time.monotonic() - began < QUICK.answer + 1.5
    assert report.offline
    assert "official.example, pinned.example" in report.summary_lines()[0]


def test_no_network_is_noticed_within_five_seconds_by_default():
    assert Patience().answer <= 4.5


def test_one_host_that_hangs_does_not_hold_up_the_rest(tmp_path, folder, server, hanging_names):
    entries = [
        entry(f"{n}.bin", server.put(f"{n}.bin", BODY), f"https://official.example/{n}.bin") for n in range(6)
    ]
    began = time.monotonic()
    report = fetch(folder, manifest(tmp_path, *entries), patience=QUICK, workers=2)
    assert len(report.fetched) == 6
    assert "does not answer" in report.passed_over["0.bin"]
    assert time.monotonic() - began < QUICK.answer + 1.5


def test_proxy_of_the_environment_is_used(tmp_path, folder, server, monkeypatch):
    server.put("a.bin", BODY)
    monkeypatch.setenv("HTTP_PROXY", server.root)
    listed = manifest(tmp_path, entry("a.bin", "http://only-the-proxy-knows.invalid/a.bin"))
    assert fetch(folder, listed, patience=QUICK).ok
    assert on_disk(folder) == {"a.bin": BODY}


# A folder of the user's own ---------------------------------------------------------------------------------


def test_nothing_is_written_to_a_borrowed_folder(tmp_path, folder, server, monkeypatch):
    folder.mkdir()
    for name, body in {"good.bin": BODY, "wrong.bin": OTHER, "short.bin": BODY[:7]}.items():
        (folder / name).write_bytes(body)
    names = ("good.bin", "wrong.bin", "short.bin", "absent.bin")
    listed = manifest(tmp_path, *[entry(name, server.put(name, BODY)) for name in names])
    monkeypatch.setenv("CRIME_STUDY_DATA", str(folder))
    before = on_disk(folder)
    report = fetch(folder, listed, patience=QUICK)
    assert on_disk(folder) == before
    assert server.asked == []
    assert report.read_only
    assert report.present == ("good.bin",)
    wrong, short, absent = map(str, report.failed)
    digest = hashlib.sha256(OTHER).hexdigest()
    assert wrong.startswith("wrong.bin: has SHA-256 " + digest[:12])
    assert "holds 7 bytes" in short
    assert "is missing in the folder of CRIME_STUDY_DATA" in absent
    for message in (wrong, short, absent):
        assert "Nothing is written to the folder of CRIME_STUDY_DATA" in message
        assert server.root in message

    state = check_folder(folder, listed)
    assert state["state"].tolist() == ["ok", "wrong_hash", "wrong_size", "missing"]
    assert state["path"].tolist() == list(names)
    assert state["problem"].iloc[0] == ""
    assert digest[:12] in state["problem"].iloc[1]


# What is shown ----------------------------------------------------------------------------------------------


def test_a_family_of_many_pages_is_one_bar(tmp_path, folder, server):
    body = BODY[:1024]
    entries = [
        entry(f"{n}.bin", server.put(f"{n}.bin", body, "trickling", seconds=0.004), body=body)
        for n in range(4)
    ]
    shown = {}
    for one_bar in (True, False):
        screen = io.StringIO()
        console = Console(file=screen, force_terminal=True, width=110)
        listed = manifest(tmp_path, *entries, one_bar=one_bar)
        assert fetch(folder / str(one_bar), listed, console=console, patience=QUICK).ok
        shown[one_bar] = screen.getvalue()
    assert "4 raw files" in shown[True]
    assert "tables (4 files)" in shown[True]
    assert "0.bin" not in shown[True]
    assert "0.bin" in shown[False]


def test_a_console_that_is_no_terminal_gets_one_line(tmp_path, folder, server):
    log = io.StringIO()
    fetch(
        folder,
        manifest(tmp_path, entry("a.bin", server.put("a", BODY))),
        console=Console(file=log),
        patience=QUICK,
    )
    assert log.getvalue() == "Fetching 1 raw file (0.0 MB).\n"


# The study's own list ---------------------------------------------------------------------------------------


@pytest.mark.real
def test_every_listed_file_verifies(raw):
    state = check_folder(raw.folder, raw.manifest)
    assert state.loc[state["state"] != "ok", "problem"].tolist() == []
    assert len(state) == len(raw.manifest.files)
    assert have_everything(raw.folder, raw.manifest)
    assert os.access(raw.path("fbi/table8_by_state/2007/Connecticut.csv"), os.R_OK)
