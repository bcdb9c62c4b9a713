"""What paths and networks see of markers, as functions of values that new samples have too."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genodl.screen.channels import LEAST_SIDE, WINSOR, Channels, cuts


class Lines(NamedTuple):
    """Standardised values.

    Attributes
    ----------
    marker : int32, (features,), column of the values
    mean, scale : float32, (features,)
    """

    marker: np.ndarray
    mean: np.ndarray
    scale: np.ndarray


class Squares(NamedTuple):
    """Squares of standardised values, orthogonal to the values.

    Attributes
    ----------
    marker : int32, (features,)
    mean, scale : float32, (features,), of the value
    centre, slope, spread : float32, (features,), mean of the square, what the value says of it, and
        the standard deviation of the rest
    """

    marker: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    centre: np.ndarray
    slope: np.ndarray
    spread: np.ndarray


class Cuts(NamedTuple):
    """Whether a value is above one bound and not above another.

    Attributes
    ----------
    marker : int32, (features,)
    low, high : float32, (features,), the bounds; `high` may be infinite
    share, spread : float32, (features,), of the samples between, and the standard deviation
    """

    marker: np.ndarray
    low: np.ndarray
    high: np.ndarray
    share: np.ndarray
    spread: np.ndarray


class Features(NamedTuple):
    """Lines, then squares, then cuts of markers, freed of the covariates.

    Attributes
    ----------
    adjust : float32, (columns, features), what a unit of each covariate says of the feature
    """

    lines: Lines
    squares: Squares
    cuts: Cuts
    adjust: np.ndarray


def encoding(
    values: np.ndarray, channels: Channels, inverse: np.ndarray
) -> tuple[Lines, Squares, np.ndarray]:
    """What `channels.encode` did to some markers, so that it can be done to other samples.

    Parameters
    ----------
    values : float, (samples, markers), nan = missing, no padding
    channels : of the same markers, of whom `active` is read
    inverse : float64, (columns, samples), pseudo-inverse of the covariates with the intercept

    Returns
    -------
    lines, squares : of every marker in order; an inactive channel has an infinite spread
    adjust : float32, (2, columns, markers), see `Features`
    """
    known = np.isfinite(values)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0).sum(0, dtype=float) / count
    centred = np.where(known, values - mean, 0)
    scale = np.sqrt(np.square(centred).mean(0))
    active = np.asarray(channels.active)[:, : values.shape[1]]
    scale = np.where(active[0], scale, np.inf)
    line = centred / scale
    square = np.clip(line, -WINSOR, WINSOR) ** 2
    centre = square.mean(0)
    slope = (line * square).mean(0)
    bent = square - centre - slope * line
    spread = np.where(active[1], np.sqrt(np.square(bent).mean(0)), np.inf)
    marker = np.arange(values.shape[1], dtype=np.int32)
    adjust = np.stack([inverse @ line, inverse @ (bent / spread)])
    floats = (each.astype(np.float32) for each in (mean, scale, centre, slope, spread))
    mean, scale, centre, slope, spread = floats
    squares = Squares(marker, mean, scale, centre, slope, spread)
    return Lines(marker, mean, scale), squares, adjust.astype(np.float32)


def cutting(
    values: np.ndarray, level: int, inverse: np.ndarray, *, variants: bool = False
) -> tuple[Cuts, np.ndarray]:
    """What `channels.steps` did to some markers at one of the steps, in the same way."""
    known = np.isfinite(values)
    low, high = cuts(values, level, variants=variants)
    inside = known & (values > low) & (values <= high)
    share = inside.sum(0) / np.maximum(known.sum(0), 1)
    centred = np.where(known, inside - share, 0)
    spread = np.sqrt(np.square(centred).mean(0))
    spread = np.where(np.minimum(share, 1 - share) >= LEAST_SIDE, spread, np.inf)
    marker = np.arange(values.shape[1], dtype=np.int32)
    adjust = (inverse @ (centred / spread)).astype(np.float32)
    floats = (each.astype(np.float32) for each in (low, high, share, spread))
    return Cuts(marker, *floats), adjust


def computed(features: Features, values: jax.Array, covariates: jax.Array) -> jax.Array:
    """The features of some samples, float32, (samples, features).

    Parameters
    ----------
    values : float32, (samples, markers), nan = missing, which takes the mean
    covariates : float32, (samples, columns), the first the intercept
    """
    lines, squares, cuts = features.lines, features.squares, features.cuts

    def standardised(marker: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> jax.Array:
        z = (values[:, marker] - mean) / scale
        return jnp.where(jnp.isnan(z), jnp.zeros_like(z), z)

    line = standardised(*lines)
    z = standardised(*squares[:3])
    bent = (
        jnp.minimum(z * z, np.full(1, WINSOR**2, np.float32)) - squares.centre - squares.slope * z
    )
    x = values[:, cuts.marker]
    centred = ((x > cuts.low) & (x <= cuts.high)).astype(x.dtype) - cuts.share
    inside = jnp.where(jnp.isnan(x), jnp.zeros_like(x), centred)
    every = jnp.concatenate([line, bent / squares.spread, inside / cuts.spread], axis=1)
    return every - covariates @ features.adjust
