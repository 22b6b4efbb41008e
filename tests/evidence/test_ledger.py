"""The ledger: verdicts against the rules written out by hand, units, comparability, shares, moves, and every row kept."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import StudyError
from analysis.evidence import ledger as of
from analysis.evidence.published import Figure, Published
from analysis.evidence.results import COLUMNS, FLAGS, TEXTS
from analysis.evidence.studies.record import Ask, PublishedStudy
from analysis.evidence.verdict import recovery, reproduces, sign_agreement, verdict

CHOICES = ("choice_build", "choice_weights")


def figure(id, estimate=None, sign="", se=None, code="per_10k", confidence="verbatim-seen", unit=""):
    return Figure(
        id=id, study="S", outcome="reported crime", unit=unit or code, unit_code=code, sample="", method="", estimate=estimate,
        sign=sign, se=se, ci=None, ci_text="", ci_level=0.95, t=None, p=None, p_text="", n=None, n_text="", where="p. 1",
        confidence=confidence, seen_in="primary", url="", notes="",
    )  # fmt: skip


def study(
    name="s2001", *, asks=(), area="county", method="matching", seen=True, years=(2015, 2015), apart=None
):
    return PublishedStudy(
        name, "Somebody", 2001, 2001, "Journal", area, "a list", years, method, seen, "Design.", ("Known.",), ("Chosen.",),
        "Reading.", asks=tuple(asks), apart=apart if apart is not None else {f"{name}.*": "no data here"},
    )  # fmt: skip


def rows(*each, **every):
    """Results of the studies: ordinary values where nothing else is said."""
    usual = {
        "study": "s2001", "family": "matching", **dict.fromkeys(CHOICES, ""), **dict.fromkeys(COLUMNS, np.nan),
        **dict.fromkeys(TEXTS, ""), **dict.fromkeys(FLAGS, False), "status": "declared", "estimand": "att",
        "measure": "property", "build": "policed", "scale": "rate_100k", "unit": "offences per 100,000 residents",
        "definition": "policy_full", "comparison": "matched", "estimator": "matched_difference", "window": "2015",
        "area": "county", "california": "in", "weights": "none", "estimate": 10.0, "conf_low": -5.0, "conf_high": 25.0,
        "baseline": 300.0, "n_treated": 40, "n_comparison": 60, "n_states": 9, "carries_verdict": True, "informative": True,
        "level": 0.95,
    }  # fmt: skip
    made = [usual | every | one for one in each]
    for at, one in enumerate(made):
        one["spec"] = one["spec"] or f"spec/{at}"
        base = one["baseline"]
        for to, name in (
            ("percent_of_baseline", "estimate"),
            ("percent_low", "conf_low"),
            ("percent_high", "conf_high"),
        ):
            one[to] = 100 * np.expm1(one[name]) if one["scale"] == "log_rate" else 100 * one[name] / base
    table = pd.DataFrame(made)
    for name in ("n_treated", "n_comparison", "n_states"):
        table[name] = table[name].astype("Int64")
    return table


def one_row(result, ask, *figures, **about):
    found = of.ledger_specifications(rows(result), Published(figures), [study(asks=[ask], **about)])
    return found[found["figure"] == ask.figure].iloc[0]


def by_rules(low, high, bound, *, size, sign, n_treated, n_states, carries):
    """Rules 7, 12 and 19, written out once more."""
    if n_treated < 20 or n_states < 6:
        return "not informative"
    if not carries or (math.isnan(low) and math.isnan(high)):
        return "no verdict"
    if -bound < low and high < bound:
        return "consistent" if size is None and sign == 0 else "not consistent"
    if low <= 0 <= high or (math.isnan(low) and high >= 0) or (math.isnan(high) and low <= 0):
        return "inconclusive"
    if sign:
        return "consistent" if (low > 0) == (sign > 0) else "not consistent"
    if size is None:
        return "not consistent"
    return "consistent" if not (size < low or size > high) else "not consistent"


# --------------------------------------------------------------------------------------------------------
# Verdicts
# --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (-60.0, -10.0, "published sign"),
        (10.0, 60.0, "opposite sign"),
        (-2.0, 3.0, "published sign, equivalent to zero here"),
        (-3.0, -1.0, "published sign, equivalent to zero here"),
        (-60.0, 10.0, ""),
    ],
)
def test_a_direction_without_a_size_agrees_through_an_interval_that_excludes_zero_alone(low, high, found):
    given = verdict(
        low, high, 5.0, size=None, sign=-1, n_treated=40, n_states=9, carries=True, definition="X"
    )
    assert given.agreement == found
    words = {"published sign": "consistent", "": "inconclusive"}
    assert given.word == words.get(found, "not consistent")


def test_a_sign_is_one_or_minus_one():
    with pytest.raises(ValueError, match="sign of 0"):
        sign_agreement(1.0, 2.0, 0, "different from zero")


@pytest.mark.parametrize("size", [None, -35.5, 4.0])
@pytest.mark.parametrize("sign", [0, 1])
def test_a_noisy_estimate_is_inconclusive_and_agrees_with_nothing(size, sign):
    given = verdict(
        -900.0, 800.0, 5.0, size=size, sign=sign, n_treated=40, n_states=9, carries=True, definition="X"
    )
    assert (given.word, given.agreement) == ("inconclusive", "")


def test_verdicts_of_random_rows_are_those_of_the_rules():
    rng = np.random.default_rng(7)
    n = 400
    low = rng.normal(0, 60, n)
    high = low + rng.exponential(60, n)
    low[:10], high[10:20] = np.nan, np.nan
    high[20:25] = low[20:25] = np.nan
    made = rows(
        *(
            {
                "spec": f"x/{at}", "estimate": float(np.nanmean([low[at], high[at], 0.0])), "conf_low": low[at],
                "conf_high": high[at], "n_treated": int(rng.integers(10, 60)), "n_states": int(rng.integers(3, 15)),
                "carries_verdict": bool(rng.random() < 0.8), "baseline": float(rng.uniform(100, 900)),
                "measure": str(rng.choice(["property", "total"])),
            }
            for at in range(n)
        )
    )  # fmt: skip
    figures = (
        figure("s2001.size", -3.0, "-", code="per_10k"), figure("s2001.null", sign="no detectable change"),
        figure("s2001.sign", sign="+"), figure("s2001.sized_null", 2.0, "+", se=3.0),
    )  # fmt: skip
    asks = [
        Ask("s2001.size", ("property",), "per_10k", "x/0"),
        Ask("s2001.null", ("property",), "per_100k", "x/0", near=(("total", "violent crime too"),)),
        Ask("s2001.sign", ("total",), "per_100k", "x/0"),
        Ask("s2001.sized_null", ("property",), "per_10k", "x/0", null=True),
    ]
    found = of.ledger_specifications(made, Published(figures), [study(asks=asks)])
    source = made.set_index("spec")
    size = {"s2001.size": -3.0}
    checked = 0
    for row in found[found["figure"] != ""].to_dict("records"):
        raw = source.loc[row["spec"]]
        scale = 0.1 if row["unit"] == "per_10k" else 1.0
        bound = 3.0 if row["figure"] == "s2001.size" else 0.05 * raw["baseline"] * scale
        wanted = by_rules(
            raw["conf_low"] * scale, raw["conf_high"] * scale, bound, size=size.get(row["figure"]),
            sign=1 if row["figure"] == "s2001.sign" else 0, n_treated=raw["n_treated"], n_states=raw["n_states"],
            carries=raw["carries_verdict"],
        )  # fmt: skip
        assert row["verdict"] == wanted, row
        assert row["bound"] == pytest.approx(bound, rel=1e-12)
        checked += 1
    assert checked == (made["measure"] == "property").sum() * 2 + n + (made["measure"] == "total").sum()
    judged = {"consistent", "not consistent", "inconclusive", "not informative", "no verdict"}
    assert set(found["verdict"]) - {""} == judged
    nulls = found[
        found["figure"].isin(["s2001.null", "s2001.sized_null"]) & found["verdict"].eq("consistent")
    ]
    assert len(nulls) > 0
    assert nulls["precision"].eq("equivalent to zero").all()


def test_a_published_null_with_a_number_takes_the_common_bound_and_keeps_its_number():
    fig = figure("s2001.violent", 0.0074, "+", se=0.0181, code="log_points")
    ask = Ask("s2001.violent", ("property",), "log_points", "spec/0", null=True)
    result = {"scale": "log_rate", "estimate": 0.01, "conf_low": -0.03, "conf_high": 0.04, "baseline": 5.7}
    row = one_row(result, ask, fig)
    assert row["bound"] == pytest.approx(np.log(1.05))
    assert (row["precision"], row["verdict"]) == ("equivalent to zero", "consistent")
    table = of.ledger(pd.DataFrame([row]), Published((fig,)), [study(asks=[ask])])
    assert table["kind"].item() == "no discernible difference"
    assert table["published_low"].item() == pytest.approx(0.0074 - 1.959964 * 0.0181, abs=1e-6)


# --------------------------------------------------------------------------------------------------------
# A study's own data, and worlds with known effects
# --------------------------------------------------------------------------------------------------------


def world(rng, effect, noise, counties=60):
    """Two years of counties: those with a policy start higher, everyone moves alike, and the policy adds ``effect``."""
    treated = np.arange(counties) < counties // 2
    before = np.where(treated, 460.0, 400.0) + rng.normal(0, noise, counties)
    after = before - 30.0 + effect * treated + rng.normal(0, noise, counties)
    return treated, before, after


def difference(values, treated):
    gap = values[treated].mean() - values[~treated].mean()
    error = np.sqrt(
        values[treated].var(ddof=1) / treated.sum() + values[~treated].var(ddof=1) / (~treated).sum()
    )
    return gap, gap - 1.96 * error, gap + 1.96 * error


@pytest.mark.parametrize(
    ("sound", "recovered"),
    [(True, "recovers the known effect"), (False, "does not recover the known effect")],
)
def test_sound_and_unsound_designs_are_both_reproduced_from_their_own_data_and_only_one_recovers(
    sound, recovered
):
    hits = 0
    for seed in range(100):
        treated, before, after = world(np.random.default_rng(seed), effect=-12.0, noise=8.0)
        values = after - before if sound else after
        gap, low, high = difference(values, treated)
        printed = round(gap, 1)
        assert reproduces(difference(values, treated)[0], printed, 1)
        own = verdict(
            low,
            high,
            abs(printed),
            size=printed,
            n_treated=30,
            n_states=8,
            carries=True,
            definition="theirs",
            own_data=True,
        )
        assert own.word == "reproduced"
        hits += recovery(low, high, -12.0, 20.0) == recovered
    assert hits >= 88


def test_a_noisy_world_is_inconclusive_on_both_axes():
    seen = []
    for seed in range(50):
        treated, before, after = world(np.random.default_rng(seed), effect=0.0, noise=400.0)
        _, low, high = difference(after - before, treated)
        given = verdict(low, high, 20.0, size=None, n_treated=30, n_states=8, carries=True, definition="X")
        seen.append((given.word, recovery(low, high, 0.0, 20.0)))
    assert ("consistent", "recovers the known effect") not in seen
    assert seen.count(("inconclusive", "inconclusive")) >= 44


def test_recovery_needs_an_informative_interval_and_says_where_its_ends_are_wrong():
    assert recovery(-1.0, np.nan, 0.0, 5.0) == "inconclusive"
    assert recovery(1.0, np.nan, 0.0, 5.0) == "does not recover the known effect"
    assert recovery(0.0, 10.0, 5.0, 5.0) == "recovers the known effect"
    with pytest.raises(ValueError, match="wrong order"):
        recovery(2.0, 1.0, 0.0, 5.0)
    with pytest.raises(ValueError, match="not positive"):
        recovery(1.0, 2.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("estimate", "published", "digits", "same"),
    [(0.03475, 0.0348, 4, True), (0.03474, 0.0348, 4, False), (4353.4, 4353.0, 0, True), (22_349.0, 22_300.0, -2, True),
     (22_351.0, 22_300.0, -2, False), (0.285, 0.29, 2, True)],
)  # fmt: skip
def test_reproduction_is_the_same_number_within_rounding(estimate, published, digits, same):
    assert reproduces(estimate, published, digits) is same


def test_a_studys_own_list_and_method_alone_reproduce():
    fig, ask = figure("s2001.x", -1.0, "-"), Ask("s2001.x", ("property",), "per_10k", "spec/0")
    own = {"definition": "lists/s2001.csv", "estimate": -10.0, "conf_low": -15.0, "conf_high": -5.0}
    row = one_row(own, ask, fig)
    assert row["verdict"] == "reproduced"
    assert {part.split(": ")[1] for part in row["comparability"].split("; ")} == {"same"}
    for changed in (
        {"window": "2016"},
        {"area": "city"},
        {"estimator": "two_way"},
        {"definition": "mine.csv"},
    ):
        assert one_row(own | changed, ask, fig)["verdict"] == "consistent"
    assert one_row(own, ask, fig, seen=False)["verdict"] == "consistent"


def test_comparability_aspects_come_from_study_and_row():
    fig, ask = figure("s2001.x", sign="no detectable change"), Ask("s2001.x", ("total",), "log_points", "spec/0",
                                                                 near=(("property", "no violence"),))  # fmt: skip
    row = one_row({"estimator": "border_pairs", "definition": "mine.csv"}, ask, fig, area="border_county",
                  method="border_difference_in_differences")  # fmt: skip
    assert (
        row["comparability"]
        == "list: not known; area: same; unit: not known; outcome: another; years: same; method: same"
    )
    assert (row["outcome"], row["near_note"]) == ("near", "no violence")
    lists = {
        "policy_full": "another",
        "secure_communities": "not known",
        "s2001.csv": "same",
        "other.csv": "not known",
    }
    for definition, wanted in lists.items():
        assert one_row({"definition": definition}, ask, fig)["comparability"].startswith(f"list: {wanted};")


# --------------------------------------------------------------------------------------------------------
# Units
# --------------------------------------------------------------------------------------------------------


def test_rates_and_log_points_reach_the_figures_unit():
    fig = figure("s2001.x", -35.5, "-", code="per_10k")
    rate = one_row({"estimate": -355.0, "conf_low": -400.0, "conf_high": -300.0, "baseline": 2000.0},
                   Ask("s2001.x", ("property",), "per_10k", "spec/0"), fig)  # fmt: skip
    assert tuple(rate[["estimate", "conf_low", "conf_high", "baseline", "bound"]]) == (
        -35.5,
        -40.0,
        -30.0,
        200.0,
        35.5,
    )
    assert not rate["converted"]
    logs = one_row(
        {"scale": "log_rate", "estimate": np.log(0.8), "conf_low": np.log(0.7), "conf_high": np.log(0.9), "baseline": np.log(2000.0)},
        Ask("s2001.x", ("property",), "per_10k", "spec/0"), fig,
    )  # fmt: skip
    assert logs["estimate"] == pytest.approx(-40.0)
    assert logs["baseline"] == pytest.approx(200.0)
    assert logs["converted"]
    percent = figure("s2001.x", -15.0, "-", code="percent")
    share = one_row({"estimate": -30.0, "conf_low": -60.0, "conf_high": -15.0},
                    Ask("s2001.x", ("property",), "percent", "spec/0"), percent)  # fmt: skip
    assert tuple(share[["estimate", "conf_low", "conf_high", "bound"]]) == (-10.0, -20.0, -5.0, 15.0)
    assert share["verdict"] == "consistent"


def test_a_poisson_model_stands_in_log_points_and_a_direct_measure_as_it_is():
    poisson = {
        "scale": "count",
        "unit": "log points of the count",
        "estimate": 0.1,
        "conf_low": 0.02,
        "conf_high": 0.2,
    }
    row = one_row(
        poisson,
        Ask("s2001.x", ("property",), "log_points", "spec/0"),
        figure("s2001.x", sign="+", code="log_points"),
    )
    assert (row["estimate"], row["verdict"]) == (0.1, "consistent")
    dollars = {"scale": "as_measured", "unit": "dollars of the year", "estimate": 500.0, "conf_low": 100.0, "conf_high": 900.0,
               "baseline": 50_000.0, "measure": "median_household_income"}  # fmt: skip
    row = one_row(dollars, Ask("s2001.x", ("median_household_income",), "as_measured", "spec/0"),
                  figure("s2001.x", 4353.0, "+", code="dollars"))  # fmt: skip
    assert (row["estimate"], row["bound"], row["verdict"]) == (500.0, 4353.0, "not consistent")


@pytest.mark.parametrize(
    ("fig", "ask", "said"),
    [
        (figure("s2001.x", -1.0, "-"), Ask("s2001.y", ("property",), "per_10k", "m"), "s2001.y"),
        (figure("s2001.x", -1.0, "-"), Ask("s2001.x", ("property",), "log_points", "m"), "s2001.x"),
        (
            figure("s2001.x", sign="largest effects"),
            Ask("s2001.x", ("property",), "per_10k", "m"),
            "neither size",
        ),
        (figure("s2001.x", -1.0, "-"), Ask("s2001.x", ("property",), "as_measured", "m"), "s2001.x"),
    ],
)
def test_a_figure_that_cannot_be_compared_is_named(fig, ask, said):
    with pytest.raises(StudyError, match=said):
        of.ledger_specifications(rows({}), Published((fig,)), [study(asks=[ask])])


def test_results_of_a_study_nobody_registered_are_refused():
    with pytest.raises(StudyError, match="other2002"):
        of.ledger_specifications(rows({"study": "other2002"}), Published(()), [study()])


# --------------------------------------------------------------------------------------------------------
# Every specification, every figure
# --------------------------------------------------------------------------------------------------------


def small():
    """Four figures of two studies, with a failure, a placebo, an event time and a specification that answers nothing."""
    made = rows(
        {"spec": "a/main", "estimate": -20.0, "conf_low": -30.0, "conf_high": -10.0},
        {"spec": "a/wide", "family": "two_way", "estimator": "two_way", "conf_low": -300.0},
        {"spec": "a/failed", "failure": "no treated county is left", "estimate": np.nan, "conf_low": np.nan, "conf_high": np.nan,
         "estimand": "", "n_treated": pd.NA},
        {"spec": "a/placebo", "placebo_shift": 2.0},
        {"spec": "a/main", "estimand": "event_time", "term": "event_time=0"},
        {"spec": "b/other", "study": "t2002", "measure": "murder"},
    )  # fmt: skip
    figures = (
        figure("s2001.fall", -2.5, "-"), figure("s2001.n", 54.0, code="count", unit="cities"),
        figure("s2001.memory", sign="no detectable change", confidence="from memory"),
        figure("t2002.crime", sign="no detectable change"),
    )  # fmt: skip
    studies = [
        study(asks=[Ask("s2001.fall", ("property",), "per_10k", "a/main", headline=True, note="Read with care."),
                    Ask("s2001.memory", ("property",), "per_10k", "a/wide", headline=True)],
              apart={"s2001.n": "a count of places"}),
        study("t2002", asks=[Ask("t2002.crime", ("total",), "per_100k", "b/none")]),
    ]  # fmt: skip
    return made, Published(figures), studies


def test_every_specification_is_listed_and_what_answers_nothing_has_no_verdict():
    made, published, studies = small()
    found = of.ledger_specifications(made, published, studies)
    assert set(zip(found["study"], found["spec"], strict=True)) == set(
        zip(made["study"], made["spec"], strict=True)
    )
    silent = found[found["figure"] == ""]
    assert sorted(silent["spec"]) == ["a/placebo", "b/other"]
    assert silent["verdict"].eq("").all()
    failed = found[found["spec"] == "a/failed"]
    assert failed["verdict"].eq("not estimated").all()
    assert failed["sentence"].str.contains("no treated county is left").all()
    assert not found.duplicated(["figure", "study", "spec"]).any()
    assert list(found.columns) == ["figure", "study", "family", *CHOICES, *list(of.SPECIFICATIONS)[3:]]


def test_the_ledger_has_a_row_a_registered_figure_in_order_with_an_estimate_or_a_reason():
    made, published, studies = small()
    specs = of.ledger_specifications(made, published, studies)
    table = of.ledger(specs, published, studies)
    assert list(table.columns) == list(of.LEDGER)
    assert list(table["figure"]) == [one.id for one in published.figures]
    assert (table["verdict"].ne("") ^ table["reason"].ne("")).all()
    fall = table.iloc[0]
    assert tuple(fall[["published", "estimate", "conf_low", "conf_high"]]) == (-2.5, -2.0, -3.0, -1.0)
    assert (fall["verdict"], fall["n_specs"], fall["note"]) == ("consistent", 3, "Read with care.")
    assert math.isnan(fall["published_low"])
    assert table.iloc[1][["reason", "published"]].tolist() == ["a count of places", 54.0]
    assert table["pass_mark"].tolist() == [True, True, False, True]
    assert "not among those that were run and answer it: 'b/none'" in table.iloc[3]["reason"]
    # One family of two specifications, one failed, and one family of one: halves.
    assert fall[["share_consistent", "share_not_estimated", "share_inconclusive"]].tolist() == [
        0.25,
        0.25,
        0.5,
    ]


def test_a_figure_filled_in_later_changes_the_ledger_and_no_estimate():
    made, published, studies = small()
    before = of.ledger_specifications(made, published, studies)
    later = Published((figure("s2001.fall", -2.5, "-", se=0.5), *published.figures[1:]))
    after = of.ledger_specifications(made, later, studies)
    pd.testing.assert_frame_equal(before, after)
    table = of.ledger(after, later, studies)
    assert table["published_low"].iloc[0] == pytest.approx(-2.5 - 1.959964 * 0.5, abs=1e-6)


def test_the_text_fits_a_terminal_marks_doubt_and_speaks_in_the_words_of_the_rules():
    made, published, studies = small()
    specs = of.ledger_specifications(made, published, studies)
    table = of.ledger(specs, published, studies)
    shares, moves = of.verdict_shares(specs), of.class_moves(specs)
    text = of.ledger_text(table, shares, moves)
    assert max(map(len, text.splitlines())) <= 110
    long = table.assign(reason=table["reason"].where(table["reason"].eq(""), "x" * 300))
    assert max(map(len, of.ledger_text(long, shares, moves).splitlines())) <= 110
    flat = " ".join(text.split())
    assert (
        'reanalysis under definition "Documented full decline": consistent (published size inside the interval)'
        in flat
    )
    assert "from memory: no pass mark" in flat
    assert "a count of places" in flat
    # The figure from memory is shown, and counts for nothing.
    assert "serve as a mark: 1 consistent." in flat
    assert "a count of places" not in of.ledger_text(table, shares, moves, short=True)
    assert "SIMULATED" not in text
    assert of.ledger_text(table.assign(simulated=True), shares, moves).startswith("SIMULATED DATA")


# --------------------------------------------------------------------------------------------------------
# Shares and moves
# --------------------------------------------------------------------------------------------------------


def random_specifications(seed, n=70):
    """Rows of two figures and three families with two grid choices, or plain ones, and random verdicts."""
    rng = np.random.default_rng(seed)
    made = []
    for at in range(n):
        grid = rng.random() < 0.6
        made.append(
            {
                "figure": str(rng.choice(["s.a", "s.b"])), "study": "s", "family": str(rng.choice(["x", "y", "z"])),
                "choice_build": str(rng.choice(["one", "two", "three"])) if grid else "",
                "choice_weights": str(rng.choice(["none", "residents"])) if grid else "", "spec": f"s/{at}",
                "verdict": str(rng.choice(of.CLASSES)), "settings": "" if grid else str(rng.choice(["p", "q"])), "method": "",
                **dict.fromkeys(of.PLAIN_CHOICES, ""), "estimator": "e" if grid else str(rng.choice(["e", "f"])),
                "scale": "" if grid else str(rng.choice(["rate", "log"])),
            }
        )  # fmt: skip
    return pd.DataFrame(made)


@pytest.mark.parametrize("seed", range(4))
def test_moves_are_those_of_a_double_loop(seed):
    specs = random_specifications(seed)
    names = [*CHOICES, *of.PLAIN_CHOICES]
    counted = {}
    for one, two in itertools.combinations(specs.to_dict("records"), 2):
        same = all(one[k] == two[k] for k in ("figure", "family", "settings"))
        if not same or "not estimated" in (one["verdict"], two["verdict"]):
            continue
        if (one["choice_build"] == "") != (two["choice_build"] == ""):
            continue
        differ = [name for name in names if one[name] != two[name]]
        if len(differ) != 1:
            continue
        key = (one["figure"], one["family"], differ[0].removeprefix("choice_"))
        judged = not {one["verdict"], two["verdict"]} & {"not informative", "no verdict"}
        moved = one["verdict"] != two["verdict"]
        counted.setdefault(key, []).append((moved, judged))
    found = of.class_moves(specs)
    by_family = found[(found["figure"] != "all") & (found["family"] != "all")]
    got = {(r["figure"], r["family"], r["choice"]): r for r in by_family.to_dict("records")}
    assert set(got) == set(counted)
    for key, pairs in counted.items():
        row = got[key]
        assert (row["n_pairs"], row["n_moved"]) == (len(pairs), sum(m for m, _ in pairs))
        assert row["share"] == pytest.approx(np.mean([m for m, _ in pairs]))
        judged = [m for m, j in pairs if j]
        assert row["n_judged"] == len(judged)
        if judged:
            assert row["share_judged"] == pytest.approx(np.mean(judged))
    whole = found[(found["figure"] == "s.a") & (found["family"] == "all")]
    for row in whole.to_dict("records"):
        apart = [
            np.mean([m for m, _ in p]) for k, p in counted.items() if k[0] == "s.a" and k[2] == row["choice"]
        ]
        assert row["share"] == pytest.approx(np.mean(apart))


def test_california_and_the_comparison_are_choices_of_specifications_outside_grids():
    made = rows(
        {"spec": "a", "estimate": 20.0, "conf_low": 18.0, "conf_high": 22.0},
        {"spec": "b", "california": "out", "drop_states": "CA"},
        {"spec": "c", "comparison": "within", "within": "state"},
        {"spec": "d", "california": "out", "drop_states": "CA NV"},
        {"spec": "e", "min_coverage": 0.8},
        family="staggered", estimator="imputation", comparison="between",
    )  # fmt: skip
    # The ordinary values of a call stand behind those of a row.
    assert made["comparison"].tolist() == ["between", "between", "within", "between", "between"]
    fig, ask = figure("s2001.x", -1.0, "-"), Ask("s2001.x", ("property",), "per_10k", "a")
    specs = of.ledger_specifications(made, Published((fig,)), [study(asks=[ask])])
    found = of.class_moves(specs)
    found = found[found["family"] == "staggered"].set_index("choice")
    assert found["n_pairs"].to_dict() == {"california": 1, "comparison": 1}
    assert found["n_moved"].to_dict() == {"california": 1, "comparison": 1}


def test_every_column_that_tells_specifications_apart_is_a_choice_or_a_setting():
    names = list(COLUMNS)
    about = set(names[names.index("design") : names.index("weights") + 1])
    # Words for what another column says, or what goes with the estimator or the comparison.
    linked = {"design", "method", "estimand", "outcome", "unit", "within", "effects"}
    assert about == set(of.PLAIN_CHOICES) | set(of.OTHER_SETTINGS) - {"vcov", "by"} | linked


def test_the_most_frequent_move_runs_from_the_option_declared_first():
    specs = pd.DataFrame(
        [
            {"choice_build": build, "choice_weights": weights, "verdict": word}
            for weights in ("none", "residents", "squared")
            for build, word in (("one", "consistent"), ("two", "inconclusive"))
        ]
    ).assign(
        figure="s.a", study="s", family="x", settings="", method="", **dict.fromkeys(of.PLAIN_CHOICES, "")
    )
    found = of.class_moves(specs).set_index(["figure", "choice"])
    build = found.loc[("s.a", "build")].iloc[0]
    assert tuple(build[["option_from", "option_to", "verdict_from", "verdict_to", "n_move"]]) == (
        "one", "two", "consistent", "inconclusive", 3,
    )  # fmt: skip
    weights = found.loc[("s.a", "weights")].iloc[0]
    assert (weights["n_pairs"], weights["n_moved"], weights["option_from"]) == (6, 0, "")


@pytest.mark.parametrize("seed", range(3))
def test_shares_count_classes_and_weigh_families_alike(seed):
    specs = random_specifications(seed)
    found = of.verdict_shares(specs)
    for figure_, rows_ in specs.groupby("figure"):
        apart = {}
        for family, part in rows_.groupby("family"):
            for word in of.CLASSES:
                share = float((part["verdict"] == word).mean())
                apart.setdefault(word, []).append(share)
                row = found[
                    (found["figure"] == figure_) & (found["family"] == family) & (found["verdict"] == word)
                ].iloc[0]
                assert (row["n"], row["n_specs"]) == ((part["verdict"] == word).sum(), len(part))
                assert row["share"] == pytest.approx(share)
        whole = found[(found["figure"] == figure_) & (found["family"] == "all")].set_index("verdict")
        assert whole["share"].sum() == pytest.approx(1.0)
        for word, each in apart.items():
            assert whole.loc[word, "share"] == pytest.approx(np.mean(each))
            assert whole.loc[word, "n_families"] == rows_["family"].nunique()


def test_nothing_run_gives_empty_frames_and_a_ledger_of_reasons():
    _, published, studies = small()
    nothing = of.ledger_specifications(rows({}).iloc[:0], published, studies)
    assert nothing.empty
    shares, moves = of.verdict_shares(nothing), of.class_moves(nothing)
    assert (len(shares), len(moves)) == (0, 0)
    table = of.ledger(nothing, published, studies)
    assert table["verdict"].eq("").all()
    assert table["reason"].ne("").all()
    assert "with a reason why not" in " ".join(of.ledger_text(table, shares, moves).split())


def test_ten_thousand_specifications_take_seconds():
    base = rows({"choice_build": "one", "choice_weights": "none"})
    many = base.loc[base.index.repeat(10_000)].reset_index(drop=True)
    many["spec"] = [f"s/{at}" for at in range(len(many))]
    for place, name in enumerate((*CHOICES, "choice_definition", "choice_scale")):
        many[name] = [f"{at // 10**place % 10}" for at in range(len(many))]
    fig, ask = figure("s2001.x", -1.0, "-"), Ask("s2001.x", ("property",), "per_10k", "s/0")
    start = time.perf_counter()
    specs = of.ledger_specifications(many, Published((fig,)), [study(asks=[ask])])
    table = of.ledger(specs, Published((fig,)), [study(asks=[ask])])
    of.ledger_text(table, of.verdict_shares(specs), of.class_moves(specs))
    assert time.perf_counter() - start < 5.0
    assert len(specs) == 10_000
