"""The markers that the cause of a found locus may be, from the attribution within the locus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from genodl.pipeline.background import contigs
from genodl.pipeline.candidates import Candidates
from genodl.pipeline.condition import LEAD, orthonormal
from genodl.pipeline.fits import fits_of
from genodl.pipeline.kin import along, share_of
from genodl.pipeline.learn import Deep, Linear
from genodl.pipeline.study import Study
from genodl.rank.credible import attributed_share, credible_set, evidence, freed, posterior
from genodl.rank.resemblance import Kin, variance_ratio
from genodl.rank.test import PROXY_R2

Ranked = tuple[pd.DataFrame, pd.DataFrame]
OF_MARKERS = ("share", "credible")
OF_LOCI = ("credible_set", "n_credible", "n_attributed")


class _Learnt(NamedTuple):
    """What the folds learnt of a target for one modality, as plain arrays.

    Attributes
    ----------
    residual : float64, (places,), of the path in full; 0 where unknown
    known : bool, (places,)
    terms : float32, (places, features), held-out terms of the path
    column : int, (features,), their columns in the modality
    attributed, inputs : float32, (places, inputs), see `rank.test.Fits`
    background : float32, (places, contigs), see `rank.test.Fits`
    kin : float64, (2, contigs), how far the residual follows relatives and groups
    partners : float32, (places, partners), covariates whose products with a marker are tested
    nuisance : float32, (places, columns), orthonormal, what is taken out of these products
    """

    residual: np.ndarray
    known: np.ndarray
    terms: np.ndarray
    column: np.ndarray
    attributed: np.ndarray
    inputs: np.ndarray
    background: np.ndarray
    kin: np.ndarray
    partners: np.ndarray
    nuisance: np.ndarray


def with_credible(
    study: Study,
    ranked: Ranked,
    family: Sequence[int],
    candidates: Sequence[Candidates],
    own: dict[str, list[Linear]],
    deeps: Sequence[Deep],
    among: Kin,
    *,
    partners: np.ndarray,
    fdr: float,
) -> Ranked:
    """The tables of one phenotype with the columns `OF_MARKERS` and `OF_LOCI`.

    They say how the attribution is shared out within a locus, how likely each marker is to be its
    cause, which markers hold 95 % of that probability, and how many 95 % of the attribution. They
    are of the loci that are found (q below `fdr`) or whose lead has a p-value below 1e-4, and
    blank elsewhere. The markers of a locus are compared on one residual, which all other loci are
    taken out of: the sparse path's part of them, and on the same contig both channels of their
    leads in full. Of a phenotype with classes it is that of the class of the lead's strongest test.

    Parameters
    ----------
    ranked : the marker and the locus table
    family : the targets of the phenotype
    candidates : of every modality
    own : sparse paths by modality and target
    deeps : of every target
    partners : float32, (places, partners), covariates whose products with a marker are tested
    """
    markers, loci = ranked[0].copy(), ranked[1].copy()
    markers[[*OF_MARKERS]] = np.nan
    sets: dict[int, tuple[str, int, int]] = {}
    rows = markers.groupby(["modality", "locus"], sort=False).indices
    worth = loci[_strong(markers, loci, fdr)]
    for mine in candidates:
        here = worth[worth["modality"] == mine.modality]
        column = study.cohort.modalities[mine.modality].var_names.astype(str).get_indexer
        leads = column(here["lead_marker"])
        shadows = _channels(study, mine.modality, leads)
        learnt = {
            n: _learnt(study, mine, own[mine.modality][n], n, deeps[n], among, partners)
            for n in (family if len(here) else ())
        }
        for index, locus, lead in zip(here.index, here["locus"], leads, strict=True):
            at = rows[mine.modality, locus]
            number = _strongest(study, family, markers.iloc[at[0]])
            place = column(markers["marker"].iloc[at])
            others = shadows[:, :, _beside(study, mine.modality, lead, leads)]
            share, chance = _shares(
                study, mine.modality, learnt[number], place, lead, others, among
            )
            markers.iloc[at, -2], markers.iloc[at, -1] = share, chance
            chosen = markers["marker"].to_numpy()[at[credible_set(chance)]]
            sets[index] = (";".join(chosen), len(chosen), len(credible_set(share)))
    found = pd.DataFrame.from_dict(sets, orient="index", columns=[*OF_LOCI]).reindex(loci.index)
    counts = {name: found[name].astype("Int64") for name in OF_LOCI[1:]}
    return markers, loci.assign(**{OF_LOCI[0]: found[OF_LOCI[0]].fillna("")}, **counts)


def _strong(markers: pd.DataFrame, loci: pd.DataFrame, fdr: float) -> np.ndarray:
    """The loci that are found, or whose lead stands out, bool (loci,)."""
    p_value = markers.set_index(["modality", "marker"])["p_value"]
    leads = pd.MultiIndex.from_frame(loci[["modality", "lead_marker"]])
    return (loci["q_value"] < fdr).to_numpy() | (p_value[leads] < np.exp(LEAD)).to_numpy()


def _strongest(study: Study, family: Sequence[int], lead: pd.Series) -> int:
    """The target of the class that the lead's strongest test is of."""
    labels = {study.targets[number].label: number for number in family}
    return labels[lead.get("effect_class", "")]


