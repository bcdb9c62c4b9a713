"""How steadily what is learnt comes out again: over folds, networks and halves of them."""

from __future__ import annotations

import numpy as np
from scipy import stats

OUTLYING = 3.0  # deviations above the median at which an attribution is more than noise
FEWEST = 3  # loci that a rank correlation is told of


def selects(size: np.ndarray) -> np.ndarray:
    """Which inputs a network selects, bool, of the shape of `size`.

    A dense network attributes something to every input; it selects those whose mean absolute
    attribution stands out from the others', by more than three robust standard deviations, and is
    more than an equal share: in a sparse network most have next to none.

    Parameters
    ----------
    size : float, (..., inputs), mean absolute attribution
    """
    middle = np.median(size, axis=-1, keepdims=True)
    spread = stats.median_abs_deviation(size, axis=-1, scale="normal")[..., None]
    return (size > middle + OUTLYING * spread) & (size > size.mean(axis=-1, keepdims=True))


def share_selected(votes: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Share of the voters that select each locus, float64, (loci,).

    Parameters
    ----------
    votes : bool, (voters, columns), what each selects
    near : bool, (columns, loci), whether a column counts for a locus
    """
    # float32 counts are exact: there are fewer columns than 2^24
    return ((votes.astype(np.float32) @ near.astype(np.float32)) > 0).mean(0)


def rank_correlation(halves: np.ndarray) -> dict[str, float | int | None]:
    """Spearman's correlation of two halves over the loci that either attributes something to.

    Parameters
    ----------
    halves : float, (2, loci), attributed covariance

    Returns
    -------
    correlation (None where it is undefined, or of fewer than three loci), loci
    """
    told = halves[:, (halves != 0).any(0)]
    loci = told.shape[1]
    varied = loci >= FEWEST and (np.ptp(told, axis=1) > 0).all()
    value = float(stats.spearmanr(*told).statistic) if varied else None
    return {"correlation": value, "loci": loci}
