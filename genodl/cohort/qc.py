"""Which markers and samples are fit for analysis, every loss counted with its reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from genodl.cohort.presence import VARIANTS, blocks, is_missing
from genodl.errors import InputError, nearest
from genodl.values import Cohort, Loss

if TYPE_CHECKING:
    from anndata import AnnData

# so many homozygotes expected and none seen: the contig is haploid
EXPECTED_HOMOZYGOTES = 3.0


@dataclass(frozen=True, eq=False)
class _Summary:
    """Of each marker: known values, their sum, least and largest; of all: present samples, 0/1."""

    called: np.ndarray
    total: np.ndarray
    least: np.ndarray
    largest: np.ndarray
    present: int
    binary: bool


def filter_markers(
    cohort: Cohort,
    *,
    call_rate: float = 0.9,
    maf: float = 0.01,
    min_carriers: int = 3,
    max_missing: float = 0.1,
    sample_call_rate: float = 0.5,
) -> Cohort:
    """The cohort without samples and markers that carry too little information.

    Samples go first, then the markers are judged in those that stay. A sample wholly missing in a
    modality is absent there: it stays for the sake of the others, and neither its call rate nor
    the markers of that modality are judged by it.

    Parameters
    ----------
    call_rate : least share of the samples present with a called genotype, for `variants`
    maf : least minor allele frequency, for `variants`; alleles are counted by the ploidy of the
        contig, haploid where no dosage exceeds 1 though homozygotes would be expected
    min_carriers : in a modality whose values are all 0 or 1, the least number of samples on the
        rarer side
    max_missing : largest share of missing values among the samples present, for modalities other
        than `variants`
    sample_call_rate : least share of known values of a sample in each modality that has it; one
        that falls short in any is left out of all

    Returns
    -------
    Cohort, with a `Loss` for each modality and reason; a marker counts under the first reason

    Raises
    ------
    InputError : no sample or no marker of a modality is left
    """
    checked = _filter_samples(cohort, sample_call_rate)
    losses = list(checked.losses)
    kept = {}
    for name, modality in checked.modalities.items():
        summary = _summarise(modality, variants=name == VARIANTS)
        if name == VARIANTS:
            faults = _variant_faults(modality, summary, call_rate=call_rate, maf=maf)
        else:
            faults = _marker_faults(summary, max_missing=max_missing)
        if summary.binary:
            faults += _carrier_faults(summary, min_carriers=min_carriers)
        keep, found = _count(faults, modality=name)
        _require_left(keep, found, modality=name)
        kept[name] = _take_markers(modality, keep)
        losses += found
    return replace(checked, modalities=kept, losses=tuple(losses))


def drop_markers(cohort: Cohort, names: Iterable[str]) -> Cohort:
    """The cohort without the named markers, such as the phenotype's own gene.

    Parameters
    ----------
    names : exact marker names; one that occurs in several modalities is dropped from each

    Raises
    ------
    InputError : no modality has the name (the nearest are shown), or none is left in a modality
    """
    unwanted = {str(name) for name in names}
    known = {str(v) for modality in cohort.modalities.values() for v in modality.var_names}
    for name in sorted(unwanted - known):
        raise InputError(
            f"no marker named {name!r}",
            where="markers to drop",
            mend=f"the nearest of {len(known)} are {nearest(name, known)}",
        )
    losses, kept = list(cohort.losses), {}
    for modality, markers in cohort.modalities.items():
        chosen = markers.var_names.astype(str).isin(unwanted)
        keep, found = _count([(chosen, "named to be dropped")], modality=modality)
        _require_left(keep, found, modality=modality)
        kept[modality] = _take_markers(markers, keep)
        losses += found
    return replace(cohort, modalities=kept, losses=tuple(losses))


def take_samples(cohort: Cohort, rows: np.ndarray, *, reason: str = "") -> Cohort:
    """The same markers in the chosen samples, in the order given.

    Parameters
    ----------
    rows : int, (chosen,), row numbers; or bool, (samples,)
    reason : why the others are left out; with it they are counted as a `Loss`
    """
    rows = np.asarray(rows)
    chosen = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
    left_out = len(cohort.samples) - len(np.unique(chosen))
    loss = (Loss("samples", left_out, reason),) if reason and left_out else ()
    return Cohort(
        {name: modality[chosen].copy() for name, modality in cohort.modalities.items()},
        cohort.samples.iloc[chosen],
        (*cohort.losses, *loss),
    )


def _filter_samples(cohort: Cohort, least: float) -> Cohort:
    """The cohort without samples that a modality hardly knows, or that none knows."""
    keep = np.ones(len(cohort.samples), dtype=bool)
    seen = np.zeros_like(keep)
    present: dict[str, np.ndarray] = {}
    losses: list[Loss] = []
    for name, modality in cohort.modalities.items():
        known = _known(modality, variants=name == VARIANTS)
        present[name] = known > 0
        seen |= present[name]
        poor = present[name] & (known < least * modality.n_vars)
        enough = f"has {least:.0%} of its values known"
        _require_samples(present[name] & ~poor, modality, enough, name=name)
        reason = f"fewer than {least:.0%} of the values known"
        losses.append(Loss("samples", int((keep & poor).sum()), reason, name))
        keep &= ~poor
    losses.append(Loss("samples", int((keep & ~seen).sum()), "no value known in any modality"))
    keep &= seen
    for name, modality in cohort.modalities.items():
        which = "known here is known well enough in the other modalities"
        _require_samples(present[name] & keep, modality, which, name=name)
    found = tuple(loss for loss in losses if loss.count)
    chosen = cohort if keep.all() else take_samples(cohort, keep)
    return replace(chosen, losses=(*cohort.losses, *found))


def _known(modality: AnnData, *, variants: bool) -> np.ndarray:
    """int64, (samples,), how many values of each sample are known."""
    known = np.zeros(modality.n_obs, dtype=np.int64)
    for block in blocks(modality):
        known += (~is_missing(block, variants=variants)).sum(axis=1)
    return known


def _summarise(modality: AnnData, *, variants: bool) -> _Summary:
    """One pass over the values of a modality."""
    parts: list[tuple[np.ndarray, ...]] = []
    binary, present = True, np.zeros(modality.n_obs, dtype=bool)
    for block in blocks(modality):
        missing = is_missing(block, variants=variants)
        values = np.where(missing, np.float32(np.nan), block.astype(np.float32))
        binary = binary and bool((missing | (block == 0) | (block == 1)).all())
        present |= ~missing.all(axis=1)
        total = np.where(missing, 0, block).sum(axis=0, dtype=np.float64)
        least, largest = np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)
        parts.append(((~missing).sum(axis=0), total, least, largest))
    called, total, least, largest = (
        np.concatenate([p[n] for p in parts] or [np.zeros(0)]) for n in range(4)
    )
    return _Summary(called, total, least, largest, int(present.sum()), binary)


Fault = tuple[np.ndarray, str]


def _variant_faults(
    modality: AnnData, found: _Summary, *, call_rate: float, maf: float
) -> list[Fault]:
    """What is wrong with each variant."""
    contig = modality.var["contig"].astype(str).to_numpy() if "contig" in modality.var else None
    alleles = found.called * _ploidy(found, contig)
    frequency = np.divide(found.total, alleles, out=np.zeros(len(alleles)), where=alleles > 0)
    return [
        (found.called < call_rate * found.present, f"call rate below {call_rate:g}"),
        (found.least == found.largest, "the same in every sample"),
        (np.minimum(frequency, 1 - frequency) < maf, f"minor allele frequency below {maf:g}"),
    ]


def _ploidy(found: _Summary, contig: np.ndarray | None) -> np.ndarray:
    """Alleles a sample, (variants,), by contig, from the dosages seen and those expected."""
    labels = np.zeros(len(found.called)) if contig is None else contig
    whole = _ploidy_of(found.called, found.total, found.largest) or 2.0
    ploidy = np.empty(len(labels))
    for label in np.unique(labels):
        one = labels == label
        seen = _ploidy_of(found.called[one], found.total[one], found.largest[one])
        ploidy[one] = seen or whole
    return ploidy


def _ploidy_of(called: np.ndarray, total: np.ndarray, largest: np.ndarray) -> float:
    """1, 2 or more, 0 where too little was seen to tell 1 from 2."""
    most = np.nanmax(largest, initial=0.0)
    if most > 1:
        return max(2.0, float(np.ceil(most)))
    expected = np.square(total / 2) / np.maximum(called, 1)
    return 1.0 if expected.sum() >= EXPECTED_HOMOZYGOTES else 0.0


def _marker_faults(found: _Summary, *, max_missing: float) -> list[Fault]:
    """What is wrong with each marker other than a variant."""
    missing = found.present - found.called
    return [
        (missing > max_missing * found.present, f"more than {max_missing:.0%} missing"),
        (found.least == found.largest, "the same in every sample"),
    ]


def _carrier_faults(found: _Summary, *, min_carriers: int) -> list[Fault]:
    """Which 0/1 markers have too few samples on their rarer side."""
    rarer = np.minimum(found.total, found.called - found.total)
    return [(rarer < min_carriers, f"fewer than {min_carriers} samples on the rarer side")]


def _count(faults: list[Fault], *, modality: str) -> tuple[np.ndarray, list[Loss]]:
    """Which markers stay, and how many went for each reason, the first that applies."""
    keep, losses = np.ones(len(faults[0][0]), dtype=bool), []
    for at_fault, reason in faults:
        lost = int((keep & at_fault).sum())
        keep &= ~at_fault
        if lost:
            losses.append(Loss("markers", lost, reason, modality))
    return keep, losses


def _require_left(keep: np.ndarray, losses: list[Loss], *, modality: str) -> None:
    """Refuse to go on with a modality that has no marker."""
    if not keep.any():
        reasons = ", ".join(f"{loss.reason}: {loss.count}" for loss in losses) or "it was empty"
        raise InputError(
            f"none of {len(keep)} markers is left ({reasons})",
            where=modality,
            mend="loosen the filters, or leave this modality out",
        )


def _require_samples(kept: np.ndarray, modality: AnnData, which: str, *, name: str) -> None:
    """Refuse to go on with a modality that has markers and no sample."""
    if modality.n_vars and not kept.any():
        raise InputError(
            f"no sample {which}",
            where=name,
            mend="check the missing code, or lower the sample call rate",
        )


def _take_markers(modality: AnnData, keep: np.ndarray) -> AnnData:
    """The chosen markers of a modality, itself where all are chosen."""
    return modality if keep.all() else modality[:, keep].copy()
