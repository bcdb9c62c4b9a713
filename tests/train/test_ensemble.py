"""Ensembles find what is planted, stay silent on noise, and come out the same every way."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from genodl.errors import InputError
from genodl.models import MODELS
from genodl.models.tabular import LinearConfig
from genodl.train import TrainConfig, chunks, fit_ensemble, gate, predict, predict_fn

LONG = pytest.mark.long
NOISE, PRODUCTS, DOMINANCE = slice(0, 10), slice(10, 12), slice(12, 14)
SHORT = TrainConfig(rounds=6, steps=3, warmup=2, patience=2)


def planted(seed, samples=1200, inputs=32):
    """Tasks of noise, of two products, and of four heterozygote effects; a tenth is held out."""
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(0.1, 0.5, (14, 1, inputs))
    dosage = rng.binomial(2, np.broadcast_to(frequency, (14, samples, inputs)))
    x = (dosage - dosage.mean(axis=1, keepdims=True)) / dosage.std(axis=1, keepdims=True)
    signal = np.zeros((14, samples))
    signal[PRODUCTS] = (
        x[PRODUCTS, :, 3] * x[PRODUCTS, :, 9] + x[PRODUCTS, :, 20] * x[PRODUCTS, :, 7]
    )
    signal[DOMINANCE] = (dosage[DOMINANCE][:, :, [1, 8, 15, 30]] == 1).sum(axis=-1)
    signal[PRODUCTS.start :] -= signal[PRODUCTS.start :].mean(axis=1, keepdims=True)
    signal[PRODUCTS.start :] /= signal[PRODUCTS.start :].std(axis=1, keepdims=True)
    y = np.sqrt(0.3) * signal + np.sqrt(0.7) * rng.standard_normal(signal.shape)
    weight = np.ones(signal.shape, "f4")
    weight[:, ::10] = 0
    return x.astype("f4"), y.astype("f4"), weight, signal


@pytest.fixture(scope="module")
def found():
    x, y, weight, signal = planted(seed=20261)
    return fit_ensemble("mlp", {}, x, y, weight, members=5, seed=7), x, y, weight, signal


@pytest.fixture
def small():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((3, 60, 5)).astype("f4")
    y = (x[:, :, 0] + 0.1 * rng.standard_normal((3, 60))).astype("f4")
    weight = (rng.random((3, 60)) > 0.1).astype("f4")
    return x, y, weight


def test_products_and_dominance_pass_the_gate(found):
    assert (found[0].gate[PRODUCTS] > 0).all()
    assert (found[0].gate[DOMINANCE] > 0).all()


def test_held_out_predictions_follow_the_planted_signal(found):
    ensemble, x, _, weight, signal = found
    prediction = predict(ensemble, x)
    for task in range(PRODUCTS.start, DOMINANCE.stop):
        out = weight[task] == 0
        assert np.corrcoef(prediction[task, out], signal[task, out])[0, 1] > 0.5


def test_noise_is_gated_to_zero(found):
    assert (found[0].gate[NOISE] == 0).sum() >= 9


def test_out_of_bag_predictions_cover_the_weighted_rows_alone(found):
    ensemble, _, _, weight, _ = found
    assert_array_equal(np.isfinite(ensemble.out_of_bag), weight > 0)


def test_one_task_predicts_as_all_do_and_has_finite_gradients(found):
    ensemble, x, *_ = found
    one = predict_fn(ensemble, 11)
    assert_allclose(one(x[11, :50]), predict(ensemble, x, batch=500)[11, :50], rtol=1e-4, atol=1e-5)
    gradient = jax.grad(lambda z: one(z).sum())(x[11, :5])
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0
    mapped = jax.vmap(ensemble.apply)(ensemble.params, x[:, :50])
    assert_allclose(mapped[11], one(x[11, :50]), rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_ensemble(small):
    one, same, other = (
        fit_ensemble("mlp", {"hidden": (4,)}, *small, members=3, seed=s, config=SHORT)
        for s in (1, 1, 2)
    )
    assert_array_equal(one.out_of_bag, same.out_of_bag)
    assert_array_equal(predict(one, small[0]), predict(same, small[0]))
    assert not np.array_equal(predict(one, small[0]), predict(other, small[0]))


def test_chunks_of_tasks_give_what_all_tasks_at_once_give(small):
    whole = fit_ensemble("linear", {}, *small, members=2, seed=1, config=SHORT)
    chunked = fit_ensemble("linear", {}, *small, members=2, seed=1, config=replace(SHORT, memory=1))
    assert_allclose(whole.out_of_bag, chunked.out_of_bag, rtol=1e-4, atol=1e-5)
    assert_allclose(whole.losses, chunked.losses, rtol=1e-4, atol=1e-5)


def test_rows_that_no_member_stops_by_need_no_prediction(small, monkeypatch):
    validated = np.arange(60)[None] % 4 == np.arange(3)[:, None]
    given = {"members": 2, "seed": 1, "config": SHORT, "validated": validated}
    few = fit_ensemble("mlp", {"hidden": (4,)}, *small, **given)
    monkeypatch.setattr(chunks, "WORTH_A_COPY", 0.0)  # so that all rows are predicted
    every = fit_ensemble("mlp", {"hidden": (4,)}, *small, **given)
    assert np.isfinite(few.out_of_bag).sum() == (validated & (small[2] > 0)).sum()
    assert_allclose(few.out_of_bag, every.out_of_bag, rtol=1e-4, atol=1e-5)
    assert_allclose(few.losses, every.losses, rtol=1e-4, atol=1e-5)
    assert_allclose(predict(few, small[0]), predict(every, small[0]), rtol=1e-4, atol=1e-5)


def test_each_member_need_predict_only_what_it_holds_out(small, monkeypatch):
    given = {"members": 5, "seed": 1, "config": SHORT}
    advance, rows = chunks.advance, []

    def seen(job, *state, **what):
        rows.append(job.stop_by)
        return advance(job, *state, **what)

    monkeypatch.setattr(chunks, "advance", seen)
    own = fit_ensemble("mlp", {"hidden": (4,)}, *small, **given)
    monkeypatch.setattr(chunks, "OF_MEMORY", 0.0)  # so that all rows are predicted
    every = fit_ensemble("mlp", {"hidden": (4,)}, *small, **given)
    assert rows[0].shape[:2] == (3, 5)
    assert rows[-1] is None
    assert_array_equal(np.isfinite(own.out_of_bag), small[2] > 0)
    assert_allclose(own.out_of_bag, every.out_of_bag, rtol=1e-4, atol=1e-5)
    assert_allclose(own.losses, every.losses, rtol=1e-4, atol=1e-5)
    assert_allclose(predict(own, small[0]), predict(every, small[0]), rtol=1e-4, atol=1e-5)


def test_tasks_that_still_learn_go_on_alone(monkeypatch):
    rng = np.random.default_rng(84)
    x = rng.standard_normal((4, 120, 3)).astype(np.float32)
    y = rng.standard_normal((4, 120)).astype(np.float32)
    y[2] = 3 * x[2, :, 0] + 0.1 * y[2]
    config = TrainConfig(rounds=24, warmup=1, patience=2, learning_rate=0.02)
    advance, sizes = chunks.advance, []

    def seen(job, *state, **what):
        sizes.append(len(job.x))
        return advance(job, *state, **what)

    monkeypatch.setattr(chunks, "advance", seen)
    given = {"members": 2, "seed": 3, "config": config}
    whole = fit_ensemble("mlp", {"hidden": (4,)}, x, y, np.ones_like(y), **given)
    assert {*sizes} == {4}
    monkeypatch.setattr(chunks, "WORTH_A_PROGRAM", 0)
    few = fit_ensemble("mlp", {"hidden": (4,)}, x, y, np.ones_like(y), **given)
    assert sizes[-1] == 1
    assert_allclose(few.out_of_bag, whole.out_of_bag, rtol=1e-5, atol=1e-6)
    assert_allclose(few.losses, whole.losses, rtol=1e-5)
    assert_allclose(predict(few, x), predict(whole, x), rtol=1e-5, atol=1e-6)


def test_a_shape_compiles_once(small, monkeypatch):
    traced = []

    class Counted(nnx.Module):
        def __init__(self, config, inputs, outputs, *, rngs):
            self.out = nnx.Linear(inputs, outputs, rngs=rngs)

        def __call__(self, x, key=None):
            traced.append(x.shape)
            return self.out(x)

        def shrink(self, amount):
            pass

    monkeypatch.setitem(MODELS, "counted", (LinearConfig, Counted))
    x, y, weight = small
    predict(fit_ensemble("counted", {}, x, y, weight, members=2, seed=0, config=SHORT), x)
    first = len(traced)
    predict(fit_ensemble("counted", {}, x + 1, -y, weight, members=2, seed=5, config=SHORT), x)
    assert 0 < first == len(traced)


@pytest.mark.long
def test_each_member_keeps_the_rate_that_its_own_validation_rows_choose(small):
    """Three rates in one program: what the best of three programs gives."""
    factors = (1.0, 4.0, 8.0)
    together = replace(SHORT, tried=tuple((f, 1.0) for f in factors))
    found = fit_ensemble("mlp", {}, *small, members=4, seed=2, config=together)
    alone = [
        fit_ensemble(
            "mlp", {}, *small, members=4, seed=2, config=replace(SHORT, learning_rate=8e-3 * f)
        )
        for f in factors
    ]
    losses = np.stack([each.losses[..., 1] for each in alone])
    assert len(np.unique(losses.argmin(0))) > 1
    assert_allclose(found.losses[..., 1], losses.min(0), rtol=1e-5)
    kernels = np.stack([each.params["members"]["dense0.kernel"] for each in alone])
    best = np.take_along_axis(kernels, losses.argmin(0)[None, :, :, None, None], axis=0)[0]
    assert_allclose(found.params["members"]["dense0.kernel"], best, rtol=1e-4, atol=1e-6)


def test_the_factor_of_the_shrinking_is_that_of_the_configuration(small):
    doubled = replace(SHORT, tried=((1.0, 2.0),))
    told = replace(SHORT, sparsity=(0.8, 2.0))
    found, expected = (
        fit_ensemble("mlp", {"hidden": (4,)}, *small, members=2, seed=2, config=c)
        for c in (doubled, told)
    )
    kernel = found.params["members"]["dense0.kernel"]
    assert_allclose(kernel, expected.params["members"]["dense0.kernel"], rtol=1e-5, atol=1e-7)


def test_times_and_counts_are_not_mixed(small):
    x, y, weight = small
    with pytest.raises(InputError, match="mixup with the loss negative_binomial"):
        fit_ensemble(
            "mlp",
            {},
            x,
            np.abs(np.round(y)),
            weight,
            seed=0,
            loss="negative_binomial",
            config=replace(SHORT, mixup=0.4),
        )


def test_a_loss_that_is_not_finite_restarts_a_member_at_a_lower_rate(small):
    config = replace(SHORT, learning_rate=1e19, weight_decay=0.0)
    ensemble = fit_ensemble("linear", {}, *small, members=2, seed=0, config=config)
    assert (ensemble.restarts > 0).all()
    assert not ensemble.dropped.any()
    assert np.isfinite(predict(ensemble, small[0])).all()


def test_a_member_that_never_becomes_finite_is_dropped(small):
    config = replace(SHORT, learning_rate=1e30)
    ensemble = fit_ensemble("linear", {}, *small, members=2, seed=0, config=config)
    assert ensemble.dropped.all()
    assert_array_equal(ensemble.gate, 0.0)
    assert np.isfinite(predict(ensemble, small[0])).all()


def test_binary_targets_are_learnt_as_logits_and_gated_by_likelihood(small):
    x, y, weight = small
    config = replace(SHORT, rounds=40, learning_rate=0.05, sparsity=(0.0, 0.0), warmup=40)
    ensemble = fit_ensemble(
        "linear",
        {},
        x,
        (y > 0).astype("f4"),
        weight,
        members=5,
        seed=0,
        config=config,
        loss="logistic",
    )
    assert_array_equal(ensemble.gate, 1.0)
    assert ((predict(ensemble, x) > 0) == (y > 0)).mean() > 0.9


@pytest.mark.long
def test_many_outputs_keep_their_axis_and_their_units(small):
    x, _, weight = small
    y = np.stack([x[..., 0] * 100 + 50, x[..., 1] * 0.01], axis=-1)
    config = replace(SHORT, rounds=60, learning_rate=0.05, sparsity=(0.0, 0.0), warmup=60)
    ensemble = fit_ensemble("linear", {}, x, y, weight, members=2, seed=0, config=config)
    prediction = predict(ensemble, x)
    assert prediction.shape == y.shape == ensemble.out_of_bag.shape
    assert_allclose(prediction[..., 0], y[..., 0], atol=15)
    assert_allclose(prediction[..., 1], y[..., 1], atol=0.0015)


def test_the_gate_is_the_least_squares_weight():
    y = np.array([1.0, -1.0, 1.0, -1.0, 9.0, 9.0])
    f = np.array([2.0, -2.0, 2.0, -2.0, -9.0, np.nan])
    weight = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 1.0])
    assert gate(f, y, weight) == 0.5
    assert gate(0.5 * y, y, np.ones(6)) == 1.0
    assert gate(-y, y, np.ones(6)) == 0.0
    assert gate(np.zeros(6), y, np.ones(6)) == 0.0


def test_the_gate_opens_on_noise_less_than_once_in_twenty():
    rng = np.random.default_rng(11)
    draws = rng.standard_normal((2, 400, 200))
    opened = [gate(f, y, np.ones(200)) > 0 for f, y in zip(*draws, strict=True)]
    assert np.mean(opened) < 0.05


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"x": np.zeros((2, 4))}, "x is (2, 4)"),
        ({"y": np.zeros((2, 5))}, "y is (2, 5)"),
        ({"x": np.full((2, 4, 3), np.nan)}, "x is not finite in task 0, sample 0"),
        ({"y": np.full((2, 4), np.inf)}, "y is not finite in task 0, sample 0"),
        ({"weight": -np.ones((2, 4))}, "weight is negative"),
        ({"loss": "square"}, "nearest 'squared'"),
        ({"validation": 0.9}, "validation is 0.9"),
    ],
)
def test_a_fault_in_the_data_is_named_in_one_line(change, phrase):
    given = {"x": np.zeros((2, 4, 3)), "y": np.zeros((2, 4)), "weight": np.ones((2, 4))} | change
    data = [given.pop(name) for name in ("x", "y", "weight")]
    with pytest.raises(InputError) as caught:
        fit_ensemble("linear", {}, *data, seed=0, **given)
    assert phrase in str(caught.value)


def test_targets_of_rows_without_weight_may_be_missing(small):
    x, y, weight = small
    missing = np.where(weight > 0, y, np.nan)
    ensemble = fit_ensemble("linear", {}, x, missing, weight, members=2, seed=0, config=SHORT)
    assert np.isfinite(predict(ensemble, x)).all()


@pytest.mark.long
def test_eight_devices_give_what_one_gives(small, tmp_path):
    x, y, weight = small
    np.savez(tmp_path / "in.npz", x=x, y=y, weight=weight)
    script = (
        "import sys, numpy as np, jax\n"
        "from genodl.train import TrainConfig, fit_ensemble\n"
        "d = np.load(sys.argv[1] + '/in.npz')\n"
        "assert jax.device_count() == 8\n"
        "c = TrainConfig(rounds=6, steps=3, warmup=2, patience=2)\n"
        "e = fit_ensemble('mlp', {'hidden': (4,)}, d['x'], d['y'], d['weight'], members=3,\n"
        "                 seed=1, config=c)\n"
        "np.savez(sys.argv[1] + '/out.npz', oob=e.out_of_bag, losses=e.losses)\n"
    )
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment, check=True)
    one = fit_ensemble("mlp", {"hidden": (4,)}, *small, members=3, seed=1, config=SHORT)
    eight = np.load(tmp_path / "out.npz")
    assert_allclose(eight["oob"], one.out_of_bag, rtol=1e-5, atol=1e-5)
    assert_allclose(eight["losses"], one.losses, rtol=1e-5, atol=1e-5)


def drawn(seed, samples=400, inputs=6):
    """Two tasks of rows whose first input says something."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, samples, inputs)).astype("f4")
    return x, 1.5 * x[:, :, 0], np.ones((2, samples), "f4"), rng


