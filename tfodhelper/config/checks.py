"""Everything that is known to be wrong with a configuration before any work is done, in one place.

`config`, `train`, `eval`, `run` and the rounds of active learning all call this, and it needs no TensorFlow: what a
builder would refuse after minutes or hours is refused at once, with the same words, because the builders call the same
checks of values.
"""

from tfodhelper import console, families
from tfodhelper.config import augmentation_values, schedule_values, supported
from tfodhelper.config import pipeline as pipelines
from tfodhelper.metrics import eval_values


def check_pipeline(pipeline, ignore_unsupported_fields=False, class_names=None, says=True):
    """Checks a configuration for training and evaluation.

    Args:
      pipeline: a TrainEvalPipelineConfig message.
      ignore_unsupported_fields: whether fields that are not supported only cause a warning.
      class_names: names of the label map, if it is known.
      says: whether to print warnings; without, only errors count.

    Raises:
      ConfigError: a field is not supported, a value cannot be used, or values contradict each other.
    """
    supported.check_supported(pipeline, ignore_unsupported_fields, says)
    families.family_of(pipeline.model).check(pipeline.model, True)
    train = pipeline.train_config
    schedule_values.check_optimizer(train.optimizer)
    augmentation_values.check_options(train.data_augmentation_options)
    pipelines.fine_tune_checkpoint_type(train)
    eval_values.check_eval_config(pipeline.eval_config, class_names)
    replaced = eval_values.describe_replaced(pipeline.eval_config.metrics_set)
    if says and replaced:
        console.warn(replaced)
