"""The polygenic background: predictions it improves, tests it leaves valid."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.testing import assert_allclose

from genodl.config import read
from genodl.pipeline.background import backgrounds, contigs
from genodl.pipeline.discovery import discover
from genodl.pipeline.study import prepare
from genodl.values import Cohort

SAMPLES, MARKERS, CONTIGS = 400, 300, 6
PLAIN = {"folds": 5, "members": 0, "checks": 0, "pair_markers": 0}


def polygenic(seed: int, *, h2: float) -> Cohort:
    """Every marker of contigs "1" to "5" has a small effect, those of "6" none."""
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, rng.uniform(0.1, 0.5, MARKERS), (SAMPLES, MARKERS)).astype(np.int8)
    contig = np.repeat(np.arange(1, CONTIGS + 1), MARKERS // CONTIGS)
    standard = (dosage - dosage.mean(0)) / dosage.std(0)
    signal = standard @ np.where(contig < CONTIGS, rng.standard_normal(MARKERS), 0)
    y = np.sqrt(h2) * signal / signal.std() + np.sqrt(1 - h2) * rng.standard_normal(SAMPLES)
    samples = pd.DataFrame({"y": y}, index=[f"S{i}" for i in range(SAMPLES)])
    pos = 1 + 1_000_000 * np.tile(np.arange(MARKERS // CONTIGS), CONTIGS)
    var = pd.DataFrame(
        {"contig": contig.astype(str), "pos": pos, "ref": "A", "alt": "C"},
        index=[f"v{i}" for i in range(MARKERS)],
    )
    return Cohort({"variants": AnnData(dosage, obs=samples[[]].copy(), var=var)}, samples)


def test_the_parts_of_the_contigs_add_up_to_the_prediction_of_all_variants():
    study = prepare(polygenic(1, h2=0.8), ["y"], [], read(None, **PLAIN))
    (found,) = backgrounds(study) or [None]
    assert found is not None
    assert found.by_contig.shape == (len(study.basis), CONTIGS)
    held = found.by_contig.sum(1)
    y, known = study.targets[0].marginal, study.targets[0].known
    assert np.corrcoef(held[known], y[known])[0, 1] > 0.2
    assert_allclose(contigs(study, "variants")[[0, -1]], [0, CONTIGS - 1])


def test_many_small_effects_improve_the_linear_prediction():
    r2 = [discover(polygenic(s, h2=0.8), phenotype="y", **PLAIN).performance for s in (11, 12)]
    assert np.mean([each["y"]["linear"]["value"] for each in r2]) > 0.1


def test_p_values_of_a_contig_without_effects_are_uniform_beside_a_polygenic_trait():
    p = []
    for seed in range(21, 27):
        markers = discover(polygenic(seed, h2=0.8), phenotype="y", **PLAIN).markers
        p.append(markers.loc[markers["contig"] == str(CONTIGS), "p_value"].to_numpy())
    pooled = np.concatenate(p)
    assert (pooled < 0.05).mean() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(pooled))
    assert (pooled < 0.5).mean() > 0.4
