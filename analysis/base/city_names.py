"""Names of cities: which city of a panel a name in a list stands for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from analysis.base.errors import SourceError, nearest
from analysis.base.fips import NEW_YORK_CITY, NEW_YORK_COUNTIES
from analysis.base.policy_dates import (
    POLICY_TYPES,
    USER_DEFAULTS,
    check_user_policies,
    parse_date,
    precision_of,
    read_user_text,
)

NAMES_SHOWN = 12
_WORDS = {"st": "saint", "ste": "sainte", "mt": "mount", "ft": "fort", "pt": "point", "hts": "heights", "twp": "township"}  # fmt: skip
_CITY_OF = re.compile(r"^(?:the )?(?:city and county|city) of ")
_TOWN_OF = re.compile(r"^(?:the )?(?:town|township|village|borough) of ")
_AFTER = re.compile(
    r" (?:city|town|township|village|borough|metro|(?:metropolitan )?police department|metropolitan|police)$"
)


def plain_name(name: str) -> str:
    """Return a name in lower case without punctuation, abbreviations spelt out, "City of" taken off.

    Example:
        >>> plain_name("City of St. Paul"), plain_name("Winston-Salem")
        ('saint paul', 'winston salem')
    """
    letters = re.sub(r"['’`.]", "", name.lower()).replace("&", " and ")
    words = re.sub(r"[^\w ]", " ", letters).split()
    return _CITY_OF.sub("", " ".join(_WORDS.get(word, word) for word in words))


def bare_name(name: str) -> str:
    """Return a plain name without the word for what kind of place or police it is.

    Example:
        >>> bare_name("New York City"), bare_name("Town of Madison")
        ('new york', 'madison')
        >>> bare_name("Las Vegas Metropolitan Police Department")
        'las vegas'
    """
    return _AFTER.sub("", _TOWN_OF.sub("", plain_name(name)))


@dataclass(frozen=True, slots=True)
class CityNames:
    """The cities of a panel by state and name.

    Args:
        counties: city's key to the code of the county that holds it.
        plain: state and plain name to the keys of the cities so called in some year.
        bare: likewise for bare names.
    """

    counties: Mapping[str, str]
    plain: Mapping[tuple[str, str], frozenset[str]]
    bare: Mapping[tuple[str, str], frozenset[str]]
    _by_state: dict[str, list[str]] = field(default_factory=dict)

    def find(self, state: str, name: str, county: str = "") -> tuple[str, str]:
        """Return a city's key and "", or "" and why it cannot be placed.

        Args:
            state: postal code.
            name: as a list prints it.
            county: code of the county it lies in, which tells apart cities of one name; "" where it is not known.

        Example:
            >>> names = city_names(pd.DataFrame({"county_fips": ["39035:euclid"], "holding_county": ["39035"],
            ...     "state": ["OH"], "city_name": ["Euclid"]}))
            >>> names.find("OH", "City of Euclid"), names.find("OH", "Euclyd")
            (('39035:euclid', ''), ('', 'no city of OH is called so (did you mean euclid?)'))
        """
        if not state:
            return "", "no state is given"
        plain, bare = plain_name(name), bare_name(name)
        found = self.plain.get((state, plain)) or self.bare.get((state, bare)) or frozenset()
        if len(found) > 1 and county:
            found = frozenset(key for key in found if self.counties[key] == county) or found
        if len(found) == 1:
            return next(iter(found)), ""
        if found:
            where = ", ".join(sorted({self.counties[key] for key in found}))
            return (
                "",
                f"{len(found)} cities of {state} are called so, in the counties {where}: county_fips must say which",
            )
        if state not in self._by_state:
            self._by_state[state] = sorted(called for of, called in self.plain if of == state)
        return "", f"no city of {state} is called so{nearest(plain, self._by_state[state])}"


def city_names(table: pd.DataFrame) -> CityNames:
    """Return the cities of a panel by state and name.

    Args:
        table: rows with ``county_fips`` (a city's key), ``holding_county``, ``state``, ``city_name``; a city may be printed
            under several names.
    """
    rows = table[["county_fips", "holding_county", "state", "city_name"]].drop_duplicates()
    records = list(rows.itertuples(index=False, name=None))
    return CityNames(
        {key: county for key, county, _, _ in records},
        _by_name((state, plain_name(name), key) for key, _, state, name in records),
        _by_name((state, bare_name(name), key) for key, _, state, name in records),
    )


def _by_name(records: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str], frozenset[str]]:
    held: dict[tuple[str, str], set[str]] = {}
    for state, name, key in records:
        held.setdefault((state, name), set()).add(key)
    return {name: frozenset(keys) for name, keys in held.items()}


def read_city_policies(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Return a user's csv of policy dates with its cities found in a panel of cities.

    A row of level ``city`` needs ``state``, ``jurisdiction`` (the city's name) and ``date``; ``county_fips`` may stay empty
    and tells apart cities of one name. A county's row counts for every city it holds, a state's for all its cities.

    Args:
        path: the csv; see ``docs/user_files.md``.
        table: the panel: ``county_fips`` (a city's key), ``holding_county``, ``state``, ``city_name``.

    Returns:
        As `check_user_policies`, with the city's key in ``county_fips``.

    Raises:
        SourceError: cities that cannot be placed, each named; one city's event twice; and as `check_user_policies`.
        TableError: as `check_user_policies`.
    """
    given = read_user_text(path).rename(columns=str.strip)
    text = given.apply(lambda column: column.str.strip())
    if "county_fips" not in text:
        text = text.assign(county_fips="")
    level = text["level"] if "level" in text else pd.Series("", index=text.index)
    of_city = level.eq("city").to_numpy()
    names = city_names(table)
    keys, lost = [""] * len(text), []
    blank = pd.Series("", index=text.index)
    state, called = text.get("state", blank), text.get("jurisdiction", blank)
    for at in of_city.nonzero()[0]:
        key, why = names.find(state.iloc[at], called.iloc[at], text["county_fips"].iloc[at])
        keys[at] = key
        if why:
            lost.append(f"row {at + 1} '{called.iloc[at]}': {why}")
    if lost:
        more = f"; and {len(lost) - NAMES_SHOWN} more" if len(lost) > NAMES_SHOWN else ""
        raise SourceError(
            f"{path.name}: {len(lost)} of {int(of_city.sum())} cities cannot be placed: {'; '.join(lost[:NAMES_SHOWN])}{more}",
            "state and jurisdiction as the FBI's Table 8 prints them, and county_fips where cities share a name",
            path.name,
        )
    held = pd.Series([names.counties.get(key, "") for key in keys], index=text.index)
    text["county_fips"] = text["county_fips"].where(~of_city, held)
    checked = check_user_policies(text, set(names.counties.values()), path.name).reset_index(drop=True)
    own = checked.assign(key=keys)
    twice = own[of_city].duplicated(["key", "date", "direction"], keep=False).to_numpy()
    if twice.any():
        rows = [str(at + 1) for at in of_city.nonzero()[0][twice]]
        raise SourceError(
            f"{path.name}, rows {', '.join(rows)}: one city's event more than once",
            "one row an event",
            path.name,
        )
    return cities_of_events(own, names)


def read_city_dates(path: Path) -> pd.DataFrame:
    """Return when a user's csv dates its policies, before its cities are looked for.

    Args:
        path: the csv, as for `read_city_policies`.

    Returns:
        ``direction, year``: one row a row of the csv.

    Raises:
        SourceError: no readable csv, no column ``date``, or no rows.
        TableError: a date that is none.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "mine.csv"
        >>> _ = path.write_text("state,jurisdiction,level,date\\nOH,Euclid,city,2006-05\\n")
        >>> read_city_dates(path).values.tolist()
        [['limit_full', 2006]]
    """
    given = read_user_text(path).rename(columns=str.strip)
    name = next((name for name in ("date", "policy_date") if name in given), None)
    if name is None or given.empty:
        raise SourceError(
            f"{path.name} has {'no rows' if name else 'no column date'}", "a csv of policy dates", path.name
        )
    dates = given[name].str.strip()
    years = [
        parse_date(text, precision_of(text), f"{path.name}, row {row}")[0]
        for row, text in enumerate(dates, 1)
    ]
    kind = next((given[name].str.strip() for name in ("direction", "policy_type") if name in given), None)
    said = kind.replace(dict(POLICY_TYPES)) if kind is not None else pd.Series("", index=given.index)
    return pd.DataFrame({"direction": said.mask(said.eq(""), USER_DEFAULTS["direction"]), "year": years})


def cities_of_events(events: pd.DataFrame, names: CityNames) -> pd.DataFrame:
    """Return policy events with cities in place of counties: a county's event once for each city it holds.

    Args:
        events: ``county_fips, level`` and, for cities, ``key`` (of the city; "" elsewhere).
        names: the cities.

    Returns:
        The same columns without ``key``; events of states as they were; events of counties that hold no city are gone.

    Example:
        >>> names = CityNames({"17031:cicero": "17031", "17031:chicago": "17031"}, {}, {})
        >>> events = pd.DataFrame({"county_fips": ["17031", None], "level": ["county", "state"], "key": ""})
        >>> cities_of_events(events, names)["county_fips"].fillna("").tolist()
        ['17031:chicago', '17031:cicero', '']
    """
    holds = pd.DataFrame({"area": list(names.counties), "county_fips": list(names.counties.values())})
    holds = holds.sort_values("area")
    order = events.assign(
        position=range(len(events)),
        county_fips=events["county_fips"].mask(events["county_fips"].isin(NEW_YORK_COUNTIES), NEW_YORK_CITY),
    )
    of_county = order[order["level"].eq("county")].merge(holds, on="county_fips", how="inner")
    others = order[~order["level"].eq("county")]
    others = others.assign(area=others["key"].where(others["level"].eq("city"), others["county_fips"]))
    parts = pd.concat([of_county.astype("object"), others.astype("object")], ignore_index=True)
    parts = parts.sort_values(["position", "area"], kind="stable", ignore_index=True)
    out = parts.assign(county_fips=parts["area"]).drop(columns=["key", "area", "position"])
    return out.astype({name: events[name].dtype for name in out if name != "county_fips"})
