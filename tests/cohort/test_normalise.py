"""Phenotypes and covariates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from genodl.cohort import covariates, phenotype
from genodl.errors import InputError
from genodl.io.tables import read_samples
from genodl.values import Loss


def table(**columns):
    """A sample table with ids s0, s1, ..."""
    length = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=[f"s{n}" for n in range(length)])


TEN = [0.0, 1.0] * 10
LABELS = ["b", "a", "c", None] * 5


def test_two_numbers_are_binary_with_the_lower_as_zero():
    found = phenotype(table(status=[2, 1] * 10 + [None]), "status")
    assert (found.kind, found.classes) == ("binary", ("1", "2"))
    np.testing.assert_array_equal(found.values, [1, 0] * 10 + [np.nan])


def test_numbers_are_quantitative_and_missing_ones_stay_missing():
    values = [*np.linspace(0, 1, 25), None]
    found = phenotype(table(dose=values), "dose")
    assert (found.kind, found.classes) == ("quantitative", ())
    np.testing.assert_array_equal(found.values[:-1], values[:-1])
    assert found.observed.tolist() == [True] * 25 + [False]


def test_two_numbers_may_be_asked_for_as_quantitative():
    found = phenotype(table(dose=[3.5, 7] * 10), "dose", kind="quantitative")
    np.testing.assert_array_equal(found.values, [3.5, 7] * 10)


@pytest.mark.parametrize(
    "values", [["no", "yes"] * 10, [False, True] * 10, [False, True, None] * 10]
)
def test_two_labels_are_binary_in_sorted_order(values):
    found = phenotype(table(case=values), "case")
    assert found.kind == "binary"
    assert found.classes == tuple(sorted({str(v) for v in values if v is not None}))
    np.testing.assert_array_equal(found.values[:2], [0, 1])
    assert np.isnan(found.values[2]) == (values[2] is None)


def test_more_labels_are_multiclass_where_each_is_frequent():
    found = phenotype(table(colour=LABELS * 4), "colour")
    assert (found.kind, found.classes, found.rare) == ("multiclass", ("a", "b", "c"), ())
    np.testing.assert_array_equal(found.values[:4], [1, 0, 2, np.nan])


def test_samples_of_rare_classes_are_known_and_in_no_class_of_their_own():
    column = ["b"] * 20 + ["rare"] * 7 + ["a"] * 30 + [None] * 3 + ["scarce"]
    found = phenotype(table(colour=column), "colour")
    assert (found.classes, found.rare) == (("a", "b"), ("rare", "scarce"))
    np.testing.assert_array_equal(found.values, [1] * 20 + [2] * 7 + [0] * 30 + [np.nan] * 3 + [2])
    assert phenotype(table(colour=column), "colour", min_class=7).classes == ("a", "b", "rare")


def test_two_classes_are_binary_whatever_was_asked():
    found = phenotype(table(case=["no", "yes"] * 10), "case", kind="multiclass")
    assert (found.kind, found.classes) == ("binary", ("no", "yes"))


def test_classes_asked_for_may_be_numbers_or_numbers_and_letters():
    numbers = phenotype(table(grade=[10, 2, 3] * 20), "grade", kind="multiclass")
    assert numbers.classes == ("2", "3", "10")
    np.testing.assert_array_equal(numbers.values[:3], [2, 0, 1])
    mixed = phenotype(table(site=["1", "2", "X"] * 20), "site", kind="multiclass")
    assert mixed.classes == ("1", "2", "X")


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ([1.0] * 20, "auto", "constant, every sample has '1'"),
        (["yes", None] * 20, "auto", "constant, every sample has 'yes'"),
        (["a"] * 17 + ["b"] * 16 + ["c"], "auto", "text where numbers belong: sample 's0' has 'a'"),
        (["a"] * 17 + ["b"] * 16 + ["c"], "auto", "'c' in 1 sample(s)"),
        (["a"] * 17 + ["b"] * 16, "quantitative", "text where numbers belong"),
        ([*map(str, range(30)), "low"], "auto", "sample 's30' has 'low' (1 such of 31)"),
        ([*range(30), "1,5"], "auto", "text among numbers: sample 's30' has '1,5'"),
        ([*map(float, range(30)), np.inf], "auto", "infinite in 1 sample(s), such as 's30'"),
        ([*range(19), None, None], "auto", "19 samples have a value, fewer than 20"),
        ([0] * 30 + [1] * 4, "auto", "class '1' has 4 sample(s), fewer than 5"),
        (["a"] * 4 + ["b"] * 40, "auto", "class 'a' has 4 sample(s), fewer than 5"),
        (["a", "b", "b"] * 12 + ["c"], "multiclass", "1 of 3 classes has 20 samples or more"),
        (["a", "b", "b"] * 12 + ["c"], "multiclass", "class 'c' has 1"),
        (
            ["a"] * 30 + ["b"] * 30 + [*map(str, "cdefghijklmnopqrstuvwxyzCDEFGHIJ")],
            "auto",
            "text where numbers belong",
        ),
        ([0, 1, 2] * 10, "binary", "3 distinct values, 2 expected"),
        (TEN, "survival", "one column cannot be read as 'survival'"),
    ],
)
def test_an_unfit_phenotype_is_refused_in_one_line(values, kind, message):
    with pytest.raises(InputError) as fault:
        phenotype(table(trait=values), "trait", kind=kind)
    assert message in str(fault.value)
    assert str(fault.value).startswith("phenotype 'trait': ")
    assert "\n" not in str(fault.value)


def test_an_unknown_column_is_refused_with_the_nearest():
    samples = table(Dabrafenib=TEN, age=TEN)
    with pytest.raises(InputError, match=r"phenotype 'Dabrafinib'.*nearest are 'Dabrafenib'"):
        phenotype(samples, "Dabrafinib")
    with pytest.raises(InputError, match=r"covariate 'Age'.*nearest are 'age'"):
        covariates(samples, ["Age"])


def test_numbers_are_standardised_and_missing_ones_marked():
    samples = table(age=[1, 2, 3, None, 4, 5], sex=["f", "m", "f", "f", "m", "f"])
    design, columns, losses = covariates(samples, ["age"])
    assert columns == ["age", "age:missing"]
    np.testing.assert_allclose(design[:, 0], np.array([-2, -1, 0, 0, 1, 2]) / np.sqrt(2))
    np.testing.assert_array_equal(design[:, 1], [0, 0, 0, 1, 0, 0])
    assert losses == (Loss("samples", 1, "missing 'age' set to the mean and marked"),)


def test_text_is_coded_against_its_most_frequent_level():
    samples = table(site=["x", "y", "y", None, "x", "y"], smoker=[True, False] * 3)
    design, columns, losses = covariates(samples, ["site", "smoker"])
    assert columns == ["site=x", "site=missing", "smoker=True"]
    np.testing.assert_array_equal(
        design.T, [[1, 0, 0, 0, 1, 0], [0, 0, 0, 1, 0, 0], [1, 0, 1, 0, 1, 0]]
    )
    assert losses[0].count == 1


def test_a_constant_covariate_is_left_out_and_counted():
    samples = table(age=[1, 2, 3, 4], batch=[0.1] * 4, site=["x"] * 4)
    design, columns, losses = covariates(samples, ["age", "batch", "site"])
    assert columns == ["age"]
    assert design.shape == (4, 1)
    assert losses == (
        Loss("covariates", 1, "'batch' is constant, left out"),
        Loss("covariates", 1, "'site' is constant, left out"),
    )


def test_covariates_missing_together_share_one_indicator():
    samples = table(one=[1, None, 3, 5, 2, 7], two=[4, None, 2, 2, 1, 9], more=[1, 2, 3, 4, 5, 6])
    _, columns, losses = covariates(samples, ["one", "two"])
    assert columns == ["one", "one:missing", "two"]
    assert len(losses) == 2


def test_no_covariates_make_an_empty_design():
    design, columns, losses = covariates(table(age=TEN), [])
    assert (design.shape, columns, losses) == ((20, 0), [], ())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"age": [1.0, np.inf, 2, 3]}, "covariate 'age': infinite in 1 sample(s), such as 's1'"),
        ({"age": ["1", "2", "old", "3"]}, "sample 's2' has 'old'"),
        ({"id": ["a", "b", "c", "d"]}, "3 columns for 4 samples, 3 of them from 'id'"),
    ],
)
def test_unfit_covariates_are_refused(columns, message):
    with pytest.raises(InputError) as fault:
        covariates(table(**columns), list(columns))
    assert message in str(fault.value)


@pytest.mark.real_data
def test_the_columns_of_mice_and_cell_lines_are_understood(data):
    mice = read_samples(data / "mice" / "samples.tsv.gz")
    names = ["GENDER", "Age", "Litter", "CageDensity", "Biochem.Date.Season"]
    design, columns, losses = covariates(mice, names)
    assert columns == [
        "GENDER=F" if mice["GENDER"].value_counts()["F"] < 907 else "GENDER=M",
        *("Age", "Age:missing", "Litter", "CageDensity"),
        *(f"Biochem.Date.Season={season}" for season in ("spring", "autumn", "missing", "winter")),
    ]
    assert np.isfinite(design).all()
    assert np.linalg.matrix_rank(np.column_stack([np.ones(len(design)), design])) == 10
    assert {loss.count for loss in losses} == {81, 289}
    colour = phenotype(mice, "CoatColour")
    assert (colour.kind, len(colour.classes)) == ("multiclass", 8)
    assert colour.rare == ("DBA.grey",)
    assert phenotype(mice, "GENDER").classes == ("F", "M")
    assert phenotype(mice, "HDL").kind == "quantitative"
    cells = read_samples(data / "gdsc" / "samples.tsv.gz")
    assert covariates(cells, ["tissue_factor", "msi_factor"])[0].shape == (988, 27)
    drugs = [phenotype(cells, name).kind for name in cells.columns[2:]]
    assert set(drugs) == {"quantitative"}
