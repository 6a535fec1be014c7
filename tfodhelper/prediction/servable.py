"""The signatures of a SavedModel as functions from images to detections, and how their calls share the processor."""

import itertools
import os

import numpy as np
import tensorflow as tf

from tfodhelper import errors, fields, jpeg_dct, tensorflow_setup
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.prediction import model_safety, output_check, saved_models, single_thread, tflite_servable

_DEFAULT, _MIXED = "serving_default", "serving_mixed"
_PREPARE, _PREPARED = "serving_prepare", "serving_prepared"
_EXTRACT, _CONCLUDE = "serving_extract", "serving_conclude"
_INPUT, _SIZES = "input_tensor", "image_sizes"

_MOST_ON_ONE_CORE = 4  # images per call; with more, intermediate values leave the caches before they are read again


def run_each_call_on_one_core():
    """Sets up TensorFlow for a process that only predicts: each call runs on its own core.

    Operations then do not wait for other cores, and a call's values stay in the caches of its core. A single call takes
    longer, so this pays off only for many images. Nothing changes if there are devices other than the processor, if
    TensorFlow has already started, or if its threads have already been configured.
    """
    settings = tf.config.threading
    if not _is_processor_all_there_is():
        return
    if settings.get_intra_op_parallelism_threads() or "TF_NUM_INTRAOP_THREADS" in os.environ:
        return
    try:
        settings.set_intra_op_parallelism_threads(1)
        settings.set_inter_op_parallelism_threads(_count_cores())
    except RuntimeError:  # TensorFlow has already started
        return


def _has_core_for_each_call():
    """Whether TensorFlow was set up by `run_each_call_on_one_core`, or in the same way."""
    return tf.config.threading.get_intra_op_parallelism_threads() == 1 and _is_processor_all_there_is()


def _is_processor_all_there_is():
    return {device.device_type for device in tf.config.get_visible_devices()} == {"CPU"}


def _count_cores():
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load(path, is_for_many=False, trust_model=False, dct=jpeg_dct.ACCURATE):
    """A model as functions from images to detections.

    Args:
      path: see `saved_models.find_model`.
      is_for_many, trust_model, dct: see `Servable`.

    Returns:
      `Servable` or `tflite_servable.TFLiteServable`.

    Raises:
      PredictionError: it cannot be loaded, or is not a detector.
    """
    path = saved_models.find_model(path)
    if saved_models.is_tflite(path):
        return tflite_servable.TFLiteServable(path)
    return Servable(path, is_for_many, trust_model, dct)


