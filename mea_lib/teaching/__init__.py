"""What only the chapters need: claims checked by code, figures in one palette, checks of readers' answers.

Also why a watermark travels: the places of the key's classes in clean answers, and the additivity of answers.
"""

from mea_lib.teaching.additivity import Additivity, additivity
from mea_lib.teaching.answers import check_choice, check_number
from mea_lib.teaching.claims import Claims, Paper
from mea_lib.teaching.class_place import ClassPlace, places_on_sources
from mea_lib.teaching.diagrams import losses_diagram, threat_model_diagram
from mea_lib.teaching.encoders import encoder_spaces, probe_report, probe_table
from mea_lib.teaching.feature_space import feature_space
from mea_lib.teaching.figures import PALETTE, bars, curves, distributions, gallery, heatmap, use_style
from mea_lib.teaching.results import column, find_results, runs_with, so_far
from mea_lib.teaching.small_multiples import side_by_side
from mea_lib.teaching.spread import mean_wfpr, spread
from mea_lib.teaching.tables import Table

__all__ = [
    "PALETTE",
    "Additivity",
    "Claims",
    "ClassPlace",
    "Paper",
    "Table",
    "additivity",
    "bars",
    "check_choice",
    "check_number",
    "column",
    "curves",
    "distributions",
    "encoder_spaces",
    "feature_space",
    "find_results",
    "gallery",
    "heatmap",
    "losses_diagram",
    "mean_wfpr",
    "places_on_sources",
    "probe_report",
    "probe_table",
    "runs_with",
    "side_by_side",
    "so_far",
    "spread",
    "threat_model_diagram",
    "use_style",
]
