"""Dataset inference: was a suspect trained on the owner's images, or on what another model had learnt from them?

Training pushes the decision boundary away from the images it sees, and a surrogate learns the boundary. So the owner
measures how far private training images and public images are from the suspect's boundary, and tests whether the
private ones stand out. There is no watermark, and the answer is about the data: a model that somebody else trained on
the same images is accused too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.stats import t as student
from torch import Tensor, nn

from mea_lib.blackbox import BudgetSpent, Suspect
from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.proof.boundary_distance import BlindWalk, Embedding
from mea_lib.proof.class_names import at_the_door
from mea_lib.proof.judgement import Judgement
from mea_lib.proof.key_check import check_clean
from mea_lib.proof.null_models import check_null_models, predictive_p_value
from mea_lib.proof.plan import check_decides
from mea_lib.proof.report import p_value_shown
from mea_lib.proof.task import TaskCheck, check_task, probe_images
from mea_lib.proof.without_key import any_three_classes
from mea_lib.seeded import seeded

BLIND_WALK = BlindWalk()


@dataclass(frozen=True)
class DatasetInference:
    """How private images are told from public ones.

    Attributes:
        embedding: what an image's place is described by, `BlindWalk()` for an API or `MinGD()` for a model at hand.
        hidden: units of the confidence regressor between its two linear layers.
        epochs: of the regressor, each one step on all embeddings.
        rate: its learning rate.
        samples: images of either kind in one t-test.
        repetitions: t-tests on as many draws of such images.
        alpha: level of the test.
        seed: draws the halves, the regressor and the samples.

    Source: Maini, Yaghini and Papernot, Dataset Inference: Ownership Resolution in Machine Learning (ICLR 2021), with
    the numbers of the released code. Its notebooks turn the table of distances in such a way that a row holds one
    distance of thirty images instead of thirty distances of one (`.T.reshape` of a table (images, directions, norms));
    here a row is an image, as in the paper.
    """

    embedding: Embedding = BLIND_WALK
    hidden: int = 100
    epochs: int = 1_000
    rate: float = 0.1
    samples: int = 10
    repetitions: int = 100
    alpha: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        check_decides("alpha", self.alpha)
        if self.samples < 2 or min(self.hidden, self.epochs, self.repetitions) < 1 or self.rate <= 0:
            raise ValueError(
                "a t-test needs at least 2 samples, and hidden, epochs, repetitions and rate are above 0; got "
                f"samples {self.samples}, hidden {self.hidden}, epochs {self.epochs}, "
                f"repetitions {self.repetitions}, rate {self.rate}"
            )


@dataclass(frozen=True)
class Separation:
    """How far a model sets private images apart from public ones.

    Attributes:
        difference: of the mean confidences, public less private; above 0 where private images lie deeper.
        error: its standard error.
        p_value: harmonic mean of the p-values of all draws.
        private: images that count.
        public: images that count.
    """

    difference: float
    error: float
    p_value: float
    private: int
    public: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(vars(self))


@dataclass(frozen=True, repr=False)
class DatasetEvidence(Judgement):
    """What a suspect's boundary says about the owner's images.

    Attributes:
        separation: of private and public images by the suspect; None where it does not know the task.
        victim: the same by the owner's model, on the same images.
        null_models: the same by each clean model; none where none was passed.
        alpha: level of the test.
        queries: images the suspect was sent.
        task: what it said to some public images of every class first.
        suspect: what a suspect says of itself; or None.
    """

    proof: ClassVar[str] = "knows the owner's images"
    no_proof: ClassVar[str] = "no proof by the owner's images"

    separation: Separation | None
    victim: Separation
    null_models: tuple[Separation, ...]
    alpha: float
    queries: int
    task: TaskCheck | None = None
    suspect: dict[str, Any] | None = None

    @property
    def undecided(self) -> str | None:
        """Why there is no verdict: the suspect does not know the task, or answered too little; else None."""
        if self.separation is not None:
            return None
        return super().undecided or "too few images were answered"

    @property
    def paper_p_value(self) -> float:
        """The paper's: what differences of this size would happen by the draw of the images."""
        return self.separation.p_value if self.separation else 1.0

    @property
    def null_p_value(self) -> float | None:
        """What differences of this size would happen on one more clean model; None without null models."""
        if not self.null_models:
            return None
        if self.separation is None:
            return 1.0
        known = [one.difference for one in self.null_models]
        return predictive_p_value(self.separation.difference, known, self.separation.error)

    @property
    def p_value(self) -> float:
        """The larger one of the two.

        The paper's alone accuses clean models too: private images may be easier than public ones for everybody.
        """
        return max(self.paper_p_value, self.null_p_value or 0.0)

    def _measured(self) -> dict[str, Any]:
        return {
            "separation": self.separation.to_dict() if self.separation else None,
            "victim": self.victim.to_dict(),
            "null_models": [one.to_dict() for one in self.null_models],
            "p_value": self.p_value,
            "paper_p_value": self.paper_p_value,
            "null_p_value": self.null_p_value,
        }

    def _lines(self) -> list[str]:
        own = self.separation
        if own is None:
            return []
        if self.null_models:
            known = [one.difference for one in self.null_models]
            beside = (
                f"  {len(known)} clean models     from {min(known):+.3f} to {max(known):+.3f} "
                f"(p-value {p_value_shown(self.null_p_value)})"
            )
        else:
            beside = "  no clean models: where private images are easier, clean suspects are accused"
        return [
            f"Confidence on {own.public} public less on {own.private} private images (−2 to 2):",
            f"  the suspect        {own.difference:+.3f} ± {own.error:.3f}",
            f"  the owner's model  {self.victim.difference:+.3f} ± {self.victim.error:.3f}",
            beside,
            f"p-value: {p_value_shown(self.p_value)} (alpha {self.alpha:g}); "
            f"of the t-tests alone {p_value_shown(self.paper_p_value)}",
        ]


