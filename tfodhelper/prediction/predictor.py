"""Runs a SavedModel on images, as a customer has it: any with the Object Detection API's signature.

The model's own words are the border: what a signature takes is read from the SavedModel, and nothing of the code that
made it is needed. Images are decoded by threads while the model works; what is read is the stored frame, an EXIF
orientation is not followed.
"""

import collections
import concurrent.futures
import dataclasses
import itertools
import os

import numpy as np
import tensorflow as tf

from tfodhelper import errors, fields
from tfodhelper.annotations import images as image_files
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.prediction import detections as results
from tfodhelper.prediction import saved_models

_MIXED, _DEFAULT = "serving_mixed", "serving_default"
_INPUT, _SIZES = "input_tensor", "image_sizes"
_REQUIRED = (fields.Detections.BOXES, fields.Detections.SCORES, fields.Detections.CLASSES)

_WINDOW_BATCHES = 4  # batches within which images are sorted by size
_WINDOW_BYTES = 1 << 28  # decoded images held at a time
_CALL_BYTES = 1 << 28  # padded images of one call


@dataclasses.dataclass(frozen=True)
class _Decoded:
    """An image in memory, or why there is none."""

    index: int
    image: np.ndarray | None  # uint8 [height, width, 3]
    problem: str | None = None


class Servable:
    """A signature of a SavedModel, as a function from images to detections.

    Args:
      saved_model_dir: see `saved_models.find_saved_model`.

    Attributes:
      mixes_sizes: whether images of different sizes can go into one call.
      batch_size: images that a call takes: a number, or None for any.

    Raises:
      PredictionError: when it cannot be loaded, or its signature is another one.
    """

    def __init__(self, saved_model_dir):
        self._folder = saved_models.find_saved_model(saved_model_dir)
        self._loaded = _load(self._folder)  # keeps the variables alive
        signatures = self._loaded.signatures
        self.mixes_sizes = _MIXED in signatures
        name = _MIXED if self.mixes_sizes else _DEFAULT
        if name not in signatures:
            raise errors.PredictionError(
                f"{self._folder}: no signature {_DEFAULT!r}", received=", ".join(signatures) or "no signature at all"
            )
        self._function = signatures[name]
        self._spec = self._check_signature()
        self.batch_size = self._spec[1].shape[0]
        self._encode = self._choose_encoding()

    def detect(self, images):
        """Runs the model once.

        Args:
          images: uint8 arrays [height, width, 3], at most `batch_size`; of one size unless `mixes_sizes`.

        Returns:
          For each image a dict of the keys of `fields.Detections` to arrays without the batch dimension.
        """
        if self.mixes_sizes:
            padded, sizes = _pad(images)
            inputs = {_INPUT: tf.constant(padded), _SIZES: tf.constant(sizes)}
        else:
            missing = (self.batch_size or len(images)) - len(images)
            inputs = {self._spec[0]: self._encode(list(images) + [images[-1]] * missing)}
        outputs = {key: value.numpy() for key, value in self._function(**inputs).items()}
        return [{key: value[i] for key, value in outputs.items()} for i in range(len(images))]

    def _check_signature(self):
        """Checks inputs and outputs; returns name and spec of the image input."""
        specs = dict(self._function.structured_input_signature[1])
        outputs = self._function.structured_outputs
        missing = [key for key in _REQUIRED if key not in outputs]
        if missing:
            raise errors.PredictionError(
                f"{self._folder}: this is no object detector with the Object Detection API's signature",
                expected="outputs " + ", ".join(_REQUIRED),
                received="outputs " + ", ".join(sorted(outputs)),
            )
        if self.mixes_sizes:
            return _INPUT, specs[_INPUT]
        fits = len(specs) == 1 and _is_image_spec(next(iter(specs.values())))
        if not fits:
            raise errors.PredictionError(
                f"{self._folder}: the inputs of this SavedModel are not understood",
                expected="one input: uint8 or float32 [batch, any height, any width, 3], or string [batch]",
                received="; ".join(f"{name} {spec.dtype.name} {spec.shape}" for name, spec in specs.items()),
                way_out="export it with --input_type=image_tensor",
            )
        return next(iter(specs.items()))

    def _choose_encoding(self):
        """A function from uint8 images to the input tensor."""
        dtype = self._spec[1].dtype
        if dtype != tf.string:
            return lambda images: tf.cast(tf.constant(np.stack(images)), dtype)
        probe = np.zeros([8, 8, 3], np.uint8)
        for encode in (_to_png, _to_example):
            try:
                self._function(**{self._spec[0]: tf.stack([encode(probe)] * (self.batch_size or 1))})
            except (tf.errors.OpError, UnicodeDecodeError):  # TensorFlow quotes the refused bytes as if they were text
                continue
            return lambda images, encode=encode: tf.stack([encode(image) for image in images])
        raise errors.PredictionError(
            f"{self._folder}: the string input takes neither an encoded image nor a tf.train.Example",
            way_out="export it with --input_type=image_tensor",
        )