def _learnt(
    study: Study,
    mine: Candidates,
    linear: Linear,
    number: int,
    deep: Deep,
    among: Kin,
    partners: np.ndarray,
) -> _Learnt:
    """What is needed of one target."""
    fits = fits_of(study, [mine], linear, number, mine.modality, deep)
    column = mine.markers[linear.selected % mine.values.shape[2]]
    return _Learnt(
        residual=np.asarray(fits.residual, float),
        known=np.asarray(fits.known) > 0,
        terms=np.asarray(fits.features)[:, : len(column)],
        column=column,
        attributed=np.asarray(fits.attributed),
        inputs=np.asarray(fits.inputs),
        background=np.asarray(fits.background),
        kin=share_of(fits, among),
        partners=partners,
        nuisance=orthonormal(np.concatenate([study.basis, partners**2], axis=1)),
    )


def _shares(
    study: Study,
    modality: str,
    learnt: _Learnt,
    place: np.ndarray,
    lead: int,
    others: np.ndarray,
    among: Kin,
) -> tuple[np.ndarray, np.ndarray]:
    """Share of the attributed covariance, and probability to be the cause, of a locus's markers.

    Parameters
    ----------
    place, lead : columns of the locus's markers, and of its lead
    others : float32, (2, places, leads), channels of the contig's other leads
    """
    if len(place) == 1:
        return np.ones(1), np.ones(1)
    contig, known = contigs(study, modality), learnt.known[:, None]
    given = np.concatenate(list(others * known), axis=1)
    given = orthonormal(given) if given.shape[1] else given
    whole = _channels(study, modality, place) * known
    residual = learnt.residual + learnt.terms[:, np.isin(learnt.column, place)].sum(1)
    residual = residual + learnt.background[:, contig[lead]]
    residual = np.where(learnt.known, residual - residual[learnt.known].mean(), 0)
    attribution = learnt.attributed @ _near(whole[0], learnt.inputs).T
    products = [whole[0] * covariate[:, None] for covariate in learnt.partners.T]
    products = list(freed(np.stack(products), learnt.nuisance)) if products else []
    directions = np.stack([*whole, *products, attribution]) * known
    freedom = int(learnt.known.sum()) - study.basis.shape[1] - given.shape[1]
    found = evidence(
        freed(directions, given),
        residual - given @ (given.T @ residual),
        freedom=max(freedom, 1),
    )
    widened = _widened(whole[:, :, place == lead], learnt.kin[:, contig[lead]], among)
    chance = posterior(found.explained, samples=max(freedom / widened, 1.0))
    return attributed_share(found.covariance), chance


def _beside(study: Study, modality: str, lead: int, leads: np.ndarray) -> np.ndarray:
    """Which of some leads are others of the same contig, bool (leads,)."""
    contig = contigs(study, modality)
    return (contig[leads] == contig[lead]) & (leads != lead)


def _near(columns: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """r2 of markers with the inputs that they share attributions of, (markers, inputs), else 0."""
    length = np.square(columns).sum(0)[:, None] * np.square(inputs).sum(0)
    likeness = np.square(columns.T @ inputs) / np.maximum(length, 1e-12)
    return np.where(likeness >= PROXY_R2, likeness, 0)


def _widened(channels: np.ndarray, share: np.ndarray, among: Kin) -> float:
    """What kin multiply the variance of the additive score of a marker by."""
    likeness = along(channels, among)
    return 1.0 if likeness is None else float(variance_ratio(share, likeness)[0, 0])


def _channels(study: Study, modality: str, columns: np.ndarray) -> np.ndarray:
    """Channels, float32, (2, places, columns), encoded at few sizes."""
    size = max(64, 1 << max(len(columns) - 1, 0).bit_length())
    return np.asarray(study.channels(modality, columns, size=size).values)[:, :, : len(columns)]
