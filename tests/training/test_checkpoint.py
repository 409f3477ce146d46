"""A training that is killed in the middle goes on to the weights of one that was not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mea_lib as mea
from mea_lib.removal.base import weights_digest
from mea_lib.training import TrainingSettings, use_checkpoints
from mea_lib.watermarks import MEADefender

KEY = mea.WatermarkKey(("0", "1"), "2")
EPOCHS = 3
SHORT = TrainingSettings(EPOCHS, 64)
# Every optimizer and schedule; dropout draws from the global random state, MGDA's weights hang on every gradient.
TRAININGS = {
    "muon": ("vgg_like", SHORT.but(optimizer="muon", schedule="linear")),
    "one-cycle": ("nine_layer_cnn", SHORT),
    "adam": ("resnet18", SHORT.but(optimizer="adam", schedule="step", step_epochs=1)),
    "sgd": ("alexnet", SHORT.but(optimizer="sgd", schedule="constant")),
}


def embedded(name):
    network, training = TRAININGS[name]
    scale = mea.preset("smoke").but(network=network, width=2, owner=training, watermark_batch=8)
    owner = mea.load("digits", scale).owner.subset(200)
    return MEADefender().embed(owner, KEY, scale, seed=3)


def embed_and_be_killed(name, store, epochs):
    """In a process of its own: SIGKILL comes right after so many epochs' checkpoints."""
    torch.set_num_threads(1)  # as the tests' own process has: sums in another order are other weights
    left = [epochs]

    def saved(path):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    with mea.use_store(store), use_checkpoints(Path(store) / "checkpoints", 0, saved):
        embedded(name)


@pytest.mark.usefixtures("processors_own_precision")
@pytest.mark.parametrize("name", TRAININGS)
def test_a_killed_training_goes_on_to_the_same_weights(name, tmp_path):
    with mea.use_store(tmp_path / "other"):
        expected = weights_digest(embedded(name))
    call = f"import tests.training.test_checkpoint as t; t.embed_and_be_killed({name!r}, {str(tmp_path / 'store')!r}, 2)"
    killed = subprocess.run([sys.executable, "-c", call], check=False, cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL
    folder = tmp_path / "store" / "checkpoints"
    assert len(list(folder.iterdir())) == 1
    written = []
    with mea.use_store(tmp_path / "store"), use_checkpoints(folder, 0, written.append):
        resumed = embedded(name)
    assert len(written) == EPOCHS - 2  # it did not start anew
    assert weights_digest(resumed) == expected
    assert len(resumed.card["history"]["losses"]["utility"]) == EPOCHS
    assert not list(folder.iterdir())


def test_a_damaged_checkpoint_or_one_of_another_training_is_not_used(tmp_path):
    folder = tmp_path / "checkpoints"

    def stop(path):
        raise KeyboardInterrupt

    with mea.use_store(tmp_path), use_checkpoints(folder, 0, stop), pytest.raises(KeyboardInterrupt):
        embedded("one-cycle")
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    written = []
    anew = pytest.warns(UserWarning, match="training starts anew")
    with mea.use_store(tmp_path), use_checkpoints(folder, 0, written.append), anew:
        embedded("one-cycle")
    assert len(written) == EPOCHS


def test_without_a_folder_nothing_is_written(tmp_path):
    with mea.use_store(tmp_path):
        embedded("one-cycle")
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors", ".lock"}
