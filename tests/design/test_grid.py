"""Grids: what their files may say, what the study's own grid holds, and that no cell disappears."""

import itertools

import pytest

from analysis.base.errors import SpecError
from analysis.base.paths import Paths
from analysis.design.grid import CHOICES, load_grid, parse_grid

TEXT = (Paths().specs / "multiverse.toml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def grid():
    return load_grid("multiverse")


@pytest.fixture(scope="module")
def cells(grid):
    return list(grid.cells())


def test_every_cell_of_the_cross_product_is_a_specification_or_left_out_with_a_reason(grid, cells):
    assert len(cells) == sum(family.size for family in grid.families)
    assert all((cell.spec is None) == bool(cell.left_out) for cell in cells)
    kept = [cell.spec for cell in cells if cell.spec is not None]
    assert len({spec.name for spec in kept}) == len(kept) == len({spec.digest for spec in kept})
    # One specification is one point estimate: inference adds columns, not cells (rule 22).
    assert len({(spec.inference.vcov, spec.inference.level) for spec in kept}) == 1


def test_a_cell_holds_what_its_options_say(grid, cells):
    for cell in cells[:: len(cells) // 60]:
        if cell.spec is None:
            continue
        family = next(one for one in grid.families if one.name == cell.family)
        flat = cell.spec.flat()
        wanted = dict(family.changes)
        for choice, option in cell.options.items():
            wanted |= family.options[choice][option]
        for key, value in wanted.items():
            assert flat[key] == value, (cell.spec.name, key)


def test_matching_and_staggered_families_are_each_a_fifth_at_least(cells):
    kept = [cell.family for cell in cells if cell.spec is not None]
    assert len(kept) >= 5_000
    for family in ("matching", "staggered"):
        assert kept.count(family) / len(kept) >= 0.2


def test_the_grid_keeps_the_protocol(cells):
    kept = [cell.spec for cell in cells if cell.spec is not None]
    assert {"violent", "violent_ex_rape"} <= {spec.outcome.measure for spec in kept}  # rule 3
    assert {"CA" in spec.sample.drop_states for spec in kept} == {True, False}  # rule 8
    assert {"state", "none"} <= {spec.within for spec in kept}
    assert not {spec.treatment.definition for spec in kept} & {"dhs_2025", "doj_2025"}  # rule 6
    refused = [cell for cell in cells if cell.left_out.startswith("rule ")]
    assert any("declines_share25" in cell.left_out for cell in refused)
    assert any("state_law" in cell.left_out for cell in refused)


def test_choices_come_in_one_order(grid):
    for family in grid.families:
        places = [CHOICES.index(choice) for choice in family.choices]
        assert places == sorted(places)


def test_the_digest_moves_with_the_grid_and_not_with_its_formatting(grid):
    assert parse_grid(TEXT + "\n# a comment\n").digest == grid.digest
    assert parse_grid(TEXT.replace("0.80", "0.85")).digest != grid.digest
    assert parse_grid(TEXT.replace('"without" = ', '"out" = ')).digest != grid.digest


def test_a_cell_is_found_by_its_name(grid, cells):
    first = next(cell for cell in cells if cell.spec is not None)
    assert grid.cell(first.spec.name) == first
    with pytest.raises(SpecError, match="no cell 'multiverse/none'"):
        grid.cell("multiverse/none")


SMALL = (
    TEXT[: TEXT.index("# --- choices")]
    + """
[grid.options.outcome]
"violent"  = { "outcome.measure" = "violent" }
"property" = { "outcome.measure" = "property" }

[grid.families.two_way]
label   = "two-way regression"
choices = ["outcome", "estimator"]
[grid.families.two_way.options.estimator]
"county" = { "estimator.name" = "two_way", "estimator.effects" = "county_year" }
"state"  = { "estimator.name" = "two_way", "estimator.effects" = "state_by_year" }
"again"  = { "estimator.name" = "two_way", "estimator.effects" = "state_by_year" }

[[grid.leave_out]]
when   = { outcome = ["violent"], estimator = "state" }
reason = "for the sake of it"
"""
)


def test_a_cell_that_repeats_another_is_left_out_with_its_name():
    cells = list(parse_grid(SMALL).cells())
    assert [cell.left_out for cell in cells] == [
        "",
        "for the sake of it",
        "",
        "",
        "",
        "says what multiverse/two_way/property/state says",
    ]
    assert [dict(cell.options) for cell in cells] == [
        {"outcome": outcome, "estimator": estimator}
        for outcome, estimator in itertools.product(("violent", "property"), ("county", "state", "again"))
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('choices = ["outcome", "estimator"]', 'choices = ["outcom", "estimator"]', "no options for 'outcom'"),
        ('choices = ["outcome", "estimator"]', 'choices = ["outcome"]', "which it does not cross"),
        ('choices = ["outcome", "estimator"]', 'choices = ["outcome", "outcome"]', "choices ="),
        ("[grid.options.outcome]", "[grid.option.outcome]", "unknown key 'option' in grid"),
        ("[grid.options.outcome]", "[grid.options.outcomes]", "unknown key 'outcomes'"),
        ('"outcome.measure" = "violent"', '"outcome.measur" = "violent"', "unknown key 'outcome.measur'"),
        ('estimator = "state" }', 'estimator = "stat" }', "no option 'stat'"),
        ('reason = "for the sake of it"', "", "has no reason"),
        ('label   = "two-way regression"', "", "label"),
        ('"estimator.effects" = "county_year"', '"estimator.effects" = "county"', "two_way/violent/county"),
        ("[grid.families.two_way]\n", '[vary]\n"outcome.measure" = ["violent", "property"]\n[grid.families.two_way]\n', "beside"),
    ],
)  # fmt: skip
def test_what_a_grid_cannot_hold_is_an_error_that_names_it(old, new, words):
    assert old in SMALL
    with pytest.raises(SpecError, match=words.replace("[", r"\[")):
        list(parse_grid(SMALL.replace(old, new)).cells())


def test_a_file_without_a_grid_says_so():
    with pytest.raises(SpecError, match="no \\[grid\\]"):
        parse_grid(TEXT[: TEXT.index("# --- choices")])


def test_a_part_of_the_grid_holds_the_cells_of_the_whole_that_were_asked_for(grid, cells):
    part = grid.only(["two_way", "matching"], outcome=["property"], window=["2010-2017", "2015"])
    wanted = [
        cell
        for cell in cells
        if cell.family in ("two_way", "matching")
        and cell.options["outcome"] == "property"
        and cell.options["window"] in ("2010-2017", "2015")
    ]
    assert list(part.cells()) == wanted
    assert [family.name for family in grid.only(window=["2015"]).families] == ["matching"]
    with pytest.raises(SpecError, match="no family 'matchin'"):
        grid.only(["matchin"])
    with pytest.raises(SpecError, match="outcome has no option 'propert'"):
        grid.only(outcome=["propert"])


def test_the_joint_test_asks_for_cells_of_the_grid(grid, cells):
    tested = list(grid.tested())
    assert tested and all(cell in cells for cell in tested[::97])
    assert {cell.options["outcome"] for cell in tested} == {"violent excluding rape", "property"}
    assert {cell.family for cell in tested} == {"staggered", "two_way"}
    with pytest.raises(SpecError, match="joint_test: definition has no option 'full'"):
        parse_grid(TEXT.replace('definition = ["full decline", "any limit"]', 'definition = ["full"]'))
