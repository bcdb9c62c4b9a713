"""Folds of a cross-fit: balanced, stratified, and never splitting a group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from genodl.errors import InputError

SMALLEST = 5


def folds(
    samples: int,
    *,
    k: int,
    seed: int,
    strata: np.ndarray | None = None,
    group: Any = None,
) -> np.ndarray:
    """The fold of each sample, from 0 to k - 1.

    Without groups the sizes of the folds differ by one at most, and so do the counts of each
    stratum. With groups, relatives, donors or sites stay together: groups are dealt, largest
    first, to the fold that stays closest to its share of every stratum.

    Parameters
    ----------
    samples : how many
    k : how many folds
    seed : the same seed gives the same folds
    strata : (samples,), the class of each sample, such as `Phenotype.values` of a binary or
        multiclass phenotype; nan = unknown, dealt like a class of its own
    group : (samples,), label of the group of each sample; a sample without one is its own group

    Returns
    -------
    int64, (samples,)

    Raises
    ------
    InputError : fewer than 5 samples a fold or a class, or fewer groups than folds
    """
    if k < 2:
        raise InputError(f"{k} fold(s)", where="folds", mend="ask for at least 2")
    if samples < SMALLEST * k:
        raise InputError(
            f"{samples} samples make fewer than {SMALLEST} a fold in {k} folds",
            where="folds",
            mend=f"ask for at most {max(samples // SMALLEST, 1)} folds, or add samples",
        )
    stratum = _stratum_codes(strata, samples=samples)
    random = np.random.default_rng(seed)
    if group is None:
        return _deal_samples(stratum, k=k, random=random)
    members = _group_codes(group, samples=samples)
    fold = _deal_groups(members, stratum, k=k, random=random)
    smallest = np.bincount(fold, minlength=k).min()
    if smallest < SMALLEST:
        raise InputError(
            f"{members.max() + 1} groups in {k} folds leave a fold with {smallest} samples, "
            f"fewer than {SMALLEST}",
            where="folds",
            mend="ask for fewer folds, or for finer groups",
        )
    return fold


def _stratum_codes(strata: np.ndarray | None, *, samples: int) -> np.ndarray:
    """int, (samples,), the stratum of each sample from 0; unknown is the last."""
    if strata is None:
        return np.zeros(samples, dtype=np.int64)
    codes, labels = pd.factorize(np.asarray(strata), sort=True)
    counts = np.bincount(codes[codes >= 0], minlength=len(labels))
    if len(labels) and counts.min() < SMALLEST:
        raise InputError(
            f"class {labels[counts.argmin()]} has {counts.min()} samples, fewer than {SMALLEST}",
            where="folds",
            mend="merge it with another class, or leave its samples out",
        )
    return np.where(codes < 0, len(labels), codes)


def _group_codes(group: Any, *, samples: int) -> np.ndarray:
    """int, (samples,), the group of each sample from 0; a sample without a label is alone."""
    codes, labels = pd.factorize(pd.Series(group).astype(object).to_numpy())
    alone = np.flatnonzero(codes < 0)
    codes[alone] = len(labels) + np.arange(len(alone))
    if len(codes) != samples:
        raise InputError(
            f"{len(codes)} group labels for {samples} samples",
            where="folds",
            mend="give one label a sample",
        )
    return codes


def _deal_samples(stratum: np.ndarray, *, k: int, random: np.random.Generator) -> np.ndarray:
    """Samples dealt in turn, stratum after stratum, so that totals and strata both balance."""
    order = np.lexsort((random.random(len(stratum)), stratum))
    fold = np.empty(len(stratum), dtype=np.int64)
    fold[order] = np.arange(len(stratum)) % k
    return random.permutation(k)[fold]


def _deal_groups(
    members: np.ndarray, stratum: np.ndarray, *, k: int, random: np.random.Generator
) -> np.ndarray:
    """Groups dealt, largest first, each to the fold where it overfills the strata least."""
    groups = int(members.max()) + 1
    if groups < k:
        raise InputError(
            f"{groups} groups, fewer than {k} folds",
            where="folds",
            mend=f"ask for at most {groups} folds",
        )
    counts = np.zeros((groups, int(stratum.max()) + 1))
    np.add.at(counts, (members, stratum), 1)
    share = counts.sum(axis=0) / k
    # a rare class weighs as much as a frequent one; the last column balances the sizes
    counts = np.column_stack([counts / np.maximum(share, 1e-9), counts.sum(axis=1) / share.sum()])
    shuffled = random.permutation(groups)
    order = shuffled[np.argsort(-counts[shuffled, -1], kind="stable")]
    filled = np.zeros((k, counts.shape[1]))
    fold_of = np.empty(groups, dtype=np.int64)
    for one in order:
        growth = ((filled + counts[one]) ** 2 - filled**2).sum(axis=1)
        fold_of[one] = growth.argmin()
        filled[fold_of[one]] += counts[one]
    return fold_of[members]
