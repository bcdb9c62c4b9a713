"""An attribution as a table and as a layer."""

from __future__ import annotations

import doctest

import jax.numpy as jnp
import numpy as np
import pytest
from anndata import AnnData
from numpy.testing import assert_allclose

from genodl.attribute import attribute, methods
from genodl.errors import InputError

WEIGHT = np.array([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]], np.float32)
X = np.ones((2, 3), np.float32)


def test_the_example_of_attribute_holds():
    assert doctest.testmod(methods).failed == 0
    assert doctest.testmod(methods).attempted == 5


def test_a_frame_has_a_row_for_each_sample_and_a_column_for_each_input():
    found = attribute(lambda z: z @ WEIGHT[:, 0], X, baseline=0.0)
    frame = found.to_frame(["a", "b", "c"], samples=["s", "t"])
    assert frame.loc["t"].to_dict() == pytest.approx({"a": 1, "b": 2, "c": 3})
    with pytest.raises(InputError, match="2 names for 3 inputs"):
        found.to_frame(["a", "b"])


def test_all_outputs_and_all_parts_have_columns_of_their_own():
    def predict(z):
        return jnp.concatenate([z["v"], z["e"]], axis=1) @ WEIGHT

    found = attribute(predict, {"v": X[:, :2], "e": X[:, :1]}, baseline=0.0)
    frame = found.to_frame({"v": ["a", "b"], "e": ["g"]})
    assert list(frame.columns) == ["g@0", "g@1", "a@0", "a@1", "b@0", "b@1"]
    assert frame.iloc[0].tolist() == pytest.approx([3, 6, 1, 4, 2, 5])


def test_a_layer_lies_on_a_copy_of_the_samples():
    like = AnnData(X)
    found = attribute(lambda z: z @ WEIGHT, X, baseline=0.0).to_anndata(like)
    assert_allclose(found.layers["attribution_1"], X * WEIGHT[:, 1], rtol=1e-5)
    assert_allclose(found.obs["attribution_prediction_0"], 6, rtol=1e-5)
    assert not like.layers
    with pytest.raises(InputError, match="AnnData is"):
        attribute(lambda z: z @ WEIGHT, X, baseline=0.0).to_anndata(AnnData(X[:, :2]))
