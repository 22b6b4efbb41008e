"""Figures as pure functions: a frame or a list of estimates goes in, a `Figure` comes out.

Each reads what it draws from the frame it is handed, and prints units, sample sizes and how intervals were
made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis.base.errors import StudyError
from analysis.design.design import FEWEST_TREATED
from analysis.estimation.estimate import LEAD
from analysis.report import style as look
from analysis.report import words
from analysis.report.frames import BALANCE, HEADLINE, MOVEMENT, require

if TYPE_CHECKING:
    from analysis.estimation.estimate import Estimate

# --------------------------------------------------------------------------------------------------------
# Event study
# --------------------------------------------------------------------------------------------------------


def role_of(estimate: Estimate) -> str:
    """Return ``within`` when the estimate compares counties of one state, ``between`` otherwise."""
    return "within" if estimate.spec.within == "state" else "between"


def event_frame(estimates: Sequence[Estimate], labels: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the plotted numbers of an event study: one row an estimate and event time.

    Args:
        estimates: dynamic estimates; the reference period is added as a row of zeros marked ``reference``, and leads
            that stand on another base than the effects (those of imputation) are marked ``own_base``.
        labels: one per estimate; by default estimator and comparison in words.

    Raises:
        StudyError: an estimate has no event-time rows.
    """
    if labels is not None and len(labels) != len(estimates):
        raise StudyError(f"{len(labels)} labels for {len(estimates)} estimates", "one label an estimate")
    parts = []
    for i, estimate in enumerate(estimates):
        table = estimate.table
        rows = table[table["event_time"].notna()]
        if "term" in rows and estimate.estimand != "event_time":
            rows = rows.iloc[0:0]
        if rows.empty:
            raise StudyError(
                f"estimate {i + 1} ({estimate.estimator}, {estimate.estimand}) has no event times",
                'aggregate(estimate, over="event_time")',
            )
        role = role_of(estimate)
        default = f"{words.ESTIMATORS.get(estimate.estimator, estimate.estimator)}, {_compared(estimate)}"
        part = pd.DataFrame(
            {
                "estimate_label": default if labels is None else labels[i],
                "role": role,
                "outcome": estimate.outcome,
                "unit": estimate.unit,
                "event_time": rows["event_time"].astype(int),
                "reference": False,
                "own_base": _own_base(rows),
                **{
                    c: rows[c].astype(float)
                    for c in ("estimate", "conf_low", "conf_high", "band_low", "band_high", "n_treated")
                },
                "n_counties": rows["n_counties"].astype(float),
                "baseline": estimate.baseline,
                "inference": words.inference_words(estimate.inference),
                "onset": estimate.spec.treatment.onset,
            }
        )
        if estimate.reference is not None:
            fixed = {
                k: part.iloc[0][k]
                for k in ("estimate_label", "role", "outcome", "unit", "baseline", "inference", "onset")
            }
            fixed |= {"event_time": estimate.reference, "reference": True, "own_base": False, "estimate": 0.0}
            part = pd.concat([part, pd.DataFrame([fixed])], ignore_index=True)
        parts.append(part.sort_values("event_time"))
    return pd.concat(parts, ignore_index=True)


# A mark that is half filled, between the full one of an effect and the open one of the reference.
_OWN_BASE: Mapping[str, Any] = {
    "fillstyle": "left", "markersize": 5.2, "markeredgewidth": 0.8, "markerfacecoloralt": "white",
}  # fmt: skip
_SHAPES = ("o", "s", "^", "v", "D", "P", "X", "<", ">", "p")


def _compared(estimate: Estimate) -> str:
    """Return in words what treated counties are compared with."""
    if estimate.estimator == "border_pairs":
        return "along borders"
    if estimate.spec.within == "urban_class":
        return "within urban classes"
    return words.COMPARISONS[role_of(estimate)]


def _own_base(rows: pd.DataFrame) -> pd.Series:
    """Return which rows are leads of another regression, on another base than the effects (protocol rule 13)."""
    return rows["term"].astype(str).str.startswith(LEAD)


def _event_panel(
    axes: Axes, rows: pd.DataFrame, colours: Mapping[str, str], markers: Mapping[str, str]
) -> None:
    names = list(dict.fromkeys(rows["estimate_label"]))
    reach = min(0.13 + 0.05 * (len(names) - 2), 0.36)
    offsets = np.linspace(-reach, reach, len(names)) if len(names) > 1 else [0.0]
    for name, offset in zip(names, offsets, strict=True):
        one = rows[(rows["estimate_label"] == name)]
        ink = colours[name]
        shown = one[~one["reference"].astype(bool) & drawn(one)]
        enough = shown["n_treated"] >= FEWEST_TREATED
        for (strong, own_base), part in shown.groupby([enough, shown["own_base"].astype(bool)]):
            x, alpha = part["event_time"].to_numpy(float) + offset, 1.0 if strong else 0.4
            axes.vlines(
                x, part["band_low"], part["band_high"], color=ink, linewidth=0.7, alpha=0.75 * alpha, zorder=2
            )
            axes.vlines(
                x, part["conf_low"], part["conf_high"], color=ink, linewidth=1.0 if own_base else 2.4,
                alpha=0.55 * alpha, zorder=3,
            )  # fmt: skip
            axes.plot(
                x, part["estimate"], marker=markers[name], linestyle="none", color=ink, alpha=alpha, zorder=4,
                **(_OWN_BASE if own_base else {"markersize": 4.4, "markeredgewidth": 0}),
            )  # fmt: skip
        for at in one.loc[one["reference"].astype(bool), "event_time"]:
            axes.plot(
                [at + offset], [0.0], marker=markers[name], linestyle="none", markersize=5,
                markerfacecolor="white", markeredgecolor=ink, zorder=5,
            )  # fmt: skip
    look.zero_line(axes)
    axes.axvline(-0.5, color=look.ROLES["mark"], linewidth=0.7, linestyle=(0, (3, 2)), zorder=1)
    shown = rows.loc[rows["reference"].astype(bool) | drawn(rows), "event_time"]
    times = np.arange(shown.min(), shown.max() + 1)
    axes.set_xticks(times)
    axes.set_xlim(times[0] - 0.5, times[-1] + 0.5)
    axes.tick_params(axis="x", length=0)
    axes.margins(y=0.08)


