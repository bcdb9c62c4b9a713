"""The test of a product: its tails against enumeration and draws, its level where it is hard."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from genodl.rank.products import (
    _drawn,
    _tail,
    _tossed,
    either,
    given_proposed,
    of_folds,
    one_sided,
)


def test_tossed_signs_are_those_of_enumeration():
    terms = np.random.default_rng(0).uniform(0.2, 1, 16)
    sums = np.sort(np.array(list(product([-1, 1], repeat=16))) @ terms)
    for level in np.quantile(sums, [0.9, 0.99, 0.999]):
        exact = (sums >= level).mean()
        found = _tail(_tossed(terms), float(level), float(terms.sum()))
        assert found == pytest.approx(exact, rel=0.15)


@pytest.mark.parametrize("samples", [40, 600])  # above 256 quantiles stand for the residuals
def test_drawn_residuals_are_those_of_many_draws(samples: int):
    rng = np.random.default_rng(1)
    u, e = rng.standard_normal(samples), rng.exponential(1, samples)
    u, e = (u - u.mean()) / np.sqrt(((u - u.mean()) ** 2).sum()), (e - e.mean()) / e.std()
    sums = np.concatenate([e[rng.integers(0, samples, (5000, samples))] @ u for _ in range(10)])
    for share in (0.1, 0.01, 0.002):
        level = float(np.quantile(sums, 1 - share))
        reach = float(np.where(u > 0, u * e.max(), u * e.min()).sum())
        assert _tail(_drawn(u, e), level, reach) == pytest.approx(share, rel=0.2)


def test_a_clear_product_is_as_clear_as_its_normal_deviate():
    rng = np.random.default_rng(2)
    u, e = rng.standard_normal(4000), rng.standard_normal(4000)
    e += 0.1 * u
    z = np.corrcoef(u, e)[0, 1] * np.sqrt(4000)
    found = stats.norm.isf(one_sided(u, e))
    assert z > 5
    assert found == pytest.approx(z, abs=0.3)
    assert one_sided(-u, e) > 0.99


@pytest.mark.parametrize("few", [pytest.param(False, marks=pytest.mark.long), True])
@pytest.mark.parametrize("law", ["skewed", "uneven"])
def test_the_level_holds_with_few_carriers_skewed_and_uneven_residuals(few: bool, law: str):
    rng = np.random.default_rng([3, few, law == "skewed"])
    p_values = []
    for _ in range(400):
        a, b = (rng.binomial(2, 0.1 if few else 0.4, 120) for _ in range(2))
        u = (a - a.mean()) * (b - b.mean())
        e = rng.exponential(1, 120) ** 1.5
        if law == "uneven":  # carriers spread twice as far, as where a tags what was not typed
            e = rng.standard_normal(120) * (1 + (a > 0))
        p_values.append(one_sided(u * rng.choice([-1, 1]), e))
    p = np.array(p_values)
    for level in (0.05, 0.01):
        assert (p < level).mean() < level + 3 * np.sqrt(level / 400)
    assert (p < 0.05).mean() > 0.005


def test_what_varies_in_no_sample_has_no_evidence():
    e = np.random.default_rng(4).standard_normal(50)
    assert one_sided(np.zeros(50), e) == 1.0
    assert one_sided(e, np.ones(50)) == 1.0


def test_folds_and_tests_are_paid_for():
    assert of_folds(np.array([0.004, 0.3]), folds=10) == pytest.approx(0.04)
    assert of_folds(np.array([0.004, 0.3]), folds=10, proposals=2) == pytest.approx(0.08)
    assert of_folds(np.array([0.4]), folds=5) == 1.0
    assert either(0.01, 0.2) == pytest.approx(0.02)
    assert either(0.9, 0.8) == 1.0


def test_p_values_of_proposed_products_hold_though_the_folds_chose_them():
    # ten folds, each sum a normal deviate; a fold proposes where the other nine stand out
    threshold, folds = 2.5, 10
    part = np.random.default_rng(5).standard_normal((400_000, folds))
    rest = (part.sum(1, keepdims=True) - part) / np.sqrt(folds - 1)
    proposes = np.abs(rest) > threshold
    listed = proposes.any(1)
    part, rest, proposes = part[listed], rest[listed], proposes[listed]
    tests = np.where(proposes, stats.norm.sf(np.sign(rest) * part), 1.0)
    held_out = np.array([of_folds(p, folds=folds) for p in tests])
    over_all = 2 * stats.norm.sf(np.abs(part.sum(1)) / np.sqrt(folds))
    whole = np.array([given_proposed(p, threshold=threshold) for p in over_all])
    both = np.minimum(2 * np.minimum(held_out, whole), 1)
    assert len(part) > 5000
    for p in (held_out, whole, both):
        for level in (0.1, 0.05, 0.01):
            assert (p <= level).mean() < level + 3 * np.sqrt(level / len(p))
    assert_allclose((whole <= 0.05).mean(), 0.02, atol=0.02)  # and is not idle


@pytest.mark.long
def test_relatives_widen_the_sum():
    rng = np.random.default_rng(12)
    direction, noise = rng.standard_normal(4000), rng.standard_normal(4000)
    residual = 0.07 * direction + noise
    deviate = stats.norm.isf(one_sided(direction, residual))
    for ratio in (1.5, 4.0):
        widened = one_sided(direction, residual, ratio=ratio)
        assert stats.norm.isf(widened) == pytest.approx(deviate / np.sqrt(ratio), rel=0.02)
