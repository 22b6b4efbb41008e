"""Reporting both ways on arrays: simulated worlds whose victims and reports are known are taken apart again exactly."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.estimation.inference import cluster_variance, t_quantile
from analysis.estimation.panel_inference.reporting import (
    break_even,
    group_rate,
    headroom,
    joint_difference,
    mean_share,
    possible,
    reported_change,
    share_of,
    undone,
    victimisation_of_affected,
    victimisation_of_all,
)

EXACT = 1e-12


class World:
    """Counties of two groups: what each suffers and reports before, and after a policy, counted one by one."""

    def __init__(self, seed: int, *, reporting: float, suffered: float = 0.0, everybody: float = 0.0) -> None:
        rng = np.random.default_rng(seed)
        self.n = 40
        self.residents = rng.uniform(1e4, 1e6, self.n)
        self.share = rng.uniform(0.02, 0.7, self.n)
        self.risk, self.ratio = rng.uniform(0.4, 2.5), rng.uniform(0.4, 1.6)
        self.others_report = rng.uniform(0.2, 0.5)
        self.risk_of_others = rng.uniform(0.01, 0.08, self.n)
        before = self._reported(0.0, 0.0, 0.0)
        after = self._reported(reporting, suffered, everybody)
        self.change = (after.sum() - before.sum()) / before.sum()
        self.before = before

    def victims(self) -> tuple[np.ndarray, np.ndarray]:
        affected = self.residents * self.share * self.risk * self.risk_of_others
        others = self.residents * (1 - self.share) * self.risk_of_others
        return affected, others

    def _reported(self, reporting: float, suffered: float, everybody: float) -> np.ndarray:
        affected, others = self.victims()
        own = affected * (1 + suffered) * self.others_report * self.ratio * (1 + reporting)
        return (1 + everybody) * (own + others * self.others_report)

    def share_of_reports(self) -> float:
        """As the study has it: from shares of residents, both ratios, and what is reported in a county."""
        by_county = share_of(share_of(self.share, self.risk), self.ratio)
        return mean_share(by_county, self.before)[0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("reporting", [-0.6, -0.1, 0.0, 0.3, 1.2])
def test_reporting_that_moved_alone_is_found_again(seed, reporting):
    world = World(seed, reporting=reporting)
    share = world.share_of_reports()
    affected, others = world.victims()
    truth = affected.sum() * world.ratio / (affected.sum() * world.ratio + others.sum())
    assert share == pytest.approx(truth, rel=EXACT)
    assert reported_change(share, reporting) == pytest.approx(world.change, abs=EXACT)
    assert break_even(world.change, share) == pytest.approx(reporting, abs=1e-10)
    assert victimisation_of_all(world.change, share, reporting) == pytest.approx(0.0, abs=EXACT)
    assert victimisation_of_affected(world.change, share, reporting) == pytest.approx(0.0, abs=1e-10)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("reporting", "suffered"), [(-0.3, 0.16), (0.43, -0.14), (0.8, 0.5), (-0.9, -0.5)])
def test_what_was_suffered_is_found_again_under_reports_that_moved(seed, reporting, suffered):
    world = World(seed, reporting=reporting, suffered=suffered)
    share = world.share_of_reports()
    assert reported_change(share, reporting, suffered) == pytest.approx(world.change, abs=EXACT)
    assert victimisation_of_affected(world.change, share, reporting) == pytest.approx(suffered, abs=1e-10)
    alike = World(seed, reporting=reporting, everybody=suffered)
    assert victimisation_of_all(alike.change, share, reporting) == pytest.approx(suffered, abs=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_rates_of_groups_add_up_to_everybodys(seed):
    world = World(seed, reporting=0.0)
    affected, others = world.victims()
    everybody = world.before.sum() / (affected + others).sum()
    of_victims = affected.sum() / (affected + others).sum()
    own = group_rate(everybody, of_victims, world.ratio).item()
    assert own == pytest.approx(world.others_report * world.ratio, rel=1e-10)
    # Everything reported is the edge of what can be, and both sides of it differ.
    most = headroom(own).item()
    assert own * (1 + most) == pytest.approx(1.0)
    assert possible([most, most + 1e-6, -1.0, -1.0 - 1e-6, np.nan], own).tolist() == [
        True,
        False,
        True,
        False,
        False,
    ]


def test_no_room_to_report_more_when_all_is_reported():
    assert headroom([1.0, 1.3]).tolist() == [0.0, 0.0]
    assert possible([0.01, 0.0, -0.2], 1.0).tolist() == [False, True, True]


def test_shares_move_with_ratios_and_stay_shares():
    shares = np.linspace(0, 1, 11)
    low, same, high = (share_of(shares, k) for k in (0.5, 1.0, 2.0))
    assert same == pytest.approx(shares, abs=EXACT)
    inside = (shares > 0) & (shares < 1)
    assert (low[inside] < same[inside]).all() and (same[inside] < high[inside]).all()
    assert high[[0, -1]].tolist() == low[[0, -1]].tolist() == [0.0, 1.0]
    # Twice as often and then half as often is where it began; the order of two ratios does not matter.
    assert share_of(share_of(shares, 2.0), 0.5) == pytest.approx(shares, abs=EXACT)
    assert share_of(share_of(shares, 2.0), 3.0) == pytest.approx(share_of(shares, 6.0), abs=EXACT)


def test_breaking_even_scales_and_turns_with_the_estimate():
    assert break_even([-0.1, 0.2], 0.25).tolist() == [-0.4, 0.8]
    assert break_even([0.1, -0.1, 0.0], 0.0).tolist()[:2] == [np.inf, -np.inf]
    assert np.isnan(break_even(0.0, 0.0))
    assert [bool(one) for one in possible(break_even([0.1, -0.1], 0.0), 0.5)] == [False, False]


def test_nothing_left_to_report_has_no_answer():
    assert np.isnan(victimisation_of_affected(0.1, 0.2, -1.0)) and np.isnan(
        victimisation_of_affected(0.1, 0.0, 0.2)
    )
    assert np.isnan(victimisation_of_all(0.1, 1.0, -1.0))


@pytest.mark.parametrize("change", [-0.608, -0.3, 0.0, 0.12, 1.18])
def test_a_change_and_what_undoes_it_leave_nothing(change):
    assert (1 + change) * (1 + undone(change)) == pytest.approx(1.0)


def test_counties_whose_share_is_not_known_leave_the_mean_and_are_counted():
    mean, held = mean_share([0.1, np.nan, 0.4], [2.0, 1.0, 1.0])
    assert mean == pytest.approx(0.2) and held == pytest.approx(0.75)
    assert np.isnan(mean_share([np.nan], [1.0])[0])


@pytest.mark.parametrize("correlated", [False, True])
def test_a_difference_has_the_cluster_robust_error_of_the_difference(correlated):
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(12), 5)
    common = rng.normal(size=(60, 1)) if correlated else 0.0
    influence = rng.normal(size=(60, 2)) + common
    errors = np.sqrt(np.diag(cluster_variance(influence, clusters)))
    found = joint_difference([3.0, 1.0], errors, influence, clusters, df=11.0, level=0.9)
    alone = cluster_variance(influence[:, :1] - influence[:, 1:], clusters)[0, 0]
    assert found.std_error == pytest.approx(np.sqrt(alone), rel=1e-10)
    half = t_quantile(0.9, 11.0) * np.sqrt(alone)
    assert (found.estimate, found.low, found.high) == pytest.approx((2.0, 2.0 - half, 2.0 + half))
    # A correction that doubles both errors doubles that of the difference, and leaves the correlation.
    doubled = joint_difference([3.0, 1.0], 2 * errors, influence, clusters, df=11.0, level=0.9)
    assert doubled.std_error == pytest.approx(2 * found.std_error)
    assert doubled.correlation == found.correlation
    turned = joint_difference([1.0, 3.0], errors[::-1], influence[:, ::-1], clusters, df=11.0, level=0.9)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
    assert turned.p_value == pytest.approx(found.p_value)


def test_the_interval_of_a_difference_covers():
    """Two estimates of one sample, correlated over clusters: 95 % intervals of their difference hold zero as often."""
    rng = np.random.default_rng(11)
    clusters = np.repeat(np.arange(40), 3)
    held, draws = 0, 1500
    for _ in range(draws):
        shock = rng.normal(size=(40, 1)) + rng.normal(size=(40, 2))
        y = shock[clusters] + rng.normal(size=(120, 2))
        means = y.mean(axis=0)
        influence = (y - means) / 120
        errors = np.sqrt(np.diag(cluster_variance(influence, clusters)))
        found = joint_difference(means, errors, influence, clusters, df=39.0, level=0.95)
        held += found.low <= 0 <= found.high
    assert abs(held / draws - 0.95) < 3 * np.sqrt(0.95 * 0.05 / draws)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: share_of([0.2, 1.2], 1.0), r"between 0.2 and 1.2; wanted them in \[0, 1\]"),
        (lambda: share_of(0.2, 0.0), "a ratio of 0.0; wanted it positive"),
        (lambda: mean_share([0.1], [0.0]), "wanted some weight"),
        (lambda: mean_share([0.1, 0.2], [1.0, -1.0]), "wanted some weight"),
        (lambda: mean_share([0.1, 0.2], [1.0]), "wanted as many"),
        (lambda: group_rate(1.2, 0.2, 1.0), "wanted a share of victimisations"),
        (lambda: headroom(0.0), "a reporting rate of 0.0; wanted it positive"),
        (lambda: undone(-1.0), "which leaves something to take back"),
        (
            lambda: joint_difference([1.0, 2.0], [1.0, 1.0], np.ones((3, 1)), np.arange(3), df=2, level=0.95),
            "wanted two of each",
        ),
        (
            lambda: joint_difference([1.0, 2.0], [1.0, 1.0], np.ones((3, 2)), np.zeros(3), df=2, level=0.95),
            "1 cluster; wanted at least two",
        ),
        (
            lambda: joint_difference([1.0, 2.0], [1.0, 0.0], np.ones((3, 2)), np.arange(3), df=2, level=0.95),
            "without variance",
        ),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