def _counts_under_axis(axes: Axes, rows: pd.DataFrame, colours: Mapping[str, str]) -> None:
    """Print treated areas per event time as rows of figures below the tick labels."""
    place = axes.get_xaxis_transform()
    height = axes.get_window_extent().height * 72 / axes.figure.dpi  # points
    line = 9.0 / height
    top = -24.0 / height
    axes.text(
        -0.01,
        top,
        "treated areas",
        transform=axes.transAxes,
        fontsize=6,
        color="#333333",
        ha="right",
        va="center",
    )
    for i, name in enumerate(dict.fromkeys(rows["estimate_label"])):
        one = rows[(rows["estimate_label"] == name) & ~rows["reference"].astype(bool)]
        low, high = axes.get_xlim()
        one = one[one["event_time"].between(low, high)]
        for time, n in zip(one["event_time"], one["n_treated"], strict=True):
            axes.text(
                time, top - i * line, words.count(n), transform=place, fontsize=6, ha="center", va="center",
                color=colours[name],
            )  # fmt: skip


def event_plot(
    estimates: Sequence[Estimate],
    labels: Sequence[str] | None = None,
    *,
    title: str = "",
) -> Figure:
    """Draw event studies: effect by year since adoption, both kinds of intervals, treated areas beneath.

    Outcomes become panels; estimates of one outcome share a panel, side by side.

    Args:
        estimates: one or more dynamic estimates that share a base period (rule 13 of the protocol). One without
            a base may stand beside them where its leads say that they have another (imputation): those are
            half filled, with thin intervals.
        labels: one per estimate; by default estimator and comparison.
        title: a line above the figure, or "".

    Returns:
        The figure; `event_frame` gives its numbers.

    Raises:
        StudyError: an estimate holds no event times, or base periods differ.
    """
    references = {estimate.reference for estimate in estimates if not _marks_its_leads(estimate)}
    if len(references) > 1:
        raise StudyError(
            f"estimates with different reference periods {sorted(map(str, references))}",
            "one universal base period (rule 13)",
        )
    return event_plot_from(event_frame(estimates, labels), title=title)


def _marks_its_leads(estimate: Estimate) -> bool:
    """Return whether an estimate has no base and says so of each of its leads, or has no leads."""
    if estimate.reference is not None:
        return False
    first = -estimate.spec.treatment.anticipation
    before = estimate.table[estimate.table["event_time"].lt(first).fillna(False)]
    return bool(_own_base(before).all())


_ONSET_AXES = {
    "first_full_year": "Years since the first full year of the policy (0 = first full year)",
    "adoption_year": "Years since adoption (0 = year of adoption)",
    "": "Years since the policy counts",
}
_ONSET_NOTES = {
    "first_full_year": "The year of adoption itself is a transition year and has no row.",
    "adoption_year": "The year of adoption counts as treated, though most policies begin within it.",
    "": "The estimates differ in the year from which a policy counts.",
}


def _onset(rows: pd.DataFrame) -> str:
    """Return the onset rule of the estimates, or "" where they differ."""
    rules = rows["onset"].unique()
    return str(rules[0]) if len(rules) == 1 else ""


def _event_note(rows: pd.DataFrame) -> str:
    """Return the note of an event study: bars, baselines, areas, inference."""
    pairs = dict.fromkeys(zip(rows["outcome"], rows["baseline"], strict=True))
    baselines = "; ".join(f"{outcome} {words.number(base, 1)}" for outcome, base in pairs)
    lines = [
        "Thick bars: pointwise intervals; thin bars: simultaneous bands over all event times. Faint: fewer "
        f"than {FEWEST_TREATED} treated areas. {_ONSET_NOTES[_onset(rows)]}",
        f"Mean before adoption: {baselines}. Areas: "
        f"{words.span(rows.groupby('estimate_label')['n_counties'].max())}.",
    ]
    made = rows.groupby(["estimate_label"], sort=False)["inference"].unique()
    every = rows["inference"].unique()
    alike = len(every) == 1 and len(made) > 2
    shown = {"all estimates": every} if alike else dict(made.items())
    lines += [f"{words.capital(str(label))}: {'; '.join(how)}." for label, how in shown.items()]
    if rows["own_base"].astype(bool).any():
        lines.append(
            "Half-filled marks: leads from untreated years alone, each compared with its cohort's earlier years and not "
            "with the reference; they are not to be joined to the effects."
        )
    if not _not_drawn(rows).empty:
        times = _not_drawn(rows)["event_time"].drop_duplicates().sort_values()
        lines.append(
            "Estimates that rest on one treated area or have no interval are in the figure's table, not drawn: event "
            f"time {words.listing([words.number(t, 0) for t in times])}."
        )
    return "\n".join(lines)


