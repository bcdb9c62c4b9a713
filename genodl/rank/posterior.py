"""How probable it is that a gene acts itself, the others weighed beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from genodl.rank.sums import STRENGTHS

# share of the linear directions in the variance of the effect, and how probable that is
SPREAD = ((1.0, 7 / 26), (0.75, 4 / 26), (0.5, 3 / 26), (0.0, 3 / 26))
ABSENT = 5.7  # odds that one of the effects sought is none
SWEEPS = 30
SETTLED = 1e-3  # greatest change of a probability at which the sweeps end


class Columns(NamedTuple):
    """Directions of candidate genes side by side.

    Attributes
    ----------
    values : float32, (samples, columns), each of mean square 1
    start : int, (genes,), first column of each gene
    linear, bent : float64, (columns,), share of the variance of the gene's linear directions, and
        of the bent ones; 0 where a column is neither
    alone : float64, (columns,), log probability that the gene acts through this column only, -inf
        where it does not; of draws from a posterior, their weight
    ratio : float64, (columns,), of the variance of a score to that of independent, equal residuals
    """

    values: np.ndarray
    start: np.ndarray
    linear: np.ndarray
    bent: np.ndarray
    alone: np.ndarray
    ratio: np.ndarray


class Prior(NamedTuple):
    """What is expected of the scores of all columns, worked out once.

    Attributes
    ----------
    shrink : float64, (ways, columns), of a score in each way that effects spread over directions
    base : float64, (ways, genes), log probability of the way and what its directions cost
    lone_shrink : float64, (strengths,), where one column acts alone
    lone_base : float64, (strengths, columns)
    """

    shrink: np.ndarray
    base: np.ndarray
    lone_shrink: np.ndarray
    lone_base: np.ndarray


def expected(columns: Columns) -> Prior:
    """The prior of the scores of some columns."""
    strengths = np.array(STRENGTHS)
    shares = [a * columns.linear + (1 - a) * columns.bent for a, _ in SPREAD]
    variance = (strengths[:, None] * np.stack(shares)[:, None]).reshape(-1, len(columns.linear))
    likely = np.repeat([p for _, p in SPREAD], len(strengths)) / len(strengths)
    cost = 0.5 * np.add.reduceat(np.log1p(variance), columns.start, axis=1)
    # a gene without bent directions cannot act through them
    present = np.add.reduceat(variance, columns.start, axis=1) > 0
    base = np.where(present, np.log(likely)[:, None] - cost, -np.inf)
    lone = columns.alone - np.log(len(strengths)) - 0.5 * np.log1p(strengths)[:, None]
    return Prior(variance / (1 + variance), base, strengths / (1 + strengths), lone)


def evidence(columns: Columns, prior: Prior, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log Bayes factor of each gene, and the expected z of each column were its gene to act.

    Each way an effect may be spread gives z a normal law, by which its likelihood is known; the
    ways are averaged.

    Parameters
    ----------
    z : float64, (columns,), scores of unit variance where nothing acts
    """
    gene = np.repeat(np.arange(len(columns.start)), np.diff([*columns.start, len(z)]))
    half = 0.5 * np.square(z)
    spread = prior.base + np.add.reduceat(prior.shrink * half, columns.start, axis=1)
    lone = prior.lone_base + prior.lone_shrink[:, None] * half
    top = np.maximum.reduceat(lone.max(0), columns.start)
    top = np.maximum(top, spread.max(0))
    lone, spread = np.exp(lone - top[gene]), np.exp(spread - top)
    whole = spread.sum(0) + np.add.reduceat(lone.sum(0), columns.start)
    mean = np.einsum("wc,wc->c", spread[:, gene], prior.shrink) + prior.lone_shrink @ lone
    return top + np.log(whole), z * mean / whole[gene]


def acting(columns: Columns, residual: np.ndarray, *, genes: int, effects: int) -> np.ndarray:
    """log odds that each gene acts, (genes,), by a sum of single effects.

    The residual is a sum of effects, each of one gene or of none. In turn each effect is learnt
    from what the others leave: which gene it is of, by the genes' evidence, and what it is, as
    the mean over these. Neighbours that would explain the same part of the residual share its
    probability, where tests of them one by one find each of them.

    Parameters
    ----------
    residual : float, (samples,)
    genes : of which the candidates are the best; each is as likely to act beforehand
    effects : that are sought at most

    Source
    ------
    Wang and others 2020, iterative Bayesian stepwise selection, with genes for variables.
    """
    prior = expected(columns)
    count = len(residual)
    y = residual / max(np.sqrt(np.mean(np.square(residual))), 1e-300)
    fits = np.zeros((effects, count))
    share = np.zeros((effects, len(columns.start)))
    sizes = np.diff([*columns.start, columns.values.shape[1]])
    root = np.sqrt(columns.ratio)
    for _ in range(SWEEPS):
        before = share.copy()
        unit = np.sqrt(np.mean(np.square(y - fits.sum(0))) / count)
        for number in range(effects):
            left = y - fits.sum(0) + fits[number]
            z = (left.astype(np.float32) @ columns.values) / (count * unit * root)
            log_bayes, mean = evidence(columns, prior, z)
            log_odds = log_bayes - np.log(genes)
            share[number] = np.exp(log_odds - np.logaddexp(logsumexp(log_odds), np.log(ABSENT)))
            weight = (np.repeat(share[number], sizes) * mean * root * unit).astype(np.float32)
            fits[number] = columns.values @ weight
        if np.abs(share - before).max() < SETTLED:
            break
    none = np.log1p(-np.minimum(share, 1 - 1e-15)).sum(0)
    return np.log(np.maximum(-np.expm1(none), 1e-300)) - none


def side_by_side(each: Sequence[Columns]) -> Columns:
    """Columns of one gene each as those of all."""
    sizes = [c.values.shape[1] for c in each]
    start = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int)
    parts = zip(*[(c.values, c.linear, c.bent, c.alone, c.ratio) for c in each], strict=True)
    values, *shares = [np.concatenate(part, axis=-1) for part in parts]
    return Columns(values, start, *shares)
