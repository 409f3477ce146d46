"""`mea extract`: extract a surrogate from a model by querying it, as the adversary does."""

from typing import Annotated, Literal

import typer

from mea_lib.cli import options
from mea_lib.cli.attacks import ATTACKS, check_fits, run_attack
from mea_lib.cli.completion import complete_data
from mea_lib.cli.files import check_copy, check_writable
from mea_lib.cli.models import copy_model, stored, stored_ids
from mea_lib.cli.report import model_rows, model_values, note, result, table
from mea_lib.cli.server import server_settings, suspect_settings
from mea_lib.cli.suspect import check_which, local, purpose_of, remote


def extract(
    model: options.AnyModel = None,
    url: options.Url = None,
    token: options.Token = None,
    query_log: options.QueryLog = None,
    server: options.Server = None,
    suspect_how: options.HowAsked = None,
    attack: Annotated[
        Literal[ATTACKS],
        typer.Option(
            "--attack",
            help="Soft-label distillation, Jacobian-based augmentation, Knockoff Nets, or data-free extraction.",
        ),
    ] = "distillation",
    data_name: options.DataName = "fashion-mnist",
    test_name: Annotated[
        str | None,
        typer.Option(
            "--test-data",
            metavar="NAME|FOLDER",
            autocompletion=complete_data,
            help="The data set the model was made for, whose test images measure the surrogate.  "
            "[default: that of --data]",
        ),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            "--budget",
            min=1,
            metavar="NUMBER",
            help="Queries at most.  [default: that of the scale; 400,000 for data-free]",
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature",
            metavar="NUMBER",
            help="Softens the answers and the surrogate's outputs.  [default: 4; 1 for knockoff]",
        ),
    ] = None,
    answer: Annotated[
        Literal["soft", "hard"] | None,
        typer.Option(
            "--answer",
            help="What --model answers: soft labels (all probabilities) or hard labels.  [default: soft]",
        ),
    ] = None,
    top_k: options.TopK = None,
    decimals: options.Decimals = None,
    noise: options.Noise = None,
    mark_answers: options.MarkAnswers = None,
    strategy: Annotated[
        Literal["random", "adaptive"] | None,
        typer.Option("--strategy", help="How knockoff chooses its queries.  [default: random]"),
    ] = None,
    scale_name: options.ScaleName = "laptop",
    network: options.Network = None,
    width: options.Width = None,
    epochs: options.Epochs = None,
    seed: options.Seed = 0,
    out: options.Out = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Extract a surrogate from a model by querying it.

    The surrogate is kept in the store. The model is one on disk (--model), which is queried through an API
    with --answer, --top-k, --decimals, --noise and --mark-answers, or one behind an HTTP API (--url), whose
    server decides what it answers. --data are the adversary's own images, brought to the shape of the model's
    where they have another; data-free needs none.

    \b
    Examples:
      mea extract --model 3f2a --budget 50000 --temperature 4 --out surrogate.safetensors
      mea extract --model 3f2a --attack knockoff --strategy adaptive --answer hard
      mea extract --model 3f2a --attack knockoff --data cifar-10 --test-data fashion-mnist
      mea extract --url http://localhost:8080 --query-log answers.sqlite
    """
    check_which(model, url, {"--query-log": query_log, "--server": server or None})
    how = suspect_settings(suspect_how, url)
    served = server_settings(server)
    door = {
        "answer": answer,
        "top_k": top_k,
        "decimals": decimals,
        "noise": noise,
        "mark_answers": mark_answers,
    }
    door = {name: value for name, value in door.items() if value is not None}
    if url is not None and door:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in door)
        raise typer.BadParameter(f"{names}: the server at --url decides what it answers")
    if temperature is not None and temperature <= 0:
        raise typer.BadParameter(f"must be above 0, not {temperature:g}", param_hint="--temperature")
    trains = tuple(name for name in ATTACKS if name != "data-free")
    check_fits(
        attack,
        {
            "--temperature": (temperature, trains),
            "--epochs": (epochs, trains),
            "--strategy": (strategy, ("knockoff",)),
        },
    )
    check_copy(out)
    check_writable(query_log, "--query-log")

    from mea_lib.cli.inputs import load_data, scale_of
    from mea_lib.proof import accuracy

    scale = scale_of(scale_name, network, width)
    scale = scale.adversary_but(epochs=epochs) if epochs else scale
    data = load_data(data_name, scale)
    own_data = load_data(test_name, scale, "--test-data") if test_name else data
    test = own_data.test
    if model is not None:
        victim = local(model, own_data.owner, how=how, budget=budget, seed=seed, **door)
    else:
        victim = remote(
            url,
            test,
            log=query_log,
            purpose=purpose_of("extract", data.owner),
            token=token,
            budget=budget,
            needs_probabilities=True,
            **served,
            **how,
        )
    there_before = set(stored_ids())
    note(
        f"{attack} at scale {scale.name}" + ("" if attack == "data-free" else f" with images of {data_name}")
    )
    copy = run_attack(
        attack,
        victim,
        data,
        test,
        scale,
        seed=seed,
        budget=budget,
        temperature=temperature,
        strategy=strategy,
    )
    files = stored(copy.card["id"])
    if out is not None:
        copy_model(files, out)
    same_task = copy.spec["classes"] == len(test.classes)
    if victim.classes is not None and sorted(victim.classes) != sorted(test.classes):
        same_task = False
    found = accuracy(copy, test) if same_task else None
    where = (files, out, files.name not in there_before, copy.card["seconds"])
    values = model_values(*where) | {
        "attack": attack,
        "victim": model or url,
        "data": None if attack == "data-free" else data_name,
        "scale": scale.name,
        "seed": seed,
        "queries": victim.queries,
        # What a server does to its answers is not known here.
        "answers_marked": None if model is None else mark_answers is not None,
        "test_data": test.name,
        "accuracy": found,
    }
    said = f"{found:.3f} on {len(test):,} test images" if same_task else f"– ({test.name} has other classes)"
    rows = [
        *model_rows(*where),
        ("Queries", f"{victim.queries:,}"),
        ("Accuracy", said),
    ]
    result(values, table(rows), as_json)
