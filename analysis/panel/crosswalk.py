"""City agencies to counties.

A city's name is looked up where an answer is unique, in this order, and never in a list of counties (a city is
often not in the county of its name):

1. our hand list (``data/geography/city_hand_list.csv``), for what no rule can know;
2. the county the FBI prints behind the name (``Washington Township, Bergen County``);
3. in the six New England states, cities and towns (county subdivisions; they collide with smaller places);
4. the national crosswalk of law-enforcement agencies, by agency name;
5. places of the Census (2010 population decides between places of one name);
6. county subdivisions, where the name says township or town, or nothing else was found.

A place's residents are split over counties by the Census shares of 2010; a subdivision lies in one county.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pandas as pd

from analysis.base.errors import TableError
from analysis.panel.sources.jurisdictions import NEW_YORK_CITY, NEW_YORK_COUNTIES

NEW_ENGLAND = ("CT", "MA", "ME", "NH", "RI", "VT")
SPANS_BELOW = 0.95
"""A city with under this share of its people in one county spans counties."""

SMALLEST_SHARE = 0.001
"""Slivers of a city below this share are added to its main county: they are mapping noise."""

POPULATION_FACTOR = 2.0
"""Between places of one name, the one whose 2010 population is nearest, if within this factor of the printed one."""

LARGEST_UNPRINTED = 10_000
"""A larger place that is never printed in fifteen years is taken to be policed by its county, whatever the national
list says: looked at one by one, these are places under contract with the sheriff or within a county force."""

_KIND = re.compile(
    r"\s+(?:city and borough|charter township|town and village|city|towns?|villages?|borough|boro|township|twp|municipality|"
    r"cdp|metro township|plantation|gore|unorganized territory|consolidated government.*|metropolitan government.*|"
    r"metro government.*|unified government.*|urban county|\(balance\))$"
)
_OFFICE = re.compile(
    r"\s+(?:metropolitan police dep(?:artmen)?t|metro police dep(?:artmen)?t|police dep(?:artmen)?t|police dept?|police|"
    r"department of police|dep(?:artmen)?t of public safety|public safety(?: dep(?:artmen)?t)?|division of police|"
    r"police bureau|police division|bureau of police|marshal'?s? office|police force|pd)\b.*$"
)
_WORDS = {
    "st": "saint",
    "ste": "sainte",
    "mt": "mount",
    "ft": "fort",
    "pt": "point",
    "hts": "heights",
    "twp": "township",
    "spgs": "springs",
}


def normalise(names: pd.Series) -> pd.Series:
    """Return names in lower case, without punctuation, with common abbreviations spelt out.

    Example:
        >>> normalise(pd.Series(["St. Paul", "Winston-Salem", "O'Fallon"])).tolist()
        ['saint paul', 'winston salem', 'ofallon']
    """
    plain = (
        names.str.lower()
        .str.replace(r"['’`.]", "", regex=True)
        .str.replace(r"[^a-z0-9 ,/&()]", " ", regex=True)
        .str.replace("&", " and ")
        .str.replace(r"\s+", " ", regex=True)
        .str.strip()
    )
    pattern = r"\b(" + "|".join(_WORDS) + r")\b"
    return plain.str.replace(pattern, lambda m: _WORDS[m.group(1)], regex=True)


def _bare(names: pd.Series) -> pd.Series:
    """Return normalised names without the word for what kind of place it is."""
    return names.str.replace(_KIND, "", regex=True).str.strip()


def _unique(table: pd.DataFrame, value: str) -> pd.Series:
    """Return ``value`` by (state, key) where a key stands for one value only."""
    counts = table.groupby(["state", "key"])[value].nunique()
    first = table.groupby(["state", "key"])[value].first()
    return first[counts.eq(1)]


def _lookup(cities: pd.DataFrame, answers: pd.Series, key: str = "key") -> np.ndarray:
    index = pd.MultiIndex.from_arrays([cities["state"], cities[key]])
    return answers.reindex(index).to_numpy(dtype=object)


@dataclass(frozen=True, slots=True)
class AgencyDirectory:
    """The reference tables a city is looked up in.

    Args:
        places: state, place_fips, place_name, county_fips, share_of_place, population_2010.
        agencies: state, agency_name, agency_type, county_fips, place_fips.
        subdivisions: state, name, county_fips.
        counties: state, county_fips, county_name.
        hand: state, agency_name, county_fips, place_fips, same_agency_as, reason.
    """

    places: pd.DataFrame
    agencies: pd.DataFrame
    subdivisions: pd.DataFrame
    counties: pd.DataFrame
    hand: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Placement:
    """Where cities lie.

    Args:
        shares: state, agency_name, agency_id, county_fips, share, how, spans_counties: rows of a city sum to 1.
        unplaced: state, agency_name, population: cities no rule placed.
        hand_unused: rows of the hand list that matched no city.
    """

    shares: pd.DataFrame
    unplaced: pd.DataFrame
    hand_unused: pd.DataFrame


def county_key(names: pd.Series) -> pd.Series:
    """Return county names in one spelling, without the word for county.

    Example:
        >>> county_key(pd.Series(["DeKalb County", "St. Louis city", "Doña Ana County"])).tolist()
        ['dekalb', 'saint louis city', 'dona ana']
    """
    plain = names.str.normalize("NFKD").str.encode("ascii", "ignore").str.decode("ascii")
    key = normalise(plain)
    return key.str.replace(
        r"\s+(?:county|parish|borough|census area|municipality|city and borough)$", "", regex=True
    )


def _named_county(cities: pd.DataFrame, counties: pd.DataFrame) -> np.ndarray:
    """Read the county printed behind a name; a misspelt one is taken when one county of the state is close."""
    by_state = {
        state: dict(zip(county_key(group["county_name"]), group["county_fips"], strict=True))
        for state, group in counties.groupby("state")
    }
    found = np.full(len(cities), None, dtype=object)
    printed = cities["agency_name"].str.extract(r",\s*([A-Za-z .'-]+?)\s+County$")[0]
    keys = county_key(printed.dropna())
    for position, name in zip(np.flatnonzero(printed.notna().to_numpy()), keys, strict=True):
        known = by_state.get(cities["state"].iloc[position], {})
        close = [name] if name in known else get_close_matches(name, known, n=2, cutoff=0.85)
        if len(close) == 1 or (len(close) == 2 and close[0] == name):
            found[position] = known[close[0]]
    return found


def _place_by_name(cities: pd.DataFrame, places: pd.DataFrame, asked: str) -> np.ndarray:
    """Return place codes by name; among several of one name, the one nearest in population within a factor."""
    whole = places.drop_duplicates(["state", "place_fips"])
    totals = places.groupby(["state", "place_fips"])["population_2010"].sum().rename("place_population")
    whole = whole.join(totals, on=["state", "place_fips"])
    pairs = (
        cities[["state", asked, "population"]]
        .rename(columns={asked: "key"})
        .reset_index(names="row")
        .merge(whole[["state", "key", "place_fips", "place_population"]], on=["state", "key"])
    )
    ratio = np.log(np.maximum(pairs["population"], 1) / np.maximum(pairs["place_population"], 1)).abs()
    pairs = pairs.assign(distance=ratio, several=pairs.groupby("row")["place_fips"].transform("nunique") > 1)
    pairs = pairs[~pairs["several"] | (pairs["distance"] <= np.log(POPULATION_FACTOR))]
    best = (
        pairs.sort_values(["row", "distance", "place_fips"])
        .drop_duplicates("row")
        .set_index("row")["place_fips"]
    )
    return best.reindex(range(len(cities))).to_numpy(dtype=object)


def _place_confirmed(agencies: pd.DataFrame, places: pd.DataFrame) -> np.ndarray:
    """Say whether an agency's place code is that of a place of its name: some codes of the crosswalk are wrong."""
    named = places.drop_duplicates(["state", "place_fips"]).set_index(["state", "place_fips"])["key"]
    name = named.reindex(pd.MultiIndex.from_frame(agencies[["state", "place_fips"]])).fillna("").to_numpy()
    first = pd.Series(name).str.split("-").str[0].to_numpy()
    own, bare = agencies["full"].to_numpy(), _bare(agencies["full"]).to_numpy()
    town = agencies["full"].str.contains(r"\b(?:township|town)$").to_numpy()
    return ((name == own) | (name == bare) | (first == bare)) & (name != "") & ~town


