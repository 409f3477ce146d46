"""`mea arena`: judge an entry with hidden keys, and show who stands where."""

import math
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mea_lib.cli import options
from mea_lib.cli.files import check_writable, ordinary_file, read_secret
from mea_lib.cli.report import columns, note, result, usage

if TYPE_CHECKING:
    from mea_lib.arena import Arena, Outcome, ResultsTable, Standing

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
FUNCTIONS = {"removal": "remove", "defence": "defend"}
HOUSE = "house:"
TablePath = Annotated[
    Path,
    typer.Option(
        "--table",
        metavar="FILE",
        dir_okay=False,
        callback=ordinary_file,
        help="The table, which names no key.",
    ),
]


@app.callback()
def arena() -> None:
    """Judge removals and defences with hidden keys.

    \b
    Example:
      mea arena show
    """


@app.command()
def run(
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
        typer.Option(
            "--secret-file",
            metavar="FILE",
            dir_okay=False,
            callback=ordinary_file,
            help="A file that holds the judge's secret, for your eyes only; - reads it from standard input.",
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
    data_name: options.DataName = "fashion-mnist",
    scale_name: options.ScaleName = "laptop",
    keys: Annotated[int, typer.Option("--keys", min=1, metavar="NUMBER", help="Hidden keys.")] = 3,
    points: Annotated[
        float,
        typer.Option(
            "--points",
            metavar="NUMBER",
            help="Percentage points of accuracy that may be lost on any one model.",
        ),
    ] = 5.0,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="NUMBER", help="That the entry may take for one model.")
    ] = 600.0,
    table: TablePath = Path("arena.json"),
    no_house: Annotated[
        bool, typer.Option("--no-house", help="Leave the house's own entries off the table.")
    ] = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Judge an entry and put it on the table.

    A removal is remove(model, images, scale), a defence defend(train_images, key, scale, seed); both return a model. The function runs in a process of its own, once for each model, and is ended, with all that it has started, when it is too slow. Where bubblewrap (bwrap) works the process is in a sandbox; where it does not, the command says so, and strangers' files belong into a container. A removal's model is asked everything in one shuffled stream, some images twice, and must answer an image by that image alone.

    An entry that fails gets a line on the table too. With --table of an earlier run the table grows; an older result of the same name is replaced, and tries are counted.

    \b
    Example:
      mea arena run remove.py --secret-file secret.txt --name "Ada"
      mea arena run defend.py --discipline defence --secret-file secret.txt --keys 2
    """
    check_writable(table, "--table")

    from mea_lib.arena import ResultsTable, Rules, set_up
    from mea_lib.arena.entry import one_line
    from mea_lib.arena.entry_process import EntryProcess
    from mea_lib.arena.sandbox import why_no_sandbox
    from mea_lib.cli.inputs import load_data
    from mea_lib.scale import preset

    name = one_line(name or file.stem)
    if not name or name.startswith(HOUSE):
        raise typer.BadParameter(
            f"names are not empty, and those that begin with {HOUSE!r} are the house's own",
            param_hint="--name",
        )
    scale = preset(scale_name)
    with usage("--secret-file"):
        secret = sys.stdin.readline().strip() if str(secret_file) == "-" else read_secret(secret_file)
    data = load_data(data_name, scale)
    results = ResultsTable(table)
    with usage("--table"):
        results.outcomes(discipline)
    with usage("--points / --seconds"):
        rules = Rules(keys=keys, points=points, seconds=seconds)
    note(f"setting up {rules.keys} watermarked models and {rules.clean} clean ones, at scale {scale.name}")
    with usage("--secret-file / --keys"):
        contest = set_up(secret, data, scale, rules)
    with usage("--table"):
        results.claim(contest.identity)
    if not no_house:
        _add_house(results, contest, discipline)
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
    result(values, "\n\n".join(part for part in (_trials(outcome), _lines(places)) if part), as_json)


@app.command()
def show(
    table: TablePath = Path("arena.json"),
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
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
        found = {discipline: results.standings(discipline) for discipline in FUNCTIONS}
    values = {"arena": results.arena} | {
        discipline: [_values(standing) for standing in places] for discipline, places in found.items()
    }
    parts = [f"{discipline}\n{_lines(places)}" for discipline, places in found.items() if places]
    result(values, "\n\n".join(parts), as_json)


def _add_house(results: "ResultsTable", contest: "Arena", discipline: str) -> None:
    """The house's entries that are not on the table, put there."""
    from mea_lib.arena import DEFENCES, REMOVALS

    entries = REMOVALS if discipline == "removal" else DEFENCES
    judges = {name: partial(_judge, name, entry, contest, discipline) for name, entry in entries.items()}
    results.add_missing(discipline, judges, contest.identity)


def _judge(name: str, entry: Any, contest: "Arena", discipline: str) -> "Outcome":
    from mea_lib.arena import judge_defence, judge_removal

    note(f"judging {name}")
    return (judge_removal if discipline == "removal" else judge_defence)(name, entry, contest)


def _values(standing: "Standing") -> dict[str, Any]:
    """A line of the table for JSON."""
    own = standing.outcome
    numbers = {"score": own.score, "mark": own.mark, "points_lost": own.points_lost}
    return {
        "place": standing.place,
        "name": own.name,
        **{name: None if math.isnan(value) else value for name, value in numbers.items()},
        "wins": own.wins,
        "attempts": own.attempts,
        "remark": own.remark or None,
    }


def _lines(places: "list[Standing]") -> str:
    from mea_lib.arena.standings import HEADER

    return columns(HEADER, [standing.cells() for standing in places])


def _trials(outcome: "Outcome") -> str:
    """An entry model by model; nothing for one that failed."""
    if outcome.failure:
        return ""
    rows = []
    for trial in outcome.trials:
        mark = "–" if trial.mark is None else f"{trial.mark:.3f}"
        proof = {None: "–", True: "yes", False: "no"}[trial.proof]
        rows.append((trial.model, mark, proof, f"{trial.points_lost:.1f}", trial.attack or "–"))
    return columns(("model", "mark left", "proof", "points lost", "weakest after"), rows)
