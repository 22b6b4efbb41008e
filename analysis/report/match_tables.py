"""Tables of the matched comparisons: methods, definitions, years, classes, covariates, economy, placebo, hidden bias.

Estimates are per cent of the comparison areas' mean unless a column says otherwise, so that builds, years and outcomes
share a scale. The verdict of each stands beside it as a mark, made from the column ``verdict`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.design.keys import BUILDS, URBAN_CLASSES
from analysis.evidence import matches as of
from analysis.evidence.verdict import DIFFERENT, EQUIVALENT, INCONCLUSIVE, NO_VERDICT, NOT_INFORMATIVE
from analysis.report import words
from analysis.report.frames import HIDDEN_BIAS, MATCH_BALANCE, MATCH_SIZE, MATCHES, require
from analysis.report.tables import Table, build, label_of

Labels = Mapping[str, str]
Column = tuple[str, str, float, Iterable[str]]

MARKS: Mapping[str, str] = {
    DIFFERENT: " *",
    EQUIVALENT: " =",
    INCONCLUSIVE: "",
    NOT_INFORMATIVE: " §",
    NO_VERDICT: " ‡",
    of.NOT_ESTIMATED: "",
    "": "",
}
MARKS_NOTE = (
    "Estimates with 95 % intervals, in per cent of the mean of comparison areas. * different from zero; = equivalent to "
    "zero (within ±5 % of the mean); without a mark inconclusive; § not informative (fewer than 20 treated areas, or "
    "fewer than six states) and ‡ no verdict: neither is read as a finding; – not estimated."
)
INDEPENDENT_NOTE = "‡ here: valid if counties were assigned independently; it carries no verdict."
LISTS_NOTE = (
    "The federal lists of 2025 were drawn up after every outcome: they describe and carry no verdict (‡)."
)

TERMS: Mapping[str, str] = {
    "att": "treated",
    "atc": "comparison",
    "ate": "all",
    "ato": "overlap",
    "post": "treated",
}
MEASURES = ("violent_ex_rape", "violent", "rape_legacy", "rape_revised", "property", "total")
HEADS: Mapping[str, str] = {
    "violent_ex_rape": "Violent excl. rape",
    "violent": "Violent",
    "rape_legacy": "Rape (legacy)",
    "rape_revised": "Rape (revised)",
    "property": "Property",
    "total": "Total",
}
SHORT_BUILDS: Mapping[str, str] = {
    "policed": "residents policed",
    "county_population": "whole county",
    "county_agencies": "county agencies",
    "outside_cities": "outside cities",
    "county_file": "county file",
}
CLASS_WORDS: Mapping[str, str] = {
    "large_central_metro": "Large central metro",
    "large_fringe_metro": "Large fringe metro",
    "medium_metro": "Medium metro",
    "small_metro": "Small metro",
    "micropolitan": "Micropolitan",
    "noncore": "Noncore",
}
VINTAGES: Mapping[str, str] = {
    "2006_2010": "2006-10",
    "2009_2015": "2009-15",
    "2009_2018": "2009-18",
}


def family(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows of one spec of the matched comparisons."""
    return rows[rows["family"] == name].reset_index(drop=True)


def mark(row: Mapping[Any, Any]) -> str:
    """Return an estimate's verdict as a mark.

    Example:
        >>> mark({"verdict": "different from zero"}), mark({"verdict": "not informative"})
        (' *', ' §')
    """
    return MARKS[str(row["verdict"])]


def cell(row: Mapping[Any, Any] | None) -> str:
    """Return ``estimate (low to high)`` in per cent of the comparison mean, with the mark of its verdict.

    Example:
        >>> cell({"percent": 21.58, "percent_low": -1.52, "percent_high": 44.68, "verdict": "inconclusive"})
        '21.6 (−1.5 to 44.7)'
        >>> cell(None)
        '–'
    """
    if row is None or words.is_missing(row["percent"]):
        return words.MISSING
    return words.estimate_text(row["percent"], row["percent_low"], row["percent_high"], 1) + mark(row)


