"""Quadratic forms: many markers of a gene tested together, whatever their signs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from genodl.screen.directions import CLIP

STRENGTH = 20.0  # noncentrality of a gene at the edge of detection, to which the weights are tuned
LARGEST_PRODUCTS = 12  # directions of a gene whose products are formed
LEAST_SHARE = 1e-4  # directions with less than this share of the largest variance are left out
STEPS = 60


class Basis(NamedTuple):
    """Orthogonal directions of a gene's markers, or of their products.

    Attributes
    ----------
    values : float32, (places, directions), each of mean square 1, the largest variance first
    weight : float64, (directions,), of the squared score of each, see `basis`
    share : float64, (directions,), of the variance of all features
    """

    values: np.ndarray
    weight: np.ndarray
    share: np.ndarray


class Form(NamedTuple):
    """A quadratic form of scores and its law under the null.

    Attributes
    ----------
    value : float, the form
    weight : float64, (directions,), it is a sum of these times squared normals
    spread : float, its variance over that of this law, above 1 where the residual has long tails
    """

    value: float
    weight: np.ndarray
    spread: float


def basis(features: np.ndarray, *, present: int, strength: float = STRENGTH) -> Basis:
    """Principal directions of features, weighted to find an effect spread over them.

    Were each feature's effect normal with one variance, as a variance component test has it, the
    effect along a direction would have the variance of that direction, v as a share of the whole;
    the likelihood ratio at a total noncentrality of `strength` weighs squared scores by
    v / (1 + strength v). The limit of 0 is the locally best test (SKAT), that of infinity the
    chi-squared test of all directions alike.

    Parameters
    ----------
    features : float, (places, features), centred, padding rows 0
    present : rows that are not padding

    Source
    ------
    Wu and others 2011 for the limit of 0; the weights are the likelihood ratio's.
    """
    vectors, share = principal(features, present=present)
    values = (features @ vectors).astype(np.float32)
    return Basis(values, share / (1 + strength * share), share)


def principal(features: np.ndarray, *, present: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of features in their principal directions, and the share of each, see `basis`.

    Returns
    -------
    float32, (features, directions), to directions of mean square 1; float64, (directions,)
    """
    gram = features.T.astype(np.float64) @ features / present
    size, vectors = np.linalg.eigh(gram)
    kept = np.flatnonzero(size > max(size.max(initial=0.0) * LEAST_SHARE, 1e-9))[::-1]
    size = size[kept]
    weights = (vectors[:, kept] / np.sqrt(size)).astype(np.float32)
    return weights, size / max(size.sum(), 1e-300)


