"""The two query APIs: a classifier answers images with soft or hard labels, an encoder with features."""

import torch
from torch import Tensor, nn

from mea_lib.blackbox.class_names import class_names
from mea_lib.blackbox.query_api import QueryAPI

ANSWERS = ("soft", "hard")


class Oracle(QueryAPI):
    """A classifier behind an API.

    Args:
        model: (N, C, H, W) uint8 images → (N, K) logits; or a suspect, as `as_suspect` makes it.
        budget: how many queries may be sent in all; None for no limit.
        answer: "soft" for soft labels, all probabilities; "hard" for hard labels, one-hot rows of the most
            probable class.
        top_k: answer with the k largest probabilities only; the others are 0. Rounded or cut ones need not sum to 1.
            No hard label changes by it.
        decimals: round probabilities to so many places. Hard labels are chosen before, so none changes by it either.
        noise: standard deviation of normal noise on every probability, which is then cut at 0 and brought to
            the sum 1 again; drawn anew for each query. A hard label is the class that is the most probable with noise.
        seed: of the noise.

    Attributes:
        queries: sent so far.
        log: one `Query` for each call that was answered.
    """

    def __init__(
        self,
        model: nn.Module,
        budget: int | None = None,
        *,
        answer: str = "soft",
        top_k: int | None = None,
        decimals: int | None = None,
        noise: float = 0.0,
        seed: int = 0,
    ) -> None:
        if answer not in ANSWERS:
            raise ValueError(f"unknown kind of answer {answer!r}; choose one of: {', '.join(ANSWERS)}")
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k must be at least 1, not {top_k}")
        super().__init__(model, budget, decimals=decimals, noise=noise, seed=seed)
        self.classes = class_names(model)
        self.answer = answer
        self.top_k = top_k

    def _answer(self, outputs: Tensor) -> Tensor:
        if self.answer == "hard":
            if self.noise:
                outputs = outputs.float().softmax(1)
                outputs = outputs + self._drawn_noise(outputs)
            return torch.nn.functional.one_hot(outputs.argmax(1), outputs.shape[1]).float()
        answers = outputs.float().softmax(1)
        if self.noise:
            answers = (answers + self._drawn_noise(answers)).clamp_min(0)
            answers = answers / answers.sum(1, keepdim=True).clamp_min(1e-12)
        if self.top_k is not None and self.top_k < answers.shape[1]:
            kept = answers.topk(self.top_k, dim=1)
            answers = torch.zeros_like(answers).scatter(1, kept.indices, kept.values)
        if self.decimals is not None:
            answers = answers.round(decimals=self.decimals)
        return answers


class FeatureOracle(QueryAPI):
    """An encoder behind an API.

    Args:
        model: (N, C, H, W) uint8 images → (N, F) features.
        budget: how many queries may be sent in all; None for no limit.
        decimals: round features to so many places.
        noise: standard deviation of normal noise on every feature, in the features' own unit; drawn anew for each
            query.
        seed: of the noise.

    Attributes:
        queries: sent so far.
        log: one `Query` for each call that was answered.
    """

    def _answer(self, outputs: Tensor) -> Tensor:
        answers = outputs.float()
        if self.noise:
            answers = answers + self._drawn_noise(answers)
        return answers if self.decimals is None else answers.round(decimals=self.decimals)
