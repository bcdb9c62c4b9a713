"""p-values from permuted phenotypes."""

from __future__ import annotations

import pandas as pd
import pytest
from numpy.testing import assert_allclose

import genodl as gd
from genodl import simulate

QUICK = {"folds": 3, "members": 0, "pair_markers": 0, "seed": 5, "null": "permutation"}


@pytest.fixture(scope="module")
def found():
    made = simulate.cohort(
        seed=41, samples=200, variants=600, genes=0, markers={"additive": 3}, h2=0.5
    )
    covariates = ["age", "sex", "site"]
    return gd.discover(
        made.cohort, phenotype="response", covariates=covariates, checks=4, **QUICK
    ), made.truth


def test_p_values_are_shares_of_the_replicates(found):
    """Every p-value is a whole number over one more than the null markers of its class."""
    markers = found[0].markers
    assert markers["p_value"].min() >= 1 / (4 * 600 + 1)
    assert markers["p_value"].is_monotonic_increasing
    assert list(markers["rank"]) == list(range(1, 601))


def test_the_score_test_stands_beside_them(found):
    markers, loci = found[0].markers, found[0].loci
    assert list(markers.columns).index("p_score") > list(markers.columns).index("marginal_p")
    # both are calibrated here, so they agree where there are many null statistics
    middle = markers[markers["p_score"].between(0.05, 0.5)]
    assert (middle["p_value"] / middle["p_score"]).median() == pytest.approx(1, abs=0.2)
    alone = loci[loci["n_markers"] == 1].merge(
        markers, left_on="lead_marker", right_on="marker", suffixes=("", "_marker")
    )
    assert_allclose(alone["p_value"], alone["p_value_marker"], rtol=1e-6)
    assert_allclose(alone["q_value"], alone["q_value_marker"])


def test_planted_loci_are_at_the_floor(found):
    markers, truth = found[0].markers, found[1]
    planted = markers[markers["marker"].isin(truth["marker"])]
    assert (planted["p_value"] < 0.01).sum() >= 2


@pytest.mark.long
def test_each_phenotype_has_replicates_of_its_own():
    made = simulate.cohort(seed=42, samples=120, variants=150, genes=0, markers="none")
    table = made.cohort.samples.assign(other=made.cohort.samples["age"])
    cohort = gd.Cohort(made.cohort.modalities, table)
    result = gd.discover(cohort, phenotype=["response", "other"], checks=2, **QUICK)
    assert result.calibration["self_check"]["replicates"] == 4
    assert isinstance(result.markers, pd.DataFrame)
    assert (result.markers["p_value"] >= 1 / 301 * 0.999).all()


def test_no_replicates_give_no_null():
    with pytest.raises(gd.errors.InputError, match="checks"):
        gd.discover(None, phenotype="response", checks=0, **QUICK)