class Servable:
    """The signatures of a SavedModel, as functions from images to detections.

    Exports of this program prepare images one by one and detect in batches; older ones take padded images of mixed
    sizes; all others have only the Object Detection API's signature.

    Args:
      saved_model_dir: see `saved_models.find_saved_model`.
      is_for_many: whether there will be so many images that a few more seconds of preparation pay off; after
        `run_each_call_on_one_core` they always do.
      trust_model: whether to load it even if it does more than compute, see `model_safety`.
      dct: how JPEGs are decoded, a key of `jpeg_dct.CHOICES`.

    Attributes:
      mixes_sizes: whether images of different sizes can go into one call.
      batch_size: images that a call takes: a number, or None for any.
      has_masks: whether it gives masks.
      detects_in_thread: whether `prepare_jpeg` and `detect_in_thread` can be used, which are then faster.

    Raises:
      PredictionError: it cannot be loaded, does more than compute, or its signature is not supported.
    """

    def __init__(self, saved_model_dir, is_for_many=False, trust_model=False, dct=jpeg_dct.ACCURATE):
        self._dct = dct
        self._folder = saved_models.find_saved_model(saved_model_dir)
        self._loaded = model_safety.load(self._folder, trust_model)  # keeps the variables alive
        signatures = self._loaded.signatures
        name = next((name for name in (_PREPARED, _MIXED, _DEFAULT) if name in signatures), None)
        if name is None:
            raise errors.PredictionError(
                f"{self._folder}: no signature {_DEFAULT!r}", received=", ".join(signatures) or "no signature at all"
            )
        self._prepare = signatures[_PREPARE] if name == _PREPARED else None
        self.mixes_sizes = name == _MIXED
        self._function = signatures[name]
        self.has_masks = fields.Detections.MASKS in self._function.structured_outputs
        self.detects_in_thread = self._prepare is not None and (
            _has_core_for_each_call() or is_for_many and _is_processor_all_there_is()
        )
        if self.detects_in_thread:
            self._get_ready(signatures.get(_EXTRACT), signatures.get(_CONCLUDE, self._function))
        self._spec = None if self._prepare else self._check_signature()
        self.batch_size = self._spec[1].shape[0] if self._spec else None
        self._encode = self._choose_encoding() if self._spec and not self.mixes_sizes else None

    def find_label_map(self):
        """The `LabelMap` next to the SavedModel, or None."""
        path = saved_models.find_label_map(self._folder)
        return None if path is None else label_maps.read_label_map(path)

    def plan_calls(self, batch_size):
        """Plans calls that keep the devices busy.

        On processors, there is one call per core, with few images. Otherwise there are two: one computes while the
        other waits for its last operation, or for a copy to a device.

        Args:
          batch_size: maximum number of images per call.

        Returns:
          Number of simultaneous calls, and of images in each.
        """
        if self.detects_in_thread:
            return _count_cores(), self._num_in_thread
        if _has_core_for_each_call():
            return max(2, _count_cores()), self.batch_size or min(batch_size, _MOST_ON_ONE_CORE)
        return 2, self.batch_size or batch_size

    def prepare(self, image):
        """Prepares an image for `detect`; may be called from several threads.

        Args:
          image: uint8 [height, width, 3], array or tensor.

        Returns:
          tuple of tensors or arrays, the first one [height, width, 3].
        """
        if self._prepare is None:
            return (np.asarray(image),)
        with tf.device("/CPU:0"):
            outputs = self._prepare(input_tensor=tf.convert_to_tensor(image))
        return outputs[fields.Prepared.INPUTS], outputs[fields.Prepared.TRUE_IMAGE_SHAPE]

    def detect(self, prepared, score_threshold=0.0):
        """Runs the model once.

        Args:
          prepared: list of what `prepare` returned, at most `batch_size`; of one size unless `mixes_sizes`.
          score_threshold: detections with a lower score may be missing.

        Returns:
          For each image, a dict from keys of `fields.Detections`, and `features` if the model has them, to arrays
          without the batch dimension.
        """
        if self._prepare is not None:
            inputs, shapes = zip(*prepared)
            arguments = {
                fields.Prepared.INPUTS: tf.stack(inputs),
                fields.Prepared.TRUE_IMAGE_SHAPES: tf.stack(shapes),
                fields.Prepared.SCORE_THRESHOLD: tf.constant(_bound(score_threshold)),
            }
        elif self.mixes_sizes:
            padded, sizes = _pad([image for (image,) in prepared])
            arguments = {_INPUT: tf.constant(padded), _SIZES: tf.constant(sizes)}
        else:
            images = [image for (image,) in prepared]
            missing = (self.batch_size or len(images)) - len(images)
            arguments = {self._spec[0]: self._encode(images + [images[-1]] * missing)}
        outputs = {key: value.numpy() for key, value in self._function(**arguments).items()}
        return [{key: value[i] for key, value in outputs.items()} for i in range(len(prepared))]

    def prepare_jpeg(self, encoded):
        """Like `prepare`, but for the bytes of a JPEG and in the calling thread.

        Returns:
          (height, width) of the image, and a tuple of arrays as `prepare` returns them.

        Raises:
          tf.errors.OpError: the bytes cannot be decoded.
        """
        outputs = self._prepare_in_thread(np.array(encoded, object))
        prepared = outputs[fields.Prepared.INPUTS], outputs[fields.Prepared.TRUE_IMAGE_SHAPE]
        return tuple(outputs[single_thread.IMAGE_SIZE].tolist()), prepared

    def detect_in_thread(self, prepared, score_threshold=0.0):
        """Like `detect`, but in the calling thread; takes as many images as `plan_calls` says, or fewer as slowly."""
        missing = self._num_in_thread - len(prepared)
        images = [[np.asarray(part) for part in parts] for parts in zip(*prepared)]
        images = itertools.chain.from_iterable([*parts, *parts[-1:] * missing] for parts in images)
        outputs = self._detect_in_thread(*images, _bound(score_threshold))
        return [{key: value[i] for key, value in outputs.items()} for i in range(len(prepared))]

    def _get_ready(self, extract, conclude):
        """Makes what `prepare_jpeg` and `detect_in_thread` need, and runs it once."""
        self._num_in_thread = single_thread.count_together(extract, _MOST_ON_ONE_CORE)
        with tensorflow_setup.stderr_is_silent():
            self._prepare_in_thread = single_thread.make_prepare(self._prepare, self._dct)
            self._detect_in_thread = single_thread.make_detect(self._prepare, extract, conclude, self._num_in_thread)
            noise = np.random.RandomState(0).randint(0, 256, [64, 64, 3], np.uint8)
            _, prepared = self.prepare_jpeg(tf.io.encode_jpeg(noise).numpy())
            self.detect_in_thread([prepared])

    def _check_signature(self):
        """Checks inputs and outputs; returns the name and spec of the image input."""
        specs = dict(self._function.structured_input_signature[1])
        outputs = self._function.structured_outputs
        missing = [key for key in output_check.REQUIRED if key not in outputs]
        if missing:
            raise errors.PredictionError(
                f"{self._folder}: is not an object detector with the Object Detection API's signature",
                expected="outputs " + ", ".join(output_check.REQUIRED),
                received="outputs " + ", ".join(sorted(outputs)),
            )
        if self.mixes_sizes:
            return _INPUT, specs[_INPUT]
        fits = len(specs) == 1 and _is_image_spec(next(iter(specs.values())))
        if not fits:
            raise errors.PredictionError(
                f"{self._folder}: the inputs of this SavedModel are not supported",
                expected="one input: uint8 or float32 [batch, any height, any width, 3], or string [batch]",
                received="; ".join(f"{name} {spec.dtype.name} {spec.shape}" for name, spec in specs.items()),
                fix="export it with --input_type=image_tensor",
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
            fix="export it with --input_type=image_tensor",
        )


def _bound(score_threshold):
    """A np.float32 just below the threshold: the model keeps only scores above its bound."""
    below = np.nextafter(np.float32(score_threshold), np.float32(-1.0))
    return min(below, np.nextafter(np.float32(below), np.float32(-1.0)))


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
