"""Tables of the ledger: headline figures with verdicts, shares, choices that move a verdict, the registry, summaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.evidence import ledger as of
from analysis.evidence import synthesis
from analysis.evidence.verdict import INCONCLUSIVE, NO_VERDICT, NOT_INFORMATIVE
from analysis.report import words
from analysis.report.frames import Frame, require
from analysis.report.ledger_figures import DOUBT, METHOD_WORDS, OUTCOME_WORDS
from analysis.report.tables import Table, build

LEDGER = Frame("ledger", of.LEDGER)
SHARES = Frame("verdict_shares", dict.fromkeys(of.SHARES, "see `analysis.evidence.ledger.verdict_shares`"))
MOVES = Frame("class_moves", dict.fromkeys(of.MOVES, "see `analysis.evidence.ledger.class_moves`"))
SUMMARIES = Frame("summaries", synthesis.SUMMARIES)

DOUBT_NOTE = f"{DOUBT} From memory or inferred: shown, and measured against nothing."
CLASS_HEADS: Mapping[str, str] = {
    "consistent": "Consistent",
    "not consistent": "Not consistent",
    INCONCLUSIVE: "Inconclusive",
    NOT_INFORMATIVE: "Not informative",
    NO_VERDICT: "No verdict",
    of.NOT_ESTIMATED: "Not estimated",
}
CHOICE_WORDS: Mapping[str, str] = {
    "california": "California",
    "build": "rate build",
    "urban_class": "urban class",
    "measure": "outcome measure",
    "estimator": "estimator and its options",
}
# Options longer than this say nothing in a cell.
LONGEST_OPTION = 34


def choice_words(choice: str) -> str:
    """Return a choice in words.

    Example:
        >>> choice_words("build"), choice_words("window")
        ('Rate build', 'Window')
    """
    said = CHOICE_WORDS.get(choice, choice.replace("_", " "))
    return said[:1].upper() + said[1:]


def share_words(share: Any) -> str:
    """Return a share in whole per cent; one that would round to nothing or to all is said so, none is left blank.

    Example:
        >>> share_words(0.25), share_words(0.001), share_words(0.0), share_words(0.999)
        ('25 %', '<1 %', '', '>99 %')
    """
    if words.is_missing(share):
        return words.MISSING
    if share == 0:
        return ""
    if share < 0.005:
        return "<1 %"
    return ">99 %" if 0.995 < share < 1 else words.percent(share, 0)


def published_cell(row: Mapping[Any, Any]) -> str:
    """Return what was published, with its interval where an error was, and a mark where the reading is in doubt."""
    doubt = "" if row["pass_mark"] else f" {DOUBT}"
    if words.is_missing(row["published"]):
        return f"{row['published_words'] or 'in words'}{doubt}"
    ends = (row["published"], row["published_low"], row["published_high"])
    return words.estimate_text(*ends) + doubt


def own_cell(row: Mapping[Any, Any]) -> str:
    """Return this study's estimate beside a figure with its interval, or a dash."""
    return words.estimate_text(row["estimate"], row["conf_low"], row["conf_high"])


def verdict_cell(row: Mapping[Any, Any]) -> str:
    """Return verdict and agreement, or why nothing stands beside a figure."""
    if not row["verdict"]:
        return str(row["reason"])
    return f"{row['verdict']}: {row['agreement']}" if row["agreement"] else str(row["verdict"])


