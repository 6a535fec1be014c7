"""A very small training: drawn images of 96 pixels and a quarter of a MobileNet, for tests of the loop."""

from google.protobuf import text_format

from tfodhelper import protos
from tfodhelper.config import pipeline as pipelines
from tfodhelper.dataset import shapes
from tfodhelper.records import convert
from tfodhelper.zoo import base_configs

_SMALLER = """
model {
  ssd {
    image_resizer { fixed_shape_resizer { height: 96 width: 96 } }
    feature_extractor { depth_multiplier: 0.25 min_depth: 8 }
    post_processing { batch_non_max_suppression { max_detections_per_class: 10 max_total_detections: 10 } }
  }
}
train_config {
  num_steps: 6
  batch_size: 4
}
eval_config { batch_size: 4 num_visualizations: 2 }
"""
_OPTIMIZER = """
momentum_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.01 } } }
use_moving_average: false
"""


def make_data(folder, num_images=20):
    """Draws and converts a few images; returns the `ConvertResult`."""
    shapes.draw_dataset(folder / "images", num_images, seed=3)
    return convert.convert(convert.ConvertOptions(data_dir=folder / "images", output_dir=folder / "data", seed=1))


def make_pipeline(data, optimizer=_OPTIMIZER):
    """A complete configuration for `make_data`'s result, from scratch."""
    pipeline = pipelines.read_pipeline(base_configs.base_pipeline_path("ssd_mobilenet_v1_coco_2018_01_28"))
    text_format.Merge(_SMALLER, pipeline)
    pipeline.model.ssd.num_classes = data.num_classes
    pipeline.train_config.optimizer.CopyFrom(text_format.Parse(optimizer, protos.message("Optimizer")()))
    pipeline.train_config.fine_tune_checkpoint = ""
    for reader, pattern in (
        (pipeline.train_input_reader, data.train_pattern),
        (pipeline.eval_input_reader[0], data.validate_pattern),
    ):
        reader.label_map_path = str(data.label_map_path)
        reader.tf_record_input_reader.ClearField("input_path")
        reader.tf_record_input_reader.input_path.append(str(data.output_dir / pattern))
    pipeline.eval_config.ClearField("num_examples")
    return pipeline
