"""The autoencoder of the "autoencoder" combining scheme, trained on the owner's images."""

from torch.nn import functional as F

from mea_lib.data import ImageSet
from mea_lib.models.autoencoder import Autoencoder
from mea_lib.scale import Scale
from mea_lib.training.balance import Terms
from mea_lib.training.device import best_device, training_dtype
from mea_lib.training.loop import Batch, train
from mea_lib.training.settings import ablation_settings
from mea_lib.training.store import Store, default_store


def train_autoencoder(
    train_set: ImageSet, scale: Scale, *, seed: int = 0, store: Store | None = None
) -> Autoencoder:
    """Find the autoencoder of these images in the store, or train it there.

    Its loss is the mean squared error of the restored image, in units of the pixel range.

    Source: MEA-Defender (S&P 2024), Sec. IV-B and App. B.
    """
    device = best_device()
    settings = ablation_settings(scale, seed).but(augment=False)
    recipe = {
        "method": "autoencoder",
        "module": __name__,
        "data": train_set.digest(),
        "settings": settings.to_dict(),
        "width": scale.width,
        "precision": str(training_dtype(device)),
        "device": device.type,
        "scale": scale.name,
    }

    def make() -> Autoencoder:
        model = Autoencoder(train_set.channels, train_set.size, scale.width, seed).to(device)
        history = train(model, train_set.to(device).images, reconstruction, settings, title="autoencoder")
        model.history = history.to_dict()
        return model

    return (store or default_store()).fetch(recipe, make).to(device)


def reconstruction(model: Autoencoder, batch: Batch) -> Terms:
    """Mean squared error between an image in [0, 1] and what is decoded from its code."""
    images = batch.images.float() / 255
    return Terms({"reconstruction": F.mse_loss(model.decode(model.encode(images)), images)})
