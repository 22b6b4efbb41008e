"""American Community Survey, fixed vintages: employment, education, citizenship, and repackaged extracts."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.base.codebook import validate
from analysis.base.errors import SourceError
from analysis.panel.sources.census import read_share_alternates, read_shares
from analysis.panel.sources.geography import (
    apply_fips_changes,
    combine_counties,
    county_codes,
    in_states,
    read_columns,
    refuse_missing_columns,
    refuse_repeated,
    to_numbers,
)

if TYPE_CHECKING:
    from analysis.panel.sources.raw import RawFiles

S2301 = MappingProxyType(
    {
        "2008_2012": "acs/ACS_12_5YR_S2301_with_ann.csv",
        "2010_2014": "acs/ACS_14_5YR_S2301_with_ann.csv",
        "2011_2015": "acs/ACS_15_5YR_S2301_with_ann.csv",
    }
)
B15003 = "acs/ACS_15_5YR_B15003_with_ann.csv"
EXTRACT_2015 = "acs/acs2015_county_data.csv"
CONTEXT_2016 = "acs/medsl_election_context_2018.csv"
CITIZENSHIP_2018 = "acs/acs2018_citizenship_county.csv"

# Of table S2301, population 16 years and over: total, labour force, employed, unemployment. The middle two
# are percentages of the population, although the labels of the two older vintages read like counts. The last
# two are people of 16 to 24.
S2301_LABELS = MappingProxyType(
    {
        "HC01_EST_VC01": ("Total; Estimate; Population 16 years and over",),
        "HC02_EST_VC01": (
            "In labor force; Estimate; Population 16 years and over",
            "Labor Force Participation Rate; Estimate; Population 16 years and over",
        ),
        "HC03_EST_VC01": (
            "Employed; Estimate; Population 16 years and over",
            "Employment/Population Ratio; Estimate; Population 16 years and over",
        ),
        "HC04_EST_VC01": ("Unemployment rate; Estimate; Population 16 years and over",),
        "HC01_EST_VC03": ("Total; Estimate; AGE - 16 to 19 years",),
        "HC01_EST_VC04": ("Total; Estimate; AGE - 20 to 24 years",),
    }
)
S2301_COLUMNS = ("GEO.id2", *S2301_LABELS)
_DEGREES = ("HD01_VD22", "HD01_VD23", "HD01_VD24", "HD01_VD25")
B15003_LABELS = MappingProxyType(
    {
        "HD01_VD01": ("Estimate; Total:",),
        "HD01_VD22": ("Estimate; Total: - Bachelor's degree",),
        "HD01_VD23": ("Estimate; Total: - Master's degree",),
        "HD01_VD24": ("Estimate; Total: - Professional school degree",),
        "HD01_VD25": ("Estimate; Total: - Doctorate degree",),
    }
)
B15003_COLUMNS = ("GEO.id2", *B15003_LABELS)
EXTRACT_COLUMNS = ("CensusId", "TotalPop", "Hispanic", "Black", "Poverty", "Unemployment")
CONTEXT_COLUMNS = (
    "fips", "total_population", "black_pct", "hispanic_pct", "foreignborn_pct", "age65andolder_pct",
    "clf_unemploy_pct",
    "lesscollege_pct",
)  # fmt: skip
CITIZENSHIP_COLUMNS = (
    "fips", "POPULATION_Total", "CITIZEN_Estimate__Total__Not_a_U_S__citizen",
    "CITIZEN_Estimate__Total__U_S__citizen_by_naturalization",
)  # fmt: skip
COUNTS = frozenset({"population", "population_16_over", "population_16_24", "population_25_over"})


def _labelled(table: pd.DataFrame, labels: Mapping[str, tuple[str, ...]], where: str) -> pd.DataFrame:
    refuse_missing_columns(table.columns, ["GEO.id2", *labels], where)
    if len(table) == 0:
        raise SourceError(f"{where} has no row of labels", "names, then labels, then counties")
    first = table.iloc[0]
    for column, known in labels.items():
        if first[column] not in known:
            raise SourceError(f"{where}, column {column} is labelled '{first[column]}'", f"'{known[0]}'")
    return table.iloc[1:].reset_index(drop=True)


def _codes_of(frame: pd.DataFrame, column: str, where: str, *, padded: bool) -> pd.Series:
    codes = county_codes(frame[column], where, padded=padded)
    refuse_repeated(pd.DataFrame({"county_fips": codes}), ["county_fips"], where)
    return codes


def _long(wide: pd.DataFrame, vintage: str, source: str) -> pd.DataFrame:
    over = [
        (name, wide.loc[wide[name] > 1, "county_fips"].iloc[0])
        for name in wide.columns
        if name not in COUNTS and name != "county_fips" and (wide[name] > 1).any()
    ]
    if over:
        raise SourceError(
            f"{source} {vintage}: {over[0][0]} exceeds one in {over[0][1]}", "a share in [0, 1]"
        )
    return (
        wide.melt("county_fips", var_name="variable")
        .dropna(subset="value")
        .assign(vintage=vintage, source=source)
    )


def tidy_s2301(table: pd.DataFrame, vintage: str) -> pd.DataFrame:
    """Return employment status of people of 16 years and over in one vintage.

    Args:
        table: table S2301 as text, with its second row of labels.
        vintage: a key of `S2301`.

    Returns:
        county_fips, variable (population_16_over, population_16_24, labour_force_participation,
        employment_population_ratio, unemployment), value, vintage, source. Shares are of the population of 16
        years and over; unemployment is of the civilian labour force. Bedford city is merged by population,
        its unemployment by labour force.

    Raises:
        SourceError: a column missing or relabelled, a code without its zero, a county twice.

    Example:
        >>> labels = ["Id2", *(known[0] for known in S2301_LABELS.values())]
        >>> rows = [labels, ["01001", "1000", "60.0", "55.0", "8.6", "70", "80"]]
        >>> long = tidy_s2301(pd.DataFrame(rows, columns=list(S2301_COLUMNS)), "2008_2012")
        >>> long.set_index("variable")["value"]["unemployment"]
        np.float64(0.086)
    """
    where = S2301[vintage]
    body = _labelled(table, S2301_LABELS, where)
    codes = _codes_of(body, "GEO.id2", where, padded=True)
    unknown = ("-", "(X)", "**", "N")
    people = to_numbers(body["HC01_EST_VC01"], where)
    young = body[["HC01_EST_VC03", "HC01_EST_VC04"]].apply(to_numbers, where=where)
    rates = body[["HC02_EST_VC01", "HC03_EST_VC01", "HC04_EST_VC01"]].apply(
        to_numbers, where=where, missing=unknown
    )
    parts = pd.DataFrame(
        {
            "county_fips": codes,
            "population_16_over": people,
            "population_16_24": young.sum(axis=1),
            "labour_force_participation": rates["HC02_EST_VC01"] / 100,
            "employment_population_ratio": rates["HC03_EST_VC01"] / 100,
            "unemployment": rates["HC04_EST_VC01"] / 100,
            "labour_force": people * rates["HC02_EST_VC01"] / 100,
            "people": people,
        }
    )
    parts = apply_fips_changes(parts[in_states(codes)])
    wide = combine_counties(
        parts, ["county_fips"], sums=["population_16_over", "population_16_24"],
        means=["labour_force_participation", "employment_population_ratio"], weight="people",
    )  # fmt: skip
    idle = combine_counties(parts, ["county_fips"], means=["unemployment"], weight="labour_force")
    return _long(wide.merge(idle, on="county_fips"), vintage, "s2301")


def tidy_b15003(table: pd.DataFrame) -> pd.DataFrame:
    """Return the share of people of 25 years and over with a bachelor's degree or more, 2011-15.

    Raises:
        SourceError: as `tidy_s2301`.

    Example:
        >>> labels = ["Id2", *(known[0] for known in B15003_LABELS.values())]
        >>> rows = [labels, ["01001", "100", "10", "5", "3", "2"]]
        >>> long = tidy_b15003(pd.DataFrame(rows, columns=list(B15003_COLUMNS)))
        >>> long.set_index("variable")["value"]["bachelor"]
        np.float64(0.2)
    """
    body = _labelled(table, B15003_LABELS, B15003)
    codes = _codes_of(body, "GEO.id2", B15003, padded=True)
    counts = body[list(B15003_LABELS)].apply(to_numbers, where=B15003)
    parts = pd.DataFrame(
        {
            "county_fips": codes,
            "population_25_over": counts["HD01_VD01"],
            "degrees": counts[list(_DEGREES)].sum(axis=1),
        }
    )
    parts = apply_fips_changes(parts[in_states(codes)])
    wide = combine_counties(parts, ["county_fips"], sums=["population_25_over", "degrees"])
    wide["bachelor"] = wide["degrees"] / wide["population_25_over"]
    return _long(wide.drop(columns="degrees"), "2011_2015", "b15003")


def _shares_of(
    table: pd.DataFrame, code: str, people: str, columns: Mapping[str, str], scale: float, where: str
) -> pd.DataFrame:
    codes = _codes_of(table, code, where, padded=False)
    parts = pd.DataFrame(
        {"county_fips": codes, "people": to_numbers(table[people], where, missing=("", "NA"))}
    )
    for name, column in columns.items():
        parts[name] = to_numbers(table[column], where, missing=("", "NA")) / scale
    parts["population"] = parts["people"]
    parts = apply_fips_changes(parts[in_states(codes)])
    return combine_counties(parts, ["county_fips"], sums=["population"], means=list(columns), weight="people")


def tidy_extract_2015(table: pd.DataFrame) -> pd.DataFrame:
    """Return Hispanic, Black, poverty and unemployment shares of the 2011-15 extract (a repackaged file).

    Raises:
        SourceError: columns missing, a county twice, a negative or impossible share.

    Example:
        >>> rows = [["1001", "1000", "2.6", "18.5", "12.9", "7.6"]]
        >>> tidy_extract_2015(pd.DataFrame(rows, columns=list(EXTRACT_COLUMNS)))["vintage"].unique().tolist()
        ['2011_2015']
    """
    refuse_missing_columns(table.columns, EXTRACT_COLUMNS, EXTRACT_2015)
    columns = {"hispanic": "Hispanic", "black": "Black", "poverty": "Poverty", "unemployment": "Unemployment"}
    wide = _shares_of(table, "CensusId", "TotalPop", columns, 100, EXTRACT_2015)
    return _long(wide, "2011_2015", "extract_2015")


def tidy_context_2016(table: pd.DataFrame) -> pd.DataFrame:
    """Return shares of the 2012-16 extract of the MIT Election Lab (Alaska and Oglala Lakota are not in it).

    Its row 36000 is Kansas City, Missouri, without figures; it is left out.

    Raises:
        SourceError: columns missing, a county twice, a negative or impossible share.
    """
    refuse_missing_columns(table.columns, CONTEXT_COLUMNS, CONTEXT_2016)
    table = table[table["fips"] != "36000"].reset_index(drop=True)
    columns = {
        "black": "black_pct", "hispanic": "hispanic_pct", "foreign_born": "foreignborn_pct",
        "age_65_over": "age65andolder_pct", "unemployment": "clf_unemploy_pct",
        "no_bachelor": "lesscollege_pct",
    }  # fmt: skip
    wide = _shares_of(table, "fips", "total_population", columns, 100, CONTEXT_2016)
    wide["bachelor"] = 1 - wide["no_bachelor"]
    return _long(wide.drop(columns="no_bachelor"), "2012_2016", "context_2016")


def tidy_citizenship_2018(table: pd.DataFrame) -> pd.DataFrame:
    """Return shares of non-citizens and of naturalized citizens, 2014-18 (no Alaska, Kalawao, 17069 or
    35039).

    Raises:
        SourceError: columns missing, a county twice, a negative or impossible share.
    """
    refuse_missing_columns(table.columns, CITIZENSHIP_COLUMNS, CITIZENSHIP_2018)
    columns = {"noncitizen": CITIZENSHIP_COLUMNS[2], "naturalized": CITIZENSHIP_COLUMNS[3]}
    wide = _shares_of(table, "fips", "POPULATION_Total", columns, 1, CITIZENSHIP_2018)
    return _long(wide, "2014_2018", "citizenship_2018")


def read_acs(raw: RawFiles) -> pd.DataFrame:
    """Return American Community Survey figures of fixed vintages in long form (contract ``acs``).

    Returns:
        One row a county, vintage, source and variable; shares in [0, 1], populations in people. A figure
        that is not published has no row.

    Source:
        American FactFinder tables S2301 and B15003; extracts named in the codebook.
    """
    parts = [
        tidy_s2301(read_columns(raw.path(path), S2301_COLUMNS, path), vintage)
        for vintage, path in S2301.items()
    ]
    parts += [
        tidy_b15003(read_columns(raw.path(B15003), B15003_COLUMNS, B15003)),
        tidy_extract_2015(
            read_columns(raw.path(EXTRACT_2015), EXTRACT_COLUMNS, EXTRACT_2015, encoding="utf-8")
        ),
        tidy_context_2016(read_columns(raw.path(CONTEXT_2016), CONTEXT_COLUMNS, CONTEXT_2016)),
        tidy_citizenship_2018(
            read_columns(raw.path(CITIZENSHIP_2018), CITIZENSHIP_COLUMNS, CITIZENSHIP_2018)
        ),
    ]
    table = pd.concat(parts, ignore_index=True)
    return validate(table.sort_values(["county_fips", "vintage", "source", "variable"]), "acs")


def compare_series(first: pd.Series, second: pd.Series) -> dict[str, float | int | str]:
    """Return how far two sources of one figure agree.

    Args:
        first, second: values indexed by county.

    Returns:
        counties (in both), correlation, mean_difference, mean_absolute, max_absolute, county (of the
        largest).

    Example:
        >>> a, b = pd.Series({"x": 0.1, "y": 0.2, "z": 0.3}), pd.Series({"x": 0.1, "y": 0.2, "z": 0.4})
        >>> compare_series(a, b)["county"]
        'z'
    """
    both = pd.concat([first, second], axis=1, join="inner", keys=["first", "second"]).dropna()
    gap = both["second"] - both["first"]
    return {
        "counties": len(both),
        "correlation": float(np.corrcoef(both["first"], both["second"])[0, 1])
        if len(both) > 2
        else float("nan"),
        "mean_difference": float(gap.mean()),
        "mean_absolute": float(gap.abs().mean()),
        "max_absolute": float(gap.abs().max()),
        "county": str(gap.abs().idxmax()) if len(both) else "",
    }


def read_overlaps(raw: RawFiles) -> pd.DataFrame:
    """Return the comparison of every figure that two files give, one row a pair.

    Pairs of one vintage should agree but for rounding and method; pairs of neighbouring vintages show
    sampling and change, and are marked so.

    Returns:
        figure, first, second, same_vintage, and the columns of `compare_series`.
    """
    shares = read_shares(raw).set_index("county_fips")
    others = read_share_alternates(raw)
    acs = read_acs(raw)
    wide = acs.assign(name=acs["variable"] + "_" + acs["vintage"] + "__" + acs["source"]).pivot_table(
        index="county_fips", columns="name", values="value", aggfunc="first"
    )
    everything = shares.join([others, wide], how="outer")
    pairs = [
        *((name.split("__")[0], name, True) for name in others.columns),
        ("unemployment_2011_2015__s2301", "unemployment_2011_2015__extract_2015", True),
        ("unemployment_2010_2014__s2301", "unemployment_2011_2015__s2301", False),
        ("unemployment_2011_2015__s2301", "unemployment_2012_2016__context_2016", False),
        ("bachelor_2006_2010", "bachelor_2009_2013", False),
        ("bachelor_2009_2013", "bachelor_2011_2015__b15003", False),
        ("bachelor_2011_2015__b15003", "bachelor_2012_2016__context_2016", False),
        ("foreign_born_2006_2010", "foreign_born_2009_2013", False),
        ("foreign_born_2009_2013", "foreign_born_2012_2016__context_2016", False),
        ("hispanic_2010", "hispanic_2011_2015__extract_2015", False),
        ("hispanic_2014", "hispanic_2011_2015__extract_2015", False),
        ("age_65_over_2014", "age_65_over_2012_2016__context_2016", False),
        ("hispanic_2011_2015__extract_2015", "hispanic_2012_2016__context_2016", False),
        ("poverty_2009_2013", "poverty_2011_2015__extract_2015", False),
    ]
    rows = [
        {"first": a, "second": b, "same_vintage": same} | compare_series(everything[a], everything[b])
        for a, b, same in pairs
    ]
    return pd.DataFrame(rows)
