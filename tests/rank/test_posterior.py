"""The probability that genes act, against enumeration and on neighbours that look alike."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose
from scipy import stats
from scipy.special import expit, logsumexp

from genodl.rank.posterior import ABSENT, SPREAD, Columns, acting, evidence, expected, side_by_side
from genodl.rank.sums import STRENGTHS

SAMPLES = 500


def directions(rng, count):
    x = rng.standard_normal((SAMPLES, count))
    return np.linalg.qr(x - x.mean(0))[0] * np.sqrt(SAMPLES)


def gene_of(values, *, bent=0, alone=0):
    """Columns of a gene: linear directions first, then bent ones, then columns that act alone."""
    count = values.shape[1]
    kind = np.repeat([0, 1, 2], [count - bent - alone, bent, alone])
    shares = [(kind == k) / max((kind == k).sum(), 1) for k in (0, 1)]
    weight = np.where(kind == 2, np.log(0.1), -np.inf)
    unit = values.astype(np.float32)
    return Columns(unit, np.zeros(1, int), *shares, weight, np.ones(count))


def test_evidence_is_the_ratio_of_the_normal_likelihoods_averaged_over_the_ways():
    rng = np.random.default_rng(0)
    genes = [gene_of(directions(rng, 4), bent=2), gene_of(directions(rng, 6), bent=3, alone=1)]
    columns = side_by_side(genes)
    z = 2 * rng.standard_normal(10)
    found, _ = evidence(columns, expected(columns), z)
    for number, part in enumerate((slice(0, 4), slice(4, 10))):
        own = []
        linear, bent = columns.linear[part], columns.bent[part]
        for c in STRENGTHS:
            for share, likely in SPREAD:
                sd = np.sqrt(1 + c * (share * linear + (1 - share) * bent))
                own.append(stats.norm.logpdf(z[part], scale=sd).sum() + np.log(likely))
            for place in np.flatnonzero(columns.alone[part] > -np.inf):
                sd = np.where(np.arange(len(linear)) == place, np.sqrt(1 + c), 1)
                own.append(stats.norm.logpdf(z[part], scale=sd).sum() + np.log(0.1))
        whole = logsumexp(own) - np.log(len(STRENGTHS)) - stats.norm.logpdf(z[part]).sum()
        assert_allclose(found[number], whole, rtol=1e-9)


def test_one_effect_has_the_probability_that_bayes_gives_it():
    rng = np.random.default_rng(1)
    columns = side_by_side([gene_of(directions(rng, 3)) for _ in range(5)])
    residual = rng.standard_normal(SAMPLES) + 0.13 * columns.values[:, 0]
    found = acting(columns, residual, genes=20, effects=1)
    z = residual @ columns.values / np.sqrt(np.square(residual).sum())
    log_bayes, _ = evidence(columns, expected(columns), z)
    odds = np.exp(log_bayes - np.log(20))
    # the residual's variance is learnt too, which moves the odds a little
    assert_allclose(expit(found), odds / (ABSENT + odds.sum()), rtol=0.2)


def test_a_neighbour_gives_way_to_the_gene_that_explains_the_residual():
    rng = np.random.default_rng(2)
    own = directions(rng, 3)
    beside = directions(rng, 3)
    beside[:, 0] = 0.8 * own[:, 0] + 0.6 * beside[:, 0]
    twin = own[:, ::-1]
    residual = rng.standard_normal(SAMPLES) + 0.4 * own[:, 0]
    found = acting(side_by_side([gene_of(own), gene_of(beside)]), residual, genes=100, effects=5)
    assert found[0] > np.log(100)
    assert found[1] < 0
    # of two that are the same neither can be told from the other
    alike = expit(acting(side_by_side([gene_of(own), gene_of(twin)]), residual, genes=9, effects=1))
    assert_allclose(alike, 0.5, atol=0.01)


def test_two_genes_that_act_are_both_seen():
    rng = np.random.default_rng(3)
    genes = [gene_of(directions(rng, 3)) for _ in range(6)]
    residual = rng.standard_normal(SAMPLES) + 0.4 * genes[1].values[:, 0]
    residual += 0.3 * genes[4].values[:, 2]
    found = acting(side_by_side(genes), residual, genes=6, effects=5)
    assert set(np.flatnonzero(expit(found) > 0.9)) == {1, 4}
