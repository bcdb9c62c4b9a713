"""Exhaustive scan of the products of three of the markers that stand out."""

from __future__ import annotations

from itertools import combinations_with_replacement

import jax
import jax.numpy as jnp
import numpy as np

from genodl.screen.precision import short_float
from genodl.screen.products import strongest

SHORTLIST = 256  # products of the scan that are scored exactly in every fold
TILE = 128  # columns of a side of a cube of products that is scored at once
AT_ONCE = 8  # first factors of a cube that share a matrix product
LOOKED_AT = 64  # products of one column of a cube whose variance is worked out
OF_A_SLICE = 16  # products that it passes on at most
RUN = 64  # neighbouring products of which the best is looked at first
BLOCK = 512  # columns looked at at once, few enough for their squares to stay in a cache
CLIP = 3.0  # standard deviations beyond which a response says nothing more of its spread


def stand_out(panel: np.ndarray, response: np.ndarray, most: int) -> np.ndarray:
    """The columns along which a response differs most in mean or spread, int, ascending.

    A product of three markers need not move the mean along any of them, or any two, but where it
    is large the phenotype is spread wide: its square then follows each factor and that factor's
    square. The statistic of a column is the sum of the three squared z.

    Parameters
    ----------
    panel : float32, (places, columns), mean 0 and variance about 1
    response : float32, (places,), mean 0, 0 where a place is not used
    most : columns returned at most

    Source
    ------
    That an interaction is to be looked for where the variance differs by genotype: Pare et al.,
    PLoS Genetics 2010.
    """
    used = response != 0
    if panel.shape[1] <= most or not used.any():
        return np.arange(min(panel.shape[1], most))
    mean, spread = jnp.asarray(response), jnp.asarray(_spread(response, used))
    parts = []
    for start in range(0, panel.shape[1], BLOCK):
        # a column is contiguous, see `shortlist_triples`
        part = panel[:, start : start + BLOCK].T
        block = np.pad(part, ((0, -len(part) % 128), (0, 0)))
        strength = _strength(jnp.asarray(block), mean, spread)
        parts.append(np.asarray(strength, float)[: len(part)])
    return np.sort(np.argsort(-np.concatenate(parts), kind="stable")[:most])


