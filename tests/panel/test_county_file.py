"""A county file of the user's: a build beside the others, missing where the file is, and nothing else touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import SourceError, TableError
from analysis.base.fips import NEW_YORK_CITY, NEW_YORK_COUNTIES
from analysis.base.paths import ROOT, Paths
from analysis.design.design import make_design
from analysis.design.spec import load_spec
from analysis.estimation import aggregate, fit
from analysis.evidence.runs import run_specs
from analysis.panel import county_file as of
from analysis.panel.twin import make_twin

YEAR = 2015
HEAD = (
    "FIPS_ST,FIPS_CTY,CPOPCRIM,COVIND,MURDER,RAPE,ROBBERY,AGASSLT,BURGLRY,LARCENY,MVTHEFT,ARSON,VIOL,PROPERTY"
)
OFFENCES = ("MURDER", "RAPE", "ROBBERY", "AGASSLT", "BURGLRY", "LARCENY", "MVTHEFT", "ARSON")


def line(code, people, coverage, counts, totals=True):
    violent, prop = sum(counts[:4]), sum(counts[4:7])
    cells = [int(code[:2]), int(code[2:]), people, f"{coverage:.4f}", *counts]
    return ",".join(map(str, cells + ([violent, prop] if totals else [])))


@pytest.fixture(scope="module")
def panel():
    return make_twin(Paths(simulated=True))


@pytest.fixture(scope="module")
def file(panel, tmp_path_factory):
    """A file of the year as the archive's are: every fifth county is not in it, New York City stands as five, one code
    is of no county, and one county reported nothing."""
    rng = np.random.default_rng(20260101)
    year = panel.table[panel.table["year"].eq(YEAR)]
    kept = year[(np.arange(len(year)) % 5 != 0) & ~year["county_fips"].eq(NEW_YORK_CITY)]
    lines = [HEAD]
    for at, (code, people) in enumerate(zip(kept["county_fips"], kept["population"], strict=True)):
        counts = rng.poisson(people * np.array([4, 30, 80, 250, 500, 1800, 230, 15]) / 1e5).tolist()
        share = 0 if at == 7 else 100 if at % 3 else 85.5
        lines.append(line(code, int(people), share, [0] * 8 if at == 7 else counts))
    lines += [
        line(code, 1_000_000 * (i + 1), 90 + i, [i + 1] * 8) for i, code in enumerate(NEW_YORK_COUNTIES)
    ]
    lines.append(line("01999", 1000, 100, [1] * 8))
    path = tmp_path_factory.mktemp("brought") / "DS0004.csv"
    path.write_text("\n".join(lines) + "\n")
    return path, kept.iloc[7]["county_fips"]


@pytest.fixture(scope="module")
def added(panel, file):
    return of.add_county_file(panel, of.load_county_file(file[0], YEAR))


def test_nothing_else_is_touched(panel, added):
    for name in ("table", "constant"):
        before, after = getattr(panel, name), getattr(added, name)
        pd.testing.assert_frame_equal(after[before.columns], before)
        new = [column for column in after if column not in before]
        assert new == [p.format(m) for m in of.MEASURES for p in (of.COUNT, of.RATE, of.COVERAGE)]
    assert not any("county_file" in column for column in panel.table)
    assert added.digest != panel.digest and len(added.digest) == len(panel.digest)
    assert added.policies is panel.policies and added.simulated == panel.simulated
    assert set(added.reports) == {*panel.reports, of.JOIN, of.UNMATCHED}


def test_numbers_are_the_files(added, file):
    raw = pd.read_csv(file[0], dtype={"FIPS_ST": str, "FIPS_CTY": str})
    raw.index = raw["FIPS_ST"].str.zfill(2) + raw["FIPS_CTY"].str.zfill(3)
    held = added.table[added.table["year"].eq(YEAR)].set_index("county_fips")
    for code in raw.index[[0, 1200, 2400]]:
        row, mine = raw.loc[code], held.loc[code]
        assert mine["county_file_total"] == row["VIOL"] + row["PROPERTY"]
        assert mine["county_file_total_with_arson"] == row[list(OFFENCES)].sum()
        assert mine["county_file_violent_ex_rape"] == row["MURDER"] + row["ROBBERY"] + row["AGASSLT"]
        assert mine["rate_county_file_total"] == pytest.approx(
            1e5 * mine["county_file_total"] / row["CPOPCRIM"]
        )
        assert mine["coverage_county_file_total"] == pytest.approx(row["COVIND"] / 100)


def test_what_the_file_lacks_is_missing_not_zero(added, file):
    table = added.table
    new = [column for column in table if "county_file_" in column]
    assert table.loc[table["year"].ne(YEAR), new].isna().all(axis=None)
    year = table[table["year"].eq(YEAR)].set_index("county_fips")
    silent = year.loc[file[1]]
    assert silent["coverage_county_file_total"] == 0 and np.isnan(silent["county_file_total"])
    left_out = year.index[0]
    assert year.loc[left_out, new].isna().all()


def test_new_york_is_one_area(added):
    city = (
        added.table[added.table["year"].eq(YEAR)].set_index("county_fips").loc[NEW_YORK_CITY].astype(object)
    )
    people = 1_000_000 * np.arange(1, 6)
    assert city["county_file_murder"] == 15 and city["county_file_total"] == 7 * 15
    assert city["rate_county_file_murder"] == pytest.approx(15 / people.sum() * 1e5)
    assert city["coverage_county_file_murder"] == pytest.approx(
        np.average(np.arange(90, 95), weights=people) / 100
    )


def test_rows_without_a_partner_are_reported(panel, added):
    report, rows = added.reports[of.JOIN].iloc[0], added.reports[of.UNMATCHED]
    year = panel.table[panel.table["year"].eq(YEAR)]
    assert rows["side"].value_counts().to_dict() == {
        "panel": int((np.arange(len(year)) % 5 == 0)[~year["county_fips"].eq(NEW_YORK_CITY)].sum()),
        "file": 1,
    }
    assert rows.loc[rows["side"] == "file", ["county_fips", "year"]].to_numpy().tolist() == [["01999", YEAR]]
    assert report["matched"] == len(year) - (rows["side"] == "panel").sum()


def test_a_spec_runs_on_it(added):
    """Coverage is the file's: every third county stands at 85.5 %."""
    spec = load_spec("wong_builds").base().replace({"outcome.build": "county_file"})
    design = make_design(added, spec)
    held = added.table[added.table["year"].eq(YEAR)].set_index("county_fips")
    codes = design.table["county_fips"]
    assert (held.loc[codes, "coverage_county_file_total"] >= 0.9).all()
    assert design.table["outcome"].to_numpy() == pytest.approx(
        held.loc[codes, "rate_county_file_total"].to_numpy() / 10
    )
    assert "county file" in design.unit
    assert np.isfinite(aggregate(fit(design), over="post").table["estimate"].iloc[0])
    lower = make_design(added, spec.replace({"sample.min_coverage": 0.8}))
    assert len(lower.table) > len(design.table)


