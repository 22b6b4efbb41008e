"""Raw files to the county-year panel, in one place: sources, joins, derived columns, reports.

The chain is raw file, tidy table, panel; each link is a table on disk that opens without this code. A build is
keyed by a digest of everything it reads (raw files by their hashes, our own compilations, the code of this room,
the codebook): while that digest stands, nothing is built again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.base.codebook import validate
from analysis.base.errors import SourceError, TableError
from analysis.base.paths import Paths, replacing
from analysis.base.provenance import canonical_json, digest_of, digest_of_table, sha256_of
from analysis.base.records import Geography, Panel
from analysis.panel import agencies as ag
from analysis.panel.cities import city_panel
from analysis.panel.covariates import fixed_covariates, one_new_york, yearly_covariates
from analysis.panel.crosswalk import (
    NEW_YORK_CITY,
    NEW_YORK_COUNTIES,
    AgencyDirectory,
    Placement,
    other_departments,
    place_cities,
    place_county_agencies,
    separate_namesakes,
)
from analysis.panel.joins import JoinReport, join
from analysis.panel.places import make_geography
from analysis.panel.sources.raw import RawFiles

YEARS = tuple(range(2005, 2020))
CONSTANT_WINDOW = (2010, 2017)
"""Years in which an agency must report every year to be in the second panel: the main window of the protocol."""

PARTS = ("panel", "constant", "policy_events", "declines", "places", "neighbours")
"""Tables of a panel, as files beside each other and in its digest, in this order."""

CSV_TWIN_BELOW = 2_000_000
"""A built table gets a csv twin when the csv is smaller than this many bytes."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Counted:
    """Crime on the panel's areas.

    Args:
        table: counts, people policed, coverage and rates by county and year, with who reported.
        constant: the same, counting only agencies that report in every year of `CONSTANT_WINDOW`.
        cities: printed city agencies with identities.
        placement: where city agencies lie.
        reports: name to table.
    """

    table: pd.DataFrame
    constant: pd.DataFrame
    cities: pd.DataFrame
    placement: Placement
    reports: Mapping[str, pd.DataFrame]


def areas(frame: pd.DataFrame, classes: pd.DataFrame) -> pd.DataFrame:
    """Return the panel's areas: the 2019 county frame with New York City as one, and their classes.

    Args:
        frame: county_fips, state, county_name, region, division.
        classes: county_fips, urban_class_2013, rucc_2013.

    Returns:
        county_fips, state, county_name, division, urban_class, rucc_2013.
    """
    known = classes[["county_fips", "urban_class_2013", "rucc_2013"]].rename(
        columns={"urban_class_2013": "urban_class"}
    )
    table, _ = join(
        frame, known, ["county_fips"], expect="one_to_one", name="county frame to classes", tolerance=0.0
    )
    inside = table["county_fips"].isin(NEW_YORK_COUNTIES)
    # The city takes the class of New York County (Manhattan), its centre.
    centre = table[table["county_fips"].eq("36061")].assign(
        county_fips=NEW_YORK_CITY, county_name="New York City"
    )
    table = pd.concat([table[~inside], centre])
    table["division"] = table["division"].astype(str)
    columns = ["county_fips", "state", "county_name", "division", "urban_class", "rucc_2013"]
    return table[columns].sort_values("county_fips").reset_index(drop=True)


