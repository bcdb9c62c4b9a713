"""Expression and further modalities."""

from __future__ import annotations

import gzip
import warnings

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from anndata import AnnData

from genodl.errors import InputError
from genodl.io.expression import read_expression, read_features

VALUES = np.array([[1.5, 0, np.nan], [-2, 3, 0]], dtype=np.float32)


def modality(values, samples=("7", "8"), genes=("A", "B", "C")):
    """A small AnnData."""
    return AnnData(values, obs=pd.DataFrame(index=samples), var=pd.DataFrame(index=genes))


def store(path, values, **names):
    """The path of an .h5ad with these values."""
    modality(values, **names).write_h5ad(path)
    return path


@pytest.mark.parametrize(
    ("name", "text", "transpose"),
    [
        ("e.tsv", "id\tA\tB\tC\n7\t1.5\t0\tNA\n8\t-2\t3\t0\n", False),
        ("e.csv", "id,A,B,C\n7,1.5,0,\n8,-2,3,0\n", False),
        ("e.csv.gz", "id,A,B,C\n7,1.5,0,nan\n8,-2,3,0\n", False),
        ("e.tsv", "gene\t7\t8\nA\t1.5\t-2\nB\t0\t3\nC\tNA\t0\n", True),
        ("e.tsv", "7\t8\nA\t1.5\t-2\nB\t0\t3\nC\tNA\t0\n", True),
    ],
)
def test_a_matrix_is_the_same_in_every_layout(tmp_path, name, text, transpose):
    raw = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    found = read_expression(tmp_path / name, transpose=transpose)
    np.testing.assert_array_equal(found.X, VALUES)
    assert found.X.dtype == np.float32
    assert list(found.obs_names) == ["7", "8"]
    assert list(found.var_names) == ["A", "B", "C"]


@pytest.mark.parametrize(
    "encode",
    [
        np.asarray,
        scipy.sparse.csr_matrix,
        scipy.sparse.csc_matrix,
        lambda v: np.asarray(v, dtype=np.float64),
    ],
)
def test_an_h5ad_is_the_same_in_every_encoding(tmp_path, encode):
    found = read_features(store(tmp_path / "e.h5ad", encode(VALUES)))
    np.testing.assert_array_equal(found.X, VALUES)
    assert isinstance(found.X, np.ndarray)
    assert found.X.dtype == np.float32


def test_whole_numbers_become_float_and_the_columns_of_var_stay(tmp_path):
    whole = modality(np.array([[0, 1, 0], [1, 1, 0]], dtype=np.int8))
    whole.var["start"] = [10, 20, 30]
    whole.write_h5ad(tmp_path / "e.h5ad")
    found = read_expression(tmp_path / "e.h5ad")
    np.testing.assert_array_equal(found.X, [[0, 1, 0], [1, 1, 0]])
    assert found.var["start"].tolist() == [10, 20, 30]


def test_a_zarr_store_is_read_as_an_h5ad_is(tmp_path):
    with warnings.catch_warnings():
        # anndata announces the Zarr version it writes
        warnings.simplefilter("ignore")
        modality(VALUES).write_zarr(tmp_path / "e.zarr")
    np.testing.assert_array_equal(read_features(tmp_path / "e.zarr").X, VALUES)


def test_infinite_values_are_refused_with_their_genes_and_count(tmp_path):
    values = np.zeros((2, 5), dtype=np.float32)
    values[:, 1:] = np.inf
    file = store(tmp_path / "e.h5ad", values, genes=list("ABCDE"))
    with pytest.raises(InputError) as fault:
        read_expression(file)
    assert "e.h5ad: 8 infinite value(s) in 4 gene(s): 'B', 'C', 'D';" in str(fault.value)
    # 1e300 is beyond float32
    (tmp_path / "e.tsv").write_text("id\tA\tB\n7\t1\t-inf\n8\t1\t2\n9\t1e300\t1\n")
    with pytest.raises(InputError, match=r"2 infinite value\(s\) in 2 gene\(s\): 'A', 'B'"):
        read_expression(tmp_path / "e.tsv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id\tA\tB\n7\t1\tlow\n8\t1\t2\n", "1 column(s): 'B'; row '7' of the first has 'low'"),
        ("id\tA\n7\t1\n8\t1,5\n", "'A'; row '8' of the first has '1,5'"),
        ("id\tA\tA\n7\t1\t2\n", "1 column name(s) occur more than once: 'A'"),
        ("id\tA\n7\t1\n7\t2\n", "1 sample name(s) occur more than once: '7'"),
        ("id\tA\tB\n7\t1\t2\n8\t1\n", "row 3 ('8'): 2 fields, the header has 3"),
        ("id\n7\n", "1 rows of 0 values"),
        ("", "no header line"),
    ],
)
def test_a_faulty_matrix_is_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "e.tsv").write_text(text)
    with pytest.raises(InputError) as fault:
        read_expression(tmp_path / "e.tsv")
    assert message in str(fault.value)
    assert "\n" not in str(fault.value)


