"""Sentences of the paper about the published studies and the ledger, written so that they hold whatever the numbers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.evidence import ledger as of
from analysis.evidence import synthesis
from analysis.evidence.studies.record import PublishedStudy
from analysis.evidence.verdict import NO_VERDICT, NOT_INFORMATIVE
from analysis.report import ledger_tables as tables
from analysis.report import words
from analysis.report.frames import Frame, held_frame
from analysis.report.ledger_figures import FOREST_FRAME, METHOD_WORDS, OUTCOME_WORDS

Labels = Mapping[str, str]
Frames = Mapping[str, pd.DataFrame]
Row = Mapping[Any, Any]

CONTRACTS: Mapping[str, Frame] = {
    "ledger": tables.LEDGER,
    "verdict_shares": tables.SHARES,
    "class_moves": tables.MOVES,
    "forest": FOREST_FRAME,
    "summaries": tables.SUMMARIES,
}
"""Frames the sentences read, by the names they are handed in under; one that is missing is taken for empty."""

NOT_MADE = "The ledger was not made here."
# Choices named of a study, those that move the most first.
NAMED = 3


def phrases(frames: Frames, labels: Labels, studies: Sequence[PublishedStudy]) -> dict[str, tuple[str, str]]:
    """Return every sentence: key to text and the output it stands in.

    Args:
        frames: by the names of ``CONTRACTS``; one that is missing or has no rows is told as not made.
        labels: measure to words.
        studies: every published study; each gives ``study.<name>.about``, ``known``, ``chosen``, ``verdict``, ``reading``.

    Raises:
        TableError: a frame with rows lacks a column of its contract.
    """
    held = {name: _held(frames, name) for name in CONTRACTS}
    said = {
        "ledger.headline": (headline_sentences(held), "table-54"),
        "ledger.shares": (shares_sentences(held), "table-55"),
        "ledger.moves": (moves_sentences(held), "table-56"),
        "ledger.registry": (registry_sentences(held), "table-67"),
        "synthesis.forest": (forest_sentences(held, labels), "figure-28"),
        "synthesis.pooled": (pooled_sentences(held), "table-68"),
    }
    for study in studies:
        output = "table-54" if study.asks else "table-66"
        said |= {
            f"study.{study.name}.about": (about_sentences(study), output),
            f"study.{study.name}.known": ("\n".join(study.known) or "Nothing more of it was read.", output),
            f"study.{study.name}.chosen": ("\n".join(study.chosen) or "Nothing had to be chosen.", output),
            f"study.{study.name}.verdict": (verdict_sentences(held, study), output),
            f"study.{study.name}.reading": (study.reading, output),
        }
    return said


def _held(frames: Frames, name: str) -> pd.DataFrame:
    """Return a frame, empty where it was not made; what a file held as nothing is an empty text again."""
    table = held_frame(frames, name, CONTRACTS[name])
    if table.empty:
        return table
    texts = [c for c in CONTRACTS[name].columns if not pd.api.types.is_numeric_dtype(table[c])]
    flags = {
        c: table[c].isin([True, "True"])
        for c in ("headline", "pass_mark", "pooled", "simulated")
        if c in table
    }
    filled = {c: table[c].astype(object).where(table[c].notna(), "") for c in texts if c not in flags}
    return table.assign(**filled, **flags)


def _classes(counts: Mapping[Any, int]) -> str:
    """Return verdicts counted, in the order of the classes.

    Example:
        >>> _classes({"inconclusive": 2, "consistent": 1})
        '1 consistent and 2 inconclusive'
    """
    return words.listing(
        [f"{words.count(counts[c])} {c}" for c in (*of.CLASSES, *of.OWN_CLASSES) if counts.get(c)]
    )


# --------------------------------------------------------------------------------------------------------
# The ledger
# --------------------------------------------------------------------------------------------------------


def told(row: Row) -> str:
    """Return one figure beside this study's estimate: what was published, what is found, the verdict in the words of rule 20.

    Args:
        row: of the ledger.
    """
    doubt = "" if row["pass_mark"] else f" ({row['confidence']}: no mark)"
    head = f"{words.capital(str(row['told']))}, {row['unit_words']}: published {_published(row)}{doubt}"
    if not row["verdict"]:
        return f"{head}; nothing stands beside it: {row['reason']}."
    if row["verdict"] == of.NOT_ESTIMATED:
        # What to change is told to whoever runs it, not to a reader.
        return f"{head}; {str(row['sentence']).split('; expected')[0]}."
    areas = f"{words.counted(row['n_treated'], 'treated area')}, {words.counted(row['n_states'], 'state')}"
    return f"{head}; here {tables.own_cell(row)}, {areas}: {row['sentence']}."


def _published(row: Row) -> str:
    if words.is_missing(row["published"]):
        return str(row["published_words"]) or "in words"
    if words.is_missing(row["published_low"]):
        return f"{words.number(row['published'], words.digits_for(row['published']))}, without an error"
    return words.estimate_text(row["published"], row["published_low"], row["published_high"])


def headline_sentences(frames: Frames) -> str:
    """Return the headline figures counted by verdict, then a line each, then what the words mean."""
    f = frames["ledger"]
    if f.empty:
        return NOT_MADE
    heads = f[f["headline"]]
    if heads.empty:
        return "No headline figure is registered here."
    marks = heads[heads["pass_mark"] & heads["verdict"].ne("")]
    counted = _classes(marks["verdict"].value_counts().to_dict())
    first = (
        f"{words.counted(len(heads), 'headline figure')} of {words.counted(heads['study'].nunique(), 'study', 'studies')} stand"
        f"{'s' if len(heads) == 1 else ''} in the ledger. "
        + (
            f"Of {words.counted(len(marks), 'figure')} that {'was' if len(marks) == 1 else 'were'} read and "
            f"{'has' if len(marks) == 1 else 'have'} an estimate beside {'it' if len(marks) == 1 else 'them'}, the verdicts are "
            f"{counted}."
            if counted
            else "None of them was read and has an estimate beside it."
        )
    )
    lines = [f"{row['label']}. {told(row)}" for row in heads.to_dict("records")]
    last = (
        "Inconclusive is no agreement, with a null or with anything else: the interval holds zero and reaches beyond the bound. "
        "None of these estimates is made on a study's own list with its own method, so none reproduces or fails to reproduce "
        "a study; where an estimate differs, list, area, years and method may each be why."
        if not heads["verdict"].isin(of.OWN_CLASSES).any()
        else "Inconclusive is no agreement, with a null or with anything else: the interval holds zero and reaches beyond the bound. "
        "Reproduced and not reproduced are said only of a study's own list with its own method."
    )
    return "\n\n".join((first, "\n".join(lines), last))


def shares_sentences(frames: Frames) -> str:
    """Return how the specifications of each headline figure fall into classes, families weighted alike."""
    f = frames["ledger"]
    if f.empty:
        return NOT_MADE
    heads = f[f["headline"] & f["n_specs"].astype(float).gt(1)]
    lines = [
        f"{row['label']}, {row['told']}: {words.counted(row['n_specs'], 'specification')} in "
        f"{words.counted(row['n_families'], 'family', 'families')}: {of.shares_words(row)}."
        for row in heads.to_dict("records")
    ]
    if not lines:
        return "No headline figure is answered by more than one specification."
    first = (
        "All specifications that were run for a figure, those that failed counted; families weighted alike. Shares describe "
        "the declared specifications and are no probabilities."
    )
    return "\n\n".join((first, "\n".join(lines)))


def moves_sentences(frames: Frames) -> str:
    """Return, a line a study, the choices that most often move a specification with a verdict to another."""
    f, ledger = frames["class_moves"], frames["ledger"]
    authors = dict(zip(ledger["study"], ledger["label"], strict=True))
    whole = f[f["figure"].eq(of.ALL) & f["n_judged"].astype(float).ge(of.FEW_PAIRS)]
    lines = []
    for study in [name for name in authors if whole["study"].eq(name).any()]:
        rows = whole[whole["study"] == study].sort_values("share_judged", ascending=False, kind="stable")
        named = [
            f"{_said(str(r['choice']))} {tables.share_words(r['share_judged']) or '0 %'} of {words.counted(r['n_judged'], 'pair')}"
            for r in rows.head(NAMED).to_dict("records")
        ]
        last = rows.iloc[-1]
        least = (
            f"; least often {_said(str(last['choice']))}, {tables.share_words(last['share_judged']) or '0 %'}"
            if len(rows) > NAMED
            else ""
        )
        lines.append(f"{authors[study]}: {words.listing(named)}{least}.")
    if not lines:
        return f"No study has {of.FEW_PAIRS} pairs of specifications with a verdict that differ in one choice alone."
    first = (
        "Among pairs of specifications that differ in one choice alone and both take a verdict (consistent, not consistent or "
        "inconclusive), the choices that most often give another verdict:"
    )
    return "\n\n".join((first, "\n".join(lines)))


def _said(choice: str) -> str:
    text = tables.choice_words(choice)
    return text if text == "California" else text[:1].lower() + text[1:]


def registry_sentences(frames: Frames) -> str:
    """Return what the registry holds, how sure it is, and what stands beside it."""
    f = frames["ledger"]
    if f.empty:
        return NOT_MADE
    sized, errors = f["published"].notna(), f["published"].notna() & f["published_low"].notna()
    beside = f["verdict"].ne("")
    doubt = f.loc[~f["pass_mark"], "confidence"].value_counts().to_dict()
    doubted = words.listing([f"{words.count(n)} {name}" for name, n in sorted(doubt.items())])
    counted = _classes(f.loc[beside & f["pass_mark"], "verdict"].value_counts().to_dict())
    told_ = [
        f"The registry holds {words.counted(len(f), 'figure')} of {words.counted(f['study'].nunique(), 'source')}: {words.count(sized.sum())} "
        f"with a number, {words.count(errors.sum())} of them with an error or an interval; the others are directions, nulls and "
        "statements in words.",
        f"{words.capital(doubted)}: such figures are shown as such, and nothing is measured against them."
        if doubted
        else "",
        f"Beside {words.count(beside.sum())} stands an estimate of this study, and for the other {words.count((~beside).sum())} the "
        "table says why none does.",
        f"The verdicts beside figures that were read: {counted}." if counted else "",
    ]
    return " ".join(part for part in told_ if part)


# --------------------------------------------------------------------------------------------------------
# The synthesis
# --------------------------------------------------------------------------------------------------------


def forest_sentences(frames: Frames, labels: Labels) -> str:
    """Return, an outcome a line, published figures that have a place on one scale, and this study's designs."""
    f = frames["forest"]
    if f.empty:
        return "Published and own estimates were not put on one scale here."
    published = f[f["source"].eq(synthesis.PUBLISHED) & f["headline"]]
    placed = published[published["percent"].notna()]
    bare = int((placed["percent_low"].isna()).sum())
    borrowed = int(placed["scaled"].eq(synthesis.OUR_MEAN).sum())
    first = (
        f"Of {words.counted(len(published), 'headline figure')} of reported crime, {words.count(len(placed))} "
        f"{'has' if len(placed) == 1 else 'have'} a number and so a place on the scale, {words.count(bare)} of these without an "
        f"error; {words.count(len(published) - len(placed))} {'was' if len(published) - len(placed) == 1 else 'were'} stated "
        "in words."
    )
    if borrowed:
        first += (
            f" {words.capital(words.counted(borrowed, 'rate'))} {'is' if borrowed == 1 else 'are'} put over this study's mean, because the "
            "study's own was not seen."
        )
    lines = [line for name in OUTCOME_WORDS if (line := _outcome_line(f[f["outcome"] == name], name, labels))]
    last = (
        "A change in reported crime is a change in crime, in reporting, or in both; which reading a study's result allows "
        "stands with each study."
    )
    return "\n\n".join(part for part in (first, "\n".join(lines), last) if part)


