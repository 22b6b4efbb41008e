"""The ledger: every registered figure with this study's estimate and a verdict, and every specification behind it.

Verdicts follow rules 19 and 20 of the protocol, stated before the numbers: precision first, then agreement, then
comparability. Shares over specifications describe the declared specifications and are no probabilities.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from analysis.base.errors import StudyError
from analysis.design.keys import is_csv
from analysis.design.treatment import DEFINITIONS
from analysis.evidence.claims import Bound, load_claims
from analysis.evidence.headline import METHOD_FAMILY, measure_label
from analysis.evidence.published import Figure, Published, to_unit
from analysis.evidence.results import ONE_EFFECT, in_unit, window_of_years
from analysis.evidence.studies.record import Ask, PublishedStudy, study_of
from analysis.evidence.units import (
    LOG_POINTS,
    RATES,
    UNIT_OF_SCALE,
    WORDS,
    level_of,
)
from analysis.evidence.verdict import INCONCLUSIVE, NO_VERDICT, NOT_INFORMATIVE, Comparability, verdict

ALL = "all"
NOT_ESTIMATED = "not estimated"
CLASSES = ("consistent", "not consistent", INCONCLUSIVE, NOT_INFORMATIVE, NO_VERDICT, NOT_ESTIMATED)
"""Verdicts a specification can have; ``reproduced`` and ``not reproduced`` join them on a study's own data alone."""
OWN_CLASSES = ("reproduced", "not reproduced")
JUDGED = (*CLASSES[:3], *OWN_CLASSES)

SIZE, NULL, DIRECTION, IN_WORDS = "size", "no discernible difference", "direction", "words"
DIRECTIONS = {1: "higher, no size", -1: "lower, no size"}
PERCENT, AS_MEASURED = "percent", "as_measured"
NOT_RUN = "its main specification is not among those that were run and answer it"
UNIT_WORDS = {**WORDS, PERCENT: "per cent of the mean"}
CODE_WORDS = {"percentage_points": "percentage points", "dollars": "US dollars"}
SAME, NEAR = "same", "near"

METHODS = METHOD_FAMILY | {
    "border_pairs": "border_difference_in_differences",
    "before_after": "before_after",
    "synthetic_control": "synthetic_control",
    "synthetic_did": "synthetic_control",
    "regression_adjustment": "regression",
}
"""Estimator to family of methods, in the words published studies are registered with."""

# Definitions that are a federal programme's own dates.
PROGRAMMES = frozenset({"secure_communities"})

PLAIN_CHOICES = (
    "measure", "definition", "build", "estimator", "scale", "weights", "window", "california", "covariates", "comparison",
)  # fmt: skip
"""What a specification outside a grid chooses; pairs that differ in one of these alone are compared."""

# What else tells two specifications apart; a pair must agree on all of it.
OTHER_SETTINGS = (
    "onset", "upper_bound_dates", "comparison_group", "only", "exposed", "without_neighbours", "placebo_shift",
    "status_year", "area", "keep_states", "drop_states", "urban_classes", "hispanic", "min_population", "min_coverage", "balance",
    "constant_agencies", "controls", "vcov", "by",
)  # fmt: skip

SPECIFICATIONS: dict[str, str] = {
    "figure": "identifier of the registered figure the specification stands beside; empty where it answers none",
    "study": "short name of the published study",
    "family": "family of designs, or of the grid",
    "spec": "name of the specification",
    "status": "declared (committed before it was run) or added",
    "failure": "why it could not be estimated; empty otherwise",
    "measure": "outcome measure of the codebook",
    "measure_label": "in words",
    "outcome": "same outcome as published, or near",
    "near_note": "how a near outcome differs",
    "definition": "treatment definition",
    "definition_label": "in words",
    "comparison": "what treated areas are compared with",
    "estimator": "estimator",
    "method": "what the estimator was told beside comparison and weights",
    "build": "rate build",
    "scale": "scale of the outcome",
    "weights": "weights",
    "window": "outcome years",
    "california": "in, out or only",
    "covariates": "names, with vintage",
    "settings": "whatever else tells specifications outside a grid apart",
    "unit": "unit of estimate, interval, bound and baseline: that of the figure, or the specification's own",
    "estimate": "in unit",
    "conf_low": "lower end of the interval",
    "conf_high": "upper end",
    "baseline": "mean outcome as a level in unit (log points: the rate per 100,000)",
    "converted": "whether unit is not the one it was estimated in, over the baseline mean",
    "percent": "estimate in per cent of the baseline",
    "percent_low": "lower end, likewise",
    "percent_high": "upper end, likewise",
    "n_treated": "treated areas",
    "n_comparison": "comparison areas",
    "n_states": "states that identify it",
    "bound": "bound of equivalence: the published size, else 5 % of the mean",
    "precision": "equivalent to zero, different from zero, inconclusive, not informative, or empty",
    "agreement": "with the published figure, in words; empty where inconclusive",
    "verdict": "one of CLASSES; empty where it answers no figure",
    "sentence": "the verdict in the words of rule 20",
    "comparability": "what is shared with the published figure: list, area, unit, outcome, years, method",
    "simulated": "True where the panel is the simulated one",
}

