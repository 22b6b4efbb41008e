"""Sentences of the paper about the builds of a county's crime rate, written so that they hold whatever the numbers are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.evidence.checks import builds as of
from analysis.evidence.verdict import NO_VERDICT
from analysis.report import words
from analysis.report.build_figures import A_TO_B, CAUTION, FRAME, shown_variants, variant_label
from analysis.report.frames import require

Labels = Mapping[str, str]
Frames = Mapping[str, pd.DataFrame]
Keyed = Mapping[tuple[str, str], Mapping[Any, Any]]

NOT_MADE = "The builds of a county's crime rate were not estimated."
# Builds in the order they are told, with their words.
TOLD: Mapping[str, str] = {
    of.POLICED: "all agencies over the residents they police",
    of.OUTSIDE: "county agencies over residents outside cities",
    of.AGENCIES: "county agencies over the whole county",
}
PART_WORDS: Mapping[str, str] = {
    of.SAMPLE: "the counties",
    of.NUMERATOR: "the offences counted",
    of.DENOMINATOR: "the people divided by",
}
# The variation told definition by definition: the spec's own values.
MAIN = ""


def phrases(frames: Frames, labels: Labels) -> dict[str, tuple[str, str]]:
    """Return the sentences on builds: key to text and the output it stands in.

    Args:
        frames: ``wong_builds`` under its contract; missing or empty, the sentences say that it was not made.
        labels: measure to words.

    Raises:
        TableError: a frame with rows lacks a column of its contract.

    Example:
        >>> phrases({}, {})["study.wong2017.share"]
        ("The builds of a county's crime rate were not estimated.", 'table-58')
    """
    frame = frames.get("wong_builds")
    held = (
        pd.DataFrame(columns=list(of.COLUMNS))
        if frame is None or frame.empty
        else require(_read(frame), FRAME)
    )
    return {
        "study.wong2017.builds": (builds_sentences(held, labels), "table-58"),
        "study.wong2017.share": (share_sentences(held), "table-58"),
    }


def _read(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame as it was written: a file holds nothing for an empty text, and words for flags."""
    out = frame.copy()
    for name in of.TEXTS:
        if name in out:
            out[name] = out[name].astype(object).where(out[name].notna(), "").astype(str)
    for name in of.FLAGS:
        if name in out:
            out[name] = out[name].isin([True, "True"])
    return out


def builds_sentences(frame: pd.DataFrame, labels: Labels) -> str:
    """Return each definition under three builds with what lies between them, and what all specifications share.

    Args:
        frame: under the contract ``wong_builds``.
        labels: measure to words.
    """
    if frame.empty:
        return NOT_MADE
    published = words.number(frame["published"].iloc[0], 1)
    lines = []
    for here in _specs(frame, MAIN):
        by = _keyed(here)
        said = "; ".join(
            f"{_estimate(by.get((of.OF_BUILDS, build)))} with {told}" for build, told in TOLD.items()
        )
        lines.append(f"{words.definition_label(here['definition'].iloc[0])}: {said}. {_way(by)}")
    measure = next(iter(frame.loc[frame["variant"] == MAIN, "measure"]), frame["measure"].iloc[0])
    intro = (
        f"Reported {labels.get(measure, measure)} per 10,000 residents, treated less comparison counties, beside the "
        f"published {published}. {CAUTION}"
    )
    return _paragraphs(intro, lines, f"{_signs(frame, published)} {_largest(frame)}")


def share_sentences(frame: pd.DataFrame) -> str:
    """Return how much of the estimate of county agencies over whole counties is the share of people they police.

    Args:
        frame: under the contract ``wong_builds``.
    """
    if frame.empty:
        return NOT_MADE
    intro = (
        "A rate of county agencies over the whole county is their rate outside cities times the share of residents "
        "who live there, and it is the rate of all agencies times the share of offences that county agencies record: of two "
        "counties alike in the rate, the one where city police do more has the lower. Each split is made where both its "
        "factors are known."
    )
    lines = []
    for variant in shown_variants(frame):
        for here in _specs(frame, variant):
            by = _keyed(here)
            name = f"{variant_label(variant)}, {words.definition_label(here['definition'].iloc[0]).lower()}"
            lines.append(f"{name}: {_of_share(by)}")
    return _paragraphs(intro, lines, f"{_factors(frame)} {_held(frame)}")


def _paragraphs(intro: str, lines: list[str], last: str) -> str:
    return "\n\n".join([intro, *(["\n".join(lines)] if lines else []), last])


def _specs(frame: pd.DataFrame, variant: str) -> Iterator[pd.DataFrame]:
    for _, here in frame[frame["variant"] == variant].groupby("spec", sort=False):
        yield here


def _keyed(here: pd.DataFrame) -> Keyed:
    return {(r["contrast"], r["part"]): r for r in here.to_dict("records")}


def _known(row: Mapping[Any, Any] | None) -> bool:
    return row is not None and not row["failure"] and not words.is_missing(row["estimate"])


def _estimate(row: Mapping[Any, Any] | None) -> str:
    if row is None or not _known(row):
        return "not estimated"
    ends = words.interval(row["conf_low"], row["conf_high"], 1)
    return f"{words.number(row['estimate'], 1, sign=True)} ({ends}, {row['precision'] or NO_VERDICT})"