def test_the_spec_the_page_shows_runs(panel, file, tmp_path):
    """Its lines are put in the place of those the study's spec has in the same sections."""
    page = (ROOT / "docs" / "user_files.md").read_text().split("### Running a specification on it")[1]
    changes, section = {}, ""
    for row in page.split("```toml\n")[1].split("```")[0].splitlines():
        section = row if row.startswith("[") else section
        if "=" in row:
            changes[section, row.split("=")[0].strip()] = row
    made, section, used = [], "", set()
    for row in (ROOT / "analysis" / "specs" / "wong_builds.toml").read_text().splitlines():
        section = row if row.startswith("[") else section
        key = (section, row.split("=")[0].strip())
        used |= {key} & set(changes)
        made.append(changes.get(key, row))
    assert used == set(changes)
    mine = tmp_path / "my_county_file.toml"
    mine.write_text("\n".join(made))
    specs = load_spec(mine).expand()
    assert {spec.outcome.build for spec in specs} == {"county_file"}
    year = specs[0].design.year
    carrying = of.add_county_file(panel, of.load_county_file(file[0], YEAR).assign(year=year))
    found = run_specs(carrying, specs)
    assert found.results["failure"].eq("").all() and found.results["n_treated"].gt(0).all()


def test_without_the_file_the_spec_is_refused(panel):
    spec = load_spec("wong_builds").base().replace({"outcome.build": "county_file"})
    with pytest.raises(TableError, match="county_file_total"):
        make_design(panel, spec)