LEDGER: dict[str, str] = {
    "figure": "identifier",
    "study": "short name of the published study",
    "label": "authors and year",
    "method": "family of methods of the study",
    "reading": "what its result would mean if reporting moved, and if crime did",
    "headline": "whether the study is known for it",
    "outcome": "as registered",
    "told": "outcome, with what tells the figure from others of its study with the same one",
    "kind": "what was published: size, no discernible difference, direction, words",
    "unit": "unit both stand in",
    "unit_words": "likewise, in words",
    "published": "published size; missing where none was",
    "published_low": "published size less 1.96 errors; missing without a registered error",
    "published_high": "published size plus 1.96 errors",
    "published_words": "direction or words, where there is no size",
    "confidence": "how sure the reading is",
    "pass_mark": "False for figures from memory or inferred: shown, never counted",
    "read_in": "where it was read",
    "asked": "measure the figure is read as: the first it is asked for with; empty where nobody asks",
    "main": "specification whose estimate stands beside it",
    "measure": "its measure",
    "measure_label": "in words",
    "same_outcome": "same or near",
    "definition": "its treatment definition",
    "definition_label": "in words",
    "comparison": "what treated areas are compared with",
    "estimator": "its estimator",
    "build": "rate build",
    "window": "outcome years",
    "estimate": "in unit",
    "conf_low": "lower end of the interval",
    "conf_high": "upper end",
    "baseline": "mean outcome as a level in unit",
    "percent": "estimate in per cent of the baseline",
    "percent_low": "lower end, likewise",
    "percent_high": "upper end, likewise",
    "n_treated": "treated areas",
    "n_comparison": "comparison areas",
    "n_states": "states that identify it",
    "bound": "bound of equivalence in unit",
    "precision": "of the main specification",
    "agreement": "likewise",
    "verdict": "likewise; empty where nothing stands beside the figure",
    "sentence": "likewise",
    "comparability": "likewise",
    "note": "what a reader must know of the comparison",
    "reason": "why nothing stands beside the figure; empty otherwise",
    "status": "of the main specification: declared or added",
    "n_specs": "specifications that answer the figure",
    "n_families": "families of designs among them",
    "share_consistent": "of them, families weighted alike",
    "share_not_consistent": "likewise",
    "share_inconclusive": "likewise",
    "share_not_informative": "likewise",
    "share_no_verdict": "likewise",
    "share_not_estimated": "likewise",
    "simulated": "True where the panel is the simulated one",
}

SHARES = ("figure", "study", "family", "verdict", "n", "n_specs", "n_families", "share")
FEW_PAIRS = 20
"""Pairs of specifications with a verdict below which a share of pairs says little."""

MOVES = (
    "study", "figure", "family", "choice", "n_pairs", "n_moved", "share", "n_judged", "share_judged", "option_from", "option_to", "verdict_from",
    "verdict_to", "n_move",
)  # fmt: skip


# ----------------------------------------------------------------------------------------------------
# Every specification
# ----------------------------------------------------------------------------------------------------


def ledger_specifications(
    study_results: pd.DataFrame, published: Published, studies: Sequence[PublishedStudy]
) -> pd.DataFrame:
    """Return every specification that was run, once for each registered figure it answers.

    Estimate and interval are in the figure's unit; where that takes the baseline mean, ``converted`` says so. The bound
    is the published size where there is one, else 5 % of the mean. A placebo answers no figure.

    Args:
        study_results: ``study``, ``family``, ``choice_*`` and the columns of `analysis.evidence.results.COLUMNS`.
        published: the registry.
        studies: every published study of the registry.

    Returns:
        Columns ``SPECIFICATIONS`` and the ``choice_*`` columns after ``family``; by study, figures in the order in which
        the study asks, rows in the order of the results, then specifications that answer none.

    Raises:
        StudyError: a figure asked for that is not registered, that was published with neither size, direction nor null,
            or whose unit cannot be compared in the unit asked for.
    """
    figures = {figure.id: figure for figure in published.figures}
    choices = [name for name in study_results.columns if name.startswith("choice_")]
    kept = study_results["estimand"].isin(ONE_EFFECT) | study_results["failure"].ne("")
    results = _plain(study_results[kept], choices)
    bound = load_claims().common_bound
    parts = []
    for study in studies:
        rows = results[results["study"] == study.name]
        placebo = [pd.to_numeric(rows[name].astype(object), errors="coerce").notna() for name in PLACEBOS]
        genuine = rows[~(placebo[0] | placebo[1])]
        used: set[int] = set()
        for ask in study.asks:
            if ask.figure not in figures:
                raise StudyError(
                    f"{study.name} asks beside '{ask.figure}', which is not registered", "an identifier of the registry",
                    "data/published.yaml",
                )  # fmt: skip
            answer = ask.rows(genuine)
            used |= set(answer["_at"])
            parts.append(_answers(answer, _Target.of(figures[ask.figure], ask), ask, study, bound))
        parts.append(_silent(rows[~rows["_at"].isin(used)]))
    other = results[~results["study"].isin([study.name for study in studies])]
    if len(other):
        raise StudyError(
            f"results of the study '{other['study'].iloc[0]}'", f"one of {', '.join(s.name for s in studies)}", "the run"
        )  # fmt: skip
    names = [name for name in SPECIFICATIONS if name not in ("figure", "study", "family")]
    columns = ["figure", "study", "family", *choices, *names]
    full = [part for part in parts if len(part)]
    if not full:
        return pd.DataFrame(columns=columns)
    return pd.concat(full, ignore_index=True)[columns]


