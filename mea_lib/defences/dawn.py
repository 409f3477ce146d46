"""DAWN: a keyed few of all queries are answered wrongly, and whoever trains on the answers learns those by heart."""

import hashlib
import hmac
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mea_lib.models import ImageClassifier
from mea_lib.training.last_features import last_features

MAPPINGS = ("image", "activations")
SHORTEST_KEY = 32  # characters
HALF = 16  # bytes of a SHA-256: the first half decides whether a query is altered, the second half how
BATCH = 1_000


class AlteredAnswers(NamedTuple):
    """What a client was told wrongly: the watermark of one API client.

    Attributes:
        images: (N, C, H, W) uint8, those of their queries whose answers were altered.
        labels: (N,) the class that each was said to be.
        truth: (N,) the class that the model itself gives it, which any good model of the task is likely to say.
    """

    images: Tensor
    labels: Tensor
    truth: Tensor


class DAWN(nn.Module):
    """A model that answers wrongly where a keyed hash of the query falls below a rate.

    h = HMAC-SHA256(key, query). Where the first 128 bits of h, as a number, are below rate · 2^128, the answer's
    probabilities change places by a permutation of the classes that the last 128 bits decide. The same query gets the
    same answer for ever, so that asking twice tells nothing. It is a model itself: `Oracle(DAWN(…))`. What was
    altered is a client's watermark: `altered` lists it, `mea_lib.proof.verify_altered` tests a suspect with it.

    Args:
        model: (N, C, H, W) uint8 images → (N, K) logits, the owner's, with `features`.
        key: the secret, 32 characters or more; `mea_lib.data.key.new_salt()` makes one.
        rate: share of all queries that are altered, 0 to 1. The paper's is below 0.5 %.
        mapping: what is hashed: the "image" as it is, or which of the last "activations" exceed their median, so that
            an image changed a little has the same hash in most cases.
        images: (M, C, H, W) uint8, the owner's, over which the medians are taken; for "activations" only.

    Attributes:
        medians: (F,) of the activations; None for "image".

    Raises:
        ValueError: for a short key, a rate or mapping that there is not, or activations without images.

    Source: Szyller, Atli, Marchal and Asokan, DAWN: Dynamic Adversarial Watermarking of Neural Networks (ACM
    Multimedia 2021). Their permutation may leave the most probable class where it is, once in K; here such a one is
    drawn again, or the answer would be no watermark. The released filter hashes the image only, compares 16 bits with
    `<=`, and hashes no more than 25 bytes of it "for efficiency", so that images with a black border share one hash.
    """

    def __init__(
        self,
        model: ImageClassifier,
        key: str,
        rate: float = 0.005,
        mapping: str = "image",
        images: Tensor | None = None,
    ) -> None:
        super().__init__()
        if len(key) < SHORTEST_KEY:
            raise ValueError(
                f"the key has {len(key)} characters and could be guessed; take at least {SHORTEST_KEY}, "
                "as mea_lib.data.key.new_salt() gives"
            )
        if not 0 <= rate <= 1:
            raise ValueError(f"rate is a share of all queries, from 0 to 1, not {rate}")
        if mapping not in MAPPINGS:
            raise ValueError(f"unknown mapping {mapping!r}; choose one of: {', '.join(MAPPINGS)}")
        if mapping == "activations" and (images is None or not len(images)):
            raise ValueError(
                "the mapping 'activations' needs images=, the owner's, over which the medians are taken"
            )
        self.model = model.eval()
        self.rate, self.mapping = rate, mapping
        self._key = key.encode()
        medians = last_features(self.model, images).median(0).values if mapping == "activations" else None
        self.register_buffer("medians", medians)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 images → (N, K) logits; those of chosen queries with classes exchanged."""
        features = self.model.features(images)  # (N, F)
        logits = self.model.logits(features)
        return self._permuted(logits, self._digests(images, features))

    @torch.no_grad()
    def altered(self, queries: Tensor) -> AlteredAnswers:
        """Which of these queries (N, C, H, W) get altered answers, and which class each is said to be.

        Of queries with the same hash the first alone is listed, since the others are no further evidence. The owner
        takes this list from the log of one client before a suspect is tested, and commits to it.
        """
        device, seen = next(self.model.parameters()).device, set()
        found = []
        for part in queries.split(BATCH):
            features = self.model.features(part.to(device))
            logits, digests = self.model.logits(features), self._digests(part, features)
            rows = []
            for number, digest in enumerate(digests):
                if self._is_altered(digest) and digest not in seen:
                    seen.add(digest)
                    rows.append(number)
            answers = self._permuted(logits[rows], [digests[number] for number in rows])
            found.append((part[rows], answers.argmax(1).cpu(), logits[rows].argmax(1).cpu()))
        return AlteredAnswers(*map(torch.cat, zip(*found, strict=True)))

    def with_key(self, key: str) -> "DAWN":
        """The same API with another key: what it would have altered is the control of a verification."""
        other = DAWN(self.model, key, self.rate)
        other.mapping, other.medians = self.mapping, self.medians
        return other

    def has_key(self, key: str) -> bool:
        """Whether this is the API's key."""
        return hmac.compare_digest(self._key, key.encode())

    def _permuted(self, logits: Tensor, digests: list[bytes]) -> Tensor:
        """(N, K) logits → the same, with classes exchanged where the hash says so."""
        order = torch.arange(logits.shape[1]).repeat(len(logits), 1)  # (N, K)
        for number, (digest, first) in enumerate(zip(digests, logits.argmax(1).tolist(), strict=True)):
            if self._is_altered(digest):
                order[number] = torch.tensor(permutation(digest[HALF:], logits.shape[1], first))
        return logits.gather(1, order.to(logits.device))

    def _digests(self, images: Tensor, features: Tensor) -> list[bytes]:
        if self.mapping == "image":
            rows = images.cpu().contiguous().numpy()
        else:
            rows = np.packbits((features > self.medians).cpu().numpy(), axis=1)
        return [hmac.new(self._key, row.tobytes(), hashlib.sha256).digest() for row in rows]

    def _is_altered(self, digest: bytes) -> bool:
        return int.from_bytes(digest[:HALF], "big") < self.rate * 2 ** (8 * HALF)


def permutation(key: bytes, classes: int, first: int) -> list[int]:
    """A permutation of the classes that a key decides, each as likely as any other that moves the class `first`.

    By Fisher and Yates's shuffle, whose draws are HMACs of their number. One that leaves `first` where it is, is
    followed by the next.

    Returns:
        (K,) for each class whose value it gets.

    Raises:
        ValueError: for fewer than two classes, which have no such permutation, or a class that there is not.
    """
    if classes < 2 or not 0 <= first < classes:
        raise ValueError(f"no permutation of {classes} classes moves class {first}; take two or more")
    draws = 0
    while True:
        order = list(range(classes))
        for last in range(classes - 1, 0, -1):
            digest = hmac.new(key, draws.to_bytes(8, "big"), hashlib.sha256).digest()
            draws += 1
            # The remainder of a number of 256 bits is as good as uniform.
            chosen = int.from_bytes(digest, "big") % (last + 1)
            order[last], order[chosen] = order[chosen], order[last]
        if order[first] != first:
            return order
