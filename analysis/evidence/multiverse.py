"""A declared grid of specifications on one panel: planned, run in parallel, resumed, one row a specification.

Cells that share a sample share its design, and definitions are assigned once a process. Finished cells are kept on
disk under a digest of the panel, the code and the cells, so that a run that was stopped goes on where it was and
ends with the same bytes. Memory does not grow with the number of cells: they are made as they are needed, and the
table of results is written part by part.
"""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from joblib import Parallel, delayed, parallel_config

from analysis.base.errors import SpecError, StudyError
from analysis.base.paths import replacing
from analysis.base.provenance import digest_of
from analysis.base.records import Panel
from analysis.design.grid import CHOICES, FAMILY, Cell, Grid
from analysis.design.spec import Spec
from analysis.evidence.results import COLUMNS, results_frame
from analysis.evidence.runs import SAMPLE_SECTIONS, Workshop, run_batch

CHOICE_COLUMNS = tuple(f"choice_{choice}" for choice in CHOICES)
GRID_COLUMNS = (FAMILY, *CHOICE_COLUMNS, *COLUMNS)
"""Columns of the table of results: the family, the option of each choice ("" where a family has none), the record."""

CELLS_A_PARCEL = 64
"""Cells that are run, kept and lost together: enough that what a table costs is shared, few enough to lose little."""

CONNECT_SECONDS = 20
"""How long a cluster's scheduler may take to answer."""

# (combinations of options done with, combinations in all), those left out counted; called after each parcel.
Progress = Callable[[int, int], None]


# ----------------------------------------------------------------------------------------------------
# The plan
# ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parcel:
    """Some consecutive cells of a grid, in batches that share a sample.

    Args:
        batches: of cells that are run.
        met: combinations of options they stand among, those left out counted.
    """

    batches: tuple[tuple[Cell, ...], ...]
    met: int

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells in order."""
        return tuple(cell for batch in self.batches for cell in batch)

    def digest(self, key: str) -> str:
        """Return sixteen digits over the cells and ``key``, which stands for panel and code."""
        about = [[cell.spec.name, cell.spec.status, cell.digest] for cell in self.cells if cell.spec]
        return digest_of([key, about])


@dataclass(frozen=True, slots=True)
class Plan:
    """What a grid would run; nothing is estimated.

    Args:
        families: one row a family: family, label, cells, share, samples, left_out.
        left_out: one row a family and reason: family, reason, cells.
        cells: specifications in all.
        samples: designs that will be made.
    """

    families: pd.DataFrame
    left_out: pd.DataFrame
    cells: int
    samples: int


def plan(grid: Grid) -> Plan:
    """Return the size of a grid, its families and the cells left out, with the rule for each.

    Example:
        >>> from analysis.design.grid import load_grid
        >>> plan(load_grid("multiverse")).cells > 5000
        True
    """
    kept: Counter[str] = Counter()
    out: Counter[tuple[str, str]] = Counter()
    samples: Counter[str] = Counter()
    last: object = None
    for cell in grid.cells():
        if cell.spec is None:
            reason = (
                "says what an earlier cell says" if cell.left_out.startswith("says what") else cell.left_out
            )
            out[cell.family, reason] += 1
            continue
        kept[cell.family] += 1
        key = _sample(cell.spec)
        samples[cell.family] += key != last
        last = key
    total = sum(kept.values())
    families = pd.DataFrame(
        [
            {
                "family": family.name,
                "label": family.label,
                "cells": kept[family.name],
                "share": kept[family.name] / total if total else 0.0,
                "samples": samples[family.name],
                "left_out": sum(n for (name, _), n in out.items() if name == family.name),
            }
            for family in grid.families
        ]
    )
    left_out = pd.DataFrame(
        [{"family": name, "reason": reason, "cells": n} for (name, reason), n in out.items()],
        columns=["family", "reason", "cells"],
    )
    return Plan(families, left_out, total, sum(samples.values()))


def plan_frame(found: Plan) -> pd.DataFrame:
    """Return a plan as one table: a row a family (``kind`` family), then a row a rule that leaves cells out.

    Returns:
        kind (family | left_out), family, label (of the family, or the reason), cells, share (of all specifications, missing
        for cells left out), samples (missing likewise).
    """
    kept = found.families.assign(kind="family")
    out = found.left_out.rename(columns={"reason": "label"}).assign(kind="left_out")
    columns = ["kind", "family", "label", "cells", "share", "samples"]
    both = pd.concat([kept[columns], out.reindex(columns=columns)], ignore_index=True)
    return both.astype({"cells": int, "share": float, "samples": "Int64"})


def parcels(grid: Grid, size: int = CELLS_A_PARCEL) -> Iterator[Parcel]:
    """Yield the cells of a grid in parcels of about ``size``, in order; a sample is never cut in two."""
    held: list[tuple[Cell, ...]] = []
    batch: list[Cell] = []
    last: object = None
    met = 0
    for cell in grid.cells():
        met += 1
        if cell.spec is None:
            continue
        key = _sample(cell.spec)
        if batch and key != last:
            held.append(tuple(batch))
            batch = []
            if sum(map(len, held)) >= size:
                yield Parcel(tuple(held), met - 1)
                held, met = [], 1
        batch.append(cell)
        last = key
    if batch:
        held.append(tuple(batch))
    if held:
        yield Parcel(tuple(held), met)


def _sample(spec: Spec) -> tuple[object, ...]:
    """What neighbours in a grid share when they share a sample."""
    return (spec.folder, *(getattr(spec, section) for section in SAMPLE_SECTIONS))


def seconds_a_cell(panel: Panel, grid: Grid, cells: int = 128) -> dict[str, float]:
    """Return by family what a cell costs one process in seconds, timed on its middle cells; no result is kept.

    Args:
        panel: see `analysis.base.records.Panel`.
        grid: see `analysis.design.grid.load_grid`.
        cells: about how many of each family are timed.
    """
    by_family: dict[str, list[Parcel]] = {}
    for parcel in parcels(grid, cells):
        by_family.setdefault(parcel.cells[0].family, []).append(parcel)
    shop, found = Workshop(panel), {}
    for name, of_family in by_family.items():
        chosen = of_family[len(of_family) // 2]
        start = time.perf_counter()
        run_parcel(shop, chosen)
        found[name] = (time.perf_counter() - start) / len(chosen.cells)
    return found


# ----------------------------------------------------------------------------------------------------
# The run
# ----------------------------------------------------------------------------------------------------


def run_parcel(shop: Workshop, parcel: Parcel) -> pd.DataFrame:
    """Return one row a cell: ``GRID_COLUMNS``; a cell that cannot be estimated keeps its row with the reason.

    Args:
        shop: the panel and what its earlier cells have in common.
        parcel: cells to run.
    """
    runs = []
    for batch in parcel.batches:
        runs += list(run_batch(shop, [cell.spec for cell in batch if cell.spec is not None]))
    # The one effect of a specification comes first; its event times are no cells.
    frame = results_frame([next(iter(run.found())) for run in runs])
    about = [
        {FAMILY: cell.family} | {f"choice_{choice}": cell.options.get(choice, "") for choice in CHOICES}
        for cell in parcel.cells
    ]
    return pd.concat([pd.DataFrame(about, dtype="str"), frame], axis=1)[list(GRID_COLUMNS)]


@dataclass(frozen=True, slots=True)
class Engine:
    """Where cells run.

    Args:
        name: ``local`` (processes of this machine) or ``dask`` (a cluster).
        jobs: processes of a local run.
        scheduler: address of the cluster's scheduler, ``tcp://host:8786``.
    """

    name: str = "local"
    jobs: int = 2
    scheduler: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if self.name not in ("local", "dask"):
            raise SpecError(f"engine = {self.name!r}", "local or dask", "--engine")
        if self.name == "dask" and not self.scheduler:
            raise SpecError(
                "--engine dask without a scheduler", "its address, tcp://host:8786", "--scheduler"
            )
        if self.jobs < 1:
            raise SpecError(f"jobs = {self.jobs}", "1 or more processes", "--jobs")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run did.

    Args:
        cells: run now; those kept before are not among them.
        parcels: digests of all parcels of the grid, in its order.
    """

    cells: int
    parcels: tuple[str, ...]


