"""Declined detainers by state and year, and what the weeks after the records can hold: a figure and a table."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis.base.errors import StudyError
from analysis.evidence.checks import detainers as of
from analysis.report import style as look
from analysis.report import words
from analysis.report.frames import Frame, require
from analysis.report.tables import Table, build

RECORDS = Frame("detainer_records", of.RECORDS)
WEEKS = Frame("detainer_weeks", of.WEEKS)
PLACES = Frame("places_counted", of.PLACES_COUNTED)

STATES_SHOWN = 10
# Room for the paces, two lines each, where few states have a bar.
FEWEST_BARS = 8
OTHER_STATES, NO_STATE, EVERY = "Other states", "No state on record", "All"
BEFORE, LAST_FULL, LAST = "2007-2012", "2014", "2015"
PERIODS = (BEFORE, "2013", LAST_FULL, LAST)
"""Columns of years: 2007 begins in October, 2015 ends on 19 July."""
BY_STATE, IN_WEEKS = "by state", "in the weeks after"
GAP_LABEL = "published less recorded"
PLOTTED = {
    "panel": "by state, or in the weeks after",
    "label": "bar, in words",
    "year": "2014 or 2015; missing in the weeks after",
    "value": "declined detainers",
    "rank": "place of the bar, from the top",
}


def states_in_order(records: pd.DataFrame, shown: int = STATES_SHOWN) -> list[str]:
    """Return the states with the most declines from January 2014, most first.

    Args:
        records: frame under the contract ``detainer_records``.
        shown: how many at most.

    Example:
        >>> records = pd.DataFrame({"year": [2014, 2014, 2013], "state": ["CA", "", "NY"], "place": "county",
        ...     "declined": [5, 9, 7], "facilities": 1})
        >>> states_in_order(records)
        ['CA']
    """
    f = _stated(records)
    since = f[(f["year"] >= of.PRESS_FIRST.year) & f["state"].ne("")]
    totals = since.groupby("state")["declined"].sum()
    return sorted(totals.index, key=lambda state: (-int(totals[state]), state))[:shown]


def _stated(records: pd.DataFrame) -> pd.DataFrame:
    """Return the records with an empty text where a file held nothing for the state."""
    f = require(records, RECORDS)
    return f.assign(state=f["state"].astype(object).where(f["state"].notna(), "").astype(str))


def period_of(year: int) -> str:
    """Return the column a year stands in.

    Example:
        >>> period_of(2008), period_of(2014)
        ('2007-2012', '2014')
    """
    return BEFORE if year < 2013 else str(year)


def by_state(records: pd.DataFrame, shown: int = STATES_SHOWN) -> pd.DataFrame:
    """Return declines by row and column of the table: states with the most, the others, records without a state, all.

    Args:
        records: frame under the contract ``detainer_records``.
        shown: states with a row of their own.

    Returns:
        ``row`` by ``PERIODS``; zero where there is none. The last row is the sum of the others.
    """
    f = _stated(records)
    states = states_in_order(f, shown)
    row = f["state"].where(f["state"].isin(states), OTHER_STATES).where(f["state"].ne(""), NO_STATE)
    table = (
        f.assign(row=row, period=f["year"].map(period_of))
        .pivot_table(index="row", columns="period", values="declined", aggfunc="sum", fill_value=0)
        .reindex(index=[*states, OTHER_STATES, NO_STATE], columns=list(PERIODS), fill_value=0)
        .astype(int)
    )
    table.loc[EVERY] = table.sum()
    return table


def records_rows(records: pd.DataFrame, weeks: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `records_figure`.

    Args:
        records: frame under the contract ``detainer_records``.
        weeks: frame under the contract ``detainer_weeks``.

    Returns:
        Columns ``PLOTTED``: a row a state and year, and a row a pace, the published count less the records' last.
    """
    table = by_state(records).drop(index=EVERY)
    rows: list[tuple[object, ...]] = [
        (BY_STATE, label, float(year), float(table.loc[label, year]), rank)
        for rank, label in enumerate(table.index)
        for year in (LAST_FULL, LAST)
    ]
    f = require(weeks, WEEKS)
    held = f[f["kind"].isin([of.HELD, of.GAP]) & f["area"].eq(of.EVERYWHERE)]
    rows += [
        (IN_WEEKS, str(label), np.nan, float(value), rank)
        for rank, (label, value) in enumerate(zip(held["what"], held["declined"], strict=True))
    ]
    return pd.DataFrame(rows, columns=list(PLOTTED))


PACES = {
    GAP_LABEL: "Published count less\nthe records'",
    "declines a week of 2014": "As many a week\nas in 2014",
    "declines a week of 2015": "As many a week\nas in 2015",
    "declines a detainer of 2014, detainers of July 2015": "As many a detainer\nas in 2014",
    "declines a detainer of 2015, detainers of July 2015": "As many a detainer\nas in 2015",
}


