"""The results of the prediction of a film as files: JSON lines, the film with boxes.

A JSON line is that of an image (see `detections`), with two more values:

    {"path": "film.mp4", "frame": 48, "time": 1.92, "width": 640, "height": 480, "detections": [...]}
"""

import contextlib
import json

import numpy as np

from tfodhelper import result_folder, storage
from tfodhelper.prediction import detections, films, write
from tfodhelper.render import boxes

FILM = "film.mp4"
_TIME_DIGITS = 4


class FilmResultWriter:
    """Writes results frame by frame; a context manager.

    The folder appears only when the block ends without an error, so that it is never incomplete.

    Args:
      output_dir, maker: see `result_folder.whole_folder`.
      rate: frames per second of the film with boxes, None if it is not known.
      draws: whether to write it.

    Attributes:
      num_frames: frames written.
      num_detections: detections written.
    """

    def __init__(self, output_dir, rate, draws, maker=None):
        write.check_output_dir(output_dir, maker)
        self._whole = result_folder.whole_folder(output_dir, maker)
        self._rate, self._draws, self._film = rate, draws, None
        self._folder = None
        self.num_frames = self.num_detections = 0

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self._folder = stack.enter_context(self._whole)
            self._lines = stack.enter_context(storage.open_whole(self._folder / write.DETECTIONS))
            if self._draws:
                self._film = stack.enter_context(films.FilmWriter(self._folder / FILM, self._rate))
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *exc):
        return self._opened.__exit__(*exc)

    def write(self, frame, image_detections):
        """Writes the results of one frame.

        Args:
          frame: `films.Frame`.
          image_detections: its `ImageDetections`; the path is the name of the film.
        """
        values = detections.to_json(image_detections)
        position = {"path": values.pop("path"), "frame": frame.index, "time": round(frame.time_s, _TIME_DIGITS)}
        self._lines.write(json.dumps(position | values, ensure_ascii=False, allow_nan=False) + "\n")
        self.num_frames += 1
        self.num_detections += len(image_detections.detections)
        if self._film is not None:
            picture = boxes.draw_detections(frame.image, detections.to_drawn(image_detections))
            self._film.write(np.asarray(picture), frame.time_s)

    def write_problem(self, name, problem):
        """Writes why a film could not be read completely, like an image that cannot be read."""
        storage.write_text(self._folder / write.UNREADABLE, write.format_unreadable(name, problem))