def run_grid(
    panel: Panel,
    grid: Grid,
    store: Path,
    *,
    key: str,
    engine: Engine | None = None,
    progress: Progress | None = None,
    size: int = CELLS_A_PARCEL,
) -> Ran:
    """Run every cell of a grid that is not in the store yet.

    Args:
        panel: see `analysis.base.records.Panel`.
        grid: see `analysis.design.grid.load_grid`.
        store: folder of finished parcels, made where it is missing.
        key: stands for panel and code: what was kept under another key is not taken up.
        engine: by default two local processes.
        progress: called with combinations of options done with and in all, those left out counted.
        size: cells a parcel.

    Returns:
        How many cells were run, and the parcels the table is put together from.

    Raises:
        StudyError: a worker died, or the cluster cannot be reached; what was finished is kept.
    """
    engine = engine or Engine()
    store.mkdir(parents=True, exist_ok=True)
    total = sum(family.size for family in grid.families)
    done = run = 0
    digests: list[str] = []
    met: dict[str, int] = {}

    def waiting() -> Iterator[tuple[str, Parcel]]:
        nonlocal done
        for parcel in parcels(grid, size):
            digest = parcel.digest(key)
            digests.append(digest)
            if _kept(store, digest):
                done += parcel.met
                continue
            met[digest] = parcel.met
            yield digest, parcel

    def keep(digest: str, frame: pd.DataFrame) -> None:
        nonlocal done, run
        with replacing(store / f"{digest}.parquet") as temporary:
            frame.to_parquet(temporary, index=False, compression="zstd")
        done, run = done + met.pop(digest), run + len(frame)
        if progress is not None:
            progress(done, total)

    if engine.name == "local" and engine.jobs == 1:
        shop = Workshop(panel)
        for digest, parcel in waiting():
            keep(digest, run_parcel(shop, parcel))
        return Ran(run, tuple(digests))
    with _backend(engine, panel) as sent:
        pool = Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="3*n_jobs")
        try:
            for digest, frame in pool(delayed(_run)(sent, digest, parcel) for digest, parcel in waiting()):
                keep(digest, frame)
        except StudyError:
            raise
        except (OSError, RuntimeError) as error:
            # What joblib and Dask raise when workers are lost derives from these.
            raise StudyError(
                f"the run stopped: {type(error).__name__}: {' '.join(str(error).split())[:300]}",
                "workers that live; what was finished is kept: run the same command again to go on",
                "--engine or --jobs",
            ) from error
    return Ran(run, tuple(digests))