def _first(rows: pd.DataFrame, **where: Any) -> dict[Any, Any] | None:
    for name, value in where.items():
        rows = rows[rows[name] == value]
    return None if rows.empty else dict(rows.iloc[0])


def _counts(parts: Sequence[pd.DataFrame], column: str) -> list[str]:
    return [words.span(part[column]) for part in parts]


def _by_measure(parts: Sequence[pd.DataFrame], measures: Sequence[str], width: float = 1.5) -> list[Column]:
    """Return a column an outcome that any part holds."""
    there = [m for m in measures if any((part["measure"] == m).any() for part in parts)]
    return [(HEADS.get(m, m), "r", width, [cell(_first(part, measure=m)) for part in parts]) for m in there]


def _shown_once(values: Sequence[str]) -> list[str]:
    return [v if i == 0 or v != values[i - 1] else "" for i, v in enumerate(values)]


def _ordered(found: Iterable[Any], known: Sequence[Any]) -> list[Any]:
    """Return values in the known order, others after them."""
    there = list(dict.fromkeys(found))
    return [v for v in known if v in there] + [v for v in there if v not in known]


def _definitions(rows: pd.DataFrame) -> list[str]:
    return sorted(dict.fromkeys(rows["definition"]), key=words.definition_rank)


# --------------------------------------------------------------------------------------------------------
# Methods
# --------------------------------------------------------------------------------------------------------


def methods_frame(rows: pd.DataFrame, reached: pd.DataFrame) -> pd.DataFrame:
    """Return every method and outcome with its estimate, its sample and the largest difference it leaves.

    Args:
        rows: frame under the contract ``matches``.
        reached: frame under the contract ``match_balance``.

    Returns:
        The rows of the spec of methods, with largest (absolute standardized mean difference left; missing for models,
        which make no sample), largest_before, effective_comparison.
    """
    f = family(require(rows, MATCHES), of.METHODS)
    held = require(reached, MATCH_BALANCE)
    held = held[held["family"] == of.METHODS].assign(size=held["standardized_mean_difference"].abs())
    largest = held.pivot_table(index="spec", columns="sample", values="size", aggfunc="max")
    effective = held[held["sample"] == "after"].groupby("spec")["effective_comparison"].first()
    for sample, name in (("after", "largest"), ("before", "largest_before")):
        f[name] = f["spec"].map(largest[sample]) if sample in largest else np.nan
    f["effective_comparison"] = f["spec"].map(effective)
    return f


def error_words(row: Mapping[Any, Any]) -> str:
    """Return in a few words what an interval rests on.

    Example:
        >>> error_words({"vcov": "cluster", "by": "pair_and_state"}), error_words({"vcov": "abadie_imbens", "by": "none"})
        ('pair and state', 'independent counties')
    """
    kinds = {"bootstrap": "bootstrap of states", "randomisation": "randomisation"}
    if str(row["vcov"]) in kinds:
        return kinds[str(row["vcov"])]
    if str(row["vcov"]) != "cluster":
        return "independent counties"
    return {"pair": "independent pairs"}.get(str(row["by"]), str(row["by"]).replace("_", " "))


def methods_table(rows: pd.DataFrame, reached: pd.DataFrame) -> Table:
    """Return one question under every method: estimates of the outcomes, sample, balance, inference."""
    f = methods_frame(rows, reached)
    parts = [part for _, part in f.groupby("variant", sort=False)]
    heads = [part.iloc[0] for part in parts]
    refused = [f"{r['label']}: {str(r['failure']).split('; wanted')[0]}" for r in heads if r["failure"]]
    return build(
        "Methods: one question, every method of matching and weighting, 2015",
        f,
        [
            ("Method", "l", 2.6, [str(r["label"]) for r in heads]),
            ("Average over", "l", 0.85, [TERMS.get(str(r["term"]), words.MISSING) for r in heads]),
            ("Treated", "r", 0.75, _counts(parts, "n_treated")),
            ("Compared", "r", 1.15, _counts(parts, "n_comparison")),
            ("Worth", "r", 1.1, [words.span(p["effective_comparison"].round()) for p in parts]),
            ("Largest difference", "r", 0.85, [words.number(p["largest"].max(), 2) for p in parts]),
            *_by_measure(parts, MEASURES, 1.75),
            ("Errors", "l", 1.6, [error_words(r) if not r["failure"] else words.MISSING for r in heads]),
        ],
        [
            MARKS_NOTE,
            f"{INDEPENDENT_NOTE} Counties that decline detainers in full against counties that do not; covariates of "
            "2006-10. Worth: comparison areas of equal weight that would tell as much. Largest difference: the largest "
            "absolute standardized mean difference left in any of the covariates of the spec and any outcome's sample; "
            f"before the match it is {words.number(f['largest_before'].max(), 2)}; models make no sample of their own.",
            *(f"Not estimated, {text}." for text in refused),
        ],
    )


