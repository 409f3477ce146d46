"""Data-free extraction (Truong et al. 2021): a generator seeks images where surrogate and victim differ."""

import contextlib
import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from mea_lib.blackbox import Suspect
from mea_lib.data import ImageSet
from mea_lib.extraction.base import (
    Extraction,
    answers_digest,
    have_answers,
    images_of,
    note_unanswered,
    within_budget,
)
from mea_lib.extraction.forward_differences import estimate_gradient
from mea_lib.extraction.query_generator import QueryGenerator
from mea_lib.models import ImageClassifier, build_from_spec
from mea_lib.progress import is_watched
from mea_lib.scale import Scale
from mea_lib.seeded import seeded
from mea_lib.training import best_device, find_or_make, training_dtype
from mea_lib.training.device import autocast

CHECKS = 20  # in a whole attack, evenly over the queries


@dataclass(frozen=True)
class DataFree(Extraction):
    """A generator of images that seeks where surrogate and victim differ; of the queries only the shape is looked at.

    In each iteration the generator takes n_G steps up the disagreement, whose gradient is estimated by
    forward differences since the victim is a black box, then the surrogate takes n_S steps down, each on new
    images. Every image counts, also those of the estimate. Queries that are too few for a whole iteration all
    go to the surrogate, so that a budget is spent to the last image.

    The adversary has no labelled images to choose among their surrogates by. Now and then the surrogate and
    the best one before it are compared on the images just answered, which neither has been trained on, and at
    the end on the last ones, which by then the surrogate has; the one that agrees with the victim on more is
    kept, the later one where they agree on as many.

    Which stored surrogate is found is decided by the answers to the first batch, the victim's fingerprint,
    beside the settings and the number of queries: the later answers depend on the surrogate and cannot be
    known before. So a surrogate that is found costs one batch, one that is trained all queries;
    `card["history"]` holds how many it was trained with. Victims that answer the first batch alike are taken
    for one: an adversary of two victims with hard labels that are nearly the same keeps a store for each.

    With hard labels the recovered logits are those of one-hot rows raised to `floor`: the surrogate learns
    the classes, and of the victim's share of a gradient only the pixels that cross a boundary are left.

    The defaults suit a few minutes on one core and small grey images.

    Attributes:
        queries: how many in all, those of the gradient estimate included; a smaller budget is spent whole. Behind
            the first batch an image counts also where the API knows its answer already.
        batch: images in a step of either network.
        noise: numbers that the generator makes an image from.
        generator_width: channels of its last hidden layer.
        contrast: of its images, see `QueryGenerator`; 1 is the authors'.
        generator_steps: of the generator in an iteration; n_G in the paper.
        surrogate_steps: of the surrogate in an iteration, each on new images; n_S in the paper.
        directions: of the gradient estimate, each a query; m in the paper.
        step: of the gradient estimate: root mean square of a pixel's change, in grey levels of 255.
        balance: weight of the entropy, in nats, of the surrogate's mean answer to the generator's images,
            which the generator raises beside the disagreement; 0 in the paper. Without it few classes are
            left among the images. It is large because the noise of the estimated gradient is: that is longer
            than the gradient itself by the square root of pixels over directions.
        generator_rate: Adam's learning rate.
        surrogate_rate: learning rate of SGD with a momentum of 0.9.
        weight_decay: of the surrogate.
        milestones: shares of the queries after which both learning rates are multiplied by `decay`.
        decay: see there.
        floor: the least probability whose logarithm is taken; less counts as much.

    Source: Truong, Maini, Walls and Papernot, Data-Free Model Extraction (CVPR 2021), Algorithm 1; the even
    classes: Chen et al., Data-Free Learning of Student Networks (ICCV 2019), and Sanyal, Addepalli and Babu,
    Towards Data-Free Model Stealing in a Hard Label Setting (CVPR 2022), who take the surrogate's answers for
    it.
    """

    queries: int = 200_000
    batch: int = 64
    noise: int = 256
    generator_width: int = 16
    contrast: float = 1.0
    generator_steps: int = 1
    surrogate_steps: int = 5
    directions: int = 1
    step: float = 2.0
    balance: float = 50.0
    generator_rate: float = 1e-3
    surrogate_rate: float = 0.1
    weight_decay: float = 5e-4
    milestones: tuple[float, ...] = (0.5, 0.7, 0.9)
    decay: float = 0.3
    floor: float = 1e-6

    def __post_init__(self) -> None:
        counts = ("queries", "batch", "noise", "generator_width")
        for name in (*counts, "generator_steps", "surrogate_steps", "directions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("contrast", "step", "generator_rate", "surrogate_rate", "decay"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("balance", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")
        if not 0 < self.floor < 1:
            raise ValueError(f"floor must lie between 0 and 1, not {self.floor}")
        if any(not 0 < share < 1 for share in self.milestones):
            raise ValueError(f"milestones must lie between 0 and 1, not {self.milestones}")

    def extract(
        self, oracle: Suspect, queries: Tensor | ImageSet, scale: Scale, *, seed: int = 0
    ) -> ImageClassifier:
        """As `Extraction.extract`, without a look at the adversary's images: they may be none, `queries[:0]`.

        Returns:
            The best surrogate, in evaluation mode. Its history holds, for each comparison, the number of queries,
            the agreement with the victim and the disagreement of the logits.

        Raises:
            ValueError: for images that are not square.
            FloatingPointError: when the surrogate's loss is no longer a number.
            ValueError: where no image of the first batch gets an answer.
        """
        channels, height, width = images_of(queries).shape[1:]
        if height != width:
            raise ValueError(f"a generator makes square images, not {height} by {width} pixels")
        generated = _GeneratedQueries(oracle, (channels, height, width), self, seed)
        first = generated.ask(min(self.batch, self.queries))
        if not len(first[0]):
            note_unanswered(generated.unanswered, generated.sent)
        left = self.queries if oracle.remaining is None else oracle.remaining
        number = min(self.queries, generated.sent + left)
        spec = {
            "network": scale.network,
            "classes": first[1].shape[1],
            "channels": channels,
            "size": height,
            "width": scale.width,
            "mean": [0.5] * channels,
            "std": [0.5] * channels,
        }
        fingerprint = answers_digest(first[1])
        recipe = self.recipe(scale, spec=spec, number=number, fingerprint=fingerprint, seed=seed)

        def make() -> ImageClassifier:
            surrogate = build_from_spec(spec, seed).to(generated.device)
            with seeded(seed, generated.device):
                return _play(surrogate, generated, first, number, self)

        found = find_or_make(recipe, make)
        note_unanswered(generated.unanswered, generated.sent)
        return found