class Predictor:
    """A SavedModel with the names of its classes.

    Args:
      saved_model_dir: folder of the SavedModel, or of the export around it.
      label_map: `LabelMap`, path of one, or None for the one that lies beside the SavedModel. Without any, a class is
        called by its id, as in "class_17".

    Attributes:
      label_map: the `LabelMap` in use, or None.
    """

    def __init__(self, saved_model_dir, label_map=None):
        self._servable = Servable(saved_model_dir)
        if label_map is None:
            label_map = saved_models.find_label_map(saved_model_dir)
        if isinstance(label_map, (str, os.PathLike)):
            label_map = label_maps.read_label_map(label_map)
        self.label_map = label_map
        self._names = {item.id: item.shown_name for item in label_map} if label_map is not None else {}

    def predict(self, paths, *, batch_size=8, score_threshold=0.0, on_unreadable=None):
        """Predicts image files.

        Args:
          paths: of the images.
          batch_size: images a call, where the model takes several.
          score_threshold: detections of a lower score are left out.
          on_unreadable: called with path and reason for each image that cannot be read, which is then left out; when
            None, the first one ends the prediction.

        Yields:
          `ImageDetections`, in the order of `paths`.

        Raises:
          PredictionError: on the first unreadable image, when `on_unreadable` is None.
        """
        for found, _ in self.predict_with_images(
            paths, batch_size=batch_size, score_threshold=score_threshold, on_unreadable=on_unreadable
        ):
            yield found

    def predict_with_images(self, paths, *, batch_size=8, score_threshold=0.0, on_unreadable=None):
        """As `predict`, and yields pairs of `ImageDetections` and the image, uint8 [height, width, 3]."""
        paths = list(paths)
        size = self._servable.batch_size or batch_size
        for window in _windows(_decode_all(paths), size * _WINDOW_BATCHES):
            good = []
            for item in window:
                if item.image is not None:
                    good.append(item)
                elif on_unreadable is None:
                    raise errors.PredictionError(item.problem, way_out="mend the image, or leave it out")
                else:
                    on_unreadable(paths[item.index], item.problem)
            outputs = self._run([item.image for item in good], size)
            for item, output in zip(good, outputs):
                yield self._to_detections(paths[item.index], item.image, output, score_threshold), item.image

    def detect(self, images, *, batch_size=8):
        """Runs the model on images in memory.

        Args:
          images: uint8 arrays [height, width, 3], of any sizes.
          batch_size: images a call, where the model takes several.

        Returns:
          For each image a dict of the keys of `fields.Detections` to arrays, as the SavedModel gives them: boxes
          normalized to the image, classes counted from 1.
        """
        return self._run(list(images), self._servable.batch_size or batch_size)

    def _run(self, images, batch_size):
        outputs = [None] * len(images)
        for batch in plan_batches([image.shape[:2] for image in images], batch_size, self._servable.mixes_sizes):
            for index, output in zip(batch, self._servable.detect([images[i] for i in batch])):
                outputs[index] = output
        return outputs

    def _to_detections(self, path, image, output, score_threshold):
        """The detections of one image, boxes in pixels of its stored frame."""
        height, width = image.shape[:2]
        num = int(output.get(fields.Detections.NUM, len(output[fields.Detections.SCORES])))
        boxes, scores, classes = (output[key][:num] for key in _REQUIRED)
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise errors.PredictionError(
                f"{path}: the model answers with numbers that are not finite",
                way_out="its weights are broken; export another checkpoint",
            )
        keep = np.flatnonzero(scores >= score_threshold)
        keep = keep[np.argsort(-scores[keep], kind="stable")]
        found = results.from_arrays(
            boxes[keep] * np.array([height, width, height, width], np.float64), classes[keep], self._names, scores[keep]
        )
        return results.ImageDetections(path=str(path), width=width, height=height, detections=found)


