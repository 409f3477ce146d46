"""The autoencoder of the "autoencoder" combining scheme, trained on the owner's images."""

from dataclasses import dataclass

from torch.nn import functional as F

from mea_lib.data import ImageSet
from mea_lib.models.autoencoder import Autoencoder
from mea_lib.scale import Scale
from mea_lib.training.balance import Terms
from mea_lib.training.fit import Start, fit
from mea_lib.training.loop import Batch
from mea_lib.training.method import Method
from mea_lib.training_settings import TrainingSettings


@dataclass(frozen=True)
class ReconstructImages(Method):
    """Training of an autoencoder."""

    def objective(self, model: Autoencoder, batch: Batch) -> Terms:
        """Mean squared error between an image in [0, 1] and what is decoded from its code."""
        images = batch.images.float() / 255
        return Terms({"reconstruction": F.mse_loss(model.decode(model.encode(images)), images)})


def autoencoder_training(scale: Scale) -> TrainingSettings:
    """How the autoencoder is trained: as an owner's small victims are, without augmentation."""
    return scale.ablation.owner.but(augment=False)


def train_autoencoder(train_set: ImageSet, scale: Scale, *, seed: int = 0) -> Autoencoder:
    """Find the autoencoder of these images in the store, or train it there.

    Its loss is the mean squared error of the restored image, in units of the pixel range.

    Source: MEA-Defender (S&P 2024), Sec. IV-B and App. B.
    """
    method, training = ReconstructImages(), autoencoder_training(scale).but(seed=seed)
    form = {"channels": train_set.channels, "size": train_set.size, "width": scale.autoencoder_width}
    start = Start({"network": "autoencoder"} | form)
    return fit(train_set, lambda data: method.objective, training, method.recipe(scale), start)
