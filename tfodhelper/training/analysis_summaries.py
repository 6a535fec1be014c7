"""What TensorBoard shows of an evaluation besides scalars, and what its HParams tab compares runs by."""

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import summary_v2 as hparams_summary
from tensorboard.plugins.pr_curve import metadata as pr_curve

from tfodhelper import families

_PLUGIN_ROWS = 6  # true and false positives, true and false negatives, precision, recall


def write_analysis(analysis, step):
    """Writes precision-recall curves, confusion and sizes with the current default summary writer.

    Args:
      analysis: values of `metrics.analysis_file.SHAPE`.
      step: the step they belong to.
    """
    from tfodhelper.render import evaluation_plots, figures

    curves = [("all classes", analysis["curves"]["overall"], analysis["summary"]["num_objects"])]
    counted = {entry["id"]: entry["num_objects"] for entry in analysis["per_class"]}
    curves += [(curve["name"], curve, counted[curve["id"]]) for curve in analysis["curves"]["per_class"]]
    for name, curve, num_objects in curves:
        if num_objects:
            values = to_plugin_rows(curve, num_objects)
            described = "at an overlap of 0.5; true negatives are not counted"
            form = pr_curve.create_summary_metadata(name, described, num_thresholds=values.shape[1])
            tf.summary.write(f"pr_curves/{name}", values, step=step, metadata=form)
    plots = {
        "confusion": evaluation_plots.plot_confusion(analysis, normalized=False),
        "confusion_normalized": evaluation_plots.plot_confusion(analysis, normalized=True),
        "sizes": evaluation_plots.plot_sizes(analysis),
    }
    for name, figure in plots.items():
        if figure is not None:
            tf.summary.image(f"evaluation/{name}", figures.to_pixels(figure)[None], step=step)
    for entry in analysis["sizes"]["ranges"]:
        total = entry["found"] + entry["missed"]
        if total:
            tf.summary.scalar(f"sizes/found ({entry['name']})", entry["found"] / total, step=step)


def to_plugin_rows(curve, num_objects):
    """The rows of TensorBoard's precision-recall curves, float32 [6, thresholds].

    Args:
      curve: precision and recall at score thresholds from 0 to 1, see `metrics.analysis_file.SHAPE`.
      num_objects: objects that have to be found.
    """
    precision, recall = (
        np.array([np.nan if value is None else value for value in curve[name]], np.float64)
        for name in ("precision", "recall")
    )
    recall = np.nan_to_num(recall)
    right = recall * num_objects
    is_known = precision > 0
    wrong = np.where(is_known, right * (1 - precision) / np.where(is_known, precision, 1.0), 0.0)
    rows = [right, wrong, np.zeros_like(right), num_objects - right, np.nan_to_num(precision), recall]
    return np.stack(rows).astype(np.float32)


def write_hparams(folder, pipeline, options):
    """Writes what distinguishes this training from others, for TensorBoard's HParams tab.

    Args:
      folder: of the event files of the evaluations, whose scalars are the metrics of the tab.
      pipeline: a `TrainEvalPipelineConfig` message.
      options: `options.TrainOptions`.
    """
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        tf.summary.experimental.write_raw_pb(
            hparams_summary.hparams_pb(describe_settings(pipeline, options)).SerializeToString(), step=0
        )
    writer.close()


def describe_settings(pipeline, options):
    """{name: plain value} of a training, as the tab shows them."""
    config = pipeline.train_config
    architecture = families.architecture_of(pipeline.model)
    optimizer = config.optimizer.WhichOneof("optimizer") or ""
    schedule = getattr(config.optimizer, optimizer).learning_rate if optimizer else None
    resizer = architecture.image_resizer
    shape = getattr(resizer, resizer.WhichOneof("image_resizer_oneof") or "", None)
    sides = [value for _, value in shape.ListFields() if type(value) is int] if shape is not None else []
    return {
        "model": architecture.feature_extractor.type,
        "image size": " x ".join(map(str, sides[:2])),
        "batch size": config.batch_size,
        "steps": config.num_steps,
        "optimizer": optimizer.removesuffix("_optimizer"),
        "learning rate": _base_rate(schedule),
        "augmentation": ", ".join(
            each.WhichOneof("preprocessing_step") or "" for each in config.data_augmentation_options
        ),
        "starts from": config.fine_tune_checkpoint_type if config.fine_tune_checkpoint else "random weights",
        "frozen": str(options.freeze or "nothing"),
        "precision": options.precision or "float32",
        "sampling": options.sampling,
        "seed": options.seed,
    }


def _base_rate(schedule):
    """The learning rate that a schedule begins with or comes down from; 0 where it is not one number."""
    kind = schedule.WhichOneof("learning_rate") if schedule is not None else None
    if kind is None:
        return 0.0
    chosen = getattr(schedule, kind)
    for name in ("learning_rate_base", "initial_learning_rate", "learning_rate"):
        if name in chosen.DESCRIPTOR.fields_by_name:
            return float(getattr(chosen, name))
    return 0.0
