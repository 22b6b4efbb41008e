"""The plain loop gives the grid's estimates, on an invented panel; how long it takes is measured elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.base.records import Geography, Panel
from analysis.evidence.multiverse import plan
from analysis.evidence.runs import Workshop, run_spec
from tests.benchmarks.grids import (
    BEGIN,
    END,
    Measured,
    Run,
    bytes_a_cell,
    declared,
    loop_lines,
    paper,
    put_in,
    verdict,
)
from tests.benchmarks.plain_loop import TOLERANCE, Timed, draw, kind_of, measure, plain_estimate
from tests.benchmarks.watch import Memory
from tests.evidence.evidence_cases import panel

# One option of what changes the sample alone; both of what changes the arithmetic.
ONE = {
    "definition": ["full decline"],
    "california": ["with"],
    "window": ["2010-2017", "2015"],
    "build": ["residents policed"],
    "outcome": ["violent excluding rape"],
}
WAVES = ("2011-06-15", "2013-06-15", "2014-01-01", "2015-09-01")


@pytest.fixture(scope="module")
def world() -> Panel:
    """Counties of eight states that adopt in four waves, with covariates, gaps in coverage and neighbours."""
    rng = np.random.default_rng(20260101)
    made = panel(4, states=8, per_state=24)
    table = made.table.copy()
    names = np.sort(table["county_fips"].unique())
    own = pd.DataFrame(
        {
            "foreign_born_2006_2010": rng.normal(0.1, 0.03, len(names)),
            "poverty_2010": rng.normal(0.2, 0.05, len(names)),
            "log_population_2010": rng.normal(10.0, 1.0, len(names)),
            "urban_class": rng.choice(["noncore", "small_metro"], len(names)),
        },
        index=names,
    )
    for name, values in own.items():
        table[name] = table["county_fips"].map(values)
    rate = table["rate_policed_property"] * np.exp(rng.normal(0, 0.02, len(table)))
    table["rate_policed_violent_ex_rape"] = rate
    table["coverage_violent_ex_rape"] = rng.choice([1.0, 0.85, 0.5], len(table), p=[0.97, 0.02, 0.01])
    # Four in ten counties adopt, so that arms overlap; waves mix within states.
    adopters = names[rng.random(len(names)) < 0.4]
    first = made.policies.iloc[0].to_dict()
    state = table.drop_duplicates("county_fips").set_index("county_fips")["state"]
    events = []
    for i, county in enumerate(adopters):
        date = WAVES[i % len(WAVES)]
        events.append(
            first
            | {"event": f"D2-{county}", "jurisdiction": county, "county_fips": county, "state": state[county]}
            | {"date": date, "year": int(date[:4]), "month": int(date[5:7])}
        )
    ring = pd.DataFrame({"county_fips": names, "neighbour_fips": np.roll(names, 1)})
    touching = pd.concat([ring, ring.set_axis(["neighbour_fips", "county_fips"], axis=1)], ignore_index=True)
    return replace(
        made,
        table=table,
        constant=table,
        policies=pd.DataFrame(events),
        geography=Geography(neighbours=touching[["county_fips", "neighbour_fips"]]),
    )


@pytest.fixture(scope="module")
def cells():
    return [cell for cell in declared().only(**ONE).cells() if cell.spec is not None]


def test_every_cell_has_the_grids_estimate(world, cells):
    kinds, shop = {}, Workshop(world)
    for cell in cells:
        design = shop.design(cell.spec)
        run = run_spec(world, cell.spec, design)
        assert not run.failure, f"{cell.spec.name}: {run.failure}"
        ours = run.estimates["post"].table["estimate"].iloc[0]
        np.testing.assert_allclose(plain_estimate(design), ours, rtol=TOLERANCE, err_msg=cell.spec.name)
        kinds.setdefault(kind_of(cell), []).append(ours)
    assert len(kinds) == 13
    # Estimates that do not differ would agree whatever the loop did.
    assert all(len(set(np.round(found, 9))) > 1 for found in kinds.values())


def test_cells_are_drawn_in_the_grids_proportions_the_same_each_time():
    grid = declared().only(**{choice: ONE[choice] for choice in ("definition", "california", "window")})
    drawn, held = draw(grid, 130), plan(grid).cells
    assert sum(size for size, _ in drawn.values()) == held
    assert len(drawn) == 13
    for (family, kind), (size, cells) in drawn.items():
        assert len(cells) == max(3, round(130 * size / held))
        assert {(cell.family, kind_of(cell)) for cell in cells} == {(family, kind)}
        assert len({cell.spec.name for cell in cells}) == len(cells)
    again = draw(grid, 130)
    assert [cell.spec.name for _, cells in drawn.values() for cell in cells] == [
        cell.spec.name for _, cells in again.values() for cell in cells
    ]


def test_an_estimate_that_differs_is_named(world, monkeypatch):
    from tests.benchmarks import plain_loop

    alone = ONE | {"window": ["2010-2017"], "scale": ["log"], "sample": ["covered 90 %, every year"]}
    grid = declared().only(["two_way", "border"], **alone)
    lines, differ = measure(world, grid, 1)
    assert not differ
    assert all(line.agree == line.timed and line.rows > 0 and line.calls > 0 for line in lines)
    right = plain_loop.ESTIMATORS["two_way"]
    monkeypatch.setitem(plain_loop.ESTIMATORS, "two_way", lambda design: right(design) * (1 + 1e-5))
    lines, differ = measure(world, grid, 1)
    assert differ and all("/two_way/" in name for name in differ)
    assert len(differ) == sum(line.timed - line.agree for line in lines)


def test_a_cell_leaves_little_behind():
    assert 100 < bytes_a_cell(declared().only(["border"], definition=["full decline"])) < 1000


def _run(cells: int, seconds: float, first: float) -> Run:
    found = {"cells": cells, "samples": cells // 4, "seconds": seconds, "parcels": cells // 50}
    return Run(
        found | {"store_bytes": 1000 * cells, "table_bytes": 500 * cells, "simulated": True},
        Memory(first, 400.0, first + 800.0),
    )


def test_the_ratio_weighs_kinds_as_the_grid_holds_them(tmp_path):
    # 900 cells of 0.1 s and 100 of 1.1 s: 0.2 s a cell; ours 100 a second, so 20 times.
    loop = (
        Timed("a", "quick", 900, 3, 0.06, 0.01, 0.04, 0.0, 3),
        Timed("b", "slow", 100, 3, 0.16, 0.01, 0.94, 0.03, 3),
    )
    families = (
        {"label": "first", "cells": 900, "seconds": 0.01},
        {"label": "other", "cells": 100, "seconds": 0.11},
    )
    made = Measured((_run(200, 3.0, 500.0), _run(1000, 10.0, 508.0)), families, 500.0, loop, ())
    assert made.times("rows", "calls") == pytest.approx(20.0)
    assert made.times("calls") == pytest.approx(13.0)
    assert made.loop_error == pytest.approx(0.1 * 0.1)
    assert made.met and not replace(made, differ=("a cell",)).met
    assert "20 times (target 20), 10 a process" in verdict(made)
    assert loop_lines(made)[-1][2:] == ("6", "70", "10", "130", "6 of 6")
    # 0.02 s a cell of one process; 500 bytes a cell of the largest family, which grows from 900 to 90,000.
    block = paper(made, cells=100_000)
    assert "| all | 1,000 | 0.0200 | 100,000 | 0.56 |" in block
    assert "| time | 0.0200 s of a process a cell | 17 minutes of 2 processes, 2 of 16 |" in block
    assert "500 bytes a cell of the family it is at | 45 MB more |" in block and "SIMULATED" in block
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n", encoding="utf-8")
    put_in(page, block)
    put_in(page, block)
    assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}\n{block}\n{END}after\n"
    with pytest.raises(ValueError, match="no marks"):
        put_in_page = tmp_path / "bare.md"
        put_in_page.write_text("nothing", encoding="utf-8")
        put_in(put_in_page, block)
