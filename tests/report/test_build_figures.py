"""Figure, table and sentences of the builds say what the frame holds, failures and thin designs included."""

from __future__ import annotations

import io

import design_cases as cases
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from analysis.base.errors import StudyError, TableError
from analysis.evidence.checks import builds as of
from analysis.report import build_figures as fig
from analysis.report import build_numbers as numbers

LABELS = {"total": "total crime"}
DEFINITIONS = ("policy_full", "policy_any", "declines_share25", "state_law")
SIZES = {of.POLICED: 40.0, of.WHOLE: 39.0, of.OUTSIDE: -4.0, of.AGENCIES: -8.0}


def build_row(contrast, part, value, *, thin=False, error=20.0):
    low, high = value - error, value + error
    return {
        "contrast": contrast, "part": part, "unit": "per_10k", "estimate": value, "conf_low": low, "conf_high": high,
        "percent": value / 2, "percent_low": low / 2, "percent_high": high / 2, "baseline": 200.0, "n_treated": 12 if thin
        else 90, "n_comparison": 400, "n_states": 4 if thin else 13, "informative": not thin,
        "precision": "not informative" if thin else "inconclusive" if low < 0 < high else "different from zero",
        "published_sign": value < 0, "published_inside": low <= -35.5 <= high,
    }  # fmt: skip


def step_rows(first, second, parts, sizes):
    value = dict(zip(of.PARTS, parts, strict=True))
    value |= {of.TOTAL: sum(parts), of.LEFT: parts[0], of.ENTERED: 0.0, of.DIVISION: parts[1] + parts[2]}
    assert value[of.TOTAL] == pytest.approx(sizes[second] - sizes[first])
    name = f"{first}_to_{second}"
    return [
        {"contrast": name, "part": part, "unit": "per_10k", "estimate": value[part], "orders": 2}
        for part in value
    ]


def one_spec(definition, variant="", shift=0.0, thin=False):
    sizes = {build: size + shift for build, size in SIZES.items()}
    rows = [
        build_row(of.OF_BUILDS, build, size, thin=thin and build != of.POLICED)
        for build, size in sizes.items()
    ]
    rows += step_rows(of.POLICED, of.AGENCIES, (-2.0, -45.0, -1.0), sizes)
    rows += step_rows(of.POLICED, of.OUTSIDE, (-2.0, 260.0, -302.0), sizes)
    rows += step_rows(of.OUTSIDE, of.AGENCIES, (-2.5, 0.0, -1.5), sizes)
    rows += step_rows(of.WHOLE, of.AGENCIES, (-3.0, -44.0, 0.0), sizes)
    rows += [
        build_row(of.OF_SHARE, of.AGENCIES, -5.0 + shift),
        {"contrast": of.OF_SHARE, "part": of.RATE, "unit": "per_10k", "estimate": -3.5 + shift},
        {"contrast": of.OF_SHARE, "part": of.SHARE, "unit": "per_10k", "estimate": -1.5},
        build_row(of.OF_SHARE, of.OUTSIDE, -4.0 + shift),
        build_row(of.OF_SHARE, of.SHARE_GAP, -0.07, error=0.1) | {"unit": "share", "precision": ""},
        build_row(of.OF_OFFENCES, of.AGENCIES, -8.0 + shift),
        {"contrast": of.OF_OFFENCES, "part": of.RATE, "unit": "per_10k", "estimate": 9.0 + shift},
        {"contrast": of.OF_OFFENCES, "part": of.SHARE, "unit": "per_10k", "estimate": -17.0},
        build_row(of.SHARE_HELD, of.POLICED, 38.0 + shift),
        build_row(of.SHARE_HELD, of.AGENCIES, 0.5 + shift),
    ]
    about = {
        "spec": f"wong_builds/{variant}/{definition}", "variant": variant, "definition": definition, "measure": "total",
        "published": -35.5, "failure": "", "status": "declared", "estimator": "matched_difference",
    }  # fmt: skip
    return [about | row for row in rows]


def failed(definition, variant=""):
    about = {"spec": f"wong_builds/{variant}/{definition}", "variant": variant, "definition": definition,
             "measure": "total", "published": -35.5, "unit": "per_10k", "failure": "no treated county is left"}  # fmt: skip
    return [
        about | {"contrast": contrast, "part": part}
        for contrast, part in (
            *((of.OF_BUILDS, build) for build in of.BUILDS),
            *((f"{one}_to_{other}", of.TOTAL) for one, other in of.CONTRASTS),
            (of.OF_SHARE, of.AGENCIES),
            (of.OF_OFFENCES, of.AGENCIES),
            (of.SHARE_HELD, of.AGENCIES),
        )
    ]


def framed(rows):
    return of._typed(pd.DataFrame(rows, columns=list(of.COLUMNS)))