def count_crime(
    agencies: pd.DataFrame,
    population: pd.DataFrame,
    counties: pd.DataFrame,
    directory: AgencyDirectory,
    county_hand: pd.DataFrame,
) -> Counted:
    """Return crime, people policed and coverage on the panel's areas.

    Args:
        agencies: the tidy table ``agencies``.
        population: county_fips, year, population on the panel's areas.
        counties: state, county_fips, county_name of the 2019 frame.
        directory: where a city is looked up.
        county_hand: county names no rule places.

    Raises:
        TableError: an agency is printed twice in a year.
    """
    agencies = ag.with_derived_counts(agencies)
    city_rows = agencies[agencies["table"].eq("8")]
    names = city_rows.groupby(["state", "agency_name"], as_index=False)["population"].max()
    placement = place_cities(names, directory)
    one = placement.shares.drop_duplicates(["state", "agency_name"])
    printed = city_rows.merge(
        one[["state", "agency_name", "agency_id"]], on=["state", "agency_name"], how="inner"
    )
    plain = printed["agency_id"]
    printed = printed.assign(agency_id=separate_namesakes(printed))
    _refuse_twins(printed)

    identities = pd.DataFrame(
        {
            "agency_id": printed["agency_id"],
            "plain": plain,
            "state": printed["state"],
            "agency_name": printed["agency_name"],
        }
    )
    identities = identities.drop_duplicates(["agency_id", "plain"])
    shares = placement.shares.merge(
        identities[["state", "agency_name", "agency_id"]].rename(columns={"agency_id": "identity"}),
        on=["state", "agency_name"],
    )
    shares = (
        shares.drop(columns="agency_id")
        .rename(columns={"identity": "agency_id"})
        .drop_duplicates(["agency_id", "county_fips"])
    )
    others = other_departments(directory, shares[["agency_id", "state", "place_fips"]])

    resident = population.pivot(index="county_fips", columns="year", values="population")
    main = shares.drop_duplicates("agency_id").set_index("agency_id")["main_county"]
    expected = ag.expected_population(
        printed[["agency_id", "year", "population"]].dropna(), main, resident, YEARS
    )
    unprinted = _carry(others, resident)
    all_shares = pd.concat([shares, others], ignore_index=True)[
        ["agency_id", "county_fips", "main_county", "share", "spans_counties"]
    ]
    cities = ag.CityAgencies(printed, all_shares, pd.concat([expected, unprinted], ignore_index=True))

    county_rows, lost = place_county_agencies(agencies[agencies["table"].eq("10")], counties, county_hand)
    _refuse_twins(county_rows)
    places = ag.remainder(cities.expected, cities.shares, population[population["year"].isin(YEARS)])
    parts = ag.usual_share(county_rows)

    who = ag.reporting(cities, county_rows, places)
    table = ag.county_years(cities, county_rows, places, parts).merge(who, on=["county_fips", "year"])
    steady = ag.CityAgencies(ag.constant_agencies(printed, CONSTANT_WINDOW), cities.shares, cities.expected)
    steady_rows = ag.constant_agencies(county_rows, CONSTANT_WINDOW)
    steady_who = ag.reporting(steady, steady_rows, places)
    constant = ag.county_years(steady, steady_rows, places, parts).merge(
        steady_who, on=["county_fips", "year"]
    )

    placed_people = printed.groupby("year")["population"].sum()
    all_people = city_rows.groupby("year")["population"].sum()
    reports = {
        "unplaced_cities": placement.unplaced,
        "unplaced_county_agencies": lost,
        "placement_rules": one.merge(names, on=["state", "agency_name"])
        .groupby("how", as_index=False)
        .agg(cities=("agency_id", "size"), population=("population", "sum")),
        "placed_share": (placed_people / all_people).rename("share_of_city_population_placed").reset_index(),
        "departments_never_printed": others.drop_duplicates("agency_id")
        .groupby("state", as_index=False)
        .agg(departments=("agency_id", "size"), population_2010=("population_2010", "sum")),
    }
    return Counted(
        table, constant, printed, Placement(shares, placement.unplaced, placement.hand_unused), reports
    )


def _carry(others: pd.DataFrame, resident: pd.DataFrame) -> pd.DataFrame:
    """Return yearly populations of places known from one census: they grow as their main county does."""
    one = others.drop_duplicates("agency_id").set_index("agency_id")
    county = resident.reindex(index=one["main_county"].to_numpy(), columns=list(YEARS)).to_numpy(dtype=float)
    base = resident.reindex(index=one["main_county"].to_numpy(), columns=[2010]).to_numpy(dtype=float)
    grown = pd.DataFrame(
        one["population_2010"].to_numpy()[:, None] * county / base,
        index=one.index,
        columns=pd.Index(YEARS, name="year"),
    )
    return grown.stack().rename("population").reset_index()


def _refuse_twins(rows: pd.DataFrame) -> None:
    twins = rows[rows.duplicated(["agency_id", "year"], keep=False)]
    if len(twins):
        sample = twins[["year", "state", "agency_name", "agency_id"]].head(4).to_dict("records")
        raise TableError(
            f"{len(twins)} agency rows share an identity and a year, e.g. {sample}",
            "one row an agency and year",
            "data/geography/city_hand_list.csv",
        )


