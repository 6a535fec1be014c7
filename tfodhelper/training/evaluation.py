"""One evaluation on the validation set: numbers by tag and pictures; and the list of all evaluations of a run."""

import json
import pathlib

import numpy as np

from tfodhelper import console, errors, families, mask_geometry, run_layout, storage
from tfodhelper.fields import Inputs, Losses
from tfodhelper.metrics import batch as metrics_batch
from tfodhelper.metrics import build as metrics_build
from tfodhelper.metrics import coco, detection_file, eval_values, proposal_recall
from tfodhelper.render import boxes

MAP = "DetectionBoxes_Precision/mAP"
MAP_50 = "DetectionBoxes_Precision/mAP@.50IOU"
MASK_MAP, MASK_MAP_50 = "DetectionMasks_Precision/mAP", "DetectionMasks_Precision/mAP@.50IOU"
PROPOSAL_RECALL = f"{proposal_recall.PREFIX}Recall@.50IOU@300"
PROPOSAL_AR = f"{proposal_recall.PREFIX}AR@300"
LOSS_PREFIX = "Loss/"
NO_OBJECTS = "(the validation images have no objects to measure it by)"
UNMEASURED = "-: the validation images have no object of that class and size to measure it by"


class Evaluation:
    """Collects detections and ground truth of all images; boxes are judged in pixels of the stored image.

    Args:
      eval_config: an `EvalConfig` message.
      label_map: a `LabelMap`.
      progress: a `console.Progress`, or None.
      only_proposals: whether the detector is only a first stage: its detections are proposals, and any object counts as
        found, whatever its class.
      data: what is evaluated on, in words.
      with_masks: whether masks are measured, too, whatever the configuration says.
      iou_threshold: overlap of a match, for the metrics of PASCAL VOC and Open Images.
    """

    def __init__(
        self,
        eval_config,
        label_map,
        progress=None,
        only_proposals=False,
        data="",
        with_masks=False,
        iou_threshold=0.5,
    ):
        self._data = data
        self._config, self._progress, self._only_proposals = eval_config, progress, only_proposals
        self._names = {item.id: item.name for item in label_map}
        self._shown_names = {item.id: item.shown_name for item in label_map}
        always = (*eval_values.DEFAULT, *((eval_values.COCO_MASKS,) if with_masks else ()))
        self._metrics = metrics_build.build_metrics(eval_config, self._names, always, iou_threshold)
        self._proposals = None  # a `ProposalRecall`, once the detector gives proposals
        self._loss_sums, self.num_images = {}, 0
        self.pictures = {}

    def add_batch(self, batch):
        """Adds one batch of numpy arrays, as `DetectionTask.validation_step` returns them."""
        size = len(batch[Inputs.SOURCE_ID])
        if size == 0:  # a replica with nothing left to do
            return
        for name in [name for name in batch if name.startswith(LOSS_PREFIX)]:
            self._loss_sums[name] = self._loss_sums.get(name, 0.0) + float(batch.pop(name)) * size
        padded_shape = batch.pop("padded_shape")
        for i, (image_id, groundtruth, detections) in enumerate(metrics_batch.unbatch(batch, padded_shape)):
            proposals = detections["boxes"] if self._only_proposals else detections.pop("proposals", None)
            self._update_proposals(image_id, groundtruth, proposals)
            if self._only_proposals:
                groundtruth["classes"] = np.full_like(groundtruth["classes"], min(self._names))
                detections["classes"] = np.full_like(detections["classes"], min(self._names))
            self._metrics.update(
                image_id, groundtruth, detections, _name(batch, i), batch[Inputs.ORIGINAL_IMAGE_SHAPE][i]
            )
            if len(self.pictures) < self._config.num_visualizations:
                self._draw(batch, i, groundtruth, detections)
        self.num_images += size
        if self._progress is not None:
            self._progress.advance(size)

    def _update_proposals(self, image_id, groundtruth, proposals):
        if proposals is None:
            return
        if self._proposals is None:
            self._proposals = metrics_build.build_proposal_recall(self._config, self._names)
        self._proposals.update(image_id, groundtruth, proposals)

    def _draw(self, batch, i, groundtruth, detections):
        if Inputs.ORIGINAL_IMAGE not in batch:
            return
        height, width = (int(n) for n in batch[Inputs.ORIGINAL_IMAGE_SHAPE][i])
        image = np.asarray(batch[Inputs.ORIGINAL_IMAGE][i], np.uint8)[:height, :width]
        if image.size == 0:
            return
        keep = np.flatnonzero(detections["scores"] >= self._config.min_score_threshold)
        keep = keep[: self._config.max_num_boxes_to_visualize]
        shown, known = {key: value[keep] for key, value in detections.items()}, dict(groundtruth)
        for objects in (shown, known):
            if "masks" in objects:
                objects["masks"] = [code if code is None else mask_geometry.decode(code) for code in objects["masks"]]
        self.pictures[_name(batch, i)] = boxes.side_by_side(
            image,
            shown,
            known,
            self._shown_names,
            show_names=not self._config.skip_labels,
            show_scores=not self._config.skip_scores,
        )

    def result(self):
        """Tag -> value of all losses and metrics; NaN for a figure that has no ground truth to be measured by.

        Raises:
          TrainingError: the validation set is empty.
        """
        if self.num_images == 0:
            raise errors.TrainingError(
                "eval_input_reader: no images were read",
                fix="check its input_path, and --val_fraction or --val_list of the conversion",
            )
        values = {name: total / self.num_images for name, total in self._loss_sums.items()}
        values.update(coco.unmeasured_as_nan(self._metrics.result()))
        if self._proposals is not None:
            values.update(coco.unmeasured_as_nan(self._proposals.result()))
        return {name: float(value) for name, value in values.items()}

    def write(self, folders, step, model, figures):
        """Writes what was found and the analysis of it, see `metrics.detection_file.write_evaluation`.

        Args:
          folders: one or several, all with the same content.
          step: of the checkpoint, or None.
          model: what was evaluated, in words.
          figures: {tag: value}, what `result` returned.

        Returns:
          The analysis, see `metrics.analysis_file`.
        """
        for folder in folders:
            analysis = detection_file.write_evaluation(
                folder, self._metrics.overlapping(), figures, step, model, self._data, self._metrics.masks_of
            )
        return analysis