def drawn(rows: pd.DataFrame) -> pd.Series:
    """Return which rows are drawn: an interval of some width, and more than one treated area behind it.

    A single treated area has no error of its own: its interval, where one comes out, is far too narrow.
    """
    width = rows["conf_high"] - rows["conf_low"]
    return (width > 1e-9 * rows["estimate"].abs()) & (rows["n_treated"] > 1)


def _not_drawn(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[~rows["reference"].astype(bool) & rows["estimate"].notna() & ~drawn(rows)]


def _event_handles(
    rows: pd.DataFrame, colours: Mapping[str, str], markers: Mapping[str, str]
) -> list[Line2D]:
    """Return the entries of an event study's legend."""
    found = [Line2D([], [], color=c, marker=markers[n], linewidth=2, label=n) for n, c in colours.items()]
    if rows["reference"].astype(bool).any():
        found.append(
            Line2D(
                [],
                [],
                color="#4D4D4D",
                marker="o",
                markerfacecolor="white",
                linestyle="none",
                label="reference year, zero by definition",
            )
        )
    if rows["own_base"].astype(bool).any():
        found.append(
            Line2D(
                [],
                [],
                color="#4D4D4D",
                marker="o",
                linestyle="none",
                label="lead on a base of its own",
                **_OWN_BASE,
            )
        )
    return found


# Characters of a legend's line at its size, and what a handle takes of them.
_LEGEND_WIDTH, _HANDLE_WIDTH = 128, 6


def _legend_columns(labels: Sequence[str]) -> int:
    """Return how many entries of a legend stand side by side within the page."""
    longest = max(len(label) for label in labels) + _HANDLE_WIDTH
    return max(1, min(len(labels), _LEGEND_WIDTH // longest))


def event_plot_from(rows: pd.DataFrame, *, title: str = "") -> Figure:
    """Draw an event study from the frame `event_frame` returns."""
    names = list(dict.fromkeys(rows["estimate_label"]))
    panels = list(dict.fromkeys(zip(rows["outcome"], rows["unit"], strict=True)))
    cycle = [
        look.ROLES["between"],
        look.ROLES["within"],
        look.ROLES["matched"],
        look.OKABE_ITO["purple"],
        look.OKABE_ITO["black"],
        look.OKABE_ITO["sky"],
        look.OKABE_ITO["orange"],
    ]
    if len(names) > len(_SHAPES):
        raise StudyError(f"{len(names)} event studies in one figure", f"at most {len(_SHAPES)}", "the call")
    roles = rows.drop_duplicates("estimate_label").set_index("estimate_label")["role"]
    distinct = roles.nunique() == len(roles)
    colours = {n: look.ROLES[roles[n]] if distinct else cycle[i % len(cycle)] for i, n in enumerate(names)}
    markers = {n: look.MARKERS[roles[n]] if distinct else _SHAPES[i] for i, n in enumerate(names)}

    note = _event_note(rows)
    handles = _event_handles(rows, colours, markers)
    across = _legend_columns([str(handle.get_label()) for handle in handles])
    more = 0.14 * (-(-len(handles) // across) - 1)
    per, top, bottom = 2.1, 0.3 + 0.18 * bool(title) + more, look.note_height(note)
    under, last = 0.5 + 0.125 * len(names), 0.12
    height = top + bottom + len(panels) * (per + under) + last
    with look.style():
        fig = look.figure(height)
        for i, (outcome, unit) in enumerate(panels):
            here = rows[(rows["outcome"] == outcome) & (rows["unit"] == unit)]
            y0 = height - top - (i + 1) * per - i * under
            axes = fig.add_axes((0.115, y0 / height, 0.87, (per - 0.12) / height))
            _event_panel(axes, here, colours, markers)
            _counts_under_axis(axes, here, colours)
            axes.set_title(words.capital(outcome), pad=4)
            axes.set_ylabel(_wrap(words.capital(unit), 36))
            lines = 24 + 9 * len(names)
            if i == len(panels) - 1:
                axes.set_xlabel(_ONSET_AXES[_onset(rows)], labelpad=lines - 14)
        fig.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(0.1, 1 - (0.18 * bool(title) - 0.02) / height),
            ncols=across, columnspacing=1.2, handlelength=1.2, fontsize=6.8,
        )  # fmt: skip
        if title:
            fig.text(0.008, 1 - 0.06 / height, title, fontsize=9, fontweight="bold", va="top")
        look.footnote(fig, note)
    return fig


# --------------------------------------------------------------------------------------------------------
# Balance
# --------------------------------------------------------------------------------------------------------


def love_plot(
    balance: pd.DataFrame, labels: Mapping[str, str] | None = None, *, threshold: float = 0.1
) -> Figure:
    """Draw standardized mean differences before and after the match, with the threshold in both directions.

    Args:
        balance: frame under the contract ``balance``: one row a covariate and sample.
        labels: covariate to words.
        threshold: size above which a difference counts as imbalance; 0.1 by convention.

    Returns:
        The figure, covariates in order of their difference before the match.
    """
    require(balance, BALANCE)
    by_sample = balance.set_index(["covariate", "sample"])["standardized_mean_difference"]
    wide = pd.DataFrame({s: by_sample.xs(s, level="sample") for s in ("before", "after")})
    order = wide.reindex(wide["before"].abs().sort_values().index)
    n = balance.drop_duplicates("sample").set_index("sample")[["n_treated", "n_comparison"]]
    y = np.arange(len(order))
    height = 1.25 + look.STRIP + 0.21 * len(order)
    with look.style():
        fig = look.figure(height)
        axes = fig.add_axes(
            (0.31, (0.68 + look.STRIP) / height, 0.665, (height - 1.08 - look.STRIP) / height)
        )
        axes.axvspan(-threshold, threshold, color="#F0F0F0", zorder=0)
        look.zero_line(axes, vertical=True)
        axes.hlines(y, order["before"], order["after"], color="#B5B5B5", linewidth=0.9, zorder=2)
        for sample, size in (("before", 30), ("after", 26)):
            axes.scatter(
                order[sample], y, s=size, color=look.ROLES[sample], marker=look.MARKERS[sample], zorder=3,
                linewidths=0,
            )  # fmt: skip
        axes.set_yticks(
            y, [words.capital((labels or {}).get(str(c), str(c).replace("_", " "))) for c in order.index]
        )
        axes.grid(axis="x")
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.6, len(order) - 0.4)
        extent = max(float(np.nanmax(np.abs(order[["before", "after"]].to_numpy()))) * 1.08, 2.5 * threshold)
        low = min(-2.0 * threshold, 1.15 * float(order[["before", "after"]].min().min()))
        axes.set_xlim(low, extent)
        axes.set_xlabel("Standardized mean difference, treated minus comparison (standard deviations)")
        axes.text(
            threshold, 1.005, f" |difference| under {threshold:g}", transform=axes.get_xaxis_transform(),
            fontsize=6.2, color="#4D4D4D", ha="left", va="bottom",
        )  # fmt: skip
        handles = [
            Line2D(
                [], [], color=look.ROLES[s], marker=look.MARKERS[s], linestyle="none", label=f"{s} the match"
            )
            for s in ("before", "after")
        ]
        fig.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.3, 0.995), ncols=2, handletextpad=0.3)
        parts = [
            f"{s} the match {words.count(n.loc[s, 'n_treated'])} treated and "
            f"{words.count(n.loc[s, 'n_comparison'])} comparison areas"
            for s in ("before", "after")
            if s in n.index
        ]
        look.footnote(
            fig,
            words.capital("; ".join(parts)) + ".\n"
            "Covariates end before 2011. Differences are divided by the treated areas' standard deviation "
            "before the match.",
        )
    return fig


# --------------------------------------------------------------------------------------------------------
# Trends
# --------------------------------------------------------------------------------------------------------


def trend_plot(
    series: pd.DataFrame, *, adoption: int = 2014, rape_break: int = 2013, note: str = ""
) -> Figure:
    """Draw reported crime by year and group, one panel an outcome, each line named at its end.

    Args:
        series: rows group, role (treated or comparison), measure, label, year, rate (offences per
            100,000 residents
            policed), n (areas); one constant set of areas a measure.
        adoption: year shaded as the one in which most dated policies begin.
        rape_break: first year of the revised definition of rape.
        note: what the sample is, printed below.
    """
    measures = list(dict.fromkeys(series["measure"]))
    groups = series.drop_duplicates("group").set_index("group")["role"]
    years = np.arange(series["year"].min(), series["year"].max() + 1)
    dashes = dict.fromkeys(groups.index, "-")
    per, gap, top, bottom = 1.55, 0.33, 0.3, 0.3 + look.note_height(note)
    height = top + bottom + len(measures) * (per + gap) - gap
    with look.style():
        fig = look.figure(height)
        for i, measure in enumerate(measures):
            rows = series[series["measure"] == measure]
            y0 = height - top - (i + 1) * per - i * gap
            axes = fig.add_axes((0.1, y0 / height, 0.655, per / height))
            axes.axvspan(adoption - 0.5, adoption + 0.5, color="#EFEFEF", zorder=0, linewidth=0)
            ends: list[tuple[float, str, str]] = []
            for group, role in groups.items():
                one = rows[rows["group"] == group].sort_values("year")
                if one.empty:
                    continue
                ink = look.colour(str(role))
                axes.plot(
                    one["year"],
                    one["rate"],
                    color=ink,
                    linestyle=dashes[group],
                    marker=_group_marker(str(role)),
                    markersize=3.2,
                )
                last = one.iloc[-1]
                ends.append((float(last["rate"]), f"{group}\n{words.count(last['n'])} areas", ink))
            axes.set_xlim(years[0] - 0.3, years[-1] + 0.3)
            axes.set_xticks(years)
            if i < len(measures) - 1:
                axes.tick_params(axis="x", labelbottom=False)
            low, high = float(rows["rate"].min()), float(rows["rate"].max())
            spread = max(high - low, 0.2 * high)
            axes.set_ylim(max(0.0, low - 0.45 * spread), high + 0.18 * spread)
            axes.yaxis.set_major_locator(MaxNLocator(4))
            ticks = axes.yaxis.get_major_locator().tick_values(*axes.get_ylim())
            places = 0 if all(float(t).is_integer() for t in ticks) else 1
            axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _, d=places: words.number(v, d)))
            axes.set_title(words.capital(str(rows["label"].iloc[0])), pad=3)
            last_year = int(rows["year"].max())
            if last_year < years[-1]:
                axes.text(
                    rape_break - 0.38, 0.06, f"rape redefined from {rape_break}:\nseries ends in {last_year}",
                    transform=axes.get_xaxis_transform(), fontsize=6.3, color="#4D4D4D", ha="left",
                    va="bottom",
                )  # fmt: skip
            if measure in {"violent", "total", "rape_legacy"}:
                axes.axvline(rape_break - 0.5, color=look.ROLES["mark"], linewidth=0.8, linestyle=(0, (3, 2)))
            if i == 0:
                axes.text(
                    adoption, 0.03, f"most dated policies\nbegin in {adoption}",
                    transform=axes.get_xaxis_transform(), fontsize=6.3, color="#4D4D4D", ha="center",
                    va="bottom",
                )  # fmt: skip
            _label_ends(axes, ends, last_year + 0.75 if last_year < years[-1] else None)
        fig.text(
            0.012, (bottom + (height - top - bottom) / 2) / height,
            "Offences per 100,000 residents policed by reporting agencies",
            rotation=90, va="center", ha="left", fontsize=7.5,
        )  # fmt: skip
        look.footnote(fig, note)
    return fig