def assemble(
    where: pd.DataFrame,
    population: pd.DataFrame,
    crime: pd.DataFrame,
    yearly: Mapping[str, pd.DataFrame],
    fixed: pd.DataFrame,
    policies: Mapping[str, pd.DataFrame],
) -> tuple[pd.DataFrame, list[JoinReport]]:
    """Join everything onto the frame of areas and years.

    Args:
        where: result of `areas`.
        population: county_fips, year, population on the panel's areas.
        crime: result of `count_crime`.
        yearly: tables keyed by county_fips and year.
        fixed: one row an area.
        policies: time-varying policies and recorded declines, keyed by county_fips and year.

    Returns:
        The panel under its contract, and a report a join.
    """
    frame = where.merge(pd.DataFrame({"year": YEARS}), how="cross")
    key = ["county_fips", "year"]
    people = population[population["year"].isin(YEARS)]
    table, report = join(frame, people, key, expect="one_to_one", name="frame to population", tolerance=0.0)
    reports = [report]
    # Tolerances are what the sources lack: LAUS seven parishes in two years, SAIPE Kalawao, SNAP small areas.
    in_window = {name: right[right["year"].isin(YEARS)] for name, right in yearly.items()}
    for name, right, tolerance in (
        ("crime", crime, 0.0),
        *((name, right, 0.02) for name, right in in_window.items()),
        *((name, right, 0.0) for name, right in policies.items()),
    ):
        table, report = join(
            table, right, key, expect="one_to_one", name=f"panel to {name}", tolerance=tolerance
        )
        reports.append(report)
    table, report = join(
        table, fixed, ["county_fips"], expect="many_to_one", name="panel to fixed covariates", tolerance=0.0
    )
    reports.append(report)
    checked = validate(table.sort_values(key).reset_index(drop=True), "panel")
    ag.refuse_mismatched_rates(checked)
    return checked, reports


# --- tables on disk ---------------------------------------------------------------------------------------------


def make_tidy(raw: RawFiles, paths: Paths, progress: Progress | None = None) -> dict[str, pd.DataFrame]:
    """Read every source the panel needs into tidy tables and write them below ``data/tidy``.

    Args:
        raw: the folder of raw files, hashes checked.
        paths: where tables go, and where the study's own compilations lie.
        progress: called with the name of each step.

    Returns:
        Tidy tables by name, each under its contract, and the sources' own reports under ``report_<name>``.
    """
    from joblib.externals.loky import get_reusable_executor

    if progress:
        progress("raw files to tidy tables")
    # Two halves of about equal work, side by side; the larger tables never leave this process.
    worker = get_reusable_executor(max_workers=1)
    try:
        waiting = worker.submit(_other_tables, raw, paths)
        return {**_crime_tables(raw, paths), **waiting.result()}
    finally:
        # An idle worker would hold its memory through the rest of the build.
        worker.shutdown(wait=True, kill_workers=True)


def _crime_tables(raw: RawFiles, paths: Paths) -> dict[str, pd.DataFrame]:
    """Read and write what the FBI publishes, and the boundaries of places its cities are looked up in."""
    from analysis.panel.sources import fbi_areas, fbi_tables, fbi_totals, geography

    printed = fbi_tables.read_agency_tables(raw)
    tidy = {
        "agencies": printed.agencies,
        "report_unread_rows": printed.unread,
        "state_totals": fbi_totals.read_state_totals(raw),
        "national_estimates": fbi_totals.read_national_estimates(raw),
        "city_series": fbi_totals.read_city_series(raw),
        "other_agencies": fbi_areas.read_other_agencies(raw),
        "agency_crosswalk": geography.read_agency_crosswalk(raw),
    }
    return _written(tidy, paths)


