"""The simulated panel: its contract, its known effects, its odd counties, and that it is never taken for real."""

import shutil
import tomllib

import numpy as np
import pandas as pd
import pytest

from analysis.base.codebook import validate
from analysis.base.errors import StudyError
from analysis.base.paths import Paths
from analysis.base.records import Panel
from analysis.panel.build import YEARS, load_cities, load_panel, write_panel
from analysis.panel.twin import make_twin, read_parameters, simulate, truth, twin_shapes
from analysis.panel.twin_calibrate import MARKER, calibrate, write_parameters
from analysis.panel.twin_crime import BASE, county_rates
from analysis.panel.twin_frame import (
    CLASSES,
    LATER,
    PARAMETERS,
    correlation_of,
    draw_classes,
    draw_traits,
    spells,
    twin_counties,
)

PARAMETERS_HERE = read_parameters()
REPORTS = {
    "city_series": ["state", "city", "agency_id", "years", "population", "placed", "in_table8", "largest_gap"],
    "departments_never_printed": ["state", "departments", "population_2010"],
    "facilities": ["facility", "city", "state", "county_fips", "how", "runs", "counted", "declined"],
    "joins": ["join", "expect", "left_rows", "matched", "unmatched_left", "unused_right"],
    "neighbours": ["finding", "county_fips", "neighbour_fips"],
    "nobodys_crime": [
        "state", "year", "violent_table11", "property_table11", "violent_panel", "property_panel", "share_violent", "share_property",
    ],
    "placed_share": ["year", "share_of_city_population_placed"],
    "placement_rules": ["how", "cities", "population"],
    "unmatched": ["join", "side", "county_fips", "year"],
    "unplaced_cities": ["state", "agency_name", "population"],
    "unplaced_county_agencies": ["year", "state", "agency_name", "county_name"],
    "unread_rows": ["year", "table", "state", "row", "content", "reason"],
}  # fmt: skip
"""Names and columns of the reports the real build writes; the two of coverage come from its own function."""


def tree(folder):
    """A simulated tree of its own, with the study's committed tables in it."""
    real = Paths()
    for source in (real.compiled_policy, real.compiled_geography):
        shutil.copytree(source, folder / source.relative_to(real.root))
    shutil.copy(real.codebook, folder / "data" / "codebook.toml")
    return Paths(root=folder, simulated=True)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    where = tree(tmp_path_factory.mktemp("twin"))
    make_twin(where)
    return where


@pytest.fixture(scope="module")
def panel(paths):
    return load_panel(paths)


@pytest.fixture(scope="module")
def cities(paths):
    return load_cities(paths)


@pytest.fixture(scope="module")
def quiet():
    """Levels, national trends and known effects, nothing else."""
    return simulate(PARAMETERS_HERE, seed=3, quiet=True)


# --- contract ---------------------------------------------------------------------------------------------------


def test_tables_hold_the_contracts_of_the_real_panel(panel, cities):
    for name, table in (
        ("panel", panel.table),
        ("panel", panel.constant),
        ("cities", cities),
        ("policy_events", panel.policies),
        ("declines", panel.declines),
        ("places", panel.geography.places),
        ("adjacency", panel.geography.neighbours),
    ):
        pd.testing.assert_frame_equal(validate(table, name), table)
    areas = panel.table.groupby("year")["county_fips"].nunique()
    assert areas.eq(3138).all() and areas.index.tolist() == list(YEARS)


def test_reports_have_the_names_and_columns_of_the_real_ones(panel):
    assert set(panel.reports) == {*REPORTS, "coverage_by_year", "coverage_by_state", "national_totals"}
    assert {name: panel.reports[name].columns.tolist() for name in REPORTS} == REPORTS
    totals = panel.reports["national_totals"].set_index("year")
    stated = PARAMETERS_HERE["totals"]["violent_share_by_year"]
    assert totals["violent_share"].to_numpy() == pytest.approx(stated, abs=1e-4)


