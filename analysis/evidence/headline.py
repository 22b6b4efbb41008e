"""The answer of the study: the first stage, then three published claims beside what is found here, then what moves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.base.codebook import load_codebook
from analysis.design.estimators import ESTIMATORS
from analysis.design.keys import is_csv
from analysis.design.treatment import DEFINITIONS, definition_of, is_descriptive
from analysis.evidence.claims import Claim, Claims, Fact, load_claims
from analysis.evidence.first_stage import first_stage
from analysis.evidence.results import ONE_EFFECT, in_unit, window_of_years
from analysis.evidence.units import LOG_POINTS, RATES, UNIT_OF_SCALE, WORDS, level_of
from analysis.evidence.verdict import (
    NO_VERDICT,
    NOT_INFORMATIVE,
    Comparability,
    informative,
    precision,
    verdict,
)

COLUMNS = (
    "claim", "published", "label", "definition", "measure", "measure_label", "comparison", "estimator", "window", "build",
    "california", "estimate", "conf_low", "conf_high", "unit", "baseline", "percent", "percent_low", "percent_high",
    "n_treated", "n_comparison", "n_states", "states_identifying", "bound", "bound_words", "precision", "precision_five_percent",
    "agreement", "verdict", "sentence", "comparability", "note", "declined_per_10k", "offences_per_declined",
    "offences_per_caused", "pretrend_p", "level", "simulated", "status", "spec", "fact",
)  # fmt: skip
FIRST_STAGE = "first_stage"
# What an estimate of this study is, in the words claims use of their methods.
METHOD_FAMILY = {
    name: "matching" if rules.kind == "cross_section" else "difference_in_differences"
    for name, rules in ESTIMATORS.items()
}
ASSUMPTIONS = {
    "matched": "counties of one class that are alike on the covariates differ in nothing else that moves reported crime",
    "between": "reported crime would have moved alike in counties with and without a limit, whatever their state",
    "within": "reported crime would have moved alike in counties of one state with and without a limit",
}
COMPARISON_WORDS = {"matched": "matched", "between": "between states", "within": "within states"}
BUILD_WORDS = {
    "policed": "over residents policed by agencies that report",
    "county_population": "all agencies over the whole county",
    "county_agencies": "county agencies over the whole county",
    "outside_cities": "county agencies over the residents outside cities",
    "county_file": "a county file of the user's",
    "none": "direct measure",
}
CALIFORNIA_WORDS = {"in": "with California", "out": "without California", "only": "California alone"}
# Rows that answer the same question are ranked by these, then by their place among the results: the specs declare the
# main analysis first.
PREFERRED: tuple[tuple[str, Any], ...] = (
    ("carries_verdict", True),
    ("build", "policed"),
    ("california", "in"),
    ("keep_states", ""),
    ("urban_classes", ""),
    ("upper_bound_dates", "as_dated"),
    ("constant_agencies", False),
    ("controls", ""),
    ("estimator", ("matched_difference", "group_time_att")),
    ("vcov", "cluster"),
)
DIMENSIONS = {
    "definition": "definition",
    "build": "rate build",
    "california": "California",
    "comparison": "comparison",
}
REJECTED = 0.05
MINUS = "\N{MINUS SIGN}"


def headline(results: pd.DataFrame, claims: Claims | None = None) -> pd.DataFrame:
    """Return the rows of the answer: the first stage, then each published figure with this study's estimates below it.

    Of each definition, outcome and comparison one row stands: the main specification (`PREFERRED`, then the order
    of the results). Estimates and both interval ends are in the unit of the published figure; where that takes the
    baseline (a rate read in log points), the note says so. Lists drawn up after the outcomes take no part.

    Args:
        results: from `analysis.evidence.results.results_frame`.
        claims: by default those of ``data/claims.toml``.

    Returns:
        Columns ``COLUMNS``. ``claim`` is ``first_stage`` or the claim's name; ``precision`` is read with the claim's
        own bound, ``precision_five_percent`` with the common one; rows that are published have empty verdicts.
    """
    known = claims or load_claims()
    rows = list(_first_stage_rows(results))
    for claim in known.claims:
        for fact in claim.facts:
            rows.append(_published(claim, fact))
            rows += _ours(results, claim, fact, known)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def movement(results: pd.DataFrame, measures: Sequence[str] | None = None) -> pd.DataFrame:
    """Return how the answer moves: one row an outcome, definition, rate build, California and comparison.

    Args:
        results: from `analysis.evidence.results.results_frame`.
        measures: outcome measures; by default every offence measure among the results.

    Returns:
        measure, measure_label, definition, label, build, california, comparison, moved (what differs from the main
        row: "" for itself, one or more of ``DIMENSIONS`` joined by ", "), estimate, conf_low, conf_high, unit, percent,
        percent_low, percent_high (of the baseline), n_treated, n_comparison, n_states, precision, window, estimator, spec.
        Shares are descriptive.
    """
    usable = _answers(results)
    offences = load_codebook().measures
    kinds = [m for m in dict.fromkeys(usable["measure"]) if m in offences and offences[m].kind == "offences"]
    names = list(DIMENSIONS)
    parts = []
    for measure in measures or kinds:
        rows = _ranked(usable[usable["measure"] == measure]).drop_duplicates(names)
        if rows.empty:
            continue
        panel = rows[rows["comparison"] == "between"]
        main = (panel if len(panel) else rows).iloc[0]
        moved = [", ".join(DIMENSIONS[n] for n in names if row[n] != main[n]) for _, row in rows.iterrows()]
        order = pd.Series(_definition_order(rows["definition"]), index=rows.index)
        rows = rows.assign(moved=moved, _n=[m.count(",") + bool(m) for m in moved], _d=order)
        parts.append(rows.sort_values(["_n", "moved", "_d"], kind="stable"))
    if not parts:
        return pd.DataFrame(columns=list(MOVEMENT))
    table = pd.concat(parts, ignore_index=True)
    table["label"] = [definition_label(d) for d in table["definition"]]
    table["measure_label"] = [measure_label(m) for m in table["measure"]]
    table = table.rename(columns={"percent_of_baseline": "percent"})
    return table[list(MOVEMENT)]


MOVEMENT = (
    "measure", "measure_label", "definition", "label", "build", "california", "comparison", "moved", "estimate",
    "conf_low", "conf_high", "unit", "percent", "percent_low", "percent_high", "n_treated", "n_comparison", "n_states",
    "precision", "window", "estimator", "spec",
)  # fmt: skip


def definition_label(name: str) -> str:
    """Return a treatment definition in words; a user's csv keeps its name.

    Example:
        >>> definition_label("policy_full")
        'Documented full decline'
    """
    return name if is_csv(name) else definition_of(name).label


def measure_label(name: str) -> str:
    """Return a measure in words."""
    measures = load_codebook().measures
    return measures[name].label if name in measures else name.replace("_", " ")


def comparability(row: Mapping[str, Any], claim: Claim, fact: Fact) -> Comparability:
    """Return what an estimate of this study shares with a published one (rule 20).

    Args:
        row: of results.
        claim: published claim.
        fact: its figure.

    Returns:
        The list of places is never the same for a definition of this study; for a user's csv it is not known. A
        method of the same family whose settings were not read is not known to be the same, nor is the unit of a null
        that was published without a number.
    """
    unit = UNIT_OF_SCALE.get(str(row["scale"]), "")
    first, last = claim.outcome_years
    family = METHOD_FAMILY.get(str(row["estimator"])) == claim.method_family
    return Comparability(
        policy_list=None if is_csv(str(row["definition"])) else False,
        area=claim.unit_of_analysis == "county",
        unit=None if fact.size is None else unit == fact.unit or (unit in RATES and fact.unit in RATES),
        outcome=row["measure"] in fact.measures,
        years=str(row["window"]) == window_of_years(first, last),
        method=None if family and not claim.method_seen else family,
    )


def exclusion(rows: pd.DataFrame) -> str:
    """Return what intervals exclude, in the words of rule 24, with the assumption they rest on.

    Args:
        rows: of `headline`, of one definition and comparison, each with an interval; columns measure_label, conf_low,
            conf_high, percent_low, percent_high, unit, level, comparison.

    Example:
        >>> exclusion(pd.DataFrame({"measure_label": ["property crime"], "conf_low": -12.0, "conf_high": 7.5,
        ...     "percent_low": -4.0, "percent_high": 2.5, "unit": "per 100,000", "level": 0.95, "comparison": "within"}))
        ... # doctest: +ELLIPSIS
        'at 95 % the data exclude changes in reported property crime below −12.0 or above +7.5 per 100,000 ...'
    """
    first = rows.iloc[0]
    parts = []
    for at, row in enumerate(rows.to_dict("records")):
        low, high = row["conf_low"], row["conf_high"]
        places = _digits(low, high)
        unit = f" {row['unit']}" if at == 0 else ""
        ends = f"below {_number(low, places, True)} or above {_number(high, places, True)}{unit}"
        percents = (row["percent_low"], row["percent_high"])
        if np.isfinite(percents).all():
            ends += f" ({_number(percents[0], 1, True)} and {_number(percents[1], 1, True)} % of the mean)"
        parts.append(f"{'changes ' if at == 0 else ''}in reported {row['measure_label']} {ends}")
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    assumption = ASSUMPTIONS.get(str(first["comparison"]), "the design holds")
    return f"at {100 * first['level']:g} % the data exclude {listed}, if {assumption}"


def headline_text(frame: pd.DataFrame, moves: pd.DataFrame | None = None, *, short: bool = False) -> str:
    """Return the answer: the first stage, one aligned table of the claims, and what it means in words.

    Args:
        frame: from `headline`.
        moves: from `movement`; with it a table of how the answer moves follows.
        short: leave out rows that are not informative (they are counted), shares of declines, and what each interval
            excludes.
    """
    if short:
        counts = frame["measure"].ne("decline_share") | frame["claim"].ne(FIRST_STAGE)
        frame = frame[counts]
    blocks = []
    if frame["simulated"].eq(True).any():
        blocks.append("SIMULATED DATA: effects were built in; nothing below says anything about any place.")
    blocks.append(_first_stage_words(frame[frame["claim"] == FIRST_STAGE]))
    claims = frame[frame["claim"] != FIRST_STAGE]
    blocks.append(_claims_table(claims, short))
    blocks += [_claim_words(rows, short) for _, rows in claims.groupby("claim", sort=False)]
    if moves is not None and len(moves):
        blocks.append(_movement_table(moves))
    return "\n\n".join(block for block in blocks if block) + "\n"


# ---------------------------------------------------------------------------------------------------------------
# Rows
# ---------------------------------------------------------------------------------------------------------------


def _answers(results: pd.DataFrame) -> pd.DataFrame:
    """Rows with one effect and a number, no placebo, under definitions that are no list of after the outcomes."""
    usable = (
        results["estimand"].isin(ONE_EFFECT) & results["estimate"].notna() & results["status_year"].isna()
    )
    rows = results[usable]
    descriptive = [not is_csv(d) and is_descriptive(d) for d in rows["definition"]]
    return rows[~np.array(descriptive, dtype=bool)]


def _ranked(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with preferred ones first; ties keep the order of the results."""
    ranks = {"_states": [len(set(str(s).split()) - {"CA"}) for s in rows["drop_states"]]}
    for name, wanted in PREFERRED:
        options = wanted if isinstance(wanted, tuple) else (wanted,)
        ranks[f"_{name}"] = [0 if value in options else 1 for value in rows[name]]
    order = pd.DataFrame(ranks, index=rows.index)
    return rows.loc[order.sort_values(list(order.columns), kind="stable").index]


