"""Names of states, counties and places as sources write them, and the county each belongs to.

The functions are pure: frames of counties and places come in, county codes go out. A name that cannot be
placed comes back as missing; nothing is guessed from spelling.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pandas as pd

from analysis.base.errors import TableError
from analysis.base.fips import NEW_YORK_CITY, NEW_YORK_COUNTIES, STATE_OF_FIPS

if TYPE_CHECKING:
    from analysis.panel.sources.raw import RawFiles

STATES: Mapping[str, str] = {
    "Alabama": "AL", "Alaska": "AK", "Arizona": "AZ", "Arkansas": "AR", "California": "CA", "Colorado": "CO",
    "Connecticut": "CT", "Delaware": "DE", "District of Columbia": "DC", "Florida": "FL", "Georgia": "GA",
    "Hawaii": "HI", "Idaho": "ID", "Illinois": "IL", "Indiana": "IN", "Iowa": "IA", "Kansas": "KS",
    "Kentucky": "KY", "Louisiana": "LA", "Maine": "ME", "Maryland": "MD", "Massachusetts": "MA",
    "Michigan": "MI", "Minnesota": "MN", "Mississippi": "MS", "Missouri": "MO", "Montana": "MT",
    "Nebraska": "NE", "Nevada": "NV", "New Hampshire": "NH", "New Jersey": "NJ", "New Mexico": "NM",
    "New York": "NY", "North Carolina": "NC", "North Dakota": "ND", "Ohio": "OH", "Oklahoma": "OK",
    "Oregon": "OR", "Pennsylvania": "PA", "Rhode Island": "RI", "South Carolina": "SC", "South Dakota": "SD",
    "Tennessee": "TN", "Texas": "TX", "Utah": "UT", "Vermont": "VT", "Virginia": "VA", "Washington": "WA",
    "West Virginia": "WV", "Wisconsin": "WI", "Wyoming": "WY", "Puerto Rico": "PR", "Guam": "GU",
}  # fmt: skip

# County codes that sources still carry, and the code of the 2019 frame that took their place.
RETIRED: Mapping[str, str] = {
    "02270": "02158", "12025": "12086", "46113": "46102", "51515": "51019", "51560": "51005",
    "51780": "51083",
}  # fmt: skip

# Cities whose government is the county's, so that a city policy binds the county jail. Virginia's independent
# cities are found by their codes (51510 and up).
CONSOLIDATED: Mapping[tuple[str, str], str] = {
    ("AK", "ANCHORAGE"): "02020", ("CA", "SAN FRANCISCO"): "06075", ("CO", "BROOMFIELD"): "08014",
    ("CO", "DENVER"): "08031", ("DC", "WASHINGTON"): "11001", ("FL", "JACKSONVILLE"): "12031",
    ("GA", "ATHENS"): "13059", ("HI", "HONOLULU"): "15003", ("KY", "LEXINGTON"): "21067",
    ("KY", "LOUISVILLE"): "21111", ("LA", "NEW ORLEANS"): "22071", ("MD", "BALTIMORE"): "24510",
    ("MO", "SAINT LOUIS"): "29510", ("NV", "CARSON"): "32510", ("NY", "NEW YORK"): NEW_YORK_CITY,
    ("PA", "PHILADELPHIA"): "42101", ("TN", "NASHVILLE"): "47037",
}  # fmt: skip

# The boroughs and the neighbourhoods that postal addresses name instead of the city.
NEW_YORK_NAMES = frozenset(
    {"NEW YORK", "MANHATTAN", "BRONX", "BROOKLYN", "QUEENS", "STATEN ISLAND", "ELMHURST", "KEW GARDENS"}
)

_COUNTY_SUFFIX = re.compile(
    r" (COUNTY|PARISH|CITY AND BOROUGH|BOROUGH|CENSUS AREA|MUNICIPALITY|MUNICIPIO|CITY)$"
)
_PLACE_SUFFIX = re.compile(
    r" (CITY AND BOROUGH|CITY|TOWN|VILLAGE|BOROUGH|CDP|TOWNSHIP|MUNICIPALITY|METRO TOWNSHIP|"
    r"UNIFIED GOVERNMENT|METROPOLITAN GOVERNMENT|METRO GOVERNMENT|URBAN COUNTY|CONSOLIDATED GOVERNMENT|"
    r"CORPORATION|PLANTATION|CHARTER TOWNSHIP|ZONA URBANA|COMUNIDAD)$"
)
_SHORT = {"ST": "SAINT", "STE": "SAINTE", "FT": "FORT", "MT": "MOUNT", "N": "NORTH", "S": "SOUTH"}


def name_key(text: str) -> str:
    """Return a name in capitals without accents and punctuation, with Saint, Fort, Mount, North and South in
    full.

    Args:
        text: a name as a source prints it.

    Example:
        >>> name_key("St. Mary's"), name_key("Doña Ana"), name_key("N LAS VEGAS")
        ('SAINT MARYS', 'DONA ANA', 'NORTH LAS VEGAS')
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Z0-9]+", " ", plain.upper().replace("'", "")).split()
    return " ".join(_SHORT.get(word, word) for word in words)


