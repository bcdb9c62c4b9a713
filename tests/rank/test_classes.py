"""Classes of one phenotype brought together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from genodl.rank.classes import join_classes


def table(log_p, effect, stability, marginal_p):
    columns = {"log_p": log_p, "score": 0.0, "effect": effect, "stability": stability}
    return pd.DataFrame({**columns, "marginal_p": marginal_p})


@pytest.fixture
def joined() -> pd.DataFrame:
    first = table(np.log([0.01, 0.5]), [1.0, 2.0], [0.2, 0.9], [0.03, 0.4])
    second = table(np.log([0.2, 1e-30]), [3.0, -4.0], [0.7, 0.1], [0.5, 1e-20])
    return join_classes([first, second], ["a", "b"])


def test_p_values_are_joined_by_the_cauchy_combination(joined):
    cot = np.tan((0.5 - np.array([0.01, 0.2])) * np.pi)
    assert np.exp(joined["log_p"][0]) == pytest.approx(stats.cauchy.sf(cot.mean()), rel=1e-6)
    # far in the tail the best of two classes counts twice
    assert joined["log_p"][1] == pytest.approx(np.log(2e-30), rel=1e-6)
    assert_allclose(stats.norm.logsf(joined["score"]), joined["log_p"], rtol=1e-6)
    cot = np.tan((0.5 - np.array([0.03, 0.5])) * np.pi)
    assert joined["marginal_p"][0] == pytest.approx(stats.cauchy.sf(cot.mean()), rel=1e-6)


def test_the_effect_is_of_the_class_with_the_strongest_test(joined):
    assert joined["effect"].tolist() == [1.0, -4.0]
    assert joined["effect_class"].tolist() == ["a", "b"]
    assert joined["stability"].tolist() == [0.7, 0.9]


def test_a_phenotype_of_one_table_stays_as_it_is():
    alone = table(np.log([0.1]), [1.0], [0.5], [0.2])
    assert join_classes([alone], [""]) is alone


def test_p_values_of_classes_that_exclude_each_other_stay_uniform():
    # one-against-rest scores of null markers: residuals of three classes sum to zero
    rng = np.random.default_rng(0)
    codes = rng.choice(3, 600, p=[0.1, 0.3, 0.6])
    residual = (codes[:, None] == np.arange(3)) - np.bincount(codes) / 600
    markers = rng.standard_normal((600, 20_000))
    z = (residual.T @ markers) / np.sqrt((residual**2).sum(0))[:, None]
    log_p = np.log(2) + stats.norm.logsf(np.abs(z))
    tables = [table(row, 0.0, 0.0, np.exp(row)) for row in log_p]
    p = np.exp(join_classes(tables, ["a", "b", "c"])["log_p"])
    for level, most in ((0.05, 1.15), (0.01, 1.25), (0.001, 1.6)):
        assert (p < level).mean() <= most * level
    assert (p < 0.05).mean() > 0.8 * 0.05
