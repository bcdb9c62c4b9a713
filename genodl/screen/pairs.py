"""Exhaustive scan of pairwise products of markers, as matrix products."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

SHORTLIST = 256  # pairs of the approximate scan that are scored exactly
MOST = 16  # pairs a fold may pass on
BLOCK = 1024
CARRIERS = 10.0  # effective samples that must carry a product


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


def bound(markers: int) -> float:
    """The |z| that the best of all pairs of so many markers reaches by chance."""
    return float(np.sqrt(2 * np.log(max(markers * (markers - 1) / 2, 2))))


def scan_pairs(panel: np.ndarray, residual: np.ndarray, *, most: int = MOST) -> Pairs:
    """Pairs whose product is associated with a residual beyond `bound`.

    All products of two columns are scored by one matrix product a block; those that stand out are
    scored again exactly, the product made orthogonal to its two factors.

    Parameters
    ----------
    panel : float32, (samples, markers), additive channels, mean 0 and variance about 1
    residual : float32, (samples,), mean 0, 0 where a sample is not for training
    most : pairs returned at most

    Source
    ------
    The bound is the usual one for the largest of many normal deviates.
    """
    markers = panel.shape[1]
    threshold = bound(markers)
    train = jnp.asarray(residual != 0, jnp.float32)
    if markers < 2 or train.sum() < CARRIERS:
        return _none()
    x = jnp.asarray(panel) * train[:, None]
    e = jnp.asarray(residual)
    scale = float(jnp.sqrt((e**2).sum()))
    found = []
    for start in range(0, markers, BLOCK):
        block = x[:, start : start + BLOCK]
        block = jnp.pad(block, ((0, 0), (0, BLOCK - block.shape[1])))
        score, index = _best(block, x, e, start, most=SHORTLIST)
        # half the bound leaves room for products whose variance is not one
        stands_out = np.asarray(score) > scale * threshold / 2
        place = np.where(stands_out, np.asarray(index), -1)
        found.append(np.where(place >= 0, place + start * markers, -1))
    pairs = np.concatenate(found)
    first, second = np.maximum(pairs, 0) // markers, np.maximum(pairs, 0) % markers
    z = np.where(pairs >= 0, np.asarray(_exact(x[:, first], x[:, second], e, train)), 0)
    best = np.argsort(-np.abs(z), kind="stable")[:most]
    best = best[np.abs(z[best]) > threshold]
    return Pairs(first[best], second[best], z[best])


@partial(jax.jit, static_argnames=("most",))
def _best(
    block: jax.Array, panel: jax.Array, residual: jax.Array, start: int, *, most: int
) -> tuple[jax.Array, jax.Array]:
    """The largest |sum of product times residual| of a block against later markers."""
    score = jnp.abs((block * residual[:, None]).T @ panel)
    later = jnp.arange(panel.shape[1])[None, :] > start + jnp.arange(block.shape[1])[:, None]
    return jax.lax.top_k(jnp.where(later, score, -1.0).ravel(), most)


@jax.jit
def _exact(first: jax.Array, second: jax.Array, residual: jax.Array, train: jax.Array) -> jax.Array:
    """z of each product, (pairs,), orthogonal to the intercept and to its factors."""

    def score(a: jax.Array, b: jax.Array) -> jax.Array:
        factors = jnp.stack([train, a, b], axis=1)
        gram = factors.T @ factors + 1e-4 * jnp.eye(3)
        direction = a * b - factors @ jnp.linalg.solve(gram, factors.T @ (a * b))
        power = (direction**2).sum()
        carriers = power**2 / jnp.maximum((direction**4).sum(), 1e-30)
        plain = (residual**2).sum() / train.sum() * power
        variance = jnp.maximum((direction**2 * residual**2).sum(), plain)
        z = (direction * residual).sum() / jnp.sqrt(jnp.maximum(variance, 1e-30))
        return jnp.where(carriers >= CARRIERS, z, 0.0)

    return jax.vmap(score, in_axes=1)(first, second)


def _none() -> Pairs:
    empty = np.zeros(0, int)
    return Pairs(empty, empty, np.zeros(0))
