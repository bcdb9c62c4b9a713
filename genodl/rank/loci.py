"""Loci: markers in linkage disequilibrium, taken together."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def clump(log_p: np.ndarray, neighbours: sparse.csr_matrix) -> np.ndarray:
    """The lead marker of each marker's locus, int (markers,).

    Markers are visited from the most to the least significant; each that is free becomes a lead
    and takes its free neighbours.

    Parameters
    ----------
    log_p : float, (markers,); ties go to the earlier marker
    neighbours : (markers, markers), symmetric, nonzero where two markers are in LD

    Source
    ------
    Purcell et al. 2007, the greedy clumping of PLINK.
    """
    lead = np.full(len(log_p), -1)
    start, index = neighbours.indptr, neighbours.indices
    for marker in np.argsort(log_p, kind="stable"):
        if lead[marker] >= 0:
            continue
        near = index[start[marker] : start[marker + 1]]
        lead[near[lead[near] < 0]] = marker
        lead[marker] = marker
    return lead
