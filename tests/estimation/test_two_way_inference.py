"""Two-way effects: every kind of effects, method and error against R (tests/reference/two_way_inference), pyfixest,
refitting, and themselves."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
from estimation_cases import BY_STATE, TWO_WAY, make_design_of, make_spec, reference_panel, reference_values

from analysis.base.errors import SampleError, SpecError
from analysis.base.records import Geography
from analysis.estimation import aggregate, check_estimate
from analysis.estimation.inference import cluster_variance
from analysis.estimation.panel_inference.resampling import wild_bootstrap
from analysis.estimation.panel_inference.spatial import kernel_matrix
from analysis.estimation.two_way import WORDS, fit

# Closed forms: only rounding separates the programs.
CLOSED = 1e-8
R = reference_values("two_way_inference")
EFFECTS, METHODS = tuple(WORDS), ("post", "event_time")
COUNTIES = sorted(reference_panel("two_way")["county_fips"].unique())


def with_columns(table):
    """Add an urban class and a spell to a panel; the class is that of reference.R."""
    at = table["county_fips"].map({code: i for i, code in enumerate(COUNTIES)})
    revised = (table["year"] >= 2014) & (at % 3 == 1)
    return table.assign(
        urban_class=(at % 3).astype(str), definition_spell=np.where(revised, "revised", "legacy")
    )


PANEL = with_columns(reference_panel("two_way"))
# A quarter of the counties, every state among them, where many fits are needed.
QUARTER = PANEL[PANEL["county_fips"].isin(COUNTIES[::4])]
PLACES = pd.DataFrame(
    {
        "county_fips": COUNTIES,
        "latitude": 30 + 15 * np.random.default_rng(5).random(len(COUNTIES)),
        "longitude": -120 + 40 * np.random.default_rng(6).random(len(COUNTIES)),
    }
)

ERRORS = {
    "state": {},
    "county": {"by": "county"},
    "state_and_year": {"by": "state_and_year"},
    "county_and_year": {"by": "county_and_year"},
    "cr2": {"vcov": "cr2"},
    "cr3": {"vcov": "cr3"},
    "cr2_county": {"vcov": "cr2", "by": "county"},
    "bartlett": {"vcov": "spatial", "by": "none", "cutoff_km": 300.0, "kernel": "bartlett"},
    "uniform": {"vcov": "spatial", "by": "none", "cutoff_km": 300.0, "kernel": "uniform"},
    "wild": {"vcov": "wild_bootstrap", "draws": 199},
    "subcluster": {"vcov": "subcluster_bootstrap", "draws": 199},
    "randomisation": {
        "vcov": "randomisation",
        "draws": 99,
        "assignment": "counties_within_states",
    },
}
DRAWN = ("wild", "subcluster", "randomisation")


def design_of(
    table=PANEL,
    effects="county_year",
    method="post",
    weights="none",
    controls=(),
    anticipation=0,
    **inference,
):
    spec = make_spec(
        replace(TWO_WAY, effects=effects, method=method, weights=weights),
        replace(BY_STATE, **inference),
        controls=controls,
        comparison="not_yet_treated",
        anticipation=anticipation,
    )
    return replace(make_design_of(table, spec), geography=Geography(places=PLACES))


def fitted(*args, **options):
    found = fit(design_of(*args, **options))
    check_estimate(found)
    return found


def numbers(found, *columns):
    return found.table[list(columns or ("estimate", "std_error"))].to_numpy(dtype=float)


# --- against other programs -------------------------------------------------------------------------------------


def case(effects, weights, method):
    return R[f"{effects}_{'weighted' if weights != 'none' else 'plain'}_{method}"]


def factor_of(effects, by, n, regressors, panel=PANEL):
    levels = panel["year"].nunique() * {"urban_class_by_year": 3}.get(effects, 1)
    nested = by.endswith("_and_year") or effects == "state_by_year"
    return (n - 1) / (n - regressors - (1 if nested else levels))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weights", ["none", "population_baseline"])
@pytest.mark.parametrize("effects", EFFECTS)
def test_coefficients_and_clustered_errors_equal_r(effects, weights, method):
    stored = case(effects, weights, method)
    found = fitted(effects=effects, weights=weights, method=method)
    assert found.table["estimate"].to_numpy() == pytest.approx(stored["coefficients"], abs=CLOSED)
    # Under state-by-year effects nothing is left of the two states in which nobody adopts.
    g = 10 if effects == "state_by_year" else 12
    factor = factor_of(effects, "state", stored["n"], len(found.table)) * g / (g - 1)
    assert found.vcov == pytest.approx(np.array(stored["state_no_factor"]) * factor, abs=CLOSED)
    assert found.inference.df == g - 1


@pytest.mark.parametrize("by", ["state_and_year", "county_and_year"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weights", ["none", "population_baseline"])
@pytest.mark.parametrize("effects", [name for name in EFFECTS if name != "state_by_year"])
def test_errors_by_place_and_year_equal_r(effects, weights, method, by):
    stored = case(effects, weights, method)
    found = fitted(effects=effects, weights=weights, method=method, by=by)
    vcov = np.array(stored[by]) * factor_of(effects, by, stored["n"], len(found.table))
    assert (found.inference.clusters, found.inference.df) == (8, 7)
    if (np.diag(vcov) <= 0).any():
        assert any("the sum by state and by year is not positive" in note for note in found.notes)
        one_way = np.array(stored["state_no_factor"]) * 12 / 11
        wanted = one_way * factor_of(effects, by, stored["n"], len(found.table))
        assert found.vcov == pytest.approx(wanted, abs=CLOSED)
        return
    values, vectors = np.linalg.eigh(vcov)
    cut = any("eigenvalues" in note for note in found.notes)
    assert cut == (values.min() < 0)
    assert found.vcov == pytest.approx((vectors * np.maximum(values, 0)) @ vectors.T, abs=CLOSED)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("few_county_year_plain_CR2", {}),
        ("few_county_year_weighted_CR2", {"weights": "population_baseline"}),
        ("few_state_by_year_plain_CR2", {"effects": "state_by_year"}),
        ("few_event_time_CR2", {"method": "event_time"}),
        ("few_by_county_CR2", {"by": "county"}),
    ],
)
def test_cr2_and_degrees_of_freedom_equal_clubsandwich(name, options):
    stored, found = R[name], fitted(vcov="cr2", **options)
    assert found.vcov == pytest.approx(np.array(stored["vcov"]), abs=CLOSED)
    assert found.table["p_value"].to_numpy() == pytest.approx(stored["p_value"], abs=1e-7)
    assert found.inference.df == pytest.approx(min(stored["df"]), abs=1e-6)
    assert any("Satterthwaite" in note and "by leverage" in note for note in found.notes)


def test_cr2_equals_estimatr():
    found = fitted(vcov="cr2")
    assert found.table["std_error"].item() == pytest.approx(R["estimatr_CR2"]["std_error"], abs=CLOSED)
    assert found.inference.df == pytest.approx(R["estimatr_CR2"]["df"], abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weights", ["plain", "weighted"])
def test_cr3_is_the_jackknife_of_states(weights, method):
    found = fitted(vcov="cr3", method=method, weights="none" if weights == "plain" else "population_baseline")
    assert found.vcov == pytest.approx(np.array(R[f"jackknife_{weights}_{method}"]["vcov"]), abs=CLOSED)


def test_event_times_equal_plm():
    stored, found = R["plm_event_time"], fitted(method="event_time", by="county")
    assert found.table["estimate"].to_numpy() == pytest.approx(stored["coefficients"], abs=CLOSED)
    # plm's factor is none; ours (N - 1) / (N - k) and 216 counties.
    factor = (1668 - 1) / (1668 - 9 - 8) * 216 / 215
    assert found.vcov == pytest.approx(np.array(stored["by_county_no_factor"]) * factor, abs=CLOSED)
    assert found.reference == -1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("by", ["state", "county"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("effects", EFFECTS)
def test_pyfixest_agrees(effects, method, by):
    import pyfixest as pf

    options = {"weights": "population_baseline", "controls": ("secure_communities",)}
    found = fitted(effects=effects, method=method, by=by, **options)
    data = PANEL.assign(
        state_year=PANEL["state"] + PANEL["year"].astype(str),
        class_year=PANEL["urban_class"] + PANEL["year"].astype(str),
        spell=PANEL["county_fips"] + PANEL["definition_spell"],
        treated=PANEL["treated"].astype(float),
        relative=PANEL["event_time"].fillna(-1).astype(int),
    )
    absorbed = {
        "county_year": "county_fips + year",
        "state_by_year": "county_fips + state_year",
        "urban_class_by_year": "county_fips + class_year",
        "county_definition_year": "spell + year",
    }[effects]
    wanted = "treated" if method == "post" else "i(relative, ref=-1)"
    # Without any correction: which effects it takes for nested depends on their order.
    peer = pf.feols(
        f"outcome ~ {wanted} + secure_communities | {absorbed}",
        data,
        weights="weight",
        vcov={"CRV1": "state" if by == "state" else "county_fips"},
        ssc=pf.ssc(k_adj=False, G_adj=False),
        fixef_rm="none",
        demeaner=pf.MapDemeaner(fixef_tol=1e-13, fixef_maxiter=100_000),
    )
    k = len(found.table)
    assert found.table["estimate"].to_numpy() == pytest.approx(peer.coef().to_numpy()[:k], abs=CLOSED)
    g = found.inference.clusters
    levels = {"urban_class_by_year": 24, "state_by_year": 96}.get(effects, 8)
    counted = k + 1 + (1 if effects == "state_by_year" and by == "state" else levels)
    factor = (len(PANEL) - 1) / (len(PANEL) - counted) * g / (g - 1)
    assert found.table["std_error"].to_numpy() == pytest.approx(
        peer.se().to_numpy()[:k] * factor**0.5, abs=CLOSED
    )


# --- against the definition -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["bartlett", "uniform"])
@pytest.mark.parametrize(("effects", "method"), list(product(EFFECTS, METHODS)))
def test_spatial_errors_are_sums_over_pairs(effects, method, kernel):
    found = fitted(effects=effects, method=method, **ERRORS[kernel])
    near = kernel_matrix(
        PLACES["latitude"].to_numpy(), PLACES["longitude"].to_numpy(), 300.0, kernel
    ).toarray()
    inside = PLACES["county_fips"].isin(found.counties).to_numpy()
    psi = found.influence
    pairs = np.einsum("ik,ij,jl->kl", psi, near[np.ix_(inside, inside)], psi)
    assert found.vcov == pytest.approx(pairs, rel=1e-8, abs=1e-12)
    by_county = fitted(effects=effects, method=method, by="county")
    g, n = by_county.inference.clusters, len(found.counties)
    assert found.inference.df == np.inf and found.inference.clusters == g
    width = found.table["conf_high"] - found.table["estimate"]
    assert width.to_numpy() == pytest.approx(1.959963984540054 * found.table["std_error"].to_numpy())
    alone = fitted(effects=effects, method=method, vcov="spatial", by="none", cutoff_km=1e-6, kernel=kernel)
    # A county near itself alone: clusters by county without G / (G - 1).
    assert alone.vcov * g / (g - 1) == pytest.approx(by_county.vcov, rel=1e-9)
    assert n >= g


def test_averages_of_spatial_errors_allow_for_shares_and_others_are_of_the_matrix():
    found = fitted(method="event_time", **ERRORS["bartlett"])
    post = aggregate(found, over="post")
    check_estimate(post)
    after = (found.table["event_time"] >= 0).to_numpy()
    sizes = np.nansum(found.treated[:, after], axis=0)
    effects = found.table["estimate"].to_numpy()[after]
    mean = effects @ sizes / sizes.sum()
    psi = found.influence[:, after] @ sizes / sizes.sum()
    psi = psi + np.nan_to_num(found.treated[:, after]) @ (effects - mean) / sizes.sum()
    near = kernel_matrix(PLACES["latitude"].to_numpy(), PLACES["longitude"].to_numpy(), 300.0, "bartlett")
    assert post.vcov.item() == pytest.approx(psi @ (near @ psi), rel=1e-9)
    for name in ("cr2", "state_and_year"):
        parts = fitted(method="event_time", **ERRORS[name])
        one = aggregate(parts, over="post")
        check_estimate(one)
        shares = np.where(after, np.nansum(parts.treated, axis=0), 0.0)
        shares = shares / shares.sum()
        assert one.table["estimate"].item() == pytest.approx(mean)
        assert one.vcov.item() == pytest.approx(shares @ parts.vcov @ shares)
        assert one.inference.df == parts.inference.df
        assert any("take their shares as given" in note for note in one.notes)


@pytest.mark.parametrize("effects", EFFECTS)
def test_subclusters_equal_dummies(effects):
    options = {"effects": effects, "weights": "population_baseline", "controls": ("secure_communities",)}
    found = fitted(QUARTER, **options, **ERRORS["subcluster"])
    year = QUARTER["year"].astype(str)
    unit, second = QUARTER["county_fips"], year
    if effects == "county_definition_year":
        unit = unit + QUARTER["definition_spell"]
    elif effects != "county_year":
        second = year + QUARTER["state" if effects == "state_by_year" else "urban_class"]
    dummies = pd.get_dummies(pd.DataFrame({"unit": unit, "second": second})).to_numpy(dtype=float)
    direct = wild_bootstrap(
        QUARTER["outcome"].to_numpy(),
        QUARTER["treated"].to_numpy(dtype=float),
        np.column_stack([QUARTER["secure_communities"].to_numpy(dtype=float), dummies]),
        QUARTER["weight"].to_numpy(dtype=float),
        QUARTER["state"].to_numpy(dtype=str),
        level=0.95, draws=199, seed=BY_STATE.seed, groups=QUARTER["county_fips"].to_numpy(dtype=str),
    )  # fmt: skip
    line = found.table.iloc[0]
    assert line["p_value"] == direct.p_value
    assert (line["conf_low"], line["conf_high"]) == pytest.approx(
        (direct.conf_low, direct.conf_high), abs=1e-6
    )
    assert any("54 counties" in note for note in found.notes)


def small_panel(by_state=False):
    """Nine counties of three states, or twelve of six; some adopt in mid-year, so that a year has no row."""
    rng = np.random.default_rng(8)
    states = ["06", "08", "12", "17", "19", "27"] if by_state else ["06", "08", "12"]
    per = 2 if by_state else 3
    years = range(2010, 2016)
    rows = []
    for s, state in enumerate(states):
        for i in range(per):
            cohort = (2013 if s < 2 else None) if by_state else {0: 2013, 1: 2014 if s else None}.get(i)
            middle = cohort == 2013
            level = rng.normal(20, 3)
            for year in years:
                if middle and year == cohort - 1:
                    continue
                since = None if cohort is None else year - cohort
                rows.append(
                    {
                        "county_fips": f"{state}{2 * i + 1:03d}",
                        "year": year,
                        "cohort": cohort,
                        "event_time": since + (middle and since < 0) if since is not None else None,
                        "treated": since is not None and since >= 0,
                        "weight": 1.0 + i,
                        "control": rng.normal(),
                        "outcome": level + rng.normal() - 2 * (since is not None and since >= 0),
                    }
                )
    table = pd.DataFrame(rows)
    table["definition_spell"] = np.where(
        (table["year"] >= 2012) & (table["county_fips"].str[-1] == "1"), "revised", "legacy"
    )
    table["urban_class"] = table["county_fips"].str[-1]
    for name in ("cohort", "event_time"):
        table[name] = table[name].astype("Int64")
    return table


def deals(items):
    """Return the different orders of a list."""
    return sorted(set(permutations(items)))


@pytest.mark.parametrize(
    ("assignment", "effects"),
    [
        ("counties_within_states", "county_year"),
        ("counties_within_states", "urban_class_by_year"),
        ("counties_within_states", "county_definition_year"),
        ("whole_states", "county_year"),
        ("whole_states", "county_definition_year"),
    ],
)
def test_randomisation_equals_refitting_every_assignment(assignment, effects):
    by_state = assignment == "whole_states"
    table = small_panel(by_state)
    options = {"effects": effects, "weights": "population_baseline", "controls": ("control",)}
    found = fitted(table, **options, vcov="randomisation", draws=99, assignment=assignment)
    first = table.drop_duplicates("county_fips").set_index("county_fips")
    path = {code: (int(c) if pd.notna(c) else 0) for code, c in first["cohort"].items()}
    units = {}
    for code in path:
        units.setdefault("all" if by_state else code[:2], []).append(code)
    if by_state:
        names = sorted({code[:2] for code in path})
        every = [
            {code: dealt[names.index(code[:2])] for code in path}
            for dealt in deals([next(c for code, c in path.items() if code[:2] == s) for s in names])
        ]
    else:
        orders = [deals([path[code] for code in codes]) for codes in units.values()]
        every = [
            {
                code: c
                for codes, dealt in zip(units.values(), chosen, strict=True)
                for code, c in zip(codes, dealt, strict=True)
            }
            for chosen in product(*orders)
        ]

    def statistic(dealt):
        cohort = table["county_fips"].map(dealt).replace({0: 9999})
        moved = table.assign(treated=table["year"] >= cohort)[~((cohort == 2013) & (table["year"] == 2012))]
        moved = moved.assign(
            cohort=cohort.where(cohort < 9999).astype("Int64"), event_time=moved["year"] - cohort
        )
        line = fit(design_of(moved, **options)).table.iloc[0]
        return line["estimate"] / line["std_error"]

    every_t = np.abs([statistic(dealt) for dealt in every])
    own = abs(statistic(path))
    assert found.table["p_value"].item() == np.mean(every_t >= own * (1 - 1e-6))
    assert len(every) == (15 if by_state else 3 * 6 * 6)
    assert any(f"all of {len(every)} assignments" in note for note in found.notes)
    assert any("transition year" in note for note in found.notes)
    plain = fitted(table, **options).table
    for column in ("estimate", "std_error"):
        assert found.table[column].item() == plain[column].item()


def test_states_that_cannot_move_are_named_and_mixed_states_refused():
    found = fitted(**ERRORS["randomisation"])
    assert any("2 states could not have fallen otherwise" in n and "FL, NC" in n for n in found.notes)
    assert any("99 random of about 10^60 assignments" in note for note in found.notes)
    with pytest.raises(SampleError, match="states hold counties on different paths"):
        fitted(vcov="randomisation", draws=99, assignment="whole_states")
    with pytest.raises(SpecError, match="assignment = None"):
        fitted(vcov="randomisation", draws=99)


# --- invariances ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(ERRORS))
@pytest.mark.parametrize("effects", EFFECTS)
def test_invariances(effects, name):
    options = {"effects": effects, "weights": "population_baseline", "controls": ("secure_communities",)}
    for method in METHODS if name not in DRAWN else ("post",):
        base = fitted(QUARTER, **options, method=method, **ERRORS[name])
        columns = ("estimate", "std_error", "conf_low", "conf_high")

        def same(table, factor=1.0, base=base, method=method, columns=columns):
            found = fit(design_of(table, **options, method=method, **ERRORS[name]))
            wanted = numbers(base, *columns) * factor
            # Ends of intervals by draws are found by halving steps.
            assert numbers(found, *columns) == pytest.approx(wanted, rel=1e-5, abs=1e-6 * factor)
            assert numbers(found, "p_value") == pytest.approx(numbers(base, "p_value"), abs=1e-7)

        same(QUARTER.sample(frac=1, random_state=1))
        shift = QUARTER["county_fips"].str[2:].astype(int) + 7.0 * (QUARTER["year"] - 2010) ** 2
        same(QUARTER.assign(outcome=QUARTER["outcome"] + shift))
        same(QUARTER.assign(outcome=QUARTER["outcome"] * 10), 10.0)
        same(QUARTER.assign(weight=QUARTER["weight"] * 1e6))
        if name not in (*DRAWN, "bartlett", "uniform"):
            same(
                QUARTER.assign(
                    county_fips=QUARTER["county_fips"].map(lambda f: f[:2] + f"{999 - int(f[2:]):03d}")
                )
            )


def test_counties_treated_throughout_do_not_move_event_times_and_move_one_coefficient():
    code = PANEL.loc[PANEL["cohort"] == 2013, "county_fips"].iloc[0]
    more = PANEL[(PANEL["county_fips"] == code) & (PANEL["year"] >= 2013)]
    more = more.assign(county_fips="06998", state="06", outcome=more["outcome"] * 3)
    both = pd.concat([PANEL, more])
    found = fitted(both, method="event_time")
    assert numbers(found) == pytest.approx(numbers(fitted(method="event_time")), rel=1e-9)
    assert any("1 counties have no year wholly before adoption" in note for note in found.notes)
    assert found.attrition["rule"].iloc[-1] == "two-way: a year wholly before adoption"
    assert abs(numbers(fitted(both)) - numbers(fitted())).max() > 1e-3


def test_every_option_bites():
    found = {}
    for effects, name in product(EFFECTS, ERRORS):
        line = fitted(QUARTER, effects=effects, **ERRORS[name]).table.iloc[0]
        found[effects, name] = (
            line["estimate"], line["std_error"], line["p_value"], line["conf_low"], line["conf_high"],
        )  # fmt: skip
    assert len({tuple(np.round(v, 9)) for v in found.values()}) == len(found)
    assert len({round(v[0], 9) for v in found.values()}) == len(EFFECTS)
    near, far = (
        fitted(vcov="spatial", by="none", cutoff_km=km, kernel="bartlett").table["std_error"].item()
        for km in (100.0, 800.0)
    )
    assert near != far
    wide = fitted(level=0.99).table["conf_low"].item()
    assert wide < fitted(level=0.9).table["conf_low"].item()


# --- event times ------------------------------------------------------------------------------------------------


def test_event_times_recover_a_path_and_anticipation_moves_the_reference():
    path = {0: -1.0, 1: -2.0, 2: -3.5, 3: -3.0, 4: 0.5}
    level = PANEL["county_fips"].str[2:].astype(float) / 100 + 0.3 * (PANEL["year"] - 2010) ** 2
    exact = PANEL.assign(outcome=level + PANEL["event_time"].map(path).fillna(0.0).astype(float))
    found = fitted(exact, method="event_time")
    wanted = [path.get(int(t), 0.0) for t in found.table["event_time"]]
    assert found.table["estimate"].to_numpy() == pytest.approx(wanted, abs=1e-9)
    moved = fitted(exact, method="event_time", anticipation=1)
    assert moved.reference == -2
    assert -1 in moved.table["event_time"].tolist() and -2 not in moved.table["event_time"].tolist()
    plain = fitted(method="event_time").table.set_index("event_time")["estimate"]
    shifted = fitted(method="event_time", anticipation=1).table.set_index("event_time")["estimate"]
    # Another base is another zero for the same coefficients.
    assert shifted[0] - shifted[-1] == pytest.approx(plain[0], abs=1e-9)


def test_without_never_treated_event_times_are_not_told_apart():
    adopters = PANEL[PANEL["cohort"].notna()]
    with pytest.raises(SampleError, match="does not vary"):
        fitted(adopters, method="event_time")


@pytest.mark.parametrize("name", ["state", "state_and_year", "cr2", "bartlett"])
def test_bands_are_wider_than_intervals(name):
    table = fitted(method="event_time", **(ERRORS[name] | {"draws": 999})).table
    assert (table["band_low"] < table["conf_low"]).all()
    none = fitted(method="event_time", **(ERRORS[name] | {"draws": 0})).table
    # Without draws a band is that of the fewest degrees of freedom of any row.
    assert (none["band_low"] <= none["conf_low"] + 1e-12).all()
    assert (none["band_low"] >= table["band_low"]).all()


# --- what cannot be done ----------------------------------------------------------------------------------------


def test_a_two_way_sum_that_is_not_positive_gives_the_larger_way():
    rng = np.random.default_rng(0)
    for _ in range(50):
        table = small_panel(by_state=True)
        table["outcome"] = rng.normal(size=len(table))
        found = fitted(table, by="state_and_year")
        if any("not positive" in note for note in found.notes):
            break
    else:
        pytest.fail("no draw has a negative sum")
    data = design_of(table).table
    dummies = pd.get_dummies(
        pd.DataFrame({"c": data["county_fips"], "t": data["year"].astype(str)})
    ).to_numpy(dtype=float)
    x, y = data["treated"].to_numpy(dtype=float), data["outcome"].to_numpy()
    own = x - dummies @ np.linalg.lstsq(dummies, x, rcond=None)[0]
    full = np.column_stack([x, dummies])
    residual = y - full @ np.linalg.lstsq(full, y, rcond=None)[0]
    scores = (own * residual / (own @ own))[:, None]
    n, place, year = len(y), data["county_fips"].str[:2].to_numpy(dtype=str), data["year"].to_numpy()
    cell = np.char.add(place, year.astype(str))
    ways = [cluster_variance(scores, labels).item() for labels in (place, year)]
    assert ways[0] + ways[1] < cluster_variance(scores, cell).item()
    assert found.vcov.item() == pytest.approx(max(ways) * (n - 1) / (n - 2), rel=1e-9)


def test_one_treated_state_has_no_error_under_cr2():
    few = PANEL[PANEL["cohort"].isna() | (PANEL["state"] == "06")]
    for name in ("cr2", "cr3", "state_and_year"):
        found = fitted(few, **ERRORS[name])
        assert np.isnan(found.table["std_error"].item())
        assert any("no error can be given" in note for note in found.notes)


def test_refusals():
    with pytest.raises(SpecError, match="tests one coefficient"):
        fitted(method="event_time", **ERRORS["wild"])
    with pytest.raises(SpecError, match="anticipation = 1"):
        fitted(anticipation=1)
    with pytest.raises(SpecError, match="method 'dynamic'"):
        fitted(method="dynamic")
    with pytest.raises(SpecError, match='by = "county"'):
        fitted(vcov="subcluster_bootstrap", by="county", draws=99)
    with pytest.raises(SampleError, match="no column definition_spell"):
        fitted(PANEL.drop(columns="definition_spell"), effects="county_definition_year")
    holes = PANEL.assign(urban_class=PANEL["urban_class"].where(PANEL["year"] > 2010))
    with pytest.raises(SampleError, match="without urban_class"):
        fitted(holes, effects="urban_class_by_year")
    with pytest.raises(SampleError, match="weights that are negative"):
        fitted(PANEL.assign(weight=-1.0), weights="population_baseline")
    lost = design_of(**ERRORS["bartlett"])
    lost = replace(lost, geography=Geography(places=PLACES.iloc[2:]))
    with pytest.raises(SampleError, match=f"2 counties without a place .{COUNTIES[0]} {COUNTIES[1]}."):
        fit(lost)


def test_weights_of_zero_and_missing_outcomes_are_left_out_and_said():
    gone = COUNTIES[:3]
    zero = fitted(
        PANEL.assign(weight=PANEL["weight"].mask(PANEL["county_fips"].isin(gone), 0.0)),
        weights="population_baseline",
    )
    without = fitted(PANEL[~PANEL["county_fips"].isin(gone)], weights="population_baseline")
    assert numbers(zero) == pytest.approx(numbers(without), rel=1e-12)
    assert any("of weight zero are left out" in note for note in zero.notes)
    holes = fitted(PANEL.assign(outcome=PANEL["outcome"].mask(PANEL["county_fips"].isin(gone))))
    assert numbers(holes) == pytest.approx(numbers(fitted(PANEL[~PANEL["county_fips"].isin(gone)])))
    assert any("without an outcome" in note for note in holes.notes)


def test_a_state_that_effects_absorb_but_for_rounding_identifies_nothing():
    together = PANEL.assign(
        treated=PANEL["treated"].mask(PANEL["state"].isin(["06", "08"]), PANEL["year"] >= 2014)
    )
    options = {"effects": "state_by_year", "weights": "population_baseline", "vcov": "cr2"}
    found = fitted(together, **options)
    without = fitted(PANEL[~PANEL["state"].isin(["06", "08"])], **options)
    assert numbers(found) == pytest.approx(numbers(without), rel=1e-8)
    assert found.inference.df == pytest.approx(without.inference.df, rel=1e-6)
    assert not any("no error can be given" in note for note in found.notes)
