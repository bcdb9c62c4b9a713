"""Two channels a marker: their values by hand, what they span, what they leave out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from genodl.screen.channels import STEPS, WINSOR, Channels, covariate_projection, encode, steps


def encoded(
    dosage: np.ndarray, *, present: np.ndarray | None = None, covariates: np.ndarray | None = None
) -> Channels:
    """Channels as numpy arrays; an intercept alone unless covariates are given."""
    rows = np.ones(len(dosage), np.float32) if present is None else present
    design = rows[:, None] if covariates is None else covariates
    dosage = np.asarray(dosage, np.float32).reshape(len(rows), -1)
    found = encode(dosage, rows, covariate_projection(design), WINSOR)
    return Channels(*map(np.asarray, found))


def genotypes(frequency: float, *, samples: int = 400, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).binomial(2, frequency, samples).astype(np.float32)


def test_a_dosage_of_half_heterozygotes_is_encoded_as_by_hand():
    found = encoded(np.tile([0, 1, 1, 2], 10))
    root = np.sqrt(2)  # mean 1, variance 1/2
    assert_allclose(found.values[0, :4, 0], [-root, 0, 0, root], atol=1e-6)
    assert_allclose(found.values[1, :4, 0], [1, -1, -1, 1], atol=1e-6)
    assert_allclose(found.scale, [np.sqrt(0.5)], rtol=1e-6)
    assert found.active.all()


@pytest.mark.parametrize("frequency", [0.2, 0.35, 0.5, 0.8])
def test_the_two_channels_span_the_heterozygote_indicator(frequency: float):
    dosage = genotypes(frequency)
    second = encoded(dosage).values[1, :, 0]
    heterozygote = (dosage == 1).astype(float)
    spanning = np.column_stack([np.ones(len(dosage)), dosage, second])
    left = heterozygote - spanning @ np.linalg.lstsq(spanning, heterozygote, rcond=None)[0]
    assert np.abs(left).max() < 1e-5


def test_both_channels_have_mean_zero_and_variance_one_and_are_orthogonal():
    values = encoded(np.column_stack([genotypes(f, seed=9) for f in (0.2, 0.5)])).values
    assert_allclose(values.mean(1), 0, atol=1e-6)
    assert_allclose(values.std(1), 1, rtol=1e-5)
    assert_allclose((values[0] * values[1]).mean(0), 0, atol=1e-5)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_marker_of_two_values_has_no_second_channel(share: float):
    haploid = (np.arange(400) < 400 * share).astype(np.float32)
    found = encoded(haploid)
    assert_array_equal(found.active[:, 0], [True, False])
    assert_array_equal(found.values[1], 0)


def test_a_constant_marker_has_no_channel():
    found = encoded(np.ones(100))
    assert not found.active.any()
    assert_array_equal(found.values, 0)


def test_a_u_shape_of_expression_is_seen_by_the_second_channel_alone():
    level = np.random.default_rng(1).standard_normal(500)
    values = encoded(level).values[:, :, 0]
    seen = [np.corrcoef(channel, level**2)[0, 1] for channel in values]
    assert seen[1] > 0.95
    assert abs(seen[0]) < 0.2


def test_an_outlier_of_expression_hides_a_u_shape_only_where_it_is_not_cut():
    level = np.random.default_rng(2).standard_normal(500)
    level[0] = 40.0
    one = np.ones((500, 1), np.float32)
    seen = []
    for clip in (WINSOR, 1e3):
        found = encode(
            level[:, None].astype(np.float32), one[:, 0], covariate_projection(one), clip
        )
        second = np.asarray(found.values)[1, 1:, 0]
        seen.append(np.corrcoef(second, level[1:] ** 2)[0, 1])
    assert seen[0] > 0.6
    assert seen[1] < 0.3


def test_channels_are_orthogonal_to_the_covariates():
    rng = np.random.default_rng(3)
    covariates = np.column_stack([np.ones(300), rng.standard_normal((300, 3))])
    dosage = rng.binomial(2, 0.4, (300, 5)) + covariates[:, [1]]
    values = encoded(dosage, covariates=covariates).values.astype(float)
    assert_allclose(np.einsum("nk,cnm->ckm", covariates, values) / 300, 0, atol=1e-5)


def test_a_marker_that_the_covariates_tell_has_no_channel():
    covariates = np.column_stack([np.ones(200), genotypes(0.5, samples=200)])
    assert not encoded(covariates[:, 1], covariates=covariates).active[0, 0]


def test_a_missing_value_counts_as_the_mean_of_the_known():
    dosage = genotypes(0.4)
    holes = np.arange(400) % 7 == 0
    filled = np.where(holes, dosage[~holes].mean(), dosage)
    found, expected = encoded(np.where(holes, np.nan, dosage)), encoded(filled)
    assert_allclose(found.values, expected.values, atol=1e-5)
    assert_allclose(found.scale, expected.scale, rtol=1e-6)
    assert_allclose(found.values[0, holes], 0, atol=1e-6)


def test_padding_rows_are_zero_and_change_nothing():
    dosage = genotypes(0.3, samples=100)
    present = np.r_[np.ones(100), np.zeros(20)].astype(np.float32)
    found = encoded(np.r_[dosage, np.full(20, 2.0)], present=present)
    assert_array_equal(found.values[:, 100:], 0)
    assert_allclose(found.values[:, :100], encoded(dosage).values, atol=1e-5)
    assert_allclose(found.scale, encoded(dosage).scale, rtol=1e-6)


def test_a_second_channel_carried_by_few_homozygotes_is_inactive():
    rare = np.r_[np.zeros(470), np.ones(28), [2, 2]]
    assert_array_equal(encoded(rare).active[:, 0], [True, False])
    common = np.r_[np.zeros(300), np.ones(160), np.full(40, 2)]
    assert_array_equal(encoded(common).active[:, 0], [True, True])


def test_covariates_that_repeat_others_are_left_out_of_the_basis():
    rng = np.random.default_rng(4)
    covariates = np.column_stack([np.ones(50), rng.standard_normal((50, 2))])
    repeated = np.column_stack([covariates, covariates[:, 1] - 3 * covariates[:, 0]])
    basis = covariate_projection(repeated).astype(float)
    assert basis.shape == (50, 3)
    assert_allclose(basis.T @ basis, np.eye(3), atol=1e-6)
    assert_allclose(basis @ (basis.T @ repeated), repeated, atol=1e-5)


def cut(values: np.ndarray, level: int, *, covariates: np.ndarray | None = None) -> np.ndarray:
    """One column cut at a quantile."""
    design = np.ones((len(values), 1)) if covariates is None else covariates
    present = np.ones(len(values), np.float32)
    column = np.asarray(values, np.float32)[:, None]
    return steps(column, present, covariate_projection(design), np.array([level]))[:, 0]


def test_a_step_tells_the_samples_above_its_quantile():
    assert STEPS[15] == 0.8
    # two of ten are above: mean 0.2, standard deviation 0.4
    assert_allclose(cut(np.arange(10.0), 15), [-0.5] * 8 + [2.0] * 2, rtol=1e-5)


def test_a_variant_is_cut_between_its_dosages_whatever_its_frequency():
    dosage = np.array([0, 0, 0, 0, 0, 0, 1, 1, 2, np.nan], np.float32)[:, None]
    columns, present = np.repeat(dosage, 3, axis=1), np.ones(10, np.float32)
    basis = covariate_projection(np.ones((10, 1)))
    dominant, recessive, between = steps(columns, present, basis, np.arange(3), variants=True).T
    assert_array_equal(np.sign(dominant[:9]), [-1] * 6 + [1] * 3)
    assert_array_equal(np.sign(recessive[:9]), [-1] * 8 + [1])
    assert_array_equal(np.sign(between[:9]), [-1] * 6 + [1, 1, -1])
    assert_allclose([dominant[9], recessive[9], between[9]], 0, atol=1e-6)


def test_steps_are_the_same_of_any_rising_function_of_the_input():
    values = np.random.default_rng(10).standard_normal(200)
    for level in range(len(STEPS)):
        assert_array_equal(cut(values, level), cut(np.exp(values), level))


def test_a_step_that_nearly_all_samples_are_below_of_is_nothing():
    mutated = (np.arange(100) < 2).astype(float)
    for level in range(len(STEPS)):
        assert_array_equal(cut(mutated, level), 0)


def test_a_missing_input_takes_the_mean_of_its_step():
    values = np.arange(10.0)
    values[4] = np.nan
    found = cut(values, 9)
    assert found[4] == pytest.approx(0, abs=1e-6)
    assert_allclose(found[[0, 9]], [found.min(), found.max()])


def test_steps_are_free_of_the_covariates():
    rng = np.random.default_rng(11)
    covariates = np.column_stack([np.ones(300), rng.standard_normal(300)])
    found = cut(covariates[:, 1] + rng.standard_normal(300), 9, covariates=covariates)
    assert_allclose(covariates.T @ found, 0, atol=1e-3)
