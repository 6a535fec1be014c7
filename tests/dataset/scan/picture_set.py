"""Makes small sets of images with annotation files."""

import pathlib

import numpy as np
from PIL import Image

from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Annotation, Box

JPEG_MAGIC = b"\xff\xd8"


def save_image(path, size=(64, 48), seed=0, format="JPEG", mode="RGB", **options):
    """Saves an image of noise that depends on the seed."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, format, **options)
    return path


def save_pair(folder, stem, boxes, size=(64, 48), seed=0, **given):
    """Saves stem.jpg and stem.xml; `given` replaces fields of the annotation."""
    image = save_image(pathlib.Path(folder) / f"{stem}.jpg", size, seed)
    fields = {"filename": image.name, "width": size[0], "height": size[1], "boxes": tuple(boxes)} | given
    labelimg.write_labelimg(image.with_suffix(".xml"), Annotation(**fields))
    return image


def save_set(folder, classes, count=5):
    """Saves `count` images per class, each with one box of the class; returns the folder."""
    for position, name in enumerate(classes):
        for number in range(count):
            seed = position * 1000 + number
            save_pair(folder, f"{name}_{number:03d}", [Box(name, 4, 5, 30, 40)], seed=seed)
    return pathlib.Path(folder)
