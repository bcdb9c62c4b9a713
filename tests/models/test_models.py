"""Every model obeys the same laws; what is special to one is worked by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from numpy.testing import assert_allclose

from genodl.errors import InputError
from genodl.models import MODELS, build
from genodl.models.tabular import slots

INPUTS, GENES = 12, 4
MEMBERSHIP = np.kron(np.eye(GENES, dtype=bool), np.ones((INPUTS // GENES, 1), bool))
SETTINGS = {
    "pathway": {"membership": MEMBERSHIP},
    "cnn": {"contigs": (5, 7)},
    "lstm": {"contigs": (5, 7)},
    "gru": {"contigs": (5, 7)},
    "fusion": {"modalities": (8, 4)},
}

LONG = ("lstm", "gru", "attention", "fusion")  # to compile
SOME_SLOW = [pytest.param(n, marks=[pytest.mark.slow] if n in LONG else []) for n in MODELS]


def trained_a_little(name, outputs=1, seed=0):
    """A model whose output layer is not zero any more."""
    model = build(name, SETTINGS.get(name, {}), INPUTS, outputs, seed=seed)
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    rng = np.random.default_rng(seed)
    moved = jax.tree.map(lambda a: a + 0.1 * rng.standard_normal(a.shape).astype("f4"), params)
    return nnx.merge(graph, moved, rest)


def compiled(model):
    """The model as one program: op by op an attention takes long to compile."""
    return jax.jit(lambda x: model(x))


def rows(count, seed=1):
    return jax.random.normal(jax.random.key(seed), (count, INPUTS))


@pytest.mark.parametrize("name", MODELS)
def test_rows_do_not_see_each_other(name):
    model, x = compiled(trained_a_little(name)), rows(8)
    assert_allclose(model(x)[:1], model(x[:1]), rtol=1e-5, atol=1e-6)
    assert_allclose(model(x[::-1]), model(x)[::-1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_predictions_have_a_column_an_output(name):
    assert compiled(trained_a_little(name, outputs=3))(rows(5)).shape == (5, 3)


@pytest.mark.parametrize("name", MODELS)
def test_an_untrained_model_predicts_zero(name):
    model = build(name, SETTINGS.get(name, {}), INPUTS, 2, seed=0)
    assert_allclose(compiled(model)(rows(4)), 0.0)


@pytest.mark.parametrize("name", SOME_SLOW)
def test_gradients_are_finite_in_inputs_and_parameters_even_at_zero(name):
    graph, params, rest = nnx.split(trained_a_little(name), nnx.Param, ...)

    def total(params, x):
        return nnx.merge(graph, params, rest)(x).sum()

    for x in (rows(6), jnp.zeros((6, INPUTS))):
        found = jax.grad(total, argnums=(0, 1))(params, x)
        assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(found))
        assert any(bool(jnp.abs(leaf).max() > 0) for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize("name", SOME_SLOW)
def test_ten_samples_are_overfitted(name):
    graph, params, rest = nnx.split(
        build(name, SETTINGS.get(name, {}), INPUTS, 1, seed=0), nnx.Param, ...
    )
    x, y = rows(10), jax.random.normal(jax.random.key(5), (10, 1))
    optimiser = optax.adam(2e-2)

    def loss(params):
        return jnp.square(nnx.merge(graph, params, rest)(x) - y).mean()

    def step(carry, _):
        params, state = carry
        updates, state = optimiser.update(jax.grad(loss)(params), state)
        return (optax.apply_updates(params, updates), state), None

    start = (params, optimiser.init(params))
    (params, _), _ = jax.jit(lambda s: jax.lax.scan(step, s, length=800))(start)
    assert float(loss(params)) < 0.01 * float(jnp.var(y))


@pytest.mark.parametrize("name", SOME_SLOW)
def test_the_same_seed_gives_the_same_parameters(name):
    one, same, other = (
        jax.tree.leaves(nnx.state(build(name, SETTINGS.get(name, {}), INPUTS, 1, seed=s)))
        for s in (3, 3, 4)
    )
    assert all(bool((a == b).all()) for a, b in zip(one, same, strict=True))
    if name != "linear":
        assert any(bool((a != b).any()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", SOME_SLOW)
def test_shrinking_by_a_large_amount_leaves_no_input_a_part(name):
    model = trained_a_little(name)
    model.shrink(jnp.asarray(100.0))
    assert_allclose(model(rows(5)), np.broadcast_to(model(rows(5))[:1], (5, 1)), rtol=1e-6)


@pytest.mark.parametrize("name", SOME_SLOW)
def test_half_precision_is_close_to_single(name):
    model, x = trained_a_little(name), rows(16)
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    half = nnx.merge(graph, jax.tree.map(lambda a: a.astype(jnp.bfloat16), params), rest)
    found = half(x.astype(jnp.bfloat16)).astype(jnp.float32)
    # eight bits of mantissa, a few roundings deep
    assert_allclose(found, model(x), atol=0.03 * float(jnp.abs(model(x)).max()))


@pytest.mark.parametrize("name", [name for name in MODELS if name != "linear"])
def test_dropout_acts_only_with_a_key(name):
    settings = SETTINGS.get(name, {}) | {"dropout": 0.5}
    model, x = build(name, settings, INPUTS, 1, seed=0), rows(4)
    state = nnx.state(model, nnx.Param)
    nnx.update(model, jax.tree.map(lambda a: a + 0.3, state))
    assert_allclose(model(x), model(x))
    assert not np.allclose(model(x, jax.random.key(0)), model(x))


def test_shrinking_the_mlp_is_soft_thresholding_of_its_first_layer():
    model = build("mlp", {"hidden": (2,)}, 2, 1, seed=0)
    model.dense0.kernel[...] = jnp.asarray([[0.5, -0.1], [-0.3, 0.2]])
    model.shrink(jnp.asarray(0.2))
    assert_allclose(model.dense0.kernel[...], [[0.3, 0.0], [-0.1, 0.0]], atol=1e-7)


def test_a_gene_hears_only_its_own_markers():
    model, x = trained_a_little("pathway"), rows(3)
    changed = model.activity(x.at[:, 0].add(1.0)) - model.activity(x)
    assert float(jnp.abs(changed[:, 0]).min()) > 1e-4
    assert_allclose(changed[:, 1:], 0.0)


def test_the_branches_of_a_pathway_model_add_up():
    model, x = trained_a_little("pathway"), rows(3)
    assert_allclose(model.activity(x).sum(axis=1) + model.offset[...], model(x), rtol=1e-5)


def test_a_marker_of_two_genes_has_a_slot_in_each():
    index, present = slots(np.array([[1, 1], [0, 1], [0, 0]], bool))
    assert index.tolist() == [[0, 0], [0, 1]]
    assert present.tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("name", "settings", "phrase"),
    [
        ("mpl", {}, "no model named 'mpl', nearest 'mlp'"),
        ("mlp", {"widths": (3,)}, "no setting 'widths'"),
        ("mlp", {"hidden": ()}, "hidden is ()"),
        ("mlp", {"dropout": 1.0}, "dropout is 1.0"),
        ("pathway", {}, "membership is (0, 0), the inputs are 12"),
        ("pathway", {"membership": MEMBERSHIP[:5]}, "membership is (5, 4), the inputs are 12"),
        ("pathway", {"membership": MEMBERSHIP, "hidden": 0}, "hidden is 0"),
    ],
)
def test_a_fault_in_the_settings_is_named_in_one_line(name, settings, phrase):
    with pytest.raises(InputError) as caught:
        build(name, settings, INPUTS, 1, seed=0)
    assert phrase in str(caught.value)
    assert "\n" not in str(caught.value)