@pytest.mark.real
def test_the_real_panel_has_the_same_columns_and_types(panel, cities):
    try:
        real, real_cities = load_panel(Paths()), load_cities(Paths())
    except StudyError as reason:
        pytest.skip(f"no real panel is built: {reason}")
    pairs = [
        (real.table, panel.table),
        (real.policies, panel.policies),
        (real.declines, panel.declines),
        (real.geography.places, panel.geography.places),
        (real.geography.neighbours, panel.geography.neighbours),
        (real_cities, cities),
    ]
    pairs += [(real.reports[name], panel.reports[name]) for name in real.reports]
    for one, other in pairs:
        assert one.dtypes.astype(str).to_dict() == other.dtypes.astype(str).to_dict()


def test_nothing_simulated_looks_real_or_goes_where_real_things_are(panel, cities, paths):
    assert panel.simulated
    assert cities["city_name"].str.startswith("Simulated city").all()
    assert panel.reports["facilities"]["facility"].str.startswith("SIMULATED").all()
    assert panel.policies.query("definition_source == 'D5'")["note"].eq("SIMULATED DATA").all()
    assert paths.panel.is_relative_to(paths.root / "simulated")
    with pytest.raises(StudyError, match="real tree"):
        make_twin(Paths(root=paths.root, simulated=False))


def test_where_areas_lie_stands_beside_the_panel_and_in_its_digest(paths, panel, tmp_path):
    assert len(panel.geography.places) == 3138
    for name, table in (("places", panel.geography.places), ("neighbours", panel.geography.neighbours)):
        assert len(pd.read_csv(paths.panel / f"{name}.csv", dtype=str)) == len(table)
    copy = Paths(root=tmp_path, simulated=True)
    shutil.copytree(paths.panel, copy.panel)
    moved = panel.geography.places.assign(latitude=lambda t: t["latitude"] + 1e-6)
    write_panel(
        {
            "panel": panel.table, "constant": panel.constant, "policy_events": panel.policies,
            "declines": panel.declines, "places": moved, "neighbours": panel.geography.neighbours,
        },
        load_cities(paths), panel.reports, "elsewhere", copy,
    )  # fmt: skip
    assert load_panel(copy).digest != panel.digest
    panel.geography.places.to_parquet(copy.panel / "places.parquet", index=False)
    with pytest.raises(StudyError, match=r"places\.parquet of the built panel is not the file"):
        load_panel(copy)


def test_same_seed_same_bytes_and_no_second_build(paths, tmp_path):
    again = tree(tmp_path)
    make_twin(again)
    files = sorted(file.relative_to(paths.panel) for file in paths.panel.rglob("*") if file.is_file())
    assert len(files) > 20
    assert files == sorted(file.relative_to(again.panel) for file in again.panel.rglob("*") if file.is_file())
    differing = [str(f) for f in files if (paths.panel / f).read_bytes() != (again.panel / f).read_bytes()]
    assert differing == []
    steps = []
    make_twin(again, progress=steps.append)
    assert steps == []
    compiled = again.compiled_policy / "d2_detainer_policies.csv"
    compiled.write_text(
        compiled.read_text(encoding="utf-8").replace("2014-04-16", "2014-04-17"), encoding="utf-8"
    )
    make_twin(again, progress=steps.append)
    assert steps


def test_shapes_and_panel_know_the_same_areas(panel):
    shapes = twin_shapes()
    city = shapes["county_fips"].isin(["36005", "36047", "36061", "36081", "36085"])
    assert city.sum() == 5 and shapes.crs is not None
    assert set(shapes.loc[~city, "county_fips"]) | {"36998"} == set(panel.table["county_fips"])


def test_what_was_added_later_left_the_older_draws_as_they_were():
    # Streams come from one seed in a fixed order: a new one goes last, or every committed simulation changes.
    from analysis.panel.twin import _streams

    names = list(_streams(1))
    assert names[:11] == [
        "lists", "frame", "traits", "population", "rates", "agencies", "yearly", "federal", "declines", "cities", "reports",
    ]  # fmt: skip
    children = np.random.SeedSequence(1).spawn(11)
    for name, child in zip(names, children, strict=False):
        assert _streams(1)[name].random() == np.random.default_rng(child).random()


