"""Damaged variant files: values or one InputError for each, never a crash, a hang or a traceback.

Small parts of the real files in every format are mutated (bits flipped, cut, lines or stretches
swapped, before or after compression) and read in a child process, which tells of each mutant before
it reads it: one that stays silent for 10 seconds hangs, one that dies has crashed.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _record import at_least, at_most, data_folder, options, show

SECONDS_TO_HANG = 10.0
RECORDS, SAMPLES = 40, 12
MUTANTS, QUICK_MUTANTS = 20_000, 60
Mutation = Callable[[np.random.Generator, bytes], bytes]


def flip(rng: np.random.Generator, content: bytes) -> bytes:
    """One to eight bits the other way."""
    changed = bytearray(content)
    for place in rng.integers(0, len(changed), rng.integers(1, 9)):
        changed[place] ^= 1 << rng.integers(8)
    return bytes(changed)


def cut(rng: np.random.Generator, content: bytes) -> bytes:
    """The end, the beginning or a stretch in the middle taken out."""
    first, last = sorted(rng.integers(0, len(content) + 1, 2))
    return (content[:first], content[last:], content[:first] + content[last:])[rng.integers(3)]


def swap_lines(rng: np.random.Generator, content: bytes) -> bytes:
    """Two lines in each other's place, or one said twice."""
    lines = content.split(b"\n")
    one, other = rng.integers(0, len(lines), 2)
    lines[one], lines[other] = lines[other], lines[one if rng.random() < 0.7 else other]
    return b"\n".join(lines)


def swap_stretches(rng: np.random.Generator, content: bytes) -> bytes:
    """A short stretch copied over another."""
    size = int(rng.integers(1, 65))
    one, other = rng.integers(0, max(1, len(content) - size), 2)
    return content[:other] + content[one : one + size] + content[other + size :]


def swap_cells(rng: np.random.Generator, content: bytes) -> bytes:
    """A cell of a line in place of another."""
    cells = content.split(b"\t")
    one, other = rng.integers(0, len(cells), 2)
    cells[one] = cells[other]
    return b"\t".join(cells)


MUTATIONS: tuple[Mutation, ...] = (flip, cut, swap_lines, swap_stretches, swap_cells)


def write_originals(folder: Path) -> list[dict[str, Any]]:
    """Small files of every format from the real ones, and how each is mutated and read."""
    import pysam
    import pysam.bcftools

    from genodl.io import ingest

    found: list[dict[str, Any]] = []
    for name in ("kg_eur/EUR_test", "kg_eur/LCT_1kg", "yeast/variants"):
        stem = folder / name.replace("/", "_")
        text = _head(data_folder() / f"{name}.vcf.gz")
        plain, packed, bcf = (stem.with_suffix(s) for s in (".vcf", ".vcf.gz", ".bcf"))
        plain.write_bytes(text)
        pysam.tabix_compress(str(plain), str(packed), force=True)
        pysam.bcftools.view("-Ob", "-o", str(bcf), str(plain), catch_stdout=False)
        found += [{"path": plain, "inside": False}]
        found += [{"path": p, "inside": inside} for p in (packed, bcf) for inside in (False, True)]
        indexed = stem.with_name(f"{stem.name}_indexed.vcf.gz")
        indexed.write_bytes(packed.read_bytes())
        pysam.tabix_index(str(indexed), preset="vcf", force=True)
        region = text.rstrip().rsplit(b"\n", 1)[1].split(b"\t")[0].decode()
        index = indexed.with_name(indexed.name + ".tbi")
        found += [{"path": indexed, "inside": True, "region": region}]
        found += [{"path": indexed, "mutate": index, "inside": True, "region": region}]
        store = ingest(plain, stem.with_suffix(".zarr"))
        parts = (".zattrs", "X/0.0", "X/.zarray", "var/pos/0", "var/alt/0", "obs/_index/0")
        found += [{"path": store, "mutate": store / part, "inside": False} for part in parts]
    return found + _plink(folder) + _rare(folder)


