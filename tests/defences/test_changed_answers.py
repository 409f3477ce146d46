"""What a defence leaves alone is what the model itself answers, to the last bit, also where products are short."""

import pytest
import torch

from mea_lib import Oracle
from mea_lib.defences import AblatedLogits, MarkedAnswers, MarkedLabels
from mea_lib.training import answering, device

DEFENCES = {
    "marked answers": MarkedAnswers,
    "marked labels": lambda model, key, images: MarkedLabels(model, key, images, rate=0.0),
    "ablated logits": lambda model, key, images: AblatedLogits(model, key, images, dose=1.0),
}


@pytest.mark.parametrize("number", [20, 600])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("defence", DEFENCES.values(), ids=DEFENCES)
def test_no_image_changes_its_class_and_most_not_even_their_answer(
    victim, key, digits, defence, dtype, number, monkeypatch
):
    for module in (answering, device):
        monkeypatch.setattr(module, "training_dtype", lambda device: dtype)
    images = digits.queries[:number]
    own, changed = (Oracle(model)(images) for model in (victim, defence(victim, key, digits.owner)))
    of_source = torch.isin(own.argmax(1), torch.tensor(key.indices(digits.owner)[:2]))
    assert 0 < of_source.sum() < number
    assert torch.equal(own[~of_source], changed[~of_source])
    assert torch.equal(own.argmax(1), changed.argmax(1))
