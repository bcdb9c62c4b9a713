"""Cox's model: by hand, by its score equations, and beside statsmodels and lifelines."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from genodl.screen import cox


def simulated(seed: int, *, ties: bool, samples: int = 250):
    """Follow-up under two covariates, censored, rounded to few values where there are ties."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, 2))
    time, end = rng.exponential(np.exp(-x @ [0.8, -0.4])), rng.exponential(2, samples)
    event, time = (time <= end).astype(float), np.minimum(time, end)
    return np.ceil(time * 5) if ties else time, event, x


def expected(model: cox.Hazard, time, event, x):
    return np.exp(cox.log_hazard(model, x)) * cox.cumulative_hazard(model, time, event)


def test_the_baseline_hazard_is_as_by_hand():
    # three at risk at 2, where two events share the hazards of 1/3 and 1/2; one at risk at 5
    time, event = np.array([2.0, 5.0, 2.0]), np.array([1.0, 1.0, 1.0])
    model = cox.fit(time, event, np.zeros((3, 0)))
    assert_allclose(model.time, [2, 5])
    assert_allclose(model.step, [1 / 3 + 1 / 2, 1])
    assert_allclose(model.shared, [1 / 3 + 1 / 4, 1])
    asked = np.array([1.0, 2, 2, 4, 5, 9])
    seen = np.array([1, 0, 1, 1, 1, 0])
    tied = 1 / 3 + 1 / 4
    assert_allclose(
        cox.cumulative_hazard(model, asked, seen), [0, 5 / 6, tied, 5 / 6, 11 / 6, 11 / 6]
    )


def test_a_coefficient_is_as_by_hand():
    # x = 1 dies first, then 0, then 1: the likelihood is r / (2 r + 1) * 1 / (1 + r) with
    # r = exp(b), and its derivative vanishes where 2 r squared = 1
    x = np.array([[1.0], [0.0], [1.0]])
    model = cox.fit(np.array([1.0, 2, 3]), np.ones(3), x)
    assert_allclose(model.coefficients, [np.log(0.5) / 2], atol=1e-6)


def test_efron_averages_the_risk_sets_of_every_order_of_a_tie():
    # two of three die together: the second risk set lacks the one or the other half of the time
    x, time, event = np.array([[0.3], [1.0], [-0.5]]), np.array([1.0, 1, 2]), np.array([1.0, 1, 0])
    b = 0.7
    w = np.exp(b * (x[:, 0] - x.mean()))
    first = w.sum()
    second = np.mean([first - w[gone] for gone, _ in permutations([0, 1])])
    model = cox.fit(time, event, np.zeros((3, 0)), offset=b * (x[:, 0] - x.mean()))
    assert_allclose(model.step, [1 / first + 1 / second])


@pytest.mark.parametrize("ties", [False, True])
def test_martingale_residuals_solve_the_score_equations(ties):
    time, event, x = simulated(1, ties=ties)
    residual = event - expected(cox.fit(time, event, x), time, event, x)
    assert_allclose(residual.sum(), 0, atol=1e-8)
    assert_allclose(x.T @ residual, 0, atol=1e-5)


@pytest.mark.parametrize("ties", [False, True])
def test_coefficients_are_those_of_statsmodels(ties):
    api = pytest.importorskip("statsmodels.duration.hazard_regression")
    time, event, x = simulated(2, ties=ties)
    theirs = api.PHReg(time, x, status=event, ties="efron").fit(disp=0)
    assert_allclose(cox.fit(time, event, x).coefficients, theirs.params, atol=1e-6)


@pytest.mark.parametrize("ties", [False, True])
def test_coefficients_and_residuals_are_those_of_lifelines(ties):
    lifelines = pytest.importorskip("lifelines")
    time, event, x = simulated(3, ties=ties)
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "time": time, "event": event})
    theirs = lifelines.CoxPHFitter().fit(table, "time", "event")
    model = cox.fit(time, event, x)
    assert_allclose(model.coefficients, theirs.params_, atol=1e-4)
    if not ties:  # with ties its baseline is not Efron's
        residual = theirs.compute_residuals(table, "martingale")["martingale"].sort_index()
        assert_allclose(event - expected(model, time, event, x), residual, atol=1e-3)


def test_the_order_of_samples_and_the_centre_of_covariates_do_not_matter():
    time, event, x = simulated(4, ties=True)
    order = np.random.default_rng(0).permutation(len(time))
    first, second = cox.fit(time, event, x), cox.fit(time[order], event[order], x[order] + 100)
    assert_allclose(first.coefficients, second.coefficients, atol=1e-8)
    assert_allclose(
        expected(first, time, event, x)[order],
        expected(second, time[order], event[order], x[order] + 100),
        rtol=1e-6,
    )


def test_an_offset_is_a_coefficient_that_is_known():
    time, event, x = simulated(5, ties=False)
    whole = cox.fit(time, event, x)
    part = cox.fit(time, event, x[:, :1], offset=whole.coefficients[1] * x[:, 1])
    assert_allclose(part.coefficients, whole.coefficients[:1], atol=1e-6)


def test_separated_and_repeated_covariates_stay_finite_under_a_ridge():
    time, event, x = simulated(6, ties=False)
    only = (event > 0).astype(float)[:, None]
    model = cox.fit(time, event, np.hstack([only, only, x]), ridge=0.01)
    assert np.isfinite(model.coefficients).all()
    assert_allclose(model.coefficients[0], model.coefficients[1], atol=1e-6)


def test_no_event_before_a_time_is_no_hazard():
    model = cox.fit(np.array([3.0, 4.0]), np.array([1.0, 0.0]), np.zeros((2, 0)))
    assert_allclose(cox.cumulative_hazard(model, np.array([1.0, 3.5]), np.zeros(2)), [0, 0.5])