def _definition_order(names: Iterable[str]) -> list[int]:
    known = list(DEFINITIONS)
    return [known.index(name) if name in known else len(known) for name in names]


def _ours(results: pd.DataFrame, claim: Claim, fact: Fact, claims: Claims) -> list[dict[str, Any]]:
    usable = _answers(results)
    usable = usable[usable["scale"].isin(list(UNIT_OF_SCALE))]
    made = []
    for measure in (*fact.measures, *fact.near_measures):
        rows = usable[(usable["measure"] == measure) & usable["comparison"].isin(claim.answered_by)]
        if rows.empty:
            continue
        native = [0 if UNIT_OF_SCALE[s] == fact.unit else 1 for s in rows["scale"]]
        rows = _ranked(rows.assign(_native=native))
        main = (rows["build"] == "policed") & (rows["california"] == "in") & (rows["drop_states"] == "")
        # A native unit goes before a converted one among main rows alone: a variation is no better for its unit.
        rows = rows.assign(_main=~main).sort_values(["_main", "_native"], kind="stable")
        rows = rows.drop_duplicates(["definition", "comparison"])
        rows = rows.assign(
            _d=_definition_order(rows["definition"]),
            _c=[claim.answered_by.index(c) for c in rows["comparison"]],
        ).sort_values(["_d", "_c"], kind="stable")
        made += [_ours_row(row, claim, fact, claims) for row in rows.to_dict("records")]
    return made


