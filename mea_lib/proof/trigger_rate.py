"""How often a suspect gives trigger images the wrong labels that were drawn for them."""

from mea_lib.blackbox.named_class import Suspect
from mea_lib.proof.rates import Rate, target_rate
from mea_lib.watermarks.margin_based import TriggerSet


def trigger_success_rate(suspect: Suspect, triggers: TriggerSet) -> Rate:
    """WSR of a trigger set: share of its images that the suspect calls their drawn label.

    `trigger_success_rate(suspect, triggers).p_value(triggers.chance)` is the p-value over the draw of the labels: no
    model that was made without them names more than that share of them, but by luck.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) answers; a row with NaN is no answer and counts as failed.
        triggers: as `TriggerSet.drawn_from` drew them.
    """
    return target_rate(suspect, triggers.images, triggers.labels)
