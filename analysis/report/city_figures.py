"""Figure and table of estimates on cities: adopters before and after, matched pairs, and differences of differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.base.errors import StudyError
from analysis.evidence.matches import NOT_ESTIMATED
from analysis.evidence.results import COLUMNS as RESULTS
from analysis.evidence.studies import gonzalezobrien2019 as of
from analysis.evidence.verdict import INCONCLUSIVE, NO_VERDICT, NOT_INFORMATIVE
from analysis.report import style as look
from analysis.report import words
from analysis.report.design_tables import HEADS, label_of_variant
from analysis.report.frames import Frame, require
from analysis.report.match_tables import MARKS
from analysis.report.tables import Table, build, label_of

Labels = Mapping[str, str]

STUDY_RESULTS = Frame(
    "study_results",
    {
        "study": "name of the published study",
        **{
            name: RESULTS[name]
            for name in (
                "spec", "area", "estimand", "measure", "estimator", "definition", "window", "california", "within", "by", "scale",
                "unit", "min_population", "estimate", "std_error", "df", "level", "baseline", "bound", "percent_of_baseline",
                "percent_low", "percent_high", "n_treated", "n_comparison", "n_states", "precision", "pretrend_p", "failure",
                "simulated",
            )
        },
    },
)  # fmt: skip
CITY_LISTS = Frame(
    "city_lists",
    {
        "definition_source": "D1, D2, D5, D6 or D7",
        "level": "county, city or state: whose entries",
        "entries": "jurisdictions of the list",
        "placed": "of them those that reach a city of the panel",
        "cities": "cities reached",
        "cities_10k": "of them with 10,000 residents or more in 2010",
        "cities_100k": "with 100,000 or more",
        "limited_by_2010": "cities reached by a limit dated in or before 2010",
    },
)

STUDIES: Mapping[str, str] = {
    of.NAME: "Gonzalez O'Brien and others",
    "otsu2021": "Otsu",
    "martinezschuldt2019": "Martinez-Schuldt and Martinez",
}
# Study and named variation -> line in words; "" is the spec's own values.
LINES: Mapping[tuple[str, str], str] = {
    (of.NAME, ""): "Year before, year after",
    (of.NAME, "two-years"): "Two years before, two after",
    (of.NAME, "paired-t"): "Year before, year after, cities as if independent",
    (of.NAME, "any-limit"): "Year before, year after, any limit",
    (of.NAME, "big-cities"): "Year before, year after, large cities",
    (of.NAME, "rape-2012"): "Year before, year after, to 2012",
    (of.NAME, "rape-over-the-break"): "Over the change of definition",
    (of.NAME, "mahalanobis-2015"): "Nearest city, 2015",
    (of.NAME, "mahalanobis-2015-without-replacement"): "Nearest city, each once, 2015",
    (of.NAME, "mahalanobis-2015-within-states"): "Nearest city of the state, 2015",
    (of.NAME, "mahalanobis-2015-big-cities"): "Nearest large city, 2015",
    (of.NAME, "genetic-2015"): "Genetic matching, 2015",
    (of.NAME, "genetic-2015-big-cities"): "Genetic matching, large cities, 2015",
    (of.NAME, "mahalanobis-2012"): "Nearest city, 2012",
    (of.NAME, "mahalanobis-2012-rape"): "Nearest city, 2012",
    (of.NAME, "genetic-2012"): "Genetic matching, 2012",
    (of.NAME, "genetic-2012-rape"): "Genetic matching, 2012",
    (of.NAME, "listed-2025-in-2012"): "Cities listed in 2025, in 2012",
    (of.NAME, "listed-2025-in-2012-rape"): "Cities listed in 2025, in 2012",
    (of.NAME, "listed-2025-in-2015"): "Cities listed in 2025, in 2015",
    (of.NAME, "group-time"): "Group-time effects",
    (of.NAME, "group-time-by-residents"): "Group-time, by residents",
    (of.NAME, "group-time-within-states"): "Group-time, within states",
    (of.NAME, "group-time-big-cities"): "Group-time, large cities",
    (of.NAME, "matched-on-earlier-crime"): "Matched on earlier crime too",
    ("otsu2021", ""): "Two-way, logarithms",
    ("otsu2021", "event-study"): "Event study, logarithms",
    ("otsu2021", "group-time"): "Group-time, logarithms",
    ("otsu2021", "within-states"): "Two-way, within states",
    ("otsu2021", "from-2005"): "Two-way, from 2005",
    ("otsu2021", "rates"): "Two-way, rates",
    ("otsu2021", "published-window"): "The published years",
    ("martinezschuldt2019", ""): "1990, 2000, 2010, 2017",
    ("martinezschuldt2019", "within-states"): "The same, within states",
    ("martinezschuldt2019", "every-year"): "Every year, 1990-2017",
    ("martinezschuldt2019", "published-years"): "The published years",
}
OUTCOMES = ("violent", "violent_ex_rape", "property")
# Lines of the figure and of the printed table, in order; with California but where named.
DRAWN: tuple[tuple[str, str], ...] = (
    ("", "in"), ("", "out"), ("two-years", "in"), ("big-cities", "in"),
    ("mahalanobis-2015", "in"), ("mahalanobis-2015", "out"), ("mahalanobis-2015-without-replacement", "in"),
    ("mahalanobis-2015-within-states", "in"), ("genetic-2015", "in"), ("genetic-2015-big-cities", "in"), ("genetic-2012", "in"),
    ("listed-2025-in-2015", "in"),
    ("group-time", "in"), ("group-time", "out"), ("group-time-within-states", "in"), ("group-time-big-cities", "in"),
    ("matched-on-earlier-crime", "in"),
)  # fmt: skip
PRINTED: Mapping[str, tuple[str, ...]] = {
    of.NAME: ("", "two-years", "big-cities", "rape-2012", "mahalanobis-2015", "genetic-2015", "genetic-2012-rape",
              "group-time", "group-time-within-states", "group-time-big-cities"),
    "otsu2021": ("", "group-time", "published-window"),
    "martinezschuldt2019": ("", "every-year", "published-years"),
}  # fmt: skip
PRINTED_OUTCOMES = ("violent", "property", "rape_legacy", "total", "robbery", "murder")
INKS: Mapping[str, str] = {
    "before and after": look.OKABE_ITO["orange"],
    "matched pairs": look.ROLES["matched"],
    "difference-in-differences": look.ROLES["between"],
}
REACH, COUNTS_AT = 50.0, 70.0
BOUND = 5.0


def line_label(study: str, line: str) -> str:
    """Return a line in words; one's own variation keeps its name.

    Example:
        >>> line_label("otsu2021", "rates"), line_label("otsu2021", "my-own")
        ('Two-way, rates', 'My own')
    """
    said = LINES.get((study, line)) or label_of_variant(line)
    return said[:1].upper() + said[1:]


def _outcome(measure: str, labels: Labels | None) -> str:
    return HEADS.get(measure) or label_of(measure, labels)


def cities_rows(study_results: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `cities_figure`: lines of the city study, one row a line and outcome it shows.

    Args:
        study_results: estimates of the studies' specifications (`STUDY_RESULTS`).
    """
    found = of.city_estimates(require(study_results, STUDY_RESULTS))
    found = found[found["study"].eq(of.NAME) & found["measure"].isin(OUTCOMES)]
    order = {line: at for at, line in enumerate(DRAWN)}
    own = found["definition"].astype(str).str.endswith(".csv")
    place = pd.Series(
        [order.get(line, -1) for line in zip(found["line"], found["california"], strict=True)],
        index=found.index,
    )
    kept = found.assign(position=place + own.to_numpy() / 2)[(place >= 0).to_numpy()]
    return kept.sort_values("position", kind="stable", ignore_index=True)


