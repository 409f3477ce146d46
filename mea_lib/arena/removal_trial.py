"""The discipline of removals: remove a watermark that you do not know, and keep the accuracy."""

from collections.abc import Callable

import torch
from torch import Tensor

from mea_lib.arena.entry import EntryFailed, call_entry, suspect_of
from mea_lib.arena.outcome import Outcome, Trial
from mea_lib.arena.questioning import question
from mea_lib.arena.stage import Arena, Exhibit, anonymous
from mea_lib.arena.verdict import verdict_on
from mea_lib.models import ImageClassifier
from mea_lib.proof import accuracy
from mea_lib.scale import Scale

Removal = Callable[[ImageClassifier, Tensor, Scale], Callable[[Tensor], Tensor]]


def judge_removal(name: str, entry: Removal, arena: Arena) -> Outcome:
    """Run a removal on every model of the arena and verify what comes back.

    Args:
        name: of the entry, for the table.
        entry: `entry(model, images, scale) -> model`. It gets a copy of a model, which it may change, and the
            adversary's images (M, C, H, W) uint8 without labels. It is not told whether the model is
            watermarked. What it returns is only queried, (N, C, H, W) uint8 → (N, K), so it need not be a
            network; but an image's answer must depend on that image alone. All images for all purposes come in
            one shuffled stream (`question`).
        arena: made by `set_up`.

    Returns:
        The outcome; an entry that fails on one model has no trials and says why.
    """
    allowed = arena.rules.points
    trials = []
    for seed, exhibit in enumerate((*arena.marked, *arena.clean)):
        try:
            with torch.random.fork_rng():
                torch.manual_seed(seed)  # for answers that are drawn: judged again, they are the same
                trials.append(_trial(entry, exhibit, arena, seed))
        except EntryFailed as failure:
            return Outcome(name, "removal", (), allowed, f"{exhibit.name}: {failure}")
    return Outcome(name, "removal", tuple(trials), allowed)


def _trial(entry: Removal, exhibit: Exhibit, arena: Arena, seed: int) -> Trial:
    returned = call_entry(
        entry,
        anonymous(exhibit.model),
        arena.images.clone(),
        arena.scale,
        seed=seed,
    )
    answers = question(suspect_of(returned, len(arena.test.classes)), exhibit, arena)
    lost = 100 * max(0.0, exhibit.accuracy - accuracy(answers, arena.test))
    if exhibit.key is None:
        return Trial(exhibit.name, lost)
    found = verdict_on(answers, exhibit.key, arena)
    return Trial(exhibit.name, lost, found.mark, found.proof)
