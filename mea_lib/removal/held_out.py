"""Images that neither side of a theft has asked about: what somebody who has a model would clean it with."""

from mea_lib.data import Data, ImageSet


def held_out(data: Data) -> ImageSet:
    """The labelled training images that are not among the thief's queries, pixel by pixel.

    They are of the owner's kind, and the model was or was not trained on them: a victim was, its copy was not.

    Args:
        data: as `mea_lib.load` gives it.

    Returns:
        Labelled images, in the order of the training images.

    Raises:
        ValueError: where the thief has all training images.
    """
    asked = {image.tobytes() for image in data.queries.cpu().numpy()}
    left = [
        place for place, image in enumerate(data.train.images.cpu().numpy()) if image.tobytes() not in asked
    ]
    if not left:
        raise ValueError(
            f"the thief has all {len(data.train)} training images of {data.name}; choose a scale with fewer queries"
        )
    return data.train.subset(left)
