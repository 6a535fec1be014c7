"""A detector as users call it: images in, detections out, with the Object Detection API's names.

`serving_default` has the names, dtypes and shapes that programs written for the Object Detection API's exports expect:
one input `input_tensor`, and float32 outputs with the keys of `fields.Detections`, classes counted from 1 as in the
label map; its graph uses only operations that converters and servers of such exports support. A detector of masks also
gives its raw predictions, as such exports do.

Further signatures are for `prediction`, which uses them if they exist: `serving_prepare` makes a model input from one
image of any size, so that threads can do this, and `serving_prepared` runs a batch of such inputs. It takes the minimum
score, does less work for it, and returns the same detections above it, and `features` of the images. If inputs have a
fixed size and the detector can be split after its backbone, `serving_extract` and `serving_conclude` are its two parts,
with `feature_map_0`, `feature_map_1`, ... between them.
"""

import functools

import tensorflow as tf

from tfodhelper import errors, fields, jpeg_dct
from tfodhelper.fields import Prepared
from tfodhelper.ops import own_gradients

ANY = None  # batch size: any

# Default batch size of each input type, as in the Object Detection API's exporter.
INPUT_TYPES = {
    "image_tensor": 1,
    "float_image_tensor": ANY,
    "encoded_image_string_tensor": ANY,
    "tf_example": ANY,
}

SERVING_DEFAULT = "serving_default"
SERVING_PREPARE, SERVING_PREPARED = "serving_prepare", "serving_prepared"
SERVING_EXTRACT, SERVING_CONCLUDE = "serving_extract", "serving_conclude"
INPUT_TENSOR = "input_tensor"

_DETECTIONS = frozenset(value for name, value in vars(fields.Detections).items() if name.isupper())
_NOT_RAW = _DETECTIONS - {fields.Detections.RAW_BOXES, fields.Detections.RAW_SCORES}
_SPECS_AFTER_INPUTS = (
    tf.TensorSpec([None, 3], tf.int32, name=Prepared.TRUE_IMAGE_SHAPES),
    tf.TensorSpec([], tf.float32, name=Prepared.SCORE_THRESHOLD),
)
_REQUIRED = (fields.Detections.BOXES, fields.Detections.SCORES, fields.Detections.CLASSES, fields.Detections.NUM)


class ServingModule(tf.Module):
    """What `tf.saved_model.save` writes.

    Holds the detector's variables and traced functions, but not the detector itself: Keras would otherwise trace every
    layer again into the SavedModel.

    Args:
      detector: follows the contract of `models.detector.Detector`, weights restored.
      input_type: a key of `INPUT_TYPES`.
      batch_size: number of images per call, or `ANY`.
      dct: how JPEGs are decoded by a signature that takes encoded images, a key of `jpeg_dct.CHOICES`.
      adds_predictions: whether `serving_default` has the raw predictions of detectors whose exports have them.

    Raises:
      ExportError: the input type is unknown, or the detector returns no detections.
    """

    def __init__(self, detector, input_type, batch_size, dct=jpeg_dct.ACCURATE, adds_predictions=True):
        super().__init__(name="detector")
        if input_type not in INPUT_TYPES:
            raise errors.ExportError(f"unknown input type {input_type!r}", expected="one of " + ", ".join(INPUT_TYPES))
        self._input_type, self._batch_size = input_type, batch_size
        detect = functools.partial(_detect, detector, adds_predictions=adds_predictions)
        with own_gradients.left_out():
            self.__call__ = _make_serving_function(detector, detect, input_type, batch_size, dct)
            _check_outputs(self.__call__.get_concrete_function().structured_outputs)
            self.prepare = _make_prepare_function(detector)
            inputs = _specify_inputs(self.prepare.get_concrete_function())
            self.extract, self.conclude = _make_parts(detector, inputs)
            self.detect_prepared = _make_prepared_function(detector, inputs, self.extract, self.conclude)
        self.weights = list(detector.variables)  # after tracing: by then, every variable exists

    @property
    def signatures(self):
        """Name of the signature -> concrete function, as `tf.saved_model.save` takes them."""
        with own_gradients.left_out():
            return {name: function.get_concrete_function() for name, function in self._functions().items()}

    def _functions(self):
        functions = {
            SERVING_DEFAULT: self.__call__,
            SERVING_PREPARE: self.prepare,
            SERVING_PREPARED: self.detect_prepared,
            SERVING_EXTRACT: self.extract,
            SERVING_CONCLUDE: self.conclude,
        }
        return {name: function for name, function in functions.items() if function}

    def save(self, folder):
        """Writes a SavedModel into a folder that does not exist yet."""
        # Not `signatures`, which were traced otherwise than attributes are for saving: each would be written twice.
        with own_gradients.left_out():
            tf.saved_model.save(self, str(folder), signatures=self._functions())

    def make_inputs(self, image):
        """Makes an input of `serving_default` from one image, repeated if the batch size is fixed.

        Args:
          image: uint8 [1, height, width, 3].

        Returns:
          A tensor of the signature's dtype and shape.
        """
        if self._input_type == "image_tensor":
            element = tf.constant(image)
        elif self._input_type == "float_image_tensor":
            element = tf.cast(image, tf.float32)
        else:
            element = tf.io.encode_png(image[0])[tf.newaxis]
            if self._input_type == "tf_example":
                element = tf.constant([make_example(element[0].numpy())])
        return tf.repeat(element, self._batch_size or 1, axis=0)


