"""Samples laid out fold by fold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

INNER = 5  # inner groups of a training fold, at most


class Folded(NamedTuple):
    """Samples in the order of their folds, each fold padded to one width, so a fold is a slice.

    Attributes
    ----------
    rows : int, (folds, width), the sample of each place, -1 = padding
    """

    rows: np.ndarray

    @property
    def present(self) -> np.ndarray:
        """float32, (places,), 1 where the place holds a sample; places = folds * width."""
        return (self.rows.ravel() >= 0).astype(np.float32)

    @property
    def fold(self) -> np.ndarray:
        """int, (places,), the fold of each place."""
        return np.repeat(np.arange(len(self.rows)), self.rows.shape[1])

    @property
    def inner(self) -> np.ndarray:
        """int, (folds, places), the inner group of each place within each training fold.

        Whole folds make the groups, so relatives stay together there too; of two folds, where the
        training fold is one, runs of its samples do. -1 in the fold that is held out.
        """
        folds, width = self.rows.shape
        if folds == 2:
            runs = np.tile(np.arange(width) * INNER // width, 2)
            return np.where(self.fold == np.arange(2)[:, None], -1, runs)
        ahead = (self.fold - np.arange(folds)[:, None] - 1) % folds
        return np.where(ahead == folds - 1, -1, ahead % min(INNER, folds - 1))

    def lay(self, values: np.ndarray) -> np.ndarray:
        """(samples, ...) as (places, ...), padding rows zero."""
        rows = self.rows.ravel()
        laid = values[np.maximum(rows, 0)]
        laid[rows < 0] = 0
        return laid

    def lay_with_nan(self, values: np.ndarray) -> np.ndarray:
        """(samples,) as (places,), padding rows nan."""
        laid = self.lay(np.asarray(values, float))
        laid[self.rows.ravel() < 0] = np.nan
        return laid

    def gather(self, laid: np.ndarray, samples: int) -> np.ndarray:
        """The inverse of `lay`: (places, ...) as (samples, ...)."""
        rows = self.rows.ravel()
        values = np.full((samples, *laid.shape[1:]), np.nan, laid.dtype)
        values[rows[rows >= 0]] = laid[rows >= 0]
        return values


def lay_folds(fold: np.ndarray) -> Folded:
    """The layout of an assignment of samples to folds, int (samples,)."""
    members = [np.flatnonzero(fold == k) for k in range(int(fold.max()) + 1)]
    rows = np.full((len(members), max(len(m) for m in members)), -1)
    for k, member in enumerate(members):
        rows[k, : len(member)] = member
    return Folded(rows)
