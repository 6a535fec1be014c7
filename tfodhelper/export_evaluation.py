"""Evaluates an exported model on labelled images: whatever is deployed is judged as users get it.

A SavedModel of this program, of the Object Detection API or of the zoo, or a .tflite file, on images with LabelImg XML
or on records. Classes are matched by name: only those that the model and the labels have in common are judged.
"""

import collections
import tempfile

import numpy as np

from tfodhelper import console, errors, mask_geometry, protos, provenance, resizers, result_folder, spelling, storage
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations import masks
from tfodhelper.config import label_maps as included
from tfodhelper.dataset import plan
from tfodhelper.dataset.options import HEADER, SetOptions
from tfodhelper.fields import Inputs, Record
from tfodhelper.formats import tfrecord_reader
from tfodhelper.inputs import build as inputs_build
from tfodhelper.inputs import diagnose, left_out
from tfodhelper.metrics import batch as metrics_batch
from tfodhelper.metrics import build as metrics_build
from tfodhelper.metrics import coco, detection_file, eval_values
from tfodhelper.prediction import classes_of_zoo, detections, saved_models, tiled_predictor
from tfodhelper.records import reader as records_reader
from tfodhelper.tiling import windows

_SHOWN = 10  # names of classes in a message


def evaluate(options):
    """Evaluates an exported model: the verb `eval` with --saved_model_dir.

    Args:
      options: `EvalOptions`.

    Returns:
      ({tag: value}, the analysis).

    Raises:
      UsageError, ConfigError, DatasetError, PredictionError, StorageError.
    """
    saved_models.find_model(options.saved_model_dir)
    label_map_path = included.find_label_map(options.label_map)
    maker = provenance.of_command("eval", options, "output_dir") if options.output_dir else None
    if maker is not None:
        result_folder.check_free(options.output_dir, maker, errors.UsageError)
    tiling = windows.make_tiling(options)
    if tiling is not None:
        console.say(tiling.describe())
    more = {"trust_model": options.trust_model, "dct": options.jpeg_dct}
    label_map_path = label_map_path or classes_of_zoo.find_label_map(options.saved_model_dir)
    model = tiled_predictor.load(options.saved_model_dir, label_map_path, tiling=tiling, **more)
    if model.label_map is None:
        raise errors.PredictionError(
            f"{options.saved_model_dir}: the names of the model's classes are not known",
            expected="label_map.pbtxt next to the model",
            fix="--label_map=PATH, or the name of a label map that is included, such as mscoco",
        )
    source = _read_records if options.records else _read_set
    with tempfile.TemporaryDirectory() as scratch:
        labelled = source(options, model, scratch)
        metrics = _run(options, model, labelled)
    figures = {tag: float(value) for tag, value in coco.unmeasured_as_nan(metrics.result()).items()}
    source = (None, str(options.saved_model_dir), labelled.name)
    described = (metrics.overlapping(), figures, *source, metrics.masks_of)
    if maker is None:
        with tempfile.TemporaryDirectory() as scratch:
            return figures, detection_file.write_evaluation(scratch, *described)
    with result_folder.whole_folder(options.output_dir, maker) as folder:
        return figures, detection_file.write_evaluation(folder, *described)


class _Labelled:
    """Labelled images.

    Args:
      name: where they are, in words.
      categories: {id of the model: name}, of the classes that are judged.
      count: number of images.
      images: iterable of (path or pixels, a function that takes `ImageDetections` and a `MetricsGroup`, and counts).
      has_masks: whether masks of model and labels are compared.
    """

    def __init__(self, name, categories, count, images, has_masks):
        self.name, self.categories, self.count, self.images = name, categories, count, images
        self.has_masks = has_masks


