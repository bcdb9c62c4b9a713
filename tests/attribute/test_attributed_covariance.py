"""Summaries over samples equal those of the whole matrix, and never hold it."""

from __future__ import annotations

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from genodl.attribute import attribute, summarise
from genodl.errors import InputError


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


FIRST, LAST = drawn(6, 5, seed=1), drawn(5, 2, seed=2)


def predict(z):
    return jnp.tanh(z @ FIRST) @ LAST


@pytest.mark.parametrize("output", [1, None])
def test_summaries_equal_those_of_the_whole_matrix(output):
    x, residual = drawn(11, 6), drawn(11, seed=3)
    whole = attribute(predict, x, baseline=0.0, output=output).values.astype(np.float64)
    found = summarise(predict, x, baseline=0.0, residual=residual, output=output, batch_size=4)
    terms = whole * residual.reshape(-1, *(1,) * (whole.ndim - 1))
    kept = {"rtol": 1e-4, "atol": 1e-5}
    assert_allclose(found.mean, whole.mean(axis=0), **kept)
    assert_allclose(found.mean_absolute, np.abs(whole).mean(axis=0), **kept)
    assert_allclose(found.covariance, terms.sum(axis=0), **kept)
    assert_allclose(found.variance, (terms**2).sum(axis=0), **kept)
    assert_allclose(found.z, terms.sum(axis=0) / np.sqrt((terms**2).sum(axis=0)), rtol=1e-3)
    assert (found.samples, found.incomplete) == (11, 0)


@pytest.mark.long
def test_sampled_summaries_do_not_depend_on_the_blocks():
    x, residual = drawn(7, 6), drawn(7, seed=3)
    kept = {"baseline": 0.0, "residual": residual, "method": "smoothgrad", "draws": 4}
    found = [summarise(predict, x, batch_size=size, **kept).covariance for size in (7, 3)]
    assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_the_attributed_covariance_is_the_covariance_of_prediction_and_residual():
    x, residual = drawn(9, 6), drawn(9, seed=3)
    found = summarise(predict, x, baseline=0.0, residual=residual, output=0)
    expected = residual @ np.asarray(predict(x) - predict(np.zeros((1, 6))))[:, 0]
    assert_allclose(found.covariance.sum(), expected, rtol=1e-3)


def test_a_missing_residual_is_an_error():
    with pytest.raises(InputError, match="1 missing"):
        summarise(predict, drawn(3, 6), baseline=0.0, residual=np.array([0.0, np.nan, 1.0]))


PROGRAM = """
import resource
import jax.numpy as jnp, numpy as np
from genodl.attribute import summarise

inputs, samples = 1_000_000, 5_000
one = np.random.default_rng(0).integers(0, 3, inputs, dtype=np.int8)

class Dosages:
    shape = (samples, inputs)
    def __getitem__(self, place):
        return np.stack([np.roll(one, 977 * row) for row in range(*place.indices(samples))])

rng = np.random.default_rng(1)
weight = jnp.asarray(rng.normal(size=(inputs, 16)) / 1000, jnp.float32)
found = summarise(
    lambda z: jnp.tanh(z @ weight).sum(axis=1), Dosages(), baseline=0.0,
    residual=rng.normal(size=samples), steps=8,
)
assert found.covariance.shape == (inputs,)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_a_million_inputs_of_five_thousand_samples_take_less_than_two_gigabytes():
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert int(found.stdout or 2**40) < 2 * 2**20, found.stderr
