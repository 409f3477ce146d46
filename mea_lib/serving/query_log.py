"""What a suspect was asked and what it answered: an answer that is in the log is never paid for again."""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import numpy as np
import torch
from torch import Tensor

from mea_lib.serving.chained_log import ChainedLog


class QueryLog(ChainedLog):
    """Answers of one suspect by the SHA-256 of the image, and images it gave no answer to, with the reason.

    A log is `about` what identifies the suspect and what it is asked for.
    """

    kind, mark = "query log", 0x4D454151  # "MEAQ"

    def __len__(self) -> int:
        """Images that were answered."""
        return self._value("SELECT count(answer) FROM entries")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps others from querying: look, query and record inside, and nothing is paid twice."""
        with self._turn:
            with self._transaction("EXCLUSIVE", seconds=math.inf):
                others = self._kept_from_others()
            with closing(others):
                yield

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Tensor]:
        """The answers (K,) that are known, by key."""
        rows = ((key, self._answered(key, "answer")) for key in keys)
        return {
            key: torch.from_numpy(np.frombuffer(row, "<f4").astype(np.float32)) for key, row in rows if row
        }

    def record(self, keys: Sequence[bytes], answers: Tensor, reasons: Sequence[str | None]) -> None:
        """Keep a batch, whole or not at all; it is on the disk when this returns.

        Args:
            keys: of N images.
            answers: (N, K) float32.
            reasons: why an image has no answer; None for those whose row counts. The first answer stays.
        """
        rows = (
            (key, None if reason else answer.numpy().astype("<f4").tobytes(), reason)
            for key, answer, reason in zip(keys, answers, reasons, strict=True)
        )
        self.append(row for row in rows if row[1] is None or not self._answered(row[0], "number"))

    def older(self, keys: Sequence[bytes]) -> list[bytes]:
        """Those of the keys that were answered before this object opened the log."""
        return [key for key in keys if 0 < (self._answered(key, "number") or 0) <= self._before]

    def width(self) -> int | None:
        """K, numbers in an answer; None before the first one."""
        length = self._value("SELECT length(answer) FROM entries WHERE answer IS NOT NULL LIMIT 1")
        return length and length // 4

    def span(self) -> tuple[str, str] | None:
        """When the first and the last image were sent (ISO 8601, UTC); None before the first one."""
        first, last = (self._value(f"SELECT {one}(time) FROM entries") for one in ("min", "max"))
        return (first, last) if first else None

    def _answered(self, key: bytes, column: str) -> bytes | int | None:
        """This column of the entry that answers an image; None where there is none."""
        return self._value(f"SELECT {column} FROM entries WHERE sha256 = ? AND answer IS NOT NULL", [key])
