"""Where the owner's key stands among all keys the owner might have drawn.

A null model calls mixes of some classes by a third one without anybody's doing, so a large rate alone is no
evidence. But it does not know which key was drawn. Let T(k) be how strongly a suspect obeys key k: whatever T
and the suspect are, a key drawn at random among N, before the suspect was queried, has with probability at most
r/N a rank of r or better. That is exact, and needs no assumption about null models.

It speaks of a key that was drawn. An owner who looks for a key that clean models obey finds one that the suspect obeys
as well. So keys that a null model obeys are not admissible: neither to be proven nor to be counted among the N.
Null models are the clean ones that a judge has, and always a forest on the pixels of the test images
(`pixel_forest`). To leave keys out by what such models say changes nothing for a key drawn at random: it can only be
left out itself, or drawn from those that remain.

With n clean models the rank is taken among keys × models, those of the clean models beside the suspect's own,
each treated as if it were the suspect and the others clean. Where a clean suspect is one of n + 1 models of which
nobody could say beforehand which is which, nearly the same holds of the N (n + 1) places (nearly, since the models
leave out somewhat different keys); results/unlike_suspects_study.json has suspects unlike the clean models. There are
more places then, which counts where a watermark leaks onto pairs that look like its own, or where there are few classes.

T is the share of a few mixes that are called the target, less the largest share on another model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import torch
from torch import Tensor

from mea_lib.blackbox.named_class import Suspect, most_probable

MIXES = 20  # of each pair
PAIRS = 90  # at most, as ten classes have; of more classes some are drawn
NULL_BOUND = 0.1  # a key that is obeyed more often by a null model is not admissible
_ORDERED = ("crop-paste", "stripes")


@dataclass(frozen=True)
class PairShares:
    """What one suspect calls mixes of each pair of classes.

    Attributes:
        pairs: P pairs of numbers of classes.
        shares: (P, K) of the answered mixes of a pair that are called each class; NaN where none was answered.
        silent: (P,) share of its mixes without an answer.
    """

    pairs: tuple[tuple[int, int], ...]
    shares: Tensor
    silent: Tensor

    def of(self, pair: tuple[int, int], target: int) -> float:
        """Share of all mixes of a pair that are called the target; one without an answer is not."""
        place = self.pairs.index(pair)
        return float(self.shares[place, target].nan_to_num() * (1 - self.silent[place]))


@dataclass(frozen=True)
class KeyRank:
    """How a key on a suspect stands among admissible keys on the suspect and on clean models.

    Attributes:
        rank: places where a key is obeyed as strongly or more, this one among them.
        places: of admissible keys, on the suspect and on each clean model.
        keys: admissible ones on the suspect.
        all_keys: before those were left out that a null model obeys.
        is_admissible: whether the key itself is one.
    """

    rank: int
    places: int
    keys: int
    all_keys: int
    is_admissible: bool = True

    @property
    def p_value(self) -> float:
        """Probability that a key drawn at random stands so far in front on a clean suspect."""
        return self.rank / self.places if self.places and self.is_admissible else 1.0


def key_pairs(pair: tuple[int, int], scheme: str, classes: int, seed: int) -> tuple[tuple[int, int], ...]:
    """The pairs of classes a key of this scheme may have: ordered where the scheme tells its sources apart.

    Args:
        pair: the key's own, always among them.
        scheme: one of `mea_lib.data.SCHEMES`.
        classes: K.
        seed: draws the others where there are more than PAIRS.
    """
    every = permutations if scheme in _ORDERED else combinations
    first = canonical_pair(pair, scheme)
    others = [other for other in every(range(classes), 2) if other != first]
    if len(others) >= PAIRS:
        order = torch.randperm(len(others), generator=torch.Generator().manual_seed(seed))
        others = [others[place] for place in order[: PAIRS - 1].tolist()]
    return (first, *others)


def canonical_pair(pair: tuple[int, int], scheme: str) -> tuple[int, int]:
    """The pair as `key_pairs` has it."""
    return pair if scheme in _ORDERED else (min(pair), max(pair))


def pair_shares(
    suspect: Suspect, pairs: Sequence[tuple[int, int]], mixes: Sequence[Tensor], classes: int
) -> PairShares:
    """Send a suspect, in one call, mixes of every pair.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) answers; a row with NaN is no answer.
        pairs: P pairs.
        mixes: of each, (M, C, H, W).
        classes: K.
    """
    answers = suspect(torch.cat(list(mixes)))
    silent = answers.isnan().any(1).cpu()
    called = most_probable(answers).cpu()
    return shares_of(pairs, called.split([*map(len, mixes)]), silent.split([*map(len, mixes)]), classes)


def shares_of(
    pairs: Sequence[tuple[int, int]], called: Sequence[Tensor], silent: Sequence[Tensor], classes: int
) -> PairShares:
    """The shares, from the class named for each mix of each pair, and whether there was no answer."""
    shares = torch.full((len(pairs), classes), torch.nan, dtype=torch.float64)
    for place, (labels, unanswered) in enumerate(zip(called, silent, strict=True)):
        kept = labels[~unanswered]
        if len(kept):
            shares[place] = torch.bincount(kept[kept >= 0], minlength=classes).double() / len(kept)
    return PairShares(tuple(pairs), shares, torch.stack([part.double().mean() for part in silent]))


def rank_key(
    suspect: PairShares,
    forest: PairShares,
    clean: Sequence[PairShares],
    pair: tuple[int, int],
    target: int,
) -> KeyRank:
    """The place of a key on a suspect.

    A mix without an answer counts against the key, and is left out in other pairs; a pair without any answer stands
    in front.

    Args:
        suspect, forest, clean: what each of them calls mixes of the same pairs.
        pair, target: of the key.
    """
    models = torch.stack([model.shares.nan_to_num() for model in (suspect, *clean)])  # (n + 1, P, K)
    baselines = torch.stack([_largest(models, but, forest) for but in range(len(models))])
    is_key = torch.ones(models.shape[1:], dtype=torch.bool)
    for place, (one, other) in enumerate(suspect.pairs):
        is_key[place, [one, other]] = False
    admissible = is_key & (baselines <= NULL_BOUND)
    strength = models - baselines
    strength[0][suspect.shares.isnan()] = torch.inf
    row = suspect.pairs.index(pair)
    strength[0, row, target] = suspect.of(pair, target) - baselines[0, row, target]
    in_front = strength >= strength[0, row, target] - 1e-9
    return KeyRank(
        rank=int((in_front & admissible).sum()),
        places=int(admissible.sum()),
        keys=int(admissible[0].sum()),
        all_keys=int(is_key.sum()),
        is_admissible=bool(admissible[0, row, target]),
    )


def admissible_keys(
    forest: PairShares, clean: Sequence[PairShares], pair: tuple[int, int], target: int
) -> KeyRank:
    """What can be said of a key before a suspect is queried: which keys are admissible, and whether it is one."""
    nothing = PairShares(forest.pairs, torch.zeros_like(forest.shares), torch.zeros_like(forest.silent))
    return rank_key(nothing, forest, clean, pair, target)


def _largest(models: Tensor, but: int, forest: PairShares) -> Tensor:
    """(P, K) the largest share on the forest and on all models but one."""
    others = [model for place, model in enumerate(models) if place != but]
    return torch.stack([forest.shares.nan_to_num(), *others]).amax(0)
