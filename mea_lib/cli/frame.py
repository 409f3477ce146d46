"""The frame of every command: groups of options, --json and --debug, and how a result is printed."""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any

import typer

from mea_lib.cli.report import keep_debug

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")
]
Debug = Annotated[bool, typer.Option("--debug", callback=keep_debug, help="Show where an error came from.")]


@dataclass(frozen=True)
class Result:
    """What a command found.

    Attributes:
        values: for --json.
        text: for a reader.
        code: with which the command ends.
    """

    values: dict[str, Any]
    text: str
    code: int = 0


def command(app: typer.Typer, name: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function a command of `app`, under its name or another one.

    A parameter whose type is a dataclass is a group of options: the command has those of its fields. The `Result`
    that the function returns is printed; one that prints while it runs returns None, and has a parameter `as_json`.
    """

    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        groups, parameters = {}, []
        for one in inspect.signature(run, eval_str=True).parameters.values():
            if is_dataclass(one.annotation):
                groups[one.name] = one.annotation
                parameters += [_parameter(one.name, one.type, one.default) for one in fields(one.annotation)]
            else:
                parameters.append(one)
        prints = any(one.name == "as_json" for one in parameters)
        if not prints:
            parameters.append(_parameter("as_json", AsJson, False))
        parameters.append(_parameter("debug", Debug, False))

        def whole(**values: Any) -> None:
            del values["debug"]
            as_json = values["as_json"] if prints else values.pop("as_json")
            for group, kind in groups.items():
                values[group] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
            result = run(**values)
            if result is not None:
                show(result, as_json)
                if result.code:
                    raise typer.Exit(result.code)

        whole.__name__, whole.__doc__ = run.__name__, run.__doc__
        whole.__signature__ = inspect.Signature(parameters)
        app.command(name)(whole)
        return run

    return register


def show(result: Result, as_json: bool) -> None:
    """Print a result on stdout, as one JSON object or as text."""
    typer.echo(json.dumps(result.values, indent=2, ensure_ascii=False) if as_json else result.text)


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