def verify_dataset(
    suspect: Suspect | nn.Module,
    victim: Suspect | nn.Module,
    private: ImageSet,
    public: ImageSet,
    clean: Sequence[Suspect | nn.Module] = (),
    method: DatasetInference | None = None,
) -> DatasetEvidence:
    """See whether a suspect sets the owner's private images apart from public ones, as the owner's model does.

    One half of either set trains the confidence regressor on the victim, the other half is for the suspect.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) answers, of which only the largest counts; for `MinGD` the model.
        victim: the owner's model, or its API.
        private: labelled images that the victim was trained on, and nobody else.
        public: labelled images of the same distribution on which neither the victim nor any of the clean ones was
            trained. If they come from elsewhere, every model tells them apart, clean ones among them.
        clean: null models: of the same task, trained without the private images; none, or at least two. Szyller et
            al. show that without them an independent model is accused.
        method: settings; `DatasetInference()` by default.

    Returns:
        the evidence; print it, or `save` it.

    Raises:
        ValueError: for sets of other classes than one another's, sets too small for the test, a single clean model or
            some that do not know the task.
        TypeError: where `MinGD` is given an API.
        BudgetSpent: when the suspect's budget does not cover as many queries as there may be; then none is sent.

    Source: Maini et al. (ICLR 2021). That a suspect has to stand out from clean models too is ours, after Szyller et
    al., On the Robustness of Dataset Inference (TMLR 2023).
    """
    method = method or DatasetInference()
    three = _check_sets(private, public, method)
    if clean:
        check_null_models(len(clean))
    generator = torch.Generator().manual_seed(method.seed)
    train_private, test_private = _halves(private, generator)
    train_public, test_public = _halves(public, generator)
    tests = (test_private, test_public)
    asked = at_the_door(suspect, public.classes)
    probe = probe_images(public, three.seed + 5)
    most = len(probe) + method.embedding.most_queries(sum(map(len, tests)))
    if asked.remaining is not None and asked.remaining < most:
        raise BudgetSpent(
            f"dataset inference takes up to {most} queries, but only {asked.remaining} remain; pass fewer images, "
            "take fewer directions or steps, or raise the budget"
        )
    check_clean([at_the_door(model, public.classes) for model in clean], public, three.seed)
    taken_victim, *taken_clean = (method.embedding.taken(model, public.classes) for model in (victim, *clean))
    taken_suspect = method.embedding.taken(suspect, public.classes)
    regressor = ConfidenceRegressor(
        method.embedding.distances(taken_victim, train_private).values,
        method.embedding.distances(taken_victim, train_public).values,
        method,
    )

    def separation_by(model: Suspect | nn.Module) -> tuple[Separation | None, int]:
        found = [method.embedding.distances(model, data) for data in tests]
        scores = [regressor(one.values) for one in found]
        return separation(*scores, method), sum(one.queries for one in found)

    known = [separation_by(model)[0] for model in (taken_victim, *taken_clean)]
    if None in known:
        raise ValueError("the owner's model and all clean models must answer; pass such as do")
    task = check_task(asked, three, public)
    own, queries = (None, 0) if task.reason else separation_by(taken_suspect)
    return DatasetEvidence(
        separation=own,
        victim=known[0],
        null_models=tuple(known[1:]),
        alpha=method.alpha,
        queries=task.queries + queries,
        task=task,
        suspect=asked.describe() or None,
    )


