"""Exhaustive scan of pairwise products of markers, as matrix products."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

SHORTLIST = 1024  # pairs of the scan that are scored exactly in every fold
TILE = 768  # columns of a square of pairs that is scored at once; its folds' sums are kept in cache
OF_A_TILE = 128  # pairs a tile passes on at most
RUN = 64  # neighbouring pairs of which the best is looked at first
MOST = 16  # pairs a fold may pass on
CHUNK = 256  # pairs scored exactly at once
CARRIERS = 10.0  # effective samples that must carry a product
RIDGE = 1e-4  # keeps the factors of a 0/1 marker, whose square repeats it, solvable


class Pairs(NamedTuple):
    """Products of two markers that pass the bound, best first.

    Attributes
    ----------
    first, second : int, (pairs,), columns of the panel, first < second
    z : float, (pairs,), score statistic with the sandwich variance
    """

    first: np.ndarray
    second: np.ndarray
    z: np.ndarray


def bound(pairs: float | np.ndarray) -> np.ndarray:
    """The |z| that the best of so many pairs reaches by chance, float64, of the shape given."""
    return np.sqrt(2 * np.log(np.maximum(pairs, 2)))


def certain(pairs: float | np.ndarray, *, level: float = 0.01) -> np.ndarray:
    """The |z| that the best of so many pairs reaches with a probability of `level` at most."""
    return stats.norm.isf(level / 2 / np.maximum(pairs, 1))


def count(markers: int, partners: int = 0) -> tuple[int, int]:
    """Pairs of two markers, and pairs of a marker and a partner that is none."""
    return markers * (markers - 1) // 2, markers * partners


def shortlist(
    panel: np.ndarray, response: np.ndarray, *, folds: int = 1, markers: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs whose product stands out in the training samples of any fold.

    The sums of product times response over the samples of one fold are one matrix product; those
    of a training fold are the sums over all samples less those of the fold it leaves out, so all
    folds together cost one scan of all samples. Squares of `TILE` x `TILE` pairs are scored one
    at a time: memory is the panel and a few tiles, whatever the number of pairs. The factors are
    rounded to eight bits here, which moves a z by about 0.002 of a standard error.

    Parameters
    ----------
    panel : float32, (places, columns), mean 0 and variance about 1, laid out fold by fold
    response : float32, (places,), mean 0, 0 where a place is not used
    folds : equal runs of places, each left out once; of one fold nothing is left out
    markers : columns that are paired with every later column; the rest are partners alone.
        All columns where None

    Returns
    -------
    int64, (pairs,) twice: columns first < second, at most `SHORTLIST` pairs, strongest first; only
    pairs whose approximate z reaches half of `bound`
    """
    columns = panel.shape[1]
    markers = columns if markers is None else markers
    energy = (response.reshape(folds, -1).astype(float) ** 2).sum(1)
    left = energy.sum() - (energy if folds > 1 else 0)
    if not np.all(left > 0):
        return np.zeros(0, int), np.zeros(0, int)
    # half the bound leaves room for products whose variance is not one
    least = min(bound(n) for n in count(markers, columns - markers) if n) / 2
    scale = jnp.asarray(1 / np.sqrt(left), jnp.float32).reshape(-1)
    e = jnp.asarray(response, jnp.float32)
    kept: list[np.ndarray] = [np.zeros((3, 0))]
    size = min(TILE, -(-columns // 128) * 128)
    for i in range(0, markers, size):
        rows = _tile(panel, i, size)
        for j in range(i, columns, size):
            other = _tile(panel, j, size)
            z, index = _best(rows, other, e, scale, j - i, markers - i, folds=folds)
            a, b = np.divmod(np.asarray(index, np.int64), size)
            found = np.stack([np.asarray(z, float), a + i, b + j])
            kept.append(found[:, (found[0] >= least) & (found[2] < columns)])
        kept = [_strongest(np.concatenate(kept, axis=1), SHORTLIST)]
    return kept[0][1].astype(int), kept[0][2].astype(int)


def propose(
    panel: np.ndarray,
    response: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    *,
    threshold: float | np.ndarray,
    most: int = MOST,
) -> Pairs:
    """The pairs of a shortlist that one training fold is sure of, by their exact scores.

    A product is made orthogonal to its two factors and their squares. Pairs are visited from the
    strongest; one that says what those before it have said, as neighbours in LD do, is left out.

    Parameters
    ----------
    panel : float32, (samples, columns)
    response : float32, (samples,), mean 0, 0 where a sample is not for training
    pairs : columns of the first and the second factor
    threshold : the |z| that must be exceeded, also given the pairs already taken; one for all, or
        one a pair
    most : pairs returned at most
    """
    train = response != 0
    if train.sum() < CARRIERS or not len(pairs[0]):
        return _none()
    first, second = (np.asarray(p, int) for p in pairs)
    z = exact_scores(panel, response, first, second)
    best = np.argsort(-np.abs(z), kind="stable")
    least = np.broadcast_to(threshold, z.shape)
    best = best[np.abs(z[best]) > least[best]][: 8 * most]
    taken: list[int] = []
    y = response[train].astype(float)
    span = np.zeros((len(y), 0))
    for pair in best:
        a, b = (panel[train, column[pair]].astype(float) for column in (first, second))
        u = orthogonal(a * b, np.column_stack([np.ones(len(y)), a, b, a**2, b**2, span]))
        power = (u**2).sum()
        if power < 1e-6 * len(y) or abs(u @ y) < least[pair] * np.sqrt(power * (y**2).mean()):
            continue
        taken.append(int(pair))
        span = np.column_stack([span, u])
        if len(taken) == most:
            break
    return Pairs(first[taken], second[taken], z[taken])


def scan_pairs(panel: np.ndarray, residual: np.ndarray, *, most: int = MOST) -> Pairs:
    """Pairs whose product is associated with a residual beyond `bound`.

    Parameters
    ----------
    panel : float32, (samples, markers), additive channels, mean 0 and variance about 1
    residual : float32, (samples,), mean 0, 0 where a sample is not for training
    most : pairs returned at most

    Source
    ------
    The bound is the usual one for the largest of many normal deviates.
    """
    if panel.shape[1] < 2 or (residual != 0).sum() < CARRIERS:
        return _none()
    pairs = shortlist(panel, residual)
    return propose(panel, residual, pairs, threshold=bound(count(panel.shape[1])[0]), most=most)


def exact_scores(
    panel: np.ndarray, response: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """z of the product of each pair of columns, (pairs,), given its factors and their squares."""
    train = jnp.asarray(response != 0, jnp.float32)
    e = jnp.asarray(response, jnp.float32)
    found = [np.zeros(0)]
    for start in range(0, len(first), CHUNK):
        a, b = (np.resize(c[start : start + CHUNK], CHUNK) for c in (first, second))
        z = _exact(jnp.asarray(panel[:, a]), jnp.asarray(panel[:, b]), e, train)
        found.append(np.asarray(z, float)[: len(first) - start])
    return np.concatenate(found)


def orthogonal(u: np.ndarray, span: np.ndarray) -> np.ndarray:
    """What a vector, (samples,), holds beyond the columns of a matrix."""
    return u - span @ np.linalg.lstsq(span, u, rcond=1e-8)[0]


def _tile(panel: np.ndarray, start: int, size: int) -> np.ndarray:
    """So many columns, those beyond the last 0."""
    tile = np.asarray(panel[:, start : start + size], np.float32)
    return np.pad(tile, ((0, 0), (0, size - tile.shape[1])))


def _strongest(found: np.ndarray, most: int) -> np.ndarray:
    """The columns of largest first row; ties go to the earlier pair."""
    order = np.lexsort((found[2], found[1], -found[0]))
    return found[:, order[:most]]


@partial(jax.jit, static_argnames=("folds",))
def _best(
    rows: jax.Array,
    columns: jax.Array,
    response: jax.Array,
    scale: jax.Array,
    ahead: int,
    last: int,
    *,
    folds: int,
) -> tuple[jax.Array, jax.Array]:
    """The largest |z| in any training fold of a tile of pairs, and where they stand."""
    size = rows.shape[1]
    # eight bits a factor: it is exact scores that decide, and products are twice as fast
    weighted = (rows * response[:, None]).astype(jnp.bfloat16).T.reshape(size, folds, -1)
    columns = columns.astype(jnp.bfloat16).reshape(folds, -1, size)
    part = [
        jnp.matmul(weighted[:, k], columns[k], preferred_element_type=jnp.float32)
        for k in range(folds)
    ]
    total = sum(part[1:], part[0])
    best = jnp.abs(total - (part[0] if folds > 1 else 0)) * scale[0]
    for k in range(1, folds):
        best = jnp.maximum(best, jnp.abs(total - part[k]) * scale[k])
    row, column = jnp.arange(size)[:, None], jnp.arange(size)[None, :] + ahead
    best = jnp.where((column > row) & (row < last), best, -1.0)
    # the best pairs are among those of the runs whose best is best
    runs = best.reshape(-1, RUN)
    _, chosen = jax.lax.top_k(runs.max(1), OF_A_TILE)
    z, place = jax.lax.top_k(runs[chosen].ravel(), OF_A_TILE)
    return z, chosen[place // RUN] * RUN + place % RUN


@jax.jit
def _exact(first: jax.Array, second: jax.Array, response: jax.Array, train: jax.Array) -> jax.Array:
    """z of each product of two columns, (pairs,)."""

    def score(a: jax.Array, b: jax.Array) -> jax.Array:
        a, b = a * train, b * train
        factors = jnp.stack([train, a, b, a**2, b**2], axis=1)
        scale = jnp.sqrt(jnp.maximum((factors**2).sum(0), 1e-12))
        factors = factors / scale
        gram = factors.T @ factors + RIDGE * jnp.eye(5)
        direction = a * b - factors @ jnp.linalg.solve(gram, factors.T @ (a * b))
        power = (direction**2).sum()
        carriers = power**2 / jnp.maximum((direction**4).sum(), 1e-30)
        plain = (response**2).sum() / train.sum() * power
        variance = jnp.maximum((direction**2 * response**2).sum(), plain)
        z = (direction * response).sum() / jnp.sqrt(jnp.maximum(variance, 1e-30))
        return jnp.where((carriers >= CARRIERS) & (power > 1e-3 * train.sum()), z, 0.0)

    return jax.vmap(score, in_axes=1)(first, second)


def _none() -> Pairs:
    empty = np.zeros(0, int)
    return Pairs(empty, empty, np.zeros(0))
