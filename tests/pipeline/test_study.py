"""A cohort made ready: blocks of channels, folds, covariates and targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from anndata import AnnData
from numpy.testing import assert_allclose, assert_array_equal

from genodl import simulate
from genodl.config import DiscoverConfig
from genodl.errors import InputError
from genodl.pipeline.study import Study, as_float, prepare
from genodl.values import MISSING, Cohort


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    made = simulate.cohort(
        seed=1, samples=203, variants=300, genes=30, contigs=("1", "2"), missing=0.03
    )
    return made.cohort


def prepared(cohort: Cohort, *phenotypes: str, covariates=(), **settings) -> Study:
    return prepare(
        cohort, phenotypes or ["response"], covariates, DiscoverConfig(**({"folds": 5} | settings))
    )


def test_missing_dosages_become_nan_and_the_rest_stay(cohort):
    variants = cohort.modalities["variants"]
    values = as_float(variants, slice(10, 60), variants=True)
    raw = np.asarray(variants.X[:, 10:60])
    assert values.dtype == np.float32
    assert (raw == MISSING).any()
    assert_array_equal(np.isnan(values), raw == MISSING)
    assert_array_equal(values[raw != MISSING], raw[raw != MISSING])


def test_minus_one_is_a_value_where_no_dosages_are_counted():
    change = AnnData(np.array([[-1, 0], [1, -1]], np.int8))
    assert_array_equal(as_float(change, np.array([1, 0]), variants=False), [[0, -1], [-1, 1]])


@pytest.mark.parametrize("modality", ["variants", "expression"])
@pytest.mark.parametrize("read", [1, 256, 300, 1 << 20])
def test_tiles_are_the_same_bytes_whatever_is_read_at_once(cohort, modality, read, monkeypatch):
    study = prepared(cohort)
    markers = study.cohort.modalities[modality].n_vars
    monkeypatch.setattr("genodl.pipeline.study.TILE", 128)
    tiles = list(study.blocks(modality))
    again = list(study.blocks(modality, size=read))
    assert [start for start, _, _ in again] == list(range(0, markers, 128))
    assert sum(width for _, width, _ in again) == markers
    assert len({c.values.shape for _, _, c in again}) == 1  # one shape: one program
    for (_, _, one), (_, _, other) in zip(tiles, again, strict=True):
        assert_array_equal(one.values, other.values)


def test_tiles_join_to_the_channels_of_all_markers(cohort, monkeypatch):
    study = prepared(cohort)
    markers = study.cohort.modalities["variants"].n_vars
    whole = study.channels("variants", np.arange(markers), size=markers)
    monkeypatch.setattr("genodl.pipeline.study.TILE", 128)
    parts = list(study.blocks("variants"))
    joined = np.concatenate([np.asarray(c.values)[:, :, :w] for _, w, c in parts], axis=2)
    assert_allclose(joined, whole.values, rtol=1e-3, atol=1e-5)


def test_channels_are_laid_as_the_phenotypes_are(cohort):
    study = prepared(cohort)
    ((_, width, channels),) = study.blocks("expression")
    level = study.cohort.modalities["expression"].X
    back = study.folded.gather(np.asarray(channels.values)[0, :, :width], 203)
    r = [np.corrcoef(back[:, j], level[:, j])[0, 1] for j in range(width)]
    assert_allclose(r, 1, atol=1e-4)
    y = study.folded.gather(study.targets[0].values, 203)
    assert_array_equal(y, cohort.samples["response"])


def test_targets_are_the_phenotypes_and_then_their_replicates_in_turn(cohort):
    study = prepared(cohort, "response", "response_binary", checks=3)
    assert [t.name for t in study.targets] == [
        *("response", "response_binary"),
        *("response", "response_binary", "response"),
    ]
    assert [t.null for t in study.targets] == [False, False, True, True, True]
    assert [t.kind for t in study.targets[:2]] == ["quantitative", "binary"]
    first, second = study.targets[2].values, study.targets[4].values
    assert not np.array_equal(first, second, equal_nan=True)


def test_the_design_is_an_intercept_the_covariates_and_the_components(cohort):
    study = prepared(cohort, covariates=["age", "site"], pcs=2)
    assert study.covariate_names[0] == "age"
    assert study.covariate_names[-2:] == ("PC1", "PC2")
    assert study.covariates.shape[1] == 1 + len(study.covariate_names) == 6
    assert_array_equal(study.covariates[:, 0], study.folded.present)
    age = study.folded.gather(study.covariates[:, 1], 203)
    assert np.corrcoef(age, cohort.samples["age"])[0, 1] == pytest.approx(1)
    assert_allclose(study.basis.T @ study.basis, np.eye(6), atol=1e-5)
    for target in study.targets:
        assert_allclose(study.basis.T @ target.marginal, 0, atol=1e-3)


def test_cases_are_spread_evenly_over_the_folds(cohort):
    study = prepared(cohort, "response_binary")
    target = study.targets[0]
    cases = [(target.values[study.folded.fold == k] == 1).sum() for k in range(5)]
    assert max(cases) - min(cases) <= 1


def test_folds_hang_on_the_seed_alone(cohort):
    rows = [prepared(cohort, *names, seed=s).folded.rows for names, s in
            [(("response",), 0), (("response",), 0), (("response",), 1)]]  # fmt: skip
    assert_array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])


def test_rare_markers_are_left_out_and_counted(cohort):
    study = prepared(cohort, maf=0.2)
    kept = study.cohort.modalities["variants"]
    dosage = as_float(kept, slice(None), variants=True)
    frequency = np.nanmean(dosage, axis=0) / 2
    assert np.minimum(frequency, 1 - frequency).min() >= 0.2
    lost = sum(loss.count for loss in study.cohort.losses if loss.what == "markers")
    assert lost == 300 - kept.n_vars > 0


def test_a_group_must_be_a_column(cohort):
    with pytest.raises(InputError, match=r"^--group: no column 'home'.*use one of age"):
        prepared(cohort, group="home")


def test_too_few_known_values_for_the_folds_are_refused(cohort):
    y = cohort.samples["response"].where(np.arange(203) < 40)
    few = replace(cohort, samples=cohort.samples.assign(response=y))
    with pytest.raises(InputError, match=r"known in 40 samples, 10 folds need 50"):
        prepared(few, folds=10)
    assert prepared(few, folds=5).targets[0].known.sum() == 40
