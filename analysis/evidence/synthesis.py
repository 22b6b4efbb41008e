"""Published and own estimates on one scale, and a summary of them only where designs answer the same question.

The scale is per cent of the mean. What was published without a number or without an error stays without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, stats

from analysis.evidence.ledger import NOT_ESTIMATED, PERCENT
from analysis.evidence.matches import variant_of
from analysis.evidence.published import Published, to_unit
from analysis.evidence.units import LOG_POINTS, RATES
from analysis.evidence.verdict import NO_VERDICT

Array = npt.NDArray[np.float64]

OUTCOMES: Mapping[str, tuple[str, ...]] = {
    "total": ("total", "total_with_arson"),
    "violent": ("violent", "violent_ex_rape"),
    "property": ("property",),
    "rape": ("rape", "rape_legacy", "rape_revised"),
    "homicide": ("murder",),
}
"""Outcomes of the synthesis, and the measures of the codebook that mean them."""

LIMITS, PROGRAMME = "limits on cooperation", "federal programme switched on"
# Studies of a federal programme that adds to enforcement: the opposite of a limit, and never averaged with one.
MIRRORS = frozenset({"milescox2014", "treyger2014", "kangsong2021", "gjw2024"})

PUBLISHED, OURS_BESIDE, OURS = "published", "here, beside it", "here"
FEWEST = 3

EXACT = "log points, exactly"
IN_PERCENT = "published in per cent"
THEIR_MEAN = "over the published mean of the control group"
OUR_MEAN = "over this study's mean, in place of theirs"
OWN_MEAN = "over its own mean"
NO_NUMBER = "no number published"
NO_MEAN = "no mean to put it over"

FOREST: dict[str, str] = {
    "outcome": "total, violent, property, rape, homicide",
    "policy": "limits on cooperation, or a federal programme switched on",
    "source": "published; here, beside it; here",
    "study": "short name of the published study; empty for this study's headline designs",
    "label": "study, or design of this study",
    "figure": "identifier of the registered figure; empty for headline designs",
    "family": "family of methods, or what treated areas are compared with",
    "design": "variation of the headline spec; empty elsewhere",
    "measure": "measure of the codebook; of a published figure the one it is read as",
    "percent": "change in per cent of the mean; missing where no number was published",
    "percent_low": "lower end of the interval; missing where no error was published",
    "percent_high": "upper end",
    "percent_error": "standard error in per cent, where an error was published",
    "scaled": "how it came onto the scale",
    "words": "what stands instead of a number or an interval",
    "data": "data it rests on: two figures with one value are not independent",
    "n_treated": "treated areas, of this study's estimates",
    "n_states": "states that identify it, likewise",
    "verdict": "of this study's estimates: verdict beside the figure, or what the interval says by itself",
    "confidence": "how sure the reading of a published figure is",
    "pass_mark": "False for figures from memory or inferred",
    "headline": "whether the study is known for it",
    "reading": "what it would mean if reporting moved, and if crime did",
    "simulated": "True where the panel is the simulated one",
}  # fmt: skip

SUMMARIES: dict[str, str] = {
    "outcome": "as in the forest",
    "policy": "likewise",
    "family": "likewise",
    "n_published": "published figures",
    "n_with_error": "of them, with a number and an error",
    "n_data": "different data sets among those with an error: what a summary needs three of",
    "n_here": "estimates of this study, never pooled: they are overlapping analyses of one panel",
    "pooled": "whether a summary was made",
    "mean": "random-effects mean in per cent",
    "mean_low": "lower end, Hartung and Knapp",
    "mean_high": "upper end",
    "predicted_low": "lower end of the interval of the effect in a new study",
    "predicted_high": "upper end",
    "between": "standard deviation between studies in per cent",
    "i2": "share of the spread that is not sampling error, 0 to 1",
    "q": "Cochran's Q",
    "k": "effects pooled",
    "figures": "their identifiers",
    "reason": "why nothing was pooled; empty where it was",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """A random-effects summary of independent effects.

    Args:
        k: effects.
        mean: random-effects mean.
        std_error: its usual standard error, one over the root of the summed weights.
        std_error_hk: that of Hartung and Knapp, from the weighted spread of the effects.
        low: lower end of its interval: Hartung and Knapp, t with k - 1 degrees of freedom.
        high: upper end.
        predicted_low: lower end of the interval of a new study's effect; missing below three effects.
        predicted_high: upper end.
        tau2: variance between studies.
        i2: share of the spread of effects that is not sampling error, 0 to 1.
        q: Cochran's Q.
    """

    k: int
    mean: float
    std_error: float
    std_error_hk: float
    low: float
    high: float
    predicted_low: float
    predicted_high: float
    tau2: float
    i2: float
    q: float


def pool(effects: npt.ArrayLike, errors: npt.ArrayLike, *, level: float = 0.95) -> Summary:
    """Return the random-effects mean of independent effects, with the interval a new study's effect would fall in.

    The variance between studies is Paule and Mandel's: the one under which the weighted squared deviations sum to their
    expectation, zero where even no variance leaves them below it. The mean's interval is Hartung and Knapp's; the
    prediction interval takes t with k - 2 degrees of freedom and the mean's usual standard error.

    Args:
        effects: (k,), at least two, finite.
        errors: (k,) standard errors, positive.
        level: of both intervals.

    Raises:
        ValueError: fewer than two effects, lengths that differ, an effect that is not finite, an error not positive.

    Assumption: effects are independent draws about one mean; errors are known. Where effects spread about as much as their
    errors the prediction interval is too short: with ten studies it held 88 % of new ones in a simulation.

    Source: Paule and Mandel (1982), Journal of Research of the National Bureau of Standards 87(5); Hartung and Knapp
    (2001), Statistics in Medicine 20(24); Higgins, Thompson and Spiegelhalter (2009), Journal of the Royal Statistical
    Society A 172(1).

    Example:
        >>> found = pool([1.0, 2.0, 3.0], [0.1, 0.1, 0.1])
        >>> round(found.mean, 6), round(found.tau2, 6), round(found.std_error_hk, 6)
        (2.0, 0.99, 0.57735)
    """
    effect, error = np.asarray(effects, dtype=float), np.asarray(errors, dtype=float)
    if effect.ndim != 1 or effect.shape != error.shape or len(effect) < 2:
        raise ValueError(
            f"effects of shape {effect.shape}, errors of shape {error.shape}; (k,) both, k at least 2"
        )
    if not (np.isfinite(effect).all() and (error > 0).all() and np.isfinite(error).all()):
        raise ValueError("an effect or error that is not finite, or an error that is not positive")
    k, variance = len(effect), error**2
    fixed = 1 / variance
    q = float(fixed @ (effect - fixed @ effect / fixed.sum()) ** 2)
    tau2 = paule_mandel(effect, variance)
    weight = 1 / (variance + tau2)
    mean = float(weight @ effect / weight.sum())
    usual = float(weight.sum() ** -0.5)
    spread = float(weight @ (effect - mean) ** 2 / ((k - 1) * weight.sum()))
    half = float(stats.t.ppf((1 + level) / 2, k - 1)) * spread**0.5
    ahead = float(stats.t.ppf((1 + level) / 2, k - 2)) * (tau2 + usual**2) ** 0.5 if k > 2 else float("nan")
    return Summary(
        k, mean, usual, spread**0.5, mean - half, mean + half, mean - ahead, mean + ahead, tau2,
        max(0.0, 1 - (k - 1) / q) if q > 0 else 0.0, q,
    )  # fmt: skip


def paule_mandel(effects: Array, variances: Array) -> float:
    """Return Paule and Mandel's variance between studies.

    Args:
        effects: (k,).
        variances: (k,) of sampling, positive.

    Example:
        >>> paule_mandel(np.array([1.0, 1.1, 0.9]), np.array([1.0, 1.0, 1.0]))
        0.0
    """

    def excess(tau2: float) -> float:
        weight = 1 / (variances + tau2)
        mean = weight @ effects / weight.sum()
        return float(weight @ (effects - mean) ** 2) - (len(effects) - 1)

    if excess(0.0) <= 0:
        return 0.0
    # With a variance of all squared deviations the sum cannot exceed k - 1.
    top = float(((effects - effects.mean()) ** 2).sum())
    return float(optimize.brentq(excess, 0.0, top, xtol=1e-14 * max(top, 1e-300), rtol=1e-14, maxiter=500))


# ----------------------------------------------------------------------------------------------------
# The forest
# ----------------------------------------------------------------------------------------------------


def forest(
    ledger: pd.DataFrame,
    specifications: pd.DataFrame,
    published: Published,
    headline_results: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return published and own estimates of reported crime in per cent of the mean, by outcome and family.

    Log points become per cent exactly. A published rate is put over the published mean of its control group where one is
    registered (identifier and ``.control_mean``), else over the mean of the main specification beside it, which is said.

    Args:
        ledger: from `analysis.evidence.ledger.ledger`.
        specifications: from `analysis.evidence.ledger.ledger_specifications`; the main ones stand in the forest.
        published: the registry.
        headline_results: this study's own designs: spec, measure, comparison, percent, percent_low, percent_high, n_treated,
            n_states, precision (the frame of `analysis.evidence.checks.nulls`); none where not handed in.

    Returns:
        Columns ``FOREST``: every registered figure that is asked for with one of the ``OUTCOMES``, this study's main estimate
        below it, then this study's headline designs; by outcome. Missing uncertainties stay missing.
    """
    mains = specifications.drop_duplicates(["figure", "spec"]).set_index(["figure", "spec"])
    rows: list[dict[str, Any]] = []
    for entry in ledger[ledger["main"].ne("")].to_dict("records"):
        place = (entry["figure"], entry["main"])
        main = mains.loc[place] if place in mains.index else None
        measure = str(entry["asked"])
        outcome = _outcome(measure)
        if not outcome:
            continue
        common = {
            "outcome": outcome,
            "policy": PROGRAMME if entry["study"] in MIRRORS else LIMITS,
            "study": entry["study"],
            "figure": entry["figure"],
            "measure": measure,
            "headline": bool(entry["headline"]),
        }
        rows.append(common | _published_row(entry, published, main))
        if main is not None and main["verdict"] != NOT_ESTIMATED:
            rows.append(common | _beside_row(entry, main))
    rows += _headline_rows(headline_results)
    table = pd.DataFrame([dict.fromkeys(FOREST, "") | row for row in rows], columns=list(FOREST))
    order = {name: at for at, name in enumerate(OUTCOMES)}
    table = table.sort_values("outcome", key=lambda names: names.map(order), kind="stable").reset_index(
        drop=True
    )
    for name in ("percent", "percent_low", "percent_high", "percent_error", "n_treated", "n_states"):
        table[name] = pd.to_numeric(table[name].replace("", np.nan)).astype(float)
    for name in ("pass_mark", "headline", "simulated"):
        table[name] = table[name].eq(True)
    return table


