"""A program as DeepLIFT sees it: what depends on the input, and elementwise chains as one."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from genodl.attribute import control
from genodl.attribute.gradients import Predict
from genodl.attribute.program import Opener, apply, inline, read
from genodl.attribute.rules import ELEMENTWISE, LINEAR

OPENED = {
    **dict.fromkeys(("jit", "pjit", "remat", "remat2", "checkpoint"), "jaxpr"),
    **dict.fromkeys(
        ("closed_call", "core_call", "custom_jvp_call", "custom_vjp_call"), "call_jaxpr"
    ),
    "custom_vjp_call_jaxpr": "fun_jaxpr",
}
CONTROL = {"scan", "while", "cond"}


class Trace(NamedTuple):
    """A program seen by the samples.

    Attributes
    ----------
    jaxpr : its equations
    env : value of every variable
    moving : variables that depend on the input
    root : variable -> the one it is an elementwise function of, where another than itself
    slope : derivative of such a variable by its root
    straight : those that are affine in their root
    """

    jaxpr: core.Jaxpr
    env: dict
    moving: set
    root: dict
    slope: dict
    straight: set


def opener(eqn: Any) -> core.ClosedJaxpr | None:
    """The body of any call that only wraps; an elementwise function stays whole."""
    whole = eqn.primitive.name.startswith("custom_") and elementwise(eqn)
    return None if whole else body(eqn)


def body(eqn: Any) -> core.ClosedJaxpr | None:
    """The body of any call."""
    name = OPENED.get(eqn.primitive.name)
    if name is None:
        return None
    found = eqn.params[name]
    return found if isinstance(found, core.ClosedJaxpr) else core.ClosedJaxpr(found, ())


def elementwise(eqn: Any) -> bool:
    """Whether each element of the one output depends on the same element of the operands."""
    name = eqn.primitive.name
    if name in ELEMENTWISE:
        return True
    if name not in OPENED or len(eqn.outvars) != 1:
        return False
    inner = getattr(eqn.params[OPENED[name]], "jaxpr", eqn.params[OPENED[name]])
    shape = eqn.outvars[0].aval.shape
    # Scalars are spread inside by broadcasts, which touch no element of the operands.
    return all(
        elementwise(e) or (e.primitive.name == "broadcast_in_dim" and not e.invars[0].aval.shape)
        for e in inner.eqns
    ) and all(v.aval.shape in (shape, ()) for v in eqn.invars)


def follow(
    closed: core.ClosedJaxpr, values: list, moving: list[bool], *, zero: bool = False
) -> Trace:
    """The program run on the samples, its elementwise chains found."""
    jaxpr = closed.jaxpr
    env: dict = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    env |= dict(zip(jaxpr.invars, values, strict=True))
    trace = Trace(
        jaxpr, env, {v for v, m in zip(jaxpr.invars, moving, strict=True) if m}, {}, {}, set()
    )
    for eqn in jaxpr.eqns:
        operands = [read(env, v) for v in eqn.invars]
        env |= dict(zip(eqn.outvars, apply(eqn, operands), strict=True))
        moves = moved(eqn, flags(trace, eqn))
        trace.moving.update(v for v, m in zip(eqn.outvars, moves, strict=True) if m)
        if any(moves) and elementwise(eqn) and not (zero and is_bias(trace, eqn)):
            chain(trace, eqn, operands)
    return trace


def is_bias(trace: Trace, eqn: Any) -> bool:
    """Whether an equation adds a constant to what a layer gives: relevance sees their sum."""
    added = eqn.primitive.name in ("add", "sub", "add_any") and sum(flags(trace, eqn)) == 1
    return added and not any(isinstance(v, core.Var) and v in trace.root for v in eqn.invars)


def flags(trace: Trace, eqn: Any) -> list[bool]:
    """Which operands of an equation depend on the input."""
    return [not isinstance(v, core.Literal) and v in trace.moving for v in eqn.invars]


def moved(eqn: Any, operands: list[bool]) -> list[bool]:
    """Which outputs of an equation depend on the input."""
    if eqn.primitive.name in CONTROL:
        return control.moved(eqn, operands, moving_out)
    return [any(operands)] * len(eqn.outvars)


def moving_out(closed: core.ClosedJaxpr, operands: list[bool]) -> list[bool]:
    """Which outputs of a program depend on those of its inputs."""
    seen = {v for v, m in zip(closed.jaxpr.invars, operands, strict=True) if m}
    for eqn in closed.jaxpr.eqns:
        into = [not isinstance(v, core.Literal) and v in seen for v in eqn.invars]
        seen |= {v for v, m in zip(eqn.outvars, moved(eqn, into), strict=True) if m}
    return [not isinstance(v, core.Literal) and v in seen for v in closed.jaxpr.outvars]


def chain(trace: Trace, eqn: Any, operands: list) -> None:
    """Record an elementwise function whose moving operands have one root, with its derivative."""
    where = [i for i, m in enumerate(flags(trace, eqn)) if m]
    roots = {trace.root.get(eqn.invars[i], eqn.invars[i]) for i in where}
    out = eqn.outvars[0]
    if len(roots) != 1 or any(eqn.invars[i].aval.shape != out.aval.shape for i in where):
        return
    root = roots.pop()
    trace.root[out] = root
    kind = multiplier_type(root)
    floats = [i for i in where if is_float(eqn.invars[i])]
    if not floats or not is_float(out):
        trace.slope[out] = jnp.zeros(out.aval.shape, kind)
        return

    def function(*values: Any) -> jax.Array:
        return apply(
            eqn, [values[floats.index(i)] if i in floats else o for i, o in enumerate(operands)]
        )[0]

    values = [operands[i] for i in floats]
    tangents = [
        trace.slope.get(eqn.invars[i], jnp.ones_like(operands[i])).astype(operands[i].dtype)
        for i in floats
    ]
    if eqn.primitive.name == "stop_gradient":
        trace.slope[out] = tangents[0]
    else:
        # Pulled back, not pushed forward, which custom_vjp cannot be; each element is its own.
        _, pull = jax.vjp(function, *values)
        pulled = pull(jnp.ones(out.aval.shape, out.aval.dtype))
        trace.slope[out] = sum(p * t for p, t in zip(pulled, tangents, strict=True))
    if is_straight(eqn, where) and all(
        eqn.invars[i] in trace.straight or eqn.invars[i] is root for i in where
    ):
        trace.straight.add(out)


def multiplier_type(variable: Any) -> Any:
    """The type of a variable's multiplier: its own, or the default float for masks."""
    return variable.aval.dtype if is_float(variable) else jnp.result_type(float)


def is_float(variable: Any) -> bool:
    """Whether a variable holds floats."""
    return bool(jnp.issubdtype(variable.aval.dtype, jnp.floating))


def is_straight(eqn: Any, where: list[int]) -> bool:
    """Whether an elementwise equation is affine in its moving operands."""
    name = eqn.primitive.name
    if name == "convert_element_type":
        return is_float(eqn.invars[0]) and is_float(eqn.outvars[0])
    return name in LINEAR or (name == "mul" and len(where) == 1) or (name == "div" and where == [0])


def captured(predict: Predict, tree: Any, leaves: list, opens: Opener = opener) -> core.ClosedJaxpr:
    """The program of `predict` with every call opened that only wraps."""
    return inline(jax.make_jaxpr(lambda *z: predict(jax.tree.unflatten(tree, z)))(*leaves), opens)
