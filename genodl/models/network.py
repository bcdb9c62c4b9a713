"""A model as a hashable value and pure functions of its parameters: objects end here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from genodl.models import Factory, build

Params = dict[str, jax.Array]


class _Array(NamedTuple):
    """An array as a hashable value."""

    shape: tuple[int, ...]
    dtype: str
    data: bytes


@dataclass(frozen=True)
class Network:
    """A model's name, widths and settings: hashable, so it can be static in a compiled program.

    In place of a name there may be a factory, see `genodl.models.build`.
    """

    name: str | Factory
    inputs: int
    outputs: int
    settings: tuple[tuple[str, Any], ...]


def network(model: str | Factory, settings: dict[str, Any], inputs: int, outputs: int) -> Network:
    """The hashable description of a model; arrays among the settings are kept by value."""
    return Network(
        model, inputs, outputs, tuple((k, _frozen(settings[k])) for k in sorted(settings))
    )


def settings_of(net: Network) -> dict[str, Any]:
    """The settings that `network` was given."""
    return {name: _thawed(value) for name, value in net.settings}


def model_name(model: str | Factory) -> str:
    """The name of a model, of a factory where it is defined."""
    return f"{model.__module__}.{model.__qualname__}" if callable(model) else model


@partial(jax.jit, static_argnames="net")
def initial_params(bits: jax.Array, *, net: Network) -> Params:
    """Fresh parameters by name, each (tasks, members, ...).

    `bits` is uint32, (tasks, members, 4), the random state of each member. One member at a time,
    by the device's own generator: mapped threefry takes seconds to compile.
    """
    drawn = jax.lax.map(partial(_fresh, net), bits.reshape(-1, bits.shape[-1]))
    return {name: leaf.reshape(bits.shape[:2] + leaf.shape[1:]) for name, leaf in drawn.items()}


def _fresh(net: Network, bits: jax.Array) -> Params:
    """Fresh parameters of one member."""
    key = jax.random.wrap_key_data(bits, impl="unsafe_rbg")
    model = build(net.name, settings_of(net), net.inputs, net.outputs, seed=key)
    return _named(net, model)


def apply(net: Network, params: Params, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
    """Predictions of one network, (batch, outputs); a key turns dropout on."""
    return _model(net, params)(x, key)


@lru_cache(maxsize=64)
def activity_size(net: Network) -> int:
    """Floats that a network makes of one row, which training keeps for the gradient."""
    bits = jax.ShapeDtypeStruct((1, 1, 4), jnp.uint32)
    params = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape[2:], leaf.dtype),
        jax.eval_shape(partial(initial_params, net=net), bits),
    )
    row = jax.ShapeDtypeStruct((1, net.inputs), jnp.float32)
    return _made(jax.make_jaxpr(partial(apply, net))(params, row).jaxpr)


def _made(jaxpr: Any, times: int = 1) -> int:
    """Elements of what the equations of a program give, those within loops as often as they run."""
    total = 0
    for equation in jaxpr.eqns:
        inner = [v for v in equation.params.values() if hasattr(v, "jaxpr") or hasattr(v, "eqns")]
        length = times * equation.params.get("length", 1)
        total += sum(_made(getattr(each, "jaxpr", each), length) for each in inner)
        if not inner:
            total += times * sum(int(np.prod(v.aval.shape)) for v in equation.outvars)
    return total


def activity(net: Network, params: Params, x: jax.Array) -> jax.Array:
    """What each gene of one pathway network adds by itself, (batch, genes, outputs)."""
    return _model(net, params).activity(x)


def contributions(net: Network, params: Params, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What each gene of one pathway network adds by itself, and the genes of each set together.

    Returns
    -------
    (batch, genes, outputs) and (batch, sets, outputs), which with the offset add up to predictions
    """
    return _model(net, params).contributions(x)


def unit_names(net: Network) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the genes and of the sets of a pathway network, in the order of its branches."""
    model: Any = nnx.merge(*_parts(net))
    return model.gene_names, model.pathway_names


def _named(net: Network, model: Any) -> Params:
    """The parameters of a module by name."""
    return dict(zip(_names(net), jax.tree.leaves(nnx.state(model, nnx.Param)), strict=True))


def _model(net: Network, params: Params) -> Any:
    """The module that holds the parameters."""
    graph, template, fixed = _parts(net)
    leaves = [params[name] for name in _names(net)]
    return nnx.merge(graph, jax.tree.unflatten(jax.tree.structure(template), leaves), fixed)


@lru_cache(maxsize=64)
def _parts(net: Network) -> tuple[Any, Any, Any]:
    """Graph definition, parameters and known structure of a network."""

    def fresh() -> Any:
        return build(net.name, settings_of(net), net.inputs, net.outputs, seed=0)

    parts: Any = nnx.split(nnx.eval_shape(fresh), nnx.Param, ...)
    if jax.tree.leaves(parts[2]):  # known structure is needed by value
        with jax.ensure_compile_time_eval():
            parts = nnx.split(fresh(), nnx.Param, ...)
    return parts


def _names(net: Network) -> list[str]:
    """A name for each parameter, such as dense0.kernel, in the order of the leaves."""
    paths = jax.tree_util.tree_flatten_with_path(_parts(net)[1])[0]
    keys = jax.tree_util.DictKey
    return [".".join(str(k.key) for k in path if isinstance(k, keys)) for path, _ in paths]


def _frozen(value: Any) -> Any:
    """A setting as a hashable value; names as a tuple of text, which JSON holds."""
    if isinstance(value, np.ndarray | jax.Array) and value.dtype.kind not in "OTU":
        array = np.ascontiguousarray(value)
        return _Array(array.shape, array.dtype.str, array.tobytes())
    return tuple(value) if isinstance(value, list | np.ndarray) else value


def _thawed(value: Any) -> Any:
    """The setting that `_frozen` was given."""
    if isinstance(value, _Array):
        return np.frombuffer(value.data, value.dtype).reshape(value.shape)
    return value


def shrunk(net: Network, params: Params, amount: jax.Array) -> Params:
    """Parameters after the model's own shrinking."""
    model = _model(net, params)
    model.shrink(amount)
    return _named(net, model)
