"""The variant files that reading is measured on: a simulated cohort, written once to a folder.

`python _variant_files.py FOLDER SAMPLES VARIANTS RICH TIMES`, run by `ingest.py` in a process of
its own, whose memory would otherwise count as that of what is measured. A coalescent with
recombination (msprime) gives rare and common variants in LD, as real cohorts have, and so a text
that compresses as theirs does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pysam
import pysam.bcftools

LETTERS = np.array(["A", "C", "G", "T"])
META = """##fileformat=VCFv4.2
##FILTER=<ID=PASS,Description="All filters passed">
##contig=<ID=1>
##INFO=<ID=AC,Number=A,Type=Integer,Description="Allele count">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
"""
RICH = """##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Depth of each allele">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">
##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Quality of the genotype">
##FORMAT=<ID=PL,Number=G,Type=Integer,Description="Likelihoods, phred-scaled">
"""
BATCH = 1000
SIZES = (0.25, 0.5, 1.0)
SPACING = 10  # bp between records: the 10 times longer file numbers them on


def haplotypes(folder: Path, *, samples: int, variants: int, seed: int = 1) -> np.ndarray:
    """int8, (variants, 2 * samples), ALT = 1, kept in the folder as .npy."""
    kept = folder / f"haplotypes_{samples}_{variants}.npy"
    if not kept.exists():
        import msprime

        # 4 Ne mu L times the harmonic number is the expected count; a quarter more to be sure
        expected = 4 * 1e4 * 1.25e-8 * (np.log(2 * samples) + 0.577)
        ancestry = msprime.sim_ancestry(
            samples,
            population_size=1e4,
            sequence_length=int(1.25 * variants / expected),
            recombination_rate=1e-8,
            random_seed=seed,
        )
        model = msprime.BinaryMutationModel()
        tree = msprime.sim_mutations(ancestry, rate=1.25e-8, model=model, random_seed=seed)
        found = np.empty((variants, 2 * samples), np.int8)
        count = 0
        for site in tree.variants(copy=False):
            if count == variants:
                break
            found[count] = site.genotypes != 0
            count += 1
        if count < variants:
            raise SystemExit(f"{count} variants were simulated, {variants} are needed")
        np.save(kept, found)
    return np.load(kept, mmap_mode="r")


def write_vcf(
    path: Path, called: np.ndarray, *, rich: bool = False, times: int = 1, level: int = 6
) -> Path:
    """A bgzipped VCF of the haplotypes (their records so many times over), unless it is there."""
    if path.exists():
        return path
    rng = np.random.default_rng(0)
    samples = called.shape[1] // 2
    names = "\t".join(f"S{i:05d}" for i in range(samples))
    columns = f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{names}\n"
    partial = path.with_name(path.name + ".partial")
    with pysam.BGZFile(str(partial), f"w{level}") as file:
        file.write((META + (RICH if rich else "") + columns).encode())
        for turn in range(times):
            for start in range(0, len(called), BATCH):
                part = np.asarray(called[start : start + BATCH])
                first = turn * len(called) + start
                file.write(b"".join(_lines(part, first, rng, rich=rich)))
    partial.rename(path)
    return path


def _lines(
    called: np.ndarray, first: int, rng: np.random.Generator, *, rich: bool
) -> Iterator[bytes]:
    """The records of some haplotypes, of which `first` precede in the file."""
    one, two = called[:, 0::2], called[:, 1::2]
    calls = np.full((len(called), 4 * one.shape[1]), ord("\t"), np.uint8)
    calls[:, 0::4] = ord("0") + one
    calls[:, 1::4] = ord("|")
    calls[:, 2::4] = ord("0") + two
    calls[:, -1] = ord("\n")
    for i in range(len(called)):
        row = first + i
        ref, alt = LETTERS[row % 4], LETTERS[(row + 1 + row // 4 % 3) % 4]
        keys = "GT:AD:DP:GQ:PL" if rich else "GT"
        head = f"1\t{SPACING * (row + 1)}\trs{row}\t{ref}\t{alt}\t100\tPASS\tAC={called[i].sum()}"
        cells = "\t".join(_cells(one[i], two[i], rng)) + "\n" if rich else None
        yield f"{head}\t{keys}\t".encode() + (cells.encode() if cells else calls[i].tobytes())


def _cells(one: np.ndarray, two: np.ndarray, rng: np.random.Generator) -> list[str]:
    """GT:AD:DP:GQ:PL of one record, of a depth drawn about 30."""
    depth = rng.poisson(30, len(one))
    alternate = rng.binomial(depth, np.array([0.01, 0.5, 0.99])[one + two])
    quality = np.minimum(3 * depth, 99)
    shapes = {0: "0,{q},{w}", 1: "{w},0,{w}", 2: "{w},{q},0"}
    return [
        f"{a}|{b}:{d - k},{k}:{d}:{q}:" + shapes[a + b].format(q=q, w=12 * d)
        for a, b, d, k, q in zip(
            *(v.tolist() for v in (one, two, depth, alternate, quality)), strict=True
        )
    ]


def as_bcf(source: Path) -> Path:
    """The same records as BCF, unless they are there."""
    path = source.with_name(source.name.removesuffix(".vcf.gz") + ".bcf")
    if not path.exists():
        partial = str(path) + ".partial"
        pysam.bcftools.view("-Ob", "--threads", "1", "-o", partial, str(source), catch_stdout=False)
        Path(partial).rename(path)
    return path


def indexed(source: Path) -> Path:
    """A copy of the file, hard-linked, with a CSI index."""
    path = source.with_name(f"indexed_{source.name}")
    if not path.with_name(path.name + ".csi").exists():
        path.unlink(missing_ok=True)
        path.hardlink_to(source)
        pysam.bcftools.index("--csi", str(path))
    return path


def write_all(
    folder: Path, *, samples: int, variants: int, rich: int, times: int
) -> dict[str, list[tuple[int, str]]]:
    """Every file there is to be read: kind -> (size, path), the size what the kind varies."""
    called = haplotypes(folder, samples=samples, variants=variants)
    vcf = write_vcf(folder / f"cohort_{samples}_{variants}.vcf.gz", called)
    found = {"vcf": [(1, vcf)], "bcf": [(1, as_bcf(vcf))], "indexed": [(1, indexed(vcf))]}
    name = f"rich_{samples}_{rich}.vcf.gz"
    found["rich"] = [(1, write_vcf(folder / name, called[:rich], rich=True))]
    name = f"{times}_{vcf.name}"
    found["longer"] = [(times, write_vcf(folder / name, called, times=times, level=1))]
    for axis in ("samples", "variants"):
        found[axis] = []
        for share in SIZES:
            rows = int(variants * (share if axis == "variants" else 1))
            people = int(samples * (share if axis == "samples" else 1))
            path = folder / f"{rows}_{people}.vcf.gz"
            write_vcf(path, called[:rows, : 2 * people], level=1)
            found[axis].append((rows if axis == "variants" else people, path))
    return {kind: [(size, str(path)) for size, path in each] for kind, each in found.items()}


if __name__ == "__main__":
    counts = dict(
        zip(("samples", "variants", "rich", "times"), map(int, sys.argv[2:]), strict=True)
    )
    print(json.dumps(write_all(Path(sys.argv[1]), **counts)))
