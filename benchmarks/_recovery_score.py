"""Rankings scored by loci: what is hit, what is claimed again, what is false."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from _trial import Cause

from genodl.rank.fdr import benjamini_hochberg
from genodl.rank.loci import clump


class Locus(NamedTuple):
    """Markers taken together.

    Attributes
    ----------
    lead : the marker that leads it
    members : all its markers, the lead among them
    """

    lead: int
    members: np.ndarray


class Claims(NamedTuple):
    """What each locus, best first, says of the causes.

    Attributes
    ----------
    new : int, (loci,), causes that it is the first to find
    duplicate : bool, (loci,), it sees causes found before and no other
    causes : how many there are
    """

    new: np.ndarray
    duplicate: np.ndarray
    causes: int


def loci(score: np.ndarray, near: scipy.sparse.csr_matrix) -> list[Locus]:
    """Greedy clumps of a ranking, best first.

    Parameters
    ----------
    score : float, (markers,), high is good; ties go to the earlier marker
    near : (variants, variants), nonzero where two are in LD; markers after the variants, such as
        transcripts, are loci of their own
    """
    alone = len(score) - near.shape[0]
    rest = scipy.sparse.csr_matrix((alone, alone))
    lead = clump(-np.asarray(score, float), scipy.sparse.block_diag([near, rest], format="csr"))
    order = np.argsort(-np.asarray(score, float), kind="stable")
    members: dict[int, list[int]] = {}
    for marker in order:
        members.setdefault(int(lead[marker]), []).append(int(marker))
    return [Locus(key, np.array(value)) for key, value in members.items()]


def claims(ranked: Iterable[Locus], causes: Sequence[Cause]) -> Claims:
    """Which loci hit a cause first, which again.

    A locus hits a cause where it holds it or its lead is in LD with it. One that holds several
    hits them all.
    """
    found: set[int] = set()
    new, duplicate = [], []
    for locus in ranked:
        seen = {
            i
            for i, cause in enumerate(causes)
            if np.isin(locus.members, cause.within).any() or locus.lead in cause.near
        }
        new.append(len(seen - found))
        stands_in = any(locus.lead in cause.proxies for cause in causes)
        duplicate.append(not (seen - found) and (bool(seen) or stands_in))
        found |= seen
    return Claims(np.array(new, int), np.array(duplicate, bool), len(causes))


def average_precision(said: Claims, *, duplicates_false: bool = False) -> float:
    """Precision among loci at each cause found, averaged over all causes; unfound ones count 0.

    Duplicates count neither way unless they are to be false.
    """
    kept = np.ones(len(said.new), bool) if duplicates_false else ~said.duplicate
    new = said.new[kept]
    if not len(new) or not said.causes:
        return 0.0
    precision = np.cumsum(new > 0) / np.arange(1, len(new) + 1)
    return float((precision * new).sum() / said.causes)


def discoveries(said: Claims, selected: int, weak: np.ndarray | None = None) -> dict[str, Any]:
    """Power and false discovery proportion of the first loci of a ranking.

    Parameters
    ----------
    weak : bool, (loci,), led by a marker in weak LD with a cause that is not typed

    Returns
    -------
    selected, power, fdp (duplicates left out), fdp_strict (duplicates false), fdp_unlinked (false
    loci that are weak are left out too)
    """
    new, duplicate = said.new[:selected], said.duplicate[:selected]
    true, again = int((new > 0).sum()), int(duplicate.sum())
    false = selected - true - again
    linked = 0 if weak is None else int((weak[:selected] & (new == 0) & ~duplicate).sum())
    return {
        "selected": selected,
        "power": float(new.sum() / max(said.causes, 1)),
        "fdp": false / max(false + true, 1),
        "fdp_strict": (false + again) / max(selected, 1),
        "fdp_unlinked": (false - linked) / max(false - linked + true, 1),
    }


def coverage(
    selected: Sequence[Locus], sets: Sequence[np.ndarray], causes: Sequence[Cause]
) -> dict[str, float] | None:
    """How often the set of a locus that holds a cause holds it too, and how large sets are.

    Only causes that are one marker count, as no marker of a gene's burden is the cause, nor a tag
    of an untyped variant; only loci of several markers, as the set of a lone one is itself.

    Parameters
    ----------
    selected : loci that are claimed
    sets : for each of them the markers that its cause may be

    Returns
    -------
    loci, covered (share of them), size (mean markers of their sets), markers (mean of the loci);
    None where no locus counts
    """
    single = {int(cause.within[0]) for cause in causes if len(cause.within) == 1}
    rows = [
        (bool(held & {*map(int, chosen)}), len(chosen), len(one.members))
        for one, chosen in zip(selected, sets, strict=True)
        if (held := single & {*map(int, one.members)}) and len(one.members) > 1
    ]
    if not rows:
        return None
    covered, size, markers = np.mean(rows, axis=0)
    return {
        "loci": len(rows),
        "covered": float(covered),
        "size": float(size),
        "markers": float(markers),
    }


def selected_by_p(ranked: Sequence[Locus], p_value: np.ndarray, *, fdr: float) -> int:
    """How many loci Benjamini-Hochberg selects; a locus has its least p-value by Bonferroni."""
    least = np.array([p_value[one.members].min() * len(one.members) for one in ranked])
    return int((benjamini_hochberg(np.minimum(least, 1.0)) < fdr).sum())


def concordance(time: Sequence[float], event: Sequence[int], risk: np.ndarray) -> float:
    """Harrell's share of comparable pairs in which the greater risk fails first.

    A pair is comparable where the earlier time is an event; equal risks count one half.

    Source
    ------
    Harrell et al. 1982.
    """
    time, event = np.asarray(time, float), np.asarray(event, bool)
    earlier = event[:, None] & (time[:, None] < time[None, :])
    ahead = np.sign(risk[:, None] - risk[None, :])
    return float((earlier * (1 + ahead)).sum() / (2 * earlier.sum()))