def ledger_table(ledger: pd.DataFrame, first: Sequence[str] = ()) -> Table:
    """Return every headline figure with this study's estimate beside it, verdict and comparability.

    Args:
        ledger: from `analysis.evidence.ledger.ledger`.
        first: names of studies that come before the others.
    """
    f = of.headline_rows(require(ledger, LEDGER), first).reset_index(drop=True)
    rows = f.to_dict("records")
    shares = [f"share_{name}" for name in ("consistent", "not_consistent", "inconclusive")]
    units = "; ".join(dict.fromkeys(str(r["unit_words"]) for r in rows))
    return build(
        "Published figures and this study's estimates beside them",
        f,
        [
            ("Study", "l", 1.0, words.once(f["label"].astype(str))),
            ("Figure", "l", 1.5, [f"{r['told']}; {r['unit_words']}" for r in rows]),
            ("Published", "l", 1.05, [published_cell(r) for r in rows]),
            ("Here", "r", 1.2, [own_cell(r) for r in rows]),
            ("Treated", "r", 0.55, [words.count(r["n_treated"]) for r in rows]),
            ("Compared", "r", 0.65, [words.count(r["n_comparison"]) for r in rows]),
            ("States", "r", 0.5, [words.count(r["n_states"]) for r in rows]),
            ("Verdict", "l", 1.25, [verdict_cell(r) for r in rows]),
            ("Specifications", "r", 0.8, [words.count(r["n_specs"]) for r in rows]),
            ("Consistent, not, inconclusive", "l", 0.95, [_three(r, shares) for r in rows]),
            ("Comparability", "l", 1.9, [r["comparability"] or words.MISSING for r in rows]),
        ],
        [
            f"Units: {units}. Both stand in the unit of the published figure; intervals are at 95 %, and a published "
            "figure without a published error has none. Reanalysis under this study's definitions: consistent where the "
            "published size lies inside the interval and the interval is not inconclusive, where a published direction is "
            "that of an interval that excludes zero, or where a published null is met by equivalence (all of the interval "
            "within the published size or, without one, within 5 % of the mean); inconclusive agrees with nothing. Fewer "
            "than 20 treated areas, or six states, take no verdict. Shares of all specifications that answer the figure, "
            "families of designs weighted alike: they describe what was run and are no probabilities.",
            DOUBT_NOTE,
        ],
    )  # fmt: skip


def _three(row: Mapping[Any, Any], names: Sequence[str]) -> str:
    if not row["n_specs"]:
        return words.MISSING
    return ", ".join(share_words(row[name]) or "0 %" for name in names)


def _labels(ledger: pd.DataFrame) -> tuple[dict[str, str], dict[str, str], set[str]]:
    """Return figure to outcome, study to authors and year, and the headline figures."""
    f = require(ledger, LEDGER)
    outcomes = dict(zip(f["figure"], f["told"].astype(str), strict=True))
    authors = dict(zip(f["study"], f["label"].astype(str), strict=True))
    return outcomes, authors, set(f.loc[f["headline"].eq(True), "figure"])


def shares_table(shares: pd.DataFrame, ledger: pd.DataFrame) -> Table:
    """Return how specifications fall into classes, by figure and family; the paper prints headline figures.

    Args:
        shares: from `analysis.evidence.ledger.verdict_shares`.
        ledger: from `analysis.evidence.ledger.ledger`, for words and for which figures are headline ones.
    """
    f = require(shares, SHARES)
    outcomes, authors, headline = _labels(ledger)
    keys = ["study", "figure", "family"]
    wide = f.pivot_table(index=keys, columns="verdict", values="share", sort=False).reset_index()
    counts = f.drop_duplicates(keys)[[*keys, "n_specs", "n_families"]]
    wide = wide.merge(counts, on=keys)
    whole = wide["family"].eq(of.ALL)
    order = {name: at for at, name in enumerate(dict.fromkeys(f["figure"]))}
    wide = wide.assign(_figure=wide["figure"].map(order), _whole=~whole)
    wide = wide.sort_values(["_figure", "_whole"], kind="stable").drop(columns=["_figure", "_whole"])
    wide = wide.reset_index(drop=True)
    classes = [c for c in (*of.CLASSES, *of.OWN_CLASSES) if c in wide.columns]
    rows = wide.to_dict("records")
    names = [f"{authors.get(r['study'], r['study'])}: {outcomes.get(r['figure'], r['figure'])}" for r in rows]
    first = [at == 0 or rows[at - 1]["figure"] != r["figure"] for at, r in enumerate(rows)]
    selected = [at for at, r in enumerate(rows) if r["figure"] in headline]
    return build(
        "Verdicts of all specifications beside a published figure, by family of designs",
        f,
        [
            ("Figure", "l", 2.2, [name if new else "" for name, new in zip(names, first, strict=True)]),
            ("Family", "l", 1.1, [_family(r) for r in rows]),
            ("Specifications", "r", 0.9, [words.count(r["n_specs"]) for r in rows]),
            *(
                (CLASS_HEADS.get(c, c.capitalize()), "r", 0.8, [share_words(r[c]) for r in rows])
                for c in classes
            ),
        ],
        [
            "Shares of the specifications that were run for the figure, those that failed counted (not estimated). All "
            "families: the mean of the families' shares, so that a family does not weigh by how many specifications it has. "
            "Shares describe the declared specifications and are no probabilities. Blank: none."
        ],
        selection=selected or None,
    )


