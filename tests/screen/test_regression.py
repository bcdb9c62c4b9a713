"""Regressions of a block against one regression at a time, calls and phenotypes missing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from genodl.screen.regression import prepare, regress
from genodl.screen.student import p_values

RNG = np.random.default_rng(0)
SAMPLES, MARKERS = 120, 30
DOSAGE = RNG.binomial(2, RNG.uniform(0.1, 0.5, MARKERS)[:, None], (MARKERS, SAMPLES)).astype(
    np.int8
)
DOSAGE[RNG.random(DOSAGE.shape) < 0.05] = -1
COVARIATES = np.column_stack([RNG.standard_normal((SAMPLES, 2)), RNG.random(SAMPLES) < 0.3])
PHENOTYPES = RNG.standard_normal((SAMPLES, 5)) + COVARIATES[:, :1] * 3 + 100
PHENOTYPES[:, 3] += 0.8 * DOSAGE[4]
PHENOTYPES[RNG.random(SAMPLES) < 0.2, 1] = np.nan
PHENOTYPES[RNG.random(SAMPLES) < 0.2, 3] = np.nan


def one_by_one(g: np.ndarray, y: np.ndarray, covariates: np.ndarray) -> tuple:
    """n, effect, se, t and p of one ordinary regression."""
    used = np.isfinite(g) & np.isfinite(y)
    x = np.column_stack([np.ones(used.sum()), covariates[used], g[used]])
    rank = np.linalg.matrix_rank(x)
    slope, rest = np.linalg.lstsq(x, y[used], rcond=None)[0], 0
    rest = ((y[used] - x @ slope) ** 2).sum()
    variance = rest / (used.sum() - rank) * np.linalg.pinv(x.T @ x)[-1, -1]
    t = slope[-1] / np.sqrt(variance)
    return used.sum(), slope[-1], np.sqrt(variance), t, 2 * stats.t.sf(abs(t), used.sum() - rank)


@pytest.mark.parametrize("form", ["calls", "levels"])
@pytest.mark.parametrize("redundant", [False, True])
def test_a_block_is_one_regression_at_a_time(form: str, redundant: bool):
    covariates = np.column_stack([COVARIATES, COVARIATES[:, 0]]) if redundant else COVARIATES
    floats = np.where(DOSAGE < 0, np.nan, DOSAGE)
    if form == "levels":
        floats = floats * 1.7 + RNG.standard_normal(DOSAGE.shape)
    found = regress(DOSAGE if form == "calls" else floats, prepare(PHENOTYPES, covariates))
    for v in range(MARKERS):
        for p in range(PHENOTYPES.shape[1]):
            n, *others = one_by_one(floats[v], PHENOTYPES[:, p], covariates)
            assert found.n[v, p] == n
            got = [column[v, p] for column in found[1:]]
            assert_allclose(got, others, rtol=2e-4 if form == "calls" else 1e-6, atol=1e-6)


def test_a_marker_without_variation_beside_the_covariates_has_no_effect():
    constant, covariate = np.full(SAMPLES, 2), COVARIATES[:, 2]
    absent = np.full(SAMPLES, -1)
    # varies only where its call is missing elsewhere
    block = np.stack([constant, covariate, absent, DOSAGE[0]]).astype(np.int8)
    found = regress(block, prepare(PHENOTYPES, COVARIATES))
    assert np.isnan(found.p_value[:3]).all()
    assert np.isnan(found.effect[:3]).all()
    assert np.isfinite(found.p_value[3]).all()
    assert_array_equal(found.n[2], 0)


def test_what_depends_on_the_order_of_phenotypes_comes_back_in_it():
    one = regress(DOSAGE, prepare(PHENOTYPES, COVARIATES))
    order = np.array([3, 0, 4, 1, 2])
    other = regress(DOSAGE, prepare(PHENOTYPES[:, order], COVARIATES))
    for a, b in zip(one, other, strict=True):
        assert_allclose(a[:, order], b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("freedom", [1, 5, 300, 5000])
def test_p_values_are_those_of_students_law_far_into_its_tail(freedom: int):
    t = np.concatenate([np.linspace(-39, 39, 5001), [-120.0, 60.0, np.nan]])
    found = p_values(t, np.full(len(t), freedom))
    expected = 2 * stats.t.sf(np.abs(t), freedom)
    assert_allclose(found, expected, rtol=1e-6)
    assert_allclose(p_values(t[:3], np.full(3, freedom)), expected[:3], rtol=1e-6)
