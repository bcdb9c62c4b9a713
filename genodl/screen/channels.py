"""A marker as two orthogonal channels, free of the covariates."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

MINIMAL_CARRIERS = 10.0  # effective samples that must carry the second channel
WINSOR = 4.0  # standard deviations, for the square of a heavy-tailed input
STEPS = tuple(step / 20 for step in range(1, 20))  # quantiles at which a continuous input is cut
# dosages between which a variant is cut: carriers of one ALT allele or more, of two, heterozygotes
DOSAGES = ((0.5, np.inf), (1.5, np.inf), (0.5, 1.5))
LEAST_SIDE = 0.025  # share of the samples on either side of a step


class Channels(NamedTuple):
    """Markers as the networks and the tests see them.

    Attributes
    ----------
    values : float32, (2, samples, markers), mean 0 and variance 1 before the covariates are taken
        out, 0 where the sample is padding or the channel is inactive
    active : bool, (2, markers), the channel carries information
    scale : float32, (markers,), standard deviation of the marker in its own unit
    """

    values: jax.Array
    active: jax.Array
    scale: jax.Array


def covariate_projection(covariates: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the covariates, float32, (samples, rank).

    `covariates` is (samples, columns), its first column the intercept; padding rows are zero.
    Columns that repeat what others say are left out by the singular values.
    """
    left, size, _ = np.linalg.svd(np.asarray(covariates, float), full_matrices=False)
    return left[:, size > size[0] * 1e-8].astype(np.float32)


@partial(jax.jit, static_argnames=("clip",))
def encode(dosage: jax.Array, present: jax.Array, basis: jax.Array, clip: float) -> Channels:
    """The additive and the non-additive channel of a block of markers.

    The first channel is the standardised value, the second its square made orthogonal to the
    first: for a dosage of 0, 1 and 2 that spans the same space as the heterozygote indicator, for
    expression it catches U-shapes, and for a 0/1 marker it vanishes. Missing values take the mean.
    Both are made orthogonal to the covariates over all samples, which involves no phenotype.

    Parameters
    ----------
    dosage : float32, (samples, markers), nan = missing
    present : float32, (samples,), 0 marks a padding row
    basis : float32, (samples, rank), orthonormal covariates
    clip : standard deviations at which the value is cut before it is squared
    """
    rows = present.sum()
    known = jnp.isfinite(dosage) & (present[:, None] > 0)
    count = jnp.maximum(known.sum(0), 1)
    mean = jnp.where(known, dosage, 0).sum(0) / count
    centred = jnp.where(known, dosage - mean, 0)
    scale = jnp.sqrt((centred**2).sum(0) / rows)
    additive, first = _standardise(centred, rows, carriers=1.0)
    squared = jnp.clip(additive, -clip, clip) ** 2 * present[:, None]
    squared = squared - present[:, None] * squared.sum(0) / rows
    bent = squared - additive * (additive * squared).sum(0) / rows
    quadratic, second = _standardise(bent, rows, carriers=MINIMAL_CARRIERS)
    values = jnp.stack([additive, quadratic])
    values = values - jnp.einsum("nr,crm->cnm", basis, jnp.einsum("nr,cnm->crm", basis, values))
    left = (values**2).sum(1) / rows
    active = jnp.stack([first, second]) & (left > 1e-2)
    return Channels(values * active[:, None, :], active, scale)


def levels(*, variants: bool) -> int:
    """How many steps there are of a variant, or of anything else."""
    return len(DOSAGES if variants else STEPS)


def cuts(values: np.ndarray, level: int, *, variants: bool) -> tuple[np.ndarray, np.ndarray]:
    """What inputs are above, and not above, in one of their steps, (columns,) each.

    A variant is cut between its dosages, which makes the dominant, the recessive and the
    heterozygote coding; anything else is above a quantile.
    """
    low, high = DOSAGES[level] if variants else (0.0, np.inf)
    every = np.ones(values.shape[1])
    return low * every if variants else np.nanquantile(values, STEPS[level], axis=0), high * every


def steps(
    values: np.ndarray,
    present: np.ndarray,
    basis: np.ndarray,
    level: np.ndarray,
    *,
    variants: bool = False,
) -> np.ndarray:
    """Whether an input is above a cut, or between two, freed of the covariates.

    A threshold or a saturating response is a sum of a few steps, where a line and a square are two
    thirds of it; a dominant, recessive or overdominant variant is one step.

    Parameters
    ----------
    values : float32, (samples, columns), nan = missing
    present : float32, (samples,), 0 marks a padding row
    basis : float32, (samples, rank), orthonormal covariates
    level : int, (columns,), which of `STEPS`, or of `DOSAGES`, each column is cut at

    Returns
    -------
    float32, (samples, columns), variance 1 before the covariates are taken out; 0 where nearly all
    samples are on one side. Missing values take the mean
    """
    known = np.isfinite(values) & (present[:, None] > 0)
    found = np.zeros(values.shape, np.float64)
    for one in np.unique(level):
        mine = np.flatnonzero(level == one)
        column = np.where(known[:, mine], values[:, mine], np.nan)
        low, high = cuts(column, one, variants=variants)
        found[:, mine] = (column > low) & (column <= high)
    share = found.sum(0, where=known) / np.maximum(known.sum(0), 1)
    found = np.where(known, found - share, 0)
    told = np.minimum(share, 1 - share) >= LEAST_SIDE
    scale = np.sqrt((found**2).sum(0) / present.sum())
    found = np.where(told, found / np.maximum(scale, 1e-12), 0)
    return (found - basis @ (basis.T @ found)).astype(np.float32)


def _standardise(
    values: jax.Array, rows: jax.Array, *, carriers: float
) -> tuple[jax.Array, jax.Array]:
    """Unit variance, and whether enough samples, by the kurtosis, carry the column."""
    variance = (values**2).sum(0) / rows
    kurtosis = (values**4).sum(0) / rows / jnp.maximum(variance**2, 1e-30)
    informative = (variance > 1e-6) & (kurtosis * carriers < rows)
    return jnp.where(informative, values / jnp.sqrt(jnp.maximum(variance, 1e-12)), 0), informative