def _rare(folder: Path) -> list[dict[str, Any]]:
    """What the real files lack, so that every compiled loop is run: ploidies, ALTs, filters, DS."""
    import pysam.bcftools

    lines = [
        "##fileformat=VCFv4.3",
        "##contig=<ID=1>",
        '##FILTER=<ID=a,Description="a">',
        '##FILTER=<ID=b,Description="b">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="GT">',
        '##FORMAT=<ID=DS,Number=A,Type=Float,Description="DS">',
        "#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT x y",
        "1 5 . A C,GGGGGGGGGGGGGGGGGG . a;b . GT:DS 1/2:1,1 0|./1:0,0.5",
        "1 9 . A <DEL> 3 PASS . GT:DS 0/1:0.25 .:.",
    ]
    plain, bcf = folder / "rare.vcf", folder / "rare.bcf"
    cells = [line if "##" in line else line.replace(" ", "\t") for line in lines]
    plain.write_text("\n".join([*cells, ""]))
    pysam.bcftools.view("-Ob", "-o", str(bcf), str(plain), catch_stdout=False)
    return [
        {"path": path, "field": field, "inside": path is bcf}
        for path in (plain, bcf)
        for field in ("GT", "DS")
    ]


def _head(path: Path) -> bytes:
    """The header and the first records and samples of a VCF."""
    import pysam

    with pysam.BGZFile(str(path), "rb") as file:
        lines = file.read(1 << 24).split(b"\n")
    columns = next(i for i, line in enumerate(lines) if line.startswith(b"#CHROM"))
    kept = [b"\t".join(line.split(b"\t")[: 9 + SAMPLES]) for line in lines[columns:][:RECORDS]]
    return b"\n".join([*lines[:columns], *kept, b""])