def cities_figure(study_results: pd.DataFrame, labels: Labels | None = None, *, note: str = "") -> Figure:
    """Draw before-after, matched and difference-in-differences estimates on cities, in per cent of the mean.

    Args:
        study_results: estimates of the studies' specifications (`STUDY_RESULTS`).
        labels: measure to words.
        note: printed below.

    Raises:
        StudyError: no estimate of the city study among the results.
    """
    rows = cities_rows(study_results)
    if rows["percent"].notna().sum() == 0:
        raise StudyError("no estimate on cities", "results of the city study", "the run of the studies")
    places = list(dict.fromkeys(rows["position"]))
    heads = list(dict.fromkeys(rows["compared"]))
    # Down the sheet: a heading for each way of comparing, then its lines.
    at, heading, y = {}, {}, 0.0
    for compared in heads:
        heading[compared] = y
        y += 1.0
        for place in places:
            if (rows.loc[rows["position"].eq(place), "compared"] == compared).any():
                at[place] = y
                y += 1.0
        y += 0.35
    line, head, axis, left, between, right = 0.165, 0.3, 0.42, 2.02, 0.14, 0.06
    below = look.note_height(note)
    height = head + y * line + axis + below
    width = (look.WIDTH - left - right - between * (len(OUTCOMES) - 1)) / len(OUTCOMES)
    with look.style():
        fig = look.figure(height)
        for column, measure in enumerate(OUTCOMES):
            axes = fig.add_axes(
                ((left + column * (width + between)) / look.WIDTH, (below + axis) / height, width / look.WIDTH, y * line / height)
            )  # fmt: skip
            axes.set_ylim(y - 0.2, -0.6)
            _panel(axes, rows[rows["measure"].eq(measure)], at)
            axes.set_title(_outcome(measure, labels), fontsize=7.4, pad=4)
            axes.set_yticks([])
            if column == 0:
                _names(axes, rows, at, heading)
        fig.text((left + (look.WIDTH - left) / 2) / look.WIDTH, (below + 0.08) / height,
                 "Change or difference in reported crime, % of the mean; right: treated cities", ha="center", va="bottom",
                 fontsize=7.2)  # fmt: skip
        handles = [
            Line2D([], [], color=look.ROLES["mark"], marker="o", markersize=3.6, linewidth=1.0, label="95 % interval by state"),
            Line2D([], [], color=look.ROLES["mark"], marker="o", markersize=3.6, linewidth=1.0, markerfacecolor="white",
                   label="not informative, or no verdict"),
        ]  # fmt: skip
        fig.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=1, fontsize=6.3,
                   handlelength=1.8, borderaxespad=0.2, labelspacing=0.25)  # fmt: skip
        look.footnote(fig, note)
    return fig


