"""The options of the page in the browser; importing this module imports neither TensorFlow nor the server."""

import dataclasses

from tfodhelper import options
from tfodhelper.dataset.options import SourceOptions
from tfodhelper.prediction.options import PredictOptions


def port_option(text):
    """The field `port` of an options class."""
    return options.option(0, text, least=0, most=65535)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PageOptions(options.Options):
    """Where the page is."""

    title = "Page"

    port: int = port_option("Port of the page on this machine; 0 takes one that is free.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorOptions(options.Options):
    """Which detector suggests boxes."""

    title = "Detector"

    saved_model_dir: options.Path | None = options.option(
        None,
        "Folder of an exported detector, whose boxes are shown in images that have no XML file yet; or a .tflite file.",
    )
    score_threshold: float = options.option(
        0.5, "Detections with a lower score are not shown.", least=0, most=1, only_with=("saved_model_dir",)
    )
    max_overlap: float = options.option(
        0.5,
        "Of detections that overlap by more than this intersection over union, whatever their classes, only the best "
        "one is shown.",
        least=0,
        most=1,
        only_with=("saved_model_dir",),
    )
    trust_model: bool = options.like(PredictOptions, "trust_model", False, only_with=("saved_model_dir",))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelOptions(PageOptions, DetectorOptions, SourceOptions):
    """The options of `label`."""

    title = "Images and annotations"

    data_dir: options.Path | None = options.like(
        SourceOptions,
        "data_dir",
        None,
        text="Folder with the images, and with their LabelImg XML files if there are any; its subfolders are searched, "
        "too. When omitted, the usual layouts are looked for in the current folder.",
    )
    label_map: options.Path | None = options.like(
        SourceOptions,
        "label_map",
        None,
        text="label_map.pbtxt with the classes that a box may have; when omitted, those of the XML files and of the "
        "detector, and any other name.",
    )
