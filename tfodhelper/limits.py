"""How much may come of the bytes of a file that somebody else made.

A few bytes can ask for hours or for all memory: a label map with one id of 2147483647, a list in YAML that contains
itself many times over, ten thousand brackets. The limits are far above what real datasets and models have, and what
exceeds them is an error in words, before anything is computed from it.
"""

import json

from tfodhelper import errors

MAX_CLASSES = 30_000  # and the largest id; ImageNet-21k has 21,841 classes
MAX_NAME = 500  # characters of a class name
MAX_TEXT_BYTES = 4 << 20  # of a label map, a pipeline.config or a data.yaml; those of 1,000 classes have 0.1 MB
MAX_DEPTH = 60  # of brackets within brackets; a pipeline.config has ten


def read_text(path, error_type, most=MAX_TEXT_BYTES):
    """The text of a UTF-8 file, without a byte order mark.

    Args:
      path: the file.
      error_type: class of the errors.
      most: bytes.

    Raises:
      TfodhelperError: of that class: the file has more bytes, or is not UTF-8.
      OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(most + 1)
    check_size(data, path, error_type, most)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise error_type(f"{path}: is not UTF-8 text: {error}", fix="save it as UTF-8") from None


def check_size(data, source, error_type, most=MAX_TEXT_BYTES):
    """Raises an error for a text or bytes that are longer than `most`."""
    if len(data) > most:
        raise error_type(f"{source}: is too large", expected=f"at most {most / (1 << 20):g} MiB")


def check_text(text, source, error_type):
    """Raises an error for protobuf text that is too long, or nested too deeply, to be parsed."""
    check_size(text, source, error_type)
    depth = _depth_of(text)
    if depth > MAX_DEPTH:
        raise error_type(f"{source}: is nested too deeply", expected=f"at most {MAX_DEPTH} levels", received=depth)


def _depth_of(text):
    """At most how many brackets are open at once; those in quotes count too, which does not matter at this size."""
    depth = deepest = 0
    for character in text:
        if character in "{[<(":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}]>)":
            depth = max(depth - 1, 0)
    return deepest


def check_class_count(count, source, error_type=errors.AnnotationError):
    """Raises an error for more classes than any detector has."""
    if count > MAX_CLASSES:
        raise error_type(f"{source}: too many classes", expected=f"at most {MAX_CLASSES}", received=count)


def name_problem(name):
    """What is wrong with a class name that is too long for one, or None."""
    if len(name) <= MAX_NAME:
        return None
    return f"has a class name of {len(name)} characters; at most {MAX_NAME} are read"


def parse_json(text):
    """As `json.loads`, which fails in several ways for what is nested too deeply or has endless numbers.

    Raises:
      ValueError: it is not JSON.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
