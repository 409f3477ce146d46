"""A copy of a model that only answers: each batch normalisation multiplied into the convolution before it.

In evaluation mode a batch normalisation is one product and one sum for each channel, which the convolution's own
weights and bias can take over. The answers are the same up to rounding: in float32 to 1e-5 of the largest logit.
"""

import copy
import itertools

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(model: nn.Module) -> nn.Module:
    """The model for answering, in evaluation mode, with layers of its own; the given one stays as it is.

    It takes milliseconds and nothing is kept, so that no answer comes from weights that have changed since.

    Args:
        model: any; only a convolution and the normalisation right after it in an `nn.Sequential` are joined. A model
            with hooks, which a copy would call too or not at all, is returned itself.
    """
    if any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules()):
        return model
    answering = copy.deepcopy(model).eval()
    for parent in [layer for layer in answering.modules() if type(layer) is nn.Sequential]:
        layers = list(parent.named_children())
        for (first, layer), (second, norm) in itertools.pairwise(layers):
            if type(layer) is nn.Conv2d and type(norm) is nn.BatchNorm2d and norm.track_running_stats:
                setattr(parent, first, fuse_conv_bn_eval(layer, norm))
                setattr(parent, second, nn.Identity())
    return answering.requires_grad_(False)
