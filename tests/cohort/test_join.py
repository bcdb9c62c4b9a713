"""The join of modalities with the sample table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

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


def test_the_common_samples_stand_in_the_order_of_the_table():
    cohort = join({"a": modality("zyxw"), "b": modality("wyxv")}, table("uwxy"))
    assert list(cohort.samples.index) == ["w", "x", "y"]
    assert cohort.modalities["a"].X.ravel().tolist() == [3, 2, 1]
    assert cohort.modalities["b"].X.ravel().tolist() == [0, 2, 1]


def test_every_loss_is_counted_for_its_modality():
    cohort = join({"a": modality("zyxw"), "b": modality("uwxy")}, table("uwxy"))
    assert cohort.losses == (
        Loss("samples", 1, "in the sample table, not in a", "a"),
        Loss("samples", 1, "in a, not in the sample table", "a"),
    )


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


def test_modalities_that_share_samples_with_the_table_alone_are_refused():
    with pytest.raises(InputError, match=r"no sample is in all of \['a', 'b'\]"):
        join({"a": modality("xy"), "b": modality("zw")}, table("xyzw"))


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
    lost = {(loss.modality, loss.reason.partition(",")[0]): loss.count for loss in cohort.losses}
    assert lost == {
        ("expression", "in the sample table"): 29,
        ("expression", "in expression"): 8,
    }
    assert len(cohort.samples) == 959
    one = cohort.samples.index[500]
    np.testing.assert_array_equal(
        cohort.modalities["expression"][one].X, expression[expression.obs_names == one].X
    )
