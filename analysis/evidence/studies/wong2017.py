"""Wong (2017): counties with and without a limit on detainers, matched, reported crime and the economy of 2015.

The study's algorithm, covariates and county totals are not known here, so its comparison is a grid of every open choice,
``analysis/specs/wong2017.toml``. One more build of the rate, a county file (``county_file``), is no part of the grid: it runs
only where a user supplies one, by copying the spec with ``outcome.build = "county_file"``.

A build or a setting that gives the published sign and size does not identify what the report did: other settings give them
too, and the report's own list of counties is in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import StudyError
from analysis.design.treatment import DEFINITIONS
from analysis.evidence.studies.record import Ask, PublishedStudy
from analysis.evidence.verdict import excludes_zero

GRID = "wong2017"

ALL_COUNTIES = ("nearest", "sets", "weights", "regression", "genetic")
"""Families of the grid that answer the figure for all counties, outcomes of 2015 and covariates before the policies."""
OTHER_SAMPLES = ("samples", "years", "later_covariates")
"""Families that vary what those hold fixed; they answer the figure too, as families of their own."""
BY_CLASS, HOMICIDE, ECONOMY = "classes", "homicide", "economy"

ALL_CRIME = "wong2017.crime.all"
CLASS_FIGURES: Mapping[str, str] = MappingProxyType(
    {
        "large central metro": "wong2017.crime.large_central_metro",
        "large fringe metro": "wong2017.crime.large_fringe_metro",
        "medium metro": "wong2017.crime.medium_metro",
        "small metro": "wong2017.crime.small_metro",
        "micropolitan": "wong2017.crime.micropolitan",
        "noncore": "wong2017.crime.noncore",
    }
)
"""Urban-rural class, as the grid calls it, to its registered figure; from the largest cities to the countryside."""
ECONOMY_FIGURES: Mapping[str, str] = MappingProxyType(
    {
        "wong2017.income": "median_household_income",
        "wong2017.poverty": "poverty_rate",
        "wong2017.unemployment": "unemployment_rate",
        "wong2017.lfp": "participation",
        "wong2017.emp_pop": "employment_population",
        "wong2017.public_assistance": "snap_share",
    }
)
"""Registered figure of the economy to the measure beside it."""

SIZES: Mapping[str, float] = MappingProxyType(
    {
        ALL_CRIME: -35.5,
        CLASS_FIGURES["large central metro"]: -65.4,
        "wong2017.income": 4353.0,
        "wong2017.poverty": -2.3,
        "wong2017.unemployment": -1.1,
        "wong2017.lfp": 2.5,
        "wong2017.public_assistance": -0.9,
    }
)
"""Published sizes: offences per 10,000 residents, dollars, percentage points. The registry holds them too; a test compares."""
CLASS_SIGNS: Mapping[str, int] = MappingProxyType(
    {
        "large central metro": -1,
        "large fringe metro": 1,
        "medium metro": 1,
        "small metro": -1,
        "micropolitan": -1,
        "noncore": -1,
    }
)
"""Published direction by class."""
ECONOMY_SIGNS: Mapping[str, int] = MappingProxyType(
    {
        "wong2017.income": 1,
        "wong2017.poverty": -1,
        "wong2017.unemployment": -1,
        "wong2017.lfp": 1,
        "wong2017.emp_pop": 1,
        "wong2017.public_assistance": -1,
    }
)

# The cell that stands in the ledger: the choices nearest to what is known of the report, fixed before the grid was run.
MAIN = "wong2017/nearest/full-decline/95-%/all-agencies,-residents-policed/with-arson/A/nearest"
MAIN_HOMICIDE = "wong2017/homicide/full-decline/all-agencies,-residents-policed/A/nearest"
_MAIN_CLASS = "wong2017/classes/{}/full-decline/80-%/all-agencies,-residents-policed/with-arson/A/nearest"
_MAIN_ECONOMY = "wong2017/economy/full-decline/{}/A/nearest"
ECONOMY_OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "median_household_income": "median household income",
        "poverty_rate": "poverty rate",
        "unemployment_rate": "unemployment rate",
        "participation": "labour-force participation",
        "employment_population": "employment-population ratio",
        "snap_share": "residents with food assistance",
    }
)
"""Measure to the option of the grid."""


def main_of_class(urban_class: str) -> str:
    """Return the specification that stands beside a class's figure.

    Example:
        >>> main_of_class("small metro").split("/")[2]
        'small-metro'
    """
    return _MAIN_CLASS.format(urban_class.replace(" ", "-"))


def main_of_economy(measure: str) -> str:
    """Return the specification that stands beside a figure of the economy.

    Example:
        >>> main_of_economy("poverty_rate")
        'wong2017/economy/full-decline/poverty-rate/A/nearest'
    """
    return _MAIN_ECONOMY.format(ECONOMY_OPTIONS[measure].replace(" ", "-"))


_WITHOUT_ARSON = (("total", "the total without arson"),)

STUDY = PublishedStudy(
    name="wong2017",
    authors="Wong",
    year=2017,
    first_public=2017,
    venue="Center for American Progress and National Immigration Law Center",
    area="county",
    policy_list="counties that, in records of the federal agency obtained by the Immigrant Legal Resource Center, do not hold "
    "people past their release on its request",
    outcome_years=(2015, 2015),
    method_family="matching",
    method_seen=False,
    design="One comparison of levels between counties. A county counts as limiting where federal records say that it does not "
    "hold people past their release date on a detainer, so the list is of practice and not of ordinances, and of detainers "
    "alone. Counties are matched on demographic traits, and the means of the matched groups are compared: offences per 10,000 "
    "residents in the FBI's reports of 2015, arson among them, for all counties and by six urban-rural classes, and figures "
    "of income, poverty, work and public assistance.",
    known=(
        "The data hold 2,492 counties, 608 of them limiting, by secondary accounts.",
        "The total adds murder, rape, robbery, assault, burglary, larceny, motor-vehicle theft and arson.",
        "The classes bear the names of the national urban-rural scheme, most likely its edition of 2013.",
        "Sizes were seen for all counties and for large central metropolitan ones; for the other classes directions alone, "
        "three of them from one sentence in the press.",
        "No standard error, t or p of it was seen.",
    ),
    chosen=(
        "Algorithm, distance, ratio and calipers: not seen, so nearest neighbours in four forms, optimal and full matching, "
        "cells and subclasses, four kinds of weights, regression, a doubly robust estimator and genetic matching.",
        "Covariates: not seen; four sets from population, foreign-born and Hispanic shares upwards, before the policies, and "
        "once of the outcome's time.",
        "Who limits: the list is not public; six lists of ours stand for it, and one of 2025 is described beside them. The "
        "rows of the ledger take documented full declines: a county that as a rule does not hold is what the report's "
        "criterion says, where a county with a quarter of detainers declined still holds most.",
        "How agencies become counties: not seen; four builds. The rows of the ledger take all agencies over the residents "
        "they police in counties where these are 95 % of residents: there the total is nearly the county's, whichever of the "
        "two builds from all agencies is taken. By class the threshold is 80 %, since the classes are small.",
        "The rows of the ledger match one neighbour, with replacement, on the first set of covariates, the shortest and the "
        "one remembered from accounts of the report.",
        "Counties of 10,000 residents and more, as elsewhere in this study; every size in a family of its own.",
        "Errors are clustered by state, since policies are (rule 12).",
    ),
    reading="A lower reported rate where detainers are limited would be less crime, fewer of the same crimes reported, or a "
    "difference that was there before any policy: one year's levels cannot tell these apart. If limits made residents report "
    "more, reported crime would understate a fall; if they made them report less, the fall would be reporting.",
    grids=(GRID,),
    asks=(
        Ask(
            ALL_CRIME,
            ("total_with_arson",),
            "per_10k",
            MAIN,
            near=_WITHOUT_ARSON,
            only={"family": (*ALL_COUNTIES, *OTHER_SAMPLES)},
            headline=True,
            note="another list of counties, and an unpublished method: what gives the published number here does not say "
            "what gave it there",
        ),
        *(
            Ask(
                figure,
                ("total_with_arson",),
                "per_10k",
                main_of_class(name),
                near=_WITHOUT_ARSON,
                only={"family": (BY_CLASS,), "choice_urban_class": (name,)},
                headline=name == "large central metro",
                sign=0 if figure in SIZES else CLASS_SIGNS[name],
                note="at most some 68 counties, both arms together: read the counts before the number"
                if name == "large central metro"
                else "direction alone was seen",
            )
            for name, figure in CLASS_FIGURES.items()
        ),
        Ask(
            "wong2017.homicide",
            ("murder",),
            "per_100k",
            MAIN_HOMICIDE,
            only={"family": (HOMICIDE,)},
            sign=-1,
            note="direction alone was seen, in a press account",
        ),
        *(
            Ask(
                figure,
                () if measure == "snap_share" else (measure,),
                "as_measured",
                main_of_economy(measure),
                near=(
                    (measure, "residents with food assistance, administrative counts; the report counts households on public "
                     "assistance in a survey"),
                ) if measure == "snap_share" else (),
                only={"family": (ECONOMY,)},
                headline=figure in ("wong2017.income", "wong2017.poverty", "wong2017.unemployment"),
                sign=0 if figure in SIZES else ECONOMY_SIGNS[figure],
                note="levels, not changes: whether the difference stood before any policy is another question",
            )
            for figure, measure in ECONOMY_FIGURES.items()
        ),
    ),
    apart={
        "wong2017.crime.large_central_metro.pct": "the same figure in per cent, computed by the press; it stands beside the "
        "figure per 10,000",
        "wong2017.crime.large_central_metro.control_mean": "derived from two rounded figures, a level and no difference",
        "wong2017.children_public_assistance": "no data at hand count children in households with public assistance",
        "wong2017.small_counties": "a gradient in words, over outcomes that are not named",
        "wong2017.n_total": "a count of the report's own list, which is not public",
        "wong2017.n_sanctuary": "a count of the report's own list, which is not public",
    },
)  # fmt: skip


# --- where the published figure falls --------------------------------------------------------------------------------

PLACED: Mapping[str, str] = MappingProxyType(
    {
        "by": "what the row is of: all, or the choices named, joined by a comma",
        "family": "family of the grid; empty where all are taken, each weighing alike",
        "definition": "option of the grid, empty where all are taken",
        "build": "likewise",
        "outcome": "likewise",
        "coverage": "likewise",
        "covariates": "likewise",
        "estimator": "likewise",
        "descriptive": "whether the list of counties is later than the outcome: shown, never counted among all",
        "n": "specifications",
        "n_estimated": "of them estimated",
        "n_informative": "of them with 20 treated counties in six states",
        "n_treated": "median of treated counties",
        "n_comparison": "median of comparison counties",
        "published": "published size, reported offences per 10,000 residents",
        "median": "median estimate, likewise",
        "low": "5th percentile of estimates",
        "quarter": "25th",
        "three_quarters": "75th",
        "high": "95th",
        "conf_low": "median of the lower ends of the intervals",
        "conf_high": "median of the upper ends",
        "share_below": "share of estimates below the published size",
        "share_holds": "share of intervals that hold it",
        "share_sign": "share of estimates with its sign",
        "share_clear": "share of intervals that exclude zero on its side",
        "share_opposite": "share of intervals that exclude zero on the other side",
    }
)
"""Columns of `placed`."""

MARGINS: Sequence[tuple[str, ...]] = (
    (),
    ("family",),
    ("build",),
    ("definition",),
    ("outcome",),
    ("coverage",),
    ("covariates",),
    ("estimator",),
    ("build", "definition"),
    ("build", "definition", "outcome"),
)
"""What `placed` groups by."""

_GROUPED = ("family", "definition", "build", "outcome", "coverage", "covariates", "estimator")


def placed(results: pd.DataFrame, families: Sequence[str] = ALL_COUNTIES) -> pd.DataFrame:
    """Return where the published difference falls among our estimates for all counties, by build, definition, outcome.

    Args:
        results: one row a specification: ``family``, ``choice_*`` and the columns of `analysis.evidence.results.COLUMNS`;
            other studies' rows may be among them.
        families: of the grid, each weighing alike in every row (protocol rule 22); a family that a row's options do not
            reach has no weight in it.

    Returns:
        ``PLACED``, a row a group of ``MARGINS``, in the order of the grid; estimates and ends per 10,000 residents. A list
        later than the outcomes stands in its own rows alone.

    Raises:
        StudyError: a family on another scale than per 10,000 residents.

    Assumption: none; specifications are no sample, and a share of them is no probability. A group in which the published
    number lies amid the estimates is no sign that the report chose as the group does.

    Example:
        ``placed(results).query("by == 'build'")[["build", "median", "share_below", "share_holds"]]``
    """
    rows = _of_grid(results, families)
    scales = sorted(set(rows["scale"]) - {"rate_10k"})
    if scales:
        raise StudyError(
            f"outcomes in '{scales[0]}'", "rate_10k, the unit of the published figure", f"the grid {GRID}"
        )
    out = []
    for names in MARGINS:
        pool = rows if "definition" in names else rows[~rows["descriptive"]]
        for key, part in _groups(pool, names):
            out.append(
                {"by": ", ".join(names) or "all"}
                | dict.fromkeys(_GROUPED, "")
                | dict(zip(names, key, strict=True))
                | {"descriptive": bool(part["descriptive"].all())}
                | _place(part, SIZES[ALL_CRIME])
            )
    return pd.DataFrame(out, columns=list(PLACED))


def _of_grid(results: pd.DataFrame, families: Sequence[str]) -> pd.DataFrame:
    """Return rows of some families with plain names of choices, numbers as floats, and ``descriptive``."""
    rows = results[results["family"].isin(list(families))]
    if "study" in rows:
        rows = rows[rows["study"] == STUDY.name]
    numbers = {
        name: pd.to_numeric(rows[name], errors="coerce").astype(float).to_numpy()
        for name in ("estimate", "conf_low", "conf_high", "n_treated", "n_comparison", "n_states", "baseline")
    }
    return pd.DataFrame(
        {
            "family": rows["family"].astype(str),
            **{
                name.removeprefix("choice_"): rows[name].astype(str)
                for name in rows
                if str(name).startswith("choice_")
            },
            **{
                name: rows[name].astype(str)
                for name in ("spec", "failure", "measure", "scale", "unit", "precision")
            },
            **numbers,
            "informative": rows["informative"].astype(bool),
            "descriptive": np.array([not _before(name) for name in rows["definition"]], dtype=bool),
            "code": rows["definition"].astype(str),
        }
    ).reset_index(drop=True)


def _before(definition: str) -> bool:
    """Return whether a list may carry a cross-section's verdict; one made after the outcomes is described alone."""
    return definition not in DEFINITIONS or DEFINITIONS[definition].designs["cross_section"] != "descriptive"