def _family(row: Mapping[Any, Any]) -> str:
    if row["family"] != of.ALL:
        return str(row["family"]).replace("_", " ")
    return "all families" if row["n_families"] > 1 else "all (one family)"


def moves_table(moves: pd.DataFrame, ledger: pd.DataFrame) -> Table:
    """Return which choices move a specification from one class to another; the paper prints studies as wholes.

    Args:
        moves: from `analysis.evidence.ledger.class_moves`.
        ledger: from `analysis.evidence.ledger.ledger`.
    """
    f = require(moves, MOVES)
    outcomes, authors, _ = _labels(ledger)
    whole = f["figure"].eq(of.ALL)
    f = pd.concat(
        [f[whole].sort_values(["study", "share"], ascending=[True, False], kind="stable"), f[~whole]]
    )
    order = {name: at for at, name in enumerate(dict.fromkeys(require(ledger, LEDGER)["study"]))}
    rank = f["study"].map(order).to_numpy()
    f = f.iloc[np.lexsort((np.arange(len(f)), rank, ~f["figure"].eq(of.ALL).to_numpy()))].reset_index(
        drop=True
    )
    rows = f.to_dict("records")
    figures = [
        "every figure" if r["figure"] == of.ALL else outcomes.get(r["figure"], r["figure"]) for r in rows
    ]
    names = [
        f"{authors.get(r['study'], r['study'])}: {figure}" for r, figure in zip(rows, figures, strict=True)
    ]
    return build(
        "Choices that move a specification from one verdict to another",
        f,
        [
            ("Figures", "l", 2.0, words.once(names)),
            ("Family", "l", 0.9, ["all" if r["family"] == of.ALL else str(r["family"]).replace("_", " ") for r in rows]),
            ("Choice", "l", 1.1, [choice_words(str(r["choice"])) for r in rows]),
            ("Pairs", "r", 0.6, [words.count(r["n_pairs"]) for r in rows]),
            ("Another class", "r", 0.7, [share_words(r["share"]) or "0 %" for r in rows]),
            ("Pairs with a verdict", "r", 0.8, [words.count(r["n_judged"]) for r in rows]),
            ("Another verdict", "r", 0.8, [share_words(r["share_judged"]) or "0 %" for r in rows]),
            ("Most frequent move", "l", 2.6, [_move(r) for r in rows]),
        ],
        [
            "Pairs of estimated specifications of one figure and family that differ in this choice and in no other; families "
            "weighted alike. With a verdict: both are consistent, not consistent or inconclusive, so that moves to and from not "
            "informative and no verdict are left out. The most frequent move counts both kinds and runs from the option "
            "declared first."
        ],
        selection=[at for at, r in enumerate(rows) if r["figure"] == of.ALL] or None,
    )  # fmt: skip


def _move(row: Mapping[Any, Any]) -> str:
    if not row["n_move"]:
        return words.MISSING
    ends = (str(row["option_from"]), str(row["option_to"]))
    verdicts = f"{row['verdict_from']} to {row['verdict_to']}"
    named = all(ends) and max(map(len, ends)) <= LONGEST_OPTION
    options = f"{_option(ends[0])} to {_option(ends[1])}: " if named else ""
    return f"{options}{verdicts} ({words.count(row['n_move'])} pairs)"


def _option(name: str) -> str:
    return name.replace("_", " ")


