"""A detector's training and evaluation as a task of the Model Garden: one step, seen from one replica."""

import dataclasses

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import base_task

from tfodhelper import console, families, jpeg_dct, resizers, spelling
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.checkpoints import restore
from tfodhelper.checkpoints.class_rows import ClassRows
from tfodhelper.config import checkpoint_classes
from tfodhelper.families import roles
from tfodhelper.fields import Detections, Groundtruth, Inputs, Losses, Predictions
from tfodhelper.inputs import build as inputs_build
from tfodhelper.models import build as models_build
from tfodhelper.models import freezing, xla
from tfodhelper.models import precision as precisions
from tfodhelper.ops import own_gradients

_LABELS = (
    Groundtruth.BOXES,
    Groundtruth.CLASSES,
    Groundtruth.NUM_BOXES,
    Groundtruth.IS_CROWD,
    Groundtruth.DIFFICULT,
    Groundtruth.GROUP_OF,
    Groundtruth.AREA,
)
_FEATURES = (Inputs.TRUE_IMAGE_SHAPE, Inputs.ORIGINAL_IMAGE_SHAPE)
_PROPOSALS = (Predictions.PROPOSALS, Predictions.NUM_PROPOSALS)
_MANY_CLASSES = 8  # from here on the operation that suppresses all classes at once is the faster one
_DETECTIONS = (Detections.BOXES, Detections.SCORES, Detections.CLASSES, Detections.NUM)


@dataclasses.dataclass
class StartingPoint:
    """Where the weights come from if a model folder contains no checkpoint yet.

    Args:
      checkpoint: prefix or folder of a checkpoint, or None to train from scratch.
      checkpoint_type: detection, classification or full.
      keeps_classes: whether what the checkpoint knows of classes with the names of the model's is kept.
      label_map: with `keeps_classes`, the label map of the model.
      checkpoint_label_map: that of the checkpoint, see `checkpoint_classes.find_label_map`; None: found.
    """

    checkpoint: str | None = None
    checkpoint_type: str = "detection"
    keeps_classes: bool = False
    label_map: label_maps.LabelMap | None = None
    checkpoint_label_map: str | None = None