def _outcome(measure: str) -> str:
    return next((name for name, measures in OUTCOMES.items() if measure in measures), "")


def _published_row(entry: Mapping[Any, Any], published: Published, main: pd.Series | None) -> dict[str, Any]:
    value, low, high, error, scaled = _on_scale(entry, published, main)
    if np.isnan(value):
        words = str(entry["published_words"]) or scaled
    else:
        words = "" if np.isfinite(error) or np.isfinite(low) else "no error published"
    return {
        "source": PUBLISHED,
        "label": entry["label"],
        "family": entry["method"],
        "percent": value,
        "percent_low": low,
        "percent_high": high,
        "percent_error": error,
        "scaled": scaled,
        "words": words,
        "data": entry["study"],
        "confidence": entry["confidence"],
        "pass_mark": bool(entry["pass_mark"]),
        "reading": entry["reading"],
    }


def _on_scale(
    entry: Mapping[Any, Any], published: Published, main: pd.Series | None
) -> tuple[float, float, float, float, str]:
    """Return a published figure, both ends and error in per cent, and how it came there."""
    nothing = float("nan")
    figure = published.figure(entry["figure"])
    if figure.estimate is None:
        return nothing, nothing, nothing, nothing, NO_NUMBER
    code, mean, scaled = figure.unit_code, nothing, IN_PERCENT
    if code == LOG_POINTS:
        scaled = EXACT
    elif code in RATES:
        named = [one for one in published.figures if one.id == f"{figure.id}.control_mean" and one.estimate]
        if named and named[0].unit_code in RATES:
            mean, scaled = to_unit(named[0], code).estimate, THEIR_MEAN
        elif main is not None and main["unit"] in RATES:
            mean, scaled = float(main["baseline"]) * RATES[code] / RATES[str(main["unit"])], OUR_MEAN
        if not mean > 0:
            return nothing, nothing, nothing, nothing, NO_MEAN
    elif code not in (PERCENT, "proportion"):
        return nothing, nothing, nothing, nothing, NO_MEAN
    there = to_unit(figure, PERCENT, mean)
    return there.estimate, there.low, there.high, there.se, scaled