def _plain(results: pd.DataFrame, choices: Sequence[str]) -> pd.DataFrame:
    """Return results with ordinary kinds of columns, their place, and the settings of rows outside grids."""
    wanted = [
        "study", "family", "spec", "status", "failure", "measure", "definition", "comparison", "estimator", "method", "build", "scale",
        "weights", "window", "california", "covariates", "unit", "estimand", "estimate", "conf_low", "conf_high", "baseline",
        "percent_of_baseline", "percent_low", "percent_high", "n_treated", "n_comparison", "n_states", "bound", "precision",
        "carries_verdict", "simulated",
    ]  # fmt: skip
    others = [name for name in results.columns if name not in wanted]
    out = results[[*wanted, *others]].reset_index(drop=True)
    for name in ("n_treated", "n_comparison", "n_states"):
        out[name] = out[name].astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    gridded = out[list(choices)].ne("").any(axis=1) if choices else pd.Series(False, index=out.index)
    settings = pd.Series("", index=out.index, dtype=object)
    plain = out[~gridded]
    for name in OTHER_SETTINGS:
        text = plain[name].astype(object).where(plain[name].notna(), "").astype(str)
        if name in ("keep_states", "drop_states"):
            # California is a choice of its own.
            text = text.map(lambda states: " ".join(one for one in states.split() if one != "CA"))
        said = (name.replace("_", " ") + " " + text).where(text.ne(""), "")
        so_far = settings.loc[plain.index]
        settings.loc[plain.index] = so_far.where(said.eq("") | so_far.eq(""), so_far + "; ") + said
    out["settings"] = settings.astype(str)
    out["_at"] = np.arange(len(out))
    return out


@dataclass(frozen=True, slots=True)
class _Target:
    """A registered figure in the unit it is compared in.

    Args:
        figure: identifier.
        unit: unit asked for.
        kind: what was published.
        value: published number, missing where none was; a null may have one.
        low: lower end of its interval, missing without a registered error.
        high: upper end.
        sign: 1 or -1 for a direction without a size.
    """

    figure: str
    unit: str
    kind: str
    value: float
    low: float
    high: float
    sign: int

    @property
    def size(self) -> float | None:
        """Published size; None for a null and for a direction."""
        return self.value if self.kind == SIZE else None

    @classmethod
    def of(cls, figure: Figure, ask: Ask | None) -> _Target:
        """Return a figure as published, in the unit asked for, or in its own where nobody asks.

        Raises:
            StudyError: nothing to compare with, or no way into the unit without a mean, which studies rarely print.
        """
        none = figure.estimate is None
        null = (ask is not None and ask.null) or (none and figure.null)
        direction = (ask.sign if ask is not None else 0) or figure.direction or 0
        sign = direction if none and not null else 0
        kind = NULL if null else SIZE if not none else DIRECTION if sign else IN_WORDS
        if ask is None:
            own = to_unit(figure, AS_MEASURED)
            return cls(figure.id, own.unit, kind, own.estimate, own.low, own.high, sign)
        if kind == IN_WORDS:
            raise StudyError(
                f"{figure.id} is asked for, and was published with neither size, direction nor null",
                "a size or a direction, or `null` in the study's module", "data/published.yaml",
            )  # fmt: skip
        if none:
            return cls(figure.id, ask.unit, kind, np.nan, np.nan, np.nan, sign)
        there = to_unit(figure, ask.unit)
        if np.isnan(there.estimate):
            raise StudyError(
                f"{figure.id}: published in '{figure.unit}', asked for in '{ask.unit}'",
                "a unit one converts into without a mean", "the study's module",
            )  # fmt: skip
        return cls(figure.id, ask.unit, kind, there.estimate, there.low, there.high, sign)


def _row_unit(scale: str, unit: str) -> str:
    """Return the unit of a result; a Poisson model of counts gives log points."""
    return (
        LOG_POINTS
        if scale == "count" and unit.startswith("log points")
        else UNIT_OF_SCALE.get(scale, AS_MEASURED)
    )


def _level(row: Mapping[str, Any], own: str, unit: str) -> float:
    """Return the baseline as a level: in the unit asked for if that is a rate, else as the rate it was measured in."""
    base = float(row["baseline"])
    if own == AS_MEASURED or row["scale"] == "count":
        return base
    level = level_of(base, own)
    return level * RATES[unit] / RATES.get(own, RATES["per_100k"]) if unit in RATES else level


# Filled in where a policy was moved to other years.
PLACEBOS = ("status_year", "placebo_shift")
# What a row's numbers and verdict are made from.
READ = (
    "spec", "measure", "scale", "unit", "definition", "estimator", "area", "window", "failure", "estimate", "conf_low",
    "conf_high", "baseline", "percent_of_baseline", "percent_low", "percent_high", "n_treated", "n_states",
    "carries_verdict",
)  # fmt: skip


def _answers(
    rows: pd.DataFrame, target: _Target, ask: Ask, study: PublishedStudy, common: Bound
) -> pd.DataFrame:
    near = dict(ask.near)
    made = []
    for row in rows[list(READ)].to_dict("records"):
        same = row["measure"] in ask.measures
        about = {
            "figure": target.figure,
            "outcome": SAME if same else NEAR,
            "near_note": "" if same else near[row["measure"]],
            "unit": target.unit,
        }
        made.append(about | _beside(row, target, study, same, common))
    if not made:
        return pd.DataFrame()
    return _described(rows, pd.DataFrame(made, index=rows.index))


