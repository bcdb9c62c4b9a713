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
PATHWAYS = np.array([[1, 0], [1, 1], [1, 0], [0, 1]], bool)  # of three genes and of two
SETTINGS = {
    "pathway": {"membership": MEMBERSHIP},
    "pathway with sets": {"membership": MEMBERSHIP, "pathways": PATHWAYS},
    "cnn": {"contigs": (5, 7)},
    "lstm": {"contigs": (5, 7)},
    "gru": {"contigs": (5, 7)},
    "fusion": {"modalities": (8, 4)},
}

CASES = [*MODELS, "pathway with sets"]
SETS = SETTINGS["pathway with sets"]
WITH_DROPOUT = ["mlp", "fusion", "pathway", "pathway with sets", "cnn", "lstm", "gru", "attention"]
SLOW = ("lstm", "gru", "attention", "fusion")  # to compile


def some_long(*names, cases=CASES):
    """The cases, of which the named ones are left to the long run."""
    return [pytest.param(n, marks=[pytest.mark.long] if n in names else []) for n in cases]


def some_slow(*names):
    """The cases, of which the slow ones and the named ones are left to runs of their own."""
    marks = dict.fromkeys(SLOW, pytest.mark.slow) | dict.fromkeys(names, pytest.mark.long)
    return [pytest.param(n, marks=marks.get(n, [])) for n in CASES]


def fresh(name, outputs=1, seed=0, **more):
    return build(name.split()[0], SETTINGS.get(name, {}) | more, INPUTS, outputs, seed=seed)


def trained_a_little(name, outputs=1, seed=0, **more):
    """A model whose output layer is not zero any more."""
    model = fresh(name, outputs, seed, **more)
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    rng = np.random.default_rng(seed)

    def moved(a):
        return jnp.asarray(np.asarray(a) + 0.1 * rng.standard_normal(a.shape).astype("f4"))

    return nnx.merge(graph, jax.tree.map(moved, params), rest)


def compiled(function):
    """The model, or a method of it, as one program: op by op it takes long to compile."""
    return jax.jit(lambda *given: function(*given))


def rows(count, seed=1):
    return jax.random.normal(jax.random.key(seed), (count, INPUTS))


