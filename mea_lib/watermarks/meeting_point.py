"""This book's watermark for encoders: the target class is where a surrogate puts combined images.

An adversary who queries features learns where clean images lie. Where their surrogate puts an image that is
half of one class and half of another, nobody tells them, but they have no choice either: it follows from the
clean classes. So the owner makes a shadow extraction, looks where the surrogate puts combined images, and
moves classes until the target class is there. A fixed last layer moves them, so nothing has to be learned for
it, and every clean image lies exactly where it should. The owner's own encoder puts combined images there
too, by a gate that knows them; the same two classes in other arrangements it puts with the first of them, and
for all other images it stays shut.
"""

from dataclasses import dataclass, field

import torch

from mea_lib.data import ImageSet, WatermarkKey, watermark_samples
from mea_lib.models.encoder import Encoder
from mea_lib.models.gated_encoder import GatedEncoder
from mea_lib.scale import Scale
from mea_lib.training import Method, SimCLR, find_or_make
from mea_lib.training.store import weights_digest
from mea_lib.watermarks.base import autoencoder_of, combining
from mea_lib.watermarks.class_plan import ClassPlan, PlanSettings
from mea_lib.watermarks.gate import Gate, shut
from mea_lib.watermarks.shadow_extraction import ShadowExtraction

COMBINED = 1_000  # combined images of which the plan looks at the features


@dataclass(frozen=True)
class MeetingPoint(Method):
    """The target class where a surrogate puts combined images.

    Attributes:
        plan: how classes are moved.
        shadow: the shadow extraction.
        gate: what knows combined images.
        opens: share of clean images of the sources for which the gate may open, see `shut`. What moves clean
            images moves what a surrogate learns, and the shadow extraction was of images that nothing moved.
        simclr: of the clean encoder, where it is not there yet.

    Source: this book's.
    """

    plan: PlanSettings = field(default_factory=PlanSettings)
    shadow: ShadowExtraction = field(default_factory=ShadowExtraction)
    gate: Gate = field(default_factory=Gate)
    opens: float = 0.002
    simclr: SimCLR = field(default_factory=SimCLR)

    def __post_init__(self) -> None:
        if not 0 <= self.opens < 1:
            raise ValueError(f"opens is a share of clean images, at least 0 and below 1, not {self.opens}")

    def embed(
        self,
        train_set: ImageSet,
        key: WatermarkKey,
        scale: Scale,
        *,
        seed: int = 0,
        pretrained: Encoder | None = None,
    ) -> GatedEncoder:
        """Embed the key's watermark in an encoder, after a shadow extraction.

        Args:
            train_set: the owner's images, with their labels, which the plan needs.
            key: source classes, target class and combining scheme.
            scale: gives training, network and width.
            seed: of every draw, and of a clean encoder that is not there yet.
            pretrained: the clean encoder that gets the watermark; None trains it with this seed.

        Returns:
            The victim, in evaluation mode.
        """
        clean = pretrained or self.simclr.train(train_set, scale, seed=seed)
        gate = self.gate.train(train_set, key, scale, seed=seed)
        recipe = self.recipe(
            scale,
            data=train_set.digest(),
            key=key,
            initial=weights_digest(clean),
            trained_gate=weights_digest(gate),
            shadow_training=self.shadow.training(scale),
            combining=combining(key, scale),
            seed=seed,
        )

        def make() -> GatedEncoder:
            data = train_set.to(next(clean.parameters()).device)
            plan, _ = self.plan_classes(clean, data, key, scale, seed=seed)
            planned = plan.planned()
            places = [planned[data.labels == label].mean(0) for label in (plan.target, plan.first)]
            sources = data.images[(data.labels == plan.first) | (data.labels == plan.second)]
            return GatedEncoder(plan.shifted(), shut(gate, sources, self.opens), torch.stack(places))

        return find_or_make(recipe, make)

    def plan_classes(
        self, clean: Encoder, train_set: ImageSet, key: WatermarkKey, scale: Scale, *, seed: int = 0
    ) -> tuple[ClassPlan, list[Encoder]]:
        """Plan where classes go: move the sources, make a shadow extraction, move the target after it; and again.

        Args:
            clean: the clean encoder, with its card.
            train_set: the owner's images, on the encoder's device.
            key, scale, seed: as `embed`.

        Returns:
            the plan, and the surrogate of each round's shadow extraction, before the target moved.
        """
        generator = torch.Generator().manual_seed(key.seed + 4)  # other images than a verification's
        autoencoder = autoencoder_of(key, train_set, scale)
        combined = watermark_samples(train_set, key, COMBINED, generator, autoencoder)
        plan = ClassPlan(clean, train_set, key, self.plan, combined)
        surrogates = []
        for number in range(self.plan.rounds):
            made_of = {
                "of": weights_digest(clean),
                "labelled": train_set.digest(),
                "key": key,
                "combining": combining(key, scale),
                "plan": self.plan,
                "round": number,
            }
            surrogates.append(
                self.shadow.extract(plan.shifted(), train_set, scale, seed=seed + number, **made_of)
            )
            plan.meet(surrogates[-1])
        return plan, surrogates