def _beside(
    row: Mapping[str, Any], target: _Target, study: PublishedStudy, same: bool, common: Bound
) -> dict[str, Any]:
    """Return one estimate in the figure's unit, with bound, verdict and comparability."""
    own = _row_unit(str(row["scale"]), str(row["unit"]))
    shared = comparability(row, study, same_outcome=same, unit=_same_unit(own, target))
    nothing = float("nan")
    out: dict[str, Any] = dict.fromkeys(("estimate", "conf_low", "conf_high", "baseline", "bound"), nothing) | {
        "converted": False, "precision": "", "agreement": "", "comparability": shared.words,
    }  # fmt: skip
    if row["failure"]:
        return out | {"verdict": NOT_ESTIMATED, "sentence": f"{NOT_ESTIMATED}: {row['failure']}"}
    values = [_in_unit(row, name, own, target) for name in ("estimate", "conf_low", "conf_high")]
    level = _level(row, own, target.unit)
    if target.kind == SIZE:
        bound = abs(target.value)
    elif target.unit == PERCENT:
        bound = 100 * common.share
    else:
        bound = common.value(target.unit, level)
    found = verdict(
        values[1], values[2], bound, size=target.size, n_treated=_count(row["n_treated"]), n_states=_count(row["n_states"]),
        carries=bool(row["carries_verdict"]), definition=_definition_label(str(row["definition"])),
        own_data=_own(shared), sign=target.sign,
    )  # fmt: skip
    return out | {
        "estimate": values[0],
        "conf_low": values[1],
        "conf_high": values[2],
        "baseline": level,
        "converted": own != target.unit and (own == LOG_POINTS or target.unit in (LOG_POINTS, PERCENT)),
        "bound": bound,
        "precision": found.precision,
        "agreement": found.agreement,
        "verdict": found.word,
        "sentence": found.sentence,
    }


def _count(value: float) -> int:
    return 0 if np.isnan(value) else int(value)


def _in_unit(row: Mapping[str, Any], name: str, own: str, target: _Target) -> float:
    value = float(row[name])
    if target.unit == PERCENT:
        return float(row["percent_of_baseline" if name == "estimate" else name.replace("conf", "percent")])
    if target.unit == AS_MEASURED or own == AS_MEASURED:
        if own != target.unit:
            raise StudyError(
                f"{target.figure} is asked for in '{target.unit}', and '{row['spec']}' is measured in '{own}'",
                "one kind of unit", "the study's module",
            )  # fmt: skip
        return value
    if row["scale"] == "count":
        return value if target.unit == LOG_POINTS else float("nan")
    return in_unit(value, str(row["scale"]), float(row["baseline"]), target.unit)


def _same_unit(own: str, target: _Target) -> bool | None:
    if target.kind != SIZE:
        return None
    return own == target.unit or (own in RATES and target.unit in RATES)


def _definition_label(name: str) -> str:
    return DEFINITIONS[name].label if name in DEFINITIONS else PurePath(name).name


def comparability(
    row: Mapping[str, Any], study: PublishedStudy, *, same_outcome: bool, unit: bool | None
) -> Comparability:
    """Return what an estimate shares with a published figure (rule 20).

    The list of places is the study's own only where the definition is a csv named after the study; of another csv, and of a
    federal programme's own dates, which a study may hold in another edition, it is not known; of a definition of this study
    it is another. A method of the same family whose settings were not read is
    not known to be the same.

    Args:
        row: of results: area, comparison, definition, estimator, window.
        study: the published study.
        same_outcome: whether the measure means the same.
        unit: whether the unit is the same without a conversion over the mean; None where no number was published.

    Example:
        >>> study = PublishedStudy("a2001", "A", 2001, 2001, "X", "county", "a list", (2015, 2015), "matching", False,
        ...     "", (), (), "")
        >>> row = {"area": "county", "definition": "policy_full", "estimator": "matched_difference", "window": "2015"}
        >>> comparability(row, study, same_outcome=True, unit=None).words
        'list: another; area: same; unit: not known; outcome: same; years: same; method: not known'
    """
    definition, estimator = str(row["definition"]), str(row["estimator"])
    mine = is_csv(definition) and PurePath(definition).stem == study.name
    area = "border_county" if estimator == "border_pairs" else str(row["area"])
    family = METHODS.get(estimator) == study.method_family
    return Comparability(
        policy_list=True if mine else None if is_csv(definition) or definition in PROGRAMMES else False,
        area=area == study.area,
        unit=unit,
        outcome=same_outcome,
        years=str(row["window"]) == window_of_years(*study.outcome_years),
        method=None if family and not study.method_seen else family,
    )


def _own(shared: Comparability) -> bool:
    """Return whether everything is the study's own; a null without a number has no unit to share."""
    aspects = (shared.policy_list, shared.area, shared.outcome, shared.years, shared.method)
    return all(one is True for one in aspects) and shared.unit is not False


def _silent(rows: pd.DataFrame) -> pd.DataFrame:
    """Return specifications that answer no figure, in their own unit."""
    if rows.empty:
        return pd.DataFrame()
    failed = rows["failure"].ne("")
    own = [_row_unit(s, u) for s, u in zip(rows["scale"], rows["unit"], strict=True)]
    read = rows[["baseline", "scale"]].to_dict("records")
    levels = [_level(row, unit, unit) for row, unit in zip(read, own, strict=True)]
    made = pd.DataFrame(
        {
            "figure": "", "outcome": "", "near_note": "", "unit": own, "estimate": rows["estimate"],
            "conf_low": rows["conf_low"], "conf_high": rows["conf_high"], "baseline": levels, "converted": False,
            "bound": rows["bound"], "precision": rows["precision"], "agreement": "",
            "verdict": np.where(failed, NOT_ESTIMATED, ""),
            "sentence": np.where(failed, f"{NOT_ESTIMATED}: " + rows["failure"], ""), "comparability": "",
        },
        index=rows.index,
    )  # fmt: skip
    return _described(rows, made)


