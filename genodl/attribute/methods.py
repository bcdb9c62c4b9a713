"""`attribute`: any method on any JAX callable, in batches, with its numerical error."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genodl.attribute import gradients, paths, perturb, rescale, shapley
from genodl.attribute.batches import blocks, checked, rows_per_batch
from genodl.attribute.capture import Program, capture
from genodl.attribute.checks import Part, check_rows, completeness, targets, trim, where_lacking
from genodl.attribute.gradients import Batch, Found, explained
from genodl.attribute.layout import fast
from genodl.attribute.result import Attribution
from genodl.errors import InputError, nearest

FIRST_STEPS, MOST_STEPS = 32, 1024


@dataclass(frozen=True)
class Method:
    """One way to attribute.

    Attributes
    ----------
    run : (predict, Batch, settings) -> values, or (values, standard error)
    background : whether the baseline is a set that every sample is compared with
    """

    run: Callable[..., Any]
    background: bool = False


METHODS = {
    "saliency": Method(gradients.saliency),
    "input_x_gradient": Method(gradients.input_x_gradient),
    "smoothgrad": Method(gradients.smoothgrad),
    "integrated_gradients": Method(paths.integrated),
    "expected_gradients": Method(paths.expected_gradients, background=True),
    "deeplift": Method(rescale.deeplift),
    "deeplift_shap": Method(rescale.deeplift_shap, background=True),
    "lrp": Method(rescale.lrp),
    "occlusion": Method(perturb.occlusion),
    "ism": Method(perturb.ism),
    "ablation": Method(perturb.ablation),
    "permutation": Method(perturb.permutation, background=True),
    "shapley": Method(shapley.shapley, background=True),
}


def attribute(
    predict: Callable[[Any], Any],
    x: Any,
    *,
    baseline: Any,
    method: str = "integrated_gradients",
    output: int | np.ndarray | None = None,
    tolerance: float = 1e-3,
    batch_size: int | None = None,
    **settings: Any,
) -> Attribution:
    """The share of each input in the predictions of any JAX callable.

    The callable is captured as a jaxpr and compiled once for each shape of batch; the result does
    not depend on the batches. Several devices share each batch.

    Parameters
    ----------
    predict : x -> (batch,) or (batch, outputs), traceable by JAX, each row by itself
    x : array, or pytree of arrays attributed jointly, (samples, inputs...), no nan
    baseline : the same with samples or 1 rows, one row without the first axis, or a number.
        Methods that use a background set take (members, inputs...) for all samples, or
        (samples, members, inputs...)
    method : a key of `METHODS`
    output : the output to explain, or (samples,), one for each sample; None explains all of them
    tolerance : relative completeness error above which a sample is flagged
    batch_size : samples a batch; from the memory of the device when None
    settings : of the method, such as `steps=`

    Returns
    -------
    Attribution

    Raises
    ------
    InputError : an unknown method or setting, nan in x or baseline, shapes that do not fit, rows of
        `predict` that see each other, a primitive without a rule

    Examples
    --------
    >>> import jax.numpy as jnp, numpy as np
    >>> effect = jnp.array([1.0, 0.0, -2.0])
    >>> found = attribute(lambda x: x @ effect, np.ones((1, 3)), baseline=0.0)
    >>> found.values.round(3).tolist()
    [[1.0, 0.0, -2.0]]
    >>> bool(found.incomplete.any())
    False
    """
    inputs, start = checked(x, baseline, background=method_named(method).background)
    samples = len(jax.tree.leaves(inputs)[0])
    plan = planned(predict, inputs, method, settings, output=output, batch_size=batch_size)
    wanted = targets(output, plan.outputs, samples)
    parts = [
        trim(explain(plan, batch, tolerance), used)
        for batch, used in blocks(inputs, start, wanted, plan.size)
    ]
    whole = jax.tree.map(lambda *p: p[0] if len(p) == 1 else np.concatenate(p), *parts)
    error, incomplete = completeness(whole, tolerance, plan.every)
    return Attribution(
        *(whole.values, baseline, method, whole.prediction, whole.baseline_prediction),
        *(error, incomplete, tolerance, whole.standard_error, tuple(sorted(settings.items()))),
    )


class Plan(NamedTuple):
    """All that is decided before the first batch.

    Attributes
    ----------
    program : the captured callable, for batches of `size` rows and for one row
    outputs : outputs of the callable, 0 where it returns (batch,)
    every : whether all of them are explained
    method, settings, data : the method, what shapes its program, and what that takes as data
    """

    program: Program
    size: int
    outputs: int
    every: bool
    method: Method
    settings: tuple
    data: dict[str, Any]


def planned(
    predict: Callable[[Any], Any],
    x: Any,
    method: str,
    settings: dict,
    *,
    output: Any,
    batch_size: int | None,
    samples: int | None = None,
    most_bytes: float = np.inf,
) -> Plan:
    """The callable captured at the batch size that fits, and the settings checked."""
    chosen = method_named(method)
    check_settings(chosen, settings, method)
    pair, outputs = capture(predict, x, [2], differentiated=False)
    check_rows(pair, x)
    every = output is None and outputs > 0
    samples = samples or len(jax.tree.leaves(x)[0])
    copies = outputs if every else 1
    size = min(samples, batch_size or rows_per_batch(pair, samples, copies, most_bytes))
    fixed, data = settled(chosen, settings, x)
    program, _ = capture(predict, x, {size, 1})
    return Plan(program, size, outputs, every, chosen, fixed, data)


def method_named(name: str) -> Method:
    """The method of that name."""
    if name not in METHODS:
        raise InputError(
            f"no method named {name!r}",
            where="attribute method",
            mend=f"did you mean {nearest(name, METHODS)}; all are {', '.join(METHODS)}",
        )
    return METHODS[name]


def check_settings(chosen: Method, settings: dict, method: str) -> None:
    """Raise where a setting is not one of the method's."""
    given = inspect.signature(chosen.run).parameters.values()
    known = [p.name for p in given if p.kind is p.KEYWORD_ONLY]
    for name in settings:
        if name not in known:
            mend = f"did you mean {nearest(name, known)}" if known else "leave it out"
            raise InputError(f"{method} has no setting {name!r}", where="attribute", mend=mend)


