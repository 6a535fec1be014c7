"""Labels the images of a folder in the browser: the verb `label`."""

import collections
import dataclasses
import os
import threading

from tfodhelper import console, errors, invocation, own_files, spelling, tensorflow_setup
from tfodhelper.active_learning.oracles import detections_to_boxes
from tfodhelper.annotations import image_search
from tfodhelper.annotations.checks import CheckOptions
from tfodhelper.config import label_maps
from tfodhelper.dataset.scan import discover
from tfodhelper.dataset.scan.entry import ScanOptions
from tfodhelper.labelling import server
from tfodhelper.labelling.documents import Item
from tfodhelper.labelling.session import Session
from tfodhelper.options import options_of
from tfodhelper.prediction import saved_models

_BATCH_SIZE = 4  # images per call of the detector; small, so that the page can be ended soon
_FLOOR = 0.05  # score of a detection from which on it may be an object


@dataclasses.dataclass(frozen=True)
class _Folder:
    """What is in the folder.

    Attributes:
      items: `Item`s, in the order of their names.
      verified: for each, whether a person has accepted it.
      classes: names that occur, sorted, so that their keys and colours are the same in each session.
    """

    items: list
    verified: list
    classes: list


def label(options):
    """Shows the page until the person ends it.

    Args:
      options: `labelling.options.LabelOptions`.

    Returns:
      `labelling.session.Counts` at the end.

    Raises:
      UsageError: no folder, a port that cannot be used.
      DatasetError: the folder has no images.
      PredictionError, AnnotationError: a model or a label map that cannot be used.
    """
    options = options.located()
    source = discover.make_source(options.data_dir, options.image_dir, options.annotation_dir)
    fixed = label_maps.to_label_map(options.label_map)
    if options.saved_model_dir is not None:
        saved_models.find_model(options.saved_model_dir)
    folder = _list_folder(source)
    classes = fixed.names if fixed is not None else folder.classes
    model = None if options.saved_model_dir is None else _load_model(options)
    wanted = [not os.path.exists(item.xml) for item in folder.items]
    if model is not None and fixed is None:
        classes = list(dict.fromkeys([*model.names.values(), *classes]))
    doubts = [None if model is not None and is_wanted else 0.0 for is_wanted in wanted]
    session = Session(folder.items, classes, folder.verified, doubts, is_fixed=fixed is not None)
    counts = session.counts()
    console.say(f"{source.image_dir}: {spelling.count(counts.total, 'image')}, {counts.verified} accepted before")
    detector = None if model is None else _Detector(model, session, folder.items, wanted, options, set(classes))
    server.serve(
        session,
        f"{source.image_dir.absolute().name or source.image_dir}: labels",
        options.port,
        on_ready=None if detector is None else detector.start,
    )
    if detector is not None and detector.error is not None:
        raise detector.error
    _summarize(options, session.counts())
    return session.counts()


def _list_folder(source):
    """The `_Folder` of a source. Images whose annotation files contradict each other are left out, with a warning."""
    names, findings = image_search.list_images(source.image_dir)
    for finding in findings:
        console.warn(finding.message)
    if not names:
        raise errors.DatasetError(
            f"{source.image_dir}: no images in it or its folders",
            expected="JPEG, PNG, WebP, BMP, GIF or TIFF",
            fix="give the folder of the images with --data_dir",
        )
    xml_of, verified, classes, left_out = _pair(source, names)
    if left_out:
        number = spelling.count(len(left_out), "image is", "images are")
        command = invocation.format_command("check", image_dir=source.image_dir, annotation_dir=source.annotation_dir)
        console.warn(f"{number} left out, since several annotation files belong to them; see `{command}`")
    shown = [name for name in names if name not in left_out]
    taken = {xml.casefold() for xml in xml_of.values()}
    stems = collections.Counter(os.path.splitext(name)[0].casefold() for name in names)
    items = []
    for name in shown:
        xml = xml_of.get(name) or _name_xml(name, stems, taken)
        taken.add(xml.casefold())
        items.append(Item(name, str(source.image_dir / name), str(source.annotation_dir / xml)))
    for parent in {os.path.dirname(item.xml) for item in items}:
        if os.path.isdir(parent):
            own_files.remove_dead(parent)  # left by a page that was killed
    return _Folder(items, [verified.get(name, False) for name in shown], classes)


def _name_xml(name, stems, taken):
    """Name of a new annotation file: a.xml for a.jpg; a.jpg.xml if there is another image a, or that name is taken."""
    stem = os.path.splitext(name)[0]
    own = f"{stem}.xml"
    return f"{name}.xml" if stems[stem.casefold()] > 1 or own.casefold() in taken else own


