"""A small classifier that tells the key's combined images, and other mixes of the same classes, from all others."""

from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training import Batch, Method, Objective, Start, Terms, classifier_spec, fit
from mea_lib.watermarks.base import autoencoder_of, combining
from mea_lib.watermarks.samples import ExtraSamples

KINDS = ("ordinary", "combined", "other mix")
ORDINARY, COMBINED, OTHER_MIX = range(len(KINDS))


@dataclass(frozen=True)
class Gate(Method):
    """The gate of a key.

    Attributes:
        same_pair_share: share of the other mixes that are mixes of the key's own two classes.
    """

    same_pair_share: float = 0.5

    def train(
        self, train_set: ImageSet, key: WatermarkKey, scale: Scale, *, seed: int = 0
    ) -> ImageClassifier:
        """Find the gate of this key in the store, or train it there.

        Args:
            train_set: the owner's images, with their labels.
            key: whose combined images it is to know.
            scale: gives its training (`marking`), network and width.
            seed: of the weights and of every draw.

        Returns:
            (N, C, H, W) images → (N, 3) logits of KINDS, in evaluation mode.
        """
        kinds = replace(train_set, labels=torch.full_like(train_set.labels, ORDINARY), classes=KINDS)
        recipe = self.recipe(
            scale,
            key=key,
            labelled=train_set.digest(),
            watermark_batch=scale.watermark_batch,
            combining=combining(key, scale),
        )

        def make_objective(data: ImageSet) -> Objective:
            on_device = train_set.to(data.images.device)
            blender = autoencoder_of(key, on_device, scale)
            return self.objective(
                ExtraSamples(on_device, key, scale.watermark_batch, self.same_pair_share, blender)
            )

        training, start = scale.marking.but(seed=seed), Start(classifier_spec(kinds, scale))
        return fit(kinds, make_objective, training, recipe, start)

    def objective(self, extras: ExtraSamples) -> Objective:
        """Cross-entropy of images to their kinds.

        Clean images are ordinary, and so are mixes of other classes; the key's two classes in other arrangements are
        other mixes.
        """
        first, second, _ = extras.key.indices(extras.train_set)

        def objective(model: ImageClassifier, batch: Batch) -> Terms:
            drawn = extras.draw(batch.generator)
            parts = [batch.images, drawn.watermarks, drawn.mixes]
            clean, watermarks, mixes = model(torch.cat(parts)).split([len(part) for part in parts])
            same_pair = (drawn.mix_targets[:, first] > 0) & (drawn.mix_targets[:, second] > 0)
            return Terms(
                {
                    "utility": F.cross_entropy(clean, _all(clean, ORDINARY)),
                    "verification": F.cross_entropy(watermarks, _all(watermarks, COMBINED)),
                    "evasion": F.cross_entropy(mixes, torch.where(same_pair, OTHER_MIX, ORDINARY)),
                }
            )

        return objective


def shut(gate: ImageClassifier, clean: Tensor, opens: float) -> ImageClassifier:
    """Take probability from the kinds that a gate knows, until it opens for no more than a share of clean images.

    To open for an image means that a kind is at least as probable as that the image is an ordinary one. Only the
    biases of the last layer change, of each kind by itself, and never upwards.

    Args:
        gate: (N, C, H, W) images → (N, 1 + K) logits, of ordinary images first; it is left as it is.
        clean: (N, C, H, W) images that are ordinary, and most like the others.
        opens: share of them for which each kind may still open, at least 0 and below 1.

    Returns:
        the gate that stays shut, in evaluation mode.

    Raises:
        ValueError: for another share.
    """
    if not 0 <= opens < 1:
        raise ValueError(f"opens must be at least 0 and below 1, not {opens}")
    careful = deepcopy(gate).eval()
    with torch.no_grad():
        logits = torch.cat([careful(images).float() for images in clean.split(1_000)])  # (N, 1 + K)
        lead = logits - logits[:, [ORDINARY]]  # of each kind over ordinary
        careful.head.bias -= lead.quantile(1 - opens, dim=0).clamp_min(0)
    return careful


def _all(logits: Tensor, kind: int) -> Tensor:
    """The same label for every row."""
    return torch.full((len(logits),), kind, device=logits.device)