# --------------------------------------------------------------------------------------------------------
# Definitions, years, classes, covariates
# --------------------------------------------------------------------------------------------------------


def definitions_builds_table(rows: pd.DataFrame) -> Table:
    """Return one match under every definition, with the three rate builds."""
    f = family(require(rows, MATCHES), of.DEFINITIONS)
    pairs = [(d, b) for d in _definitions(f) for b in _ordered(f["build"], BUILDS)]
    parts = [f[(f["definition"] == d) & (f["build"] == b)] for d, b in pairs]
    parts, pairs = [p for p in parts if len(p)], [k for k, p in zip(pairs, parts, strict=True) if len(p)]
    shown = [
        i for i, p in enumerate(parts) if not p["verdict"].isin([NOT_INFORMATIVE, of.NOT_ESTIMATED]).all()
    ]
    return build(
        "Definitions and rate builds: one match under each, 2015",
        f,
        [
            ("Definition", "l", 2.2, _shown_once([words.definition_label(d) for d, _ in pairs])),
            ("Rate build", "l", 1.35, [SHORT_BUILDS.get(b, b) for _, b in pairs]),
            *_by_measure(parts, MEASURES, 1.65),
            ("Treated", "r", 0.95, _counts(parts, "n_treated")),
            ("Compared", "r", 0.95, _counts(parts, "n_comparison")),
            ("States", "r", 0.85, _counts(parts, "n_states")),
        ],
        [
            MARKS_NOTE,
            f"{LISTS_NOTE} One neighbour, Mahalanobis distance, same urban class, errors clustered by state. Total crime is "
            "matched per 10,000 residents, the rest per 100,000. Builds: offences of reporting agencies over the residents they "
            "police; of all agencies over the whole county; of county agencies alone over the whole county, which is no "
            "county rate.",
        ],
        selection=shown,
    )


def years_table(rows: pd.DataFrame) -> Table:
    """Return the same match in each year; 2015 is that of the definitions, with residents policed."""
    f = require(rows, MATCHES)
    there = set(family(f, of.YEARS)["definition"])
    now = family(f, of.DEFINITIONS)
    now = now[(now["build"] == "policed") & now["definition"].isin(there)]
    f = pd.concat([family(f, of.YEARS), now], ignore_index=True)
    f = f[f["measure"] != "violent"]
    rape = {"rape_legacy": "rape", "rape_revised": "rape"}
    keys = [(y, d) for y in sorted(set(f["window"])) for d in _definitions(f[f["window"] == y])]
    parts = [f[(f["window"] == y) & (f["definition"] == d)] for y, d in keys]
    rapes = [cell(_first(p.assign(measure=p["measure"].replace(rape)), measure="rape")) for p in parts]
    none = [f"{d} in {y}" for (y, d), p in zip(keys, parts, strict=True) if p["estimate"].isna().all()]
    gone = [words.definition_label(k.split(" in ")[0]).lower() + " in " + k.split(" in ")[1] for k in none]
    return build(
        "Years: the same match in each",
        f.reset_index(drop=True),
        [
            ("Year", "l", 0.5, _shown_once([str(y) for y, _ in keys])),
            ("Definition", "l", 2.0, [words.definition_label(d) for _, d in keys]),
            *_by_measure(parts, ("violent_ex_rape", "property", "total"), 1.6),
            ("Rape", "r", 1.6, rapes),
            ("Treated", "r", 0.8, _counts(parts, "n_treated")),
            ("Compared", "r", 0.8, _counts(parts, "n_comparison")),
            ("States", "r", 0.6, _counts(parts, "n_states")),
        ],
        [
            MARKS_NOTE,
            f"{LISTS_NOTE} Rape is the legacy definition to 2012 and the revised one from 2013. Recorded declines carry "
            "outcomes to 2015 alone."
            + (f" No or too few treated counties: {'; '.join(gone)}." if gone else ""),
        ],
    )


