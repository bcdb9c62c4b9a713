"""Shapley values of inputs or groups: all subsets of few, random orders of many."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genodl.attribute.gradients import (
    Batch,
    Found,
    Predict,
    explained,
    mean_and_error,
    moments,
    no_moments,
)
from genodl.attribute.perturb import spread

# Subsets that are still enumerated: 2^12.
MOST_EXACT = 12


def shapley(
    predict: Predict, batch: Batch, *, groups: Any = None, draws: int | None = None, seed: int = 0
) -> Any:
    """Shapley values of the inputs or groups over a background set, with standard errors.

    Parameters
    ----------
    groups : pytree of labels shaped as one sample; each input alone by default
    draws : pairs of a random order and its reverse, taken with the background's members in turn, so
        that a multiple of their number is complete; None enumerates all subsets of up to twelve
        groups and else takes 16 pairs, or one for each member if those are more

    Source
    ------
    Castro, Gomez and Tejada 2009; Mitchell et al. 2022, section 3.2, for the reversed orders.
    """
    labels, count = groups
    members = jax.tree.map(lambda b: jnp.moveaxis(b, 1, 0), batch.baseline)
    if draws is None and count <= MOST_EXACT:
        return spread(enumerated(predict, batch, members, labels, count), labels, count)
    size = jax.tree.leaves(members)[0].shape[0]
    rounds = size * math.ceil(16 / size) if draws is None else draws
    number = explained(predict, batch.target)
    keys = jax.vmap(lambda row: jax.random.fold_in(jax.random.key(seed), row))(batch.rows)

    def draw(carry: tuple, turn: jax.Array) -> tuple[tuple, None]:
        member = jax.tree.map(lambda b: b[turn % size], members)
        order = jax.vmap(lambda k: jax.random.permutation(jax.random.fold_in(k, turn), count))(keys)
        pair = [walk(number, batch.x, member, labels, count, o) for o in (order, order[:, ::-1])]
        return moments(carry, (pair[0] + pair[1]) / 2), None

    like = jnp.zeros((len(batch.rows), count), jax.tree.leaves(batch.x)[0].dtype)
    total, _ = jax.lax.scan(draw, no_moments(like), jnp.arange(rounds))
    mean, error = mean_and_error(total)
    return Found(spread(mean, labels, count), spread(error, labels, count))


def mixed(x: Any, member: Any, labels: Any, present: jax.Array) -> Any:
    """The sample in the groups present, (batch or 1, groups), and the member elsewhere."""
    return jax.tree.map(lambda v, b, g: jnp.where(present[:, g], v, b), x, member, labels)


def walk(
    number: Predict, x: Any, member: Any, labels: Any, count: int, order: jax.Array
) -> jax.Array:
    """Rise of the prediction as each group joins in the given order, (batch, groups)."""
    rows = jnp.arange(order.shape[0])

    def join(state: tuple, group: jax.Array) -> tuple[tuple, jax.Array]:
        present, before = state
        present = present.at[rows, group].set(True)
        after = number(mixed(x, member, labels, present))
        return (present, after), after - before

    absent = jnp.zeros((order.shape[0], count), bool)
    first = number(mixed(x, member, labels, absent))
    _, rises = jax.lax.scan(join, (absent, first), order.T)
    return jnp.zeros((order.shape[0], count), first.dtype).at[rows[:, None], order].set(rises.T)


def enumerated(predict: Predict, batch: Batch, members: Any, labels: Any, count: int) -> jax.Array:
    """Exact Shapley values of few groups from all subsets, (batch, groups)."""
    number = explained(predict, batch.target)
    subsets = (np.arange(2**count)[:, None] >> np.arange(count)) & 1 == 1

    def worth(present: jax.Array) -> jax.Array:
        each = jax.lax.map(lambda m: number(mixed(batch.x, m, labels, present[None])), members)
        return each.mean(axis=0)

    values = jax.lax.map(worth, jnp.asarray(subsets))
    return jnp.einsum("sn,sg->ng", values, jnp.asarray(weights(subsets), values.dtype))


def weights(subsets: np.ndarray) -> np.ndarray:
    """Weight of each subset's worth in each player's Shapley value, (subsets, players)."""
    players = subsets.shape[1]
    size = subsets.sum(axis=1, keepdims=True)
    table = np.array([1 / (players * math.comb(players - 1, k)) for k in range(players)])
    return np.where(subsets, table[np.maximum(size - 1, 0)], -table[np.minimum(size, players - 1)])
