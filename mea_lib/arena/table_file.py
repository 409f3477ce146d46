"""A table that grows: results of one contest in a JSON file, which several processes may add to."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from mea_lib.arena.outcome import DISCIPLINES, Outcome
from mea_lib.arena.standings import Standing, standings
from mea_lib.files import read_json, write_whole

FORMAT = "mea arena, version 2"
OLDER = ("mea arena, version 1",)


class ResultsTable:
    """The results of one contest, kept in a file.

    Neither keys nor secret are in it, so it can be shown to everybody.

    Args:
        path: of the file; it is made when it is claimed for a contest or the first result is added.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def add(self, outcome: Outcome, contest: str) -> Outcome:
        """Put an outcome on the table, in the place of an older one of the same name and discipline.

        Args:
            outcome: of an entry.
            contest: identity of the contest it was judged in.

        Returns:
            The outcome with the number of its attempts.

        Raises:
            ValueError: for a file of another contest, or one that is no table.
        """
        with FileLock(f"{self.path}.lock"):
            others = []
            for other in self._outcomes_of(contest):
                if (other.name, other.discipline) == (outcome.name, outcome.discipline):
                    outcome = replace(outcome, attempts=other.attempts + 1)
                else:
                    others.append(other)
            self._write(contest, [*others, outcome])
        return outcome

    def add_missing(
        self, discipline: str, judges: Mapping[str, Callable[[], Outcome]], contest: str
    ) -> list[Outcome]:
        """Judge those entries that are not on the table yet; of several processes that want them, one does.

        Args:
            discipline: of the entries.
            judges: by the entry's name, what judges it.
            contest: identity of the contest they are judged in.

        Returns:
            The outcomes that were added.

        Raises:
            ValueError: as for `add`.
        """
        # Not the table's own lock: others may add to it while these are judged.
        with FileLock(f"{self.path}.baselines.lock"):
            there = {outcome.name for outcome in self.outcomes(discipline)}
            return [self.add(judge(), contest) for name, judge in judges.items() if name not in there]

    def claim(self, contest: str) -> None:
        """Make the file one of this contest, before hours of work; ValueError where it is another contest's."""
        with FileLock(f"{self.path}.lock"):
            self._write(contest, self._outcomes_of(contest))

    @property
    def contest(self) -> str | None:
        """Identity of the contest, or None while there is no file."""
        return self._read()[0]

    def outcomes(self, discipline: str) -> list[Outcome]:
        """Results of one discipline, the oldest first."""
        return [outcome for outcome in self._read()[1] if outcome.discipline == discipline]

    def standings(self, discipline: str) -> list[Standing]:
        """The same in the order of their places."""
        return standings(self.outcomes(discipline))

    def _outcomes_of(self, contest: str) -> list[Outcome]:
        """All results; ValueError where they are those of another contest than this one."""
        judged_in, outcomes = self._read()
        if judged_in not in (None, contest):
            raise ValueError(
                f"{self.path} holds results of another contest: another secret, scale, data set or other rules; "
                "name another file, their scores cannot be compared"
            )
        return outcomes

    def _write(self, contest: str, outcomes: list[Outcome]) -> None:
        content = {"format": FORMAT, "arena": contest, "entries": [one.to_dict() for one in outcomes]}
        write_whole(self.path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def _read(self) -> tuple[str | None, list[Outcome]]:
        """Identity of the contest, and all results."""
        try:
            content = read_json(self.path)
            if content["format"] in OLDER:
                raise ValueError("it was written by an older version, whose scores cannot be compared")
            if content["format"] != FORMAT:
                raise KeyError("format")
            outcomes = [Outcome.from_dict(values) for values in content["entries"]]
            for discipline in DISCIPLINES:  # which fails where a value is of another kind than it should be
                for standing in standings(one for one in outcomes if one.discipline == discipline):
                    standing.cells()
            return content["arena"], outcomes
        except FileNotFoundError:
            return None, []
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise ValueError(
                f"{self.path} is not a table of an arena ({error}); name another file"
            ) from error
