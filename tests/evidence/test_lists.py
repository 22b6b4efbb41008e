"""The authors' own lists: found by name, refused outside the window, and run in place of a definition of ours."""

from __future__ import annotations

import evidence_cases as cases
import pytest

from analysis.base.errors import SourceError
from analysis.evidence.runs import run_spec
from analysis.evidence.studies.lists import on_own_list, own_list_specs, own_lists
from analysis.evidence.studies.record import Ask, PublishedStudy

ASK = Ask("someone2019.property", ("property",), "per_100k", "case", null=True)


def study(name: str = "someone2019", **more) -> PublishedStudy:
    return PublishedStudy(
        name, "Someone", 2019, 2016, "a journal", "county", "a list", (2010, 2017), "difference_in_differences", True,
        "A design.", ("known",), ("chosen",), "a reading", **more,
    )  # fmt: skip


def write(folder, rows: list[tuple[str, str]], name: str = "someone2019.csv"):
    path = folder / name
    path.write_text("county_fips,date\n" + "".join(f"{fips},{date}\n" for fips, date in rows))
    return path


def test_a_list_is_found_by_the_name_of_its_study(tmp_path):
    path = write(tmp_path, [("17001", "2013-06")])
    assert own_lists(tmp_path, [study()]) == {"someone2019": path}
    assert own_lists(tmp_path / "absent", [study()]) == {}
    write(tmp_path, [], "somone2019.csv")
    with pytest.raises(SourceError, match=r"somone2019\.csv is named after no published study.*someone2019"):
        own_lists(tmp_path, [study()])


@pytest.mark.parametrize("date", ["2019-05", "2010-02"])
def test_a_list_outside_the_window_is_refused_with_the_figure(tmp_path, date):
    path = write(tmp_path, [("17001", date)])
    with pytest.raises(
        SourceError,
        match=r"someone2019\.property: someone2019\.csv holds dates of \d+-\d+.*after 2010 and by 2017",
    ):
        on_own_list(study(), ASK, cases.spec(), path)


def test_a_cross_section_takes_any_date_up_to_its_year(tmp_path):
    spec = cases.spec(cases.CROSS_SECTION)
    early, late = write(tmp_path, [("17001", "2006-01")]), write(tmp_path, [("17001", "2016-01")], "late.csv")
    assert on_own_list(study(), ASK, spec, early).years == (2015,)
    with pytest.raises(SourceError, match="by 2015"):
        on_own_list(study(), ASK, spec, late)


def test_the_specification_runs_on_the_list(tmp_path):
    panel = cases.panel(effect=50.0)
    counties = sorted(panel.policies["county_fips"].dropna().unique())
    path = write(tmp_path, [(fips, "2013-06-01") for fips in counties])
    asked = study(asks=(ASK,))
    ((name, spec),) = own_list_specs([asked], {"someone2019": path}, [cases.spec(), cases.spec(name="other")])
    assert (name, spec.name, spec.status) == ("someone2019", "case/own-list", "added")
    run = run_spec(panel, spec)
    assert not run.failure
    # Half of the listed counties, and the answer would be another.
    fewer = write(tmp_path, [(fips, "2013-06-01") for fips in counties[::2]], "fewer.csv")
    other = run_spec(panel, on_own_list(asked, ASK, cases.spec(), fewer))
    assert (
        other.estimates["post"].table["n_treated"].iloc[0] < run.estimates["post"].table["n_treated"].iloc[0]
    )
    assert spec.digest != on_own_list(asked, ASK, cases.spec(), fewer).digest


def test_a_city_list_needs_no_county_codes(tmp_path):
    from analysis.design.spec import load_spec
    from analysis.evidence.studies.gonzalezobrien2019 import STUDY as CITIES

    specs = {spec.name: spec for spec in load_spec("gonzalezobrien2019").expand()}
    path = tmp_path / "gonzalezobrien2019.csv"
    path.write_text("state,jurisdiction,level,date\nIL,Chicago,city,2012-07\n")
    made = dict(own_list_specs([CITIES], {"gonzalezobrien2019": path}, specs.values()))
    assert set(made) == {"gonzalezobrien2019"}
    late = tmp_path / "late.csv"
    late.write_text("state,jurisdiction,level,date\nIL,Chicago,city,2018-07\n")
    ask = CITIES.asks[0]
    with pytest.raises(SourceError, match=rf"{ask.figure}: late\.csv holds dates of 2018-2018"):
        on_own_list(CITIES, ask, specs[ask.main], late)
