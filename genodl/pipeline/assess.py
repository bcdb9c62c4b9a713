"""From what the folds learnt to p-values of markers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy import sparse as sp
from scipy import stats

from genodl.cohort.presence import VARIANTS
from genodl.pipeline.background import contigs, put_back
from genodl.pipeline.candidates import Candidates, columns_of, offsets_of, steps_of
from genodl.pipeline.condition import given_stronger, orthonormal
from genodl.pipeline.kin import along, share_of, widen
from genodl.pipeline.learn import Deep, Linear
from genodl.pipeline.partners import modifiers, told_products
from genodl.pipeline.study import Study
from genodl.rank.classes import join_classes
from genodl.rank.combine import Voices, deviate, log_p_value, normal_deviates, voices
from genodl.rank.resemblance import Kin
from genodl.rank.saddlepoint import Law, deviates, empirical_law
from genodl.rank.test import Fits, attributed_covariance
from genodl.screen.channels import Channels

Track = Callable[[Iterable, str, int], Iterable]
# selected features are padded to one of these, so that few programs are compiled
WIDTHS = (32, 128, 512, 2048, 8192, 32768)


class Trial(NamedTuple):
    """What one target brings to the test of the markers of a modality.

    Attributes
    ----------
    number : of the target
    fits : what its folds learnt, for each view
    shares : float64, (sources,), how far the residual of each view follows kin
    law : of its residual on the covariates, each over the spread they foretell
    contig : int32, (markers,), of each marker
    """

    number: int
    fits: list[Fits]
    shares: list[np.ndarray]
    law: Law
    contig: np.ndarray


class Scores(NamedTuple):
    """The attribution test of some markers of one target, by what they are tested given.

    Attributes
    ----------
    z, exact : float, (views, rows, markers), see `rank.combine.log_p_value`
    slope : float, (1, markers), given the other loci of the modality
    active : bool, (2, markers)
    """

    z: np.ndarray
    exact: np.ndarray
    slope: np.ndarray
    active: np.ndarray


def attribution_test(
    study: Study,
    candidates: Sequence[Candidates],
    own: Sequence[Linear],
    joint: Sequence[Linear],
    deeps: Sequence[Deep],
    *,
    modality: str,
    near: sp.csr_matrix,
    kin: Kin,
    partners: np.ndarray,
    track: Track,
) -> list[pd.DataFrame]:
    """One table a phenotype, a row each marker of the modality: log_p, effect.

    A marker is tested given the other loci of its modality (`own`), which is its total effect, and
    where there are several modalities also given those (`joint`), which is its direct effect:
    expression may carry what an alteration does, and may also carry noise that hides it. Its
    products with some covariates (`partners`, float32, (places, partners)) are tested beside it.
    Relatives and groups (`kin`) widen the standard errors. The classes of a phenotype are brought
    together.
    """
    mine = next(c for c in candidates if c.modality == modality)
    trials = []
    contig = contigs(study, modality)
    modified = modifiers(study, partners)
    for t, target in enumerate(study.targets):
        fits = [fits_of(study, [mine], own[t], t, modality, deeps[t])]
        if len(candidates) > 1:
            fits.append(fits_of(study, candidates, joint[t], t, modality, None))
        fits = [fit._replace(spread=jnp.asarray(target.spread), **modified) for fit in fits]
        law = empirical_law((target.marginal / np.sqrt(target.spread))[target.known])
        trials.append(Trial(t, fits, [share_of(fit, kin) for fit in fits], law, contig))
    parts: list[list[Scores]] = [[] for _ in trials]
    blocks, markers = study.blocks(modality), study.cohort.modalities[modality].n_vars
    for start, width, channels in track(blocks, f"testing {modality}", markers):
        likeness = along(np.asarray(channels.values)[:, :, :width], kin)
        for part, trial in zip(parts, trials, strict=True):
            part.append(_scores(study, trial, channels, likeness, np.arange(start, start + width)))
    tables = []
    for family in track(study.families, f"taking loci of {modality} apart", len(study.families)):
        members = [trials[i] for i in family]
        scores = [_end_to_end(parts[i]) for i in family]
        heard = [_voices(study, *each) for each in zip(family, scores, strict=True)]
        table = _joined(study, mine, members, scores, heard)
        retest = partial(_given, study, mine, members, heard, kin)
        tables.append(given_stronger(study, modality, table, near, retest))
    return tables


def _end_to_end(parts: list[Scores]) -> Scores:
    """The blocks of one target as one."""
    return Scores(*(np.concatenate(v, axis=-1) for v in zip(*parts, strict=True)))


def _joined(
    study: Study,
    candidates: Candidates,
    trials: Sequence[Trial],
    scores: Sequence[Scores],
    heard: Sequence[Voices],
    columns: np.ndarray | slice = slice(None),
) -> pd.DataFrame:
    """The table of some markers of one phenotype, its classes brought together."""
    numbers = [trial.number for trial in trials]
    each = [
        _table(study, candidates, number, score, told, columns)
        for number, score, told in zip(numbers, scores, heard, strict=True)
    ]
    known = study.targets[numbers[0]].known
    residual = np.stack([np.asarray(trial.fits[0].residual)[known] for trial in trials])
    return join_classes(each, [study.targets[n].label for n in numbers], residual)


def _voices(study: Study, number: int, scores: Scores) -> Voices:
    """The directions that the scan of all markers of one target speaks for."""
    exact, freedom = list(scores.exact), _freedom(study, number)
    return voices(list(scores.z), active=scores.active, freedom=freedom, exact=exact)


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
    freedom = np.float32(_freedom(study, number))
    more = _attributed(deep, modality, len(places))
    none = np.zeros((len(places), 0), np.float32)
    codes = contigs(study, modality)
    background = np.zeros((len(places), int(codes.max(initial=0)) + 1), np.float32)
    if modality == VARIANTS and linear.background is not None:
        of_features = codes[mine.markers[selected % count]]
        background = put_back(study, linear, features[:, : len(selected)], of_features)
    parts = (residual, known, freedom, features, proxies, *more, none, background)
    return Fits(*map(jnp.asarray, parts))


def _freedom(study: Study, number: int) -> int:
    """Samples of a target less covariates and the marker itself."""
    return max(int(study.targets[number].known.sum()) - study.basis.shape[1] - 1, 1)


def _attributed(deep: Deep | None, modality: str, places: int) -> tuple[np.ndarray, np.ndarray]:
    """Attributions of products and networks and their markers' channels, padded to a width."""
    both = (deep.products, deep.network) if deep else ()
    parts = [part.attribution[modality] for part in both if modality in part.attribution]
    used = sum(part.values.shape[1] for part in parts)
    width = next(w for w in (0, *WIDTHS) if w >= used)
    values = np.zeros((2, places, width), np.float32)
    if used:
        values[0, :, :used] = np.concatenate([part.values for part in parts], axis=1)
        values[1, :, :used] = np.concatenate([part.proxies for part in parts], axis=1)
    return values[0], values[1]


