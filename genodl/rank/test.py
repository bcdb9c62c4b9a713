"""The cross-fitted attribution test."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genodl.screen.channels import Channels

SANDWICH_CARRIERS = 30.0  # effective carriers at which the sandwich variance has half the say
PROXY_R2 = 0.5  # a marker is not tested against its own close proxies


class Fits(NamedTuple):
    """What the folds learnt of one phenotype, laid out fold by fold.

    `places` is folds * width, the padded samples in the order of the folds.

    Attributes
    ----------
    residual : float32, (places, folds), of the phenotype on covariates and on the prediction of
        the fold in that column; 0 where the phenotype is unknown and in padding
    features : float32, (places, selected), channel values of the features any fold selected
    proxies : float32, (places, selected), the additive channel of their markers
    coefficients : float32, (folds, selected), in the unit of the phenotype
    """

    residual: jax.Array
    features: jax.Array
    proxies: jax.Array
    coefficients: jax.Array


class Tested(NamedTuple):
    """Sums of the attribution test over a block of markers, each (markers,) unless said.

    Attributes
    ----------
    covariance : sum of attribution times residual over held-out samples, phenotype unit squared
    variance : of the covariance under the null, see `_variance`
    slope : mean over folds of the additive slope per standard deviation, phenotype unit
    stability : share of the folds whose sparse path selects the marker or a close proxy
    """

    covariance: jax.Array
    variance: jax.Array
    slope: jax.Array
    stability: jax.Array


@partial(jax.jit, static_argnames=("folds",))
def attributed_covariance(
    channels: Channels, fits: Fits, extra: jax.Array, *, folds: int
) -> Tested:
    """Attribute the held-out residual to each marker and sum the evidence over folds.

    In each fold a marker is attributed its conditional slopes, learnt on the training samples,
    times its channels, plus `extra`, what the fold's network attributes to it. The sum of that
    attribution times the held-out partial residual is the covariance the marker explains. The
    partial residual leaves out what the fold's model says of all other loci and puts back what it
    says of the marker and of its close proxies (r2 of `PROXY_R2` and above), so a tag is neither
    robbed by its twin nor credited with a neighbouring locus.

    Parameters
    ----------
    channels : of a block of markers, values (2, places, markers)
    fits : of one phenotype
    extra : float32, (places, markers) or (1, 1), the network's attributions of held-out samples
    folds : number of folds; `places` is a multiple of it
    """
    places = fits.residual.shape[0]
    width = places // folds
    held = jnp.repeat(jnp.arange(folds), width, total_repeat_length=places)
    known = (fits.residual != 0).any(1)
    values = channels.values * known[None, :, None]
    likeness = jnp.einsum("nm,ns->ms", channels.values[0], fits.proxies)
    length = jnp.sqrt((channels.values[0] ** 2).sum(0)[:, None] * (fits.proxies**2).sum(0))
    likeness = likeness / jnp.maximum(length, 1e-12)
    near = (likeness**2 >= PROXY_R2).astype(values.dtype)
    chosen = (fits.coefficients != 0).astype(values.dtype)
    stability = ((near @ chosen.T) > 0).mean(1)

    # scores of the training samples: all samples less the fold's own
    by_fold = values.reshape(2, folds, width, -1)
    features = fits.features.reshape(folds, width, -1)
    overlap = jnp.einsum("ckwm,kws->ckms", by_fold, features)
    overlap = overlap.sum(1, keepdims=True) - overlap
    returned = jnp.einsum("ckms,ks,ms->ckm", overlap, fits.coefficients, near)
    training = fits.residual * (held[:, None] != jnp.arange(folds))
    squares = (by_fold**2).sum(2)
    squares = jnp.maximum(squares.sum(1, keepdims=True) - squares, 1e-6)
    slopes = (jnp.einsum("cnm,nk->ckm", values, training) + returned) / squares
    slopes = jnp.where(channels.active[:, None, :], slopes, 0)

    own = jnp.take_along_axis(fits.residual, held[:, None], axis=1)
    put_back = jnp.einsum("kws,ks,ms->kwm", features, fits.coefficients, near)
    partial_residual = (own + put_back.reshape(places, -1)) * known[:, None]
    attribution = jnp.einsum("ckwm,ckm->kwm", by_fold, slopes).reshape(places, -1) + extra
    attribution = attribution * known[:, None]
    covariance = (attribution * partial_residual).sum(0)
    variance = _variance(attribution, partial_residual, covariance, known.sum())
    return Tested(covariance, variance, slopes[0].mean(0), stability)


def _variance(
    attribution: jax.Array, residual: jax.Array, covariance: jax.Array, samples: jax.Array
) -> jax.Array:
    """Variance of the covariance: the sandwich, shrunk to the plain one where few carry a marker.

    The marker's own slope is taken out first, so that a strong effect does not hide itself.
    """
    power = (attribution**2).sum(0)
    fourth = (attribution**4).sum(0)
    rest = residual - attribution * covariance / jnp.maximum(power, 1e-30)
    plain = (rest**2).sum(0) / samples * power
    sandwich = (attribution**2 * rest**2).sum(0)
    carriers = power**2 / jnp.maximum(fourth, 1e-30)
    weight = carriers / (carriers + SANDWICH_CARRIERS)
    return weight * sandwich + (1 - weight) * plain