def shortlist_triples(panel: np.ndarray, response: np.ndarray) -> np.ndarray:
    """The products of three columns that stand out over all samples, strongest first.

    For each first factor the sums of products times response are one matrix product; the largest
    are divided by their standard error, from the larger of the plain and the sandwich variance, so
    that a few samples far out do not crowd the list. Cubes of `TILE` columns a side are scored one
    at a time.

    Parameters
    ----------
    panel : float32, (places, columns), mean 0 and variance about 1, few hundred columns
    response : float32, (places,), mean 0, 0 where a place is not used

    Returns
    -------
    int64, (3, products), columns ascending in each product, at most `SHORTLIST`
    """
    energy = float((response.astype(float) ** 2).sum())
    columns = panel.shape[1]
    if columns < 3 or not energy > 0:
        return np.zeros((3, 0), int)
    tiles = -(-columns // TILE)
    # a column is contiguous, so that a product of columns runs along memory
    padded = np.pad(np.asarray(panel, np.float32).T, ((0, tiles * TILE - columns), (0, 0)))
    cut = [jnp.asarray(padded[i * TILE : (i + 1) * TILE]) for i in range(tiles)]
    e = jnp.asarray(response / np.sqrt(energy), jnp.float32)
    kept = np.zeros((4, 0))
    for cube in combinations_with_replacement(range(tiles), 3):
        least = kept[0, -1] if kept.shape[1] == SHORTLIST else 0.0
        scanned = _best(*(cut[i] for i in cube), e, np.float32(least), *cube)
        z, place = (np.asarray(found) for found in scanned)
        first = np.repeat(np.arange(TILE), place.shape[1])
        second, third = np.divmod(place.ravel().astype(np.int64), TILE)
        starts = np.array(cube) * TILE
        found = np.stack(
            [z.ravel().astype(float), first + starts[0], second + starts[1], third + starts[2]]
        )
        kept = strongest(np.concatenate([kept, found[:, z.ravel() > 0]], axis=1), SHORTLIST)
    return kept[1:].astype(int)


def _spread(response: np.ndarray, used: np.ndarray) -> np.ndarray:
    """The squared response, centred, its tails clipped."""
    e = response / np.sqrt((response[used] ** 2).mean())
    squared = np.clip(e, -CLIP, CLIP) ** 2
    return np.where(used, squared - squared[used].mean(), 0)


@jax.jit
def _strength(panel: jax.Array, mean: jax.Array, spread: jax.Array) -> jax.Array:
    """Sum of the squared z of each column with mean and spread, and of its square with spread.

    All of it follows from the sums of four powers of a column, and of two with the responses.

    Parameters
    ----------
    panel : float32, (columns, places)
    mean, spread : float32, (places,), the sum of each is 0
    """
    used = (mean != 0).astype(panel.dtype)
    samples, square = used.sum(), panel * panel
    one, on_mean, on_spread = (panel @ jnp.stack([used, mean, spread], axis=1)).T
    two, square_on_spread = (square @ jnp.stack([used, spread], axis=1)).T
    three, four = (square * panel) @ used, (square * square) @ used
    first = two - one**2 / samples
    slope = (three - one * two / samples) / jnp.maximum(first, 1e-12)
    bent = four - two**2 / samples - slope**2 * first

    def squared(covariance: jax.Array, power: jax.Array, y: jax.Array) -> jax.Array:
        z2 = covariance**2 * samples / jnp.maximum(power * (y**2).sum(), 1e-30)
        # a 0/1 marker's square says nothing beyond the marker
        return jnp.where(power > 1e-3 * samples, z2, 0)

    straight = squared(on_mean, first, mean) + squared(on_spread, first, spread)
    return straight + squared(square_on_spread - slope * on_spread, bent, spread)


@jax.jit
def _best(
    first: jax.Array,
    second: jax.Array,
    third: jax.Array,
    response: jax.Array,
    least: jax.Array,
    i: int,
    j: int,
    k: int,
) -> tuple[jax.Array, jax.Array]:
    """The largest approximate |z| for each first factor of a cube, and where they stand.

    Factors are float32, (columns, places). One none of whose products reaches the least gives z of
    0: the standard error can only lower a z.
    """
    size, samples = first.shape
    row = (jnp.arange(size) + j * size)[:, None]
    column = (jnp.arange(size) + k * size)[None, :]
    columns = third.astype(short_float())

    def of_one(given: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        place, along, score = given
        score = jnp.where((row > place) & (column > row), jnp.abs(score), -1.0).reshape(-1, RUN)
        best = score.max(1)
        return jax.lax.cond(best.max() > least, looked_at, passed_over, best, score, along)

    def passed_over(*_: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jnp.zeros(OF_A_SLICE), jnp.zeros(OF_A_SLICE, jnp.int32)

    def looked_at(
        best: jax.Array, score: jax.Array, along: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        _, chosen = jax.lax.top_k(best, LOOKED_AT)
        score, at = jax.lax.top_k(score[chosen].ravel(), LOOKED_AT)
        at = chosen[at // RUN] * RUN + at % RUN
        # the response has length 1, so the plain variance of a product is about 1
        terms = along * second[at // size] * third[at % size]
        z = score / jnp.sqrt(jnp.maximum((terms**2).sum(1), 1.0))
        best, kept = jax.lax.top_k(z, OF_A_SLICE)
        return best, at[kept]

    def of_some(given: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        factors, places = given
        along = factors * response
        # in short factors, as in `pairs`: exact scores decide
        short = (second * along[:, None]).astype(short_float()).reshape(-1, samples)
        score = jnp.einsum("ap,bp->ab", short, columns, preferred_element_type=jnp.float32)
        return jax.lax.map(of_one, (places, along, score.reshape(AT_ONCE, size, size)))

    places = (jnp.arange(size) + i * size).reshape(-1, AT_ONCE)
    best, at = jax.lax.map(of_some, (first.reshape(-1, AT_ONCE, samples), places))
    return best.reshape(size, -1), at.reshape(size, -1)
