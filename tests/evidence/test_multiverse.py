"""The grid as it is run: resumed after being killed, on processes or a cluster, always the same bytes and numbers."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evidence_cases import SPEC, panel

from analysis.base.errors import SpecError, StudyError
from analysis.design.grid import parse_grid
from analysis.evidence.multiverse import (
    CELLS_A_PARCEL,
    GRID_COLUMNS,
    Engine,
    assemble,
    parcels,
    plan,
    read_multiverse,
    run_grid,
    seconds_a_cell,
)
from analysis.evidence.runs import Workshop, run_spec, sample_key

GRID_TEXT = (
    SPEC
    + """
[grid.options.outcome]
"property" = { "outcome.measure" = "property" }
"total"    = { "outcome.measure" = "total" }
[grid.options.scale]
"rate" = { "outcome.scale" = "rate_100k" }
"log"  = { "outcome.scale" = "log_rate" }
[grid.options.sample]
"all"    = { "sample.min_population" = 10_000 }
"nobody" = { "sample.min_population" = 900_000 }
[grid.options.california]
"with"    = { "sample.drop_states" = [] }
"without" = { "sample.drop_states" = ["IA"] }
[grid.options.weights]
"residents" = { "estimator.weights" = "population_baseline" }
"counties"  = { "estimator.weights" = "none" }
[grid.families.staggered]
label   = "staggered adoption"
choices = ["california", "sample", "scale", "outcome", "estimator", "weights"]
[grid.families.staggered.options.estimator]
"between" = { "estimator.within" = "none" }
"within"  = { "estimator.within" = "state" }
[grid.families.two_way]
label   = "two-way regression"
choices = ["california", "scale", "outcome", "estimator", "weights"]
[grid.families.two_way.options.estimator]
"county" = { "estimator.name" = "two_way", "estimator.effects" = "county_year" }
[[grid.leave_out]]
family = "two_way"
when   = { scale = ["log"], outcome = ["total"] }
reason = "for the sake of it"
"""
)
KEY = "panel and code"
SIZE = 6


@pytest.fixture(scope="module")
def cases():
    return panel()


@pytest.fixture(scope="module")
def grid():
    return parse_grid(GRID_TEXT, where="grid.toml")


@pytest.fixture(scope="module")
def whole(cases, grid, tmp_path_factory):
    """One uninterrupted run in this process."""
    folder = tmp_path_factory.mktemp("whole")
    ran = run_grid(cases, grid, folder / "store", key=KEY, engine=Engine(jobs=1), size=SIZE)
    assemble(ran, folder / "store", folder / "table.parquet")
    return folder / "table.parquet"


def test_the_plan_counts_every_cell(grid, whole):
    found = plan(grid)
    families = found.families.set_index("family")
    assert families["cells"].to_dict() == {"staggered": 64, "two_way": 12}
    assert families["left_out"].to_dict() == {"staggered": 0, "two_way": 4}
    assert found.cells == 76 == len(read_multiverse(whole))
    assert found.left_out.to_dict("records") == [
        {"family": "two_way", "reason": "for the sake of it", "cells": 4}
    ]
    samples = {sample_key(cell.spec) for cell in grid.cells() if cell.spec and cell.family == "staggered"}
    assert families.loc["staggered", "samples"] == len(samples)


def test_parcels_hold_every_cell_once_in_order_and_cut_no_sample(grid):
    names = [cell.spec.name for cell in grid.cells() if cell.spec]
    for size in (1, SIZE, 1000):
        found = list(parcels(grid, size))
        assert [cell.spec.name for parcel in found for cell in parcel.cells] == names
        assert sum(parcel.met for parcel in found) == 80
        keys = [sample_key(batch[0].spec) for parcel in found for batch in parcel.batches]
        assert all(a != b for a, b in itertools.pairwise(keys))
        for parcel in found:
            for batch in parcel.batches:
                assert len({sample_key(cell.spec) for cell in batch}) == 1


def test_every_cell_is_a_row_and_a_failed_one_says_why(grid, whole):
    table = read_multiverse(whole)
    assert tuple(table.columns) == GRID_COLUMNS
    names = [cell.spec.name for cell in grid.cells() if cell.spec]
    assert table["spec"].tolist() == names
    nobody = table["choice_sample"] == "nobody"
    assert nobody.sum() == 32 and table.loc[nobody, "estimate"].isna().all()
    assert table.loc[nobody, "failure"].str.contains("no treated county is left").all()
    assert table.loc[~nobody, "estimate"].notna().all() and (table.loc[~nobody, "failure"] == "").all()
    assert (table.loc[table["family"] == "two_way", "choice_sample"] == "").all()


def test_a_cell_of_the_table_equals_its_spec_run_alone(cases, grid, whole):
    table = read_multiverse(whole).set_index("spec")
    for cell in grid.cells():
        if cell.spec is None or table.loc[cell.spec.name, "failure"]:
            continue
        alone = run_spec(cases, cell.spec).estimates["post"].table.iloc[0]
        row = table.loc[cell.spec.name]
        for name in ("estimate", "std_error", "conf_low", "conf_high", "p_value"):
            np.testing.assert_allclose(row[name], alone[name], rtol=1e-10, atol=0, equal_nan=True)


def test_processes_give_the_bytes_of_one_process(cases, grid, whole, tmp_path):
    ran = run_grid(cases, grid, tmp_path / "store", key=KEY, engine=Engine(jobs=2), size=SIZE)
    assemble(ran, tmp_path / "store", tmp_path / "table.parquet")
    assert (tmp_path / "table.parquet").read_bytes() == whole.read_bytes()


def test_what_is_in_the_store_is_not_run_again_and_another_key_takes_nothing_up(cases, grid, whole, tmp_path):
    seen: list[tuple[int, int]] = []
    store = tmp_path / "store"
    first = run_grid(cases, grid, store, key=KEY, engine=Engine(jobs=1), size=SIZE,
                     progress=lambda done, everything: seen.append((done, everything)))  # fmt: skip
    assert first.cells == 76 and seen[-1] == (80, 80) and [d for d, _ in seen] == sorted({d for d, _ in seen})
    again = run_grid(cases, grid, store, key=KEY, engine=Engine(jobs=1), size=SIZE)
    assert again.cells == 0 and again.parcels == first.parcels
    gone = sorted(store.glob("*.parquet"))[2]
    lost = len(pd.read_parquet(gone))
    gone.unlink()
    with pytest.raises(StudyError, match="missing from the store"):
        assemble(first, store, tmp_path / "table.parquet")
    assert not (tmp_path / "table.parquet").exists()
    assert run_grid(cases, grid, store, key=KEY, engine=Engine(jobs=1), size=SIZE).cells == lost
    assert assemble(first, store, tmp_path / "table.parquet") == 76
    part = grid.only(["two_way"])
    other = run_grid(cases, part, store, key="another panel", engine=Engine(jobs=1), size=SIZE)
    assert other.cells == 12 and not set(other.parcels) & set(first.parcels)


CHILD = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from evidence_cases import panel
    from test_multiverse import GRID_TEXT, KEY, SIZE
    from analysis.design.grid import parse_grid
    from analysis.evidence.multiverse import Engine, run_grid
    if __name__ == "__main__":
        run_grid(panel(), parse_grid(GRID_TEXT, where="grid.toml"), Path(sys.argv[1]), key=KEY,
                 engine=Engine(jobs=int(sys.argv[3])), size=SIZE,
                 progress=lambda done, everything: print(done, flush=True))
    """
)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_killed_at_random_points_ends_with_the_same_bytes(grid, whole, tmp_path, jobs):
    store = tmp_path / "store"
    draw = random.Random(jobs)
    kills = 0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(store), str(Path(__file__).parent), str(jobs)],
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        ) as child:
            assert child.stdout is not None
            # Killed after some parcel, at a moment within the next one.
            for _ in range(draw.randint(1, 2)):
                if not child.stdout.readline():
                    break
            time.sleep(draw.uniform(0, 0.05))
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                kills += 1
    assert kills >= 1
    # What a kill leaves half written is under no name that is read.
    ran = run_grid(panel(), grid, store, key=KEY, engine=Engine(jobs=1), size=SIZE)
    assemble(ran, store, tmp_path / "table.parquet")
    assert (tmp_path / "table.parquet").read_bytes() == whole.read_bytes()


