"""The options of an export; importing this module does not import TensorFlow."""

import dataclasses

from tfodhelper import options
from tfodhelper.config.options import ChangeOptions

INPUT_TYPES = {
    "image_tensor": "uint8 [1, height, width, 3]",
    "float_image_tensor": "float32 [any, height, width, 3], values from 0 to 255",
    "encoded_image_string_tensor": "string [any]: JPEG, PNG, BMP or GIF files",
    "tf_example": "string [any]: serialized tf.train.Example with image/encoded",
}
_ANY = ("any", "none")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions(ChangeOptions):
    """The options of `export`."""

    title = "Model and configuration"

    pipeline_config_path: options.Path | None = options.option(
        None,
        "The pipeline.config that the checkpoint was trained with; when omitted, the one in its folder or around it.",
    )
    trained_checkpoint_dir: options.Path = options.option(
        options.REQUIRED,
        "Folder with the checkpoint, of which the newest is exported; the prefix of a checkpoint; or a run folder, for "
        "its best checkpoint.",
    )
    output_directory: options.Path = options.option(
        options.REQUIRED, "Folder to write; must not exist, or must be empty."
    )
    input_type: str = options.option("image_tensor", "What the SavedModel takes.", choices=INPUT_TYPES)
    batch_size: int | str | None = options.option(
        None, "Images per call: a number, or any. When omitted, it depends on --input_type.", least=1, words=_ANY
    )
    label_map: options.Path | None = options.option(
        None,
        "label_map.pbtxt with the names of the classes, or the name of one that is included, such as mscoco. When "
        "omitted, the one that the pipeline.config names.",
    )

    @property
    def images_per_call(self):
        """The batch size for `export_trained`: a number, None for any number, or "default"."""
        if self.batch_size is None:
            return "default"
        return None if self.batch_size in _ANY else self.batch_size
