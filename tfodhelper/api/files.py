"""Reads and writes annotations, label maps and configurations, and looks up models."""

import os
from collections.abc import Sequence
from typing import Any

from tfodhelper import errors
from tfodhelper.annotations import label_map as label_map_files
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.label_map import LabelMap
from tfodhelper.annotations.structures import Annotation
from tfodhelper.config import pipeline as pipelines
from tfodhelper.zoo import catalogue
from tfodhelper.zoo.catalogue import ZooModel


def read_annotation(path: str | os.PathLike[str]) -> Annotation:
    """Reads one annotation file: XML of LabelImg, or of another program that writes Pascal VOC.

    Args:
      path: the XML file.

    Returns:
      An `Annotation`; boxes are as in the file. Objects without a readable box are in its `skipped`.

    Raises:
      AnnotationError: the file cannot be read, or is not an annotation.
    """
    annotation: Annotation = labelimg.read_labelimg(path)
    return annotation


def write_annotation(
    path: str | os.PathLike[str], annotation: Annotation, *, image_path: str | os.PathLike[str] | None = None
) -> None:
    """Writes one annotation file exactly as LabelImg does, atomically.

    Args:
      path: the XML file; an existing one is replaced.
      annotation: the content.
      image_path: the image that the file names; left out, the one called `annotation.filename` beside the XML file.

    Raises:
      AnnotationError: a class name that XML cannot hold.
      StorageError: the file cannot be written.
    """
    labelimg.write_labelimg(path, annotation, image_path=image_path)


def read_label_map(path: str | os.PathLike[str]) -> LabelMap:
    """Reads a label_map.pbtxt: the class names and their ids, from 1.

    Raises:
      AnnotationError: the file cannot be read, is empty, or names a class or an id twice.
    """
    label_map: LabelMap = label_map_files.read_label_map(path)
    return label_map


def write_label_map(path: str | os.PathLike[str], label_map: LabelMap | Sequence[str]) -> None:
    """Writes a label_map.pbtxt atomically.

    Args:
      path: the file; an existing one is replaced.
      label_map: a `LabelMap`, or class names, which get the ids 1, 2, 3, ... in the order given.

    Raises:
      AnnotationError: no class, a name or an id that occurs twice, an empty name.
      StorageError: the file cannot be written.
    """
    if isinstance(label_map, str):
        raise errors.AnnotationError(
            "write_label_map takes a LabelMap or a list of class names", received=repr(label_map), fix='["cat", "dog"]'
        )
    if not isinstance(label_map, LabelMap):
        label_map = label_map_files.number_names(label_map)
    label_map_files.write_label_map(path, label_map)


def read_pipeline(path: str | os.PathLike[str]) -> Any:
    """Reads a pipeline.config.

    Args:
      path: the file, or a folder with a pipeline.config in it.

    Returns:
      The protobuf message `TrainEvalPipelineConfig` of the Object Detection API's schema, so that
      `read_pipeline(path).train_config.batch_size` is a number that can be read and set.

    Raises:
      ConfigError: the file cannot be read or parsed; line, field and expected values are named.
    """
    return pipelines.read_pipeline(path)


def write_pipeline(path: str | os.PathLike[str], pipeline: Any) -> None:
    """Writes a pipeline.config atomically.

    Args:
      path: the file; an existing one is replaced.
      pipeline: a message as `read_pipeline` returns it.

    Raises:
      StorageError: the file cannot be written.
    """
    pipelines.write_pipeline(path, pipeline)


def find_model(name: str) -> ZooModel:
    """Finds a model of the Object Detection API's zoo.

    Args:
      name: a short name as "ssd_mobilenet_v1", the name of an archive, or the published title.

    Returns:
      The `ZooModel`; where a short name fits several, the one of the second generation with the smallest input.

    Raises:
      ZooError: no model has that name; the nearest names are given.
    """
    model: ZooModel = catalogue.find_model(name)
    return model


def list_models(text: str = "", *, trainable: bool = False) -> list[ZooModel]:
    """Lists the published models.

    Args:
      text: words that all have to be in the name, title, family or data set; every model for an empty text.
      trainable: whether only models that can be trained here are wanted.
    """
    models: list[ZooModel] = catalogue.list_models(text)
    return [model for model in models if model.trainable_here or not trainable]