class DetectionTask(base_task.Task):
    """Builds the model, the inputs and the steps that pipeline.config describes.

    Args:
      params: the Model Garden's task configuration; it carries the batch sizes.
      pipeline: a `TrainEvalPipelineConfig` message.
      starting_point: a `StartingPoint`.
      seed: of the input order, of the augmentation and of the initial weights.
      start_step: number of steps already trained: the input resumes after them.
      sampling: an `inputs.sampling.Sampling`, or None.
      treatment: an `inputs.adopted.Treatment`, or None.
      dct: how JPEGs are decoded, a key of `jpeg_dct.CHOICES`.
      choice: a `freezing.Choice`, or None.
      precision: of the layers' arithmetic, see `models.precision`.
      compiles: whether XLA compiles what is computed for a batch, apart from the update and the suppression.
      num_label_rows: rows of the labels in evaluation, so that there is one graph; None: as many as a batch needs.

    Attributes:
      loss_scale: a `precision.LossScale` for float16, else None; it belongs into checkpoints.
    """

    loss = Losses.TOTAL

    def __init__(
        self,
        params,
        pipeline,
        starting_point,
        seed=0,
        start_step=0,
        sampling=None,
        dct=jpeg_dct.ACCURATE,
        choice=None,
        precision="float32",
        compiles=False,
        num_label_rows=None,
        treatment=None,
    ):
        super().__init__(params, name="detection_task")
        self._pipeline, self._starting_point = pipeline, starting_point
        self._seed, self._start_step, self._sampling, self._dct = seed, start_step, sampling, dct
        self._precision, self.loss_scale = precision, None
        self._choice, self._frozen, self._trained = choice, None, None
        self._num_label_rows, self._treatment = num_label_rows, treatment
        self._compiles = compiles
        self.restore_report = None

    def build_model(self):
        """Builds the detector with all its variables."""
        tf_keras.utils.set_random_seed(self._seed)
        with xla.compiled(self._compiles):
            model = models_build.build_detector(self._pipeline.model, is_training=True)
        if self._choice:
            self._trained, self._frozen = freezing.freeze(model, self._choice)
            console.say(self._frozen.summary)
        precisions.lower(model, self._precision)
        if self._precision == "float16":
            self.loss_scale = precisions.LossScale()
        return model

    def trained_variables(self, model):
        """The variables of the model that get gradients: all but frozen ones."""
        return model.trainable_variables if self._trained is None else self._trained

    def updated_variables(self, model):
        """Those of `trained_variables` that the losses depend on.

        Some networks have others, which are kept for checkpoints.
        """
        kept = [named for part in model.parts() if part.role == roles.CLASSIFIER for named in part.variables()]
        kept = {id(named.variable) for named in kept}
        return [variable for variable in self.trained_variables(model) if id(variable) not in kept]

    def initialize(self, model):
        """Fills a new model from the starting point and prints what was restored."""
        point = self._starting_point
        if point.checkpoint is None:
            console.say(
                "weights: from scratch (--fine_tune_checkpoint=none); "
                "statistics of batch norm follow them closely at first"
            )
            if self._frozen is not None:
                console.warn("frozen variables keep their random values: there is no checkpoint to restore them from")
            return
        class_rows, text = self._known_classes(model) if point.keeps_classes else (None, None)
        self.restore_report = restore.restore_for_fine_tuning(
            model, point.checkpoint, point.checkpoint_type, class_rows
        )
        console.say(str(self.restore_report))
        if text:
            console.say(text)
        random = (
            [] if self._frozen is None else [k for k, _ in self.restore_report.initialized if k in self._frozen.keys]
        )
        if random:
            console.warn(
                f"{spelling.count(len(random), 'frozen variable keeps', 'frozen variables keep')} random values: the "
                "checkpoint does not restore them, see above"
            )

    def _known_classes(self, model):
        """`ClassRows` of the checkpoint that the training starts from, and what is to be said of them."""
        point = self._starting_point
        num_classes = restore.count_classes(model, point.checkpoint)
        candidate = checkpoint_classes.find_label_map(point.checkpoint, num_classes, point.checkpoint_label_map)
        known = checkpoint_classes.match_classes(point.label_map, candidate)
        return ClassRows(num_classes, known.source_of), known.text

    def build_inputs(self, params, input_context=None):
        """Builds the `tf.data.Dataset` of training or validation for one input pipeline."""
        resizer = resizers.build_resizer(families.architecture_of(self._pipeline.model).image_resizer)
        pipelines = input_context.num_input_pipelines if input_context else 1
        batch_size = (
            input_context.get_per_replica_batch_size(params.global_batch_size)
            if input_context
            else params.global_batch_size
        )
        if params.is_training:
            return inputs_build.build_train_dataset(
                self._pipeline,
                resizer,
                batch_size=batch_size,
                seed=self._seed,
                start_step=self._start_step * max(1, params.global_batch_size // (batch_size * pipelines)),
                input_context=input_context,
                sampling=self._sampling,
                treatment=self._treatment,
                dct=self._dct,
            )
        # Every worker evaluates the whole set, so that the first one has all numbers without communication.
        return inputs_build.build_eval_dataset(
            self._pipeline,
            resizer,
            batch_size=batch_size,
            input_context=None if pipelines > 1 else input_context,
            keep_original_images=self._pipeline.eval_config.num_visualizations,
            num_label_rows=self._num_label_rows,
            dct=self._dct,
        )

    def build_metrics(self, training=True):
        """Running means of the losses, under their TensorBoard names."""
        names = list(families.family_of(self._pipeline.model).loss_terms(self._pipeline.model))
        if self._pipeline.train_config.add_regularization_loss:
            names.append(Losses.REGULARIZATION)
        return [tf_keras.metrics.Mean(name) for name in [*names, Losses.TOTAL]] if training else []

    def compute_losses(self, model, predictions, labels, training=False):
        """All losses by name, with their sum as `Loss/total_loss`."""
        losses = dict(model.losses(predictions, labels, training=training))
        if self._pipeline.train_config.add_regularization_loss:
            terms = model.regularization_losses()
            losses[Losses.REGULARIZATION] = tf.add_n(terms) if terms else tf.constant(0.0)
        losses[Losses.TOTAL] = tf.add_n(list(losses.values()))
        return losses

    def _predict(self, model, features, labels=None):
        """Raw predictions; with labels those of training."""
        shapes = features[Inputs.TRUE_IMAGE_SHAPE]
        inputs = model.normalize(features[Inputs.IMAGE], shapes)
        return model.predict_raw(inputs, shapes, training=labels is not None, groundtruth=labels)

    @tf.autograph.experimental.do_not_convert
    def train_step(self, inputs, model, optimizer, metrics=None):
        """Forward, backward and one update; returns the losses of this replica."""
        features, labels = inputs
        variables = self.trained_variables(model)

        def differentiate(features, labels):
            with tf.GradientTape() as tape:
                predictions = self._predict(model, features, labels)
                losses = self.compute_losses(model, predictions, labels, training=True)
                # Gradients are summed over the replicas by the optimizer.
                scaled = losses[Losses.TOTAL] / tf.distribute.get_strategy().num_replicas_in_sync
                if self.loss_scale is not None:
                    scaled *= self.loss_scale.factor
            return losses, tape.gradient(scaled, variables)

        losses, gradients = self._wrap(differentiate)(features, labels)
        if self.loss_scale is not None:
            gradients = self.loss_scale.unscale(gradients)
        limit = self._pipeline.train_config.gradient_clipping_by_norm
        if limit > 0:
            gradients, _ = tf.clip_by_global_norm(gradients, limit)
        # Some networks have variables that nothing depends on; they are kept for checkpoints (roles.CLASSIFIER).
        optimizer.apply_gradients([pair for pair in zip(gradients, variables) if pair[0] is not None])
        for metric in metrics or []:
            metric.update_state(losses[metric.name])
        return losses

    def _wrap(self, function):
        """The function as it is run: compiled, or as it is."""
        return tf.function(function, jit_compile=True, autograph=False) if self._compiles else function

    @tf.autograph.experimental.do_not_convert
    @own_gradients.left_out()
    def validation_step(self, inputs, model, metrics=None):
        """Losses and detections of one batch, with what is needed to evaluate them."""
        del metrics
        features, labels = inputs

        def predict(features):
            return self._predict(model, features)

        def compute_losses(predictions, detections, labels):
            return self.compute_losses(model, {**predictions, **detections}, labels)

        predictions = self._wrap(predict)(features)
        threshold = _score_threshold(model)
        detections = model.postprocess(predictions, features[Inputs.TRUE_IMAGE_SHAPE], score_threshold=threshold)
        numbers = {key: values for key, values in labels.items() if values.dtype != tf.string}
        logs = self._wrap(compute_losses)(predictions, detections, numbers)
        logs.update({key: detections[key] for key in _DETECTIONS})
        logs.update({key: predictions[key] for key in _PROPOSALS if key in predictions})
        if Detections.MASKS in detections:
            logs[Detections.MASKS] = detections[Detections.MASKS]
        logs.update({key: labels[key] for key in _LABELS})
        logs.update({key: features[key] for key in _FEATURES})
        logs["padded_shape"] = tf.shape(features[Inputs.IMAGE])[1:3]
        return logs

    def aggregate_logs(self, state, step_logs):
        """Hands one step's outputs of all replicas to the evaluation that `state` is."""
        replicas = len(step_logs[Inputs.SOURCE_ID])
        for replica in range(replicas):
            state.add_batch({key: np.asarray(values[replica]) for key, values in step_logs.items()})
        return state

    def reduce_aggregated_logs(self, aggregated_logs, global_step=None):
        """Closes an evaluation; returns tag -> value."""
        del global_step
        return aggregated_logs.result()


def _score_threshold(model):
    """What evaluation gives `Detector.postprocess`: the detections are the same either way, the time is not.

    TPUs do not have the operation that handles all classes at once.
    """
    if model.num_classes < _MANY_CLASSES or isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
        return None
    return 0.0


def choose_frozen(train_config, part):
    """A `freezing.Choice` from a TrainConfig message and --freeze."""
    return freezing.Choice(part, tuple(train_config.freeze_variables), tuple(train_config.update_trainable_variables))
