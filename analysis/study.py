"""The whole study in order: panel, main specs, results, figures and tables, notebooks, paper.

This module stands above the rooms and is the only one, with the command line, that knows them all. Every step is
keyed by a digest of what it reads; a step whose key stands is not run again.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.base.codebook import load_codebook
from analysis.base.errors import NetworkError, SourceError
from analysis.base.paths import TREE_VARIABLE, Paths, replacing
from analysis.base.provenance import canonical_json, digest_of, digest_of_sources, sha256_of
from analysis.base.records import Panel

if TYPE_CHECKING:
    from analysis.design.grid import Grid
    from analysis.design.spec import Spec
    from analysis.estimation.estimate import Estimate
    from analysis.evidence.matches import MatchedSample
    from analysis.evidence.multiverse import Engine
    from analysis.evidence.runs import Runs
    from analysis.published_studies import PublishedStudies
    from analysis.report.outputs import Context

MAIN_SPECS = (
    "first_stage",
    "main",
    "two_way",
    "california",
    "federal",
    "rape_2012",
    "cross_section_2015",
    "claims",
    "near_nominal",
    "coverage",
    "match_methods",
    "match_definitions",
    "match_years",
    "match_classes",
    "match_covariates",
    "match_economy",
    "match_placebo",
    "matched_did",
)
"""The specs of the main job, in the order their results are read: the first stage before any crime."""

MATCHING_SPECS = tuple(name for name in MAIN_SPECS if name.startswith("match"))
"""Those that vary the matched comparison."""

DESIGN_SPECS = (
    "first_stage_designs",
    "designs",
    "errors",
    "offences",
    "regimes",
    "rings",
    "placebo",
    "rape_break",
    "secure_communities",
    "single_units",
)
"""The specs that lay every panel design side by side; their estimates have a file of their own."""

BY_EVENT_TIME = ("first_stage_designs", "designs", "rings", "secure_communities", "single_units")
"""Those of them whose event times are kept; of the others the one effect is."""

ALL_SPECS = (*MAIN_SPECS, *DESIGN_SPECS)

BEARING_SPECS = ("headline",)
"""The estimates the study answers with, priced by the frames of `analysis.evidence.bearing`."""

GRID_CODE = ("multiverse", "runs", "results", "verdict", "units", "claims", "first_stage")
"""Modules of evidence that decide what stands in a row of a grid's table."""

FAMILY_DRAWS = 9_999
"""Joint draws of the p-values that are adjusted for a family of offences."""

JOBS = 2
"""Processes that run specs side by side."""

Say = Callable[[str], None]
Timed = Callable[[str, str], None]


def find_source(say: Say, *, fetch_missing: bool = True) -> Paths:
    """Return the real tree where the raw files are on disk or can be had, otherwise the simulated one.

    Args:
        say: told in words what was decided.
        fetch_missing: whether to download what is missing.

    Raises:
        SourceError: a folder was named in ``CRIME_STUDY_DATA`` and does not hold every file, or the download failed
            half-way for another reason than an absent network.
    """
    from rich.console import Console

    from analysis.panel.sources.download import fetch
    from analysis.panel.sources.raw import have_everything, load_manifest

    paths, manifest = Paths(), load_manifest()
    if have_everything(paths.raw, manifest):
        return paths
    if paths.raw_is_borrowed:
        report = fetch(paths.raw, manifest, console=None)
        first = report.failed[0]
        raise SourceError(
            f"{len(report.failed)} of {len(manifest.files)} raw files of the folder named in CRIME_STUDY_DATA are missing or "
            f"damaged, first {first.path}: {first.reason}",
            "every file of data/manifest.toml",
            "CRIME_STUDY_DATA, or unset it",
        )
    if fetch_missing:
        report = fetch(paths.raw, manifest, console=Console(stderr=True))
        if report.ok:
            return paths
        for line in report.summary_lines():
            say(line)
        if not report.offline:
            raise NetworkError(
                f"{len(report.failed)} raw files could not be had",
                "all of them",
                "the messages above; what came is kept",
            )
    say(
        "The raw files are neither on disk nor to be had from here: the study runs on its SIMULATED twin, in simulated/."
    )
    return Paths(simulated=True)


