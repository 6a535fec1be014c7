"""The public predictor: a trained detector, applied to images."""

import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import numpy as np
from PIL import Image

from tfodhelper import errors, tensorflow_setup
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.label_map import LabelMap
from tfodhelper.api.prediction import Pixels, Prediction
from tfodhelper.config import label_maps
from tfodhelper.prediction import sources
from tfodhelper.tiling import windows
from tfodhelper.tiling.options import TileOptions

ImageLike: TypeAlias = str | os.PathLike[str] | Image.Image | Pixels
_MODES = ("RGB", "RGBA", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr")  # that Pillow turns into RGB of 8 bits exactly


class Predictor:
    """A trained detector, ready to find objects in images.

        detector = tfodhelper.Predictor("runs/first")
        detector.predict("photo.jpg").draw("out.jpg")

    It takes any SavedModel with the signature of the Object Detection API: an export of this program, of the Object
    Detection API, or a model of its zoo. Image files are read as they are stored: an EXIF orientation is not applied.

    Args:
      saved_model_dir: a run folder (its best export is taken), the folder of an export, or the SavedModel in it; or a
        .tflite file.
      label_map: the names of the classes: a `LabelMap`, the path of a label_map.pbtxt, or the name of one that is
        included in this program, such as "mscoco". When omitted, the one next to the SavedModel; if there is none,
        classes are named after their ids, as in "class_17".
      score_threshold: from 0 to 1; detections with a lower score are left out.
      trust_model: whether to load a SavedModel although it does more than compute, such as reading or writing files.
        A SavedModel is a program; set this only if you trust whoever made it.
      tiles: cuts images into square tiles with sides of so many pixels and finds objects in each, for large images with
        small objects; None for whole images alone.
      overlap: from 0 to 0.9: the part of a tile that the next one sees too.
      tiles_only: whether to leave out the whole image, in which objects are found that are larger than a tile.

    Raises:
      PredictionError: the folder has no SavedModel of an object detector, or one that does more than compute.
      AnnotationError, UsageError: the label map, the threshold or the tiles are invalid.
    """

    def __init__(
        self,
        saved_model_dir: str | os.PathLike[str],
        *,
        label_map: LabelMap | str | os.PathLike[str] | None = None,
        score_threshold: float = 0.5,
        trust_model: bool = False,
        tiles: int | None = None,
        overlap: float = 0.2,
        tiles_only: bool = False,
    ) -> None:
        self.score_threshold = _check_threshold(score_threshold)
        known = label_maps.to_label_map(label_map)
        tiling = windows.make_tiling(TileOptions(tiles=tiles, overlap=overlap, tiles_only=tiles_only))
        tensorflow_setup.quiet_tensorflow()
        from tfodhelper.prediction import tiled_predictor

        self._stream = tiled_predictor.load(saved_model_dir, known, tiling=tiling, trust_model=trust_model)

    @property
    def label_map(self) -> LabelMap | None:
        """The names of the classes; None when they are not known."""
        label_map: LabelMap | None = self._stream.label_map
        return label_map

    def predict(self, image: ImageLike, *, score_threshold: float | None = None) -> Prediction:
        """Finds the objects in one image.

        Args:
          image: path of an image file, a Pillow image, or an array, uint8 [height, width, 3] RGB.
          score_threshold: instead of the predictor's own.

        Raises:
          PredictionError: the image cannot be read, or is none of these.
        """
        (prediction,) = self.predict_all([image], batch_size=1, score_threshold=score_threshold)
        return prediction

    def predict_all(
        self,
        images: Iterable[ImageLike],
        *,
        score_threshold: float | None = None,
        batch_size: int = 8,
        on_unreadable: Callable[[str, str], object] | None = None,
    ) -> Iterator[Prediction]:
        """Finds the objects in many images; memory does not grow with their number.

        Args:
          images: each as for `predict`; taken as needed.
          score_threshold: instead of the predictor's own.
          batch_size: images per call, where the model takes several.
          on_unreadable: called with the path and the reason for each file that cannot be read, which is then left out;
            if None, the first one ends the prediction.

        Yields:
          A `Prediction` for each image, in the order of the images.

        Raises:
          PredictionError: an image cannot be read, or is not an image.
        """
        threshold = self.score_threshold if score_threshold is None else _check_threshold(score_threshold)
        if isinstance(images, (str, os.PathLike, Image.Image, np.ndarray)):
            raise errors.PredictionError(
                "predict_all takes several images",
                expected="a list, or another iterable of images",
                received=_describe(images),
                fix="predict(image) takes one image, and predict_folder(path) the images of a folder",
            )
        return self._predict_all(images, threshold, batch_size, on_unreadable)

    def predict_folder(
        self,
        folder: str | os.PathLike[str],
        *,
        score_threshold: float | None = None,
        batch_size: int = 8,
        on_unreadable: Callable[[str, str], object] | None = None,
    ) -> Iterator[Prediction]:
        """Finds the objects in all images of a folder and its subfolders, in the order of their names.

        Args:
          folder: with image files; hidden files, and files without the extension of an image, are ignored. An image
            in a format that is not read, such as HEIC, counts as one that cannot be read.
          score_threshold, batch_size, on_unreadable: as for `predict_all`.

        Yields:
          A `Prediction` for each image file.

        Raises:
          PredictionError: the folder does not exist or holds no image; an image cannot be read.
        """
        skipped: list[Finding] = []
        paths = [str(source.path) for source in sources.find_images([folder], skipped.append)]
        for finding in skipped:
            if on_unreadable is None:
                raise errors.PredictionError(finding.message)
            on_unreadable(finding.file, finding.message)
        return self.predict_all(
            paths, score_threshold=score_threshold, batch_size=batch_size, on_unreadable=on_unreadable
        )

    def _predict_all(
        self,
        images: Iterable[ImageLike],
        threshold: float,
        batch_size: int,
        on_unreadable: Callable[[str, str], object] | None,
    ) -> Iterator[Prediction]:
        outcomes = self._stream.stream(map(_to_input, images), batch_size=batch_size, score_threshold=threshold)
        for outcome in outcomes:
            if outcome.found is not None:
                detected = outcome.found
                pixels = outcome.path if isinstance(outcome.path, np.ndarray) else None
                yield Prediction(detected.path, detected.width, detected.height, detected.detections, pixels)
            elif on_unreadable is None:
                fix = "repair the image, or leave it out" if os.path.exists(outcome.path) else "check the path"
                raise errors.PredictionError(outcome.problem, fix=fix)
            else:
                on_unreadable(str(outcome.path), outcome.problem)


def _to_input(image: ImageLike) -> str | Pixels:
    """A path, or the pixels of an image in memory, uint8 [height, width, 3]."""
    if isinstance(image, (str, os.PathLike)):
        return _check_file(os.fspath(image))
    if isinstance(image, Image.Image) and image.mode in _MODES and min(image.size):
        return np.asarray(image.convert("RGB"))
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape[2:] == (3,) and image.size:
        return np.array(image, order="C")  # a copy: images are taken ahead, and a camera may use its buffer again
    raise errors.PredictionError(
        "this is not an image that can be predicted",
        expected="the path of an image file, a Pillow image of 8 bits, or an array, uint8 [height, width, 3] RGB",
        received=_describe(image),
        fix=_suggest(image),
    )


def _check_file(path: str) -> str:
    if pathlib.Path(path).is_dir():
        raise errors.PredictionError(
            f"{path}: is a folder", expected="the path of an image file", fix="predict_folder(path) takes a folder"
        )
    return path


def _suggest(image: object) -> str | None:
    """How to turn a value into an image, where that can be guessed."""
    if isinstance(image, Image.Image) and min(image.size):
        return 'image.convert("RGB"), after scaling its values to 0 to 255'
    if not isinstance(image, np.ndarray):
        return None
    if image.dtype != np.uint8:
        return "(image * 255).astype(numpy.uint8), when the values are from 0 to 1"
    return "numpy.stack([image] * 3, axis=-1)" if image.ndim == 2 else None


def _describe(value: object) -> str:
    """A value in words, for messages."""
    if isinstance(value, np.ndarray):
        return f"an array, {value.dtype} {list(value.shape)}"
    if isinstance(value, Image.Image):
        return f"a Pillow image, mode {value.mode}, {value.width}x{value.height}"
    return f"{type(value).__name__}: {str(value)[:100]}"


def _check_threshold(value: float) -> float:
    if not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise errors.UsageError(
            "this score_threshold is invalid", expected="a number from 0 to 1", received=repr(value)[:100]
        )
    return float(value)