def products(linear: Basis, covariates: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Squares and products of a gene's markers, free of the covariates and of the markers.

    Directions in place of markers: their products, each direction at its own size, span the same
    kernel, and only the largest are taken of a gene with many. (places, products), float32.

    Parameters
    ----------
    covariates : float32, (places, rank), orthonormal
    present : float32, (places,), 0 marks padding
    """
    formed = freed(multiplied(linear), covariates, present)
    return formed - linear.values @ (linear.values.T @ formed) / np.float32(present.sum())


def freed(formed: np.ndarray, covariates: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Columns, (places, columns), less their means and what the covariates say of them."""
    centred = formed - present[:, None] * formed.sum(0) / present.sum()
    return centred - covariates @ (covariates.T @ centred)


def multiplied(linear: Basis) -> np.ndarray:
    """Squares and products of the largest directions, float32, (places, products)."""
    width = min(linear.values.shape[1], LARGEST_PRODUCTS)
    size = np.sqrt(linear.share[:width]).astype(np.float32)
    sized = np.clip(linear.values[:, :width], -CLIP, CLIP) * size
    first, second = np.triu_indices(width)
    formed = sized[:, first] * sized[:, second]
    formed[:, first != second] *= np.float32(np.sqrt(2))
    return formed


def form(
    values: np.ndarray,
    weight: np.ndarray,
    residual: np.ndarray,
    variance: float,
    *,
    few: float,
    ratio: np.ndarray | float = 1.0,
) -> Form:
    """The form sum of weight times squared score, with its law.

    The scores' variance is that of independent residuals, moved towards the sandwich direction by
    direction where many samples carry it, as in `genodl.rank.test`.

    Parameters
    ----------
    values : float, (samples, directions), of the samples where the phenotype is known
    weight : float, (directions,)
    residual : float, (samples,)
    variance : of the residual, degrees of freedom counted
    few : effective carriers at which the sandwich has half the say
    ratio : float, (directions,), of the variance of a score to that of independent samples
    """
    square = np.square(values)
    power = square.sum(0)
    carriers = power**2 / np.maximum((square**2).sum(0), 1e-30)
    say = carriers / (carriers + few)
    blend = say * (residual**2 @ square) + (1 - say) * variance * power
    root = np.sqrt(ratio * weight * blend / np.maximum(variance * power, 1e-30))
    law = variance * np.linalg.eigvalsh(root[:, None] * (values.T @ values) * root)
    law = law[law > law.max(initial=0.0) * 1e-6]
    kurtosis = max(float(np.mean(residual**4)) / max(variance**2, 1e-300) - 3.0, 0.0)
    leverage = variance * (square @ weight)
    excess = kurtosis * float((leverage**2).sum()) / max(2 * float((law**2).sum()), 1e-300)
    return Form(float(weight @ (values.T @ residual) ** 2), law, 1 + excess)


def log_tail(forms: list[Form]) -> np.ndarray:
    """Natural log of the p-value of each form, (forms,), by the saddlepoint approximation.

    Source
    ------
    Kuonen 1999, equation 5; exact where one direction is left. The variance is matched to `spread`
    beforehand, after the small-sample adjustment of Lee and others 2012.
    """
    width = max((len(f.weight) for f in forms), default=0)
    if width == 0:
        return np.zeros(len(forms))
    law = np.zeros((len(forms), width))
    for row, f in enumerate(forms):
        law[row, : len(f.weight)] = f.weight
    mean = law.sum(1)
    spread = np.array([f.spread for f in forms])
    value = mean + (np.array([f.value for f in forms]) - mean) / np.sqrt(spread)
    law[mean == 0, 0] = 1.0  # nothing to test: any law will do
    largest = law.max(1)
    found = log_mixture_tail(value / largest, law / largest[:, None])
    return np.where(mean > 0, found, 0.0)


def log_mixture_tail(value: np.ndarray, law: np.ndarray) -> np.ndarray:
    """log P(sum of law times squared standard normals > value), (tests,).

    Parameters
    ----------
    value : float, (tests,)
    law : float, (tests, directions), 0 or more, the largest of each row 1
    """
    value = np.maximum(value, 1e-12)
    # K'(t) = value has one root below 1/2, as the largest weight is 1
    high = np.full(len(value), 0.5)
    low = -np.maximum(law.shape[1] / value, 1.0)
    for _ in range(STEPS):
        middle = (low + high) / 2
        below = (law / (1 - 2 * middle[:, None] * law)).sum(1) < value
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    t = (low + high) / 2
    inner = 1 - 2 * t[:, None] * law
    cumulant = -0.5 * np.log(np.maximum(inner, 1e-300)).sum(1)
    curvature = 2 * np.square(law / inner).sum(1)
    w = np.sign(t) * np.sqrt(np.maximum(2 * (t * value - cumulant), 0))
    v = t * np.sqrt(curvature)
    near = np.abs(w) < 1e-3
    ratio = np.where(near, 1.0, v / np.where(near, 1.0, w))
    star = w + np.log(np.maximum(ratio, 1e-300)) / np.where(near, 1.0, w)
    skew = 8 * (law**3).sum(1) / (2 * (law**2).sum(1)) ** 1.5
    log_p = stats.norm.logsf(np.where(near, skew / 6, star))
    return np.where((law > 1e-6).sum(1) == 1, stats.chi2.logsf(value, 1), log_p)