@dataclass(frozen=True)
class Study:
    """One tree of the study and what is made in it, each part made when first asked for.

    Args:
        paths: the real tree or the simulated one.
        force: make everything anew.
        say: told the steps of long work.
    """

    paths: Paths
    force: bool = False
    say: Say = lambda words: None
    _runs: dict[str, Runs] = field(default_factory=dict, repr=False)
    _bearing: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False)

    @cached_property
    def panel(self) -> Panel:
        """The panel, built if what it reads has changed."""
        if self.paths.simulated:
            from analysis.panel.twin import make_twin

            return make_twin(self.paths, force=self.force, progress=self.say)
        from analysis.panel.build import make_panel

        return make_panel(self.paths, force=self.force, progress=self.say)

    @cached_property
    def specs(self) -> dict[str, Spec]:
        """The main specs by name."""
        from analysis.design.spec import load_spec
        from analysis.evidence.studies.all import SPEC_FILES
        from analysis.published_studies import BUILD_SPECS

        names = dict.fromkeys((*ALL_SPECS, *BEARING_SPECS, *SPEC_FILES, BUILD_SPECS))
        return {name: load_spec(name) for name in names}

    @property
    def main_specs(self) -> tuple[str, ...]:
        """Specs of the main job: their estimates stand in ``data/results/estimates.csv`` and ``designs.csv``."""
        return ALL_SPECS

    @property
    def jobs(self) -> int:
        """Processes that run specs side by side."""
        return JOBS

    @cached_property
    def run_key(self) -> str:
        """Digest of everything estimates are made from: panel, specs, code, published claims."""
        package = self.paths.root / "analysis"
        rooms = [digest_of_sources(package / room) for room in ("base", "design", "estimation", "evidence")]
        data = self.paths.root / "data"
        files = [data / "claims.toml", data / "reporting.toml", self.paths.measured_curve, self.paths.grid]
        facts = [sha256_of(file) for file in files]
        return digest_of([self.panel.digest, {n: s.digest for n, s in self.specs.items()}, rooms, facts])

    def runs(self, names: Sequence[str]) -> Runs:
        """Run some of the study's specs, each once a session."""
        from analysis.evidence.runs import Runs, run_specs

        missing = [name for name in names if name not in self._runs]
        if missing:
            batch = run_specs(self.panel, [self.specs[n] for n in missing], progress=self.tell, jobs=JOBS)
            for name in missing:
                own = {spec.name for spec in self.specs[name].expand()}
                kept = tuple(run for run in batch.runs if run.spec.name in own)
                self._runs[name] = Runs(kept, batch.results[batch.results["spec"].isin(own)])
        parts = [self._runs[name] for name in names]
        return Runs(
            tuple(run for part in parts for run in part.runs),
            pd.concat([p.results for p in parts], ignore_index=True),
        )

    def tell(self, done: int, everything: int, name: str) -> None:
        """Say how far a run of specifications has come."""
        self.say(f"{done}/{everything} specifications: {name}")

    @cached_property
    def results(self) -> pd.DataFrame:
        """Every estimate of the main specs, read from ``data/results/estimates.csv`` while its key stands."""
        return self._tables["estimates"]

    @property
    def designs(self) -> pd.DataFrame:
        """Every panel design side by side, read from ``data/results/designs.csv`` while its key stands."""
        return self._tables["designs"]

    @cached_property
    def _tables(self) -> dict[str, pd.DataFrame]:
        from analysis.evidence.results import read_results, results_frame, write_results

        files = {name: self.paths.results / f"{name}.csv" for name in ("estimates", "designs")}
        stamps = {name: self.paths.results / f"{name}.json" for name in files}
        if not self.force and all(_holds(stamps[name], self.run_key, files[name]) for name in files):
            return {name: read_results(file) for name, file in files.items()}
        runs = self.runs(ALL_SPECS)
        # One table for all specs, so that first-stage columns are filled from the first stage of the same run.
        table = results_frame([found for run in runs.runs for found in run.found()])
        of_designs = table["spec"].str.split("/").str[0].isin(DESIGN_SPECS)
        write_results(table[~of_designs], files["estimates"])
        write_results(_shortened(table[of_designs]), files["designs"])
        for name, frame in (("attrition", runs.attrition), ("failures", runs.failures)):
            with replacing(self.paths.results / f"{name}.csv") as temporary:
                frame.to_csv(temporary, index=False, lineterminator="\n")
        for name, file in files.items():
            of_file = DESIGN_SPECS if name == "designs" else MAIN_SPECS
            facts = {
                "key": self.run_key,
                "panel": self.panel.digest,
                "simulated": self.paths.simulated,
                "specs": {spec: self.specs[spec].digest for spec in of_file},
                "sha256": sha256_of(file),
            }
            with replacing(stamps[name]) as temporary:
                temporary.write_text(canonical_json(facts), encoding="utf-8")
        return {name: read_results(file) for name, file in files.items()}

    @cached_property
    def multiverse_key(self) -> str:
        """Digest of what every cell of a grid is made from beside its spec: panel and code."""
        package = self.paths.root / "analysis"
        rooms = [digest_of_sources(package / room) for room in ("base", "design", "estimation")]
        running = [sha256_of(package / "evidence" / f"{name}.py") for name in GRID_CODE]
        claims = sha256_of(self.paths.root / "data" / "claims.toml")
        return digest_of([self.panel.digest, rooms, running, claims])

    def run_grid(
        self,
        grid: Grid,
        to: Path | None = None,
        engine: Engine | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[Path, int]:
        """Run a grid to its end and write its one table; return the file and its rows.

        Args:
            grid: see `analysis.design.grid.load_grid`.
            to: parquet file; by default ``data/results/multiverse.parquet``, with a stamp beside it.
            engine: see `analysis.evidence.multiverse.Engine`.
            progress: see `analysis.evidence.multiverse.run_grid`.
        """
        from analysis.evidence.multiverse import assemble, run_grid

        store, key = self.paths.multiverse / grid.digest, self.multiverse_key
        ran = run_grid(self.panel, grid, store, key=key, engine=engine, progress=progress)
        own = self.paths.results / "multiverse.parquet"
        path = own if to is None else to
        rows = assemble(ran, store, path)
        if path == own:
            facts = {
                "key": digest_of([key, grid.digest]),
                "panel": self.panel.digest,
                "grid": grid.digest,
                "rows": rows,
                "simulated": self.paths.simulated,
                "sha256": sha256_of(path),
            }
            with replacing(path.with_suffix(".json")) as temporary:
                temporary.write_text(canonical_json(facts), encoding="utf-8")
        return path, rows

    @cached_property
    def multiverse(self) -> pd.DataFrame:
        """Every specification of the grid, read from ``data/results/multiverse.parquet`` while its key stands."""
        from analysis.design.grid import load_grid
        from analysis.evidence.multiverse import Engine, read_multiverse

        grid, path = load_grid("multiverse"), self.paths.results / "multiverse.parquet"
        key = digest_of([self.multiverse_key, grid.digest])
        if self.force:
            shutil.rmtree(self.paths.multiverse, ignore_errors=True)
        if self.force or not _holds(path.with_suffix(".json"), key, path):
            self.run_grid(grid, None, Engine(jobs=JOBS), lambda n, of: self.tell(n, of, "multiverse"))
        return read_multiverse(path)

    @cached_property
    def joint_test(self) -> pd.DataFrame:
        """The joint test of the curve, read from ``data/results/joint_test.csv`` while its key stands."""
        from analysis.design.grid import load_grid
        from analysis.evidence.curve import joint_test

        sizes = pd.read_csv(self.paths.measured_curve)
        tested = [cell.spec for cell in load_grid("multiverse").tested() if cell.spec is not None]
        return self._kept("joint_test", lambda: joint_test(self.panel, tested, sizes=sizes))

    @cached_property
    def grid_plan(self) -> pd.DataFrame:
        """The grid's families, and its cells left out by rule, read from ``data/results/grid_plan.csv`` likewise."""
        from analysis.design.grid import load_grid
        from analysis.evidence.multiverse import plan, plan_frame

        return self._kept("grid_plan", lambda: plan_frame(plan(load_grid("multiverse"))))

    @property
    def answers(self) -> pd.DataFrame:
        """The estimates among which the answer is chosen: those of specs that ask for it.

        The methods of matching, run on every definition, year, class and covariate, show how the matched comparison
        moves; they have tables of their own.
        """
        files = self.results["spec"].str.split("/").str[0]
        return self.results[~files.isin(MATCHING_SPECS)].reset_index(drop=True)

    @cached_property
    def headline(self) -> pd.DataFrame:
        """First stage, the three published claims, and this study's estimates beside them."""
        from analysis.evidence.headline import headline

        return headline(self.answers)

    @cached_property
    def trust(self) -> pd.DataFrame:
        """Each design's coverage on simulated panels beside its estimate here."""
        from analysis.evidence.trust import trust

        return trust(self.results, pd.read_csv(self.paths.measured_size))

    @cached_property
    def matches(self) -> pd.DataFrame:
        """Every matched comparison, with what tells it apart."""
        from analysis.evidence.matches import matches

        return matches(self.results)

    @cached_property
    def match_balance(self) -> pd.DataFrame:
        """Balance of every method, read from ``data/results/match_balance.csv`` while its key stands."""
        from analysis.evidence.matches import match_balance

        return self._kept("match_balance", lambda: match_balance(self.panel, self.specs, jobs=JOBS))

    @cached_property
    def hidden_bias(self) -> pd.DataFrame:
        """Bounds on hidden bias, read from ``data/results/hidden_bias.csv`` while their key stands."""
        from analysis.evidence.matches import METHODS, bias_bounds

        return self._kept("hidden_bias", lambda: bias_bounds(self.panel, self.specs[METHODS], jobs=JOBS))

    @cached_property
    def capability(self) -> pd.DataFrame:
        """Which definition can carry which design, read from ``data/results/capability.csv`` while its key stands."""
        from analysis.design.treatment import DEFINITIONS
        from analysis.evidence.designs import capability

        return self._kept(
            "capability", lambda: capability(self.panel, tuple(DEFINITIONS), self.specs["main"])
        )

    @cached_property
    def families(self) -> pd.DataFrame:
        """Adjusted p-values of offences, read from ``data/results/families.csv`` while their key stands."""
        from analysis.evidence.designs import offence_families

        seed = self.specs["offences"].inference.seed
        return self._kept(
            "families", lambda: offence_families(self.runs(["offences"]).runs, draws=FAMILY_DRAWS, seed=seed)
        )

    @cached_property
    def left_out(self) -> pd.DataFrame:
        """Estimates without each state and cohort, read from ``data/results/left_out.csv`` while their key stands."""
        from analysis.evidence.checks.leave_out import left_out_frame

        return self._kept(
            "left_out", lambda: left_out_frame(self.panel, self._of_designs("", "group-time-state"))
        )

    @cached_property
    def trend_checks(self) -> pd.DataFrame:
        """What event studies bear if trends differ, from ``data/results/trend_checks.csv`` while its key stands."""
        from analysis.evidence.design_checks import trend_checks

        designs = ("", "interaction-weighted", "local-projections", "adjusted-doubly-robust", "group-time-class",
                   "group-time-state")  # fmt: skip
        return self._kept("trend_checks", lambda: trend_checks(self.panel, self._of_designs(*designs)))

    @cached_property
    def regression_weights(self) -> pd.DataFrame:
        """How county-years enter two-way coefficients, from ``data/results/regression_weights.csv`` likewise."""
        from analysis.evidence.design_checks import regression_weights

        designs = ("two-way", "two-way-balanced", "two-way-class", "two-way-state")
        return self._kept(
            "regression_weights", lambda: regression_weights(self.panel, self._of_designs(*designs))
        )

    def bearing(self, name: str) -> pd.DataFrame:
        """Return a frame of `analysis.evidence.bearing`, read from ``data/results`` while its key stands.

        The first one that is stale makes all that are, side by side.
        """
        if name not in self._bearing:
            from analysis.evidence.bearing import FRAMES, bearing_frames

            stale = [one for one in FRAMES if not self._stands(one)]
            specs = self.specs["headline"].expand()
            made = bearing_frames(
                self.panel, specs, stale, jobs=JOBS, done=lambda group: self.say(f"what it bears: {group}")
            )
            for one in FRAMES:
                self._bearing[one] = self._kept(one, lambda one=one: made[one])  # type: ignore[misc]
        return self._bearing[name]

    @cached_property
    def beside(self) -> PublishedStudies:
        """The published studies beside ours."""
        from analysis.published_studies import PublishedStudies

        return PublishedStudies(self)

    def _of_designs(self, *designs: str) -> list[Spec]:
        """Return specifications of ``designs`` with California: both outcomes, both weights."""
        from analysis.evidence.design_checks import named

        ends = [f"measure={measure}/weights={weights}/drop_states=none"
                for measure in ("violent_ex_rape", "property") for weights in ("population_baseline", "none")]  # fmt: skip
        names = ["/".join(filter(None, ("designs", design, end))) for design in designs for end in ends]
        return named(self.specs["designs"].expand(), names)

    def stands(self, file: Path, key: str) -> bool:
        """Say whether a file of results need not be made anew: its stamp holds the key, and the file is the stamp's."""
        return not self.force and _holds(file.with_suffix(".json"), key, file)

    def _stands(self, name: str) -> bool:
        return self.stands(self.paths.results / f"{name}.csv", self.run_key)

    def _kept(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        return self.kept(name, make, self.run_key)

    def kept(self, name: str, make: Callable[[], pd.DataFrame], key: str) -> pd.DataFrame:
        """Return a frame of results, made and written where its key no longer stands; it names no county."""
        from analysis.evidence.results import FLOAT_FORMAT

        file, stamp = self.paths.results / f"{name}.csv", self.paths.results / f"{name}.json"
        if not self.stands(file, key):
            frame = make()
            with replacing(file) as temporary:
                frame.to_csv(temporary, index=False, float_format=FLOAT_FORMAT, lineterminator="\n")
            facts = {
                "key": key,
                "simulated": self.paths.simulated,
                "sha256": sha256_of(file),
                "columns": {str(column): _kind(frame[column]) for column in frame},
            }
            with replacing(stamp) as temporary:
                temporary.write_text(canonical_json(facts), encoding="utf-8")
        return read_kept(file)

    @cached_property
    def match_size(self) -> pd.DataFrame:
        """Each matched comparison's coverage on simulated panels beside its estimate here."""
        from analysis.evidence.matches import match_size

        file = self._measured_matches
        return match_size(self.matches, pd.read_csv(file) if file.is_file() else pd.DataFrame())

    @property
    def _measured_matches(self) -> Path:
        return self.paths.measured_size.with_name("size_of_matches.csv")

    @cached_property
    def context(self) -> Context:
        """What the registered outputs are made from; nothing is loaded before an output that is stale asks for it."""
        from analysis.evidence.bearing import FRAMES
        from analysis.evidence.reporting_inputs import load_inputs
        from analysis.report.outputs import Context, status_frame

        key, measured = self.run_key, self._measured_matches
        policy_code = digest_of_sources(self.paths.root / "analysis" / "design")
        made_from_panel = digest_of([self.panel.digest, policy_code])
        digests = {
            "panel": self.panel.digest,
            "estimates": key,
            "movement": key,
            "headline": key,
            "first_stage": key,
            "balance": key,
            "attrition": key,
            "status": made_from_panel,
            "totals": self.panel.digest,
            "reporting": key,
            "trust": digest_of([key, sha256_of(self.paths.measured_size)]),
            "geometry": self._shapes_digest(),
            "matches": key,
            "match_balance": key,
            "hidden_bias": key,
            "matched_sample": key,
            "match_size": digest_of([key, sha256_of(measured) if measured.is_file() else ""]),
            "designs": key,
            "capability": key,
            "families": key,
            "left_out": key,
            "trend_checks": key,
            "regression_weights": key,
            "reporting_inputs": sha256_of(self.paths.root / "data" / "reporting.toml"),
            "multiverse": digest_of([key, self.multiverse_key]),
            **dict.fromkeys(("joint_test", "grid_plan", *FRAMES), key),
            **self.beside.digests,
        }
        return Context(
            paths=self.paths,
            codebook=load_codebook(),
            data=self.panel.digest,
            simulated=self.paths.simulated,
            specs={name: spec.digest for name, spec in self.specs.items()},
            panel=lambda: self.panel,
            estimates=lambda: LazyEstimates(self),
            movement=self._movement,
            headline=lambda: self.headline,
            first_stage=self._first_stage,
            balance=self._balance,
            attrition=self._attrition,
            status=lambda: status_frame(self.panel),
            totals=self._totals,
            reporting=self._reporting,
            trust=lambda: self.trust,
            geometry=self._shapes,
            matches=lambda: self.matches,
            match_balance=lambda: self.match_balance,
            hidden_bias=lambda: self.hidden_bias,
            match_size=lambda: self.match_size,
            matched_sample=self._matched_sample,
            designs=lambda: self.designs,
            capability=lambda: self.capability,
            families=lambda: self.families,
            left_out=lambda: self.left_out,
            trend_checks=lambda: self.trend_checks,
            regression_weights=lambda: self.regression_weights,
            more={
                "reporting_inputs": lambda: load_inputs().frame(),
                "multiverse": lambda: self.multiverse,
                "joint_test": lambda: self.joint_test,
                "grid_plan": lambda: self.grid_plan,
                **{name: partial(self.bearing, name) for name in FRAMES},
                **self.beside.frames,
            },
            digests=digests,
        )

    def _first_stage(self) -> pd.DataFrame:
        from analysis.evidence.first_stage import first_stage

        return first_stage(self.results)

    def _balance(self) -> pd.DataFrame:
        from analysis.design.design import make_design
        from analysis.evidence.checks.balance import balance

        return balance(make_design(self.panel, self.specs["cross_section_2015"].expand()[0]))

    def _matched_sample(self) -> MatchedSample:
        from analysis.evidence.matches import METHODS, matched_sample

        return matched_sample(self.panel, self.specs[METHODS])

    def _attrition(self) -> pd.DataFrame:
        _ = self.results
        return pd.read_csv(self.paths.results / "attrition.csv", keep_default_na=False)

    def _reporting(self) -> pd.DataFrame:
        rows = self.results[self.results["spec"].str.split("/").str[0].eq("coverage")]
        return rows[rows["estimand"].eq("att")].reset_index(drop=True)

    def _movement(self) -> pd.DataFrame:
        from analysis.evidence.headline import movement

        return movement(self.answers)

    def _totals(self) -> pd.DataFrame:
        wide = self.panel.reports["national_totals"]
        parts = [
            pd.DataFrame(
                {
                    "year": wide["year"],
                    "measure": measure,
                    "panel": wide[f"{measure}_in_panel"],
                    "published": wide[f"{measure}_total"],
                    "share": wide[f"{measure}_in_panel"] / wide[f"{measure}_total"],
                    "benchmark": wide["benchmark"],
                }
            )
            for measure in ("violent", "property")
        ]
        return pd.concat(parts, ignore_index=True)

    def _shapes(self) -> Any:
        return load_shapes(self.paths)

    def _shapes_digest(self) -> str:
        if self.paths.simulated:
            from importlib.metadata import version

            return digest_of(["plotly-geo", version("plotly-geo")])
        from analysis.panel.sources.raw import load_manifest

        return load_manifest().digest(["geography"])


def load_shapes(paths: Paths | None = None) -> Any:
    """Return county shapes for `analysis.map_plot`: the Census boundaries, or those that come with a package.

    Args:
        paths: the tree; by default the real one, or the one ``CRIME_STUDY_TREE`` names.

    Raises:
        SourceError: the boundaries are not among the raw files at hand.
    """
    from analysis.base.paths import default_paths

    paths = paths or default_paths()
    if paths.simulated:
        from analysis.panel.twin import twin_shapes

        return twin_shapes()
    from analysis.panel.sources.geography import read_boundaries
    from analysis.panel.sources.raw import RawFiles

    return read_boundaries(RawFiles(paths.raw))


class LazyEstimates(Mapping[str, "Sequence[Estimate]"]):
    """Estimates by spec name, run when first asked for: the spec's own values first, then its variations."""

    def __init__(self, study: Study) -> None:
        """Keep the study whose specs are run."""
        self._study = study

    def __getitem__(self, name: str) -> Sequence[Estimate]:
        """Run one spec."""
        runs = [run for run in self._study.runs([name]).runs if not run.failure]
        return [run.estimates.get("event_time", run.estimates["post"]) for run in runs]

    def __iter__(self) -> Iterator[str]:
        """Names of the study's specs."""
        return iter(ALL_SPECS)

    def __len__(self) -> int:
        """Count the study's specs."""
        return len(ALL_SPECS)


def read_kept(file: Path) -> pd.DataFrame:
    """Read a frame of results with the kinds of columns its stamp names.

    Args:
        file: a csv of ``data/results`` with a stamp beside it.
    """
    kinds = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["columns"]
    frame = pd.read_csv(file, low_memory=False)
    return frame.assign(**{column: _as_kind(frame[column], kind) for column, kind in kinds.items()})


def _kind(values: pd.Series) -> str:
    """Name what a column of results holds, so that a file gives it back: an empty one has no type of its own."""
    if pd.api.types.is_bool_dtype(values):
        return "flag"
    if pd.api.types.is_integer_dtype(values):
        return "whole"
    return "number" if pd.api.types.is_numeric_dtype(values) else "text"


def _as_kind(values: pd.Series, kind: str) -> pd.Series:
    if kind == "text":
        return values.astype("object").where(values.notna(), "").astype("str")
    if kind == "whole":
        return values.astype("Int64") if values.isna().any() else values.astype("int64")
    return values.eq(True) if kind == "flag" else values.astype(float)


def _shortened(table: pd.DataFrame) -> pd.DataFrame:
    """Return the designs' estimates: event times where they are drawn, notes once a specification."""
    by_time = table["estimand"].eq("event_time")
    kept = ~by_time | table["spec"].str.split("/").str[0].isin(BY_EVENT_TIME)
    return table.assign(notes=table["notes"].mask(by_time, ""))[kept]


def _holds(stamp: Any, key: str, file: Any) -> bool:
    """Say whether a stamp holds this key and the file is the one it was written for."""
    try:
        facts = json.loads(stamp.read_text(encoding="utf-8"))
        return bool(facts["key"] == key and facts["sha256"] == sha256_of(file))
    except (OSError, ValueError, KeyError):
        return False


# --- notebooks --------------------------------------------------------------------------------------------------


def run_notebook(study: Study, name: str) -> bool:
    """Execute a notebook on the study's tree, unless neither it nor the numbers changed; return whether it ran.

    The outputs of the real run are kept in the notebook itself; a simulated run writes an executed copy to its own
    folder. Metadata is stable: no times, no machine, no minor versions.

    Raises:
        StudyError: a cell fails; the message names the notebook, the cell and the error.
    """
    import nbformat
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    source = study.paths.root / "notebooks" / f"{name}.ipynb"
    target = study.paths.notebooks / f"{name}.ipynb"
    book = nbformat.read(source, as_version=4)
    report_code = digest_of_sources(study.paths.root / "analysis" / "report")
    key = digest_of([study.run_key, report_code, [[cell.cell_type, cell.source] for cell in book.cells]])
    if not study.force and target.exists():
        held = nbformat.read(target, as_version=4).metadata.get("study", {})
        if held.get("key") == key and held.get("simulated") == study.paths.simulated:
            return False
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    tree = "simulated" if study.paths.simulated else "real"
    before = os.environ.get(TREE_VARIABLE)
    os.environ[TREE_VARIABLE] = tree
    try:
        with TemporaryDirectory() as sockets:
            # Sockets of the file system, where there are any: nothing listens on a port.
            posix = {"transport": "ipc", "ip": f"{sockets}/kernel"} if os.name == "posix" else {}
            client = NotebookClient(
                book,
                km=AsyncKernelManager(kernel_name="python3", **posix),
                timeout=600,
                record_timing=False,
                coalesce_streams=True,  # where a print is cut in two depends on the machine's load
                resources={"metadata": {"path": str(study.paths.root / "notebooks")}},
            )
            client.owns_km = True  # shut the kernel down with the notebook
            client.execute()
    except CellExecutionError as error:
        raise SourceError(
            f"notebook {name} stopped: {error.ename}: {error.evalue}",
            "cells that run",
            f"notebooks/{name}.ipynb",
        ) from None
    finally:
        os.environ.pop(TREE_VARIABLE) if before is None else os.environ.update({TREE_VARIABLE: before})
    book.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "study": {"key": key, "simulated": study.paths.simulated},
        }
    )
    for cell in book.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k != "execution"})
    with replacing(target) as temporary:
        nbformat.write(book, temporary)
    return True