def _ours_row(row: dict[str, Any], claim: Claim, fact: Fact, claims: Claims) -> dict[str, Any]:
    scale, base = str(row["scale"]), float(row["baseline"])
    value, low, high = (
        in_unit(float(row[n]), scale, base, fact.unit) for n in ("estimate", "conf_low", "conf_high")
    )
    baseline = _baseline_in(base, scale, fact.unit)
    bound = claim.bound.value(fact.unit, baseline, fact.size)
    label = definition_label(str(row["definition"]))
    enough = informative(int(row["n_treated"]), int(row["n_states"]))
    carries = bool(row["carries_verdict"])
    found = verdict(
        low, high, bound, size=fact.size, n_treated=int(row["n_treated"]), n_states=int(row["n_states"]),
        carries=carries, definition=label,
    )  # fmt: skip
    known = enough and carries and not (np.isnan(low) and np.isnan(high))
    common = precision(low, high, claims.common_bound.value(fact.unit, baseline)) if known else ""
    notes = [fact.near_note] if row["measure"] not in fact.measures else []
    if (UNIT_OF_SCALE[scale] == LOG_POINTS) != (fact.unit == LOG_POINTS):
        notes.append("converted at the baseline mean")
    differs = [
        words
        for words, same in (
            (BUILD_WORDS.get(str(row["build"]), str(row["build"])), row["build"] == "policed"),
            (CALIFORNIA_WORDS[str(row["california"])], row["california"] == "in"),
            (f"without {row['drop_states']}", str(row["drop_states"]) in ("", "CA")),
        )
        if not same
    ]
    return {
        "claim": claim.name,
        "published": False,
        "label": label,
        "definition": row["definition"],
        "measure": row["measure"],
        "measure_label": measure_label(str(row["measure"])),
        "comparison": row["comparison"],
        "estimator": row["estimator"],
        "window": row["window"],
        "build": row["build"],
        "california": row["california"],
        "estimate": value,
        "conf_low": low,
        "conf_high": high,
        "unit": WORDS[fact.unit],
        "baseline": baseline,
        "percent": row["percent_of_baseline"],
        "percent_low": row["percent_low"],
        "percent_high": row["percent_high"],
        "n_treated": row["n_treated"],
        "n_comparison": row["n_comparison"],
        "n_states": row["n_states"],
        "states_identifying": ", ".join(str(row["states_identifying"]).split()),
        "bound": bound,
        "bound_words": claim.bound.words,
        "precision": found.precision,
        "precision_five_percent": common,
        "agreement": found.agreement,
        "verdict": found.word,
        "sentence": found.sentence,
        "comparability": comparability(row, claim, fact).words,
        "note": "; ".join([*notes, *differs]),
        "declined_per_10k": row["declined_per_10k"],
        "offences_per_declined": row["offences_per_declined"],
        "offences_per_caused": row["offences_per_caused"],
        "pretrend_p": row["pretrend_p"],
        "level": row["level"],
        "simulated": bool(row["simulated"]),
        "status": row["status"],
        "spec": row["spec"],
        "fact": fact.id,
    }