def _group_marker(role: str) -> str:
    return {"treated": "o", "comparison": "s"}.get(role, "^")


def _label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]], inside: float | None) -> None:
    """Write each series' name at its end (``inside``: a year) or beside the axes, moved apart."""
    low, high = axes.get_ylim()
    least = 0.21 * (high - low)
    placed = sorted(ends)
    at = [y for y, _, _ in placed]
    for k in range(1, len(at)):
        at[k] = max(at[k], at[k - 1] + least)
    over = max(0.0, at[-1] - (high - 0.08 * (high - low))) if at else 0.0
    for k in range(len(at)):
        at[k] -= over
    for y, (_, name, ink) in zip(at, placed, strict=True):
        place = axes.transAxes if inside is None else axes.transData
        x, at_y = (1.012, (y - low) / (high - low)) if inside is None else (inside, y)
        axes.text(
            x, at_y, name, transform=place, color=ink, fontsize=6.6, va="center", ha="left", linespacing=1.15
        )


def trend_series(
    table: pd.DataFrame,
    groups: pd.DataFrame,
    measures: Mapping[str, tuple[str, int, int]],
    *,
    min_coverage: float = 0.9,
) -> pd.DataFrame:
    """Return reported crime by year and group on a constant set of areas.

    A group's rate is the offences of its reporting agencies over the residents they police, so large areas
    count
    for more. An area enters a measure only if its coverage reaches the threshold in every year of that
    measure's
    window: entry and exit of agencies then move no line.

    Args:
        table: the panel, under its codebook contract.
        groups: columns county_fips, group, role.
        measures: measure to (label, first year, last year).
        min_coverage: share of residents policed by a reporting agency, every year.

    Returns:
        Rows group, role, measure, label, year, rate (per 100,000), offences, residents, n.
    """
    parts = []
    for measure, (label, first, last) in measures.items():
        window = table[table["year"].between(first, last)]
        good = window[(window[f"coverage_{measure}"] >= min_coverage) & window[measure].notna()]
        years = good.groupby("county_fips")["year"].nunique()
        steady = years.index[years == last - first + 1]
        rows = good[good["county_fips"].isin(steady)].merge(
            groups[["county_fips", "group", "role"]], on="county_fips", how="inner", validate="many_to_one"
        )
        sums = rows.groupby(["group", "role", "year"], as_index=False, sort=False).agg(
            offences=(measure, "sum"), residents=(f"policed_{measure}", "sum"), n=("county_fips", "nunique")
        )
        sums.insert(2, "measure", measure)
        sums.insert(3, "label", label)
        sums["rate"] = 1e5 * sums["offences"] / sums["residents"]
        parts.append(sums)
    order = {g: i for i, g in enumerate(dict.fromkeys(groups["group"]))}
    whole = pd.concat(parts, ignore_index=True)
    ranks = pd.DataFrame(
        {"m": whole["measure"].map({m: i for i, m in enumerate(measures)}), "g": whole["group"].map(order)}
    )
    return whole.loc[ranks.assign(y=whole["year"]).sort_values(["m", "g", "y"]).index].reset_index(drop=True)


