"""Classes of one phenotype brought together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from genodl.rank.classes import _log_tail, _quadratic, join_classes


def table(log_p, effect, marginal_p, z=0.0):
    columns = {"log_p": log_p, "z": z, "score": 0.0, "effect": effect}
    return pd.DataFrame({**columns, "marginal_p": marginal_p})


def members(share, samples=600, seed=0):
    """Residuals of exclusive classes, (classes, samples)."""
    codes = np.random.default_rng(seed).choice(len(share), samples, p=share)
    residual = (codes == np.arange(len(share))[:, None]).astype(float)
    return residual - residual.mean(1, keepdims=True)


def scores(residual, markers):
    return (residual @ markers) / np.sqrt((residual**2).sum(1))[:, None]


def joined_p(residual, z):
    log_p = np.log(2) + stats.norm.logsf(np.abs(z))
    labels = [str(c) for c in range(len(z))]
    tables = [table(row, 0.0, np.exp(row), d) for row, d in zip(log_p, z, strict=True)]
    return np.exp(join_classes(tables, labels, residual)["log_p"].to_numpy())


@pytest.fixture
def joined() -> pd.DataFrame:
    first = table(np.log([0.01, 0.5]), [1.0, 2.0], [0.03, 0.4], [1.0, 0.0])
    second = table(np.log([0.2, 1e-30]), [3.0, -4.0], [0.5, 1e-20], [2.0, 0.0])
    # the second is left out of the quadratic form, as its residuals vary the most
    return join_classes([first, second], ["a", "b"], np.array([[0.0, 1, 0], [0, 0, 4]]))


def test_p_values_are_joined_by_the_cauchy_combination(joined):
    cot = np.tan((0.5 - np.array([0.01, 0.2])) * np.pi)
    form = np.tan((0.5 - stats.chi2.sf(1.0, 1)) * np.pi)
    expected = stats.cauchy.sf((cot.mean() + form) / 2)
    assert np.exp(joined["log_p"][0]) == pytest.approx(expected, rel=1e-6)
    # far in the tail the best of two classes counts twice, and so does the better test
    assert joined["log_p"][1] == pytest.approx(np.log(4e-30), rel=1e-6)
    assert_allclose(stats.norm.logsf(joined["score"]), joined["log_p"], rtol=1e-6)
    cot = np.tan((0.5 - np.array([0.03, 0.5])) * np.pi)
    assert joined["marginal_p"][0] == pytest.approx(stats.cauchy.sf(cot.mean()), rel=1e-6)


def test_the_effect_is_of_the_class_with_the_strongest_test(joined):
    assert joined["effect"].tolist() == [1.0, -4.0]
    assert joined["effect_class"].tolist() == ["a", "b"]


def test_a_phenotype_of_one_table_stays_as_it_is():
    alone = table(np.log([0.1]), [1.0], [0.2])
    assert join_classes([alone], [""], np.zeros((1, 3))) is alone


def test_the_quadratic_form_is_that_of_the_score_test_of_all_classes():
    residual = members([0.2, 0.3, 0.5])
    marker = np.random.default_rng(1).standard_normal((600, 1)) + 0.3 * residual[:1].T
    marker -= marker.mean()
    z = scores(residual, marker / marker.std())
    # n R2 of the marker on the indicators is the same form, whichever class is left out
    fitted = residual[1:].T @ np.linalg.lstsq(residual[1:].T, marker, rcond=None)[0]
    form = 600 * (fitted**2).sum() / (marker**2).sum()
    assert _quadratic(z, residual)[0] == pytest.approx(stats.chi2.logsf(form, 2), rel=1e-6)


@pytest.mark.parametrize("freedom", [1, 2, 7])
def test_the_tail_of_chi_square_runs_on_smoothly_beyond_underflow(freedom):
    near, far = np.array([500.0, 599.0]), np.array([600.0, 700.0])
    assert_allclose(_log_tail(near, freedom), stats.chi2.logsf(near, freedom))
    assert_allclose(_log_tail(far, freedom), stats.chi2.logsf(far, freedom), atol=1e-5)
    assert np.isfinite(_log_tail(np.array([1e5]), freedom)).all()


@pytest.mark.parametrize("share", [(0.1, 0.3, 0.6), (0.05, 0.05, 0.2, 0.3, 0.4)])
def test_p_values_of_null_markers_are_uniform(share):
    residual = members(share)
    markers = np.random.default_rng(2).standard_normal((600, 20_000))
    p = joined_p(residual, scores(residual, markers))
    for level, most in ((0.05, 1.15), (0.01, 1.25), (0.001, 1.6)):
        assert (p < level).mean() <= most * level
    assert (p < 0.05).mean() > 0.8 * 0.05


def test_a_trend_over_many_classes_is_seen_better_than_by_any_class():
    residual = members([0.125] * 8, samples=1500)
    codes = residual.argmax(0)
    rng = np.random.default_rng(3)
    z = scores(residual, 0.055 * codes[:, None] + rng.standard_normal((1500, 200)))
    best = np.minimum(8 * 2 * stats.norm.sf(np.abs(z).max(0)), 1)
    assert (joined_p(residual, z) < 1e-4).mean() > 1.5 * (best < 1e-4).mean()