def _pair(source, names):
    """({image: annotation file}, {image: whether verified}, classes, images that are left out)."""
    has_xml = any(kind == image_search.XML for kind, _ in image_search.search(source.annotation_dir, lambda _: None))
    if not has_xml:
        return {}, {}, [], set()
    scan = ScanOptions(str(source.image_dir), str(source.annotation_dir), False, None, CheckOptions())
    index = discover.make_index(source, scan)
    xml_of, verified, classes = {}, {}, set()
    for position in index.choices.paired():
        name = index.image_names[index.choices.image[position]]
        annotation = index.entries[position].annotation
        if not index.choices.is_used[position]:
            continue
        xml_of[name] = index.xml_names[position]
        verified[name] = annotation is not None and annotation.verified
        classes.update(box.name for box in (annotation.boxes if annotation is not None else ()))
    free = set(index.unlabelled)
    left_out = {name for name in names if name not in xml_of and name not in free}
    return xml_of, verified, sorted(classes), left_out


def _load_model(options):
    console.say(f"loading the detector {options.saved_model_dir}")
    tensorflow_setup.quiet_tensorflow()
    from tfodhelper.prediction import predictor

    model = predictor.StreamPredictor(options.saved_model_dir, trust_model=options.trust_model)
    if model.label_map is None:
        console.warn("no label map next to the model: classes are named after their ids; use --label_map for names")
    return model


class _Detector:
    """Lets a model look at the images without annotation files while the page is already shown."""

    def __init__(self, model, session, items, wanted, options, classes):
        self._model, self._session, self._options, self._classes = model, session, options, classes
        self._items = [(index, item) for index, item in enumerate(items) if wanted[index]]
        self._is_ended, self.error, self._end = threading.Event(), None, None
        self._thread = threading.Thread(target=self._run, daemon=True, name="detector")

    def start(self, end):
        """Starts; returns the function that stops it. `end` ends the page, if the model fails."""
        self._end = end
        self._thread.start()
        return self._stop

    def _stop(self):
        self._is_ended.set()
        self._thread.join()

    def _run(self):
        try:
            self._predict()
        except Exception as error:  # raised again by the verb, in its own thread
            self.error = error
            self._end()

    def _predict(self):
        paths = (item.image for _, item in self._items if not self._is_ended.is_set())
        outcomes = self._model.stream(paths, batch_size=_BATCH_SIZE, score_threshold=_FLOOR, keep_masks=False)
        for (index, _), outcome in zip(self._items, outcomes):
            if self._is_ended.is_set():
                outcomes.close()
                return
            if outcome.found is None:  # the page says why
                self._session.suggest(index, (), 0.0)
                continue
            threshold, overlap = self._options.score_threshold, self._options.max_overlap
            pairs = detections_to_boxes.choose_boxes(outcome.found, threshold, overlap, self._classes)
            scores = [each.score for each in outcome.found.detections if each.name in self._classes]
            self._session.suggest(index, pairs, doubt_of(scores))


def doubt_of(scores):
    """How doubtful the detections in an image are: that of the most doubtful one, 0 to 1; most at a score of one half.

    Args:
      scores: of the detections, 0 to 1; the image without any has a doubt of 0.
    """
    return max((1 - abs(2 * score - 1) for score in scores), default=0.0)


def _summarize(options, counts):
    """Says what was done, and what to type next."""
    left = counts.total - counts.verified
    console.say(
        f"{counts.verified} of {spelling.count(counts.total, 'image')} accepted, {left} left; "
        f"{spelling.count(counts.changed, 'XML file')} written in this session"
    )
    if counts.num_seen:
        each = counts.seconds / counts.num_seen
        total = console.format_seconds(counts.seconds)
        console.say(f"{total} of work on {spelling.count(counts.num_seen, 'image')}, {each:.1f} s each")
    places = {"data_dir": options.data_dir, "image_dir": options.image_dir, "annotation_dir": options.annotation_dir}
    commands = []
    if left:
        given = {each.flag: getattr(options, each.name) for each in options_of(type(options))}
        defaults = {each.flag: each.default for each in options_of(type(options))}
        flags = {name: value for name, value in given.items() if value != defaults[name]}
        commands.append(invocation.format_command("label", **flags))
    if counts.verified:
        commands.append(invocation.format_command("check", **places))
    console.say_next(*commands)
