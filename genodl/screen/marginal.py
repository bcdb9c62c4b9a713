"""Scans of every marker against many residuals at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genodl.screen.channels import Channels


class Screen(NamedTuple):
    """The best features of each residual.

    A feature is a channel of a marker, numbered `channel * markers + marker`.

    Attributes
    ----------
    feature : int64, (features, residuals), best first, -1 where there are fewer
    z : float32, (features, residuals), score statistic, signed
    """

    feature: np.ndarray
    z: np.ndarray


class Covered(NamedTuple):
    """The samples that residuals cover: those of many targets often cover the same.

    Attributes
    ----------
    samples : float32, (places, patterns), 1 where a sample is covered, else 0
    pattern : int32, (residuals,), of each residual
    """

    samples: jax.Array
    pattern: jax.Array


def covered(residuals: np.ndarray) -> Covered:
    """Where residuals, (places, residuals), are not 0."""
    samples, pattern = np.unique(residuals != 0, axis=1, return_inverse=True)
    return Covered(jnp.asarray(samples, jnp.float32), jnp.asarray(pattern, jnp.int32))


@jax.jit
def scan(channels: Channels, residuals: jax.Array, over: Covered) -> jax.Array:
    """z of each marker, channel and residual.

    Parameters
    ----------
    channels : of a block of markers
    residuals : float32, (places, residuals), 0 outside the samples they cover (held-out, unknown
        or padding)
    over : those samples, see `covered`

    Returns
    -------
    float32, (2, markers, residuals), score statistic of the simple regression; 0 where inactive
    """
    product = jnp.einsum("cnm,nr->cmr", channels.values, residuals)
    squares = jnp.einsum("cnm,np->cmp", channels.values**2, over.samples)[:, :, over.pattern]
    variance = (residuals**2).sum(0) / jnp.maximum(over.samples.sum(0), 1)[over.pattern]
    z = product / jnp.sqrt(jnp.maximum(squares * variance, 1e-30))
    return jnp.where(channels.active[:, :, None], z, 0)


@jax.jit
def unevenness(channels: Channels, spread: jax.Array) -> jax.Array:
    """Variance of the additive score of each marker, over what one variance for all would give.

    Parameters
    ----------
    channels : of a block of markers
    spread : float32, (places, residuals), variance of each sample's residual over the mean of its
        column, 0 outside the samples it covers

    Returns
    -------
    float32, (markers, residuals), 1 where inactive
    """
    squares = channels.values[0].T ** 2
    foretold, alike = squares @ spread, squares @ (spread != 0).astype(spread.dtype)
    return jnp.where(alike > 0, foretold / jnp.maximum(alike, 1e-30), 1)


def keep_best(scores: Iterable[tuple[int, np.ndarray]], *, markers: int, most: int) -> Screen:
    """The `most` features of largest |z| of each residual, over blocks of markers.

    Of features that tie, as markers in perfect LD do, the first are kept whatever the blocks.

    Parameters
    ----------
    scores : (first marker of the block, z of the block (2, block, residuals))
    """
    feature: np.ndarray = np.zeros((0, 0), np.int64)
    z: np.ndarray = np.zeros((0, 0), np.float32)
    for start, block in scores:
        width = block.shape[1]
        number = start + np.arange(width) + markers * np.arange(2)[:, None]
        here = np.broadcast_to(number.reshape(-1, 1), (2 * width, block.shape[2]))
        flat = block.reshape(2 * width, -1)
        feature = np.concatenate([feature, here]) if len(feature) else here
        z = np.concatenate([z, flat]) if len(z) else flat
        if len(z) > most:
            best = _largest(feature, z, most)
            feature, z = (np.take_along_axis(v, best, axis=0) for v in (feature, z))
    order = np.argsort(_merit(feature, z), axis=0)[::-1]
    feature, z = (np.take_along_axis(v, order, axis=0) for v in (feature, z))
    return Screen(np.where(z != 0, feature, -1), z)


def _largest(feature: np.ndarray, z: np.ndarray, most: int) -> np.ndarray:
    """Rows, (most, residuals), of the features to keep, in no order."""
    strength = np.abs(z)
    best = np.argpartition(-strength, most - 1, axis=0)[:most]
    edge = np.take_along_axis(strength, best, axis=0).min(0)
    tied = (strength >= edge).sum(0) > most
    if tied.any():  # seldom, and a partition of integers is slower
        merit = _merit(feature[:, tied], z[:, tied])
        best[:, tied] = np.argpartition(merit, -most, axis=0)[-most:]
    return best


def _merit(feature: np.ndarray, z: np.ndarray) -> np.ndarray:
    """uint64 that orders features by |z|, and those of one |z| from the last to the first."""
    # the bits of a positive float rise with its value
    strength = np.abs(z, dtype=np.float32).view(np.uint32).astype(np.uint64)
    return (strength << np.uint64(32)) | (np.uint64(2**32 - 1) - feature.astype(np.uint64))
