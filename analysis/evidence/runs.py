"""A list of specifications run on one panel: each becomes estimates, or a row that says why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.base.errors import SpecError, StudyError, nearest
from analysis.base.records import Panel
from analysis.design.design import Design, Shared, make_design, turned
from analysis.design.spec import Spec
from analysis.estimation import aggregate, fit
from analysis.estimation.estimate import Estimate
from analysis.evidence.checks.pretrends import pretrends
from analysis.evidence.first_stage import PER, recorded_in
from analysis.evidence.results import Found, results_frame

Progress = Callable[[int, int, str], None]
# Sections that decide who is in the sample; the others need no new design.
SAMPLE_SECTIONS = ("design", "outcome", "treatment", "sample", "covariates", "controls")


@dataclass(frozen=True, slots=True)
class Run:
    """One specification and what came of it.

    Args:
        spec: without a grid.
        estimates: by what they average over: ``post`` (one effect), and ``event_time`` where the estimator has it.
        attrition: of the design and the estimator.
        treated_states: postal codes of all states with treated areas in the sample.
        declined_per_10k: declined detainers per 10,000 residents of the treated areas in 2014.
        failure: why there are no estimates, or "".
        pretrend_p: p-value of the leads being jointly zero; missing without leads or with too few clusters.
    """

    spec: Spec
    estimates: Mapping[str, Estimate]
    attrition: pd.DataFrame
    treated_states: tuple[str, ...]
    declined_per_10k: float
    failure: str
    pretrend_p: float = float("nan")

    def found(self) -> Iterator[Found]:
        """Yield what goes into the table of results: the one effect first, then event times."""
        if self.failure:
            yield Found(self.spec, None, failure=self.failure)
        for over in ("post", "event_time"):
            if over in self.estimates:
                yield Found(
                    self.spec,
                    self.estimates[over],
                    self.treated_states,
                    self.declined_per_10k,
                    pretrend_p=self.pretrend_p,
                )


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs in the order asked for, and all their estimates as one table."""

    runs: tuple[Run, ...]
    results: pd.DataFrame = field(repr=False)

    def __getitem__(self, name: str) -> Run:
        """Return the run of a spec by its full name."""
        for run in self.runs:
            if run.spec.name == name:
                return run
        known = [run.spec.name for run in self.runs]
        raise SpecError(f"no run '{name}'{nearest(name, known)}", f"one of the {len(known)} specs run")

    def estimate(self, name: str, over: str = "post") -> Estimate:
        """Return an estimate of a spec, averaged over ``post`` or kept by ``event_time``.

        Raises:
            SpecError: no such spec, it failed, or its estimator has no such estimate.
        """
        run = self[name]
        if over not in run.estimates:
            reason = run.failure or f"{run.spec.estimator.name} gives {', '.join(run.estimates)}"
            raise SpecError(f"'{name}' has no estimate over '{over}': {reason}")
        return run.estimates[over]

    @property
    def attrition(self) -> pd.DataFrame:
        """Attrition of every run: spec, then rule, counties, county_years, treated, dropped."""
        parts = [run.attrition.assign(spec=run.spec.name) for run in self.runs if len(run.attrition)]
        if not parts:
            return pd.DataFrame(columns=["spec", "rule", "counties", "county_years", "treated", "dropped"])
        table = pd.concat(parts, ignore_index=True)
        return table[["spec", *(c for c in table.columns if c != "spec")]]

    @property
    def failures(self) -> pd.DataFrame:
        """Specs that could not be estimated, with the reason."""
        rows = [(run.spec.name, run.failure) for run in self.runs if run.failure]
        return pd.DataFrame(rows, columns=["spec", "failure"])


