"""From a folder of labelled images to a trained, evaluated, exported TensorFlow object detector.

    import tfodhelper

    tfodhelper.run(data_dir="photos", model="ssd_mobilenet_v1", output_dir="runs/first")

    detector = tfodhelper.Predictor("runs/first")
    detector.predict("photo.jpg").draw("out.jpg")

What a program needs:

  jobs             run; step by step convert, make_pipeline, train, evaluate, export; check, label; explain, report,
                    compare, benchmark
  a detector       Predictor, which gives a Prediction for each image, with a Detection for each object
  active learning  create_workspace, run_rounds; Question, Answer and Edits for an oracle of one's own
  files            read_ and write_ annotation (Annotation, Box), label_map (LabelMap), pipeline
  the zoo          find_model, list_models
  many machines    convert_with_beam, predict_with_ray

Importing this package costs nothing: each name is loaded when it is used for the first time, and TensorFlow when work
begins that needs it. What can go wrong with the input or the machine is a `TfodhelperError`, whose message says what
was expected, what came and how to fix it.
"""

import importlib
from typing import TYPE_CHECKING

from tfodhelper.version import __version__

if TYPE_CHECKING:  # the same names as in _MODULES, for type checkers and editors; a test compares them
    from tfodhelper.active_learning.structures import Answer as Answer
    from tfodhelper.active_learning.structures import Edits as Edits
    from tfodhelper.active_learning.structures import Question as Question
    from tfodhelper.annotations.label_map import LabelMap as LabelMap
    from tfodhelper.annotations.structures import Annotation as Annotation
    from tfodhelper.annotations.structures import Box as Box
    from tfodhelper.api.clusters import convert_with_beam as convert_with_beam
    from tfodhelper.api.clusters import predict_with_ray as predict_with_ray
    from tfodhelper.api.files import find_model as find_model
    from tfodhelper.api.files import list_models as list_models
    from tfodhelper.api.files import read_annotation as read_annotation
    from tfodhelper.api.files import read_label_map as read_label_map
    from tfodhelper.api.files import read_pipeline as read_pipeline
    from tfodhelper.api.files import write_annotation as write_annotation
    from tfodhelper.api.files import write_label_map as write_label_map
    from tfodhelper.api.files import write_pipeline as write_pipeline
    from tfodhelper.api.jobs import benchmark as benchmark
    from tfodhelper.api.jobs import check as check
    from tfodhelper.api.jobs import compare as compare
    from tfodhelper.api.jobs import convert as convert
    from tfodhelper.api.jobs import evaluate as evaluate
    from tfodhelper.api.jobs import explain as explain
    from tfodhelper.api.jobs import export as export
    from tfodhelper.api.jobs import label as label
    from tfodhelper.api.jobs import make_pipeline as make_pipeline
    from tfodhelper.api.jobs import report as report
    from tfodhelper.api.jobs import run as run
    from tfodhelper.api.jobs import train as train
    from tfodhelper.api.prediction import Prediction as Prediction
    from tfodhelper.api.predictor import Predictor as Predictor
    from tfodhelper.api.rounds import create_workspace as create_workspace
    from tfodhelper.api.rounds import run_rounds as run_rounds
    from tfodhelper.errors import TfodhelperError as TfodhelperError
    from tfodhelper.prediction.detections import Detection as Detection

# {public name: the module that defines it}
_MODULES = {
    "Annotation": "annotations.structures",
    "Answer": "active_learning.structures",
    "Box": "annotations.structures",
    "Detection": "prediction.detections",
    "Edits": "active_learning.structures",
    "LabelMap": "annotations.label_map",
    "Prediction": "api.prediction",
    "Predictor": "api.predictor",
    "Question": "active_learning.structures",
    "TfodhelperError": "errors",
    "benchmark": "api.jobs",
    "check": "api.jobs",
    "compare": "api.jobs",
    "convert": "api.jobs",
    "convert_with_beam": "api.clusters",
    "create_workspace": "api.rounds",
    "evaluate": "api.jobs",
    "explain": "api.jobs",
    "export": "api.jobs",
    "find_model": "api.files",
    "label": "api.jobs",
    "list_models": "api.files",
    "make_pipeline": "api.jobs",
    "predict_with_ray": "api.clusters",
    "read_annotation": "api.files",
    "read_label_map": "api.files",
    "read_pipeline": "api.files",
    "report": "api.jobs",
    "run": "api.jobs",
    "run_rounds": "api.rounds",
    "train": "api.jobs",
    "write_annotation": "api.files",
    "write_label_map": "api.files",
    "write_pipeline": "api.files",
}

__all__ = ["__version__", *_MODULES]


if not TYPE_CHECKING:  # else a type checker would take every name for a public one

    def __getattr__(name):
        """Loads a public name when it is used for the first time."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