def fit_grid(panel: Panel, grid: Grid) -> pd.DataFrame:
    """Return a small grid's results in memory, one row a specification: ``GRID_COLUMNS``; nothing is kept.

    Args:
        panel: see `analysis.base.records.Panel`.
        grid: see `analysis.design.grid.load_grid`, or part of one, ``grid.only(...)``.

    Example:
        ``fit_grid(panel, load_grid("multiverse").only(["two_way"], outcome=["property"]))``
    """
    shop = Workshop(panel)
    parts = [run_parcel(shop, parcel) for parcel in parcels(grid)]
    if not parts:
        raise StudyError("the grid has no cells", "at least one that no rule leaves out", grid.base.where)
    return pd.concat(parts, ignore_index=True)


def assemble(ran: Ran, store: Path, path: Path) -> int:
    """Write the one table of results from the store, in the order of the grid; return its rows.

    Args:
        ran: from `run_grid`.
        store: its folder.
        path: parquet file; it appears when it is whole.

    Raises:
        StudyError: cells are missing.
    """
    rows = 0
    with replacing(path) as temporary:
        writer: pq.ParquetWriter | None = None
        try:
            for digest in ran.parcels:
                if not _kept(store, digest):
                    raise StudyError(
                        f"finished cells ({digest}) are missing from the store",
                        "a run that went to its end",
                        "python -m analysis multiverse run",
                    )
                table = pq.read_table(store / f"{digest}.parquet").replace_schema_metadata(None)
                if writer is None:
                    writer = pq.ParquetWriter(temporary, table.schema, compression="zstd")
                writer.write_table(table.cast(writer.schema))
                rows += table.num_rows
        finally:
            if writer is not None:
                writer.close()
        if not rows:
            raise StudyError("the grid has no cells", "at least one that no rule leaves out", "the grid")
    return rows


def read_multiverse(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read the table of results.

    Args:
        path: parquet file written by `assemble`.
        columns: those wanted, all by default.
    """
    return pq.read_table(path, columns=columns).to_pandas()


def _kept(store: Path, digest: str) -> bool:
    # Files appear whole or not at all.
    return (store / f"{digest}.parquet").is_file()


_SHOPS: dict[str, Workshop] = {}


# Arrays of a few megabytes come and go thousands of times: kept by the allocator, they need not be had from the system anew.
WORKER_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "134217728"}


def _hold(panel: Panel) -> None:
    # What a worker starts with stays to its end; looking through it for garbage again and again is time alone.
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    _SHOPS.clear()
    _SHOPS[""] = Workshop(panel)


def _run(sent: Any, digest: str, parcel: Parcel) -> tuple[str, pd.DataFrame]:
    """Run a parcel in a worker: a local one holds its panel since it started, one of a cluster is sent it once."""
    name = sent.digest if isinstance(sent, Panel) else ""
    if name not in _SHOPS:
        _SHOPS.clear()
        _SHOPS[name] = Workshop(sent)
    return digest, run_parcel(_SHOPS[name], parcel)


@contextmanager
def _backend(engine: Engine, panel: Panel) -> Iterator[Panel | None]:
    """Yield what goes with each task under joblib's backend for the engine."""
    if engine.name == "local":
        with parallel_config(
            backend="loky",
            n_jobs=engine.jobs,
            inner_max_num_threads=1,
            initializer=_hold,
            initargs=(panel,),
        ):
            # Workers start within and take the environment over.
            before = {name: os.environ.get(name) for name in WORKER_MEMORY}
            os.environ.update(WORKER_MEMORY)
            try:
                yield None
            finally:
                for name, value in before.items():
                    os.environ.pop(name) if value is None else os.environ.update({name: value})
        return
    try:
        from distributed import Client
    except ImportError:
        raise StudyError(
            "Dask is not installed here", "the extra 'cluster' of this package", "pip install -e .[cluster]"
        ) from None
    try:
        client = Client(engine.scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise StudyError(
            f"no scheduler answers at {engine.scheduler} ({type(error).__name__})",
            "the address a running scheduler printed",
            "--scheduler",
        ) from None
    try:
        with parallel_config(backend="dask", n_jobs=-1, client=client, scatter=[panel]):
            yield panel
    finally:
        client.close()