def county_key(text: str) -> str:
    """Return the key of a county's name without the word county, parish, borough or city.

    Example:
        >>> county_key("Prince George's County"), county_key("Baltimore city"), county_key("DeKalb County")
        ('PRINCE GEORGES', 'BALTIMORE', 'DEKALB')
    """
    return _joined(_COUNTY_SUFFIX.sub("", name_key(text)))


def place_key(text: str) -> str:
    """Return the key of a place's name without its legal kind and the state after a comma.

    Example:
        >>> [place_key(name) for name in ("Oneonta city, AL", "Ho-Ho-Kus borough", "Milford city (balance)")]
        ['ONEONTA', 'HO HO KUS', 'MILFORD']
    """
    bare = re.sub(r"\(.*?\)", " ", text.split(",")[0])
    return _PLACE_SUFFIX.sub("", name_key(bare))


def _joined(key: str) -> str:
    # DeKalb, De Kalb; LaSalle, La Salle; McLean: the space comes and goes between sources.
    return re.sub(r"^(DE|LA|DU|MC|LE|O) (?=[A-Z])", r"\1", key)


def state_code(text: str) -> str | None:
    """Return the postal code of a state named in full or by its code, or None.

    Example:
        >>> state_code("NEW YORK"), state_code("wy"), state_code("Ontario")
        ('NY', 'WY', None)
    """
    by_key = _state_by_key()
    key = " ".join(text.upper().split())
    return key if key in by_key.values() else by_key.get(key)


@cache
def _state_by_key() -> Mapping[str, str]:
    return {name_key(name): code for name, code in STATES.items()}


def one_new_york(fips: pd.Series) -> pd.Series:
    """Return county codes with New York City's five counties as the one area 36998.

    Example:
        >>> one_new_york(pd.Series(["36005", "36001", None])).tolist()
        ['36998', '36001', nan]
    """
    return fips.mask(fips.isin(NEW_YORK_COUNTIES), NEW_YORK_CITY)


@dataclass(frozen=True, slots=True)
class Gazetteer:
    """Where names lie.

    Args:
        counties: (state, county key) to county code; a county comes before an independent city of its name.
        county_cities: the same for independent cities and consolidated city-counties.
        places: (state, place key) to the county holding most of the place, with that share.
        shared_names: county keys that occur in more than one state.
    """

    counties: Mapping[tuple[str, str], str]
    county_cities: Mapping[tuple[str, str], str]
    places: Mapping[tuple[str, str], tuple[str, float]]
    shared_names: frozenset[str]

    def county(self, state: str, name: str) -> str | None:
        """Return the code of the county of that name, or None."""
        return self.counties.get((state, county_key(name)))

    def county_city(self, state: str, name: str) -> str | None:
        """Return the code of the county-level unit a city is, or None where it lies within a county."""
        key = place_key(name)
        return CONSOLIDATED.get((state, key)) or self.county_cities.get((state, key))

    def place(self, state: str, name: str) -> str | None:
        """Return the county that holds most of a place, or None."""
        if state == "NY" and place_key(name) in NEW_YORK_NAMES:
            return NEW_YORK_CITY
        key = place_key(name)
        for candidate in (key, name_key(name), f"{key} CITY", f"{key} VILLAGE"):
            if (state, candidate) in self.places:
                return self.places[state, candidate][0]
        return self.county_city(state, name)


def make_gazetteer(counties: pd.DataFrame, places: pd.DataFrame) -> Gazetteer:
    """Index counties and places by state and name.

    Where several places of a state share a name, the one of the lowest ``rank`` counts, then the most
    populous; two of the same rank, without populations, in different counties are left out as ambiguous.

    Args:
        counties: ``county_fips``, ``state`` (postal), ``county_name`` ("Baltimore County").
        places: ``state`` (postal), ``place_name``, ``county_fips``, ``share`` (of the place's people in that
            county, 0-1), and optionally ``population`` (of the place) and ``rank`` (0 places, 1
            subdivisions).

    Raises:
        TableError: a column is missing.

    Example:
        >>> counties = pd.DataFrame({"county_fips": ["99001"], "state": ["ZZ"],
        ...     "county_name": ["Elm County"]})
        >>> places = pd.DataFrame({"state": ["ZZ", "ZZ"], "place_name": ["Oak city", "Oak city"],
        ...                        "county_fips": ["99001", "99003"], "share": [0.8, 0.2]})
        >>> where = make_gazetteer(counties, places)
        >>> where.county("ZZ", "Elm County"), where.place("ZZ", "Oak")
        ('99001', '99001')
    """
    _need(counties, ("county_fips", "state", "county_name"), "counties")
    _need(places, ("state", "place_name", "county_fips", "share"), "places")
    proper: dict[tuple[str, str], str] = {}
    cities: dict[tuple[str, str], str] = {}
    for fips, state, name in zip(
        counties["county_fips"], counties["state"], counties["county_name"], strict=True
    ):
        target = cities if str(name).lower().endswith(" city") else proper
        target[state, county_key(str(name))] = fips
    keys = pd.Series([key for _, key in proper])
    shared = frozenset(keys[keys.duplicated()])
    both = {**cities, **proper}
    return Gazetteer(both, cities, _place_index(places), shared)