def sign_word(value: Any) -> str:
    """Return the sign of a number as a character.

    Example:
        >>> sign_word(-0.3), sign_word(2), sign_word(float("nan"))
        ('−', '+', '–')
    """
    if words.is_missing(value):
        return words.MISSING
    return "+" if float(value) > 0 else words.MINUS if float(value) < 0 else "0"


def sign_patterns(rows: pd.DataFrame) -> pd.DataFrame:
    """Return, by definition, the signs of total crime by class beside the published ones.

    Args:
        rows: frame under the contract ``matches``.

    Returns:
        definition, signs (in the order of classes), published, alike (classes of the same sign), known (classes with
        an estimate), informative (classes whose estimate is).
    """
    f = family(require(rows, MATCHES), of.CLASSES)
    f = f[f["measure"] == "total"]
    made = []
    for definition in _definitions(f):
        here = f[f["definition"] == definition].drop_duplicates("urban_classes").set_index("urban_classes")
        values = {c: here["percent"].get(c, np.nan) for c in URBAN_CLASSES}
        alike = [np.sign(v) == of.PUBLISHED_SIGNS[c] for c, v in values.items() if not words.is_missing(v)]
        shown = here["verdict"].isin([DIFFERENT, EQUIVALENT, INCONCLUSIVE])
        made.append(
            {
                "definition": definition,
                "signs": " ".join(sign_word(v) for v in values.values()),
                "published": " ".join(sign_word(s) for s in of.PUBLISHED_SIGNS.values()),
                "alike": int(sum(alike)),
                "known": len(alike),
                "informative": int(shown.sum()),
            }
        )
    return pd.DataFrame(made, columns=["definition", "signs", "published", "alike", "known", "informative"])


def classes_table(rows: pd.DataFrame, reached: pd.DataFrame) -> Table:
    """Return matches within each urban-rural class, with the published pattern of signs beside them."""
    f = family(require(rows, MATCHES), of.CLASSES)
    held = require(reached, MATCH_BALANCE)
    held = held[(held["family"] == of.CLASSES) & (held["sample"] == "after")]
    left = held.assign(size=held["standardized_mean_difference"].abs()).groupby("spec")["size"].max()
    f["largest"] = f["spec"].map(left)
    f["published_sign"] = f["urban_classes"].map(of.PUBLISHED_SIGNS)
    keys = [(d, c) for d in _definitions(f) for c in _ordered(f["urban_classes"], URBAN_CLASSES)]
    parts = [f[(f["definition"] == d) & (f["urban_classes"] == c)] for d, c in keys]
    totals = [_first(p, measure="total") for p in parts]
    patterns = sign_patterns(rows)
    said = "; ".join(
        f"{words.definition_label(r['definition']).lower()} {r['signs']} ({r['alike']} of {r['known']} alike)"
        for r in patterns.to_dict("records")
    )
    published = patterns["published"].iloc[0] if len(patterns) else ""
    return build(
        "Urban-rural classes: a match within each, 2015 (exploratory)",
        f,
        [
            ("Definition", "l", 1.9, _shown_once([words.definition_label(d) for d, _ in keys])),
            ("Class", "l", 1.35, [CLASS_WORDS.get(c, c) for _, c in keys]),
            ("Published sign", "r", 0.75, [sign_word(of.PUBLISHED_SIGNS.get(c)) for _, c in keys]),
            ("Sign here", "r", 0.6, [sign_word(t and t["percent"]) for t in totals]),
            *_by_measure(parts, ("total", "violent_ex_rape", "property"), 1.6),
            ("Largest difference", "r", 0.85, [words.number(p["largest"].max(), 2) for p in parts]),
            ("Treated", "r", 0.7, _counts(parts, "n_treated")),
            ("Compared", "r", 0.8, _counts(parts, "n_comparison")),
            ("States", "r", 0.55, _counts(parts, "n_states")),
        ],
        [
            MARKS_NOTE,
            "Exploratory. Signs are of total crime and are described, whatever the verdict; the county report of 2017 "
            f"states them in words, the last three in one sentence about smaller and rural counties: {published}. Here, "
            f"from the largest class down: {said}. Largest difference: the largest absolute standardized mean "
            "difference left in the sample for total crime.",
        ],
    )