def _groups(rows: pd.DataFrame, names: Sequence[str]) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
    if not names:
        return [((), rows)] if len(rows) else []
    return [(tuple(map(str, key)), part) for key, part in rows.groupby(list(names), sort=False)]


def _place(part: pd.DataFrame, published: float) -> dict[str, Any]:
    """Return the numbers of ``PLACED`` for one group of specifications; ``published`` need not have a size."""
    known = part[np.isfinite(part["estimate"])]
    family, _ = pd.factorize(known["family"])
    size = np.bincount(family)
    weight = 1 / size[family] if len(known) else np.zeros(0)
    value, low, high = (known[name].to_numpy(dtype=float) for name in ("estimate", "conf_low", "conf_high"))
    sign = float(np.sign(published))

    def share(which: NDArray[np.bool_]) -> float:
        # Of families first: a share of all is then exactly one.
        return float((np.bincount(family, which) / size).mean()) if len(known) else float("nan")

    beyond = np.where(sign < 0, high < 0, low > 0)
    against = np.where(sign < 0, low > 0, high < 0)
    quantiles = weighted_quantiles(value, weight, (0.05, 0.25, 0.5, 0.75, 0.95))
    return {
        "n": len(part),
        "n_estimated": len(known),
        "n_informative": int(known["informative"].sum()),
        "n_treated": float(known["n_treated"].median()) if len(known) else np.nan,
        "n_comparison": float(known["n_comparison"].median()) if len(known) else np.nan,
        "published": published,
        "median": quantiles[2],
        "low": quantiles[0],
        "quarter": quantiles[1],
        "three_quarters": quantiles[3],
        "high": quantiles[4],
        "conf_low": weighted_quantiles(low, weight, (0.5,))[0],
        "conf_high": weighted_quantiles(high, weight, (0.5,))[0],
        "share_below": share(value < published),
        "share_holds": share((low <= published) & (published <= high)),
        "share_sign": share(np.sign(value) == sign),
        "share_clear": share(beyond),
        "share_opposite": share(against),
    }


