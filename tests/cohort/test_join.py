"""The join of modalities with the sample table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csc_matrix, csr_matrix, issparse

from genodl.cohort import join
from genodl.errors import InputError
from genodl.io.expression import read_expression, read_features
from genodl.io.tables import read_samples
from genodl.values import Loss


def modality(samples):
    """One marker whose value is the number in the sample's row."""
    values = np.arange(len(samples), dtype=np.float32)[:, None]
    return AnnData(values, obs=pd.DataFrame(index=list(samples)), var=pd.DataFrame(index=["m"]))


def table(samples):
    """A sample table without columns."""
    return pd.DataFrame(index=list(samples))


def test_samples_of_any_modality_stand_in_the_order_of_the_table():
    cohort = join({"a": modality("zyxw"), "b": modality("wyxv")}, table("uwvxy"))
    assert list(cohort.samples.index) == ["w", "v", "x", "y"]
    np.testing.assert_array_equal(cohort.modalities["a"].X.ravel(), [3, np.nan, 2, 1])
    np.testing.assert_array_equal(cohort.modalities["b"].X.ravel(), [0, 3, 2, 1])


def test_every_loss_is_counted_where_it_arises():
    cohort = join({"a": modality("zyxw"), "b": modality("uwxy")}, table("tuwxy"))
    assert cohort.losses == (
        Loss("samples", 1, "in the sample table, in no modality"),
        Loss("samples", 1, "in a, not in the sample table", "a"),
        Loss("samples", 1, "kept without a: its markers count as missing there", "a"),
    )


def test_a_row_of_missing_values_counts_like_no_row():
    empty = modality("xyz")
    empty.X[1] = np.nan
    cohort = join({"a": empty, "b": modality("wxyz")}, table("wxyz"))
    assert [(loss.modality, loss.count) for loss in cohort.losses] == [("a", 2)]
    dosage = AnnData(np.full((2, 3), -1, np.int8), obs=pd.DataFrame(index=["x", "y"]))
    assert [loss.count for loss in join({"variants": dosage}, table("xy")).losses] == [2]
    # the same numbers are values in another modality
    assert join({"change": dosage}, table("xy")).losses == ()


@pytest.mark.parametrize(
    ("name", "given", "dtype", "fill"),
    [
        ("variants", np.int8, np.int8, -1),
        ("variants", np.float32, np.float32, np.nan),
        ("alterations", np.int8, np.float32, np.nan),
        ("alterations", bool, np.float32, np.nan),
        ("counts", np.int64, np.float32, np.nan),
        ("expression", np.float64, np.float64, np.nan),
    ],
)
@pytest.mark.parametrize("store", [np.asarray, np.asfortranarray, csr_matrix, csc_matrix])
def test_an_absent_sample_is_a_row_of_what_means_missing(name, given, dtype, fill, store):
    values = np.array([[0, 1, 1], [1, 0, 0]]).astype(given)
    part = AnnData(store(values), obs=pd.DataFrame(index=["y", "x"]))
    found = join({name: part, "all": modality("xwy")}, table("xwy")).modalities[name].X
    assert issparse(found) == issparse(part.X)
    assert found.dtype == dtype
    expected = np.array([values[1], [fill] * 3, values[0]], dtype=dtype)
    np.testing.assert_array_equal(found.toarray() if issparse(found) else found, expected)
    whole = join({name: part}, table("xy")).modalities[name].X
    assert whole.dtype == given


def test_annotations_of_a_padded_modality_stay_and_can_be_written(tmp_path):
    obs = pd.DataFrame({"age": [1, 2], "case": [True, False], "site": ["a", "b"]}, index=["y", "x"])
    part = AnnData(
        np.ones((2, 1), np.float32), obs=obs, var=pd.DataFrame({"pos": [7]}, index=["m"])
    )
    part.uns["unit"] = "log"
    found = join({"a": part, "b": modality("xwy")}, table("xwy")).modalities["a"]
    assert found.obs["age"].fillna(-1).tolist() == [2, -1, 1]
    assert found.obs["case"].isna().tolist() == [False, True, False]
    assert (found.uns["unit"], found.var["pos"].tolist()) == ("log", [7])
    found.write_h5ad(tmp_path / "a.h5ad")


