"""What a finished chapter leaves in the build's folder, so that it is found again and never half of it."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from files import write_whole


@dataclass(frozen=True)
class Finished:
    """The executed notebook of one chapter, its claims, and the stamp that makes them a pair.

    The stamp is written last and names what the pair was made from and the hashes of both files. A pair that was
    torn by an interruption, or edited, does not match its stamp, and the chapter is run again.

    Attributes:
        out: the build's folder.
        name: of the chapter, without ending.
    """

    out: Path
    name: str

    @property
    def notebook(self) -> Path:
        return self.out / "notebooks" / f"{self.name}.ipynb"

    @property
    def claims(self) -> Path:
        return self.out / "claims" / f"{self.name}.json"

    @property
    def stamp(self) -> Path:
        return self.notebook.with_suffix(".stamp")

    def is_of(self, digest: str) -> bool:
        """Whether both files are there, whole, and made from what `digest` stands for."""
        try:
            stamp = self.read_stamp()
            return {name: stamp[name] for name in ("digest", "notebook", "claims")} == self._pair(digest)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def publish(
        self,
        notebook: Path,
        claims: Path,
        digest: str,
        scale: str,
        seconds: float | None,
        run: Mapping | None = None,
    ) -> None:
        """Move the two files to their places and stamp them. The chapter's lock must be held.

        Args:
            notebook: the executed copy, on the same disk.
            claims: the file that the chapter saved.
            digest: of what they were made from.
            scale: its name.
            seconds: how long it took from an empty store; None where models were there already.
            run: day, machine, versions and memory, as `run_facts` finds them.
        """
        for place in (self.notebook, self.claims):
            place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(notebook, self.notebook)
        os.replace(claims, self.claims)
        stamp = self._pair(digest) | {"scale": scale, "seconds": seconds, "run": run}
        write_whole(self.stamp, json.dumps(stamp))

    def read_claims(self) -> list[dict]:
        return json.loads(self.claims.read_text(encoding="utf-8"))

    def read_stamp(self) -> dict:
        return json.loads(self.stamp.read_text(encoding="utf-8"))

    def _pair(self, digest: str) -> dict[str, str]:
        return {
            "digest": digest,
            "notebook": hashlib.sha256(self.notebook.read_bytes()).hexdigest(),
            "claims": hashlib.sha256(self.claims.read_bytes()).hexdigest(),
        }
