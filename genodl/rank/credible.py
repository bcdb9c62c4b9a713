"""Which markers of a locus its cause may be: shares of the attribution, and credible sets."""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
# chance that a cause acts by its additive channel, by the other one, by its products with
# covariates, by what products and networks attribute to it
ACTS = (0.7, 0.3, 0.3, 0.5)
LEAST_LEFT = 0.01  # share of a direction's power without which it says nothing of its own
EFFECT = 0.15  # prior standard deviation of an effect, phenotype and channel standardised


class Evidence(NamedTuple):
    """What the markers of a locus explain of one residual.

    Attributes
    ----------
    covariance : float64, (markers,), T_j, the attribution times the residual, summed over samples:
        of a channel the square of its score less its expectation without an effect
    explained : float64, (channels, markers), share of the residual's sum of squares that each
        channel explains beyond those before it; nan where a marker lacks the channel
    """

    covariance: np.ndarray
    explained: np.ndarray


def evidence(directions: np.ndarray, residual: np.ndarray, *, freedom: int) -> Evidence:
    """What each marker explains by its channels and by what products and networks attribute to it.

    Parameters
    ----------
    directions : float, (channels, samples, markers), additive channel, other channel, products
        with covariates, at last the attribution by products and networks; each is taken beyond
        those before it, and a column of 0 is absent
    residual : float, (samples,), in the unit of the attribution, the same for all markers
    freedom : of the residual
    """
    total = float(residual @ residual)
    beyond: list[np.ndarray] = []
    for each in directions:
        beyond.append(reduce(_less, beyond, each))
    score = np.stack([residual @ each for each in beyond])
    power = np.stack([np.square(each).sum(0) for each in beyond])
    there, learnt = power > 0, score[-1].copy()
    score[-1] = np.maximum(learnt, 0)  # what was learnt elsewhere has a sign
    gain = np.divide(np.square(score), power, out=np.zeros(power.shape), where=there)
    squares = (gain[:-1] - total / freedom * there[:-1]).sum(0)
    return Evidence(squares + learnt, np.where(there, gain / max(total, 1e-300), np.nan))


def freed(columns: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Columns, (..., samples, markers), less an orthonormal basis, 0 where next to nothing is left.

    Parameters
    ----------
    basis : float, (samples, rank)
    """
    return _kept(columns - basis @ (basis.T @ columns), columns)


def _less(columns: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Each column made orthogonal to its counterpart."""
    slope = (columns * others).sum(0) / np.maximum(np.square(others).sum(0), 1e-30)
    return _kept(columns - others * slope, columns)


def _kept(left: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Columns of which more than `LEAST_LEFT` of the power is left, others 0."""
    enough = np.square(left).sum(-2) > LEAST_LEFT * np.square(before).sum(-2)
    return left * enough[..., None, :]


def attributed_share(covariance: np.ndarray) -> np.ndarray:
    """Each marker's share of the covariance attributed to a locus, float64 (markers,), sum 1.

    A marker with a negative attributed covariance has none; where all have none, they are alike.

    Parameters
    ----------
    covariance : float, (markers,), T_j, the sum over samples of attribution times residual
    """
    positive = np.maximum(np.asarray(covariance, float), 0)
    total = positive.sum()
    return positive / total if total > 0 else np.full(len(positive), 1 / len(positive))


def posterior(explained: np.ndarray, *, samples: float) -> np.ndarray:
    """Probability of each marker of a locus to be its cause, if it has one, (markers,), sum 1.

    The likelihood of a marker is that of the residual given its channels, each of which acts with
    the chance `ACTS` and then with a normal effect of standard deviation `EFFECT`; before the data
    all markers are alike. What a marker explains is its attributed covariance, so the probability
    is a share of the exponential of T_j, where `attributed_share` is one of T_j itself.

    Parameters
    ----------
    explained : float, (channels, markers), see `Evidence`; the products with covariates share
        their chance
    samples : effective number of independent samples

    Source
    ------
    Wakefield 2009, equation 2 (approximate Bayes factor, normal prior); Maller and others 2012
    (its share within a locus).
    """
    factor = np.nan_to_num(log_bayes_factor(np.asarray(explained, float), samples=samples))
    first, second, partner, last = ACTS
    partners = len(factor) - 3
    chance = np.array([first, second, *[partner / max(partners, 1)] * partners, last])[:, None]
    log = np.logaddexp(np.log1p(-chance), np.log(chance) + factor).sum(0)
    weight = np.exp(log - log.max())
    return weight / weight.sum()


def log_bayes_factor(explained: np.ndarray, *, samples: float) -> np.ndarray:
    """Natural log of the evidence for an effect, against none, of the shape of `explained`.

    Parameters
    ----------
    explained, samples : see `posterior`; z^2 of Wakefield's formula is the likelihood ratio
        statistic -samples log(1 - explained), that of Student's t where the variance is learnt

    Source
    ------
    Wakefield 2009, equation 2.
    """
    shrinkage = EFFECT**2 / (EFFECT**2 + 1 / samples)
    ratio = -samples * np.log1p(-np.minimum(explained, 1 - 1e-12))
    return (np.log1p(-shrinkage) + shrinkage * ratio) / 2


def credible_set(share: np.ndarray, *, level: float = LEVEL) -> np.ndarray:
    """The fewest markers that hold `level` of the shares, int, the greatest share first.

    Parameters
    ----------
    share : float, (markers,), sum 1; ties go to the earlier marker
    """
    order = np.argsort(-share, kind="stable")
    held = np.cumsum(share[order])
    return order[: int(np.searchsorted(held, level - 1e-9)) + 1]
