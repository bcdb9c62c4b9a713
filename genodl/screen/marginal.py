"""Scans of every marker against many residuals at once."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genodl.screen.channels import Channels


class Folded(NamedTuple):
    """Samples laid out fold by fold, so that a fold is a slice.

    Attributes
    ----------
    rows : int, (folds, width), sample of each place, -1 = padding
    """

    rows: np.ndarray

    @property
    def present(self) -> np.ndarray:
        """float32, (folds * width,), 1 where the place holds a sample."""
        return (self.rows.ravel() >= 0).astype(np.float32)

    @property
    def fold(self) -> np.ndarray:
        """int, (folds * width,), the fold of each place."""
        return np.repeat(np.arange(len(self.rows)), self.rows.shape[1])

    def lay(self, values: np.ndarray) -> np.ndarray:
        """(samples, ...) in the order of the folds, padding rows zero: (folds * width, ...)."""
        rows = self.rows.ravel()
        laid = values[np.maximum(rows, 0)]
        laid[rows < 0] = 0
        return laid

    def gather(self, laid: np.ndarray, samples: int) -> np.ndarray:
        """The inverse of `lay`: (folds * width, ...) -> (samples, ...)."""
        rows = self.rows.ravel()
        values = np.full((samples, *laid.shape[1:]), np.nan, laid.dtype)
        values[rows[rows >= 0]] = laid[rows >= 0]
        return values


def lay_folds(fold: np.ndarray) -> Folded:
    """The layout of an assignment of samples to folds, int (samples,)."""
    members = [np.flatnonzero(fold == k) for k in range(int(fold.max()) + 1)]
    width = max(len(m) for m in members)
    rows = np.full((len(members), width), -1)
    for k, member in enumerate(members):
        rows[k, : len(member)] = member
    return Folded(rows)


@jax.jit
def scan(channels: Channels, residuals: jax.Array) -> jax.Array:
    """z of each marker, channel and residual.

    Parameters
    ----------
    channels : of a block of markers
    residuals : float32, (samples, residuals), orthogonal to the covariates over the samples they
        cover and 0 elsewhere (held-out, missing or padding)

    Returns
    -------
    float32, (2, markers, residuals), score statistic of the simple regression; 0 where inactive
    """
    covered = (residuals != 0).astype(residuals.dtype)
    product = jnp.einsum("cnm,nr->cmr", channels.values, residuals)
    squares = jnp.einsum("cnm,nr->cmr", channels.values**2, covered)
    variance = (residuals**2).sum(0) / jnp.maximum(covered.sum(0), 1)
    z = product / jnp.sqrt(jnp.maximum(squares * variance, 1e-30))
    return jnp.where(channels.active[:, :, None], z, 0)