def _panel(axes: Axes, rows: pd.DataFrame, at: Mapping[float, float]) -> None:
    axes.axvspan(-BOUND, BOUND, color=look.FAINT, alpha=0.6, linewidth=0, zorder=0)
    look.zero_line(axes, vertical=True)
    axes.set_xlim(-REACH, COUNTS_AT)
    axes.set_xticks([-40, -20, 0, 20, 40])
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}".replace("-", words.MINUS))
    axes.grid(visible=False)
    for row in rows.to_dict("records"):
        y, ink = at[row["position"]], INKS.get(str(row["compared"]), look.ROLES["mark"])
        if words.is_missing(row["percent"]):
            axes.text(0, y, "not estimated", fontsize=5.8, color=look.ROLES["mark"], ha="center", va="center")
            continue
        bare = row["precision"] in (NOT_INFORMATIVE, "")
        look.cut_span(axes, y, (row["percent_low"], row["percent_high"]), (-REACH, REACH), ink)
        axes.plot([np.clip(row["percent"], -REACH, REACH)], [y], marker="o", markersize=3.6, color=ink,
                  markerfacecolor="white" if bare else ink, markeredgewidth=0.9, zorder=4, linestyle="")  # fmt: skip
        axes.text(
            COUNTS_AT,
            y,
            words.count(row["n_treated"]),
            fontsize=5.6,
            color="#555555",
            ha="right",
            va="center",
        )


