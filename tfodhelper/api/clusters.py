"""Work for many machines: a conversion with Apache Beam, a prediction with Ray. Both packages are extras."""

import importlib
import os
import types
from collections.abc import Sequence
from typing import Any

from tfodhelper import errors, tensorflow_setup
from tfodhelper.annotations.label_map import LabelMap
from tfodhelper.config import label_maps


def convert_with_beam(
    pattern: str,
    output_dir: str | os.PathLike[str],
    label_map: LabelMap | str | os.PathLike[str],
    *,
    val_fraction: float = 0.2,
    seed: int = 0,
    num_shards: int = 0,
    decode: bool = False,
    argv: Sequence[str] = (),
) -> None:
    """Converts images with LabelImg XML to records with Apache Beam, and waits until it has finished.

    This is for images in a bucket. Each XML file must be next to its image. Images are assigned to training and
    validation by the digest of their content, so that identical images stay together. Beam and TensorFlow require
    different versions of protobuf: install the extra `beam` in an environment of its own.

    Args:
      pattern: pattern of all images and XML files, in the syntax of Beam's file systems: "gs://bucket/photos/**".
      output_dir: folder for train.record-*, validate.record-* and left_out.txt-*, which lists what was left out and
        why.
      label_map: a `LabelMap`, the path of one, or the name of one that is included in this program; images with other
        classes are left out.
      val_fraction: fraction of the images for validation, at least 0 and below 1.
      seed: of the split.
      num_shards: number of files for training and for validation; 0 leaves it to the runner.
      decode: whether to decode images to verify that they are complete.
      argv: flags for Beam, such as "--runner=DataflowRunner".

    Raises:
      UsageError, AnnotationError: the fraction is invalid; the label map cannot be read.
      TfodhelperError: Beam is not installed.
    """
    if not 0 <= val_fraction < 1:
        raise errors.UsageError(
            "val_fraction is invalid", expected="a number at least 0, below 1", received=val_fraction
        )
    known = label_maps.to_label_map(label_map)
    beam = _import_extra("tfodhelper.records.beam", "apache_beam", "beam")
    beam.run_pipeline(pattern, output_dir, beam.MakeRecords(known, val_fraction, seed, decode), num_shards, argv)


def predict_with_ray(
    dataset: Any,
    saved_model_dir: str | os.PathLike[str],
    *,
    num_actors: int = 1,
    num_gpus: float = 0,
    rows_per_call: int = 64,
    batch_size: int = 8,
    score_threshold: float = 0.05,
    max_detections: int = 100,
    is_for_many: bool = False,
    trust_model: bool = False,
) -> Any:
    """Predicts the images of a Ray dataset, on as many machines as the cluster has.

        pool = ray.data.from_items([{"name": "a.jpg", "path": "/data/a.jpg"}, ...])
        tfodhelper.predict_with_ray(pool, "runs/first", num_actors=4, num_gpus=1).write_parquet("/data/predictions")

    The paths must be readable, and tfodhelper installed, on every machine. Ray is the extra `ray`.

    Args:
      dataset: `ray.data.Dataset` with the columns `name` and `path`.
      saved_model_dir: as for `Predictor`, readable on every machine.
      num_actors: number of processes that hold the model.
      num_gpus: GPUs per process.
      rows_per_call: images that a process gets at a time.
      batch_size: images per call of the model, where it takes several.
      score_threshold: detections with a lower score are left out.
      max_detections: maximum number of detections per image.
      is_for_many: whether each process gets so many images that several seconds of preparation pay off.
      trust_model: as for `Predictor`.

    Returns:
      `ray.data.Dataset`, evaluated when it is read, with the columns `name`; `prediction`, one line of JSON, empty for
      an image that cannot be read; `problem`, why it cannot, else empty; and `features`, float32 [D], where the model
      gives them.

    Raises:
      UsageError: `dataset` is not a dataset of Ray.
    """
    if not hasattr(dataset, "map_batches"):
        raise errors.UsageError(
            "predict_with_ray takes a dataset of Ray",
            expected="a ray.data.Dataset with the columns name and path",
            received=type(dataset).__name__,
            fix='ray.data.from_items([{"name": "a.jpg", "path": "/data/a.jpg"}, ...]); ' + _how_to_install("ray"),
        )
    tensorflow_setup.quiet_tensorflow()
    from tfodhelper.active_learning.pool import ray_pool

    return dataset.map_batches(
        ray_pool.RayModel,
        fn_constructor_args=(os.fspath(saved_model_dir),),
        fn_constructor_kwargs={
            "batch_size": batch_size,
            "score_threshold": score_threshold,
            "max_detections": max_detections,
            "is_for_many": is_for_many,
            "trust_model": trust_model,
        },
        batch_size=rows_per_call,
        batch_format="numpy",
        concurrency=num_actors,
        num_gpus=num_gpus or None,
    )


def _import_extra(module: str, package: str, extra: str) -> types.ModuleType:
    """Imports a module that needs a package which is not installed with this one.

    Raises:
      TfodhelperError: the package is not installed, and how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        problem = f"the Python package {package!r} is not installed"
        raise errors.TfodhelperError(problem, fix=_how_to_install(extra)) from error


def _how_to_install(extra: str) -> str:
    return f'pip install "tfodhelper[{extra}]", or pip install ".[{extra}]" in the folder of its sources'
