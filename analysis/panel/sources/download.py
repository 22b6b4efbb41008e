"""Fetch raw files against the manifest: the only part of the study that touches the network.

``requests`` carries the transfers. pooch was looked at for them: it checks hashes and moves a finished file
into place, but it neither resumes a broken transfer, nor knows a second address for the same bytes, nor runs
several at once, and its progress display is another library's; what is left of it is a SHA-256, which the
study computes in one place already. For the same reason retries are a loop of ours and not urllib3's: those
end where the body of a response begins, and most breaks come after that.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from zlib import crc32

import pandas as pd
import requests
import urllib3
from requests.utils import get_environ_proxies, select_proxy
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from analysis.base.paths import DATA_VARIABLE
from analysis.base.provenance import sha256_of
from analysis.panel.sources.raw import Manifest, RawFile, describe, is_borrowed, state_of, way_out

BLOCK = 1 << 16
PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
HEADERS = {
    "User-Agent": "detainer-policy-study (research; fetches public data files)",
    # Ranges and lengths count bytes on the wire; compressed, they would not be the file's.
    "Accept-Encoding": "identity",
}
SHOWN_TOGETHER = 5


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a download waits and how often it tries.

    Args:
        answer: seconds within which a host must take a connection, all hosts being asked at once.
        silence: seconds without a byte after which a transfer is broken off.
        tries: tries in a row that bring nothing new before an address is given up.
        back_off: seconds of the first wait; it doubles, with up to half as much again by file and try.
        longest: longest wait in seconds, also where a server asks for more.
        slowest: bytes a second below which, over ``silence`` seconds, a transfer is broken off.
    """

    answer: float = 4.0
    silence: float = 20.0
    tries: int = 4
    back_off: float = 1.0
    longest: float = 30.0
    slowest: float = 1000.0

    def wait(self, path: str, failures: int, asked: float | None = None) -> float:
        """Return the wait in seconds after some failures in a row; the same file and try waits the same.

        Args:
            path: the file, which spreads the waits of several files.
            failures: failures so far, from 1.
            asked: seconds the server asked for, if it did.

        Example:
            >>> Patience(back_off=1.0).wait("a.csv", 3) == Patience(back_off=1.0).wait("a.csv", 3)
            True
            >>> Patience(longest=30.0).wait("a.csv", 1, asked=3600.0)
            30.0
        """
        if asked is not None:
            return min(asked, self.longest)
        spread = 1 + crc32(f"{path} {failures}".encode()) / 2**33
        return min(self.back_off * 2 ** (failures - 1) * spread, self.longest)


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that is not in the folder as listed, why, and the way out.

    Args:
        path: relative path of the file.
        reason: what happened, without the file's name.
        way_out: what a person can do.
    """

    path: str
    reason: str
    way_out: str

    def __str__(self) -> str:
        """Return the whole message in one line."""
        return f"{self.path}: {self.reason}. {self.way_out}"


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What a fetch did.

    Args:
        folder: the raw folder.
        present: files that were there, hash checked.
        fetched: files downloaded, hash checked.
        replaced: those among them that stood there damaged before.
        passed_over: file to reason, where the pinned copy served the bytes and the official address did not.
        failed: files that are not there as listed.
        megabytes: size of what was fetched, 10^6 bytes.
        offline: whether no host answered at all.
        read_only: whether the folder belongs to the user (CRIME_STUDY_DATA) and was only looked at.
    """

    folder: Path
    present: tuple[str, ...] = ()
    fetched: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    passed_over: Mapping[str, str] = field(default_factory=dict)
    failed: tuple[Failure, ...] = ()
    megabytes: float = 0.0
    offline: bool = False
    read_only: bool = False

    @property
    def ok(self) -> bool:
        """Whether every file asked for is there with its hash."""
        return not self.failed

    def summary_lines(self) -> list[str]:
        """Return what happened in lines for a terminal; what many files share is said once.

        Example:
            >>> FetchReport(Path("raw"), present=("a.csv", "b.csv")).summary_lines()
            ['2 raw files in place, hashes checked; nothing to fetch.']
        """
        total = len(self.present) + len(self.fetched) + len(self.failed)
        if self.ok and not self.fetched:
            return [f"{_files(len(self.present))} in place, hashes checked; nothing to fetch."]
        if self.offline:
            return [str(self.failed[0].reason), self.failed[0].way_out]
        lines = []
        if self.read_only:
            lines.append(
                f"{len(self.failed)} of {total} raw files in the folder of {DATA_VARIABLE} are not as "
                "listed, and nothing is ever written to it."
            )
        else:
            lines.append(
                f"{_files(len(self.fetched))} fetched ({self.megabytes:.1f} MB), "
                f"{len(self.present)} already in place, {len(self.failed)} failed."
            )
        if self.replaced:
            lines.append(
                f"{_files(len(self.replaced))} had been damaged and came anew: {_some(self.replaced)}."
            )
        if self.passed_over:
            path, reason = next(iter(self.passed_over.items()))
            lines.append(
                f"{_files(len(self.passed_over))} came from the pinned copy, "
                f"not from the official address ({path}: {reason})."
            )
        alike: dict[str, list[Failure]] = {}
        for failure in self.failed:
            alike.setdefault(failure.reason, []).append(failure)
        for reason, failures in alike.items():
            if len(failures) > SHOWN_TOGETHER:
                paths = _some([failure.path for failure in failures])
                lines.append(
                    f"  {len(failures)} files: {reason}: {paths}. First of them: {failures[0].way_out}"
                )
            else:
                lines.extend(f"  {failure}" for failure in failures)
        return lines