def test_repeated_names_in_an_h5ad_are_refused(tmp_path):
    file = store(tmp_path / "e.h5ad", VALUES)
    with h5py.File(file, "r+") as inside:
        inside["var/_index"][1] = "A"
    with pytest.raises(InputError, match=r"1 gene name\(s\) occur more than once: 'A'"):
        read_expression(file)
    with h5py.File(file, "r+") as inside:
        inside["var/_index"][1] = "B"
        inside["obs/_index"][1] = "7"
    with pytest.raises(InputError, match=r"1 sample name\(s\) occur more than once: '7'"):
        read_expression(file)


def test_an_h5ad_that_reaches_into_another_file_is_refused(tmp_path):
    secret = store(tmp_path / "other.h5ad", VALUES)
    linked = store(tmp_path / "linked.h5ad", VALUES)
    with h5py.File(linked, "r+") as inside:
        del inside["X"]
        inside["X"] = h5py.ExternalLink(str(secret), "/X")
    with pytest.raises(InputError, match="/X links to another file"):
        read_expression(linked)
    virtual = store(tmp_path / "virtual.h5ad", VALUES)
    with h5py.File(virtual, "r+") as inside:
        layout = h5py.VirtualLayout(shape=VALUES.shape, dtype=np.float32)
        layout[...] = h5py.VirtualSource(str(secret), "X", shape=VALUES.shape)
        del inside["X"]
        inside.create_virtual_dataset("X", layout)
    with pytest.raises(InputError, match="/X is stored in another file"):
        read_expression(virtual)


@pytest.mark.parametrize(
    ("part", "entry", "value", "message"),
    [
        ("indices", 0, 3, "an index lies outside 0 to 2"),
        ("indices", 0, -1, "an index lies outside 0 to 2"),
        ("indptr", 1, 9, "indptr does not start at 0 and rise"),
        ("indptr", 2, 3, "differ in length"),
        ("indices", 1, 0, "an entry occurs twice"),
    ],
)
def test_bad_sparse_indices_are_refused(tmp_path, part, entry, value, message):
    file = store(tmp_path / "e.h5ad", scipy.sparse.csr_matrix(VALUES))
    with h5py.File(file, "r+") as inside:
        inside[f"X/{part}"][entry] = value
    with pytest.raises(InputError, match=message):
        read_expression(file)


def test_damaged_and_absent_files_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"absent\.h5ad: no such file"):
        read_expression(tmp_path / "absent.h5ad")
    (tmp_path / "text.h5ad").write_text("id\tA\n")
    with pytest.raises(InputError, match=r"text\.h5ad: not an HDF5 file"):
        read_expression(tmp_path / "text.h5ad")
    whole = store(tmp_path / "whole.h5ad", VALUES).read_bytes()
    (tmp_path / "cut.h5ad").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut\.h5ad: not readable as AnnData"):
        read_expression(tmp_path / "cut.h5ad")
    with h5py.File(tmp_path / "plain.h5ad", "w") as inside:
        inside["counts"] = VALUES
    with pytest.raises(InputError, match=r"plain\.h5ad: no obs"):
        read_expression(tmp_path / "plain.h5ad")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder: not readable as AnnData"):
        read_expression(tmp_path / "folder")


def test_text_in_x_is_refused(tmp_path):
    file = store(tmp_path / "e.h5ad", VALUES)
    with h5py.File(file, "r+") as inside:
        del inside["X"]
        inside["X"] = np.array([[b"a", b"b", b"c"]] * 2)
    with pytest.raises(InputError, match=r"e\.h5ad"):
        read_expression(file)


@pytest.mark.real_data
def test_real_expression_is_read_whole(data):
    yeast = read_expression(data / "yeast" / "expression.h5ad")
    assert yeast.shape == (112, 6216)
    assert yeast.X.dtype == np.float32
    assert list(yeast.var.columns) == ["contig", "start", "end"]
    assert np.isfinite(yeast.X).all()
    alterations = read_features(data / "gdsc" / "alterations.h5ad")
    assert alterations.shape == (988, 677)
    assert set(np.unique(alterations.X)) == {0, 1}
    assert alterations.obs_names[0] == "683665"