def records_figure(rows: pd.DataFrame, *, note: str = "") -> Figure:
    """Draw declined detainers by state from January 2014, and how many the weeks after the records hold at each pace.

    Args:
        rows: from `records_rows`.
        note: printed below.

    Raises:
        StudyError: nothing to draw.
    """
    states, weeks = (rows[rows["panel"] == panel] for panel in (BY_STATE, IN_WEEKS))
    if states.empty or weeks.empty:
        raise StudyError("no detainer records", "records by state and the weeks after them", "the raw files")
    below = look.note_height(note)
    head, axis, bar = 0.5, 0.42, 0.185
    tall = bar * max(FEWEST_BARS, states["label"].nunique())
    height = head + tall + axis + below
    left, first, between, second = 1.12, 2.3, 1.3, 1.55
    with look.style():
        fig = look.figure(height)

        def axes_at(x: float, wide: float) -> Axes:
            return fig.add_axes((x / look.WIDTH, (below + axis) / height, wide / look.WIDTH, tall / height))

        _state_bars(axes_at(left, first), states)
        _week_bars(axes_at(left + first + between, second), weeks)
        fig.legend(
            handles=[
                Patch(color=look.ROLES["treated"], label="2014"),
                Patch(color=look.OKABE_ITO["sky"], label="2015, to 19 July"),
                Line2D([], [], color=look.ROLES["published"], linewidth=0.9, linestyle="--", label="Published less recorded"),
            ],
            loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=3, fontsize=6.7, columnspacing=1.6, borderaxespad=0.2,
        )  # fmt: skip
        look.footnote(fig, note)
    return fig


def _state_bars(axes: Axes, rows: pd.DataFrame) -> None:
    table = rows.pivot_table(index=["rank", "label"], columns="year", values="value").sort_index()
    at = np.arange(len(table))
    full, part = (table[int(year)].to_numpy() for year in (LAST_FULL, LAST))
    axes.barh(at, full, height=0.7, color=look.ROLES["treated"], zorder=2)
    axes.barh(at, part, left=full, height=0.7, color=look.OKABE_ITO["sky"], zorder=2)
    for y, total in zip(at, full + part, strict=True):
        axes.annotate(
            words.count(total),
            (total, y),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.2,
        )
    axes.set_yticks(at, labels=[str(label) for _, label in table.index])
    _plain(axes, len(table), float((full + part).max()))
    axes.set_title("Declined, January 2014 to 19 July 2015", fontsize=7.2, pad=4)


def _week_bars(axes: Axes, rows: pd.DataFrame) -> None:
    gap = rows[rows["label"] == GAP_LABEL]["value"]
    held = rows[rows["label"] != GAP_LABEL].sort_values("value", ascending=False)
    at = np.arange(len(held))
    values = held["value"].to_numpy()
    axes.barh(at, values, height=0.55, color=look.ROLES["comparison"], zorder=2)
    for y, value in zip(at, values, strict=True):
        axes.annotate(
            words.count(value),
            (value, y),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.2,
        )
    axes.set_yticks(at, labels=[PACES.get(str(label), str(label)) for label in held["label"]], fontsize=6.4)
    top = float(max([*values, *gap]))
    _plain(axes, len(held), top)
    for value in gap:
        axes.axvline(value, color=look.ROLES["published"], linewidth=0.9, linestyle="--", zorder=3)
        axes.annotate(words.count(value), (value, len(held) - 0.5), xytext=(-2, 2), textcoords="offset points", ha="right",
                      va="bottom", fontsize=6.2)  # fmt: skip
    axes.set_title("The 73 days after", fontsize=7.2, pad=4)


def _plain(axes: Axes, n: int, most: float) -> None:
    axes.set_ylim(n - 0.4, -0.6)
    axes.set_xlim(0, most * 1.2)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", visible=True)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(lambda v, _: words.count(v))
    axes.set_xlabel("Declined detainers", fontsize=7)


SECTIONS = (BY_STATE, IN_WEEKS, "California", "places")
TABLED = {
    "section": "by state, in the weeks after, California, places",
    "row": "in words",
    "column": "period of the records, from January 2014, a week, or places",
    "value": "declined detainers, a week, a share, or places; missing where a bound stands",
    "low": "least the bound allows; missing where value is a count",
    "high": "most the bound allows",
}
SINCE, A_WEEK, PLACE = "From January 2014", "A week", "places"


