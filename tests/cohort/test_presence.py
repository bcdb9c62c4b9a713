"""Which values are known, and which samples are absent."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from anndata import AnnData

from genodl.cohort import presence
from genodl.cohort.presence import blocks, wholly_missing


@pytest.mark.parametrize("store", [np.asarray, scipy.sparse.csr_matrix])
@pytest.mark.parametrize("missing", [-1, np.nan])
@pytest.mark.parametrize("block", [1, 3, 4096])
def test_samples_without_one_known_value_are_found_in_blocks_of_any_size(
    monkeypatch, store, missing, block
):
    monkeypatch.setattr(presence, "BLOCK", block)
    values = np.zeros((5, 7), dtype=np.int8 if missing == -1 else np.float32)
    values[[1, 3]] = missing
    values[0, :6] = values[2, 1:] = missing
    modality = AnnData(store(values))
    found = wholly_missing(modality, variants=missing == -1)
    assert found.tolist() == [False, True, False, True, False]
    np.testing.assert_array_equal(np.hstack(list(blocks(modality))), values)


def test_no_sample_is_absent_where_there_is_no_marker():
    empty = AnnData(np.zeros((3, 0), dtype=np.float32))
    assert wholly_missing(empty, variants=False).tolist() == [False] * 3