def covariates_table(rows: pd.DataFrame, reached: pd.DataFrame) -> Table:
    """Return the match under each set of covariates, before the policies and of the time."""
    f = family(require(rows, MATCHES), of.COVARIATES)
    held = require(reached, MATCH_BALANCE)
    held = held[(held["family"] == of.COVARIATES) & (held["sample"] == "after")]
    left = held.assign(size=held["standardized_mean_difference"].abs()).groupby("spec")["size"].max()
    f["largest"] = f["spec"].map(left)
    keys = [
        (s, v)
        for s in _ordered(f["covariate_set"], list(of.SETS.values()))
        for v in sorted(set(f.loc[f["covariate_set"] == s, "vintage"]))
    ]
    parts = [f[(f["covariate_set"] == s) & (f["vintage"] == v)] for s, v in keys]
    return build(
        "Sets of covariates, before the policies and of the time, 2015",
        f,
        [
            ("Set", "l", 0.9, _shown_once([s for s, _ in keys])),
            ("Covariates of", "l", 0.75, [VINTAGES.get(v, v) for _, v in keys]),
            *_by_measure(parts, MEASURES, 1.65),
            ("Largest difference", "r", 0.85, [words.number(p["largest"].max(), 2) for p in parts]),
            ("Treated", "r", 0.8, _counts(parts, "n_treated")),
            ("Compared", "r", 0.8, _counts(parts, "n_comparison")),
            ("States", "r", 0.6, _counts(parts, "n_states")),
        ],
        [
            MARKS_NOTE,
            "A: population, foreign-born and Hispanic shares; B: A, Black share, ages, degrees, density; C: B, poverty, "
            "unemployment, income; D: C within the same Census division. Covariates of 2009-15 may have been moved by a "
            "policy: matching on them can hide a difference or make one. Shares of non-citizens are to be had for "
            "2014-18 alone, after most policies. Largest difference: the largest absolute standardized mean difference "
            "left in the set's own covariates, in the sample for violent crime excluding rape.",
        ],
    )


# --------------------------------------------------------------------------------------------------------
# Economy and placebo
# --------------------------------------------------------------------------------------------------------

ECONOMY_SHOWN = ("policy_full", "declines_share25", "state_law")
OWN_UNITS: Mapping[str, tuple[str, int]] = {"median_household_income": ("dollars", 0)}


def own_cell(row: Mapping[Any, Any]) -> str:
    """Return ``estimate (low to high)`` in the outcome's own unit: dollars, or percentage points."""
    _, digits = OWN_UNITS.get(str(row["measure"]), ("points", 1))
    return words.estimate_text(row["estimate"], row["conf_low"], row["conf_high"], digits)


