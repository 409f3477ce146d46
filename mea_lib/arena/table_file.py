"""A table that grows: results of one arena in a JSON file, which several processes may add to."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from mea_lib.arena.outcome import DISCIPLINES, Outcome
from mea_lib.arena.standings import Standing, standings
from mea_lib.files import read_json, write_whole

FORMAT = "mea arena, version 1"


class ResultsTable:
    """The results of one arena, kept in a file.

    Neither keys nor secret are in it, so it can be shown to everybody.

    Args:
        path: of the file; it is made when it is claimed for an arena or the first result is added.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def add(self, outcome: Outcome, arena: str) -> Outcome:
        """Put an outcome on the table, in the place of an older one of the same name and discipline.

        Args:
            outcome: of an entry.
            arena: identity of the arena it was judged in.

        Returns:
            The outcome with the number of its attempts.

        Raises:
            ValueError: for a file of another arena, or one that is no table.
        """
        with FileLock(f"{self.path}.lock"):
            self.check(arena)
            found, kept = self._read(), []
            for other in found["entries"]:
                if (other.name, other.discipline) == (outcome.name, outcome.discipline):
                    outcome = replace(outcome, attempts=other.attempts + 1)
                else:
                    kept.append(other)
            self._write(arena, [*kept, outcome])
        return outcome

    def add_missing(
        self, discipline: str, judges: Mapping[str, Callable[[], Outcome]], arena: str
    ) -> list[Outcome]:
        """Judge those entries that are not on the table yet; of several processes that want them, one does.

        Args:
            discipline: of the entries.
            judges: by the entry's name, what judges it.
            arena: identity of the arena they are judged in.

        Returns:
            The outcomes that were added.

        Raises:
            ValueError: as for `add`.
        """
        # Not the table's own lock: others may add to it while these are judged.
        with FileLock(f"{self.path}.house.lock"):
            there = {outcome.name for outcome in self.outcomes(discipline)}
            return [self.add(judge(), arena) for name, judge in judges.items() if name not in there]

    def claim(self, arena: str) -> None:
        """Make the file one of this arena, before hours of work; ValueError where it is another arena's."""
        with FileLock(f"{self.path}.lock"):
            self.check(arena)
            if self.arena is None:
                self._write(arena, [])

    def check(self, arena: str) -> None:
        """ValueError where the file's results are those of another arena than this one."""
        if self.arena not in (None, arena):
            raise ValueError(
                f"{self.path} holds results of another arena: another secret, scale, data set or other rules; "
                "name another file, their scores cannot be compared"
            )

    @property
    def arena(self) -> str | None:
        """Identity of the arena, or None while there is no file."""
        return self._read()["arena"]

    def outcomes(self, discipline: str) -> list[Outcome]:
        """Results of one discipline, the oldest first."""
        return [outcome for outcome in self._read()["entries"] if outcome.discipline == discipline]

    def standings(self, discipline: str) -> list[Standing]:
        """The same in the order of their places."""
        return standings(self.outcomes(discipline))

    def _write(self, arena: str, outcomes: list[Outcome]) -> None:
        content = {"format": FORMAT, "arena": arena, "entries": [one.to_dict() for one in outcomes]}
        write_whole(self.path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def _read(self) -> dict[str, Any]:
        try:
            found = read_json(self.path)
            if found["format"] != FORMAT:
                raise KeyError("format")
            entries = [Outcome.from_dict(values) for values in found["entries"]]
            for discipline in DISCIPLINES:  # which fails where a value is of another kind than it should be
                for standing in standings(one for one in entries if one.discipline == discipline):
                    standing.cells()
        except FileNotFoundError:
            return {"arena": None, "entries": []}
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise ValueError(
                f"{self.path} is not a table of an arena ({error}); name another file"
            ) from error
        return {"arena": found["arena"], "entries": entries}
