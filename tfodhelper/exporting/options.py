"""The options of an export; importing this module does not import TensorFlow."""

import dataclasses

from tfodhelper import errors, jpeg_dct, options
from tfodhelper.config.options import ChangeOptions

SAVED_MODEL, TFLITE, ONNX = "saved_model", "tflite", "onnx"
FORMATS = {
    SAVED_MODEL: "a SavedModel, laid out as the Object Detection API does",
    TFLITE: "TFLite files, for phones and edge devices",
    ONNX: "an ONNX file, for ONNX Runtime and other programs that do not have TensorFlow",
}
FLOAT32, FLOAT16, DYNAMIC, INT8 = "float32", "float16", "dynamic", "int8"
QUANTIZATIONS = {
    FLOAT32: "as trained",
    FLOAT16: "weights of 16 bits: half the size",
    DYNAMIC: "weights of 8 bits, computed with floats: a quarter of the size; needs no images",
    INT8: "8 bits throughout, uint8 input: for accelerators; calibrated with images",
}
FAST, REGULAR, NO_NMS = "fast", "regular", "none"
NMS = {
    FAST: "one suppression for all classes, by the best class of each anchor",
    REGULAR: "one for each class, as in the SavedModel: slower, the more so with many classes",
    NO_NMS: "outputs of raw boxes and scores, for delegates that do not know TFLite_Detection_PostProcess",
}
INPUT_TYPES = {
    "image_tensor": "uint8 [1, height, width, 3]",
    "float_image_tensor": "float32 [any, height, width, 3], values from 0 to 255",
    "encoded_image_string_tensor": "string [any]: JPEG, PNG, BMP or GIF files",
    "tf_example": "string [any]: serialized tf.train.Example with image/encoded",
}
IMAGE_TYPES = ("image_tensor", "float_image_tensor")  # ONNX has no operations that decode images
_ANY = ("any", "none")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckOptions(options.Options):
    """How files of other formats than a SavedModel are compared with it."""

    title = "With --format=tflite and --format=onnx"

    data_dir: options.Path | None = options.option(
        None,
        "Folder that `tfodhelper convert` has written, or a run folder: images for the check, and for the calibration "
        "of int8. When omitted, the records that the pipeline.config names.",
    )
    num_check_images: int = options.option(
        200, "Validation images on which the files are compared with the SavedModel; 0 leaves this out.", least=0
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TFLiteOptions(CheckOptions):
    """What `export` does with --format=tflite."""

    title = "With --format=tflite"

    quantization: options.Texts = options.option(
        (FLOAT32,), "Types of numbers. May be repeated: there is one file for each.", choices=QUANTIZATIONS
    )
    nms: str = options.option(FAST, "How boxes that overlap are suppressed.", choices=NMS)
    max_detections: int | None = options.option(
        None, "Detections per image; when omitted, what the pipeline.config says.", least=1
    )
    score_threshold: float | None = options.option(
        None,
        "Detections with a lower score are left out; when omitted, what the pipeline.config says. A higher one makes "
        "suppression faster.",
        least=0,
        most=1,
    )
    iou_threshold: float | None = options.option(
        None, "Overlap that a box may have with a better one; when omitted, what the pipeline.config says.", most=1
    )
    num_calibration_images: int = options.option(
        100, "Training images for the calibration of int8.", least=1, only_with=("quantization", INT8)
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions(TFLiteOptions, ChangeOptions):
    """The options of `export`."""

    title = "Model and configuration"

    format: str = options.option(SAVED_MODEL, "What is written.", choices=FORMATS)

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
    jpeg_dct: str | None = options.option(
        None,
        "How JPEGs are decoded, by a SavedModel that takes encoded images and by `predict`; when omitted, as in the "
        "training.",
        choices=jpeg_dct.CHOICES,
    )
    label_map: options.Path | None = options.option(
        None,
        "label_map.pbtxt with the names of the classes, or the name of one that is included, such as mscoco. When "
        "omitted, the one that the pipeline.config names.",
    )

    def __post_init__(self):
        super().__post_init__()
        for option in options.options_of(ExportOptions):
            if option.name in self._find_idle() and getattr(self, option.name) != option.default:
                raise errors.UsageError(
                    f"--{option.flag} cannot be combined with --format={self.format}", fix=f"leave out --{option.flag}"
                )
        if self.format == ONNX and self.input_type not in IMAGE_TYPES:
            raise errors.UsageError(
                f"--input_type={self.input_type} cannot be combined with --format={ONNX}: it has no operations that "
                "decode images",
                expected="one of " + ", ".join(IMAGE_TYPES),
                received=self.input_type,
                fix=f"--input_type={IMAGE_TYPES[0]}",
            )
        if self.iou_threshold is not None and self.iou_threshold <= 0:
            raise errors.UsageError(
                "--iou_threshold: invalid value", expected="above 0, at most 1", received=self.iou_threshold
            )

    def _find_idle(self):
        """Names of the options that have no effect with the format."""
        if self.format == TFLITE:
            return {"input_type", "batch_size"}
        names = {option.name for option in options.options_of(TFLiteOptions)}
        return names - {option.name for option in options.options_of(CheckOptions)} if self.format == ONNX else names

    @property
    def images_per_call(self):
        """The batch size for `export_trained`: a number, None for any number, or "default"."""
        if self.batch_size is None:
            return "default"
        return None if self.batch_size in _ANY else self.batch_size
