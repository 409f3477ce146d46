"""Neural Cleanse: the smallest trigger that sends every image to a class; a backdoor's is much smaller than others.

Source: Wang, Yao, Shan, Li, Viswanath, Zheng and Zhao, Neural Cleanse: Identifying and Mitigating Backdoor Attacks
in Neural Networks (S&P 2019), and their released visualizer.py and mad_outlier_detection.py.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.detection.base import Detector
from mea_lib.detection.reversed_triggers import ReversedTriggers
from mea_lib.detection.triggers import Triggers, frozen, precision, stamp_all, success_rates
from mea_lib.models import ImageClassifier


@dataclass(frozen=True)
class NeuralCleanse(Detector):
    """A search for the smallest trigger of every class; the defaults need about a minute on two cores for ten classes.

    Attributes:
        rounds: at most so many; after each the costs are set anew.
        batches: steps in a round.
        batch_size: images in a step, each stamped with the triggers of all classes.
        learning_rate: of Adam with betas 0.5 and 0.9.
        initial_cost: weight of a mask's size once its trigger works.
        cost_multiplier: the weight grows by this factor, and shrinks by this factor to the power of 1.5.
        patience: rounds in a row that a trigger must work, or fail, before its cost is changed.
        wanted_success: share of a round's images that a working trigger sends to its class.
        stop_patience: rounds without a smaller working mask after which a class is done.
    """

    rounds: int = 150
    batches: int = 4
    batch_size: int = 32
    learning_rate: float = 0.1
    initial_cost: float = 1e-3
    cost_multiplier: float = 1.5
    patience: int = 5
    wanted_success: float = 0.99
    stop_patience: int = 25

    def __post_init__(self) -> None:
        if min(self.rounds, self.batches, self.batch_size, self.patience, self.stop_patience) < 1:
            raise ValueError("rounds, batches, batch_size, patience and stop_patience must be at least 1")
        if not 0 < self.wanted_success <= 1:
            raise ValueError(f"wanted_success is a share above 0 and not above 1, not {self.wanted_success}")
        if self.cost_multiplier <= 1:
            raise ValueError(f"cost_multiplier must be above 1, not {self.cost_multiplier}")

    def detect(self, model: ImageClassifier, images: Tensor, *, seed: int = 0) -> ReversedTriggers:
        """Look for the smallest trigger of every class, all classes in one batch.

        The classes do not influence each other: each has its own mask, pattern, loss, cost and end. A step stamps
        the same images with the triggers of all classes that are not done, so that the model sees K·B images at once.

        Args:
            model: looked into through its gradients; it is left as it was.
            images: (N, C, H, W) uint8 clean images of all classes, a few hundred; no labels are needed.
            seed: of the first masks and patterns, and of the order of images.

        Returns:
            K triggers on the CPU, in the order of their classes: the smallest that worked, or the last where none
            did. Their success is that on all images, those of the class itself included.

        Raises:
            ValueError: for a quantised model, through which no gradient passes.
        """
        images = images.to(next(model.parameters()).device)
        generator = torch.Generator().manual_seed(seed)
        with frozen(model) as model:
            with torch.no_grad():
                targets = torch.arange(model(images[:1]).shape[1])  # (K,)
            masks, patterns = self._smallest_triggers(model, images, len(targets), generator)
            success = success_rates(model, images, masks, patterns, targets.tolist())
        return ReversedTriggers(targets, masks.cpu(), patterns.cpu(), success)

    def _smallest_triggers(
        self, model: ImageClassifier, images: Tensor, classes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The masks (K, 1, H, W) and patterns (K, C, H, W) that worked with the smallest norm."""
        _, channels, height, width = images.shape
        masks = torch.rand(classes, 1, height, width, generator=generator)
        patterns = torch.rand(classes, channels, height, width, generator=generator)
        triggers = Triggers(masks, patterns).to(images.device)
        best_masks, best_patterns = (tensor.detach().clone() for tensor in triggers())
        optimizer = torch.optim.Adam(triggers.parameters(), self.learning_rate, betas=(0.5, 0.9))
        schedule = CostSchedule(classes, self)
        for _ in range(self.rounds):
            active = (~schedule.stopped).nonzero().flatten()  # (A,)
            if not len(active):
                break
            costs = schedule.costs[active].to(images.device)
            success = torch.zeros(len(active), device=images.device)
            for _ in range(self.batches):
                chosen = torch.randint(len(images), (self.batch_size,), generator=generator)
                losses, hits = step_losses(model, images[chosen.to(images.device)], triggers, active, costs)
                optimizer.zero_grad()
                losses.sum().backward()
                optimizer.step()
                success += hits / self.batches
            with torch.no_grad():
                masks, patterns = triggers(active)
            improved = schedule.update(active, success.cpu(), masks.flatten(1).sum(1).cpu())
            # What has not worked yet is kept as it is now, in case that nothing ever works.
            kept = improved | schedule.best[active].isinf()
            best_masks[active[kept]], best_patterns[active[kept]] = masks[kept], patterns[kept]
        return best_masks, best_patterns


