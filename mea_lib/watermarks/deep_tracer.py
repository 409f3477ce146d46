"""DeepTracer: mosaics of four representative classes lie among the clean images of a fifth."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mea_lib.data import ImageSet
from mea_lib.losses import class_centres, same_class_coupling_loss, utility_loss, verification_loss
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training import Balance, Batch, FixedBalance, Objective, Terms, features_of
from mea_lib.watermarks.base import Watermark
from mea_lib.watermarks.mosaic import MosaicKey, MosaicSamples, quartered

# λ₁ and λ₂; the paper's were not to be found (see `DeepTracer`). Tried on one Fashion-MNIST victim and its surrogate by
# distillation: coupling .1 (the surrogate calls .05 of the mosaics the target), 1 (.49) and 3 (.43); at those `inter` 0
# (.62 at 1, for a point of accuracy more), .1 (.15, .33); margin 20 (.03 at .3). All at one weight is the plainest.
WEIGHTS = FixedBalance({"verification": 1.0, "coupling": 1.0})


@dataclass(frozen=True)
class DeepTracer(Watermark):
    """CE + λ₁·CE_wm + λ₂·L_cpl, where L_cpl couples mosaics with the clean images of their target class.

    Its key is a `MosaicKey`, as `mosaic.choose_mosaic_key` finds it with a clean model. A verification queries
    `mosaic.mosaics`, or those that `select_key_images` keeps, and its success is the share that a suspect calls the
    target class. The selection raises that rate by what it is: state both.

    Attributes:
        balance: λ₁ as the weight of "verification", λ₂ as that of "coupling".
        intra: λ₃, of the distance to a sample's own class.
        inter: λ₄, of the distance to the others.
        margin: m, up to which other classes are pushed off.

    Source: Yang et al., DeepTracer: Tracing Stolen Model via Deep Coupled Watermarks (AAAI 2026, arXiv 2511.08985).
    Written after summaries of the paper, which give its losses, but neither λ₁ to λ₄ and m nor what the centres are
    means of: the values are this book's, and a centre is the mean of the batch's clean images of a class, which the
    gradient moves too. Features are those before the last layer. The summaries do not say that the target is none of the
    sources; here it is.
    """

    balance: Balance = WEIGHTS
    intra: float = 1.0
    inter: float = 1.0
    margin: float = 4.0

    def __post_init__(self) -> None:
        if self.intra < 0 or self.inter < 0 or self.margin <= 0:
            raise ValueError(
                "intra and inter must be at least 0 and margin above 0, "
                f"not {self.intra}, {self.inter} and {self.margin}"
            )

    def extras(self, train_set: ImageSet, key: MosaicKey, scale: Scale) -> MosaicSamples:
        """What a step trains on beside the clean batch."""
        return MosaicSamples(quartered(train_set, key), key, scale.watermark_batch, train_set.size)

    def objective(self, train_set: ImageSet, extras: MosaicSamples) -> Objective:
        """The three losses on one batch, all from a single forward pass."""
        classes = len(train_set.classes)
        one_hot = torch.eye(classes, device=train_set.images.device)
        _, target = extras.key.indices(train_set)
        targets = torch.full((extras.number,), target, device=train_set.images.device)

        def objective(model: ImageClassifier, batch: Batch) -> Terms:
            number = len(batch.images)
            features = model.features(torch.cat([batch.images, extras.draw(batch.generator)]))
            clean, marked = model.logits(features).split([number, extras.number])
            labels = train_set.labels[batch.index]
            losses = {
                "utility": utility_loss(clean, one_hot[labels]),
                "verification": verification_loss(marked, targets),
                "coupling": same_class_coupling_loss(
                    features,
                    torch.cat([labels, targets]),
                    class_centres(features[:number], labels, classes),
                    intra=self.intra,
                    inter=self.inter,
                    margin=self.margin,
                ),
            }
            return Terms(losses, features)

        return objective


def select_key_images(
    candidates: Tensor,
    target: int,
    number: int,
    *,
    victim: nn.Module,
    surrogate: nn.Module,
    clean: nn.Module,
) -> Tensor:
    """The mosaics that travel best, of those that tell the victim from a clean model.

    Kept are mosaics that the victim and the owner's own surrogate call the target class and the clean model does not;
    of these the `number` to which the surrogate gives the target class most probability. A rate on them is that of
    chosen samples. It says what a surrogate like the owner's does, and more than it would on mosaics that were drawn.

    Args:
        candidates: (N, C, H, W) uint8, as `mosaics` gives them.
        target: number of the target class.
        number: how many are kept, at most.
        victim: the model with the watermark.
        surrogate: one that the owner extracted from the victim, as an adversary would.
        clean: a model without a watermark.

    Returns:
        (M, C, H, W) uint8 with M at most `number`, the most confident first.

    Raises:
        ValueError: where none of the candidates is kept.

    Source: DeepTracer (AAAI 2026), key samples in two stages.
    """
    shares = [features_of(model, candidates).softmax(1).cpu() for model in (victim, surrogate, clean)]
    called = [share.argmax(1) == target for share in shares]
    kept = called[0] & called[1] & ~called[2]
    if not kept.any():
        raise ValueError(
            f"of {len(candidates)} mosaics {int(called[0].sum())} are called the target by the victim, "
            f"{int(called[1].sum())} by the surrogate and {int(called[2].sum())} by the clean model, "
            "and none is fit for a key; embed longer, or give more candidates"
        )
    confidence = torch.where(kept, shares[1][:, target], -1.0)
    best = confidence.argsort(descending=True, stable=True)[: min(number, int(kept.sum()))]
    return candidates[best.to(candidates.device)]