def test_numbers_as_ids_match_the_same_text():
    samples = pd.DataFrame({"age": [1, 2]}, index=[683665, 683667])
    cohort = join({"a": modality(["683667", "683665"])}, samples)
    assert list(cohort.samples.index) == ["683665", "683667"]
    assert cohort.modalities["a"].X.ravel().tolist() == [1, 0]


@pytest.mark.parametrize(
    ("left", "right", "change"),
    [
        (["p1", "p2", "p3", "p4"], ["1", "2", "9"], "when the prefix 'p' is removed from rna"),
        (["1", "2"], ["id_1", "id_2"], "when the prefix 'id_' is removed from the sample table"),
        (["x-01A", "y-01A", "z-02"], ["x", "y"], "when the suffix '-01A' is removed from rna"),
        (["Ab", "Cd"], ["AB", "CD"], "when upper and lower case are taken as the same"),
        (["S_AB", "S_CD"], ["ab", "cd"], "prefix 's_' is removed from rna and upper and lower"),
        ([" a", "b "], ["a", "b"], "when spaces at their ends are removed"),
        (["f_f", "g_g"], ["f", "g"], "when an id written twice"),
        (["007", "008"], ["7", "8"], "when numbers are written alike"),
        (["7.0", "8.0"], ["7", "8"], "when numbers are written alike"),
        (["HT.29", "A.1"], ["HT-29", "A-1"], "when '-', '.', '_' and spaces"),
    ],
)
def test_no_common_sample_shows_both_sides_and_the_change_that_mends_it(left, right, change):
    with pytest.raises(InputError) as fault:
        join({"rna": modality(left)}, table(right))
    message = str(fault.value)
    assert change in message
    assert all(repr(name.strip())[1:-1] in message for name in (*left[:3], *right[:3]))
    assert "\n" not in message


def test_no_common_sample_without_a_pattern_claims_none():
    with pytest.raises(InputError) as fault:
        join({"rna": modality(["u1", "v2", "w3", "x4"])}, table(["k", "l", "m"]))
    assert str(fault.value) == (
        "joining rna with the sample table: no sample in common: rna has 'u1', 'v2', 'w3', ..., "
        "the sample table has 'k', 'l', 'm'; make the ids the same in both"
    )


def test_modalities_without_a_common_sample_are_joined_and_each_must_meet_the_table():
    cohort = join({"a": modality("xy"), "b": modality("zw")}, table("xyzw"))
    assert list(cohort.samples.index) == list("xyzw")
    assert [(loss.modality, loss.count) for loss in cohort.losses] == [("a", 2), ("b", 2)]
    with pytest.raises(InputError, match="joining b with the sample table: no sample in common"):
        join({"a": modality("xy"), "b": modality("uv")}, table("xyzw"))


def test_repeated_ids_are_refused_by_name():
    with pytest.raises(InputError, match=r"the sample table: 1 sample.* more than once: 'x'"):
        join({"a": modality("xy")}, table("xyx"))


@pytest.mark.real_data
def test_cell_lines_join_on_their_cosmic_ids(data):
    folder = data / "gdsc"
    alterations = read_features(folder / "alterations.h5ad")
    expression = read_expression(folder / "expression.h5ad")
    cohort = join(
        {"alterations": alterations, "expression": expression},
        read_samples(folder / "samples.tsv.gz"),
    )
    without = "kept without expression: its markers count as missing there"
    assert cohort.losses == (
        Loss("samples", 8, "in expression, not in the sample table", "expression"),
        Loss("samples", 29, without, "expression"),
    )
    known = ~np.isnan(cohort.modalities["expression"].X).all(axis=1)
    assert (len(cohort.samples), known.sum()) == (988, 959)
    assert cohort.modalities["alterations"].n_obs == 988
    assert not np.isnan(cohort.modalities["alterations"].X).any()
    one = cohort.samples.index[known][500]
    np.testing.assert_array_equal(
        cohort.modalities["expression"][one].X, expression[expression.obs_names == one].X
    )
