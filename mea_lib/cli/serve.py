"""`mea serve`: put a model behind an HTTP API."""

import signal
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mea_lib.cli import options
from mea_lib.cli.files import check_apart, files_of_model
from mea_lib.cli.frame import AsJson, Result, show
from mea_lib.cli.report import note, usage
from mea_lib.cli.suspect import OWN_MACHINE
from mea_lib.files import read_text


def serve(
    *,
    model: options.ModelName = None,
    data_name: Annotated[
        str | None,
        options.data_option(
            "--data", "Data set the model was made for, to name its classes.  [default: they are numbers]"
        ),
    ] = None,
    size: options.DataSize = None,
    host: Annotated[
        str,
        typer.Option(
            "--host", metavar="ADDRESS", help="Where to listen; 0.0.0.0 is reached from other machines too."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, metavar="NUMBER", help="0 takes any that is free.")
    ] = 8080,
    name: Annotated[
        str, typer.Option("--name", metavar="TEXT", help="The model's name in the address.")
    ] = "classifier",
    token_file: Annotated[
        Path | None,
        options.file_to_read(
            "--token-file",
            "Tokens, one a line, of which a client must show one.  [default: everybody may query]",
        ),
    ] = None,
    client_budget: Annotated[
        int | None,
        options.number_option("--client-budget", "Query budget of each client.  [default: no limit]", 0),
    ] = None,
    batch_limit: Annotated[int, options.number_option("--batch-limit", "Images in one request.", 1)] = 256,
    log: Annotated[
        Path | None, options.file_to_write("--log", "Keep every request here, an entry each.")
    ] = None,
    hard: Annotated[bool, typer.Option("--hard", help="Answer with hard labels.")] = False,
    answers: options.AnswerOptions,
    as_json: AsJson = False,
) -> None:
    """Put a model behind an HTTP API.

    It speaks the Open Inference Protocol, version 2. The address is printed when the API answers; Ctrl-C or SIGTERM
    ends it, after the requests that were begun.

    \b
    Examples:
      mea serve --model 3f2a --port 8080 --decimals 2
      mea serve --model model.safetensors --data fashion-mnist --mark-answers key.json
      mea serve --model model.safetensors --host 0.0.0.0 --token-file tokens.txt --client-budget 50000 --log log.sqlite
    """
    if model is None:
        raise typer.BadParameter("a model is needed: give --model")
    if answers.mark_answers is not None and data_name is None:
        raise typer.BadParameter(
            "needs --data, the model's own, for the names of its classes", param_hint="--mark-answers"
        )
    kept = [("--token-file", token_file), ("--mark-answers", answers.mark_answers)]
    check_apart([("--log", log)], [*kept, *files_of_model("--model", model)])
    tokens = _tokens(token_file)

    from mea_lib.blackbox import Oracle
    from mea_lib.cli.inputs import check_images, classifier_files, load_data, with_marked_answers
    from mea_lib.cli.models import load_model
    from mea_lib.scale import preset
    from mea_lib.serving.service import BackgroundServer, ServiceSettings, create_app

    files, spec = classifier_files(model)
    classes: tuple[str, ...] = ()
    if data_name is not None:
        train_set = load_data(options.DataOptions(data_name, size), preset()).owner
        check_images(files.name, spec, train_set)
        classes = train_set.classes
    with usage("--name / --token-file"):
        settings = ServiceSettings(
            name=name,
            batch_limit=batch_limit,
            client_budget=client_budget,
            tokens=tokens,
            log=log,
        )
    answering = load_model(files)
    chosen = {option: value for option, value in asdict(answers).items() if value is not None}
    if mark_answers := chosen.pop("mark_answers", None):
        answering = with_marked_answers(answering, mark_answers, train_set, hard)
    oracle = Oracle(answering, answer="hard" if hard else "soft", **chosen)
    shape = (spec["channels"], spec["size"], spec["size"])
    with usage("--data / --log"):
        app = create_app(oracle, shape, settings, classes)
    if host not in OWN_MACHINE and not tokens:
        note(f"whoever reaches {host} can query this model; --token-file asks for a token")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with BackgroundServer(app, port, host) as server:
        values = {
            "url": server.url,
            "model": files.name,
            "name": name,
            "shape": list(shape),
            "answers_marked": mark_answers is not None,
        }
        show(Result(values, f"{files.name} answers at {server.url}/v2/models/{name}"), as_json)
        while not stop.wait(1):
            if not server.is_alive:
                raise RuntimeError("the web server has ended by itself; what it said is above")


def _tokens(file: Path | None) -> tuple[str, ...]:
    if file is None:
        return ()
    with usage("--token-file"):
        lines = read_text(file).splitlines()
    tokens = tuple(line.strip() for line in lines if line.strip())
    if not tokens:
        raise typer.BadParameter(f"{file} holds no token; write one a line", param_hint="--token-file")
    return tokens
