"""What can be checked without trusting anybody: environment, hashes, contracts, results, outputs, the paper's numbers."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from analysis.base.errors import StudyError
from analysis.base.paths import Paths
from analysis.base.provenance import committed_before_run

NEVER_COMMITTED = (".parquet", ".xls", ".xlsx", ".rds", ".dta", ".shp", ".dbf")


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, how it went, and what was found."""

    name: str
    state: Literal["ok", "failed", "skipped"]
    words: str


class _Skip(Exception):
    """A check does not apply here."""


def checks(simulated: bool) -> Iterator[Check]:
    """Yield every check of a tree, each carried out when it is asked for."""
    paths = Paths(simulated=simulated)
    todo: list[tuple[str, Callable[[Paths], str]]] = [
        ("environment", _environment),
        ("raw files", _raw),
        ("manifest", _manifest),
        ("compilations", _compilations),
        ("panel", _panel),
        ("national totals", _totals),
        ("specs", _specs),
        ("results", _results),
        ("outputs", _outputs),
        ("numbers in the paper", _claims),
        ("repository", _repository),
    ]
    for name, check in todo:
        try:
            yield Check(name, "ok", check(paths))
        except _Skip as reason:
            yield Check(name, "skipped", str(reason))
        except StudyError as error:
            yield Check(name, "failed", str(error))


def _environment(paths: Paths) -> str:
    from importlib.metadata import PackageNotFoundError, version

    lock = (paths.root / "requirements.lock").read_text(encoding="utf-8")
    wanted: dict[str, set[str]] = {}
    for name, number in re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", lock, flags=re.MULTILINE):
        wanted.setdefault(name, set()).add(number)
    wrong = []
    found = 0
    for name, numbers in wanted.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue  # the lock is universal: some packages belong to other systems
        found += 1
        if installed not in numbers:
            wrong.append(f"{name} {installed}")
    if wrong:
        raise StudyError(
            f"{len(wrong)} packages differ from the lock: {', '.join(wrong[:5])}",
            "the locked versions",
            "run: make env",
        )
    return f"{found} packages as locked"


def _raw(paths: Paths) -> str:
    from analysis.panel.sources.download import check_folder
    from analysis.panel.sources.raw import load_manifest

    if paths.simulated:
        raise _Skip("the twin reads no raw file")
    table = check_folder(paths.raw, load_manifest())
    bad = table[table["state"].ne("ok")]
    if bad["state"].eq("missing").all() and len(bad) == len(table):
        raise _Skip("no raw files here: python -m analysis fetch")
    if len(bad):
        raise StudyError(
            f"{len(bad)} of {len(table)} raw files: {bad.iloc[0]['path']} is {bad.iloc[0]['state']}",
            "every file, every hash",
            "run: python -m analysis fetch",
        )
    return f"{len(table)} files, every SHA-256 as in data/manifest.toml"


def _manifest(paths: Paths) -> str:
    from analysis.base.codebook import load_codebook
    from analysis.panel.sources.raw import load_manifest

    manifest, codebook = load_manifest(), load_codebook()
    fed = {table for file in manifest.files.values() for table in file.feeds}
    unknown = sorted(fed - set(codebook.tables) - {"boundaries"})
    if unknown:
        raise StudyError(
            f"the manifest feeds tables the codebook does not hold: {', '.join(unknown)}",
            where="data/manifest.toml",
        )
    return f"{len(manifest.families)} families feed {len(fed)} tables, each in the codebook"


def _compilations(paths: Paths) -> str:
    from analysis.base.fips import load_fips_changes
    from analysis.panel.sources import policy

    events = sum(
        len(read(paths.compiled_policy))
        for read in (policy.read_detainer_policies, policy.read_ddor_2017, policy.read_state_laws)
    )
    changes = len(load_fips_changes(paths.compiled_geography / "fips_changes.csv"))
    return f"{events} policy rows and {changes} FIPS changes read under their rules"


def _panel(paths: Paths) -> str:
    from analysis.base.codebook import validate
    from analysis.panel.build import load_panel

    if not (paths.panel / "stamp.json").exists():
        raise _Skip("no panel built here: python -m analysis reproduce")
    panel = load_panel(paths)
    validate(panel.table, "panel")
    validate(panel.constant, "panel")
    return f"{len(panel.table):,} county-years hold their contract, digest {panel.digest}"