def run_spec(panel: Panel, spec: Spec, design: Design | None = None) -> Run:
    """Return the run of one specification; an error a user can act on becomes its ``failure``.

    Args:
        panel: see `analysis.base.records.Panel`.
        spec: without a grid.
        design: made before from the same sample, or None.
    """
    shop = Workshop(panel)
    try:
        made = shop.design(spec) if design is None else design
    except StudyError as error:
        return _failed(spec, error)
    return _run(shop, spec, made)


def _run(shop: Workshop, spec: Spec, made: Design) -> Run:
    try:
        fitted = fit(made)
        estimates = {"post": aggregate(fitted, over="post")}
        if fitted.estimand == "event_time":
            estimates["event_time"] = fitted
    except (StudyError, np.linalg.LinAlgError) as error:
        return _failed(spec, error)
    except Exception as error:
        # A fault of ours, not of the spec: it stops the run, and says where.
        error.add_note(f"while running the spec '{spec.name}'")
        raise
    post = estimates["post"]
    treated = post.counties[np.nan_to_num(post.treated).sum(axis=1) > 0]
    adopters = made.table["state"].to_numpy(dtype=str)[made.table["treated"].to_numpy(dtype=bool)]
    return Run(
        spec=spec,
        estimates=estimates,
        attrition=fitted.attrition,
        treated_states=tuple(np.unique(adopters).tolist()),
        declined_per_10k=shop.declined_per_10k(treated),
        failure="",
        pretrend_p=_pretrend_p(estimates.get("event_time")),
    )


def _pretrend_p(dynamic: Estimate | None) -> float:
    """Missing where there is no lead to test; leads whose outcomes were matched or fitted on are not (rule 13)."""
    if dynamic is None or dynamic.inference.kind == "placebo":
        return float("nan")
    asked = dynamic.spec.estimator
    of_outcomes = {"outcome_lags", "outcome_trend"} & set(asked.match_on or ())
    matched_on = range(-(asked.lag_years or 0), 0) if of_outcomes else range(0)
    time = dynamic.table["event_time"]
    leads = time.lt(0) & ~time.isin(list(matched_on)) & dynamic.table["std_error"].notna()
    return pretrends(dynamic, matched_on=list(matched_on)).p_value if leads.any() else float("nan")


def run_specs(
    panel: Panel, specs: Iterable[Spec], *, progress: Progress | None = None, jobs: int = 1
) -> Runs:
    """Run every specification that some specs stand for.

    Specifications that share a sample share one design. Results do not depend on ``jobs``.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: each with or without a grid; grids are expanded in order.
        progress: called with (done, all, name) after each specification.
        jobs: processes; each gets the panel once.

    Returns:
        `Runs`, in the order of the specs, failed ones included.

    Raises:
        SpecError: two specifications have one name.
    """
    asked = [one for spec in specs for one in (spec.expand() if spec.vary or spec.also else (spec,))]
    names = [spec.name for spec in asked]
    again = sorted({name for name in names if names.count(name) > 1})
    if again:
        raise SpecError(f"two specifications are named '{again[0]}'", "a name for each", "the specs")
    batches: dict[str, list[int]] = {}
    for at, spec in enumerate(asked):
        batches.setdefault(sample_key(spec), []).append(at)
    groups = list(batches.values())
    done: dict[int, Run] = {}

    def take(group: Sequence[int], runs: Sequence[Run]) -> None:
        for at, run in zip(group, runs, strict=True):
            done[at] = run
            if progress is not None:
                progress(len(done), len(asked), run.spec.name)

    if jobs <= 1 or len(groups) == 1:
        shop = Workshop(panel)
        for group in groups:
            for at, run in zip(group, run_batch(shop, [asked[at] for at in group]), strict=False):
                take([at], [run])
    else:
        with ProcessPoolExecutor(jobs, initializer=_hold, initargs=(panel,)) as pool:
            waiting = {pool.submit(_run_held, [asked[at] for at in group]): group for group in groups}
            for future in as_completed(waiting):
                take(waiting[future], future.result())
    runs = tuple(done[at] for at in range(len(asked)))
    return Runs(runs, results_frame(found for run in runs for found in run.found()))


