"""Networks, one a file, with their width as a parameter.

Every file of a network has `body(channels, size, width)`, which returns the layers up to the last features and
their number. Other kinds of models: `autoencoder.py`, `quantised.py`, and the encoders in `encoder.py`,
`shifted_encoder.py` and `gated_encoder.py`.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from mea_lib.models import alexnet, nine_layer_cnn, resnet, vgg_like, vggface
from mea_lib.models.autoencoder import Autoencoder
from mea_lib.models.base import ImageClassifier, Input
from mea_lib.names import NETWORKS
from mea_lib.seeded import seeded

_BODIES = {
    "nine_layer_cnn": nine_layer_cnn.body,
    "vgg_like": vgg_like.body,
    "alexnet": alexnet.body,
    "resnet18": resnet.body_18,
    "resnet50": resnet.body_50,
    "vggface": vggface.body,
}
PAPER_WIDTH = 64


def build(
    network: str,
    inputs: Input,
    *,
    classes: int,
    width: int = PAPER_WIDTH,
    seed: int = 0,
) -> ImageClassifier:
    """A network with random weights, in the channels_last memory format.

    Args:
        network: one of NETWORKS.
        inputs: the images it takes; `Input.of(data.owner)` for those of a data set.
        classes: number of outputs.
        width: channels of the first layer; 64 is the size known from the literature.
        seed: of the weights; the global random state is left as it was.
    """
    if network not in _BODIES:
        raise ValueError(f"unknown network {network!r}; choose one of: {', '.join(NETWORKS)}")
    if inputs.size < 16 or width < 1 or classes < 2:
        raise ValueError(
            "a network needs images of at least 16 pixels, a width of at least 1 and 2 classes or more; "
            f"got {inputs.size}, {width} and {classes}"
        )
    spec = {
        "network": network,
        "classes": classes,
        "channels": inputs.channels,
        "size": inputs.size,
        "width": width,
        "mean": list(inputs.mean),
        "std": list(inputs.std),
    }
    with seeded(seed):
        layers, features = _BODIES[network](inputs.channels, inputs.size, width)
        model = ImageClassifier(layers, features, spec)
    return model.to(memory_format=torch.channels_last)


def build_from_spec(spec: dict[str, Any], seed: int = 0) -> nn.Module:
    """The network that a `spec` describes, with random weights of this seed or to load another one's into.

    A model that is no classifier names its kind: a file of this room that has `from_spec`. It is imported when
    such a model is read, so that an edit to it changes the name of no classifier.
    """
    if "kind" in spec:
        name = f"{__name__}.{spec['kind']}"
        file = import_module(name) if str(spec["kind"]).isidentifier() and find_spec(name) else None
        if not hasattr(file, "from_spec"):
            raise ValueError(f"a kind of model is a file of {__name__} with from_spec, not {spec['kind']!r}")
        return file.from_spec(spec, seed)
    if spec["network"] == "autoencoder":
        return Autoencoder(spec["channels"], spec["size"], spec["width"], seed)
    inputs, layers = Input.split_from(spec)
    return build(layers.pop("network"), inputs, **layers, seed=seed)


__all__ = ["NETWORKS", "PAPER_WIDTH", "Autoencoder", "ImageClassifier", "Input", "build", "build_from_spec"]
