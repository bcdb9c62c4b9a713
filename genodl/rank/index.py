"""A gene that acts through one index: a weighted sum of its markers, bent.

A burden that is harmful beyond a threshold, or in excess either way, is one function of one sum of
the markers. A quadratic form spreads its power over all squares and products; two tests here spend
it on those that one sum makes. Both hold whatever the linear scores are, so they are independent of
the linear form and are joined with it as Fisher joins tests.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from genodl.rank.forms import Basis

CUTS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # standard deviations at which an index is bent
DRAWS = 1_000  # of the null law of the strongest square
SEED = 20_011


class Squares(NamedTuple):
    """The squares of sums of a gene's markers, by the bent directions that hold them.

    Attributes
    ----------
    loading : float64, (products, directions), of the products of linear directions, upper triangle
        row by row, on the bent directions
    shrink : float64, (directions,), weight of each score in the shrunk estimate of its effect
    mean, variance : of the squared score of the strongest square under the null
    """

    loading: np.ndarray
    shrink: np.ndarray
    mean: float
    variance: float


def index(linear: Basis, score: np.ndarray) -> np.ndarray:
    """The sum of a gene's markers that its scores speak for, (places,), of mean square 1.

    Each direction counts by its effect as the likelihood ratio's weights shrink it.

    Parameters
    ----------
    score : float, (directions,), normal deviates under the null
    """
    found = linear.values @ (linear.weight * score).astype(np.float32)
    size = np.linalg.norm(found) / max(np.sqrt(len(found)), 1.0)
    return found / max(size, 1e-12)


def bends(values: np.ndarray) -> np.ndarray:
    """An index squared, and bent at each of `CUTS`, (places, functions).

    Freed of the linear directions, these are seen by a part of the phenotype that the linear
    scores, which made the index, leave untouched: their scores keep their law.

    Source
    ------
    Tukey 1949 and Ramsey 1969, tests of a fit by powers of what it predicts.
    """
    hinges = [np.maximum(values - cut, 0) for cut in CUTS]
    return np.stack([np.square(values), *hinges], axis=1).astype(np.float64)


def squares(products: np.ndarray, bent: Basis, present: int) -> Squares:
    """The law of the strongest square of a gene, by draws of its bent directions' scores.

    Parameters
    ----------
    products : float, (places, products), see `genodl.rank.forms.products`
    bent : their directions
    present : rows that are not padding
    """
    loading = products.T.astype(np.float64) @ bent.values / present
    shrink = bent.weight / np.maximum(bent.share, 1e-300)
    count = len(shrink)
    if not count:
        return Squares(loading, shrink, 0.0, 1.0)
    score = np.random.default_rng(SEED).standard_normal((DRAWS, count))
    along = strongest(Squares(loading, shrink, 0.0, 1.0), score)
    # which square is strongest depends on where the scores point, and how far they reach is
    # chi-squared whatever that is: its moments are known and need no draws
    part = np.square((along * score).sum(1)) / np.square(score).sum(1)
    mean = count * float(part.mean())
    variance = count * (count + 2) * float(np.square(part).mean()) - mean**2
    return Squares(loading, shrink, mean, variance)


def strongest(found: Squares, score: np.ndarray) -> np.ndarray:
    """The square of one sum that the scores speak for most, (tests, directions), of length 1.

    The effects of all products, shrunk, are a symmetric matrix; its first and its last eigenvector
    are the sums whose squares act most to either side, and the better of the two is taken.

    Parameters
    ----------
    score : float, (tests, directions), of the bent directions, normal deviates under the null
    """
    effect = (found.shrink * score) @ found.loading.T
    width = round((np.sqrt(8 * effect.shape[1] + 1) - 1) / 2)
    first, second = np.triu_indices(width)
    # products of two directions are sqrt(2) times theirs, once for either order
    share = np.where(first == second, 1.0, np.sqrt(0.5))
    matrix = np.zeros((len(score), width, width))
    matrix[:, first, second] = matrix[:, second, first] = effect * share
    _, vectors = np.linalg.eigh(matrix)
    ends = vectors[:, :, [0, -1]]
    each = ends[:, first] * ends[:, second] / share[:, None]
    along = np.einsum("tpe,pd->ted", each, found.loading)
    along /= np.maximum(np.linalg.norm(along, axis=2, keepdims=True), 1e-300)
    better = np.abs(np.einsum("ted,td->te", along, score)).argmax(1)
    return along[np.arange(len(score)), better]


def strongest_tail(z: np.ndarray, found: Squares) -> np.ndarray:
    """Natural log of the p-value of scores of strongest squares, of the shape of `z`.

    The largest of many squared normal deviates has the tail of a chi-squared variable, exp(-x / 2)
    but for powers of x; its degrees of freedom and its shift are those that match the draws.
    """
    degrees = found.variance / 2
    return stats.chi2.logsf(np.square(z) - found.mean + degrees, degrees)
