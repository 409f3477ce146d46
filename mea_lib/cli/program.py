"""The program: its commands, its exit codes, and what it says when a command fails."""

import traceback
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer
from typer.core import TyperGroup

from mea_lib.cli import arena, commit, embed, extract, serve, store, verify
from mea_lib.cli.frame import command
from mea_lib.cli.report import FAILURE, INTERRUPTED, wants_traceback


class Commands(TyperGroup):
    """Turns what a command raises into one sentence on stderr and an exit code."""

    def invoke(self, ctx: typer.Context) -> None:
        """Run the command. Usage errors and wanted exits pass; they know their own codes."""
        try:
            super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Interrupted; models that were finished are kept in the store.", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if hasattr(error, "exit_code"):
                raise
            if wants_traceback(ctx):
                traceback.print_exc()
            typer.echo(f"Error: {_sentence(error)}", err=True)
            raise typer.Exit(FAILURE) from None


def _sentence(error: Exception) -> str:
    """What an error says; the library's own errors say what to do, others are named as what they are."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(
        error, OSError | ValueError | TypeError | RuntimeError | ArithmeticError | ImportError | MemoryError
    ) and str(error):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}; --debug shows where"


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"mea {version('mea-lib')}")
        except PackageNotFoundError:
            typer.echo("mea, not installed")
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    name="mea",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def program(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end."),
    ] = False,
) -> None:
    """Watermarks that survive model extraction: embed one, extract the model, verify the surrogate.

    \b
    Example:
      mea commit  --sources T-shirt/top Trouser --target Pullover --key-seed 7
      mea embed   --key key.json --out model.safetensors
      mea extract --model model.safetensors --out surrogate.safetensors
      mea verify  --model surrogate.safetensors --key key.json

    \b
    Exit codes:
      0    done; for verify: proof found
      1    failed; one sentence on stderr says why
      2    wrong usage; nothing was done
      3    verify: no proof
      4    verify: no verdict, as it says why
      130  interrupted

    \b
    Variables:
      MEA_STORE  folders of finished models, as PATH lists them (default: ~/.cache/mea-defender/store)
      MEA_DATA   folder with your own data sets
      MEA_SCALE  scale where --scale is not given
      MEA_TOKEN  token where --token is not given
      MEA_DEBUG  anything but empty: show where an error came from
    """


for one in (commit.commit, embed.embed, extract.extract, verify.verify, serve.serve):
    command(app)(one)
app.add_typer(store.app, name="store")
app.add_typer(arena.app, name="arena")


def main() -> None:
    """Run the command line on the arguments of the process, and end it with the exit code."""
    app(prog_name="mea")