class ConfidenceRegressor:
    """Two linear layers, tanh at the end: near 1 for public images, near −1 for private ones.

    They minimise −b·g(x) on the victim's embeddings x, b being 1 for public images and −1 for private ones.

    Args:
        private: (N, 3, D) distances in the victim.
        public: (M, 3, D) the same.
        method: settings.
    """

    def __init__(self, private: Tensor, public: Tensor, method: DatasetInference) -> None:
        private, public = (one[~one.isnan().flatten(1).any(1)] for one in (private, public))
        # Norms differ in size by orders of magnitude: each is brought to the private images' mean and deviation.
        self.mean = private.mean((0, 2), keepdim=True)
        self.deviation = private.std((0, 2), keepdim=True).clamp_min(1e-12)
        width = private.shape[1] * private.shape[2]
        with seeded(method.seed), torch.enable_grad():
            self.network = nn.Sequential(
                nn.Linear(width, method.hidden), nn.ReLU(), nn.Linear(method.hidden, 1), nn.Tanh()
            )
            rows = self._rows(torch.cat([private, public]))
            signs = torch.cat([-torch.ones(len(private)), torch.ones(len(public))])
            optimizer = torch.optim.SGD(self.network.parameters(), lr=method.rate)
            for _ in range(method.epochs):
                optimizer.zero_grad()
                (-signs * self.network(rows)[:, 0]).mean().backward()
                optimizer.step()

    @torch.no_grad()
    def __call__(self, distances: Tensor) -> np.ndarray:
        """(N, 3, D) → (N,) confidences from −1 to 1 that an image is not private; NaN for one without an answer."""
        return self.network(self._rows(distances))[:, 0].numpy()

    def _rows(self, distances: Tensor) -> Tensor:
        return ((distances - self.mean) / self.deviation).flatten(1)


def separation(private: np.ndarray, public: np.ndarray, method: DatasetInference) -> Separation | None:
    """Compare confidences (N,) and (M,); one that is NaN is left out, and None is returned where too few are left.

    Each of `repetitions` draws takes `samples` of either kind for a one-sided Welch t-test. Their harmonic mean is taken
    for the p-value. The draws overlap, and so it is one nearly and not exactly (Wilson 2019): of 4,000 pairs of samples of
    one distribution (100 values of either kind, 10 in a draw) it was below .01 in .011, below .05 in .08, below .1 in .23.
    """
    private, public = (one[~np.isnan(one)].astype(float) for one in (private, public))
    if min(len(private), len(public)) < method.samples:
        return None
    generator = np.random.default_rng(method.seed)
    drawn = [
        np.stack(
            [generator.choice(one, method.samples, replace=False) for _ in range(method.repetitions)]
        )  # (R, m)
        for one in (private, public)
    ]
    return Separation(
        difference=float(public.mean() - private.mean()),
        error=float(np.sqrt(private.var(ddof=1) / len(private) + public.var(ddof=1) / len(public))),
        p_value=harmonic_mean(welch_p_values(*drawn)),
        private=len(private),
        public=len(public),
    )


def welch_p_values(private: np.ndarray, public: np.ndarray) -> np.ndarray:
    """(R,) p-values of one-sided Welch t-tests of the public mean being larger, on samples (R, m) each.

    Samples that do not vary at all decide by their means; scipy would answer NaN.
    """
    number = private.shape[1]
    errors = [one.var(axis=1, ddof=1) / number for one in (private, public)]
    error, ahead = sum(errors), public.mean(1) - private.mean(1)
    varies = error > 0
    squares = np.where(varies, (errors[0] ** 2 + errors[1] ** 2) / (number - 1), 1.0)
    freedom = np.where(varies, error**2 / squares, 1.0)
    statistic = ahead / np.sqrt(np.where(varies, error, 1.0))
    return np.where(varies, student.sf(statistic, freedom), np.where(ahead > 0, 0.0, 1.0))


def harmonic_mean(p_values: np.ndarray) -> float:
    """Of p-values; 0 where one of them is."""
    return float(len(p_values) / (1 / p_values).sum()) if (p_values > 0).all() else 0.0


def _check_sets(private: ImageSet, public: ImageSet, method: DatasetInference) -> WatermarkKey:
    """Check that the two sets can be compared; returns the classes that the task check counts apart."""
    if private.classes != public.classes:
        raise ValueError(
            f"private and public images must have the same classes in the same order, not {private.classes} "
            f"and {public.classes}"
        )
    fewest = min(len(private), len(public))
    if fewest < 2 * method.samples:
        raise ValueError(
            f"half of the images train the regressor, so a test with {method.samples} samples needs "
            f"{2 * method.samples} of either kind, not {fewest}; pass more, or take fewer samples"
        )
    return any_three_classes(public, method.seed)


def _halves(data: ImageSet, generator: torch.Generator) -> tuple[ImageSet, ImageSet]:
    order = torch.randperm(len(data), generator=generator)
    return data.subset(order[: len(data) // 2]), data.subset(order[len(data) // 2 :])