def _names(axes: Axes, rows: pd.DataFrame, at: Mapping[float, float], heading: Mapping[str, float]) -> None:
    first = rows.drop_duplicates("position")
    for row in first.to_dict("records"):
        name = line_label(str(row["study"]), str(row["line"]))
        name += ", without California" if row["california"] == "out" else ""
        name += ", own list" if str(row["definition"]).endswith(".csv") else ""
        axes.annotate(name, (0, at[row["position"]]), xycoords=axes.get_yaxis_transform(), xytext=(-4, 0),
                      textcoords="offset points", ha="right", va="center", fontsize=6.6, annotation_clip=False)  # fmt: skip
    for compared, y in heading.items():
        axes.annotate(compared[:1].upper() + compared[1:], (0, y), xycoords=axes.get_yaxis_transform(), xytext=(-4, 0),
                      textcoords="offset points", ha="right", va="center", fontsize=6.8, fontweight="bold",
                      color=INKS.get(compared, look.ROLES["mark"]), annotation_clip=False)  # fmt: skip


def cities_table(
    study_results: pd.DataFrame, lists: pd.DataFrame | None = None, labels: Labels | None = None
) -> Table:
    """Return every estimate on cities in per cent of the mean, with what its test could have found.

    Args:
        study_results: estimates of the studies' specifications (`STUDY_RESULTS`).
        lists: how many cities each list of policies reaches (`CITY_LISTS`); told in a note where given.
        labels: measure to words.
    """
    found = of.city_estimates(require(study_results, STUDY_RESULTS))
    found = found.sort_values(
        "study", key=lambda s: s.map(list(STUDIES).index), kind="stable", ignore_index=True
    )
    rows = found.to_dict("records")
    return build(
        "Cities with a policy: before and after, matched, and compared over time",
        found,
        [
            ("Design of", "l", 1.3, words.once([STUDIES[str(r["study"])] for r in rows])),
            ("Line", "l", 1.6, [_line(r) for r in rows]),
            ("Outcome", "l", 0.9, [_outcome(str(r["measure"]), labels) for r in rows]),
            ("Change, %", "r", 1.5, [_cell(r) for r in rows]),
            ("Detectable, %", "r", 0.8, [words.number(r["detectable_percent"], 1) for r in rows]),
            ("p of ±5 %", "r", 0.7, [_p_value(r) for r in rows]),
            ("Treated", "r", 0.6, [words.count(r["n_treated"]) for r in rows]),
            ("Others", "r", 0.6, [words.count(_others(r)) for r in rows]),
            ("States", "r", 0.5, [words.count(r["n_states"]) for r in rows]),
        ],
        [
            "Estimate and 95 % interval in per cent of the mean of treated cities before adoption (matched pairs: of comparison "
            "cities). A city counts as treated when the county that holds it has a documented limit on detainers: no list at hand "
            "dates the policies of cities. Covariates of matches are residents of the city, and Hispanic, foreign-born and Black "
            "shares, poverty and the vote of its county, 2006-10. Cities of 10,000 residents and more, large ones 100,000.",
            "Detectable: the change a test with this error finds four times in five. p of ±5 %: two one-sided tests of an effect "
            "as large as 5 % of the mean; small values speak for a smaller one. * different from zero; = equivalent to zero "
            "(within ±5 % of the mean); without a mark inconclusive; § not informative (fewer than 20 treated cities, or of fewer "
            "than six states) and ‡ no verdict (a list made after the outcomes, or an error that takes cities as independent): "
            "neither is read as a finding; – not estimated. Before and after has no comparison: whatever else changed is in it. "
            f"{words.DAGGER_NOTE}",
            *_failures(rows),
            *lists_notes(lists),
        ],
        selection=_printed(rows) or None,
    )  # fmt: skip


