"""The parts of a gene's test, and how they are brought together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from genodl.rank import saddlepoint
from genodl.rank.fdr import cauchy_combination
from genodl.rank.forms import Form, log_tail
from genodl.rank.test import SANDWICH_CARRIERS

# linear form, both forms, burden, single markers, network
WEIGHTS = (0.15, 0.5, 0.1, 0.05, 0.2)
LONG_TAILS = 1.0  # excess kurtosis beyond which a residual is replaced by its normal scores


class Scores(NamedTuple):
    """Score of directions, normal deviates under the null.

    Attributes
    ----------
    z : float64, (directions,), 0 where there is nothing to test
    log_p : float64, (directions,), natural log of the two-sided p-value
    """

    z: np.ndarray
    log_p: np.ndarray


def scores(
    directions: np.ndarray,
    residual: np.ndarray,
    *,
    freedom: int,
    law: saddlepoint.Law,
    ratio: np.ndarray | float = 1.0,
) -> Scores:
    """Covariance of directions with a residual over its standard error.

    The variance is the sandwich, shrunk to the plain one where few samples carry the direction,
    and the tail there is the saddlepoint's, as in `genodl.rank.test`.

    Parameters
    ----------
    directions : float, (samples, directions)
    residual : float, (samples,)
    freedom : samples less covariates
    law : of the residual
    ratio : float, (directions,), of the variance to that of independent samples
    """
    x, e = np.asarray(directions, np.float64), np.asarray(residual, np.float64)
    square = np.square(x)
    power, fourth = square.sum(0), np.square(square).sum(0)
    covariance = e @ x
    plain = (e @ e) / freedom * power
    carriers = power**2 / np.maximum(fourth, 1e-30)
    say = carriers / (carriers + SANDWICH_CARRIERS)
    variance = (say * (np.square(e) @ square) + (1 - say) * plain) * ratio
    z = np.where(power > 1e-9, covariance / np.sqrt(np.maximum(variance, 1e-30)), 0.0)
    log_p = np.log(2) + stats.norm.logsf(np.abs(z))
    few = (carriers < saddlepoint.FEW) & (np.abs(z) > saddlepoint.LEAST_Z) & (power > 1e-9)
    if few.any():
        log_p[few] = saddlepoint.log_tail(x[:, few], law, z[few])
    return Scores(z, np.minimum(log_p, 0.0))


def attributed(
    attribution: np.ndarray,
    residual: np.ndarray,
    *,
    freedom: int,
    dimensions: np.ndarray | float,
) -> Scores:
    """One-sided test of the covariance of held-out attributions with the residual.

    Two samples of different folds meet twice, as the one held out and as one learnt from. For a
    learner linear in the phenotype over D directions the covariance is then a quadratic form: with
    Q chi-squared of D degrees of freedom the ratio z to its naive error is (Q - D) / sqrt(Q), no
    normal deviate but for D = 1, where it repeats the two-sided test. The p-value is that of the Q
    which gives z; a learner that shrinks, or sees a gene in some folds only, has fewer directions
    than inputs, which keeps it on the safe side.

    Parameters
    ----------
    attribution : float, (samples, genes), by the fold that held the sample out
    residual : float, (samples, genes) or (samples, 1)
    dimensions : float, (genes,), D, inputs that the attribution of each is learnt from
    """
    a, e = np.asarray(attribution, np.float64), np.asarray(residual, np.float64)
    square = np.square(a)
    covariance, power = (a * e).sum(0), square.sum(0)
    rest = e - a * covariance / np.maximum(power, 1e-30)
    carriers = power**2 / np.maximum(np.square(square).sum(0), 1e-30)
    say = carriers / (carriers + SANDWICH_CARRIERS)
    plain = np.square(rest).sum(0) / freedom * power
    variance = say * np.square(a * rest).sum(0) + (1 - say) * plain
    alive = power > 1e-10 * np.square(e).sum(0)
    z = np.where(alive, covariance / np.sqrt(np.maximum(variance, 1e-30)), 0.0)
    count = np.maximum(dimensions, 1.0)
    q = np.square((z + np.sqrt(z**2 + 4 * count)) / 2)
    return Scores(z, stats.chi2.logsf(q, count))


def normal_scores(residual: np.ndarray) -> np.ndarray:
    """The residual, or where it is continuous with long tails its normal scores.

    A quadratic form of few carriers follows no known law where single samples decide it. Whether
    the residual is replaced depends on its values alone, not on their owners, so a test of it holds
    its level. Scores have the residual's standard deviation.

    Source
    ------
    Blom 1958 for the scores.
    """
    count = len(residual)
    if stats.kurtosis(residual) <= LONG_TAILS or len(np.unique(residual)) < count / 2:
        return residual
    found = stats.norm.ppf((stats.rankdata(residual) - 0.375) / (count + 0.25))
    return found * (residual.std() / found.std())


def both(linear: np.ndarray, bent: np.ndarray, has_bent: np.ndarray) -> np.ndarray:
    """log p of the two forms of each gene together: they are uncorrelated by construction.

    Source
    ------
    Fisher 1932, combination of independent tests.
    """
    joint = stats.chi2.logsf(-2 * (linear + bent), 4)
    return np.where(has_bent, joint, linear)


def form_tails(linear: list[Form], bent: list[Form]) -> tuple[np.ndarray, np.ndarray]:
    """log p of the linear form, and of both forms together, (genes,) each."""
    has_bent = np.array([len(f.weight) > 0 for f in bent])
    straight = log_tail(linear)
    return straight, both(straight, log_tail(bent), has_bent)


def combined(parts: np.ndarray, used: np.ndarray) -> np.ndarray:
    """log p of each gene from its parts, (genes,), by the Cauchy combination.

    Parameters
    ----------
    parts : float, (5, genes), log p in the order of `WEIGHTS`
    used : bool, (5, genes), the parts a gene has
    """
    part, gene = np.nonzero(used)
    weight = np.array(WEIGHTS)[part]
    return cauchy_combination(parts[used], gene, parts.shape[1], weight=weight)
