"""Raw files: what the manifest says of each, and a folder of them held against it.

``data/manifest.toml`` is the one list of raw files. Nothing here touches the network; ``download`` does.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

import pandas as pd

from analysis.base.errors import SourceError, nearest
from analysis.base.paths import DATA_VARIABLE, Paths
from analysis.base.provenance import digest_of, sha256_of

_verified: dict[tuple[str, int, int], str] = {}
_lock = Lock()
SHA256 = re.compile(r"[0-9a-f]{64}")
TOP_KEYS = frozenset({"licences", "citations", "families"})
FAMILY_KEYS = frozenset(
    {
        "title",
        "source",
        "licence",
        "citation",
        "feeds",
        "folder",
        "official_page",
        "mirror_base",
        "one_bar",
        "files",
    }
)
FILE_KEYS = frozenset(
    {
        "path",
        "bytes",
        "sha256",
        "official_url",
        "official_page",
        "mirror_url",
        "licence",
        "citation",
        "feeds",
        "note",
    }
)


@dataclass(frozen=True, slots=True)
class RawFile:
    """One raw file as the manifest lists it.

    Args:
        path: name relative to the raw folder, with forward slashes.
        family: the family it belongs to.
        bytes: its size; 0 is a valid size (two of the FBI's pages are empty at the source).
        sha256: SHA-256 of its content, 64 lower-case hexadecimal digits.
        official_url: address of the publisher that serves the same bytes, or "".
        official_page: page or description of the official source where no such address exists, or "".
        mirror_url: pinned public copy (an immutable commit), or "".
        licence: licence in words.
        citation: full reference in words.
        citation_key: key of that reference in the manifest and the bibliography.
        feeds: tidy tables made from it.
        note: what a reader of the file should know, or "".

    Example:
        >>> load_manifest().files["fbi/table10/2012.xls"].addresses[1].startswith("https://raw.github")
        True
    """

    path: str
    family: str
    bytes: int
    sha256: str
    official_url: str
    official_page: str
    mirror_url: str
    licence: str
    citation: str
    citation_key: str
    feeds: tuple[str, ...]
    note: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses that serve exactly these bytes: the official one first, then the pinned copy."""
        return tuple(url for url in (self.official_url, self.mirror_url) if url)

    @property
    def source(self) -> str:
        """The official address, or the page or description where none serves the same bytes."""
        return self.official_url or self.official_page


@dataclass(frozen=True, slots=True)
class Family:
    """Raw files of one kind.

    Args:
        name: key in the manifest.
        title: what the files are.
        source: who publishes them and where.
        licence: licence in words, of the files that state none of their own.
        citation: full reference in words, of the files that state none of their own.
        feeds: tidy tables made from the family.
        files: relative paths, in the order of the manifest.
        one_bar: whether a download shows the family as one item instead of an item a file.
    """

    name: str
    title: str
    source: str
    licence: str
    citation: str
    feeds: tuple[str, ...]
    files: tuple[str, ...]
    one_bar: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """The list of raw files.

    Args:
        files: relative path to file.
        families: name to family.
        references: citation key to full reference.
        where: name of the manifest file, for messages.
    """

    files: Mapping[str, RawFile]
    families: Mapping[str, Family]
    references: Mapping[str, str]
    where: str = "data/manifest.toml"

    def select(self, families: Iterable[str] | None = None) -> tuple[RawFile, ...]:
        """Return the files of some families (all without an argument), in the order of the manifest.

        Raises:
            SourceError: a family is not in the manifest.

        Example:
            >>> [file.path for file in load_manifest().select(["nchs"])]
            ['nchs/NCHSURCodes2013.xlsx']
        """
        if families is None:
            return tuple(self.files.values())
        return tuple(self.files[path] for name in families for path in self.family(name).files)

    def family(self, name: str) -> Family:
        """Return a family, or raise SourceError with the nearest known name."""
        try:
            return self.families[name]
        except KeyError:
            hint = nearest(name, self.families)
            raise SourceError(
                f"no family of raw files is called {name!r}{hint}", "a family of the manifest"
            ) from None

    def file(self, path: str) -> RawFile:
        """Return a file, or raise SourceError with the nearest known path."""
        try:
            return self.files[path]
        except KeyError:
            hint = nearest(path, self.files)
            raise SourceError(
                f"no raw file is listed as {path!r}{hint}", "a path of the manifest", self.where
            ) from None

    def feeding(self, table: str) -> tuple[RawFile, ...]:
        """Return the files a tidy table is made from.

        Example:
            >>> {file.family for file in load_manifest().feeding("labour")}
            {'bls_laus'}
        """
        return tuple(file for file in self.files.values() if table in file.feeds)

    def digest(self, families: Iterable[str] | None = None) -> str:
        """Return a digest of paths and hashes: two folders that verify against it hold the same bytes."""
        return digest_of({file.path: file.sha256 for file in self.select(families)})


def load_manifest(path: Path | None = None) -> Manifest:
    """Read the manifest, strictly.

    Args:
        path: a manifest; without it ``data/manifest.toml``.

    Returns:
        Files and families, in the order of the file.

    Raises:
        SourceError: the file is missing or no TOML, a key is unknown (the message names the nearest), a
            required one is absent, a hash is not 64 lower-case hexadecimal digits, a path leaves the raw
            folder or stands twice, a licence or citation is not defined, or a file lacks source or address.

    Example:
        >>> manifest = load_manifest()
        >>> manifest.files["census/co-est2019-alldata.csv"].family
        'census_population'
    """
    path = Paths().manifest if path is None else path
    where = "data/manifest.toml" if path == Paths().manifest else str(path)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(
            f"the manifest {where} cannot be read: {error.strerror}", "a TOML file", where
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SourceError(
            f"the manifest is not valid TOML: {error}", "TOML with every key once", where
        ) from error

    _known(document, TOP_KEYS, "the manifest", where)
    licences = _texts(document.get("licences", {}), "licences", where)
    references = _texts(document.get("citations", {}), "citations", where)
    families: dict[str, Family] = {}
    files: dict[str, RawFile] = {}
    folded: dict[str, str] = {}
    for name, entry in _table(document.get("families", {}), "families", where).items():
        family, members = _read_family(name, entry, licences, references, where)
        for file in members:
            # Two names that differ in case alone are one file on some machines.
            twin = folded.setdefault(file.path.casefold(), f"{name} ({file.path})")
            if twin != f"{name} ({file.path})" or file.path in files:
                raise SourceError(
                    f"path {file.path!r} of {name} stands twice, before in {twin}", "each path once", where
                )
            files[file.path] = file
        families[name] = family
    return Manifest(files=files, families=families, references=references, where=where)


class RawFiles:
    """A folder of raw files with the manifest held against it.

    A file is handed out only when its size and SHA-256 are those of the manifest; a file that has not changed
    is hashed once a process.

    Args:
        folder: the raw folder.
        manifest: what it should hold; without it the study's own.

    Example:
        >>> import tempfile
        >>> raw = RawFiles(Path(tempfile.mkdtemp()))
        >>> raw.family("nchs")
        ['nchs/NCHSURCodes2013.xlsx']
        >>> raw.path("nchs/NCHSURCodes2013.xlsx")  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        analysis.base.errors.SourceError: raw file nchs/NCHSURCodes2013.xlsx is missing from the raw folder
    """

    def __init__(self, folder: Path, manifest: Manifest | None = None) -> None:
        """Hold a manifest against a folder; nothing is read yet."""
        self.folder = Path(folder)
        self.manifest = load_manifest() if manifest is None else manifest

    def path(self, relative: str) -> Path:
        """Return where a listed file stands, after checking presence, size and hash.

        Args:
            relative: its path in the manifest.

        Raises:
            SourceError: it is not listed, missing, or of another size or hash; the message says the way out.
        """
        file = self.manifest.file(relative)
        state, found = state_of(self.folder, file, _hash_once)
        if state != "ok":
            raise SourceError(describe(self.folder, file, state, found))
        return self.folder / relative

    def family(self, name: str) -> list[str]:
        """Return the relative paths of a family, in the order of the manifest."""
        return list(self.manifest.family(name).files)

    def digest(self, families: Iterable[str] | None = None) -> str:
        """Return the digest of what the manifest promises for some families, or for all."""
        return self.manifest.digest(families)


def is_borrowed(folder: Path) -> bool:
    """Return whether a folder is, or lies below, that of CRIME_STUDY_DATA: nothing is ever written there."""
    paths = Paths()
    return paths.raw_is_borrowed and Path(folder).resolve().is_relative_to(paths.raw.resolve())


def state_of(folder: Path, file: RawFile, hasher: Callable[[Path], str] = sha256_of) -> tuple[str, str]:
    """Return the state of one file in a folder, and what was found there.

    Args:
        folder: the raw folder.
        file: the file as listed.
        hasher: from a path to its SHA-256.

    Returns:
        ``ok``, ``missing``, ``wrong_size`` or ``wrong_hash``; with it the size or hash that was found.

    Example:
        >>> state_of(Path("/nowhere"), load_manifest().files["nchs/NCHSURCodes2013.xlsx"])
        ('missing', '')
    """
    path = folder / file.path
    if not path.is_file():
        return "missing", ""
    size = path.stat().st_size
    if size != file.bytes:
        return "wrong_size", f"{size:,}"
    digest = hasher(path)
    return ("ok", digest) if digest == file.sha256 else ("wrong_hash", digest)


def describe(folder: Path, file: RawFile, state: str, found: str) -> str:
    """Return what is wrong with a file and the way out, in one sentence each."""
    path = folder / file.path
    wrong = {
        "missing": f"raw file {file.path} is missing from {folder}",
        "wrong_size": f"raw file {path} holds {found} bytes; expected {file.bytes:,}",
        "wrong_hash": f"raw file {path} has SHA-256 {found[:12]}…; expected {file.sha256[:12]}…",
    }[state]
    return f"{wrong}. {way_out(folder, file)}"


def way_out(folder: Path, file: RawFile) -> str:
    """Return how to get a file: by the fetch command, or by hand where the folder is only read."""
    by_hand = f"from {file.mirror_url or file.official_url} (official source: {file.source})"
    if is_borrowed(folder):
        return (
            f"Nothing is written to the folder of {DATA_VARIABLE}: put the file there yourself, {by_hand}, "
            f"or unset {DATA_VARIABLE} and run `python -m analysis fetch`"
        )
    return f"Run `python -m analysis fetch`, or put it there yourself, {by_hand}"


def have_everything(raw_folder: Path, manifest: Manifest, families: Iterable[str] | None = None) -> bool:
    """Return whether every listed file is there with its size. No file is read.

    Example:
        >>> have_everything(Path("/nowhere"), load_manifest())
        False
    """
    for file in manifest.select(families):
        path = raw_folder / file.path
        if not path.is_file() or path.stat().st_size != file.bytes:
            return False
    return True


def citations(manifest: Manifest) -> dict[str, str]:
    """Return citation key to full reference, of the references that some file uses, by key.

    Example:
        >>> "nchs_urban_rural" in citations(load_manifest())
        True
    """
    used = {file.citation_key for file in manifest.files.values()}
    return {key: manifest.references[key] for key in sorted(used)}


def table(manifest: Manifest) -> pd.DataFrame:
    """Return the data-availability table, a row a family.

    Returns:
        family, title, source (who publishes it, where), licence and citation (``; ``-joined where files
        differ), files (how many), official (how many of them an official address serves), megabytes
        (10^6 bytes), feeds.

    Example:
        >>> int(table(load_manifest()).set_index("family").loc["bls_laus", "files"])
        20
    """
    rows = []
    for family in manifest.families.values():
        members = [manifest.files[path] for path in family.files]
        rows.append(
            {
                "family": family.name,
                "title": family.title,
                "source": family.source,
                "licence": "; ".join(dict.fromkeys(file.licence for file in members)),
                "citation": "; ".join(dict.fromkeys(file.citation_key for file in members)),
                "files": len(members),
                "official": sum(bool(file.official_url) for file in members),
                "megabytes": round(sum(file.bytes for file in members) / 1e6, 1),
                "feeds": ", ".join(dict.fromkeys(name for file in members for name in file.feeds)),
            }
        )
    return pd.DataFrame(rows)


def _hash_once(path: Path) -> str:
    """Return a file's SHA-256, computed again only when its size or time of change is another."""
    stat = path.stat()
    key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    with _lock:
        known = _verified.get(key)
    if known is None:
        known = sha256_of(path)
        with _lock:
            _verified[key] = known
    return known


def _read_family(
    name: str, entry: Any, licences: Mapping[str, str], references: Mapping[str, str], where: str
) -> tuple[Family, list[RawFile]]:
    label = f"families.{name}"
    entry = _table(entry, label, where)
    _known(entry, FAMILY_KEYS, label, where)
    _need(entry, ("title", "source", "licence", "citation", "feeds", "files"), label, where)
    for key in ("title", "source", "folder", "official_page", "mirror_base"):
        _text(entry, key, label, where)
    if not isinstance(entry.get("one_bar", False), bool):
        raise SourceError(f"{label}.one_bar = {entry['one_bar']!r}", "true or false", where)
    if not isinstance(entry["files"], list) or not entry["files"]:
        raise SourceError(f"{label} lists no files", "one entry a file", where)

    members = [_read_file(name, entry, item, licences, references, where) for item in entry["files"]]
    own = {"licence": licences, "citation": references}
    family = Family(
        name=name,
        title=entry["title"],
        source=entry["source"],
        licence=_look_up(entry["licence"], own["licence"], f"{label}.licence", where),
        citation=_look_up(entry["citation"], own["citation"], f"{label}.citation", where),
        feeds=_feeds(entry["feeds"], label, where),
        files=tuple(file.path for file in members),
        one_bar=entry.get("one_bar", False),
    )
    return family, members


def _read_file(
    family: str,
    common: Mapping[str, Any],
    entry: Any,
    licences: Mapping[str, str],
    references: Mapping[str, str],
    where: str,
) -> RawFile:
    label = f"a file of families.{family}"
    entry = _table(entry, label, where)
    if isinstance(entry.get("path"), str):
        label = f"{entry['path']} of families.{family}"
    _known(entry, FILE_KEYS, label, where)
    _need(entry, ("path", "bytes", "sha256"), label, where)
    for key in ("path", "sha256", "official_url", "official_page", "mirror_url", "note"):
        _text(entry, key, label, where)
    if not SHA256.fullmatch(entry["sha256"]):
        raise SourceError(
            f"sha256 of {label} is {entry['sha256']!r}", "64 lower-case hexadecimal digits", where
        )
    size = entry["bytes"]
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise SourceError(f"bytes of {label} is {size!r}", "a whole number from 0", where)

    relative = entry["path"]
    folder = common.get("folder", "")
    path = f"{folder}/{relative}" if folder else relative
    parts = PurePosixPath(path).parts
    if path != "/".join(parts) or path.startswith("/") or ".." in parts or "\\" in path or not parts:
        raise SourceError(f"path {path!r} of families.{family}", "a plain path below the raw folder", where)

    base = common.get("mirror_base", "")
    mirror = entry.get("mirror_url", relative if base else "")
    if mirror and not _is_address(mirror):
        mirror = base + mirror
    official = entry.get("official_url", "")
    page = "" if official else entry.get("official_page", common.get("official_page", ""))
    for key, url in (("official_url", official), ("mirror_url", mirror)):
        if url and not _is_address(url):
            raise SourceError(f"{key} of {label} is {url!r}", "an address that begins with https://", where)
    if not (official or page):
        raise SourceError(f"{label} names no official source", "official_url, or official_page", where)
    if not (official or mirror):
        raise SourceError(f"{label} can be had from no address", "official_url or mirror_url", where)

    key = entry.get("citation", common["citation"])
    return RawFile(
        path=path,
        family=family,
        bytes=size,
        sha256=entry["sha256"],
        official_url=official,
        official_page=page,
        mirror_url=mirror,
        licence=_look_up(entry.get("licence", common["licence"]), licences, f"licence of {label}", where),
        citation=_look_up(key, references, f"citation of {label}", where),
        citation_key=key,
        feeds=_feeds(entry.get("feeds", common["feeds"]), label, where),
        note=entry.get("note", ""),
    )


def _is_address(url: str) -> bool:
    return url.startswith(("https://", "http://"))


def _known(entry: Mapping[str, Any], keys: Iterable[str], label: str, where: str) -> None:
    keys = sorted(keys)
    for key in entry:
        if key not in keys:
            raise SourceError(
                f"unknown key {key!r} in {label}{nearest(key, keys)}", f"one of {', '.join(keys)}", where
            )


def _need(entry: Mapping[str, Any], keys: Iterable[str], label: str, where: str) -> None:
    for key in keys:
        if key not in entry:
            hint = nearest(key, entry)
            raise SourceError(f"{label} lacks the key {key!r}{hint}", "it on every entry", where)


def _text(entry: Mapping[str, Any], key: str, label: str, where: str) -> None:
    if key in entry and not (isinstance(entry[key], str) and entry[key].strip()):
        raise SourceError(f"{key} of {label} is {entry[key]!r}", "text that is not empty", where)


def _table(value: Any, label: str, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SourceError(f"{label} is {value!r}", "a table of keys", where)
    return value


def _texts(value: Any, label: str, where: str) -> Mapping[str, str]:
    for key in _table(value, label, where):
        _text(value, key, label, where)
    return dict(value)


def _look_up(key: Any, known: Mapping[str, str], label: str, where: str) -> str:
    if not isinstance(key, str) or key not in known:
        hint = nearest(str(key), known)
        raise SourceError(f"{label} = {key!r}{hint}", "a key defined at the head of the manifest", where)
    return known[key]


def _feeds(value: Any, label: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
        raise SourceError(f"feeds of {label} is {value!r}", "a list of tidy tables", where)
    return tuple(value)
