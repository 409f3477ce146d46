"""What draws from the global random state, such as a new layer's weights or dropout, draws by a seed."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

CPU = torch.device("cpu")


@contextmanager
def seeded(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Seed the global random state of the CPU and of a device inside this context; afterwards it is as it was.

    Those of other devices are not touched, as `torch.manual_seed` would, which nobody puts back.

    Args:
        seed: of what is drawn without a generator.
        device: where it is drawn, beside the CPU.
    """
    on_cpu = device.type == "cpu"
    with torch.random.fork_rng([] if on_cpu else [device], device_type="cuda" if on_cpu else device.type):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif not on_cpu:
            torch.get_device_module(device).manual_seed(seed)
        yield