def place_cities(cities: pd.DataFrame, directory: AgencyDirectory) -> Placement:
    """Place city agencies in counties.

    Args:
        cities: state, agency_name, population (largest printed): one row a name and state.
        directory: reference tables.

    Returns:
        Shares by county, summing to 1 a city, and what could not be placed.

    Raises:
        TableError: the hand list names a county that does not exist, or repeats a city.

    Source:
        Shares: Missouri Census Data Center, Geocorr 2018 (2010 population).
    """
    cities = cities.reset_index(drop=True)
    cities = cities.assign(key=normalise(cities["agency_name"].str.replace(r",.*$", "", regex=True)))
    cities["bare"] = _bare(cities["key"])
    _check_hand(directory)

    how = np.full(len(cities), "", dtype=object)
    county = np.full(len(cities), None, dtype=object)
    place = np.full(len(cities), None, dtype=object)

    def settle(
        rule: str, counties: np.ndarray | None, places: np.ndarray | None, where: np.ndarray | None = None
    ) -> None:
        """Take a rule's answers for the cities that have none yet."""
        answer = counties if counties is not None else places
        assert answer is not None
        new = (how == "") & pd.notna(answer)
        if where is not None:
            new &= where
        how[new] = rule
        if counties is not None:
            county[new] = counties[new]
        if places is not None:
            place[new] = places[new]

    hand = directory.hand.assign(key=directory.hand["agency_name"])
    index = hand.set_index(["state", "key"])
    settle(
        "hand list",
        _lookup(cities, index["county_fips"], "agency_name"),
        _lookup(cities, index["place_fips"], "agency_name"),
    )
    settle("county in the name", _named_county(cities, directory.counties), None)

    # The FBI prints Michigan's charter townships as townships.
    plain = normalise(directory.subdivisions["name"]).str.replace("charter township", "township")
    subdivisions = directory.subdivisions.assign(full=plain)
    subdivisions["key"] = _bare(subdivisions["full"])
    england = cities["state"].isin(NEW_ENGLAND).to_numpy()
    settle("New England town", _lookup(cities, _unique(subdivisions, "county_fips"), "bare"), None, england)

    local = directory.agencies[
        directory.agencies["agency_type"].isin(["local police department", "constable/marshal"])
    ]
    local = local.assign(
        full=normalise(local["agency_name"]).str.replace(_OFFICE, "", regex=True).str.strip()
    )
    places = directory.places.assign(key=_bare(normalise(directory.places["place_name"])))
    local = local.assign(place_fips=local["place_fips"].where(_place_confirmed(local, places)))
    township = cities["key"].str.contains(r"\b(?:township|town)\b").to_numpy()
    for rule, column, key in (
        ("agency crosswalk", "full", "key"),
        ("agency crosswalk, bare name", "bare", "bare"),
    ):
        table = local.assign(key=local["full"] if column == "full" else _bare(local["full"]))
        if column == "bare":
            # A township is not the village of its name.
            kind = local["full"].str.contains(r"\b(?:township|town)\b")
            table = table.assign(key=np.where(kind, table["key"] + " township", table["key"]))
            cities["kind"] = np.where(township, cities["bare"] + " township", cities["bare"])
        asked = key if column == "full" else "kind"
        settle(
            rule,
            _lookup(cities, _unique(table, "county_fips"), asked),
            _lookup(cities, _unique(table.dropna(subset=["place_fips"]), "place_fips"), asked),
        )

    # A name that ends in City keeps it first: Forest City is not Forest.
    for asked in ("key", "bare"):
        settle("Census place", None, _place_by_name(cities, places, asked), ~township)
    settle(
        "county subdivision",
        _lookup(cities, _unique(subdivisions.assign(key=subdivisions["full"]), "county_fips"), "key"),
        None,
    )
    settle(
        "county subdivision, bare name", _lookup(cities, _unique(subdivisions, "county_fips"), "bare"), None
    )
    # Last, the same name written in one word or two: De Kalb and DeKalb.
    cities["compact"] = cities["key"].str.replace(" ", "")
    compact = places.assign(key=places["key"].str.replace(" ", ""))
    settle("Census place, one word", None, _place_by_name(cities, compact, "compact"), ~township)

    cities = cities.assign(how=how, one_county=county, place_fips=place)
    same = _lookup(cities, index["same_agency_as"].dropna(), "agency_name")
    cities["alias"] = pd.Series(same, dtype="str").where(pd.notna(same), cities["agency_name"])
    shares = _split(cities[cities["how"] != ""], directory.places)
    unplaced = cities.loc[cities["how"] == "", ["state", "agency_name", "population"]].reset_index(drop=True)
    used = pd.MultiIndex.from_frame(cities[["state", "agency_name"]])
    hand_index = pd.MultiIndex.from_frame(directory.hand[["state", "agency_name"]])
    return Placement(shares, unplaced, directory.hand[~hand_index.isin(used)].reset_index(drop=True))