def _outcome_line(rows: pd.DataFrame, outcome: str, labels: Labels) -> str:
    """Return the published numbers of an outcome, and the spread of this study's designs beside them."""
    heads = rows[rows["headline"]]
    parts = [
        f"{r['label']} ({METHOD_WORDS.get(r['family'], r['family'])}) {_change(r)}"
        for r in heads[heads["source"].eq(synthesis.PUBLISHED) & heads["percent"].notna()].to_dict("records")
    ]
    said = int((heads["source"].eq(synthesis.PUBLISHED) & heads["percent"].isna()).sum())
    if said:
        parts.append(f"{words.counted(said, 'figure')} in words")
    own = rows[rows["source"].eq(synthesis.OURS) & rows["percent"].notna()]
    for measure, part in own.groupby("measure", sort=False):
        low, high = part["percent"].min(), part["percent"].max()
        ends = f"{words.number(low, 1, sign=True)} to {words.number(high, 1, sign=True)} %"
        name = labels.get(str(measure), str(measure).replace("_", " ")).split(" (")[0]
        thin = part["verdict"].isin([NOT_INFORMATIVE, NO_VERDICT])
        out = int(((part["percent_low"].gt(0) | part["percent_high"].lt(0)) & ~thin).sum())
        silent = f", {words.count(thin.sum())} without a verdict" if thin.any() else ""
        parts.append(
            f"{words.counted(len(part), 'design')} of this study on {name}, estimates from {ends}, {words.count(out)} of the intervals "
            f"without zero{silent}"
        )
    return f"{OUTCOME_WORDS[outcome]}: {'; '.join(parts)}." if parts else ""