def test_a_cluster_with_a_worker_killed_half_way_loses_nothing(cases, grid, whole, tmp_path):
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        host="127.0.0.1",
        silence_logs=50,
        local_directory=str(tmp_path / "dask"),
    ) as cluster:
        victim = next(iter(cluster.workers.values())).pid
        killed = []

        def kill_one(done: int, everything: int) -> None:
            if not killed and done >= everything // 4:
                os.kill(victim, signal.SIGKILL)
                killed.append(done)

        engine = Engine("dask", scheduler=cluster.scheduler_address)
        ran = run_grid(cases, grid, tmp_path / "store", key=KEY, engine=engine, size=SIZE, progress=kill_one)
    assert ran.cells == 76 and killed and killed[0] < 80
    assemble(ran, tmp_path / "store", tmp_path / "table.parquet")
    assert (tmp_path / "table.parquet").read_bytes() == whole.read_bytes()


def test_a_scheduler_that_is_not_there_is_an_error_that_names_it(cases, grid, tmp_path, monkeypatch):
    monkeypatch.setattr("analysis.evidence.multiverse.CONNECT_SECONDS", 1)
    engine = Engine("dask", scheduler="tcp://127.0.0.1:1")
    with pytest.raises(StudyError, match=r"no scheduler answers at tcp://127\.0\.0\.1:1"):
        run_grid(cases, grid, tmp_path, key=KEY, engine=engine)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "ray"}, "engine = 'ray'"),
        ({"name": "dask"}, "without a scheduler"),
        ({"jobs": 0}, "jobs = 0"),
    ],
)
def test_an_engine_that_cannot_be_is_refused(settings, words):
    with pytest.raises(SpecError, match=words):
        Engine(**settings)


