"""Products of markers and covariates: which leads cast a shadow by theirs."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from genodl.pipeline.condition import orthonormal
from genodl.pipeline.partners import carried, told_products
from genodl.rank.test import Fits


def fits(residual: np.ndarray, partners: np.ndarray | None) -> Fits:
    """Fits that chose nothing."""
    none = jnp.zeros((len(residual), 0))
    ones = jnp.ones(len(residual))
    parts = [jnp.asarray(residual), ones, jnp.float32(len(residual)), none, none, none]
    found = Fits(*parts, none, none, none, none)
    if partners is None:
        return found
    nuisance = orthonormal(np.column_stack([np.ones(len(residual)), partners, partners**2]))
    return found._replace(partners=jnp.asarray(partners), nuisance=jnp.asarray(nuisance))


def test_only_the_product_that_moves_the_phenotype_is_told():
    rng = np.random.default_rng(0)
    partners = rng.standard_normal((1000, 2)).astype(np.float32)
    leads = rng.standard_normal((1000, 3)).astype(np.float32)
    residual = rng.standard_normal(1000) + 0.5 * leads[:, 1] * partners[:, 0]
    found = told_products(leads, fits(residual, partners))
    assert_allclose(found, (leads[:, 1] * partners[:, 0])[:, None], rtol=1e-6)


def test_a_bend_along_the_covariate_is_no_product():
    rng = np.random.default_rng(1)
    partners = rng.standard_normal((1000, 1)).astype(np.float32)
    lead = (partners + 0.5 * rng.standard_normal((1000, 1))).astype(np.float32)
    residual = partners[:, 0] ** 2 - 1 + 0.3 * rng.standard_normal(1000)
    assert told_products(lead, fits(residual, partners)).shape == (1000, 0)


def test_a_level_of_few_samples_is_no_partner():
    level = (np.arange(1000)[:, None] < [40, 300]).astype(np.float32)
    partners = (level - level.mean(0)) / level.std(0)
    assert_array_equal(carried(partners), partners[:, [1]])


def test_without_covariates_nothing_is_told():
    assert_array_equal(told_products(np.ones((5, 2)), fits(np.ones(5), None)), np.zeros((5, 0)))
