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
from mea_lib import extraction, removal
from mea_lib.extraction import (
    CleanAnswers,
    ContSteal,
    DataFree,
    Distillation,
    FeatureDistillation,
    GuidedExtraction,
    Jacobian,
    Knockoff,
    MixedDistillation,
    StolenEncoder,
)
from mea_lib.models import NETWORKS, Input, build
from mea_lib.models.encoder import build_encoder
from mea_lib.removal import (
    WRK,
    FinePruning,
    FineTune,
    MixUpLabels,
    Prune,
    Quantise,
    Redistil,
    RelabelMixes,
    Transfer,
    Unlearn,
)
from mea_lib.training import FixedBalance, best_device
from mea_lib.training.autoencoder import train_autoencoder
from mea_lib.training.store import weights_digest
from mea_lib.watermarks import (
    ClassFeature,
    Composite,
    DeepTracer,
    Entangled,
    EntangledKey,
    ForeignKey,
    MarginBased,
    MEADefender,
    MEADefenderSSL,
    MeetingPoint,
    MosaicKey,
    Patch,
    PatchKey,
    RunnerUp,
    SSLGuard,
    TriggerKey,
    VectorKey,
    Watermark,
)

FOLDER = Path(__file__).parent
SMOKE = mea.preset("smoke")
TINY = SMOKE.but(
    width=2,
    autoencoder_width=2,
    watermark_batch=8,
    **{
        name: getattr(SMOKE, name).but(batch_size=64) for name in ("owner", "adversary", "encoder", "marking")
    },
)
IMAGES = 192
KEY = mea.WatermarkKey(("3", "7"), "1", seed=5)
EARLIER_WEIGHTS = FixedBalance(
    {"combination": 0.2, "verification": 2.0, "evasion": 0.2, "source guard": 0.75}
)
# The first that a processor has names its type.
CAPABILITIES = ("amx_bf16", "avx512_bf16", "avx512_f", "avx2")
RECORD = "python -m tests.golden.record"


class Task:
    """What the methods are given: a few digits, and models with random weights, which cost nothing."""

    def __init__(self) -> None:
        data = mea.load("digits", mea.preset("smoke"))
        self.owner = data.owner.subset(IMAGES)
        self.adversary = data.adversary.subset(IMAGES)

    @cached_property
    def victim(self):
        """A classifier that was not trained."""
        return build("nine_layer_cnn", classes=10, seed=1, **self._shape).eval()

    @cached_property
    def encoder(self):
        """An encoder that was not trained."""
        return build_encoder("nine_layer_cnn", seed=1, **self._shape).eval()

    @cached_property
    def _shape(self) -> dict:
        return {"inputs": Input.of(self.owner), "width": 2}


def _clean(network: str) -> Callable:
    return lambda task: mea.train_clean(task.owner, TINY.but(network=network))


def _encoder(network: str) -> Callable:
    return lambda task: mea.train_encoder(task.owner, TINY.but(network=network))


def _embedded(method: Watermark | Entangled | MeetingPoint | SSLGuard, key=KEY) -> Callable:
    return lambda task: method.embed(task.owner, key, TINY)


def _extracted(method: extraction.Extraction) -> Callable:
    return lambda task: method.extract(mea.Oracle(task.victim), task.adversary, TINY)


def _encoder_extracted(method: extraction.Extraction) -> Callable:
    return lambda task: method.extract(mea.FeatureOracle(task.encoder), task.adversary, TINY)


def _removed(method: removal.Removal) -> Callable:
    return lambda task: method.remove(task.victim, task.adversary, TINY)


FOREIGN = torch.arange(4 * 16 * 16).mul(7).remainder(251).to(torch.uint8).view(4, 1, 16, 16)
CODES = mea.WatermarkKey(("3", "7"), "1", "autoencoder", seed=5)
WATERMARKS = {
    "patch": (Patch(), PatchKey("1")),
    "composite": (Composite(), KEY),
    "entangled": (Entangled(), EntangledKey("3", "1")),
    # By settings of its own, so that a better choice of the package's changes no hash.
    "mea_defender": (MEADefender(balance=EARLIER_WEIGHTS, temperature=1.0), KEY),
    "runner_up": (RunnerUp(), KEY),
    "mea_defender_ssl": (MEADefenderSSL(), KEY),
    "meeting_point": (MeetingPoint(), KEY),
    "runner_up of combined codes": (RunnerUp(), CODES),
    "deep_tracer": (DeepTracer(), MosaicKey(("0", "2", "5", "8"), "1")),
    "class_feature": (ClassFeature(), ForeignKey(FOREIGN, "1")),
    "margin_based": (MarginBased(), TriggerKey()),
    "sslguard": (SSLGuard(), VectorKey()),
}
EXTRACTIONS = {
    "clean_answers": CleanAnswers(),
    "distillation": Distillation(),
    "jacobian": Jacobian(),
    "mixed_distillation": MixedDistillation(),
    "data_free": DataFree(queries=1_000, generator_width=4),
    "guided": GuidedExtraction(),
    "knockoff": Knockoff(),
    "knockoff by a bandit": Knockoff(strategy="adaptive"),
}
ENCODER_EXTRACTIONS = {
    "cont_steal": ContSteal(),
    "feature_distillation": FeatureDistillation(),
    "stolen_encoder": StolenEncoder(),
}
REMOVALS = {
    "fine_pruning": FinePruning(),
    "finetune": FineTune(),
    "honest_mixes": MixUpLabels(),
    "prune": Prune(),
    "quantise": Quantise(),
    "relabel_mixes": RelabelMixes(),
    "wrk": WRK(),
    "transfer": Transfer(),
    "unlearn": Unlearn(mask=torch.ones(1, 16, 16) / 4, pattern=torch.ones(1, 16, 16)),
    "redistil": Redistil(),
}
METHODS: dict[str, Callable[[Task], torch.nn.Module]] = {
    **{f"clean {network}": _clean(network) for network in NETWORKS},
    **{f"encoder {network}": _encoder(network) for network in NETWORKS},
    "autoencoder": lambda task: train_autoencoder(task.owner, TINY),
    **{name: _embedded(*given) for name, given in WATERMARKS.items()},
    **{name: _extracted(method) for name, method in EXTRACTIONS.items()},
    **{name: _encoder_extracted(method) for name, method in ENCODER_EXTRACTIONS.items()},
    **{name: _removed(method) for name, method in REMOVALS.items()},
}


def weights(names: Iterable[str] = METHODS) -> dict[str, str]:
    """SHA-256 of the weights of these methods' models, made in this order in an empty store."""
    with tempfile.TemporaryDirectory() as folder, mea.use_store(folder):
        task = Task()
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
