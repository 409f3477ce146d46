"""What the jobs of a grid do with the package: make a clean model, a victim, a surrogate, or one after a removal."""

from typing import Any

from torch import nn

import mea_lib as mea
from grid.methods import method_of
from grid.task import Task, key_of, scale_of
from mea_lib.data import ImageSet
from mea_lib.data.resize import to_form
from mea_lib.model_files import ModelFiles, store_folders
from mea_lib.model_files.loading import load_model
from mea_lib.training import best_device, train_clean, train_encoder


def adversary_scale(task: Task, images: int | None = None) -> mea.Scale:
    """The same as the adversary trains: for `times` the epochs, in as many steps whatever the number of queries.

    Args:
        task: of a surrogate.
        images: that are queried, where they are fewer than the scale's.
    """
    about, scale = task["about"], scale_of(task)
    epochs = round(about["times"] * scale.adversary.epochs)
    if images is not None:
        epochs = round(epochs * _steps(scale.query_images, scale) / _steps(images, scale))
    scale = scale.adversary_but(epochs=max(1, epochs))
    if about["augment"] is not None:
        scale = scale.adversary_but(augment=about["augment"])
    return scale.but(network=about["surrogate_network"] or scale.network)


def _steps(images: int, scale: mea.Scale) -> int:
    """Steps of an epoch of the adversary's; fewer images than a batch are one."""
    return max(1, images // scale.adversary.batch_size)


def make(task: Task, data: mea.Data, parent: nn.Module | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """The model of a job, found in the store or trained, and what else its row is to say of it.

    Args:
        task: of the plan.
        data: of the study.
        parent: the model that is gone on from, queried, or changed.
    """
    stage = task["stage"]
    if stage == "clean":
        train = train_encoder if task["encoders"] else train_clean
        return train(data.owner, scale_of(task), seed=task["about"]["seed"]), {}
    if stage == "victim":
        method = method_of("methods", task["method"])
        seed = task["about"]["seed"]
        return method.embed(data.owner, key_of(task), scale_of(task), seed=seed, pretrained=parent), {}
    if stage == "surrogate":
        return _surrogate(task, data, parent)
    return _removed(task, data, parent), {}


def _surrogate(task: Task, data: mea.Data, victim: nn.Module) -> tuple[nn.Module, dict[str, Any]]:
    about, scale = task["about"], scale_of(task)
    # With labels, which only an adaptive adversary looks at: they are theirs.
    images = data.owner if about["images"] == "owner" else data.adversary
    images = images.subset(max(1, min(scale.query_images, len(images)) // about["part"]))
    scale = adversary_scale(task, len(images) if about["part"] > 1 else None)
    if task["encoders"]:
        oracle = mea.FeatureOracle(victim, len(images))
    else:
        oracle = mea.Oracle(victim, len(images), answer=about["answers"])
    method = method_of("attacks", task["attack"])
    return method.extract(oracle, images, scale, seed=about["seed"]), {"queries": oracle.queries}


def _removed(task: Task, data: mea.Data, model: nn.Module) -> nn.Module:
    method, scale = method_of("removals", task["removal"]), scale_of(task)
    return method.remove(model, _images_of_removal(task, data, scale), scale, seed=task["about"]["seed"])


def _images_of_removal(task: Task, data: mea.Data, scale: mea.Scale) -> Any:
    """Those held out with their labels, the queries, the owner's, or those of another task."""
    if "task" in task["removal"]:
        other = mea.load(task["removal"]["task"], scale).adversary
        return ImageSet(
            to_form(other.images, data.owner.channels, data.owner.size),
            other.labels,
            other.classes,
            other.name,
        )
    images = {"held-out": lambda: data.held_out, "queries": lambda: data.queries, "owner": lambda: data.owner}
    chosen = task["removal"].get("images", "held-out")
    if chosen not in images:
        raise ValueError(f"a removal has no images {chosen!r}; choose one of: {', '.join(images)}")
    return images[chosen]()


def stored(identity: str) -> nn.Module:
    """The model of this id from the store, on the best device.

    Raises:
        FileNotFoundError: says what to do where the store has lost it.
    """
    for folder in store_folders():
        files = ModelFiles.at(folder / f"{identity}.json")
        if files.card.exists():
            return load_model(files).to(best_device())
    raise FileNotFoundError(
        f"the model {identity} is no longer in {', '.join(map(str, store_folders()))}; "
        "remove this study's folder under build/grid to have it made again"
    )