def _other_tables(raw: RawFiles, paths: Paths) -> dict[str, pd.DataFrame]:
    """Read and write everything else: people, places, votes, policies and detainers."""
    from analysis.panel.sources import acs, bls, census, classes, detainers, geography, policy, votes
    from analysis.panel.sources.jurisdictions import make_gazetteer

    tidy = {
        "population": census.read_population(raw),
        "county_frame": census.read_county_frame(raw),
        "saipe": census.read_saipe(raw),
        "snap": census.read_snap(raw),
        "shares": census.read_shares(raw),
        "acs": acs.read_acs(raw),
        "labour": bls.read_labour(raw),
        "urban_classes": classes.read_urban_classes(raw),
        "votes": votes.read_votes(raw),
        "place_county": geography.read_place_county(raw),
        "county_subdivisions": geography.read_county_subdivisions(raw),
        "adjacency": geography.read_adjacency(raw),
    }
    where = make_gazetteer(tidy["county_frame"], geography_names(tidy))
    tidy["declines"], tidy["report_facilities"] = detainers.read_declines(raw, where, paths.compiled_policy)
    tidy["secure_communities"] = policy.read_secure_communities(raw)
    tidy["agreements_287g"] = policy.read_287g(raw, where)
    tidy["policy_events"] = policy.make_policy_events(
        policy.read_detainer_policies(paths.compiled_policy),
        policy.read_ddor_2017(paths.compiled_policy),
        policy.read_federal_lists(raw, where, paths.compiled_policy),
        policy.read_state_laws(paths.compiled_policy),
    )
    return _written(tidy, paths)


def _written(tidy: dict[str, pd.DataFrame], paths: Paths) -> dict[str, pd.DataFrame]:
    for name, table in tidy.items():
        # Reports of the sources are written with those of the panel.
        if not name.startswith("report_"):
            write_table(table, paths.tidy / name)
    return tidy


