"""A slow, plain reader of VCF text: one call at a time, nothing shared with the engine."""

from __future__ import annotations

import math


def read(text: str) -> tuple[list[str], list[tuple], list[list[int]]]:
    """(samples, one (contig, pos, ref, alt, id) an ALT allele, its dosages in sample order)."""
    samples: list[str] = []
    variants: list[tuple] = []
    dosages: list[list[int]] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.startswith("#CHROM"):
            samples = line.split("\t")[9:]
        if not line or line.startswith("#"):
            continue
        contig, pos, id_, ref, alt, _, _, _, keys, *cells = line.split("\t")
        for number, allele in enumerate([] if alt == "." else alt.split(","), start=1):
            variants.append((contig, int(pos), ref, allele, id_))
            dosages.append([count(keys, cell, number) for cell in cells])
    return samples, variants, dosages


def count(keys: str, cell: str, allele: int) -> int:
    """How often the call holds the allele; -1 when any of its alleles is missing."""
    if "GT" not in keys.split(":"):
        return -1
    called = cell.split(":")[0].lstrip("/|").replace("|", "/").split("/")
    return -1 if "." in called else sum(int(a) == allele for a in called)


def dosage(keys: str, cell: str, allele: int, alleles: int) -> float:
    """Expected count of the allele from DS, else from GP, else nan."""
    held = dict(zip(keys.split(":"), cell.split(":"), strict=False))
    if "DS" in keys.split(":"):
        values = held.get("DS", ".").split(",")
        return math.nan if values[0] == "." else float(values[allele - 1])
    values = held.get("GP", ".").split(",")
    if values[0] == ".":
        return math.nan
    if len(values) == alleles + 1:
        return float(values[allele])
    pairs = [(low, high) for high in range(alleles + 1) for low in range(high + 1)]
    return sum(float(v) * pair.count(allele) for v, pair in zip(values, pairs, strict=True))
