"""Tables of the county comparison of 2017: its classes of counties, and the economy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.evidence.results import COLUMNS
from analysis.evidence.studies.wong2017 import (
    CLASS_FIGURES,
    SETS,
    SIZES,
    by_class,
    class_pattern,
    economy,
    pattern_shares,
)
from analysis.evidence.verdict import NO_VERDICT
from analysis.report import words
from analysis.report.frames import Frame, require
from analysis.report.tables import Table, build, label_of

Labels = Mapping[str, str]

STUDY_RESULTS = Frame(
    "study_results",
    {
        "study": "short name of the published study",
        "family": "family of designs, or of the grid",
        **{f"choice_{name}": "option of the grid" for name in ("definition", "build", "outcome", "coverage", "covariates")},
        "choice_estimator": "option of the grid",
        "choice_urban_class": "option of the grid",
        **{
            name: COLUMNS[name]
            for name in (
                "spec", "failure", "measure", "scale", "unit", "definition", "estimate", "conf_low", "conf_high", "baseline",
                "n_treated", "n_comparison", "n_states", "informative", "precision",
            )
        },
    },
)  # fmt: skip

BUILDS: Mapping[str, str] = {
    "all agencies, residents policed": "All agencies over residents policed",
    "all agencies, whole county": "All agencies over the whole county",
    "county agencies, whole county": "County agencies over the whole county",
    "county agencies, residents outside cities": "County agencies over residents outside cities",
}
"""Option of the grid -> the build in words, in the order of panels and columns."""
DIRECTIONS: Mapping[int, str] = {1: "higher, no size seen", -1: "lower, no size seen"}
POOLED = "All dated lists"
# Lists that the paper prints; every one is in the table's other files.
SHOWN = ("full decline", "any limit", "a quarter declined", "homeland security list 2025")
DOLLARS = "median_household_income"
DESCRIBED = "described alone"


def list_words(definition: str) -> str:
    """Return a list of places, as the grid calls it, in words of a table; "" stands for all dated ones.

    Example:
        >>> list_words("full decline"), list_words("homeland security list 2025"), list_words("")
        ('Full decline', 'Homeland Security list 2025', 'All dated lists')
    """
    if not definition:
        return POOLED
    said = definition.replace("homeland security", "Homeland Security")
    return said[:1].upper() + said[1:]


def published_words(size: float, sign: int, digits: int = 1) -> str:
    """Return what was published: the size, or the direction where no size was seen.

    Example:
        >>> published_words(-65.4, -1), published_words(float("nan"), 1), published_words(4353.0, 1, 0)
        ('−65.4', 'higher, no size seen', '+4,353')
    """
    return DIRECTIONS[int(sign)] if np.isnan(size) else words.number(size, digits, sign=True)


def wong_classes_table_rows(results: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `wong_classes_table`: a row a class and list of places, medians by build beside each other.

    Args:
        results: estimates of the studies, one row a specification.

    Returns:
        urban_class, sign, published, definition, descriptive, n, n_estimated, n_informative, n_treated, n_comparison,
        n_states, median, conf_low, conf_high, share_sign, share_clear, share_opposite, share_holds, and the median of each
        build (``median`` and its words), reported offences per 10,000 residents.
    """
    f = by_class(require(results, STUDY_RESULTS))
    kept = f.loc[f["build"].eq(""), [name for name in f.columns if name != "build"]].reset_index(drop=True)
    wide = f[f["build"].ne("")].pivot(index=["urban_class", "definition"], columns="build", values="median")
    place = pd.MultiIndex.from_frame(kept[["urban_class", "definition"]])
    for name in _builds(f):
        kept[f"median, {name}"] = wide[name].reindex(place).to_numpy(dtype=float)
    return kept


def _builds(rows: pd.DataFrame) -> list[str]:
    found = [str(name) for name in dict.fromkeys(rows["build"]) if name]
    return [name for name in BUILDS if name in found] + [name for name in found if name not in BUILDS]


def wong_classes_table(results: pd.DataFrame) -> Table:
    """Return what each class of counties gives under each list of places, beside what was published.

    Args:
        results: estimates of the studies, one row a specification.
    """
    f = wong_classes_table_rows(results)
    builds = [str(name).removeprefix("median, ") for name in f.columns if str(name).startswith("median, ")]
    names = [f"{name[:1].upper()}{name[1:]}" for name in f["urban_class"]]
    published = [published_words(size, sign) for size, sign in zip(f["published"], f["sign"], strict=True)]
    pattern = pattern_shares(class_pattern(results))
    return build(
        "Classes of counties, 2015: reported offences per 10,000 residents, places with a policy less places without, beside Wong (2017)",
        f,
        [
            ("Class", "l", 1.2, words.once(names)),
            ("Published", "l", 1.0, words.once(published, names)),
            ("List of places", "l", 1.5, [list_words(str(name)) for name in f["definition"]]),
            ("Treated", "r", 0.6, map(words.count, f["n_treated"])),
            ("Compared", "r", 0.7, map(words.count, f["n_comparison"])),
            *(
                (BUILDS.get(name, name), "r", 0.9, [words.number(v, 1, sign=True) for v in f[f"median, {name}"]])
                for name in builds
            ),
            ("Published sign", "r", 0.7, [words.percent(v, 0) for v in f["share_sign"]]),
            ("and clear of zero", "r", 0.7, [words.percent(v, 0) for v in f["share_clear"]]),
            ("Clear on the other side", "r", 0.8, [words.percent(v, 0) for v in f["share_opposite"]]),
            ("Informative", "r", 0.8, [f"{words.count(a)} of {words.count(b)}"
                                       for a, b in zip(f["n_informative"], f["n"], strict=True)]),
        ],
        [
            "Medians over settings (three estimators, with and without arson) by build, each matched on population, foreign-born "
            "and Hispanic shares within the class; treated and compared are medians of counts. Shares are of all settings with "
            "an estimate: with the published sign, with a 95 % interval (clustered by state) clear of zero on that side, and on "
            "the other. Informative: at least 20 treated counties in six states; the others take no verdict.",
            *_pattern_notes(pattern),
            "The list of 2025 is later than every outcome and is described alone. These are explorations: the published list, "
            "match and county totals are not known, and a setting that shows a published sign does not identify them.",
        ],
        [at for at, name in enumerate(f["definition"]) if name in SHOWN] or None,
    )  # fmt: skip