def _change(row: Row) -> str:
    ends = words.interval(row["percent_low"], row["percent_high"], 1)
    inside = f" ({ends})" if ends != words.MISSING else " (no error published)"
    mark = "" if row["pass_mark"] else f", {row['confidence']}"
    return f"{words.number(row['percent'], 1, sign=True)} %{inside}{mark}"


def pooled_sentences(frames: Frames) -> str:
    """Return what was pooled, or that nothing was and why."""
    f = frames["summaries"]
    if f.empty:
        return "No published figure of reported crime is registered that could be pooled."
    made = f[f["pooled"]]
    lines = [
        f"{OUTCOME_WORDS.get(r['outcome'], r['outcome'])}, {r['policy']}, {METHOD_WORDS.get(r['family'], r['family'])}: "
        f"{words.number(r['mean'], 1, sign=True)} % ({words.interval(r['mean_low'], r['mean_high'], 1)}) over "
        f"{words.counted(int(r['k']), 'study', 'studies')}; a new study's effect would lie in "
        f"{words.interval(r['predicted_low'], r['predicted_high'], 1)} %."
        for r in made.to_dict("records")
    ]
    if lines:
        return "\n".join(lines)
    errors, most = int(f["n_with_error"].sum()), int(np.nanmax(f["n_data"].astype(float)))
    return (
        f"No summary is made. A mean over studies would ask for at least {synthesis.FEWEST} published errors of one outcome, one "
        f"policy and one family of methods from different data; of {words.counted(len(f), 'group')} of published figures, none has "
        f"more than {words.counted(most, 'data set')} with an error ({words.counted(errors, 'figure')} with an error in all). This study's own "
        "estimates are overlapping analyses of one panel: averaging them would count one panel many times."
    )