def weighted_quantiles(
    values: NDArray[np.floating[Any]], weights: NDArray[np.floating[Any]], at: Sequence[float]
) -> list[float]:
    """Return quantiles of weighted numbers: the smallest value whose share of weight, with all below it, is reached.

    Args:
        values: (n,); missing ones are left out.
        weights: (n,), not negative.
        at: shares in [0, 1].

    Returns:
        One number a share; missing where no value is known.

    Example:
        >>> weighted_quantiles(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0]), (0.25, 0.5, 1.0))
        [1.0, 2.0, 3.0]
    """
    known = np.isfinite(values)
    if not known.any():
        return [float("nan")] * len(at)
    order = np.argsort(values[known], kind="stable")
    sorted_values = values[known][order]
    reached = np.cumsum(weights[known][order])
    # Rounding must not carry the last share beyond the last value.
    places = np.searchsorted(reached, np.asarray(at) * reached[-1] * (1 - 1e-12), side="left")
    return [float(v) for v in sorted_values[np.minimum(places, len(sorted_values) - 1)]]


# --- the pattern of classes ------------------------------------------------------------------------------------------

SETTING = ("definition", "coverage", "build", "outcome", "covariates", "estimator")
"""Choices that make a setting: one estimate for each of the six classes."""
PATTERN = (
    *SETTING, "descriptive", *(f"sign_{name.replace(' ', '_')}" for name in CLASS_SIGNS), "n_classes", "n_agree",
    "n_agree_clear", "n_informative", "complete", "full",
)  # fmt: skip
"""Columns of `class_pattern`: a setting; the sign in each class (missing where not estimated); classes estimated, of them
with the published sign, of them with an interval that excludes zero on that side, informative ones; whether all six are
estimated, and whether all six agree."""
PATTERN_SHARES = (
    "definition", "build", "descriptive", "n_settings", "n_complete", "n_full", "share_full", "mean_agree", "share_five",
    "chance_full", "chance_agree", "chance_five", "margins_full", "margins_agree",
)  # fmt: skip
"""Columns of `pattern_shares`: definition and build ("" for all); settings, those with six classes, those that agree in all
six; of the complete ones the share that agrees in all, the mean number that agree, the share with five or six; the same
were every sign a fair coin, and were signs independent with the frequency each class shows here."""


