"""Close relatives, from genotypes."""

from __future__ import annotations

import numpy as np
import pytest

from genodl.cohort.relatives import relatives

CONTIG = np.repeat(["1", "2", "3", "4"], 500).astype(object)


def sibs_and_strangers(rng, *, pairs, strangers, markers):
    """Standardised dosages: pairs of full sibs first, then unrelated samples; loci unlinked."""
    frequency = rng.uniform(0.1, 0.5, markers)
    haplotype = rng.random((pairs, 4, markers)) < frequency
    father = rng.integers(2, size=(pairs, 2, markers))
    mother = 2 + rng.integers(2, size=(pairs, 2, markers))
    sibs = sum(np.take_along_axis(haplotype, side, axis=1).astype(int) for side in (father, mother))
    others = rng.binomial(2, frequency, (strangers, markers))
    dosage = np.concatenate([sibs.reshape(2 * pairs, markers), others])
    return ((dosage - dosage.mean(0)) / dosage.std(0)).astype(np.float32)


def test_full_sibs_share_half_and_strangers_nothing():
    x = sibs_and_strangers(np.random.default_rng(91), pairs=20, strangers=160, markers=2000)
    found = relatives(x, CONTIG, np.ones(200))
    expected = {(i, i ^ 1) for i in range(40)}
    assert set(zip(*found.nonzero(), strict=True)) == expected
    assert found.data.mean() == pytest.approx(0.5, abs=0.03)


def test_padding_is_related_to_nobody():
    x = sibs_and_strangers(np.random.default_rng(92), pairs=20, strangers=60, markers=2000)
    padded = np.concatenate([x, np.zeros((10, 2000), np.float32)])
    found = relatives(padded, CONTIG, np.repeat([1.0, 0.0], [100, 10]))
    assert found.nnz == 40
    assert found[100:].nnz == 0


def test_one_contig_tells_no_relatives():
    x = sibs_and_strangers(np.random.default_rng(93), pairs=20, strangers=60, markers=2000)
    assert relatives(x, np.repeat("1", 2000), np.ones(100)).nnz == 0
    assert relatives(x[:, :0], CONTIG[:0], np.ones(100)).nnz == 0