def test_covariates_of_about_2015_are_those_of_the_simulated_year(panel):
    one = panel.table.query("year == 2015").set_index("county_fips")
    assert np.allclose(one["log_population_2015"], np.log(one["population"]))
    assert np.allclose(one["poverty_2015"], one["poverty_rate"] / 100, equal_nan=True)
    assert np.allclose(one["unemployment_2015"], one["unemployment_rate"] / 100, equal_nan=True)
    assert np.allclose(one["log_income_2015"], np.log(one["median_household_income"]), equal_nan=True)
    assert np.allclose(one["snap_share"], 100 * one["snap_recipients"] / one["population"], equal_nan=True)
    grown = one["log_density_2015"] - one["log_density_2010"]
    assert np.allclose(grown, one["log_population_2015"] - one["log_population_2010"])
    for name, earlier in LATER.items():
        assert one[name].corr(one[earlier]) > 0.75, name
    assert one["state"][one["non_citizen_2014_2018"].isna()].unique().tolist() == ["AK"]


def test_the_survey_stands_in_three_years_and_nobody_works_who_is_not_in_the_labour_force(panel):
    filled = panel.table.dropna(subset=["participation"])
    assert filled.groupby("year")["county_fips"].nunique().to_dict() == {2012: 3138, 2014: 3138, 2015: 3138}
    assert filled["employment_population"].notna().all()
    assert (filled["employment_population"] < filled["participation"]).all()
    nation = np.average(filled["participation"], weights=filled["population"])
    assert 55 < nation < 68


# --- the parameter file -----------------------------------------------------------------------------------------


def test_parameters_are_small_aggregates(tmp_path):
    text = PARAMETERS.read_text(encoding="utf-8")
    assert len(text) < 60_000
    measured = tomllib.loads(text.split(MARKER)[1])

    def keys(values):
        for key, value in values.items():
            yield key
            if isinstance(value, dict):
                yield from keys(value)

    assert not [key for key in keys(measured) if any(ch.isdigit() for ch in key) and len(key) == 5]
    copy = tmp_path / "twin.toml"
    copy.write_text(text.split(MARKER)[0], encoding="utf-8")
    write_parameters(measured, copy)
    assert tomllib.loads(copy.read_text(encoding="utf-8")) == PARAMETERS_HERE


@pytest.fixture(scope="module")
def recovered(panel, cities):
    return calibrate(panel, cities)


