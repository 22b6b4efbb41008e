"""Hashes and stamps: what a number was made from, without a clock or a path in it."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.base.paths import ROOT

STAMPED_PACKAGES = ("numpy", "scipy", "pandas", "pyfixest", "diff-diff", "matplotlib", "geopandas")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What stands behind an estimate or an output.

    Args:
        spec: digest of the resolved spec, or "" where none applies.
        data: digest of the panel the numbers came from.
        simulated: whether that panel is the simulated twin.
        code: digest of the package's source files.
        versions: package name to version.
    """

    spec: str
    data: str
    simulated: bool
    code: str
    versions: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the stamp as plain values for JSON."""
        plain = asdict(self)
        plain["versions"] = dict(self.versions)
        return plain


def sha256_of(path: Path, chunk: int = 1 << 20) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(chunk):
            digest.update(block)
    return digest.hexdigest()


def digest_of(values: Any) -> str:
    """Return a 16-digit digest of plain values; key order and formatting do not change it.

    Example:
        >>> digest_of({"a": 1, "b": [2, 3]}) == digest_of({"b": [2, 3], "a": 1})
        True
    """
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_of_table(table: pd.DataFrame) -> str:
    """Return a 16-digit digest of a table's values, column names and row order."""
    digest = hashlib.sha256(json.dumps([str(c) for c in table.columns]).encode())
    digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    return digest.hexdigest()[:16]


def digest_of_sources(folder: Path) -> str:
    """Return a 16-digit digest of the Python and TOML files below a folder, by relative name and content."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".py", ".toml"} and "__pycache__" not in path.parts:
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def code_digest() -> str:
    """Return the digest of the package's own source files."""
    return digest_of_sources(ROOT / "analysis")


@cache
def package_versions() -> tuple[tuple[str, str], ...]:
    """Return Python's and the stamped packages' versions."""
    found = [("python", ".".join(platform.python_version_tuple()[:2]))]
    for name in STAMPED_PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "absent"))
    return tuple(found)


def make_stamp(data: str, simulated: bool, spec: str = "") -> Stamp:
    """Return the stamp for numbers made from a panel with digest ``data`` under a spec with digest ``spec``."""
    return Stamp(spec=spec, data=data, simulated=simulated, code=code_digest(), versions=package_versions())


def committed_before_run(path: Path) -> str | None:
    """Return the commit that holds a spec file exactly as it stands, or None where git does not know it so."""
    try:
        relative = path.resolve().relative_to(ROOT)
        clean = subprocess.run(
            ["git", "-C", str(ROOT), "status", "--porcelain", "--", str(relative)],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout
        commit = subprocess.run(
            ["git", "-C", str(ROOT), "log", "-1", "--format=%h", "--", str(relative)],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (ValueError, OSError, subprocess.SubprocessError):
        return None
    return commit if commit and not clean.strip() else None


def canonical_json(values: Mapping[str, Any]) -> str:
    """Return JSON with sorted keys, two-space indent and a closing newline: same values, same bytes."""
    return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
