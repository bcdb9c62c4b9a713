"""A marker in the shadow of a stronger locus is tested given that locus."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import stats

from genodl.pipeline.condition import orthonormal
from genodl.pipeline.discovery import discover
from genodl.values import Cohort

SAMPLES = 800
PLAIN = {"folds": 5, "members": 0, "checks": 0, "pair_markers": 0}


def haplotypes(rng, *, like, other, share):
    """Columns that copy a haplotype of `like` with a probability, and are `other` elsewhere."""
    return np.where(rng.random(like.shape) < share, like, other)


def cohort_of(dosage, y, pos):
    samples = pd.DataFrame({"response": y}, index=[f"S{i}" for i in range(len(y))])
    var = pd.DataFrame(
        {"contig": "1", "pos": pos, "ref": "A", "alt": "C"},
        index=[f"v{i}" for i in range(len(pos))],
    )
    return Cohort({"variants": AnnData(dosage, obs=samples[[]].copy(), var=var)}, samples)


def shadowed(seed: int, *, own: float = 0.0) -> tuple[Cohort, np.ndarray]:
    """One strong cause v0, and v1 at r2 of about 0.05 with it; noise after that."""
    rng = np.random.default_rng(seed)
    first = rng.random((SAMPLES, 2)) < 0.4
    second = haplotypes(rng, like=first, other=rng.random((SAMPLES, 2)) < 0.4, share=0.22)
    noise = rng.binomial(2, 0.4, (SAMPLES, 8))
    dosage = np.column_stack([first.sum(1), second.sum(1), noise]).astype(np.int8)
    y = 2.5 * dosage[:, 0] + own * dosage[:, 1] + rng.standard_normal(SAMPLES)
    pos = np.r_[1_000_000, 1_500_000, 20_000_000 + 10_000_000 * np.arange(8)]
    return cohort_of(dosage, y, pos), dosage


@pytest.mark.long
def test_a_shadow_is_no_locus_of_its_own_and_its_p_value_is_uniform():
    p = []
    for seed in range(6):
        found = discover(shadowed(300 + seed)[0], phenotype="response", **PLAIN)
        rows = found.markers.set_index("marker")
        assert rows["locus"]["v1"] != rows["locus"]["v0"]
        # by itself it would be beyond doubt
        assert rows["marginal_p"]["v1"] < 1e-4
        p.append(rows["p_value"]["v1"])
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_a_cause_in_the_shadow_of_another_is_found_with_its_own_effect():
    cohort, dosage = shadowed(320, own=0.3)
    rows = discover(cohort, phenotype="response", **PLAIN).markers.set_index("marker")
    assert rows["q_value"]["v1"] < 0.01
    y = cohort.samples["response"].to_numpy()
    design = np.column_stack([np.ones(SAMPLES), dosage[:, :2]])
    expected = np.linalg.lstsq(design, y, rcond=None)[0][2]
    # within a standard error: other markers that folds select are taken out too
    assert rows["effect"]["v1"] == pytest.approx(expected, abs=0.05)


def test_a_basis_is_orthonormal_and_drops_what_repeats():
    rng = np.random.default_rng(3)
    columns = rng.standard_normal((50, 3))
    found = orthonormal(np.column_stack([columns, columns[:, 0]]))
    kept = found[:, found.any(0)]
    assert kept.shape == (50, 3)
    np.testing.assert_allclose(kept.T @ kept, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(kept @ (kept.T @ columns), columns, atol=1e-4)