def _described(rows: pd.DataFrame, made: pd.DataFrame) -> pd.DataFrame:
    """Return results and what the ledger says of them, side by side."""
    measures = {name: measure_label(name) for name in rows["measure"].unique()}
    definitions = {name: _definition_label(name) for name in rows["definition"].unique()}
    told = rows.rename(columns={"percent_of_baseline": "percent"}).drop(
        columns=[c for c in made.columns if c in rows]
    )
    return told.assign(
        **{name: made[name] for name in made.columns},
        measure_label=rows["measure"].map(measures),
        definition_label=rows["definition"].map(definitions),
    )


# ----------------------------------------------------------------------------------------------------
# Every figure
# ----------------------------------------------------------------------------------------------------


def ledger(
    specifications: pd.DataFrame, published: Published, studies: Sequence[PublishedStudy]
) -> pd.DataFrame:
    """Return one row a registered figure, in the order of the file.

    Beside it stands the estimate of the main specification its study names, or the reason why none does.

    Args:
        specifications: from `ledger_specifications`.
        published: the registry.
        studies: every published study of the registry.

    Returns:
        Columns ``LEDGER``.

    Raises:
        StudyError: a figure no study owns, or that its study neither asks for nor explains.
    """
    shares = verdict_shares(specifications)
    shares = shares[shares["family"] == ALL]
    wide = shares.pivot(index="figure", columns="verdict", values="share")
    counts = shares.drop_duplicates("figure").set_index("figure")[["n_specs", "n_families"]]
    answers = specifications[specifications["figure"].ne("")]
    rows = []
    for figure in published.figures:
        name = figure.id
        study = study_of(name, studies)
        ask, reason = study.ask(name), study.reason(name)
        row = _published_row(figure, study, ask) | {"reason": reason}
        if ask is not None:
            main = answers[(answers["figure"] == name) & (answers["spec"] == ask.main)]
            row |= {"main": ask.main, "note": ask.note}
            if main.empty:
                row["reason"] = f"{NOT_RUN}: '{ask.main}'"
            else:
                row |= _main_row(main.iloc[0])
        if name in wide.index:
            row |= {f"share_{_slug(c)}": wide.loc[name, c] for c in CLASSES}
            row |= {
                "n_specs": int(counts.loc[name, "n_specs"]),
                "n_families": int(counts.loc[name, "n_families"]),
            }
        rows.append(row)
    out = pd.DataFrame(rows, columns=list(LEDGER))
    again = out.duplicated(["study", "outcome"], keep=False)
    out["told"] = [
        f"{outcome} ({figure_words(figure)})" if twice else outcome
        for outcome, figure, twice in zip(out["outcome"], out["figure"], again, strict=True)
    ]
    for name in ("n_treated", "n_comparison", "n_states"):
        out[name] = pd.to_numeric(out[name]).astype("Int64")
    return out


NUMBERS = (
    "published", "published_low", "published_high", "estimate", "conf_low", "conf_high", "baseline", "percent", "percent_low",
    "percent_high", "bound", "n_treated", "n_comparison", "n_states", *(name for name in LEDGER if name.startswith("share_")),
)  # fmt: skip


# What parts of identifiers mean, where they are no words.
TABLE_PARTS = (
    (r"byhisp", "by Hispanic share"), (r"bytype", "by offence"), (r"hispq(\d)", r"quartile \1"), (r"dd1", "model 1"),
    (r"dd2", "model 2"), (r"dd", ""), (r"c(\d)", r"column \1"), (r"log(?:crime|property|violent|nonviolent)", ""),
)  # fmt: skip


def figure_words(figure: str) -> str:
    """Return what an identifier says beside its study, in words.

    Example:
        >>> figure_words("wong2017.crime.large_central_metro"), figure_words("biasi.logcrime_byhisp_dd1.hispq4.c2")
        ('crime, large central metro', 'by Hispanic share, model 1, quartile 4, column 2')
    """
    parts = []
    for part in figure.split(".")[1:]:
        pieces = re.split(r"_", part) if re.match(r"log", part) else [part.replace("_", " ")]
        for piece in pieces:
            said = next((re.sub(of, to, piece) for of, to in TABLE_PARTS if re.fullmatch(of, piece)), piece)
            parts += [said] if said else []
    return ", ".join(parts)


def _published_row(figure: Figure, study: PublishedStudy, ask: Ask | None) -> dict[str, Any]:
    target = _Target.of(figure, ask)
    words = {
        SIZE: "",
        NULL: NULL,
        DIRECTION: DIRECTIONS.get(target.sign, ""),
        IN_WORDS: figure.sign,
    }
    if target.unit in WORDS or (ask is not None and target.unit == PERCENT):
        unit_words = UNIT_WORDS[target.unit]
    else:
        unit_words = CODE_WORDS.get(figure.unit_code, figure.unit)
    empty: dict[str, Any] = dict.fromkeys(LEDGER, "") | dict.fromkeys(NUMBERS, float("nan"))
    return empty | {
        "figure": target.figure,
        "study": study.name,
        "label": study.label,
        "method": study.method_family,
        "reading": study.reading,
        "asked": next(iter((*ask.measures, *(name for name, _ in ask.near))), "") if ask is not None else "",
        "headline": ask is not None and ask.headline,
        "outcome": figure.outcome,
        "kind": target.kind,
        "unit": target.unit,
        "unit_words": unit_words,
        "published": target.value,
        "published_low": target.low,
        "published_high": target.high,
        "published_words": words[target.kind],
        "confidence": figure.confidence,
        "pass_mark": figure.pass_mark,
        "read_in": f"{figure.seen_in}; {figure.where}",
        "n_specs": 0,
        "n_families": 0,
        "simulated": False,
    }