def fetch(
    raw_folder: Path,
    manifest: Manifest,
    *,
    families: Iterable[str] | None = None,
    console: Console | None = None,
    workers: int = 4,
    patience: Patience | None = None,
) -> FetchReport:
    """Download the raw files that are missing or damaged, and say what could not be had.

    The official address is tried first where it serves the same bytes, then the pinned copy. A transfer that
    breaks is resumed, also by the next run. A file appears under its name only with the size and hash of the
    manifest. One file's trouble does not stop the others. Where every file is in place no request is made.
    Into the folder of CRIME_STUDY_DATA nothing is ever written: it is checked, and what it lacks is named.

    Args:
        raw_folder: where files stand and go.
        manifest: what they are.
        families: names of families; all without.
        console: where progress is shown, if it is a terminal; None for silence.
        workers: transfers at once.
        patience: waits and tries.

    Returns:
        What was there, fetched, and failed, with reasons.

    Raises:
        SourceError: a family is not in the manifest.
        KeyboardInterrupt: after Ctrl-C; finished files and resumable parts stay.

    Example:
        >>> import tempfile
        >>> from analysis.panel.sources.raw import load_manifest
        >>> report = fetch(Path(tempfile.mkdtemp()), load_manifest(), families=[])
        >>> report.ok, report.fetched
        (True, ())
    """
    patience = patience or Patience()
    folder = Path(raw_folder)
    files = manifest.select(families)
    states = _states(folder, files)
    present = tuple(file.path for file, (state, _) in zip(files, states, strict=True) if state == "ok")
    wanted = [(file, *state) for file, state in zip(files, states, strict=True) if state[0] != "ok"]

    if is_borrowed(folder):
        failed = tuple(_look_only(folder, file, state, found) for file, state, found in wanted)
        return FetchReport(folder, present, failed=failed, read_only=True)
    if not wanted:
        return FetchReport(folder, present)

    missing = [file for file, _, _ in wanted]
    hosts = _Hosts((url for file in missing for url in file.addresses), patience.answer)
    if not hosts.any_answers():
        return FetchReport(folder, present, failed=_no_network(folder, missing, hosts), offline=True)

    display = _Display(missing, manifest, console)
    run = _Run(folder, missing, hosts, patience, display)
    with display:
        run.go(workers)
    fetched = tuple(file.path for file in missing if file.path in run.fetched)
    return FetchReport(
        folder,
        present,
        fetched=fetched,
        replaced=tuple(f.path for f, state, _ in wanted if state != "missing" and f.path in run.fetched),
        passed_over={path: run.passed_over[path] for path in fetched if path in run.passed_over},
        failed=tuple(run.failed[file.path] for file in missing if file.path in run.failed),
        megabytes=sum(file.bytes for file in missing if file.path in run.fetched) / 1e6,
    )


