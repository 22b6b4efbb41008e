"""Urban-rural classes of counties: NCHS 2013, 2006 and 1990, and the USDA's codes of 2013 and 2015."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.base.codebook import validate
from analysis.base.errors import SourceError
from analysis.base.fips import load_fips_changes, recodes, refusals
from analysis.panel.sources.geography import (
    county_codes,
    in_states,
    read_columns,
    refuse_missing_columns,
    refuse_repeated,
    to_numbers,
)

if TYPE_CHECKING:
    from analysis.panel.sources.raw import RawFiles

NCHS = "nchs/NCHSURCodes2013.xlsx"
USDA = "usda/ers_county_classifications_2020.csv"
URBAN_CLASSES = MappingProxyType(
    {
        1: "large_central_metro", 2: "large_fringe_metro", 3: "medium_metro", 4: "small_metro",
        5: "micropolitan",
        6: "noncore",
    }
)  # fmt: skip
ECONOMIC_TYPES = MappingProxyType(
    {
        0: "nonspecialized", 1: "farming", 2: "mining", 3: "manufacturing", 4: "government", 5: "recreation",
    }
)  # fmt: skip
NCHS_COLUMNS = ("FIPS code", "2013 code", "2006 code", "1990-based code")
FLAGS = MappingProxyType(
    {
        "low_education_2015": "Low_Education_2015_update",
        "low_employment_2015": "Low_Employment_2015_update",
        "population_loss_2015": "Population_loss_2015_update",
        "retirement_destination_2015": "Retirement_Destination_2015_Update",
        "persistent_poverty_2011": "Perpov_1980_0711",
        "persistent_child_poverty_2011": "PersistentChildPoverty_1980_2011",
    }
)
USDA_COLUMNS = (
    "FIPStxt", "RuralUrbanContinuumCode2013", "UrbanInfluenceCode2013", "Type_2015_Update", *FLAGS.values(),
)  # fmt: skip


def tidy_urban_classes(nchs: pd.DataFrame, usda: pd.DataFrame) -> pd.DataFrame:
    """Return the classes of every county of the 2019 frame.

    Args:
        nchs: the NCHS sheet as text; codes 1 to 6, codes of counties printed as numbers.
        usda: the USDA classifications as text.

    Returns:
        Contract ``urban_classes``. A class belongs to a county as it stood: retired codes (seven in the NCHS
        sheet) are left out, because their successors stand in the sheet with classes of their own. The 1990
        class is missing for counties formed since. USDA classes are those of 2013, types and flags of 2015.

    Raises:
        SourceError: columns missing, a class outside its range, a county twice, a code without its zero, a
        retired
            county whose successor is absent, counties in one file alone.

    Source:
        Ingram and Franco (2014), NCHS urban-rural classification scheme; USDA ERS, county typology codes.

    Example:
        >>> nchs = pd.DataFrame([["1001", "3", "3", "."]], columns=list(NCHS_COLUMNS))
        >>> usda = pd.DataFrame([["01001", "2", "2", "0", *["0"] * 6]], columns=list(USDA_COLUMNS))
        >>> tidy_urban_classes(nchs, usda)["urban_class_2013"].tolist()
        ['medium_metro']
    """
    left, right = _nchs(nchs), _usda(usda)
    if set(left["county_fips"]) != set(right["county_fips"]):
        odd = sorted(set(left["county_fips"]) ^ set(right["county_fips"]))
        raise SourceError(f"{NCHS} and {USDA} hold different counties: {odd[:6]}", "the same counties")
    return validate(
        left.merge(right, on="county_fips", validate="one_to_one").sort_values("county_fips"), "urban_classes"
    )


def _on_frame(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    frame = frame[in_states(frame["county_fips"])]
    refuse_repeated(frame, ["county_fips"], where)
    changes = load_fips_changes()
    successors = recodes(changes)
    retired = frame["county_fips"].isin(set(successors) | set(refusals(changes)))
    kept = frame[~retired]
    lost = [
        c
        for c in frame.loc[retired, "county_fips"]
        if c in successors and successors[c] not in set(kept["county_fips"])
    ]
    if lost:
        raise SourceError(
            f"{where}: {lost[0]} is retired and its successor {successors[lost[0]]} is absent",
            "the successor",
        )
    return kept


def _nchs(table: pd.DataFrame) -> pd.DataFrame:
    refuse_missing_columns(table.columns, NCHS_COLUMNS, NCHS)
    frame = pd.DataFrame({"county_fips": county_codes(table["FIPS code"], NCHS, padded=False)})
    for year, column in ((2013, "2013 code"), (2006, "2006 code"), (1990, "1990-based code")):
        missing = (".", "") if year == 1990 else ()
        frame[f"urban_class_{year}"] = _named(table[column], URBAN_CLASSES, NCHS, missing)
    return _on_frame(frame, NCHS)


def _usda(table: pd.DataFrame) -> pd.DataFrame:
    refuse_missing_columns(table.columns, USDA_COLUMNS, USDA)
    codes = county_codes(table["FIPStxt"], USDA, padded=True)
    numbers = pd.DataFrame({"county_fips": codes})
    for name in USDA_COLUMNS[1:]:
        numbers[name] = to_numbers(table[name], USDA)
    kept = _on_frame(numbers, USDA)
    blank = kept[kept.isna().any(axis=1)]
    if len(blank):
        raise SourceError(
            f"{USDA}: county {blank['county_fips'].iloc[0]} is not classed", "a class for every county"
        )
    out = pd.DataFrame(
        {
            "county_fips": kept["county_fips"],
            "rucc_2013": kept["RuralUrbanContinuumCode2013"].astype(np.int64),
            "uic_2013": kept["UrbanInfluenceCode2013"].astype(np.int64),
            "economic_type_2015": kept["Type_2015_Update"].map(ECONOMIC_TYPES),
        }
    )
    for name, column in FLAGS.items():
        odd = kept[~kept[column].isin([0.0, 1.0])]
        if len(odd):
            raise SourceError(
                f"{USDA}, column {column}: {odd[column].iloc[0]:g} in {odd['county_fips'].iloc[0]}", "0 or 1"
            )
        out[name] = kept[column] == 1.0
    return out


def _named(
    values: pd.Series, names: MappingProxyType[int, str], where: str, missing: tuple[str, ...]
) -> pd.Series:
    numbers = to_numbers(values, where, missing=missing)
    named = numbers.map(names)
    odd = numbers.notna() & named.isna()
    if odd.any():
        raise SourceError(
            f"{where}, column {values.name}: class {numbers[odd].iloc[0]:g}",
            f"a class from {min(names)} to {max(names)}",
        )
    return named


def read_urban_classes(raw: RawFiles) -> pd.DataFrame:
    """Return urban-rural classes of the 3,142 counties (contract ``urban_classes``).

    Source:
        NCHSURCodes2013.xlsx; USDA ERS Atlas of Rural and Small-Town America, county classifications.
    """
    from python_calamine import CalamineWorkbook

    rows = CalamineWorkbook.from_path(str(raw.path(NCHS))).get_sheet_by_index(0).to_python()
    sheet = pd.DataFrame(rows[1:], columns=[str(name).strip() for name in rows[0]])
    refuse_missing_columns(sheet.columns, NCHS_COLUMNS, NCHS)
    # The workbook holds codes as floating-point numbers: 1001.0 is 01001.
    text = (
        sheet[list(NCHS_COLUMNS)]
        .astype(str)
        .apply(lambda column: column.str.replace(r"\.0$", "", regex=True))
    )
    return tidy_urban_classes(text, read_columns(raw.path(USDA), USDA_COLUMNS, USDA, encoding="utf-8-sig"))
