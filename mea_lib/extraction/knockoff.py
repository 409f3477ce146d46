"""Extraction by Knockoff Nets (Orekondy et al. 2019): any images will do, chosen at random or by a bandit."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.blackbox import Oracle
from mea_lib.data import ImageSet
from mea_lib.extraction.bandit import REWARDS, AnswerRewards, GradientBandit
from mea_lib.extraction.distillation import DistillationSettings, train_student
from mea_lib.models import ImageClassifier, build
from mea_lib.scale import Scale
from mea_lib.training import Store, TrainingSettings, best_device
from mea_lib.training.seeded import seeded

STRATEGIES = ("random", "adaptive")


@dataclass(frozen=True)
class KnockoffSettings:
    """How the adversary chooses among their images.

    Attributes:
        queries: how many; None sends all that the budget covers.
        strategy: "random", or "adaptive", a bandit over the classes of their images.
        rewards: what the bandit is rewarded for.
        window: answers and rewards that the bandit compares with.
        batch: queries the bandit sends at once; 1 is the authors' method, more are faster and learn later.
        learning_rate: of the surrogate that the bandit trains while it queries.
        distillation: how the final surrogate is trained on the answers; the authors take them as they are.
    """

    queries: int | None = None
    strategy: str = "random"
    rewards: tuple[str, ...] = REWARDS
    window: int = 500
    batch: int = 64
    learning_rate: float = 0.01
    distillation: DistillationSettings = field(default_factory=lambda: DistillationSettings(temperature=1.0))

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"unknown strategy {self.strategy!r}; choose one of: {', '.join(STRATEGIES)}")
        for name in ("queries", "window", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")


# The authors' training of the final surrogate.
ORIGINAL_TRAINING = TrainingSettings(
    epochs=100,
    batch_size=64,
    learning_rate=0.01,
    weight_decay=5e-4,
    momentum=0.5,
    optimizer="sgd",
    schedule="step",
    step_epochs=60,
    step_factor=0.1,
)


def extract(
    oracle: Oracle,
    pool: ImageSet,
    scale: Scale,
    *,
    settings: KnockoffSettings | None = None,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    seed: int = 0,
    store: Store | None = None,
) -> ImageClassifier:
    """Query images of the pool, at random or as a bandit chooses, and train a surrogate on the answers.

    No image is queried twice. A budget smaller than `queries` is spent to the end, and what it paid for is
    used.

    Args:
        oracle: the victim's API; answers with soft labels (N, K).
        pool: the adversary's own images, of the victim's shape, from the victim's domain or another; the
            classes are theirs and need not be the victim's. `random` does not look at them.
        scale: gives the adversary's training, network and width where they are not named.
        settings: how they choose.
        training: of the final surrogate; `ORIGINAL_TRAINING` holds the authors'.
        network: of the surrogate.
        width: channels of its first layer.
        seed: of the choice and of the surrogate.
        store: where finished surrogates are kept.

    Returns:
        The surrogate, in evaluation mode.

    Raises:
        BudgetSpent: when the budget is 0.

    Source: Orekondy, Schiele and Fritz, Knockoff Nets (CVPR 2019); MEA-Defender (S&P 2024), Sec. V-B.
    """
    settings = settings or KnockoffSettings()
    number = min(settings.queries or len(pool), len(pool))
    if oracle.remaining is not None:
        # A budget of 0 is left to the oracle, which refuses the first image.
        number = min(number, max(oracle.remaining, 1))
    generator = torch.Generator().manual_seed(seed)
    if settings.strategy == "random":
        queries = pool.images[torch.randperm(len(pool), generator=generator)[:number].to(pool.images.device)]
        answers = oracle(queries)
    else:
        network_of_student = {"network": network or scale.network, "width": width or scale.width}
        with seeded(seed, best_device()):
            queries, answers = _ask_adaptively(
                oracle, pool, number, settings, network_of_student, generator, seed
            )
    return train_student(
        queries,
        answers,
        scale,
        settings=settings.distillation,
        training=training,
        network=network,
        width=width,
        seed=seed,
        store=store,
    )


def _ask_adaptively(
    oracle: Oracle,
    pool: ImageSet,
    number: int,
    settings: KnockoffSettings,
    network: dict,
    generator: torch.Generator,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Images and answers that the bandit chose, while a surrogate learns from each answer at once."""
    unasked = _shuffled_places(pool, generator)
    bandit = GradientBandit(len(pool.classes), settings.window)
    rewards = AnswerRewards(settings.rewards, settings.window)
    student = optimizer = None
    asked: list[int] = []
    answers: list[Tensor] = []
    while len(asked) < number:
        actions = _draw_actions(bandit.policy, unasked, min(settings.batch, number - len(asked)), generator)
        index = [unasked[action].pop() for action in actions]
        images = pool.images[torch.tensor(index, device=pool.images.device)]
        answer = oracle(images)  # (B, K)
        if student is None:
            student = build(
                **network,
                classes=answer.shape[1],
                channels=pool.channels,
                size=pool.size,
                mean=pool.mean,
                std=pool.std,
                seed=seed,
            ).to(best_device())
            optimizer = torch.optim.SGD(student.parameters(), settings.learning_rate, momentum=0.5)
        logits = student.train(len(index) > 1)(images.to(best_device()))
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits, answer.to(logits.device)).backward()
        optimizer.step()
        for action, own, guess in zip(actions, answer.cpu(), logits.detach().cpu(), strict=True):
            bandit.update(action, rewards(own, guess))
        asked += index
        answers.append(answer)
    return pool.images[torch.tensor(asked, device=pool.images.device)], torch.cat(answers)


def _shuffled_places(pool: ImageSet, generator: torch.Generator) -> list[list[int]]:
    """For each class of the pool its images' places, in random order."""
    places = (pool.places(label).cpu() for label in range(len(pool.classes)))
    return [own[torch.randperm(len(own), generator=generator)].tolist() for own in places]


def _draw_actions(
    policy: Tensor, unasked: list[list[int]], number: int, generator: torch.Generator
) -> list[int]:
    """So many actions by the policy, none of a class more often than it has images left."""
    left = torch.tensor([len(places) for places in unasked])
    actions: list[int] = []
    while len(actions) < number:
        action = int(torch.multinomial(policy * (left > 0), 1, generator=generator))
        left[action] -= 1
        actions.append(action)
    return actions
