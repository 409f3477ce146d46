"""`--model` takes files that other programs write, with what --suspect says of them."""

import pytest
import torch

from mea_lib.cli.models import find_model, load_model

FEW = ["--samples", 100, "--fewest-samples", 100, "--data", "digits"]


@pytest.fixture
def model(made):
    return load_model(find_model(str(made.folder / "copy.safetensors")))


@pytest.fixture
def verify(mea, made):
    def run(file, *settings, **kwargs):
        how = [part for setting in settings for part in ("--suspect", setting)]
        return mea("verify", "--model", file, "--key", made.folder / "key.json", *FEW, *how, **kwargs)

    return run


class Float(torch.nn.Module):
    """A surrogate as others write it: floats, channels last, in; soft labels out; classes turned by one."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixels):
        return self.model(pixels.permute(0, 3, 1, 2)).softmax(1).roll(1, 1)


def test_weights_need_the_name_of_their_network(verify, model, tmp_path):
    torch.save(model.state_dict(), tmp_path / "copy.pth")
    assert "pass network=" in verify("copy.pth", code=2).stderr
    verify("copy.pth", "network=nine_layer_cnn", "width=8")
    assert "not those of resnet18" in verify("copy.pth", "network=resnet18", code=2).stderr
    assert "there is no file" in verify("none.pth", "network=resnet18", code=2).stderr


@pytest.fixture
def script(model, tmp_path):
    example = torch.zeros(2, 16, 16, 1)
    torch.jit.trace(Float(model), example).save(tmp_path / "copy.pt")
    return "copy.pt"


def test_torchscript_with_all_that_must_be_said_of_it(verify, script):
    names = ",".join(str((label - 1) % 10) for label in range(10))
    verify(script, "input_range=0,1", "layout=last", "answers=probabilities", f"classes={names}")
    turned = verify(script, "input_range=0,1", "layout=last", code=4)  # nothing is said of the classes' order
    assert "numbered from 1" in turned.stdout
    assert "pass input_range" in verify(script, code=1).stderr
    wrong = verify(script, "input_range=0,1", "layout=last", "answers=log-probabilities", code=4)
    assert "no log-probabilities" in wrong.stdout


def test_other_classes_are_refused(verify, script, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(f"class {label}" for label in range(10)))
    found = verify(script, "input_range=0,1", "layout=last", "classes=names.txt", code=2)
    assert "expected were 0, 1, 2" in found.stderr
    assert "10 classes, 2 label_names" in verify(script, "label_names=a,b", code=2).stderr


def test_a_model_of_the_store_knows_its_network(verify, made):
    file = made.folder / "copy.safetensors"
    verify(file, "answers=logits")
    assert "the card of" in verify(file, "network=resnet18", code=2).stderr


def test_a_surrogate_of_a_foreign_file(mea, script):
    how = ["--suspect", "input_range=0,1", "--suspect", "layout=last", "--data", "digits"]
    found = mea("extract", "--model", script, *how, "--budget", 200, "--decimals", 3, "--json").data
    assert found["queries"] == 200
    key = ["--mark-answers", script]
    assert "a model of the store" in mea("extract", "--model", script, *how, *key, code=2).stderr


def test_names_complete():
    from mea_lib.cli.completion import complete_suspect

    assert complete_suspect("l") == ["layout=", "label_names="]
