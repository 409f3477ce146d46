"""Whatever answers queries becomes one kind of suspect, and is left as it was."""

import sys
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import mea_lib as mea
from mea_lib.blackbox import AnswerFormat, BudgetSpent, Pixels, SuspectError, as_suspect, in_order
from mea_lib.blackbox.query_api import QueryAPI

NAMES = ("ring", "square", "star")


@pytest.fixture
def images():
    return torch.randint(0, 256, (21, 3, 8, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def logits(pixels):
    """(N, C, H, W) numbers → (N, 3) logits that hang on the channels' means."""
    return pixels.float().mean((2, 3)) / 40 - 3


def truth(images):
    return logits(images)


@pytest.fixture
def net():
    """A module with batch normalisation and dropout, in a mixture of modes."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(96, 3))
    net.train()
    net[2].eval()
    return net


def test_a_module_is_asked_in_evaluation_mode_and_left_as_it_was(net, images):
    modes = [part.training for part in net.modules()]
    buffers = {name: value.clone() for name, value in net.named_buffers()}
    suspect = as_suspect(net, pixels=Pixels(input_range=(0, 1)))
    found = suspect(images)
    assert [part.training for part in net.modules()] == modes
    assert all(torch.equal(value, buffers[name]) for name, value in net.named_buffers())
    assert not found.requires_grad
    torch.testing.assert_close(found, net.eval()(images / 255).detach())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_buffers_that_change_at_every_question_are_put_back(images):
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("asked", torch.zeros(()))

        def forward(self, pixels):
            self.asked += len(pixels)
            return logits(pixels)

    counts = Counts()
    as_suspect(counts)(images)
    assert counts.asked == 0


def test_a_model_of_the_book_answers_bit_for_bit(tiny, digits):
    asked = digits.test.images[:40]
    tiny.train()
    found = as_suspect(tiny, batch_size=40)(asked[8:])
    assert tiny.training
    expected = tiny.eval()(asked[8:]).detach()
    torch.testing.assert_close(found, expected)
    assert torch.equal(found.argmax(1), expected.argmax(1))
    assert torch.equal(as_suspect(tiny)(asked[:8]), tiny(asked[:8]).detach())


def test_suspects_are_passed_through_and_take_no_settings(tiny):
    oracle = mea.Oracle(tiny)
    assert as_suspect(oracle) is oracle
    assert isinstance(mea.FeatureOracle(tiny), QueryAPI)
    with pytest.raises(ValueError, match=r"Oracle is a suspect already .* leave out pixels, answers"):
        as_suspect(oracle, pixels=Pixels(input_range=(0, 1)), answers="logits")


Output = namedtuple("Output", "scores extra")
KINDS = {
    "tensor": lambda x: logits(x),
    "half precision": lambda x: logits(x).bfloat16(),
    "numpy": lambda x: logits(x).numpy(),
    "float64 numpy": lambda x: logits(x).numpy().astype(float),
    "lists": lambda x: logits(x).tolist(),
    "list of rows": lambda x: list(logits(x)),
    "list of numpy rows": lambda x: list(logits(x).numpy()),
    "dict of logits": lambda x: {"loss": torch.zeros(()), "logits": logits(x)},
    "dict of one": lambda x: {"whatever": logits(x)},
    "dict of probabilities": lambda x: {"labels": logits(x).argmax(1), "probabilities": logits(x)},
    "tuple": lambda x: (logits(x), torch.zeros(len(x), 64)),
    "named tuple": lambda x: Output(logits(x), None),
    "object": lambda x: SimpleNamespace(logits=logits(x), loss=None),
    "one by one": lambda x: logits(x) if len(x) == 1 else 1 / 0,
    "one by one, a row": lambda x: logits(x)[0] if len(x) == 1 else 1 / 0,
    "no batches": lambda x: logits(x[None])[0] if x.ndim == 3 else 1 / 0,
    "no batches, last dimensions of 1": lambda x: logits(x[None])[0][:, None, None] if x.ndim == 3 else 1 / 0,
    "one answer to any number": lambda x: logits(x)[:1],
    "with a gradient": lambda x: logits(x.float().requires_grad_()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_holds_the_numbers(kind, images):
    suspect = as_suspect(KINDS[kind])
    found = suspect(images)
    assert (found.dtype, found.requires_grad) == (torch.float32, False)
    torch.testing.assert_close(found, truth(images), atol=2e-2, rtol=0)
    assert (suspect.failures, suspect.queries) == ({}, 21)
    assert suspect(images[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    ("answers", "change"),
    [
        ("logits", lambda x: x),
        ("logits", lambda x: x + 50),
        ("probabilities", lambda x: x.softmax(1)),
        ("log-probabilities", lambda x: x.log_softmax(1)),
    ],
)
def test_what_the_numbers_are_can_be_said(answers, change, images):
    found = as_suspect(lambda x: change(logits(x)), answers=answers)(images)
    torch.testing.assert_close(found, truth(images).softmax(1))


def test_the_logarithm_of_nought_is_an_answer(images):
    hard = nn.functional.one_hot(truth(images).argmax(1), 3).float()
    found = as_suspect(
        lambda x: nn.functional.one_hot(logits(x).argmax(1), 3).float().log(), answers="log-probabilities"
    )
    assert torch.equal(found(images), hard)


@pytest.mark.parametrize("answers", ["probabilities", "log-probabilities"])
def test_what_is_something_else_is_found_before_much_is_asked(answers, images):
    asked = []
    suspect = as_suspect(lambda x: asked.append(len(x)) or logits(x) + 5, answers=answers)
    with pytest.raises(SuspectError, match=rf"no {answers}.*answers=…"):
        suspect(images.repeat(20, 1, 1, 1))
    assert sum(asked) <= 24


LABELS = {
    "numbers": ({"classes": 3}, lambda best: best),
    "a column": ({"classes": 3}, lambda best: best[:, None]),
    "numpy numbers": ({"classes": NAMES}, lambda best: best.numpy()),
    "floats": ({"classes": 3, "answers": "labels"}, lambda best: best.float()),
    "from 1": ({"classes": 3, "answers": AnswerFormat(first_label=1)}, lambda best: best + 1),
    "a list": ({"classes": 3}, lambda best: best.tolist()),
    "names": ({"classes": NAMES}, lambda best: [NAMES[one] for one in best]),
    "names in numpy": ({"classes": NAMES}, lambda best: np.array([NAMES[one] for one in best])),
    "names as bytes": ({"classes": NAMES}, lambda best: [NAMES[one].encode() for one in best]),
    "words": (
        {"answers": AnswerFormat(label_names=["r", "q", "s"])},
        lambda best: ["rqs"[one] for one in best],
    ),
    "words beside names": (
        {"classes": NAMES, "answers": AnswerFormat(label_names=["étoile", "q", "s"])},
        lambda best: [("e\u0301toile ", "q", "s")[one] for one in best],
    ),
    "a classification": ({"classes": 3}, lambda best: [f"0.25:{one}" for one in best]),
    "a classification with names": (
        {"classes": NAMES},
        lambda best: [f"0.25:9:{NAMES[one]}" for one in best],
    ),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_become_one_hot_rows(kind, images):
    options, change = LABELS[kind]
    found = as_suspect(lambda x: change(logits(x).argmax(1)), **options)(images)
    assert torch.equal(found, nn.functional.one_hot(truth(images).argmax(1), 3).float())


@pytest.mark.parametrize(
    ("options", "answer", "words"),
    [
        ({}, lambda x: logits(x).argmax(1), "pass classes="),
        ({"answers": "labels"}, lambda x: logits(x).argmax(1), "pass classes="),
        ({}, lambda x: [NAMES[0]] * len(x), "pass label_names="),
        ({"classes": ("a", "b", "c")}, lambda x: [NAMES[0]] * len(x), "'ring', which is none of: a, b, c"),
        (
            {"classes": 3, "answers": AnswerFormat(first_label=1)},
            lambda x: torch.zeros(len(x)).long(),
            "beyond 1 to 3",
        ),
        ({"classes": 10}, logits, "3 numbers an image, but 10 classes"),
        ({}, lambda x: torch.zeros(len(x), 200_000), "200,000 numbers an image"),
        ({}, lambda x: torch.zeros(len(x), 1), "several numbers an image"),
        ({}, lambda x: None, "answer is NoneType"),
        ({}, lambda x: {"a": 1}, "wrap it"),
        ({}, lambda x: {"a": logits(x), "b": logits(x)}, "a dict of a, b"),
        ({}, lambda x: [[1, 2], [3]], "answer is list"),
        ({}, lambda x: torch.full((len(x), 3), torch.nan), "NaN or infinity"),
        ({}, lambda x: logits(x)[:-1], "8 images were asked, but .* shape"),
        ({}, lambda x: 1 / 0, r"ZeroDivisionError: division by zero; if it takes floats, pass input_range"),
        ({"classes": 3, "answers": "labels"}, logits, "not with labels"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_first_reason_before_much_is_asked(
    options, answer, words, images
):
    asked = []
    suspect = as_suspect(lambda x: asked.append(len(x)) or answer(x), **options)
    with pytest.raises(SuspectError, match=words):
        suspect(images.repeat(50, 1, 1, 1))
    assert len(asked) <= 17


def test_a_network_that_takes_floats_says_so(net, images):
    with pytest.raises(SuspectError, match=r"uint8 from 0 to 255.*pass input_range=\(0, 1\)"):
        as_suspect(net)(images)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_one_bad_row_costs_nobody_else_an_answer(bad, images):
    def answer(x):
        rows = logits(x)
        rows[x[:, 0, 0, 0] == images[3, 0, 0, 0], 1] = bad
        return rows

    suspect = as_suspect(answer)
    is_bad = images[:, 0, 0, 0] == images[3, 0, 0, 0]
    found = suspect(images)
    assert torch.equal(found.isnan().all(1), is_bad)
    torch.testing.assert_close(found[~is_bad], truth(images)[~is_bad])
    assert suspect.failures == {"no finite numbers": int(is_bad.sum())}


def test_one_image_that_breaks_it_costs_nobody_else_an_answer(images):
    def answer(x):
        if (x == images[15]).flatten(1).all(1).any():
            raise MemoryError("too much")
        return logits(x)

    suspect = as_suspect(answer)
    found = suspect(images)
    assert found.isnan().all(1).nonzero().flatten().tolist() == [15]
    assert suspect.failures == {"raised MemoryError": 1}


def test_a_budget_of_its_own_is_seen_and_its_end_is_not_a_failure(images):
    class Metered:
        remaining = 12

        def __call__(self, x):
            if len(x) > self.remaining:
                raise BudgetSpent("no more")
            self.remaining -= len(x)
            return logits(x)

        def describe(self):
            return {"url": "in a cupboard"}

    suspect = as_suspect(Metered())
    assert (suspect.remaining, suspect.cost(images, images)) == (12, 42)
    assert suspect.describe() == {"url": "in a cupboard"}
    with pytest.raises(BudgetSpent):
        suspect(images)
    assert suspect.remaining == 4


def spy(seen):
    return lambda x: seen.append(x) or torch.zeros(len(x), 2) + torch.arange(2)


def sent(images, **options):
    seen = []
    as_suspect(spy(seen), pixels=Pixels(**options))(images)
    return torch.cat(seen)


def test_pixels_as_the_model_wants_them(images):
    assert torch.equal(sent(images), images)
    torch.testing.assert_close(sent(images, input_range=(-1, 1)), images / 127.5 - 1)
    mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.6, 0.7])
    expected = (images / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    torch.testing.assert_close(sent(images, mean=mean.tolist(), std=std.tolist()), expected)
    torch.testing.assert_close(sent(images, input_range=(0, 255), mean=[100.0]), images - 100.0)
    assert torch.equal(sent(images, channel_order="bgr"), images[:, [2, 1, 0]])
    assert torch.equal(sent(images, layout="last"), images.permute(0, 2, 3, 1))
    by_hand = (images[:, [2, 1, 0]] / 255 - mean.view(3, 1, 1)).permute(0, 2, 3, 1)
    found = sent(images, channel_order="bgr", layout="last", mean=mean.tolist())
    torch.testing.assert_close(found, by_hand)


def test_images_are_brought_to_the_size_the_model_wants(images):
    found = sent(images, size=12)
    assert (found.shape[1:], found.dtype) == ((3, 12, 12), torch.uint8)
    assert sent(images, size=(4, 3), layout="last").shape[1:] == (4, 3, 3)
    even = torch.full((2, 1, 8, 8), 77, dtype=torch.uint8)
    assert torch.equal(sent(even, size=5), torch.full((2, 1, 5, 5), 77, dtype=torch.uint8))


def test_grey_images_become_three_channels_for_a_mean_of_three(images):
    found = sent(images[:, :1], mean=(0.1, 0.2, 0.3))
    assert found.shape[1] == 3
    torch.testing.assert_close(found[:, 0] + 0.1, found[:, 2] + 0.3)
    with pytest.raises(SuspectError, match="mean has 2 numbers, but the images have 3 channels"):
        sent(images, mean=(0.1, 0.2))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"answers": "odds"}, "log-probabilities, labels"),
        ({"classes": 1}, "2 or more"),
        ({"classes": ("a", "a")}, "name of its own"),
        ({"classes": NAMES, "answers": AnswerFormat(label_names=("a", "b"))}, "2 label_names"),
        ({"batch_size": 0}, "batch_size"),
        ({"network": "resnet18"}, "file of weights"),
    ],
)
def test_settings_that_mean_nothing(options, words):
    with pytest.raises(ValueError, match=words):
        as_suspect(logits, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channel_order": "grb"}, "rgb, bgr"),
        ({"layout": "middle"}, "first, last"),
        ({"input_range": (1, 1)}, "two different numbers"),
        ({"mean": [float("nan")]}, "finite number"),
        ({"std": [0.0]}, "std must not be 0"),
        ({"size": 0}, "pixels from 1"),
    ],
)
def test_pixels_that_mean_nothing(options, words):
    with pytest.raises(ValueError, match=words):
        Pixels(**options)


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(TypeError, match="a module, a function or the path of a file, not dict"):
        as_suspect({"conv.weight": torch.zeros(3)})
    with pytest.raises(TypeError, match="uint8 images"):
        as_suspect(logits)(torch.zeros(2, 3, 4, 4))
    with pytest.raises(ValueError, match=r"\(N, C, H, W\)"):
        as_suspect(logits)(torch.zeros(3, 4, 4, dtype=torch.uint8))


def test_names_are_what_it_states(tiny):
    assert as_suspect(logits).classes is None
    assert as_suspect(logits, classes=3).classes is None
    assert as_suspect(logits, classes=list(NAMES)).classes == NAMES
    assert as_suspect(logits, answers=AnswerFormat(label_names=NAMES)).describe() == {"classes": list(NAMES)}
    tiny.card = {"recipe": {"classes": list("abcdefghij")}}
    assert as_suspect(tiny).classes == mea.Oracle(tiny).classes == tuple("abcdefghij")


def test_another_order_of_classes_is_put_right_by_their_names(images):
    suspect = as_suspect(logits, classes=NAMES)
    assert in_order(suspect, NAMES) is suspect
    turned = in_order(suspect, ("star", "ring", "square"))
    assert torch.equal(turned(images), truth(images)[:, [2, 0, 1]])
    assert turned.classes == ("star", "ring", "square")
    assert (turned.remaining, turned.failures, turned.queries) == (None, {}, 21)
    with pytest.raises(
        ValueError, match=r"classes are ring, square, star; expected were ring, square, cross"
    ):
        in_order(suspect, ("ring", "square", "cross"))
    nameless = as_suspect(logits)
    assert in_order(nameless, NAMES) is nameless


class TestFiles:
    @pytest.fixture
    def asked(self, digits):
        return digits.test.images[:20]

    def test_a_model_of_the_store(self, store, tmp_path, tiny, asked):
        model = store.fetch({"method": "x", "module": "mea_lib.training.fit"}, lambda: tiny)
        (weights,) = (tmp_path / "store").glob("*.safetensors")
        torch.testing.assert_close(as_suspect(weights)(asked), model(asked).detach())
        weights.write_bytes(weights.read_bytes()[:-1] + b"1")
        with pytest.raises(ValueError, match="does not hold the weights"):
            as_suspect(weights)

    @pytest.mark.parametrize("ending", [".pt", ".pth"])
    @pytest.mark.parametrize("network", ["nine_layer_cnn", "alexnet", "vgg_like", "resnet18"])
    def test_weights_and_the_name_of_their_network(self, tmp_path, network, ending, asked):
        from mea_lib.models import Input, build

        model = build(network, Input(1, 16, [0.3], [0.2]), classes=10, width=2, seed=4).eval()
        path = tmp_path / f"weights{ending}"
        torch.save(model.state_dict(), path)
        torch.testing.assert_close(as_suspect(path, network=network)(asked), model(asked).detach())
        torch.save(
            {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, path
        )
        torch.testing.assert_close(as_suspect(path, network=network, width=2)(asked), model(asked).detach())
        with pytest.raises(ValueError, match=r"pass network=…, one of: nine_layer_cnn"):
            as_suspect(path)
        with pytest.raises(ValueError, match="not those of resnet50"):
            as_suspect(path, network="resnet50")
        with pytest.raises(ValueError, match="unknown network 'lenet'"):
            as_suspect(path, network="lenet")

    def test_a_classifier_of_torchvision(self, tmp_path, images):
        from torchvision import models

        model = models.squeezenet1_1(num_classes=5).eval()
        torch.save(model.state_dict(), tmp_path / "w.pth")
        suspect = as_suspect(tmp_path / "w.pth", network="squeezenet1_1", pixels=Pixels((0, 1), size=32))
        asked = torch.zeros(3, 3, 32, 32, dtype=torch.uint8) + images[:3, :, :1, :1]
        torch.testing.assert_close(suspect(asked), model(asked / 255).detach())

    def test_a_pickle_is_never_run(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (open, (str(tmp_path / "sprung"), "w"))

        torch.save({"weights": Trap()}, tmp_path / "w.pth")
        with pytest.raises(ValueError, match="would run its code"):
            as_suspect(tmp_path / "w.pth", network="resnet18")
        assert not (tmp_path / "sprung").exists()

    @pytest.mark.parametrize("freeze", [False, True])
    def test_torchscript_in_memory_and_from_a_file(self, tmp_path, net, images, freeze):
        net.eval()
        expected = net(images / 255).detach()
        script = torch.jit.trace(net, images[:2] / 255)
        script = torch.jit.freeze(script) if freeze else script.train()
        torch.testing.assert_close(as_suspect(script, pixels=Pixels(input_range=(0, 1)))(images), expected)
        if not freeze:
            assert all(part.training for part in script.modules())
        script.save(tmp_path / "m.pt")
        torch.testing.assert_close(
            as_suspect(tmp_path / "m.pt", pixels=Pixels(input_range=(0, 1)))(images), expected
        )
        with pytest.raises(ValueError, match="leave out network"):
            as_suspect(tmp_path / "m.pt", network="resnet18")

    @pytest.mark.parametrize(
        ("name", "words"), [("m.h5", "must end in"), ("m.onnx", "no file"), ("m.pth", "no file")]
    )
    def test_files_that_are_none(self, tmp_path, name, words):
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            as_suspect(tmp_path / name, network=None)

    def test_without_onnxruntime_the_error_names_it(self, tmp_path, monkeypatch):
        (tmp_path / "m.onnx").write_bytes(b"x")
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(ImportError, match="pip install onnxruntime"):
            as_suspect(tmp_path / "m.onnx")

    @pytest.mark.parametrize("batch", ["N", 1])
    def test_onnx(self, tmp_path, images, batch):
        pytest.importorskip("onnxruntime")
        onnx = pytest.importorskip("onnx")
        helper, kind = onnx.helper, onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            [helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2], keepdims=0)],
            "means",
            [helper.make_tensor_value_info("x", kind, [batch, 8, 6, 3])],
            [helper.make_tensor_value_info("y", kind, [batch, 3])],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(model, tmp_path / "m.onnx")
        suspect = as_suspect(tmp_path / "m.onnx", pixels=Pixels((0, 1), layout="last", channel_order="bgr"))
        torch.testing.assert_close(suspect(images), (images / 255).mean((2, 3))[:, [2, 1, 0]])
        with pytest.raises(SuspectError, match=r"tensor\(float\) and does not say .* pass input_range"):
            as_suspect(tmp_path / "m.onnx", pixels=Pixels(layout="last"))(images)
        (tmp_path / "m.onnx").write_bytes(b"no model")
        with pytest.raises(ValueError, match="cannot be read as ONNX"):
            as_suspect(tmp_path / "m.onnx")


def test_an_oracle_asks_a_suspect_as_it_is(net, images):
    """What a suspect does to images and answers holds behind a budget too."""
    suspect = as_suspect(net, pixels=Pixels(input_range=(0, 1)))
    turned = in_order(as_suspect(net, pixels=Pixels(input_range=(0, 1)), classes=NAMES), NAMES[::-1])
    expected = suspect(images).softmax(1)
    oracle = mea.Oracle(suspect, budget=30)
    torch.testing.assert_close(oracle(images), expected)
    assert oracle.remaining == 9
    torch.testing.assert_close(mea.Oracle(turned)(images), expected.flip(1))


@pytest.mark.parametrize("model", [logits, "a path"])
def test_an_oracle_of_what_is_neither_a_model_nor_a_suspect(model):
    with pytest.raises(TypeError, match=r"as_suspect\(function\)"):
        mea.Oracle(model)


def test_of_a_batch_that_fails_only_halves_are_sent_again(images):
    sent = []

    def fails_at_seven(pixels):
        sent.append(len(pixels))
        if len(sent) > 2 and any(torch.equal(one, images[7]) for one in pixels):
            raise TimeoutError("read timed out")
        return logits(pixels)

    suspect = as_suspect(fails_at_seven, batch_size=16)
    suspect(images[:1]), suspect(images[1:2])
    assert len(sent) == 2
    answers = suspect(images[:16])
    assert answers.isnan().any(1).nonzero()[:, 0].tolist() == [7]
    assert sorted(sent[2:])[::-1] == [16, 8, 8, 4, 4, 2, 2, 1, 1]
    assert sum(sent[2:]) <= 16 + 2 * 16  # each half of what failed, not each image


def test_a_suspect_that_timed_out_gets_no_advice_about_pixels(images):
    def late(pixels):
        raise TimeoutError("read timed out")

    with pytest.raises(SuspectError, match="read timed out; ask again"):
        as_suspect(late)(images)


def test_a_class_number_of_thousands_of_digits_is_no_answer():
    suspect = as_suspect(lambda images: ["0.9:" + "9" * 5_000] * len(images), classes=3)
    with pytest.raises(SuspectError, match="answers with names such as"):
        suspect(torch.zeros(9, 1, 8, 8, dtype=torch.uint8))
