"""The self-check passes uniform p-values and fails inflated ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from genodl.rank.calibration import inflation, self_check


def uniform(seed: int, *, replicates: int = 5, markers: int = 4000) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(size=markers) for _ in range(replicates)]


def inflated(seed: int, *, scale: float) -> list[np.ndarray]:
    """p-values of deviates that are too large by a factor."""
    rng = np.random.default_rng(seed)
    return [2 * stats.norm.sf(scale * np.abs(rng.standard_normal(4000))) for _ in range(5)]


def test_inflation_is_the_ratio_of_medians():
    assert inflation(np.array([0.2, 0.5, 0.9])) == pytest.approx(1.0)
    z = np.random.default_rng(0).standard_normal(20_001)
    assert inflation(2 * stats.norm.sf(np.abs(z * 1.2))) == pytest.approx(
        1.44 * inflation(2 * stats.norm.sf(np.abs(z)))
    )
    assert np.isnan(inflation(np.zeros(0)))


@pytest.mark.parametrize("seed", range(5))
def test_uniform_p_values_pass(seed: int):
    check = self_check(uniform(seed), [0.5] * 5, fdr=0.1)
    assert check["passed"] is True
    assert (check["replicates"], check["n_p_values"]) == (5, 20_000)
    assert check["below"]["0.05"] == pytest.approx(0.05, abs=0.006)


@pytest.mark.parametrize("scale", [1.25, 1.5])
def test_inflated_p_values_fail(scale: float):
    assert self_check(inflated(0, scale=scale), [0.5] * 5, fdr=0.1)["passed"] is False


def test_conservative_p_values_pass():
    assert self_check(inflated(0, scale=0.8), [0.5] * 5, fdr=0.1)["passed"] is True


def test_an_inflated_tail_alone_fails():
    replicates = uniform(1)
    replicates[0][:80] = 1e-5
    check = self_check(replicates, [0.5] * 5, fdr=0.1)
    assert check["below"]["0.05"] < 0.06
    assert check["passed"] is False


@pytest.mark.parametrize(("discovering", "passed"), [(0, True), (2, True), (3, False), (5, False)])
def test_discoveries_in_more_than_half_the_replicates_fail(discovering: int, passed: bool):
    smallest = [0.01] * discovering + [0.5] * (5 - discovering)
    check = self_check(uniform(2), smallest, fdr=0.1)
    assert check["runs_with_discovery"] == discovering
    assert check["passed"] is passed
    assert f"{discovering} of them made a discovery at FDR 0.1" in check["statement"]


def test_one_discovery_in_a_lone_replicate_passes():
    assert self_check(uniform(3, replicates=1), [0.01], fdr=0.1)["passed"] is True


def test_no_replicate_is_neither_passed_nor_failed():
    check = self_check([], [], fdr=0.1)
    assert check["passed"] is None
    assert check["replicates"] == 0


def test_the_points_of_the_qq_plot_lie_on_the_diagonal_and_end_at_the_smallest():
    replicates = uniform(4)
    points = self_check(replicates, [0.5] * 5, fdr=0.1)["quantiles"]
    expected, observed = (np.array(points[k]) for k in ("expected_log10p", "observed_log10p"))
    assert np.abs(expected - observed)[expected < 2.5].max() < 0.15
    assert observed[0] == pytest.approx(-np.log10(np.min(replicates)), abs=1e-4)
    assert (np.diff(observed) <= 0).all()
    assert (np.diff(expected) <= 0).all()
