"""Losses, worked by hand and against other definitions of the same likelihood."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from genodl.train.loss import LOSSES, ordinal_log_p, weighted_mean

ONE = jnp.ones(1)


@partial(jax.jit, static_argnums=0)  # op by op it takes long to compile
def of_rows(name, prediction, target, weight):
    return LOSSES[name].each(prediction, target, weight)


def each(name, prediction, target, weight=None):
    """Losses of the rows."""
    weight = np.ones(len(target)) if weight is None else weight
    return np.asarray(of_rows(name, *(np.asarray(a, "f4") for a in (prediction, target, weight))))


def test_squared_error_sums_over_the_outputs():
    assert_allclose(each("squared", [[1.0, 2.0]], [[0.0, 4.0]]), [5.0])


def test_huber_is_squared_near_zero_and_linear_beyond():
    found = each("huber", [[1.0], [3.0]], np.zeros((2, 1)))
    assert_allclose(found, [1.0, 2 * 1.345 * 3 - 1.345**2], rtol=1e-6)


def test_logistic_is_the_negative_log_likelihood():
    probability = 1 / (1 + np.exp(-0.7))
    found = each("logistic", [[0.7], [0.7]], [[1.0], [0.0]])
    assert_allclose(found, [-np.log(probability), -np.log(1 - probability)], rtol=1e-6)


def test_cross_entropy_of_equal_logits_is_the_log_of_the_classes():
    assert_allclose(each("cross_entropy", np.zeros((1, 4)), np.eye(4)[:1]), [np.log(4)], rtol=1e-6)


def test_ordered_classes_by_hand():
    # cuts at -1 and at -1 + softplus(2); the row lies at 0.5
    cut = np.array([-1.0, -1.0 + np.log1p(np.exp(2.0))]) - 0.5
    below = np.concatenate([1 / (1 + np.exp(-cut)), [1.0]])
    found = each("ordinal", [[0.5, -1.0, 2.0]] * 3, np.eye(3))
    assert_allclose(found, -np.log(np.diff(below, prepend=0.0)), rtol=1e-5)


def test_ordered_classes_have_probabilities_that_add_up_and_two_are_logistic():
    rng = np.random.default_rng(0)
    p = (3 * rng.standard_normal((50, 5))).astype("f4")
    assert_allclose(np.exp(jax.jit(ordinal_log_p)(p)).sum(1), 1.0, rtol=1e-5)
    two = each("ordinal", p[:, :2], np.tile([[0.0, 1.0]], (50, 1)))
    one = each("logistic", p[:, :1] - p[:, 1:2], np.ones((50, 1)))
    assert_allclose(two, one, rtol=1e-5)


def efron(level, time, event):
    """The negative log partial likelihood, one event after the other."""
    lost = np.zeros(len(time))
    for t in np.unique(time[event == 1]):
        tied = np.flatnonzero((time == t) & (event == 1))
        at_risk, dying = np.exp(level[time >= t]).sum(), np.exp(level[tied]).sum()
        for i, row in enumerate(tied):
            lost[row] = np.log(at_risk - i / len(tied) * dying) - level[row]
    return lost


def test_survival_is_efrons_partial_likelihood_whatever_the_rows_left_out():
    rng = np.random.default_rng(1)
    level, time = rng.standard_normal(60), rng.integers(1, 15, 60).astype(float)
    event, weight = rng.integers(0, 2, 60), rng.integers(0, 2, 60)
    target = np.column_stack([time, event])
    found = each("survival", level[:, None], target)
    assert_allclose(found.sum(), efron(level, time, event).sum(), rtol=1e-5)
    used = weight == 1
    some = each("survival", level[:, None], target, weight)
    assert_allclose(some[used].sum(), efron(level[used], time[used], event[used]).sum(), rtol=1e-5)
    assert_allclose(some[~used], 0.0)
    # a shift of all levels says nothing
    assert_allclose(each("survival", level[:, None] + 80, target), found, rtol=1e-4, atol=1e-4)


def test_counts_are_negative_binomial():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 40, (30, 2))
    log_mean, log_a = rng.normal(1.5, 1, (2, 30, 2))
    size, mean = np.exp(-log_a), np.exp(log_mean)
    expected = -stats.nbinom.logpmf(y, size, size / (size + mean)).sum(1)
    assert_allclose(each("negative_binomial", np.hstack([log_mean, log_a]), y), expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["logistic", "cross_entropy", "ordinal", "squared"])
def test_the_constant_is_the_best_one(name):
    rng = np.random.default_rng(3)
    classes = np.eye(3)[rng.choice(3, 400, p=[0.6, 0.3, 0.1])]
    target = jnp.asarray(classes[:, :1] if name in ("logistic", "squared") else classes)
    weight = jnp.asarray(rng.uniform(0, 2, 400))
    constant = jax.jit(LOSSES[name].constant)(target, weight)

    def total(prediction):
        rows = jnp.broadcast_to(prediction, (400, len(constant)))
        return weighted_mean(LOSSES[name].each(rows, target, weight), weight)

    assert_allclose(jax.jit(jax.grad(total))(constant), 0.0, atol=1e-5)


def test_the_constant_of_counts_has_their_moments():
    y = stats.nbinom.rvs(2.0, 2.0 / (2.0 + 30.0), size=200_000, random_state=4)[:, None]
    constant = jax.jit(LOSSES["negative_binomial"].constant)
    log_mean, log_a = constant(jnp.asarray(y, jnp.float32), jnp.ones(len(y)))
    assert_allclose([np.exp(log_mean), np.exp(log_a)], [30.0, 0.5], rtol=0.05)


TARGETS = {"survival": [[3.0, 1.0]], "negative_binomial": [[4.0]]}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_stay_finite_far_out(name):
    target = jnp.asarray(TARGETS.get(name, [[1.0, 0.0]]))
    outputs = LOSSES[name].outputs(target.shape[1])
    slope = jax.jit(jax.grad(lambda p: LOSSES[name].each(p, target, ONE).sum()))
    for size in (-1e4, 0.0, 1e4):
        assert np.isfinite(slope(np.full((1, outputs), size, np.float32))).all()


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.partial])
def test_an_unknown_output_adds_nothing(name):
    target = jnp.asarray([[1.0, jnp.nan]])
    outputs = LOSSES[name].outputs(2)
    start = np.linspace(0.1, 0.7, outputs, dtype=np.float32)[None]

    def lost(p):
        return LOSSES[name].each(p, target, ONE).sum()

    known = start[:, ::2] if outputs == 4 else start[:, :1]
    found, slope = jax.jit(jax.value_and_grad(lost))(start)
    assert_allclose(found, each(name, known, target[:, :1]).sum(), rtol=1e-6)
    assert np.isfinite(slope).all()
    assert_allclose(slope[0, 1::2], 0.0)


def test_rows_of_weight_zero_take_no_part_even_when_not_finite():
    values, weight = jnp.array([1.0, 3.0, jnp.nan]), jnp.array([1.0, 3.0, 0.0])
    assert_allclose(weighted_mean(values, weight), 2.5)
    assert_allclose(weighted_mean(values, jnp.zeros(3)), 0.0)
