"""The input pipelines that a pipeline.config describes."""

import dataclasses

import tensorflow as tf

from tfodhelper import errors, jpeg_dct
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.inputs import augment, decoder, mixture, parser, reader
from tfodhelper.inputs import sampling as samplings
from tfodhelper.outofcore import workers

_EVAL_SEED = 0  # each evaluation draws the same pictures
_PNG_MASKS = 2  # of InputReader.mask_type; 0, the default, and 1 are numbers
_UNREAD = {
    "num_keypoints": "keypoints",
    "num_additional_channels": "additional channels",
    "load_multiclass_scores": "multiclass scores",
    "load_context_features": "context features",
    "load_dense_pose": "DensePose annotations",
    "load_track_id": "tracks",
    "load_keypoint_depth_features": "keypoint depths",
    "expand_labels_hierarchy": "hierarchies of labels",
}


def build_train_dataset(
    pipeline_config,
    resizer,
    *,
    batch_size,
    seed,
    start_step=0,
    input_context=None,
    sampling=None,
    treatment=None,
    dct=jpeg_dct.ACCURATE,
):
    """Builds the endless (or `num_epochs` long) stream of training batches.

    The order follows from the seed and the epoch, augmentation from the seed and the position in the stream: a stream
    that starts at step s continues exactly where one that ended after step s stopped.

    Args:
      pipeline_config: `TrainEvalPipelineConfig`; train_input_reader and train_config.data_augmentation_options are
        read.
      resizer: a `resizers.Resizer`.
      batch_size: of this input pipeline.
      seed: an int.
      start_step: number of batches of this pipeline that were already used.
      input_context: `tf.distribute.InputContext`, or None; each pipeline reads its own part of the records.
      sampling: a `sampling.Sampling`; None reads every record once per epoch.
      treatment: `adopted.Treatment` of the sets of a mixture after the first one, or None.
      dct: how JPEGs are decoded, a key of `jpeg_dct.CHOICES`.

    Returns:
      A dataset of (features, labels), keyed by `fields.Inputs` and `fields.Groundtruth`.

    Raises:
      ConfigError, DatasetError: for records that cannot be read, or settings that are not supported.
    """
    config = pipeline_config.train_input_reader
    records = _read_training(config, sampling, seed, _share_of(input_context), start_step * batch_size)
    parse = parser.Parser(
        _build_decoder(config, "train_input_reader", dct),
        resizer,
        max_boxes=max_training_boxes(pipeline_config),
        augment=augment.build_augmentation(pipeline_config.train_config.data_augmentation_options),
        treatment=treatment if config.sample_from_datasets_weights else None,
        seed=seed,
    ).parse
    dataset = records.map(parse, num_parallel_calls=workers.count_processors(), deterministic=True)
    dataset = _batch(dataset, batch_size, _drops_remainder(config, default=True))
    return _finish(dataset, config.num_prefetch_batches)


def _read_training(config, sampling, seed, share, start):
    """The records of training as (index, serialized), in the order of `sampling`.

    With `sample_from_datasets_weights` the number of the set is a third element.
    """
    if config.sample_from_datasets_weights and (sampling is None or sampling.is_plain):
        return mixture.read_mixture(mixture.make_mixture(config, "train_input_reader"), seed, share, start)
    source = reader.make_source(config, "train_input_reader")
    if sampling is None or sampling.is_plain:
        return reader.read_records(source, seed, share, start)
    catalogue, draw, _ = build_draw(config, sampling, seed)
    return reader.read_drawn(catalogue, draw, share, start, source.num_epochs)


def build_draw(config, sampling, seed):
    """Builds the draw of the records of an `InputReader` message.

    Args:
      config: the message.
      sampling: a `sampling.Sampling`.
      seed: an int.

    Returns:
      (`samplings.Catalogue`, `samplings.Draw`, the `LabelMap` or None).

    Raises:
      ConfigError, DatasetError: for records that cannot be read or drawn.
    """
    source = reader.make_source(config, "train_input_reader")
    if source.sample_1_of_n_examples > 1:
        raise errors.ConfigError(
            "train_input_reader.sample_1_of_n_examples cannot be combined with --sampling and --negatives",
            fix="remove one of them",
        )
    label_map = label_maps.read_label_map(config.label_map_path) if config.label_map_path else None
    catalogue = samplings.read_catalogue(source.paths, label_map)
    return catalogue, samplings.Draw(catalogue, sampling, seed, source.shuffle), label_map