# --------------------------------------------------------------------------------------------------------
# Each study
# --------------------------------------------------------------------------------------------------------


def about_sentences(study: PublishedStudy) -> str:
    """Return what a study did, on which places and years.

    Args:
        study: its record.
    """
    first, last = study.outcome_years
    years = str(first) if first == last else f"{first} to {last}"
    public = f", first public in {study.first_public}" if study.first_public != study.year else ""
    return f"{study.label} ({study.venue}{public}). {study.design} Outcomes: {years}. Places with a policy: {study.policy_list}."


def verdict_sentences(frames: Frames, study: PublishedStudy) -> str:
    """Return what the ledger says of a study: counts, its headline figures, and why nothing stands beside the others.

    Args:
        frames: see `phrases`.
        study: its record.
    """
    f = frames["ledger"]
    rows = f[f["study"] == study.name]
    if f.empty or rows.empty:
        return f"No figure of {study.label} is in the ledger." if len(f) else NOT_MADE
    beside = rows[rows["verdict"].ne("")]
    counted = _classes(beside.loc[beside["pass_mark"], "verdict"].value_counts().to_dict())
    doubted = int((~beside["pass_mark"]).sum())
    first = f"{words.counted(len(rows), 'figure')} of {study.label} {'is' if len(rows) == 1 else 'are'} registered; an estimate of this "
    first += f"study stands beside {words.count(len(beside)) if len(beside) else 'none'}."
    if counted:
        first += f" Verdicts beside those that were read: {counted}."
    if doubted:
        first += f" {words.counted(doubted, 'estimate')} {'stands' if doubted == 1 else 'stand'} beside a figure in doubt and "
        first += f"{'is' if doubted == 1 else 'are'} not counted."
    heads = beside[beside["headline"]]
    lines = [told(row) for row in (heads if len(heads) else beside.head(NAMED)).to_dict("records")]
    why = rows.loc[rows["verdict"].eq(""), "reason"].astype(str)
    missing = why.str.startswith(of.NOT_RUN)
    alone = why.where(~missing, "their main specifications were not run, or do not answer them").value_counts(
        sort=False
    )
    reasons = [
        f"Beside {words.counted(n, 'figure')} nothing stands: {reason}." for reason, n in alone.items()
    ]
    return "\n\n".join(part for part in (first, "\n".join(lines), "\n".join(reasons)) if part)