def class_pattern(results: pd.DataFrame) -> pd.DataFrame:
    """Return the signs of the six classes for every setting of the grid, and how many agree with the published ones.

    Args:
        results: one row a specification, as in `placed`.

    Returns:
        ``PATTERN``, a row a setting in the order of the grid.

    Assumption: none. An estimate's sign alone is read here, whatever its interval: under noise half of the signs agree.

    Example:
        ``class_pattern(results).query("full")``
    """
    rows = _of_grid(results, (BY_CLASS,))
    out = []
    for key, part in _groups(rows, SETTING):
        by_class = part.set_index("urban_class")
        about: dict[str, Any] = dict(zip(SETTING, key, strict=True))
        about |= {"descriptive": bool(part["descriptive"].all())}
        known = agree = clear = informative = 0
        for name, published in CLASS_SIGNS.items():
            column = f"sign_{name.replace(' ', '_')}"
            about[column] = np.nan
            if name not in by_class.index or not np.isfinite(float(by_class.loc[name, "estimate"])):
                continue
            one = by_class.loc[name]
            same = bool(np.sign(one["estimate"]) == published)
            about[column] = float(np.sign(one["estimate"]))
            known, agree = known + 1, agree + same
            clear += same and excludes_zero(float(one["conf_low"]), float(one["conf_high"]))
            informative += bool(one["informative"])
        about |= {"n_classes": known, "n_agree": agree, "n_agree_clear": clear, "n_informative": informative}
        whole = known == len(CLASS_SIGNS)
        out.append(about | {"complete": whole, "full": whole and agree == known})
    return pd.DataFrame(out, columns=list(PATTERN))