def economy_table(rows: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return the economy of matched counties: differences of levels, in dollars and percentage points."""
    f = family(require(rows, MATCHES), of.ECONOMY)
    order = {m: i for i, m in enumerate(dict.fromkeys(f["measure"]))}
    rank = pd.DataFrame(
        {"m": f["measure"].map(order), "d": f["definition"].map(words.definition_rank), "w": f["window"]}
    )
    f = f.loc[rank.sort_values(["m", "d", "w"], kind="stable").index].reset_index(drop=True)
    records = f.to_dict("records")
    latest = f["measure"].map(f.groupby("measure")["window"].max()) == f["window"]
    shown = np.flatnonzero(latest & f["definition"].isin(ECONOMY_SHOWN)).tolist()
    return build(
        "The economy of matched counties",
        f,
        [
            ("Outcome", "l", 2.1, [label_of(str(m), labels) for m in f["measure"]]),
            ("Definition", "l", 2.1, [words.definition_label(str(d)) for d in f["definition"]]),
            ("Year", "l", 0.5, f["window"].astype(str)),
            ("Difference, dollars or points", "r", 1.7, [own_cell(r) for r in records]),
            ("% of the comparison mean", "r", 1.5, [cell(r) for r in records]),
            ("Treated", "r", 0.65, map(words.count, f["n_treated"])),
            ("Compared", "r", 0.8, map(words.count, f["n_comparison"])),
            ("States", "r", 0.55, map(words.count, f["n_states"])),
        ],
        [
            MARKS_NOTE,
            f"{LISTS_NOTE} Dollars of the year for income, percentage points otherwise; participation and the "
            "employment-population ratio are five-year averages of a survey. Differences of levels between counties matched "
            "on set B, which holds nothing of the economy; whether they stood before the policies is asked in Table 16.",
        ],
        selection=shown,
    )


CRIME = ("violent_ex_rape", "property", "total")


def placebo_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the placebo years and 2015 of the same definitions and outcomes, one row an estimate.

    Args:
        rows: frame under the contract ``matches``.
    """
    f = require(rows, MATCHES)
    before = family(f, of.PLACEBO)
    crime = family(f, of.DEFINITIONS)
    crime = crime[crime["build"] == "policed"]
    now = pd.concat([crime, family(f, of.ECONOMY)], ignore_index=True)
    keys = set(zip(before["definition"], before["measure"], strict=True))
    year = (
        str(before["status_year"].dropna().astype(int).max()) if before["status_year"].notna().any() else ""
    )
    same = [(d, m) in keys for d, m in zip(now["definition"], now["measure"], strict=True)]
    now = now[np.array(same, dtype=bool) & (now["window"] == year).to_numpy()]
    return pd.concat([before, now], ignore_index=True)


def placebo_table(rows: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return outcomes before the policies beside those of 2015, for counties by their status in 2015."""
    f = placebo_frame(rows)
    years = sorted(set(f["window"]))
    measures = _ordered(f["measure"], CRIME)
    keys = [(m, d) for m in measures for d in _definitions(f[f["measure"] == m])]
    parts = [f[(f["measure"] == m) & (f["definition"] == d)] for m, d in keys]
    shown = [i for i, (m, d) in enumerate(keys) if m in CRIME or d in ECONOMY_SHOWN[:1]]

    def column(year: str, show: Callable[[Any], str]) -> list[str]:
        return [show(_first(p, window=year)) for p in parts]

    def treated(row: Mapping[Any, Any] | None) -> str:
        return words.MISSING if row is None else words.count(row["n_treated"])

    return build(
        "Placebo: outcomes before the policies, beside 2015, for counties by their status in 2015",
        f,
        [
            ("Outcome", "l", 1.7, _shown_once([label_of(m, labels) for m, _ in keys])),
            ("Definition", "l", 1.9, [words.definition_label(d) for _, d in keys]),
            *((year, "r", 1.6, column(year, cell)) for year in years),
            *((f"Treated, {year}", "r", 0.75, column(year, treated)) for year in years[-2:]),
        ],
        [
            MARKS_NOTE,
            f"{LISTS_NOTE} Outcomes before 2009 stand before nearly every policy: a difference there is none that they made. "
            "Each year matches the counties whose agencies reported in it, so the counties differ a little between columns; "
            "per cent is of the mean of the same year.",
        ],
        selection=shown,
    )


# --------------------------------------------------------------------------------------------------------
# Matched difference-in-differences
# --------------------------------------------------------------------------------------------------------

SAMPLES: Mapping[str, str] = {"without-california": "without California", "within-states": "within states"}


def did_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Return matched difference-in-differences, then group-time effects of the same policy without a match."""
    f = require(rows, MATCHES)
    beside = family(f, of.UNMATCHED_PANEL)
    beside = beside[
        beside["variant"].isin(["", "within-states"])
        & beside["measure"].isin(set(family(f, of.MATCHED_DID)["measure"]))
        & beside["definition"].isin(set(family(f, of.MATCHED_DID)["definition"]))
    ]
    return pd.concat([family(f, of.MATCHED_DID), beside], ignore_index=True)


def did_table(rows: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return matched difference-in-differences by what was matched on, beside the unmatched estimates."""
    f = did_frame(rows)
    records = f.to_dict("records")
    return build(
        "Matched difference-in-differences, full declines, 2010-2017",
        f,
        [
            ("Matched on", "l", 2.4, [r["match_on"] or "nothing (group-time effects)" for r in records]),
            ("Sample", "l", 1.3, [SAMPLES.get(str(r["variant"]), "all") for r in records]),
            (
                "Outcome",
                "l",
                1.3,
                [HEADS.get(str(r["measure"]), label_of(str(r["measure"]), labels)) for r in records],
            ),
            ("% of the mean before adoption", "r", 1.5, [cell(r) for r in records]),
            ("Leads p", "r", 0.65, [words.number(r["pretrend_p"], 3) for r in records]),
            ("Treated", "r", 0.65, map(words.count, f["n_treated"])),
            ("Compared", "r", 0.85, map(words.count, f["n_comparison"])),
            ("States", "r", 0.55, map(words.count, f["n_states"])),
            ("Verdict", "l", 1.6, [_verdict(r) for r in records]),
        ],
        [
            "Average over the years from the first full one, with 95 % intervals clustered by state; every county alike. "
            "Leads p: joint test of the years before adoption whose outcomes were not matched on. Matching on outcomes "
            "makes the curves before adoption meet and can turn their return to the mean into an estimate, so the rows "
            "stand side by side. The last rows are not matched: group-time effects against areas not yet treated.",
            words.DAGGER_NOTE,
        ],
    )


def _verdict(row: Mapping[Any, Any]) -> str:
    return words.verdict_words({**row, "agreement": ""})


# --------------------------------------------------------------------------------------------------------
# Hidden bias
# --------------------------------------------------------------------------------------------------------


def hidden_frame(bounds: pd.DataFrame, strengths: pd.DataFrame) -> pd.DataFrame:
    """Return bounds and E-values as one tidy frame.

    Args:
        bounds: frame under the contract ``hidden_bias``.
        strengths: from `analysis.evidence.matches.e_values`.

    Returns:
        variant, label, measure, gamma, statistic, value, unit, n_sets, note.
    """
    f = require(bounds, HIDDEN_BIAS)
    f = f[~f["statistic"].isin(["risk_ratio", "e_value", "e_value_interval"])]
    f = f.assign(label=[of.method_words(v)[1] for v in f["variant"]])
    long = strengths.melt(
        id_vars=["variant", "label", "measure", "note"],
        value_vars=["risk_ratio", "e_value", "e_value_interval"],
        var_name="statistic",
    ).assign(gamma=np.nan, unit="ratio of risks", n_sets=pd.NA)
    columns = ["variant", "label", "measure", "gamma", "statistic", "value", "unit", "n_sets", "note"]
    parts = [part[columns].astype({"n_sets": "Int64"}) for part in (f, long) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def hidden_table(bounds: pd.DataFrame, strengths: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return how strong a hidden trait must be to explain a difference away: bounds and E-values, no verdict."""
    f = hidden_frame(bounds, strengths)
    keys = list(dict.fromkeys(zip(f["label"], f["measure"], strict=True)))
    parts = [f[(f["label"] == one) & (f["measure"] == m)] for one, m in keys]
    gammas = sorted(f.loc[f["statistic"] == "conf_low", "gamma"].dropna().unique())

    def value(part: pd.DataFrame, statistic: str, gamma: float | None = None) -> Any:
        rows = part[part["statistic"] == statistic]
        rows = rows if gamma is None else rows[np.isclose(rows["gamma"].astype(float), gamma)]
        return rows["value"].iloc[0] if len(rows) else np.nan

    def ends(part: pd.DataFrame, gamma: float) -> str:
        low, high = value(part, "conf_low", gamma), value(part, "conf_high", gamma)
        return words.interval(low, high, words.digits_for(low, high))

    note = str(f["note"].iloc[0]).split(";")[0] if len(f) else ""
    return build(
        "Hidden bias: Rosenbaum bounds and E-values, without a verdict",
        f,
        [
            ("Method", "l", 2.5, _shown_once([one for one, _ in keys])),
            ("Outcome", "l", 1.2, [HEADS.get(m, label_of(m, labels)) for _, m in keys]),
            ("Sets", "r", 0.5, [words.span(p["n_sets"].dropna().unique()) for p in parts]),
            ("p without bias", "r", 0.7, [words.number(value(p, "p_high", 1.0), 3) for p in parts]),
            ("Critical Γ", "r", 0.65, [words.number(value(p, "critical_gamma"), 2) for p in parts]),
            *(
                (f"Interval, Γ = {g:g}", "r", 1.25, [ends(p, g) for p in parts])
                for g in gammas
                if g in (1.0, 1.2, 1.5, 2.0)
            ),
            ("E-value", "r", 0.6, [words.number(value(p, "e_value"), 2) for p in parts]),
            ("E-value, interval", "r", 0.75, [words.number(value(p, "e_value_interval"), 2) for p in parts]),
            ("", "l", 0.8, [NO_VERDICT for _ in parts]),
        ],
        [
            f"Every number here is {note} and carries no verdict. Γ: the most by which two counties of one set may differ "
            "in their odds of having a policy because of something not measured. Critical Γ: where the test of no "
            "difference passes 0.05 (1: already without hidden bias). Intervals: of a constant difference, offences per "
            "100,000, that hold under every bias up to Γ. E-value: how strongly a hidden trait would have to go with both "
            "policy and outcome, as ratios of risks, to explain the estimate; of the interval, to make it cover zero "
            "(1: it does already). Bounds are for sets that share no county.",
        ],
    )


# --------------------------------------------------------------------------------------------------------
# Size of each inference
# --------------------------------------------------------------------------------------------------------


def size_table(size: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return each method's measured coverage on simulated panels beside its estimate on the data."""
    f = require(size, MATCH_SIZE).reset_index(drop=True)
    keys = list(dict.fromkeys(zip(f["method"], f["error"], strict=True)))
    parts = [f[(f["method"] == m) & (f["error"] == e)] for m, e in keys]
    columns: list[Column] = [
        ("Method", "l", 2.3, _shown_once([m for m, _ in keys])),
        ("Errors", "l", 1.9, [e + ("" if not p["independent"].any() else " ‡") for (_, e), p in zip(keys, parts, strict=True)]),
    ]  # fmt: skip
    for measure in dict.fromkeys(f["measure"]):
        rows = [_first(p, measure=measure) for p in parts]
        name = HEADS.get(measure, label_of(measure, labels)).split(" ")[0]
        columns += [
            (f"{name}: average held", "r", 0.8, [_held(r, "coverage_of_mean") for r in rows]),
            (f"{name}: truth held", "r", 0.8, [_held(r, "coverage") for r in rows]),
            (f"{name}: bias, %", "r", 0.75, [_bias(r) for r in rows]),
            (f"{name}: estimate, %", "r", 1.6, [cell(r) for r in rows]),
        ]
    draws = words.span(f["draws"]) if len(f) else words.MISSING
    return build(
        "How often intervals of matched comparisons hold what they should on SIMULATED panels, beside the estimates",
        f,
        columns,
        [
            f"Shares of SIMULATED panels ({draws} with an interval), with the real places and dates of adoption, whose 95 % "
            "interval held the estimator's own average over panels (the error alone is judged: 95 % is right) and the "
            "known truth (the bias of comparing levels counts too). Bias in per cent of the comparison mean. Estimates are "
            "from the data, in per cent of the comparison mean; a dash where the study's spec does not ask the same.",
            "‡ valid if counties, or pairs, were assigned independently; no verdict. * different from zero. Violent crime "
            "excludes rape.",
        ],
    )


def _held(row: Mapping[Any, Any] | None, column: str) -> str:
    return words.MISSING if row is None else words.percent(row[column], 0)


def _bias(row: Mapping[Any, Any] | None) -> str:
    return words.MISSING if row is None else words.number(row["bias_percent"], 1, sign=True)
