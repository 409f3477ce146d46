"""A model in a file: as the store keeps it, ONNX, TorchScript, or weights whose network is named.

No file is unpickled: that would run whatever code its author put there. TorchScript is code, too: it runs with the
rights of whoever loads it, and can read and write files.
"""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mea_lib.files import check_file
from mea_lib.model_files import ModelFiles
from mea_lib.model_files.loading import load_model
from mea_lib.models import NETWORKS, Input, build
from mea_lib.names import FOREIGN_FILES
from mea_lib.training.device import best_device

STORED = (".safetensors", ".json")
LARGEST = 8 * 2**30  # bytes of a file of weights, unpacked or not
# Sides that a network of this package is tried at where its weights fit only some.
_SIDES = (28, 32, 16, 24, 48, 64, 96, 128, 224)
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")


def load_model_file(
    path: str | Path, network: str | None = None, width: int | None = None
) -> nn.Module | Callable[[Tensor], Any]:
    """The model of a file, to be queried on the best device.

    Args:
        path: ends in one of STORED or FOREIGN_FILES.
        network: of a state dict, one of `mea_lib.models.NETWORKS` or a classifier of torchvision by its name there.
        width: channels of its first layer, for networks of this package; None reads it from the weights.

    Raises:
        FileNotFoundError: where the file, or the card beside it, is not there.
        ValueError: for a file of another kind or one that is too large, or weights that are not of that network.
        ImportError: for an ONNX file without onnxruntime.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in (*STORED, *FOREIGN_FILES):
        raise ValueError(
            f"{path.name} is no file of a model; it must end in one of: {', '.join((*STORED, *FOREIGN_FILES))}"
        )
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    check_file(path, LARGEST)
    needs_network = ending in (".pt", ".pth") and not _is_torchscript(path)
    if not needs_network and (network is not None or width is not None):
        raise ValueError(f"{path.name} says itself which network it holds; leave out network and width")
    if ending in STORED:
        return _stored(path)
    if ending == ".onnx":
        return OnnxModel(path)
    return _of_weights(path, network, width) if needs_network else _torchscript(path)


class OnnxModel:
    """An ONNX file, queried through onnxruntime.

    Args:
        path: of the file.

    Raises:
        ImportError: without onnxruntime.
        ValueError: for a file that is none, or a model with several inputs.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError(
                f"{path.name} is asked through onnxruntime, which is not installed; run: pip install onnxruntime"
            ) from error
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ValueError(f"{path.name} cannot be read as ONNX: {_short(error)}") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _ONNX_TYPES:
            said = ", ".join(f"{one.name} ({one.type})" for one in inputs)
            raise ValueError(f"{path.name} must take images alone, in numbers; it takes {said}")
        self._input = inputs[0]

    def __call__(self, images: Tensor) -> np.ndarray:
        """The first output."""
        is_float = "float" in self._input.type or "double" in self._input.type
        if is_float and not images.is_floating_point():
            raise ValueError(f"it takes {self._input.type} and does not say in which range")
        if not is_float and images.is_floating_point():
            raise ValueError(f"it takes {self._input.type}, pixels as they are; leave input_range out")
        pixels = images.cpu().numpy().astype(_ONNX_TYPES[self._input.type])
        return self._session.run(None, {self._input.name: pixels})[0]


_ONNX_TYPES = {
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
}


def _stored(path: Path) -> nn.Module:
    """A model as the store writes it: weights, and a card beside them."""
    files = ModelFiles.at(path)
    for file in (files.weights, files.card):
        if not file.exists():
            raise FileNotFoundError(
                f"there is no file {file}; a model is its .safetensors and its .json file"
            )
    return _on_best_device(load_model(files))


def _is_torchscript(path: Path) -> bool:
    """Whether an archive holds code of TorchScript beside its numbers; ValueError for one that swells."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ValueError(f"{path.name} is a damaged archive: {_short(error)}") from error
    size = sum(member.file_size for member in members)
    if size > LARGEST:
        raise ValueError(
            f"{path.name} has {size:,} bytes when it is unpacked, and at most {LARGEST:,} are read"
        )
    return any(member.filename.endswith("constants.pkl") for member in members)


def _torchscript(path: Path) -> nn.Module:
    try:
        return torch.jit.load(str(path), map_location=best_device())
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path.name} cannot be read as TorchScript: {_short(error)}") from error


def _of_weights(path: Path, network: str | None, width: int | None) -> nn.Module:
    """The named network with the weights of a state dict."""
    if network is None:
        raise ValueError(
            f"{path.name} holds weights and not the network they belong to; pass network=…, one of: "
            f"{', '.join(NETWORKS)}, or a classifier of torchvision such as mobilenet_v2"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # reading a pickle ends in whatever a damaged one leads it to
        raise ValueError(
            f"{path.name} is no state dict of weights alone ({_short(error)}); a whole model in a pickle is not "
            "loaded, since that would run its code: save model.state_dict() instead"
        ) from error
    weights = _unwrapped(content, path)
    model = _ours(network, weights, width) or _torchvisions(network, weights, width)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"the weights of {path.name} are not those of {network}: {_short(error)}") from error
    return _on_best_device(model)


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    """The state dict itself, which checkpoints and parallel training wrap."""
    while isinstance(content, Mapping) and not any(isinstance(value, Tensor) for value in content.values()):
        inner = [content[name] for name in _WRAPPERS if isinstance(content.get(name), Mapping)]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{path.name} holds no state dict; save model.state_dict() instead")
    for prefix in ("module.", "_orig_mod.", "model."):
        if content and all(name.startswith(prefix) for name in content):
            content = {name.removeprefix(prefix): value for name, value in content.items()}
    return dict(content)


def _ours(network: str, weights: dict[str, Tensor], width: int | None) -> nn.Module | None:
    """The network of this package that these weights are the shape of; None where it is another's."""
    if network not in NETWORKS or not {"head.weight", "mean", "std"} <= weights.keys():
        return None
    first = next((value for value in weights.values() if value.ndim == 4 and value.shape[0] > 1), None)
    mean, std = (weights[name].flatten().tolist() for name in ("mean", "std"))
    classes = len(weights["head.weight"])
    width = width or (64 if first is None else len(first))
    shapes = {name: value.shape for name, value in weights.items()}
    for size in _SIDES:
        model = build(network, Input(len(mean), size, mean, std), classes=classes, width=width)
        expected = {name: value.shape for name, value in model.state_dict().items()}
        if expected.keys() != shapes.keys() or expected == shapes:
            break
    return model  # where none fits, its `load_state_dict` says what does not


def _torchvisions(network: str, weights: dict[str, Tensor], width: int | None) -> nn.Module:
    """A classifier of torchvision with as many classes as the last of these weights."""
    from torchvision import models

    known = models.list_models(module=models)
    if network not in known:
        raise ValueError(
            f"unknown network {network!r}; choose one of: {', '.join(NETWORKS)}, or a classifier of torchvision "
            f"such as {', '.join(known[:3])}"
        )
    if width is not None:
        raise ValueError(f"{network} of torchvision has one width; leave width out")
    matrices = [value for value in weights.values() if value.ndim in (2, 4)]
    if not matrices:
        raise ValueError(f"these weights are not those of {network}: there is no layer among them")
    return models.get_model(network, weights=None, num_classes=len(matrices[-1]))


def _on_best_device(model: nn.Module) -> nn.Module:
    return model.eval().to(best_device())


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
