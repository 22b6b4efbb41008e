"""One page for a run: what was estimated, on whom, the answer with both interval ends, what was dropped."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.base.codebook import Codebook
from analysis.base.errors import StudyError
from analysis.base.paths import replacing
from analysis.base.provenance import make_stamp
from analysis.base.records import Panel
from analysis.design.design import make_design
from analysis.design.spec import Spec
from analysis.design.words import describe
from analysis.estimation.estimate import Estimate
from analysis.evidence.checks.balance import balance
from analysis.evidence.results import ONE_EFFECT
from analysis.evidence.runs import Runs
from analysis.report import figures, words
from analysis.report import style as look
from analysis.report.outputs import write_figure
from analysis.report.paper import compile_typst
from analysis.report.style import SIMULATED

PILOT = "Pilot estimates on these data were seen before any specification was written; nothing here is called confirmatory."
MOST_ROWS = 24  # of single estimates drawn and printed on the page; the csv holds all


def page_rows(results: pd.DataFrame) -> pd.DataFrame:
    """Return the answers of a run: its single estimates, in the order they were run.

    Args:
        results: frame of `analysis.evidence.results.results_frame`.
    """
    return results[results["estimand"].isin(ONE_EFFECT) & results["estimate"].notna()].reset_index(drop=True)


def answer_line(row: Mapping[Any, Any]) -> str:
    """Return one single estimate as a sentence: both interval ends, areas, states, inference, verdict.

    Args:
        row: a row of results.

    Example:
        >>> row = {"outcome": "Reported property crime", "spec": "mine", "design": "panel", "estimate": 4.2, "conf_low": -10.0,
        ...        "conf_high": 18.4, "unit": "per 100,000", "baseline": 2600.0, "n_treated": 60, "n_comparison": 820,
        ...        "n_states": 2, "states_identifying": "IA WI", "inference": "95 % intervals", "precision": "inconclusive"}
        >>> answer_line(row)[:72]
        'Reported property crime (mine): +4.2 (−10.0 to 18.4) per 100,000; mean b'
    """
    places = words.digits_for(row["estimate"], row["conf_low"], row["conf_high"])
    size, ends = (
        words.number(row["estimate"], places, sign=True),
        words.interval(row["conf_low"], row["conf_high"], places),
    )
    whose = "mean of comparison areas" if row["design"] == "cross_section" else "mean before adoption"
    verdict = f" Precision: {row['precision']}." if not words.is_missing(row["precision"]) else " No verdict."
    return (
        f"{row['outcome']} ({row['spec']}): {size} ({ends}) {row['unit']}; {whose} "
        f"{words.number(row['baseline'], places)}. {words.count(row['n_treated'])} treated and "
        f"{words.count(row['n_comparison'])} comparison areas; identified by {row['states_identifying'] or 'no state'}. "
        f"{row['inference']}.{verdict}"
    )


def single_plot(rows: pd.DataFrame) -> Figure:
    """Draw single estimates with their intervals, a panel a unit, numbers beside them.

    Args:
        rows: single estimates, frame of `page_rows`.

    Raises:
        StudyError: there is nothing to draw.
    """
    if rows.empty:
        raise StudyError("no single estimate to draw", "a spec that could be estimated")
    parts = list(rows.groupby("unit", sort=False))
    note = f"Intervals: {'; '.join(dict.fromkeys(rows['inference'].astype(str)))}."
    height = 0.1 + look.note_height(note) + sum(0.3 * len(part) + 0.5 for _, part in parts)
    ink = look.colour("between")
    with look.style():
        fig = look.figure(height)
        y = height - 0.08
        for unit, part in parts:
            h = 0.3 * len(part)
            y -= h
            axes = fig.add_axes((0.36, y / height, 0.37, h / height))
            look.zero_line(axes, vertical=True)
            at = range(len(part))
            axes.hlines(at, part["conf_low"], part["conf_high"], color=ink, linewidth=1.5)
            axes.plot(part["estimate"], at, "o", color=ink)
            axes.set_ylim(len(part) - 0.5, -0.5)
            names = [f"{r['outcome']}\n{_middle(str(r['spec']))}" for r in part.to_dict("records")]
            axes.set_yticks(list(at), names, fontsize=5.8)
            axes.tick_params(axis="y", length=0)
            axes.grid(axis="x")
            axes.grid(axis="y", visible=False)
            axes.set_xlabel(str(unit), fontsize=6.5)
            for i, r in enumerate(part.to_dict("records")):
                text = words.estimate_text(r["estimate"], r["conf_low"], r["conf_high"])
                areas = f"{words.count(r['n_treated'])} treated, {words.count(r['n_comparison'])} comparison"
                place = axes.get_yaxis_transform()
                axes.text(1.03, i - 0.16, text, transform=place, fontsize=6.3, va="center")
                axes.text(1.03, i + 0.2, areas, transform=place, fontsize=5.6, va="center", color="#4D4D4D")
            y -= 0.5
        look.footnote(fig, note)
    return fig


def _middle(text: str, most: int = 46) -> str:
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-most // 2 :]}"


ANSWER = "The answer, in reported crime"


def page_text(
    title: str, description: str, answers: Sequence[str], rules: Sequence[Sequence[str]], notes: Sequence[str], *,
    figure: str, simulated: bool, answer: str = ANSWER,
) -> str:  # fmt: skip
    """Return the summary of a run as Markdown.

    Args:
        title: of the spec.
        description: what was estimated, in words (as ``check`` prints it).
        answers: one sentence a single estimate.
        rules: rule, areas, area-years, treated areas, as text.
        notes: what must be said beside the numbers.
        figure: file name of the picture.
        simulated: whether the numbers are simulated.
        answer: heading of the answer.
    """
    head = [f"**{SIMULATED}: known effects built in, evidence of nothing**", ""] if simulated else []
    parts = [
        *head, f"# {title}", "", f"## {answer}", "",
        *(f"- {line}" for line in answers or ["No single estimate was made."]), "", f"![The estimates]({figure})", "",
        "## What is left of the sample", "", "| Rule | Areas | Area-years | Treated areas |", "|:--|--:|--:|--:|",
        *("| " + " | ".join(rule) + " |" for rule in rules), "", "## What was estimated", "", "```text",
        description.strip(), "```", "", "## To be said beside these numbers", "", *(f"- {note}" for note in notes), "",
    ]  # fmt: skip
    return "\n".join(parts)


_PAGE = r"""
#let page-data = json(sys.inputs.page)
#set document(title: page-data.title, date: none)
#set page(
  paper: "us-letter", margin: (x: 0.9in, y: 0.75in),
  header: if page-data.simulated { align(center, text(fill: rgb("#B00020"), weight: "bold", size: 9pt)[
    SIMULATED DATA: known effects built in, evidence of nothing]) },
  background: if page-data.simulated { rotate(-52deg, text(size: 74pt, weight: "bold", fill: rgb("#B0002018"))[
    SIMULATED DATA]) },
)
#set text(font: "Libertinus Serif", size: 9pt, lang: "en", region: "gb")
#set par(leading: 0.5em)
#show heading: set block(above: 0.9em, below: 0.5em)
#text(size: 14pt, weight: "bold", page-data.title)

