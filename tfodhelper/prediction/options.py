"""The options of the prediction of images; importing this module does not import TensorFlow."""

import dataclasses

from tfodhelper import jpeg_dct, options
from tfodhelper.tiling.options import TileOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelAndResultOptions(options.Options):
    """Which model predicts, and what is written."""

    title = "Prediction"

    saved_model_dir: options.Path = options.option(
        options.REQUIRED,
        "Folder of the SavedModel, of the export that contains it, or of the run that exported it; a .tflite file; or "
        "an archive of the zoo (.tar.gz), or the name of a model of the zoo.",
    )
    image_dir: options.Path | None = options.option(None, "Folder with images; the same as an argument.")
    output_dir: options.Path = options.option(
        options.REQUIRED, "Folder for the results; must not exist, or must be empty."
    )
    label_map: options.Path | None = options.option(
        None,
        "label_map.pbtxt with the names of the classes, or the name of one that is included, such as mscoco. When "
        "omitted, the one next to the model, or in the TFLite file.",
    )
    score_threshold: float = options.option(0.5, "Detections with a lower score are dropped.", least=0, most=1)
    batch_size: int = options.option(8, "Images per call, where the SavedModel takes several.", least=1)
    jpeg_dct: str | None = options.option(
        None,
        "How JPEGs are decoded; when omitted, as the export says, and accurately where it says nothing.",
        choices=jpeg_dct.CHOICES,
    )
    write_xml: bool = options.option(False, "Writes LabelImg XML.")
    trust_model: bool = options.option(
        False,
        "Loads a SavedModel although it does more than compute, such as reading or writing files. Use it only for "
        "models whose makers you trust: they may do whatever you may.",
    )
    draw: bool = options.option(False, "Writes pictures with boxes.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilmOptions(options.Options):
    """How films and cameras are read."""

    title = "Films and cameras"

    camera: int | None = options.option(
        None,
        "The number of a camera, whose frames are predicted until Ctrl-C: 0 is the first one (/dev/video0).",
        least=0,
        not_with=("image_dir",),
    )
    every: int = options.option(1, "Predicts one frame of so many.", least=1)
    max_frames: int | None = options.option(
        None, "Ends after so many predicted frames; when omitted, at the end of the film.", least=1
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions(FilmOptions, TileOptions, ModelAndResultOptions):
    """The options of `predict`, besides the images."""
