"""Extraction by Knockoff Nets (Orekondy et al. 2019): any images will do, chosen at random or by a bandit."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.blackbox import Suspect
from mea_lib.data import ImageSet
from mea_lib.extraction.bandit import REWARDS, AnswerRewards, GradientBandit
from mea_lib.extraction.base import (
    answered,
    check_some,
    covered,
    have_answers,
    images_of,
    note_unanswered,
    within_budget,
)
from mea_lib.extraction.distillation import Distillation
from mea_lib.models import Input, build
from mea_lib.scale import Scale
from mea_lib.seeded import seeded
from mea_lib.training import TrainingSettings, best_device

STRATEGIES = ("random", "adaptive")


@dataclass(frozen=True)
class Knockoff(Distillation):
    """Images of a pool, from the victim's domain or another, chosen at random or by a bandit; none is sent twice.

    Attributes:
        temperature, soft_weight, squared: as `Distillation`; the authors take the answers as they are.
        queries: how many; None sends all that the budget covers.
        strategy: "random", or "adaptive", a bandit over the classes of their images.
        rewards: what the bandit is rewarded for.
        window: answers and rewards that the bandit compares with.
        batch: queries the bandit sends at once; 1 is the authors' method, more are faster and learn later.
        learning_rate: of the surrogate that the bandit trains while it queries.

    Source: Orekondy, Schiele and Fritz, Knockoff Nets (CVPR 2019); MEA-Defender (S&P 2024), Sec. V-B.
    """

    temperature: float = 1.0
    queries: int | None = None
    strategy: str = "random"
    rewards: tuple[str, ...] = REWARDS
    window: int = 500
    batch: int = 64
    learning_rate: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strategy not in STRATEGIES:
            raise ValueError(f"unknown strategy {self.strategy!r}; choose one of: {', '.join(STRATEGIES)}")
        for name in ("queries", "window", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")

    def ask(
        self, oracle: Suspect, queries: Tensor | ImageSet, scale: Scale, seed: int
    ) -> tuple[Tensor, Tensor]:
        """As `AskThenTrain.ask`, from a pool of images of the victim's shape.

        Raises:
            TypeError: for images without labels, which the bandit cannot choose among.
        """
        pool = images_of(queries)
        check_some(pool)
        number = min(self.queries or len(pool), len(pool))
        generator = torch.Generator().manual_seed(seed)
        if self.strategy == "random":
            chosen = torch.randperm(len(pool), generator=generator)[:number].to(pool.device)
            images = within_budget(pool[chosen], oracle)
            return answered(images, oracle(images))
        if not isinstance(queries, ImageSet):
            raise TypeError(
                "the adaptive strategy chooses among the classes of the adversary's own labels; pass an ImageSet"
            )
        with seeded(seed, best_device()):
            return self._ask_adaptively(oracle, queries, number, scale, seed, generator)

    def _ask_adaptively(
        self,
        oracle: Suspect,
        pool: ImageSet,
        number: int,
        scale: Scale,
        seed: int,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Images and answers that the bandit chose, while a surrogate learns from each answer at once."""
        unsent = _shuffled_places(pool, generator)
        bandit = GradientBandit(len(pool.classes), self.window)
        rewards = AnswerRewards(self.rewards, self.window)
        surrogate = optimizer = None
        sent = 0
        used: list[int] = []
        answers: list[Tensor] = []
        while sent < number:
            actions = _draw_actions(bandit.policy, unsent, min(self.batch, number - sent), generator)
            index = [unsent[action].pop() for action in actions]
            images = pool.images[torch.tensor(index, device=pool.images.device)]
            paid = covered(oracle, images)
            if sent and not paid:
                break
            images = images[: max(paid, 1)]
            answer = oracle(images)  # (B, K)
            sent += len(images)
            heard = have_answers(answer)
            places = heard.nonzero()[:, 0].tolist()
            actions, index = ([part[place] for place in places] for part in (actions, index))
            if not places:
                continue
            images, answer = images[heard.to(images.device)], answer[heard]
            if surrogate is None:
                surrogate = build(
                    scale.network,
                    Input.of(pool),
                    width=scale.width,
                    classes=answer.shape[1],
                    seed=seed,
                ).to(best_device())
                optimizer = torch.optim.SGD(surrogate.parameters(), self.learning_rate, momentum=0.5)
            logits = surrogate.train(len(images) > 1)(images.to(best_device()))
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(logits, answer.to(logits.device)).backward()
            optimizer.step()
            seen = zip(actions, answer.cpu(), logits.detach().cpu(), strict=True)
            for action, answer_row, logits_row in seen:
                bandit.update(action, rewards(answer_row, logits_row))
            used += index
            answers.append(answer)
        note_unanswered(sent - len(used), sent)
        return pool.images[torch.tensor(used, device=pool.images.device)], torch.cat(answers)


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


def _shuffled_places(pool: ImageSet, generator: torch.Generator) -> list[list[int]]:
    """For each class of the pool its images' places, in random order."""
    places = (pool.places(label).cpu() for label in range(len(pool.classes)))
    return [of_class[torch.randperm(len(of_class), generator=generator)].tolist() for of_class in places]


def _draw_actions(
    policy: Tensor, unsent: list[list[int]], number: int, generator: torch.Generator
) -> list[int]:
    """So many actions by the policy, none of a class more often than it has images left."""
    left = torch.tensor([len(places) for places in unsent])
    actions: list[int] = []
    while len(actions) < number:
        action = int(torch.multinomial(policy * (left > 0), 1, generator=generator))
        left[action] -= 1
        actions.append(action)
    return actions
