"""From answers to evidence: rates and their intervals, the threshold, the commitment, the report."""

from mea_lib.blackbox.named_class import accuracy
from mea_lib.proof.altered_evidence import AlteredEvidence, verify_altered
from mea_lib.proof.border_evidence import BorderEvidence, verify_border
from mea_lib.proof.boundary_distance import BlindWalk, MinGD
from mea_lib.proof.commitment import Commitment, Opening, commit, open_commitment
from mea_lib.proof.dataset_inference import DatasetEvidence, DatasetInference, verify_dataset
from mea_lib.proof.drawn_key import draw_key
from mea_lib.proof.error_fingerprint import ErrorFingerprint, verify_errors
from mea_lib.proof.error_queries import ErrorQueries, error_queries
from mea_lib.proof.evidence import Evidence
from mea_lib.proof.feature_evidence import FeatureEvidence, verify_features
from mea_lib.proof.key_check import KeyCheck, check_key
from mea_lib.proof.key_rank import KeyRank
from mea_lib.proof.nearest_mean import NearestMean
from mea_lib.proof.placement import Placement, sign_flip_p_value
from mea_lib.proof.plan import Plan
from mea_lib.proof.probed import ProbedSuspect
from mea_lib.proof.rates import (
    Rate,
    false_watermark_rates,
    other_pairs_rates,
    runner_up_share,
    watermark_success_rate,
    wrong_firing_rates,
)
from mea_lib.proof.runner_up_evidence import RunnerUpEvidence, verify_runner_up
from mea_lib.proof.secret_vector_rate import secret_vector_rate
from mea_lib.proof.task import TaskCheck
from mea_lib.proof.threshold import PAPER_THRESHOLD, Threshold, calibrate_threshold
from mea_lib.proof.trigger_rate import trigger_success_rate
from mea_lib.proof.verify import verify_ownership

__all__ = [
    "PAPER_THRESHOLD",
    "AlteredEvidence",
    "BlindWalk",
    "BorderEvidence",
    "Commitment",
    "DatasetEvidence",
    "DatasetInference",
    "ErrorFingerprint",
    "ErrorQueries",
    "Evidence",
    "FeatureEvidence",
    "KeyCheck",
    "KeyRank",
    "MinGD",
    "NearestMean",
    "Opening",
    "Placement",
    "Plan",
    "ProbedSuspect",
    "Rate",
    "RunnerUpEvidence",
    "TaskCheck",
    "Threshold",
    "accuracy",
    "calibrate_threshold",
    "check_key",
    "commit",
    "draw_key",
    "error_queries",
    "false_watermark_rates",
    "open_commitment",
    "other_pairs_rates",
    "runner_up_share",
    "secret_vector_rate",
    "sign_flip_p_value",
    "trigger_success_rate",
    "verify_altered",
    "verify_border",
    "verify_dataset",
    "verify_errors",
    "verify_features",
    "verify_ownership",
    "verify_runner_up",
    "watermark_success_rate",
    "wrong_firing_rates",
]
