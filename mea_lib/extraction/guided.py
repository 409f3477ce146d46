"""Guided extraction (GuidExt): where the victim errs on a few labelled images, the surrogate learns what is right.

Its idea: a watermark is an error that the victim makes on purpose. Whoever trusts the victim a little less where it is
seen to err may learn less of the watermark, too.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.blackbox import Suspect
from mea_lib.data import ImageSet
from mea_lib.extraction.base import Extraction, answered, answers_digest, within_budget
from mea_lib.losses import distillation_loss
from mea_lib.losses.temperature import check_temperature
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training import (
    Balance,
    Batch,
    FixedBalance,
    MGDABalance,
    Objective,
    Start,
    Terms,
    classifier_spec,
    fit,
)

LOSS_PLUS = MGDABalance(normalise="loss+")


@dataclass(frozen=True)
class GuidedExtraction(Extraction):
    """Distillation, and beside it labels for those guide images that the victim calls wrongly.

    T²·KL(answers_T ‖ surrogate_T) on a batch of queries, and KL(mix ‖ surrogate) on guide images, where the mix is
    `label_weight` of the true label and the rest of the answer. Both are balanced anew in each step.

    Attributes:
        temperature: softens answers and outputs in the first term.
        label_weight: of the true label in the second.
        guide_images: how many of the queries, from the first on, are labelled by hand.
        guide_batch: guide images in a step, drawn anew from those that the victim calls wrongly; all where they are
            fewer. Where it errs on none, this is distillation.
        balance: loss weighting.

    Source: the public code of GuidExt, an attack on MEA-Defender, Entangled Watermark and others (temperature 20, 1,000
    guide images, .4 and .6, "loss+"). There the label is multiplied by the largest probability of its column, so that a
    mix does not sum to 1; here it does. There both terms soften the surrogate by 20, neither has the factor T², and
    the weights found for normalised gradients are those of the losses as they are; here the guide's term has T = 1,
    and weights are divided as `MGDABalance` says, which leaves the guide some two thirds of that weight. There batches
    hold 512 images, and Adam at 1e-3 trains for 150 epochs; here the scale's adversary decides.
    """

    temperature: float = 20.0
    label_weight: float = 0.4
    guide_images: int = 1_000
    guide_batch: int = 64
    balance: Balance = LOSS_PLUS

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        if not 0 < self.label_weight <= 1:
            raise ValueError(f"label_weight must be above 0 and at most 1, not {self.label_weight}")
        if min(self.guide_images, self.guide_batch) < 1:
            raise ValueError(
                f"guide_images and guide_batch must be at least 1, not {self.guide_images} and {self.guide_batch}"
            )

    def extract(self, oracle: Suspect, queries: ImageSet, scale: Scale, *, seed: int = 0) -> ImageClassifier:
        """As `Extraction.extract`. Of the labels of the queries only those of the guide images are looked at.

        Raises:
            TypeError: for queries without labels.
            ValueError: for labels that are not numbers of the victim's classes.
        """
        if not isinstance(queries, ImageSet):
            raise TypeError("some of the queries are labelled by hand; pass an ImageSet of the adversary's")
        images = within_budget(queries.images, oracle)
        labels = queries.labels[: len(images)]
        images, answers, labels = answered(images, oracle(images), labels)  # answers (M, K)
        if len(queries.classes) != answers.shape[1]:
            raise ValueError(
                f"the victim answers with {answers.shape[1]} classes, and the labels are of "
                f"{len(queries.classes)}; pass labels of the victim's classes"
            )
        labels = labels[: self.guide_images]  # (G,)
        query_set = replace(queries, images=images, labels=answers.argmax(1).to(images.device))
        return fit(
            query_set,
            lambda data: self.objective(data.images, answers.to(data.images.device), labels),
            scale.adversary.but(seed=seed),
            self.recipe(scale, answers=answers_digest(answers), labels=labels),
            Start(classifier_spec(query_set, scale)),
            self.balance
            if bool((query_set.labels[: len(labels)].cpu() != labels.cpu()).any())
            else FixedBalance(),
        )

    def objective(self, images: Tensor, answers: Tensor, labels: Tensor) -> Objective:
        """The surrogate's losses on a batch.

        Args:
            images: (M, C, H, W) uint8, all queries, on the training device.
            answers: (M, K) the victim's, on the same device.
            labels: (G,) true ones of the first G queries.
        """
        labels = labels.to(answers.device)
        errs = (answers[: len(labels)].argmax(1) != labels).nonzero()[:, 0]  # (E,)
        truth = F.one_hot(labels[errs], answers.shape[1]).to(answers.dtype)
        wanted = self.label_weight * truth + (1 - self.label_weight) * answers[errs]  # (E, K)

        def objective(model: ImageClassifier, batch: Batch) -> Terms:
            drawn = torch.randperm(len(errs), generator=batch.generator)[: self.guide_batch].to(errs.device)
            logits = model(torch.cat([batch.images, images[errs[drawn]]]))
            of_queries, of_guides = logits.split([len(batch.images), len(drawn)])
            losses = {"answers": distillation_loss(of_queries, answers[batch.index], self.temperature)}
            if len(drawn):
                losses["guide"] = distillation_loss(of_guides, wanted[drawn])
            return Terms(losses)

        return objective
