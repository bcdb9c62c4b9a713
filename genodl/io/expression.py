"""Expression and further modalities: AnnData files and delimited matrices, checked, as float32."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse

from genodl.errors import InputError
from genodl.io.delimited import read_delimited, require_unique

if TYPE_CHECKING:
    from anndata import AnnData

SPARSE = ("csr_matrix", "csc_matrix")
Parts = tuple[np.ndarray, pd.DataFrame, pd.DataFrame]


def read_expression(path: str | Path, *, transpose: bool = False) -> AnnData:
    """Expression of samples by genes.

    Parameters
    ----------
    path : .h5ad, AnnData on .zarr, or a tab or comma separated matrix with the sample id first in
        each row, plain or gzipped
    transpose : the file has genes in rows and samples in columns

    Returns
    -------
    AnnData; `X` float32, dense, (samples, genes), nan = missing; obs_names and var_names are
    unique str; `obs` and `var` as in the file

    Raises
    ------
    InputError : the file is missing or damaged, links to another file, repeats a name, has
        sparse indices out of range, or holds text or infinite values (genes and count are named)
    """
    if not Path(path).exists():
        raise InputError("no such file", where=str(path), mend="check the path")
    # AnnData costs seconds of import: not before the file is known to be there
    from anndata import AnnData

    stored = Path(path).is_dir() or _is_hdf5(Path(path))
    values, obs, var = _read_anndata(Path(path)) if stored else _read_matrix(Path(path))
    if transpose:
        values, obs, var = np.ascontiguousarray(values.T), var, obs
    require_unique(obs.index, where=str(path), what="sample")
    require_unique(var.index, where=str(path), what="gene")
    _refuse_infinite(values, var.index, where=str(path))
    return AnnData(values, obs=obs, var=var)


def read_features(path: str | Path, *, transpose: bool = False) -> AnnData:
    """A further modality, such as alterations or methylation, read as `read_expression` reads."""
    return read_expression(path, transpose=transpose)


def _is_hdf5(path: Path) -> bool:
    """Whether the file is HDF5; a suffix that promises it and a file that is not, is refused."""
    found = h5py.is_hdf5(path)
    if not found and path.suffix.lower() in (".h5ad", ".h5"):
        raise InputError(
            "not an HDF5 file", where=str(path), mend="write it again with AnnData.write_h5ad"
        )
    return found


def _read_anndata(path: Path) -> Parts:
    """X, obs and var of an .h5ad file, checked first, or of a .zarr folder."""
    import scanpy
    from anndata import read_zarr

    try:
        with warnings.catch_warnings():
            # repeated names are refused by name, not warned of
            warnings.filterwarnings("ignore", message=".*names are not unique.*")
            if path.is_dir():
                read = read_zarr(path)
            else:
                with h5py.File(path) as file:
                    _check_h5ad(file, where=str(path))
                read = scanpy.read_h5ad(path)
        if scipy.sparse.issparse(read.X):
            read.X.check_format(full_check=True)
            _refuse_repeated_entries(read.X, where=str(path))
    except InputError:
        raise
    # a damaged file fails in as many ways as it has parts
    except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError) as fault:
        raise InputError(
            f"not readable as AnnData ({type(fault).__name__}: {str(fault)[:200]})",
            where=str(path),
            mend="write it again with AnnData.write_h5ad",
        ) from fault
    if read.X is None or np.dtype(read.X.dtype).kind not in "iufb":
        raise InputError("X holds no numbers", where=str(path), mend="store numbers in X")
    values = read.X.toarray() if scipy.sparse.issparse(read.X) else read.X
    return (
        _as_float32(values),
        read.obs.set_axis(read.obs_names.astype(str), axis=0),
        read.var.set_axis(read.var_names.astype(str), axis=0),
    )


def _check_h5ad(file: h5py.File, *, where: str) -> None:
    """Refuse what anndata would follow, accept or stumble over."""
    for name, fault in _foreign(file):
        raise InputError(f"{name} {fault}", where=where, mend="write one self-contained .h5ad file")
    for part in ("obs", "var", "X"):
        if part not in file:
            raise InputError(f"no {part}", where=where, mend="write it with AnnData.write_h5ad")
    matrix = file["X"]
    encoding = str(matrix.attrs.get("encoding-type", matrix.attrs.get("h5sparse_format", "")))
    if isinstance(matrix, h5py.Group):
        encoding = encoding if encoding in SPARSE else f"{encoding}_matrix"
        _check_sparse(matrix, encoding, where=where)


def _foreign(group: h5py.Group, path: str = "") -> Iterator[tuple[str, str]]:
    """Members of a file that lie in another file."""
    for name in group:
        member, link = f"{path}/{name}", group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            yield member, f"links to another file ({link.filename})"
            continue
        if isinstance(link, h5py.SoftLink):
            yield member, f"is a soft link (to {link.path})"
            continue
        value = group[name]
        if isinstance(value, h5py.Group):
            yield from _foreign(value, member)
        elif isinstance(value, h5py.Dataset) and (value.external or value.is_virtual):
            yield member, "is stored in another file"


def _check_sparse(matrix: h5py.Group, encoding: str, *, where: str) -> None:
    """Refuse a sparse X whose indices point outside it or run backwards."""
    shape = matrix.attrs.get("shape", matrix.attrs.get("h5sparse_shape"))
    if encoding not in SPARSE or shape is None or not {"data", "indices", "indptr"} <= set(matrix):
        raise InputError(
            f"X is a group of encoding {encoding!r}, csr_matrix or csc_matrix was expected",
            where=where,
            mend="store X dense, as CSR or as CSC",
        )
    indptr, indices = matrix["indptr"][:], matrix["indices"][:]
    rows, columns = (int(s) for s in (shape if encoding == "csr_matrix" else shape[::-1]))
    faults = {
        f"indptr has {len(indptr)} entries for {rows} rows": len(indptr) != rows + 1,
        "indptr does not start at 0 and rise": (
            len(indptr) == 0 or indptr[0] != 0 or bool((np.diff(indptr) < 0).any())
        ),
        "indptr, indices and data differ in length": (
            len(indptr) == 0 or not indptr[-1] == len(indices) == len(matrix["data"])
        ),
        f"an index lies outside 0 to {columns - 1}": (
            len(indices) > 0 and not 0 <= indices.min() <= indices.max() < columns
        ),
    }
    for fault, found in faults.items():
        if found:
            raise InputError(f"sparse X: {fault}", where=where, mend="write the file again")


def _refuse_repeated_entries(matrix: Any, *, where: str) -> None:
    """Refuse a sparse X that gives one entry twice, as its dense form would hold their sum."""
    matrix.sort_indices()
    if not matrix.has_canonical_format:
        raise InputError(
            "sparse X: an entry occurs twice", where=where, mend="call X.sum_duplicates() and write"
        )


def _read_matrix(path: Path) -> Parts:
    """A delimited matrix, rows as observations."""
    table = read_delimited(path)
    if not table.size:
        raise InputError(
            f"{table.shape[0]} rows of {table.shape[1]} values",
            where=str(path),
            mend="give a matrix with a header and an id in each row",
        )
    text = [n for n, dtype in enumerate(table.dtypes) if dtype.kind not in "iuf"]
    if text:
        raise _text_fault(table, text, where=str(path))
    return (
        _as_float32(table.to_numpy()),
        pd.DataFrame(index=table.index.astype(str)),
        pd.DataFrame(index=table.columns.astype(str)),
    )


def _as_float32(values: np.ndarray) -> np.ndarray:
    """Values as float32; one too large for it becomes infinite, which is refused by name."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32)