def test_several_years_go_into_one_table(panel, file):
    tables = [
        of.load_county_file(file[0], YEAR),
        of.load_county_file(file[0], YEAR).assign(year=2014),
    ]
    both = of.add_county_file(panel, pd.concat(tables, ignore_index=True))
    count = both.table.groupby("year")["county_file_murder"].count()
    assert count[2014] > 2000 and count[YEAR] > 2000 and count.sum() == count[2014] + count[YEAR]
    assert both.digest != of.add_county_file(panel, tables[0]).digest


def test_a_file_without_totals_has_their_sums(file, tmp_path):
    path = tmp_path / "old.csv"
    path.write_text(HEAD.removesuffix(",VIOL,PROPERTY") + "\n" + line("01001", 100_000, 100, list(range(1, 9)), False))  # fmt: skip
    made = of.file_columns(of.load_county_file(path, 2008)).iloc[0]
    assert made["county_file_violent"] == 1 + 2 + 3 + 4
    assert made["county_file_property"] == 5 + 6 + 7
    assert made["county_file_total_with_arson"] == 36


def city(codes, **changes):
    counts = dict.fromkeys([*of.NACJD_COUNTS, *of.NACJD_TOTALS], 2.0)
    return pd.DataFrame(
        {"county_fips": list(codes), "year": YEAR, "population": 10.0, "coverage": 100.0, **counts, **changes}
    )


def test_a_torn_or_silent_part_of_new_york_leaves_the_city_missing(panel):
    made, torn = of.one_city(city(NEW_YORK_COUNTIES[:4]))
    assert made["murder"].isna().all() and torn["year"].tolist() == [YEAR]
    silent, torn = of.one_city(city(NEW_YORK_COUNTIES, murder=[np.nan, 1, 1, 1, 1]))
    assert silent["murder"].isna().all() and silent["robbery"].tolist() == [10.0] and torn.empty
    table = pd.concat([city(NEW_YORK_COUNTIES[:4]), city(["01001"])], ignore_index=True)
    rows = of.add_county_file(panel, table).reports[of.UNMATCHED]
    assert rows.loc[rows["side"] == "new_york", "county_fips"].tolist() == [NEW_YORK_CITY]


def test_no_residents_no_rate():
    made = of.file_columns(city(["01001"], population=0.0)).iloc[0]
    assert made["county_file_murder"] == 2.0 and np.isnan(made["rate_county_file_murder"])


def test_bad_files_are_refused(panel, added, file):
    table = of.load_county_file(file[0], YEAR)
    with pytest.raises(TableError, match="carries a county file already"):
        of.add_county_file(added, table)
    with pytest.raises(TableError, match="none of the 1 rows of the county file"):
        of.add_county_file(panel, city(["01001"]).assign(year=1990))
    with pytest.raises(TableError, match="New York City"):
        of.one_city(city([*NEW_YORK_COUNTIES, NEW_YORK_CITY]))
    with pytest.raises(TableError):
        of.add_county_file(panel, pd.concat([table, table]))
    with pytest.raises(TableError, match="coverage"):
        of.add_county_file(panel, table.drop(columns="coverage"))
    with pytest.raises(SourceError, match="no file"):
        of.load_county_file(file[0].with_name("absent.csv"), YEAR)
    with pytest.raises(SourceError, match="01999"):
        of.load_county_file(file[0], YEAR, known=panel.table["county_fips"].unique().tolist())


def test_the_order_of_rows_changes_no_digest(panel, file):
    table = of.load_county_file(file[0], YEAR)
    turned = table.iloc[::-1].reset_index(drop=True)
    assert of.add_county_file(panel, table).digest == of.add_county_file(panel, turned).digest
    other = table.assign(murder=table["murder"] + 1)
    assert of.add_county_file(panel, table).digest != of.add_county_file(panel, other).digest
    assert of.add_county_file(replace(panel, digest="0" * 16), table).digest != panel.digest