# The authors' attack on a CIFAR-10 model, as their released run_cifar_dfme.sh starts it; for SVHN they take
# 2,000,000 queries, a generator_rate of 5e-5 and milestones of 0.5 and 0.8. Their step of the gradient
# estimate, 0.001 over all pixels together, is far below a grey level, where an API that takes uint8 images
# answers as before; a level is the least step that moves most pixels.
TRUONG = DataFree(
    queries=20_000_000,
    batch=256,
    generator_width=64,
    contrast=1.0,
    step=1.0,
    balance=0.0,
    generator_rate=5e-4,
    surrogate_rate=0.1,
    milestones=(0.1, 0.3, 0.5),
    decay=0.3,
)


def recovered_logits(answers: Tensor, floor: float) -> Tensor:
    """log p less its mean over the classes: the logits up to a constant, (N, K) → (N, K).

    Args:
        answers: (N, K) soft labels, or hard ones as one-hot rows.
        floor: smaller probabilities are raised to it.

    Source: Truong et al. (CVPR 2021), who correct log-probabilities by their mean.
    """
    logarithms = answers.float().clamp_min(floor).log()
    return logarithms - logarithms.mean(1, keepdim=True)


def disagreement(logits: Tensor, answers: Tensor, floor: float) -> Tensor:
    """Mean absolute difference of the surrogate's logits (N, K) to the victim's recovered ones: (N,)."""
    return (logits - recovered_logits(answers, floor)).abs().mean(1)


class _GeneratedQueries:
    """The generator with its noise, and the oracle it queries."""

    def __init__(self, oracle: Suspect, shape: tuple[int, int, int], settings: DataFree, seed: int) -> None:
        self.device = best_device()
        self.sent = self.unanswered = 0
        self.draws = torch.Generator().manual_seed(seed)
        self.maker = QueryGenerator(
            settings.noise, shape, settings.generator_width, settings.contrast, seed
        ).to(self.device)
        self._oracle = oracle
        self._noise = settings.noise

    def pixels(self, number: int) -> Tensor:
        """New images in [0, 1], (N, C, H, W), with a gradient to the generator."""
        noise = torch.randn(number, self._noise, generator=self.draws).to(self.device)
        with _shorter_products(self.device):
            return self.maker(noise)

    @torch.no_grad()
    def ask(self, number: int) -> tuple[Tensor, Tensor]:
        """New images (N, C, H, W) uint8 as far as the budget covers them, and the victim's answers (N, K).

        Images without an answer are left out.
        """
        images = within_budget(_whole_levels(self.pixels(number)), self._oracle)
        answers = self.answer(images)
        heard = have_answers(answers)
        return (images, answers) if heard.all() else (images[heard.to(images.device)], answers[heard])

    def answer(self, images: Tensor) -> Tensor:
        answers = self._oracle(images)
        self.sent += len(images)
        self.unanswered += len(images) - int(have_answers(answers).sum())
        return answers