def _totals(paths: Paths) -> str:
    from analysis.panel.build import load_panel

    if paths.simulated or not (paths.panel / "stamp.json").exists():
        raise _Skip("only for the real panel")
    table = load_panel(paths).reports["national_totals"]
    worst = max(
        (table[f"{m}_agencies"] - table[f"{m}_in_panel"]).div(table[f"{m}_agencies"]).abs().max()
        for m in ("violent", "property")
    )
    if worst > 1e-4:
        raise StudyError(
            f"{worst:.2%} of the printed offences of a year are not in the panel",
            "at most 0.01 %",
            "data/geography/city_hand_list.csv",
        )
    low, high = table["violent_share"].min(), table["violent_share"].max()
    return f"the panel holds all but {worst:.4%} of Tables 8 and 10, and {low:.1%}-{high:.1%} of the FBI's violent totals"


def _specs(paths: Paths) -> str:
    from analysis.design.spec import load_spec, spec_names

    loose = []
    for name in spec_names():
        spec = load_spec(name)
        if spec.status == "declared" and committed_before_run(paths.specs / f"{name}.toml") is None:
            loose.append(name)
    if loose:
        raise StudyError(
            f"declared specs that are not committed as they stand: {', '.join(loose)}",
            "a commit before the run",
            "the spec, or its status",
        )
    return f"{len(spec_names())} specs load; those declared are committed as they stand"


def _results(paths: Paths) -> str:
    import json

    import pandas as pd

    from analysis.base.provenance import sha256_of
    from analysis.evidence.results import read_results

    tables = [paths.results / f"{name}.csv" for name in ("estimates", "designs")]
    if not all(file.exists() for file in tables):
        raise _Skip("no results here: python -m analysis reproduce")
    kinds = dict.fromkeys(("multiverse", "studies", "ledger_specifications"), ".parquet")
    stamped = sorted(file.with_suffix(kinds.get(file.stem, ".csv")) for file in paths.results.glob("*.json"))
    for file in stamped:
        facts = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        if not file.exists() or facts["sha256"] != sha256_of(file):
            raise StudyError(
                f"{file.name} is not the file its stamp was written for",
                f"SHA-256 {facts['sha256'][:12]}…",
                "run: python -m analysis reproduce",
            )
        if facts["simulated"] != paths.simulated:
            raise StudyError(
                "results in this tree are of the other kind",
                "real results here, simulated ones in simulated/",
            )
    rows = pd.concat([read_results(file)[["spec"]] for file in tables])
    return f"{len(stamped)} tables as stamped; {len(rows):,} estimates of {rows['spec'].nunique():,} specifications"


def _outputs(paths: Paths) -> str:
    import json

    from analysis.base.provenance import sha256_of
    from analysis.report.outputs import OUTPUTS, find_output, folder_of

    seen = 0
    for name in OUTPUTS:
        folder = folder_of(find_output(name), paths)
        stamp = folder / f"{name}.json"
        if not stamp.exists():
            raise (
                StudyError(
                    f"{name} was not made", "every registered output", "run: python -m analysis reproduce"
                )
                if seen
                else _Skip("no outputs here")
            )
        facts = json.loads(stamp.read_text(encoding="utf-8"))
        for file, digest in facts["files"].items():
            if sha256_of(folder / file) != digest:
                raise StudyError(
                    f"{file} is not the file its stamp was written for",
                    "the file as made",
                    f"run: python -m analysis make {name} --force",
                )
        seen += 1
    return f"{seen} figures and tables are the files their stamps were written for"


def _claims(paths: Paths) -> str:
    from analysis.report.numbers import check_paper

    if not (paths.paper / "numbers.json").exists():
        raise _Skip("no numbers generated here: python -m analysis reproduce")
    return check_paper(paths)


ESTIMATES_ALONE = tuple(
    f"data/results/{name}.parquet" for name in ("multiverse", "studies", "ledger_specifications")
)
"""Files of a kind that mostly holds county-level tables, and do not: one row a specification."""


def _repository(paths: Paths) -> str:
    try:
        listed = subprocess.run(
            ["git", "-C", str(paths.root), "ls-files"], capture_output=True, text=True, check=True, timeout=20
        ).stdout.split("\n")
    except (OSError, subprocess.SubprocessError):
        raise _Skip("not a git checkout") from None
    wrong = [
        f
        for f in listed
        if (f.endswith(NEVER_COMMITTED) and f not in ESTIMATES_ALONE)
        or f.startswith(("data/raw/", "data/tidy/", "data/panel/", "data/multiverse/", "simulated/"))
    ]
    if wrong:
        raise StudyError(
            f"committed, though never to be: {', '.join(wrong[:4])}",
            "code, specs, our own compilations, estimates, figures",
        )
    return f"{sum(bool(f) for f in listed)} files tracked, none of them raw data, a built table or simulated"
