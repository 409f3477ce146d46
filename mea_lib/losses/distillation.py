"""The loss of distillation; in its own terms the victim is the teacher, the surrogate the student."""

from torch import Tensor
from torch.nn import functional as F

from mea_lib.losses.temperature import check_temperature


def distillation_loss(logits: Tensor, answers: Tensor, temperature: float = 1.0) -> Tensor:
    """T²·KL(answers_T ‖ surrogate_T), both softened by the temperature (Hinton et al. 2015).

    Args:
        logits: (N, K) the surrogate's outputs.
        answers: (N, K) soft labels the victim answered with. One below 1e-12 counts as 1e-12: next to nothing
            at T = 1, but 1e-12^(1/20) is 0.25. Take T = 1 for rounded or cut ones and for hard labels.
        temperature: T. Probabilities are softened as p^(1/T), normalised again.

    Returns:
        scalar, in nats.

    Raises:
        ValueError: for a temperature that is not above 0.

    Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network (2015).
    """
    check_temperature(temperature)
    softened = F.softmax(answers.clamp_min(1e-12).log() / temperature, dim=1)
    surrogate = F.log_softmax(logits / temperature, dim=1)
    return temperature**2 * F.kl_div(surrogate, softened, reduction="batchmean")