def _check_hand(directory: AgencyDirectory) -> None:
    repeated = directory.hand.duplicated(["state", "agency_name"])
    if repeated.any():
        raise TableError(
            f"the hand list repeats {directory.hand.loc[repeated, 'agency_name'].tolist()}",
            "one row a city",
            "data/geography/city_hand_list.csv",
        )
    named = directory.hand["county_fips"].dropna()
    unknown = sorted(set(named) - set(directory.counties["county_fips"]))
    if unknown:
        raise TableError(
            f"the hand list names counties {unknown}",
            "counties of the 2019 frame, five characters",
            "data/geography/city_hand_list.csv",
        )


def _split(cities: pd.DataFrame, places: pd.DataFrame) -> pd.DataFrame:
    """Split each city over counties: by Census shares where its place is known, else whole in its county."""
    columns = ["state", "agency_name", "population", "how", "one_county", "place_fips", "alias"]
    parts = cities[columns].merge(
        places.loc[
            places["share_of_place"] >= SMALLEST_SHARE,
            ["state", "place_fips", "county_fips", "share_of_place"],
        ],
        on=["state", "place_fips"],
        how="left",
    )
    whole = parts["county_fips"].isna()
    parts["county_fips"] = parts["county_fips"].where(~whole, parts["one_county"])
    parts["share"] = parts["share_of_place"].where(~whole, 1.0)
    parts = parts[parts["county_fips"].notna()]
    parts["county_fips"] = parts["county_fips"].where(
        ~parts["county_fips"].isin(NEW_YORK_COUNTIES), NEW_YORK_CITY
    )
    key = ["state", "agency_name"]
    parts = parts.groupby([*key, "county_fips", "how", "alias"], as_index=False, dropna=False).agg(
        share=("share", "sum"), place_fips=("place_fips", "first")
    )
    parts["share"] = parts["share"] / parts.groupby(key)["share"].transform("sum")
    largest = parts.groupby(key)["share"].transform("max")
    parts["spans_counties"] = largest < SPANS_BELOW
    main = (
        parts.sort_values([*key, "share", "county_fips"], ascending=[True, True, False, True])
        .drop_duplicates(key)
        .set_index(key)["county_fips"]
    )
    parts["main_county"] = main.reindex(pd.MultiIndex.from_frame(parts[key])).to_numpy()
    # Spellings of one agency share an identity: the bare name, without a printed county, in the main county.
    bare = _bare(normalise(parts["alias"].str.replace(r",.*$", "", regex=True)))
    parts["agency_id"] = parts["state"] + ":" + parts["main_county"] + ":" + bare.str.replace(" ", "-")
    return parts[
        [
            "state",
            "agency_name",
            "agency_id",
            "county_fips",
            "main_county",
            "share",
            "how",
            "spans_counties",
            "place_fips",
        ]
    ]


