"""The published studies beside ours: their specifications run, the ledger made, each part kept while its key stands.

Stands above the rooms, as `analysis.study` does. What is estimated depends on the panel, the specs, the code and the lists
a user brings; the registry of published figures enters with the ledger alone, so that a figure filled in later changes the
ledger and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.base.paths import replacing
from analysis.base.provenance import canonical_json, digest_of, sha256_of
from analysis.base.records import Panel
from analysis.design.grid import FAMILY, Cell, load_grid
from analysis.evidence import ledger as of_ledger
from analysis.evidence import synthesis
from analysis.evidence.audit import audit
from analysis.evidence.checks import builds, detainers
from analysis.evidence.multiverse import CHOICE_COLUMNS, Engine, read_multiverse
from analysis.evidence.published import Published, load_published
from analysis.evidence.reporting_inputs import load_inputs
from analysis.evidence.results import COLUMNS, ONE_EFFECT, results_frame
from analysis.evidence.runs import run_specs
from analysis.evidence.studies import others, trust
from analysis.evidence.studies.all import GRIDS, OTHERS, STUDIES
from analysis.evidence.studies.frames import KEPT, OF_LEDGER, OF_RESULTS, QUARTERLY
from analysis.evidence.studies.lists import OWN_LIST, own_list_specs, own_lists
from analysis.evidence.studies.record import family_of

if TYPE_CHECKING:
    from analysis.design.spec import Spec
    from analysis.panel.detainer_tables import DetainerTables
    from analysis.study import Study

BUILD_SPECS = "wong_builds"
RESULT_COLUMNS = ("study", FAMILY, *CHOICE_COLUMNS, *COLUMNS)


@dataclass(frozen=True)
class PublishedStudies:
    """Every published study on one tree of the study.

    Args:
        study: the tree.
    """

    study: Study

    @cached_property
    def published(self) -> Published:
        """The registry."""
        return load_published(self.study.paths.published)

    @cached_property
    def lists(self) -> dict[str, Path]:
        """Lists of the authors' own that a user has put into ``data/lists``, by study."""
        return {} if self.study.paths.simulated else own_lists(self.study.paths.lists, STUDIES)

    @cached_property
    def cities(self) -> Panel:
        """The panel whose areas are cities."""
        from analysis.panel.build import load_cities
        from analysis.panel.city_areas import city_areas

        panel = self.study.panel
        return city_areas(panel, load_cities(self.study.paths))

    @cached_property
    def results_key(self) -> str:
        """Digest of everything the studies' estimates are made from."""
        cities = json.loads((self.study.paths.panel / "stamp.json").read_text(encoding="utf-8"))["files"][
            "cities"
        ]
        grids = [load_grid(name).digest for name in GRIDS]
        lists = {name: sha256_of(path) for name, path in self.lists.items()}
        return digest_of([self.study.run_key, self.study.multiverse_key, cities, grids, lists])

    @cached_property
    def ledger_key(self) -> str:
        """Digest of everything the ledger is made from: the estimates and the registry."""
        return digest_of([self.results_key, sha256_of(self.study.paths.published)])

    # --- what is estimated --------------------------------------------------------------------------------------

    def specs(self) -> dict[str, list[tuple[str, Spec]]]:
        """Return by area (``county``, ``city``) the study and specification of everything outside grids.

        Files of the study's own main job are run there, and only read here.
        """
        own = [
            (one.name, spec)
            for one in STUDIES
            for name in one.specs
            if name not in self.study.main_specs
            for spec in self.study.specs[name].expand()
        ]
        cells = [cell.spec for cell in self._cells if cell.spec is not None]
        everything = own + own_list_specs(STUDIES, self.lists, [*(spec for _, spec in own), *cells])
        return {
            area: [
                (name, spec) for name, spec in everything if (spec.design.area == "city") == (area == "city")
            ]
            for area in ("county", "city")
        }

    @cached_property
    def _cells(self) -> tuple[Cell, ...]:
        """Cells of grids that stand beside a figure of a study whose own list is at hand."""
        asks = [ask for one in STUDIES if one.name in self.lists for ask in one.asks]
        asked = {name for ask in asks for name in ask.own_list or (ask.main,)}
        cells = (cell for name in (GRIDS if asked else ()) for cell in load_grid(name).cells())
        return tuple(cell for cell in cells if cell.spec is not None and cell.spec.name in asked)

    @cached_property
    def results(self) -> pd.DataFrame:
        """Every estimate of the studies' specifications, from ``data/results/studies.parquet`` while its key stands."""
        return self._parquet("studies", self.results_key, self._run)

    def _run(self) -> pd.DataFrame:
        parts = []
        for area, asked in self.specs().items():
            panel = self.cities if area == "city" else self.study.panel
            runs = run_specs(
                panel, [spec for _, spec in asked], progress=self.study.tell, jobs=self.study.jobs
            )
            # The one effect of a specification comes first; its event times answer no figure.
            frame = results_frame([next(iter(run.found())) for run in runs.runs])
            parts.append(
                _of_cells(_of_families(frame), self._cells).assign(study=[name for name, _ in asked])
            )
        parts += [
            _of_families(self._of_main(name)).assign(study=one.name)
            for one in STUDIES
            for name in one.specs
            if name in self.study.main_specs
        ]
        parts += [self._grid(name).assign(study=one.name) for one in STUDIES for name in one.grids]
        whole = [part for part in parts if len(part)]
        return pd.concat(whole, ignore_index=True)[list(RESULT_COLUMNS)]

    def _of_main(self, name: str) -> pd.DataFrame:
        """Estimates of a spec file of the main job, one effect each."""
        every = pd.concat([self.study.results, self.study.designs], ignore_index=True)
        rows = every[every["spec"].str.split("/").str[0].eq(name)]
        return rows[rows["estimand"].isin(ONE_EFFECT) | rows["failure"].ne("")].reset_index(drop=True)

    def _grid(self, name: str) -> pd.DataFrame:
        path = self.study.paths.multiverse / f"{name}.parquet"
        engine = Engine(jobs=self.study.jobs)
        self.study.run_grid(load_grid(name), path, engine, lambda done, of: self.study.tell(done, of, name))
        return read_multiverse(path)

    # --- what is made of it ---------------------------------------------------------------------------------------

    @cached_property
    def specifications(self) -> pd.DataFrame:
        """Every specification beside every figure it answers, from ``data/results/ledger_specifications.parquet``."""

        def make() -> pd.DataFrame:
            return of_ledger.ledger_specifications(self.results, self.published, STUDIES)

        return self._parquet("ledger_specifications", self.ledger_key, make)

    def frame(self, name: str) -> pd.DataFrame:
        """Return one of ``KEPT``, read from ``data/results`` while its key stands."""
        key = self.ledger_key if name in OF_LEDGER else self.results_key
        return self.study.kept(name, lambda: self._make(name), key)

    @cached_property
    def _detainers(self) -> DetainerTables:
        from analysis.panel.detainer_tables import detainer_tables

        return detainer_tables(self.study.paths, self.study.panel)

    def _make(self, name: str) -> pd.DataFrame:
        panel, registry = self.study.panel, self.published.frame()
        makers: Mapping[str, Callable[[], pd.DataFrame]] = {
            "ledger": lambda: of_ledger.ledger(self.specifications, self.published, STUDIES),
            "verdict_shares": lambda: of_ledger.verdict_shares(self.specifications),
            "class_moves": lambda: of_ledger.class_moves(self.specifications),
            "forest": lambda: synthesis.forest(
                self.frame("ledger"), self.specifications, self.published, self.study.bearing("nulls")
            ),
            "summaries": lambda: synthesis.summaries(self.frame("forest")),
            "registry": self.published.frame,
            "registry_audit": lambda: audit(self.published),
            "detainer_records": lambda: detainers.detainer_records(
                self._detainers.records, self._detainers.facilities
            ),
            "detainer_weeks": lambda: detainers.detainer_weeks(
                self.frame("detainer_records"), self._detainers.months, self._detainers.outcomes, registry
            ),
            "places_counted": lambda: detainers.places_counted(panel.declines, panel.policies, registry),
            "class_counts": lambda: detainers.class_counts(self._detainers.classes, registry),
            "reporting_agreement": lambda: trust.reporting_agreement(load_inputs().frame(), registry),
            "others": lambda: others.others_frame(registry, OTHERS, self.results, self.frame("class_counts")),
            "city_lists": lambda: self.cities.reports["city_lists"],
            "wong_builds": lambda: builds.wong_builds(
                self.study.panel, self.study.specs[BUILD_SPECS].expand()
            ),
        }
        return makers[name]()

    @property
    def frames(self) -> dict[str, Callable[[], pd.DataFrame]]:
        """What outputs and sentences read, by name, made when first asked for."""
        return {
            "study_results": lambda: self.results,
            "ledger_specifications": lambda: self.specifications,
            QUARTERLY: lambda: pd.read_csv(self._quarterly),
            **{name: partial(self.frame, name) for name in KEPT},
        }

    @property
    def digests(self) -> dict[str, str]:
        """Digest of each frame, without making it."""
        return {
            **dict.fromkeys(("study_results", *OF_RESULTS), self.results_key),
            **dict.fromkeys(("ledger_specifications", *OF_LEDGER), self.ledger_key),
            QUARTERLY: sha256_of(self._quarterly),
        }

    @property
    def _quarterly(self) -> Path:
        return self.study.paths.root / "docs" / f"{QUARTERLY}.csv"

    def _parquet(self, name: str, key: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """Return a long table, made and written where its key no longer stands."""
        path = self.study.paths.results / f"{name}.parquet"
        if not self.study.stands(path, key):
            frame = make()
            with replacing(path) as temporary:
                frame.to_parquet(temporary, index=False, compression="zstd")
            facts = {
                "key": key,
                "rows": len(frame),
                "simulated": self.study.paths.simulated,
                "sha256": sha256_of(path),
            }
            with replacing(path.with_suffix(".json")) as temporary:
                temporary.write_text(canonical_json(facts), encoding="utf-8")
        return pd.read_parquet(path)


def _of_families(frame: pd.DataFrame) -> pd.DataFrame:
    """Return results outside grids with their family and no options of a grid."""
    families = pd.Series([family_of(name) for name in frame["estimator"]], index=frame.index, dtype="str")
    empty = pd.DataFrame("", index=frame.index, columns=list(CHOICE_COLUMNS), dtype="str")
    return pd.concat([families.rename(FAMILY), empty, frame], axis=1)


def _of_cells(frame: pd.DataFrame, cells: Iterable[Cell]) -> pd.DataFrame:
    """Return results with what they share with the cell of a grid they repeat on a study's own list."""
    out = frame.copy()
    for cell in cells:
        name = "" if cell.spec is None else f"{cell.spec.name}/{OWN_LIST}"
        own = out["spec"].eq(name)
        out.loc[own, FAMILY] = cell.family
        for choice, option in cell.options.items():
            out.loc[own, f"choice_{choice}"] = "own list" if choice == "definition" else option
    return out