def pattern_shares(pattern: pd.DataFrame) -> pd.DataFrame:
    """Return how often settings show the published pattern of signs, beside what independent signs would give.

    Args:
        pattern: from `class_pattern`.

    Returns:
        ``PATTERN_SHARES``: all settings, then by definition, by build and by both; a list later than the outcomes stands in
        rows of its own alone.

    Assumption: of the comparison, that signs are independent between classes. Settings share their data, so the shares
    have no error and test nothing.

    Example:
        >>> signs = {f"sign_{name.replace(' ', '_')}": [float(sign)] for name, sign in CLASS_SIGNS.items()}
        >>> one = {name: [""] for name in SETTING} | {"descriptive": [False], **signs, "n_classes": [6], "n_agree": [6]}
        >>> one |= {"n_agree_clear": [0], "n_informative": [6], "complete": [True], "full": [True]}
        >>> pattern_shares(pd.DataFrame(one))[["share_full", "chance_full"]].iloc[0].tolist()
        [1.0, 0.015625]
    """
    names = tuple(f"sign_{name.replace(' ', '_')}" for name in CLASS_SIGNS)
    published = np.array(list(CLASS_SIGNS.values()), dtype=float)
    out = []
    for by in ((), ("definition",), ("build",), ("definition", "build")):
        pool = pattern if "definition" in by else pattern[~pattern["descriptive"].astype(bool)]
        for key, part in _groups(pool, by):
            whole = part[part["complete"].astype(bool)]
            agree = whole[list(names)].to_numpy(dtype=float) == published
            counts = agree.sum(axis=1)
            margins = agree.mean(axis=0) if len(whole) else np.full(len(names), np.nan)
            out.append(
                {"definition": "", "build": ""}
                | dict(zip(by, key, strict=True))
                | {
                    "descriptive": bool(part["descriptive"].all()),
                    "n_settings": len(part),
                    "n_complete": len(whole),
                    "n_full": int((counts == len(names)).sum()),
                    "share_full": float((counts == len(names)).mean()) if len(whole) else np.nan,
                    "mean_agree": float(counts.mean()) if len(whole) else np.nan,
                    "share_five": float((counts >= len(names) - 1).mean()) if len(whole) else np.nan,
                    "chance_full": 0.5 ** len(names),
                    "chance_agree": len(names) / 2,
                    "chance_five": (1 + len(names)) * 0.5 ** len(names),
                    "margins_full": float(margins.prod()),
                    "margins_agree": float(margins.sum()),
                }
            )
    return pd.DataFrame(out, columns=list(PATTERN_SHARES))