def places_of(place_county: pd.DataFrame, subdivisions: pd.DataFrame) -> pd.DataFrame:
    """Return places and, behind them, county subdivisions in the form `make_gazetteer` takes.

    Args:
        place_county: table ``place_county``.
        subdivisions: table ``county_subdivisions``.

    Example:
        >>> parts = pd.DataFrame({"state_fips": ["39"], "place_fips": ["00001"], "place_name": ["Oak city"],
        ...                       "county_fips": ["39001"], "share_of_place": [1.0], "population_2010": [9],
        ...                       "remainder": [False]})
        >>> towns = pd.DataFrame({"state_fips": ["39"], "county_fips": ["39001"],
        ...     "subdivision_name": ["Elm township"]})
        >>> places_of(parts, towns)[["state", "place_name", "rank"]].values.tolist()
        [['OH', 'Oak city', 0], ['OH', 'Elm township', 1]]
    """
    parts = place_county[~place_county["remainder"]]
    people = parts["population_2010"].groupby([parts["state_fips"], parts["place_fips"]]).transform("sum")
    places = pd.DataFrame(
        {
            "state": parts["state_fips"].map(STATE_OF_FIPS),
            "place_name": parts["place_name"],
            "county_fips": parts["county_fips"],
            "share": parts["share_of_place"],
            "population": people.astype("float64"),
            "rank": 0,
        }
    )
    towns = pd.DataFrame(
        {
            "state": subdivisions["state_fips"].map(STATE_OF_FIPS),
            "place_name": subdivisions["subdivision_name"],
            "county_fips": subdivisions["county_fips"],
            "share": 1.0,
            "population": 0.0,
            "rank": 1,
        }
    )
    return pd.concat([places, towns], ignore_index=True)


def read_gazetteer(raw: RawFiles) -> Gazetteer:
    """Return the names of counties (2019 frame), places (Geocorr 2018) and county subdivisions (2016).

    Example:
        >>> read_gazetteer(raw).place("CA", "Oakland")  # doctest: +SKIP
        '06001'
    """
    from analysis.panel.sources.census import read_county_frame
    from analysis.panel.sources.geography import read_county_subdivisions, read_place_county

    return make_gazetteer(
        read_county_frame(raw), places_of(read_place_county(raw), read_county_subdivisions(raw))
    )


def _place_index(places: pd.DataFrame) -> dict[tuple[str, str], tuple[str, float]]:
    frame = places.reindex(columns=["state", "place_name", "county_fips", "share", "population", "rank"])
    frame = frame.dropna(subset=["state", "place_name", "county_fips"]).fillna({"rank": 0, "population": 0.0})
    frame = pd.concat([frame, _other_names(frame)], ignore_index=True)
    keys = {name: place_key(name) for name in frame["place_name"].unique()}
    frame = frame.assign(key=frame["place_name"].map(keys))
    order = ["state", "key", "rank", "population", "share", "county_fips"]
    frame = frame.sort_values(order, ascending=[True, True, True, False, False, True], kind="stable")
    first = frame.drop_duplicates(["state", "key"])
    tied = frame.merge(first[["state", "key", "rank", "population", "share"]], how="inner")
    ambiguous = tied.groupby(["state", "key"])["county_fips"].nunique()
    out = {
        (state, key): (fips, float(share))
        for state, key, fips, share in first[["state", "key", "county_fips", "share"]].itertuples(index=False)
    }
    for place in ambiguous[ambiguous > 1].index:
        del out[place]
    return out


def _other_names(frame: pd.DataFrame) -> pd.DataFrame:
    # "San Buenaventura (Ventura) city": the name in brackets, behind every place of that name proper.
    inner = frame["place_name"].astype("object").str.extract(r"\(([^)]+)\)", expand=False)
    kept = inner.notna() & ~inner.fillna("").str.contains("balance|part", case=False)
    return frame[kept].assign(place_name=inner[kept], rank=9)


def _need(frame: pd.DataFrame, columns: Iterable[str], name: str) -> None:
    absent = [column for column in columns if column not in frame]
    if absent:
        raise TableError(f"the {name} table lacks {', '.join(absent)}", "its documented columns")
