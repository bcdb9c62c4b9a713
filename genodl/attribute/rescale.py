"""DeepLIFT and layer-wise relevance propagation on any jaxpr.

Differences from a reference pass back equation by equation. Every primitive either has a rule
(`genodl.attribute.rules`) or is an error that names it. An elementwise function of one value,
however many primitives it is written in (GELU, SiLU, `where`), is one nonlinearity.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from genodl.attribute import control
from genodl.attribute.gradients import Batch, Found, Predict, explained
from genodl.attribute.program import environment, inline, read
from genodl.attribute.rules import INDEXED, RULES, Step, difference, number, secant
from genodl.attribute.trace import (
    CONTROL,
    Trace,
    captured,
    flags,
    follow,
    moving_out,
    multiplier_type,
    opener,
)
from genodl.errors import InputError


def back(trace: Trace, reference: dict, m_outs: list, *, zero: bool) -> list:
    """Multipliers of the inputs of a program from those of its outputs; None where none reaches."""
    reached: dict = {}

    def add(atom: Any, value: Any) -> None:
        if value is not None and not isinstance(atom, core.Literal) and atom in trace.moving:
            # A program may mix precisions; each multiplier has that of its variable.
            value = value.astype(multiplier_type(atom))
            reached[atom] = reached[atom] + value if atom in reached else value

    for v, m in zip(trace.jaxpr.outvars, m_outs, strict=True):
        add(v, m)
    equations: list[Any] = list(trace.jaxpr.eqns)
    for eqn in reversed(equations):
        if not any(v in reached for v in eqn.outvars):
            continue
        if eqn.outvars[0] in trace.root:
            out = eqn.outvars[0]
            add(trace.root[out], reached[out] * ratio(trace, reference, out, zero))
            continue
        step = seen(trace, reference, eqn, zero)
        m = [reached.get(v, jnp.zeros(v.aval.shape, multiplier_type(v))) for v in eqn.outvars]
        for v, value in zip(eqn.invars, ruled(step, m), strict=True):
            add(v, value)
    return [reached.get(v) for v in trace.jaxpr.invars]


def ratio(trace: Trace, reference: dict, out: Any, zero: bool) -> jax.Array:
    """Difference of an elementwise function per difference of its root."""
    slope = trace.slope[out]
    if out in trace.straight:
        return slope
    root = trace.root[out]
    out_x, root_x = number(trace.env[out], slope), number(trace.env[root], slope)
    if zero:
        return secant(out_x, root_x, slope, zero)
    rise = difference(out_x, number(reference[out], slope))
    return secant(rise, difference(root_x, number(reference[root], slope)), slope, zero)


def seen(trace: Trace, reference: dict, eqn: Any, zero: bool) -> Step:
    """An equation under both inputs; a reference of one row is spread over the rows."""
    moving = flags(trace, eqn)
    x = [read(trace.env, v) for v in eqn.invars]
    out = [trace.env[v] for v in eqn.outvars]

    def other(v: Any, value: Any, moves: bool) -> Any:
        if not moves:
            return value
        return jnp.zeros_like(value) if zero else jnp.broadcast_to(reference[v], value.shape)

    b = [other(v, value, m) for v, value, m in zip(eqn.invars, x, moving, strict=True)]
    out_b = [other(v, value, v in trace.moving) for v, value in zip(eqn.outvars, out, strict=True)]
    return Step(eqn, x, b, out, out_b, moving, zero)


def ruled(step: Step, m: list) -> list:
    """The multipliers of an equation's operands by its rule, or an error that names it."""
    name = step.eqn.primitive.name
    if name in CONTROL:
        return control.RULES[name](step, m, multipliers, moving_out)
    indices = INDEXED.get(name)
    fixed = indices is None or not any(
        moves for i, moves in enumerate(step.moving) if i not in indices
    )
    wide = name == "convert_element_type" or name in RULES
    if not wide or not fixed:
        raise InputError(
            f"no rule for the primitive {name!r}" + ("" if fixed else " with indices that move"),
            where="deeplift",
            mend="write that step otherwise, or use method='integrated_gradients' or 'shapley'",
        )
    return RULES[name](step, m)


def multipliers(
    closed: core.ClosedJaxpr, x: list, b: list, moving: list[bool], m_outs: list, *, zero: bool
) -> list:
    """Multipliers of the inputs of a program, seen by the sample and by the reference."""
    whole = inline(closed, opener)
    trace = follow(whole, x, moving, zero=zero)
    reference = {} if zero else environment(whole, b)
    return back(trace, reference, m_outs, zero=zero)


