"""Empirical p-values from the whole program run on permuted phenotypes."""

from __future__ import annotations

import numpy as np

EDGES = (10.0, 30.0, 100.0)  # effective carriers between classes of markers
LEAST = 500  # null p-values that a class needs for itself


def classes(carriers: np.ndarray, *, replicates: int) -> np.ndarray:
    """The class of each marker by how many samples effectively carry it, int (markers,), from 0.

    A class with fewer than `LEAST` p-values over all replicates joins the next more frequent one,
    the last the one before it.

    Parameters
    ----------
    carriers : float, (markers,), effective carriers
    replicates : permuted phenotypes
    """
    found = np.digitize(carriers, EDGES)
    for one in range(len(EDGES)):
        if (found == one).sum() * replicates < LEAST:
            found[found == one] = one + 1
    last = found == len(EDGES)
    below = found[~last]
    if len(below) and last.sum() * replicates < LEAST:
        found[last] = below.max()
    return np.unique(found, return_inverse=True)[1]


def empirical(
    observed: np.ndarray, null: np.ndarray, *, marker_class: np.ndarray, null_class: np.ndarray
) -> np.ndarray:
    """The share of null statistics of its class at or below each observed one, float (markers,).

    One is added to both counts, the observed statistic among the null ones, so no p-value is 0.
    Pooling a class asks that its markers have one null law, and gives a resolution of one in
    markers times replicates where a marker's own replicates would give one in replicates.

    Parameters
    ----------
    observed : float, (markers,), such as log p of the score test; small is extreme
    null : float, (statistics,), the same under permuted phenotypes
    marker_class, null_class : int, the class of each; a class without null statistics has p 1

    Source
    ------
    Phipson and Smyth 2010 for the added one; Storey and Tibshirani 2003 for the pooling.
    """
    p = np.ones(len(observed))
    for one in np.unique(marker_class):
        mine = marker_class == one
        law = np.sort(null[null_class == one])
        p[mine] = (1 + np.searchsorted(law, observed[mine], side="right")) / (1 + len(law))
    return p