# --------------------------------------------------------------------------------------------------------
# The headline comparison
# --------------------------------------------------------------------------------------------------------

# Left edges of the columns of a row, as shares of the width.
_AT = {
    "label": 0.008,
    "comparison": 0.215,
    "plot": 0.285,
    "estimate": 0.535,
    "areas": 0.722,
    "verdict": 0.812,
}
_PLOT = 0.24
_ROW = 0.14  # inches

_SHORT_AGREEMENT: Mapping[str, str] = {
    "published size inside the interval": "size inside",
    "published null, equivalent to zero here": "no difference",
    "published null, different from zero here": "a difference",
    "same sign, another size": "same sign",
    "another size, sign not determined": "other size",
}


def forest_panels(headline: pd.DataFrame) -> list[tuple[str, pd.DataFrame, int]]:
    """Return the panels of a forest: claim, rows drawn, and how many estimates are left to the table.

    A published figure opens a panel, and the estimates after it stand beside it; those that are not informative are
    not drawn.

    Args:
        headline: frame under the contract ``headline``.
    """
    require(headline, HEADLINE)
    number = headline["published"].astype(bool).cumsum()
    panels = []
    for _, part in headline.groupby([headline["claim"], number], sort=False):
        silent = ~part["published"].astype(bool) & part["precision"].astype(str).str.startswith(
            "not informative"
        )
        panels.append((str(part["claim"].iloc[0]), part[~silent].reset_index(drop=True), int(silent.sum())))
    return panels