def check_folder(
    raw_folder: Path, manifest: Manifest, families: Iterable[str] | None = None, workers: int = 2
) -> pd.DataFrame:
    """Hold a folder against the manifest; every file is read.

    Args:
        raw_folder: the raw folder.
        manifest: what it should hold.
        families: names of families; all without.
        workers: files read at once.

    Returns:
        A row a file, in the order of the manifest: path, family, state (``ok``, ``missing``, ``wrong_size``,
        ``wrong_hash``), problem (what is wrong and the way out, or "").

    Example:
        >>> from analysis.panel.sources.raw import load_manifest
        >>> check_folder(Path("/nowhere"), load_manifest(), ["nchs"])["state"].tolist()
        ['missing']
    """
    folder = Path(raw_folder)
    files = manifest.select(families)
    rows = [
        (file.path, file.family, state, "" if state == "ok" else describe(folder, file, state, found))
        for file, (state, found) in zip(files, _states(folder, files, workers), strict=True)
    ]
    return pd.DataFrame(rows, columns=["path", "family", "state", "problem"])


def _states(folder: Path, files: Sequence[RawFile], workers: int = 2) -> list[tuple[str, str]]:
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda file: state_of(folder, file), files))


class _PassingError(Exception):
    """A transfer failed in a way that may pass: worth another try."""

    def __init__(self, reason: str, asked: float | None = None) -> None:
        super().__init__(reason)
        self.asked = asked


class _RefusedError(Exception):
    """An address does not give these bytes, and will not on another try."""


class _DiskError(Exception):
    """The file cannot be written here, from whatever address."""


class _StoppedError(Exception):
    """The person has asked to stop."""


class _Hosts:
    """Which hosts take a connection: all asked at once, each in a thread nobody waits for past the bound.

    Name resolution cannot be given a time limit, so it must not happen in a thread that is waited for. Where
    a proxy is set for an address, the proxy is the host that has to answer.
    """

    def __init__(self, urls: Iterable[str], bound: float) -> None:
        self.names: dict[tuple[str, int], str] = {}
        self._of = {url: self._endpoint(url) for url in dict.fromkeys(urls)}
        self._state: dict[tuple[str, int], bool | None] = dict.fromkeys(self._of.values())
        self._changed = threading.Condition()
        self._deadline = time.monotonic() + bound
        self.bound = bound
        for endpoint in self._state:
            threading.Thread(target=self._ask, args=(endpoint,), daemon=True).start()

    def _endpoint(self, url: str) -> tuple[str, int]:
        proxy = select_proxy(url, get_environ_proxies(url))
        if proxy and "://" not in proxy:
            proxy = f"http://{proxy}"
        parts = urlsplit(proxy or url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        endpoint = (parts.hostname or "", port)
        self.names[endpoint] = f"the proxy {endpoint[0]}:{port}" if proxy else endpoint[0]
        return endpoint

    def _ask(self, endpoint: tuple[str, int]) -> None:
        answer = False
        # Twice: a first connection after the machine wakes often fails.
        for again in (False, True):
            if again:
                time.sleep(min(0.3, self.bound / 4))
            try:
                socket.create_connection(endpoint, timeout=self.bound).close()
                answer = True
                break
            except (OSError, UnicodeError):
                continue
        with self._changed:
            self._state[endpoint] = answer
            self._changed.notify_all()

    def _wait(self, settled: list[tuple[str, int]], *, any_will_do: bool) -> bool:
        def over() -> bool:
            states = [self._state[endpoint] for endpoint in settled]
            return None not in states or (any_will_do and True in states)

        with self._changed:
            self._changed.wait_for(over, timeout=max(0.0, self._deadline - time.monotonic()))
            return any(self._state[endpoint] for endpoint in settled)

    def any_answers(self) -> bool:
        """Return whether some host answers, as soon as that is known."""
        return self._wait(list(self._state), any_will_do=True)

    def answers(self, url: str) -> bool:
        """Return whether the host of an address answers."""
        return self._wait([self._of[url]], any_will_do=True)


class _Display:
    """Progress bars: one in all, one for each file under way, one for a family that counts as one item."""

    def __init__(self, files: Sequence[RawFile], manifest: Manifest, console: Console | None) -> None:
        shown = console is not None and console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
            disable=not shown,
            transient=True,
        )
        self._manifest = manifest
        self._lock = threading.Lock()
        self._have: dict[str, int] = {}
        self._items: dict[str, dict[str, int]] = {}
        self._left: dict[str, int] = {}
        self._tasks: dict[str, TaskID] = {}
        self._sizes: dict[str, int] = {}
        for file in files:
            item = self._item(file)
            self._sizes[item] = self._sizes.get(item, 0) + file.bytes
            self._left[item] = self._left.get(item, 0) + 1
        total = sum(file.bytes for file in files)
        if console is not None and not shown:
            console.print(f"Fetching {_files(len(files))} ({total / 1e6:.1f} MB).")
        self._all = self._progress.add_task(f"[bold]{_files(len(files))}", total=total)

    def __enter__(self) -> None:
        self._progress.start()

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _item(self, file: RawFile) -> str:
        return file.family if self._manifest.families[file.family].one_bar else file.path

    def at(self, file: RawFile, have: int) -> None:
        """Note how many bytes of a file there are."""
        item = self._item(file)
        with self._lock:
            if item not in self._tasks:
                several = f" ({self._left[item]} files)" if item == file.family else ""
                self._tasks[item] = self._progress.add_task(item + several, total=self._sizes[item] or None)
            parts = self._items.setdefault(item, {})
            parts[file.path] = have
            self._have[file.path] = have
            self._progress.update(self._tasks[item], completed=sum(parts.values()))
            self._progress.update(self._all, completed=sum(self._have.values()))

    def over(self, file: RawFile) -> None:
        """Note that a file is fetched or given up; a bar that has nothing left to show goes."""
        item = self._item(file)
        with self._lock:
            self._left[item] -= 1
            if self._left[item] == 0 and item in self._tasks:
                self._progress.remove_task(self._tasks.pop(item))


