"""Tests of many phenotypes at once, held to the test of each alone."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from genodl.rank import many
from genodl.rank.test import Fits, attributed_covariance
from genodl.screen.channels import Channels, covariate_projection, encode

PLACES, MARKERS = 240, 64


@pytest.fixture(scope="module")
def channels() -> Channels:
    rng = np.random.default_rng(3)
    dosage = rng.binomial(2, rng.uniform(0.02, 0.5, MARKERS), (PLACES, MARKERS)).astype(np.float32)
    dosage[:, 5] = 1.0  # does not vary
    dosage[rng.random(dosage.shape) < 0.02] = np.nan
    basis = covariate_projection(np.ones((PLACES, 1)))
    return encode(dosage, np.ones(PLACES, np.float32), basis, 4.0)


def fits_of(channels: Channels, seed: int, *, missing: float = 0.0, effect: float = 0.0) -> Fits:
    """A phenotype that a path and products say something of, near two markers each."""
    rng = np.random.default_rng(seed)
    x = np.asarray(channels.values[0])
    known = (rng.random(PLACES) >= missing).astype(np.float32)
    own = x[:, [7, 20]] + 0.1 * rng.standard_normal((PLACES, 2)).astype(np.float32)
    none = np.zeros((PLACES, 0), np.float32)
    residual = (rng.standard_normal(PLACES) + effect * x[:, 30]) * known
    background = 0.1 * rng.standard_normal((PLACES, 3))
    spread = np.exp(0.5 * rng.standard_normal(PLACES))
    parts = (residual, known, known.sum() - 2, 0.3 * own, own, 0.2 * own, own, none)
    more = (background, spread, 1.0 + seed)
    return Fits(*(jnp.asarray(p, jnp.float32) for p in (*parts, *more)))


def assess(channels: Channels, fits: list[Fits], contig: np.ndarray) -> list:
    """Each fit with the markers it reaches."""
    reach = [many.reach_of(fit) for fit in fits]
    return many.attributed_covariances(channels, fits, reach, contig)


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_each_phenotype_is_tested_as_it_is_alone(channels, missing):
    given = [fits_of(channels, s, missing=missing, effect=s) for s in range(4)]
    given.append(given[0]._replace(residual=given[1].residual))  # shares the samples of the first
    contig = np.arange(MARKERS) % 3
    together = assess(channels, given, contig)
    for fit, found in zip(given, together, strict=True):
        alone = attributed_covariance(channels, fit, contig)
        assert (np.abs(np.asarray(alone.z[2])) > 0).any()
        assert_allclose(found.z, alone.z, rtol=1e-3, atol=1e-4)
        assert_allclose(found.slope, alone.slope, rtol=1e-3, atol=1e-5)


def test_a_marker_that_a_model_reaches_is_given_back_what_it_said(channels):
    fit = fits_of(channels, 1)
    silent = fit._replace(features=jnp.zeros_like(fit.features))
    contig = np.zeros(MARKERS, int)
    spoken, mute = (assess(channels, [f], contig)[0] for f in (fit, silent))
    moved = np.flatnonzero(np.asarray(spoken.z[0]) != np.asarray(mute.z[0]))
    assert set(moved) == {7, 20}


def test_what_is_given_or_multiplied_takes_the_way_of_its_own(channels):
    fit = fits_of(channels, 2)
    given = fit._replace(given=jnp.asarray(covariate_projection(np.ones((PLACES, 1)))))
    partner = np.random.default_rng(0).standard_normal((PLACES, 1)).astype(np.float32)
    modified = fit._replace(partners=jnp.asarray(partner))
    contig = np.zeros(MARKERS, int)
    for each in (given, modified):
        (found,) = assess(channels, [each], contig)
        assert_array_equal(found.z, attributed_covariance(channels, each, contig).z)