def forest_plot(headline: pd.DataFrame, *, note: str = "") -> Figure:
    """Draw the published claims beside this study's estimates, a panel a claim and outcome.

    A published figure without a published error is a point without a line; a published null without a size is
    words alone. Estimates that are not informative are left to the table, and counted in the panel.

    Args:
        headline: frame under the contract ``headline``, rows in the order to be shown.
        note: what holds for every row, printed below.
    """
    panels = forest_panels(headline)
    claims = list(dict.fromkeys(claim for claim, _, _ in panels))
    heading, title, under, gap = 0.22, 0.15, 0.26, 0.05
    lines = [len(part) + bool(omitted) for _, part, omitted in panels]
    note = f"{note}\n* Violent crime excluding rape." if _has_near(panels) else note
    height = 0.04 + look.note_height(note) + len(claims) * heading + len(panels) * (title + under + gap)
    height += sum(lines) * _ROW
    previous = ""
    with look.style():
        fig = look.figure(height)
        y = height - 0.04
        for (claim, part, omitted), n in zip(panels, lines, strict=True):
            if claim != previous:
                text = words.CLAIMS.get(claim, claim)
                fig.text(0.008, (y - 0.06) / height, text, fontsize=8, fontweight="bold", va="center")
                y -= heading
            measure = _measure_words(part.iloc[0].to_dict())
            cells = (
                ("label", words.capital(measure)),
                ("estimate", "estimate (interval)"),
                ("areas", "areas, states"),
            )
            for column, text in (*cells, ("verdict", "verdict")):
                own = column == "label"
                fig.text(
                    _AT[column], (y - 0.06) / height, text, fontsize=6.2 if own else 5.6, va="center",
                    color="#1A1A1A" if own else "#4D4D4D", fontweight="bold" if own else "normal",
                )  # fmt: skip
            y -= title + n * _ROW
            axes = fig.add_axes((_AT["plot"], y / height, _PLOT, n * _ROW / height))
            _forest_panel(axes, part, n, omitted)
            y -= under + gap
            previous = claim
        look.footnote(fig, note)
    return fig


def _measure_words(r: Mapping[Any, Any]) -> str:
    return str(r.get("measure_label") or str(r["measure"]).replace("_", " "))


def _near(r: Mapping[Any, Any], main: str) -> bool:
    return str(r["measure"]) != main and str(r["measure"]).endswith("ex_rape")


def _has_near(panels: Sequence[tuple[str, pd.DataFrame, int]]) -> bool:
    return any(
        _near(r, str(part["measure"].iloc[0])) for _, part, _ in panels for r in part.to_dict("records")
    )


def _forest_panel(axes: Axes, rows: pd.DataFrame, lines: int, omitted: int) -> None:
    axes.set_ylim(lines - 0.5, -0.5)
    axes.set_yticks([])
    for side in ("left", "top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x")
    look.zero_line(axes, vertical=True)
    ends = rows[["estimate", "conf_low", "conf_high"]].to_numpy(dtype=float, na_value=np.nan)
    finite = ends[np.isfinite(ends)]
    reach = float(np.abs(finite).max()) * 1.08 if len(finite) else 1.0
    axes.set_xlim(-reach, reach)
    ticks = MaxNLocator(4).tick_values(-reach, reach)
    axes.set_xticks([t for t in ticks if abs(t) < 0.95 * reach] if len(finite) else [0])
    axes.tick_params(axis="x", labelsize=5.8, pad=1.5, length=2)
    axes.set_xlabel(str(rows["unit"].iloc[0]), fontsize=6, labelpad=1)
    places = words.digits_for(*finite)
    main = str(rows["measure"].iloc[0])
    for i, r in enumerate(rows.to_dict("records")):
        _forest_row(axes, i, r, reach, places, star=_near(r, main))
    if omitted:
        noun = "estimate is" if omitted == 1 else "estimates are"
        text = f"{omitted} more {noun} not informative: in the table alone"
        at = (_AT["label"] - _AT["plot"]) / _PLOT
        place = axes.get_yaxis_transform()
        axes.text(
            at, lines - 1, text, transform=place, fontsize=5.8, va="center", color="#4D4D4D", style="italic"
        )


def _forest_row(axes: Axes, i: int, r: Mapping[Any, Any], reach: float, places: int, *, star: bool) -> None:
    published = bool(r["published"])
    role = "published" if published else str(r["comparison"])
    ink = look.ROLES.get(role, "#333333")
    if i % 2 == 0:
        axes.axhspan(i - 0.5, i + 0.5, color="#F7F7F7", zorder=0, linewidth=0)
    bounded = not (words.is_missing(r["conf_low"]) or words.is_missing(r["conf_high"]))
    if not words.is_missing(r["estimate"]):
        if bounded:
            low, high = max(float(r["conf_low"]), -reach), min(float(r["conf_high"]), reach)
            axes.hlines(i, low, high, color=ink, linewidth=1.3, alpha=0.8, zorder=3)
        axes.plot(
            [r["estimate"]], [i], marker=look.MARKERS.get(role, "o"), color=ink, markersize=3.6, zorder=4
        )
    estimate = words.estimate_text(r["estimate"], r["conf_low"], r["conf_high"], places)
    if published:
        label, beside, areas, verdict = (
            _short_study(str(r["label"])),
            "",
            words.count(r["n_treated"]),
            "published",
        )
        if words.is_missing(r["estimate"]):
            estimate = "no size published"
        elif not bounded:
            estimate = f"{estimate} (no interval)"
    else:
        label, beside = str(r["label"]), f"{r['comparison']}{'*' if star else ''}"
        areas = f"{words.count(r['n_treated'])}, {words.count(r['n_states'])}"
        short = _SHORT_AGREEMENT.get(str(r["agreement"]), str(r["agreement"] or ""))
        verdict = f"{r['verdict']}: {short}" if short else str(r["verdict"])
        if words.leads_reject(r):
            verdict += " †"
    place = axes.get_yaxis_transform()
    for column, text, shade, size in (
        ("label", _clip(label, 36), "#1A1A1A", 6.0),
        ("comparison", beside, ink, 6.0),
        ("estimate", estimate, "#1A1A1A", 6.0),
        ("areas", areas, "#1A1A1A", 6.0),
        ("verdict", _clip(verdict, 33), "#1A1A1A", 5.6),
    ):
        at = (_AT[column] - _AT["plot"]) / _PLOT
        weight = "bold" if published and column == "label" else "normal"
        axes.text(
            at,
            i,
            text,
            transform=place,
            va="center",
            ha="left",
            fontsize=size,
            color=shade,
            fontweight=weight,
        )