def _beside_row(entry: Mapping[Any, Any], main: pd.Series) -> dict[str, Any]:
    return {
        "source": OURS_BESIDE,
        "label": f"Beside {entry['label']}",
        "family": main["comparison"],
        "percent": main["percent"],
        "percent_low": main["percent_low"],
        "percent_high": main["percent_high"],
        "scaled": EXACT if main["unit"] == LOG_POINTS and not main["converted"] else OWN_MEAN,
        "words": "",
        "data": "this study",
        "n_treated": main["n_treated"],
        "n_states": main["n_states"],
        "verdict": main["verdict"],
        "simulated": bool(main["simulated"]),
    }


def _headline_rows(results: pd.DataFrame | None) -> list[dict[str, Any]]:
    if results is None:
        return []
    rows = []
    for row in results.to_dict("records"):
        outcome = _outcome(str(row["measure"]))
        if not outcome or pd.isna(row["percent"]):
            continue
        rows.append(
            {
                "outcome": outcome,
                "policy": LIMITS,
                "source": OURS,
                "label": "This study",
                "family": row["comparison"],
                "design": variant_of(str(row["spec"])),
                "measure": row["measure"],
                "percent": row["percent"],
                "percent_low": row["percent_low"],
                "percent_high": row["percent_high"],
                "scaled": OWN_MEAN,
                "data": "this study",
                "n_treated": row["n_treated"],
                "n_states": row["n_states"],
                "verdict": NO_VERDICT
                if pd.isna(row["precision"]) or not row["precision"]
                else row["precision"],
                "headline": True,
                "simulated": bool(row.get("simulated", False)),
            }
        )
    return rows


