"""Losses, one a file, on logits and probabilities alone: no model, no data."""

from mea_lib.losses.combination import combination_loss
from mea_lib.losses.contrastive import neighbour_contrastive_loss
from mea_lib.losses.contrastive_stealing import contrastive_stealing_loss
from mea_lib.losses.distillation import distillation_loss
from mea_lib.losses.evasion import evasion_loss
from mea_lib.losses.feature_distance import feature_distance
from mea_lib.losses.nt_xent import nt_xent_loss
from mea_lib.losses.projected_spread import principal_directions, projected_spread_loss
from mea_lib.losses.representation_similarity import representation_similarity_loss
from mea_lib.losses.rival import rival_loss
from mea_lib.losses.runner_up import runner_up_loss, runner_up_targets
from mea_lib.losses.same_class_coupling import class_centres, same_class_coupling_loss
from mea_lib.losses.secret_vector import secret_alignment_loss, secret_orthogonality_loss
from mea_lib.losses.soft_nearest_neighbor import soft_nearest_neighbor_loss
from mea_lib.losses.utility import utility_loss
from mea_lib.losses.verification import verification_loss

__all__ = [
    "class_centres",
    "combination_loss",
    "contrastive_stealing_loss",
    "distillation_loss",
    "evasion_loss",
    "feature_distance",
    "neighbour_contrastive_loss",
    "nt_xent_loss",
    "principal_directions",
    "projected_spread_loss",
    "representation_similarity_loss",
    "rival_loss",
    "runner_up_loss",
    "runner_up_targets",
    "same_class_coupling_loss",
    "secret_alignment_loss",
    "secret_orthogonality_loss",
    "soft_nearest_neighbor_loss",
    "utility_loss",
    "verification_loss",
]
