"""A data set fetched once, however many processes want it: under a lock, and moved to its place when whole.

What failed is remembered beside the lock for REMEMBERED_SECONDS, so that on a machine without the internet
the second process, and the second chapter, learn it at once.
"""

import contextlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from mea_lib.data.cache import cache_folder
from mea_lib.data.images import ImageSet
from mea_lib.files import read_json, waited_for, write_whole

REMEMBERED_SECONDS = 300

Sets = tuple[ImageSet, ImageSet]
_log = logging.getLogger("mea_lib.data")


class DataNotFound(FileNotFoundError):
    """No source could give the data set; the message lists what was tried."""


@dataclass(frozen=True)
class Way:
    """One way to fetch a data set.

    Attributes:
        words: that name it.
        get: puts the data set into an empty folder.
        read: reads it from there, and raises an error where it is not whole.
    """

    words: str
    get: Callable[[Path], None]
    read: Callable[[Path], Sets]


def fetch(name: str, ways: list[Way], *, again: bool = False) -> tuple[Sets, str]:
    """The data set from the cache, else by the first way that gives it whole.

    Args:
        name: of the data set.
        ways: in the order in which they are tried.
        again: whether they are tried although they failed a moment ago.

    Returns:
        training and test images, and the words that say where they came from.

    Raises:
        DataNotFound: says for each way why not.
    """
    cache = cache_folder()
    sets = kept(ways)
    if sets is not None:
        return sets
    with contextlib.ExitStack() as held:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            held.enter_context(waited_for(FileLock(cache / f"{name}.lock"), f"fetching {name}"))
        except OSError as error:
            raise DataNotFound(
                f"{cache} cannot be written ({error}); set MEA_CACHE to a folder of yours"
            ) from error
        sets = kept(ways)  # another process may have fetched it meanwhile
        return sets if sets is not None else _fetch(name, ways, cache, again)


def kept(ways: list[Way]) -> tuple[Sets, str] | None:
    """The data set as one of these ways left it in the cache; a damaged one is said and is as none."""
    cache = cache_folder()
    for way in ways:
        try:
            return way.read(cache), f"files kept in {cache}"
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            _log.warning("%s", error)
    return None


def _fetch(name: str, ways: list[Way], cache: Path, again: bool) -> tuple[Sets, str]:
    memory = cache / f"{name}.failed"
    tried = None if again else _remembered(memory, name)
    if tried is not None:
        raise DataNotFound(tried)
    partial = cache / f"partial-{name}"
    failures = []
    for way in ways:
        shutil.rmtree(partial, ignore_errors=True)  # a process that was killed left it
        partial.mkdir()
        print(f"{name}: {way.words}", file=sys.stderr, flush=True)
        try:
            way.get(partial)
            sets = way.read(partial)
            for child in sorted(partial.iterdir()):
                _move(child, cache / child.name)
        except (OSError, ValueError) as error:
            failures.append(f"{way.words}: {str(error).strip() or type(error).__name__}")
        else:
            memory.unlink(missing_ok=True)
            return sets, way.words
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    tried = "\n  ".join(failures)
    with contextlib.suppress(OSError):  # a full disk is among what was tried
        write_whole(memory, json.dumps({"when": time.time(), "tried": tried}))
    raise DataNotFound(tried)


def _move(source: Path, target: Path) -> None:
    """Put a folder in its place; what lay there was damaged, else nothing would have been fetched."""
    if target.exists():
        old = source.with_name(f"{source.name}.damaged")
        os.replace(target, old)
    os.replace(source, target)


def _remembered(memory: Path, name: str) -> str | None:
    try:
        failure = read_json(memory)
        seconds = time.time() - failure["when"]
        if 0 <= seconds < REMEMBERED_SECONDS:
            return (
                f"{failure['tried']}\n  (that was {seconds:.0f} s ago and is remembered for "
                f"{REMEMBERED_SECONDS // 60} minutes; `{sys.executable} -m mea_lib.data {name}` tries again)"
            )
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None