# ----------------------------------------------------------------------------------------------------
# Summaries
# ----------------------------------------------------------------------------------------------------


def summaries(forest: pd.DataFrame) -> pd.DataFrame:
    """Return a random-effects summary where designs answer the same question, and the reason where none was made.

    The same question: one outcome, one policy, one family of methods. Only published figures with a number and an error
    that may serve as a mark are pooled, one a data set (the headline figure first), and only where at least three data
    sets have one. Estimates of this study are overlapping analyses of one panel and are pooled with nothing.

    Args:
        forest: from `forest`.

    Returns:
        Columns ``SUMMARIES``, one row an outcome, policy and family of published methods.
    """
    rows = []
    for (outcome, policy, family), group in forest[forest["source"] == PUBLISHED].groupby(
        ["outcome", "policy", "family"], sort=False
    ):
        known = np.isfinite(group["percent"]) & np.isfinite(group["percent_error"])
        usable = group[known & group["pass_mark"]].sort_values("headline", ascending=False, kind="stable")
        apart = usable.drop_duplicates("data")
        here = forest[
            forest["outcome"].eq(outcome) & forest["policy"].eq(policy) & forest["source"].ne(PUBLISHED)
        ]
        row: dict[str, Any] = dict.fromkeys(SUMMARIES, float("nan")) | {
            "outcome": outcome, "policy": policy, "family": family, "n_published": len(group),
            "n_with_error": int(known.sum()), "n_data": len(apart), "n_here": len(here), "pooled": False, "k": 0,
            "figures": ", ".join(apart["figure"]), "reason": "",
        }  # fmt: skip
        if len(apart) >= FEWEST:
            found = pool(apart["percent"], apart["percent_error"])
            row |= {
                "pooled": True, "mean": found.mean, "mean_low": found.low, "mean_high": found.high,
                "predicted_low": found.predicted_low, "predicted_high": found.predicted_high, "between": found.tau2**0.5,
                "i2": found.i2, "q": found.q, "k": found.k,
            }  # fmt: skip
        else:
            row["reason"] = _reason(len(group), int(known.sum()), len(usable), len(apart))
        rows.append(row)
    return pd.DataFrame(rows, columns=list(SUMMARIES))


def _reason(n: int, with_error: int, usable: int, data: int) -> str:
    if with_error == 0:
        return (
            f"none of {n} published figures has a number and an error"
            if n > 1
            else "the published figure has no number with an error"
        )
    if usable == 0:
        return "figures with an error are from memory or inferred"
    sets = "one data set" if data == 1 else f"{data} data sets"
    return f"published errors from {sets}; a summary takes {FEWEST}, because figures from one data set are not independent"
