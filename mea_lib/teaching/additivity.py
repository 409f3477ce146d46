"""Does a model answer a combined image with the mean of its answers to the two images it was combined from?"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.data import ImageSet, WatermarkKey, watermark_pairs
from mea_lib.models import ImageClassifier
from mea_lib.training.last_features import last_features

BATCH = 250
CENTRE_IMAGES = 2_000  # of all classes, whose mean feature is taken off before cosines of features


@dataclass(frozen=True)
class Additivity:
    """How well the mean of two answers predicts the answer to the combined image.

    Logits are centred over the classes before they are compared, since a constant added to all says nothing.

    Attributes:
        cosine: mean cosine between the logits of a combined image and the mean of its two sources' logits; 1
            where they agree up to their scale.
        first_weight, second_weight: a and b with which a·z(first) + b·z(second) fits the logits of the combined
            images best, by least squares over all pairs and classes; one half each where the mean is exact, and
            0 for a source that the model does not react to.
        explained: part of the combined images' logits, as a sum of squares, that this best fit explains.
        cosine_of_features: as `cosine`, for the features before the last layer, less their mean over images of
            all classes.
        rate: share of combined images that are called the target class.
        predicted_rate: share of pairs whose mean logits name the target class.
        agreement: share of combined images that get the class which the mean logits name.
        margin: mean lead of the target's logit over the larger of the two sources', on combined images, in nats.
        predicted_margin: the same in the mean logits.
    """

    cosine: float
    first_weight: float
    second_weight: float
    explained: float
    cosine_of_features: float
    rate: float
    predicted_rate: float
    agreement: float
    margin: float
    predicted_margin: float

    def to_dict(self) -> dict[str, float]:
        """Plain values for JSON."""
        return asdict(self)


def additivity(model: ImageClassifier, key: WatermarkKey, test: ImageSet, samples: int = 1_000) -> Additivity:
    """Compare the answers to combined images with the means of the answers to their sources.

    Args:
        model: gives features and logits.
        key: source classes, target class and combining scheme; its seed draws the pairs.
        test: clean images.
        samples: pairs.
    """
    first_class, second_class, target = key.indices(test)
    generator = torch.Generator().manual_seed(key.seed)
    model.eval()
    features = [last_features(model, part, BATCH) for part in watermark_pairs(test, key, samples, generator)]
    centre = last_features(model, test.images[:CENTRE_IMAGES], BATCH).mean(0)
    combined, first, second = (_centred_logits(model, part) for part in features)  # (N, K) each
    mean = (first + second) / 2
    mean_features = (features[1] + features[2]) / 2
    weights, explained = _best_fit(combined, first, second)
    named, predicted = combined.argmax(1), mean.argmax(1)
    return Additivity(
        cosine=F.cosine_similarity(combined, mean).mean().item(),
        first_weight=weights[0],
        second_weight=weights[1],
        explained=explained,
        cosine_of_features=F.cosine_similarity(features[0] - centre, mean_features - centre).mean().item(),
        rate=(named == target).float().mean().item(),
        predicted_rate=(predicted == target).float().mean().item(),
        agreement=(named == predicted).float().mean().item(),
        margin=_margin(combined, first_class, second_class, target),
        predicted_margin=_margin(mean, first_class, second_class, target),
    )


@torch.no_grad()
def _centred_logits(model: ImageClassifier, features: Tensor) -> Tensor:
    """(N, F) features → (N, K) logits less their mean over the classes."""
    logits = model.logits(features)
    return logits - logits.mean(1, keepdim=True)


def _best_fit(combined: Tensor, first: Tensor, second: Tensor) -> tuple[list[float], float]:
    """The weights a, b of a·first + b·second ≈ combined, and the part of the sum of squares they explain."""
    # On the CPU, since not every device has float64.
    sources = torch.stack([first.flatten(), second.flatten()], 1).cpu().double()  # (N·K, 2)
    wanted = combined.flatten().cpu().double()
    weights = torch.linalg.lstsq(sources, wanted).solution  # (2,)
    rest = (wanted - sources @ weights).square().sum()
    return weights.tolist(), 1 - (rest / wanted.square().sum()).item()


def _margin(logits: Tensor, first: int, second: int, target: int) -> float:
    return (logits[:, target] - logits[:, [first, second]].amax(1)).mean().item()