BY_CLASS_COLUMNS = ("urban_class", "sign", *(name for name in PLACED if name not in ("by", "family", "outcome", "coverage", "covariates", "estimator")),
                    "n_states")  # fmt: skip
"""Columns of `by_class`: class, published sign, then those of `placed` that apply, and the median of identifying states.
``published`` is missing where a direction alone was seen."""


def by_class(results: pd.DataFrame) -> pd.DataFrame:
    """Return the estimates of every class by definition and build (and over builds, ``build`` ""), per 10,000 residents.

    Args:
        results: one row a specification, as in `placed`.

    Returns:
        ``BY_CLASS_COLUMNS``; classes from the largest cities to the countryside, definitions and builds as in the grid.

    Assumption: none; by class these are explorations, most of them of few counties.

    Example:
        ``by_class(results).query("urban_class == 'large central metro'")``
    """
    rows = _of_grid(results, (BY_CLASS,))
    out = []
    for by in (("urban_class", "definition"), ("urban_class", "definition", "build")):
        for key, part in _groups(rows, by):
            size = SIZES.get(CLASS_FIGURES[key[0]], np.nan)
            found = _place(part, CLASS_SIGNS[key[0]] if np.isnan(size) else size)
            if np.isnan(size):
                found |= {"published": np.nan, "share_below": np.nan, "share_holds": np.nan}
            known = part[np.isfinite(part["estimate"])]
            out.append(
                {"build": ""}
                | dict(zip(by, key, strict=True))
                | {"sign": CLASS_SIGNS[key[0]], "descriptive": bool(part["descriptive"].all())}
                | found
                | {"n_states": float(known["n_states"].median()) if len(known) else np.nan}
            )
    table = pd.DataFrame(out, columns=list(BY_CLASS_COLUMNS))
    order = {name: at for at, name in enumerate(CLASS_SIGNS)}
    return table.iloc[np.argsort(table["urban_class"].map(order).to_numpy(), kind="stable")].reset_index(
        drop=True
    )