def read_image(path):
    """Reads an image file: the stored frame, RGB.

    Formats that records do not keep as they are go through the encoding that they get there.

    Args:
      path: of a file in any format that `annotations.images` knows.

    Returns:
      uint8 [height, width, 3].

    Raises:
      PredictionError: naming the file and what is wrong with it.
    """
    try:
        data = image_files.read_image(path)
        facts = image_files.inspect_image(data, path)
        encoded, format_ = image_files.encode_for_record(data, facts)
        if format_ == "jpeg":  # with the accurate transform: the pixels that Pillow and OpenCV read, to the bit
            return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE").numpy()
        return tf.io.decode_image(encoded, channels=3, expand_animations=False).numpy()
    except errors.AnnotationError as error:
        raise errors.PredictionError(
            error.what, expected=error.expected, received=error.received, way_out=error.way_out
        ) from error
    except tf.errors.OpError as error:
        raise errors.PredictionError(f"{path}: the image cannot be decoded", received=error.message) from error


def plan_batches(sizes, batch_size, mixes_sizes):
    """Groups images into calls.

    Args:
      sizes: (height, width) of each image.
      batch_size: greatest number of images in a call.
      mixes_sizes: whether images of different sizes may share a call; they are then padded to the largest, and images
        of similar size are put together so that little is padded.

    Returns:
      list of lists of indices into `sizes`; each index comes once.
    """
    order = sorted(range(len(sizes)), key=lambda i: (*sizes[i], i))
    batches = []
    for index in order:
        batch = batches[-1] if batches else None
        if batch and len(batch) < batch_size and _fits(sizes, batch, index, mixes_sizes):
            batch.append(index)
        else:
            batches.append([index])
    return batches


def _fits(sizes, batch, index, mixes_sizes):
    if not mixes_sizes:
        return sizes[batch[0]] == sizes[index]
    height, width = np.max([sizes[i] for i in [*batch, index]], axis=0).tolist()
    return (len(batch) + 1) * height * width * 3 <= _CALL_BYTES


def _decode_all(paths):
    """Decodes in threads, a few images ahead; yields `_Decoded` in order."""
    workers = max(2, os.cpu_count() or 1)

    def decode(index):
        try:
            return _Decoded(index, read_image(paths[index]))
        except errors.PredictionError as error:
            return _Decoded(index, None, str(error))

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        indices = iter(range(len(paths)))
        waiting = collections.deque(pool.submit(decode, i) for i in itertools.islice(indices, 2 * workers))
        try:
            while waiting:
                done = waiting.popleft().result()
                waiting.extend(pool.submit(decode, index) for index in itertools.islice(indices, 1))
                yield done
        finally:
            for future in waiting:
                future.cancel()


def _windows(decoded, count):
    """Lists of at most `count` images and `_WINDOW_BYTES`."""
    window, num_bytes = [], 0
    for item in decoded:
        window.append(item)
        num_bytes += item.image.nbytes if item.image is not None else 0
        if len(window) >= count or num_bytes >= _WINDOW_BYTES:
            yield window
            window, num_bytes = [], 0
    if window:
        yield window


def _load(folder):
    try:
        return tf.saved_model.load(str(folder))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise errors.PredictionError(f"{folder}: this SavedModel cannot be loaded: {error}") from error


def _is_image_spec(spec):
    if spec.dtype == tf.string:
        return spec.shape.rank == 1
    if spec.dtype not in (tf.uint8, tf.float32) or spec.shape.rank != 4:
        return False
    return spec.shape[1] is None and spec.shape[2] is None and spec.shape[3] in (3, None)


def _pad(images):
    """Images of any sizes -> uint8 [B, height, width, 3] padded with zeros, and int32 [B, 2] sizes."""
    sizes = np.array([image.shape[:2] for image in images], np.int32)
    padded = np.zeros([len(images), *sizes.max(axis=0), 3], np.uint8)
    for row, image in zip(padded, images):
        row[: image.shape[0], : image.shape[1]] = image
    return padded, sizes


def _to_png(image):
    return tf.io.encode_png(image, compression=1)


def _to_example(image):
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[_to_png(image).numpy()]))
    features = tf.train.Features(feature={fields.Record.ENCODED: feature})
    return tf.constant(tf.train.Example(features=features).SerializeToString())
