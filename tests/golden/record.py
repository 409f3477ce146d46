"""The weights of every method and network on tiny tasks, as hashes, and the file of those that were recorded.

`python -m tests.golden.record` records them for the type of machine it runs on: after a change that is meant
to give other weights. The tasks are smaller than the smoke scale (width 2, 192 images, batches of 64), so that all of
them take less than half a minute of one core; settings that are not named are each method's own.
"""

import json
import platform
import tempfile
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

import torch

import mea_lib as mea
from mea_lib import extraction, removal, watermarks
from mea_lib.extraction.data_free import DataFreeSettings
from mea_lib.extraction.knockoff import KnockoffSettings
from mea_lib.models import NETWORKS, build
from mea_lib.models.encoder import build_encoder
from mea_lib.removal.changed_copy import weights_digest
from mea_lib.training import Store, best_device
from mea_lib.training.autoencoder import train_autoencoder

FOLDER = Path(__file__).parent
TINY = mea.preset("smoke").but(width=2, batch_size=64, watermark_batch=8, encoder_epochs=1, marking_epochs=1)
IMAGES = 192
KEY = mea.WatermarkKey(("3", "7"), "1", seed=5)
CAPABILITIES = (
    "amx_bf16",
    "avx512_bf16",
    "avx512_f",
    "avx2",
)  # the first that a processor has names its type
RECORD = "python -m tests.golden.record"


class Task:
    """What the methods are given: a few digits, and models with random weights, which cost nothing.

    Args:
        root: of the store.
    """

    def __init__(self, root: str | Path) -> None:
        data = mea.load("digits", mea.preset("smoke"))
        self.owner = data.owner.subset(IMAGES)
        self.adversary = data.adversary.subset(IMAGES)
        self.store = Store(root)

    @cached_property
    def victim(self):
        """A classifier that was not trained."""
        return build("nine_layer_cnn", classes=10, seed=1, **self._shape).eval()

    @cached_property
    def encoder(self):
        """An encoder that was not trained, with the `card` that a store would have given it."""
        encoder = build_encoder("nine_layer_cnn", seed=1, **self._shape).eval()
        encoder.card = {"weights_sha256": weights_digest(encoder)}
        return encoder

    @cached_property
    def _shape(self) -> dict:
        return {"channels": 1, "size": 16, "width": 2, "mean": self.owner.mean, "std": self.owner.std}


def _clean(network: str) -> Callable:
    return lambda task: mea.train_clean(task.owner, TINY, network=network, store=task.store)


def _encoder(network: str) -> Callable:
    return lambda task: mea.train_encoder(task.owner, TINY, network=network, store=task.store)


def _embedded(method, key=KEY) -> Callable:
    return lambda task: method.embed(task.owner, key, TINY, store=task.store)


def _extracted(method, **options) -> Callable:
    return lambda task: method.extract(
        mea.Oracle(task.victim), task.adversary.images, TINY, store=task.store, **options
    )


def _copied(method) -> Callable:
    return lambda task: method.extract(
        mea.FeatureOracle(task.encoder), task.adversary.images, TINY, store=task.store
    )


def _removed(method, **options) -> Callable:
    return lambda task: method.remove(task.victim, task.adversary, TINY, store=task.store, **options)


ASK_FEW = DataFreeSettings(queries=1_000, generator_width=4)
CHOOSE = KnockoffSettings(strategy="adaptive")
TRIGGER = {"mask": torch.ones(1, 16, 16) / 4, "pattern": torch.ones(1, 16, 16)}
METHODS: dict[str, Callable[[Task], torch.nn.Module]] = {
    **{f"clean {network}": _clean(network) for network in NETWORKS},
    **{f"encoder {network}": _encoder(network) for network in NETWORKS},
    "autoencoder": lambda task: train_autoencoder(task.owner, TINY, store=task.store),
    "patch": _embedded(watermarks.patch, watermarks.patch.PatchKey("1")),
    **{
        name: _embedded(getattr(watermarks, name))
        for name in ("composite", "mea_defender", "runner_up", "mea_defender_ssl", "meeting_point")
    },
    "runner_up of combined codes": _embedded(
        watermarks.runner_up, mea.WatermarkKey(("3", "7"), "1", "autoencoder", seed=5)
    ),
    **{
        name: _extracted(getattr(extraction, name))
        for name in ("clean_answers", "distillation", "jacobian", "mixed_distillation")
    },
    "data_free": lambda task: extraction.data_free.extract(
        mea.Oracle(task.victim), (1, 16, 16), TINY, settings=ASK_FEW, store=task.store
    ),
    "knockoff": lambda task: extraction.knockoff.extract(
        mea.Oracle(task.victim), task.adversary, TINY, store=task.store
    ),
    "knockoff by a bandit": lambda task: extraction.knockoff.extract(
        mea.Oracle(task.victim), task.adversary, TINY, settings=CHOOSE, store=task.store
    ),
    **{
        name: _copied(getattr(extraction, name))
        for name in ("cont_steal", "feature_distillation", "stolen_encoder")
    },
    **{
        name: _removed(getattr(removal, name))
        for name in ("fine_pruning", "finetune", "honest_mixes", "prune", "quantise", "relabel_mixes")
    },
    "wrk": _removed(removal.wrk),
    "transfer": _removed(removal.transfer),
    "unlearn": _removed(removal.unlearn, **TRIGGER),
    "redistil": lambda task: removal.redistil.remove(
        task.victim, task.adversary.images, TINY, store=task.store
    ),
}


def weights(names: Iterable[str] = METHODS) -> dict[str, str]:
    """SHA-256 of the weights of these methods' models, made in this order in an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        task = Task(folder)
        return {name: weights_digest(METHODS[name](task).cpu()) for name in names}


def machine() -> str:
    """The type of this machine, of which others give the same weights: what decides how torch multiplies."""
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    parts = [platform.machine()]
    if found.get("cpu_name"):
        parts.append(str(found["cpu_name"]).split()[0].lower())
    parts.append(next((name for name in CAPABILITIES if found.get(name)), "plain"))
    if found.get("l2_cache_size"):
        parts.append(f"{found['l2_cache_size'] // 1024}k")
    return "-".join([*parts, best_device().type, "torch", torch.__version__.split("+")[0]])


def recorded() -> dict[str, str] | None:
    """What was recorded on machines of this type, or None."""
    path = FOLDER / f"{machine()}.json"
    return json.loads(path.read_text()) if path.exists() else None


if __name__ == "__main__":
    torch.set_num_threads(1)
    path = FOLDER / f"{machine()}.json"
    path.write_text(json.dumps(weights(), indent=1) + "\n")
    print(f"{len(METHODS)} models recorded in {path.name}")