def _run(options, model, labelled):
    """Runs the model over all images; returns the `MetricsGroup`."""
    eval_config = protos.message("EvalConfig")(metrics_set=options.metrics, include_metrics_per_category=True)
    always = (*eval_values.DEFAULT, *((eval_values.COCO_MASKS,) if labelled.has_masks else ()))
    metrics = metrics_build.build_metrics(eval_config, labelled.categories, always, options.iou_threshold)
    waiting, problems = collections.deque(), []

    def read():
        for image, count in labelled.images:
            waiting.append(count)
            yield image

    with console.Progress("evaluation: images", labelled.count) as progress:
        for outcome in model.stream(read(), batch_size=options.batch_size, keep_masks=labelled.has_masks):
            count = waiting.popleft()
            if outcome.problem is not None:
                problems.append(outcome)
            else:
                count(outcome.found, metrics)
            progress.advance()
    if problems:
        images = spelling.count(len(problems), "image")
        console.warn(f"{images} could not be read and were left out (first: {problems[0].path}: {problems[0].problem})")
    if not metrics.num_images:
        raise errors.DatasetError(
            f"{labelled.name}: no labelled image could be evaluated", fix="see `tfodhelper check`"
        )
    return metrics


def _judged(model, names, source):
    """{id of the model: name} of the classes that the model and the labels have in common.

    Args:
      model: a `StreamPredictor`.
      names: {name: number of objects} of the labels.
      source: where the labels are.
    """
    ids = _ids_of(model)
    shared = {ids[name]: model.names[ids[name]] for name in names if name in ids}
    if not shared:
        raise errors.PredictionError(
            f"{source}: the model knows none of the classes of these images",
            expected="one of " + _list(sorted(ids)),
            received=_list(sorted(names)) or "no labelled objects",
            fix="choose a model that was trained on these classes, or its label map with --label_map",
        )
    unknown = sorted(set(names) - set(ids))
    if unknown:
        objects = spelling.count(sum(names[name] for name in unknown), "object")
        console.warn(f"not judged: {objects} of classes that the model does not know: {_list(unknown)}")
    others = sorted(item.shown_name for item in model.label_map if item.id not in shared)
    if others:
        classes = spelling.count(len(others), "class of the model", "classes of the model")
        console.say(f"not judged: {classes} without labelled objects: {_list(others)}")
    return shared


def _ids_of(model):
    """{name: id} of a model's classes; a class may have two names, and labels may have either."""
    return {name: item.id for item in model.label_map for name in (item.display_name, item.name) if name}


def _list(names):
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _read_set(options, model, scratch):
    """Images with LabelImg XML."""
    del scratch
    chosen = {name: getattr(options, name) for name in ("data_dir", "image_dir", "annotation_dir")}
    set_options = SetOptions(**chosen, validate=HEADER).located()
    planned = plan.make_plan(set_options)
    images = [image for image in planned.examination.images if not image.turn]
    name = str(set_options.data_dir or set_options.image_dir)
    turned = len(planned.examination.images) - len(images)
    if turned:
        number = spelling.count(turned, "image that EXIF rotates is", "images that EXIF rotates are")
        console.warn(f"{number} left out: models get the stored pixels; `check --fix` writes rotated copies")
    if planned.left_out:
        files = spelling.count(len(planned.left_out), "file is", "files are")
        console.warn(f"{files} left out because of faults: see `tfodhelper check`")
    names = collections.Counter(box.name for image in images for box in image.annotation.boxes)
    categories = _judged(model, names, name)
    ids = {class_name: class_id for class_name, class_id in _ids_of(model).items() if class_id in categories}

    def iterate():
        for number, image in enumerate(images):
            yield str(image.path), _counter(number, image, ids, has_masks)

    has_masks = model.gives_masks and any(planned.statistics.masks.values())
    return _Labelled(name, categories, len(images), iterate(), has_masks)