class _Run:
    """One fetch: files in a queue, workers that take them one by one."""

    def __init__(
        self, folder: Path, files: Sequence[RawFile], hosts: _Hosts, patience: Patience, display: _Display
    ) -> None:
        self._folder, self._hosts, self._patience, self._display = folder, hosts, patience, display
        self._queue: queue.SimpleQueue[RawFile] = queue.SimpleQueue()
        for file in files:
            self._queue.put(file)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._given_up: dict[str, int] = {}
        self._crash: BaseException | None = None
        self.fetched: set[str] = set()
        self.failed: dict[str, Failure] = {}
        self.passed_over: dict[str, str] = {}

    def go(self, workers: int) -> None:
        """Run the workers to the end, or until Ctrl-C."""
        # Daemons: a worker inside a call that cannot be interrupted must not hold up the end of the program.
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(max(1, workers))]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.1)
        except BaseException:
            self._stop.set()
            for thread in threads:
                if thread.is_alive():
                    thread.join(0.5)
            raise
        if self._crash is not None:
            raise self._crash

    def _work(self) -> None:
        with requests.Session() as session:
            while not self._stop.is_set():
                try:
                    file = self._queue.get_nowait()
                except queue.Empty:
                    return
                try:
                    failure = self._obtain(session, file)
                except _StoppedError:
                    return
                except BaseException as error:
                    self._crash = error
                    self._stop.set()
                    return
                with self._lock:
                    if failure is None:
                        self.fetched.add(file.path)
                    else:
                        self.failed[file.path] = failure
                self._display.over(file)

    def _obtain(self, session: requests.Session, file: RawFile) -> Failure | None:
        """Get one file from its addresses in turn; return why not, if not."""
        target = self._folder / file.path
        reasons: list[str] = []
        for position, url in enumerate(file.addresses):
            last = position == len(file.addresses) - 1
            try:
                self._from_address(session, file, url, target, last=last)
            except _RefusedError as error:
                reasons.append(f"{urlsplit(url).hostname}: {error}")
            except _DiskError as error:
                return Failure(
                    file.path,
                    f"cannot be written below {self._folder}: {error}",
                    "Make room, or the folder writable, and run `python -m analysis fetch` again",
                )
            else:
                if reasons:
                    self.passed_over[file.path] = reasons[0]
                return None
        by_hand = " or ".join(dict.fromkeys((file.source, *file.addresses)))
        return Failure(
            file.path,
            "; ".join(reasons),
            f"Run `python -m analysis fetch` again later, or save it by hand as {target} (from {by_hand})",
        )

    def _from_address(
        self, session: requests.Session, file: RawFile, url: str, target: Path, *, last: bool
    ) -> None:
        """Get one file from one address and put it in place."""
        host = urlsplit(url).netloc
        if not self._hosts.answers(url):
            raise _RefusedError(f"does not answer within {self._patience.answer:g} s")
        if not last and self._given_up.get(host, 0) >= 2:
            # An official host in trouble would cost every file the full wait, with a pinned copy at hand.
            raise _RefusedError("passed over after it failed for other files")
        part = target.with_name(f"{target.name}.part")
        failures = total = 0
        afresh = False
        while True:
            before = _size(part)
            try:
                self._transfer(session, file, url, part)
            except _PassingError as error:
                total += 1
                failures = 1 if _size(part) > before else failures + 1
                if failures >= self._patience.tries or total >= 5 * self._patience.tries:
                    with self._lock:
                        self._given_up[host] = self._given_up.get(host, 0) + 1
                    raise _RefusedError(f"{error} (tried {total} times)") from error
                if self._stop.wait(self._patience.wait(file.path, failures, error.asked)):
                    raise _StoppedError from error
                continue
            digest = sha256_of(part)
            if digest == file.sha256:
                _put_in_place(part, target)
                return
            _remove(part)
            if afresh or not before:
                raise _RefusedError(
                    f"serves other bytes (SHA-256 {digest[:12]}…, expected {file.sha256[:12]}…)"
                )
            # What it was resumed from, or resuming itself, may be what is wrong: once more from the start.
            afresh = True

    def _transfer(self, session: requests.Session, file: RawFile, url: str, part: Path) -> None:
        """Bring the part to the full size, from where it stands."""
        have = _size(part)
        if have and have == file.bytes:
            return
        if have > file.bytes:
            _remove(part)
            have = 0
        headers = HEADERS | ({"Range": f"bytes={have}-"} if have else {})
        limits = (self._patience.answer, self._patience.silence)
        try:
            with session.get(url, headers=headers, stream=True, timeout=limits) as response:
                have = self._accept(response, file, part, have)
                with _open(part, "ab" if have else "wb") as stream:
                    have = self._pour(response, file, stream, have)
                    _sync(stream)
                ended = _says_where_it_ends(response)
        except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as error:
            raise _RefusedError("its certificate cannot be verified") from error
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise _PassingError(f"fell silent for {self._patience.silence:g} s") from error
        except (
            requests.exceptions.ConnectionError,
            requests.exceptions.ChunkedEncodingError,
            urllib3.exceptions.HTTPError,
            ConnectionError,
        ) as error:
            raise _PassingError(f"broke off after {_size(part):,} of {file.bytes:,} bytes") from error
        except requests.exceptions.RequestException as error:
            raise _RefusedError(f"cannot be asked ({type(error).__name__})") from error
        if have < file.bytes and ended:
            _remove(part)
            raise _RefusedError(f"serves {have:,} bytes, expected {file.bytes:,}")
        if have < file.bytes:
            raise _PassingError(f"broke off after {have:,} of {file.bytes:,} bytes")

    def _accept(self, response: requests.Response, file: RawFile, part: Path, have: int) -> int:
        """Judge a response by its head; return from which byte on it continues the part."""
        status = response.status_code
        if status == 416:
            _remove(part)
            raise _PassingError("refuses to resume")
        if status in PASSING_STATUS:
            raise _PassingError(f"HTTP {status} {response.reason}", _asked(response))
        if status not in (200, 206):
            raise _RefusedError(f"HTTP {status} {response.reason}")
        whole = response.headers.get("Content-Length", "")
        if status == 206:
            span, _, whole = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
            if not have or span.partition("-")[0] != str(have):
                _remove(part)
                raise _PassingError("resumes at another byte than asked")
        else:
            have = 0
        compressed = response.headers.get("Content-Encoding", "identity") != "identity"
        if whole.isdigit() and not compressed and int(whole) != file.bytes:
            raise _RefusedError(f"serves {int(whole):,} bytes, expected {file.bytes:,}")
        return have

    def _pour(self, response: requests.Response, file: RawFile, stream: BinaryIO, have: int) -> int:
        """Append a response's body to the part; return how many bytes it then holds."""
        self._display.at(file, have)
        since, arrived = time.monotonic(), 0
        while True:
            if self._stop.is_set():
                raise _StoppedError
            # read1 returns what has come; read would hold a slow transfer back until a block is full.
            block = response.raw.read1(BLOCK, decode_content=True)
            if not block:
                return have
            have += len(block)
            if have > file.bytes:
                _remove(Path(stream.name))
                raise _RefusedError(f"serves more than the {file.bytes:,} bytes expected")
            _write(stream, block)
            self._display.at(file, have)
            arrived += len(block)
            elapsed = time.monotonic() - since
            if elapsed >= self._patience.silence:
                if arrived / elapsed < self._patience.slowest:
                    raise _PassingError(f"sends less than {self._patience.slowest:g} bytes a second")
                since, arrived = time.monotonic(), 0