def _main_row(main: pd.Series) -> dict[str, Any]:
    copied = (
        "measure", "measure_label", "definition", "definition_label", "comparison", "estimator", "build", "window",
        "estimate", "conf_low", "conf_high", "baseline", "percent", "percent_low", "percent_high", "n_treated",
        "n_comparison", "n_states", "bound", "precision", "agreement", "verdict", "sentence", "comparability", "status",
    )  # fmt: skip
    return {name: main[name] for name in copied} | {
        "same_outcome": main["outcome"],
        "simulated": bool(main["simulated"]),
    }


def _slug(word: str) -> str:
    return word.replace(" ", "_")


# ----------------------------------------------------------------------------------------------------
# Shares and moves
# ----------------------------------------------------------------------------------------------------


def verdict_shares(specifications: pd.DataFrame) -> pd.DataFrame:
    """Return how the specifications that answer a figure fall into classes, by family, and with families alike.

    Args:
        specifications: from `ledger_specifications`.

    Returns:
        Columns ``SHARES``: ``n`` specifications of ``n_specs`` in a class; ``share`` of a family's specifications, those
        that failed counted; for the family ``all`` the mean of the families' shares. Every class of ``CLASSES`` has a
        row, with zeros. Shares describe the declared specifications; they are no probabilities.
    """
    rows = specifications[specifications["figure"].ne("")]
    if rows.empty:
        return pd.DataFrame(columns=list(SHARES))
    classes = [*CLASSES, *(c for c in OWN_CLASSES if rows["verdict"].eq(c).any())]
    keys = ["study", "figure", "family"]
    counts = rows.groupby([*keys, "verdict"], sort=False).size().unstack(fill_value=0)
    counts = counts.reindex(columns=classes, fill_value=0)
    whole = counts.sum(axis=1)
    apart = counts.div(whole, axis=0)
    by_figure = ["study", "figure"]
    families = apart.groupby(level=by_figure, sort=False)
    alike = families.mean()
    parts = []
    for table, n, n_families, family in (
        (apart, counts, None, None),
        (alike, counts.groupby(level=by_figure, sort=False).sum(), families.size(), ALL),
    ):
        long = table.stack().rename("share").reset_index().rename(columns={"level_3": "verdict"})
        long["n"] = n.stack().to_numpy()
        long["n_specs"] = np.repeat(n.sum(axis=1).to_numpy(), len(classes))
        if n_families is None:
            long["n_families"] = 1
        else:
            long = long.assign(family=family, n_families=np.repeat(n_families.to_numpy(), len(classes)))
        parts.append(long)
    return pd.concat(parts, ignore_index=True)[list(SHARES)]


def class_moves(specifications: pd.DataFrame) -> pd.DataFrame:
    """Return which choices move a specification from one class to another.

    Pairs of estimated specifications of one figure and family that differ in exactly one choice: a grid's own choices, or
    ``PLAIN_CHOICES`` where all ``settings`` agree.

    Args:
        specifications: from `ledger_specifications`.

    Returns:
        Columns ``MOVES``: one row a figure, family and choice; then a figure with ``all`` families (shares averaged over
        families); then a study with ``all`` figures. ``share`` of ``n_pairs`` whose class differs, and ``share_judged`` of the
        ``n_judged`` pairs that both took a verdict (consistent, not consistent, inconclusive); the most frequent move runs
        from the option that comes first among the results. Without a move its cells are empty.
    """
    pairs = _pairs(specifications)
    if pairs.empty:
        return pd.DataFrame(columns=list(MOVES))
    parts = []
    for keys in (["study", "figure", "family"], ["study", "figure"], ["study"]):
        table = _moves_by(pairs, keys)
        for name in ("figure", "family"):
            if name not in keys:
                table[name] = ALL
        parts.append(table)
    return pd.concat(parts, ignore_index=True)[list(MOVES)]