def _pattern_notes(pattern: pd.DataFrame) -> list[str]:
    whole = pattern[pattern["definition"].eq("") & pattern["build"].eq("")]
    if whole.empty or not whole["n_complete"].iloc[0]:
        return ["No setting under a dated list has an estimate in all six classes."]
    one = whole.iloc[0]
    return [
        f"Under dated lists {words.count(one['n_complete'])} settings have an estimate in all six classes; in "
        f"{words.count(one['n_full']) if one['n_full'] else 'none'} of them all six signs are the published ones ({words.percent(one['chance_full'])} if each "
        f"sign were a fair coin), and on average {words.number(one['mean_agree'])} of six are (3.0)."
    ]


def wong_economy_rows(results: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `wong_economy_table`; see `analysis.evidence.studies.wong2017.economy`.

    Args:
        results: estimates of the studies, one row a specification.
    """
    return economy(require(results, STUDY_RESULTS))


def wong_economy_table(results: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return the published figures of the economy beside ours, by list of places.

    Args:
        results: estimates of the studies, one row a specification.
        labels: measure to words.
    """
    f = wong_economy_rows(results)
    records = f.to_dict("records")
    names = [label_of(str(m), labels) for m in f["measure"]]
    published = [published_words(r["published"], r["sign"], _digits(r)) for r in records]
    units = dict.fromkeys(f"{n}, {r['unit'] or 'as measured'}" for n, r in zip(names, records, strict=True))
    return build(
        "The economy of counties, 2015: places with a policy less places without, beside Wong (2017)",
        f,
        [
            ("Outcome", "l", 1.4, words.once(names)),
            ("Published", "l", 0.9, words.once(published, names)),
            ("List of places", "l", 1.5, [list_words(str(name)) for name in f["definition"]]),
            ("Difference", "r", 0.8, [words.number(r["estimate"], _digits(r), sign=True) for r in records]),
            ("95 % interval", "r", 1.4, [words.interval(r["conf_low"], r["conf_high"], _digits(r)) for r in records]),
            ("Interval alone", "l", 1.1, [_reading(r) for r in records]),
            ("Treated", "r", 0.6, map(words.count, f["n_treated"])),
            ("Compared", "r", 0.7, map(words.count, f["n_comparison"])),
            ("States", "r", 0.5, map(words.count, f["n_states"])),
            *(
                (f"Median, set {name}", "r", 0.8, [words.number(r[column], _digits(r), sign=True) for r in records])
                for name, column in SETS.items()
            ),
            ("All settings", "r", 1.4, [words.interval(r["lowest"], r["highest"], _digits(r)) for r in records]),
            ("Published sign", "r", 0.7, [words.percent(r["share_sign"], 0) for r in records]),
            ("and clear of zero", "r", 0.7, [words.percent(r["share_clear"], 0) for r in records]),
        ],
        [
            f"Units: {'; '.join(units)}; "
            "differences of rates are percentage points. The difference is that of the nearest neighbour on population, "
            "foreign-born and Hispanic shares (set A) within the urban-rural class. Medians and settings are over four ways of "
            "matching; set B adds Black share, ages, degrees and density, none a covariate of the economy in the narrow sense, "
            "and is also matched within Census divisions.",
            "Public assistance: the report counts households in a survey, here are residents with food assistance from "
            "administrative counts. Children in assisted households are in no data at hand. No published figure came with an "
            "error. Levels of one year: whether a difference stood before any policy is not asked here.",
        ],
        [at for at, name in enumerate(f["definition"]) if name in SHOWN] or None,
    )  # fmt: skip


def _digits(row: Mapping[Any, Any]) -> int:
    return 0 if row["measure"] == DOLLARS else 1


def _reading(row: Mapping[Any, Any]) -> str:
    if row["failure"]:
        return "not estimated"
    return DESCRIBED if row["descriptive"] else str(row["precision"]) or NO_VERDICT


def class_size(name: str) -> float:
    """Return the published size of a class, missing where a direction alone was seen.

    Example:
        >>> class_size("large central metro"), class_size("noncore")
        (-65.4, nan)
    """
    return SIZES.get(CLASS_FIGURES[name], float("nan"))
