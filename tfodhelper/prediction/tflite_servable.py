"""A TFLite file as a function from images to detections, in the place of a SavedModel."""

import os

import numpy as np

from tfodhelper.annotations import label_map as label_maps
from tfodhelper.prediction import saved_models
from tfodhelper.tflite import metadata, runtime


class TFLiteServable:
    """What `servable.Servable` is for a SavedModel; a file takes one image per call, and a core has calls of its own.

    Args:
      path: of the file.

    Attributes:
      mixes_sizes, batch_size, has_masks, detects_in_thread: as in `servable.Servable`.

    Raises:
      PredictionError: see `tflite.runtime.TFLiteDetector`.
    """

    mixes_sizes, batch_size, has_masks, detects_in_thread = False, 1, False, False

    def __init__(self, path):
        self._path, self._model = path, runtime.TFLiteDetector(path)

    def find_label_map(self):
        """The `LabelMap` in the file or next to it: label_map.pbtxt or labels.txt; None without any."""
        names = self._model.interface.class_names
        label_map_path, labels_path = saved_models.find_label_map(self._path), self._path.parent / metadata.LABELS
        if not names and label_map_path is not None:
            return label_maps.read_label_map(label_map_path)
        if not names and labels_path.is_file():
            lines = enumerate(labels_path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
            names = {id: name for id, name in lines if name and name != metadata.GAP}
        items = [label_maps.LabelMapItem(id, name) for id, name in sorted(names.items())]
        return label_maps.LabelMap(tuple(items)) if items else None

    def plan_calls(self, batch_size):
        """See `servable.Servable.plan_calls`."""
        del batch_size
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 1

    def prepare(self, image):
        """See `servable.Servable.prepare`."""
        pixels, true_shape = self._model.resize(image)
        return self._model.to_input(pixels, true_shape)[0], true_shape

    def detect(self, prepared, score_threshold=0.0):
        """See `servable.Servable.detect`."""
        answers = []
        for inputs, true_shape in prepared:
            outputs = self._model.run(inputs[np.newaxis])
            answers.append(self._model.to_detections(outputs, true_shape, score_threshold))
        return answers
