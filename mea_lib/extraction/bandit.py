"""How an adaptive adversary chooses queries: a gradient bandit over classes (Orekondy et al. 2019)."""

from collections import deque

import torch
from torch import Tensor
from torch.nn import functional as F

REWARDS = ("certainty", "diversity", "loss")


class GradientBandit:
    """Preferences for actions, moved by how much better than usual each was rewarded.

    π = softmax(H). After action z with reward r, and r̄ the mean of the last rewards:
    H(z) += α·(r − r̄)·(1 − π(z)), H(z') −= α·(r − r̄)·π(z') for all others, α = 1 / times that z was chosen.

    Args:
        actions: how many there are.
        window: rewards that the usual is the mean of; Δ in the paper.

    Source: Orekondy et al., Knockoff Nets (CVPR 2019), Sec. 4.1.2; Sutton and Barto, Sec. 2.8, whose sign for
    the actions not taken is used (the paper prints a plus, with which hardly any action comes above one half; an
    exercise of chapter 09 derives it).
    """

    def __init__(self, actions: int, window: int = 500) -> None:
        self.preferences = torch.zeros(actions, dtype=torch.float64)
        self.chosen = torch.zeros(actions, dtype=torch.long)
        self._usual = _RecentMean(window)

    @property
    def policy(self) -> Tensor:
        """Probability of each action, (A,)."""
        return self.preferences.softmax(0)

    def update(self, action: int, reward: float) -> None:
        """Learn from one reward."""
        self._usual.add(torch.tensor(reward, dtype=torch.float64))
        advantage = reward - self._usual.value
        self.chosen[action] += 1
        taken = F.one_hot(torch.tensor(action), len(self.preferences))
        self.preferences += advantage / self.chosen[action] * (taken - self.policy)


class AnswerRewards:
    """What an answer is worth to the adversary: the mean of those of REWARDS that are asked for.

    certainty: p₁ − p₂, how sure the victim is.
    diversity: Σ_k max(0, y_k − ȳ_k), how unlike the last answers.
    loss: cross-entropy of the surrogate to the answer, how little the surrogate knows yet.
    Each is brought to [0, 1] by the least and the largest value seen so far.

    Args:
        names: some of REWARDS.
        window: answers that ȳ is the mean of; Δ in the paper.

    Source: Orekondy et al., Knockoff Nets (CVPR 2019), Eq. 3–5.
    """

    def __init__(self, names: tuple[str, ...] = REWARDS, window: int = 500) -> None:
        if not names or set(names) - set(REWARDS):
            raise ValueError(f"rewards must be some of {', '.join(REWARDS)}, not {names}")
        self.names = names
        self._answers = _RecentMean(window)
        self._ends: dict[str, tuple[float, float]] = {}

    def __call__(self, answer: Tensor, surrogate_logits: Tensor) -> float:
        """Reward of one answer (K,), given what the surrogate says of the same image (K,)."""
        rewards = {}
        if "certainty" in self.names:
            first, second = answer.topk(2).values.tolist()
            rewards["certainty"] = first - second
        if "diversity" in self.names:
            here = answer.cpu()  # not every device has float64
            rewards["diversity"] = (here - self._answers.value).clamp_min(0).sum().item()
            self._answers.add(here.double())
        if "loss" in self.names:
            rewards["loss"] = F.cross_entropy(surrogate_logits[None], answer[None]).item()
        return sum(self._scaled(name, value) for name, value in rewards.items()) / len(rewards)

    def _scaled(self, name: str, value: float) -> float:
        low, high = self._ends.get(name, (value, value))
        low, high = min(low, value), max(high, value)
        self._ends[name] = (low, high)
        return (value - low) / (high - low) if high > low else 0.0


class _RecentMean:
    """Mean of the last values by a running sum, since it is needed at every answer; 0 before the first."""

    def __init__(self, window: int) -> None:
        self._values: deque[Tensor] = deque()
        self._window = window
        self._total: Tensor | float = 0.0

    @property
    def value(self) -> Tensor | float:
        return self._total / max(len(self._values), 1)

    def add(self, value: Tensor) -> None:
        self._values.append(value)
        self._total = self._total + value
        if len(self._values) > self._window:
            self._total = self._total - self._values.popleft()