# the pathway is within that with sets, and contigs and modalities have tests of their own
@pytest.mark.parametrize("name", some_long("pathway", "lstm", "gru", "fusion"))
def test_rows_do_not_see_each_other(name):
    model, x = compiled(trained_a_little(name)), rows(8)
    assert_allclose(model(x)[:1], model(x[:1]), rtol=1e-5, atol=1e-6)
    assert_allclose(model(x[::-1]), model(x)[::-1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_predictions_have_a_column_an_output(name):
    model = fresh(name, outputs=3)
    assert jax.eval_shape(lambda x: model(x), rows(5)).shape == (5, 3)


@pytest.mark.parametrize("name", some_long("pathway", "gru", "attention"))
def test_an_untrained_model_predicts_zero(name):
    model = fresh(name, outputs=2)
    assert_allclose(compiled(model)(rows(4)), 0.0)


@pytest.mark.parametrize("name", some_slow())
def test_gradients_are_finite_in_inputs_and_parameters_even_at_zero(name):
    graph, params, rest = nnx.split(trained_a_little(name), nnx.Param, ...)

    def total(params, x):
        return nnx.merge(graph, params, rest)(x).sum()

    slopes = jax.jit(jax.grad(total, argnums=(0, 1)))
    for x in (rows(6), jnp.zeros((6, INPUTS))):
        found = jax.device_get(jax.tree.leaves(slopes(params, x)))
        assert all(np.isfinite(leaf).all() for leaf in found)
        assert any(np.abs(leaf).max() > 0 for leaf in found)


@pytest.mark.parametrize("name", some_slow("linear", "pathway", "cnn"))
def test_ten_samples_are_overfitted(name):
    graph, params, rest = nnx.split(fresh(name), nnx.Param, ...)
    x, y = rows(10), jax.random.normal(jax.random.key(5), (10, 1))
    optimiser = optax.adam(2e-2)

    def loss(params):
        return jnp.square(nnx.merge(graph, params, rest)(x) - y).mean()

    def step(carry, _):
        params, state = carry
        updates, state = optimiser.update(jax.grad(loss)(params), state)
        return (optax.apply_updates(params, updates), state), None

    start = (params, jax.jit(optimiser.init)(params))
    left = jax.jit(lambda s: loss(jax.lax.scan(step, s, length=800)[0][0]))(start)
    assert float(left) < 0.01 * np.var(y)


@pytest.mark.parametrize("name", some_slow())
def test_the_same_seed_gives_the_same_parameters(name):
    one, same, other = (
        jax.device_get(jax.tree.leaves(nnx.state(fresh(name, seed=s)))) for s in (3, 3, 4)
    )
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    if name != "linear":
        assert any((a != b).any() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", some_slow())
def test_shrinking_by_a_large_amount_leaves_no_input_a_part(name):
    @nnx.jit
    def shrunk(model, x):
        model.shrink(jnp.asarray(100.0))
        return model(x)

    found = np.asarray(shrunk(trained_a_little(name), rows(5)))
    assert_allclose(found, np.broadcast_to(found[:1], (5, 1)), rtol=1e-6)


@pytest.mark.parametrize("name", some_slow("linear", "pathway"))
def test_half_precision_is_close_to_single(name):
    model, x = trained_a_little(name), rows(16)
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    params, few = jax.tree.map(lambda a: np.asarray(a).astype(jnp.bfloat16), (params, x))
    found = np.asarray(compiled(nnx.merge(graph, params, rest))(few)).astype(np.float32)
    whole = np.asarray(compiled(model)(x))
    # eight bits of mantissa, a few roundings deep
    assert_allclose(found, whole, atol=0.03 * np.abs(whole).max())


@pytest.mark.parametrize("name", some_long(*WITH_DROPOUT[2:], cases=WITH_DROPOUT))
def test_dropout_acts_only_with_a_key(name):
    model, x = fresh(name, dropout=0.5), rows(4)
    state = nnx.state(model, nnx.Param)
    nnx.update(model, jax.tree.map(lambda a: jnp.asarray(np.asarray(a) + np.float32(0.3)), state))
    both = jax.jit(lambda x, key: (model(x), model(x, key)))
    (whole, one), (again, other) = both(x, jax.random.key(0)), both(x, jax.random.key(1))
    assert_allclose(whole, again)
    assert not np.allclose(one, whole)
    assert not np.allclose(one, other)


def test_shrinking_the_mlp_is_soft_thresholding_of_its_first_layer():
    model = build("mlp", {"hidden": (2,)}, 2, 1, seed=0)
    model.dense0.kernel[...] = jnp.asarray([[0.5, -0.1], [-0.3, 0.2]])
    model.shrink(jnp.asarray(0.2))
    assert_allclose(model.dense0.kernel[...], [[0.3, 0.0], [-0.1, 0.0]], atol=1e-7)


def test_a_gene_hears_only_its_own_markers():
    model, x = trained_a_little("pathway"), rows(3)
    activity = compiled(model.activity)
    changed = np.asarray(activity(x.at[:, 0].add(1.0))) - activity(x)
    assert np.abs(changed[:, 0]).min() > 1e-4
    assert_allclose(changed[:, 1:], 0.0)


@pytest.mark.parametrize("name", ["pathway", "pathway with sets"])
def test_the_branches_of_a_pathway_model_add_up(name):
    model, x = trained_a_little(name, outputs=2), rows(3)
    genes, sets = map(np.asarray, compiled(model.contributions)(x))
    assert genes.shape == (3, GENES, 2)
    assert sets.shape == (3, 2 if "sets" in name else 0, 2)
    total = genes.sum(axis=1) + sets.sum(axis=1) + model.offset[...]
    assert_allclose(total, compiled(model)(x), rtol=1e-5, atol=1e-6)


def test_a_set_is_worked_by_hand():
    settings = {"membership": np.eye(3), "pathways": np.array([[1, 0], [1, 0], [0, 1]])}
    model = build("pathway", settings | {"hidden": 1, "set_hidden": 1}, 3, 1, seed=0)
    model.branch[...] = jnp.ones((3, 1, 1))  # where it is 10 and above, GELU is the identity
    model.out[...] = jnp.asarray([0.5, 0.1, 0.0]).reshape(3, 1, 1)
    # the second set has one gene: what is in its other slot does not count
    model.set_branch[...] = jnp.asarray([[1.0, -0.25], [1.0, 100.0]]).reshape(2, 2, 1, 1)
    model.set_bias[...] = jnp.asarray([[5.0], [0.0]])
    model.set_out[...] = jnp.asarray([2.0, -1.0]).reshape(2, 1, 1)
    model.offset[...] = jnp.ones(1)
    x = jnp.asarray([[10.0, 20.0, 30.0]])
    genes, sets = map(np.asarray, compiled(model.contributions)(x))
    assert_allclose(genes[0, :, 0], [5, 2, 0], rtol=1e-6)
    assert_allclose(sets[0, :, 0], [2 * (10 - 5 + 5), -30], rtol=1e-6)
    assert_allclose(compiled(model)(x), [[5 + 2 + 20 - 30 + 1]], rtol=1e-5)


def test_a_set_hears_only_its_own_genes():
    model, x = trained_a_little("pathway with sets"), rows(3)
    sets = compiled(lambda x: model.contributions(x)[1])
    changed = np.asarray(sets(x.at[:, -1].add(1.0))) - sets(x)
    assert_allclose(changed[:, 0], 0.0)
    assert np.abs(changed[:, 1]).min() > 1e-4


def test_genes_in_another_order_give_the_same_predictions():
    one, order = trained_a_little("pathway with sets"), np.array([2, 0, 3, 1])
    settings = {"membership": MEMBERSHIP[:, order], "pathways": PATHWAYS[order]}
    other = trained_a_little("pathway with sets", seed=1, **settings)
    for name in ("branch", "bias", "out"):
        getattr(other, name)[...] = jnp.asarray(np.asarray(getattr(one, name)[...])[order])
    for name in ("offset", "set_bias", "set_out"):
        getattr(other, name)[...] = getattr(one, name)[...]
    weights = np.zeros(other.set_branch.shape, np.float32)
    index, branch = np.asarray(other.set_index[...]), np.asarray(one.set_branch[...])
    for row, place in np.argwhere(other.set_present[...]):
        before = np.flatnonzero(PATHWAYS[:, row]).tolist().index(order[index[row, place]])
        weights[row, place] = branch[row, before]
    other.set_branch[...] = jnp.asarray(weights)
    x = rows(6)
    (total, genes, sets), (expected, before, same) = (
        jax.device_get(jax.jit(lambda x, m=m: (m(x), *m.contributions(x)))(x)) for m in (other, one)
    )
    assert_allclose(total, expected, rtol=1e-5, atol=1e-6)
    assert_allclose(genes, before[:, order], rtol=1e-5, atol=1e-6)
    assert_allclose(sets, same, rtol=1e-5, atol=1e-6)


def test_sets_leave_the_genes_and_their_parameters_as_they_are():
    with_sets, without = (
        {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(nnx.state(model))}
        for model in (fresh("pathway with sets"), fresh("pathway"))
    )
    assert set(without) == {"bias", "branch", "index", "offset", "out", "present"}
    for name, leaf in without.items():
        assert_allclose(leaf[...], with_sets[name][...], rtol=0)


def test_shrinking_a_set_counts_its_units_and_not_its_genes():
    settings = {"membership": np.eye(2), "pathways": np.ones((2, 1)), "hidden": 1}
    model = build("pathway", settings | {"set_hidden": 1}, 2, 1, seed=0)
    model.set_branch[...] = jnp.asarray([3.0, 4.0]).reshape(1, 2, 1, 1)
    model.shrink(jnp.asarray(1.0))
    assert_allclose(np.ravel(model.set_branch[...]), [2.4, 3.2], rtol=1e-6)
    model.shrink(jnp.asarray(9.0))
    assert_allclose(model.set_branch[...], 0.0)


def test_units_of_sets_are_dropped_as_those_of_genes():
    model = fresh("pathway with sets", dropout=0.5, set_hidden=1)
    model.set_branch[...] = jnp.zeros(model.set_branch.shape)
    model.set_bias[...], model.set_out[...] = jnp.full((2, 1), 10.0), jnp.ones((2, 1, 1))
    found = compiled(model.contributions)(rows(40), jax.random.key(0))[1]
    assert set(np.ravel(found).tolist()) == {0.0, 20.0}


def test_genes_and_sets_carry_their_names_or_numbers():
    named = fresh("pathway with sets", gene_names=tuple("ABCD"), pathway_names=("P", "Q"))
    assert named.gene_names == ("A", "B", "C", "D")
    assert named.pathway_names == ("P", "Q")
    assert fresh("pathway with sets").pathway_names == ("0", "1")
    assert fresh("pathway").gene_names == ("0", "1", "2", "3")
    assert fresh("pathway").pathway_names == ()


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
        ("pathway", SETS | {"set_hidden": 0}, "set_hidden is 0"),
        ("pathway", SETS | {"pathways": PATHWAYS[:3]}, "pathways is (3, 2), the genes are 4"),
        ("pathway", SETS | {"pathways": PATHWAYS[:, :0]}, "pathways is (4, 0)"),
        ("pathway", SETS | {"gene_names": ("A",)}, "gene_names: the names are 1, the genes are 4"),
        ("pathway", SETS | {"pathway_names": ("P",)}, "the names are 1, the pathways are 2"),
        ("pathway", SETTINGS["pathway"] | {"pathway_names": ("P",)}, "the pathways are 0"),
    ],
)
def test_a_fault_in_the_settings_is_named_in_one_line(name, settings, phrase):
    with pytest.raises(InputError) as caught:
        build(name, settings, INPUTS, 1, seed=0)
    assert phrase in str(caught.value)
    assert "\n" not in str(caught.value)
