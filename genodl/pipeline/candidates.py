"""The markers that training folds pass on, and the features a path makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from genodl.cohort.presence import VARIANTS
from genodl.config import DiscoverConfig
from genodl.pipeline.study import Study
from genodl.screen.channels import levels
from genodl.screen.marginal import Screen, covered, keep_best, scan, unevenness

BENT = 32  # markers of a training fold, of a modality, that are cut
BENT_Z, BENT_VARIANT_Z = 3.0, 4.0  # |z| of the screen that they must reach
Track = Callable[[Iterable, str, int], Iterable]


class Candidates(NamedTuple):
    """The markers that any training fold passed on, of one modality.

    Attributes
    ----------
    modality : name
    markers : int, (candidates,), column in the modality, ascending
    values : float32, (2, places, candidates), channels
    features : int, (most, folds, 1 + inner, targets), candidate feature of each training fold and
        target, best first, numbered channel * candidates + candidate, -1 where there are fewer;
        the first view is the whole training fold, each other leaves out one inner group. Channels
        2 and above are steps, see `Candidates.channels`
    strength : float32, the same shape, |z| of the screen
    marginal : float32, (markers, targets), z of the additive channel over all samples, by the
        variance of the residual that the covariates foretell
    scale : float32, (markers,), standard deviation of each marker in its own unit
    """

    modality: str
    markers: np.ndarray
    values: np.ndarray
    features: np.ndarray
    strength: np.ndarray
    marginal: np.ndarray
    scale: np.ndarray

    @property
    def channels(self) -> int:
        """Channels that a path may use: the two of `values`, and steps."""
        return 2 + levels(variants=self.modality == VARIANTS)

    def wanted(self, most: int, fold: int, view: int, number: int) -> np.ndarray:
        """Features of a view that a path is given, int, the most wanted first.

        The best of a view come with their steps too, if they stand out.
        """
        best = self.features[:most, fold, view, number]
        least = BENT_VARIANT_Z if self.modality == VARIANTS else BENT_Z
        strong = best[(best >= 0) & (self.strength[:most, fold, view, number] >= least)]
        best = best[best >= 0]
        count = self.values.shape[2]
        bent = np.array(list(dict.fromkeys((strong % count).tolist()))[:BENT], int)
        extra = np.arange(2, self.channels)[None, :] * count + bent[:, None]
        return np.concatenate([best, extra.ravel()])


class Stepped(NamedTuple):
    """Steps of some candidates.

    Attributes
    ----------
    features : int, (features,), ascending, numbers of steps in the modality
    values : float32, (places, features)
    """

    features: np.ndarray
    values: np.ndarray


def screen(study: Study, modality: str, config: DiscoverConfig, track: Track) -> Candidates:
    """Scan every marker in every training fold of every target, and keep the best features."""
    residuals = _training_residuals(study)
    shape, targets = _views(study), len(study.targets)
    used = residuals.shape[1]
    whole = np.stack([t.marginal for t in study.targets], axis=1)
    every = np.concatenate([residuals, whole], axis=1)
    columns, over = jnp.asarray(every), covered(every)
    spread = np.stack(
        [np.where(t.known, t.spread, 0).astype(np.float32) for t in study.targets], axis=1
    )
    markers = study.cohort.modalities[modality].n_vars
    marginal = np.zeros((markers, targets), np.float32)
    scale = np.zeros(markers, np.float32)

    def scores() -> Iterator[tuple[int, np.ndarray]]:
        blocks = study.blocks(modality)
        for start, width, channels in track(blocks, f"screening {modality}", markers):
            z = np.asarray(scan(channels, columns, over))[:, :width]
            wider = np.sqrt(np.asarray(unevenness(channels, jnp.asarray(spread))))[:width]
            marginal[start : start + width] = z[0, :, used:] / wider
            scale[start : start + width] = np.asarray(channels.scale)[:width]
            yield start, z[:, :, :used]

    best = keep_best(scores(), markers=markers, most=config.candidates)
    chosen, features = _renumber(best, markers)
    return Candidates(
        modality,
        chosen,
        _channels_of(study, modality, chosen),
        features.reshape(-1, *shape, targets),
        np.abs(best.z).reshape(-1, *shape, targets),
        marginal,
        scale,
    )


def offsets_of(candidates: Sequence[Candidates]) -> np.ndarray:
    """The first number of the features of each modality, and the end, (modalities + 1,)."""
    return np.cumsum([0, *(c.channels * c.values.shape[2] for c in candidates)])


def steps_of(study: Study, candidates: Candidates, features: np.ndarray) -> Stepped:
    """The steps among some features of a modality, numbers ascending."""
    count = candidates.values.shape[2]
    mine = features[features >= 2 * count]
    if not len(mine):
        return Stepped(mine, np.zeros((len(study.basis), 0), np.float32))
    channel, column = np.divmod(mine, count)
    markers = candidates.markers[column]
    return Stepped(mine, study.steps(candidates.modality, markers, channel - 2))


def columns_of(candidates: Candidates, features: np.ndarray, stepped: Stepped) -> np.ndarray:
    """Channels, (places, features), of some features of a modality, numbers ascending."""
    count = candidates.values.shape[2]
    plain = features[features < 2 * count]
    channel, column = np.divmod(plain, count)
    rows = np.arange(candidates.values.shape[1])[:, None]
    place = np.searchsorted(stepped.features, features[len(plain) :])
    values = candidates.values[channel[None], rows, column[None]]
    return np.concatenate([values, stepped.values[:, place]], axis=1)


def _views(study: Study) -> tuple[int, int]:
    """Training folds, and the views of each: all of it, and less each inner group."""
    inner = study.folded.inner
    return len(inner), 2 + int(inner.max())


def _training_residuals(study: Study) -> np.ndarray:
    """(places, folds * views * targets), 0 where a row is left out; targets run fastest."""
    inner, (folds, views) = study.folded.inner, _views(study)
    stacked = np.stack([t.residual for t in study.targets], axis=2)
    columns = np.zeros((len(inner[0]), folds, views, len(study.targets)), np.float32)
    for k in range(folds):
        for view in range(views):
            seen = (inner[k] >= 0) & (inner[k] != view - 1)
            columns[:, k, view] = stacked[:, k] * seen[:, None]
    return columns.reshape(len(columns), -1)


def _renumber(best: Screen, markers: int) -> tuple[np.ndarray, np.ndarray]:
    """The markers any residual kept, and its features in their numbering."""
    chosen = np.unique(best.feature[best.feature >= 0] % markers)
    place = np.searchsorted(chosen, best.feature % markers)
    features = np.where(best.feature >= 0, place + best.feature // markers * len(chosen), -1)
    return chosen, features


def _channels_of(study: Study, modality: str, chosen: np.ndarray) -> np.ndarray:
    """Channels, (2, places, chosen), of some markers."""
    values = np.zeros((2, len(study.basis), len(chosen)), np.float32)
    for start, width, channels in study.blocks(modality):
        low, high = np.searchsorted(chosen, [start, start + width])
        values[:, :, low:high] = np.asarray(channels.values)[:, :, chosen[low:high] - start]
    return values
