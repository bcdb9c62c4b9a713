"""Features of new samples: the same functions as those of the samples they were made of."""

from __future__ import annotations

import numpy as np
import pytest

from genodl.screen.channels import STEPS, WINSOR, covariate_projection, encode, steps
from genodl.screen.features import Features, computed, cutting, encoding

SAMPLES, MARKERS = 300, 24


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Values, half of them dosages, some constant or missing, and covariates."""
    rng = np.random.default_rng(8)
    values = rng.standard_normal((SAMPLES, MARKERS)).astype(np.float32) * 3 + 1
    values[:, :12] = rng.binomial(2, 0.3, (SAMPLES, 12))
    values[:, 3] = 1.0
    values[:, 4] = np.arange(SAMPLES) < 6
    values[rng.random(values.shape) < 0.05] = np.nan
    covariates = np.column_stack([np.ones(SAMPLES), rng.standard_normal((SAMPLES, 2))])
    return values, covariates


@pytest.mark.parametrize(("variants", "level"), [(False, 12), (True, 0), (True, 1), (True, 2)])
def test_features_of_the_same_samples_are_their_channels(drawn, variants, level):
    values, covariates = drawn
    present, basis = np.ones(SAMPLES, np.float32), covariate_projection(covariates)
    channels = encode(values, present, basis, WINSOR)
    inverse = np.linalg.pinv(covariates)
    lines, squares, told = encoding(values, channels, inverse)
    cuts, cut_told = cutting(values, level, inverse, variants=variants)
    features = Features(lines, squares, cuts, np.concatenate([*told, cut_told], axis=1))
    found = np.asarray(computed(features, values, covariates.astype(np.float32)))
    stepped = steps(values, present, basis, np.full(MARKERS, level), variants=variants)
    expected = np.concatenate([*np.asarray(channels.values), stepped], axis=1)
    # the channels are made in single precision, where squares of rare alleles cancel
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert not np.asarray(channels.active)[:, 3].any()
    assert STEPS[12] == 0.65


def test_a_cut_by_hand():
    values = np.arange(20, dtype=np.float32)[:, None]
    cuts, told = cutting(values, 9, np.linalg.pinv(np.ones((20, 1))))
    assert STEPS[9] == 0.5
    assert (float(cuts.low[0]), float(cuts.high[0])) == (9.5, np.inf)
    assert float(cuts.share[0]) == 0.5
    assert float(cuts.spread[0]) == 0.5
    assert abs(told).max() < 1e-12
