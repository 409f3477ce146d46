"""From two files to a model, without memory for anything that the files themselves do not hold."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from mea_lib.model_files.model_files import ModelFiles
from mea_lib.model_files.weights import Shapes
from mea_lib.models import build_from_spec


def load_model(files: ModelFiles) -> nn.Module:
    """The model that a card describes, with its weights, on the CPU in evaluation mode, and with its `card`.

    Raises:
        ValueError: for damaged files, weights of another network, or a card that describes none.
        FileNotFoundError: where there is no card.
        OSError, MemoryError, RuntimeError: where the machine fails; they say nothing about the files.
    """
    content, weights = files.read(lambda card: _shapes(card, files.card))
    card = json.loads(content)
    try:
        tensors = load(weights)
        model = build_from_spec(card["spec"])
        model.load_state_dict(tensors)
    except SafetensorError as error:
        raise ValueError(f"{files.weights} is no file of weights: {error}") from error
    except (MemoryError, RuntimeError) as error:
        # What the files could be to blame for was checked before.
        said = str(error) or "not enough memory"
        raise type(error)(f"{files.weights} could not be loaded: {said}") from error
    model.card = card
    return model.eval()


def _shapes(card: dict[str, Any], path: Path) -> Shapes:
    """Shapes of the tensors of a card's network, whose numbers take no memory on the meta device."""
    try:
        with torch.device("meta"):
            model = build_from_spec(card["spec"])
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        first = str(error).partition("\n")[0][:200]
        raise ValueError(
            f"{path} and its weights do not make a model: its spec builds none ({first})"
        ) from error
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
