"""Baselines as values: what a sample is compared with.

A function gives one row (1, inputs...), a row for each sample, or a background set; `attribute`
takes any of them.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from genodl.errors import InputError


def zeros(x: Any) -> Any:
    """One row of zeros, (1, inputs...), for each part of x."""
    return jax.tree.map(lambda v: np.zeros((1, *np.shape(v)[1:]), np.asarray(v).dtype), x)


def homozygous_reference(mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Two REF alleles at every variant in standardised units, (1, variants).

    Parameters
    ----------
    mean, scale : float, (variants,), with which dosages were standardised; scale above zero
    """
    if not (np.asarray(scale) > 0).all():
        raise InputError(
            f"scale is not above zero at variant {int(np.argmin(np.asarray(scale) > 0))}",
            where="homozygous_reference",
            mend="leave out the variants that do not vary",
        )
    return (-np.asarray(mean) / np.asarray(scale))[None]


def cohort_mean(x: Any) -> Any:
    """The mean sample, (1, inputs...)."""
    return jax.tree.map(lambda v: np.asarray(v).mean(axis=0, keepdims=True), x)


def background(x: Any, *, size: int, seed: int = 0) -> Any:
    """Samples drawn without replacement, (size, inputs...), the same ones in every part of x."""
    samples = len(jax.tree.leaves(x)[0])
    if not 0 < size <= samples:
        raise InputError(
            f"{size} members of {samples} samples",
            where="background",
            mend="draw fewer, at least one",
        )
    chosen = np.sort(np.random.default_rng(seed).choice(samples, size, replace=False))
    return jax.tree.map(lambda v: np.asarray(v)[chosen], x)


def matched_controls(
    x: Any, strata: np.ndarray, controls: np.ndarray, *, members: int, seed: int = 0
) -> Any:
    """Controls of each sample's stratum, (samples, members, inputs...), never the sample itself.

    Parameters
    ----------
    x : pytree of arrays, (samples, inputs...)
    strata : labels, (samples,), such as site or ancestry cluster
    controls : bool, (samples,), who may serve as a control
    members : controls for each sample; drawn with replacement where a stratum has fewer

    Raises
    ------
    InputError : a sample's stratum has no control but itself
    """
    strata, controls = np.asarray(strata), np.asarray(controls, bool)
    rng = np.random.default_rng(seed)
    chosen = np.empty((len(strata), members), int)
    for row, stratum in enumerate(strata):
        pool = np.flatnonzero(controls & (strata == stratum))
        pool = pool[pool != row]
        if not len(pool):
            raise InputError(
                f"no control in stratum {stratum!r} for sample {row}",
                where="matched_controls",
                mend="merge strata, or allow more controls",
            )
        chosen[row] = rng.choice(pool, members, replace=len(pool) < members)
    return jax.tree.map(lambda v: np.asarray(v)[chosen], x)


def dinucleotide_shuffle(sequence: np.ndarray, *, members: int, seed: int = 0) -> np.ndarray:
    """Shuffles that keep every dinucleotide count, (samples, members, length, channels).

    Each is a random Eulerian walk on the sequence's graph of neighbours, so the first and the last
    base stay too. The shuffles of a row depend on its place alone, not on the other rows.

    Parameters
    ----------
    sequence : one-hot, (samples, length, channels); a row without a one counts as its own letter

    Source
    ------
    Altschul and Erickson 1985; Kandel, Matias, Unger and Winkler 1996 for uniformity.
    """
    onehot = np.asarray(sequence)
    wrong = onehot.ndim != 3 or not np.isin(onehot, (0, 1)).all() or (onehot.sum(-1) > 1).any()
    if wrong:
        raise InputError(
            f"sequence of shape {onehot.shape} is not one-hot over its last axis",
            where="dinucleotide_shuffle",
            mend="give (samples, length, channels) of zeros and ones",
        )
    channels = onehot.shape[-1]
    letters = np.where(onehot.any(axis=-1), onehot.argmax(axis=-1), channels)
    table = np.vstack([np.eye(channels), np.zeros(channels)]).astype(onehot.dtype)
    shuffled = [
        [_walk(row, channels + 1, rng) for _ in range(members)]
        for i, row in enumerate(letters)
        for rng in [np.random.default_rng((seed, i))]
    ]
    return table[np.array(shuffled)]


def _walk(letters: np.ndarray, alphabet: int, rng: np.random.Generator) -> np.ndarray:
    """A uniformly random sequence with the same dinucleotides, first and last letter."""
    follows = [letters[1:][letters[:-1] == a] for a in range(alphabet)]
    last = _arborescence(follows, int(letters[-1]), rng)
    queues = []
    for a, after in enumerate(follows):
        after = rng.permutation(after)
        if a in last and len(after):
            # The last exit from each letter leads towards the end, so that no edge is stranded.
            place = np.flatnonzero(after == last[a])[0]
            after[[place, -1]] = after[[-1, place]]
        queues.append(after)
    used = [0] * alphabet
    found = np.empty_like(letters)
    found[0] = letters[0]
    for i in range(1, len(letters)):
        a = int(found[i - 1])
        found[i] = queues[a][used[a]]
        used[a] += 1
    return found


def _arborescence(follows: list, end: int, rng: np.random.Generator) -> dict[int, int]:
    """A random spanning tree of last exits towards the end, by Wilson's walk with erased loops."""
    last: dict[int, int] = {}
    reached = {end}
    for start in range(len(follows)):
        if not len(follows[start]):
            continue
        a = start
        while a not in reached:
            last[a] = int(rng.choice(follows[a]))
            a = last[a]
        a = start
        while a not in reached:
            reached.add(a)
            a = last[a]
    last.pop(end, None)
    return last
