"""Tables as pure functions: a frame goes in, a `Table` comes out, with its numbers and its printed cells.

Three twins are written from one record: csv (numbers), Markdown (screens), LaTeX with booktabs
    (authors). The paper
reads the printed cells from the table's json.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.base.errors import StudyError, nearest
from analysis.design.treatment import definitions_table as definitions
from analysis.report import words
from analysis.report.frames import (
    ATTRITION,
    BALANCE,
    FIRST_STAGE,
    GRID_PLAN,
    HEADLINE,
    REPORTING,
    STATUS,
    TOTALS,
    TRUST,
    require,
)
from analysis.report.style import SIMULATED

if TYPE_CHECKING:
    from analysis.estimation.estimate import Estimate


@dataclass(frozen=True, slots=True)
class Table:
    """A table ready to print.

    Args:
        title: one line.
        frame: the numbers, as written to csv.
        cells: printed cells, text, one column a printed column; column names are the headings.
        align: "l" or "r", one a printed column.
        widths: share of the width a column takes, one a printed column.
        notes: lines under the table.
        selection: places of the rows the paper prints; None for all. The other twins hold every row.
    """

    title: str
    frame: pd.DataFrame
    cells: pd.DataFrame
    align: tuple[str, ...]
    widths: tuple[float, ...]
    notes: tuple[str, ...] = ()
    selection: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse a table whose parts do not fit together."""
        if not len(self.align) == len(self.widths) == self.cells.shape[1]:
            raise StudyError(
                f"table '{self.title}': {self.cells.shape[1]} columns, {len(self.align)} alignments, "
                f"{len(self.widths)} widths"
            )
        if self.selection is not None and not set(self.selection) <= set(range(len(self.cells))):
            raise StudyError(f"table '{self.title}': a selection beyond its {len(self.cells)} rows")


def build(
    title: str,
    frame: pd.DataFrame,
    columns: Sequence[tuple[str, str, float, Iterable[str]]],
    notes: Sequence[str],
    selection: Sequence[int] | None = None,
) -> Table:
    """Return a table from (heading, alignment, width, printed cells) per column."""
    cells = pd.DataFrame(
        {heading: pd.Series(list(values), dtype=object) for heading, _, _, values in columns}
    )
    return Table(
        title, frame.reset_index(drop=True), cells, tuple(a for _, a, _, _ in columns),
        tuple(float(w) for _, _, w, _ in columns), tuple(notes),
        None if selection is None else tuple(selection),
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------------
# Writers
# --------------------------------------------------------------------------------------------------------


def to_csv(frame: pd.DataFrame) -> str:
    """Return csv text with numbers that read back to the same values; missing cells are empty."""
    return frame.to_csv(index=False, lineterminator="\n")


def to_markdown(table: Table, *, simulated: bool = False) -> str:
    """Return the table as Markdown, notes below.

    Example:
        >>> one = Table("T", pd.DataFrame({"a": [1]}), pd.DataFrame({"A": ["1"]}), ("r",), (1.0,))
        >>> print(to_markdown(one))
        **T**
        <BLANKLINE>
        | A |
        |--:|
        | 1 |
        <BLANKLINE>
    """

    def line(values: Iterable[Any]) -> str:
        return "| " + " | ".join(str(v).replace("|", "\\|").replace("\n", " ") for v in values) + " |"

    head = [f"**{SIMULATED}**", ""] if simulated else []
    rule = "|" + "|".join("--:" if a == "r" else ":--" for a in table.align) + "|"
    body = [line(row) for row in table.cells.itertuples(index=False)]
    notes = ["", *(f"{note}  " for note in table.notes)] if table.notes else []
    return "\n".join([*head, f"**{table.title}**", "", line(table.cells.columns), rule, *body, *notes]) + "\n"


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    words.MINUS: "$-$",
    words.MISSING: "--",
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "×": r"$\times$",
    "∞": r"$\infty$",
    "…": r"\ldots{}",
}


def latex_text(text: str) -> str:
    """Return text with the characters LaTeX reserves written out.

    Example:
        >>> print(latex_text("−35.5 & 15 %"))
        $-$35.5 \\& 15 \\%
    """
    return "".join(_LATEX.get(c, c) for c in str(text).replace("\n", " "))


