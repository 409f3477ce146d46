"""Folders of small images, and eight processes that want the same data set."""

import multiprocessing
import traceback

import numpy as np
import pytest
from PIL import Image

CLASSES = ("cat", "dog", "owl")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MEA_DATA", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def write_tree():
    """Write a folder of class folders; the pixels of class number n lie between 60·n and 60·n + 63."""

    def write(
        folder, *, classes=CLASSES, parts=("train", "test"), number=5, size=16, mode="RGB", ending="png"
    ):
        generator = np.random.default_rng(0)
        for part in parts:
            for label, name in enumerate(classes):
                (folder / part / name).mkdir(parents=True)
                for index in range(number):
                    shape = (size, size, 3) if mode == "RGB" else (size, size)
                    pixels = generator.integers(0, 256, shape, dtype=np.uint8) // 4 + 60 * (label % 3)
                    Image.fromarray(pixels).save(folder / part / name / f"{index}.{ending}")
        return folder

    return write


@pytest.fixture
def at_once():
    """Run a function in several processes that start at the same moment; their errors are the test's."""

    def run(number, work):
        context = multiprocessing.get_context("fork")
        start, errors = context.Barrier(number), context.SimpleQueue()

        def child():
            try:
                start.wait()
                work()
                errors.put(None)
            except BaseException:
                errors.put(traceback.format_exc())

        processes = [context.Process(target=child) for _ in range(number)]
        for process in processes:
            process.start()
        found = [errors.get() for _ in processes]
        for process in processes:
            process.join()
        assert not any(found), next(error for error in found if error)

    return run