def separate_namesakes(agency_years: pd.DataFrame) -> pd.Series:
    """Return identities in which a city and the town of its name (Groton, Groton Town) are two agencies.

    Args:
        agency_years: agency_id, agency_name, year: one row a printed agency and year.

    Returns:
        agency_id, row for row; where one identity is printed under two names in one year, its names stand apart.

    Example:
        >>> rows = pd.DataFrame({"agency_id": ["CT:09011:groton"] * 2, "agency_name": ["Groton", "Groton Town"], "year": 2012})
        >>> separate_namesakes(rows).tolist()
        ['CT:09011:groton', 'CT:09011:groton=township']
    """
    # A name stands in as many rows as it has years: each is put into one spelling once.
    names = pd.Series(agency_years["agency_name"].unique())
    plain = normalise(names.str.replace(r",.*$", "", regex=True))
    key = agency_years["agency_name"].map(dict(zip(names, plain, strict=True)))
    kind = np.select(
        [key.str.contains(r"\b(?:township|town)$"), key.str.contains(r"\bvillage$")],
        ["=township", "=village"],
        "",
    )
    by_kind = _apart(agency_years, agency_years["agency_id"], agency_years["agency_id"] + kind)
    return _apart(agency_years, by_kind, agency_years["agency_id"] + "=" + key.str.replace(" ", "-"))