def _baseline_in(baseline: float, scale: str, unit: str) -> float:
    """Return the baseline as a level: in the unit if that is a rate, else as the rate it was measured in."""
    own = UNIT_OF_SCALE[scale]
    level = level_of(baseline, own)
    if unit not in RATES:
        return level
    return level * RATES[unit] / RATES.get(own, RATES["per_100k"])


def _published(claim: Claim, fact: Fact) -> dict[str, Any]:
    low, high = fact.interval()
    measure = (*fact.measures, *fact.near_measures)[0]
    nothing = float("nan")
    return dict.fromkeys(COLUMNS, "") | {
        "claim": claim.name,
        "published": True,
        "label": f"{claim.study} {claim.year}",
        "measure": measure,
        "measure_label": measure_label(measure),
        "window": window_of_years(*claim.outcome_years),
        "estimate": nothing if fact.size is None else fact.size,
        "conf_low": low,
        "conf_high": high,
        "unit": WORDS[fact.unit],
        "baseline": nothing,
        "percent": nothing,
        "percent_low": nothing,
        "percent_high": nothing,
        "n_treated": claim.n_treated,
        "n_comparison": claim.n_comparison if claim.n_comparison is not None else pd.NA,
        "n_states": pd.NA,
        "bound": nothing if fact.size is None else abs(fact.size),
        "bound_words": claim.bound.words,
        "comparability": "",
        "note": claim.statement,
        "declined_per_10k": nothing,
        "offences_per_declined": nothing,
        "offences_per_caused": nothing,
        "pretrend_p": nothing,
        "level": 0.95,
        "simulated": False,
        "fact": fact.id,
    }


