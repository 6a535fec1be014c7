"""An annotation file and the weights next to it, as the page reads and writes them: two files that change as one.

The weights are written before the annotation file, and hold what both versions of it need until that is there. So a
process that is killed in between leaves no ignored region that is an object for those who read the files.
"""

import dataclasses
import hashlib
import pathlib

from tfodhelper import storage, user_files
from tfodhelper.annotations import labelimg, side_files, weight_files
from tfodhelper.annotations.structures import UnusableFile

NO_FILE = ""  # the version of a file that does not exist


@dataclasses.dataclass(frozen=True)
class Stored:
    """The bytes of an annotation file and of its weights, None where there is no file."""

    xml: bytes | None
    weights: bytes | None = None

    @property
    def exists(self):
        """Whether there is an annotation file."""
        return self.xml is not None

    @property
    def version(self):
        """Another one for all other bytes."""
        if not self.exists:
            return NO_FILE
        return "+".join(hashlib.sha256(data).hexdigest() for data in (self.xml, self.weights) if data is not None)

    def parse(self, path):
        """The `Annotation` with its weights; `path` is for messages.

        Raises:
          UnusableFile: the bytes are not an annotation, or not weights.
        """
        annotation = labelimg.parse_labelimg(self.xml, path)
        if self.weights is None:
            return annotation
        return weight_files.add_weights(annotation, self.weights, weight_files.path_of(path))


def read(path):
    """Reads an annotation file and its weights.

    Args:
      path: of the annotation file, which need not exist.

    Returns:
      `Stored`.

    Raises:
      UnusableFile: one of them cannot be read.
    """
    xml, weights = read_xml(path), weight_files.read_bytes(path)
    return Stored(xml, None if weights is None else weights[0])


def read_xml(path):
    """The bytes of an annotation file, or None if it does not exist. Raises as `read`."""
    try:
        return user_files.read_bytes(path, labelimg.MAX_BYTES)[0]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnusableFile("xml-unreadable", path, f"cannot be read ({error.strerror})") from error


def write(path, before, text, boxes, verified):
    """Writes an annotation file and its weights; files that are right already are left as they are.

    Args:
      path: of the annotation file.
      before: the `Stored` that is there.
      text: of the annotation file.
      boxes: its `Box`es with their weights, in its order.
      verified: whether it says that a person has verified the image.

    Returns:
      The `Stored` that is there now.

    Raises:
      StorageError: they cannot be written.
    """
    path = pathlib.Path(path)
    after = Stored(text.encode("utf-8"), _encode(weight_files.format_weights(path, boxes, verified)))
    present = before.weights
    if after.xml != before.xml:
        path.parent.mkdir(parents=True, exist_ok=True)
        present = _write_weights(path, present, _for_both(path, before, boxes, verified))
        storage.write_text(path, text)
    _write_weights(path, present, after.weights)
    return after


def _for_both(path, before, boxes, verified):
    """Weights that hold for the boxes before and after a change: those that are no longer there come last."""
    if before.weights is None or not before.exists:
        return _encode(weight_files.format_weights(path, boxes, verified))
    was = before.parse(path)
    gone = [box for box in was.boxes if box.is_weighted and not any(_is_same(box, other) for other in boxes)]
    return _encode(weight_files.format_weights(path, [*boxes, *gone], verified or was.verified))


def _is_same(box, other):
    return all(getattr(box, name) == getattr(other, name) for name in ("name", *labelimg.CORNERS))


def _write_weights(path, present, wanted):
    if wanted != present:
        target = weight_files.path_of(path)
        if wanted is None:
            side_files.write(target, None)
        else:
            with storage.open_whole(target, "wb") as file:
                file.write(wanted)
    return wanted


def _encode(text):
    return None if text is None else text.encode("utf-8")


def remove(path, weights):
    """Removes an annotation file.

    Args:
      path: of the annotation file.
      weights: the bytes that were next to it before it was made, or None.

    Raises:
      StorageError: it cannot be removed.
    """
    try:
        pathlib.Path(path).unlink(missing_ok=True)
    except OSError as error:
        raise storage.explain_os_error(error, path) from error
    present = weight_files.read_bytes(path)
    _write_weights(path, None if present is None else present[0], weights)
