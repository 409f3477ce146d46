"""`mea extract`: extract a surrogate from a model by querying it, as the adversary does."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from mea_lib.cli import options
from mea_lib.cli.attacks import ATTACKS, check_fits, run_attack
from mea_lib.cli.files import check_apart, files_of_model
from mea_lib.cli.frame import Result
from mea_lib.cli.models import KeptModel, stored_ids
from mea_lib.cli.report import columns, note
from mea_lib.cli.suspect import local, purpose_of, remote, settings_of


def extract(
    *,
    suspect: options.SuspectOptions,
    attack: Annotated[
        Literal[ATTACKS],
        typer.Option(
            "--attack",
            help="Soft-label distillation, Jacobian-based augmentation, Knockoff Nets, or data-free extraction.",
        ),
    ] = "distillation",
    data_options: options.DataOptions,
    test_name: Annotated[
        str | None,
        options.data_option(
            "--test-data",
            "The data set the model was made for, whose test images measure the surrogate.  "
            "[default: that of --data]",
        ),
    ] = None,
    pool: Annotated[
        Path | None,
        typer.Option(
            "--pool",
            metavar="FOLDER",
            exists=True,
            file_okay=False,
            help="Folder of unlabelled images that are queried in place of those of --data.",
        ),
    ] = None,
    budget: Annotated[
        int | None,
        options.number_option(
            "--budget", "Queries at most.  [default: that of the scale; 400,000 for data-free]", 1
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        options.number_option(
            "--temperature",
            "Softens the answers and the surrogate's outputs.  [default: 4; 1 for knockoff]",
        ),
    ] = None,
    answer: Annotated[
        Literal["soft", "hard"] | None,
        typer.Option(
            "--answer",
            help="What --model answers: soft labels (all probabilities) or hard labels.  [default: soft]",
        ),
    ] = None,
    answers: options.AnswerOptions,
    strategy: Annotated[
        Literal["random", "adaptive"] | None,
        typer.Option("--strategy", help="How knockoff chooses its queries.  [default: random]"),
    ] = None,
    training: options.TrainingOptions,
) -> Result:
    """Extract a surrogate from a model by querying it.

    The surrogate is kept in the store. The model is one on disk (--model), which is queried through an API
    with --answer, --top-k, --decimals, --noise and --mark-answers, or one behind an HTTP API (--url), whose
    server decides what it answers. --data are the adversary's own images, or --pool, brought to the shape of
    the model's where they have another; data-free needs none.

    \b
    Examples:
      mea extract --model 3f2a --budget 50000 --temperature 4 --out surrogate.safetensors
      mea extract --model 3f2a --attack knockoff --strategy adaptive --answer hard
      mea extract --model 3f2a --attack knockoff --data cifar-10 --test-data fashion-mnist
      mea extract --model 3f2a --data products --size 32 --pool scraped
      mea extract --url http://localhost:8080 --query-log answers.sqlite
    """
    settings = settings_of(suspect)
    chosen = {"answer": answer} | asdict(answers)
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if suspect.url is not None and chosen:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in chosen)
        raise typer.BadParameter(f"{names}: the server at --url decides what it answers")
    check_apart(
        [*files_of_model("--out", training.out), ("--query-log", suspect.query_log)],
        [*files_of_model("--model", suspect.model), ("--mark-answers", answers.mark_answers)],
    )
    if temperature is not None and temperature <= 0:
        raise typer.BadParameter(f"must be above 0, not {temperature:g}", param_hint="--temperature")
    trains = tuple(name for name in ATTACKS if name != "data-free")
    check_fits(
        attack,
        {
            "--temperature": (temperature, trains),
            "--epochs": (training.epochs, trains),
            "--strategy": (strategy, ("knockoff",)),
            "--pool": (pool, trains),
        },
    )
    if pool is not None and strategy == "adaptive":
        raise typer.BadParameter(
            "has no labels, among whose classes --strategy adaptive chooses", param_hint="--pool"
        )

    from mea_lib.cli.inputs import load_data, scale_of
    from mea_lib.proof import accuracy

    scale = scale_of(training)
    scale = scale.adversary_but(epochs=training.epochs) if training.epochs else scale
    data = load_data(data_options, scale, pool=pool)
    victims_data = data
    if test_name is not None:
        victims_data = load_data(replace(data_options, data_name=test_name), scale, option="--test-data")
    test = victims_data.test
    if suspect.url is None:
        victim = local(
            suspect.model, victims_data.owner, settings, budget=budget, seed=training.seed, **chosen
        )
    else:
        purpose = purpose_of("extract", data.owner)
        victim = remote(suspect, test, purpose, needs_probabilities=True, budget=budget, **settings)
    ids_before = stored_ids()
    source = None if attack == "data-free" else str(pool) if pool is not None else data_options.data_name
    images = "" if source is None else f" with images of {source}"
    note(f"{attack} at scale {scale.name}{images}")
    fields = {"budget": budget, "temperature": temperature, "strategy": strategy}
    surrogate = run_attack(attack, victim, data, test, scale, seed=training.seed, **fields)
    kept = KeptModel.of(surrogate, ids_before, training.out)
    same_task = surrogate.spec["classes"] == len(test.classes) and (
        victim.classes is None or sorted(victim.classes) == sorted(test.classes)
    )
    correct = accuracy(surrogate, test) if same_task else None
    values = kept.values() | {
        "attack": attack,
        "victim": suspect.model or suspect.url,
        "data": source,
        "scale": scale.name,
        "seed": training.seed,
        "queries": victim.queries,
        # What a server does to its answers is not known here.
        "answers_marked": None if suspect.url else answers.mark_answers is not None,
        "test_data": test.name,
        "accuracy": correct,
    }
    elsewhere = f"– ({test.name} has other classes)"
    rows = [
        *kept.rows(),
        ("Queries", f"{victim.queries:,}"),
        ("Accuracy", f"{correct:.3f} on {len(test):,} test images" if same_task else elsewhere),
    ]
    return Result(values, columns(rows))
