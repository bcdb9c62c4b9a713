"""Records in normal form against a reference sequence, by bcftools norm, which pysam brings along.

REF is checked, multi-allelic records are split, indels are left-aligned and exact repeats merged.
Source: Tan, Abecasis and Kang 2015, Unified representation of genetic variants.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from threading import Lock

import pysam
import pysam.bcftools

from genodl.errors import InputError
from genodl.io.source import Field, Request, Source

OTHER_BUILD = 0.1
MISMATCH, REPEAT = "REF is not that of the reference", "repeated record"
_HUSH = Lock()
_LOUDNESS: list[int] = []
_COUNTS = re.compile(r"^Lines\s+(\S+):\t(\S+)$", re.MULTILINE)


@contextmanager
def normalised(
    sources: Sequence[Source],
    reference: str | PathLike[str],
    *,
    field: Field,
    losses: Counter[str],
) -> Iterator[list[Path]]:
    """The paths of BCF files that hold the records of VCF or BCF sources in normal form.

    They are gone when the context ends. Records whose REF is not that of the reference and
    repeats of a record are left out and counted in `losses`.

    Raises
    ------
    InputError : a fault in a source, the reference cannot be read or lacks a contig, or a tenth
        of the records or more have another REF: then it is of another genome build
    """
    fasta = Path(reference)
    if not fasta.is_file():
        raise InputError("no such file", where=str(fasta), mend="check the path")
    with tempfile.TemporaryDirectory(prefix="genodl-") as folder:
        paths = []
        for number, source in enumerate(sources):
            if source.path.suffix.lower() in (".bed", ".pgen", ".zarr", ".h5ad"):
                raise InputError(
                    "only VCF and BCF are normalised",
                    where=str(source.path),
                    mend="normalise the file it was made from, or leave the reference out",
                )
            # htslib turns a call that lies into a missing one: refuse it before htslib reads it
            for _ in source.blocks(Request(field)):
                pass
            paths.append(Path(folder, f"{number}.bcf"))
            losses.update(_normalise(source.path, fasta, paths[-1]))
        yield paths


@contextmanager
def _quiet() -> Iterator[None]:
    """htslib's own lines on stderr, which would stand beside our one, kept back on all threads."""
    with _HUSH:
        _LOUDNESS.append(pysam.set_verbosity(0))
    try:
        yield
    finally:
        with _HUSH:
            # the first to enter found what the user had set
            before = _LOUDNESS.pop()
            if not _LOUDNESS:
                pysam.set_verbosity(before)


def _normalise(path: Path, fasta: Path, out: Path) -> dict[str, int]:
    """Write one file; what was left out of it, by reason."""
    with _quiet():
        try:
            pysam.bcftools.norm(
                *("--fasta-ref", str(fasta), "--check-ref", "x", "--multiallelics", "-any"),
                *("--rm-dup", "exact", "--output-type", "b", "--output", str(out), str(path)),
                catch_stdout=False,
            )
        except pysam.SamtoolsError as fault:
            raise _refused(path, fasta, str(fault)) from None
        said = pysam.bcftools.norm.get_messages() or ""
    found = _COUNTS.search(said)
    if found is None:
        raise _refused(path, fasta, said)
    counts = dict(zip(found[1].split("/"), map(int, found[2].split("/")), strict=True))
    wrong, total = counts["mismatch_removed"], counts["total"]
    if wrong >= OTHER_BUILD * max(total, 1):
        raise InputError(
            f"REF differs from {fasta.name} in {wrong / total:.1%} of {total} records: "
            "another genome build",
            where=str(path),
            mend="give the FASTA that the variants were called against",
        )
    return {MISMATCH: wrong, REPEAT: counts["dup_removed"]}


def _refused(path: Path, fasta: Path, said: str) -> InputError:
    """The error for what bcftools does not do."""
    if contig := re.search(r"faidx_fetch_seq failed at (\S+):\d+", said):
        return InputError(
            f"has no contig {contig[1]!r}, which {path.name} names",
            where=str(fasta),
            mend="give the FASTA of the same build and naming (chr1 or 1)",
        )
    if "fai index" in said:
        return InputError(
            "no readable FASTA, or its .fai cannot be written",
            where=str(fasta),
            mend="index it: samtools faidx",
        )
    reason = said.rpartition("stderr=")[2].strip().splitlines() or ["no reason given"]
    return InputError(
        f"bcftools norm refuses it ({reason[-1]})", where=str(path), mend="sort and check the file"
    )
