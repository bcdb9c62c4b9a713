"""Losses by the kind of phenotype: what each row adds, and what no network would predict.

A row's loss may depend on the others (survival), so each is given the weights too: a row of weight
zero has no part in any. An output whose target is not a number is unknown, and adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.scipy.special import gammaln


class Loss(NamedTuple):
    """A loss by its functions.

    Attributes
    ----------
    each : prediction (batch, outputs), target (batch, columns) and weight (batch,) -> (batch,)
    constant : target and weight -> the prediction, (outputs,), of one who knows the rows' targets
        and nothing else
    outputs : columns of a prediction from those of a target
    standardised : whether targets are centred and scaled before training
    partial : whether some outputs of a row may be unknown, nan
    level_free : whether the loss stays as it is when all rows are shifted alike
    mixable : whether a mean of two targets is a target
    """

    each: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
    constant: Callable[[jax.Array, jax.Array], jax.Array]
    outputs: Callable[[int], int] = lambda columns: columns
    standardised: bool = False
    partial: bool = False
    level_free: bool = False
    mixable: bool = True


def squared(prediction: jax.Array, target: jax.Array, weight: jax.Array) -> jax.Array:
    """Squared error summed over the outputs, (batch,).

    `prediction` and `target` are (batch, outputs), in the unit of the phenotype.
    """
    del weight
    return _known(target, lambda y: jnp.square(prediction - y))


def huber(prediction: jax.Array, target: jax.Array, weight: jax.Array) -> jax.Array:
    """Twice Huber's loss summed over the outputs, (batch,): squared to 1.345, then linear.

    `prediction` and `target` are (batch, outputs), in standard deviations.
    Source: Huber 1964; the bound of 1.345 keeps 95 % efficiency under normal errors.
    """
    del weight
    return _known(target, lambda y: 2.0 * optax.losses.huber_loss(prediction, y, delta=1.345))


def logistic(prediction: jax.Array, target: jax.Array, weight: jax.Array) -> jax.Array:
    """Negative log likelihood of 0/1 targets summed over the outputs, (batch,), in nats.

    `prediction` is (batch, outputs), in logits; `target` is (batch, outputs), in [0, 1].
    """
    del weight
    return _known(target, lambda y: optax.losses.sigmoid_binary_cross_entropy(prediction, y))


def cross_entropy(prediction: jax.Array, target: jax.Array, weight: jax.Array) -> jax.Array:
    """Negative log likelihood of the classes, (batch,), in nats.

    `prediction` is (batch, classes), in logits; `target` is (batch, classes), one-hot or shares.
    """
    del weight
    return optax.losses.softmax_cross_entropy(prediction, target)


def ordinal(prediction: jax.Array, target: jax.Array, weight: jax.Array) -> jax.Array:
    """Negative log likelihood of ordered classes, (batch,), in nats, by proportional odds.

    The first output is the row's place on a scale, the others the cuts between classes: the
    first cut, and the gaps to the next ones through softplus, so that cuts are in order.
    `prediction` is (batch, classes); `target` is (batch, classes), one-hot or shares.
    Source: McCullagh 1980.
    """
    del weight
    return -(target * ordinal_log_p(prediction)).sum(axis=-1)


def ordinal_log_p(prediction: jax.Array) -> jax.Array:
    """Log probability of each ordered class, (batch, classes), see `ordinal`."""
    gaps = jnp.concatenate([prediction[:, 1:2], jax.nn.softplus(prediction[:, 2:])], axis=1)
    above = jnp.cumsum(gaps, axis=1) - prediction[:, :1]
    below, beyond = jax.nn.log_sigmoid(above), jax.nn.log_sigmoid(-above)
    # s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)), with a - b the gap
    between = below[:, 1:] + beyond[:, :-1] + jnp.log(-jnp.expm1(-gaps[:, 1:]))
    return jnp.concatenate([below[:, :1], between, beyond[:, -1:]], axis=1)


def survival(prediction: jax.Array, target: jax.Array, weight: jax.Array) -> jax.Array:
    """Negative log partial likelihood of each event, (batch,), in nats; 0 for who is censored.

    `prediction` is (batch, 1), the log hazard; `target` is (batch, 2), time and event (0/1). The
    rows of weight above 0 are at risk, each as often as its weight says; tied events share out the
    risk set as Efron does.
    Source: Cox 1972; Efron 1977.
    """
    used = weight > 0
    time = jnp.where(used, target[:, 0], -jnp.inf)
    event = jnp.where(used, target[:, 1], 0.0)
    order = jnp.argsort(-time)  # the risk set of a row is what stands before it, and its ties
    time, event = time[order], event[order]
    level = jnp.where(used, prediction[:, 0], -jnp.inf)[order]
    top = jax.lax.stop_gradient(jnp.max(jnp.where(jnp.isfinite(level), level, -1e30)))
    hazard = jnp.where(used[order], jnp.exp(level - top) * weight[order], 0.0)
    first = jnp.searchsorted(-time, -time, side="left")
    last = jnp.searchsorted(-time, -time, side="right")

    def until(values: jax.Array, place: jax.Array) -> jax.Array:
        """The sum of the values before a place."""
        return jnp.concatenate([jnp.zeros(1, values.dtype), jnp.cumsum(values)])[place]

    tied = until(hazard * event, last) - until(hazard * event, first)
    deaths = until(event, last) - until(event, first)
    earlier = until(event, jnp.arange(len(event))) - until(event, first)
    at_risk = until(hazard, last) - earlier / jnp.maximum(deaths, 1.0) * tied
    counted = event > 0
    log_risk = jnp.log(jnp.where(counted, at_risk, 1.0)) + top
    lost = jnp.where(counted, log_risk - jnp.where(counted, level, 0.0), 0.0)
    return jnp.zeros_like(lost).at[order].set(lost)


def negative_binomial(prediction: jax.Array, target: jax.Array, weight: jax.Array) -> jax.Array:
    """Negative log likelihood of counts summed over them, (batch,), in nats.

    `prediction` is (batch, 2 counts): log means, then log dispersions a, where the variance is
    mean + a mean^2; `target` is (batch, counts), whole numbers from 0.
    Source: NB2 of Cameron and Trivedi 1986.
    """
    del weight
    log_mean, log_a = jnp.split(jnp.clip(prediction, -30.0, 30.0), 2, axis=-1)
    size = jnp.exp(-log_a)
    log_share = jax.nn.log_sigmoid(log_mean + log_a)  # mean / (mean + size)

    def lost(y: jax.Array) -> jax.Array:
        chosen = gammaln(y + size) - gammaln(size) - gammaln(y + 1)
        return -(chosen + y * log_share + size * jax.nn.log_sigmoid(-(log_mean + log_a)))

    return _known(target, lost)


def _known(target: jax.Array, lost: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """Losses of the outputs that are known, summed over them; gradients stay finite."""
    known = jnp.isfinite(target)
    return jnp.where(known, lost(jnp.where(known, target, 0.0)), 0.0).sum(axis=-1)


def _mean(target: jax.Array, weight: jax.Array) -> jax.Array:
    """Weighted mean of each column over its known rows."""
    known = jnp.isfinite(target) & (weight[:, None] > 0)
    counted = jnp.where(known, weight[:, None], 0.0)
    total = jnp.maximum(counted.sum(axis=0), 1e-12)
    return (jnp.where(known, target, 0.0) * counted).sum(axis=0) / total


def _shares(target: jax.Array, weight: jax.Array) -> jax.Array:
    """The mean of each column, kept off 0 and 1."""
    return jnp.clip(_mean(target, weight), 1e-6, 1 - 1e-6)


def _log_odds(target: jax.Array, weight: jax.Array) -> jax.Array:
    """Log odds of each column's mean."""
    share = _shares(target, weight)
    return jnp.log(share / (1 - share))