# --- the economy -----------------------------------------------------------------------------------------------------

SETS: Mapping[str, str] = MappingProxyType(
    {"A": "median_a", "B": "median_b", "B in division": "median_b_in_division"}
)
"""Set of covariates of the family of the economy to the column of `economy` with the median of its estimates."""
_MAIN_NUMBERS = (
    "spec", "failure", "estimate", "conf_low", "conf_high", "baseline", "n_treated", "n_comparison", "n_states", "precision",
)  # fmt: skip
ECONOMY_COLUMNS = (
    "figure", "measure", "unit", "published", "sign", "definition", "descriptive", *_MAIN_NUMBERS, "n", "n_estimated",
    "n_informative", "lowest", "median", "highest", *SETS.values(), "share_sign", "share_clear", "share_opposite", "share_holds",
)  # fmt: skip
"""Columns of `economy`: the figure and measure; the nearest neighbour on the first set of covariates with its interval, counts
and precision, in the unit of the measure; then all settings of the definition: how many, the range of their estimates, their
median by set of covariates, shares with the published sign, with intervals clear of zero on its side and on the other, and that
hold the published size."""


def economy(results: pd.DataFrame) -> pd.DataFrame:
    """Return the published figures of the economy beside ours, by definition.

    Args:
        results: one row a specification, as in `placed`.

    Returns:
        ``ECONOMY_COLUMNS``, a row a figure and definition; dollars, or percentage points.

    Assumption: of reading a difference as an effect, that matched counties were alike before any policy; these are levels of
    one year and say nothing about that.

    Example:
        ``economy(results).query("definition == 'full decline'")``
    """
    rows = _of_grid(results, (ECONOMY,))
    out = []
    for figure, measure in ECONOMY_FIGURES.items():
        size, sign = SIZES.get(figure, np.nan), ECONOMY_SIGNS[figure]
        for (definition,), part in _groups(rows[rows["measure"] == measure], ("definition",)):
            chosen = part[(part["estimator"] == "nearest") & (part["covariates"] == "A")]
            if chosen.empty:
                raise StudyError(
                    f"no nearest neighbour on set A for {measure}, {definition}", "the whole family 'economy'", f"the grid {GRID}"
                )  # fmt: skip
            one = chosen.iloc[0]
            found = _place(part, sign if np.isnan(size) else size)
            known = part.loc[np.isfinite(part["estimate"]), "estimate"]
            units = [unit for unit in part["unit"] if unit]
            out.append(
                {
                    "figure": figure,
                    "measure": measure,
                    "unit": units[0] if units else "",
                    "published": size,
                    "sign": sign,
                    "definition": definition,
                    "descriptive": bool(part["descriptive"].all()),
                    "lowest": float(known.min()) if len(known) else np.nan,
                    "highest": float(known.max()) if len(known) else np.nan,
                    "share_holds": np.nan if np.isnan(size) else found["share_holds"],
                }
                | {name: one[name] for name in _MAIN_NUMBERS}
                | {column: float(part.loc[part["covariates"] == name, "estimate"].median()) for name, column in SETS.items()}
                | {name: found[name] for name in ("n", "n_estimated", "n_informative", "median", "share_sign", "share_clear",
                                                  "share_opposite")}
            )  # fmt: skip
    return pd.DataFrame(out, columns=list(ECONOMY_COLUMNS))