def to_latex(table: Table, label: str, *, simulated: bool = False) -> str:
    """Return the table as a LaTeX float with booktabs rules; needs only the packages booktabs and array.

    Args:
        table: what to print.
        label: the output's id, used as ``tab:<label>``.
        simulated: whether to mark it.
    """
    total = sum(table.widths)
    spec = "".join(
        f">{{\\raggedright\\arraybackslash}}p{{{0.93 * w / total:.3f}\\linewidth}}" if a == "l" else "r"
        for a, w in zip(table.align, table.widths, strict=True)
    )
    mark = f"\\textbf{{{SIMULATED}}} " if simulated else ""
    rows = [" & ".join(map(latex_text, row)) + r" \\" for row in table.cells.itertuples(index=False)]
    lines = [
        "% Needs \\usepackage{booktabs,array}",
        r"\begin{table}[htbp]",
        r"\centering\small",
        f"\\caption{{{mark}{latex_text(table.title)}}}",
        f"\\label{{tab:{label}}}",
        f"\\begin{{tabular}}{{@{{}}{spec}@{{}}}}",
        r"\toprule",
        " & ".join(map(latex_text, table.cells.columns)) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if table.notes:
        notes = r"\\".join(latex_text(note) for note in table.notes)
        lines += ["", r"\vspace{4pt}", f"\\parbox{{\\linewidth}}{{\\footnotesize {notes}}}"]
    return "\n".join([*lines, r"\end{table}", ""])


def _selected(rows: Sequence[Sequence[str]], places: Sequence[int]) -> list[list[str]]:
    """Return some rows; a first cell left blank because the row above says the same is said again where that row is gone."""
    names: list[str] = []
    for row in rows:
        names.append(row[0] or (names[-1] if names else ""))
    out, last = [], None
    for at in places:
        shown = names[at] if rows[at][0] or names[at] != last else ""
        out.append([shown, *rows[at][1:]])
        last = names[at]
    return out


def cells_of(table: Table) -> dict[str, Any]:
    """Return what the paper prints: title, headings, rows, alignment, widths, notes; a selection says that it is one."""
    rows, notes = [[str(v) for v in row] for row in table.cells.itertuples(index=False)], list(table.notes)
    if table.selection is not None and len(table.selection) < len(rows):
        notes.append(
            f"{words.count(len(table.selection))} of {words.count(len(rows))} rows; all are in the table's csv and "
            "Markdown files."
        )
        rows = _selected(rows, table.selection)
    return {
        "title": table.title,
        "columns": [str(c) for c in table.cells.columns],
        "rows": rows,
        "align": list(table.align),
        "widths": [round(w / sum(table.widths), 4) for w in table.widths],
        "notes": notes,
    }


# --------------------------------------------------------------------------------------------------------
# The study's tables
# --------------------------------------------------------------------------------------------------------


def definitions_frame(status: pd.DataFrame) -> pd.DataFrame:
    """Return the study's definitions with their counts: who, when, which designs, areas by status, states.

    Args:
        status: frame under the contract ``status``; definitions it does not hold are left out.
    """
    require(status, STATUS)
    known = definitions().rename(columns={"name": "definition"})
    counts = status.pivot_table(
        index="definition", columns="status", values="county_fips", aggfunc="count", fill_value=0
    )
    out = known[known["definition"].isin(counts.index)].reset_index(drop=True)
    for name in ("treated", "comparison", "excluded"):
        column = counts[name] if name in counts else pd.Series(0, index=counts.index)
        out[f"n_{name}"] = out["definition"].map(column).astype(int)
    states = status[status["status"] == "treated"].groupby("definition")["state"].nunique()
    out["n_states"] = out["definition"].map(states).fillna(0).astype(int)
    return out


def definitions_table(status: pd.DataFrame) -> Table:
    """Return who each definition treats, what dates it, and which designs it can carry."""
    f = definitions_frame(status)
    return build(
        "Treatment definitions: who is treated, when, and which designs each can carry",
        f,
        [
            ("Definition", "l", 1.25, f["label"]),
            ("From", "l", 0.45, f["source"]),
            ("Who is treated", "l", 1.7, f["description"]),
            ("Dated by", "l", 1.1, f["dated"]),
            ("Cross-section", "l", 0.85, f["cross_section"]),
            ("Between states", "l", 0.95, f["between"]),
            ("Within states", "l", 0.95, f["within"]),
            ("Treated", "r", 0.6, map(words.count, f["n_treated"])),
            ("Compared", "r", 0.75, map(words.count, f["n_comparison"])),
            ("Excluded", "r", 0.7, map(words.count, f["n_excluded"])),
            ("States", "r", 0.5, map(words.count, f["n_states"])),
            ("What must be said", "l", 2.2, f["why"]),
        ],
        [
            "Counts are areas before any coverage or population rule; New York City is one area. "
            "'States' counts those that hold treated areas. The lists of 2025 are shown as a "
            "cross-section of 2015, which they postdate.",
        ],
    )


def balance_table(balance: pd.DataFrame, labels: Mapping[str, str] | None = None) -> Table:
    """Return covariate means and standardized mean differences before and after the match."""
    f = require(balance, BALANCE)
    wide = {s: f[f["sample"] == s].set_index("covariate") for s in ("before", "after")}
    order = list(dict.fromkeys(f["covariate"]))

    def column(sample: str, name: str, digits: int) -> list[str]:
        return [words.number(wide[sample][name].get(c), digits) for c in order]

    n = {s: wide[s].iloc[0] for s in wide}
    notes = [
        f"Areas before the match: {words.count(n['before']['n_treated'])} treated, "
        f"{words.count(n['before']['n_comparison'])} comparison; after: "
        f"{words.count(n['after']['n_treated'])} treated, {words.count(n['after']['n_comparison'])} "
        "distinct comparison areas. Differences are divided by the treated areas' standard deviation "
        "before the match.",
    ]
    return build(
        "Balance of the match: covariates before and after",
        f,
        [
            ("Covariate", "l", 2.2, [label_of(c, labels) for c in order]),
            ("Treated", "r", 1.0, column("before", "mean_treated", 3)),
            ("Comparison, before", "r", 1.3, column("before", "mean_comparison", 3)),
            ("Comparison, after", "r", 1.3, column("after", "mean_comparison", 3)),
            ("Std. diff., before", "r", 1.2, column("before", "standardized_mean_difference", 3)),
            ("Std. diff., after", "r", 1.2, column("after", "standardized_mean_difference", 3)),
        ],
        notes,
    )


def label_of(name: str, labels: Mapping[str, str] | None) -> str:
    """Return a measure's or covariate's name in words, first letter raised.

    Example:
        >>> label_of("log_population", None), label_of("black", {"black": "share Black"})
        ('Log population', 'Share Black')
    """
    text = (labels or {}).get(name, name.replace("_", " "))
    return text[:1].upper() + text[1:]


SAMPLES: Mapping[str, str] = {
    "main": "Main panel",
    "cross_section_2015": "Matched cross-section",
    "first_stage": "First stage",
}


def sample_words(spec: str) -> str:
    """Return a specification's name for people: its family, then what it varies.

    Example:
        >>> sample_words("main/measure=violent_ex_rape")
        'Main panel: measure violent ex rape'
    """
    family, _, varied = spec.partition("/")
    words_ = varied.replace("=", " ").replace("_", " ").replace("/", ", ")
    name = SAMPLES.get(family, family.replace("_", " "))
    return f"{name}: {words_}" if words_ else name


def attrition_table(attrition: pd.DataFrame) -> Table:
    """Return, for each spec, how many areas each sample rule leaves; every row is accounted for.

    Dropped area-years are taken between one line and the next, so the column adds up whatever the lines
    count.
    """
    f = require(attrition, ATTRITION).reset_index(drop=True)
    before = f.groupby("spec", sort=False)["county_years"].shift(1)
    dropped = (before - f["county_years"]).where(before.notna(), 0)
    first = ~f["spec"].duplicated()
    return build(
        "Attrition: what each sample rule leaves",
        f.assign(dropped=dropped.astype(int)),
        [
            (
                "Sample",
                "l",
                1.6,
                [sample_words(n) if new else "" for n, new in zip(f["spec"], first, strict=True)],
            ),
            ("Rule", "l", 3.0, f["rule"]),
            ("Areas", "r", 0.7, map(words.count, f["counties"])),
            ("Area-years", "r", 0.9, map(words.count, f["county_years"])),
            ("Treated areas", "r", 0.9, map(words.count, f["treated"])),
            ("Area-years dropped", "r", 1.1, map(words.count, dropped)),
        ],
        ["An area is a county, or New York City as one. Rules apply in the order shown."],
    )


BENCHMARKS = {"table_5": "Table 5", "estimates": "Estimates file"}


def totals_table(totals: pd.DataFrame) -> Table:
    """Return national sums of the panel beside the FBI's own totals, by year."""
    f = require(totals, TOTALS)
    years = sorted(f["year"].unique())

    def column(measure: str, name: str, show: Callable[[Any], str]) -> list[str]:
        rows = f[f["measure"] == measure].set_index("year")[name]
        return [show(rows.get(year)) for year in years]

    benchmark = f.drop_duplicates("year").set_index("year")["benchmark"].astype(str)
    return build(
        "National totals: offences in the panel beside the FBI's own totals",
        f,
        [
            ("Year", "l", 0.5, map(str, years)),
            ("Violent, panel", "r", 1.0, column("violent", "panel", words.count)),
            ("Violent, FBI", "r", 1.0, column("violent", "published", words.count)),
            ("Violent, share", "r", 0.8, column("violent", "share", words.percent)),
            ("Property, panel", "r", 1.0, column("property", "panel", words.count)),
            ("Property, FBI", "r", 1.0, column("property", "published", words.count)),
            ("Property, share", "r", 0.8, column("property", "share", words.percent)),
            ("FBI total from", "l", 1.1, [BENCHMARKS.get(benchmark[y], benchmark[y]) for y in years]),
        ],
        [
            "The panel holds city and county agencies printed with twelve complete months; state, tribal, "
            "university and other agencies, and agencies that did not report, are in the FBI's totals alone."
        ],
    )


def grid_table(plan: pd.DataFrame) -> Table:
    """Return the grid of specifications: its families, and the cells left out with the rule for each.

    Args:
        plan: from `analysis.evidence.multiverse.plan_frame`.
    """
    f = require(plan, GRID_PLAN)
    kept = f["kind"].eq("family")
    words_of = dict(zip(f.loc[kept, "family"], f.loc[kept, "label"], strict=True))
    return build(
        "The grid: specifications by family, and cells left out by rule",
        f,
        [
            ("", "l", 0.7, ["Specifications" if one else "Left out" for one in kept]),
            ("Family", "l", 1.2, [words_of.get(name, name) for name in f["family"]]),
            ("Rule", "l", 4.0, ["" if one else label for one, label in zip(kept, f["label"], strict=True)]),
            ("Cells", "r", 0.6, [words.count(n) for n in f["cells"]]),
            ("Share", "r", 0.5, [words.percent(share) for share in f["share"]]),
            ("Samples", "r", 0.6, [words.count(n) for n in f["samples"]]),
        ],
        [
            "A cell is one point estimate; its inference adds columns, no cells. Grid and families were committed before "
            "the run; matching and staggered adoption hold a fifth of the cells at least. Cells are left out by rules "
            "stated in the file of the grid, or by the protocol's own."
        ],
    )


def coverage_table(table: pd.DataFrame, measures: Mapping[str, str]) -> Table:
    """Return national coverage by year: residents policed by a reporting agency, areas at the threshold.

    Args:
        table: the panel.
        measures: measure to words.
    """
    parts = []
    for measure in measures:
        rows = table[["year", "population", f"policed_{measure}", f"coverage_{measure}"]].copy()
        rows.columns = pd.Index(["year", "population", "policed", "coverage"])
        rows["policed"] = np.minimum(rows["policed"], rows["population"])
        sums = rows.groupby("year").agg(
            residents=("population", "sum"),
            policed=("policed", "sum"),
            areas=("coverage", "size"),
            at_90=("coverage", lambda c: int((c >= 0.9).sum())),
            none=("coverage", lambda c: int((c.fillna(0) == 0).sum())),
        )
        sums["share"] = sums["policed"] / sums["residents"]
        parts.append(sums.reset_index().assign(measure=measure))
    f = pd.concat(parts, ignore_index=True)[
        ["measure", "year", "residents", "policed", "share", "areas", "at_90", "none"]
    ]
    first = f[f["measure"] == next(iter(measures))]
    columns: list[tuple[str, str, float, Iterable[str]]] = [
        ("Year", "r", 0.5, [str(y) for y in first["year"]])
    ]
    for measure, label in measures.items():
        columns.append(
            (
                f"{label_of(label, None)}, residents",
                "r",
                1.3,
                map(words.percent, f.loc[f["measure"] == measure, "share"]),
            )
        )
    lead = next(iter(measures.values()))
    columns += [
        ("Areas with 90 % or more", "r", 1.1, map(words.count, first["at_90"])),
        ("Areas with none", "r", 0.9, map(words.count, first["none"])),
        ("Areas", "r", 0.7, map(words.count, first["areas"])),
    ]
    return build(
        "Coverage: share of residents policed by an agency that reports, by year",
        f,
        columns,
        [f"Areas are counted for {lead}. Not reported is never counted as zero."],
    )


def headline_table(headline: pd.DataFrame) -> Table:
    """Return the three claims beside this study's estimates, with verdicts and comparability."""
    f = require(headline, HEADLINE).reset_index(drop=True)
    shown = f["claim"].ne(f["claim"].shift())
    claims = [words.CLAIMS.get(c, c) if s else "" for c, s in zip(f["claim"], shown, strict=True)]
    pairs = dict.fromkeys(zip(f["claim"], f["unit"], strict=True))
    units = "; ".join(f"{words.CLAIMS.get(c, c).split(':')[0]}, {u}" for c, u in pairs)
    places = {
        key: words.digits_for(
            *[
                v
                for v in rows[["estimate", "conf_low", "conf_high"]].to_numpy(float).ravel()
                if np.isfinite(v)
            ]
        )
        for key, rows in f.groupby(["claim", "unit"])
    }
    records = f.to_dict("records")
    return build(
        "Three published claims and this study's estimates of reported crime",
        f,
        [
            ("Claim", "l", 1.0, claims),
            ("Study or definition", "l", 1.35, f["label"]),
            ("Outcome, comparison", "l", 1.3, [_outcome_cell(r) for r in records]),
            ("Estimate", "r", 0.7, [_estimate_cell(r, places[(r["claim"], r["unit"])]) for r in records]),
            ("Interval", "r", 1.1, [_interval_cell(r, places[(r["claim"], r["unit"])]) for r in records]),
            ("Treated", "r", 0.6, map(words.count, f["n_treated"])),
            ("Compared", "r", 0.7, map(words.count, f["n_comparison"])),
            ("States", "r", 0.55, map(words.count, f["n_states"])),
            ("Verdict", "l", 1.3, [words.verdict_words(r) or words.MISSING for r in records]),
            ("Comparability", "l", 2.5, [r["comparability"] or words.MISSING for r in records]),
        ],
        [
            f"Units: {units}.",
            "A published figure without a published error has no interval here. Fewer than 20 treated "
            "areas, or treated areas in fewer than six states, are not informative and take no verdict.",
            words.DAGGER_NOTE,
        ],
    )  # fmt: skip


def _outcome_cell(r: Mapping[Any, Any]) -> str:
    measure = str(r.get("measure_label") or str(r["measure"]).replace("_", " "))
    across = words.COMPARISONS.get(str(r["comparison"]), str(r["comparison"]))
    return f"{measure}, {across}" if across else measure


def _estimate_cell(r: Mapping[Any, Any], digits: int) -> str:
    if words.is_missing(r["estimate"]):
        return "no size stated" if r["published"] else "not estimated"
    return words.number(r["estimate"], digits)


def _interval_cell(r: Mapping[Any, Any], digits: int) -> str:
    ends = words.interval(r["conf_low"], r["conf_high"], digits)
    return "not published" if ends == words.MISSING and r["published"] else ends


def first_stage_table(first_stage: pd.DataFrame, labels: Mapping[str, str] | None = None) -> Table:
    """Return what adoption did to declined detainers, before any estimate of reported crime."""
    f = require(first_stage, FIRST_STAGE).reset_index(drop=True)
    records = f.to_dict("records")
    return build(
        "First stage: what adoption did to declined detainers",
        f,
        [
            ("Definition", "l", 2.2, [words.definition_label(str(d)) for d in f["definition"]]),
            ("Outcome", "l", 1.9, [label_of(str(m), labels) for m in f["measure"]]),
            ("Comparison", "l", 1.1, [words.COMPARISONS.get(str(c), str(c)) for c in f["comparison"]]),
            ("California", "l", 0.7, f["california"].astype(str)),
            ("Years", "l", 0.8, f["window"].astype(str)),
            ("Estimate", "r", 0.8, [words.number(r["estimate"], 3) for r in records]),
            ("Interval", "r", 1.4, [words.interval(r["conf_low"], r["conf_high"], 3) for r in records]),
            ("Treated", "r", 0.7, map(words.count, f["n_treated"])),
            ("Compared", "r", 0.8, map(words.count, f["n_comparison"])),
            ("States", "r", 0.6, map(words.count, f["n_states"])),
            ("", "l", 1.1, ["" if r["informative"] else "not informative" for r in records]),
        ],
        [
            f"Units: {'; '.join(dict.fromkeys(f['unit'].astype(str)))}. ICE records end on 19 July 2015, so "
            "outcomes end in 2014; the adoption year itself counts as treated, about half a year for most areas.",
        ],
    )  # fmt: skip


_WEIGHTS = {"none": "every county alike", "population_baseline": "every resident alike"}


def reporting_table(reporting: pd.DataFrame) -> Table:
    """Return what adoption went with in who reports: coverage as an outcome (rule 2)."""
    f = require(reporting, REPORTING).reset_index(drop=True)
    records = f.to_dict("records")
    return build(
        "Reporting as an outcome: change in coverage of violent crime excluding rape",
        f,
        [
            (
                "Comparison",
                "l",
                1.3,
                [words.COMPARISONS.get(str(r["comparison"]), str(r["comparison"])) for r in records],
            ),
            ("California", "l", 0.8, f["california"].astype(str)),
            ("Weights", "l", 1.5, [_WEIGHTS.get(str(r["weights"]), str(r["weights"])) for r in records]),
            ("Change, points", "r", 1.0, [words.number(100 * r["estimate"], 1, sign=True) for r in records]),
            (
                "Interval",
                "r",
                1.3,
                [words.interval(100 * r["conf_low"], 100 * r["conf_high"], 1) for r in records],
            ),
            ("Leads p", "r", 0.8, [words.number(r["pretrend_p"], 3) for r in records]),
            ("Treated", "r", 0.7, map(words.count, f["n_treated"])),
            ("Compared", "r", 0.8, map(words.count, f["n_comparison"])),
            ("States", "r", 0.6, map(words.count, f["n_states"])),
            ("Interval alone", "l", 1.4, f["precision"].astype(str)),
        ],
        [
            "Percentage points of residents policed by an agency that reports. Areas are in whatever their coverage; full "
            "limits, group-time effects, errors clustered by state.",
        ],
    )


def trust_table(trust: pd.DataFrame, labels: Mapping[str, str] | None = None) -> Table:
    """Return each design's measured coverage on simulated panels beside its estimate on the data."""
    f = require(trust, TRUST).reset_index(drop=True)
    measures = list(dict.fromkeys(f["measure"]))
    wide = f.pivot(index="label", columns="measure").loc[list(dict.fromkeys(f["label"]))]
    columns: list[tuple[str, str, float, Iterable[Any]]] = [("Design", "l", 2.3, wide.index.astype(str))]
    for m in measures:
        held = [
            f"{words.percent(c, 0)} ({100 * e:.1f})"
            for c, e in zip(wide["coverage", m], wide["coverage_mc_error", m], strict=True)
        ]
        found = [
            words.estimate_text(point, low, high, 1)
            for point, low, high in wide[[("percent", m), ("percent_low", m), ("percent_high", m)]].to_numpy(
                float
            )
        ]
        name = label_of(m, labels)
        columns += [
            (f"{name}: SIMULATED coverage", "r", 1.1, held),
            (f"{name}: estimate, % of the mean", "r", 1.4, found),
        ]
    return build(
        "How often 95 % intervals hold the truth on SIMULATED panels, beside this study's estimates",
        f,
        columns,
        [
            f"Coverage: share of {int(f['draws'].max())} SIMULATED panels, with the real places and dates of adoption, whose "
            "95 % interval held the known truth (Monte Carlo error in points). Estimates are from the data, of full limits, "
            "in per cent of the mean before adoption (for the match, of the comparison mean).",
        ],
    )


# --------------------------------------------------------------------------------------------------------
# For notebooks
# --------------------------------------------------------------------------------------------------------

_KEYS: Mapping[str, str] = {
    "estimator": "estimator.name",
    "outcome": "outcome.measure",
    "build": "outcome.build",
    "scale": "outcome.scale",
    "definition": "treatment.definition",
    "within": "estimator.within",
    "weights": "estimator.weights",
    "method": "estimator.method",
    "years": "sample.years",
}


def table(
    estimates: Sequence[Estimate],
    *,
    rows: str = "estimator",
    columns: str = "outcome",
    digits: int | None = None,
) -> pd.DataFrame:
    """Lay single estimates out as a table of ``estimate (low to high)``.

    Args:
        estimates: estimates with one row each (aggregate dynamic ones first).
        rows: what tells rows apart: a spec key such as ``estimator.name``, or its short name.
        columns: what tells columns apart, likewise.
        digits: decimals; by default as many as the numbers need.

    Returns:
        A frame of text, rows and columns in order of appearance; combinations nobody estimated show a dash.

    Raises:
        StudyError: an estimate has several rows, a key is unknown, or two estimates share a cell.

    Example:
        >>> table([]).empty
        True
    """
    grid: dict[tuple[str, str], str] = {}
    for estimate in estimates:
        if len(estimate.table) != 1:
            raise StudyError(
                f"an estimate with {len(estimate.table)} rows ({estimate.estimator}, {estimate.outcome})",
                'one row; aggregate(estimate, over="post")',
            )
        flat = estimate.spec.flat()
        place = (_spec_value(flat, rows), _spec_value(flat, columns))
        if place in grid:
            raise StudyError(
                f"two estimates for {rows} = {place[0]}, {columns} = {place[1]}",
                "keys that tell estimates apart",
            )
        one = estimate.table.iloc[0]
        grid[place] = words.estimate_text(one["estimate"], one["conf_low"], one["conf_high"], digits)
    index = pd.Index(list(dict.fromkeys(r for r, _ in grid)), name=rows)
    heads = pd.Index(list(dict.fromkeys(c for _, c in grid)), name=columns)
    return pd.DataFrame(
        [[grid.get((r, c), words.MISSING) for c in heads] for r in index], index=index, columns=heads
    )


def _spec_value(flat: Mapping[str, Any], key: str) -> str:
    full = _KEYS.get(key, key)
    if full not in flat and key not in _KEYS:
        raise StudyError(f"no spec key '{key}'{nearest(key, [*flat, *_KEYS])}", "a key of the spec")
    value = flat.get(full, "none")
    return "-".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value).replace("_", " ")


def html_table(printed: Table) -> Any:
    """Return the table for a notebook (HTML), with its title and notes."""
    from great_tables import GT

    left = [c for c, a in zip(printed.cells.columns, printed.align, strict=True) if a == "l"]
    right = [c for c, a in zip(printed.cells.columns, printed.align, strict=True) if a == "r"]
    shown = (
        GT(printed.cells, id="table")
        .tab_header(title=printed.title)
        .cols_align("left", left)
        .cols_align("right", right)
    )
    for note in printed.notes:
        shown = shown.tab_source_note(note)
    return shown
