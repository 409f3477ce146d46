"""`mea arena`: judge an entry with hidden keys, and show who stands where."""

import math
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mea_lib.cli import options
from mea_lib.cli.files import check_writable, ordinary_file, read_secret
from mea_lib.cli.frame import Result, command
from mea_lib.cli.report import columns, note, usage

if TYPE_CHECKING:
    from mea_lib.arena import Contest, Outcome, ResultsTable, Standing

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
FUNCTIONS = {"removal": "remove", "defence": "defend"}
TablePath = Annotated[Path, options.file_to_write("--table", "The table, which names no key.", ordinary_file)]


@app.callback()
def arena() -> None:
    """Judge removals and defences with hidden keys.

    \b
    Example:
      mea arena show
    """


@command(app)
def run(
    *,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            callback=ordinary_file,
            help="A Python file with the entry.",
        ),
    ],
    secret_file: Annotated[
        Path,
        options.file_to_write(
            "--secret-file",
            "A file that holds the judge's secret, for your eyes only; - reads it from standard input.",
            ordinary_file,
        ),
    ],
    discipline: Annotated[
        Literal[tuple(FUNCTIONS)],
        typer.Option("--discipline", help="What the entry does: remove watermarks, or embed one that stays."),
    ] = "removal",
    function: Annotated[
        str | None,
        typer.Option(
            "--function", metavar="NAME", help="The function in the file.  [default: remove, or defend]"
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="TEXT", help="Of the entry.  [default: that of the file]"),
    ] = None,
    data_options: options.DataOptions,
    scale_name: options.ScaleName = "laptop",
    keys: Annotated[int, options.number_option("--keys", "Hidden keys.", 1)] = 3,
    surrogates: Annotated[
        bool, typer.Option("--surrogates", help="A removal also meets a surrogate of each watermarked model.")
    ] = False,
    points: Annotated[
        float,
        options.number_option("--points", "Percentage points of accuracy that may be lost on any one model."),
    ] = 5.0,
    seconds: Annotated[
        float, options.number_option("--seconds", "That the entry may take for one model.")
    ] = 600.0,
    table: TablePath = Path("arena.json"),
    no_baselines: Annotated[
        bool, typer.Option("--no-baselines", "--no-house", help="Leave the baselines off the table.")
    ] = False,
) -> Result:
    """Judge an entry and put it on the table.

    A removal is remove(model, images, scale), a defence defend(train_images, key, scale, seed); both return a model. The function runs in a process of its own, once for each model, and is ended, with all that it has started, when it is too slow. Where bubblewrap (bwrap) works the process is in a sandbox; where it does not, the command says so, and strangers' files belong into a container. All queries of a removal's model come in one shuffled stream, some images twice, and it must answer an image by that image alone.

    An entry that fails gets a line on the table too. With --table of an earlier run the table grows; an older result of the same name is replaced, and tries are counted.

    \b
    Example:
      mea arena run remove.py --secret-file secret.txt --name "Ada" --surrogates
      mea arena run defend.py --discipline defence --secret-file secret.txt --keys 2
    """
    with usage("--table"):
        check_writable(table)

    from mea_lib.arena import ResultsTable, Rules, set_up
    from mea_lib.arena.baselines import PREFIX
    from mea_lib.arena.entry import one_line
    from mea_lib.arena.entry_process import EntryProcess
    from mea_lib.arena.sandbox import why_no_sandbox
    from mea_lib.cli.inputs import load_data
    from mea_lib.scale import preset

    name = one_line(name or file.stem)
    if not name or name.startswith(PREFIX):
        raise typer.BadParameter(
            f"names are not empty, and those that begin with {PREFIX!r} are those of the baselines",
            param_hint="--name",
        )
    scale = preset(scale_name)
    with usage("--secret-file"):
        secret = sys.stdin.readline().strip() if str(secret_file) == "-" else read_secret(secret_file)
    data = load_data(data_options, scale)
    results = ResultsTable(table)
    with usage("--table"):
        results.outcomes(discipline)
    with usage("--points / --seconds"):
        rules = Rules(keys=keys, points=points, seconds=seconds, surrogates=surrogates)
    also = ", a surrogate of each" if rules.surrogates else ""
    note(
        f"setting up {rules.keys} watermarked models{also} and {rules.clean} clean ones, at scale {scale.name}"
    )
    with usage("--secret-file / --keys"):
        contest = set_up(secret, data, scale, rules)
    with usage("--table"):
        results.claim(contest.identity)
    if not no_baselines:
        _add_baselines(results, contest, discipline)
    reason = why_no_sandbox()
    note(
        "the entry runs in a sandbox by bubblewrap: no network, a read-only system, none of your files"
        if reason is None
        else f"no sandbox, the entry can read what you can read: {reason}"
    )
    with EntryProcess(file, function or FUNCTIONS[discipline], discipline, seconds) as entry:
        outcome = results.add(_judge(name, entry, contest, discipline), contest.identity)
    places = results.standings(discipline)
    values = {
        "name": name,
        "arena": contest.identity,
        "table": str(table),
        "sandbox": "bubblewrap" if reason is None else None,
        "trials": outcome.to_dict()["trials"],
        "standings": [_values(standing) for standing in places],
    }
    return Result(values, "\n\n".join(part for part in (_trials(outcome), _lines(places)) if part))


