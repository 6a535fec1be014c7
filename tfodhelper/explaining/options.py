"""The options of an explanation; importing this module does not import TensorFlow."""

import dataclasses
import os
from collections.abc import Sequence

from tfodhelper import errors, jpeg_dct, options
from tfodhelper.config.options import ChangeOptions

LAYER_CAM, GRAD_CAM = "layer_cam", "grad_cam"
METHODS = {
    LAYER_CAM: "each position weighted by its own positive gradient: what made this detection, at its place",
    GRAD_CAM: "each channel weighted by its mean gradient: also shows similar things elsewhere in the image",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExplainOptions(ChangeOptions):
    """The options of `explain`.

    Attributes:
      images: image files and folders.
    """

    title = "Explanation"

    trained_checkpoint_dir: options.Path = options.option(
        options.REQUIRED,
        "Folder with the checkpoint, of which the newest is explained; the prefix of a checkpoint; or a run folder, "
        "for its best checkpoint.",
    )
    pipeline_config_path: options.Path | None = options.option(
        None,
        "The pipeline.config that the checkpoint was trained with; when omitted, the one in its folder or around it.",
    )
    label_map: options.Path | None = options.option(
        None,
        "label_map.pbtxt with the names of the classes, or the name of one that is included, such as mscoco. When "
        "omitted, the one that the pipeline.config names.",
    )
    image_dir: options.Path | None = options.option(None, "Folder with images; the same as an argument.")
    output_dir: options.Path | None = options.option(
        None, "Folder for the results; must not exist, or must be empty. Needed unless layers are only listed."
    )
    list_layers: bool = options.option(False, "Prints the layers and the sizes of their outputs, and ends.")
    layer: str | None = options.option(
        None,
        "The layer whose output is shown, as --list_layers names it; when omitted, the last step of the backbone that "
        "led to the detection and still has a position for every 8 pixels, or the finest one.",
    )
    method: str = options.option(LAYER_CAM, "How the heat maps are computed.", choices=METHODS)
    score_threshold: float = options.option(0.3, "Detections with a lower score are not explained.", least=0, most=1)
    max_detections: int = options.option(5, "Detections of an image that are explained, the best first.", least=1)
    max_channels: int = options.option(16, "Channels of the layer that are shown, the most active first.", least=1)
    filters: options.Texts = options.option(
        (),
        "Number of a channel of --layer, from 0: writes the image to which it responds most. May be repeated.",
        flag="filter",
        only_with=("layer",),
    )
    filter_steps: int = options.option(
        128, "Steps by which such an image is improved.", least=1, only_with=("filters",)
    )
    jpeg_dct: str | None = options.option(
        None, "How JPEGs are decoded; when omitted, as in the training.", choices=jpeg_dct.CHOICES
    )
    seed: int = options.seed_option()
    images: Sequence[str | os.PathLike[str]] = ()

    def __post_init__(self):
        super().__post_init__()
        if self.filters and self.layer is None:
            raise errors.UsageError(
                "--filter has no effect without --layer", fix="name a layer that --list_layers prints"
            )
        if not self.list_layers and self.output_dir is None:
            raise errors.UsageError("missing: --output_dir", expected="a folder for the results")
        if not self.list_layers and not self.filters and not self.paths:
            raise errors.UsageError(
                "no image given", fix="give images or folders, or use --image_dir; or --layer and --filter"
            )

    @property
    def paths(self):
        """All files and folders with images."""
        return ([self.image_dir] if self.image_dir else []) + list(self.images)

    @property
    def channels(self):
        """The numbers of `filters`.

        Raises:
          UsageError: one is not a whole number from 0 on.
        """
        for text in self.filters:
            if not text.isdecimal():
                raise errors.UsageError(
                    f"--filter={text}: invalid value", expected="a whole number, at least 0", received=text
                )
        return [int(text) for text in self.filters]
