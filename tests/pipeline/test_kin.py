"""Relatives and groups in a study."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse
from anndata import AnnData

import genodl as gd
from genodl.pipeline.kin import share_of, widen
from genodl.rank.resemblance import Kin, membership
from genodl.rank.test import Fits


def sibship_cohort(seed, *, families, markers):
    """Four sibs a family, unlinked variants; a trait of the infinitesimal model, h2 0.8."""
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(0.2, 0.5, markers)
    haplotype = rng.random((families, 4, markers)) < frequency
    one = rng.integers(2, size=(families, 4, markers))
    two = 2 + rng.integers(2, size=(families, 4, markers))
    dosage = sum(np.take_along_axis(haplotype, side, axis=1).astype(np.int8) for side in (one, two))
    parents = rng.standard_normal((families, 1)) * np.sqrt(0.5)
    trait = parents + rng.standard_normal((families, 4)) * np.sqrt(0.5)
    trait = np.sqrt(0.8) * trait + np.sqrt(0.2) * rng.standard_normal(trait.shape)
    names = [f"S{i}" for i in range(families * 4)]
    samples = pd.DataFrame(
        {"trait": trait.ravel(), "family": np.repeat([f"F{i}" for i in range(families)], 4)}, names
    )
    contig = np.arange(markers) * 4 // markers + 1
    var = pd.DataFrame({"contig": contig.astype(str), "pos": np.arange(markers) * 10_000_000 + 1})
    var = var.assign(ref="A", alt="G", id=".").set_index("v" + var.index.astype(str))
    variants = AnnData(dosage.reshape(-1, markers), obs=pd.DataFrame(index=samples.index), var=var)
    return gd.Cohort({"variants": variants}, samples)


def test_a_trait_that_runs_in_families_gives_uniform_p_values():
    """Taking the samples as independent puts 11 to 13 % of the p-values below 0.05."""
    cohort = sibship_cohort(95, families=100, markers=1200)
    quick = {"folds": 3, "members": 0, "checks": 0, "pair_markers": 0, "seed": 3}
    found = gd.discover(cohort, phenotype="trait", group="family", **quick)
    assert 0.03 < (found.markers["p_value"] < 0.05).mean() < 0.07


def test_what_the_background_of_a_contig_holds_of_families_counts_for_its_markers():
    rng = np.random.default_rng(96)
    family = np.repeat(np.arange(200), 4)
    shared = rng.standard_normal(200)[family].astype(np.float32)
    residual = rng.standard_normal(800).astype(np.float32)
    none = np.zeros((800, 0), np.float32)
    known = np.ones(800, np.float32)
    background = np.column_stack([np.zeros(800), shared]).astype(np.float32)
    fits = Fits(residual, known, 799.0, *[none] * 5, background)
    groups = Kin(scipy.sparse.csr_matrix((800, 800)), membership(family))
    found = share_of(fits, groups)
    assert found.shape == (2, 2)
    # half of the variance of what the second contig is tested on is the family's
    np.testing.assert_allclose(found[1], [0.0, 0.5], atol=0.08)
    channel = np.ones((2, 1, 2))
    z = np.full((3, 2), 3.0)
    first, second = widen(z, np.repeat(channel, 3, axis=1), found, np.array([0, 1])).T
    assert (second < first).all()
    np.testing.assert_allclose(second, 3 / np.sqrt(1 + found[:, 1].sum()))