@command(app)
def show(table: TablePath = Path("arena.json")) -> Result:
    """Print a table: removals and defences, each in the order of their places.

    First counts on how many watermarked models the aim was reached: no proof is left (removal), or proof is
    (defence). Then counts the score, 100 × (1 − WSR) − points lost for a removal and 100 × WSR − points lost
    for a defence.

    \b
    Example:
      mea arena show --table arena.json
    """
    from mea_lib.arena import ResultsTable

    with usage("--table"):
        if not table.exists():
            raise FileNotFoundError(f"there is no file {table}; mea arena run makes it")
        results = ResultsTable(table)
        standings = {discipline: results.standings(discipline) for discipline in FUNCTIONS}
        contest = results.contest
    values = {"arena": contest} | {
        discipline: [_values(standing) for standing in places] for discipline, places in standings.items()
    }
    parts = [f"{discipline}\n{_lines(places)}" for discipline, places in standings.items() if places]
    return Result(values, "\n\n".join(parts))


def _add_baselines(results: "ResultsTable", contest: "Contest", discipline: str) -> None:
    """The baselines that are not on the table, put there."""
    from mea_lib.arena import DEFENCES, REMOVALS

    entries = REMOVALS if discipline == "removal" else DEFENCES
    judges = {name: partial(_judge, name, entry, contest, discipline) for name, entry in entries.items()}
    results.add_missing(discipline, judges, contest.identity)


def _judge(name: str, entry: Any, contest: "Contest", discipline: str) -> "Outcome":
    from mea_lib.arena import judge_defence, judge_removal

    note(f"judging {name}")
    return (judge_removal if discipline == "removal" else judge_defence)(name, entry, contest)


def _values(standing: "Standing") -> dict[str, Any]:
    """A line of the table for JSON."""
    outcome = standing.outcome
    numbers = {"score": outcome.score, "wsr": outcome.wsr, "points_lost": outcome.points_lost}
    return {
        "place": standing.place,
        "name": outcome.name,
        **{name: None if math.isnan(value) else value for name, value in numbers.items()},
        "wins": outcome.wins,
        "attempts": outcome.attempts,
        "remark": outcome.remark or None,
    }


def _lines(places: "list[Standing]") -> str:
    from mea_lib.arena.standings import HEADER

    return columns([HEADER, *(standing.cells() for standing in places)])


def _trials(outcome: "Outcome") -> str:
    """An entry model by model; nothing for one that failed."""
    if outcome.failure:
        return ""
    rows = [("model", "WSR left", "proof", "points lost", "weakest after")]
    for trial in outcome.trials:
        wsr = "–" if trial.wsr is None else f"{trial.wsr:.3f}"
        proof = {None: "–", True: "yes", False: "no"}[trial.proof]
        rows.append((trial.model, wsr, proof, f"{trial.points_lost:.1f}", trial.attack or "–"))
    return columns(rows)
