"""Filters at reading: which alleles of a file are wanted, and how many were left out and why."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from genodl.errors import InputError
from genodl.io.source import Block, taken

logger = logging.getLogger(__name__)
LETTERS = frozenset("ACGTNRYSWKMBDHVacgtnryswkmbdhv")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which alleles are wanted; the first that an allele fails is the reason it is left out.

    Attributes
    ----------
    passed : only records whose FILTER is PASS
    snps : only alleles of one letter for another
    call_rate : least share of the samples read that have a call
    maf : least frequency of the rarer of ALT and all other alleles, among the called
    """

    passed: bool = False
    snps: bool = False
    call_rate: float = 0.0
    maf: float = 0.0

    def __post_init__(self) -> None:
        for name, most in (("call_rate", 1.0), ("maf", 0.5)):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise InputError(
                    f"{name} is {value:g}", where="filters", mend=f"give 0 to {most:g}"
                )

    def reasons(self, block: Block) -> Iterator[tuple[str, np.ndarray]]:
        """(reason, bool (alleles,): left out for it) of each filter that was asked for."""
        variants = block.variants
        if self.passed:
            yield "FILTER is not PASS", np.array([f != "PASS" for f in variants["filter"]], bool)
        if self.snps:
            pairs = zip(variants["ref"], variants["alt"], strict=True)
            yield "not a SNP", np.array([not (r in LETTERS and a in LETTERS) for r, a in pairs])
        if self.call_rate > 0:
            yield f"call rate below {self.call_rate:g}", variants["call_rate"] < self.call_rate
        if self.maf > 0:
            yield f"minor allele frequency below {self.maf:g}", minor_frequency(block) < self.maf


EVERYTHING = Filters()


def minor_frequency(block: Block) -> np.ndarray:
    """float64, (alleles,), of the rarer of ALT and all other alleles; 0 where none is called."""
    variants = block.variants
    called = np.rint(np.asarray(variants["call_rate"], float) * block.dosage.shape[1])
    alleles = called * np.asarray(variants["ploidy"], float)
    count = np.asarray(variants["allele_count"], float)
    frequency = np.divide(count, alleles, out=np.zeros(len(count)), where=alleles > 0)
    return np.minimum(frequency, 1 - frequency)


def sift(blocks: Iterable[Block], filters: Filters, losses: Counter[str]) -> Iterator[Block]:
    """The blocks without what the filters leave out, which is counted in `losses` by reason."""
    for block in blocks:
        keep = np.ones(len(block.dosage), bool)
        for reason, poor in filters.reasons(block):
            losses[reason] += int((keep & poor).sum())
            keep &= ~poor
        if keep.all():
            yield block
        elif keep.any():
            yield Block(taken(block.variants, np.flatnonzero(keep)), block.dosage[keep])


def report(where: str, losses: Counter[str]) -> None:
    """One line of log that says how many alleles were left out, and why."""
    lost = {reason: count for reason, count in losses.items() if count}
    if lost:
        why = ", ".join(f"{count} {reason}" for reason, count in lost.items())
        logger.warning("%s: %d alleles left out: %s", where, sum(lost.values()), why)
