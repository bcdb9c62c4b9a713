"""The cross-fitted attribution test."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genodl.screen.channels import Channels

PROXY_R2 = 0.5  # a marker shares what is attributed to its close proxies
OWN_R2 = 0.25  # what a model says of features this alike is put back: it may be the marker's own
SANDWICH_CARRIERS = 1_000.0  # effective carriers at which the sandwich variance has half the say
LEAST_LEFT = 0.01  # share of a channel that must be left by what is given
PRODUCT_CARRIERS = 50.0  # effective samples that must carry such a product


class Fits(NamedTuple):
    """What the folds learnt of one phenotype, laid out fold by fold.

    Attributes
    ----------
    residual : float32, (places,), of the phenotype on the covariates and on the prediction of the
        fold that held the place out; 0 where the phenotype is unknown and in padding
    known : float32, (places,), 1 where the phenotype is known
    freedom : float32, (), samples known less covariates
    features : float32, (places, selected), channel values of the features any fold selected, times
        the coefficient in the fold that held the place out
    proxies : float32, (places, selected), the additive channel of their markers
    attributed : float32, (places, inputs), gated attributions of held-out places to the inputs of
        products and networks, by the fold that held the place out
    inputs : float32, (places, inputs), the additive channel of those inputs
    given : float32, (places, columns), orthonormal, what a marker is tested given in full: the
        channels of stronger loci near it; columns of 0 give nothing
    background : float32, (places, contigs), what the residual leaves out by contig, put back for
        the markers of that contig
    spread : float32, (places,), variance of each residual that the covariates foretell, over its
        mean, see `screen.residual.Target`; 1 where all are alike
    tails : float32, (), fourth moment of the residual, freed of `spread` and standardised, over a
        normal law's; 1 where it is no heavier
    partners : float32, (places, partners), standardised covariates whose products with a marker
        are tested too; None where there are none
    nuisance : float32, (places, columns), orthonormal, taken out of such a product: what is given,
        the covariates and the squares of the partners
    """

    residual: jax.Array
    known: jax.Array
    freedom: jax.Array
    features: jax.Array
    proxies: jax.Array
    attributed: jax.Array
    inputs: jax.Array
    given: jax.Array
    background: jax.Array
    spread: jax.Array | float = 1.0
    tails: jax.Array | float = 1.0
    partners: jax.Array | None = None
    nuisance: jax.Array | None = None


class Tested(NamedTuple):
    """The attribution test over a block of markers.

    Attributes
    ----------
    z : float32, (3 + partners, markers): additive channel; the other channel given the additive
        one; the attribution by products and networks; the product of the additive channel and each
        partner, given both channels. 0 where there is nothing to test
    slope : float32, (markers,), conditional additive slope, phenotype unit a standard deviation
    """

    z: jax.Array | np.ndarray
    slope: jax.Array | np.ndarray


@jax.jit
def attributed_covariance(
    channels: Channels, fits: Fits, contig: jax.Array | None = None
) -> Tested:
    """Covariance of each marker's attribution with the held-out residual, over its error.

    A marker is attributed its slope times its channel, the slope learnt on all other samples
    (left one out); summed over samples the attribution times the residual is the square of the
    score less its expectation, so the test of that sum is the two-sided test of the score. What
    products and networks attribute comes from the fold that held the sample out; a marker is given
    that of its close proxies too, by their r2, since folds choose now one twin, now another; it is
    tested one-sided. The products of a marker with covariates are known directions, no fold need
    choose them: their scores are two-sided, by the larger of the plain and the sandwich variance,
    since a covariate often foretells the spread of a phenotype.

    The residual leaves out what the fold's model, which never saw the sample, says of all other
    loci, and puts back what it says of the marker and of features like it (r2 of `OWN_R2` and
    above): a tag is neither robbed by its twin nor credited with a neighbouring locus. What is
    `given` is taken out of residual and directions in full.

    Parameters
    ----------
    channels : of a block of markers, values (2, places, markers)
    fits : of one phenotype
    contig : int, (markers,), column of `fits.background`; None where there is none to put back
    """
    near = likeness(channels, fits.proxies) >= OWN_R2
    near = near.astype(channels.values.dtype)
    residual = fits.residual[:, None] + fits.features @ near.T
    if contig is not None:
        residual = residual + fits.background[:, contig]
    residual = _less(residual * fits.known[:, None], fits.given)
    whole = channels.values * fits.known[None, :, None]
    values = _less(whole, fits.given)
    left = (values**2).sum(1) > LEAST_LEFT * (whole**2).sum(1)

    first = values[0]
    second = orthogonal(values[1], first)
    inputs = likeness(channels, fits.inputs)
    inputs = jnp.where(inputs >= PROXY_R2, inputs, 0)
    deep = _less((fits.attributed @ inputs.T) * fits.known[:, None], fits.given)
    known = (_score(direction, residual, fits) for direction in (first, second))
    z = jnp.stack([*known, _score(deep, residual, fits, uneven=True)])
    active = channels.active & left
    active = jnp.concatenate([active, jnp.ones_like(active[:1])])
    z = jnp.where(active, z, 0)
    slope = (first * residual).sum(0) / jnp.maximum((first**2).sum(0), 1e-12)
    if fits.partners is not None:
        more = _with_partners(fits.partners, whole[0], (first, second), residual, fits)
        z = jnp.concatenate([z, jnp.where(active[:1], more, 0)])
    return Tested(z, slope)


def _with_partners(
    partners: jax.Array,
    marker: jax.Array,
    channels: tuple[jax.Array, jax.Array],
    residual: jax.Array,
    fits: Fits,
) -> jax.Array:
    """Score of the product of each marker and partner, given its channels, (partners, markers)."""
    nuisance = jnp.zeros((len(marker), 0)) if fits.nuisance is None else fits.nuisance
    first, second = (_less(channel, nuisance) for channel in channels)
    second = orthogonal(second, first)

    def score(partner: jax.Array) -> jax.Array:
        product = _less(marker * partner[:, None], nuisance) * fits.known[:, None]
        product = orthogonal(orthogonal(product, first), second)
        power = (product**2).sum(0)
        carriers = power**2 / jnp.maximum((product**4).sum(0), 1e-30)
        told = (carriers >= PRODUCT_CARRIERS) & (power > LEAST_LEFT * fits.known.sum())
        return jnp.where(told, _score(product, residual, fits, uneven=True), 0)

    return jax.lax.map(score, partners.T)


def orthogonal(columns: jax.Array, others: jax.Array) -> jax.Array:
    """Columns, float32, (places, markers), each made orthogonal to the other of its marker.

    Parameters
    ----------
    columns, others : float32, (places, markers)
    """
    length = jnp.maximum((others**2).sum(0), 1e-12)
    return columns - others * (others * columns).sum(0) / length


def _less(columns: jax.Array, given: jax.Array) -> jax.Array:
    """Columns, (..., places, markers), made orthogonal to those that are given."""
    return columns - given @ (given.T @ columns)


def likeness(channels: Channels, others: jax.Array) -> jax.Array:
    """r2 of the additive channel of each marker with other columns, float32, (markers, others).

    Parameters
    ----------
    channels : of a block of markers
    others : float32, (places, others)
    """
    product = channels.values[0].T @ others
    length = (channels.values[0] ** 2).sum(0)[:, None] * (others**2).sum(0)
    return product**2 / jnp.maximum(length, 1e-12)


def _score(
    direction: jax.Array, residual: jax.Array, fits: Fits, *, uneven: bool = False
) -> jax.Array:
    """Covariance of a direction with the residual over its standard error, (markers,).

    The variance is the sandwich, shrunk to that which the covariates foretell where few samples
    make it up, few carriers or few large residuals, since they tell little of it: the error is
    then the same whichever sample has which residual, and the tail is left to `saddlepoint`. Of an
    `uneven` direction, which may run along the spread of the residual or has no such tail, it is
    the larger of the two. The direction's slope is taken out first, so that a strong effect does
    not hide itself.
    """
    covariance = (direction * residual).sum(0)
    power = (direction**2).sum(0)
    rest = residual - direction * covariance / jnp.maximum(power, 1e-30)
    foretold = jnp.reshape(fits.spread, (-1, 1))
    plain = (rest**2).sum(0) / fits.freedom * (direction**2 * foretold).sum(0)
    sandwich = (direction**2 * rest**2).sum(0) * fits.known.sum() / fits.freedom
    carriers = power**2 / jnp.maximum((direction**4).sum(0), 1e-30)
    weight = carriers / (carriers + SANDWICH_CARRIERS * fits.tails)
    variance = weight * sandwich + (1 - weight) * plain
    if uneven:
        variance = jnp.maximum(sandwich, plain)
    return jnp.where(power > 1e-12, covariance / jnp.sqrt(jnp.maximum(variance, 1e-30)), 0)