def _plink(folder: Path) -> list[dict[str, Any]]:
    """A PLINK 1 fileset of the first samples and variants of the real one."""
    source = data_folder() / "hapmap3" / "variants.bed"
    lines = {s: source.with_suffix(s).read_text().splitlines(True) for s in (".bim", ".fam")}
    width = -(-len(lines[".fam"]) // 4)
    raw = np.frombuffer(source.read_bytes()[3 : 3 + RECORDS * width], np.uint8)
    stem = folder / "hapmap3"
    stem.with_suffix(".bim").write_text("".join(lines[".bim"][:RECORDS]))
    stem.with_suffix(".fam").write_text("".join(lines[".fam"][:SAMPLES]))
    calls = raw.reshape(RECORDS, width)[:, : SAMPLES // 4]
    bed = stem.with_suffix(".bed")
    bed.write_bytes(b"\x6c\x1b\x01" + calls.tobytes())
    files = (bed, stem.with_suffix(".bim"), stem.with_suffix(".fam"))
    return [{"path": bed, "mutate": file, "inside": False} for file in files]


def mutant(rng: np.random.Generator, original: bytes, *, inside: bool) -> bytes:
    """A changed file; `inside`, what it holds is changed and compressed again."""
    import pysam

    content = original
    if inside:
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(original)
            with pysam.BGZFile(file.name, "rb") as stream:
                content = stream.read()
    content = MUTATIONS[rng.integers(len(MUTATIONS))](rng, content)
    if not inside:
        return content
    with tempfile.NamedTemporaryFile() as file:
        with pysam.BGZFile(file.name, "wb") as stream:
            stream.write(content)
        return Path(file.name).read_bytes()


def work(folder: Path, first: int, seed: int) -> None:
    """Read mutants from number `first` on, for ever; say each number, then what became of it."""
    from genodl.errors import InputError
    from genodl.io import read_variants

    originals = write_originals(folder)
    for each in originals:
        # compiles once for good
        read_variants(each["path"], field=each.get("field", "GT"))
    number = first
    while True:
        rng = np.random.default_rng([seed, number])
        chosen = originals[rng.integers(len(originals))]
        target = Path(chosen.get("mutate", chosen["path"]))
        content = target.read_bytes()
        print(json.dumps({"number": number, "file": target.name}), flush=True)
        try:
            target.write_bytes(mutant(rng, content, inside=chosen["inside"]))
            if target.suffix in (".tbi", ".gz"):
                _touch(chosen["path"])
            read_variants(
                chosen["path"], region=chosen.get("region"), field=chosen.get("field", "GT")
            )
            said = "read"
        except InputError as fault:
            said = "refused" if "\n" not in str(fault) else f"several lines: {fault}"
        except Exception as fault:
            said = f"{type(fault).__name__}: {fault}"
        finally:
            target.write_bytes(content)
        print(json.dumps({"number": number, "became": said}), flush=True)
        number += 1


def _touch(path: Path) -> None:
    """The index made newer than its file, so that it is used."""
    index = path.with_name(path.name + ".tbi")
    if index.exists():
        os.utime(index)


def child(folder: Path, first: int, seed: int) -> subprocess.Popen:
    """A process that reads mutants."""
    command = [sys.executable, __file__, "--work", str(folder), "--first", str(first)]
    return subprocess.Popen(
        [*command, "--seed", str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )


def watch(process: subprocess.Popen, *, most: int, until: float, counts: Counter) -> dict | None:
    """Count what a child says; the mutant it ended or hung at, None when there is enough."""
    assert process.stdout is not None
    last: dict = {}
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ)
        # the first line comes when the files are written and everything is imported
        patience = 120.0
        while counts["mutants"] < most and time.monotonic() < until:
            if not waiting.select(patience):
                return {**last, "became": f"silent for {patience:g} s"}
            line = process.stdout.readline()
            if not line:
                return {**last, "became": f"exit {process.wait()}"}
            last, patience = {**last, **json.loads(line)}, SECONDS_TO_HANG
            if "became" in json.loads(line):
                counts["mutants"] += 1
                known = last["became"] if last["became"] in ("read", "refused") else "faults"
                counts[known] += 1
                if known == "faults":
                    counts[f"{last['file']}: {last['became'][:200]}"] += 1
    return None


def main() -> None:
    given = options(
        __doc__,
        seconds={"type": float, "default": 3600.0, "help": "no longer than this"},
        mutants={"type": int, "default": MUTANTS, "help": "no more than these"},
        seed={"type": int, "default": 0, "help": "of the mutations"},
        work={"type": Path, "help": "used by the child"},
        first={"type": int, "default": 0, "help": "number of the first mutant"},
    )
    if given.work is not None:
        work(given.work, given.first, given.seed)
    most = QUICK_MUTANTS if given.quick else given.mutants
    began, counts, ended = time.monotonic(), Counter[str](), []
    first = given.first
    while counts["mutants"] < most and time.monotonic() - began < given.seconds:
        with tempfile.TemporaryDirectory() as folder:
            process = child(Path(folder), first, given.seed)
            found = watch(process, most=most, until=began + given.seconds, counts=counts)
            process.kill()
            process.communicate()
        if found is None:
            break
        ended.append(found)
        if "number" not in found:
            raise SystemExit(f"no mutant was read: {found}")
        counts["mutants"] += 1
        first = found["number"] + 1
    faults = {k: n for k, n in counts.items() if ": " in k}
    show(
        "fuzz_variants",
        quick=given.quick,
        criteria={
            "crashes_and_hangs": at_most(len(ended), 0),
            "other_exceptions": at_most(counts["faults"], 0),
            "mutants": at_least(counts["mutants"], most),
        },
        seconds=round(time.monotonic() - began, 1),
        read=counts["read"],
        refused=counts["refused"],
        ended=ended,
        faults=faults,
    )


if __name__ == "__main__":
    main()
