"""One sum of a gene's markers that is bent: drawn from what a residual says of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

STRENGTHS = (8.0, 16.0, 32.0, 64.0, 128.0)  # noncentralities of a gene's effect, alike probable
STEPS = (0.0, 0.5, 1.0, 1.5)  # standard deviations beyond which a sum acts, at one level
HINGES = (0.0, 1.0)  # and beyond which it acts in proportion
# square, steps and hinges are a third each
SHAPES = (1 / 3, *[1 / 3 / len(STEPS)] * len(STEPS), *[1 / 3 / len(HINGES)] * len(HINGES))
DRAWS = 96
KEPT = 24  # of the draws
STAGES = 7
MOVES = (0.7, 0.3)  # how far a draw moves at each stage, as a share of the prior's spread
LEAST_SPREAD = 20.0  # sum of squares about the mean, such as carriers, of a shape that is looked at


class Draws(NamedTuple):
    """Bent sums of one gene.

    Attributes
    ----------
    values : float32, (places, draws), variance 1 where present
    log_prior : float32, (draws,), of each: the Bayes factors of the draws for any residual, times
        these, add up to that of the gene, nearly so where the residual is like the one seen
    """

    values: jax.Array
    log_prior: jax.Array


class _State(NamedTuple):
    """Draws of sums, (draws, directions), at one heat."""

    sums: jax.Array
    log_bayes: jax.Array
    heat: jax.Array
    evidence: jax.Array
    key: jax.Array


@jax.jit
def drawn(
    directions: jax.Array,
    spread: jax.Array,
    residual: jax.Array,
    present: jax.Array,
    key: jax.Array,
) -> Draws:
    """Draws from the posterior of a gene that acts through one sum of its markers, bent.

    The prior of a sum is normal, each direction with its own spread; the sum, scaled to variance
    1, acts by its square, beyond a step or beyond a hinge. The draws begin at the prior and pass
    to the posterior by stages, each halving what the draws are worth, as sequential Monte Carlo
    does; the weights on the way estimate the evidence.

    Parameters
    ----------
    directions : float32, (places, directions), orthogonal, mean square 1
    spread : float32, (directions,), standard deviation of the weight of each, 0 for padding
    residual : float32, (places,), variance 1, 0 where not present
    present : float32, (places,), 1 or 0

    Source
    ------
    Del Moral, Doucet and Jasra 2006, sequential samplers; Neal 1998, moves that keep a normal
    prior.
    """
    likelihood = partial(_log_bayes, directions, residual, present)
    key, first = jax.random.split(key)
    sums = jax.random.normal(first, (DRAWS, len(spread))) * spread
    state = _State(sums, _whole(likelihood(sums)), jnp.zeros(()), jnp.zeros(()), key)
    stages = jnp.arange(STAGES) == STAGES - 1
    stage = partial(_stage, lambda u: _whole(likelihood(u)), spread)
    state, _ = jax.lax.scan(stage, state, stages)
    sums = state.sums[:: DRAWS // KEPT]
    each = likelihood(sums)
    shape = jax.random.categorical(state.key, each + jnp.log(jnp.array(SHAPES)), axis=1)
    bent = jnp.stack(_bent(_standard(directions, sums)))
    values = bent[shape, :, jnp.arange(KEPT)].T
    mean, scale = _moments(values, present)
    values = (values - mean) / jnp.maximum(scale, 1e-6) * present[:, None]
    return Draws(values, state.evidence - jnp.log(KEPT) - each[jnp.arange(KEPT), shape])


def _stage(
    likelihood: Callable[[jax.Array], jax.Array], spread: jax.Array, state: _State, last: jax.Array
) -> tuple[_State, None]:
    """Heat up, draw again by weight, and move."""
    step = jnp.where(last, 1 - state.heat, _step(state))
    weight = step * state.log_bayes
    key, place, *keys = jax.random.split(state.key, 2 + len(MOVES))
    at = (jnp.arange(DRAWS) + jax.random.uniform(place)) / DRAWS
    chosen = jnp.searchsorted(jnp.cumsum(jax.nn.softmax(weight)), at).clip(0, DRAWS - 1)
    sums, log_bayes = state.sums[chosen], state.log_bayes[chosen]
    heat = state.heat + step
    for move, own in zip(MOVES, keys, strict=True):
        towards, accept = jax.random.split(own)
        noise = jax.random.normal(towards, sums.shape) * spread
        moved = jnp.sqrt(1 - move**2) * sums + move * noise
        proposed = likelihood(moved)
        gain = heat * (proposed - log_bayes)
        taken = jnp.log(jax.random.uniform(accept, (DRAWS,))) < gain
        sums = jnp.where(taken[:, None], moved, sums)
        log_bayes = jnp.where(taken, proposed, log_bayes)
    evidence = state.evidence + jax.nn.logsumexp(weight) - jnp.log(DRAWS)
    return _State(sums, log_bayes, heat, evidence, key), None


def _step(state: _State) -> jax.Array:
    """How far to heat up: until the draws are worth half their number."""

    def worth(step: jax.Array) -> jax.Array:
        weight = step * state.log_bayes
        return jnp.exp(2 * jax.nn.logsumexp(weight) - jax.nn.logsumexp(2 * weight))

    def halved(_: int, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        middle = (bounds[0] + bounds[1]) / 2
        enough = worth(middle) > DRAWS / 2
        return jnp.where(enough, middle, bounds[0]), jnp.where(enough, bounds[1], middle)

    rest = 1 - state.heat
    low, _ = jax.lax.fori_loop(0, 20, halved, (jnp.zeros(()), rest))
    return jnp.where(worth(rest) > DRAWS / 2, rest, low)


def _log_bayes(
    directions: jax.Array, residual: jax.Array, present: jax.Array, sums: jax.Array
) -> jax.Array:
    """log Bayes factor of each sum in each shape, (draws, shapes)."""
    return jnp.stack(
        [_one(bent, residual, present) for bent in _bent(_standard(directions, sums))], axis=1
    )


def _one(bent: jax.Array, residual: jax.Array, present: jax.Array) -> jax.Array:
    """log Bayes factor of columns, (draws,), by their scores."""
    count = present.sum()
    _, scale = _moments(bent, present)
    z = (residual @ bent) / jnp.maximum(jnp.sqrt(count) * scale, 1e-6)
    z = jnp.where(count * scale**2 > LEAST_SPREAD, z, 0.0)
    strength = jnp.array(STRENGTHS)
    gain = 0.5 * jnp.square(z)[:, None] * (strength / (1 + strength))
    return jax.nn.logsumexp(gain - 0.5 * jnp.log1p(strength), axis=1) - jnp.log(len(STRENGTHS))


def _whole(each: jax.Array) -> jax.Array:
    """log Bayes factor whatever the shape, (draws,)."""
    return jax.nn.logsumexp(each + jnp.log(jnp.array(SHAPES)), axis=1)


def _standard(directions: jax.Array, sums: jax.Array) -> jax.Array:
    """Sums of variance 1, (places, draws)."""
    return directions @ (sums / jnp.sqrt(jnp.square(sums).sum(1, keepdims=True))).T


def _bent(total: jax.Array) -> list[jax.Array]:
    """The square of sums, their steps and hinges."""
    steps = [(total > cut).astype(total.dtype) for cut in STEPS]
    return [jnp.square(total), *steps, *(jnp.maximum(total - cut, 0) for cut in HINGES)]


def _moments(values: jax.Array, present: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation of columns where present."""
    count = present.sum()
    mean = present @ values / count
    square = present @ jnp.square(values) / count
    return mean, jnp.sqrt(jnp.maximum(square - mean**2, 0))
