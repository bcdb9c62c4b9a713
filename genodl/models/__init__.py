"""Networks: each maps (batch, inputs) to (batch, outputs) row by row."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from genodl.errors import InputError, nearest
from genodl.models.tabular import (
    MLP,
    Linear,
    LinearConfig,
    MLPConfig,
    Pathway,
    PathwayConfig,
    Structure,
)

MODELS: dict[str, tuple[Any, Any]] = {
    "linear": (LinearConfig, Linear),
    "mlp": (MLPConfig, MLP),
    "pathway": (PathwayConfig, Pathway),
}
__all__ = ["MODELS", "Structure", "build"]


def build(
    name: str, settings: dict[str, Any], inputs: int, outputs: int, *, seed: int | jax.Array
) -> nnx.Module:
    """The named model with fresh parameters.

    Parameters
    ----------
    name : an entry of `MODELS`
    settings : fields of the model's configuration
    inputs, outputs : widths of a row and of its prediction
    seed : an integer or a JAX key

    Raises
    ------
    InputError : no such model, or a setting it does not have
    """
    if name not in MODELS:
        raise InputError(
            f"no model named {name!r}, nearest {nearest(name, MODELS)}",
            where="[model] name",
            mend=f"use one of {', '.join(MODELS)}",
        )
    config, model = MODELS[name]
    known = config.__dataclass_fields__
    for setting in settings:
        if setting not in known:
            raise InputError(
                f"model {name!r} has no setting {setting!r}",
                where="[model] settings",
                mend=f"use one of {', '.join(known)}" if known else "leave the settings out",
            )
    return model(config(**settings), inputs, outputs, rngs=nnx.Rngs(seed))
