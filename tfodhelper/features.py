"""Features of labelled objects: a backbone's output for each box, one vector per object."""

import pathlib

import numpy as np
import tensorflow as tf

from tfodhelper import console, errors, families, jpeg_dct, resizers, run_layout
from tfodhelper.annotations import images as image_files
from tfodhelper.checkpoints import restore
from tfodhelper.config import pipeline as pipelines
from tfodhelper.fields import Predictions
from tfodhelper.models import build as models_build
from tfodhelper.prediction import model_safety, saved_models

_BATCH = 32
_DETECTIONS = ("detection_", "raw_detection_", "num_detections")


def build_extractor(path, size_px=224, trust_model=False):
    """A function from crops to features.

    Args:
      path: a folder with pipeline.config and a checkpoint (an export, an archive of the zoo), a run folder, meaning its
        best export, or a SavedModel with one image input and an output of features: [B, D], or [B, H, W, D], which is
        averaged over the positions.
      size_px: side of the crops for a SavedModel whose input has no fixed size.
      trust_model: whether to load a SavedModel even if it does more than compute, see `prediction.model_safety`.

    Returns:
      A function from a list of uint8 [h, w, 3] arrays to float32 [B, D].

    Raises:
      CheckpointError, PredictionError: the path contains nothing that gives features.
    """
    path = pathlib.Path(path)
    if run_layout.is_run(path) and run_layout.export_of(path, "best").is_dir():
        path = run_layout.export_of(path, "best")
    config = path / "pipeline.config" if path.is_dir() else None
    if config is not None and config.is_file():
        return _from_checkpoint(path, config)
    return _from_saved_model(saved_models.find_saved_model(path), size_px, trust_model)


def _from_checkpoint(path, config):
    message = pipelines.read_pipeline(config)
    detector = models_build.build_detector(message.model, is_training=False)
    folder = path / "checkpoint" if (path / "checkpoint").is_dir() else path
    report = restore.restore_for_fine_tuning(detector, folder, "detection")
    console.say(str(report))
    resizer = resizers.build_resizer(families.architecture_of(message.model).image_resizer)

    @tf.function(autograph=False)
    def extract(images, shapes):
        outputs = detector.predict_raw(detector.normalize(images, shapes), shapes, training=False)
        deepest = max(outputs[Predictions.FEATURE_MAPS], key=lambda maps: maps.shape[-1])
        return tf.reduce_mean(deepest, axis=[1, 2])

    def extract_all(crops):
        resized = [resizer(tf.cast(crop, tf.float32)) for crop in crops]
        images, shapes = zip(*resized)
        return extract(tf.stack(images), tf.stack(shapes)).numpy()

    return extract_all


def _from_saved_model(folder, size_px, trust_model):
    loaded = model_safety.load(folder, trust_model)
    call = loaded.signatures.get("serving_default")
    if call is None:
        raise errors.PredictionError(f"{folder}: no signature serving_default", received=", ".join(loaded.signatures))
    inputs = call.structured_input_signature[1]
    (name, spec), *rest = inputs.items()
    if rest or spec.shape.rank != 4:
        raise errors.PredictionError(
            f"{folder}: takes inputs other than images", expected="one input [batch, height, width, 3]", received=inputs
        )
    outputs = {key: value for key, value in call.structured_outputs.items() if not key.startswith(_DETECTIONS)}
    outputs = {key: value for key, value in outputs.items() if value.shape.rank in (2, 4) and value.dtype.is_floating}
    if not outputs:
        raise errors.PredictionError(
            f"{folder}: has no output of features",
            expected="an output [batch, D] or [batch, height, width, D] besides detections",
            received=", ".join(call.structured_outputs),
            fix="use a folder with pipeline.config and a checkpoint, such as export/best of a run",
        )
    output = sorted(outputs)[0]
    side = [spec.shape[1] or size_px, spec.shape[2] or size_px]

    def extract_all(crops):
        images = tf.stack([tf.image.resize(tf.cast(crop, tf.float32), side) for crop in crops])
        images = tf.cast(tf.round(images), spec.dtype) if spec.dtype.is_integer else images / 127.5 - 1
        batches = [images] if spec.shape[0] is None else tf.split(images, len(crops))
        values = tf.concat([call(**{name: batch})[output] for batch in batches], axis=0)
        return tf.reduce_mean(values, axis=[1, 2]).numpy() if values.shape.rank == 4 else values.numpy()

    return extract_all


def extract_features(extract, images, per_class=200, seed=0):
    """Extracts features of objects, a random sample of each class.

    Args:
      extract: from `build_extractor`.
      images: `usable_images.UsableImage`s.
      per_class: maximum number of objects per class.
      seed: of the sample.

    Returns:
      (float32 [N, D], N class names).
    """
    chosen = _choose(images, per_class, seed)
    features, labels, crops = [], [], []
    with console.Progress("objects processed", sum(len(boxes) for _, boxes in chosen)) as progress:
        for image, numbers in chosen:
            pixels, annotation = _read_pixels(image), image.annotation
            for number in numbers:
                box = annotation.boxes[number]
                top, left = int(box.ymin), int(box.xmin)
                crops.append(pixels[top : max(top + 1, round(box.ymax)), left : max(left + 1, round(box.xmax))])
                labels.append(box.name)
            while len(crops) >= _BATCH:
                features.append(extract(crops[:_BATCH]))
                crops = crops[_BATCH:]
            progress.advance(len(numbers))
    if crops:
        features.append(extract(crops))
    return (np.concatenate(features) if features else np.zeros((0, 1), np.float32)), labels


def _choose(images, per_class, seed):
    """[(image, numbers of its boxes)] with at most `per_class` boxes of each class."""
    by_class = {}
    for position, image in enumerate(images):
        for number, label in enumerate(image.labels):
            by_class.setdefault(label, []).append((position, number))
    chance, chosen = np.random.default_rng(seed), {}
    for label in sorted(by_class):
        boxes = by_class[label]
        for i in sorted(chance.permutation(len(boxes))[:per_class]):
            chosen.setdefault(boxes[i][0], []).append(boxes[i][1])
    return [(images[position], chosen[position]) for position in sorted(chosen)]


def _read_pixels(image):
    """uint8 [height, width, 3] of the frame that the boxes belong to."""
    data, format = image_files.encode_for_record(image_files.read_image(image.path), image.facts, image.turn)
    if format == "png":
        return tf.io.decode_png(data, channels=3).numpy()
    return tf.io.decode_jpeg(data, channels=3, dct_method=jpeg_dct.method_of(jpeg_dct.ACCURATE)).numpy()
