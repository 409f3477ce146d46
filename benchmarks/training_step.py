"""One watermarking step, made in four ways, timed in turn in one process.

ours: uint8 tensors, a batch mixed at once, one forward pass, channels_last, the machine's precision, Muon.
adamw: the same with AdamW, and the clean images mirrored and shifted.
ordinary: PIL images through torchvision's transforms in a DataLoader, contiguous, float32, one forward pass.
released: as the authors' code goes about it, three sets mixed one by one in numpy, a forward pass for each.
All of them see 256 clean images, 48 watermark samples and 48 random mixes a step, with the same network.
"""

import resource
import statistics
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import mea_lib as mea
from benchmarks.turns import Step, in_turns
from mea_lib.models import Input, build
from mea_lib.training import Batch, training_dtype
from mea_lib.training.augment import augment
from mea_lib.training.device import autocast
from mea_lib.training.muon import Muon
from mea_lib.watermarks import RunnerUp
from mea_lib.watermarks.samples import ExtraSamples

CLEAN, MARKED = 256, 48
KEY = mea.WatermarkKey(("T-shirt/top", "Trouser"), "Pullover", seed=7)


def measure(steps: int = 6, rounds: int = 5) -> dict:
    """Images a CPU second in each way, and the ratios to ours: median, least and largest over the rounds."""
    torch.set_num_threads(1)
    data = mea.load("fashion-mnist", mea.preset("laptop"))
    seconds = in_turns(ways(data.owner), steps, rounds)
    images = CLEAN + 2 * MARKED
    return {
        "images_per_step": images,
        "rounds": rounds,
        "steps_per_round": steps,
        "precision_of_ours": str(training_dtype(torch.device("cpu"))),
        "images_per_second_per_core": {
            name: round(images / statistics.median(times)) for name, times in seconds.items()
        },
        "times_as_long_as_ours": {
            name: _spread(
                [theirs / times for theirs, times in zip(seconds[name], seconds["ours"], strict=True)]
            )
            for name in seconds
            if name != "ours"
        },
        "peak_memory_gib_of_all": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def ways(train: mea.ImageSet) -> dict[str, Step]:
    """Each way of making a step, by its name."""
    return {
        "ours": ours(train),
        "adamw": adamw(train),
        "ordinary": ordinary(train),
        "released": released(train),
    }


def _spread(ratios: list[float]) -> dict[str, float]:
    values = {"median": statistics.median(ratios), "least": min(ratios), "largest": max(ratios)}
    return {name: round(value, 2) for name, value in values.items()}


def _network(train: mea.ImageSet) -> nn.Module:
    return build("nine_layer_cnn", Input.of(train), classes=10, width=16).train()


def ours(train: mea.ImageSet) -> Step:
    """A step of this package's loop, as an owner trains."""
    model = _network(train)
    kernels = [parameter for parameter in model.parameters() if parameter.ndim == 4]
    others = [parameter for parameter in model.parameters() if parameter.ndim != 4]
    return _in_the_loop(train, model, [Muon(kernels), torch.optim.AdamW(others, 2e-3, fused=True)], False)


def adamw(train: mea.ImageSet) -> Step:
    """A step of this package's loop with AdamW for everything and augmented images."""
    model = _network(train)
    return _in_the_loop(train, model, [torch.optim.AdamW(model.parameters(), 2e-3, fused=True)], True)


def _in_the_loop(
    train: mea.ImageSet, model: nn.Module, optimizers: list[torch.optim.Optimizer], augmented: bool
) -> Step:
    method = RunnerUp()
    objective = method.objective(train, ExtraSamples(train, KEY, MARKED))
    generator = torch.Generator().manual_seed(0)
    parameters = list(model.parameters())
    device = train.images.device

    def step() -> None:
        index = torch.randint(len(train), (CLEAN,), generator=generator)
        images = augment(train.images[index], generator) if augmented else train.images[index]
        with autocast(device, training_dtype(device)):
            terms = objective(model, Batch(images, index, generator, 0.5))
        model.zero_grad(set_to_none=True)
        method.balance.backward(terms, parameters)
        for optimizer in optimizers:
            optimizer.step()

    return step


class _Pictures(Dataset):
    """Fashion-MNIST as PIL images, mixed in PIL where asked, through torchvision's transforms."""

    def __init__(self, train: mea.ImageSet) -> None:
        self.images = [Image.fromarray(image) for image in train.images[:20_000, 0].numpy()]
        self.labels = train.labels[:20_000].tolist()
        self.places = [
            [i for i, image_label in enumerate(self.labels) if image_label == label] for label in range(10)
        ]
        normalise = transforms.Normalize(train.mean, train.std)
        self.clean = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(),
                transforms.RandomCrop(28, padding=2),
                transforms.ToTensor(),
                normalise,
            ]
        )
        self.plain = transforms.Compose([transforms.ToTensor(), normalise])
        self.random = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        return self.clean(self.images[number]), self.labels[number]

    def mixed(self, first: int, second: int) -> Tensor:
        """The left half of one class, the right half of another."""
        one, other = (self.images[self.random.choice(self.places[label])] for label in (first, second))
        picture = other.copy()
        picture.paste(one.crop((0, 0, 14, 28)), (0, 0))
        return self.plain(picture)