def registry_table(ledger: pd.DataFrame) -> Table:
    """Return the whole registry: a line a study, which the paper prints, then every figure with its verdict or reason.

    Args:
        ledger: from `analysis.evidence.ledger.ledger`.
    """
    f = require(ledger, LEDGER).reset_index(drop=True)
    studies = [_study_line(part) for _, part in f.groupby("study", sort=False)]
    rows = f.to_dict("records")
    lines = studies + [
        (str(r["label"]), str(r["figure"]), published_cell(r), str(r["confidence"]), verdict_cell(r))
        for r in rows
    ]
    cells = [list(column) for column in zip(*lines, strict=True)] or [[] for _ in range(5)]
    heads = (
        ("Study", 1.3), ("Figure", 1.7), ("Published", 1.2), ("Read", 0.9), ("Verdict, or why nothing stands beside it", 3.4),
    )  # fmt: skip
    return build(
        "The registry of published figures and what stands beside each",
        f,
        [(head, "l", width, column) for (head, width), column in zip(heads, cells, strict=True)],
        [
            "First a line a study, then every figure by its identifier, in the order of the registry. Published intervals are "
            "at 95 %, from the published error where one was registered; none was made up.",
            DOUBT_NOTE,
        ],
        selection=list(range(len(studies))) or None,
    )


def _study_line(rows: pd.DataFrame) -> tuple[str, str, str, str, str]:
    beside = rows[rows["verdict"].ne("")]
    counted = beside.loc[beside["pass_mark"].eq(True), "verdict"].value_counts()
    verdicts = [f"{counted[c]} {c}" for c in (*of.CLASSES, *of.OWN_CLASSES) if c in counted]
    doubted = int((~rows["pass_mark"].eq(True)).sum())
    with_error = int((rows["published_low"].notna() & rows["published"].notna()).sum())
    sized = int(rows["published"].notna().sum())
    left = len(rows) - len(beside)
    found = "; ".join(
        part
        for part in (
            ", ".join(verdicts),
            f"{len(beside) - int(counted.sum())} beside a figure in doubt"
            if len(beside) > counted.sum()
            else "",
            f"{left} with a reason why not" if left else "",
        )
        if part
    )
    return (
        str(rows["label"].iloc[0]),
        f"{len(rows)} registered, {len(beside)} with an estimate beside",
        f"{sized} with a number, {with_error} with an error",
        f"{doubted} in doubt {DOUBT}" if doubted else "all read",
        found,
    )


def summaries_table(summaries: pd.DataFrame) -> Table:
    """Return what was pooled, and the reason for each group that was not.

    Args:
        summaries: from `analysis.evidence.synthesis.summaries`.
    """
    f = require(summaries, SUMMARIES).reset_index(drop=True)
    rows = f.to_dict("records")
    return build(
        "Summaries over published studies, and why there is none",
        f,
        [
            ("Outcome", "l", 0.9, words.once([OUTCOME_WORDS.get(r["outcome"], r["outcome"]) for r in rows])),
            ("Policy", "l", 1.2, f["policy"].astype(str)),
            ("Published by", "l", 1.2, [METHOD_WORDS.get(r["family"], r["family"]) for r in rows]),
            ("Figures", "r", 0.6, [words.count(r["n_published"]) for r in rows]),
            ("With an error", "r", 0.7, [words.count(r["n_with_error"]) for r in rows]),
            ("Data sets", "r", 0.6, [words.count(r["n_data"]) for r in rows]),
            ("Mean, %", "r", 1.2, [words.estimate_text(r["mean"], r["mean_low"], r["mean_high"], 1) for r in rows]),
            ("A new study's effect, %", "r", 1.1, [words.interval(r["predicted_low"], r["predicted_high"], 1) for r in rows]),
            ("Why none", "l", 2.8, [r["reason"] or words.MISSING for r in rows]),
        ],
        [
            "A summary is made over published figures of one outcome, one policy and one family of methods, one figure a data "
            "set, where at least three have an error: random effects, variance between studies after Paule and Mandel, interval "
            "after Hartung and Knapp, and the interval a new study's effect would fall in (t with k − 2 degrees of freedom). "
            "This study's own estimates are overlapping analyses of one panel and are pooled with nothing."
        ],
    )  # fmt: skip