def _text_fault(table: pd.DataFrame, columns: list[int], *, where: str) -> InputError:
    """The fault of columns that hold text, by an example of the first."""
    column = table.iloc[:, columns[0]]
    numbers: Any = pd.to_numeric(column.astype(object), errors="coerce")
    row = int(np.argmax((column.notna() & np.isnan(numbers.astype(float))).to_numpy()))
    names = ", ".join(repr(str(table.columns[n])) for n in columns[:3])
    return InputError(
        f"text where numbers belong in {len(columns)} column(s): {names}; row "
        f"{str(table.index[row])!r} of the first has {str(column.iloc[row])!r}",
        where=where,
        mend="give numbers with a decimal point, NA where missing, and no annotation columns",
    )


def _refuse_infinite(values: np.ndarray, genes: pd.Index, *, where: str) -> None:
    """Refuse infinite values, naming up to three genes."""
    infinite = np.isinf(values).sum(axis=0)
    at_fault = np.flatnonzero(infinite)
    if len(at_fault):
        names = ", ".join(repr(str(genes[n])) for n in at_fault[:3])
        raise InputError(
            f"{int(infinite.sum())} infinite value(s) in {len(at_fault)} gene(s): {names}",
            where=where,
            mend="take logarithms of value + 1, or write NA where missing",
        )
