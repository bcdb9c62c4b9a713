"""Leading genes: how much of them is taken out, and which are given up."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from genodl.pipeline import leading
from genodl.pipeline.geneviews import View, less, removal
from genodl.pipeline.members import Gene
from genodl.rank import saddlepoint
from genodl.rank.forms import basis, products

SAMPLES = 400


def gene_of(columns):
    """A gene over some centred columns."""
    columns = (columns - columns.mean(0)).astype(np.float32)
    present = np.ones(len(columns), np.float32)
    constant = np.full((len(columns), 1), 1 / np.sqrt(len(columns)), np.float32)
    linear = basis(columns, present=len(columns))
    bent = basis(products(linear, constant, present), present=len(columns))
    return Gene(np.stack([columns, 0 * columns]), columns.sum(1), linear, bent)


def view_of(residual):
    """A target known in all samples, without covariates but the intercept."""
    residual = residual - residual.mean()
    known = np.ones(len(residual), bool)
    law = saddlepoint.empirical_law(residual)
    return View(known, residual, None, len(residual) - 1, law, np.zeros(2))


def test_what_is_left_is_whitened_by_the_variance_of_the_leading_genes():
    rng = np.random.default_rng(0)
    one, two = rng.standard_normal((30, 3)), 5 * rng.standard_normal((30, 2))
    taken = removal({4: one, 7: two})
    root = less(np.eye(30), taken)
    variance = np.eye(30) + one @ one.T + two @ two.T
    assert_allclose(root @ variance @ root, np.eye(30), atol=1e-9)
    assert_allclose(removal({4: one, 7: two}, without=[7]), removal({4: one}))
    assert removal({4: one}, without=[4]) is None


def test_a_gene_without_effect_is_not_removed_and_a_strong_one_is():
    rng = np.random.default_rng(1)
    gene = gene_of(rng.standard_normal((SAMPLES, 3)))
    noise = rng.standard_normal(SAMPLES)
    own = np.hstack([gene.linear.values, gene.bent.values])
    noise -= own @ np.linalg.lstsq(own, noise, rcond=None)[0]
    assert not leading.directions(gene, view_of(noise), None).any()
    signal = gene.linear.values.sum(1)
    found = leading.directions(gene, view_of(noise + 3 * signal), None)
    left = less(signal, removal({0: found}))
    assert left @ left < 0.05 * (signal @ signal)


def test_the_strength_of_an_effect_is_that_of_greatest_likelihood():
    rng = np.random.default_rng(2)
    gene = gene_of(rng.standard_normal((SAMPLES, 2)))
    view = view_of(rng.standard_normal(SAMPLES) + gene.linear.values @ [0.5, 0.3])
    residual = view.residual / view.residual.std()
    own = np.square(leading.directions(gene, view, None)[:, :2]).sum()

    values = gene.linear.values * np.sqrt(gene.linear.share / SAMPLES)
    size, axes = np.linalg.eigh(values @ values.T)

    def likelihood(strength):
        variance = 1 + strength * size  # along the axes, where it is diagonal
        return -np.log(variance).sum() - (np.square(residual @ axes) / variance).sum()

    best = max(leading.STRENGTHS, key=likelihood)
    assert own == pytest.approx(best, rel=1e-3)


def test_two_neighbours_that_share_a_signal_give_way_to_the_gene_between_them():
    rng = np.random.default_rng(3)
    cause = rng.standard_normal((SAMPLES, 2))
    # each neighbour holds one half of the cause, more purely than the cause's own gene
    genes = {
        0: gene_of(cause[:, :1] + 0.5 * rng.standard_normal((SAMPLES, 1))),
        1: gene_of(np.hstack([cause, rng.standard_normal((SAMPLES, 2))])),
        2: gene_of(cause[:, 1:] + 0.5 * rng.standard_normal((SAMPLES, 1))),
    }
    view = view_of(cause.sum(1) + rng.standard_normal(SAMPLES))

    def read(rows):
        return ((int(row), genes[int(row)], None) for row in rows)

    taken = leading.lead(read, view, np.array([-60.0, -40.0, -60.0]))
    assert set(taken) == {1}
