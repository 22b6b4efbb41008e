"""From an output back to the raw files it rests on: figure < estimates < spec < panel < tidy tables < raw files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from analysis.base.provenance import committed_before_run, digest_of, sha256_of

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
    if FROM_ESTIMATES & set(one.needs):
        for spec in one.uses:
            if spec in study.specs:
                path = study.paths.specs / f"{spec}.toml"
                commit = committed_before_run(path)
                stands = f"commit {commit}" if commit else "not committed as it stands"
                yield f"  spec      {path.relative_to(root).as_posix():<42} {study.specs[spec].digest}  {study.specs[spec].status}, {stands}"
        results = study.paths.results / "estimates.csv"
        if results.exists():
            yield f"  estimates {results.relative_to(root).as_posix():<42} {sha256_of(results)[:16]}"
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
