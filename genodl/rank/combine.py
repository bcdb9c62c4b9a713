"""From the scores of a marker's directions to one p-value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.special import ndtri_exp

from genodl.rank.fdr import cauchy_combination

# what the combined p-value gives to the additive channel, to both channels, to the network
WEIGHTS = (0.7, 0.3, 0.5)
PARTNERS_WEIGHT = 0.3  # what it gives to the products with all covariates together
QUIET = 0.05  # what it gives a direction of which the whole scan says nothing, in place of these
SPEAKS = 0.01  # p-value of the whole scan below which a direction counts in full


class Voices(NamedTuple):
    """Which directions beside the additive one the scan of all markers speaks for.

    Attributes
    ----------
    second : the second channel, given the additive one
    partners : the products with covariates
    """

    second: bool
    partners: bool


ALL = Voices(second=True, partners=True)


def voices(
    views: Sequence[np.ndarray],
    *,
    active: np.ndarray,
    freedom: int,
    exact: Sequence[np.ndarray] | None = None,
) -> Voices:
    """Which directions the scan of all markers of one phenotype speaks for.

    Every direction that is tested costs the additive one power, also where no marker acts in it.
    The Cauchy combination of a direction's p-values over all markers says whether any does. At
    `SPEAKS` a marker without effect that opens its direction is at the edge of a discovery in any
    case, so the choice adds little to the chance of a false one.

    Parameters
    ----------
    views, active, freedom, exact : of all markers of a modality, see `log_p_value`
    """
    second, partners = [np.zeros(0)], [np.zeros(0)]
    for view, z in enumerate(views):
        normal = normal_deviates(z, freedom=freedom, exact=None if exact is None else exact[view])
        log_p = np.log(2) + stats.norm.logsf(np.abs(normal))
        second.append(log_p[1][active[0] & active[1]])
        partners.append(log_p[3:][active[0] & (z[3:] != 0)])
    return Voices(*(_heard(np.concatenate(each)) for each in (second, partners)))


def _heard(log_p: np.ndarray) -> bool:
    """Whether some p-values are too small for chance."""
    all_of_them = np.zeros(len(log_p), int)
    return bool(cauchy_combination(log_p, all_of_them, 1)[0] < np.log(SPEAKS))


def log_p_value(
    views: Sequence[np.ndarray],
    *,
    active: np.ndarray,
    freedom: int,
    exact: Sequence[np.ndarray] | None = None,
    heard: Voices = ALL,
) -> np.ndarray:
    """Natural log of the p-value of each marker, (markers,).

    The additive channel is tested with one degree of freedom, both channels with two, a network's
    attribution one-sided, the product with each covariate two-sided; the parts that a marker has
    are brought together by the Cauchy combination with `WEIGHTS`, those of the products sharing
    `PARTNERS_WEIGHT`, which holds whatever their dependence. A direction that is not `heard` has
    the weight `QUIET`.

    Parameters
    ----------
    views : float, (3 + partners, markers) each, see `rank.test.Tested.z`: the marker given the
        other loci of its modality, or of all; a row is 0 where there is nothing to test
    active : bool, (2, markers), channels in which the marker varies; log p is 0 where none
    freedom : samples less covariates; the scores are t statistics
    exact : float, like each view, signed normal deviates that replace those of Student's law where
        they are finite, see `genodl.rank.saddlepoint`
    heard : see `voices`
    """
    parts, used, weights = [], [], []
    both = WEIGHTS[1] if heard.second else QUIET
    products = PARTNERS_WEIGHT if heard.partners else QUIET
    for view, z in enumerate(views):
        normal = normal_deviates(z, freedom=freedom, exact=None if exact is None else exact[view])
        one = np.log(2) + stats.norm.logsf(np.abs(normal[0]))
        two = -(normal[0] ** 2 + normal[1] ** 2) / 2
        parts += [one, two, stats.norm.logsf(normal[2])]
        used += [active[0], active[0] & active[1], active[0] & (z[2] != 0)]
        parts += list(np.log(2) + stats.norm.logsf(np.abs(normal[3:])))
        used += list(active[0] & (z[3:] != 0))
        weights += [WEIGHTS[0], both, WEIGHTS[2]]
        weights += [products / max(len(z) - 3, 1)] * (len(z) - 3)
    chosen = np.stack(used)
    part, marker = np.nonzero(chosen)
    weight = np.array(weights)[part]
    return cauchy_combination(np.stack(parts)[chosen], marker, active.shape[1], weight=weight)


def normal_deviates(z: np.ndarray, *, freedom: int, exact: np.ndarray | None = None) -> np.ndarray:
    """Scores as signed normal deviates of the same p-value, of the shape of `z`.

    Parameters
    ----------
    z, freedom, exact : of one view, see `log_p_value`
    """
    normal = np.sign(z) * -ndtri_exp(_log_tail(np.abs(np.asarray(z, float)), freedom))
    return normal if exact is None else np.where(np.isfinite(exact), exact, normal)


def _log_tail(t: np.ndarray, freedom: int) -> np.ndarray:
    """Natural log of the upper tail of Student's law, exact beyond underflow, for t >= 0."""
    tail = stats.t.sf(t, freedom)
    shallow = tail > 1e-280
    # three terms of the integration by parts of the density: an error below 1e-4 of the tail
    far = np.where(shallow, 1e3, t)
    step = (freedom + far**2) / far**2
    series = 1 - step / (freedom - 3) * (1 - 3 * step / (freedom - 5)) if freedom > 5 else 1.0
    mills = (freedom + far**2) / (far * (freedom - 1)) if freedom > 1 else far
    deep = stats.t.logpdf(far, freedom) + np.log(mills * series)
    return np.where(shallow, np.log(np.maximum(tail, 1e-300)), deep)


def deviate(log_p: np.ndarray) -> np.ndarray:
    """The normal deviate with this log upper tail, exact far beyond underflow."""
    return -ndtri_exp(np.minimum(log_p, -1e-12))