def _make_serving_function(detector, detect, input_type, batch_size, dct):
    """A `tf.function` with the requested signature; `detect` is from model inputs and true shapes to its outputs."""
    if input_type in ("image_tensor", "float_image_tensor"):
        dtype = tf.uint8 if input_type == "image_tensor" else tf.float32
        spec = tf.TensorSpec([batch_size, None, None, 3], dtype, name=INPUT_TENSOR)

        def serve(input_tensor):
            return detect(*detector.preprocess(tf.cast(input_tensor, tf.float32)))

    else:
        decode = decode_image if input_type == "encoded_image_string_tensor" else decode_example
        to_image = functools.partial(decode, dct=dct)
        spec = tf.TensorSpec([batch_size], tf.string, name=INPUT_TENSOR)

        def serve(input_tensor):
            return detect(*_prepare_each(detector, input_tensor, to_image))

    return tf.function(serve, input_signature=[spec], autograph=False)


def _make_prepare_function(detector):
    """A `tf.function` from one image to its model input and true shape.

    Resizes before it scales, so that only the needed pixels are read; see `SSDDetector.preprocess`.
    """

    def prepare(input_tensor):
        resized, true_image_shapes = detector.resizer(input_tensor[tf.newaxis])
        inputs = detector.normalize(resized, true_image_shapes)
        return {Prepared.INPUTS: inputs[0], Prepared.TRUE_IMAGE_SHAPE: true_image_shapes[0]}

    return tf.function(
        prepare, input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, name=INPUT_TENSOR)], autograph=False
    )


def _specify_inputs(prepare):
    """The spec of a batch of model inputs, as `prepare` makes them."""
    shape = prepare.structured_outputs[Prepared.INPUTS].shape
    return tf.TensorSpec([None, *shape], tf.float32, name=Prepared.INPUTS)


def _make_prepared_function(detector, inputs, extract, conclude):
    """A `tf.function` from a batch of model inputs to detections and features; made of the two parts if they exist."""

    def serve(inputs, true_image_shapes, score_threshold):
        if extract is None:
            raw = detector.predict_raw(inputs, true_image_shapes, training=False)
            return _postprocess_above(detector, raw, true_image_shapes, score_threshold)
        return conclude(*_in_order(extract(inputs)), true_image_shapes, score_threshold)

    return tf.function(serve, input_signature=[inputs, *_SPECS_AFTER_INPUTS], autograph=False)


def _make_parts(detector, inputs):
    """The two parts of `serving_prepared` as `tf.function`s; (None, None) if it cannot be split.

    Args:
      detector: see `Detector.extract_features`.
      inputs: spec of the model inputs.
    """
    if not inputs.shape[1:].is_fully_defined():
        return None, None

    def extract(inputs):
        maps = detector.extract_features(inputs, training=False) or ()
        return {Prepared.FEATURE_MAP.format(number): feature_map for number, feature_map in enumerate(maps)}

    def conclude(*arguments):
        *maps, true_image_shapes, score_threshold = arguments
        raw = detector.predict_from_features(maps, tuple(inputs.shape[1:3]), training=False)
        return _postprocess_above(detector, raw, true_image_shapes, score_threshold)

    extract = tf.function(extract, input_signature=[inputs], autograph=False)
    maps = _in_order(extract.get_concrete_function().structured_outputs)
    if not maps:
        return None, None
    names = [Prepared.FEATURE_MAP.format(number) for number in range(len(maps))]
    specs = [tf.TensorSpec(feature_map.shape, feature_map.dtype, name=name) for name, feature_map in zip(names, maps)]
    return extract, tf.function(conclude, input_signature=[*specs, *_SPECS_AFTER_INPUTS], autograph=False)


def _in_order(maps):
    """{name: map} -> list of the maps, by number."""
    return [maps[Prepared.FEATURE_MAP.format(number)] for number in range(len(maps))]


