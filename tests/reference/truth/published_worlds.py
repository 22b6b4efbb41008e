"""Published studies of simulated worlds, recomputed from their own data: what a verdict says, and what it does not.

In each world a policy of 2013 adds a known number of reported offences. Places that adopt also have lastingly fewer of
them, for reasons nobody measured. A sound study compares changes, an unsound one levels; each publishes its estimate,
rounded. Recomputing it on the study's own data and list says whether the number is reproduced, and nothing of whether it
is right: that is another axis, known here alone, because the effect was built in. In noisy worlds the same sound study
says little, and a published null finds no support in it.

Worlds were set down before they were run and are not tuned. Run as a script (half a minute):
    python tests/reference/truth/published_worlds.py --draws 100
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.base.paths import ROOT, replacing
from analysis.base.records import Panel
from analysis.design.spec import Spec, load_spec
from analysis.evidence.runs import run_spec
from analysis.evidence.verdict import recovery, reproduces, verdict

HERE = Path(__file__).resolve().parent
TABLE = HERE / "published_worlds.csv"
PAGE = ROOT / "docs" / "published_worlds.md"

DRAWS = 100
EFFECT, DIFFERENCE = 100.0, -400.0
"""Offences per 100,000 the policy adds, and by which adopters differ lastingly without it."""
BASELINE, COUNTIES, ADOPTERS = 2500.0, 16, 6
STATES = {"17": "IL", "19": "IA", "27": "MN", "37": "NC", "55": "WI", "36": "NY", "24": "MD", "47": "TN", "29": "MO",
          "18": "IN"}  # fmt: skip
YEARS = range(2010, 2018)
DIGITS = 1
WORDS = ("reproduced", "not reproduced", "inconclusive", "not informative", "no verdict")
TRUTHS = ("recovers the known effect", "does not recover the known effect", "inconclusive")
COLUMNS = ("world", "design", "published", "draws", "estimate", "half_length", "same_number", *WORDS, "truth_recovers",
           "truth_does_not", "truth_inconclusive")  # fmt: skip

CHANGES = {
    "name": "published", "title": "A study of a simulated world", "status": "added", "outcome.measure": "property",
    "covariates.names": [], "estimator.method": "outcome_regression", "estimator.weights": "none", "inference.draws": 0,
    "inference.seed": 1,
}  # fmt: skip
"""What a sound study changes of the main specification: changes of adopters and others, counties alike."""
LEVELS = {
    "name": "published", "design.kind": "cross_section", "design.year": 2015, "covariates.names": ["hispanic"],
    "covariates.vintage": "2006_2010", "estimator.name": "matched_difference", "estimator.distance": "mahalanobis",
    "estimator.neighbours": 1, "estimator.replacement": True, "estimator.caliper": 0.0, "estimator.exact": [],
    "estimator.bias_adjust": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Study:
    """A study of a world.

    Args:
        design: what it does, in words.
        sound: whether its assumption holds in these worlds.
        noise: standard deviation of a county's yearly shock, per 100,000.
        null: whether it publishes in words that nothing was found, and no number.
    """

    design: str
    sound: bool
    noise: float
    null: bool = False


STUDIES = {
    "quiet, sound": Study("changes of adopters and others", True, 100.0),
    "quiet, unsound": Study("levels of matched counties", False, 100.0),
    "noisy, sound": Study("changes of adopters and others", True, 1500.0),
    "noisy, sound, null published": Study("changes of adopters and others", True, 1500.0, null=True),
}


def specification(study: Study) -> Spec:
    """Return what a study ran."""
    changes = load_spec("main").base().replace(CHANGES)
    return changes if study.sound else changes.replace(LEVELS)


def world(noise: float, rng: np.random.Generator) -> Panel:
    """Return the data of a world: SIMULATED, ten states of sixteen counties, six of which adopt in June 2013.

    Args:
        noise: standard deviation of a county's yearly shock.
        rng: source of randomness.
    """
    rows, events = [], []
    for prefix, state in STATES.items():
        of_state = rng.normal(0, 10, len(YEARS))
        for i in range(COUNTIES):
            fips, adopts = f"{prefix}{2 * i + 1:03d}", i < ADOPTERS
            level = BASELINE + rng.normal(0, 200) + DIFFERENCE * adopts
            hispanic = rng.uniform(0, 0.5)
            if adopts:
                events.append(_event(fips, state))
            for year, common in zip(YEARS, of_state, strict=True):
                rate = level + common + rng.normal(0, noise) + EFFECT * (adopts and year >= 2014)
                rows.append(
                    {"county_fips": fips, "year": year, "state": state, "urban_class": "noncore", "division": "3",
                     "population": 50_000.0, "rate_policed_property": rate, "coverage_property": 1.0,
                     "declined_detainers": 0.0, "hispanic_2010": hispanic}
                )  # fmt: skip
    table = pd.DataFrame(rows)
    declines = pd.DataFrame(
        {"county_fips": pd.Series(dtype="str"), "state": pd.Series(dtype="str"), "year": pd.Series(dtype="Int64"),
         "declined": pd.Series(dtype="Int64"), "other_outcomes": pd.Series(dtype=float),
         "decline_share": pd.Series(dtype=float), "n_facilities": pd.Series(dtype="Int64"),
         "share_biased_down": pd.Series(dtype=bool)}
    )  # fmt: skip
    return Panel(table, table, pd.DataFrame(events), declines, "0" * 16, simulated=True)


def _event(fips: str, state: str) -> dict[str, object]:
    return {
        "event": f"D2-{fips}", "definition_source": "D2", "jurisdiction": fips, "state": state, "level": "county",
        "county_fips": fips, "direction": "limit_full", "date": "2013-06-15", "year": 2013, "month": 6, "precision": "day",
        "basis": "enacted", "upper_bound": False, "verified": True, "rows": 1, "source": "simulated", "source_url": "",
        "note": "",
    }  # fmt: skip


def recompute(study: Study, panel: Panel) -> dict[str, object]:
    """Publish a study of a world and recompute it from its own data and list.

    Returns:
        estimate, half_length, same_number (the printed number comes out again), word (of the verdict), truth (the other
        axis: against the effect that was built in).
    """
    spec = specification(study)
    printed = round(float(run_spec(panel, spec).estimates["post"].table["estimate"].iloc[0]), DIGITS)
    again = run_spec(panel, spec).estimates["post"].table.iloc[0]
    low, high = float(again["conf_low"]), float(again["conf_high"])
    bound = 0.05 * BASELINE
    found = verdict(
        low, high, bound, size=None if study.null else printed, n_treated=int(again["n_treated"]), n_states=len(STATES),
        carries=True, definition="the study's own list", own_data=True,
    )  # fmt: skip
    return {
        "estimate": float(again["estimate"]),
        "half_length": (high - low) / 2,
        "same_number": reproduces(float(again["estimate"]), printed, DIGITS),
        "word": found.word,
        "truth": recovery(low, high, EFFECT, bound),
    }


def run(name: str, draws: int) -> dict[str, object]:
    """Return the row of one kind of study over ``draws`` worlds."""
    study = STUDIES[name]
    each = [
        recompute(
            study, world(study.noise, np.random.default_rng([20261122, list(STUDIES).index(name), draw]))
        )
        for draw in range(draws)
    ]
    frame = pd.DataFrame(each)
    row: dict[str, object] = {
        "world": name, "design": study.design, "published": "a null in words" if study.null else "its estimate",
        "draws": draws, "estimate": frame["estimate"].mean(), "half_length": frame["half_length"].mean(),
        "same_number": frame["same_number"].mean(),
    }  # fmt: skip
    row |= {word: frame["word"].eq(word).mean() for word in WORDS}
    truths = ("truth_recovers", "truth_does_not", "truth_inconclusive")
    row |= {column: frame["truth"].eq(of).mean() for column, of in zip(truths, TRUTHS, strict=True)}
    return row


def read_table() -> pd.DataFrame:
    """Read the committed table."""
    return pd.read_csv(TABLE)


def page(table: pd.DataFrame) -> str:
    """Return the page of the documentation."""
    head = (
        "| study | published | mean estimate, 95 % half-length | number comes out again | reproduced | not reproduced | "
        "inconclusive | recovers the known effect | does not | inconclusive |\n|" + "---|" * 10
    )
    lines = [
        f"| {r['world']}: {r['design']} | {r['published']} | {r['estimate']:+.0f} ± {r['half_length']:.0f} | "
        f"{_share(r['same_number'])} | {_share(r['reproduced'])} | {_share(r['not reproduced'])} | "
        f"{_share(r['inconclusive'])} | {_share(r['truth_recovers'])} | {_share(r['truth_does_not'])} | "
        f"{_share(r['truth_inconclusive'])} |"
        for r in table.to_dict("records")
    ]
    draws = int(table["draws"].iloc[0])
    return (
        "<!-- Generated by `python tests/reference/truth/published_worlds.py`; a test holds it to the table. -->\n\n"
        "# What a verdict says, where the truth is known\n\n"
        "SIMULATED: every number here comes from simulated worlds.\n\n"
        f"In each of {draws} worlds a row, ten states of sixteen counties, a policy of 2013 adds {EFFECT:.0f} reported "
        f"offences per 100,000 to a mean of {BASELINE:,.0f}; the six counties of each state that adopt have lastingly "
        f"{-DIFFERENCE:.0f} fewer for reasons nobody measured. A study of the world publishes its estimate to one decimal, "
        "and is then recomputed from its own data and its own list.\n\n"
        "The ledger's verdict asks whether the published number comes out again (*reproduced*). It does for the unsound "
        "design as for the sound one: a number can be reproduced and wrong. Whether the design finds the effect that was "
        "built in is the other axis, which exists in simulated worlds alone. It *recovers* the effect where the interval "
        "holds it and is at most as long as the bound of equivalence (5 % of the mean) on either side, *does not recover* "
        "it where the interval leaves it out; a longer interval that holds it is *inconclusive*. A noisy estimate is "
        "inconclusive on both axes, and never agreement with a null.\n\n"
        "Shares of worlds in per cent; a share of 95 % has a Monte Carlo error of "
        f"{100 * np.sqrt(0.95 * 0.05 / draws):.1f} points.\n\n{head}\n" + "\n".join(lines) + "\n"
    )


def _share(value: float) -> str:
    return f"{100 * value:.0f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every kind of study, then write the table and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS, help="simulated worlds a study")
    asked = parser.parse_args(arguments)
    table = pd.DataFrame([run(name, asked.draws) for name in STUDIES])[list(COLUMNS)]
    with replacing(TABLE) as path:
        table.round(6).to_csv(path, index=False, lineterminator="\n")
    with replacing(PAGE) as path:
        path.write_text(page(read_table()), encoding="utf-8")


if __name__ == "__main__":
    main()