def _short_study(label: str) -> str:
    """Return a study's name with three or more authors cut to the first.

    Example:
        >>> _short_study("Abel, Baker and Cole 2019"), _short_study("Abel and Baker 2018")
        ('Abel et al. 2019', 'Abel and Baker 2018')
    """
    names, _, year = label.rpartition(" ")
    return f"{names.split(',')[0]} et al. {year}" if "," in names else label


# --------------------------------------------------------------------------------------------------------
# How the answer moves
# --------------------------------------------------------------------------------------------------------


def variation_plot(
    moves: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    note: str = "",
) -> Figure:
    """Draw how the answer moves with definition, rate build, California and comparison.

    Rows of panels are outcomes, columns rate builds, lines definitions; colour and shape tell the
    comparison, filled
    marks include California. Values are per cent of the treated areas' mean before treatment, so that
    builds with
    other denominators share an axis.

    Args:
        moves: frame under the contract ``movement``; one row a point estimate.
        labels: measure to words.
        note: what holds for every row, printed below.
    """
    rows = require(moves, MOVEMENT)
    measures = list(dict.fromkeys(rows["measure"]))
    builds = [b for b in words.BUILDS if b in set(rows["build"])]
    definitions = sorted(dict.fromkeys(rows["definition"]), key=words.definition_rank)
    ways = [("between", "in"), ("between", "out"), ("within", "in"), ("within", "out")]
    offsets = dict(zip(ways, (-0.27, -0.09, 0.09, 0.27), strict=True))
    per, top, gap, bottom = 0.31 * len(definitions) + 0.12, 0.76, 0.42, look.note_height(note) + 0.4
    height = top + bottom + len(measures) * (per + gap) - gap
    left, right, between = 0.265, 0.012, 0.018
    width = (1 - left - right - between * (len(builds) - 1)) / len(builds)
    with look.style():
        fig = look.figure(height)
        for i, measure in enumerate(measures):
            here = rows[rows["measure"] == measure]
            name = (labels or {}).get(measure, measure.replace("_", " "))
            ends = here[["percent", "percent_low", "percent_high"]].to_numpy(float)
            # One scale a row of panels, cut at what nearly all intervals need; arrows mark those that go on.
            reach = float(np.nanquantile(np.abs(ends), 0.97)) * 1.12 if np.isfinite(ends).any() else 1.0
            y0 = height - top - (i + 1) * per - i * gap
            for j, build in enumerate(builds):
                axes = fig.add_axes((left + j * (width + between), y0 / height, width, per / height))
                _variation_panel(axes, here[here["build"] == build], definitions, offsets, reach)
                if j == 0:
                    axes.set_yticks(
                        range(len(definitions)),
                        [_wrap(words.definition_label(d), 31) for d in definitions],
                    )
                    axes.tick_params(axis="y", length=0, labelsize=6.3)
                    axes.text(
                        -left / width + 0.03, 1.0 + 0.06 / per, _wrap(words.capital(name), 22),
                        transform=axes.transAxes, fontsize=8, fontweight="bold", va="bottom", ha="left",
                    )  # fmt: skip
                else:
                    axes.set_yticks(range(len(definitions)), [""] * len(definitions))
                    axes.tick_params(axis="y", length=0)
                if i == 0:
                    axes.set_title(
                        words.BUILDS[build], fontsize=6.9, fontweight="normal", pad=4, loc="center"
                    )
        fig.text(
            left + (1 - left - right) / 2, (bottom - 0.34) / height,
            "Change in reported crime, % of the mean before adoption",
            ha="center", va="center", fontsize=7.5,
        )  # fmt: skip
        handles = [
            Line2D([], [], color=look.ROLES[c], marker=look.MARKERS[c], markersize=4, linewidth=1.2,
                   markerfacecolor=look.ROLES[c] if s == "in" else "white",
                   label=f"{words.COMPARISONS[c]}, {'with' if s == 'in' else 'without'} California")
            for c, s in ways
        ]  # fmt: skip
        fig.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=2,
            columnspacing=2.5,
            handlelength=1.6,
            fontsize=6.8,
        )
        look.footnote(fig, note)
    return fig