def _look_only(folder: Path, file: RawFile, state: str, found: str) -> Failure:
    there = f"in the folder of {DATA_VARIABLE} ({folder})"
    reason = {
        "missing": f"is missing {there}",
        "wrong_size": f"holds {found} bytes {there}, expected {file.bytes:,}",
        "wrong_hash": f"has SHA-256 {found[:12]}… {there}, expected {file.sha256[:12]}…",
    }[state]
    return Failure(file.path, reason, way_out(folder, file))


def _no_network(folder: Path, files: Sequence[RawFile], hosts: _Hosts) -> tuple[Failure, ...]:
    names = ", ".join(sorted(set(hosts.names.values())))
    megabytes = sum(file.bytes for file in files) / 1e6
    reason = (
        f"No network: none of {names} answers within {hosts.bound:g} s, "
        f"and {_files(len(files))} ({megabytes:.1f} MB) are not in {folder}."
    )
    way = (
        "Connect and run `python -m analysis fetch` again, copy the files there by hand (data/manifest.toml "
        f"names an address for each), or point {DATA_VARIABLE} at a folder that has them."
    )
    return tuple(Failure(file.path, reason, way) for file in files)


def _says_where_it_ends(response: requests.Response) -> bool:
    """Return whether a body that came without an error is known to be whole."""
    headers = response.headers
    if response.status_code != 200:  # a range may be answered with less than was asked
        return False
    return "Content-Length" in headers or "chunked" in headers.get("Transfer-Encoding", "").lower()


