"""Draws of bent sums against integrals on a grid, and planted sums."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

from genodl.rank.sums import HINGES, SHAPES, STEPS, STRENGTHS, drawn

SAMPLES, PADDING = 600, 24


def planted(shape, seed=0):
    """Three orthogonal directions and a residual that a bent sum of two drives."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((SAMPLES, 3))
    x = np.linalg.qr(x - x.mean(0))[0] * np.sqrt(SAMPLES)
    total = (x[:, 0] + x[:, 1]) / np.sqrt(2)
    signal = total**2 if shape == "square" else (total > 1) * 1.0
    y = 0.3 * (signal - signal.mean()) / signal.std() + rng.standard_normal(SAMPLES)
    return x, signal, (y - y.mean()) / y.std()


def draws_of(x, y, key=0):
    padded = np.pad(np.column_stack([x, y]), ((0, PADDING), (0, 0))).astype(np.float32)
    present = (np.arange(SAMPLES + PADDING) < SAMPLES).astype(np.float32)
    spread = np.full(x.shape[1], 0.6, np.float32)
    arrays = (padded[:, :-1], spread, padded[:, -1], present)
    found = drawn(*map(jnp.asarray, arrays), jax.random.key(key))
    return np.asarray(found.values), np.asarray(found.log_prior)


def log_bayes(values, y):
    """log Bayes factor of columns, by numpy alone."""
    centred = values - values.mean(0)
    z = y @ centred / np.sqrt(np.square(centred).sum(0))
    c = np.array(STRENGTHS)[:, None]
    return logsumexp(0.5 * z**2 * c / (1 + c) - 0.5 * np.log1p(c), axis=0) - np.log(len(c))


@pytest.mark.parametrize("shape", ["square", "step"])
def test_the_evidence_agrees_with_an_integral_over_all_sums_of_two_directions(shape):
    x, _, y = planted(shape)
    angle = np.linspace(0, 2 * np.pi, 721)[:-1]
    total = x[:, :2] @ np.stack([np.cos(angle), np.sin(angle)])
    bent = [total**2, *(total > c for c in STEPS), *(np.maximum(total - c, 0) for c in HINGES)]
    each = np.stack([log_bayes(b.astype(float), y) for b in bent])
    exact = logsumexp(each + np.log(SHAPES)[:, None]) - np.log(len(angle))
    found = []
    for key in range(8):
        values, log_prior = draws_of(x[:, :2], y, key)
        found.append(logsumexp(log_prior + log_bayes(values[:SAMPLES], y)))
    assert_allclose(logsumexp(found) - np.log(8), exact, atol=0.35)


@pytest.mark.long
@pytest.mark.parametrize("shape", ["square", "step"])
def test_draws_follow_the_sum_that_acts(shape):
    x, signal, y = planted(shape)
    values, _ = draws_of(x, y)
    assert np.abs(np.corrcoef(values[:SAMPLES].mean(1), signal)[0, 1]) > 0.85


def test_draws_are_the_same_again_have_variance_1_and_no_say_of_padding():
    x, _, y = planted("square")
    x = x[:, :2]
    values, _ = draws_of(x, y)
    assert_allclose(np.square(values[:SAMPLES]).mean(0), 1, atol=1e-3)
    assert not values[SAMPLES:].any()
    assert_array_equal(values, draws_of(x, y)[0])
