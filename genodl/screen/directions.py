"""Directions of many markers, and of their products, as functions of the markers' features."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

CLIP = 4.0  # standard deviations at which a value is cut before it is multiplied


class Directions(NamedTuple):
    """Straight and bent directions of the markers of some genes.

    A bent one is a sum of products of two straight ones, each cut at `CLIP` and given its size,
    less what covariates and markers say of it.

    Attributes
    ----------
    member : int32, (genes, markers), feature of each marker, -1 = none
    straight : float32, (genes, markers, width), weights of the markers in each direction
    size : float32, (genes, width), of the directions that are multiplied
    bent : float32, (genes, products, width), weights of the products of each direction with
        itself and those after it
    centre : float32, (genes, width), of the bent directions
    adjust : float32, (genes, columns, width), what a unit of each covariate says of them
    less : float32, (genes, markers, width), what a unit of each marker says of them
    """

    member: np.ndarray
    straight: np.ndarray
    size: np.ndarray
    bent: np.ndarray
    centre: np.ndarray
    adjust: np.ndarray
    less: np.ndarray


def directed(directions: Directions, features: jax.Array, covariates: jax.Array) -> jax.Array:
    """The directions of some samples, float32, (samples, genes * 2 width).

    Of each gene the straight ones come first, then the bent ones.

    Parameters
    ----------
    features : float32, (samples, features)
    covariates : float32, (samples, columns), the first the intercept
    """
    there = np.asarray(directions.member >= 0, np.float32)
    own = features[:, directions.member] * there
    straight = jnp.einsum("sgm,gmd->sgd", own, directions.straight)
    # minimum and maximum, for other runtimes
    cut = jnp.minimum(jnp.maximum(straight, -CLIP), CLIP) * directions.size
    first, second = np.triu_indices(directions.size.shape[1])
    bent = jnp.einsum("sgp,gpd->sgd", cut[:, :, first] * cut[:, :, second], directions.bent)
    bent = bent - directions.centre
    bent = bent - jnp.einsum("sc,gcd->sgd", covariates, directions.adjust)
    bent = bent - jnp.einsum("sgm,gmd->sgd", own, directions.less)
    return jnp.concatenate([straight, bent], axis=2).reshape(features.shape[0], -1)
