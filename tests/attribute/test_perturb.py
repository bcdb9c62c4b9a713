"""Perturbation attributions: by hand, by the laws of Shapley values, the same in any batch."""

from __future__ import annotations

import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from genodl.attribute import attribute
from genodl.attribute.perturb import windows
from genodl.errors import InputError


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


WEIGHT = drawn(5, seed=1)


def predict(z):
    return jnp.tanh(z @ WEIGHT) + z[:, 0] * z[:, 1] * z[:, 2]


def shapley_by_definition(f, x, b):
    players = len(x)
    values = np.zeros(players)
    for order in itertools.permutations(range(players)):
        now = b.copy()
        for i in order:
            before = f(now)
            now[i] = x[i]
            values[i] += f(now) - before
    return values / math.factorial(players)


def test_exact_shapley_values_are_the_mean_over_all_orders():
    x, background = drawn(2, 5), drawn(3, 5, seed=2)
    found = attribute(predict, x, baseline=background, method="shapley")

    def f(z):
        return float(np.tanh(z @ WEIGHT) + z[0] * z[1] * z[2])

    expected = [np.mean([shapley_by_definition(f, v, b) for b in background], 0) for v in x]
    assert_allclose(found.values, expected, rtol=1e-4, atol=1e-5)
    assert found.completeness_error.max() < 1e-5


def test_sampled_shapley_values_are_complete_and_within_their_error():
    x, background = drawn(2, 5), drawn(4, 5, seed=2)
    exact = attribute(predict, x, baseline=background, method="shapley")
    found = attribute(predict, x, baseline=background, method="shapley", draws=400)
    assert found.completeness_error.max() < 1e-4
    z = (found.values - exact.values) / found.standard_error
    assert np.abs(z).max() < 4.5
    assert (found.standard_error < 0.2).all()


def test_a_sampled_batch_gives_what_each_sample_alone_gives():
    x, background = drawn(5, 5), drawn(4, 5, seed=2)
    kept = {"baseline": background, "method": "shapley", "draws": 4}
    whole = attribute(predict, x, batch_size=5, **kept)
    cut = attribute(predict, x, batch_size=2, **kept)
    assert_allclose(whole.values, cut.values, rtol=1e-4, atol=1e-5)


def test_occlusion_of_a_linear_model_is_weight_times_difference():
    x = drawn(3, 5)
    found = attribute(lambda z: z @ WEIGHT, x, baseline=0.5, method="occlusion")
    assert_allclose(found.values, (x - 0.5) * WEIGHT, rtol=1e-4, atol=1e-6)


def test_windows_reach_the_end_and_average_where_they_overlap():
    size, corners = windows((5,), 2, 2)
    assert size == (2,)
    assert corners.ravel().tolist() == [0, 2, 3]
    x = np.ones((1, 5), np.float32)
    found = attribute(
        lambda z: z @ jnp.arange(5.0), x, baseline=0, method="occlusion", window=2, stride=2
    )
    # Windows 0-1, 2-3 and 3-4 weigh 1, 5 and 7; input 3 lies in the last two.
    assert_allclose(found.values, [[1, 1, 5, 6, 7]], rtol=1e-6)


def test_substitutions_of_a_linear_sequence_model_are_differences_of_weights():
    weight = drawn(6, 4)
    x = np.eye(4, dtype=np.float32)[[[0, 1, 2, 3, 0, 1], [3, 3, 2, 2, 1, 1]]]
    found = attribute(lambda z: (z * weight).sum(axis=(1, 2)), x, baseline=0, method="ism")
    present = (x * weight).sum(axis=2, keepdims=True)
    assert_allclose(found.values, np.broadcast_to(weight, x.shape) - present, atol=1e-5)


def test_a_position_without_a_letter_takes_each_in_turn():
    weight = drawn(6, 4)
    x = np.eye(4, dtype=np.float32)[[[0, 1, 2, 3, 0, 1]]]
    x[0, 2] = 0
    found = attribute(lambda z: (z * weight).sum(axis=(1, 2)), x, baseline=0, method="ism")
    present = (x * weight).sum(axis=2, keepdims=True)
    assert_allclose(found.values, np.broadcast_to(weight, x.shape) - present, atol=1e-5)


def test_groups_span_the_parts_of_the_input_and_share_equally():
    x = {"a": np.ones((2, 3), np.float32), "b": np.ones((2, 2), np.float32)}
    groups = {"a": ["g", "g", "h"], "b": ["h", "g"]}
    found = attribute(
        lambda z: z["a"] @ jnp.array([1.0, 2, 3]) + z["b"] @ jnp.array([4.0, 5]),
        *(x,),
        baseline=0,
        method="ablation",
        groups=groups,
    )
    # Group g weighs 1 + 2 + 5 over three inputs, h 3 + 4 over two.
    assert_allclose(found.values["a"][0], [8 / 3, 8 / 3, 3.5], rtol=1e-6)
    assert_allclose(found.values["b"][0], [3.5, 8 / 3], rtol=1e-6)
    assert found.completeness_error.max() < 1e-5


def test_permutation_is_the_mean_fall_over_the_background():
    x, background = drawn(2, 5), drawn(6, 5, seed=2)
    found = attribute(lambda z: z @ WEIGHT, x, baseline=background, method="permutation")
    falls = (x[:, None] - background) * WEIGHT
    assert_allclose(found.values, falls.mean(axis=1), rtol=1e-4, atol=1e-5)
    assert_allclose(found.standard_error, falls.std(axis=1, ddof=1) / np.sqrt(6), rtol=1e-3)


def test_all_outputs_are_explained_at_once():
    x, background = drawn(2, 5), drawn(3, 5, seed=2)
    weight = drawn(5, 3, seed=4)
    for method in ("shapley", "permutation"):
        found = attribute(lambda z: z @ weight, x, baseline=background, method=method)
        expected = (x - background.mean(axis=0))[:, :, None] * weight
        assert_allclose(found.values, expected, rtol=1e-3, atol=1e-5)


def test_labels_must_fit_the_inputs():
    with pytest.raises(InputError, match="label"):
        attribute(predict, drawn(2, 5), baseline=0, method="ablation", groups=["a", "b"])