def _apart(agency_years: pd.DataFrame, identity: pd.Series, finer: pd.Series) -> pd.Series:
    """Take the finer identity wherever the coarse one stands for two agencies in some year."""
    rows = pd.DataFrame({"identity": identity, "year": agency_years["year"]})
    together = identity[rows.duplicated(keep=False)]
    return identity.where(~identity.isin(set(together)), finer)


def place_county_agencies(
    rows: pd.DataFrame, counties: pd.DataFrame, hand: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Place the county agencies of Table 10 in counties and give each an identity.

    A county's rows are one agency unless two stand under it in one year; then its police and its sheriff are told
    apart by name.

    Args:
        rows: state, county_name, agency_name, year and counts.
        counties: state, county_fips, county_name.
        hand: state, county_name, county_fips, reason: misprints and consolidated governments.

    Returns:
        The placed rows with county_fips and agency_id, and the rows no rule placed.
    """
    known = counties.assign(key=county_key(counties["county_name"]))
    exact = _unique(known, "county_fips")
    joined = _unique(known.assign(key=known["key"].str.replace(" ", "")), "county_fips")
    by_hand = hand.assign(key=county_key(hand["county_name"])).set_index(["state", "key"])["county_fips"]
    asked = rows.reset_index(drop=True)
    asked["key"] = county_key(asked["county_name"].astype("str"))
    asked["joined"] = asked["key"].str.replace(" ", "")
    found = pd.Series(_lookup(asked, by_hand), dtype="str")
    found = found.fillna(pd.Series(_lookup(asked, exact), dtype="str"))
    found = found.fillna(pd.Series(_lookup(asked, joined, "joined"), dtype="str"))
    asked["county_fips"] = found.where(~found.isin(NEW_YORK_COUNTIES), NEW_YORK_CITY)
    placed = asked[found.notna()].copy()
    several = placed.duplicated(["county_fips", "year"], keep=False)
    split = placed["county_fips"].isin(placed.loc[several, "county_fips"])
    police = placed["agency_name"].str.contains(r"police|public safety", case=False, regex=True)
    kind = np.where(split, np.where(police, ":police", ":sheriff"), "")
    placed["agency_id"] = placed["state"] + ":" + placed["county_fips"] + ":county" + kind
    lost = asked.loc[found.isna(), ["year", "state", "agency_name", "county_name"]].reset_index(drop=True)
    return placed.drop(columns=["key", "joined"]), lost


def other_departments(directory: AgencyDirectory, known: pd.DataFrame) -> pd.DataFrame:
    """Return the places with a local police department that the FBI never printed in the window.

    Args:
        directory: reference tables.
        known: agency_id, place_fips, state of the printed agencies.

    Returns:
        agency_id, state, place_fips, county_fips, main_county, share, spans_counties, population_2010: rows of a
        place sum to one in ``share``. Left out are departments whose place is not a Census place of their name (their
        population is not known) and places above `LARGEST_UNPRINTED` residents.
    """
    places = directory.places.assign(key=_bare(normalise(directory.places["place_name"])))
    local = directory.agencies[directory.agencies["agency_type"].eq("local police department")]
    local = local.assign(
        full=normalise(local["agency_name"]).str.replace(_OFFICE, "", regex=True).str.strip()
    )
    local = local[_place_confirmed(local, places)].drop_duplicates(["state", "place_fips"])
    cities = local.assign(
        population=0.0,
        how="agency crosswalk",
        one_county=local["county_fips"],
        alias=local["full"],
        agency_name=local["full"],
    )
    parts = _split(cities.drop(columns="county_fips"), directory.places)
    printed_places = pd.MultiIndex.from_frame(known.dropna(subset=["place_fips"])[["state", "place_fips"]])
    parts = parts[~pd.MultiIndex.from_frame(parts[["state", "place_fips"]]).isin(printed_places)]
    parts = parts[~parts["agency_id"].isin(set(known["agency_id"].str.split("=").str[0]))]
    totals = directory.places.groupby(["state", "place_fips"])["population_2010"].sum()
    parts = parts.assign(
        population_2010=totals.reindex(pd.MultiIndex.from_frame(parts[["state", "place_fips"]])).to_numpy()
    )
    small = parts["population_2010"].between(1, LARGEST_UNPRINTED)
    return parts[small].drop(columns=["agency_name", "how"]).drop_duplicates(["agency_id", "county_fips"])