def _asked(response: requests.Response) -> float | None:
    """Return the seconds a Retry-After header asks for, in either of its two forms."""
    text = response.headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isdigit():
        return float(text)
    with contextlib.suppress(ValueError):
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    return None


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except OSError:
        return 0


def _remove(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
    except OSError as error:
        raise _DiskError(error.strerror or str(error)) from error


def _open(part: Path, mode: str) -> BinaryIO:
    # Unbuffered: what has arrived stays in the part however the program ends.
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        return part.open(mode, buffering=0)  # type: ignore[return-value]
    except OSError as error:
        raise _DiskError(error.strerror or str(error)) from error


def _write(stream: BinaryIO, block: bytes) -> None:
    view = memoryview(block)
    try:
        while view:
            view = view[stream.write(view) :]
    except OSError as error:
        raise _DiskError(error.strerror or str(error)) from error


def _sync(stream: BinaryIO) -> None:
    try:
        os.fsync(stream.fileno())
    except OSError as error:
        raise _DiskError(error.strerror or str(error)) from error


def _put_in_place(part: Path, target: Path) -> None:
    """Give a verified part its name. (paths.replacing would remove the part of a broken transfer.)"""
    try:
        part.replace(target)
        if os.name == "posix":
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise _DiskError(error.strerror or str(error)) from error


def _files(count: int) -> str:
    return f"{count} raw file{'' if count == 1 else 's'}"


def _some(paths: Sequence[str]) -> str:
    more = len(paths) - 3
    return ", ".join(paths[:3]) + (f" and {more} more" if more > 0 else "")