def _line(row: Mapping[Any, Any]) -> str:
    name = line_label(str(row["study"]), str(row["line"]))
    name += ", without California" if row["california"] == "out" else ""
    return name + (", own list" if str(row["definition"]).endswith(".csv") else "")


def _others(row: Mapping[Any, Any]) -> float:
    # Adopters are compared with themselves.
    return float("nan") if row["compared"] == "before and after" else float(row["n_comparison"])


def _cell(row: Mapping[Any, Any]) -> str:
    if words.is_missing(row["percent"]):
        return words.MISSING
    verdict = NOT_ESTIMATED if row["failure"] else row["precision"] or NO_VERDICT
    inside = f"{words.number(row['percent_low'], 1)} to {words.number(row['percent_high'], 1)}"
    before = " †" if words.leads_reject(row) else ""
    return (
        f"{words.number(row['percent'], 1)} ({inside}){MARKS.get(str(verdict), MARKS[INCONCLUSIVE])}{before}"
    )


def _p_value(row: Mapping[Any, Any]) -> str:
    value = row["p_equivalence"]
    if words.is_missing(value) or row["precision"] in (NOT_INFORMATIVE, ""):
        return words.MISSING
    return "<0.001" if value < 0.001 else f"{value:.2f}"


def _printed(rows: Sequence[Mapping[Any, Any]]) -> list[int]:
    """Return places of the rows the paper prints: main lines and outcomes, and any list of a user's own.

    Of a line that could not be estimated one row says so.
    """
    chosen, silent = [], set()
    for at, row in enumerate(rows):
        line = (str(row["study"]), str(row["line"]))
        own = str(row["definition"]).endswith(".csv")
        main = row["measure"] in PRINTED_OUTCOMES and row["california"] == "in"
        if not own and not (main and line[1] in PRINTED[line[0]]):
            continue
        if row["failure"] and line in silent:
            continue
        if row["failure"]:
            silent.add(line)
        chosen.append(at)
    return chosen


def _failures(rows: Sequence[Mapping[Any, Any]]) -> list[str]:
    """Return a line that says why lines could not be estimated, or none."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["failure"]:
            name = f"{STUDIES[str(row['study'])]}, {_line(row)[:1].lower()}{_line(row)[1:]}"
            reasons.setdefault(str(row["failure"]).split(";")[0].replace("county", "city"), []).append(name)
    said = [f"{'; '.join(dict.fromkeys(names))}: {why}" for why, names in reasons.items()]
    return [f"Not estimated. {'. '.join(said)}."] if said else []


SOURCES: Mapping[tuple[str, str], str] = {
    ("D2", "county"): "documented policies of counties",
    ("D5", "city"): "cities on the list of May 2025",
    ("D6", "city"): "cities on the list of August 2025",
    ("D1", "city"): "cities on the list of 2017",
}
"""Lists that are told, in order."""


def lists_notes(lists: pd.DataFrame | None) -> list[str]:
    """Return a line on how many cities each list reaches, or none without the counts.

    Args:
        lists: `CITY_LISTS`.

    Example:
        >>> lists_notes(None)
        []
    """
    if lists is None or lists.empty:
        return []
    told = [
        f"{SOURCES[row['definition_source'], row['level']]}: {words.count(row['placed'])} of "
        f"{words.count(row['entries'])} entries placed, {words.count(row['cities_10k'])} cities of 10,000 and more"
        for row in list_rows(lists)
    ]
    return [f"Lists: {'; '.join(told)}. Lists of cities are undated."] if told else []


def list_rows(lists: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of the lists that are told, in the order of `SOURCES`."""
    held = {
        (str(r["definition_source"]), str(r["level"])): {str(k): v for k, v in r.items()}
        for r in require(lists, CITY_LISTS).to_dict("records")
    }
    return [held[key] for key in SOURCES if key in held]