def _pairs(specifications: pd.DataFrame) -> pd.DataFrame:
    rows = specifications[specifications["figure"].ne("") & specifications["verdict"].ne(NOT_ESTIMATED)]
    rows = rows.reset_index(drop=True)
    # An estimator's options are its own: with another estimator they are others too.
    told = rows["estimator"] + (" (" + rows["method"] + ")").where(rows["method"].ne(""), "")
    rows = rows.assign(estimator=told)
    choices = [name for name in rows.columns if name.startswith("choice_")]
    gridded = rows[choices].ne("").any(axis=1) if choices else pd.Series(False, index=rows.index)
    found = []
    for part, names, also in (
        (rows[gridded], choices, []),
        (rows[~gridded], list(PLAIN_CHOICES), ["settings"]),
    ):
        if part.empty:
            continue
        fixed = part.groupby(["study", "figure", "family", *also], sort=False).ngroup().to_numpy()
        codes = np.column_stack([fixed, *(pd.factorize(part[name])[0] for name in names)])
        about = part[["study", "figure", "family"]].reset_index(drop=True)
        classes = part["verdict"].to_numpy(dtype=object)
        for at, name in enumerate(names, start=1):
            others = np.delete(codes, at, axis=1)
            key = np.unique(others, axis=0, return_inverse=True)[1].ravel()
            one = pd.DataFrame({"key": key, "row": np.arange(len(part)), "option": codes[:, at]})
            one = one[one["key"].map(one["key"].value_counts()) > 1]
            both = one.merge(one, on="key", suffixes=("_from", "_to"))
            both = both[both["option_from"] < both["option_to"]]
            if both.empty:
                continue
            first, second = both["row_from"].to_numpy(), both["row_to"].to_numpy()
            options = part[name].to_numpy(dtype=object)
            judged = np.isin(classes.astype(str), JUDGED)
            found.append(
                about.iloc[first].reset_index(drop=True).assign(
                    choice=name.removeprefix("choice_"), option_from=options[first], option_to=options[second],
                    verdict_from=classes[first], verdict_to=classes[second], moved=classes[first] != classes[second],
                    judged=judged[first] & judged[second],
                )
            )  # fmt: skip
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _moves_by(pairs: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    by = [*keys, "choice"]
    counted = pairs.groupby(by, sort=False)["moved"].agg(n_pairs="size", n_moved="sum")
    counted["n_moved"] = counted["n_moved"].astype(int)
    judged = pairs[pairs["judged"]]
    counted["n_judged"] = judged.groupby(by, sort=False).size().reindex(counted.index, fill_value=0)
    apart = [*by, *(["family"] if "family" not in by else [])]
    for name, rows in (("share", pairs), ("share_judged", judged)):
        counted[name] = rows.groupby(apart, sort=False)["moved"].mean().groupby(level=by, sort=False).mean()
    ends = ["option_from", "option_to", "verdict_from", "verdict_to"]
    moves = pairs[pairs["moved"]].groupby([*by, *ends], sort=False).size().rename("n_move").reset_index()
    moves = moves.sort_values("n_move", ascending=False, kind="stable").drop_duplicates(by).set_index(by)
    out = counted.join(moves).reset_index()
    out[ends] = out[ends].astype(object).where(out[ends].notna(), "")
    out["n_move"] = out["n_move"].fillna(0).astype(int)
    return out


# ----------------------------------------------------------------------------------------------------
# In words
# ----------------------------------------------------------------------------------------------------

LINE = 110
MINUS = "\N{MINUS SIGN}"


def headline_rows(table: pd.DataFrame, first: Sequence[str] = ()) -> pd.DataFrame:
    """Return the headline figures, study by study.

    Args:
        table: from `ledger`.
        first: names of studies that come before the others, in this order; the others keep that of the registry.
    """
    heads = table[table["headline"].eq(True)]
    rank = {name: at for at, name in enumerate(first)}
    order = heads["study"].map(rank).fillna(len(rank)).to_numpy(dtype=int)
    return heads.iloc[np.argsort(order, kind="stable")]


def ledger_text(
    table: pd.DataFrame,
    shares: pd.DataFrame,
    moves: pd.DataFrame,
    *,
    short: bool = False,
    first: Sequence[str] = (),
) -> str:
    """Return the ledger for a terminal of 110 columns: headline figures first, then the others, study by study.

    Args:
        table: from `ledger`.
        shares: from `verdict_shares`.
        moves: from `class_moves`.
        short: headline figures and counts alone.
        first: see `headline_rows`.
    """
    blocks = []
    if table["simulated"].eq(True).any():
        blocks.append("SIMULATED DATA: effects were built in; nothing below says anything about any place.")
    blocks.append(
        _filled(
            "Every registered figure beside this study's estimate. Precision first, then agreement, then what is shared. "
            "Equivalent to zero: inside ± the published size, or ± 5 % of the mean where none was published. A published "
            "null agrees only through equivalence. Intervals are at 95 %. Figures from memory or inferred are marked and "
            "count for nothing. Shares weigh families of designs alike and describe the specifications run."
        )
    )
    heads = headline_rows(table, first)
    for _, rows in heads.groupby("study", sort=False):
        lines = [str(rows["label"].iloc[0])]
        for row in rows.to_dict("records"):
            lines += _headline_lines(row, short)
        lines += list(_move_lines(moves[moves["study"].eq(row["study"]) & moves["figure"].eq(ALL)]))
        blocks.append("\n".join(lines))
    blocks.append(_counted(table, shares))
    if not short:
        rest = table[~table["headline"].eq(True)]
        for _, rows in rest.groupby("study", sort=False):
            lines = [f"{rows['label'].iloc[0]}, other figures"]
            lines += [line for row in rows.to_dict("records") for line in _other_lines(row)]
            blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _filled(text: str, indent: str = "") -> str:
    # A number and its per cent sign stay on one line.
    filled = textwrap.fill(
        text.replace(" %", "\u00a0%"), LINE, initial_indent=indent, subsequent_indent=indent + ("  " if indent else ""),
        break_on_hyphens=False,
    )  # fmt: skip
    return filled.replace("\u00a0", " ")


def _headline_lines(row: Mapping[Any, Any], short: bool) -> Iterator[str]:
    mark = "" if row["pass_mark"] else f" [{row['confidence']}: no pass mark]"
    yield _filled(f"{row['figure']}: {row['outcome']}; {row['unit_words']}{mark}", "  ")
    yield _filled(f"published {published_words(row)}; {ours_words(row)}", "    ")
    if short or not row["n_specs"]:
        return
    yield _filled(f"{row['n_specs']:,} specifications, families alike: {shares_words(row)}", "    ")
    if row["comparability"]:
        yield _filled(f"beside the published figure: {row['comparability']}", "    ")
    if row["note"]:
        yield _filled(str(row["note"]), "    ")


def published_words(row: Mapping[Any, Any]) -> str:
    """Return what was published: a size with its interval or the want of one, a direction, or words.

    Example:
        >>> published_words({"published": -35.5, "published_low": float("nan"), "published_high": float("nan")})
        '−35.5 (no error published)'
    """
    value, low, high = (float(row[name]) for name in ("published", "published_low", "published_high"))
    if np.isnan(value):
        return str(row["published_words"]) or "in words"
    places = _places(value, low, high)
    ends = "no error published" if np.isnan(low) else f"{_number(low, places)} to {_number(high, places)}"
    return f"{_number(value, places)} ({ends})"


def ours_words(row: Mapping[Any, Any]) -> str:
    """Return the main specification's estimate with counts and verdict, or why none stands there."""
    if not row["verdict"]:
        return f"nothing beside it: {row['reason']}"
    if row["verdict"] == NOT_ESTIMATED:
        return str(row["sentence"])
    value, low, high = (float(row[name]) for name in ("estimate", "conf_low", "conf_high"))
    places = _places(value, low, high)
    counts = f"{_whole(row['n_treated'])} treated, {_whole(row['n_comparison'])} compared, {_whole(row['n_states'])} states"
    ends = f"{_number(low, places)} to {_number(high, places)}" if not np.isnan(low + high) else "no interval"
    return f"here {_number(value, places)} ({ends}), {counts}: {row['sentence']}"


def shares_words(row: Mapping[Any, Any]) -> str:
    """Return the shares of a ledger row's specifications in words, those above nothing.

    Example:
        >>> row = dict.fromkeys([f"share_{_slug(c)}" for c in CLASSES], 0.0) | {"share_inconclusive": 0.75, "share_consistent": 0.25}
        >>> shares_words(row)
        '25 % consistent, 75 % inconclusive'
    """
    parts = [(float(row[f"share_{_slug(c)}"]), c) for c in CLASSES]
    return ", ".join(f"{_percent(share)} {word}" for share, word in parts if share > 0)


def _percent(share: float) -> str:
    if 0 < share < 0.005:
        return "under 1 %"
    return "over 99 %" if 0.995 < share < 1 else f"{100 * share:.0f} %"


def _move_lines(moves: pd.DataFrame) -> Iterator[str]:
    judged = moves[moves["n_judged"].astype(float).ge(FEW_PAIRS)]
    top = judged.sort_values("share_judged", ascending=False, kind="stable").head(3)
    if len(top):
        told = [
            f"{r['choice'].replace('_', ' ')} {_percent(r['share_judged'])} of {int(r['n_judged']):,} pairs"
            for r in top.to_dict("records")
        ]
        yield _filled(f"Choices that most often give another verdict: {'; '.join(told)}.", "  ")


def _counted(table: pd.DataFrame, shares: pd.DataFrame) -> str:
    beside = table[table["verdict"].ne("")]
    counted = beside[beside["pass_mark"].eq(True)]["verdict"].value_counts()
    words = [f"{counted[c]} {c}" for c in (*CLASSES, *OWN_CLASSES) if c in counted]
    n_specs = int(shares[shares["family"].ne(ALL)].drop_duplicates(["figure", "family"])["n_specs"].sum())
    return _filled(
        f"{len(table)} registered figures: {len(beside)} with an estimate beside them ({n_specs:,} specifications answer "
        f"them), {len(table) - len(beside)} with a reason why not. Of those that may serve as a mark: "
        f"{', '.join(words) if words else 'none'}."
    )


def _other_lines(row: Mapping[Any, Any]) -> Iterator[str]:
    mark = "" if row["pass_mark"] else f" [{row['confidence']}]"
    if not row["verdict"]:
        yield _filled(f"{row['figure']}: {published_words(row)}{mark}: {row['reason']}", "  ")
        return
    word = row["verdict"] + (f" ({row['agreement']})" if row["agreement"] else "")
    value, low, high = (float(row[name]) for name in ("estimate", "conf_low", "conf_high"))
    places = _places(value, low, high)
    here = (
        f"{_number(value, places)} ({_number(low, places)} to {_number(high, places)})"
        if not np.isnan(value)
        else "–"
    )
    yield _filled(f"{row['figure']}: {published_words(row)}{mark}; here {here}: {word}", "  ")


def _places(*values: float) -> int:
    sizes = [abs(v) for v in values if np.isfinite(v) and v != 0]
    largest = max(sizes, default=1.0)
    return 0 if largest >= 1000 else 1 if largest >= 10 else 2 if largest >= 1 else 3


def _number(value: float, places: int) -> str:
    if np.isnan(value):
        return "no end"
    if np.isinf(value):
        return f"{MINUS if value < 0 else ''}∞"
    rounded = round(value, places) + 0.0
    return f"{MINUS if rounded < 0 else ''}{abs(rounded):,.{places}f}"


def _whole(value: Any) -> str:
    return "–" if pd.isna(value) else f"{int(value):,}"
