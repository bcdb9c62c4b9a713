"""From what the folds learnt to p-values of markers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy import sparse as sp
from scipy import stats

from genodl.pipeline.background import contigs
from genodl.pipeline.candidates import Candidates
from genodl.pipeline.condition import given_stronger, orthonormal
from genodl.pipeline.fits import fits_of, freedom_of, padded
from genodl.pipeline.kin import along, share_of, widen
from genodl.pipeline.learn import Deep, Linear
from genodl.pipeline.partners import modifiers, told_products
from genodl.pipeline.study import Study
from genodl.rank.classes import join_classes
from genodl.rank.combine import Voices, deviate, log_p_value, normal_deviates, voices
from genodl.rank.many import attributed_covariances, reach_of
from genodl.rank.resemblance import Kin
from genodl.rank.saddlepoint import LEAST_Z, Law, deviates, empirical_law, heaviness
from genodl.rank.test import Fits, Tested, attributed_covariance
from genodl.screen.channels import Channels

Track = Callable[[Iterable, str, int], Iterable]
MOST_AT_ONCE = 4  # targets tested side by side: each holds the markers it tests again


class Trial(NamedTuple):
    """What one target brings to the test of the markers of a modality.

    Attributes
    ----------
    number : of the target
    fits : what its folds learnt, for each view
    shares : float64, (sources, contigs), how far the residual of each view follows kin
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
        law = empirical_law((target.marginal / np.sqrt(target.spread))[target.known])
        spread, tails = jnp.asarray(target.spread), heaviness(law)
        fits = [fit._replace(spread=spread, tails=tails, **modified) for fit in fits]
        trials.append(Trial(t, fits, [share_of(fit, kin) for fit in fits], law, contig))
    parts: list[list[Scores]] = [[] for _ in trials]
    blocks, markers = study.blocks(modality), study.cohort.modalities[modality].n_vars
    every = [fit for trial in trials for fit in trial.fits]
    reach = [reach_of(fit) for fit in every]

    def table_of(family: Sequence[int]) -> pd.DataFrame:
        members = [trials[i] for i in family]
        scores = [_end_to_end(parts[i]) for i in family]
        heard = [_voices(study, *each) for each in zip(family, scores, strict=True)]
        table = _joined(study, mine, members, scores, heard)
        retest = partial(_given, study, mine, members, heard, kin)
        return given_stronger(study, modality, table, near, retest)

    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_AT_ONCE)) as pool:
        for start, width, channels in track(blocks, f"testing {modality}", markers):
            likeness = along(np.asarray(channels.values)[:, :, :width], kin)
            columns = np.arange(start, start + width)
            laid = _laid(contig[columns], channels)
            tested = iter(attributed_covariances(channels, every, reach, laid))
            views = [[next(tested) for _ in trial.fits] for trial in trials]
            scored = partial(_scores, study, channels=channels, likeness=likeness, columns=columns)
            for part, found in zip(parts, pool.map(scored, trials, views), strict=True):
                part.append(found)
        tables = pool.map(table_of, study.families)
        return list(track(tables, f"taking loci of {modality} apart", len(study.families)))


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
    exact, freedom = list(scores.exact), freedom_of(study, number)
    return voices(list(scores.z), active=scores.active, freedom=freedom, exact=exact)


def _laid(contig: np.ndarray, channels: Channels) -> np.ndarray:
    """The contigs of a padded block of markers."""
    return np.pad(contig, (0, channels.values.shape[2] - len(contig)))


def _scores(
    study: Study,
    trial: Trial,
    tested: Sequence[Tested],
    channels: Channels,
    likeness: np.ndarray | None,
    columns: np.ndarray,
) -> Scores:
    """The scores of some markers, the first of a padded block, in each view of one target."""
    width, contig = len(columns), trial.contig[columns]
    z = np.stack(
        [
            widen(np.asarray(t.z)[:, :width], likeness, share, contig)
            for t, share in zip(tested, trial.shares, strict=True)
        ]
    )
    known = np.flatnonzero(study.targets[trial.number].known)
    far = np.flatnonzero((np.abs(z[:, :2]) > LEAST_Z).any((0, 1)))
    values = np.asarray(channels.values)[..., far][:, known]
    given = np.asarray(trial.fits[0].given)[known]
    spread = np.asarray(trial.fits[0].spread)[known]
    exact = np.full(z.shape, np.nan)
    for view, each in enumerate(z):
        exact[view][:, far] = deviates(values, trial.law, each[:, far], given=given, spread=spread)
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
    given = padded(orthonormal(np.concatenate(shadows, axis=1) * known[:, None]))
    modified = {}
    if trials[0].fits[0].nuisance is not None:
        both = np.concatenate([given, np.asarray(trials[0].fits[0].nuisance)], axis=1)
        modified["nuisance"] = jnp.asarray(padded(orthonormal(both)))
    width = len(columns)
    likeness = along(np.asarray(channels.values)[:, :, :width], kin)
    scores = []
    for trial in trials:
        fits = [fit._replace(given=jnp.asarray(given), **modified) for fit in trial.fits]
        contig = _laid(trial.contig[columns], channels)
        tested = [attributed_covariance(channels, fit, contig) for fit in fits]
        again = trial._replace(fits=fits)
        scores.append(_scores(study, again, tested, channels, likeness, columns))
    return _joined(study, candidates, trials, scores, heard, columns)


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
    samples, freedom = int(target.known.sum()), freedom_of(study, number)
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
