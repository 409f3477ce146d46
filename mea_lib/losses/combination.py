"""The output domain: a watermark sample is answered like the samples it was made of."""

from torch import Tensor
from torch.nn import functional as F

from mea_lib.losses.temperature import check_temperature

DIRECTIONS = ("forward", "reverse")


def combination_loss(
    watermark_logits: Tensor,
    source_logits: tuple[Tensor, Tensor],
    temperature: float = 1.0,
    detach_sources: bool = False,
    direction: str = "forward",
) -> Tensor:
    """Pull the watermark's output distribution onto those of both source classes (Eq. 6).

    KL(f(x_wm) ‖ f(x_si)) + KL(f(x_wm) ‖ f(x_sj)), averaged over the batch.

    Args:
        watermark_logits: (N, K) outputs on N combined images.
        source_logits: two (N, K) tensors, outputs on the images they were combined from.
        temperature: softens all three distributions; 1 is the paper's.
        detach_sources: take the source outputs as constants, as the released code does. Then nothing about
            the clean answers changes, and the watermark does not reach a surrogate.
        direction: "forward" as above, "reverse" for KL(f(x_s) ‖ f(x_wm)).

    Returns:
        scalar, in nats.

    Raises:
        ValueError: for a temperature that is not above 0, or an unknown direction.

    Source: MEA-Defender (S&P 2024), Eq. 6.
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"unknown direction {direction!r}; choose one of: {', '.join(DIRECTIONS)}")
    check_temperature(temperature)
    watermark = F.log_softmax(watermark_logits / temperature, dim=1)
    total = watermark.new_zeros(())
    for logits in source_logits:
        source = F.log_softmax((logits.detach() if detach_sources else logits) / temperature, dim=1)
        left, right = (watermark, source) if direction == "forward" else (source, watermark)
        # torch's kl_div(input, target) is KL(target ‖ input).
        total = total + F.kl_div(right, left, reduction="batchmean", log_target=True)
    return total
