"""Figures of a match say what their frames hold, and what they write names no county."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import report_cases as cases

from analysis.base.errors import StudyError, TableError
from analysis.estimation.matching.balance import balance, denominators, overlap_coefficient
from analysis.estimation.matching.overlap import common_support, trim
from analysis.report import style
from analysis.report.maps import prepare_shapes
from analysis.report.match_figures import (
    density_frame,
    density_plot,
    ecdf_frame,
    ecdf_plot,
    love_grid,
    love_grid_frame,
    match_counts,
    match_lines,
    match_map,
    support_frame,
    support_plot,
)

NAMES = ("hispanic", "poverty", "border")
METHODS = (
    "nearest, Mahalanobis", "nearest, propensity", "optimal pairs", "full matching", "genetic matching",
    "cardinality matching", "coarsened exact matching", "subclassification", "entropy balancing",
    "covariate-balancing score",
)  # fmt: skip


@dataclass
class Sets:
    """What the figures read of a match."""

    covariates: np.ndarray
    treated: np.ndarray
    weights: np.ndarray
    names: tuple[str, ...]
    counties: pd.Index
    pairs: pd.DataFrame


TABLE = cases.panel().drop_duplicates("county_fips").sort_values("county_fips").reset_index(drop=True)


def invented(seed=4):
    """Twelve treated counties, each matched to one comparison county; a continuous, a skewed, a binary covariate."""
    rng = np.random.default_rng(seed)
    n = len(TABLE)
    treated = np.zeros(n, dtype=bool)
    treated[rng.choice(n, 12, replace=False)] = True
    x = np.column_stack([rng.normal(size=n) + treated, rng.exponential(size=n), rng.integers(0, 2, n)])
    comparison = rng.choice(np.flatnonzero(~treated), 12)
    weights = treated.astype(float)
    np.add.at(weights, comparison, 1.0)
    codes = pd.Index(TABLE["county_fips"])
    pairs = pd.DataFrame(
        {
            "treated": codes[treated], "comparison": codes[comparison], "share": 1.0, "weight": 1.0,
            "distance": rng.exponential(size=12),
        }
    )  # fmt: skip
    return Sets(x, treated, weights, NAMES, codes, pairs)


def areas():
    classes = np.where(np.arange(len(TABLE)) % 2 == 0, "noncore", "small_metro")
    return TABLE[["county_fips", "state"]].assign(urban_class=classes)


def scores(seed=6, n=300):
    rng = np.random.default_rng(seed)
    linear = rng.normal(-1.0, 1.6, n)
    probability = 1 / (1 + np.exp(-linear))
    return pd.DataFrame(
        {
            "state": rng.choice(["CA", "OR", "IA", "NY"], n), "treated": rng.random(n) < probability,
            "linear": linear, "probability": probability,
        }
    )  # fmt: skip


def methods(of=METHODS, n=12):
    return {name: cases.balance(n, seed=i) for i, name in enumerate(of)}


def curve(frame, covariate, sample, arm):
    chosen = (frame["covariate"] == covariate) & (frame["sample"] == sample) & (frame["arm"] == arm)
    return frame[chosen]


def words_of(figure):
    found = [t.get_text() for t in figure.texts]
    for axes in figure.axes:
        found += [t.get_text() for t in axes.texts] + [axes.get_title(loc="left"), axes.get_title()]
        found += [t.get_text() for t in [*axes.get_xticklabels(), *axes.get_yticklabels()]]
    return "\n".join(found)


def test_distribution_functions_are_the_weighted_shares():
    sets = invented()
    frame = ecdf_frame(sets)
    w = sets.weights
    for arm, rows in (("treated", sets.treated), ("comparison", ~sets.treated)):
        one = curve(frame, "poverty", "after", arm)
        x = sets.covariates[:, 1]
        wanted = [w[rows & (x <= v)].sum() / w[rows].sum() for v in one["value"]]
        assert one["share"].to_numpy() == pytest.approx(wanted, abs=1e-12)
    found = balance(sets.covariates, sets.treated, w, denominators(sets.covariates, sets.treated, "all"))
    ks = frame.query("sample == 'after'").drop_duplicates("covariate")["ks"]
    assert ks.to_numpy() == pytest.approx(found.ks)


def test_densities_carry_the_overlap_of_the_arms():
    sets = invented()
    frame = density_frame(sets)
    for j, name in enumerate(NAMES):
        for sample, w in (("before", np.ones(len(sets.treated))), ("after", sets.weights)):
            one = curve(frame, name, sample, "treated")
            assert one["overlap"].iloc[0] == overlap_coefficient(sets.covariates[:, j], sets.treated, w)
    binary = frame[frame["covariate"] == "border"]
    shares = binary.groupby(["sample", "arm"])["density"].sum()
    assert binary["discrete"].all() and shares.to_numpy() == pytest.approx(1.0)


@pytest.mark.parametrize(("make", "draw"), [(ecdf_frame, ecdf_plot), (density_frame, density_plot)])
def test_curves_draw_their_frame_and_print_the_statistic(make, draw):
    sets = invented()
    frame = make(sets)
    figure = draw(frame, {"hispanic": "Hispanic share"})
    assert len(figure.axes) == len(NAMES) and "Hispanic share" in words_of(figure)
    height = "share" if draw is ecdf_plot else "density"
    drawn = [np.asarray(line.get_ydata()) for line in figure.axes[0].lines]
    for sample, arm in (("after", "treated"), ("after", "comparison"), ("before", "comparison")):
        one = curve(frame, "hispanic", sample, arm)[height].to_numpy()
        assert any(np.array_equal(one, y) for y in drawn), (sample, arm)
    statistic = "ks" if draw is ecdf_plot else "overlap"
    values = frame[frame["covariate"] == "hispanic"].drop_duplicates("sample")[statistic]
    assert " → ".join(f"{v:.2f}" for v in values) in words_of(figure)
    with pytest.raises(TableError, match=f"without {height}"):
        draw(frame.drop(columns=height))


def test_treated_counties_that_the_match_drops_get_a_line_of_their_own():
    sets = invented()
    whole = len(ecdf_plot(ecdf_frame(sets)).axes[0].lines)
    sets.weights[np.flatnonzero(sets.treated)[:6]] = 0.0
    assert len(ecdf_plot(ecdf_frame(sets)).axes[0].lines) == whole + 1


def test_support_counts_every_county_once_and_names_no_county():
    made = scores()
    frame = support_frame(made, bins=25)
    counts = frame.groupby(["panel", "group"])["counties"].sum()
    assert counts["arms", "treated"] == made["treated"].sum()
    assert counts["arms"].sum() == len(made) and counts["states"].sum() == made["treated"].sum()
    assert frame.groupby(["panel", "group"])["share"].sum().to_numpy() == pytest.approx(1.0)
    assert list(frame) == ["panel", "group", "low", "high", "counties", "share"]


def test_support_plot_names_states_outside_and_what_trimming_leaves():
    made = scores()
    treated = made["treated"].to_numpy()
    trimming = trim(made["probability"].to_numpy(), treated, "att", 0.1)
    text = words_of(support_plot(made, trimming))
    gone = made[treated & ~trimming.kept].groupby("state").size().sort_values(ascending=False, kind="stable")
    assert f"{gone.index[0]} {gone.iloc[0]}" in text.replace("\n", " ")
    assert "the ATT among counties with propensity in [0.1, 0.9]" in text.replace("\n", " ")
    outside = ~common_support(made["linear"].to_numpy(), treated).inside
    assert f"Outside common support: {(outside & treated).sum()} treated" in text
    assert "Trimmed" not in words_of(support_plot(made))
    with pytest.raises(StudyError, match="trimming of 300 counties for 299 scores"):
        support_plot(made.iloc[1:], trimming)
    with pytest.raises(StudyError, match="0 of"):
        support_plot(made[~made["treated"]])


def test_lines_join_the_middles_of_the_two_counties():
    sets, shapes = invented(), prepare_shapes(cases.shapes(TABLE))
    lines = match_lines(sets, areas(), shapes)
    middles = shapes.set_index("area_fips").geometry.centroid
    assert lines["x0"].to_numpy() == pytest.approx(middles.x[lines["treated"]].to_numpy())
    assert lines["y1"].to_numpy() == pytest.approx(middles.y[lines["comparison"]].to_numpy())
    assert lines["distance"].to_numpy() == pytest.approx(np.sqrt(sets.pairs["distance"].to_numpy()))
    counts = match_counts(lines)
    assert counts["pairs"].sum() == 12 and not {"treated", "comparison"} & set(counts)
    with pytest.raises(TableError, match="matched counties without a shape"):
        match_lines(sets, areas(), shapes[shapes["area_fips"] != sets.pairs["treated"].iloc[0]])


@pytest.mark.parametrize("colour_by", ["urban_class", "distance"])
def test_map_draws_a_line_a_pair_and_prints_the_counts(colour_by):
    sets = invented()
    sets.pairs = sets.pairs.iloc[1:]
    figure = match_map(sets, areas(), prepare_shapes(cases.shapes(TABLE)), colour_by=colour_by)
    drawn = [
        c for c in figure.axes[0].collections if type(c).__name__ == "LineCollection" and c.get_zorder() == 5
    ]
    assert len(drawn[0].get_segments()) == 11
    text = words_of(figure).replace("\n", " ")
    assert "11 pairs: 11 treated counties" in text and "1 treated counties in no pair" in text


def test_map_refuses_another_colour_and_weights_without_pairs():
    weighted = invented()
    weighted.pairs = weighted.pairs.iloc[:0]
    with pytest.raises(StudyError, match="without pairs"):
        match_map(weighted, areas(), cases.shapes(TABLE))
    with pytest.raises(StudyError, match="urban_class or distance"):
        match_map(invented(), areas(), cases.shapes(TABLE), colour_by="state")


def test_grid_holds_every_method_and_counts_what_is_within():
    frames = methods()
    rows = love_grid_frame(frames)
    assert list(dict.fromkeys(rows["method"])) == list(METHODS) and len(rows) == 120
    first = frames[METHODS[0]].set_index(["covariate", "sample"])["standardized_mean_difference"]
    one = rows[rows["method"] == METHODS[0]].set_index("covariate")
    assert (one["after"] == first.xs("after", level="sample").reindex(one.index)).all()
    assert (rows["within"] == (rows["after"].abs() <= 0.1)).all()
    figure = love_grid(frames)
    assert len(figure.axes) == 10
    for axes, (_, part) in zip(figure.axes, rows.groupby("method", sort=False), strict=True):
        assert any(f"{int(part['within'].sum())} of 12 within" in t.get_text() for t in axes.texts)
        assert axes.get_xlim() == figure.axes[0].get_xlim()


def test_grid_refuses_methods_that_cannot_be_compared():
    with pytest.raises(TableError, match="optimal pairs has covariates"):
        love_grid_frame({"full": cases.balance(5), "optimal pairs": cases.balance(4)})
    with pytest.raises(TableError, match="full lacks sample after"):
        love_grid_frame({"full": cases.balance(5).query("sample == 'before'")})
    with pytest.raises(StudyError, match="no method"):
        love_grid({})


def drawings():
    made = scores()
    trimming = trim(made["probability"].to_numpy(), made["treated"].to_numpy(), "att", 0.1)
    long = {"hispanic": "A covariate with a name that is far longer than its panel"}
    shapes = prepare_shapes(cases.shapes(TABLE))
    return {
        "ecdf": ecdf_plot(ecdf_frame(invented()), long, note="n " * 120),
        "density": density_plot(density_frame(invented()), long),
        "support": support_plot(made, trimming),
        "map": match_map(invented(), areas(), shapes),
        "map_distance": match_map(invented(), areas(), shapes, colour_by="distance"),
        "grid": love_grid(methods(), {"log_population": long["hispanic"]}),
        "grid_of_two": love_grid(methods(METHODS[:2], 4)),
    }


def test_no_text_leaves_the_page():
    for name, figure in drawings().items():
        figure.draw_without_rendering()
        width, height = figure.get_size_inches() * figure.dpi
        texts = [*figure.texts, *(t for axes in figure.axes for t in axes.texts)]
        for axes in (a for a in figure.axes if a.axison):
            texts += [
                axes.xaxis.label,
                axes.yaxis.label,
                axes.title,
                axes._left_title,
                *axes.get_yticklabels(),
            ]
        for legend in figure.legends:
            texts += legend.get_texts()
        for text in texts:
            if text.get_text() and text.get_visible():
                box = text.get_window_extent()
                inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
                assert inside, f"{name}: {text.get_text()!r} leaves the page"


def test_same_numbers_same_bytes(tmp_path):
    def written(run):
        made = {"grid": love_grid(methods()), "density": density_plot(density_frame(invented()))}
        return {name: style.save(f, tmp_path / f"{run}_{name}.svg").read_bytes() for name, f in made.items()}

    assert written("a") == written("b")