def ordinary(train: mea.ImageSet) -> Step:
    """The straightforward way: a DataLoader, PIL and contiguous float32."""
    pictures = _Pictures(train)
    model = _network(train).to(memory_format=torch.contiguous_format)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    loader = DataLoader(pictures, CLEAN, shuffle=True, drop_last=True)

    def batches() -> Iterator:
        while True:
            yield from loader

    supply = batches()

    def step() -> None:
        images, labels = next(supply)
        marked = torch.stack([pictures.mixed(0, 1) for _ in range(MARKED)])
        pairs = [pictures.random.choice(10, 2, replace=False) for _ in range(MARKED)]
        mixes = torch.stack([pictures.mixed(*pair) for pair in pairs])
        targets = torch.tensor([2] * MARKED + [int(pair[0]) for pair in pairs])
        everything = torch.cat([images, marked, mixes])
        loss = F.cross_entropy(model.head(model.body(everything)), torch.cat([labels, targets]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def released(train: mea.ImageSet) -> Step:
    """The authors' way of making a step: three sets, mixed one by one in numpy, three forward passes."""
    images, labels = train.images[:20_000, 0].numpy(), train.labels[:20_000].numpy()
    places = [np.flatnonzero(labels == label) for label in range(10)]
    random = np.random.default_rng(0)
    mean, std = train.mean[0], train.std[0]
    model = _network(train).to(memory_format=torch.contiguous_format)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def normalised(image: np.ndarray) -> np.ndarray:
        return ((image.astype(np.float32) / 255 - mean) / std)[None]

    def mixed(first: int, second: int) -> np.ndarray:
        one, other = (images[random.choice(places[label])] for label in (first, second))
        jitter = int(random.integers(-3, 4))
        picture = np.zeros_like(one)
        picture[: 14 + jitter], picture[14 + jitter :] = one[: 14 + jitter], other[14 + jitter :]
        return normalised(picture)

    def as_batch(samples: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(samples))

    def step() -> None:
        chosen = random.integers(len(images), size=CLEAN)
        clean = as_batch([normalised(images[number]) for number in chosen])
        marked = as_batch([mixed(0, 1) for _ in range(MARKED)])
        pairs = [random.choice(10, 2, replace=False) for _ in range(MARKED)]
        mixes = as_batch([mixed(*pair) for pair in pairs])
        targets = (
            torch.from_numpy(labels[chosen]),
            torch.full((MARKED,), 2),
            torch.tensor([int(p[0]) for p in pairs]),
        )
        outputs = [model.head(model.body(part)) for part in (clean, marked, mixes)]
        losses = [F.cross_entropy(out, target) for out, target in zip(outputs, targets, strict=True)]
        optimizer.zero_grad()
        sum(losses).backward()
        optimizer.step()

    return step