def geography_names(tidy: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return names of places, then of county subdivisions, with the county each lies in, for looking up facilities."""
    postal = _postal(tidy["county_frame"])
    places = tidy["place_county"].assign(state=lambda t: t["state_fips"].map(postal))
    subdivisions = tidy["county_subdivisions"].assign(state=lambda t: t["state_fips"].map(postal))
    places = places[~places["remainder"]]
    people = places.groupby(["state", "place_fips"])["population_2010"].transform("sum")
    named = places.rename(columns={"share_of_place": "share"}).assign(population=people, rank=0)
    towns = subdivisions.rename(columns={"subdivision_name": "place_name"}).assign(
        share=1.0, population=0.0, rank=1
    )
    columns = ["state", "place_name", "county_fips", "share", "population", "rank"]
    return pd.concat([named[columns], towns[columns]], ignore_index=True)


def directory_of(tidy: Mapping[str, pd.DataFrame], paths: Paths) -> AgencyDirectory:
    """Return the reference tables a city agency is looked up in."""
    postal = _postal(tidy["county_frame"])
    places = tidy["place_county"].assign(state=lambda t: t["state_fips"].map(postal))
    places = places[~places["remainder"] & places["state"].notna()]
    subdivisions = tidy["county_subdivisions"].assign(state=lambda t: t["state_fips"].map(postal))
    subdivisions = subdivisions[subdivisions["state"].notna()].rename(columns={"subdivision_name": "name"})
    agencies = tidy["agency_crosswalk"].dropna(subset=["state", "county_fips", "agency_name"])
    hand = pd.read_csv(paths.compiled_geography / "city_hand_list.csv", dtype=str)
    return AgencyDirectory(places, agencies, subdivisions, tidy["county_frame"], hand)


def _postal(county_frame: pd.DataFrame) -> dict[str, str]:
    """Return postal code by two-digit state code."""
    return dict(zip(county_frame["county_fips"].str[:2], county_frame["state"], strict=True))


def make_panel(paths: Paths | None = None, *, force: bool = False, progress: Progress | None = None) -> Panel:
    """Build the county-year and city-year panels from raw files, unless what they read has not changed.

    Args:
        paths: the tree; by default the real one.
        force: build even when nothing has changed.
        progress: called with the name of each step.

    Returns:
        The panel, also written below ``data/panel`` with its reports.

    Raises:
        SourceError: a raw file is missing, damaged or not what its name says.
        TableError: a table breaks its contract.

    Example:
        >>> make_panel().table["year"].max()  # doctest: +SKIP
        2019
    """
    from analysis.panel.sources.geography import read_boundaries

    paths = paths or Paths()
    raw = RawFiles(paths.raw)
    inputs = _inputs(raw, paths)
    if not force and _is_current(paths, inputs):
        return load_panel(paths)
    tidy = make_tidy(raw, paths, progress)
    if progress:
        progress("county-year panel")
    where = areas(tidy["county_frame"], tidy["urban_classes"])
    population = one_new_york(tidy["population"], ["county_fips", "year"], None)
    directory = directory_of(tidy, paths)
    county_hand = pd.read_csv(paths.compiled_geography / "county_hand_list.csv", dtype=str)
    crime = count_crime(tidy["agencies"], population, tidy["county_frame"], directory, county_hand)
    yearly = yearly_covariates(tidy["population"], tidy["saipe"], tidy["labour"], tidy["snap"], tidy["acs"])
    fixed = fixed_covariates(
        tidy["shares"], tidy["population"], tidy["saipe"], tidy["labour"], tidy["votes"], tidy["acs"]
    )
    policies = _policy_columns(where, population, tidy)
    table, joins = assemble(where, population, crime.table, yearly, fixed, policies)
    constant, _ = assemble(where, population, crime.constant, yearly, fixed, policies)
    if progress:
        progress("city-year panel")
    cities, series_report = city_panel(crime.cities, crime.placement.shares, tidy["city_series"], directory)
    cities = validate(cities, "cities")
    where_they_lie, lost_neighbours = make_geography(
        read_boundaries(raw), tidy["adjacency"], where["county_fips"]
    )
    reports = {
        **crime.reports,
        "joins": pd.DataFrame([report.row() for report in joins]),
        "unmatched": _unmatched(joins),
        "city_series": series_report,
        "national_totals": national_totals(table, tidy),
        "neighbours": lost_neighbours,
        "coverage_by_year": coverage_by(table, ["year"]),
        "coverage_by_state": coverage_by(table, ["state", "year"]),
        "nobodys_crime": nobodys_crime(tribes_once(tidy["other_agencies"]), table),
        **{name.removeprefix("report_"): frame for name, frame in tidy.items() if name.startswith("report_")},
    }
    if progress:
        progress("writing")
    parts = {
        "panel": table,
        "constant": constant,
        "policy_events": tidy["policy_events"],
        "declines": tidy["declines"],
        "places": where_they_lie.places,
        "neighbours": where_they_lie.neighbours,
    }
    return write_panel(parts, cities, reports, inputs, paths)


def write_panel(
    parts: Mapping[str, pd.DataFrame],
    cities: pd.DataFrame,
    reports: Mapping[str, pd.DataFrame],
    inputs: str,
    paths: Paths,
) -> Panel:
    """Write a panel's tables, its reports and the stamp that says what they were made from; return the panel.

    Args:
        parts: the tables of `PARTS`.
        cities: the city-year panel, which lies beside them.
        reports: name to table.
        inputs: digest of all the build read.
        paths: the tree.
    """
    files = {**parts, "cities": cities}
    for name, frame in files.items():
        write_table(frame, paths.panel / name)
    for name, frame in reports.items():
        write_table(frame, paths.panel / "reports" / name)
    stamp = {
        "inputs": inputs,
        "digest": digest_of([digest_of_table(parts[name]) for name in PARTS]),
        "simulated": paths.simulated,
        "files": {name: sha256_of(paths.panel / f"{name}.parquet") for name in files},
    }
    with replacing(paths.panel / "stamp.json") as temporary:
        temporary.write_text(canonical_json(stamp), encoding="utf-8")
    return _panel_of(parts, stamp, reports)


def _panel_of(
    parts: Mapping[str, pd.DataFrame], stamp: Mapping[str, Any], reports: Mapping[str, pd.DataFrame]
) -> Panel:
    return Panel(
        parts["panel"],
        parts["constant"],
        parts["policy_events"],
        parts["declines"],
        stamp["digest"],
        stamp["simulated"],
        reports,
        Geography(parts["places"], parts["neighbours"]),
    )


def load_panel(paths: Paths | None = None) -> Panel:
    """Read the panel that was built, checking that its files are the ones the build wrote.

    Args:
        paths: the tree; by default the real one, or the one ``CRIME_STUDY_TREE`` names.

    Raises:
        SourceError: nothing was built yet, or a file was changed since.

    Example:
        >>> load_panel().table["county_fips"].str.len().eq(5).all()  # doctest: +SKIP
        True
    """
    from analysis.base.paths import default_paths

    paths = paths or default_paths()
    stamp_file = paths.panel / "stamp.json"
    if not stamp_file.exists():
        raise SourceError(
            "no panel is built here", "a panel in its folder", "run: python -m analysis reproduce"
        )
    stamp = json.loads(stamp_file.read_text(encoding="utf-8"))
    absent = [name for name in PARTS if name not in stamp["files"]]
    if absent:
        raise SourceError(
            f"the built panel has no {' and no '.join(absent)}: an older build wrote it",
            ", ".join(PARTS),
            "run: python -m analysis reproduce",
        )
    tables: dict[str, pd.DataFrame] = {}
    for name, wanted in stamp["files"].items():
        file = paths.panel / f"{name}.parquet"
        if not file.exists() or sha256_of(file) != wanted:
            raise SourceError(
                f"{file.name} of the built panel is {'missing' if not file.exists() else 'not the file the build wrote'}",
                f"SHA-256 {wanted[:12]}…",
                "run: python -m analysis reproduce --force",
            )
        if name != "cities":
            tables[name] = pd.read_parquet(file)
    folder = paths.panel / "reports"
    reports = {file.stem: pd.read_parquet(file) for file in sorted(folder.glob("*.parquet"))}
    return _panel_of(tables, stamp, reports)


def load_cities(paths: Paths | None = None) -> pd.DataFrame:
    """Read the city-year panel that was built.

    Raises:
        SourceError: nothing was built yet.
    """
    from analysis.base.paths import default_paths

    file = (paths or default_paths()).panel / "cities.parquet"
    if not file.exists():
        raise SourceError(
            "no city panel is built here", "a panel in its folder", "run: python -m analysis reproduce"
        )
    return pd.read_parquet(file)


def _inputs(raw: RawFiles, paths: Paths) -> str:
    """Digest of all a build reads: raw files by the manifest, our own compilations, this room's code, the codebook."""
    compiled = {
        path.relative_to(paths.root).as_posix(): sha256_of(path)
        for folder in (paths.compiled_policy, paths.compiled_geography)
        for path in sorted(folder.glob("*.csv"))
    }
    package = paths.root / "analysis"
    # The simulated twin lives in the same room and builds nothing here.
    code = {
        path.relative_to(package).as_posix(): sha256_of(path)
        for room in (package / "panel", package / "base")
        for path in sorted(room.rglob("*.py"))
        if not path.name.startswith("twin")
    }
    return digest_of([raw.digest(), compiled, sha256_of(paths.codebook), code])


def _is_current(paths: Paths, inputs: str) -> bool:
    file = paths.panel / "stamp.json"
    if not file.exists():
        return False
    try:
        stamp = json.loads(file.read_text(encoding="utf-8"))
        return stamp["inputs"] == inputs and all(
            (paths.panel / f"{name}.parquet").exists() for name in stamp["files"]
        )
    except (ValueError, KeyError, TypeError):
        return False


def _policy_columns(
    where: pd.DataFrame, population: pd.DataFrame, tidy: Mapping[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    from analysis.panel.sources import detainers, policy

    asked = where[["county_fips"]].merge(pd.DataFrame({"year": YEARS}), how="cross")
    active = policy.secure_communities_share(tidy["secure_communities"], YEARS)
    weight = tidy["population"].query("year == 2010").set_index("county_fips")["population"]
    active = one_new_york(active, ["county_fips", "year"], weight)
    active = asked.merge(active, on=["county_fips", "year"], how="left", validate="one_to_one")
    agreements = policy.agreements_active(tidy["agreements_287g"], asked)
    declines = detainers.declines_panel(tidy["declines"], asked)
    people = asked.merge(population, on=["county_fips", "year"], how="left", validate="one_to_one")[
        "population"
    ]
    declines = declines.assign(declined_per_10k=(declines["declined_detainers"] / people * 10_000).to_numpy())
    return {"Secure Communities": active, "287(g) agreements": agreements, "declined detainers": declines}


def _unmatched(joins: list[JoinReport]) -> pd.DataFrame:
    parts = [
        frame.astype(str).assign(join=report.name, side=side)
        for report in joins
        for side, frame in (("left", report.unmatched_left), ("right", report.unused_right))
        if len(frame)
    ]
    columns = ["join", "side", "county_fips", "year"]
    return (
        pd.concat(parts, ignore_index=True).reindex(columns=columns)
        if parts
        else pd.DataFrame(columns=columns, dtype="str")
    )


def national_totals(table: pd.DataFrame, tidy: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return, by year, crime of Tables 8 and 10, of the panel, and of the FBI's own national totals.

    The FBI's totals are Table 5 from 2008 (estimated, with crime of state, university and tribal police) and the file
    of estimates before; both also estimate what was not reported, so shares below one are expected.
    """
    from analysis.panel.sources.fbi_totals import national_shares

    shares = national_shares(tidy["agencies"], tidy["state_totals"], tidy["national_estimates"])
    placed = (
        table.groupby("year", as_index=False)[["violent", "property"]]
        .sum()
        .rename(columns={"violent": "violent_in_panel", "property": "property_in_panel"})
    )
    return shares.merge(placed, on="year", how="left", validate="one_to_one")


def coverage_by(table: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Return coverage by group: the share of residents whose agency reports, and of areas at 0.9 and more."""
    measures = ["violent_ex_rape", "violent", "property", "rape_legacy", "rape_revised", "arson"]
    rows = table.assign(**{f"people_{m}": table[f"coverage_{m}"] * table["population"] for m in measures})
    rows["full"] = table["coverage_violent_ex_rape"] >= 0.9
    grouped = rows.groupby(key)
    out = pd.DataFrame(
        {f"coverage_{m}": grouped[f"people_{m}"].sum() / grouped["population"].sum() for m in measures}
    )
    out["areas"] = grouped["county_fips"].nunique()
    out["areas_at_90"] = grouped["full"].sum()
    out["agencies_expected"] = grouped["agencies_expected"].sum()
    out["agencies_reporting"] = grouped["agencies_reporting"].sum()
    return out.reset_index()


def tribes_once(other: pd.DataFrame) -> pd.DataFrame:
    """Return Table 11 with each tribe's offences in it once.

    In 2013 the Bureau of Indian Affairs prints one row that, by its footnote, includes the tribal figures printed
    under their states: what the tribes hold is taken off that row.

    Args:
        other: the tidy table ``other_agencies``.

    Example:
        >>> rows = pd.DataFrame({"year": 2013, "kind": ["tribal", "federal"], "violent": [3.0, 10.0],
        ...     "unit": [None, "Bureau of Indian Affairs"], "property": [4.0, 9.0]})
        >>> tribes_once(rows)[["violent", "property"]].to_numpy().tolist()
        [[3.0, 4.0], [7.0, 5.0]]
    """
    counts = ["violent", "property"]
    bureau = other["kind"].eq("federal") & other["unit"].eq("Bureau of Indian Affairs")
    tribes = other[other["kind"].eq("tribal")].groupby("year")[counts].sum()
    inside = tribes.reindex(other.loc[bureau, "year"], fill_value=0.0).to_numpy()
    out = other.copy()
    out.loc[bureau, counts] -= inside
    return out


def nobodys_crime(other: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Return crime of Table 11 (state police, tribes, universities, others) by state and year beside the panel's.

    Nobody's crime: these agencies serve people whom Tables 8 and 10 count under a city or a county, or nobody at
    all, so no county can be given their offences. Known for 2013-2015. Federal agencies stand under "US"; Puerto Rico
    is outside the study.
    """
    counts = ["violent", "property"]
    theirs = other[other["state"].ne("PR")].groupby(["state", "year"])[counts].sum().add_suffix("_table11")
    ours = table.groupby(["state", "year"])[counts].sum().add_suffix("_panel")
    out = theirs.join(ours, how="left").reset_index()
    return out.assign(
        **{f"share_{m}": out[f"{m}_table11"] / (out[f"{m}_table11"] + out[f"{m}_panel"]) for m in counts}
    )


def write_table(table: pd.DataFrame, stem: object) -> None:
    """Write a parquet file, and a csv twin where that stays small."""
    from pathlib import Path

    base = Path(str(stem))
    target = base.with_name(base.name + ".parquet")
    with replacing(target) as temporary:
        table.to_parquet(temporary, index=False)
    twin = base.with_name(base.name + ".csv")
    if table.memory_usage(index=False).sum() < CSV_TWIN_BELOW:
        with replacing(twin) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")
    else:
        twin.unlink(missing_ok=True)
