"""Reads the images to predict: the stored frame, RGB; an EXIF orientation is not applied.

An image in memory, uint8 [height, width, 3], may take the place of a path.
"""

import collections
import concurrent.futures
import contextlib
import itertools
import os

import numpy as np
import tensorflow as tf

from tfodhelper import errors, jpeg_dct
from tfodhelper.annotations import images as image_files
from tfodhelper.prediction import single_thread

_IMAGES_AHEAD = 1  # that are decoded while the model works on earlier ones


def name_of(path):
    """The path as text, empty for an image in memory."""
    return "" if isinstance(path, np.ndarray) else str(path)


def read_image(path, dct=jpeg_dct.ACCURATE):
    """Reads an image file: the stored frame, RGB.

    Formats that records re-encode are re-encoded here in the same way.

    Args:
      path: of a file in any format that `annotations.images` supports.
      dct: how JPEGs are decoded, a key of `jpeg_dct.CHOICES`.

    Returns:
      uint8 [height, width, 3].

    Raises:
      PredictionError: the image cannot be read; the error names the file and the problem.
    """
    return read_pixels(path, dct).numpy()


def ask_for(path):
    """Asks the system to read a file ahead, so that no call has to wait for the disk."""
    if not hasattr(os, "posix_fadvise") or isinstance(path, np.ndarray):
        return
    with contextlib.suppress(OSError):
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(file)


def read_jpeg(path):
    """The bytes of a JPEG that every decoder can read; None for other formats, and for an image in memory.

    Raises:
      PredictionError: the image cannot be read; the error names the file and the problem.
    """
    if isinstance(path, np.ndarray):
        return None
    with _as_prediction_errors():
        data = image_files.read_image(path)
        return data if image_files.is_plain_jpeg(data, path) else None


def read_pixels(path, dct=jpeg_dct.ACCURATE):
    """Like `read_image`, but returns a tensor; an image in memory as it is."""
    if isinstance(path, np.ndarray):
        return path
    try:
        with _as_prediction_errors(), tf.device("/CPU:0"):
            data = image_files.read_image(path)
            if image_files.is_plain_jpeg(data, path):
                with contextlib.suppress(tf.errors.OpError):  # the cause is determined below, in more detail
                    return single_thread.decode_jpeg(data, dct)
            facts = image_files.inspect_image(data, path)
            encoded, format_ = image_files.encode_for_record(data, facts)
            if format_ == "jpeg":
                return single_thread.decode_jpeg(encoded, dct)
            return tf.io.decode_image(encoded, channels=3, expand_animations=False)
    except tf.errors.OpError as error:
        raise errors.PredictionError(f"{path}: the image cannot be decoded", received=error.message) from error


def read_ahead(paths, dct=jpeg_dct.ACCURATE):
    """Reads whole images in a thread, one ahead, for predictions that cut them up.

    Args:
      paths: as for `read_image`; taken as needed.
      dct: how JPEGs are decoded, a key of `jpeg_dct.CHOICES`.

    Yields:
      (path, uint8 [height, width, 3], None), or (path, None, why it cannot be read), in order.
    """
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        paths = iter(paths)
        running = collections.deque(
            pool.submit(_read_whole, path, dct) for path in itertools.islice(paths, 1 + _IMAGES_AHEAD)
        )
        while running:
            done = running.popleft().result()
            running.extend(pool.submit(_read_whole, path, dct) for path in itertools.islice(paths, 1))
            yield done


def _read_whole(path, dct):
    try:
        return path, np.asarray(read_pixels(path, dct)), None
    except errors.PredictionError as error:
        return path, None, str(error)


@contextlib.contextmanager
def _as_prediction_errors():
    try:
        yield
    except errors.AnnotationError as error:
        raise errors.PredictionError(
            error.what, expected=error.expected, received=error.received, fix=error.fix
        ) from error