def _scores(
    study: Study,
    trial: Trial,
    channels: Channels,
    likeness: np.ndarray | None,
    columns: np.ndarray,
) -> Scores:
    """The test of some markers, the first of a padded block, in each view of one target."""
    width = len(columns)
    contig = np.zeros(channels.values.shape[2], np.int32)
    contig[:width] = trial.contig[columns]
    known = study.targets[trial.number].known
    values = np.asarray(channels.values)[:, known, :width]
    tested = [attributed_covariance(channels, fit, contig) for fit in trial.fits]
    pairs = zip(tested, trial.shares, strict=True)
    z = np.stack([widen(np.asarray(t.z)[:, :width], likeness, share) for t, share in pairs])
    given = np.asarray(trial.fits[0].given)[known]
    spread = np.asarray(trial.fits[0].spread)[known]
    exact = np.stack([deviates(values, trial.law, each, given=given, spread=spread) for each in z])
    slope = np.asarray(tested[0].slope)[None, :width]
    return Scores(z, exact, slope, np.asarray(channels.active)[:, :width])


def _given(
    study: Study,
    candidates: Candidates,
    trials: Sequence[Trial],
    heard: Sequence[Voices],
    kin: Kin,
    channels: Channels,
    columns: np.ndarray,
    leads: np.ndarray,
) -> pd.DataFrame:
    """The table of some markers of one phenotype, given others in full.

    Those are the leads' channels, and their products with covariates that say something.
    """
    known = study.targets[trials[0].number].known
    shadows = [*leads, *(told_products(leads[0], trial.fits[0]) for trial in trials)]
    given = _padded(orthonormal(np.concatenate(shadows, axis=1) * known[:, None]))
    modified = {}
    if trials[0].fits[0].nuisance is not None:
        both = np.concatenate([given, np.asarray(trials[0].fits[0].nuisance)], axis=1)
        modified["nuisance"] = jnp.asarray(_padded(orthonormal(both)))
    likeness = along(np.asarray(channels.values)[:, :, : len(columns)], kin)
    scores = []
    for trial in trials:
        fits = [fit._replace(given=jnp.asarray(given), **modified) for fit in trial.fits]
        scores.append(_scores(study, trial._replace(fits=fits), channels, likeness, columns))
    return _joined(study, candidates, trials, scores, heard, columns)


def _padded(columns: np.ndarray) -> np.ndarray:
    """Columns of 0 added up to a width, so that few programs are compiled."""
    width = next(w for w in WIDTHS if w >= columns.shape[1])
    return np.pad(columns, ((0, 0), (0, width - columns.shape[1])))


def _table(
    study: Study,
    candidates: Candidates,
    number: int,
    scores: Scores,
    heard: Voices,
    columns: np.ndarray | slice = slice(None),
) -> pd.DataFrame:
    """Statistics of some markers of one target; the effect is of the first view."""
    target = study.targets[number]
    samples, freedom = int(target.known.sum()), _freedom(study, number)
    slope = scores.slope[0] / np.maximum(candidates.scale[columns], 1e-12)
    z, exact = list(scores.z), list(scores.exact)
    log_p = log_p_value(z, active=scores.active, freedom=freedom, exact=exact, heard=heard)
    marginal = candidates.marginal[columns, number].astype(float)
    # z is on the null variance: r = z / sqrt(samples)
    r2 = np.minimum(marginal**2 / samples, 1 - 1e-12)
    t = np.sqrt(r2 * freedom / (1 - r2))
    return pd.DataFrame(
        {
            "log_p": log_p,
            "z": normal_deviates(scores.z[0, 0], freedom=freedom, exact=scores.exact[0, 0]),
            "score": deviate(log_p),
            "effect": slope / target.information,
            "marginal_p": 2 * stats.t.sf(t, freedom),
        }
    )
