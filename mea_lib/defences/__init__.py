"""What an owner does to a model's answers before they go out.

Marked answers, marked labels, DAWN and ablated logits change them; the anomaly filter withholds them.
"""

from mea_lib.defences.anomaly_filter import AnomalyFilter
from mea_lib.defences.dawn import DAWN, AlteredAnswers
from mea_lib.defences.logit_ablation import AblatedLogits
from mea_lib.defences.marked_answers import MarkedAnswers
from mea_lib.defences.marked_labels import MarkedLabels

__all__ = ["DAWN", "AblatedLogits", "AlteredAnswers", "AnomalyFilter", "MarkedAnswers", "MarkedLabels"]
