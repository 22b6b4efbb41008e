"""From an output back to the raw files it rests on: figure < estimates < spec < panel < tidy tables < raw files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.base.provenance import committed_before_run, digest_of, sha256_of
from analysis.evidence.studies.frames import OF_LEDGER

if TYPE_CHECKING:
    from analysis.study import Study

FROM_ESTIMATES = frozenset(
    {
        *(
            "estimates",
            "results",
            "headline",
            "movement",
            "first_stage",
            "balance",
            "attrition",
            "trust",
            "reporting",
        ),
        *("matches", "match_balance", "hidden_bias", "match_size", "matched_sample"),
    }
)
OF_STUDIES = frozenset({"ledger", "verdict_shares", "class_moves", "forest", "summaries", "others"})


def trace_lines(name: str, study: Study) -> Iterator[str]:
    """Yield the lines of an output's provenance, from the output to the hashes of raw files.

    Args:
        name: a registered output, such as ``figure-3``.
        study: the tree.

    Raises:
        StudyError: no such output; the message names the nearest.
    """
    from analysis.panel.sources.raw import load_manifest
    from analysis.report.outputs import find_output, folder_of

    one = find_output(name)
    root = study.paths.root
    yield f"{name}: {one.title}"
    if study.paths.simulated:
        yield "  SIMULATED DATA: made from the twin, analysis/panel/twin.toml"
    folder = folder_of(one, study.paths)
    for file in sorted(folder.glob(f"{name}.*")):
        yield f"  file      {file.relative_to(root).as_posix():<42} {sha256_of(file)[:16]}"
    yield f"  reads     {', '.join(one.needs)}"
    for spec in one.uses:
        path = study.paths.specs / f"{spec}.toml"
        if path.is_file():
            commit = committed_before_run(path)
            stands = f"commit {commit}" if commit else "not committed as it stands"
            yield f"  spec      {path.relative_to(root).as_posix():<42} {_about(spec, study)}, {stands}"
    for results in _results(one.needs, study.paths.results):
        yield f"  estimates {results.relative_to(root).as_posix():<42} {sha256_of(results)[:16]}"
    if set(one.needs) & set(OF_LEDGER):
        registry = study.paths.published
        yield f"  published {registry.relative_to(root).as_posix():<42} {sha256_of(registry)[:16]}"
    yield f"  panel     {(study.paths.panel / 'panel.parquet').relative_to(root).as_posix():<42} {study.panel.digest}"
    if study.paths.simulated:
        return
    for file in sorted(study.paths.compiled_policy.glob("*.csv")) + sorted(
        study.paths.compiled_geography.glob("*.csv")
    ):
        yield f"  compiled  {file.relative_to(root).as_posix():<42} {sha256_of(file)[:16]}"
    manifest = load_manifest()
    tables = {file.stem for file in study.paths.tidy.glob("*.parquet")}
    for family in manifest.families.values():
        fed = sorted(tables & {table for path in family.files for table in manifest.files[path].feeds})
        if not fed:
            continue
        yield f"  source    {family.title} -> {', '.join(fed)}"
        if family.one_bar:
            together = digest_of([manifest.files[raw].sha256 for raw in family.files])
            yield f"    {len(family.files)} files, one page a state; digest of their hashes {together}"
            continue
        for raw in family.files:
            yield f"    {raw:<52} {manifest.files[raw].sha256}"


def _about(spec: str, study: Study) -> str:
    """Digest and status of a spec, or of the grid a file declares."""
    if spec in study.specs:
        return f"{study.specs[spec].digest}  {study.specs[spec].status}"
    from analysis.design.grid import load_grid

    grid = load_grid(spec)
    return f"{grid.digest}  {grid.base.status}"


def _results(needs: Iterable[str], folder: Path) -> list[Path]:
    """Files of results among what an output reads."""
    names = {"study_results": "studies.parquet", "designs": "designs.csv", "multiverse": "multiverse.parquet"}
    named = [names.get(need, f"{need}.csv") for need in needs]
    if FROM_ESTIMATES & set(needs):
        named.append("estimates.csv")
    if OF_STUDIES & set(needs):
        named.append("studies.parquet")
    return [folder / name for name in dict.fromkeys(named) if (folder / name).is_file()]
