"""Harrell's concordance of survival predictions."""

from __future__ import annotations

import numpy as np

BLOCK = 256


def concordance(
    time: np.ndarray, event: np.ndarray, risk: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """The share of comparable pairs whose order the predicted risk foretells, (resamples,).

    A pair is comparable where the one with the shorter time had its event; at equal times a
    censored sample outlives one with an event. Equal risks count one half. The work grows with
    samples times events times resamples.

    Parameters
    ----------
    time, event : float, (samples,), follow-up and whether the event was seen
    risk : float, (samples,), log hazard or anything that rises with it
    counts : float, (resamples, samples), how often each sample is drawn

    Returns
    -------
    float64; nan where no pair is comparable

    Source
    ------
    Harrell, Lee and Mark 1996.
    """
    counts = np.asarray(counts, np.float32)
    agreeing, comparable = (np.zeros(len(counts)) for _ in range(2))
    died = np.flatnonzero(event > 0)
    for start in range(0, len(died), BLOCK):
        rows = died[start : start + BLOCK]
        later = (time > time[rows, None]) | ((time == time[rows, None]) & (event == 0))
        lower = (risk < risk[rows, None]) + 0.5 * (risk == risk[rows, None])
        drawn = counts[:, rows]
        for total, pairs in ((agreeing, later * lower), (comparable, later)):
            total += np.einsum("rd,rd->r", drawn, counts @ pairs.T.astype(np.float32))
    with np.errstate(invalid="ignore"):
        return agreeing / comparable