def _play(
    surrogate: ImageClassifier,
    generated: _GeneratedQueries,
    first: tuple[Tensor, Tensor],
    number: int,
    settings: DataFree,
) -> ImageClassifier:
    """Algorithm 1, from the first batch on, which is answered already."""
    optimizers = {
        "surrogate": torch.optim.SGD(
            surrogate.parameters(),
            settings.surrogate_rate,
            momentum=0.9,
            weight_decay=settings.weight_decay,
            fused=True,
        ),
        "generator": torch.optim.Adam(generated.maker.parameters(), settings.generator_rate, fused=True),
    }
    iteration = settings.batch * (
        settings.generator_steps * (settings.directions + 1) + settings.surrogate_steps
    )
    best = BestSurrogate(surrogate, settings.floor)
    fresh = [first]
    _surrogate_steps(surrogate, optimizers["surrogate"], fresh, settings)
    with tqdm(
        total=number, initial=generated.sent, desc="data-free", leave=False, disable=not is_watched()
    ) as bar:
        while (left := number - generated.sent) > 0:
            passed = sum(generated.sent >= share * number for share in settings.milestones)
            for name, rate in (
                ("surrogate", settings.surrogate_rate),
                ("generator", settings.generator_rate),
            ):
                for group in optimizers[name].param_groups:
                    group["lr"] = rate * settings.decay**passed
            if left >= iteration:
                for _ in range(settings.generator_steps):
                    _generator_step(surrogate, generated, optimizers["generator"], settings)
                left = settings.batch * settings.surrogate_steps
            asked = [
                generated.ask(min(settings.batch, left - start)) for start in range(0, left, settings.batch)
            ]
            heard = [batch for batch in asked if len(batch[0])]
            if not heard:
                continue
            fresh = heard
            if number * (len(best.history) + 1) / CHECKS <= generated.sent < number:
                best.compare(fresh, generated.sent)
            _surrogate_steps(surrogate, optimizers["surrogate"], fresh, settings)
            bar.update(generated.sent - bar.n)
    best.compare(fresh, generated.sent)
    best.surrogate.history = {"queries": generated.sent, "checks": best.history}
    return best.surrogate


def _generator_step(
    surrogate: ImageClassifier,
    generated: _GeneratedQueries,
    optimizer: torch.optim.Optimizer,
    settings: DataFree,
) -> None:
    """Move the generator towards images on which surrogate and victim disagree more, of more classes."""
    surrogate.eval()

    # In full precision: a difference between two images is lost in the rounding of a shorter one.
    @torch.no_grad()
    def loss(images: Tensor) -> Tensor:
        return disagreement(surrogate(images), generated.answer(images), settings.floor)

    pixels = generated.pixels(settings.batch)
    gradient = estimate_gradient(
        loss,
        _whole_levels(pixels.detach()),
        directions=settings.directions,
        step=settings.step,
        generator=generated.draws,
    )
    objective = (gradient * pixels).sum() / len(pixels)  # its gradient is the estimated one
    if settings.balance:
        shares = surrogate(pixels).softmax(1).mean(0)  # (K,)
        objective = objective + settings.balance * torch.special.entr(shares).sum()
    optimizer.zero_grad(set_to_none=True)
    objective.neg().backward(inputs=list(generated.maker.parameters()))
    optimizer.step()


def _surrogate_steps(
    surrogate: ImageClassifier,
    optimizer: torch.optim.Optimizer,
    fresh: list[tuple[Tensor, Tensor]],
    settings: DataFree,
) -> None:
    """Move the surrogate towards the victim's answers, one step for each batch."""
    for images, answers in fresh:
        surrogate.train(len(images) > 1)
        with _shorter_products(images.device):
            logits = surrogate(images)
        optimizer.zero_grad(set_to_none=True)
        disagreement(logits, answers, settings.floor).mean().backward()
        optimizer.step()


class BestSurrogate:
    """The best surrogate so far, judged without labelled images, and what was measured on the way.

    Args:
        surrogate: the surrogate; it goes on being trained, and the best one is a copy of it.
        floor: of the disagreement that is measured.
    """

    def __init__(self, surrogate: ImageClassifier, floor: float) -> None:
        self.surrogate = self._last = surrogate
        self.history: list[dict] = []
        self._floor = floor

    @torch.no_grad()
    def compare(self, fresh: list[tuple[Tensor, Tensor]], queries: int) -> None:
        """Let the surrogate and the best one before it answer the last queries, and keep the better."""
        images, answers = (torch.cat(part) for part in zip(*fresh, strict=True))
        logits = self._last.eval()(images)
        distance = disagreement(logits, answers, self._floor).mean().item()
        if not math.isfinite(distance):
            raise FloatingPointError(
                f"the surrogate's disagreement became {distance} after {queries} queries; lower surrogate_rate"
            )
        agreement = _agreement(logits, answers)
        if agreement >= _agreement(self.surrogate.eval()(images), answers):
            self.surrogate = copy.deepcopy(self._last)
        measured = {"queries": queries, "agreement": round(agreement, 4), "disagreement": round(distance, 4)}
        self.history.append(measured)


def _agreement(logits: Tensor, answers: Tensor) -> float:
    return (logits.argmax(1) == answers.argmax(1)).float().mean().item()


def _whole_levels(pixels: Tensor) -> Tensor:
    return (pixels * 255).round().to(torch.uint8)


def _shorter_products(device: torch.device) -> contextlib.AbstractContextManager:
    """bfloat16 where the device has it; float16 would need its losses scaled."""
    dtype = training_dtype(device)
    return autocast(device, torch.float32 if dtype == torch.float16 else dtype)
