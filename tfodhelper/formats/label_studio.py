"""Reads and writes Label Studio's tasks in JSON, with annotations and with predictions.

What a person submitted becomes the annotation of an image. Of several annotations of a task, the one that is marked as
ground truth counts; several that agree are one; others leave the image out, since nothing says who is right. What was
skipped ("cancelled") does not count. Predictions stay predictions. Of the boxes' properties, difficult and truncated
are choices about a region; a ground truth is a verified image.
"""

import json
import pathlib
import posixpath
import re
import urllib.parse

from lxml import etree

from tfodhelper import errors, limits, spelling, storage, user_files
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.structures import Annotation
from tfodhelper.formats import collection, studio_regions
from tfodhelper.formats.collection import Collection, ListedImage, PredictedImage
from tfodhelper.formats.studio_regions import ControlNames

IMAGE_KEY, NAME_KEY = "image", "file_name"
MODEL = "tfodhelper"
OWN_NAMES = ControlNames()  # of `make_config`
LOCAL_FILES = "/data/local-files/?d="
_MAX_BYTES = 1 << 30
_EXPECTED = '[{"data": {"image": ...}, "annotations": [{"result": [...]}], "predictions": [...]}, ...]'
_EXPORT_JSON = 'export the project from Label Studio as "JSON"'
_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)", re.DOTALL)  # Label Studio puts this before the name of an uploaded file
_NOT_IN_UPLOADS = re.compile(r"[^-\w.]")
_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def read_tasks(path, image_names=()):
    """Reads a JSON file as Label Studio exports it.

    Args:
      path: the file.
      image_names: names of the images, relative to their folder. A task whose image was uploaded under a name with
        blanks and the like, which Label Studio replaces, is that of the only image whose name becomes the same.

    Returns:
      A `Collection` of upright images; classes have no ids.

    Raises:
      AnnotationError: the file cannot be read, or has no tasks.
    """
    path = pathlib.Path(path)
    images, predicted, findings, num_unlabelled, num_bare = [], [], [], 0, 0
    originals = _find_originals(image_names)
    for number, task in enumerate(_load(path), start=1):
        where = f"task {_name_task(task, number)}"
        name = image_name(task)
        name = originals.get(name, name)
        if not name:
            findings.append(
                Finding("image-unlisted", path.name, "the task does not say which image it is about", where)
            )
            continue
        regions, is_verified, notes = choose_annotation(task, name, where)
        findings += notes
        if regions is not None:
            images.append(_to_listed(name, regions, is_verified, path.name, where))
            findings += _report_details(regions, path.name, where)
        elif not notes:
            num_unlabelled += 1
        suggestion, notes = _read_prediction(task, name, path.name, where)
        num_bare += suggestion is None and bool(task.get("predictions"))
        predicted += [suggestion] if suggestion else []
        findings += notes
    if num_unlabelled:
        problem = f"{spelling.count(num_unlabelled, 'task')} without an annotation: nobody has submitted one"
        findings.append(Finding("unlabelled", path.name, problem))
    if num_bare:
        problem = f"the file has only the numbers of the predictions for {spelling.count(num_bare, 'task')}"
        fix = "if you need them, make an export snapshot in Label Studio that includes predictions"
        findings.append(Finding("detail-dropped", path.name, problem, fix=fix))
    return Collection(tuple(images), {}, {}, tuple(findings), tuple(predicted), is_upright=True)


def _find_originals(image_names):
    """{name that Label Studio gives to an uploaded image: its own name}, where they differ and only one fits."""
    originals = {}
    for name in image_names:
        base = posixpath.basename(name)
        originals.setdefault(_NOT_IN_UPLOADS.sub("", base.strip().replace(" ", "_")), []).append(name)
    pairs = ((kept, names[0]) for kept, names in originals.items() if len(names) == 1)
    return {kept: name for kept, name in pairs if kept != posixpath.basename(name)}


