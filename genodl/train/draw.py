"""What training draws at random: validation splits and minibatches, on the host, from a seed."""

from __future__ import annotations

import numpy as np


def validation_splits(
    weight: np.ndarray, *, members: int, parts: int, seed: tuple[int, ...]
) -> np.ndarray:
    """Half of its validation split that each row is in, 1 or 2, and 0 for rows outside it.

    `parts` members in turn share one partition of the weighted rows and hold out a part each.

    Parameters
    ----------
    weight : float32, (samples,)

    Returns
    -------
    int8, (members, samples)
    """
    held = np.zeros((members, len(weight)), np.int8)
    rows = np.flatnonzero(weight > 0)
    for member in range(members):
        drawn = np.random.default_rng((*seed, member // parts)).permutation(rows)
        piece = np.arange(len(rows)) * 2 * parts // max(len(rows), 1)
        mine = piece // 2 == member % parts
        held[member, drawn[mine]] = 1 + piece[mine] % 2
    return held


def halves(validated: np.ndarray, *, members: int) -> np.ndarray:
    """The same validation rows for every member, in two halves taken in turn.

    Parameters
    ----------
    validated : bool, (samples,)

    Returns
    -------
    int8, (members, samples), as `validation_splits` gives it
    """
    held = np.where(validated, 1 + np.cumsum(validated) % 2, 0).astype(np.int8)
    return np.repeat(held[None], members, axis=0)


def minibatches(
    samples: int, *, rounds: int, steps: int, batch: int, seed: tuple[int, ...]
) -> np.ndarray:
    """Rows of each minibatch, int32, (rounds, steps, batch): none twice in one pass."""
    batch = max(1, min(batch, samples // 4))
    whole = samples // batch
    drawn = np.random.default_rng(seed)
    total = rounds * steps
    passes = [drawn.permutation(samples)[: whole * batch] for _ in range(-(-total // whole))]
    rows = np.concatenate(passes).reshape(-1, batch)[:total]
    return rows.reshape(rounds, steps, batch).astype(np.int32)
