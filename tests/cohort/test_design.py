"""Covariates of new samples in the columns of an earlier design."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from genodl.cohort.design import columns_of, design_of
from genodl.cohort.normalise import covariates
from genodl.errors import InputError

TABLE = pd.DataFrame(
    {
        "age": [30.0, 40.0, np.nan, 50.0, 60.0, 20.0] * 2,
        "site": ["n", "n", "s", None, "s", "n"] * 2,
        "dose": [1, 2, 3, 4, 5, 6] * 2,
    },
    index=list("abcdefghijkl"),
)
NAMES = ["age", "site", "dose"]


def test_the_same_samples_have_the_same_design():
    made, names, _ = covariates(TABLE, NAMES)
    columns = columns_of(TABLE, NAMES, names)
    found, losses = design_of(TABLE, columns)
    np.testing.assert_allclose(found, made)
    assert [(loss.count, loss.reason) for loss in losses] == [(2, "missing 'age' set to the mean")]


def test_one_new_sample_by_hand():
    _, names, _ = covariates(TABLE, NAMES)
    columns = columns_of(TABLE, NAMES, names)
    assert [c.name for c in columns] == ["age", "age:missing", "site=s", "site=missing", "dose"]
    new = pd.DataFrame({"dose": [3.5], "site": ["west"], "age": [54.0]}, index=["x"])
    found, losses = design_of(new, columns)
    np.testing.assert_allclose(found, [[14 / np.sqrt(200), 0, 0, 0, 0]])
    assert [loss.reason for loss in losses] == [
        "unknown level of 'site' taken as the most frequent one"
    ]


def test_what_is_wrong_is_said():
    _, names, _ = covariates(TABLE, NAMES)
    columns = columns_of(TABLE, NAMES, names)
    with pytest.raises(InputError, match="no column 'dose'"):
        design_of(TABLE.drop(columns="dose"), columns)
    with pytest.raises(InputError, match="holds text"):
        design_of(TABLE.assign(age="old"), columns)