# discovery trains networks of survival too, in tests of scorers
@pytest.mark.parametrize(
    "loss",
    [*(pytest.param(n, marks=LONG) for n in ("survival", "negative_binomial")), "ordinal"],
)
def test_every_kind_of_phenotype_is_learnt_and_noise_is_gated(loss):
    x, level, weight, rng = drawn(11)
    level[1] = 0.0  # the second task is noise
    if loss == "survival":
        time, censored = rng.exponential(np.exp(-level)), rng.exponential(1.0, level.shape)
        y = np.stack([np.minimum(time, censored), time <= censored], axis=2)
    elif loss == "ordinal":
        y = np.eye(4)[np.digitize(level + rng.logistic(size=level.shape), [-1, 0.5, 2])]
    else:
        y = rng.poisson(np.exp(np.log(60) + 0.3 * level) * rng.gamma(4.0, 0.25, level.shape))
    config = TrainConfig(rounds=30, steps=4, batch=100)
    found = fit_ensemble("linear", {}, x, y, weight, members=5, seed=3, config=config, loss=loss)
    first = found.out_of_bag if found.out_of_bag.ndim == 2 else found.out_of_bag[:, :, 0]
    assert np.corrcoef(first[0], level[0])[0, 1] > 0.8
    assert (found.gate > 0).tolist() == [True, False]
    assert predict(found, x).shape == found.out_of_bag.shape


@pytest.mark.long
def test_columns_that_are_unknown_here_and_there_are_learnt_from_the_rest():
    x, level, weight, rng = drawn(12)
    y = np.stack([level, -level], axis=2) + 0.3 * rng.standard_normal((*level.shape, 2))
    y[:, ::2, 1] = np.nan
    config = TrainConfig(rounds=30, steps=4, batch=100)
    found = fit_ensemble("linear", {}, x, y, weight, members=5, seed=3, config=config)
    for column, sign in ((0, 1), (1, -1)):
        assert np.corrcoef(found.out_of_bag[0, :, column], sign * level[0])[0, 1] > 0.9
    y[0, 5] = np.nan
    with pytest.raises(InputError, match="y is not finite in task 0, sample 5"):
        fit_ensemble("linear", {}, x, y, weight, members=5, seed=3, config=config)