def test_a_cell_is_timed_by_family_and_nothing_is_kept(cases, grid, tmp_path):
    found = seconds_a_cell(cases, grid, SIZE)
    assert set(found) == {"staggered", "two_way"} and all(value > 0 for value in found.values())
    assert not list(tmp_path.iterdir())


def test_what_a_worker_holds_does_not_grow_with_the_cells(cases, grid):
    from analysis.design.design import KEPT_SAMPLES
    from analysis.evidence.multiverse import run_parcel

    shop = Workshop(cases)
    for parcel in parcels(grid, SIZE):
        run_parcel(shop, parcel)
        assert len(shop.shared.samples) <= KEPT_SAMPLES
    assert len(shop.shared.treatments) == 1
    assert CELLS_A_PARCEL < 1000


# --- the study's own grid, on the real panel --------------------------------------------------------------------


def test_fifty_cells_of_the_study_equal_their_specs_run_alone():
    from analysis.base.paths import Paths
    from analysis.design.grid import load_grid
    from analysis.panel.build import load_panel

    paths = Paths()
    if not (paths.panel / "panel.parquet").is_file():
        pytest.skip("no real panel is built here: python -m analysis reproduce")
    table = read_multiverse(paths.results / "multiverse.parquet").set_index("spec")
    specs = [cell.spec for cell in load_grid("multiverse").cells() if cell.spec is not None]
    assert [spec.name for spec in specs] == table.index.tolist()
    real = load_panel()
    for spec in random.Random(20261122).sample(specs, 50):
        row, run = table.loc[spec.name], run_spec(real, spec)
        assert run.failure == row["failure"], spec.name
        if run.failure:
            continue
        alone = run.estimates["post"].table.iloc[0]
        for name in ("estimate", "std_error", "conf_low", "conf_high", "p_value"):
            np.testing.assert_allclose(row[name], alone[name], rtol=1e-10, atol=0, equal_nan=True)
