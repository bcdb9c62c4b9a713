"""What the test of a modality's markers needs of one target: its fits, padded to few widths."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from genodl.cohort.presence import VARIANTS
from genodl.pipeline.background import contigs, put_back
from genodl.pipeline.candidates import Candidates, columns_of, offsets_of, steps_of
from genodl.pipeline.learn import Deep, Linear
from genodl.pipeline.study import Study
from genodl.rank.test import Fits

# selected features are padded to one of these, so that few programs are compiled
WIDTHS = (16, 128, 256, 512, 2048, 8192, 32768)


def fits_of(
    study: Study,
    candidates: Sequence[Candidates],
    linear: Linear,
    number: int,
    modality: str,
    deep: Deep | None,
) -> Fits:
    """What the kernel needs of one target, padded: a path over `candidates`, tested on one."""
    target = study.targets[number]
    offsets = offsets_of(candidates)
    index = next(i for i, c in enumerate(candidates) if c.modality == modality)
    mine, count = candidates[index], candidates[index].values.shape[2]
    here = (linear.selected >= offsets[index]) & (linear.selected < offsets[index + 1])
    selected, coefficients = linear.selected[here] - offsets[index], linear.coefficients[:, here]
    width = next(w for w in WIDTHS if w >= len(selected))
    places = np.arange(len(target.values))
    features = np.zeros((len(places), width), np.float32)
    proxies = np.zeros((len(places), width), np.float32)
    if len(selected):
        column = selected % count
        values = columns_of(mine, selected, steps_of(study, mine, selected))
        held_out = coefficients[study.folded.fold].astype(np.float32)
        features[:, : len(column)] = values * held_out
        proxies[:, : len(column)] = mine.values[0][:, column]
    prediction = linear.prediction[places, study.folded.fold]
    residual = (target.marginal - prediction) * target.known
    known = target.known.astype(np.float32)
    left = np.float32(freedom_of(study, number))
    more = _attributed(deep, modality, len(places))
    none = np.zeros((len(places), 0), np.float32)
    codes = contigs(study, modality)
    background = np.zeros((len(places), int(codes.max(initial=0)) + 1), np.float32)
    if modality == VARIANTS and linear.background is not None:
        of_features = codes[mine.markers[selected % count]]
        background = put_back(study, linear, features[:, : len(selected)], of_features)
    parts = (residual, known, left, features, proxies, *more, none, background)
    return Fits(*map(jnp.asarray, parts))


def freedom_of(study: Study, number: int) -> int:
    """Samples of a target less covariates and the marker itself."""
    return max(int(study.targets[number].known.sum()) - study.basis.shape[1] - 1, 1)


def _attributed(deep: Deep | None, modality: str, places: int) -> tuple[np.ndarray, np.ndarray]:
    """Attributions of products and networks and their markers' channels, padded to a width.

    Markers to which nothing is attributed, as those that closed networks alone see, are left out.
    """
    both = (deep.products, deep.network) if deep else ()
    parts = [part.attribution[modality] for part in both if modality in part.attribution]
    values = np.zeros((2, places, 0), np.float32)
    if parts:
        values = np.concatenate([[part.values, part.proxies] for part in parts], axis=2)
    values = values[..., values[0].any(axis=0)]
    width = next(w for w in (0, *WIDTHS) if w >= values.shape[2])
    attributed, channels = np.pad(values, ((0, 0), (0, 0), (0, width - values.shape[2])))
    return attributed, channels


def padded(columns: np.ndarray) -> np.ndarray:
    """Columns of 0 added up to a width, so that few programs are compiled."""
    width = next(w for w in WIDTHS if w >= columns.shape[1])
    return np.pad(columns, ((0, 0), (0, width - columns.shape[1])))
