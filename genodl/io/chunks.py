"""The store: AnnData on Zarr, chunked some thousand alleles x all samples.

Anyone opens it with `anndata.read_zarr`. genodl writes and reads its chunks itself: X lies allele
by allele (Fortran order), so a chunk is a block, and bit-shuffling turns int8 into the two bits a
call needs. The manifest, the attribute `genodl` of the root group, holds the SHA-256 of every
chunk; each is checked as it is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import Blosc, VLenUTF8, Zstd

from genodl.errors import InputError
from genodl.io.ahead import in_order
from genodl.io.source import (
    COLUMNS,
    WRITTEN,
    Block,
    Field,
    Region,
    Request,
    Source,
    check_samples,
    counted,
    overlapping,
    taken,
    unknown_contig,
)
from genodl.values import MISSING

VERSION = 2
JOURNAL = "journal.jsonl"
TEXT = Zstd(level=3)
NUMBERS = Zstd(level=3)
DOSAGE = {
    "GT": Blosc(cname="zstd", clevel=3, shuffle=Blosc.BITSHUFFLE),
    "DS": Blosc(cname="zstd", clevel=3, shuffle=Blosc.SHUFFLE),
}
DTYPE: dict[str, Any] = {"GT": np.dtype("int8"), "DS": np.dtype("<f4")}
NUMERIC: dict[str, Any] = {
    "pos": np.dtype("<i8"),
    "qual": np.dtype("<f4"),
    "ploidy": np.dtype("int8"),
    "call_rate": np.dtype("<f4"),
}
COUNT: dict[str, Any] = {"GT": np.dtype("<i8"), "DS": np.dtype("<f8")}


def chunk_name(column: str, k: int) -> str:
    """The file of chunk k of X or of a column of var."""
    return f"X/0.{k}" if column == "X" else f"var/{column}/{k}"


def dtype_of(column: str, field: str) -> np.dtype | None:
    """The type of X or of a column of var, None for text."""
    if column == "X":
        return DTYPE[field]
    return COUNT[field] if column == "allele_count" else NUMERIC.get(column)


def encode(column: str, values: Any, chunk: int, field: str) -> bytes:
    """A chunk's bytes; a short last one is filled up, as Zarr wants it."""
    if column == "X":
        whole = np.full((chunk, values.shape[1]), fill_value("X", field), DTYPE[field])
        whole[: len(values)] = values
        return bytes(DOSAGE[field].encode(whole))
    dtype = dtype_of(column, field)
    if dtype is not None:
        numbers = np.full(chunk, fill_value(column, field), dtype)
        numbers[: len(values)] = values
        return bytes(NUMBERS.encode(numbers))
    words = np.full(chunk, "", object)
    words[: len(values)] = values
    return bytes(TEXT.encode(VLenUTF8().encode(words)))


def fill_value(column: str, field: str) -> Any:
    """What stands where a chunk has no value."""
    if column == "X":
        return MISSING if field == "GT" else np.nan
    dtype = dtype_of(column, field)
    return "" if dtype is None else np.nan if dtype.kind == "f" else 0


def metadata(manifest: dict[str, Any]) -> dict[str, Any]:
    """path -> JSON of every Zarr metadata file, as anndata's on-disk format 0.1 wants them."""
    alleles, chunk, samples = manifest["alleles"], manifest["chunk"], manifest["samples"]
    sealed = {**manifest, "digest": digest(manifest)}
    root = {"encoding-type": "anndata", "encoding-version": "0.1.0", "genodl": sealed}
    columns = [*COLUMNS, *manifest["request"]["info"]]
    table = {"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"}
    found = _group("", root)
    found |= _group("obs/", {**table, "column-order": []})
    found |= _group("var/", {**table, "column-order": columns})
    for name in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
        found |= _group(f"{name}/", {"encoding-type": "dict", "encoding-version": "0.1.0"})
    field = manifest["field"]
    found |= _array("X", field, (samples, alleles), (samples, chunk))
    found |= _array("obs/_index", field, (samples,), (samples,))
    for column in ("_index", *columns):
        found |= _array(f"var/{column}", field, (alleles,), (chunk,))
    return found


def _group(prefix: str, attributes: dict) -> dict[str, Any]:
    """The metadata of a Zarr group."""
    return {f"{prefix}.zgroup": {"zarr_format": 2}, f"{prefix}.zattrs": attributes}


def _array(path: str, field: str, shape: tuple, chunks: tuple) -> dict[str, Any]:
    """The metadata of a Zarr array."""
    column = path.rpartition("/")[2]
    dtype, fill = dtype_of(column, field), fill_value(column, field)
    text = dtype is None
    codec = DOSAGE[field] if column == "X" else TEXT if text else NUMBERS
    meta = {
        "zarr_format": 2,
        "shape": list(shape),
        "chunks": list(chunks),
        "dtype": "|O" if dtype is None else dtype.str,
        "compressor": codec.get_config(),
        "fill_value": "NaN" if fill != fill else fill,
        "filters": [{"id": "vlen-utf8"}] if text else None,
        "order": "F" if column == "X" else "C",
    }
    kind = ("string-array", "0.2.0") if text else ("array", "0.2.0")
    attributes = {"encoding-type": kind[0], "encoding-version": kind[1]}
    return {f"{path}/.zarray": meta, f"{path}/.zattrs": attributes}