def _cuts(target: jax.Array, weight: jax.Array) -> jax.Array:
    """The outputs of `ordinal` that give each class its share."""
    below = jnp.clip(jnp.cumsum(_shares(target, weight))[:-1], 1e-6, 1 - 1e-6)
    cut = jnp.log(below / (1 - below))
    gaps = jnp.log(jnp.expm1(jnp.maximum(jnp.diff(cut), 1e-6)))
    return jnp.concatenate([jnp.zeros(1), cut[:1], gaps])


def _counts(target: jax.Array, weight: jax.Array) -> jax.Array:
    """Log means, and log dispersions by moments."""
    mean = jnp.maximum(_mean(target, weight), 1e-3)
    variance = _mean(jnp.square(target - mean), weight)
    return jnp.log(jnp.concatenate([mean, jnp.maximum((variance - mean) / mean**2, 1e-3)]))


LOSSES: dict[str, Loss] = {
    "squared": Loss(squared, _mean, standardised=True, partial=True),
    "huber": Loss(huber, _mean, standardised=True, partial=True),
    "logistic": Loss(logistic, _log_odds, partial=True),
    "cross_entropy": Loss(cross_entropy, lambda y, w: jnp.log(_shares(y, w))),
    "ordinal": Loss(ordinal, _cuts),
    "survival": Loss(
        survival,
        lambda y, w: jnp.zeros(1),
        outputs=lambda columns: 1,
        level_free=True,
        mixable=False,
    ),
    "negative_binomial": Loss(
        negative_binomial,
        _counts,
        outputs=lambda columns: 2 * columns,
        partial=True,
        mixable=False,
    ),
}


def weighted_mean(values: jax.Array, weight: jax.Array) -> jax.Array:
    """The mean of `values` under `weight`, both (..., samples); 0 where no sample has weight.

    A row of weight zero takes no part, even where its value is not finite.
    """
    counted = jnp.where(weight > 0, values * weight, 0.0).sum(axis=-1)
    total = weight.sum(axis=-1)
    return counted / jnp.where(total > 0, total, 1.0)