def _way(by: Keyed) -> str:
    total = by.get((A_TO_B, of.TOTAL))
    if total is None or not _known(total):
        return "What lies between them was not found."
    parts = [
        f"{said} {words.number(by[A_TO_B, part]['estimate'], 1, sign=True)}"
        for part, said in PART_WORDS.items()
    ]
    return f"From the first to the last {words.number(total['estimate'], 1, sign=True)}, of which {words.listing(parts)}."


def _builds(frame: pd.DataFrame, build: str) -> pd.DataFrame:
    rows = frame[frame["contrast"].eq(of.OF_BUILDS) & frame["part"].eq(build) & frame["failure"].eq("")]
    return rows[rows["informative"]]


def _signs(frame: pd.DataFrame, published: str) -> str:
    said = []
    for build, told in TOLD.items():
        rows = _builds(frame, build)
        if rows.empty:
            said.append(f"{told}: none that is informative")
            continue
        sign, inside = int(rows["published_sign"].sum()), int(rows["published_inside"].sum())
        ends = words.interval(rows["estimate"].min(), rows["estimate"].max(), 1)
        said.append(
            f"{told}: the published sign in {words.count(sign)} of {words.count(len(rows))}, from {ends}, with {published} "
            f"inside the interval of {words.count(inside)}"
        )
    return f"Of all informative specifications, {'; '.join(said)}."


def _largest(frame: pd.DataFrame) -> str:
    rows = frame[frame["contrast"].eq(A_TO_B) & frame["part"].isin(of.PARTS) & frame["failure"].eq("")]
    if rows.empty:
        return "No step from build to build was found."
    size = rows.assign(size=rows["estimate"].abs()).pivot(index="spec", columns="part", values="size")
    largest = size.idxmax(axis=1).value_counts()
    said = [
        f"{told} in {words.count(largest.get(part, 0))}"
        for part, told in PART_WORDS.items()
        if largest.get(part, 0)
    ]
    return (
        f"On the way from all agencies to county agencies over the whole county the largest of the three parts is "
        f"{words.listing(said)} of {words.count(len(size))}."
    )


def _of_share(by: Keyed) -> str:
    total = by.get((of.OF_SHARE, of.AGENCIES))
    if total is None or not _known(total):
        return "not estimated."
    gap = by.get((of.OF_SHARE, of.SHARE_GAP))
    points = words.MISSING
    if gap is not None and _known(gap):
        ends = words.interval(100 * gap["conf_low"], 100 * gap["conf_high"], 1)
        points = f"{words.number(100 * gap['estimate'], 1, sign=True)} ({ends})"
    people = _split(by, of.OF_SHARE, "the rate outside cities", "the share of residents there")
    offences = _split(
        by, of.OF_OFFENCES, "the rate of all agencies", "the share of offences county agencies record"
    )
    held = _estimate(by.get((of.SHARE_HELD, of.AGENCIES)))
    return f"{people}, which differs by {points} percentage points; {offences}; with the share of residents held {held}."


def _split(by: Keyed, contrast: str, rate_words: str, share_words: str) -> str:
    """Return an estimate as the parts of its two factors, on the counties that have both."""
    total, rate, share = (by.get((contrast, part)) for part in (of.AGENCIES, of.RATE, of.SHARE))
    if total is None or not _known(total):
        return f"not estimated by {rate_words} and {share_words}"
    if rate is None or share is None or not (_known(rate) and _known(share)):
        return f"not split by {rate_words} and {share_words}, as the method has no weights of its own"
    value, of_rate, of_share = (words.number(r["estimate"], 1, sign=True) for r in (total, rate, share))
    return f"{value} is {of_rate} by {rate_words} and {of_share} by {share_words}"


def _factors(frame: pd.DataFrame) -> str:
    """Return in how many specifications each share pulls the estimate down."""
    said = []
    for contrast, what in (
        (of.OF_SHARE, "the share of residents outside cities"),
        (of.OF_OFFENCES, "the share of offences county agencies record"),
    ):
        rows = frame[frame["contrast"].eq(contrast) & frame["part"].eq(of.SHARE) & frame["failure"].eq("")]
        if len(rows):
            down = int(rows["estimate"].lt(0).sum())
            said.append(f"{what} lowers it in {words.count(down)} of {words.count(len(rows))}")
    if not said:
        return "No estimate could be split by a share."
    return f"Of all specifications of county agencies over the whole county, {words.listing(said)}."


def _held(frame: pd.DataFrame) -> str:
    rows = {
        contrast: frame[
            frame["contrast"].eq(contrast) & frame["part"].eq(of.AGENCIES) & frame["failure"].eq("")
        ]
        .set_index("spec")["estimate"]
        .astype(float)
        for contrast in (of.OF_BUILDS, of.SHARE_HELD)
    }
    both = pd.DataFrame(rows).dropna()
    if both.empty:
        return "No estimate holds the share."
    below = both[both[of.OF_BUILDS] < 0]
    kept = int((below[of.SHARE_HELD] < 0).sum())
    smaller = int((np.abs(below[of.SHARE_HELD]) < np.abs(below[of.OF_BUILDS])).sum())
    if below.empty:
        return f"No estimate of county agencies over the whole county is below zero, of {words.count(len(both))}."
    return (
        f"With county agencies over the whole county the difference is below zero in {words.count(len(below))} of "
        f"{words.count(len(both))} specifications, informative or not; with the share held {words.count(kept)} of "
        f"these stay below zero and {words.count(smaller)} come nearer to it."
    )