def notebook_names(paths: Paths) -> list[str]:
    """Return the notebooks in the order a reader wants them."""
    return sorted(path.stem for path in (paths.root / "notebooks").glob("[0-9][0-9]_*.ipynb"))


# --- the main job -----------------------------------------------------------------------------------------------


@dataclass
class Clock:
    """Seconds since the last step, for the progress of the main job; never written to an output."""

    start: float = field(default_factory=time.monotonic)
    last: float = field(default_factory=time.monotonic)

    def lap(self) -> float:
        """Return seconds since the last lap."""
        now = time.monotonic()
        passed, self.last = now - self.last, now
        return passed

    def total(self) -> float:
        """Return seconds since the start."""
        return time.monotonic() - self.start


def reproduce(study: Study, line: Timed) -> pd.DataFrame:
    """Make everything, and return the headline frame.

    Args:
        study: the tree.
        line: called after each output with its name and what was done.
    """
    from analysis.docs import write_pages
    from analysis.report.outputs import OUTPUTS, make_output, stale
    from analysis.report.paper import build_paper

    table = study.panel.table
    line("panel", f"{table['county_fips'].nunique():,} areas x {table['year'].nunique()} years")
    line("estimates", f"{len(study.results):,} rows of {study.results['spec'].nunique():,} specifications")
    line("designs", f"{len(study.designs):,} rows of {study.designs['spec'].nunique():,} specifications")
    line("multiverse", f"{len(study.multiverse):,} specifications")
    line("joint test", f"{int(study.joint_test['n_specs'].max()):,} specifications at once")
    line("what they bear", f"{len(study.bearing('nulls')):,} headline estimates")
    line("published studies", f"{len(study.beside.results):,} specifications")
    line("ledger", f"{len(study.beside.frame('ledger')):,} registered figures")
    for name in OUTPUTS:
        todo = study.force or stale(name, study.context)
        make_output(name, study.context, force=study.force)
        line(name, OUTPUTS[name].title if todo else f"{OUTPUTS[name].title} (unchanged)")
    for name in notebook_names(study.paths):
        ran = run_notebook(study, name)
        line(name, "notebook" if ran else "notebook (unchanged)")
    if not study.paths.simulated:
        line("docs", ", ".join(path.name for path in write_pages()))
    paper = study.paths.paper / "paper.pdf"
    # Measured sizes and the registry are no part of what estimates are made from, and sentences quote both.
    key = digest_of(
        [study.run_key, study.panel.digest, dict(study.context.digests), _paper_inputs(study.paths)]
    )
    fresh = not study.force and _holds(paper.with_suffix(".json"), key, paper)
    if not fresh:
        build_paper(study.context)
        with replacing(paper.with_suffix(".json")) as temporary:
            temporary.write_text(canonical_json({"key": key, "sha256": sha256_of(paper)}), encoding="utf-8")
    line("paper", paper.relative_to(study.paths.root).as_posix() + (" (unchanged)" if fresh else ""))
    _write_answer(study)
    return study.headline


def _paper_inputs(paths: Paths) -> str:
    """Digest of what the paper is set from beside the numbers: its text, its references, the report's code."""
    sources = sorted(
        path for path in (paths.root / "paper").iterdir() if path.suffix in {".typ", ".bib", ".toml"}
    )
    return digest_of(
        [[sha256_of(path) for path in sources], digest_of_sources(paths.root / "analysis" / "report")]
    )


def _write_answer(study: Study) -> None:
    from analysis.evidence.headline import headline_text, movement
    from analysis.evidence.trust import trust_text

    with replacing(study.paths.results / "answer.txt") as temporary:
        text = headline_text(study.headline, movement(study.answers)) + "\n" + trust_text(study.trust)
        temporary.write_text(text, encoding="utf-8")