def one_effect(design: Design) -> Estimate:
    """Return the one effect of a design: what its spec names, averaged over all years after adoption.

    Args:
        design: from ``make_design``.

    Example:
        ``one_effect(make_design(panel, load_spec("main")))``
    """
    return aggregate(fit(design), over="post")


def fit_all(
    panel: Panel, specs: Iterable[Spec], *, progress: Progress | None = None, jobs: int = 1
) -> list[Estimate]:
    """Return one estimate a specification, each with its one effect, in the order of the specs.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: with or without grids.
        progress: see `run_specs`.
        jobs: processes.

    Raises:
        StudyError: a specification cannot be estimated; `run_specs` keeps such ones as rows instead.
    """
    runs = run_specs(panel, specs, progress=progress, jobs=jobs)
    for run in runs.runs:
        if run.failure:
            raise StudyError(
                f"'{run.spec.name}': {run.failure}", "a specification that can be estimated", run.spec.where
            )
    return [run.estimates["post"] for run in runs.runs]


@dataclass(slots=True)
class Workshop:
    """A panel, and what the specifications run on it so far have in common.

    Args:
        panel: see `analysis.base.records.Panel`.
        shared: what its designs share.
    """

    panel: Panel
    shared: Shared = field(default_factory=Shared)
    _recorded: pd.DataFrame | None = None

    def design(self, spec: Spec) -> Design:
        """Return the design of a spec; see `make_design`."""
        return make_design(self.panel, spec, self.shared)

    def declined_per_10k(self, counties: Collection[str]) -> float:
        """Return declined detainers per 10,000 residents of some counties in 2014."""
        if self._recorded is None:
            rows = recorded_in(self.panel.table)
            self._recorded = rows.set_index("county_fips")[["declined_detainers", "population"]].astype(float)
        # Those of the counties that have a record, as `declined_per_10k` takes them.
        at = self._recorded.index.get_indexer(pd.Index(counties))
        declined, residents = self._recorded.to_numpy()[at[at >= 0]].sum(axis=0)
        return PER * float(declined) / residents if residents > 0 else float("nan")


def run_batch(shop: Workshop, specs: Sequence[Spec]) -> Iterator[Run]:
    """Yield the runs of specifications that share a sample, making its design once.

    A design is kept only while it is the whole story: a spec it cannot be turned into gets its own.

    Args:
        shop: the panel, and work done on it before.
        specs: without grids.
    """
    specs = list(specs)
    at, first = 0, None
    while at < len(specs) and first is None:
        try:
            first = shop.design(specs[at])
        except StudyError as error:
            yield _failed(specs[at], error)
            at += 1
    if first is None:
        return
    for spec, design in zip(specs[at:], turned(first, specs[at:]), strict=True):
        if design is None:
            yield run_spec(shop.panel, spec)
        else:
            yield _run(shop, spec, design)


def _failed(spec: Spec, error: Exception) -> Run:
    return Run(spec, {}, pd.DataFrame(), (), float("nan"), " ".join(str(error).split()))


def sample_key(spec: Spec) -> str:
    """Return a text that two specifications share when they share a sample.

    Example:
        >>> from analysis.design.spec import load_spec
        >>> main = load_spec("main")
        >>> sample_key(main) == sample_key(main.replace({"estimator.method": "outcome_regression"}))
        True
        >>> sample_key(main) == sample_key(main.replace({"outcome.measure": "property"}))
        False
    """
    plain = spec.to_dict()
    return json.dumps(
        [spec.folder, *(plain[section] for section in SAMPLE_SECTIONS)], sort_keys=True, default=str
    )


_SHOP: list[Workshop] = []


def _hold(panel: Panel) -> None:
    _SHOP[:] = [Workshop(panel)]


def _run_held(specs: list[Spec]) -> list[Run]:
    return list(run_batch(_SHOP[0], specs))
