"""The discipline of removals: remove a watermark that you do not know, and keep the accuracy."""

from collections.abc import Callable

import torch
from torch import Tensor

from mea_lib.arena.contest import Contest, ContestModel, anonymous
from mea_lib.arena.entry import call_entry, suspect_of
from mea_lib.arena.judge import judge
from mea_lib.arena.outcome import Outcome, Trial
from mea_lib.arena.shuffled_queries import query_shuffled
from mea_lib.arena.verdict import verdict_on
from mea_lib.models import ImageClassifier
from mea_lib.proof import accuracy
from mea_lib.scale import Scale

Removal = Callable[[ImageClassifier, Tensor, Scale], Callable[[Tensor], Tensor]]


def judge_removal(name: str, entry: Removal, contest: Contest) -> Outcome:
    """Run a removal on every model of the contest and verify what comes back.

    Args:
        name: of the entry, for the table.
        entry: `entry(model, images, scale) -> model`. It gets a model with weights of its own, which it may change,
            and the adversary's images (M, C, H, W) uint8 without labels. It is not told whether the model is
            watermarked, nor whether it is a victim or a surrogate. What it returns is only queried,
            (N, C, H, W) uint8 → (N, K), so it need not be a network; but an image's answer must depend on that
            image alone. All images for all purposes come in one shuffled stream (`query_shuffled`).
        contest: made by `set_up`.

    Returns:
        The outcome; an entry that fails on one model has no trials and says why.
    """

    def trial(model: ContestModel, seed: int) -> Trial:
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # for answers that are drawn: judged again, they are the same
            return _trial(entry, model, contest, seed)

    return judge(name, "removal", (*contest.watermarked, *contest.surrogates, *contest.clean), contest, trial)


def _trial(entry: Removal, model: ContestModel, contest: Contest, seed: int) -> Trial:
    arguments = (anonymous(model.model), contest.images.clone(), contest.scale)
    returned = call_entry(entry, *arguments, seed=seed)
    answers = query_shuffled(suspect_of(returned, len(contest.test.classes)), model, contest)
    lost = 100 * max(0.0, model.accuracy - accuracy(answers, contest.test))
    if model.key is None:
        return Trial(model.name, lost)
    verdict = verdict_on(answers, model.key, contest)
    return Trial(model.name, lost, verdict.wsr, verdict.proof, missing=verdict.missing)