def _name(batch, row):
    """The path of an image; None where the record has none."""
    return batch[Inputs.FILENAME][row].decode("utf-8", "replace") or None if Inputs.FILENAME in batch else None


def build_evaluation(pipeline, label_map, progress=None, iou_threshold=0.5, measures_masks=True):
    """The `Evaluation` of a `TrainEvalPipelineConfig` message.

    Args:
      pipeline: the message.
      label_map, progress, iou_threshold: see `Evaluation`.
      measures_masks: whether the masks of a detector that has them are measured.
    """
    eval_config = pipeline.eval_config
    if not measures_masks and eval_values.COCO_MASKS in eval_config.metrics_set:
        console.warn(f"{eval_values.COCO_MASKS} is left out: the masks of tiles cannot be merged")
        eval_config = type(eval_config).FromString(eval_config.SerializeToString())
        kept = [name for name in eval_config.metrics_set if name != eval_values.COCO_MASKS]
        eval_config.metrics_set[:] = kept
    outputs = families.family_of(pipeline.model).outputs(pipeline.model)
    only_proposals, with_masks = families.BOXES not in outputs, measures_masks and families.MASKS in outputs
    data = ", ".join(pipeline.eval_input_reader[0].tf_record_input_reader.input_path)
    return Evaluation(eval_config, label_map, progress, only_proposals, data, with_masks, iou_threshold)


def format_figure(value):
    """A value with four digits, or "-" for one that could not be measured: None or NaN."""
    return "-" if value is None or np.isnan(value) else f"{value:.4f}"


def summarize(metrics):
    """One line with an evaluation's main numbers: detections, proposals if there are any, loss."""
    precision = format_figure(metrics[MAP])
    parts = [
        f"mAP {precision}" + (f" {NO_OBJECTS}" if precision == "-" else ""),
        f"mAP@.50IOU {format_figure(metrics[MAP_50])}",
        f"loss {format_figure(metrics[Losses.TOTAL])}",
    ]
    if MASK_MAP in metrics:
        masks = format_figure(metrics[MASK_MAP]), format_figure(metrics[MASK_MAP_50])
        parts.insert(2, f"masks: mAP {masks[0]} and mAP@.50IOU {masks[1]}")
    if PROPOSAL_AR in metrics:
        recall, average = format_figure(metrics[PROPOSAL_RECALL]), format_figure(metrics[PROPOSAL_AR])
        parts.insert(-1, f"up to 300 proposals: recall@.50IOU {recall} and AR {average}")
    return ", ".join(parts)


def to_stored(metrics):
    """{tag: value} as it is stored: to a millionth, None instead of NaN."""
    return {name: (None if np.isnan(value) else round(float(value), 6)) for name, value in metrics.items()}


class History:
    """All evaluations of a run, one JSON line each, oldest first, one per step.

    Args:
      path: evaluations.jsonl.
    """

    def __init__(self, path):
        self._path = pathlib.Path(path)
        self.records = run_layout.read_evaluations(self._path) if self._path.exists() else []

    def add(self, step, metrics, **more):
        """Adds an evaluation, which replaces one of the same step, and writes the file atomically."""
        record = {"step": step, **more, "metrics": to_stored(metrics)}
        self.records = [*self.before(step), record]
        storage.write_text(self._path, "".join(json.dumps(record) + "\n" for record in self.records))

    def has(self, step):
        """Whether this step was evaluated."""
        return any(record["step"] == step for record in self.records)

    def before(self, step):
        """The records of the evaluations before a step."""
        return [record for record in self.records if record["step"] < step]

    def last_before(self, step):
        """The step of the last evaluation before a step; 0 if there is none."""
        return max((record["step"] for record in self.before(step)), default=0)

    def best(self):
        """The record of the weights in the folder `best`, see `run_layout.best_of`; None where nothing was measured."""
        return run_layout.best_of(self.records)
