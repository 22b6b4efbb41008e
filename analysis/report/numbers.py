"""Every number the paper prints, generated: one key a number, with text, value, unit and its output.

The paper's text holds keys, never digits. `check_claims` reads the text and fails when a sentence carries a
number that
is not generated, or that no entry of the claims list ties to an output.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.base.errors import StudyError, TableError, nearest
from analysis.base.paths import Paths, replacing
from analysis.base.provenance import canonical_json
from analysis.evidence import curve
from analysis.evidence import matches as of
from analysis.evidence.bearing import FRAMES as BEARING_FRAMES
from analysis.evidence.claims import load_claims
from analysis.evidence.headline import FIRST_STAGE, exclusion
from analysis.evidence.studies.all import STUDIES
from analysis.evidence.studies.frames import FRAMES as STUDY_FRAMES
from analysis.report import (
    audit_numbers,
    bearing_numbers,
    border_numbers,
    build_numbers,
    city_numbers,
    design_numbers,
    figures,
    ledger_numbers,
    match_numbers,
    match_tables,
    policy_study_numbers,
    record_numbers,
    tables,
    wong_numbers,
    words,
)
from analysis.report.outputs import (
    MAIN,
    OUTPUTS,
    TREND_COVERAGE,
    TREND_DEFINITION,
    TREND_YEARS,
    Context,
    event_studies,
    movement_rows,
)
from analysis.report.study_outputs import grid_alone

SAY = "say:"


@dataclass(frozen=True, slots=True)
class Number:
    """One number (or generated phrase) of the paper.

    Args:
        text: as printed.
        value: the number itself, or None for a phrase.
        unit: in words.
        output: the registered output it stands in.
    """

    text: str
    value: float | None
    unit: str
    output: str


class _Book:
    """Collects numbers under keys; a key given twice is an error."""

    def __init__(self) -> None:
        self.numbers: dict[str, Number] = {}

    def put(self, key: str, text: str, value: Any, unit: str, output: str) -> None:
        if key in self.numbers:
            raise StudyError(f"paper number '{key}' made twice", "one value a key", "the frame it comes from")
        if output not in OUTPUTS:
            raise StudyError(f"paper number '{key}' names output '{output}'", "a registered output")
        plain = None if value is None or words.is_missing(value) else float(value)
        self.numbers[key] = Number(text, plain, unit, output)

    def count(self, key: str, value: Any, unit: str, output: str) -> None:
        self.put(key, words.count(value), value, unit, output)

    def phrase(self, key: str, text: str, output: str) -> None:
        self.put(SAY + key, text, None, "words", output)


# --------------------------------------------------------------------------------------------------------
# Sentences
# --------------------------------------------------------------------------------------------------------


def headline_sentence(rows: pd.DataFrame) -> str:
    """Return this study's rows of one definition and comparison as text that holds whatever the numbers are.

    Args:
        rows: rows under the contract ``headline``, one an outcome, none of them published.

    Example:
        >>> row = {"label": "Documented full decline", "measure_label": "property crime", "level": 0.95,
        ...        "comparison": "within", "unit": "per 100,000", "estimate": 4.2, "conf_low": -10.0,
        ...        "conf_high": 18.4, "percent_low": -1.0, "percent_high": 1.8, "n_treated": 60,
        ...        "n_comparison": 820, "n_states": 9, "verdict": "inconclusive", "agreement": ""}
        >>> print(headline_sentence(pd.DataFrame([row])).split(":")[0])
        Documented full decline, within states (60 treated and 820 comparison areas; 9 states identify)
    """
    first = rows.iloc[0]
    across = words.COMPARISONS.get(str(first["comparison"]), str(first["comparison"]))
    counts = {name: words.span(rows[name]) for name in ("n_treated", "n_comparison", "n_states")}
    head = (
        f"{first['label']}, {across} ({counts['n_treated']} treated and {counts['n_comparison']} comparison "
        f"areas; {counts['n_states']} states identify)"
    )
    points = []
    for r in rows.to_dict("records"):
        places = words.digits_for(r["estimate"], r["conf_low"], r["conf_high"])
        verdict = words.verdict_words({**r, "pretrend_p": None})
        if words.leads_reject(r):
            verdict += "; the joint test of the years before adoption rejects"
        mark = f" ({verdict})" if verdict else ""
        size = words.number(r["estimate"], places, sign=True)
        points.append(f"{r['measure_label']} {size if size != words.MISSING else 'not estimated'}{mark}")
    # What is not informative takes no verdict, and excludes nothing.
    informative = ~rows["verdict"].astype(str).str.startswith("not informative")
    ends = rows[rows["conf_low"].notna() & rows["conf_high"].notna() & informative]
    text = f"{head}: {', '.join(points)}, in {first['unit']}"
    return f"{text}; {exclusion(ends)}." if len(ends) else f"{text}."


def published_sentence(rows: pd.DataFrame) -> str:
    """Return what a study published: sizes and errors where it has them, and that it has none where not.

    Args:
        rows: the published rows of one claim.

    Example:
        >>> row = {"label": "A study", "measure_label": "total crime", "unit": "per 10,000", "estimate": -35.5,
        ...        "conf_low": None, "conf_high": None}
        >>> published_sentence(pd.DataFrame([row]))
        'A study: total crime −35.5 per 10,000, published without an error that could be read.'
    """
    if rows.empty:
        return "Nothing was registered of this claim."
    sized, silent = [], []
    for r in rows.to_dict("records"):
        if words.is_missing(r["estimate"]):
            silent.append(str(r["measure_label"]))
            continue
        places = words.digits_for(r["estimate"], r["conf_low"], r["conf_high"])
        point = f"{r['measure_label']} {words.number(r['estimate'], places)} {r['unit']}"
        ends = words.interval(r["conf_low"], r["conf_high"], places)
        known = f"({ends} from the published standard error)"
        sized.append(
            f"{point} {known}"
            if ends != words.MISSING
            else f"{point}, published without an error that could be read"
        )
    if silent:
        sized.append(f"{words.listing(silent)} reported as not distinguishable from zero, no size stated")
    return f"{rows['label'].iloc[0]}: {'; '.join(sized)}."


def verdict_summary(rows: pd.DataFrame) -> str:
    """Return how this study's estimates beside one claim fall, as a sentence.

    Args:
        rows: this study's rows of one claim.

    Example:
        >>> verdict_summary(pd.DataFrame({"verdict": ["inconclusive", "inconclusive", "no verdict"]}))
        'Of 3 estimates beside this claim, 2 are inconclusive and 1 takes no verdict because of its error.'
    """
    if rows.empty:
        return "No estimate of this study stands beside this claim."
    found = rows["verdict"].fillna("").astype(str)
    plain = {
        "consistent": ("is consistent with it", "are consistent with it"),
        "not consistent": ("is not consistent with it", "are not consistent with it"),
        "inconclusive": ("is inconclusive", "are inconclusive"),
        "not informative": ("is not informative", "are not informative"),
        "no verdict": ("takes no verdict because of its error", "take no verdict because of their error"),
    }
    known = {word: int((found == word).sum()) for word in plain}
    other = found[~found.isin(list(plain))].value_counts()
    parts = [f"{words.count(k)} {plain[word][k > 1]}" for word, k in known.items() if k]
    parts += [f"{words.count(k)}: {word or 'no verdict stated'}" for word, k in other.items()]
    noun = "estimate" if len(rows) == 1 else "estimates"
    return f"Of {words.count(len(rows))} {noun} beside this claim, {words.listing(parts)}."


# --------------------------------------------------------------------------------------------------------
# The numbers
# --------------------------------------------------------------------------------------------------------


def make_numbers(context: Context) -> dict[str, Number]:
    """Return every number and generated phrase the paper may print.

    Args:
        context: panel, status, totals, attrition, balance, first_stage, headline, movement and the matched
            comparisons are read.

    Returns:
        Key to `Number`; phrases stand under keys that begin with ``say:``.
    """
    book = _Book()
    _panel_numbers(book, context.get("panel").table)
    # The simulated panel has no published totals to be held against.
    _total_numbers(book, None if context.simulated and not context.has("totals") else context.get("totals"))
    _definition_numbers(book, context.get("status"))
    _attrition_numbers(book, context.get("attrition"))
    _balance_numbers(book, context.get("balance"))
    _first_stage_numbers(book, context.get("first_stage"), context.labels())
    _headline_numbers(book, context.get("headline"))
    _variation_numbers(book, movement_rows(context.get("movement")), context.labels())
    _pretrend_numbers(book, figures.event_frame(event_studies(context.get("estimates"))))
    _trust_numbers(book, context.get("trust"), context.labels())
    _reporting_numbers(book, context.get("reporting"))
    _match_numbers(book, context)
    _design_numbers(book, context)
    _bearing_numbers(book, context)
    _study_numbers(book, context)
    return book.numbers


def _match_numbers(book: _Book, context: Context) -> None:
    rows, reached = context.get("matches"), context.get("match_balance")
    labels = context.labels()
    for key, (text, value, unit) in match_numbers.overlap_counts(
        context.get("matched_sample").overlap
    ).items():
        book.put(f"match.{key}", text, value, unit, "figure-10")
    methods = match_tables.methods_frame(rows, reached)
    for key, size in (
        ("before", methods["largest_before"].max()),
        ("nearest", methods.loc[methods["variant"] == "", "largest"].max()),
    ):
        book.put(f"match.balance.{key}", words.number(size, 2), size, "standard deviations", "table-10")
    shown = methods[(methods["group"] != of.ERRORS)]["variant"].nunique()
    book.count("match.methods", shown, "methods", "table-10")
    phrases = {
        "balance": (match_numbers.balance_sentence(rows, reached), "table-10"),
        "methods": (match_numbers.methods_sentences(rows, labels), "table-10"),
        "exclusion": (match_numbers.exclusion_sentence(rows, labels), "table-10"),
        "definitions": (match_numbers.definitions_sentences(rows, labels), "table-11"),
        "years": (match_numbers.years_sentence(rows, labels), "table-12"),
        "classes": (match_numbers.classes_sentence(rows), "table-13"),
        "covariates": (match_numbers.covariates_sentences(rows, labels), "table-14"),
        "economy": (match_numbers.economy_sentence(rows, labels), "table-15"),
        "placebo": (match_numbers.placebo_sentences(rows, labels), "table-16"),
        "placebo_share": (match_numbers.placebo_share(rows), "table-16"),
        "did": (match_numbers.did_sentences(rows, labels), "table-17"),
        "hidden": (match_numbers.hidden_sentence(context.get("hidden_bias"), labels), "table-18"),
        "size": (match_numbers.size_sentence(context.get("match_size"), labels), "table-19"),
    }
    for key, (text, output) in phrases.items():
        book.phrase(f"match.{key}", text, output)


def _design_numbers(book: _Book, context: Context) -> None:
    designs, families, capability = (context.get(name) for name in ("designs", "families", "capability"))
    said = design_numbers.phrases(designs, families, capability, context.labels())
    said |= design_numbers.check_phrases(
        context.get("left_out"),
        context.get("trend_checks"),
        context.get("regression_weights"),
        context.labels(),
    )
    for key, (text, output) in said.items():
        book.phrase(f"design.{key}", text, output)


def _bearing_numbers(book: _Book, context: Context) -> None:
    frames = {name: context.get(name) for name in (*BEARING_FRAMES, "joint_test", "grid_plan")}
    results = context.get("multiverse")
    frames |= {
        "shares": curve.shares(results),
        "importance": curve.importance(results, bearing_numbers.MAIN),
        "partial_dependence": curve.partial_dependence(results, bearing_numbers.MAIN),
        "published_places": curve.published_places(results),
    }
    for key, (text, output) in bearing_numbers.phrases(frames, context.labels()).items():
        book.phrase(f"bearing.{key}", text, output)


def _study_numbers(book: _Book, context: Context) -> None:
    frames = {name: context.get(name) for name in STUDY_FRAMES}
    frames["published"] = frames["registry"]
    labels = context.labels()
    said = ledger_numbers.phrases(frames, labels, STUDIES)
    said |= wong_numbers.phrases(frames | {"study_results": grid_alone(frames["study_results"])}, labels)
    for of_study in (build_numbers, city_numbers, policy_study_numbers, border_numbers, record_numbers,
                     audit_numbers):  # fmt: skip
        said |= of_study.phrases(frames, labels)
    for key, (text, output) in said.items():
        book.phrase(key, text, output)


def _panel_numbers(book: _Book, table: pd.DataFrame) -> None:
    book.count("panel.area_years", len(table), "area-years", "table-5")
    book.count("panel.areas", table["county_fips"].nunique(), "areas", "table-5")
    for key, year in (("first", table["year"].min()), ("last", table["year"].max())):
        book.put(f"panel.{key}_year", str(int(year)), year, "calendar year", "table-5")
    first, last = TREND_YEARS
    rows = table[table["year"].between(first, last)]
    for measure in ("violent_ex_rape", "property", "rape_legacy"):
        end = 2012 if measure == "rape_legacy" else last
        here = rows[rows["year"] <= end]
        policed = here[f"policed_{measure}"].clip(upper=here["population"]).groupby(here["year"]).sum()
        share = policed / here.groupby("year")["population"].sum()
        book.put(
            f"coverage.{measure}.low",
            words.percent(share.min()),
            share.min(),
            "share of residents",
            "table-5",
        )
        book.put(
            f"coverage.{measure}.high",
            words.percent(share.max()),
            share.max(),
            "share of residents",
            "table-5",
        )
    good = rows[rows["coverage_violent_ex_rape"] >= TREND_COVERAGE].groupby("county_fips")["year"].nunique()
    book.count("coverage.steady_areas", int((good == last - first + 1).sum()), "areas", "table-5")
    book.put(
        "coverage.threshold",
        words.percent(TREND_COVERAGE, 0),
        TREND_COVERAGE,
        "share of residents",
        "table-5",
    )
    states = figures.coverage_by_state(rows)
    thin = states[states["coverage"] < figures.THIN]
    book.put("coverage.thin", words.percent(figures.THIN, 0), figures.THIN, "share of residents", "figure-7")
    book.count("coverage.thin_state_years", len(thin), "state-years of the window", "figure-7")


def _total_numbers(book: _Book, totals: pd.DataFrame | None) -> None:
    for measure in ("violent", "property"):
        share = pd.Series(dtype=float)
        if totals is not None:
            share = totals.loc[totals["measure"] == measure, "share"]
        for key, value in (("low", share.min()), ("high", share.max())):
            book.put(
                f"totals.{measure}.{key}",
                words.percent(value),
                value,
                "share of the FBI's own total",
                "table-4",
            )


def _definition_numbers(book: _Book, status: pd.DataFrame) -> None:
    frame = tables.definitions_frame(status)
    dated = frame["between"].str.startswith("yes") | frame["within"].str.startswith("yes")
    book.count("definition.panel", int(dated.sum()), "definitions that can carry a panel", "table-1")
    for r in frame.to_dict("records"):
        for key, unit in (
            ("treated", "treated areas"),
            ("comparison", "comparison areas"),
            ("excluded", "areas that are neither"),
            ("states", "states with treated areas"),
        ):
            book.count(f"definition.{r['definition']}.{key}", r[f"n_{key}"], unit, "table-1")


def _attrition_numbers(book: _Book, attrition: pd.DataFrame) -> None:
    main = attrition[attrition["spec"].astype(str).str.split("/").str[0] == MAIN]
    main = main if len(main) else attrition
    rows = main[main["spec"] == main["spec"].iloc[0]]
    for key, row in (("before", rows.iloc[0]), ("after", rows.iloc[-1])):
        book.count(f"attrition.{key}.areas", row["counties"], "areas", "table-3")
        book.count(f"attrition.{key}.area_years", row["county_years"], "area-years", "table-3")
        book.count(f"attrition.{key}.treated", row["treated"], "treated areas", "table-3")


def _balance_numbers(book: _Book, balance: pd.DataFrame) -> None:
    for sample in ("before", "after"):
        size = balance.loc[balance["sample"] == sample, "standardized_mean_difference"].abs()
        book.put(
            f"balance.{sample}.largest",
            words.number(size.max(), 2),
            size.max(),
            "standard deviations",
            "table-2",
        )
        book.count(f"balance.{sample}.over", int((size > 0.1).sum()), "covariates over 0.1", "table-2")
    book.count("balance.covariates", balance["covariate"].nunique(), "covariates", "table-2")


def _first_stage_numbers(book: _Book, first_stage: pd.DataFrame, labels: Mapping[str, str]) -> None:
    sentences = []
    for r in first_stage[first_stage["california"] == "in"].to_dict("records"):
        across = words.COMPARISONS.get(str(r["comparison"]), str(r["comparison"]))
        head = f"{words.definition_label(str(r['definition']))}, {across}"
        what = labels.get(str(r["measure"]), str(r["measure"]).replace("_", " "))
        text = words.estimate_text(r["estimate"], r["conf_low"], r["conf_high"], 3)
        who = f"{words.count(r['n_treated'])} treated areas in {words.count(r['n_states'])} states"
        mark = "" if r["informative"] else ", not informative"
        sentences.append(f"{head}, {what}: {text} {r['unit']} ({who}{mark}).")
    book.phrase("first_stage", "\n".join(sentences) or "No first stage was estimated.", "table-7")


def _reporting_numbers(book: _Book, reporting: pd.DataFrame) -> None:
    parts = []
    for r in reporting.to_dict("records"):
        across = words.COMPARISONS.get(str(r["comparison"]), str(r["comparison"]))
        california = "" if r["california"] == "in" else ", without California"
        alike = ", by residents" if r["weights"] == "population_baseline" else ""
        ends = words.estimate_text(100 * r["estimate"], 100 * r["conf_low"], 100 * r["conf_high"], 1)
        parts.append(f"{across}{california}{alike} {ends}")
    text = (
        f"The change in coverage after adoption is, in percentage points: {'; '.join(parts)}."
        if parts
        else ""
    )
    book.phrase("reporting", text or "Coverage was not estimated as an outcome.", "table-9")


def _trust_numbers(book: _Book, trust: pd.DataFrame, labels: Mapping[str, str]) -> None:
    book.count("trust.draws", int(trust["draws"].max()), "simulated panels", "table-8")
    shares = trust.set_index(["design", "measure"])["coverage"]
    for design in ("between", "within_states", "matched"):
        for measure in ("violent_ex_rape", "property"):
            held = float(shares[(design, measure)])
            book.put(f"trust.{design}.{measure}", words.percent(held, 0), held, "share of panels", "table-8")
    near = trust[trust["near_nominal"].astype(bool)]
    sentences = []
    for label, rows in near.groupby("label", sort=False):
        parts = []
        for r in rows.to_dict("records"):
            ends = words.estimate_text(r["percent"], r["percent_low"], r["percent_high"], 1)
            what = labels.get(str(r["measure"]), str(r["measure"]).replace("_", " "))
            parts.append(f"{what} {ends} % of the mean (coverage {words.percent(r['coverage'], 0)})")
        sentences.append(f"{words.capital(str(label))}: {'; '.join(parts)}.")
    book.phrase(
        "trust", "\n".join(sentences) or "No design's intervals were near nominal in simulation.", "table-8"
    )


def _headline_numbers(book: _Book, headline: pd.DataFrame) -> None:
    for claim in [c for c in dict.fromkeys(headline["claim"]) if c != FIRST_STAGE]:
        rows = headline[headline["claim"] == claim]
        published = rows[rows["published"].astype(bool)]
        ours = rows[~rows["published"].astype(bool)]
        stated = published_sentence(published)
        groups = [g for _, g in ours.groupby(["definition", "comparison"], sort=False)]
        book.phrase(f"{claim}.published", stated, "table-6")
        main = [g for g in groups if g["definition"].iloc[0] == TREND_DEFINITION]
        stated = (
            "\n".join(headline_sentence(g) for g in main) or "The main definition was not estimated here."
        )
        book.phrase(f"{claim}.main", stated, "table-6")
        book.phrase(f"{claim}.summary", verdict_summary(ours), "table-6")
        book.count(f"headline.{claim}.estimates", len(ours), "estimates", "table-6")
        sized = published[published["estimate"].notna()]
        if len(sized):
            value = float(sized["estimate"].iloc[0])
            size = words.number(abs(value), words.digits_for(value))
            book.put(f"published.{claim}.size", size, abs(value), str(sized["unit"].iloc[0]), "table-6")


def _variation_numbers(book: _Book, rows: pd.DataFrame, labels: Mapping[str, str]) -> None:
    book.count("variation.estimates", len(rows), "point estimates", "figure-6")
    sentences = []
    for measure, here in rows.groupby("measure", sort=False):
        values = here["percent"].dropna()
        if values.empty:
            continue
        ends = here[["percent_low", "percent_high"]].dropna()
        excludes = int(((ends["percent_low"] > 0) | (ends["percent_high"] < 0)).sum())
        sentences.append(
            f"For {labels.get(str(measure), measure)}, {words.count(len(values))} point estimates run "
            f"from {words.number(values.min(), 1)} to {words.number(values.max(), 1)} % of the mean "
            f"before adoption, {words.count(int((values < 0).sum()))} of them below zero; "
            f"{words.count(excludes)} of {words.count(len(ends))} intervals exclude zero."
        )
    book.phrase("variation", " ".join(sentences) or "Nothing was varied.", "figure-6")


def _pretrend_numbers(book: _Book, rows: pd.DataFrame) -> None:
    """Say how many estimates before adoption exclude zero: where some do, areas moved apart before it."""
    sentences = []
    for (outcome, label), part in rows.groupby(["outcome", "estimate_label"], sort=False):
        reference = part.loc[part["reference"].astype(bool), "event_time"]
        before = part[
            ~part["reference"].astype(bool)
            & (part["event_time"] < (reference.iloc[0] if len(reference) else 0))
        ]
        known = before[figures.drawn(before)]
        if known.empty:
            continue
        out = int(((known["conf_low"] > 0) | (known["conf_high"] < 0)).sum())
        verb = "excludes" if out == 1 else "exclude"
        sentences.append(
            f"{outcome}, {label}: {words.count(out)} of {words.count(len(known))} intervals before "
            f"adoption {verb} zero."
        )
    book.phrase(
        "pretrends", "\n".join(sentences) or "No event time before adoption was estimated.", "figure-4"
    )


def write_numbers(numbers: Mapping[str, Number], path: Path, *, simulated: bool) -> Path:
    """Write numbers as JSON, keys sorted: what the paper reads."""
    plain = {
        "simulated": simulated,
        "numbers": {
            key: {"text": n.text, "value": n.value, "unit": n.unit, "output": n.output}
            for key, n in numbers.items()
        },
    }
    with replacing(path) as temporary:
        temporary.write_text(canonical_json(plain), encoding="utf-8", newline="\n")
    return path


# --------------------------------------------------------------------------------------------------------
# The claims list, and the check that no number is typed in
# --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PaperClaim:
    """One sentence of the paper that carries numbers.

    Args:
        begins: first words of the sentence; a key in them stands as ``{key}``.
        output: outputs its numbers stand in.
        numbers: keys it holds, phrases as ``say:<key>``.
    """

    begins: str
    output: tuple[str, ...]
    numbers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """Digits the text may hold although nothing here estimated them.

    Args:
        text: the words, as in the text.
        source: ``protocol:<rule>``, ``published:<id>`` or ``name`` (of a law, form, table or definition).
    """

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class ClaimsList:
    """Sentences and facts of ``paper/claims.toml``."""

    claims: tuple[PaperClaim, ...]
    facts: tuple[Fact, ...]


def load_claims_list(path: Path) -> ClaimsList:
    """Read the claims list; unknown or missing keys raise `TableError`."""
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    for section, wanted in (("claim", {"begins", "output", "numbers"}), ("fact", {"text", "source"})):
        for i, entry in enumerate(raw.get(section, []), 1):
            if set(entry) != wanted:
                raise TableError(
                    f"[[{section}]] {i} holds {', '.join(sorted(entry))}",
                    f"{', '.join(sorted(wanted))}",
                    path.name,
                )
    return ClaimsList(
        tuple(PaperClaim(c["begins"], tuple(c["output"]), tuple(c["numbers"])) for c in raw.get("claim", [])),
        tuple(Fact(f["text"], f["source"]) for f in raw.get("fact", [])),
    )


_TOKEN = re.compile(r"⟦([^⟧]+)⟧")
_LITERAL = re.compile(r"[-−+]?\d(?:[\d,.]*\d)?")
_YEAR = re.compile(r"(?:19|20)\d\d")
_ABBREVIATIONS = ("et al.", "e.g.", "i.e.", "U.S.", "vs.")


def sentences_of(paper: str) -> list[str]:
    """Return the sentences of a Typst text, keys as ``⟦key⟧``, without code, comments, citations, labels.

    Example:
        >>> sentences_of('= Title\\nThe panel holds #n("panel.areas") areas. See @wong2017.')
        ['Title', 'The panel holds ⟦panel.areas⟧ areas.', 'See .']
    """
    text = re.sub(r"/\*.*?\*/", " ", paper, flags=re.DOTALL)
    text = re.sub(r"(?m)^\s*//.*$|(?<=\s)//.*$", "", text)
    text = re.sub(r'#n\("([^"]+)"\)', r"⟦\1⟧", text)
    text = re.sub(r'#say\("([^"]+)"\)', lambda m: f"⟦{SAY}{m.group(1)}⟧", text)
    text = re.sub(r"(?m)^#(?:import|set|show|let|include|pagebreak|bibliography|counter|v)\b.*$", "\n", text)
    text = re.sub(r"#[A-Za-z][\w.-]*\([^()]*(?:\([^()]*\)[^()]*)*\)", " ", text)
    text = re.sub(r"`[^`]*`|\$[^$]*\$|@[\w:.-]*\w|<[\w:.-]+>", "", text)
    text = re.sub(r"(?m)^\s*(?:=+|[-+])\s+(.*)$", r"\n\n\1\n\n", text)
    for short in _ABBREVIATIONS:
        text = text.replace(short, short.replace(".", "\x00"))
    found = []
    for block in re.split(r"\n\s*\n", text):
        flat = " ".join(block.split())
        found += [s.replace("\x00", ".").strip() for s in re.split(r"(?<=[.!?])\s+", flat)]
    return [s for s in found if s and s not in {"[", "]", ")"}]


def claim_problems(
    paper: str,
    claims: ClaimsList,
    numbers: Mapping[str, Number],
    published: Mapping[str, float] | None = None,
) -> list[str]:
    """Return what is wrong between a paper's text, its claims list and the generated numbers.

    Args:
        paper: the Typst text.
        claims: the claims list.
        numbers: generated numbers.
        published: id to published value, to hold facts with source ``published:<id>`` against.

    Returns:
        One line a problem; empty when all is right.
    """
    problems: list[str] = []
    used: set[int] = set()
    met: set[str] = set()
    for sentence in sentences_of(paper):
        keys = _TOKEN.findall(sentence)
        named = " ".join(_TOKEN.sub(r"{\1}", sentence).split())
        bare = " ".join(_TOKEN.sub(" ", sentence).split())
        problems += [
            f"'{key}' is not a generated number{nearest(key, numbers)}: {_short(sentence)}"
            for key in keys
            if key not in numbers
        ]
        if keys:
            match = [i for i, c in enumerate(claims.claims) if named.startswith(" ".join(c.begins.split()))]
            if len(match) != 1:
                found = "no claim" if not match else f"{len(match)} claims"
                problems.append(f"{found} for the sentence: {_short(sentence)}")
            else:
                used.add(match[0])
                problems += _claim_fits(claims.claims[match[0]], keys, numbers, sentence)
        rest = bare
        for fact in claims.facts:
            if fact.text in rest:
                met.add(fact.text)
                rest = rest.replace(fact.text, " ")
        typed = [m for m in _LITERAL.findall(rest) if not _is_year(m)]
        if typed:
            problems.append(f"number(s) typed into the text, {', '.join(typed)}: {_short(sentence)}")
    problems += [
        f"claim without a sentence: '{c.begins}'" for i, c in enumerate(claims.claims) if i not in used
    ]
    problems += [f"fact nowhere in the text: '{f.text}'" for f in claims.facts if f.text not in met]
    for fact in claims.facts:
        problems += _fact_problems(fact, published)
    return problems


def _is_year(literal: str) -> bool:
    """Return whether digits are a calendar year, or the end of a span of years such as 2014-15."""
    bare = literal.lstrip("-−+")
    return bool(_YEAR.fullmatch(bare)) or bool(literal[0] in "-−" and re.fullmatch(r"\d\d", bare))


def _claim_fits(
    claim: PaperClaim, keys: Sequence[str], numbers: Mapping[str, Number], sentence: str
) -> list[str]:
    problems = []
    if set(claim.numbers) != set(keys):
        problems.append(
            f"claim '{claim.begins}' lists {sorted(claim.numbers)}, its sentence holds {sorted(set(keys))}"
        )
    outputs = {numbers[k].output for k in keys if k in numbers}
    if outputs != set(claim.output):
        problems.append(
            f"claim '{claim.begins}' names {sorted(claim.output)}, its numbers stand in {sorted(outputs)}"
        )
    problems += [
        f"claim '{claim.begins}' names '{o}', not a registered output"
        for o in claim.output
        if o not in OUTPUTS
    ]
    return problems


def _fact_problems(fact: Fact, published: Mapping[str, float] | None) -> Iterable[str]:
    kind, _, where = fact.source.partition(":")
    if kind == "name" or (kind == "protocol" and where.isdigit() and 1 <= int(where) <= 24):
        return []
    if kind == "published":
        if published is None:
            return []
        if where not in published:
            return [f"fact '{fact.text}' cites '{where}', not registered{nearest(where, published)}"]
        digits = [float(m.replace(",", "").replace(words.MINUS, "-")) for m in _LITERAL.findall(fact.text)]
        if not any(np.isclose(abs(d), abs(published[where]), rtol=0, atol=1e-9) for d in digits):
            return [f"fact '{fact.text}' is not the registered {published[where]} of '{where}'"]
        return []
    return [f"fact '{fact.text}' has source '{fact.source}', not protocol:<rule>, published:<id> or name"]


def _short(sentence: str) -> str:
    return sentence if len(sentence) <= 90 else sentence[:89] + "…"


def check_claims(
    paper: str,
    claims: ClaimsList,
    numbers: Mapping[str, Number],
    published: Mapping[str, float] | None = None,
) -> None:
    """Raise `StudyError` listing every number of the paper that is not generated and tied to an output."""
    problems = claim_problems(paper, claims, numbers, published)
    if problems:
        raise StudyError(
            f"{len(problems)} problem(s) with the paper's numbers:\n  " + "\n  ".join(problems),
            "text whose numbers are generated keys, each tied to an output",
            "paper/main.typ or paper/claims.toml",
        )


def published_values() -> dict[str, float]:
    """Return the registered published figures that have a size: id to value."""
    return {f.id: f.size for claim in load_claims().claims for f in claim.facts if f.size is not None}


def read_numbers(path: Path) -> dict[str, Number]:
    """Read numbers written by `write_numbers`."""
    held = json.loads(path.read_text(encoding="utf-8"))["numbers"]
    return {key: Number(n["text"], n["value"], n["unit"], n["output"]) for key, n in held.items()}


def check_paper(paths: Paths) -> str:
    """Hold the paper's text against its claims list and the numbers generated in a tree; say what was held.

    Args:
        paths: the tree; text and claims list are those of the checkout.

    Raises:
        StudyError: a number is typed in, unknown, or tied to no output.
    """
    home = paths.root / "paper"
    text = (home / "main.typ").read_text(encoding="utf-8")
    claims, made = load_claims_list(home / "claims.toml"), read_numbers(paths.paper / "numbers.json")
    check_claims(text, claims, made, published_values())
    held = {key for claim in claims.claims for key in claim.numbers}
    outputs = {output for claim in claims.claims for output in claim.output}
    return (
        f"{len(claims.claims)} sentences of the paper hold {len(held)} generated numbers and phrases, all of them in "
        f"{len(outputs)} figures and tables"
    )
