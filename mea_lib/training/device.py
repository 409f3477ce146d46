"""Where and in which precision to train, decided by what the machine can do."""

import contextlib
import os

import torch


def best_device() -> torch.device:
    """The device that MEA_DEVICE names, such as "cpu"; else CUDA where there is one, else Apple's MPS, else the CPU.

    Raises:
        ValueError: for a name that is no device.
    """
    if name := os.environ.get("MEA_DEVICE"):
        try:
            return torch.device(name)
        except RuntimeError as error:
            raise ValueError(
                f"MEA_DEVICE is {name!r}, which is no device; set it to cpu, cuda or mps"
            ) from error
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _cpu_multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16 products (AVX512-BF16 or AMX)."""
    if not hasattr(torch.cpu, "get_capabilities"):  # torch before 2.12
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def training_dtype(device: torch.device) -> torch.dtype:
    """The precision of products in training.

    bfloat16 where the hardware multiplies it (recent GPUs, recent server processors), float16 with loss
    scaling on older GPUs such as the T4, float32 elsewhere. Weights and losses stay in float32.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    if device.type == "cpu" and _cpu_multiplies_bfloat16():
        return torch.bfloat16
    return torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager:
    """Context in which convolutions and products run in `dtype`."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)
