"""One bent sum of a gene's markers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from genodl.rank.forms import Basis, basis, products
from genodl.rank.index import CUTS, Squares, bends, index, squares, strongest, strongest_tail


def gene_of(columns):
    """Linear directions, products and bent directions of some columns."""
    count = len(columns)
    columns = (columns - columns.mean(0)).astype(np.float32)
    constant = np.full((count, 1), count**-0.5, np.float32)
    linear = basis(columns, present=count)
    formed = products(linear, constant, np.ones(count, np.float32))
    return linear, formed, basis(formed, present=count)


def test_the_strongest_square_is_the_better_end_of_the_matrix_of_effects():
    # products x1 x1, sqrt(2) x1 x2, x2 x2, all directions by themselves and of equal weight
    plain = Squares(np.eye(3), np.ones(3), 1.0, 1.0)
    score = np.array([[1.0, np.sqrt(2), 1.0], [0.1, 0.0, -3.0], [0.0, np.sqrt(2), 0.0]])
    found = strongest(plain, score)
    assert_allclose(found[0], [0.5, np.sqrt(0.5), 0.5], atol=1e-12)  # of (x1 + x2)^2
    assert_allclose(found[1], [0.0, 0.0, 1.0], atol=1e-12)  # of x2^2, which lowers the trait
    # x1 x2 alone is (x1 + x2)^2 less (x1 - x2)^2, and either will do
    assert_allclose(np.abs(found[2]), [0.5, np.sqrt(0.5), 0.5], atol=1e-12)


def test_the_strongest_square_is_that_of_the_sum_that_acts():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4_000, 5)) @ np.triu(np.ones((5, 5)))
    _, formed, bent = gene_of(x)
    total = x @ rng.standard_normal(5)
    trait = np.square(total - total.mean())
    score = bent.values.T @ (trait - trait.mean()) / trait.std() / np.sqrt(len(x))
    along = strongest(squares(formed, bent, len(x)), score[None])[0]
    assert np.corrcoef(bent.values @ along, trait)[0, 1] ** 2 > 0.85


@pytest.mark.parametrize("columns", [1, 3, 10])
def test_the_strongest_square_of_noise_keeps_its_level(columns):
    rng = np.random.default_rng(columns)
    x = rng.standard_normal((1_000, columns)) @ rng.standard_normal((columns, columns))
    _, formed, bent = gene_of(x)
    law = squares(formed, bent, len(x))
    score = rng.standard_normal((10_000, len(bent.weight)))
    z = (strongest(law, score) * score).sum(1)
    p = np.exp(strongest_tail(z, law))
    for level, most in ((0.05, 1.2), (0.01, 1.3), (0.001, 1.7)):
        assert (p < level).mean() < most * level
    assert (p < 0.05).mean() > 0.8 * 0.05


def test_an_index_counts_each_direction_by_its_shrunk_score():
    values = np.eye(4, 2, dtype=np.float32)
    found = index(Basis(values, np.array([1.0, 0.5]), np.ones(2)), np.array([3.0, 8.0]))
    # 1 * 3 and 0.5 * 8, at mean square 1 over four places
    assert_allclose(found, [1.2, 1.6, 0.0, 0.0], rtol=1e-6)


def test_an_index_is_squared_and_bent_at_each_cut():
    found = bends(np.array([-2.0, 0.25, 3.0]))
    assert_allclose(found[:, 0], [4.0, 0.0625, 9.0])
    assert_allclose(found[0, 1:], np.zeros(len(CUTS)))
    assert_allclose(found[1, 1:], [1.25, 0.75, 0.25, 0.0, 0.0])
    assert_allclose(found[2, 1:], 3 - np.array(CUTS))
