"""A .tflite detector in the LiteRT interpreter: from images to detections.

It takes the files of this program, and others that end with TFLite_Detection_PostProcess.
"""

import contextlib
import pathlib
import queue

import numpy as np
import tensorflow as tf

from tfodhelper import box_geometry, console, errors, tensorflow_setup
from tfodhelper.fields import Detections
from tfodhelper.ops import nms, resize
from tfodhelper.tflite import interface as interfaces
from tfodhelper.tflite import metadata, model_file

INSTALL = 'pip install -c constraints.txt ".[tflite]"'

_INPUT_TYPES = (np.uint8, np.int8, np.float32)
_USUAL = 127.5  # mean and std that most detectors for phones are trained with
_DETECTING, _RAW = "detecting", "raw"  # kinds of outputs


def load_interpreter_class():
    """LiteRT's interpreter.

    Raises:
      PredictionError: it is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise errors.PredictionError(
            f"LiteRT, which runs TFLite files, cannot be imported: {error}", fix=INSTALL
        ) from error
    return Interpreter


class TFLiteDetector:
    """A .tflite detector.

    Several threads may call it: each call takes an interpreter of its own.

    Args:
      path: of the file.
      num_threads: of each call.

    Attributes:
      interface: its `Interface`.
      input_size: (height, width) of the model input.

    Raises:
      PredictionError: LiteRT is not installed; the file is not a TFLite file, or is damaged; its inputs or outputs are
        not those of a detector.
    """

    def __init__(self, path, num_threads=1):
        self._path, self._num_threads = pathlib.Path(path), num_threads
        self._idle = queue.SimpleQueue()
        interpreter = self._start()
        self._input = self._find_input(interpreter)
        self.input_size = tuple(int(side) for side in self._input["shape"][1:3])
        self._kind, self._outputs = self._find_outputs(interpreter)
        self.interface = self._read_interface()
        resizer = self.interface.resizer
        self._resize = tf.function(
            lambda image: resizer(image), input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)]
        )
        if self._kind == _RAW:
            suppression = nms.BatchNonMaxSuppression(**vars(self.interface.suppression), change_frame=False)
            self._select = tf.function(suppression.select, reduce_retracing=True)
        self._idle.put(interpreter)

    def resize(self, image):
        """Resizes an image to the model input.

        Args:
          image: uint8 [height, width, 3], array or tensor.

        Returns:
          float32 [input height, input width, 3], 0..255, and its true shape, int32 [3].
        """
        pixels, true_shape = self._resize(tf.convert_to_tensor(image))
        return pixels.numpy(), true_shape.numpy()

    def to_input(self, pixels, true_shape):
        """Turns what `resize` returns, or an image that was resized in the same way, into the model input.

        Returns:
          An array of the model's type, [1, input height, input width, 3].
        """
        padding = self.interface.padding_pixel
        if padding is not None:
            pixels = resize.fill_padding(pixels[np.newaxis], true_shape[np.newaxis], padding).numpy()[0]
        dtype = self._input["dtype"]
        if dtype == np.float32:
            values = (pixels - np.float32(self.interface.mean)) / np.float32(self.interface.std)
        else:
            values = np.clip(np.rint(pixels), 0, 255) - (128 if dtype == np.int8 else 0)
        return values.astype(dtype)[np.newaxis]

    def run(self, inputs):
        """Runs the model.

        Args:
          inputs: from `to_input`.

        Returns:
          List of arrays, for `to_detections`.
        """
        try:
            interpreter = self._idle.get_nowait()
        except queue.Empty:
            interpreter = self._start()
        interpreter.set_tensor(self._input["index"], inputs)
        interpreter.invoke()
        outputs = [interpreter.get_tensor(index) for index in self._outputs]
        self._idle.put(interpreter)
        return outputs

    def to_detections(self, outputs, true_shape, score_threshold=0.0):
        """Turns the outputs for an image into detections.

        Args:
          outputs: from `run`.
          true_shape: of the image in the model input.
          score_threshold: detections with a lower score may be missing.

        Returns:
          A dict from keys of `Detections` to arrays: boxes [D, 4] normalized to the image and clipped to it, scores
          and classes [D], from 1, best first.
        """
        window = np.float32([0, 0, *(np.float32(true_shape[:2]) / np.float32(self.input_size))])
        if self._kind == _RAW:
            boxes, scores, classes = self._suppress(*outputs, window, score_threshold)
        else:
            boxes, classes, scores, count = outputs
            num = int(np.ravel(count)[0])
            boxes, scores, classes = boxes[0, :num], scores[0, :num], classes[0, :num]
        boxes = np.clip(boxes, np.tile(window[:2], 2), np.tile(window[2:], 2)) / np.tile(window[2:], 2)
        is_inside = (box_geometry.area(boxes) > 0) & (scores > 0)
        return {
            Detections.BOXES: boxes[is_inside],
            Detections.SCORES: scores[is_inside],
            Detections.CLASSES: classes[is_inside] + 1,
        }

    def _suppress(self, boxes, scores, window, score_threshold):
        """What `SSDDetector.postprocess` does with raw boxes and scores."""
        scores = scores[..., self.interface.num_background_columns :]
        selected = self._select(boxes, scores, window[np.newaxis], np.float32(score_threshold))
        num = int(selected.num[0])
        return (part.numpy()[0, :num] for part in (selected.boxes, selected.scores, selected.classes))

    def _start(self):
        """An interpreter with the model."""
        make = load_interpreter_class()
        try:
            if not model_file.is_model(self._read(8)):
                raise ValueError("its first bytes are those of a different kind of file")
            with tensorflow_setup.stderr_is_silent():
                interpreter = make(model_path=str(self._path), num_threads=self._num_threads)
                interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise errors.PredictionError(
                f"{self._path}: this is not a TFLite file that can be used, or it is damaged: {str(error).strip()}",
                fix="copy or export it again",
            ) from error
        return interpreter

    def _read(self, size=-1):
        try:
            with open(self._path, "rb") as file:
                return file.read(size)
        except OSError as error:
            raise errors.PredictionError(f"{self._path}: cannot be read ({error.strerror})") from error

    def _find_input(self, interpreter):
        details = interpreter.get_input_details()
        fits = len(details) == 1 and len(details[0]["shape"]) == 4 and details[0]["shape"][3] == 3
        fits = fits and details[0]["shape"][0] == 1 and min(details[0]["shape"][1:3]) > 1
        if not fits or details[0]["dtype"] not in _INPUT_TYPES:
            raise errors.PredictionError(
                f"{self._path}: the inputs of this TFLite file are not those of a detector",
                expected="one input: uint8, int8 or float32 [1, height, width, 3]",
                received=_describe(details),
            )
        return details[0]

    def _find_outputs(self, interpreter):
        """The kind of the outputs, and the indices of the tensors: boxes, classes, scores, count; or boxes, scores."""
        details = interpreter.get_output_details()
        shapes = [tuple(int(side) for side in detail["shape"]) for detail in details]
        by_name = {detail["name"]: detail["index"] for detail in details}
        if set(by_name) == {interfaces.RAW_BOXES, interfaces.RAW_SCORES}:
            return _RAW, [by_name[interfaces.RAW_BOXES], by_name[interfaces.RAW_SCORES]]
        for order in _ORDERS:
            if len(shapes) == 4 and _are_detections(*(shapes[number] for number in order)):
                return _DETECTING, [details[number]["index"] for number in order]
        raise errors.PredictionError(
            f"{self._path}: the outputs of this TFLite file are not those of a detector",
            expected="those of TFLite_Detection_PostProcess: boxes [1, n, 4], classes [1, n], scores [1, n], count [1]",
            received=_describe(details),
        )

    def _read_interface(self):
        data = self._read()
        text = model_file.find_metadata(data, interfaces.NAME)
        if text is not None:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                return interfaces.from_json(text)
        if self._kind == _RAW:
            raise errors.PredictionError(
                f"{self._path}: it is not in this file how its raw boxes become detections",
                fix="export it again, with `tfodhelper export --format=tflite`",
            )
        return self._guess_interface(data)

    def _guess_interface(self, data):
        """The interface of a file of a different program."""
        standard = model_file.find_metadata(data, metadata.NAME)
        normalization = metadata.read_normalization(standard) if standard else None
        if normalization is None:
            normalization = (_USUAL,) * 3, (_USUAL,) * 3
            if self._input["dtype"] == np.float32:
                console.warn(f"{self._path}: it is unknown how inputs are normalized; from -1 to 1 is assumed")
        names = enumerate(metadata.read_labels(self._path), start=1)
        return interfaces.Interface(
            image_resizer=interfaces.fixed_size(*self.input_size),
            mean=normalization[0],
            std=normalization[1],
            class_names={id: name for id, name in names if name and name != metadata.GAP},
        )


# Where boxes, classes, scores and count are: as the operation has them, as converters since TensorFlow 2.4 have sorted
# them, and as TensorFlow 2.20 does.
_ORDERS = ((0, 1, 2, 3), (1, 3, 0, 2), (1, 2, 3, 0))


def _are_detections(boxes, classes, scores, count):
    """Whether these are the shapes of detections."""
    num = boxes[1:2]
    return boxes == (1, *num, 4) and classes == scores == (1, *num) and count == (1,)


def _describe(details):
    return "; ".join(f"{detail['name']} {np.dtype(detail['dtype'])} {detail['shape'].tolist()}" for detail in details)