def make_example(encoded):
    """Serializes a tf.train.Example that contains only an image.

    Args:
      encoded: bytes of a JPEG or PNG file.
    """
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))
    return tf.train.Example(features=tf.train.Features(feature={fields.Record.ENCODED: feature})).SerializeToString()


def decode_image(encoded, dct=jpeg_dct.ACCURATE):
    """Decodes JPEG, PNG, BMP or the first frame of a GIF.

    The accurate transform gives, bit for bit, the pixels that Pillow and OpenCV read, so that a file sent encoded and
    the same file sent as pixels have the same detections. TensorFlow's default, the fast one, differs by up to 20
    levels and is not measurably faster.

    Args:
      encoded: string scalar.
      dct: how JPEGs are decoded, a key of `jpeg_dct.CHOICES`.

    Returns:
      uint8 [height, width, 3], the stored frame: an EXIF orientation is ignored.
    """
    image = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method=jpeg_dct.method_of(dct)),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    image.set_shape([None, None, 3])
    return image


def decode_example(serialized, dct=jpeg_dct.ACCURATE):
    """Decodes the image of a serialized tf.train.Example.

    Args:
      serialized: string scalar.
      dct: see `decode_image`.

    Returns:
      uint8 [height, width, 3].
    """
    features = {fields.Record.ENCODED: tf.io.FixedLenFeature([], tf.string)}
    return decode_image(tf.io.parse_single_example(serialized, features)[fields.Record.ENCODED], dct)


def _prepare_each(detector, elements, to_image):
    """Makes model inputs from elements whose images may differ in size.

    Args:
      detector: the one that preprocesses.
      elements: tensor or tuple of tensors with a common first dimension.
      to_image: one element -> uint8 [height, width, 3].

    Returns:
      float32 [B, h, w, 3] model inputs and int32 [B, 3] true shapes.
    """

    specs = tf.nest.map_structure(lambda tensor: tf.TensorSpec(tensor.shape[1:], tensor.dtype), elements)
    signature = _trace_prepare(detector, to_image, specs)
    prepare = _make_prepare(detector, to_image)
    return tf.map_fn(prepare, elements, fn_output_signature=signature, parallel_iterations=32)


def _make_prepare(detector, to_image):
    def prepare(element):
        image = tf.cast(to_image(element), tf.float32)
        inputs, true_shapes = detector.preprocess(image[tf.newaxis])
        return inputs[0], true_shapes[0]

    return prepare


def _trace_prepare(detector, to_image, specs):
    """Specs of a model input and its true shape, with all that is known about their shapes in advance."""
    prepare = tf.function(_make_prepare(detector, to_image), autograph=False)
    outputs = prepare.get_concrete_function(specs).structured_outputs
    return tuple(tf.TensorSpec(output.shape, output.dtype) for output in outputs)


def _detect(detector, inputs, true_image_shapes, adds_predictions):
    """Model inputs -> float32 detections, classes counted from 1."""
    raw = detector.predict_raw(inputs, true_image_shapes, training=False)
    detections = detector.postprocess(raw, true_image_shapes)
    if adds_predictions:
        return _as_served({**detector.served_predictions(raw), **detections})
    return _as_served({key: value for key, value in detections.items() if key in _DETECTIONS})


def _postprocess_above(detector, raw, true_image_shapes, score_threshold):
    """Raw predictions -> float32 detections above a score, classes counted from 1, and features."""
    detections = detector.postprocess(raw, true_image_shapes, score_threshold=score_threshold)
    detections = {key: value for key, value in detections.items() if key in _NOT_RAW}
    return _as_served({**detections, **_pool_features(raw)})


def _as_served(detections):
    detections = {key: tf.cast(value, tf.float32) for key, value in detections.items()}
    detections[fields.Detections.CLASSES] += 1.0
    return detections


def _pool_features(raw):
    """{key of `fields.Prepared`: [B, D]}, means over the positions of the deepest feature map; empty without maps.

    The deepest map is the last one of those with the most channels.
    """
    maps = raw.get(fields.Predictions.FEATURE_MAPS)
    if not maps:
        return {}
    most = max(feature_map.shape[-1] for feature_map in maps)
    deepest = [feature_map for feature_map in maps if feature_map.shape[-1] == most][-1]
    return {Prepared.FEATURES: tf.reduce_mean(deepest, axis=[1, 2])}


def _check_outputs(outputs):
    missing = [key for key in _REQUIRED if key not in outputs]
    if missing:
        raise errors.ExportError(
            "the detector's postprocess does not return " + ", ".join(missing), received=", ".join(sorted(outputs))
        )