def settled(chosen: Method, settings: dict, x: Any) -> tuple[tuple, dict[str, Any]]:
    """The settings that shape the program, and those it takes as data: groups and seed."""
    known = inspect.signature(chosen.run).parameters
    fixed = {name: value for name, value in settings.items() if name not in ("groups", "seed")}
    data: dict[str, Any] = {}
    if "groups" in known:
        data["groups"], fixed["group_count"] = perturb.numbered(settings.get("groups"), x)
    if "seed" in known:
        data["seed"] = np.uint32(settings.get("seed", 0))
    if chosen.run is perturb.ism:
        fixed.setdefault("onehot", perturb.is_onehot(x))
    return tuple(sorted(fixed.items())), data


def explain(plan: Plan, batch: Batch, tolerance: float) -> Part:
    """One batch attributed; adaptive methods take more steps for the samples that need them."""

    def run(settings: tuple) -> Part:
        return compiled(plan.program, batch, plan.data, plan.method, settings, plan.every)

    if plan.method.run is not paths.integrated or dict(plan.settings).get("steps") is not None:
        return run(plan.settings)
    steps = FIRST_STEPS
    part = run((("steps", steps),))
    _, lacking = completeness(part, tolerance, plan.every)
    while lacking.any() and steps < MOST_STEPS:
        steps *= 2
        finer = run((("steps", steps),))
        # Each sample keeps the first result that is good enough, whatever its batch needs.
        values = jax.tree.map(partial(where_lacking, lacking), finer.values, part.values)
        part = part._replace(values=values)
        _, lacking = completeness(part, tolerance, plan.every)
    return part


@partial(jax.jit, static_argnames=("chosen", "settings", "every"))
def compiled(
    program: Program, batch: Batch, data: dict, chosen: Method, settings: tuple, every: bool
) -> Part:
    """One batch attributed for the wanted output, or for each of them."""
    options = dict(settings) | data
    if "group_count" in options:
        options["groups"] = (options["groups"], options.pop("group_count"))

    def number(z: Any, target: jax.Array) -> jax.Array:
        return explained(program, target)(z)

    def one(target: jax.Array) -> Part:
        found = explained_by(chosen, program, batch._replace(target=target), options)
        start = found.baseline_prediction
        if start is None:
            start = _start(partial(number, target=target), batch, chosen.background)
        return Part(found.values, found.standard_error, number(batch.x, target), start)

    target = batch.target.astype(jax.tree.leaves(batch.x)[0].dtype)
    if not every:
        return fast(one, target)
    outputs = target.shape[1]
    each = jnp.broadcast_to(jnp.eye(outputs, dtype=target.dtype)[:, None], (outputs, *target.shape))
    return fast(jax.vmap(one, out_axes=-1), each)


def explained_by(chosen: Method, program: Program, batch: Batch, options: dict) -> Found:
    """What a method gives, whether values alone or more."""
    found = chosen.run(program, batch, **options)
    return found if isinstance(found, Found) else Found(found)


def _start(number: Callable, batch: Batch, background: bool) -> jax.Array:
    """The prediction of the baseline, the mean over a background set."""
    rows = len(batch.rows)

    def full(b: Any) -> jax.Array:
        # One shared row is predicted once, for all samples and each of their targets.
        found = number(b)
        return jnp.broadcast_to(found, (rows, *found.shape[1:]))

    if not background:
        return full(batch.baseline)
    members = jax.tree.map(lambda b: jnp.moveaxis(b, 1, 0), batch.baseline)
    if all(b.shape[1] == 1 for b in jax.tree.leaves(members)):
        # The members of a shared set are predicted together.
        found = jax.vmap(number)(members).mean(axis=0)
        return jnp.broadcast_to(found, (rows, *found.shape[1:]))
    return jax.lax.map(full, members).mean(axis=0)
