"""Products of a few columns, scored exactly in the training samples of one fold."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

MOST = 16  # products a fold may pass on
CHUNK = 64  # products scored exactly at once
CARRIERS = 10.0  # effective samples that must carry a product
RIDGE = 1e-4  # keeps the factors of a 0/1 marker, whose square repeats it, solvable


class Products(NamedTuple):
    """Products of columns of a panel that pass the bound, best first.

    Attributes
    ----------
    columns : int, (order, products), columns of the panel, ascending in each product
    z : float, (products,), score statistic with the sandwich variance
    place : int, (products,), where each stands in the list it was proposed from
    """

    columns: np.ndarray
    z: np.ndarray
    place: np.ndarray


def bound(products: float | np.ndarray) -> np.ndarray:
    """The |z| that the best of so many products reaches by chance, float64, of the shape given."""
    return np.sqrt(2 * np.log(np.maximum(products, 2)))


def certain(products: float | np.ndarray, *, level: float = 0.01) -> np.ndarray:
    """The |z| that the best of so many reaches with a probability of `level` at most."""
    return stats.norm.isf(level / 2 / np.maximum(products, 1))


def propose(
    panel: np.ndarray,
    response: np.ndarray,
    columns: np.ndarray,
    z: np.ndarray,
    *,
    threshold: float | np.ndarray,
    most: int = MOST,
) -> Products:
    """The products of a shortlist that one training fold is sure of, by their exact scores.

    A product is made orthogonal to its factors, their squares and, of three factors, the products
    of any two. Products are visited from the strongest; one that says what those before it have
    said, as neighbours in LD do, is left out.

    Parameters
    ----------
    panel : float32, (samples, columns)
    response : float32, (samples,), mean 0, 0 where a sample is not for training
    columns : int, (order, products), of the factors
    z : float, (products,), their scores in the training fold, see `exact_scores`
    threshold : the |z| that must be exceeded, also given the products already taken; one for all,
        or one a product
    most : products returned at most
    """
    train = response != 0
    if train.sum() < CARRIERS or not columns.shape[1]:
        return none(len(columns))
    best = np.argsort(-np.abs(z), kind="stable")
    least = np.broadcast_to(threshold, z.shape)
    best = best[np.abs(z[best]) > least[best]][: 8 * most]
    taken: list[int] = []
    y = response[train].astype(float)
    span = np.ones((len(y), 1))
    for product in best:
        factors = panel[np.ix_(train, columns[:, product])].astype(float)
        u = orthogonal(factors.prod(1), np.column_stack([span, *_lower(list(factors.T))]))
        power = (u**2).sum()
        if power < 1e-6 * len(y) or abs(u @ y) < least[product] * np.sqrt(power * (y**2).mean()):
            continue
        taken.append(int(product))
        span = np.column_stack([span, u])
        if len(taken) == most:
            break
    return Products(columns[:, taken], z[taken], np.array(taken, int))


def exact_scores(panel: np.ndarray, responses: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """z of each product of columns, given all of lower order, float64, (folds, products).

    Parameters
    ----------
    panel : float32, (samples, columns)
    responses : float32, (folds, samples), mean 0, 0 where a sample is not for training
    columns : int, (order, products), of the factors
    """
    train = jnp.asarray(responses != 0, jnp.float32)
    e = jnp.asarray(responses, jnp.float32)
    found = [np.zeros((len(responses), 0))]
    for start in range(0, columns.shape[1], CHUNK):
        chunk = columns[:, start : start + CHUNK]
        factors = panel.T[np.resize(chunk.T, (CHUNK, len(chunk)))]
        z = _exact(jnp.asarray(factors), e, train)
        found.append(np.asarray(z, float)[:, : chunk.shape[1]])
    return np.concatenate(found, axis=1)


def orthogonal(u: np.ndarray, span: np.ndarray) -> np.ndarray:
    """What a vector, (samples,), holds beyond the columns of a matrix."""
    return u - span @ np.linalg.lstsq(span, u, rcond=1e-8)[0]


def strongest(found: np.ndarray, most: int) -> np.ndarray:
    """The columns of largest first row; ties go to the earlier columns."""
    order = np.lexsort((*found[:0:-1], -found[0]))
    return found[:, order[:most]]


def none(order: int) -> Products:
    """No product."""
    return Products(np.zeros((order, 0), int), np.zeros(0), np.zeros(0, int))


def _lower(factors: list) -> list:
    """All that a product of these must not be taken for."""
    pairs = combinations(factors, 2) if len(factors) > 2 else ()
    return [*factors, *(f**2 for f in factors), *(a * b for a, b in pairs)]


@jax.jit
def _exact(factors: jax.Array, responses: jax.Array, train: jax.Array) -> jax.Array:
    """z of each product, (folds, products), of factors (products, order, places).

    The moments of a product and all of lower order over the samples of each fold are one matrix
    product.
    """
    given = [factors[:, i] for i in range(factors.shape[1])]
    product = factors.prod(1)
    lower = jnp.stack([jnp.ones_like(product), *_lower(given)], axis=1)
    both = jnp.concatenate([lower, product[:, None]], axis=1)
    count = both.shape[1]
    i, j = np.triu_indices(count)
    moments = jnp.einsum("cnp,kp->ckn", both[:, i] * both[:, j], train)
    place = np.zeros((count, count), int)
    place[i, j] = place[j, i] = np.arange(len(i))
    moments = moments[..., place]
    length = jnp.sqrt(jnp.maximum(jnp.diagonal(moments, axis1=2, axis2=3), 1e-12))[..., :-1]
    gram = moments[..., :-1, :-1] / (length[..., None] * length[..., None, :])
    right = moments[..., :-1, -1:] / length[..., None]
    slopes = jnp.linalg.solve(gram + RIDGE * jnp.eye(count - 1), right)[..., 0] / length
    said = jnp.einsum("ckl,clp->ckp", slopes, lower)
    direction = (product[:, None] - said) * train
    squares = direction**2
    power = squares.sum(2)
    carriers = power**2 / jnp.maximum((squares**2).sum(2), 1e-30)
    samples = train.sum(1)
    plain = (responses**2).sum(1) / samples * power
    variance = jnp.maximum((squares * responses**2).sum(2), plain)
    z = (direction * responses).sum(2) / jnp.sqrt(jnp.maximum(variance, 1e-30))
    return jnp.where((carriers >= CARRIERS) & (power > 1e-3 * samples), z, 0.0).T