@pytest.fixture(scope="module")
def frame():
    rows = []
    for variant in ("", "entropy", "with-arson"):
        for at, definition in enumerate(DEFINITIONS):
            rows += one_spec(definition, variant, 5.0 * at, thin=definition == "state_law")
    return framed(rows)


@pytest.fixture(scope="module")
def gaps(frame):
    """One definition could not be estimated."""
    lost = frame["definition"].eq("declines_share25") & frame["variant"].eq("")
    return framed([*frame[~lost].to_dict("records"), *failed("declines_share25")])


@pytest.fixture(scope="module")
def drawn(frame):
    return fig.builds_figure(frame, note="Invented numbers. " * 20)


def test_no_text_leaves_the_page_or_covers_another(drawn):
    cases.assert_legible(drawn)


def test_the_chain_runs_from_build_to_build(frame):
    rows = fig.builds_rows(frame)
    assert rows.groupby("spec").size().eq(len(fig.CHAIN)).all()
    assert set(rows["variant"]) == {"", "entropy"}
    for spec, here in rows.groupby("spec"):
        held = frame[(frame["spec"] == spec) & (frame["contrast"] == "build")].set_index("part")["estimate"]
        here = here.set_index("link")
        for link, build in ((0, of.POLICED), (3, of.OUTSIDE), (6, of.AGENCIES)):
            assert here.loc[link, "end"] == held[build]
        # The last step before a build ends where the build is: nothing is left unexplained.
        assert here.loc[2, "end"] == pytest.approx(here.loc[3, "end"])
        assert here.loc[5, "end"] == pytest.approx(here.loc[6, "end"])
        assert (here["start"].to_numpy()[[1, 2, 4, 5]] == here["end"].to_numpy()[[0, 1, 3, 4]]).all()


def test_marks_say_what_rows_hold(frame, drawn):
    rows = fig.builds_rows(frame)
    assert len(drawn.axes) == 8
    order = [(v, d) for v in ("", "entropy") for d in ("policy_any", "policy_full", "declines_share25", "state_law")]  # fmt: skip
    for axes, (variant, definition) in zip(drawn.axes, order, strict=True):
        here = rows[(rows["variant"] == variant) & (rows["definition"] == definition)]
        dots = [line for line in axes.lines if line.get_marker() == "o"]
        assert [line.get_xdata()[0] for line in dots] == here.loc[here["contrast"] == "build", "end"].tolist()
        hollow = [to_hex(line.get_markerfacecolor()) == "#ffffff" for line in dots]
        assert hollow == (~here.loc[here["contrast"] == "build", "informative"]).tolist()
        bars = sorted((p.get_y(), p.get_width()) for p in axes.patches)
        steps = here[here["contrast"] != "build"]
        assert [width for _, width in bars] == pytest.approx((steps["end"] - steps["start"]).tolist())
        published = [line for line in axes.lines if list(line.get_xdata()) == [-35.5, -35.5]]
        assert len(published) == 1
        low, high = axes.get_xlim()
        assert low < -35.5 and high > here["end"].max()


def test_what_failed_is_said_and_draws_nothing(gaps):
    figure = fig.builds_figure(gaps)
    panel = figure.axes[2]
    assert [t.get_text() for t in panel.texts] == [fig.NOT_ESTIMATED] * 3
    assert not panel.patches
    row = fig.builds_table(gaps).cells.iloc[-1]
    assert row.iloc[1] == "Recorded declines, 25 %" and row.iloc[2] == "–" and row.iloc[5] == "–, –, –"
    only = framed(failed("policy_full"))
    with pytest.raises(StudyError, match="no estimate under any build"):
        fig.builds_figure(only)


def test_variations_of_ones_own_are_drawn(frame):
    own = frame[frame["variant"] == "with-arson"].assign(variant="my-caliper")
    assert set(fig.builds_rows(own)["variant"]) == {"my-caliper"}
    assert "My caliper" in [t.get_text() for t in cases.written(fig.builds_figure(own))]


def test_the_table_prints_every_specification(frame):
    table = fig.builds_table(frame)
    assert len(table.cells) == frame["spec"].nunique() == 12
    row = table.cells.iloc[0]
    assert row.tolist() == [
        "Nearest neighbour", "Documented full decline", "40.0 (20.0 to 60.0) *", "−4.0 (−24.0 to 16.0)",
        "−8.0 (−28.0 to 12.0)", "−2.0, −45.0, −1.0", "−2.0, −42.0", "−3.5, −1.5", "0.5 (−19.5 to 20.5)",
    ]  # fmt: skip
    assert table.cells.iloc[1, 0] == "" and table.cells.iloc[4, 0] == "Entropy balancing"
    assert table.cells.iloc[3, 4].endswith("§")
    assert fig.CAUTION in " ".join(table.notes) and "−35.5" in table.notes[0]
    pd.testing.assert_frame_equal(table.frame, frame)