def _variation_panel(
    axes: Axes,
    rows: pd.DataFrame,
    definitions: Sequence[str],
    offsets: Mapping[tuple[str, str], float],
    reach: float,
) -> None:
    look.zero_line(axes, vertical=True)
    for r in rows.to_dict("records"):
        way = (str(r["comparison"]), str(r["california"]))
        # A point without an interval would look more certain than one with it.
        if way not in offsets or any(
            words.is_missing(r[c]) for c in ("percent", "percent_low", "percent_high")
        ):
            continue
        at = definitions.index(r["definition"]) + offsets[way]
        ink = look.ROLES[way[0]]
        faint = 0.4 if str(r["precision"]).startswith("not informative") else 1.0
        low, high = max(float(r["percent_low"]), -reach), min(float(r["percent_high"]), reach)
        axes.hlines(at, low, high, color=ink, linewidth=1.1, alpha=faint, zorder=3)
        if r["percent_low"] < -reach:
            axes.plot(
                [-reach * 0.985], [at], marker="<", color=ink, markersize=2.6, alpha=faint, clip_on=False
            )
        if r["percent_high"] > reach:
            axes.plot(
                [reach * 0.985], [at], marker=">", color=ink, markersize=2.6, alpha=faint, clip_on=False
            )
        if abs(float(r["percent"])) <= reach:
            axes.plot(
                [r["percent"]], [at], marker=look.MARKERS[way[0]], color=ink, markersize=3.3, alpha=faint,
                zorder=4, markerfacecolor=ink if way[1] == "in" else "white", markeredgewidth=0.8,
            )  # fmt: skip
    axes.set_xlim(-reach, reach)
    axes.set_ylim(len(definitions) - 0.45, -0.55)
    axes.grid(axis="x")
    axes.grid(axis="y", visible=False)
    for line in range(1, len(definitions)):
        axes.axhline(line - 0.5, color="#EBEBEB", linewidth=0.6, zorder=0)
    ticks = MaxNLocator(4).tick_values(-reach, reach)
    axes.set_xticks([t for t in ticks if abs(t) < 0.88 * reach])
    axes.tick_params(axis="x", labelsize=6.3)


# --------------------------------------------------------------------------------------------------------
# Coverage
# --------------------------------------------------------------------------------------------------------


THIN = 0.8  # shares below this are printed in the cells


def coverage_by_state(table: pd.DataFrame, measure: str = "violent_ex_rape") -> pd.DataFrame:
    """Return, by state and year, the share of residents policed by an agency that reports the measure.

    Args:
        table: the panel.
        measure: a measure with columns ``policed_*``.

    Returns:
        Rows state, year, residents, policed, coverage (share, cut at 1).
    """
    sums = table.groupby(["state", "year"], as_index=False).agg(
        residents=("population", "sum"), policed=(f"policed_{measure}", "sum")
    )
    sums["coverage"] = (sums["policed"] / sums["residents"]).clip(upper=1.0)
    return sums


def coverage_plot(coverage: pd.DataFrame, *, measure_label: str, note: str = "") -> Figure:
    """Draw coverage by state and year, states from best to worst covered, low shares printed in the cells.

    Args:
        coverage: frame of `coverage_by_state`.
        measure_label: the measure in words.
        note: printed below.
    """
    wide = coverage.pivot_table(index="state", columns="year", values="coverage", aggfunc="first")
    wide = wide.loc[wide.mean(axis=1).sort_values(ascending=False).index]
    steps = [0, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0001]
    # Dark = little is known: steps of one blue hue that also read in grey.
    inks = ListedColormap(["#3A0F4F", "#414487", "#2A788E", "#5DA5A0", "#A5CFC4", "#D6EAE2", "#F4F9F6"])
    codes = np.digitize(wide.fillna(0).to_numpy(float), steps[1:-1])
    bottom = look.note_height(note) + 0.06
    height = 0.128 * len(wide) + 0.5 + bottom
    with look.style():
        fig = look.figure(height)
        axes = fig.add_axes((0.055, bottom / height, 0.765, (height - 0.42 - bottom) / height))
        axes.imshow(codes, cmap=inks, vmin=0, vmax=len(steps) - 2, aspect="auto", interpolation="nearest")
        for i, j in zip(*np.nonzero(wide.fillna(0).to_numpy(float) < THIN), strict=True):
            value = wide.iloc[i, j]
            axes.text(
                j, i, words.number(100 * value, 0) if np.isfinite(value) else "–", ha="center", va="center",
                fontsize=5.4, color="white" if codes[i, j] < 3 else "#1A1A1A",
            )  # fmt: skip
        axes.set_xticks(range(wide.shape[1]), [str(y) for y in wide.columns])
        axes.xaxis.tick_top()
        axes.set_yticks(range(len(wide)), list(wide.index))
        axes.tick_params(length=0, labelsize=5.8)
        axes.tick_params(axis="x", labelsize=6.8)
        axes.grid(visible=False)
        axes.set_xticks(np.arange(-0.5, wide.shape[1]), minor=True)
        axes.set_yticks(np.arange(-0.5, len(wide)), minor=True)
        axes.grid(which="minor", color="white", linewidth=0.6)
        axes.tick_params(which="minor", length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        fig.text(
            0.008, 1 - 0.06 / height, f"Coverage, {measure_label}", fontsize=8.5, fontweight="bold", va="top"
        )
        names = ["under 25 %", "25-50", "50-70", "70-80", "80-90", "90-95", "95 % or more"]
        key = fig.add_axes((0.84, 1 - 2.45 / height, 0.026, 1.55 / height))
        key.imshow(np.arange(len(names))[:, None], cmap=inks, vmin=0, vmax=len(names) - 1, aspect="auto")
        key.set_xticks([])
        key.set_yticks(range(len(names)), names)
        key.yaxis.tick_right()
        key.tick_params(length=0, labelsize=6)
        key.grid(visible=False)
        key.spines[:].set_visible(False)
        fig.text(
            0.84,
            1 - 0.84 / height,
            "Share of residents\npoliced by an agency\nthat reports",
            fontsize=6,
            va="bottom",
            linespacing=1.2,
        )
        look.footnote(fig, note)
    return fig


# --------------------------------------------------------------------------------------------------------


def _clip(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _wrap(text: str, width: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width))
