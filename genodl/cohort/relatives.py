"""Close relatives among the samples, from their genotypes."""

from __future__ import annotations

import numpy as np
import scipy.sparse

ROWS = 2048
MOST = 5_000  # variants that the relationship is estimated from
NOISE = 4.5  # standard errors beyond which a pair is related
LEAST = 0.05  # below, a relationship is too distant to matter


def relatives(
    values: np.ndarray, contig: np.ndarray, weight: np.ndarray
) -> scipy.sparse.csr_matrix:
    """The genomic relationship of the pairs of samples that are related beyond doubt.

    The relationship of a pair is the mean product of its standardised dosages. How much of it is
    noise is read off two halves of the contigs, which agree on relatives and on nothing else; a
    pair counts beyond `NOISE` of that error. With a single contig nothing tells relatives from
    those who share a haplotype, and no pair counts.

    Parameters
    ----------
    values : float32, (samples, variants), additive channels of variants in weak LD, variance about
        1, free of the covariates: with components among these, ancestry is no relationship
    contig : (variants,), label
    weight : float, (samples,), 0 marks padding

    Returns
    -------
    csr_matrix, float32, (samples, samples), symmetric; 0.5 for full sibs, the diagonal empty

    Source
    ------
    Yang et al. 2011, GCTA, equation 3; sparse after Jiang et al. 2019 (fastGWA).
    """
    samples = len(values)
    nothing = scipy.sparse.csr_matrix((samples, samples), dtype=np.float32)
    step = -(-values.shape[1] // MOST) if values.shape[1] else 1
    values, half = values[:, ::step], _halves(contig[::step])
    if len(np.unique(half)) < 2:
        return nothing
    x = np.where(weight[:, None] > 0, values, np.float32(0)).astype(np.float32, copy=False)
    x *= np.sqrt((weight > 0).sum() / np.maximum(np.einsum("ij,ij->j", x, x), 1e-9))
    parts = [x[:, half == side] for side in (0, 1)]
    variants = x.shape[1]
    del x
    threshold = None
    rows = []
    for start in range(0, samples, ROWS):
        one, two = (p[start : start + ROWS] @ p.T / p.shape[1] for p in parts)
        both = (one * parts[0].shape[1] + two * parts[1].shape[1]) / variants
        if threshold is None:
            threshold = max(LEAST, NOISE * _noise(one, two, start, weight))
        i, j = np.nonzero(both > threshold)
        kept = i + start != j
        rows.append((i[kept] + start, j[kept], both[i[kept], j[kept]]))
    i, j, r = (np.concatenate(part) for part in zip(*rows, strict=True))
    return scipy.sparse.csr_matrix((r, (i, j)), shape=(samples, samples), dtype=np.float32)


def _halves(contig: np.ndarray) -> np.ndarray:
    """0 or 1, (variants,): contigs, largest first, dealt to the half with fewer variants."""
    labels, code, size = np.unique(contig.astype(str), return_inverse=True, return_counts=True)
    side = np.zeros(len(labels), int)
    filled = [0, 0]
    for one in np.argsort(-size, kind="stable"):
        side[one] = int(filled[1] < filled[0])
        filled[side[one]] += size[one]
    return side[code]


def _noise(one: np.ndarray, two: np.ndarray, start: int, weight: np.ndarray) -> float:
    """Standard error of a relationship, robust, from the difference of two halves."""
    apart = (one - two)[np.ix_(weight[start : start + len(one)] > 0, weight > 0)] / 2
    return float(1.4826 * np.median(np.abs(apart)))