def _first_stage_rows(results: pd.DataFrame) -> Iterable[dict[str, Any]]:
    rows = first_stage(results)
    rows = rows[rows["california"].eq("in") & ~rows["estimate"].isna()]
    for row in rows.to_dict("records"):
        source = results[results["spec"].eq(row["spec"]) & results["estimand"].isin(ONE_EFFECT)].iloc[0]
        baseline = float(source["baseline"])
        yield dict.fromkeys(COLUMNS, "") | {
            "claim": FIRST_STAGE,
            "published": False,
            "label": definition_label(str(row["definition"])),
            "measure_label": measure_label(str(row["measure"])),
            "estimator": source["estimator"],
            "build": source["build"],
            "baseline": baseline,
            "percent": source["percent_of_baseline"],
            "percent_low": source["percent_low"],
            "percent_high": source["percent_high"],
            "states_identifying": ", ".join(str(row["states_identifying"]).split()),
            "bound": float("nan"),
            "verdict": row["precision"],
            "note": "the adoption year counts as treated" if row["onset"] == "adoption_year" else "",
            "declined_per_10k": source["declined_per_10k"],
            "offences_per_declined": float("nan"),
            "offences_per_caused": float("nan"),
            "pretrend_p": source["pretrend_p"],
            "level": source["level"],
            "simulated": bool(source["simulated"]),
            "status": source["status"],
            **{
                name: row[name]
                for name in (
                    "definition",
                    "measure",
                    "comparison",
                    "window",
                    "california",
                    "estimate",
                    "conf_low",
                    "conf_high",
                    "unit",
                    "n_treated",
                    "n_comparison",
                    "n_states",
                    "precision",
                    "spec",
                )
            },
        }


# ---------------------------------------------------------------------------------------------------------------
# Words
# ---------------------------------------------------------------------------------------------------------------


def _first_stage_words(rows: pd.DataFrame) -> str:
    if rows.empty:
        return "First stage: no estimate of declined detainers among the results."
    lines = []
    for r in rows.to_dict("records"):
        share = r["measure"] == "decline_share"
        scale = 100.0 if share else 1.0
        value, low, high = (scale * float(r[n]) for n in ("estimate", "conf_low", "conf_high"))
        places = _digits(value, low, high)
        unit = "percentage points of resolved detainers" if share else str(r["unit"])
        lines.append(
            (
                f"{r['label']}, {COMPARISON_WORDS.get(str(r['comparison']), r['comparison'])}",
                f"{_number(value, places, True)} ({_number(low, places)} to {_number(high, places)})",
                unit,
                _areas(r),
                str(r["precision"]) or "no verdict",
            )
        )
    years = " and ".join(dict.fromkeys(str(w) for w in rows["window"]))
    note = next((f"; {n}" for n in rows["note"] if n), "")
    return f"First stage: what adoption did to declined detainers ({years}{note})\n" + _aligned(
        lines, right=(1,)
    )


def _claims_table(rows: pd.DataFrame, short: bool = False) -> str:
    head = (
        "",
        "estimate",
        "interval",
        "areas, states",
        "per declined",
        "leads p",
        "precision; beside the claim",
    )
    lines: list[Sequence[str]] = [head]
    blank = [""] * (len(head) - 1)
    for _, part in rows.groupby("claim", sort=False):
        finite = part[["estimate", "conf_low", "conf_high"]].to_numpy(dtype=float)
        places = _digits(*finite[np.isfinite(finite)].ravel())
        published = part[part["published"].eq(True)]
        one = published.iloc[0]
        lines.append((f"{one['label']}, {one['unit']}", *blank))
        for fact in published.to_dict("records"):
            size = _number(fact["estimate"], places, True) if np.isfinite(fact["estimate"]) else "no size"
            ends = _interval(fact, places) if np.isfinite(fact["conf_low"]) else "not published"
            areas = f"{int(fact['n_treated'])}"
            lines.append((f"  {fact['measure_label']}: published", size, ends, areas, *blank[3:]))
            ours = part[part["fact"].eq(fact["fact"]) & part["published"].eq(False)]
            for measure, same in ours.groupby("measure", sort=False):
                shown = same[same["precision"].ne(NOT_INFORMATIVE)] if short else same
                if measure != fact["measure"] and len(shown):
                    difference = str(same["note"].iloc[0]).split("; ")[0]
                    lines.append((f"  {same['measure_label'].iloc[0]} ({difference})", *blank))
                lines += [_claims_line(row, places) for row in shown.to_dict("records")]
                if len(shown) < len(same):
                    lines.append((f"    {len(same) - len(shown)} more, not informative", *blank))
    title = (
        "Three published claims and what is found here, both ends of every interval in the unit of the claim\n"
        "per declined: offences the estimate implies for each detainer declined in the treated areas in 2014\n"
        "leads p: joint test of the years before adoption; a small one is a warning about the comparison"
    )
    return f"{title}\n" + _aligned(lines, right=(1, 4, 5))


