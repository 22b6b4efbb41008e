"""The audit as a table and as sentences, on the registry as it stands, on planted frames, and on nothing."""

from __future__ import annotations

import io
from dataclasses import replace

import pandas as pd
import pytest

from analysis.base.errors import TableError
from analysis.evidence.audit import CANNOT, INCONSISTENT, audit
from analysis.evidence.published import Published, load_published
from analysis.report.audit_numbers import OUTPUT, phrases
from analysis.report.published_tables import audit_table, summary_of_audit
from analysis.report.tables import to_csv, to_markdown

REGISTRY = load_published()
AUDIT = audit(REGISTRY)
FRAMES = {"registry": REGISTRY.frame(), "registry_audit": AUDIT}


def test_summary_counts_every_check_once():
    found = summary_of_audit(AUDIT)
    parts, total = found.iloc[:-1], found.iloc[-1]
    for name in ("consistent", "inconsistent", "cannot"):
        assert parts[name].sum() == total[name]
    assert total[["consistent", "inconsistent", "cannot"]].sum() == len(AUDIT)
    stars = parts[parts["check"].eq("stars")]
    assert list(stars["consistent"]) == [91]


def test_table_names_every_figure_that_does_not_fit():
    table = audit_table(AUDIT)
    apart = AUDIT[AUDIT["status"].eq(INCONSISTENT)]
    named = table.cells.iloc[-len(apart) :]
    assert list(named["Study or figure"]) == sorted(apart["id"])
    assert named["What does not fit"].str.len().gt(10).all()
    assert table.frame["row"].eq("inconsistent").sum() == len(apart)
    assert set(table.frame.loc[table.frame["row"].eq("inconsistent"), "reason"]) == set(apart["reason"])
    # A relation that holds only about is marked wherever it stands.
    assert named["Check"].str.endswith(" ~").all()


def test_table_says_numbers_with_a_true_minus():
    text = to_markdown(audit_table(AUDIT))
    assert "printed −0.0041, recomputed 0.0057 to 0.0195" in text
    assert "Every study" in text


def test_table_reads_the_same_from_a_file():
    half = Published(
        tuple(replace(one, estimate=2492.5, n=None) if one.id == "wong2017.n_total" else one for one in REGISTRY.figures)
    )  # fmt: skip
    found = audit(half)
    read = pd.read_csv(io.StringIO(to_csv(found)))
    assert to_markdown(audit_table(read)) == to_markdown(audit_table(found))
    assert "nan" not in to_markdown(audit_table(read))


def test_a_slip_of_an_exact_check_is_named_without_the_mark():
    figures = tuple(
        replace(one, p_text="p<0.10") if one.id == "biasi.logcrime_dd1.c2" else one for one in REGISTRY.figures
    )  # fmt: skip
    found = audit(Published(figures))
    row = audit_table(found).cells.set_index("Study or figure").loc["biasi.logcrime_dd1.c2"]
    assert row["Check"] == "stars"
    said = phrases({"registry_audit": found}, {})["audit.checks"][0]
    assert "1 of the first and 11 of the second do not fit" in said
    assert "they bear out 90 of them" in said


def test_empty_audit_gives_an_empty_table():
    assert audit_table(AUDIT.iloc[:0]).cells.empty


def test_a_missing_column_is_named():
    with pytest.raises(TableError, match="status"):
        audit_table(AUDIT.drop(columns=["status"]))


def test_sentences_say_what_the_frames_hold():
    said = phrases(FRAMES, {})
    assert set(said) == {"audit.registry", "audit.checks"}
    assert {output for _, output in said.values()} == {OUTPUT}
    registry, checks = (said[key][0] for key in ("audit.registry", "audit.checks"))
    assert "214 figures under 23 headings" in registry
    assert "5 are inferred and 9 from memory" in registry
    assert "91 have a standard error, all of them of Arellano-Bover & Biasi 2017-18" in registry
    without = AUDIT.groupby("id")["status"].agg(lambda states: states.eq(CANNOT).all()).sum()
    assert f"for {without} of 214 figures" in checks
    assert "none of the first and 11 of the second do not fit" in checks
    assert "total between its parts (8)" in checks
    assert "+0.056 to +0.095" in checks


def test_sentences_read_the_same_from_files():
    read = {name: pd.read_csv(io.StringIO(to_csv(frame))) for name, frame in FRAMES.items()}
    assert phrases(read, {}) == phrases(FRAMES, {})


def test_a_figure_that_is_filled_in_changes_the_sentence_alone():
    figures = tuple(
        replace(one, se=12.5, n=2000) if one.id == "wong2017.crime.all" else one for one in REGISTRY.figures
    )
    said = phrases({"registry": Published(figures).frame()}, {})["audit.registry"][0]
    assert "92 have a standard error;" in said


@pytest.mark.parametrize("frames", [{}, {name: frame.iloc[:0] for name, frame in FRAMES.items()}])
def test_what_was_not_made_is_said(frames):
    said = phrases(frames, {})
    assert said["audit.registry"][0] == "The registry of published figures was not made."
    assert said["audit.checks"][0] == "The audit of the registered figures was not made."


@pytest.mark.parametrize("name", list(FRAMES))
def test_sentences_name_a_missing_column(name):
    with pytest.raises(TableError, match=name):
        phrases({name: FRAMES[name].drop(columns=["id"])}, {})