def test_a_frame_without_a_column_is_refused(frame):
    for make in (fig.builds_table, fig.builds_figure, fig.builds_rows):
        with pytest.raises(TableError, match="published_inside"):
            make(frame.drop(columns="published_inside"))
    with pytest.raises(TableError, match="orders"):
        numbers.phrases({"wong_builds": frame.drop(columns="orders")}, LABELS)


# ------------------------------------------------------------------------------------------------------------
# Sentences
# ------------------------------------------------------------------------------------------------------------


def test_sentences_hold_the_numbers_of_the_frame(frame):
    said = numbers.phrases({"wong_builds": frame}, LABELS)
    assert {key: output for key, (_, output) in said.items()} == {
        "study.wong2017.builds": "table-58", "study.wong2017.share": "table-58",
    }  # fmt: skip
    text, _ = said["study.wong2017.builds"]
    assert fig.CAUTION in text and "Reported total crime per 10,000" in text
    assert (
        "Documented full decline: +40.0 (20.0 to 60.0, different from zero) with all agencies over the residents "
        "they police; −4.0 (−24.0 to 16.0, inconclusive) with county agencies over residents outside cities; "
        "−8.0 (−28.0 to 12.0, inconclusive) with county agencies over the whole county. From the first to the last "
        "−48.0, of which the counties −2.0, the offences counted −45.0 and the people divided by −1.0."
    ) in text
    # State law is not informative under two builds: of twelve specifications nine are counted there.
    assert (
        "all agencies over the residents they police: the published sign in 0 of 12, from 40.0 to 55.0"
        in text
    )
    assert "county agencies over the whole county: the published sign in 6 of 9, from −8.0 to 2.0" in text
    assert "the largest of the three parts is the offences counted in 12 of 12" in text
    share, _ = said["study.wong2017.share"]
    assert (
        "Entropy balancing, documented full decline: −5.0 is −3.5 by the rate outside cities and −1.5 by the share of "
        "residents there, which differs by −7.0 (−17.0 to 3.0) percentage points; −8.0 is +9.0 by the rate of all agencies "
        "and −17.0 by the share of offences county agencies record; with the share of residents held +0.5 "
        "(−19.5 to 20.5, inconclusive)."
    ) in share
    assert "Arson counted" not in share and share.count("by the rate of all agencies") == 8
    assert "the share of offences county agencies record lowers it in 12 of 12" in share
    # Shifts of 0, 5, 10 and 15: below zero for two of four, and with the share held (0.5 and more) for none.
    assert "below zero in 6 of 12" in share and "with the share held 0 of these stay below zero" in share


def test_sentences_are_the_same_from_a_file(frame):
    again = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    assert numbers.phrases({"wong_builds": again}, LABELS) == numbers.phrases({"wong_builds": frame}, LABELS)


@pytest.mark.parametrize("frames", [{}, {"wong_builds": pd.DataFrame()}])
def test_a_frame_that_was_not_made_is_said(frames):
    assert {text for text, _ in numbers.phrases(frames, LABELS).values()} == {numbers.NOT_MADE}


def test_failures_leave_sentences_that_say_so(gaps):
    said = numbers.phrases({"wong_builds": gaps}, LABELS)
    line = next(x for x in said["study.wong2017.builds"][0].split("\n") if x.startswith("Recorded declines"))
    assert line.count("not estimated") == 3 and line.endswith("What lies between them was not found.")
    assert "Nearest neighbour, recorded declines, 25 %: not estimated." in said["study.wong2017.share"][0]
    alone = numbers.phrases({"wong_builds": framed(failed("policy_full"))}, LABELS)
    assert "none that is informative" in alone["study.wong2017.builds"][0]
    assert "No step from build to build was found." in alone["study.wong2017.builds"][0]
    assert (
        "No estimate could be split by a share. No estimate holds the share."
        in alone["study.wong2017.share"][0]
    )
    assert "nan" not in " ".join(text for text, _ in (*said.values(), *alone.values())).lower()


def test_a_method_without_weights_is_said(frame):
    silent = frame["contrast"].isin([of.OF_SHARE, of.OF_OFFENCES]) & frame["part"].isin([of.RATE, of.SHARE])
    lost = frame.assign(
        estimate=frame["estimate"].mask(silent, np.nan), failure=frame["failure"].mask(silent, "no weights")
    )
    said = numbers.share_sentences(lost)
    assert said.count("as the method has no weights of its own") == 16
    assert "No estimate could be split by a share." in said


def test_no_estimate_below_zero_is_said(frame):
    up = frame["contrast"].eq(of.OF_BUILDS) & frame["part"].eq(of.AGENCIES)
    said = numbers.share_sentences(frame.assign(estimate=frame["estimate"].mask(up, 3.0)))
    assert said.endswith("No estimate of county agencies over the whole county is below zero, of 12.")