def _load(path):
    try:
        data, _ = user_files.read_bytes(path, _MAX_BYTES)
        if len(data) > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES >> 20} MiB")
        content = limits.parse_json(data)
    except OSError as error:
        raise errors.AnnotationError(f"{path}: cannot be read ({error.strerror})", fix=_EXPORT_JSON) from error
    except ValueError as error:
        raise errors.AnnotationError(f"{path}: is not JSON: {error}", expected=_EXPECTED, fix=_EXPORT_JSON) from None
    tasks = content if isinstance(content, list) else [content]
    if not tasks or not all(isinstance(task, dict) and isinstance(task.get("data"), dict) for task in tasks):
        is_minimal = bool(tasks) and isinstance(tasks[0], dict) and "annotation_id" in tasks[0]
        received = "JSON-MIN, which leaves out what is needed" if is_minimal else None
        raise errors.AnnotationError(
            f"{path}: has no tasks of Label Studio", expected=_EXPECTED, received=received, fix=_EXPORT_JSON
        )
    return tasks


def _name_task(task, number):
    return task["id"] if isinstance(task.get("id"), int) else f"number {number}"


def image_name(task):
    """The name of a task's image: as this program wrote it, or from the address; "" if the task has none.

    Args:
      task: a dict with a dict "data".
    """
    data = task["data"]
    if isinstance(data.get(NAME_KEY), str):
        return collection.to_posix(data[NAME_KEY])
    texts = [value for key, value in data.items() if isinstance(value, str)]
    texts.sort(key=lambda text: text is not data.get(IMAGE_KEY))
    names = list(map(_name_in_address, texts))
    images = [name for name in names if posixpath.splitext(name)[1].lower() in _IMAGE_ENDINGS]
    return next(iter(images), names[0] if names and data.get(IMAGE_KEY) == texts[0] else "")


def _name_in_address(text):
    try:
        parts = urllib.parse.urlsplit(text)
        local = urllib.parse.parse_qs(parts.query).get("d") if parts.path.endswith("/local-files/") else None
    except ValueError:
        return ""
    name = collection.to_posix(local[0] if local else urllib.parse.unquote(parts.path))
    folder, base = posixpath.split(name)
    uploaded = _UPLOADED.fullmatch(base) if "/upload/" in f"{folder}/" else None
    return uploaded[1] if uploaded else name


def choose_annotation(task, name, where):
    """The annotation of a task that counts, see above.

    Args:
      task: a dict.
      name: of its image, for findings.
      where: the task, for findings.

    Returns:
      (its `studio_regions.Regions`, or None; whether it is the ground truth; findings, if annotations do not count).
    """
    given = task.get("annotations")
    given = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    submitted = [each for each in given if not each.get("was_cancelled")]
    if given and not submitted:
        problem = "the task was skipped by everybody who saw it"
        return None, False, [Finding("entry-unusable", name, problem, where, action="image left out")]
    truths = [each for each in submitted if each.get("ground_truth") is True]
    chosen = truths or submitted
    if not chosen:
        return None, False, []
    results = [studio_regions.read_result(each.get("result")) for each in chosen]
    if len({(frozenset(each.boxes), len(each.lost)) for each in results}) > 1:
        problem = f"{len(results)} annotations of the task contradict each other"
        fix = "mark the right one as ground truth in Label Studio, or delete the others"
        return None, False, [Finding("annotations-conflict", name, problem, where, fix=fix)]
    return results[0], bool(truths), []


def _to_listed(name, regions, is_verified, source, where):
    annotation = Annotation(collection.base_name(name), regions.width, regions.height, regions.boxes, is_verified)
    lost = tuple(_to_finding(problem, source, where) for problem in regions.lost)
    return ListedImage(name, annotation, lost)


def _to_finding(problem, source, where):
    return Finding(problem.code, source, problem.what, f"{where}, {problem.where}")


def _report_details(regions, source, where):
    findings = [_to_finding(problem, source, where) for problem in regions.notes]
    if regions.num_details:
        problem = f"{regions.num_details} relations, texts, points or choices are not imported"
        findings.append(Finding("detail-dropped", source, problem, where))
    return findings


