"""Questions about images with detections given by hand."""

import pathlib

from PIL import Image

from tfodhelper.active_learning.structures import PoolImage, Prediction, Question
from tfodhelper.prediction.detections import Detection, ImageDetections

IDS = {"cat": 1, "dog": 2, "cow": 3}
SIZE = (200, 100)


def make_question(rows, classes=None, name="pool/a.jpg", path=None, size=SIZE):
    """Makes a question.

    Args:
      rows: tuples (class, score, xmin, ymin, xmax, ymax).
      classes: that the image is known to show, or None.
      name: of the image in the pool.
      path: of the image file.
      size: (width, height).
    """
    detections = tuple(
        Detection(label, IDS.get(label, 9), score, ymin, xmin, ymax, xmax)
        for label, score, xmin, ymin, xmax, ymax in sorted(rows, key=lambda row: -row[1])
    )
    path = str(path or f"/photos/{name}")
    zeros = (0.0,) * len(detections)
    prediction = Prediction(name, ImageDetections(path, *size, detections), zeros, zeros)
    return Question(PoolImage(name, path, classes), prediction)


def draw_image(path, size=SIZE, orientation=1, mode="RGB", format="JPEG", color=(90, 120, 30)):
    """Saves an image of one colour with a white spot in its upper left corner."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, color)
    image.paste((255, 255, 255), (0, 0, 20, 10))
    exif = Image.Exif()
    if orientation > 1:
        exif[0x0112] = orientation
    image.convert(mode).save(path, format, exif=exif)
    return path