def _claims_line(row: Mapping[str, Any], places: int) -> Sequence[str]:
    words = str(row["verdict"])
    if row["precision"] and row["precision"] != words:
        words = f"{row['precision']}; {words}"
    per = float(row["offences_per_declined"])
    return (
        f"    {row['label']}; {row['comparison']} {row['window']}",
        _number(row["estimate"], places, True),
        _interval(row, places),
        f"{int(row['n_treated'])}, {int(row['n_states'])}",
        _number(per, 1, True) if np.isfinite(per) else "",
        _p_value(row["pretrend_p"]),
        words,
    )


def _claim_words(rows: pd.DataFrame, short: bool = False) -> str:
    published, ours = rows[rows["published"].eq(True)], rows[rows["published"].eq(False)]
    label, bound = published["label"].iloc[0], published["bound_words"].iloc[0]
    if ours.empty:
        return f"{label} ({published['note'].iloc[0]}): no estimate here answers it."
    counted = ours["verdict"].value_counts()
    counts = []
    for word in ("consistent", "not consistent", "inconclusive", NOT_INFORMATIVE, NO_VERDICT):
        if word in counted:
            how = ours.loc[ours["verdict"] == word, "agreement"].value_counts(sort=False)
            detail = ", ".join(f"{n} {words}" for words, n in how.items() if words)
            counts.append(f"{counted[word]} {word}" + (f" ({detail})" if detail else ""))
    text = [
        f"{label} ({published['note'].iloc[0]}): {len(ours)} reanalyses, each under one definition of this study: {'; '.join(counts)}. "
        f"Equivalent to zero means inside ± {bound}."
    ]
    text.append(f"Beside the published study: {_shared(ours)}.")
    judged = ours[ours["verdict"].isin(["consistent", "not consistent", "inconclusive"])]
    judged = judged[np.isfinite(judged[["conf_low", "conf_high"]].to_numpy(dtype=float)).all(axis=1)]
    if len(judged) and not short:
        fullest = judged["definition"].value_counts(sort=False).idxmax()
        for _, part in judged[judged["definition"] == fullest].groupby("comparison", sort=False):
            row = part.iloc[0]
            where = f"{row['label']}, {COMPARISON_WORDS[row['comparison']]}, {row['window']}"
            text.append(f"{where}: {exclusion(part)}.{_leads_words(part)}")
    return "\n".join(_wrap(line) for line in text)


def _leads_words(rows: pd.DataFrame) -> str:
    """Return that the years before adoption speak against the comparison, where their joint test rejects at 5 %."""
    against = rows[rows["pretrend_p"].astype(float) < REJECTED]
    if against.empty:
        return ""
    labels = zip(against["measure_label"], against["pretrend_p"], strict=True)
    named = ", ".join(f"{label} {_p_value(p)}" for label, p in labels)
    return f" The joint test of the years before adoption rejects (p): {named}."


def _p_value(value: Any) -> str:
    if np.isnan(float(value)):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _shared(rows: pd.DataFrame) -> str:
    """What rows share with a published study, aspect by aspect; where they differ, the comparison or outcome is named."""
    split = [dict(part.split(": ") for part in words.split("; ")) for words in rows["comparability"]]
    parts = []
    for aspect in split[0]:
        status = pd.Series([one[aspect] for one in split], index=rows.index)
        if status.eq(status.iloc[0]).all():
            parts.append(f"{aspect} {status.iloc[0]}")
            continue
        for by in ("comparison", "measure_label"):
            if status.groupby(rows[by]).nunique().max() == 1:
                named = rows[by].replace(COMPARISON_WORDS)
                listed = [
                    f"{word} ({', '.join(dict.fromkeys(named[status == word]))})" for word in status.unique()
                ]
                break
        else:
            listed = [f"{word} ({n} of {len(rows)})" for word, n in status.value_counts(sort=False).items()]
        parts.append(f"{aspect} {', '.join(listed)}")
    return "; ".join(parts)