#heading(level: 2, page-data.answer)
#list(..page-data.answers.map(a => [#a]))
#align(center, image(sys.inputs.figure, width: 100%, height: 3.3in, fit: "contain"))
== What is left of the sample
#text(size: 7.6pt, table(
  columns: (1fr, auto, auto, auto), align: (left, right, right, right), stroke: none, inset: (x: 4pt, y: 1.8pt),
  table.hline(stroke: 0.8pt), table.header([*Rule*], [*Areas*], [*Area-years*], [*Treated areas*]),
  table.hline(stroke: 0.4pt), ..page-data.rules.flatten(), table.hline(stroke: 0.8pt),
))
== To be said beside these numbers
#text(size: 8pt, list(..page-data.notes.map(a => [#a])))
"""


def write_page(spec: Spec, runs: Runs, panel: Panel, folder: Path, codebook: Codebook) -> list[Path]:
    """Write a run's figures and its summary: summary.md and summary.pdf.

    Figures: ``answers`` (every single estimate), ``event_study`` where the estimator gives event times, ``balance``
    where counties are matched; each as pdf, png, csv and json.

    Args:
        spec: as loaded, with its grid.
        runs: what came of it.
        panel: what it was run on.
        folder: where.
        codebook: covariate labels.

    Returns:
        The files written; none where nothing could be estimated.
    """
    rows = page_rows(runs.results)
    done = [run for run in runs.runs if not run.failure]
    if rows.empty or not done:
        return []
    facts = {
        "specs": {run.spec.name: run.spec.digest for run in done},
        "stamp": make_stamp(panel.digest, panel.simulated, spec.digest).to_dict(),
    }

    def write(name: str, figure: Figure, frame: pd.DataFrame) -> list[Path]:
        return write_figure(figure, frame, folder, name, {"output": name, **facts}, simulated=panel.simulated)

    paths = write("answers", single_plot(rows.head(MOST_ROWS)), rows)
    shown = "answers"
    dynamic = _dynamic([run.estimates["event_time"] for run in done if "event_time" in run.estimates])
    if dynamic:
        frame = figures.event_frame(dynamic)
        paths += write("event_study", figures.event_plot_from(frame), frame)
        shown = "event_study"
    first = done[0].spec
    if first.design.kind == "cross_section" and first.covariates.names:
        frame = balance(make_design(panel, first))
        paths += write("balance", figures.love_plot(frame, codebook.covariate_labels), frame)
    answers = [answer_line(r) for r in rows.head(MOST_ROWS).to_dict("records")]
    if len(rows) > MOST_ROWS:
        answers.append(f"{len(rows) - MOST_ROWS} more estimates stand in estimates.csv.")
    rules = [
        [str(a["rule"]), *(words.count(a[c]) for c in ("counties", "county_years", "treated"))]
        for a in done[0].attrition.to_dict("records")
    ]
    notes = list(dict.fromkeys([*(n for e in done[0].estimates.values() for n in e.notes), PILOT]))
    offences = any(codebook.measures[run.spec.outcome.measure].kind == "offences" for run in done)
    answer = ANSWER if offences else "The answer"
    text = page_text(
        spec.title, describe(spec), answers, rules, notes, figure=f"{shown}.png", simulated=panel.simulated,
        answer=answer,
    )  # fmt: skip
    with replacing(folder / "summary.md") as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    page = {
        "title": spec.title,
        "answer": answer,
        "answers": answers,
        "rules": rules,
        "notes": notes,
        "simulated": panel.simulated,
    }
    return [*paths, folder / "summary.md", _page_pdf(folder / f"{shown}.pdf", page, folder / "summary.pdf")]


def _dynamic(estimates: Sequence[Estimate]) -> list[Estimate]:
    """Return the event studies of the first outcome: the first between and the first within states."""
    chosen: dict[tuple[str, str], Estimate] = {}
    for estimate in estimates:
        outcomes = dict.fromkeys(outcome for outcome, _ in chosen)
        same_base = not chosen or next(iter(chosen.values())).reference == estimate.reference
        if same_base and (estimate.outcome in outcomes or not outcomes):
            chosen.setdefault((estimate.outcome, figures.role_of(estimate)), estimate)
    return list(chosen.values())


def _page_pdf(figure: Path, page: Mapping[str, Any], target: Path) -> Path:
    """Return the summary as PDF; its source is put into a folder of its own, so that nothing else can be read."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "page.json").write_text(json.dumps(page, ensure_ascii=False), encoding="utf-8")
        (work / "page.typ").write_text(_PAGE, encoding="utf-8")
        shutil.copyfile(figure, work / "figure.pdf")
        return compile_typst(
            work / "page.typ", target, root=work, inputs={"page": "/page.json", "figure": "/figure.pdf"}
        )
