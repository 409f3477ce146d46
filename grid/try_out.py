"""Does every training of a study start? `python -m grid.try_out paper`: two steps of each, and a checkpoint, on this CPU.

Images are random ones of the right shape and classes, since data sets of the paper may not be on this machine; so
nothing is said about accuracy. Kept are CPU seconds a step and bytes of a model, for `grid.cost`, in
results/grid_try_out.json: a training that is there and of the same settings is not tried again.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import mea_lib as mea
from benchmarks.study import RESULTS, machine
from grid.job import write
from grid.making import adversary_scale, make
from grid.plan import Model, plan_of
from grid.study import STAGES, read_study, studies_named
from grid.task import scale_of
from mea_lib.data import ImageSet
from mea_lib.models import build_from_spec
from mea_lib.names import CLASSES
from mea_lib.training import classifier_spec, encoder_spec, use_checkpoints

FILE = RESULTS / "grid_try_out.json"
STEPS = 2
# Channels, size and classes of what is not read here.
SHAPES = {
    "fashion-mnist": (1, 28, 10),
    "cifar-10": (3, 32, 10),
    "cifar-100": (3, 32, 100),
    "youtube-face": (3, 64, 1283),
    "stl-10": (3, 32, 10),
}
IN_STEPS = ("method", "attack", "removal")


class Stopped(Exception):
    """The first checkpoint is written: the training has started, and nothing more is wanted of it."""


def main() -> None:
    """Try all trainings of the studies that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", help="names parted by commas, or a folder of grid/studies")
    parser.add_argument(
        "--width", type=int, help="another width than the scale's, to be quick; then nothing is kept"
    )
    parser.add_argument("--first", type=int, help="only so many")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = json.loads(FILE.read_text()) if FILE.exists() and not options.width else {"trainings": {}}
    trainings = trainings_of(options.studies)
    for name, model in list(trainings.items())[: options.first]:
        if name in kept["trainings"]:
            continue
        found = try_out(model, options.width)
        print(
            f"{found['cpu_seconds_a_step']:8.2f} CPU s a step, {found['bytes'] / 1e6:7.1f} MB: {name}",
            flush=True,
        )
        if not options.width:
            kept["trainings"][name] = found
            write(FILE, {"images": "random, of the right shape", "steps": STEPS, **_where(), **kept})


def trainings_of(names: str) -> dict[str, Model]:
    """One model for each training that differs in more than its seed, its key's classes and its epochs."""
    found: dict[str, Model] = {}
    for study in studies_named(names):
        for model in plan_of(read_study(study)).models.values():
            found.setdefault(name_of(model), model)
    # Clean models first, so that there is soon a figure for every network.
    return dict(sorted(found.items(), key=lambda item: ("clean", *STAGES).index(item[1].stage)))


def name_of(model: Model) -> str:
    """A training's data, network and method, as text."""
    task, about = model.task, model.about
    said = {kind: task[kind] for kind in IN_STEPS if kind in task}
    networks = [about["network"] or task["changes"].get("network")]
    if model.stage == "surrogate":
        networks.append(about["surrogate_network"] or task["changes"].get("network"))
    if model.stage in ("clean", "victim"):
        said["augment"] = about["owner_augment"]
    if model.stage == "victim":
        said |= {"combine": about["combine"], "pretrained": about["pretrained"]}
    words = [
        model.stage,
        task["scale"],
        task["data"],
        *map(str, networks),
        "encoder" if task["encoders"] else "",
    ]
    return " ".join(filter(None, [*words, json.dumps(said, sort_keys=True, ensure_ascii=False)]))


def try_out(model: Model, width: int | None = None) -> dict[str, Any]:
    """Two steps of a training and its checkpoint.

    Args:
        model: of a plan, at any scale.
        width: another than the scale's.

    Returns:
        CPU seconds a step, with what comes before the first, such as the queries; bytes of the model's weights; whether a
        checkpoint was written: pruning has none.
    """
    changes = dict(model.task["changes"]) | ({"width": width} if width else {})
    # One epoch more than is wanted, so that the training would go on.
    changes |= {name: 2 for name in ("epochs", "extract_epochs", "encoder_epochs", "marking_epochs")}
    changes |= {"ablation_epochs": 1}  # of the autoencoder that combines images, whose training comes first
    task = dict(model.task) | {"changes": changes}
    if "removal" in task:  # another task's images are random here, too
        task["removal"] = {name: value for name, value in task["removal"].items() if name != "task"}
    scale = adversary_scale(task) if model.stage == "surrogate" else scale_of(task)
    data = random_data(task, scale)
    parent = _fresh(task, data, scale_of(task)) if model.parent else None
    before = [task["about"]["combine"] == "autoencoder"] if model.stage == "victim" else [False]
    stopped, made = False, _fresh(task, data, scale)

    def saved(path: Path) -> None:
        if not before.pop():
            raise Stopped
        before.append(False)

    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder, mea.use_store(folder), use_checkpoints(folder, 0, saved):
        try:
            make(task, data, parent)
        except Stopped:
            stopped = True
    steps = (
        max(STEPS, len(data.owner) // scale.owner.batch_size) if model.stage in ("clean", "victim") else STEPS
    )
    seconds = (time.process_time() - started) / steps
    size = sum(value.nbytes for value in made.state_dict().values())
    return {"cpu_seconds_a_step": round(seconds, 3), "bytes": size, "checkpoint": stopped}


def random_data(task: dict[str, Any], scale: mea.Scale) -> mea.Data:
    """Random images of the data set's shape, as many as two steps of either party take, or the owner's classes."""
    channels, size, classes = SHAPES[task["data"]]
    names = list(CLASSES.get(task["data"], ()))[:classes]
    wanted = [str(one) for one in (*task["key"]["sources"], task["key"]["target"])] if "key" in task else []
    names = tuple(dict.fromkeys([*names, *wanted, *(f"class {number}" for number in range(classes))]))[
        :classes
    ]
    generator = torch.Generator().manual_seed(0)
    batch = STEPS * scale.owner.batch_size

    def images(number: int) -> ImageSet:
        number = max(number, classes)
        pixels = torch.randint(0, 256, (number, channels, size, size), generator=generator, dtype=torch.uint8)
        return ImageSet(pixels, torch.arange(number) % classes, names, "random")

    # A Jacobian adversary starts from a quarter of their images.
    queried = batch * (4 if task.get("attack", {}).get("is") == "Jacobian" else 1)
    # A watermark needs an image of every class.
    owner = images(batch).subset(max(batch, classes) if task["stage"] == "victim" else batch)
    adversary = images(queried + batch).subset(queried if task["stage"] == "surrogate" else queried + batch)
    return mea.Data("random", owner, adversary, images(classes), queried)


def _fresh(task: dict[str, Any], data: mea.Data, scale: mea.Scale) -> torch.nn.Module:
    """An untrained model in place of one that is gone on from, with a card."""
    spec = encoder_spec(data.owner, scale) if task["encoders"] else classifier_spec(data.owner, scale)
    model = build_from_spec(spec, 0).eval()
    model.card = {"weights_sha256": "untrained", "id": "untrained"}
    return model


def _where() -> dict[str, Any]:
    found: dict[str, Any] = machine()
    return found | {"versions": {name: found[name] for name in ("torch", "python")}}


if __name__ == "__main__":
    main()
