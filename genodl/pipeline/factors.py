"""The factors of products, and what lies around each that a product must not be confused with."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from genodl.cohort.presence import VARIANTS, as_float
from genodl.config import DiscoverConfig
from genodl.pipeline.interact import COVARIATES
from genodl.pipeline.partners import partners
from genodl.pipeline.study import Study
from genodl.screen.channels import WINSOR, encode

NEAR_R2 = 0.01  # neighbours of a factor that its product must not be confused with
MOST_NEIGHBOURS = 400
SHARE = 0.1  # directions of a neighbourhood, at most, to a sample
Key = tuple[str, int]


class Factor(NamedTuple):
    """A factor of a product: its value, (places,), and what lies around it, (places, columns).

    What bends is the second channel, not the square of the first: that one is freed of the
    covariates, so its square would hold its products with them.
    """

    value: np.ndarray
    around: np.ndarray


def factors_of(study: Study, config: DiscoverConfig) -> Callable[[Key], Factor]:
    """A function of a key that gives the factor, each worked out once."""

    @lru_cache(maxsize=256)
    def factor(key: Key) -> Factor:
        modality, column = key
        if modality == COVARIATES:
            value = partners(study, config)[1][:, column]
            return Factor(value, value[:, None] ** 2 * study.folded.present[:, None])
        if modality != VARIANTS:
            channels = _channels(study, modality, np.array([column]))
            return Factor(channels[0][:, 0], channels[1])
        near = window_of(study, column, config.locus_window)
        channels = _channels(study, modality, near)
        at = int(np.searchsorted(near, column))
        product = channels[0].T @ channels[0][:, at]
        power = (channels[0] ** 2).sum(0)
        r2 = product**2 / np.maximum(power * power[at], 1e-12)
        r2[at] = 2.0
        close = np.argsort(-r2, kind="stable")[:MOST_NEIGHBOURS]
        close = close[r2[close] >= NEAR_R2]
        both = np.concatenate([channels[0][:, close], channels[1][:, close]], axis=1)
        own = channels[1][:, [at]]
        return Factor(channels[0][:, at], np.column_stack([own, _leading(study, both)]))

    return factor


def window_of(study: Study, column: int, window: int) -> np.ndarray:
    """Columns of the variants at most `window` from one, itself included, ascending."""
    var = study.cohort.modalities[VARIANTS].var
    contig, pos = var["contig"].to_numpy(), var["pos"].to_numpy()
    return np.flatnonzero((contig == contig[column]) & (np.abs(pos - pos[column]) <= window))


def beside(study: Study, one: int, two: int, window: int) -> bool:
    """Whether two variants are at most `window` from each other."""
    var = study.cohort.modalities[VARIANTS].var
    contig, pos = (var[name].iloc[[one, two]].to_list() for name in ("contig", "pos"))
    return contig[0] == contig[1] and abs(pos[0] - pos[1]) <= window


def _channels(study: Study, modality: str, columns: np.ndarray) -> np.ndarray:
    """Channels, float32, (2, places, columns), of any columns of a modality."""
    markers = study.cohort.modalities[modality]
    width = -(-len(columns) // 128) * 128
    dosage = np.full((len(markers), width), np.nan, np.float32)
    dosage[:, : len(columns)] = as_float(markers, columns, variants=modality == VARIANTS)
    laid = jnp.asarray(study.folded.lay(dosage))
    found = encode(laid, study.folded.present, study.basis, WINSOR)
    return np.asarray(found.values)[:, :, : len(columns)]


def _leading(study: Study, columns: np.ndarray) -> np.ndarray:
    """The leading directions, (places, directions), of a neighbourhood."""
    most = max(int(SHARE * study.folded.present.sum() / 2), 1)
    gram = (columns.T @ columns).astype(float)
    size, vectors = np.linalg.eigh(gram)
    kept = np.flatnonzero(size > 1e-4 * size[-1])[::-1][:most]
    return columns @ vectors[:, kept]
