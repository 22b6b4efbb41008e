"""Border pairs: by hand, against R, another engine and dense matrices, with known truths, and what must not move them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from estimation_cases import (
    BY_STATE,
    REFERENCE,
    make_design_of,
    make_spec,
    reference_panel,
    reference_values,
)

from analysis.base.errors import SampleError, SpecError
from analysis.base.records import Geography
from analysis.design.spec import EstimatorSection
from analysis.estimation import aggregate, border_pairs, check_estimate, recluster
from analysis.estimation.inference import cluster_variance
from analysis.estimation.panel_arrays.panel import read_panel

VALUES = reference_values("border")
PANEL = reference_panel("border")
NEIGHBOURS = pd.read_csv(REFERENCE / "border" / "neighbours.csv", dtype=str)
KEYS = {"effects": "pair_by_year", "method": "post", "neighbours": "all"}


def geography_of(pairs):
    return Geography(neighbours=pd.DataFrame(pairs, columns=["county_fips", "neighbour_fips"]).astype("str"))


def both_ways(*pairs):
    return geography_of([*pairs, *((b, a) for a, b in pairs)])


def design_of(
    table=PANEL,
    geography=None,
    weights="none",
    by="state",
    comparison="not_yet_treated",
    controls=(),
    anticipation=0,
    **keys,
):
    estimator = EstimatorSection("border_pairs", weights, **{**KEYS, **keys})
    spec = make_spec(
        estimator, replace(BY_STATE, by=by), controls=controls, comparison=comparison, anticipation=anticipation
    )  # fmt: skip
    return replace(make_design_of(table, spec), geography=geography or Geography(neighbours=NEIGHBOURS))


def fitted(*args, **keys):
    found = border_pairs.fit(design_of(*args, **keys))
    check_estimate(found)
    return found


def hand_made(rows):
    """A panel from county -> (cohort or None, outcomes), years 2014 on; None for a year without a row."""
    table = pd.DataFrame(
        [
            {
                "county_fips": county, "year": 2014 + t, "outcome": float(value), "weight": 1.0, "cohort": cohort,
                "event_time": None if cohort is None else 2014 + t - cohort,
                "treated": cohort is not None and 2014 + t >= cohort,
            }
            for county, (cohort, values) in rows.items()
            for t, value in enumerate(values)
            if value is not None
        ]
    )  # fmt: skip
    return table.astype({"cohort": "Int64", "event_time": "Int64", "treated": bool})


# --- by hand
# ----------------------------------------------------------------------------------------------------

TWO_BORDERS = {
    "06001": (2015, (1, 7)),  # changes by 6, touches 06003 and 08001
    "06003": (None, (2, 3)),  # by 1
    "08001": (None, (5, 5)),  # by 0
    "19001": (2015, (4, 6)),  # by 2, touches 19003
    "19003": (None, (1, 2)),  # by 1
    "48001": (None, (0, 99)),  # touches nobody
}
TOUCH = both_ways(("06001", "06003"), ("06001", "08001"), ("19001", "19003"), ("06003", "08001"))


def test_pairs_by_hand():
    found = fitted(hand_made(TWO_BORDERS), TOUCH, by="state")
    # 06001 is in two pairs, its rows weigh a half: pair-years weigh (1/2 x 1) / (3/2) = 1/3, the third pair's 1/2.
    # Differences of changes 5, 6 and 1: (5/3 + 6/3 + 1/2) / (1/3 + 1/3 + 1/2).
    assert found.table["estimate"].item() == pytest.approx((5 / 3 + 6 / 3 + 1 / 2) / (7 / 6))
    assert found.table[["n_counties", "n_treated"]].iloc[0].tolist() == [5, 2]
    weights = pd.Series(found.treated[:, 0], index=found.counties)
    assert weights.dropna().to_dict() == {"06001": 1, "06003": 0, "08001": 0, "19001": 1, "19003": 0}
    assert found.attrition["rule"].str.startswith("border pairs").sum() == 2
    assert found.attrition.iloc[-1][["counties", "county_years", "treated"]].tolist() == [5, 10, 2]
    notes = " ".join(found.notes)
    assert (
        "3 pairs of 2 adopters and 3 untreated neighbours in its own state or another, in 3 segments" in notes
    )
    assert (
        "1 of 5 counties are in several pairs, up to 2" in notes
        and "1 of 3 pairs cross a state line" in notes
    )


def test_segments_by_hand_and_errors():
    table = hand_made({**TWO_BORDERS, "06005": (None, (3, 1))})  # by -2, touches 06001 too
    touch = both_ways(("06001", "06003"), ("06001", "06005"), ("06001", "08001"), ("19001", "19003"))
    found = fitted(table, touch, effects="segment_by_year", by="segment")
    # Segments: 06001 with 06003 and 06005 (mean change -1/2, gap 13/2), with 08001 (gap 6), 19001 with 19003 (gap 1).
    # 06001 is in two segments. A gap weighs w n / (w + n): (1/2 x 2) / (5/2) = 2/5, 1/3, 1/2.
    gap, weight = np.array([6.5, 6, 1]), np.array([2 / 5, 1 / 3, 1 / 2])
    estimate = gap @ weight / weight.sum()
    assert found.table["estimate"].item() == pytest.approx(estimate)
    # Scores of segments: weight times what is left of the gap over the sum of weights; N = 14 rows, k = 2.
    score = weight * (gap - estimate) / weight.sum()
    assert found.vcov[0, 0] == pytest.approx(13 / 12 * 3 / 2 * (score**2).sum())
    assert found.inference.clusters == 3 and found.inference.df == 2 and found.influence is None
    assert len(border_pairs.find_pairs(*_pairs_of(table, touch), never_alone=True)) == 4


def _pairs_of(table, geography):
    return read_panel(design_of(table).table), geography.neighbours, "all"


def test_later_adopters_are_neighbours_until_they_adopt():
    table = hand_made(
        {
            "06001": (2015, (0, 3, 3, 3)), "06003": (2017, (0, 1, 1, 50)), "06005": (2016, (0, 0, 0, 0)),
            "19001": (2015, (0, 4, 4, 4)), "19003": (None, (0, 0, 0, 0)),
        }
    )  # fmt: skip
    touch = both_ways(("06001", "06003"), ("06001", "06005"), ("19001", "19003"))
    found = fitted(table, touch)
    # 06001 against 06003 in 2014-2016, against 06005 in 2014-2015; 06003 and 06005 are adopters with nobody to compare with.
    panel, rows, _ = _pairs_of(table, touch)
    pairs = border_pairs.find_pairs(panel, rows, "all", never_alone=False)
    assert panel.counties[pairs.adopter].tolist() == ["06001", "06001", "19001"]
    assert pairs.usable.sum(axis=1).tolist() == [3, 2, 4]
    assert (found.table["n_counties"].item(), found.table["n_treated"].item()) == (5, 2)
    assert any("2 neighbours adopt later" in note for note in found.notes)
    assert any("2 adopters touch no such county" in note for note in found.notes)
    never = fitted(
        pd.concat([table, hand_made({"08001": (2015, (0, 2, 2, 2)), "08003": (None, (0, 0, 0, 0))})]),
        both_ways(("06001", "06003"), ("19001", "19003"), ("08001", "08003")),
        comparison="never_treated",
    )
    assert never.table["estimate"].item() == pytest.approx(
        3.0
    )  # 4 and 2, 06001 has no never treated neighbour


def test_pairs_not_observed_together_on_both_sides_are_left_out():
    table = hand_made(
        {
            "06001": (2016, (1, 2, 6)), "06003": (None, (None, None, 7)), "06005": (None, (1, 1, None)),
            "06007": (None, (1, 2, 3)), "19001": (2016, (4, 4, 7)), "19003": (None, (1, 1, 2)),
        }
    )  # fmt: skip
    touch = both_ways(("06001", "06003"), ("06001", "06005"), ("06001", "06007"), ("19001", "19003"))
    found = fitted(table, touch)
    assert found.attrition["counties"].tail(2).tolist() == [6, 4]
    # Gaps before are -0, 0 for 06001 and 3, 3 for 19001; after 3 and 5.
    assert found.table["estimate"].item() == pytest.approx((3 + 2) / 2)


# --- against R and another engine
# ----------------------------------------------------------------------------------------------------


def case_of(name, **more):
    effects, comparison, which, method, weighted, controls = name.split(".")
    return {
        "effects": f"{effects}_by_year", "comparison": comparison, "neighbours": which, "method": method,
        "weights": "population_baseline" if weighted == "weighted" else "none",
        "controls": ("secure_communities",) if controls == "controls" else (), **more,
    }  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_estimates_and_errors_equal_r(name):
    stored = VALUES[name]
    for by in ("state", "segment", "state_and_segment"):
        found = fitted(**case_of(name, by=by))
        # Closed forms.
        assert found.table["estimate"].to_numpy() == pytest.approx(
            np.atleast_1d(stored["estimate"]), abs=1e-8
        )
        if "event_time" in stored:
            assert found.table["event_time"].tolist() == stored["event_time"] and found.reference == -1
        # R's have G / (G - 1) of each kind of cluster; ours (N - 1) / (N - k) on top, k regressors and, by state, the
        # group-years that cross a state line, else a constant.
        k = stored["regressors"] + (max(1, stored["crossing_levels"]) if by == "state" else 1)
        parts = [by] if by != "state_and_segment" else ["state", "segment", "both"]
        expected = np.max([np.atleast_1d(stored[part]) for part in parts], axis=0)
        factor = np.sqrt((stored["n"] - 1) / (stored["n"] - k))
        assert np.sqrt(np.diag(found.vcov)) == pytest.approx(expected * factor, rel=1e-7)
        counts = {"state": stored["states"], "segment": stored["segments"]}
        assert found.inference.clusters == counts.get(by, min(counts.values()))
        assert any(note.startswith(f"{stored['pairs']} pairs of") for note in found.notes)
    if "estimatr" in stored:
        peer, g = stored["estimatr"], stored["states"]
        assert found.table["estimate"].item() == pytest.approx(peer["estimate"], abs=1e-8)
        # Its errors by state have no factor at all.
        assert peer["state_without_factor"] * np.sqrt(g / (g - 1)) == pytest.approx(stored["state"], rel=1e-8)


def stacked_by_hand(effects, comparison="not_yet_treated", table=PANEL, neighbours=NEIGHBOURS):
    """The panel of pairs or segments as rows, made one pair at a time."""
    by = dict(tuple(table.groupby("county_fips")))
    parts = []
    for a, b in neighbours.itertuples(index=False):
        left, right = by[a], by[b]
        first, second = left["cohort"].iloc[0], right["cohort"].iloc[0]
        if pd.isna(first) or not (pd.isna(second) or (comparison == "not_yet_treated" and second > first)):
            continue
        right = right[~right["treated"]]
        years = set(left["year"]) & set(right["year"])
        if left.loc[left["year"].isin(years), "treated"].nunique() < 2:
            continue
        segment = f"{a}-{b[:2]}"
        for side in (left, right):
            own = side["county_fips"].iloc[0] == a if len(side) else False
            part = side[side["year"].isin(years)]
            parts.append(
                part.assign(group=f"{a}-{b}" if effects == "pair" else segment, segment=segment, own=own)
            )
    rows = pd.concat(parts).drop_duplicates(["group", "county_fips", "year"])
    rows["member"], rows["level"] = (
        rows["group"] + rows["county_fips"],
        rows["group"] + rows["year"].astype(str),
    )
    rows["D"] = (rows["own"] & rows["treated"]) * 1.0
    rows["share"] = 1 / rows.groupby("county_fips")["group"].transform("nunique")
    return rows.assign(state=rows["county_fips"].str[:2]).reset_index(drop=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("effects", ["pair", "segment"])
def test_estimates_and_errors_equal_pyfixest(effects):
    import pyfixest as pf

    rows = stacked_by_hand(effects)
    rows["w"] = rows["weight"] * rows["share"]
    options = {
        "weights": "w",
        "ssc": pf.ssc(k_adj=False, G_adj=True, G_df="conventional"),
        "demeaner": pf.MapDemeaner(fixef_tol=1e-12, fixef_maxiter=100_000),
    }
    for by, clusters in (("state", "state"), ("segment", "segment"), ("state_and_segment", "state+segment")):
        found = fitted(
            effects=f"{effects}_by_year", weights="population_baseline", by=by, controls=("secure_communities",)
        )  # fmt: skip
        peer = pf.feols(
            "outcome ~ D + secure_communities | member + level", rows, vcov={"CRV1": clusters}, **options
        )
        assert found.table["estimate"].item() == pytest.approx(peer.coef()["D"], abs=1e-8)
        crossing = rows.groupby("group")["state"].transform("nunique") > 1
        k = 2 + (rows.loc[crossing, "level"].nunique() if by == "state" else 1)
        factor = (len(rows) - 1) / (len(rows) - k)
        assert found.vcov[0, 0] == pytest.approx(peer.se()["D"] ** 2 * factor, rel=1e-6)


@pytest.mark.parametrize("effects", ["pair", "segment"])
def test_scores_equal_dense_matrices(effects):
    rows = stacked_by_hand(effects, "never_treated")
    found = fitted(effects=f"{effects}_by_year", comparison="never_treated")
    z = np.hstack([rows[["D"]], pd.get_dummies(rows["member"]), pd.get_dummies(rows["level"])]).astype(float)
    w = rows["share"].to_numpy()
    solve = np.linalg.pinv(z * np.sqrt(w)[:, None]) * np.sqrt(w)
    beta = solve @ rows["outcome"].to_numpy()
    assert found.table["estimate"].item() == pytest.approx(beta[0], abs=1e-9)
    parts = solve[0] * (rows["outcome"].to_numpy() - z @ beta)
    crossing = rows.groupby("group")["state"].transform("nunique") > 1
    factor = (len(rows) - 1) / (len(rows) - 1 - rows.loc[crossing, "level"].nunique())
    by = pd.Series(parts).groupby(rows["county_fips"].to_numpy()).sum().reindex(found.counties).fillna(0.0)
    assert found.influence[:, 0] == pytest.approx(by.to_numpy() * np.sqrt(factor), abs=1e-10)
    check_estimate(recluster(found, "county"))


def test_two_way_variance_is_never_below_one_way_and_stays_a_variance():
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(60, 4)) * [1, 2, 3, 4]
    for one, other in (
        (np.arange(60) % 5, np.arange(60) // 5),
        (np.arange(60) // 12, np.arange(60) // 3),
        (np.arange(60) % 3, np.arange(60) % 4),
    ):
        found = border_pairs.two_way_variance(scores, one, other)
        plain = [cluster_variance(scores, labels) for labels in (one, other, one * 100 + other)]
        summed = plain[0] + plain[1] - plain[2]
        largest = np.max([np.diag(m) for m in (plain[0], plain[1], summed)], axis=0)
        assert np.diag(found) == pytest.approx(largest)
        assert np.linalg.eigvalsh(found).min() > -1e-9 * found.max()
        if np.linalg.eigvalsh(summed).min() > 0 and (np.diag(summed) == largest).all():
            assert found == pytest.approx(summed)


# --- known truths
# ----------------------------------------------------------------------------------------------------


def gridded(seed=0, *, side=(4, 3), states=(4, 3), share=0.25, cohorts=(2013,), years=range(2010, 2017)):
    """Counties on a grid: states are blocks of ``side``; a quarter adopts. Returns the panel and its geography."""
    rng = np.random.default_rng(seed)
    names = ("06", "08", "12", "17", "19", "27", "36", "37", "41", "48", "53", "55")
    tall = side[1] * states[1]
    at = [(x, y) for x in range(side[0] * states[0]) for y in range(tall)]
    code = {
        (x, y): f"{names[x // side[0] + states[0] * (y // side[1])]}{2 * (x * tall + y) + 1:03d}"
        for x, y in at
    }
    pairs = [
        (code[p], code[q]) for p in at for q in ((p[0] + 1, p[1]), (p[0], p[1] + 1)) if q in code
    ]  # fmt: skip
    adopts = rng.random(len(at)) < share
    table = hand_made({code[p]: (int(rng.choice(cohorts)) if on else None, [0.0] * len(years)) for p, on in zip(at, adopts, strict=True)})  # fmt: skip
    table["year"] += years[0] - 2014
    since = table["year"] - table["cohort"]
    table = table.assign(event_time=since.astype("Int64"), treated=(since >= 0).fillna(False).astype(bool))
    return table, both_ways(*pairs)


@pytest.mark.parametrize("effects", ["pair_by_year", "segment_by_year"])
def test_the_truth_is_found_whatever_moves_both_sides_of_a_border(effects):
    table, geography = gridded(cohorts=(2012, 2013, 2014))
    rng = np.random.default_rng(1)
    state = table["county_fips"].str[:2] + table["year"].astype(str)
    shock = state.map(dict(zip(sorted(set(state)), rng.normal(0, 20, state.nunique()), strict=True)))
    level = table["county_fips"].map(lambda f: int(f[2:]) / 7)
    table["outcome"] = level + shock + np.where(table["treated"], -2.0, 0.0)
    found = fitted(table, geography, effects=effects, neighbours="same_state")
    assert found.table["estimate"].item() == pytest.approx(-2.0)
    # Effects that grow are found event time by event time.
    table["outcome"] -= np.where(table["treated"], table["event_time"].fillna(0), 0)
    dynamic = fitted(table, geography, effects=effects, neighbours="same_state", method="event_time")
    times = dynamic.table["event_time"].to_numpy(dtype=float)
    assert -1 not in times and (times < 0).sum() >= 2
    assert dynamic.table["estimate"].to_numpy() == pytest.approx(
        np.where(times < 0, 0.0, -2.0 - times), abs=1e-9
    )
    post = aggregate(dynamic, over="post")
    check_estimate(post)
    assert post.table["estimate"].item() < -2.0


def test_displacement_across_the_border_adds_to_the_effect():
    # Protocol rule 15: reported crime falls by 2 where a policy is adopted and rises by 1 beside it.
    table, geography = gridded()
    adopters = set(table.loc[table["cohort"].notna(), "county_fips"])
    pairs = geography.neighbours
    beside = set(pairs.loc[pairs["neighbour_fips"].isin(adopters), "county_fips"]) - adopters
    moved = table["county_fips"].isin(beside) & (table["year"] >= 2013)
    table["outcome"] = np.where(table["treated"], -2.0, 0.0) + np.where(moved, 1.0, 0.0)
    for effects in ("pair_by_year", "segment_by_year"):
        found = fitted(table, geography, effects=effects)
        assert found.table["estimate"].item() == pytest.approx(-2.0 - 1.0)
    # Counties farther off, which would show it, are in no pair.
    entered = set(found.counties[~np.isnan(found.treated[:, 0])])
    assert entered <= adopters | beside and len(entered) < table["county_fips"].nunique()


def test_half_year_effect_in_the_adoption_year_is_recovered_in_full():
    # Protocol rule 5: the transition year has no row, and the year before it is the base.
    table, geography = gridded()
    half = table["event_time"].eq(-1).fillna(False)
    table["outcome"] = np.where(table["treated"], -2.0, 0.0) + np.where(half, -1.0, 0.0) + 0.3 * table["year"]
    table["event_time"] = table["event_time"].where(table["treated"], table["event_time"] + 1)
    for method in ("post", "event_time"):
        found = fitted(table[~half], geography, method=method).table
        after = found["event_time"].isna() | (found["event_time"] >= 0).fillna(False)
        assert found.loc[after, "estimate"].to_numpy() == pytest.approx(-2.0)
        assert found.loc[~after, "estimate"].to_numpy() == pytest.approx(0.0, abs=1e-9)


def test_years_of_anticipation_are_left_out_or_are_event_times():
    table, geography = gridded()
    early = table["event_time"].eq(-1).fillna(False)
    table["outcome"] = np.where(table["treated"] | early, -2.0, 0.0)
    assert fitted(table, geography, anticipation=1).table["estimate"].item() == pytest.approx(-2.0)
    dynamic = fitted(table, geography, anticipation=1, method="event_time")
    assert dynamic.reference == -2
    assert dynamic.table.set_index("event_time")["estimate"].loc[[-3, -1, 0]].tolist() == pytest.approx(
        [0, -2, -2]
    )


def test_errors_by_state_and_segment_have_the_size_of_the_spread():
    """Shocks by state and year, and noise of each county: repeated counties and shared states must both be allowed for."""
    table, geography = gridded(5, side=(4, 4), states=(4, 3))
    rng = np.random.default_rng(8)
    codes, years = np.unique(table["county_fips"]), np.unique(table["year"])
    home = np.unique([c[:2] for c in codes], return_inverse=True)[1]
    found = []
    for _ in range(60):
        noise = (
            rng.normal(size=(len(codes), len(years))) + rng.normal(size=(home.max() + 1, len(years)))[home]
        )
        made = table.assign(outcome=noise.ravel() + np.where(table["treated"], -2.0, 0.0))
        line = border_pairs.fit(design_of(made, geography, by="state_and_segment")).table.iloc[0]
        found.append((line["estimate"], line["std_error"]))
    estimate, error = np.array(found).T
    spread = estimate.std(ddof=1)
    assert abs(estimate.mean() + 2.0) < 3 * spread / np.sqrt(60)
    # Seen over 60 draws a spread is known to a tenth; twelve states make errors a little small.
    assert 0.75 < np.sqrt((error**2).mean()) / spread < 1.4


# --- what must not move them
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["state", "segment", "state_and_segment"])
@pytest.mark.parametrize("effects", ["pair_by_year", "segment_by_year"])
def test_properties(effects, by):
    keys = {
        "effects": effects, "by": by, "weights": "population_baseline", "method": "event_time",
        "controls": ("secure_communities",),
    }  # fmt: skip
    base = fitted(**keys)
    columns = ["estimate", "std_error", "band_low", "band_high"]
    numbers = base.table[columns].to_numpy()
    assert np.isfinite(numbers).all()
    before, listed = PANEL.copy(), NEIGHBOURS.copy()

    def same(table=PANEL, geography=None, factor=1.0, **more):
        found = fitted(table, geography, **{**keys, **more})
        assert found.table[columns].to_numpy() == pytest.approx(numbers * factor, rel=1e-7, abs=1e-9)
        return found

    same(PANEL.sample(frac=1, random_state=1))
    same(geography=geography_of(NEIGHBOURS.sample(frac=1, random_state=2).to_numpy()))
    level = PANEL["county_fips"].str[2:].astype(int)
    same(PANEL.assign(outcome=PANEL["outcome"] + 100.0 + level + 7 * (PANEL["year"] - 2010)))
    same(PANEL.assign(outcome=PANEL["outcome"] * 10), factor=10)
    same(PANEL.assign(weight=PANEL["weight"] * 1e6))
    if by != "state":  # bands are drawn by cluster, in the order of their labels

        def swap(codes):
            return codes.map(lambda f: f[:2] + f"{999 - int(f[2:]):03d}")

        found = fitted(
            PANEL.assign(county_fips=swap(PANEL["county_fips"])), geography_of(NEIGHBOURS.apply(swap).to_numpy()), **keys
        )  # fmt: skip
        assert found.table[columns[:2]].to_numpy() == pytest.approx(numbers[:, :2], rel=1e-7)
    # A county that touches no adopter, one without a row, and one of weight zero are as good as absent.
    far = PANEL[PANEL["county_fips"] == PANEL["county_fips"].iloc[-1]].assign(
        county_fips="55001", outcome=9e3
    )
    same(
        pd.concat([PANEL, far]),
        geography_of([*NEIGHBOURS.to_numpy(), ("55001", "55003"), ("55003", "55001")]),
    )
    adopter = PANEL.loc[PANEL["cohort"].notna(), "county_fips"].iloc[0]
    idle = far.assign(county_fips=f"{adopter[:2]}997", weight=0.0)
    touch = geography_of(
        [*NEIGHBOURS.to_numpy(), (adopter, f"{adopter[:2]}997"), (f"{adopter[:2]}997", adopter)]
    )
    assert any("weight zero" in note for note in same(pd.concat([PANEL, idle]), touch).notes)
    pd.testing.assert_frame_equal(PANEL, before)
    pd.testing.assert_frame_equal(NEIGHBOURS, listed)


def test_what_a_pair_shares_in_a_year_drops_out():
    # Pairs that share no county, so that each can be shifted alone.
    table, _ = gridded(2, side=(2, 3), share=0.0)
    codes = np.unique(table["county_fips"])
    pairs = [(a, b) for a, b in zip(codes[0::2], codes[1::2], strict=True) if a[:2] == b[:2]]
    first = table["county_fips"].isin([a for a, _ in pairs])
    table["cohort"] = table["cohort"].mask(first, 2013)
    table["event_time"] = (table["year"] - table["cohort"]).astype("Int64")
    table["treated"] = (table["event_time"] >= 0).fillna(False).astype(bool)
    rng = np.random.default_rng(3)
    table["outcome"] = rng.normal(size=len(table))
    pair = {county: i for i, both in enumerate(pairs) for county in both}
    at = table["county_fips"].map(pair).fillna(0).astype(int)
    shift = rng.normal(0, 50, (len(pairs), 7))[at, table["year"] - 2010]
    numbers = [
        fitted(t, both_ways(*pairs)).table[["estimate", "std_error"]].to_numpy()
        for t in (table, table.assign(outcome=table["outcome"] + shift))
    ]
    assert numbers[1] == pytest.approx(numbers[0], rel=1e-9)


# --- what is refused
# ----------------------------------------------------------------------------------------------------


def test_what_cannot_be_honoured_is_refused():
    for keys, wanted in (
        ({"effects": "state_by_year"}, "pair_by_year"),
        ({"method": "doubly_robust"}, "post"),
        ({"neighbours": 1}, "same_state"),
        ({"by": "county"}, "segment"),
        ({"by": "pair"}, "segment"),
    ):
        with pytest.raises(SpecError, match=wanted):
            border_pairs.fit(design_of(**keys))
    with pytest.raises(SampleError, match="without a table of neighbours"):
        border_pairs.fit(replace(design_of(), geography=Geography()))
    lonely = both_ways(("06001", "06003"))
    with pytest.raises(
        SampleError, match="no pair of an adopter and an untreated neighbour in another state"
    ):
        border_pairs.fit(design_of(geography=lonely, neighbours="other_state"))
    table = hand_made({"06001": (2015, (1, 5)), "06003": (None, (1, 2))})
    with pytest.raises(SampleError, match="at least two clusters"):
        border_pairs.fit(design_of(table, both_ways(("06001", "06003")), by="segment"))


def test_one_adopter_alone_behind_a_row_has_no_error():
    rows = {
        "06001": (2014, (None, 5, 6)),
        "06003": (None, (1, 2, 2)),
        "19001": (2016, (4, 4, 7)),
        "19003": (None, (1, 2, 3)),
    }
    table = hand_made({**rows, "06005": (2016, (1, 2, 7))})
    touch = both_ways(("06001", "06003"), ("06003", "06005"), ("19001", "19003"))
    found = fitted(table, touch, by="segment", method="event_time", effects="segment_by_year")
    assert found.table.set_index("event_time")["std_error"].notna().to_dict() == {-2: True, 0: True}
    only = fitted(
        hand_made({**rows, "06005": (2015, (1, 5, 7))}), touch, by="state_and_segment", method="event_time"
    ).table.set_index("event_time")  # fmt: skip
    assert only["std_error"].notna().to_dict() == {-2: False, 0: True, 1: False}
    assert only["estimate"].notna().all()
