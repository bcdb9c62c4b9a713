"""Minibatches changed as a configuration asks: alleles hidden, rows mixed."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from genodl.train.progress import TrainConfig

MASKED, MIXED = 1 << 20, (1 << 20) + 1  # streams of random numbers beyond the members'


def changed(
    batch: tuple[jax.Array, jax.Array, jax.Array], key: jax.Array, config: TrainConfig
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Rows, targets and weights of a minibatch as the configuration changes them, for all members.

    Rows are mixed only with rows that are trained on too.
    """
    x, y, weight = batch
    if config.masked:
        hidden = jax.random.bernoulli(jax.random.fold_in(key, MASKED), config.masked, x.shape)
        x = jnp.where(hidden, 0, x)
    if config.mixup:
        own, other = jax.random.split(jax.random.fold_in(key, MIXED))
        share = jax.random.beta(own, config.mixup, config.mixup, x.shape[1:2])
        partner = jax.random.permutation(other, x.shape[1])
        x, y = (share[:, None] * v + (1 - share[:, None]) * v[:, partner] for v in (x, y))
        theirs = weight[..., partner]
        both = (weight > 0) & (theirs > 0)
        weight = jnp.where(both, share * weight + (1 - share) * theirs, 0)
    return x, y, weight
