"""What a study costs before it is run: jobs, hours, storage, for 1 and 64 GPUs: `python -m grid.cost paper`.

Nothing of the paper's scale was measured on a GPU. Hours are an estimate:

    GPU seconds of a training = steps × CPU seconds a step ÷ R

Steps follow from images, batch and epochs. CPU seconds a step are measured by `grid.try_out` at the paper's width
(results/grid_try_out.json; one core, random images). R is how many of these cores an H200 is worth in a training of
which both were measured, SimCLR on CIFAR-10 with a ResNet-18 of width 16 and batches of 256: on an H200 eight epochs of
50,000 images, 1,560 steps, took 72.8 s (results/cifar_encoder_study.json, November 2026); here a step took 4.07 CPU
seconds. So small a network leaves most of a GPU idle: for the paper's widths R is larger, and the hours are an upper
bound. Of a measurement and of starting a job the seconds are assumed, not measured.
"""

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from statistics import mean

import mea_lib as mea
from grid.making import adversary_scale
from grid.plan import Model, Plan, plan_of
from grid.study import STAGES, read_study, studies_named
from grid.task import scale_of
from grid.try_out import FILE, name_of

R = 4.07 / (72.8 / 1_560)
MEASURE_SECONDS = 60.0
START_SECONDS = 30.0  # of a job: Python, data, the queue
UNKNOWN = {"cpu_seconds_a_step": 1.0, "bytes": 0}  # where nothing was measured
# Images of a half of each data set's training images.
HALVES = {"fashion-mnist": 30_000, "cifar-10": 25_000, "cifar-100": 25_000, "youtube-face": 300_000}


@dataclass(frozen=True)
class Cost:
    """What jobs cost.

    Attributes:
        jobs: by rule.
        seconds: of one GPU for all jobs.
        longest: seconds of the longest chain of jobs, which no number of GPUs shortens.
        storage: bytes of the models that are kept; beside them a training under way has a checkpoint three times its
            model's size, which is removed.
        unknown: trainings whose step was not measured; they are counted as the mean of those of the same network
            that were, or of all.
    """

    jobs: dict[str, int]
    seconds: float
    longest: float
    storage: float
    unknown: int

    def hours(self, gpus: int) -> float:
        """Hours on so many GPUs, if they are kept busy and the longest chain allows it."""
        return max(self.seconds / gpus, self.longest) / 3600


def main() -> None:
    """Print the costs of studies, and their sum."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("studies", help="names parted by commas, or a folder of grid/studies")
    options = parser.parse_args()
    plans = {name: plan_of(read_study(name)) for name in studies_named(options.studies)}
    measured = json.loads(FILE.read_text())["trainings"] if FILE.exists() else {}
    print(
        f"GPU hours are an estimate: steps × CPU seconds a step ÷ {R:.0f} (see python -m grid.cost --help)\n"
    )
    print(f"{'study':30} {'models':>7} {'rows':>6} {'1 GPU':>9} {'64 GPUs':>9} {'storage':>9}")
    for name, plan in plans.items():
        print(line_of(name, plan, measured))
    print(line_of("all", merged(list(plans.values())), measured))
    print("\nhours of 1 and of 64 GPUs; a model that several studies need is made once. Jobs:")
    print(
        ", ".join(
            f"{number} {rule}"
            for rule, number in cost_of(merged(list(plans.values())), measured).jobs.items()
        )
    )


def line_of(name: str, plan: Plan, measured: dict) -> str:
    """One line of the table."""
    cost = cost_of(plan, measured)
    unknown = (
        f"  ({cost.unknown} of {len(plan.models)} trainings by the mean of their network)"
        if cost.unknown
        else ""
    )
    return (
        f"{name:30} {len(plan.models):7} {len(plan.rows):6} {cost.hours(1):7.1f} h {cost.hours(64):7.1f} h "
        f"{cost.storage / 1e9:6.1f} GB{unknown}"
    )


def merged(plans: list[Plan]) -> Plan:
    """Several studies as one: a model that more than one needs is made once."""
    models = {place: model for plan in plans for place, model in plan.models.items()}
    rows = {(row.stage, row.name): row for plan in plans for row in plan.rows}
    return Plan(models, tuple(rows.values()))


def cost_of(plan: Plan, measured: dict[str, dict]) -> Cost:
    """The cost of a plan.

    Args:
        plan: of one study or several.
        measured: by `name_of` a training, what `grid.try_out` found.
    """
    seconds, unknown, storage = {}, 0, 0.0
    for place, model in plan.models.items():
        name = name_of(model)
        unknown += name not in measured
        alike = [one for other, one in measured.items() if _network_in(other) == _network_in(name)]
        found = [measured[name]] if name in measured else alike or list(measured.values()) or [UNKNOWN]
        seconds[place] = (
            START_SECONDS + steps_of(model) * mean(one["cpu_seconds_a_step"] for one in found) / R
        )
        storage += mean(one["bytes"] for one in found)
    chains = [
        sum(seconds[other.stage, other.name] for other in {one.name: one for one in row.lineage()}.values())
        + MEASURE_SECONDS * len(STAGES)
        for row in plan.rows
    ]
    measurements = {
        (one.stage, one.name) for row in plan.rows for one in row.lineage() if one.stage != "clean"
    }
    jobs = Counter(model.stage for model in plan.models.values()) | Counter(measure=len(measurements))
    total = sum(seconds.values()) + MEASURE_SECONDS * len(measurements)
    return Cost(dict(jobs), total, max(chains), storage, unknown)


def _network_in(name: str) -> list[str]:
    """Data and network that are trained, in the name of a training."""
    words = name.partition(" {")[0].split()
    return [
        words[2],
        words[-2] if words[-1] == "encoder" else words[-1],
        *(words[-1:] if "encoder" in words else []),
    ]


def steps_of(model: Model) -> int:
    """Steps of a training, of all rounds of a Jacobian adversary together."""
    task = model.task
    half = HALVES.get(task["data"], 25_000)
    if model.stage == "surrogate":
        scale = adversary_scale(task)
        training = scale.encoder_surrogate if task["encoders"] else scale.adversary
        steps = _steps(min(scale.query_images, half), training)
        if task["attack"]["is"] == "Jacobian":
            steps = sum(steps >> number for number in range(task["attack"].get("rounds", 2) + 1))
        return steps
    scale = scale_of(task)
    if model.stage == "removal":
        images = {"queries": scale.query_images, "owner": half}.get(task["removal"].get("images", ""))
        tuning = scale.fine_tuning.but(epochs=task["removal"].get("epochs", scale.adversary.epochs))
        return 0 if task["removal"]["is"] == "Prune" else _steps(images or scale.held_out_images, tuning)
    training = scale.encoder if task["encoders"] else scale.owner
    return _steps(min(half, scale.train_images or half), training)


def _steps(images: int, training: mea.training.TrainingSettings) -> int:
    return max(1, images // training.batch_size) * training.epochs


if __name__ == "__main__":
    main()
