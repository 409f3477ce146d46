"""One SimCLR step, made here and by lightly's ordinary pipeline, timed in turn in one process.

ours: uint8 tensors, both views of a whole batch made at once, channels_last, the precision of the machine.
lightly: PIL images through its SimCLRTransform in a DataLoader of this process, its projection head and NTXentLoss,
contiguous format, float32.
Both see 256 images in two views a step, with the same body and as strong changes of the images.
"""

import resource
import statistics
from collections.abc import Iterator

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from lightly.transforms import SimCLRTransform
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

import mea_lib as mea
from benchmarks.turns import Step, in_turns
from mea_lib.models import Input
from mea_lib.models.encoder import PROJECTION, Encoder, build_encoder
from mea_lib.training import GREY_28, Batch, SimCLR, training_dtype
from mea_lib.training.device import autocast

IMAGES, TEMPERATURE = 256, 0.2


def measure(steps: int = 4, rounds: int = 5) -> dict:
    """Seconds of a step in each way, and lightly's by ours: median, least and largest over the rounds."""
    torch.set_num_threads(1)
    data = mea.load("fashion-mnist", mea.preset("laptop"))
    ways: dict[str, Step] = {"ours": ours(data.owner), "lightly": lightlys(data.owner)}
    seconds = in_turns(ways, steps, rounds)
    ratios = [theirs / our_time for theirs, our_time in zip(seconds["lightly"], seconds["ours"], strict=True)]
    return {
        "views_per_step": 2 * IMAGES,
        "rounds": rounds,
        "steps_per_round": steps,
        "precision_of_ours": str(training_dtype(torch.device("cpu"))),
        "views_per_second_per_core": {
            name: round(2 * IMAGES / statistics.median(times)) for name, times in seconds.items()
        },
        "lightly_times_as_long_as_ours": {
            "median": round(statistics.median(ratios), 2),
            "least": round(min(ratios), 2),
            "largest": round(max(ratios), 2),
        },
        "peak_memory_gib_of_both": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def _encoder(train: mea.ImageSet) -> Encoder:
    return build_encoder("nine_layer_cnn", Input.of(train), width=16).train()


def ours(train: mea.ImageSet) -> Step:
    """A step of this package's loop."""
    encoder = _encoder(train)
    optimizer = torch.optim.AdamW(encoder.parameters(), 2e-3, fused=True)
    objective = SimCLR(TEMPERATURE, GREY_28).objective(train)
    generator = torch.Generator().manual_seed(0)
    device = train.images.device

    def step() -> None:
        index = torch.randint(len(train), (IMAGES,), generator=generator)
        with autocast(device, training_dtype(device)):
            terms = objective(encoder, Batch(train.images[index], index, generator, 0.5))
        optimizer.zero_grad(set_to_none=True)
        terms.losses["utility"].backward()
        optimizer.step()

    return step


class _Pictures(Dataset):
    """Fashion-MNIST as PIL images, through lightly's transform."""

    def __init__(self, train: mea.ImageSet) -> None:
        self.images = [Image.fromarray(image) for image in train.images[:20_000, 0].numpy()]
        self.transform = SimCLRTransform(
            input_size=train.size,
            cj_prob=GREY_28.jitter,
            cj_strength=1.0,
            cj_bright=GREY_28.brightness,
            cj_contrast=GREY_28.contrast,
            cj_sat=0.0,
            cj_hue=0.0,
            min_scale=GREY_28.crop_scale[0],
            random_gray_scale=0.0,
            gaussian_blur=0.0,
            normalize={"mean": list(train.mean), "std": list(train.std)},
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> list[torch.Tensor]:
        return self.transform(self.images[number])


def lightlys(train: mea.ImageSet) -> Step:
    """A step as lightly's documentation writes it."""
    encoder = _encoder(train).to(memory_format=torch.contiguous_format)
    body, head = encoder.network.body, SimCLRProjectionHead(encoder.size, *PROJECTION)
    model = nn.Sequential(body, head).train()
    criterion = NTXentLoss(TEMPERATURE)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    loader = DataLoader(_Pictures(train), IMAGES, shuffle=True, drop_last=True)

    def batches() -> Iterator:
        while True:
            yield from loader

    supply = batches()

    def step() -> None:
        first, second = next(supply)
        loss = criterion(model(first), model(second))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step