def records_long(records: pd.DataFrame, weeks: pd.DataFrame, places: pd.DataFrame) -> pd.DataFrame:
    """Return every number of `records_table`, one a row.

    Args:
        records: frame under the contract ``detainer_records``.
        weeks: frame under the contract ``detainer_weeks``.
        places: frame under the contract ``places_counted``.

    Returns:
        Columns ``TABLED``, in the order in which the table prints them.
    """
    table = by_state(records)
    long = of.days_between(of.PRESS_FIRST, of.RECORDS_LAST)
    rows: list[tuple[object, ...]] = []
    for label, counts in table.iterrows():
        since = int(counts[LAST_FULL] + counts[LAST])
        cells: list[tuple[str, float]] = [(column, int(counts[column])) for column in PERIODS]
        cells += [(SINCE, since), (A_WEEK, 7 * since / long)]
        rows += [(BY_STATE, label, column, value, np.nan, np.nan) for column, value in cells]
    f = require(weeks, WEEKS)
    for one in f[
        f["area"].eq(of.EVERYWHERE) & f["kind"].isin([of.PUBLISHED, of.GAP, of.HELD, of.LATE])
    ].to_dict("records"):
        rows.append((IN_WEEKS, one["what"], SINCE, one["declined"], one["low"], one["high"]))
        if not words.is_missing(one["per_week"]):
            rows.append((IN_WEEKS, one["what"], A_WEEK, one["per_week"], np.nan, np.nan))
    for one in f[f["area"].ne(of.EVERYWHERE) & f["kind"].isin([of.GAP, of.SHARE, of.PUBLISHED])].to_dict(
        "records"
    ):
        rows.append(("California", _of_area(one), SINCE, one["declined"], one["low"], one["high"]))
    for one in require(places, PLACES).to_dict("records"):
        rows.append(("places", _of_place(one), PLACE, one["places"], np.nan, np.nan))
    return pd.DataFrame(rows, columns=list(TABLED))


def _of_area(row: dict[Hashable, object]) -> str:
    who = "California" if row["area"] == of.MOST else "the state after it"
    share = ", share" if row["kind"] == of.SHARE else ""
    return f"{who}{share} {row['what']}"


def _of_place(row: dict[Hashable, object]) -> str:
    if row["kind"] == "declines":
        return f"counties with {row['at_least']:.0f} or more from January 2014"
    if row["kind"] == "documented":
        return "counties with a documented limit of their own by September 2015"
    return "cities and counties with a policy, as published, at least"


def records_table(records: pd.DataFrame, weeks: pd.DataFrame, places: pd.DataFrame) -> Table:
    """Return declined detainers by state and year, the published counts, and bounds on what lies between them.

    Args:
        records: frame under the contract ``detainer_records``.
        weeks: frame under the contract ``detainer_weeks``.
        places: frame under the contract ``places_counted``.
    """
    long = records_long(records, weeks, places)
    keys = long[["section", "row"]].drop_duplicates().itertuples(index=False, name=None)
    lines = [(section, row, long[long["section"].eq(section) & long["row"].eq(row)]) for section, row in keys]
    heads = {BEFORE: "2007–2012"}

    def column(name: str) -> list[str]:
        return [_cell(cells[cells["column"] == name], name, row) for _, row, cells in lines]

    def last() -> list[str]:
        return [_cell(cells[cells["column"].isin([SINCE, PLACE])], SINCE, row) for _, row, cells in lines]

    labels = [_printed(row) for _, row, _ in lines]
    return build(
        "Declined detainers in the agency's records, and in the press",
        long,
        [
            ("", "l", 3.0, labels),
            *((heads.get(name, name), "r", 0.8, column(name)) for name in PERIODS),
            (SINCE, "r", 1.3, last()),
            (A_WEEK, "r", 0.8, column(A_WEEK)),
        ],
        [
            "Detainers whose recorded outcome is that the agency declined. Records: facility file, October 2007 to 19 July 2015, "
            "every record, whether it could be placed in a county or not; states by what each record says. Press: January 2014 to "
            "30 September 2015, and its count less the records' is of the 73 days from 20 July, if both count alike. Counts "
            "of whole records have no sampling error.",
            "As many a week, or as many for each detainer issued with detainers issued as in 1-19 July 2015: what those 73 days "
            "would hold; no forecast. Detainers without an outcome: most of them may never have been declined; the row says how many "
            "would have been, had they been declined as often as those with one. Bounds of California and of the state after it "
            "give each none or all of the difference and of the records without a state.",
        ],
    )  # fmt: skip


def _printed(row: str) -> str:
    """Return a row's label; a pace as the figure words it."""
    said = PACES[row].replace("\n", " ") if row in PACES and row != GAP_LABEL else row
    return said[:1].upper() + said[1:]


def _cell(cells: pd.DataFrame, column: str, row: str) -> str:
    """Return a printed cell: a count, a number a week, a share, or both ends of a bound."""
    if cells.empty:
        return ""
    one = cells.iloc[0]
    if ", share" in row:
        if words.is_missing(one["value"]):
            return f"{words.percent(one['low'], 0)} to {words.percent(one['high'], 0)}"
        return words.percent(one["value"], 0)
    if column == A_WEEK:
        return words.number(one["value"], 1)
    if words.is_missing(one["value"]):
        return f"{words.count(one['low'])} to {words.count(one['high'])}"
    return words.count(one["value"])
