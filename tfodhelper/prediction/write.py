"""The results of a prediction as files: JSON lines, LabelImg XML, pictures."""

import contextlib
import pathlib

from tfodhelper import console, errors, plain_text, result_folder, storage
from tfodhelper.annotations import labelimg
from tfodhelper.prediction import detections
from tfodhelper.render import boxes

DETECTIONS = "detections.jsonl"
ANNOTATIONS = "annotations"
PICTURES = "pictures"
UNREADABLE = "unreadable.txt"

_PICTURE_QUALITY = 90


def check_output_dir(output_dir, maker=None):
    """Checks that results can be written to a folder without touching existing files.

    Args:
      output_dir, maker: see `result_folder.whole_folder`.

    Returns:
      pathlib.Path of the folder.

    Raises:
      PredictionError: it is not empty.
    """
    fix = "choose another --output_dir, or remove this one"
    result_folder.check_free(output_dir, maker, errors.PredictionError, fix)
    return pathlib.Path(output_dir)


def format_unreadable(path, reason):
    """The line of `unreadable.txt` about a file, with its line end."""
    return f"{plain_text.one_line(path)}\t{' '.join(reason.split())}\n"


class ResultWriter:
    """Writes results image by image; a context manager.

    The folder appears only when the block ends without an error, so that it is never incomplete.

    Args:
      output_dir: folder for the results, see `check_output_dir`.
      maker: see `result_folder.whole_folder`.
      write_xml: whether to write LabelImg XML.
      write_pictures: whether to write pictures with boxes.

    Attributes:
      num_images: images written.
      num_detections: detections written.
      num_unreadable: images that could not be read.
    """

    def __init__(self, output_dir, *, write_xml=False, write_pictures=False, maker=None):
        check_output_dir(output_dir, maker)
        self._whole = result_folder.whole_folder(output_dir, maker)
        self._output_dir = None
        self._write_xml, self._write_pictures = write_xml, write_pictures
        self._unreadable = []
        self._stems = set()
        self.num_images = self.num_detections = 0

    @property
    def num_unreadable(self):
        return len(self._unreadable)

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self._output_dir = stack.enter_context(self._whole)
            stack.push(self._write_unreadable)
            self._lines = stack.enter_context(storage.open_whole(self._output_dir / DETECTIONS))
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *exc):
        return self._opened.__exit__(*exc)

    def _write_unreadable(self, kind, *_):
        """Writes the list of unreadable images at the end of a block that did not fail."""
        if self._unreadable and kind is None:
            lines = "".join(format_unreadable(path, reason) for path, reason in self._unreadable)
            storage.write_text(self._output_dir / UNREADABLE, lines)

    def count_unreadable(self, path, reason):
        """Reports an image that could not be read and adds it to the list for `unreadable.txt`."""
        console.warn(f"left out: {reason}")
        self.list_unreadable(path, reason)

    def list_unreadable(self, path, reason):
        """Adds an image that could not be read to the list for `unreadable.txt`."""
        self._unreadable.append((path, reason))

    def write(self, source, image_detections, image):
        """Writes the results of one image.

        Args:
          source: `sources.Source` that was predicted.
          image_detections: its `ImageDetections`.
          image: uint8 [height, width, 3], the stored frame.
        """
        self._lines.write(detections.to_line(image_detections))
        self.num_images += 1
        self.num_detections += len(image_detections.detections)
        if not (self._write_xml or self._write_pictures):
            return
        stem = self._own_stem(source.name)
        if self._write_xml:
            path = self._make_path(ANNOTATIONS, stem + ".xml")
            labelimg.write_labelimg(path, detections.to_annotation(image_detections), image_path=source.path)
        if self._write_pictures:
            path = self._make_path(PICTURES, stem + ".jpg")
            picture = boxes.draw_detections(image, detections.to_drawn(image_detections))
            with storage.open_whole(path, "wb") as file:
                picture.save(file, "JPEG", quality=_PICTURE_QUALITY)

    def _own_stem(self, name):
        """The name without its extension, or with it if another image has the same stem, such as a.jpg and a.png."""
        stem = str(pathlib.PurePosixPath(name).with_suffix(""))
        stem = name if stem in self._stems else stem
        self._stems.add(stem)
        return stem

    def _make_path(self, folder, name):
        path = self._output_dir / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
