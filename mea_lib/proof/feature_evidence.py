"""Verification of a suspect that offers an encoder and no labels, without any training by the owner."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from mea_lib.blackbox.named_class import Suspect, most_probable
from mea_lib.blackbox.passed_on import suspect_of
from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.proof.commitment import Opening, agreed_plan
from mea_lib.proof.dependence import effective_rate
from mea_lib.proof.nearest_mean import NearestMean
from mea_lib.proof.placement import Placement, placement
from mea_lib.proof.plan import Plan, check_budget, check_samples, control_images
from mea_lib.proof.rates import UNASKED, Rate
from mea_lib.proof.report import (
    Report,
    commitment_shown,
    exceeds,
    p_value_shown,
    suspect_lines,
)
from mea_lib.proof.samples import distinct_other_ways, distinct_samples
from mea_lib.proof.task import TaskCheck, check_task, probe_images

_WAYS_A_LINE = 3


def verify_features(
    suspect: Suspect,
    key: WatermarkKey,
    test: ImageSet,
    *,
    plan: Plan | Opening = Plan(),
    references: int = 100,
    resamples: int = 9_999,
    autoencoder: nn.Module | None = None,
) -> "FeatureEvidence":
    """See where an encoder puts watermark samples: with the target class, or with their sources?

    Each class of `test` is split in two. Images of one half give the class means, in features that are centred and
    standardised by these same images; images of the other half are combined to watermark samples. Two tests have
    to agree, both one-sided:

    1. Is the share of samples whose nearest class mean is the target's above the threshold? Binomial, as in
       `verify_ownership`.
    2. Do the samples lie nearer to the target than to the nearer of their own sources? A clean encoder puts a mix
       between its sources. The margin of sample i is m_i = min(d₁, d₂) − d_target, in cosine distances to the class
       means; the null hypothesis is that m_i and −m_i are equally likely, the statistic is the mean margin, and
       the signs are flipped at random (`sign_flip_p_value`).

    Samples are different, and as few as can be share a source image; the binomial test counts as many as they
    are worth (`effective_rate`), while the sign flips take them as independent, as they are where no two
    share an image. Nor do the p-values say how many clean encoders put mixes of these two classes nearest to
    the target all the same, which no number of samples changes: set the threshold by clean encoders
    (`false_watermark_rates` of their `NearestMean`, `calibrate_threshold`).

    Before that, clean images of every class must lie nearest to the mean of their own class, or there is no verdict;
    and the share has to exceed that of clean images of the source classes.

    Split and samples are drawn by the key's own seed from images that were fixed beforehand, and the signs are the
    same for everybody, so the owner has no choice among them. A commitment fixes no number of references: keep the
    default, or publish the number beside it.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, F) features; usually a `FeatureOracle`. Where it has them,
            its `remaining` limits the queries, `cost(*images)` says how many of them it has still to send,
            and `describe()` goes to the evidence.
        key: source classes, target class, scheme and seed.
        test: the owner's labelled images, on which nothing was trained.
        plan: how it is tested; or what the owner published beforehand, `commitment.opened_with(salt)`, which the key
            must open. Its arrangement plays no part here.
        references: images that give the mean of a class, at most; never more than half of the class.
        resamples: sign flips drawn.
        autoencoder: for keys whose scheme is "autoencoder".

    Returns:
        the evidence; print it, or `save` it.

    Raises:
        ValueError: for too few images, resamples that decide nothing, a key that does not match the commitment, or
            answers that are no finite features (N, F).
        BudgetSpent: when the suspect's budget does not cover the whole verification; then no query is sent.

    Source: this book's; the samples are those of MEA-Defender (S&P 2024), Sec. V-A.
    """
    plan, committed = agreed_plan(plan, key, test, autoencoder)
    key, alpha, suspect = key.named(test), plan.alpha, suspect_of(suspect)
    smallest = max(1 / (resamples + 1), 2.0**-plan.samples)
    if smallest >= alpha:
        raise ValueError(
            f"{resamples} sign flips of {plan.samples} samples give no p-value below {smallest:.2g}, so alpha {alpha:g} "
            "could never be met; raise resamples, or samples"
        )
    labelled, sources = split_classes(test, key, references)
    watermark = distinct_samples(sources, key, plan.samples, autoencoder)
    evidence = FeatureEvidence(
        key=key,
        threshold=plan.threshold,
        alpha=alpha,
        resamples=resamples,
        commitment=committed,
        fewest_samples=plan.fewest_samples,
    )
    stopped = check_samples(watermark, plan)
    if stopped:
        return replace(evidence, stopped=stopped)
    ways, clean = distinct_other_ways(sources, key, plan.samples), control_images(key, sources, plan.samples)
    every = [labelled.images, probe_images(sources, key.seed + 5).images, watermark.images, clean]
    every += [mixes.images for mixes in ways.values()]
    what = f"a verdict on {len(watermark)} samples"
    check_budget(suspect, sum(map(len, every)), lambda: every, what, "ask for fewer samples")
    nearest = NearestMean(suspect, labelled)
    task = check_task(nearest, key, sources)
    evidence = replace(
        evidence,
        task=task,
        references=len(labelled),
        features=nearest.size,
        queries=len(labelled) + task.queries,
    )
    if task.reason is None:
        cosines = nearest(watermark.images)
        classes = key.indices(test)
        evidence = replace(
            evidence,
            watermark=placement(cosines, *classes, resamples),
            effective=effective_rate(most_probable(cosines) == classes[2], watermark.first, watermark.second),
            wfpr={way: placement(nearest(mixes.images), *classes, resamples) for way, mixes in ways.items()},
            control=placement(nearest(clean), *classes, resamples),
            queries=sum(map(len, every)),
        )
    return replace(evidence, suspect=suspect.describe() or None)


@dataclass(frozen=True)
class FeatureEvidence(Report):
    """Where a suspect's encoder puts the watermark samples, and what follows.

    Attributes:
        key: the owner's key, by the names of its classes.
        threshold: share nearest to the target that must be exceeded.
        alpha: level of each of the tests.
        resamples: sign flips drawn.
        commitment: digest the key was checked against, or None.
        fewest_samples: fewer different samples give no verdict.
        task: whether clean images lie nearest to the mean of their own class; None where nothing was sent.
        watermark: where the watermark samples lie; no two are alike. None where they were not sent.
        effective: the share nearest to the target, of as many independent samples as it is worth.
        wfpr: the same two classes, arranged otherwise.
        control: clean images of the source classes.
        queries: how many in all.
        references: images among them that gave the class means.
        features: F, how many numbers the suspect answers.
        stopped: why the suspect was queried no further; None where it was.
        suspect: what the suspect says of itself, or None.
    """

    key: WatermarkKey
    threshold: float
    alpha: float
    resamples: int
    commitment: str | None
    fewest_samples: int
    task: TaskCheck | None = None
    watermark: Placement | None = None
    effective: Rate = UNASKED
    wfpr: dict[str, Placement] = field(default_factory=dict)
    control: Placement | None = None
    queries: int = 0
    references: int = 0
    features: int = 0
    stopped: str | None = None
    suspect: dict[str, Any] | None = None

    @property
    def p_value(self) -> float:
        """Probability of such a share nearest to the target, or a larger one, where the true one is at most the
        threshold.
        """
        return self.effective.p_value(self.threshold)

    @property
    def margin_p_value(self) -> float:
        """Probability of such a mean margin, or a larger one, where a margin may as well have the other sign."""
        return self.watermark.p_value if self.watermark else 1.0

    @property
    def control_p_value(self) -> float:
        """Probability of so much more nearness to the target than clean images of the sources have, were both alike."""
        return exceeds(self.effective, self.control.rate) if self.control else 1.0

    @property
    def is_decided(self) -> bool:
        """Whether the suspect could be sent all there is to send."""
        return self.stopped is None and (self.task is None or self.task.reason is None)

    @property
    def is_stolen(self) -> bool:
        """Whether there is a verdict, and all p-values are smaller than alpha."""
        p_values = (self.p_value, self.margin_p_value, self.control_p_value)
        return self.is_decided and max(p_values) < self.alpha

    @property
    def verdict(self) -> str:
        """One of three, in words."""
        if not self.is_decided:
            return f"no verdict: {self.stopped or self.task.reason}"
        if self.is_stolen:
            return "derived from the owner's encoder"
        return "no proof that it is derived from the owner's encoder"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "verdict": self.verdict,
            "is_stolen": self.is_stolen,
            "is_decided": self.is_decided,
            "task": self.task.to_dict() if self.task else None,
            "fewest_samples": self.fewest_samples,
            "suspect": self.suspect,
            "key": json.loads(self.key.to_json()),
            "wsr": self.watermark.to_dict() if self.watermark else None,
            "effective": self.effective.to_dict(),
            "threshold": self.threshold,
            "p_value": self.p_value,
            "margin_p_value": self.margin_p_value,
            "alpha": self.alpha,
            "resamples": self.resamples,
            "wfpr": {way: placed.to_dict() for way, placed in self.wfpr.items()},
            "control": self.control.to_dict() if self.control else None,
            "control_p_value": self.control_p_value,
            "queries": self.queries,
            "references": self.references,
            "features": self.features,
            "commitment": self.commitment,
        }

    def __str__(self) -> str:
        first, second = self.key.sources
        lines = [
            f"Verdict: {self.verdict}",
            f"Key: {first} + {second} → {self.key.target}, {self.key.combine}",
            *(self.task.lines(self.key) if self.task else []),
            *(self._about_samples() if self.watermark else []),
            f"Queries asked: {self.queries:,}, {self.references:,} of them for the class means",
            f"Commitment: {commitment_shown(self.commitment)}",
            *suspect_lines(self.suspect),
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def _about_samples(self) -> list[str]:
        target, rate = self.key.target, self.watermark.rate
        low, high = self.effective.interval()
        ways = [f"{way} {placed.rate.value:.3f}, {placed.margin:+.3f}" for way, placed in self.wfpr.items()]
        return [
            f"Watermark samples nearest to the mean of {target}: {rate} of {rate.trials} (95 % interval)",
            f"Over source images: [{low:.3f}, {high:.3f}], as of {self.effective.trials:,} independent samples",
            f"The true rate on such mixes exceeds {self.threshold:.2f}: p {p_value_shown(self.p_value)} "
            f"(alpha {self.alpha:g})",
            f"Nearer to {target} than to the nearer source by {self.watermark.margin:+.3f} on average; "
            f"p {p_value_shown(self.margin_p_value)} by sign flips",
            f"Clean images of both source classes: {self.control}; p {p_value_shown(self.control_p_value)}",
            "The same classes, arranged otherwise (rate, margin):",
            *(
                "  " + "".join(f"{way:<28}" for way in ways[start : start + _WAYS_A_LINE]).rstrip()
                for start in range(0, len(ways), _WAYS_A_LINE)
            ),
        ]


def split_classes(test: ImageSet, key: WatermarkKey, references: int) -> tuple[ImageSet, ImageSet]:
    """Two halves of every class that share no image, drawn by the key's seed.

    Args:
        test: labelled images.
        key: its seed draws the halves.
        references: images of each class that are kept of the first half, at most.

    Returns:
        images for the class means, images for mixes.

    Raises:
        ValueError: for a class with fewer than two images, or no references.
    """
    if references < 1:
        raise ValueError(f"the mean of a class needs at least 1 reference image, not {references}")
    generator = torch.Generator().manual_seed(key.seed + 3)
    means, mixes = [], []
    for name in test.classes:
        places = test.places(name)
        if len(places) < 2:
            raise ValueError(
                f"{test.name} holds {len(places)} images of class {name!r}, which cannot be split; "
                "two halves need 2 at least, and good ones some dozens"
            )
        order = places.cpu()[torch.randperm(len(places), generator=generator)]
        half = len(order) // 2
        means.append(order[: min(half, references)])
        mixes.append(order[half:])
    return test.subset(torch.cat(means)), test.subset(torch.cat(mixes))
