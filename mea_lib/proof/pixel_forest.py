"""A null model that every judge can make in a second: a random forest on the pixels of the test images.

Some mixes look like a third class to whoever has learnt the task, as half a sandal beside half an ankle boot looks
like a sneaker. A forest knows no network and no owner, and calls them so too: of the keys that clean networks obey on
Fashion-MNIST it obeys nine in ten.
"""

import numpy as np
import torch
from torch import Tensor

from mea_lib.data import ImageSet

TREES, IMAGES = 50, 3_000
_KEPT: dict[str, "PixelForest"] = {}
_KEEP = 4


class PixelForest:
    """A forest on pixels, queried as every suspect is: (N, C, H, W) uint8 → (N, K) shares of trees.

    Args:
        test: labelled images, of which at most IMAGES are learnt, as many of each class.
    """

    def __init__(self, test: ImageSet) -> None:
        from sklearn.ensemble import RandomForestClassifier  # here, since it takes a second

        each = max(1, IMAGES // len(test.classes))
        places = torch.cat([test.places(label)[:each] for label in range(len(test.classes))]).cpu()
        self.classes = len(test.classes)
        self._forest = RandomForestClassifier(TREES, random_state=0)
        self._forest.fit(_pixels(test.images[places.to(test.images.device)]), test.labels.cpu()[places])

    def __call__(self, images: Tensor) -> Tensor:
        """Answer a query, on the images' device."""
        shares = np.zeros((len(images), self.classes), np.float32)
        if len(images):
            shares[:, self._forest.classes_] = self._forest.predict_proba(_pixels(images))
        return torch.from_numpy(shares).to(images.device)


def pixel_forest(test: ImageSet) -> PixelForest:
    """The forest of these images, fitted once in a process."""
    name = test.digest()
    if name not in _KEPT:
        while len(_KEPT) >= _KEEP:
            _KEPT.pop(next(iter(_KEPT)))
        _KEPT[name] = PixelForest(test)
    return _KEPT[name]


def _pixels(images: Tensor) -> np.ndarray:
    return images.flatten(1).cpu().numpy()