@pytest.mark.filterwarnings("ignore:.*(empty slice|Degrees of freedom).*:RuntimeWarning")
@pytest.mark.parametrize(
    ("where", "tolerance"),
    [
        # Deviations of yearly changes: of about forty states and of counties with ten offences a year and more.
        (("crime", "persistence", "larceny"), 0.08),
        (("crime", "persistence", "burglary"), 0.08),
        (("crime", "persistence", "aggravated_assault"), 0.10),
        (("crime", "county_year_sd_by_size", "larceny"), 0.04),
        (("crime", "state_year_sd", "larceny"), 0.05),
        (("crime", "state_year_sd", "aggravated_assault"), 0.07),
        (("crime", "trend", "larceny"), 0.15),
        (("reporting", "rape_revised_by_year"), 0.03),
        (("yearly", "unemployment_rate", "path"), 0.03),
        (("yearly", "poverty_rate", "sd"), 0.01),
        (("yearly", "snap", "per_logit_poverty"), 0.10),
        (("federal", "secure_communities_started"), 0.04),
        (("federal", "list_2025", "documented"), 0.10),
        (("declines", "any_on_adoption"), 0.50),
        (("declines", "any_per_log_size"), 0.15),
        (("places", "county_share_by_class"), 0.06),
        (("later", "hispanic_2014", "slope"), 0.03),
        (("later", "non_citizen_2014_2018", "sd"), 0.04),
        (("later", "participation", "slope"), 0.05),
        (("later", "employment_population", "level_by_year"), 0.08),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_what_is_measured_on_the_twin_is_what_its_parameters_say(recovered, where, tolerance):
    stated, found = PARAMETERS_HERE, recovered
    for key in where:
        stated, found = stated[key], found[key]
    assert np.abs(np.asarray(found) - np.asarray(stated)).max() <= tolerance


@pytest.mark.parametrize("who", ["cities", "county_agencies"])
@pytest.mark.parametrize("lag", [1, 4, 7])
def test_reporting_is_as_sticky_as_its_parameters_say(recovered, who, lag):
    # How much of it lasts and how much fades is hard to tell apart; what they add up to over a lag is less so.
    # The measurement sees only cities that were ever printed, which takes something off the long lags.
    stated, found = (
        part["lasting_share"] + (1 - part["lasting_share"]) * part["fading_persistence"] ** lag
        for part in (PARAMETERS_HERE["reporting"][who], recovered["reporting"][who])
    )
    assert found == pytest.approx(stated, abs=0.08 if lag < 7 else 0.12)


def test_classes_levels_and_correlations_are_the_stated_ones(recovered):
    assert recovered["classes"]["by_state"] == PARAMETERS_HERE["classes"]["by_state"]
    stated, found = PARAMETERS_HERE["traits"], recovered["traits"]
    for name in CLASSES:
        gap = np.abs(np.subtract(found["mean"][name], stated["mean"][name]))
        # In deviations of the class: states share part of every trait, so class means move together.
        assert np.median(gap / np.asarray(stated["sd"][name])) < 0.25
    corr = [correlation_of(t["correlation"])[np.tril_indices(30, -1)] for t in (stated, found)]
    assert np.corrcoef(*corr)[0, 1] > 0.9


def test_holes_in_coverage_are_where_they_were(panel):
    table = panel.table.assign(people=lambda t: t["coverage_violent_ex_rape"] * t["population"])
    by = table.groupby(["state", "year"])[["people", "population"]].sum()
    coverage = (by["people"] / by["population"]).unstack()
    assert (coverage.loc["IL", [2005, 2006, 2007, 2008]] < 0.1).all() and (
        coverage.loc["IL", 2011:2016] > 0.6
    ).all()
    assert coverage.loc["IA", 2018] == 0 and coverage.loc["AL", 2019] < 0.1
    assert (coverage.loc[["CT", "RI"], 2007] == 0).all()
    nation = by.groupby("year").sum()
    real = np.array(
        [
            0.863,
            0.864,
            0.865,
            0.880,
            0.905,
            0.909,
            0.909,
            0.902,
            0.893,
            0.905,
            0.910,
            0.921,
            0.924,
            0.889,
            0.837,
        ]
    )
    assert np.abs(nation["people"] / nation["population"] - real).max() < 0.08
    window = (
        panel.table.query("2010 <= year <= 2017").groupby("county_fips")["coverage_violent_ex_rape"].min()
    )
    assert 850 < window.ge(0.9).sum() < 1250


# --- known effects ----------------------------------------------------------------------------------------------


def quiet_changes(quiet, measure):
    """Log rate of each treated county against 2010, less the same for counties never treated."""
    wide = np.log(quiet.panel.pivot(index="county_fips", columns="year", values=f"rate_policed_{measure}"))
    wide = wide.sub(wide[2010], axis=0)
    when = quiet.adoptions.set_index("county_fips")
    never = wide[~wide.index.isin(when.index)].mean()
    treated = when[when["adoption_year"] > 2010].index.intersection(wide.dropna().index)
    return wide.loc[treated] - never, when.loc[treated]


@pytest.mark.parametrize(
    "measure", ["larceny", "burglary", "motor_vehicle_theft", "robbery", "aggravated_assault"]
)
def test_without_noise_the_known_effect_is_found_in_every_county_and_year(quiet, measure):
    change, when = quiet_changes(quiet, measure)
    size = PARAMETERS_HERE["effects"]["log_points"][measure]
    cohorts = PARAMETERS_HERE["effects"]["cohorts"]
    for fips, row in when.iterrows():
        factor = next(c["factor"] for c in cohorts if c["first"] <= row["cohort"] <= c["last"])
        last = row["last_year"] if pd.notna(row["last_year"]) else YEARS[-1]
        for year in YEARS:
            full = row["cohort"] <= year <= last
            half = row["adoption_year"] <= year < row["cohort"] and year <= last
            wanted = size * factor * (1.0 if full else 0.5 if half else 0.0)
            assert change.loc[fips, year] == pytest.approx(wanted, abs=1e-9)
    assert size == 0.0 or (when["cohort"] > when["adoption_year"]).any()


def test_without_noise_the_main_estimator_returns_the_known_effect(quiet):
    from analysis.design.design import make_design
    from analysis.design.spec import load_spec
    from analysis.estimation import fit

    panel = Panel(quiet.panel, quiet.constant, quiet.policy_events, quiet.declines, "quiet", True)
    spec = load_spec("main").replace(
        {"outcome.measure": "larceny", "outcome.scale": "log_rate", "covariates.names": []}
    )
    found = fit(make_design(panel, spec)).table.set_index("event_time")["estimate"].astype(float).dropna()
    # Effects are 1.2, 1.0 and 0.8 times 0.02 for cohorts to 2013, of 2014-15 and later.
    assert found[found.index < 0].to_numpy() == pytest.approx(0.0, abs=1e-6) and (found.index < 0).sum() >= 2
    assert 0.016 < found[0] < 0.021 and 0.016 < found[1] < 0.021
    late = found[found.index >= 4]
    assert len(late) and late.to_numpy() == pytest.approx(0.024, abs=1e-6)


@pytest.fixture(scope="module")
def counties(panel):
    """Counties, traits and adoptions once, for drawing rates many times."""
    rng = np.random.default_rng(11)
    adoptions = spells(panel.policies)
    listed = set(adoptions["county_fips"])
    frame = draw_classes(PARAMETERS_HERE["classes"], twin_counties(), listed, rng)
    return frame, draw_traits(PARAMETERS_HERE["traits"], frame, listed, 8e6, rng), adoptions


def test_with_noise_the_known_effect_lies_within_the_monte_carlo_band(counties):
    frame, traits, adoptions = counties
    when = adoptions.set_index("county_fips").reindex(frame["county_fips"])
    # Away from California and its confounders.
    here = frame["state"].ne("CA").to_numpy()
    treated = when["cohort"].eq(2015).to_numpy() & here
    never = when["cohort"].isna().to_numpy() & here
    before, after = [YEARS.index(y) for y in range(2010, 2014)], [YEARS.index(y) for y in range(2015, 2018)]
    found = []
    for seed in range(30):
        rates = county_rates(
            PARAMETERS_HERE, frame, traits, adoptions, np.random.default_rng(seed), quiet=False
        )
        log = np.log(rates.observed[:, :, BASE.index("larceny")])
        change = log[:, after].mean(axis=1) - log[:, before].mean(axis=1)
        found.append(change[treated].mean() - change[never].mean())
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert error < 0.01
    assert abs(np.mean(found) - 0.02) < 3 * error


def test_the_confounder_moves_california_alone(counties):
    frame, traits, adoptions = counties
    with_, without = (
        np.log(county_rates(p, frame, traits, adoptions, np.random.default_rng(1), quiet=False).without)
        for p in (PARAMETERS_HERE, {**PARAMETERS_HERE, "confounders": []})
    )
    gap = (with_ - without)[:, :, BASE.index("larceny")]
    california = frame["state"].eq("CA").to_numpy()
    assert np.abs(gap[~california]).max() == 0
    assert gap[california][:, YEARS.index(2015) :] == pytest.approx(0.06)
    assert np.abs(gap[california][:, : YEARS.index(2015)]).max() < 1e-12


def test_truth_follows_from_the_stated_effects():
    found = truth(PARAMETERS_HERE).set_index("measure")
    assert found.loc[["murder", "violent_ex_rape", "violent"], "rate_100k"].eq(0).all()
    assert 0.016 < found.loc["property", "log_points"] < 0.024
    ratio = found["rate_100k"] / found["baseline"]
    assert np.log1p(ratio["larceny"]) == pytest.approx(found.loc["larceny", "log_points"], abs=5e-4)
    assert found.loc["total", "rate_100k"] == pytest.approx(found.loc["property", "rate_100k"])


def test_adoption_is_dated_as_the_treatment_definition_dates_it(panel):
    from analysis.design.treatment import make_treatment

    made = make_treatment(
        panel.table, panel.policies, panel.declines, "policy_full",
        onset="first_full_year", upper_bound_dates="as_dated", comparison="not_yet_treated", kind="panel",
    ).table.query("status == 'treated'").set_index("county_fips")  # fmt: skip
    ours = spells(panel.policies).set_index("county_fips").loc[made.index]
    assert len(made) > 100
    pd.testing.assert_frame_equal(
        made[["adoption_year", "cohort", "last_year"]].astype("Int64"),
        ours[["adoption_year", "cohort", "last_year"]].astype("Int64"),
    )


def test_declines_rise_on_adoption(panel):
    when = panel.table["county_fips"].map(spells(panel.policies).set_index("county_fips")["adoption_year"])
    rows = panel.table.assign(on=when.eq(2014)).query("year in [2013, 2014]")
    mean = rows.groupby(["on", "year"])["declined_per_10k"].mean().unstack()
    rise = mean[2014] - mean[2013]
    assert rise[True] > 5 * rise[False] > 0
    assert panel.table.query("year in [2005, 2007, 2015]")["declined_detainers"].isna().all()


# --- odd counties -----------------------------------------------------------------------------------------------


def test_new_york_city_is_one_area_with_one_force(panel):
    codes = set(panel.table["county_fips"])
    assert "36998" in codes and not codes & {"36005", "36047", "36061", "36081", "36085"}
    city = panel.table.query("county_fips == '36998'").set_index("year")
    assert city.loc[2010, "population"] == pytest.approx(
        PARAMETERS_HERE["new_york_city_population"], rel=1e-6
    )
    assert city["urban_class"].eq("large_central_metro").all()
    assert city["agencies_expected"].eq(1).all() and city["county_policed_share"].lt(1e-6).all()


def test_odd_counties_are_in_it(panel, cities):
    table = panel.table
    empty = table[table["county_fips"].isin(PARAMETERS_HERE["odd"]["without_agencies"])]
    assert len(empty) == 2 * len(YEARS)
    assert (
        empty["agencies_reporting"].eq(0).all()
        and empty["rate_policed_property"].isna().all()
        and empty["coverage_property"].eq(0).all()
    )
    unpeopled = cities[cities["population"].eq(0)]
    assert set(unpeopled["county_fips"]) <= set(PARAMETERS_HERE["odd"]["without_residents"]) and len(
        unpeopled
    )
    assert unpeopled["rate_property"].isna().all()
    whole = table[table["county_fips"].isin(["24510", "51510"])]
    assert whole["county_policed_share"].lt(1e-6).all() and not whole["county_agency_reports"].any()
    assert cities["spans_counties"].any() and table["spanning_share"].gt(0).any()
    # Not reported is not zero.
    assert 0.03 < table["violent_ex_rape"].isna().mean() < 0.2


def test_violent_is_blank_where_rape_is(cities):
    printed = cities[cities["source"].eq("table8")]
    blank = printed["rape_legacy"].isna() & printed["rape_revised"].isna()
    missing_parts = printed["violent_ex_rape"].isna()
    assert printed.loc[blank, "violent"].isna().all()
    assert printed.loc[~blank & ~missing_parts, "violent"].notna().all()
    assert blank[printed["state"].eq("MN") & printed["year"].eq(2009)].mean() > 0.7
    assert not (printed["rape_legacy"].notna() & printed["rape_revised"].notna()).any()
    assert printed.loc[printed["year"].ge(2017), "rape_legacy"].isna().all()