def build_eval_dataset(
    pipeline_config,
    resizer,
    batch_size,
    input_context=None,
    keep_original_images=0,
    dct=jpeg_dct.ACCURATE,
    num_label_rows=None,
):
    """Builds one pass over the evaluation images, without augmentation.

    Args:
      pipeline_config: `TrainEvalPipelineConfig`; eval_input_reader[0] and eval_config.num_examples are read.
      resizer: a `resizers.Resizer`.
      batch_size: of this input pipeline; the last batch may be smaller.
      input_context: as for training.
      keep_original_images: how many of the first images come with their stored image; all features then have
        `Inputs.ORIGINAL_IMAGE`, which for later images is a single black pixel.
      dct: as for training.
      num_label_rows: the labels of every image are padded to this many rows, so that all batches of a size have the
        same shapes; None pads to the largest number of a batch.

    Returns:
      A dataset of (features, labels) with all boxes, unless the config sets max_number_of_boxes.

    Raises:
      ConfigError, DatasetError: for records that cannot be read.
    """
    if not pipeline_config.eval_input_reader:
        raise errors.ConfigError("eval_input_reader is missing", fix="name the validation records there")
    config = pipeline_config.eval_input_reader[0]
    source = dataclasses.replace(reader.make_source(config, "eval_input_reader"), num_epochs=1)
    records = reader.read_records(source, _EVAL_SEED, _share_of(input_context))
    eval_config = pipeline_config.eval_config
    if eval_config.HasField("num_examples") and eval_config.num_examples:
        records = records.take(eval_config.num_examples)
    parse = parser.Parser(
        _build_decoder(config, "eval_input_reader", dct),
        resizer,
        max_boxes=max_evaluation_boxes(pipeline_config),
        num_rows=num_label_rows,
        keep_original_images=keep_original_images,
        evaluates=True,
    ).parse
    dataset = records.map(parse, num_parallel_calls=workers.count_processors(), deterministic=True)
    dataset = _batch(dataset, batch_size, _drops_remainder(config, default=False))
    return _finish(dataset, config.num_prefetch_batches)


def max_training_boxes(pipeline_config):
    """Boxes per image in training: what train_config or train_input_reader sets; the larger number if both do."""
    messages = pipeline_config.train_config, pipeline_config.train_input_reader
    numbers = [message.max_number_of_boxes for message in messages if message.HasField("max_number_of_boxes")]
    return max(numbers, default=messages[1].max_number_of_boxes)


def max_evaluation_boxes(pipeline_config):
    """Boxes per image in evaluation, if eval_input_reader sets it; otherwise None: all."""
    config = pipeline_config.eval_input_reader[0]
    return config.max_number_of_boxes if config.HasField("max_number_of_boxes") else None


def _build_decoder(config, name, dct):
    for field, content in _UNREAD.items():
        if getattr(config, field):
            raise errors.ConfigError(f"{name}.{field}: {content} are not supported", fix="remove it")
    if config.input_type == 2:
        raise errors.ConfigError(f"{name}.input_type: sequence examples are not supported", expected="TF_EXAMPLE")
    label_map = label_maps.read_label_map(config.label_map_path) if config.label_map_path else None
    return decoder.Decoder(label_map, dct=dct, mask_type=mask_type_of(config))


def mask_type_of(config):
    """How records keep the masks that an `InputReader` message asks for: `decoder.PNG`, NUMERICAL; None: no masks."""
    if not config.load_instance_masks:
        return None
    return decoder.PNG if config.mask_type == _PNG_MASKS else decoder.NUMERICAL


def _share_of(input_context):
    if input_context is None:
        return reader.Share()
    return reader.Share(input_context.input_pipeline_id, input_context.num_input_pipelines)


def _drops_remainder(config, default):
    return config.drop_remainder if config.HasField("drop_remainder") else default


def _batch(dataset, batch_size, drop_remainder):
    specs = tf.nest.flatten(dataset.element_spec)
    if all(spec.shape.is_fully_defined() for spec in specs):
        dataset = dataset.batch(batch_size, drop_remainder)
    else:
        dataset = dataset.padded_batch(
            batch_size, padding_values=parser.padding_values(*dataset.element_spec), drop_remainder=drop_remainder
        )
    return dataset.map(parser.fit_boxes_to_padding)


def _finish(dataset, num_prefetch_batches):
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    ahead = tf.data.AUTOTUNE if num_prefetch_batches < 0 else num_prefetch_batches
    return reader.without_tuning(dataset.prefetch(ahead).with_options(options))