# The scale of the authors' gtsrb_visualize_example.py: 31,000 steps a class, 1,000 images a round.
RELEASED = NeuralCleanse(rounds=1_000, batches=31, cost_multiplier=2.0)


def step_losses(
    model: ImageClassifier, images: Tensor, triggers: Triggers, active: Tensor, costs: Tensor
) -> tuple[Tensor, Tensor]:
    """Loss of each active class on these B images, (A,), and the share of them that it gets, (A,)."""
    masks, patterns = triggers(active)
    targets = active.to(images.device).repeat_interleave(len(images))  # (A·B,)
    with precision(images.device):
        logits = model(stamp_all(images, masks, patterns))  # (A·B, K)
    errors = F.cross_entropy(logits, targets, reduction="none").view(len(active), -1)  # (A, B)
    hits = (logits.argmax(1) == targets).float().view(len(active), -1)
    return errors.mean(1) + costs * masks.flatten(1).sum(1), hits.mean(1)


class CostSchedule:
    """The weight of every class's mask size: up while its trigger works, down while it fails.

    A class starts without a cost, and gets the initial one when its trigger has worked for `patience` rounds.

    Attributes:
        costs: (K,) the present weights.
        best: (K,) the smallest norm that worked; infinite before.
        stopped: (K,) classes that are done: their cost has gone up and down, and their best norm has stayed the
            same for `stop_patience` rounds.
    """

    def __init__(self, classes: int, settings: NeuralCleanse) -> None:
        self.settings = settings
        self.costs = torch.zeros(classes)
        self.best = torch.full((classes,), torch.inf)
        self.stopped = torch.zeros(classes, dtype=torch.bool)
        self._worked, self._failed, self._stalled = (torch.zeros(classes, dtype=torch.long) for _ in range(3))
        self._went_up, self._went_down = (torch.zeros(classes, dtype=torch.bool) for _ in range(2))

    def update(self, active: Tensor, success: Tensor, norms: Tensor) -> Tensor:
        """Take note of a round.

        Args:
            active: (A,) numbers of the classes that took part.
            success: (A,) share of the round's images that each one's trigger sent to its class.
            norms: (A,) of their masks.

        Returns:
            (A,) whether a class has a smaller working mask than before.
        """
        settings = self.settings
        worked = success >= settings.wanted_success
        improved = worked & (norms < self.best[active])
        self.best[active] = torch.where(improved, norms, self.best[active])
        never = self.best[active].isinf()
        self._stalled[active] = torch.where(improved | never, 0, self._stalled[active] + 1)
        both_ways = self._went_up[active] & self._went_down[active]
        self.stopped[active] = both_ways & (self._stalled[active] >= settings.stop_patience)
        self._change_costs(active, worked)
        return improved

    def _change_costs(self, active: Tensor, worked: Tensor) -> None:
        up, down = self.settings.cost_multiplier, self.settings.cost_multiplier**1.5
        patience = self.settings.patience
        self._worked[active] = torch.where(worked, self._worked[active] + 1, 0)
        self._failed[active] = torch.where(worked, 0, self._failed[active] + 1)
        rises, falls = self._worked[active] >= patience, self._failed[active] >= patience
        starts = rises & (self.costs[active] == 0)
        factors = torch.where(rises, up, torch.where(falls, 1 / down, 1.0))
        self.costs[active] = torch.where(starts, self.settings.initial_cost, self.costs[active] * factors)
        # The round in which a cost starts counts as the first that worked with it.
        self._worked[active] = torch.where(rises, starts.long(), self._worked[active])
        self._failed[active] = torch.where(falls, 0, self._failed[active])
        self._went_up[active] = (self._went_up[active] | rises) & ~starts
        self._went_down[active] = (self._went_down[active] | falls) & ~starts
