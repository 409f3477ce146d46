"""The query API of an encoder: images in, features out."""

from torch import Tensor

from mea_lib.blackbox.query_api import QueryAPI


class FeatureOracle(QueryAPI):
    """An encoder behind an API.

    Args:
        model: (N, C, H, W) uint8 images → (N, F) features.
        budget: how many queries may be sent in all; None for no limit.
        decimals: round features to so many places.
        noise: standard deviation of normal noise on every feature, in the features' own unit; drawn anew for each
            query.
        seed: of the noise.
        batch_size: images the model sees at once.

    Attributes:
        queries: sent so far.
        log: one `Query` for each call that was answered.
    """

    def _answer(self, outputs: Tensor) -> Tensor:
        answers = outputs.float()
        if self.noise:
            answers = answers + self._drawn_noise(answers)
        return answers if self.decimals is None else answers.round(decimals=self.decimals)
