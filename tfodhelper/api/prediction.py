"""The public result of a prediction: the objects that a model found in one image."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from tfodhelper import errors, storage, tensorflow_setup
from tfodhelper.annotations import labelimg
from tfodhelper.prediction import detections as results
from tfodhelper.prediction.detections import Detection
from tfodhelper.render import boxes as drawing

Pixels: TypeAlias = npt.NDArray[np.uint8]
_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".tif": "TIFF"}
_QUALITY = 90


@dataclasses.dataclass(frozen=True)
class Prediction(results.ImageDetections):
    """The objects that a model found in one image, in descending order of score.

    `len(prediction)` is their number, and iterating gives them:

        for detection in prediction:
            print(detection.name, detection.score, detection.xmin, detection.ymin, detection.xmax, detection.ymax)

    Attributes:
      path: the image file, as it was given; empty for an image that was given in memory.
      width, height: of the image, pixels.
      detections: tuple of `Detection`; boxes are in pixels of the image as it is stored. `detection.mask.to_array()` is
        uint8 [height, width], 1 where the object is; the mask is None where the model has no masks.
    """

    _pixels: Pixels | None = dataclasses.field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.detections)

    def __iter__(self) -> Iterator[Detection]:
        return iter(self.detections)

    @property
    def image(self) -> Pixels:
        """The image, uint8 [height, width, 3] RGB; one that was given by its path is read again.

        Raises:
          PredictionError: the file can no longer be read.
        """
        if self._pixels is not None:
            return self._pixels
        tensorflow_setup.quiet_tensorflow()
        from tfodhelper.prediction import reading

        pixels: Pixels = reading.read_image(self.path)
        return pixels

    def draw(
        self, path: str | os.PathLike[str] | None = None, *, show_names: bool = True, show_scores: bool = True
    ) -> Image.Image:
        """Draws the boxes with their names and scores on the image, and masks as translucent areas.

        Args:
          path: where the picture is written; its suffix selects the format. None writes nothing.
          show_names: whether labels say the class.
          show_scores: whether labels say the score.

        Returns:
          The picture. A small image is enlarged by a whole number, so that the labels can be read.

        Raises:
          PredictionError: the image can no longer be read, or the format of the picture is unknown.
          StorageError: the picture cannot be written.
        """
        format_ = None if path is None else _format_of(path)
        picture: Image.Image = drawing.draw_detections(self.image, results.to_drawn(self), show_names, show_scores)
        if path is not None:
            with storage.open_whole(path, "wb") as file:
                picture.save(file, format_, quality=_QUALITY)
        return picture

    def write_xml(
        self,
        path: str | os.PathLike[str],
        *,
        score_threshold: float = 0.0,
        image_path: str | os.PathLike[str] | None = None,
    ) -> None:
        """Writes a LabelImg XML file, to be corrected by hand and trained from.

        Args:
          path: the XML file; an existing one is replaced.
          score_threshold: detections of a lower score are left out.
          image_path: the image file that the XML file names; left out, the one that was predicted.

        Raises:
          AnnotationError: a class name that XML cannot hold.
          StorageError: the file cannot be written.
        """
        annotation = self.to_annotation(score_threshold)
        image_path = image_path or self.path or None
        if image_path is not None:
            annotation = dataclasses.replace(annotation, filename=pathlib.PurePath(image_path).name)
        labelimg.write_labelimg(path, annotation, image_path=image_path)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, as `tfodhelper predict` writes them; pixels to 1/1000, scores to a millionth."""
        value: dict[str, Any] = results.to_json(self)
        return value


def _format_of(path: str | os.PathLike[str]) -> str:
    """Pillow's name of the format that the suffix of a path selects."""
    with contextlib.suppress(KeyError):
        return _FORMATS[pathlib.PurePath(path).suffix.lower()]
    raise errors.PredictionError(
        f"{path}: the suffix does not name an image format",
        expected="a path that ends in " + " ".join(_FORMATS),
        received=pathlib.PurePath(path).suffix or "no suffix",
        fix='name a file, as in draw("out.jpg")',
    )