def _read_prediction(task, name, source, where):
    """Returns (a `PredictedImage` or None, findings)."""
    given = task.get("predictions")
    given = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    if not given:
        return None, []
    newest = max(given, key=lambda each: (str(each.get("created_at") or ""), _order(each.get("id"))))
    findings = []
    if len(given) > 1:
        problem = f"{len(given)} predictions; the newest one, of {str(newest.get('model_version'))[:80]!r}, is used"
        findings.append(Finding("detail-dropped", source, problem, where))
    regions = studio_regions.read_result(newest.get("result"))
    findings += [_to_finding(problem, source, f"{where}, prediction") for problem in (*regions.lost, *regions.notes)]
    return PredictedImage(name, regions.width, regions.height, regions.boxes, regions.scores), findings


def _order(value):
    return value if isinstance(value, int) else 0


def make_task(name, address, size, annotation=None, suggestion=None, names=OWN_NAMES):
    """One task.

    Args:
      name: of the image, by which it is found again.
      address: where Label Studio finds the image.
      size: (width, height) of the upright image, pixels.
      annotation: an `Annotation`, or None for an image that nobody has labelled.
      suggestion: a `PredictedImage` in the same frame, or None.
      names: `ControlNames` of the labelling configuration.
    """
    task = {"data": {IMAGE_KEY: address, NAME_KEY: name}}
    if annotation is not None:
        result = _to_result(annotation.boxes, [None] * len(annotation.boxes), size, names)
        task["annotations"] = [{"result": result, "was_cancelled": False, "ground_truth": annotation.verified}]
    if suggestion is not None:
        task["predictions"] = [make_prediction(suggestion, size, names)]
    return task


def make_prediction(suggestion, size, names=OWN_NAMES):
    """A prediction; its score is the mean of those of its boxes, 0 without any.

    Args:
      suggestion: a `PredictedImage`.
      size, names: see `make_task`.
    """
    scores = [score for score in suggestion.scores if score is not None]
    return {
        "model_version": MODEL,
        "score": sum(scores) / len(scores) if scores else 0.0,
        "result": _to_result(suggestion.boxes, suggestion.scores, size, names),
    }


def _to_result(boxes, scores, size, names):
    pairs = enumerate(zip(boxes, scores), start=1)
    return [
        entry
        for number, (box, score) in pairs
        for entry in studio_regions.to_regions(box, *size, f"object{number}", names, score)
    ]


def write_tasks(path, tasks):
    """Writes tasks to a JSON file atomically, one per line."""
    with storage.open_whole(path) as file:
        file.write("[")
        for number, task in enumerate(tasks):
            file.write(("," if number else "") + "\n" + json.dumps(task, ensure_ascii=False, allow_nan=False))
        file.write("\n]\n")


def make_address(prefix, name):
    """The address of an image: the prefix and the name, with escapes for what an address cannot contain."""
    return prefix + urllib.parse.quote(name)


def make_config(class_names, with_masks=False):
    """The labelling configuration for these tasks, as text.

    Args:
      class_names: of all classes.
      with_masks: whether there are outlines and brushes, too.
    """
    names = OWN_NAMES
    view = etree.Element("View")
    etree.SubElement(view, "Image", name=names.image, value=f"${IMAGE_KEY}", zoom="true")
    tags = {"RectangleLabels": names.boxes}
    if with_masks:
        tags |= {"PolygonLabels": names.outlines, "BrushLabels": names.brushes}
    for tag, own in tags.items():
        control = etree.SubElement(view, tag, name=own, toName=names.image)
        for class_name in class_names:
            etree.SubElement(control, "Label", value=class_name)
    flags = {"name": names.flags, "toName": names.image, "perRegion": "true", "choice": "multiple"}
    choices = etree.SubElement(view, "Choices", **flags)
    for flag in studio_regions.FLAGS:
        etree.SubElement(choices, "Choice", value=flag)
    etree.indent(view)
    return etree.tostring(view, encoding="unicode") + "\n"