def _counter(number, image, ids, has_masks):
    """A function that counts one image of a set."""

    def count(predicted, metrics):
        annotation = image.annotation
        boxes = [box for box in annotation.boxes if box.name in ids]
        groundtruth = {
            "boxes": [(box.ymin, box.xmin, box.ymax, box.xmax) for box in boxes],
            "classes": [ids[box.name] for box in boxes],
            "difficult": [box.difficult or not box.weight for box in boxes],
            "is_crowd": [not box.weight for box in boxes],  # an ignored region
        }
        arrays, size = _to_arrays(predicted), (annotation.height, annotation.width)
        if has_masks:
            arrays["masks"] = detections.to_rles(predicted)
            codes = [masks.to_rle(box.mask, *size) if box.mask else None for box in boxes]
            groundtruth |= {
                "masks": codes,
                "area": [0 if code is None else mask_geometry.areas([code])[0] for code in codes],
            }
        metrics.update(number, groundtruth, arrays, image.name, (predicted.height, predicted.width))

    return count


def _to_arrays(image_detections):
    """`ImageDetections` -> detections as `MetricsGroup.update` takes them."""
    objects = image_detections.detections
    boxes = [(each.ymin, each.xmin, each.ymax, each.xmax) for each in objects]
    return {
        "boxes": np.array(boxes, np.float64).reshape(-1, 4),
        "scores": np.array([each.score for each in objects], np.float64),
        "classes": np.array([each.id for each in objects], np.int64),
    }


def _read_records(options, model, scratch):
    """Images in records, read as a training reads its validation images."""
    path = f"{scratch}/label_map.pbtxt"
    storage.write_text(path, label_maps.format_label_map(model.label_map))
    pipeline = protos.message("TrainEvalPipelineConfig")()
    reader = pipeline.eval_input_reader.add(label_map_path=path)
    reader.tf_record_input_reader.input_path.append(options.records)
    paths = records_reader.list_shards([options.records])
    categories = _judged(model, _count_names(paths, model), options.records)
    census = left_out.check_records(reader, "records", model.label_map, needs_boxes=False)
    total, has_masks = census.num_records, model.gives_masks and len(census.mask_types) == 1
    if has_masks:
        reader.load_instance_masks = True
        kinds = reader.DESCRIPTOR.fields_by_name["mask_type"].enum_type.values_by_name
        reader.mask_type = kinds[next(iter(census.mask_types))].number
    resizer = resizers.build_resizer(protos.message("ImageResizer")(identity_resizer={}))
    dataset = inputs_build.build_eval_dataset(pipeline, resizer, 1, keep_original_images=total, dct=model.dct)

    def iterate():
        for features, labels in diagnose.iterate(dataset, [options.records]):
            batch = {key: np.asarray(value) for key, value in {**features, **labels}.items()}
            yield batch[Inputs.ORIGINAL_IMAGE][0], _record_counter(batch, has_masks)

    return _Labelled(options.records, categories, total, iterate(), has_masks)


def _record_counter(batch, has_masks):
    """A function that counts the image of a batch of one."""

    def count(predicted, metrics):
        size = batch[Inputs.IMAGE].shape[1:3]
        name = batch[Inputs.FILENAME][0].decode("utf-8", "replace") or None
        image = {**batch, **metrics_batch.batch_of(predicted)}
        for image_id, groundtruth, predictions in metrics_batch.unbatch(image, size):
            if has_masks:
                predictions["masks"] = detections.to_rles(predicted)
            metrics.update(image_id, groundtruth, predictions, name, (predicted.height, predicted.width))

    return count


def _count_names(paths, model):
    """{class name: number of objects} of record files, without decoding an image."""
    names = collections.Counter()
    for path in paths:
        with open(path, "rb") as file:
            for offset, length in records_reader.iterate_spans(path):
                file.seek(offset)
                features = tfrecord_reader.parse_example(file.read(length))
                texts = [text.decode("utf-8", "replace") for text in features.get(Record.CLASS_TEXT, ())]
                ids = features.get(Record.CLASS_LABEL, ())
                names.update(texts or [model.names.get(class_id, f"class_{class_id}") for class_id in ids])
    return names