def open_store(path: Path) -> Source:
    """A store, or any .zarr or .h5ad of variants that genodl wrote, as a source."""
    if (path / JOURNAL).exists():
        raise InputError(
            "a half-written store", where=str(path), mend="run the same genodl ingest again"
        )
    manifest = read_manifest(path)
    if manifest is None:
        from genodl.io.matrix import open_matrix

        return open_matrix(path)
    return _open_chunks(path, manifest)


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of a store, None for another kind of file."""
    try:
        found = json.loads((path / ".zattrs").read_bytes()).get("genodl")
    except (OSError, ValueError, AttributeError):
        return None
    if found is None:
        return None
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise InputError(
            f"a store of another version, this genodl reads {VERSION}",
            where=str(path),
            mend="remove it and ingest the source again",
        )
    if found.pop("digest", None) != digest(found):
        raise InputError(
            "its manifest is damaged", where=str(path), mend="remove it and ingest the source again"
        )
    return found


def digest(manifest: dict[str, Any]) -> str:
    """SHA-256 of what a manifest says."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def read_chunk(path: Path, name: str, manifest: dict[str, Any]) -> bytes:
    """A chunk's bytes, refused when they are not those that were written."""
    try:
        raw = (path / name).read_bytes()
    except OSError:
        raw = b""
    if hashlib.sha256(raw).hexdigest() != manifest["sha256"].get(name):
        raise InputError(
            f"chunk {name} is missing or changed",
            where=str(path),
            mend="ingest the source again",
        )
    return raw


def _open_chunks(path: Path, manifest: dict[str, Any]) -> Source:
    """A store written by `ingest`."""
    samples = _words(path, "obs/_index/0", manifest, count=manifest["samples"])
    contigs = tuple(manifest["contigs"])

    def blocks(request: Request) -> Iterator[Block]:
        check_field(path, manifest["field"], request.field)
        check_info(path, manifest["request"]["info"], request.info)
        for region in request.regions or ():
            if region.contig not in contigs:
                raise unknown_contig(path, region.contig, contigs)
        return in_order(partial(_block, path, manifest, request), _numbered(manifest))

    return Source(path, check_samples(path, samples), contigs, blocks)


def check_field(path: Path, held: str, asked: Field) -> None:
    """Refuse a field other than the one the store holds."""
    if held != asked:
        raise InputError(
            f"holds {held}, {asked} was asked for", where=str(path), mend=f"read field {held}"
        )


def check_info(path: Path, held: Sequence[str], asked: Sequence[str]) -> None:
    """Refuse an INFO key that was not kept."""
    for key in asked:
        if key not in held:
            raise InputError(
                f"does not hold INFO/{key}",
                where=str(path),
                mend=f"ingest the source again with --info {key}",
            )


def _words(path: Path, name: str, manifest: dict[str, Any], *, count: int) -> list[str]:
    """The first `count` texts of a chunk."""
    return VLenUTF8().decode(TEXT.decode(read_chunk(path, name, manifest))).tolist()[:count]


def _numbered(manifest: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """(number, alleles) of each chunk."""
    chunk = manifest["chunk"]
    for k in range(-(-manifest["alleles"] // chunk)):
        yield k, min(chunk, manifest["alleles"] - k * chunk)


def _block(path: Path, manifest: dict[str, Any], request: Request, k: int, size: int) -> Block:
    """One chunk, of it what is asked for."""
    field = manifest["field"]
    wanted = (*WRITTEN, *request.info)
    variants = {c: _column(path, c, k, size, manifest) for c in wanted}
    keep = kept(variants, request.regions)
    if keep is not None and not len(keep):
        nothing = np.empty((0, manifest["samples"]), DTYPE[field])
        return counted(taken(variants, keep), nothing, request.columns)
    raw = DOSAGE[field].decode(read_chunk(path, chunk_name("X", k), manifest))
    dosage = np.frombuffer(raw, DTYPE[field]).reshape(manifest["chunk"], -1)[:size]
    if keep is not None:
        variants, dosage = taken(variants, keep), dosage[keep]
    return counted(variants, dosage, request.columns)


def _column(path: Path, column: str, k: int, size: int, manifest: dict[str, Any]) -> Any:
    """Chunk k of a column of var."""
    name = chunk_name(column, k)
    dtype = dtype_of(column, manifest["field"])
    if dtype is not None:
        raw = NUMBERS.decode(read_chunk(path, name, manifest))
        return np.frombuffer(raw, dtype)[:size]
    return _words(path, name, manifest, count=size)


def kept(variants: dict[str, Any], regions: tuple[Region, ...] | None) -> np.ndarray | None:
    """The alleles inside the regions, None for all."""
    if regions is None:
        return None
    pos = np.asarray(variants["pos"], np.int64)
    length = np.array([max(len(r), 1) for r in variants["ref"]], np.int64)
    return np.flatnonzero(overlapping(regions, variants["contig"], pos, pos + length - 1))
