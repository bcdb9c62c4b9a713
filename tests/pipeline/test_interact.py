"""Products of two markers, found in the training folds and attributed to both."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from numpy.testing import assert_allclose, assert_array_equal

from genodl.config import DiscoverConfig
from genodl.pipeline.interact import interact, panel
from genodl.pipeline.learn import Linear, Part
from genodl.pipeline.study import Study, prepare
from genodl.values import Cohort

SAMPLES = 400
CONFIG = DiscoverConfig(folds=5, checks=0, members=0)
RNG = np.random.default_rng(0)
DOSAGE = RNG.binomial(2, 0.5, (SAMPLES, 60)).astype(np.int8)
LEVEL = RNG.standard_normal((SAMPLES, 20)).astype(np.float32)
NOISE = RNG.standard_normal(SAMPLES)


def study_of(y: np.ndarray) -> Study:
    samples = pd.DataFrame({"response": y}, index=[f"S{i}" for i in range(SAMPLES)])
    obs = samples[[]]
    # the last ten variants are twins of the first ten, beside them
    dosage = np.concatenate([DOSAGE, DOSAGE[:, :10]], axis=1)
    pos = 5_000_000 * np.r_[np.arange(1, 61), np.arange(1, 11)]
    pos[60:] += 100
    var = pd.DataFrame({"contig": "1", "pos": pos}, index=[f"v{i}" for i in range(70)])
    genes = pd.DataFrame(index=[f"g{i}" for i in range(20)])
    modalities = {
        "variants": AnnData(dosage, obs=obs.copy(), var=var),
        "expression": AnnData(LEVEL, obs=obs.copy(), var=genes),
    }
    return prepare(Cohort(modalities, samples), ["response"], [], CONFIG)


def found_in(study: Study, config: DiscoverConfig = CONFIG) -> Part:
    """What products add to a sparse path that selects nothing."""
    places = len(study.folded.fold)
    nothing = np.zeros((places, 5), np.float32)
    linear = Linear(np.zeros(0, int), np.zeros((5, 0)), nothing, nothing)
    return interact(study, panel(study, config), linear, 0, config)


@pytest.fixture(scope="module")
def study() -> Study:
    return study_of(1.5 * (DOSAGE[:, 20] - 1) * (DOSAGE[:, 45] - 1) + NOISE)


@pytest.fixture(scope="module")
def found(study: Study) -> Part:
    return found_in(study)


def test_the_panel_holds_one_of_each_pair_of_twins_and_every_gene(study):
    scanned = panel(study, CONFIG)
    variants = scanned.column[scanned.modality == "variants"]
    assert len(variants) == 60
    assert len(set(variants % 60)) == 60
    assert_array_equal(scanned.column[scanned.modality == "expression"], np.arange(20))
    assert scanned.values.shape == (len(study.folded.fold), 80)
    assert scanned.markers == 80
    back = study.folded.gather(scanned.values, SAMPLES)
    assert abs(np.corrcoef(back[:, 79], LEVEL[:, 19])[0, 1]) == pytest.approx(1, abs=1e-5)


def test_a_panel_too_large_is_thinned_without_the_phenotype(study):
    few = DiscoverConfig(folds=5, checks=0, pair_markers=24)
    small, large = panel(study, few), panel(study, CONFIG)
    assert 16 < small.markers <= 24
    assert set(small.modality) == {"variants", "expression"}
    whole = {large.key(c): large.values[:, c] for c in range(large.markers)}
    for column in range(small.markers):
        assert_array_equal(small.values[:, column], whole[small.key(column)])


def test_a_planted_product_predicts_the_samples_held_out(study, found):
    y = study.folded.gather(study.targets[0].values, SAMPLES)
    predicted = study.folded.gather(found.prediction, SAMPLES)
    product = (DOSAGE[:, 20] - 1.0) * (DOSAGE[:, 45] - 1.0)
    assert np.corrcoef(predicted, product)[0, 1] > 0.95
    assert np.corrcoef(predicted, y)[0, 1] > 0.5
    assert found.inner.any(axis=0).all()


def test_a_product_is_attributed_to_its_two_markers_in_equal_shares(study, found):
    assert list(found.attribution) == ["variants"]
    part = found.attribution["variants"]
    assert part.values.shape[1] == 2
    assert_allclose(part.values[:, 0], part.values[:, 1])
    assert_allclose(part.values.sum(1), found.prediction, atol=1e-5)
    proxies = study.folded.gather(part.proxies, SAMPLES)
    for column, marker in enumerate((20, 45)):
        r = np.corrcoef(proxies[:, column], DOSAGE[:, marker])[0, 1]
        assert abs(r) == pytest.approx(1, abs=1e-4)


def test_a_product_of_a_variant_and_a_gene_is_attributed_to_both_modalities():
    found = found_in(study_of((DOSAGE[:, 7] - 1) * LEVEL[:, 3] + NOISE))
    assert list(found.attribution) == ["variants", "expression"]
    assert_allclose(
        found.attribution["variants"].values, found.attribution["expression"].values, atol=1e-6
    )


def test_the_phenotypes_held_out_do_not_touch_what_is_said_of_them(study, found):
    rows = study.folded.rows[2]
    y = study.folded.gather(study.targets[0].values, SAMPLES)
    held = rows[rows >= 0]
    y[held] = np.random.default_rng(1).permutation(y[held])  # the mean stays
    other = found_in(study_of(y))
    here = study.folded.fold == 2
    assert found.prediction[here].any()
    assert_allclose(found.prediction[here], other.prediction[here], atol=1e-4)
    assert np.abs(found.prediction[~here] - other.prediction[~here]).max() > 1e-3


@pytest.mark.parametrize("additive", [0.0, 1.0])
def test_noise_and_additive_effects_seldom_yield_a_product(additive: float):
    rng = np.random.default_rng(3)
    used = []
    for _ in range(8):
        study = study_of(additive * DOSAGE[:, 5] + rng.standard_normal(SAMPLES))
        found = found_in(study)
        used += [found.prediction[study.folded.fold == k].any() for k in range(5)]
    assert np.mean(used) <= 0.2


def test_nothing_is_scanned_where_no_markers_are_asked_for(study):
    found = found_in(study, DiscoverConfig(folds=5, checks=0, pair_markers=0))
    assert not found.attribution
    assert_array_equal(found.prediction, 0)
    assert_array_equal(found.inner, 0)
