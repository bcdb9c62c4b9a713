"""Relatives and groups in a study."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

import genodl as gd


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
