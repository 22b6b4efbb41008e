"""The ledger as committed: every figure has its row, every headline figure an estimate and a verdict, and a figure that is
filled in later changes its own row and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from analysis import __main__ as command
from analysis.base.paths import ROOT, Paths
from analysis.base.provenance import digest_of
from analysis.design.grid import load_grid
from analysis.evidence import ledger as of
from analysis.evidence.published import load_published
from analysis.evidence.studies import wong2017
from analysis.evidence.studies.all import GRIDS, HEADED, SPEC_FILES, STUDIES
from analysis.evidence.studies.frames import KEPT
from analysis.evidence.studies.lists import OWN_LIST
from analysis.published_studies import RESULT_COLUMNS, PublishedStudies, _of_cells
from analysis.report.study_outputs import grid_alone
from analysis.study import read_kept

PATHS = Paths(ROOT)
WORDS = {"consistent", "not consistent", "inconclusive", "not informative", "no verdict", "not estimated"}


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return pd.read_parquet(PATHS.results / "studies.parquet")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return read_kept(PATHS.results / "ledger.csv")


def test_every_specification_that_was_run_is_listed(results):
    listed = pd.read_parquet(PATHS.results / "ledger_specifications.parquet")
    assert set(results.columns) == set(RESULT_COLUMNS)
    ran = results[results["estimand"].isin(["att", "difference"]) | results["failure"].ne("")]
    assert set(ran["spec"]) == set(listed["spec"])
    files = set(results["spec"].str.split("/").str[0])
    assert files == {*SPEC_FILES, *GRIDS}
    # One that answers no figure (a placebo, an outcome no figure speaks of) is listed all the same, without a verdict.
    assert listed.loc[listed["figure"].ne(""), "verdict"].isin(WORDS).all()
    assert listed.loc[listed["figure"].eq(""), "verdict"].isin(["", "not estimated"]).all()


def test_every_registered_figure_has_its_row_and_none_waits_for_a_run(table):
    assert list(table["figure"]) == [figure.id for figure in load_published().figures]
    beside = table["estimate"].notna()
    assert (beside ^ table["reason"].ne("")).all(), "an estimate, or the reason why there is none"
    assert not table["reason"].str.contains("not among those that were run").any()


@pytest.mark.parametrize("study", HEADED, ids=lambda study: study.name)
def test_headline_figures_of_the_headed_studies_have_ours_beside_them(table, study):
    heads = table[table["study"].eq(study.name) & table["headline"].eq(True)]
    assert (
        len(heads) >= 1 and heads["estimate"].notna().all() and heads["conf_low"].lt(heads["conf_high"]).all()
    )
    assert heads["verdict"].isin(WORDS - {"not estimated"}).all()
    assert heads["comparability"].str.startswith("list: ").all()
    # Nothing is reproduced without a study's own data.
    assert not heads["sentence"].str.contains("reproduced").any()
    assert heads["sentence"].str.startswith("reanalysis under definition").all()


def test_figures_in_doubt_are_never_a_mark(table):
    doubtful = table["confidence"].ne("verbatim-seen")
    assert doubtful.any() and not table.loc[doubtful, "pass_mark"].any()


def test_a_figure_filled_in_later_changes_its_row_alone(results, table, tmp_path):
    text = PATHS.published.read_text(encoding="utf-8")
    head, entry, rest = text.partition("- id: wong2017.crime.all\n")
    filled = tmp_path / "published.yaml"
    filled.write_text(head + entry + rest.replace("  se: null\n", "  se: 9.4\n", 1), encoding="utf-8")
    before, after = load_published(PATHS.published), load_published(filled)
    assert after.figure("wong2017.crime.all").se == 9.4 and before.figure("wong2017.crime.all").se is None

    made = of.ledger(of.ledger_specifications(results, after, STUDIES), after, STUDIES).set_index("figure")
    held = table.set_index("figure")
    row = made.loc["wong2017.crime.all"]
    assert row["published_low"] == pytest.approx(-35.5 - 1.96 * 9.4, abs=0.01)
    assert np.isnan(held.loc["wong2017.crime.all", "published_low"])
    others = made.index.drop("wong2017.crime.all")
    for column in ("estimate", "conf_low", "conf_high", "published", "published_low"):
        pd.testing.assert_series_equal(made.loc[others, column].astype(float), held.loc[others, column].astype(float),
                                       check_names=False, rtol=1e-6)  # fmt: skip
    assert (made.loc[others, "verdict"] == held.loc[others, "verdict"]).all()


def test_the_registry_is_no_part_of_what_estimates_are_kept_under(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("one", encoding="utf-8")
    second.write_text("two", encoding="utf-8")
    held = []
    for path in (first, second):
        beside = PublishedStudies(SimpleNamespace(paths=SimpleNamespace(published=path)))
        beside.__dict__["results_key"] = digest_of(["what estimates are made from"])
        held.append((beside.results_key, beside.ledger_key))
    assert held[0][0] == held[1][0] and held[0][1] != held[1][1]


@dataclass
class FakeStudy:
    """A study whose published studies are what is committed; ``say`` as the command line hands it in."""

    say: object = None

    @property
    def beside(self):
        specifications = pd.read_parquet(PATHS.results / "ledger_specifications.parquet")
        return SimpleNamespace(
            frame=lambda name: read_kept(PATHS.results / f"{name}.csv"), specifications=specifications
        )


def test_the_ledger_prints(monkeypatch):
    monkeypatch.setattr(command, "_study", lambda simulated: FakeStudy())
    short = CliRunner().invoke(command.app, ["ledger", "--short"])
    assert short.exit_code == 0, short.output
    assert max(map(len, short.output.splitlines())) <= 110
    places = [short.output.index(study.label) for study in HEADED]
    assert places == sorted(places), "the studies the ledger heads with come in their order"
    one = CliRunner().invoke(command.app, ["ledger", "hausman2020.crime"])
    assert one.exit_code == 0 and "hausman2020/measure=total" in one.output
    wrong = CliRunner().invoke(command.app, ["ledger", "hausman2020.crim"])
    assert wrong.exit_code != 0 and "did you mean hausman2020.crime" in str(wrong.exception)


def test_kept_frames_are_committed():
    for name in KEPT:
        assert len(read_kept(PATHS.results / f"{name}.csv")), name


def test_a_cell_repeated_on_the_studys_own_list_answers_its_figure(results):
    cell = load_grid("wong2017").cell(wong2017.MAIN)
    own = results[results["spec"].eq(wong2017.MAIN)].assign(
        spec=f"{wong2017.MAIN}/{OWN_LIST}", definition="wong2017.csv"
    )
    plain = own.assign(family="matching", **dict.fromkeys([c for c in own if c.startswith("choice_")], ""))
    made = _of_cells(plain, [cell])
    assert made["family"].tolist() == ["nearest"] and made["choice_definition"].tolist() == ["own list"]
    listed = of.ledger_specifications(made, load_published(), STUDIES)
    assert listed["figure"].tolist() == ["wong2017.crime.all"]
    assert listed["comparability"].str.startswith("list: same").all()
    # Figures of the grid leave it to the ledger.
    assert grid_alone(made).empty and len(grid_alone(results)) == len(results)
