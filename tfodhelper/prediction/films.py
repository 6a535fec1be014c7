"""Films and cameras as frames, decoded by FFmpeg through PyAV.

Frames are upright: the rotation that a phone writes into a film is applied, as players do. A film that is damaged or
cut off gives the frames that can be read, and says what is wrong with it.
"""

import contextlib
import dataclasses
import fractions
import os
import pathlib

import numpy as np

from tfodhelper import errors, user_files

EXTENSIONS = frozenset(
    (*(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"), *(".mpeg", ".mpg", ".mts", ".ogv", ".webm"))
)
INSTALL = 'pip install -c constraints.txt ".[video]"'

_TOLERANCE_S = 0.5  # that the end of a film may differ from the duration that it states


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame of a film.

    Attributes:
      index: in the film, from 0.
      time_s: when it is shown, seconds since the start of the film; for a camera, since its first frame.
      image: uint8 [height, width, 3], RGB, upright.
    """

    index: int
    time_s: float
    image: np.ndarray


def is_film(path):
    """Whether a path is that of a film, by its extension."""
    return pathlib.PurePath(path).suffix.lower() in EXTENSIONS


def import_decoder():
    """The module av.

    Raises:
      PredictionError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise errors.PredictionError(f"PyAV, which reads films, cannot be imported: {error}", fix=INSTALL) from error
    return av


@contextlib.contextmanager
def open_film(path):
    """Opens a film file for reading.

    Yields:
      `Film`.

    Raises:
      PredictionError: PyAV is not installed; it is not a file, or nothing in it can be read as a film.
    """
    av = import_decoder()
    if not os.path.isfile(path):
        problem = "is not a file" if os.path.exists(path) else "no such file"
        raise errors.PredictionError(f"{user_files.show(path)}: {problem}", fix="give the path of a film")
    # A file may name further ones; none is fetched from elsewhere.
    with _open(av, os.path.abspath(path), str(path), options={"protocol_whitelist": "file"}) as container:
        yield Film(av, container, str(path))


@contextlib.contextmanager
def open_camera(number):
    """Opens a camera; its frames do not end.

    Args:
      number: of the camera, from 0.

    Yields:
      `Film`, whose name is "camera N".

    Raises:
      PredictionError: PyAV is not installed, or the camera does not exist or cannot be used.
    """
    av = import_decoder()
    address, format_ = find_device(number)
    with _open(av, address, f"camera {number}", format=format_) as container:
        yield Film(av, container, f"camera {number}", is_live=True)


def find_device(number):
    """The address of a camera, and FFmpeg's name of the way to read it."""
    return f"/dev/video{number}", "v4l2"


@contextlib.contextmanager
def _open(av, address, name, **more):
    try:
        container = av.open(address, **more)
    except (av.FFmpegError, OSError, ValueError) as error:
        is_camera = "format" in more
        raise errors.PredictionError(
            f"{name}: cannot be opened: {_reason(error)}",
            expected=f"a camera at {address}" if is_camera else "a film that FFmpeg can read",
            fix="look for cameras with: ls /dev/video*" if is_camera else "if it plays elsewhere, convert it to MP4",
        ) from error
    with container:
        if not container.streams.video:
            raise errors.PredictionError(f"{name}: there are no pictures in it", expected="a film")
        yield container


def _reason(error):
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class Film:
    """An open film or camera.

    Attributes:
      name: the path of the film, or "camera N".
      is_live: whether it is a camera.
      rate: frames per second that it states, or None.
      num_frames: how many frames it states, or None.
      problem: why it ended early or has gaps, once all of its frames are read; None if all is well.
    """

    def __init__(self, av, container, name, is_live=False):
        self._av, self._container, self.name, self.is_live = av, container, name, is_live
        self._stream = container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.rate = float(self._stream.average_rate) if self._stream.average_rate else None
        self.num_frames = self._stream.frames or None
        self.problem = None

    def read(self, every=1):
        """Reads the film from the start; to be called once.

        Args:
          every: yields the first frame and then one of so many.

        Yields:
          `Frame`, in the order in which they are shown.
        """
        index, end, num_damaged, start = 0, 0.0, 0, self._find_start()
        try:
            for picture in self._container.decode(self._stream):
                time_s = self._time_of(picture, index)
                start = time_s if start is None else start
                end = time_s - start
                num_damaged += bool(picture.is_corrupt)
                if index % every == 0:
                    yield Frame(index, end, _to_image(picture))
                index += 1
        except (self._av.FFmpegError, OSError) as error:
            self.problem = f"cannot be read further than {_count(index)}: {_reason(error)}"
            return
        self.problem = self._judge(index, end, num_damaged)

    def _find_start(self):
        """The time from which frames count, seconds; None for that of the first frame."""
        if self.is_live:
            return None
        return (self._container.start_time or 0) / self._av.time_base

    def _time_of(self, picture, index):
        return float(picture.time) if picture.time is not None else index / (self.rate or 1.0)

    def _judge(self, num_read, end, num_damaged):
        """What is wrong with a film that was read to its end, or None."""
        if self.is_live:
            return "the camera gives no more frames"
        stated = self._stated_duration()
        is_short = stated is not None and end + 1.0 / (self.rate or 1.0) < stated - _TOLERANCE_S
        if self.num_frames is not None and num_read < self.num_frames:
            return f"ends after {_count(num_read)} of {self.num_frames}"
        if num_read == 0:
            return "no frame can be read"
        if is_short:
            return f"ends after {end:.1f} s of {stated:.1f} s"
        return f"{_count(num_damaged)} damaged" if num_damaged else None

    def _stated_duration(self):
        if self._stream.duration is not None:
            return float(self._stream.duration * self._stream.time_base)
        if self._container.duration is not None:
            return self._container.duration / self._av.time_base
        return None


def _count(number):
    return "1 frame" if number == 1 else f"{number} frames"


def _to_image(picture):
    """A decoded picture as RGB, upright."""
    image = picture.to_ndarray(format="rgb24")
    quarters = round(picture.rotation / 90) % 4  # counter-clockwise
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image


class FilmWriter:
    """Writes an MP4 film, H.264, that browsers and players show; a context manager.

    Frames keep their times, so that one of which only every tenth frame is written lasts as long as the original.

    Args:
      path: the file; in a folder that appears when it is complete.
      rate: frames per second, or None if it is not known.
    """

    _TIME_BASE = 90_000  # units per second

    def __init__(self, path, rate):
        self._av, self._path, self._rate = import_decoder(), path, rate
        self._stream, self._last = None, -1

    def __enter__(self):
        self._container = self._av.open(str(self._path), "w", format="mp4", options={"movflags": "faststart"})
        return self

    def __exit__(self, kind, *_):
        with contextlib.closing(self._container):
            if kind is None and self._stream is not None:
                self._container.mux(self._stream.encode())

    def write(self, image, time_s):
        """Adds a frame.

        Args:
          image: uint8 [height, width, 3], of the same size each time; an odd side loses its last row or column.
          time_s: when it is shown, seconds.
        """
        height, width = (side - side % 2 for side in image.shape[:2])
        if self._stream is None:
            self._stream = self._add_stream(width, height)
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
        self._last = max(self._last + 1, round(time_s * self._TIME_BASE))
        frame.pts, frame.time_base = self._last, self._stream.codec_context.time_base
        self._container.mux(self._stream.encode(frame))

    def _add_stream(self, width, height):
        codec = "libx264" if "libx264" in self._av.codecs_available else "mpeg4"
        rate = fractions.Fraction(self._rate or 25.0).limit_denominator(1001)
        stream = self._container.add_stream(codec, rate=max(rate, fractions.Fraction(1, 1000)))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = fractions.Fraction(1, self._TIME_BASE)
        if codec == "libx264":
            stream.options = {"crf": "20", "preset": "veryfast"}
        return stream
