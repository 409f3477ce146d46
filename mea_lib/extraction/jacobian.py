"""Extraction with Jacobian-based augmentation (Papernot et al. 2017): queries are made from older ones."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mea_lib.blackbox import Oracle
from mea_lib.extraction.distillation import DistillationSettings, train_student
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training import Store, TrainingSettings

STEP_BATCH = 1_000


@dataclass(frozen=True)
class JacobianSettings:
    """How the adversary's images multiply.

    Attributes:
        seed_images: real images to start from; None takes as many as grow to the number of their images.
        rounds: times that the images are doubled.
        step: length of a step in every pixel, of the pixel range [0, 1]; λ in the paper.
        turn_every: the step's sign alternates every so many rounds (τ in the paper); None never turns.
        reservoir_from: from this round on, counted from 0, only `reservoir` of the images, drawn at random, are
            stepped from (σ in the paper); None steps from all of them in every round.
        reservoir: how many (κ in the paper).
        distillation: how a surrogate is trained on the answers.
    """

    seed_images: int | None = None
    rounds: int = 2
    step: float = 0.1
    turn_every: int | None = None
    reservoir_from: int | None = None
    reservoir: int = 400
    distillation: DistillationSettings = field(default_factory=DistillationSettings)

    def __post_init__(self) -> None:
        for name in ("seed_images", "turn_every", "reservoir"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if self.rounds < 0:
            raise ValueError(f"rounds must be at least 0, not {self.rounds}")
        if not 0 < self.step <= 1:
            raise ValueError(f"step must lie between 0 and 1, the pixel range, not {self.step}")


# The first authors' adversary, who starts from a handful of images.
PAPERNOT = JacobianSettings(seed_images=150, rounds=6, reservoir_from=3, reservoir=400)


def extract(
    oracle: Oracle,
    queries: Tensor,
    scale: Scale,
    *,
    settings: JacobianSettings | None = None,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    seed: int = 0,
    store: Store | None = None,
) -> ImageClassifier:
    """Train surrogates in rounds, each on the images so far and on those that the last one's Jacobian moved.

    Each image is one query. When the budget ends within a round, the surrogate of what it covered is
    returned.

    Args:
        oracle: the victim's API; answers with soft labels (N, K).
        queries: (M, C, H, W) uint8, the adversary's real images, of which the first are used.
        scale: gives the adversary's training, network and width where they are not named.
        settings: how the images multiply; `PAPERNOT` holds the first authors'.
        training: how each surrogate is trained, from random weights.
        network: of the surrogates.
        width: channels of their first layer.
        seed: of the surrogates and of the reservoir.
        store: where finished surrogates are kept.

    Returns:
        The last surrogate, in evaluation mode.

    Raises:
        BudgetSpent: when the budget does not even cover the real images; then no query is sent.
        ValueError: for more seed images than there are.

    Source: Papernot et al., Practical Black-Box Attacks against Machine Learning (AsiaCCS 2017), Algorithm 1;
    MEA-Defender (S&P 2024), Sec. V-B.
    """
    settings = settings or JacobianSettings()
    start = settings.seed_images or max(1, len(queries) >> settings.rounds)
    if start > len(queries):
        raise ValueError(f"{start} seed images are more than the {len(queries)} the thief has; take fewer")
    generator = torch.Generator().manual_seed(seed)
    images = queries[:start]
    answers = oracle(images)  # (M, K)

    def learn() -> ImageClassifier:
        return train_student(
            images,
            answers,
            scale,
            settings=settings.distillation,
            training=training,
            network=network,
            width=width,
            seed=seed,
            store=store,
        )

    student = learn()
    for number in range(settings.rounds):
        chosen = torch.arange(len(images))
        if settings.reservoir_from is not None and number >= settings.reservoir_from:
            chosen = torch.randperm(len(images), generator=generator)[: settings.reservoir]
        if oracle.remaining is not None:
            chosen = chosen[: oracle.remaining]
        if not len(chosen):
            break
        turned = settings.turn_every is not None and number // settings.turn_every % 2
        step = -settings.step if turned else settings.step
        chosen = chosen.to(images.device)
        moved = jacobian_step(student, images[chosen], answers[chosen].argmax(1), step)
        images, answers = torch.cat([images, moved]), torch.cat([answers, oracle(moved)])
        student = learn()
    return student


def jacobian_step(student: ImageClassifier, images: Tensor, labels: Tensor, step: float) -> Tensor:
    """x + λ·sign(∂F_y/∂x), where F are the surrogate's logits and y is what the victim said of x.

    Args:
        student: the surrogate, in evaluation mode.
        images: (N, C, H, W) uint8.
        labels: (N,) the victim's.
        step: λ, of the pixel range [0, 1].

    Returns:
        (N, C, H, W) uint8, on the images' device.
    """
    device = next(student.parameters()).device
    moved = []
    for part, own in zip(images.split(STEP_BATCH), labels.split(STEP_BATCH), strict=True):
        pixels = (part.to(device).float() / 255).requires_grad_()
        logits = student(pixels).gather(1, own.to(device)[:, None])  # (N, 1)
        (gradient,) = torch.autograd.grad(logits.sum(), pixels)
        stepped = (pixels.detach() + step * gradient.sign()).clamp(0, 1)
        moved.append(stepped.mul(255).round().to(torch.uint8).to(part.device))
    return torch.cat(moved)