def deeplift(predict: Predict, batch: Batch) -> Found:
    """Contributions of differences from one reference, by the rescale rule.

    Source: Shrikumar, Greenside and Kundaje 2017, section 3.5.1; products and maxima as in
    `genodl.attribute.rules`.
    """
    members = jax.tree.map(lambda b: b[:, None], batch.baseline)
    return deeplift_shap(predict, batch._replace(baseline=members))


def deeplift_shap(predict: Predict, batch: Batch) -> Found:
    """Mean DeepLIFT over a background set. Source: Lundberg and Lee 2017, section 4.2."""
    leaves, tree = jax.tree.flatten(batch.x)
    closed = captured(predict, tree, leaves)
    trace = follow(closed, leaves, [True] * len(leaves))
    members = [jnp.moveaxis(b, 1, 0) for b in jax.tree.leaves(batch.baseline)]
    chosen, references = reference_runs(predict, tree, trace, closed, members)

    def add(total: list, member: tuple) -> tuple[list, Any]:
        starts, run = member
        reference = dict(zip(chosen, run or rerun(closed, chosen, starts, leaves), strict=True))
        out = read(trace.env | reference, trace.jaxpr.outvars[0])
        found = back(trace, reference, [batch.target], zero=False)
        shares = [
            0 * x if m is None else m * (x - b)
            for m, x, b in zip(found, leaves, starts, strict=True)
        ]
        start = explained(lambda _: out, batch.target)(None)
        return [t + s for t, s in zip(total, shares, strict=True)], start

    zero = [jnp.zeros_like(x) for x in leaves]
    total, before = jax.lax.scan(add, zero, (members, references))
    mean = jax.tree.unflatten(tree, [t / members[0].shape[0] for t in total])
    return Found(mean, None, before.mean(axis=0))


def lrp(predict: Predict, batch: Batch) -> Any:
    """Relevance propagated by the epsilon rule; biases absorb their share.

    Source: Bach et al. 2015, equation 58, in the form of Ancona et al. 2018, section 3.1.
    """
    leaves, tree = jax.tree.flatten(batch.x)
    closed = captured(predict, tree, leaves)
    trace = follow(closed, leaves, [True] * len(leaves), zero=True)
    found = back(trace, {}, [batch.target], zero=True)
    shares = [0 * x if m is None else m * x for m, x in zip(found, leaves, strict=True)]
    return jax.tree.unflatten(tree, shares)


def reference_runs(
    predict: Predict, tree: Any, trace: Trace, closed: core.ClosedJaxpr, members: list
) -> tuple[list, list]:
    """Variables that move, and their values for each reference; none where rows cannot be shared.

    A reference of one row is run as one row, if its program is that of the batch row by row.
    """
    chosen = [v for v in closed_variables(closed) if v in trace.moving]
    rows = trace.env[trace.jaxpr.invars[0]].shape[0]
    if rows == 1 or any(b.shape[1] != 1 for b in members):
        return chosen, []
    single = captured(predict, tree, [jax.ShapeDtypeStruct(b.shape[1:], b.dtype) for b in members])
    if not alike(closed, single):
        return chosen, []
    twin = dict(zip(closed_variables(closed), closed_variables(single), strict=True))

    def one(starts: list) -> list:
        env = environment(single, starts)
        return [env[twin[v]] for v in chosen]

    return chosen, jax.vmap(one)(members)


def closed_variables(closed: core.ClosedJaxpr) -> list[Any]:
    """Inputs and computed variables of a program, in order."""
    return [*closed.jaxpr.invars, *(v for e in closed.jaxpr.eqns for v in e.outvars)]


def alike(whole: core.ClosedJaxpr, single: core.ClosedJaxpr) -> bool:
    """Whether a one-row program does to its row what the whole does to each of its rows."""
    names = [[e.primitive.name for e in c.jaxpr.eqns] for c in (whole, single)]
    if names[0] != names[1]:
        return False
    pairs = zip(closed_variables(whole), closed_variables(single), strict=True)
    return all(
        len(v.aval.shape) == len(w.aval.shape)
        and all(b in (a, 1) for a, b in zip(v.aval.shape, w.aval.shape, strict=True))
        for v, w in pairs
    )


def rerun(closed: core.ClosedJaxpr, chosen: list, starts: list, leaves: list) -> list:
    """The moving variables for references given row by row."""
    spread = [jnp.broadcast_to(b, x.shape) for b, x in zip(starts, leaves, strict=True)]
    env = environment(closed, spread)
    return [env[v] for v in chosen]
