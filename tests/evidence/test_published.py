"""The registry of published figures: read as it stands, refused where it slips, converted with its uncertainty."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.base.errors import TableError
from analysis.base.paths import Paths
from analysis.evidence.claims import load_claims
from analysis.evidence.published import (
    COLUMNS,
    UNIT_CODES,
    direction_of,
    load_published,
    to_unit,
)
from analysis.evidence.reporting_inputs import load_inputs

FILE = Paths().codebook.with_name("published.yaml")

ENTRY = {
    "id": "some2020.crime", "study": "Some 2020 (Journal)", "outcome": "crime", "unit": "log points", "method": "two-way",
    "estimate": "0.0160", "sign": "'+'", "se": "0.0080", "ci": "null", "t": "null", "p": "null", "n": "null", "where": "table 1",
    "confidence": "verbatim-seen", "seen_in": "primary table", "url": "null",
}  # fmt: skip


def text_of(**changed: str | None) -> str:
    kept = {key: value for key, value in {**ENTRY, **changed}.items() if value is not None}
    return "- " + "\n  ".join(f"{key}: {value}" for key, value in kept.items()) + "\n"


def loaded(tmp_path, *entries: str, head: str = "version: 1\nentries:\n"):
    file = tmp_path / "published.yaml"
    file.write_text(head + "".join(entries), encoding="utf-8")
    return load_published(file)


def one(tmp_path, **changed: str | None):
    return loaded(tmp_path, text_of(**changed)).figures[0]


# --------------------------------------------------------------------------------------------------------
# The file as it stands
# --------------------------------------------------------------------------------------------------------


def test_every_figure_is_there_with_its_confidence():
    figures = load_published().figures
    assert len(figures) == len({figure.id for figure in figures}) == 214
    held = [figure.confidence for figure in figures]
    assert [held.count(c) for c in ("verbatim-seen", "inferred", "from memory")] == [200, 5, 9]
    assert len({figure.study for figure in figures}) == 23


def test_nothing_unread_is_a_pass_mark():
    published = load_published()
    for figure in published.figures:
        assert figure.pass_mark == (figure.confidence == "verbatim-seen"), figure.id
    derived = published.figure("wong2017.crime.large_central_metro.control_mean")
    assert (derived.seen_in, derived.pass_mark) == ("derived", False)


def test_only_the_border_study_has_errors():
    with_error = {figure.key for figure in load_published().figures if figure.se is not None}
    assert with_error == {"biasi"}
    assert all(figure.t is None and figure.p is None for figure in load_published().figures)


@pytest.mark.parametrize(
    ("id", "code", "kind", "direction", "null", "n"),
    [
        ("wong2017.crime.all", "per_10k", "change", -1, False, 2492),
        ("wong2017.crime.large_central_metro.control_mean", "per_10k", "level", None, False, None),
        ("wong2017.small_counties", "sign_only", "direction", None, False, None),
        ("hausman2020.deport.all", "proportion", "change", -1, False, None),
        ("hausman2020.crime", "proportion", "change", 0, True, None),
        ("martinezschuldt2019.homicide", "log_points", "change", 0, True, 107),
        ("otsu2021.property", "sign_only", "direction", -1, False, None),
        ("wong2018survey.witness", "percent", "worded size", None, False, 594),
        ("kangsong2021", "sign_only", "direction", None, False, None),
        ("gjw2024.reported_crime", "sign_only", "direction", 0, True, None),
        ("martinezschuldt2021.reporting", "odds_ratio", "ratio", 1, False, None),
        ("biasi.logcrime_cleared_dd.c1", "share", "change", -1, False, None),
        ("nchs2006.n.noncore", "count", "level", None, False, 3141),
    ],
)
def test_what_a_figure_is(id, code, kind, direction, null, n):
    figure = load_published().figure(id)
    assert (figure.unit_code, figure.kind, figure.direction, figure.null, figure.n) == (
        code,
        kind,
        direction,
        null,
        n,
    )


def test_every_change_with_a_size_has_its_sign():
    for figure in load_published().figures:
        if figure.kind == "change" and figure.estimate is not None:
            assert figure.direction == np.sign(figure.estimate), figure.id


def test_conditional_interval_is_kept_as_text():
    figure = load_published().figure("wong2017.crime.large_central_metro.control_mean")
    assert figure.ci is None
    assert figure.ci_text.startswith("[422, 451] if")


def test_claims_that_head_the_study_say_what_is_registered():
    published = load_published()
    for claim in load_claims().claims:
        assert not claim.n_treated_id or published.figure(claim.n_treated_id).n is not None
        for fact in claim.facts:
            figure = published.figure(fact.id)
            assert (figure.estimate, figure.se, figure.unit_code) == (fact.size, fact.std_error, fact.unit)
            assert figure.null == (claim.kind == "null")


def test_inputs_of_reporting_bounds_say_what_is_registered():
    published = load_published()
    registered = [entry for entry in load_inputs().inputs if entry.registered]
    assert len(registered) >= 6
    for entry in registered:
        figure = published.figure(entry.id)
        # Changes printed as per cent; the two others are recomputed in the inputs (16 % of a base, 65 over 49).
        if figure.estimate is not None and figure.unit_code == "percent" and entry.unit == "percent change":
            assert round(abs(entry.value)) == abs(figure.estimate), entry.id


def test_frame_has_a_row_a_figure_and_missing_stays_missing():
    frame = load_published().frame().set_index("id")
    assert [*frame.reset_index().columns] == list(COLUMNS)
    assert len(frame) == 214
    wong = frame.loc["wong2017.crime.all"]
    assert wong["estimate"] == -35.5
    assert np.isnan([wong["se"], wong["t"], wong["p"], wong["ci_low"]]).all()
    assert frame["estimate"].dtype == float


def test_unknown_identifier_names_the_nearest():
    with pytest.raises(TableError, match=r"did you mean wong2017\.crime\.all"):
        load_published().figure("wong2017.crime.al")


# --------------------------------------------------------------------------------------------------------
# Filled in later
# --------------------------------------------------------------------------------------------------------


def test_filled_in_figure_loads_as_it_is_printed(tmp_path):
    figure = one(
        tmp_path, ci="'95% [0.0003, 0.0317]'", t="2.00", p="0.046", n="'1,234 counties'", notes="'of the appendix'"
    )  # fmt: skip
    assert (figure.estimate, figure.se, figure.t, figure.p, figure.n) == (0.016, 0.008, 2.0, 0.046, 1234)
    assert figure.ci == (0.0003, 0.0317)
    assert dict(figure.decimals) == {"estimate": 4, "se": 4, "t": 2, "ci": 4, "p": 3}


def test_null_in_words_can_be_given_a_size(tmp_path):
    figure = one(tmp_path, sign="'+ (not distinguishable from zero)'", p="'p = 0.30'")
    assert (figure.direction, figure.null, figure.p) == (1, True, 0.3)


@pytest.mark.parametrize(
    ("ci", "ends", "level"),
    [
        ("[-0.1, 0.2]", (-0.1, 0.2), 0.95),
        ("'−0.1 to 0.2'", (-0.1, 0.2), 0.95),
        ("'90% CI: (0.01, 0.2)'", (0.01, 0.2), 0.90),
        ("'[0.1, 0.2] if rounded'", None, 0.95),
        ("null", None, 0.95),
    ],
)
def test_intervals(tmp_path, ci, ends, level):
    figure = one(tmp_path, ci=ci)
    assert figure.ci == ends
    assert figure.ci_level == pytest.approx(level)


@pytest.mark.parametrize(
    ("p", "bounds"),
    [
        ("p<0.05", (0.0, 0.05)),
        ("'>0.05 (value not seen)'", (0.05, 1.0)),
        ("p>=0.10", (0.10, 1.0)),
        ("0.03", (0.03, 0.03)),
        ("highly significant", None),
        ("null", None),
    ],
)
def test_what_words_on_p_allow(tmp_path, p, bounds):
    assert one(tmp_path, p=p).p_bounds == bounds


@pytest.mark.parametrize(
    ("n", "found"),
    [("107 cities", 107), ("about 60", None), ("'2,492 of 3,141'", 2492), ("0.5 million", None), ("40 % of 12", None)],
)  # fmt: skip
def test_sample_sizes_begin_with_a_whole_number(tmp_path, n, found):
    assert one(tmp_path, n=n).n == found


@pytest.mark.parametrize(
    ("sign", "direction"),
    [
        ("+", 1),
        ("- (weaker)", -1),
        ("−", -1),
        ("no detectable change", 0),
        ("largest effects", None),
        ("", None),
    ],
)
def test_directions(sign, direction):
    assert direction_of(sign) == direction


# --------------------------------------------------------------------------------------------------------
# Refused, with the entry's name
# --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"unit": "furlongs"}, "the unit 'furlongs' cannot be converted"),
        ({"unit": "log point"}, "did you mean log points"),
        ({"sign": None}, "without its sign"),
        ({"sign": "null"}, "without its sign"),
        ({"sign": "no effect"}, "without its sign; the sign is 'no effect'"),
        ({"sign": "'-'"}, "stands against the estimate"),
        ({"unit": "difference-in-differences"}, "which says no scale"),
        ({"unit": "odds ratio", "estimate": "0.8"}, "stands against the estimate"),
        ({"unit": "odds ratio", "estimate": "-0.8", "sign": "'-'"}, "an odds ratio of -0.8"),
        ({"se": "-0.1"}, "se = -0.1"),
        ({"se": "small"}, "se = 'small'"),
        ({"se": ".nan"}, "se = "),
        ({"estimate": "yes"}, "estimate = True"),
        ({"ci": "[0.3, 0.1]"}, "the lower end first"),
        ({"ci": "[0.3]"}, r"expected \[low, high\]"),
        ({"ci": "0.3"}, "ci = "),
        ({"p": "1.2"}, "p = 1.2"),
        ({"n": "-3"}, "n = -3"),
        ({"n": "true"}, "n = True"),
        ({"n": "1.5"}, "n = 1.5"),
        ({"t": "'2.0'"}, "t = '2.0'"),
        ({"confidence": "seen"}, "confidence = 'seen'"),
        ({"study": "null"}, "study = None"),
        ({"url": "3"}, "url = 3"),
        ({"where": "''"}, "where = ''"),
        ({"note": "x"}, "unknown key 'note'"),
        ({"method": None}, "lacks method"),
        ({"outcome": "2015-01-01"}, "outcome = "),
    ],
)
def test_a_slip_is_refused_by_name(tmp_path, changed, words):
    with pytest.raises(TableError, match=words) as caught:
        one(tmp_path, **changed)
    assert "some2020.crime" in str(caught.value)
    assert "published.yaml, entry 1" in str(caught.value)


def test_an_identifier_twice_is_refused_with_both_places(tmp_path):
    with pytest.raises(TableError, match=r"some2020\.crime is registered twice, as entries 1 and 3"):
        loaded(tmp_path, text_of(), text_of(id="other2020.crime"), text_of())


def test_a_key_twice_is_refused(tmp_path):
    with pytest.raises(TableError, match=r"some2020\.crime: the key 'se' stands twice.*line 3"):
        loaded(tmp_path, text_of() + "  se: 0.5\n")


@pytest.mark.parametrize("id", ["Some2020", "some 2020", ".crime"])
def test_identifiers_are_plain(tmp_path, id):
    with pytest.raises(TableError, match="lower-case words"):
        one(tmp_path, id=f"'{id}'")


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("version: 2\nentries:\n", "version = 2"),
        ("entries:\n", "does not hold 'version'"),
        ("version: 1\nmore: 2\nentries:\n", "does not hold"),
        ("version: [\n", "is not YAML"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, head, words):
    with pytest.raises(TableError, match=words):
        loaded(tmp_path, text_of(), head=head)


@pytest.mark.parametrize("unit", ["crimes per 10,000", "counties", "percent (press rounding)"])
def test_levels_and_worded_sizes_need_no_sign(tmp_path, unit):
    assert one(tmp_path, unit=unit, sign=None, estimate="5").estimate == 5.0


def test_every_unit_of_change_needs_its_sign(tmp_path):
    """No unit slips through: each either refuses an unsigned estimate or is one of the stated exceptions."""
    lenient = set()
    for unit in UNIT_CODES:
        try:
            one(tmp_path, unit=f"'{unit}'", sign=None)
        except TableError:
            load_published.cache_clear()
            continue
        load_published.cache_clear()
        lenient.add(unit)
    assert lenient == {
        "crimes per 10,000", "crimes per 100,000", "percent of urban counties", "percent (vs 49 for US-born)",
        "percent (press rounding)", "group mean (SD given in notes)", "counties", "cities", "persons", "count",
    }  # fmt: skip


# --------------------------------------------------------------------------------------------------------
# Conversions
# --------------------------------------------------------------------------------------------------------


def figure_of(tmp_path, unit: str, estimate: float, se: float | str = "null"):
    return one(tmp_path, unit=f"'{unit}'", estimate=f"{estimate}", se=f"{se}", sign="'+'" if estimate > 0 else "'-'")  # fmt: skip


def test_rates_convert_exactly(tmp_path):
    made = to_unit(figure_of(tmp_path, "crimes per 10,000 residents, difference", -35.5, 10.0), "per_100k")
    half = 1.959963984540054 * 100
    assert (made.estimate, made.se) == (-355.0, 100.0)
    assert (made.low, made.high) == pytest.approx((-355 - half, -355 + half))


@pytest.mark.parametrize(
    ("own", "start", "unit", "baseline"),
    [
        ("log points", 0.2, "percent", np.nan),
        ("log points", 0.2, "per_100k", 300.0),
        ("percent change", -30.0, "log_points", np.nan),
        ("percent change", -30.0, "per_10k", 40.0),
        ("proportional change", -0.3, "log_points", np.nan),
        ("proportional change", -0.3, "percent", np.nan),
        ("crimes per 10,000 residents, difference", -35.5, "percent", 300.0),
        ("crimes per 10,000 residents, difference", -35.5, "log_points", 300.0),
        ("US dollars, difference", 4353.0, "percent", 50_000.0),
        ("percentage points", 0.15, "percent", 0.9),
    ],
)
def test_errors_follow_the_derivative(tmp_path, own, start, unit, baseline):
    """The error in the new unit is the numerical derivative of the conversion times the error in the old one."""
    step = 1e-5 * abs(start)
    low, middle, high = (
        to_unit(figure_of(tmp_path / str(at), own, start + move, 0.01), unit, baseline)
        for at, move in enumerate((-step, 0.0, step))
        if (tmp_path / str(at)).mkdir() is None
    )
    assert middle.se == pytest.approx(0.01 * abs(high.estimate - low.estimate) / (2 * step), rel=1e-6)
    assert middle.low < middle.estimate < middle.high


def test_units_agree_along_both_ways(tmp_path):
    """Rate to log points and to per cent tell one story, and log points of per cent are those of the rate."""
    rate = figure_of(tmp_path, "crimes per 10,000 residents, difference", -35.5)
    logs, percent = (to_unit(rate, unit, 300.0).estimate for unit in ("log_points", "percent"))
    assert 100 * np.expm1(logs) == pytest.approx(percent) == pytest.approx(-35.5 / 3)


def test_registered_interval_moves_instead_of_the_error(tmp_path):
    figure = one(tmp_path, ci="[0.001, 0.05]")
    made = to_unit(figure, "percent")
    assert (made.low, made.high) == pytest.approx((100 * np.expm1(0.001), 100 * np.expm1(0.05)))


def test_missing_stays_missing():
    null = to_unit(load_published().figure("hausman2020.crime"), "log_points")
    assert np.isnan([null.estimate, null.se, null.low, null.high]).all()
    wong = load_published().figure("wong2017.crime.all")
    assert np.isnan(to_unit(wong, "percent").estimate), "no mean was given"
    assert np.isnan(to_unit(wong, "per_100k").se), "no error was published, so none is made"


@pytest.mark.parametrize(
    ("id", "unit"),
    [
        ("wong2017.income", "per_10k"),
        ("wong2017.poverty", "log_points"),
        ("wong2017.n_total", "percent"),
        ("wong2018survey.witness", "log_points"),
        ("wong2017.crime.large_central_metro.control_mean", "percent"),
        ("martinezschuldt2021.reporting", "log_points"),
        ("wong2017.crime.all", "furlongs"),
    ],
)
def test_what_has_no_way_is_refused_by_name(id, unit):
    with pytest.raises(TableError, match=id.replace(".", r"\.")):
        to_unit(load_published().figure(id), unit, 100.0)


def test_as_measured_is_the_figure_itself():
    made = to_unit(load_published().figure("hausman2020.deport.all"), "as_measured")
    assert (made.unit, made.estimate) == ("proportion", -0.33)
