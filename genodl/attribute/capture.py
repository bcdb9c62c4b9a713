"""The user's callable as a value: its jaxpr at the row counts needed, and its constants."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from genodl.attribute.program import evaluate, inline, structure
from genodl.errors import InputError


class Code:
    """Jaxprs by row count; equal when they compute the same from the same constants."""

    def __init__(self, jaxprs: dict[int, core.Jaxpr], key: Hashable):
        self.jaxprs = jaxprs
        self.key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Code) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True, eq=False)
class Program:
    """A captured callable: x -> (rows, outputs). A pytree whose leaves are its constants.

    Compiled functions that take a program are reused for any other of the same structure, so that
    a model is compiled once however often it is captured, and never with stale parameters.
    """

    code: Code
    consts: dict[int, list]

    def __call__(self, x: Any) -> jax.Array:
        leaves = jax.tree.leaves(x)
        rows = leaves[0].shape[0]
        if rows not in self.code.jaxprs:
            raise KeyError(f"captured for {sorted(self.code.jaxprs)} rows, called with {rows}")
        closed = core.ClosedJaxpr(self.code.jaxprs[rows], self.consts[rows])
        found = evaluate(closed, leaves)[0]
        return found[:, None] if found.ndim == 1 else found

    def tree_flatten(self) -> tuple[tuple, Code]:
        return (self.consts,), self.code

    @classmethod
    def tree_unflatten(cls, code: Code, children: tuple) -> Program:
        return cls(code, *children)

    def bytes_per_row(self) -> float:
        """Memory of all values computed for one sample, in bytes."""
        rows, jaxpr = max(self.code.jaxprs.items())
        return _bytes(jaxpr) / rows


def capture(
    predict: Callable[[Any], Any], x: Any, rows: Collection[int], *, differentiated: bool = True
) -> tuple[Program, int]:
    """The program of `predict` at each row count, and its outputs: 0 where it returns (batch,).

    Two programs that are `differentiated` (at their largest row count) count as one only when their
    custom derivatives are alike too, which takes time to find out.

    Raises
    ------
    InputError : the output is not one float array of (batch,) or (batch, outputs)
    """
    leaves, tree = jax.tree.flatten(x)
    closed: dict[int, core.ClosedJaxpr] = {}
    outputs, most = 0, max(rows)
    for n in sorted(set(rows)):
        avals = [jax.ShapeDtypeStruct((n, *v.shape[1:]), v.dtype) for v in leaves]
        found = traced(lambda *z: predict(jax.tree.unflatten(tree, z)), avals)
        outputs = _outputs(found, n)
        closed[n] = inline(found)
    code = Code(
        {n: c.jaxpr for n, c in closed.items()},
        # Fewer rows are only predicted (a shared baseline), so their derivatives are no part of it.
        tuple((n, structure(c, derived=differentiated and n == most)) for n, c in closed.items()),
    )
    return Program(code, {n: list(c.consts) for n, c in closed.items()}), outputs


def traced(predict: Callable[..., Any], avals: list) -> core.ClosedJaxpr:
    """The jaxpr of a callable; one that changes itself as it predicts is an error."""
    try:
        return jax.make_jaxpr(predict)(*avals)
    except Exception as error:
        # Flax's own error, known by name: any callable is taken, and none of its libraries.
        if type(error).__name__ != "TraceContextError":
            raise
        raise InputError(
            "predict changes its own state, as dropout in training mode or a recurrent layer does",
            where="attribute",
            mend="call model.eval(), or pass lambda x: nnx.clone(model)(x)",
        ) from error


def _outputs(found: core.ClosedJaxpr, rows: int) -> int:
    """Outputs of a captured callable, 0 where it has no such axis."""
    outvars: list[Any] = list(found.jaxpr.outvars)
    shapes = [(v.aval.shape, v.aval.dtype) for v in outvars]
    right = len(shapes) == 1 and len(shapes[0][0]) in (1, 2) and shapes[0][0][0] == rows
    if not right or not jnp.issubdtype(shapes[0][1], np.floating):
        raise InputError(
            f"predict returns {', '.join(f'{d}{list(s)}' for s, d in shapes)} for {rows} samples",
            where="attribute",
            mend="let it return one float array, (batch,) or (batch, outputs)",
        )
    return shapes[0][0][1] if len(shapes[0][0]) == 2 else 0


def _bytes(jaxpr: core.Jaxpr) -> int:
    """Bytes of every value a jaxpr computes."""
    avals: list[Any] = [v.aval for e in jaxpr.eqns for v in e.outvars]
    avals += [v.aval for v in jaxpr.invars]
    return sum(int(np.prod(a.shape)) * a.dtype.itemsize for a in avals if hasattr(a, "dtype"))
