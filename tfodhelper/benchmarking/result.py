"""What is measured of an exported model."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ModelFigures:
    """What was measured of an exported model; None stands for what could not be.

    Attributes:
      model: its path, as given.
      num_bytes: size of the file, or of graph and variables of a SavedModel.
      load_s: seconds until the model could be called.
      image_ms: median milliseconds from a decoded image to its detections, one image per call.
      image_ms_90: 90 % of the calls took at most that.
      num_timed: calls.
      memory_bytes: the most memory that the process of the model occupied.
      mean_ap, mean_ap_50: COCO's.
      num_images: images on which they were measured.
    """

    model: str
    num_bytes: int
    load_s: float
    image_ms: float
    image_ms_90: float
    num_timed: int
    memory_bytes: int | None
    mean_ap: float | None
    mean_ap_50: float | None
    num_images: int
