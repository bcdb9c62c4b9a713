"""Opening variants of any format; nothing heavy is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from genodl.errors import InputError, nearest
from genodl.io import bgzf
from genodl.io.source import Block, Field, Region, Request, Source, regions_of

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]


def open_variants(path: str | PathLike[str]) -> Source:
    """The file as a source, by what it holds or by its suffix."""
    file = Path(path)
    opener = _opener(file)
    return opener(file)


def _opener(file: Path) -> Callable[[Path], Source]:
    """The format's own open function."""
    if not file.exists():
        raise InputError("no such file", where=str(file), mend="check the path")
    suffix = file.suffix.lower()
    if suffix in (".bed", ".bim", ".fam"):
        from genodl.io.plink import open_bed

        return open_bed
    if suffix in (".pgen", ".pvar", ".psam"):
        from genodl.io.pgen import open_pgen

        return open_pgen
    if suffix in (".zarr", ".h5ad") or file.is_dir():
        from genodl.io.chunks import open_store

        return open_store
    if next(bgzf.pieces(file), b"")[:3] == b"BCF":
        from genodl.io.bcf import open_bcf

        return open_bcf
    from genodl.io.vcf import open_vcf

    return open_vcf


def open_all(path: Paths) -> list[Source]:
    """Every file given, all of the same samples."""
    paths = [path] if isinstance(path, str | PathLike) else list(path)
    if not paths:
        raise InputError("no file given", where="read_variants", mend="give at least one path")
    sources = [open_variants(p) for p in paths]
    for other in sources[1:]:
        if set(other.samples) != set(sources[0].samples):
            differ = sorted(set(other.samples) ^ set(sources[0].samples))
            raise InputError(
                f"its samples are not those of {sources[0].path}: "
                f"{len(differ)} differ, such as {differ[0]!r}",
                where=str(other.path),
                mend="give files of the same samples",
            )
    return sources


@contextmanager
def opened(
    path: Paths, reference: str | PathLike[str] | None, field: Field, losses: Counter[str]
) -> Iterator[list[Source]]:
    """Every file given as a source, against a reference in normal form while the context lasts."""
    sources = open_all(path)
    if reference is None:
        yield sources
        return
    from genodl.io.norm import normalised

    with normalised(sources, reference, field=field, losses=losses) as paths:
        yield open_all(paths)


def first_of(path: Paths) -> str:
    """The first path given, for a message."""
    return str(path if isinstance(path, str | PathLike) else path[0])


def stream(
    sources: Sequence[Source],
    *,
    region: str | Sequence[str] | None = None,
    samples: Sequence[str] | str | PathLike[str] | None = None,
    field: Field = "GT",
    info: Sequence[str] = (),
) -> tuple[tuple[str, ...], Iterator[Block]]:
    """The sample ids in the order wanted, and the blocks of all files one after the other."""
    if field not in ("GT", "DS"):
        raise InputError(f"no field {field!r}", where="field", mend="use GT or DS")
    names = wanted_samples(sources[0], samples)
    return names, (
        b
        for s in sources
        for b in s.blocks(
            Request(field, _columns(s, names), _regions(sources, s, region), tuple(info))
        )
    )


def _columns(source: Source, names: tuple[str, ...]) -> np.ndarray | None:
    """Where the samples wanted stand in a source, None where it has them as they are."""
    if names == source.samples:
        return None
    at = {s: i for i, s in enumerate(source.samples)}
    return np.array([at[n] for n in names], np.int64)


def _regions(sources: Sequence[Source], source: Source, region: Any) -> tuple[Region, ...] | None:
    """The regions to ask of one source."""
    if region is None:
        return None
    regions = regions_of(region, [c for s in sources for c in s.contigs])
    if len(sources) > 1:
        # a file of one contig need not know the regions of the others
        known = set(source.contigs)
        others = {c for s in sources if s is not source for c in s.contigs}
        regions = tuple(r for r in regions if r.contig in known or r.contig not in others)
    return regions


def wanted_samples(source: Source, samples: Any) -> tuple[str, ...]:
    """The sample ids asked for, refused when one is absent or asked twice."""
    if samples is None:
        return source.samples
    names, where = _sample_list(samples)
    known = set(source.samples)
    for i, name in enumerate(names):
        if name not in known:
            raise InputError(
                f"sample {name!r} is not in {source.path}",
                where=where,
                mend=f"nearest names: {nearest(name, source.samples)}",
            )
        if name in names[:i]:
            raise InputError(f"sample {name!r} is asked twice", where=where, mend="name it once")
    if not names:
        raise InputError("no sample asked for", where=where, mend="name at least one, or leave out")
    return names


def _sample_list(samples: Any) -> tuple[tuple[str, ...], str]:
    """The ids of a list or of a file of ids, and where they come from."""
    if not isinstance(samples, str | PathLike):
        return tuple(str(s) for s in samples), "samples"
    path = Path(samples)
    try:
        lines = path.read_text().splitlines()
    except OSError as fault:
        raise bgzf.cannot_open(path, fault) from None
    except UnicodeDecodeError:
        raise InputError("not a text file", where=str(path), mend="one id a line") from None
    return tuple(s for line in lines if (s := line.strip())), str(path)