def _movement_table(moves: pd.DataFrame) -> str:
    single = moves[~moves["moved"].str.contains(",")]
    measures = list(dict.fromkeys(single["measure"]))
    labels = {m: single.loc[single["measure"] == m, "measure_label"].iloc[0] for m in measures}
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for r in single.to_dict("records"):
        moved = r["moved"]
        level = {
            "": "main: " + ", ".join(
                [str(r["label"]), BUILD_WORDS.get(str(r["build"]), ""), CALIFORNIA_WORDS.get(str(r["california"]), ""),
                 COMPARISON_WORDS.get(str(r["comparison"]), "")]
            ),
            "definition": str(r["label"]),
            "rate build": BUILD_WORDS.get(str(r["build"]), str(r["build"])),
            "California": CALIFORNIA_WORDS.get(str(r["california"]), str(r["california"])),
            "comparison": COMPARISON_WORDS.get(str(r["comparison"]), str(r["comparison"])),
        }[moved]  # fmt: skip
        text = f"{_number(r['percent'], 1, True)} ({_number(r['percent_low'], 1)} to {_number(r['percent_high'], 1)})"
        cells.setdefault((moved, level), {})[r["measure"]] = text
    order = ["", *DIMENSIONS.values()]
    keys = sorted(cells, key=lambda key: order.index(key[0]))
    blocks = []
    # Three outcomes a block keep a line within the width of a terminal.
    for start in range(0, len(measures), 3):
        shown = measures[start : start + 3]
        lines: list[Sequence[str]] = [("", *(labels[m] for m in shown))]
        lines += [
            (f"{key[0]}: {key[1]}" if key[0] else "main", *(cells[key].get(m, "") for m in shown))
            for key in keys
            if any(m in cells[key] for m in shown)
        ]
        blocks.append(_aligned(lines, right=tuple(range(1, len(shown) + 1))))
    main = next((level for moved, level in keys if not moved), "")
    title = f"How the answer moves, in per cent of the mean before adoption, one change at a time\n{main}"
    return f"{title}\n" + "\n\n".join(blocks)


def _areas(row: Mapping[str, Any]) -> str:
    return f"{int(row['n_treated'])} areas, {int(row['n_states'])} states"


def _interval(row: Mapping[str, Any], places: int) -> str:
    return f"{_number(row['conf_low'], places)} to {_number(row['conf_high'], places)}"


def _digits(*values: Any) -> int:
    """Decimals that show two or three digits of the largest number."""
    sizes = [abs(float(v)) for v in values if np.isfinite(float(v)) and float(v) != 0]
    largest = max(sizes, default=1.0)
    return 0 if largest >= 1000 else 1 if largest >= 10 else 2 if largest >= 1 else 3


def _number(value: Any, places: int = 1, sign: bool = False) -> str:
    """A number for people, with a true minus; an interval without an end says so."""
    if np.isnan(float(value)):
        return "no end"
    if np.isinf(float(value)):
        return f"{MINUS if value < 0 else ''}∞"
    rounded = round(float(value), places) + 0.0
    text = f"{abs(rounded):,.{places}f}"
    return f"{MINUS}{text}" if rounded < 0 else f"+{text}" if sign and rounded > 0 else text


def _aligned(lines: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Columns two blanks apart; a line with one filled cell stands across and widens none."""
    widths = [0] * max(len(line) for line in lines)
    for line in lines:
        if any(line[1:]):
            widths = [max(w, len(cell)) for w, cell in zip(widths, line, strict=True)]
    out = []
    for line in lines:
        cells = [
            cell.rjust(w) if at in right else cell.ljust(w)
            for at, (w, cell) in enumerate(zip(widths, line, strict=True))
        ]
        out.append(("  ".join(cells) if any(line[1:]) else line[0]).rstrip())
    return "\n".join(out)


def _wrap(text: str, width: int = 110) -> str:
    import textwrap

    return textwrap.fill(text, width, subsequent_indent="  ")
