"""Writes a detector as TFLite files, with all that programs for phones and edge devices need to use them.

```
OUTPUT_DIRECTORY/
  detector_float32.tflite   one for each quantization; labels and metadata are also in the file
  labels.txt                one name per line, the first one that of class 0
  detector.json             inputs, outputs, classes, and what was measured
  pipeline.config
  label_map.pbtxt           if one is known
  decoding.json             if the model was trained with JPEGs decoded by the fast transform; see `jpeg_dct`
```
"""

import contextlib
import dataclasses
import shutil

from google.protobuf import text_format

from tfodhelper import console, errors, families, jpeg_dct, result_folder, spelling, storage
from tfodhelper.config import pipeline
from tfodhelper.exporting import options as export_options
from tfodhelper.exporting import saved_model, tflite_check, tflite_convert, tflite_graph, tflite_images
from tfodhelper.tflite import interface, metadata, model_file

DESCRIPTION = "detector.json"

_NORMALIZED = "(pixel - mean) / std for each channel, pixels from 0 to 255"
_UNCHANGED = "none: pixels from 0 to 255"
_OUTPUTS = {
    tflite_graph.BOXES: "ymin, xmin, ymax, xmax; 1 is the height or width of the model input; not clipped",
    tflite_graph.CLASSES: "numbers of lines in labels.txt, from 0",
    tflite_graph.SCORES: "from 0 to 1, in descending order",
    tflite_graph.COUNT: "how many rows of the other outputs count",
}
_RAW_OUTPUTS = {
    tflite_graph.BOXES: "boxes of all anchors: ymin, xmin, ymax, xmax; 1 is the height or width of the model input",
    tflite_graph.SCORES: "scores of all anchors; a column for each class, after {} for the background",
}


def check_architecture(pipeline_config):
    """Checks that TFLite files can contain a model, before anything is built.

    Raises:
      ExportError: it is not a single-shot detector.
      ConfigError: there is none.
    """
    family = families.family_of(pipeline_config.model)
    if not family.is_single_shot:
        known = ", ".join(each.name for each in families.TABLE if each.is_single_shot)
        raise errors.ExportError(
            f"--format=tflite is for detectors of one stage, and {family.name} is not one",
            expected=known,
            received=family.name,
            fix="leave out --format=tflite for a SavedModel, or train a model of one stage",
        )


def export_tflite(pipeline_config, trained_checkpoint_dir, options, label_map, label_map_path=None, maker=None):
    """Builds the model of a pipeline.config, restores a checkpoint and writes TFLite files.

    Args:
      pipeline_config: TrainEvalPipelineConfig message.
      trained_checkpoint_dir: folder with a checkpoint, or a checkpoint's prefix.
      options: `options.ExportOptions`; without jpeg_dct, JPEGs are decoded accurately.
      label_map: `LabelMap`, or None.
      label_map_path: its file, to put next to the files, or None.
      maker: see `result_folder.whole_folder`.

    Returns:
      pathlib.Path of the output directory, which appears when everything in it is complete.

    Raises:
      CheckpointError, ConfigError, DatasetError: as for `saved_model.export_trained`.
      ExportError: the model cannot be converted, or there are no images for its calibration.
      StorageError: the directory cannot be written.
    """
    check_architecture(pipeline_config)
    target = saved_model.check_output_directory(options.output_directory, maker)
    pipeline_config = tflite_images.with_data(pipeline_config, options.data_dir)
    detector = saved_model.restore_detector(pipeline_config, trained_checkpoint_dir)
    names = name_classes(label_map, detector.num_classes)
    with result_folder.whole_folder(target, maker) as folder, contextlib.ExitStack() as stack:
        writer = _Writer(pipeline_config, detector, options, names, stack)
        paths = [writer.write(folder, quantization) for quantization in dict.fromkeys(options.quantization)]
        storage.write_text(folder / metadata.LABELS, metadata.format_labels(writer.labels))
        pipeline.write_pipeline(folder / saved_model.PIPELINE_CONFIG, pipeline_config)
        jpeg_dct.keep(folder, options.jpeg_dct or jpeg_dct.ACCURATE)
        if label_map_path is not None:
            shutil.copyfile(label_map_path, folder / saved_model.LABEL_MAP)
        figures = _check(paths, detector, pipeline_config, names, options)
        storage.write_json(folder / DESCRIPTION, writer.describe() | {"measured": figures})
    return target


def name_classes(label_map, num_classes):
    """{id: name} of the classes of the model."""
    if label_map is None:
        return {id: f"class_{id}" for id in range(1, num_classes + 1)}
    return {item.id: item.shown_name for item in label_map if item.id <= num_classes}


def _check(paths, detector, pipeline_config, names, options):
    """Measures, prints and returns what `Figures` contain, as a list of dicts; without LiteRT says what is missing."""
    try:
        dct = options.jpeg_dct or jpeg_dct.ACCURATE
        figures = tflite_check.check(paths, detector, pipeline_config, names, options.num_check_images, dct)
    except errors.PredictionError as error:
        console.warn(f"the files are not checked: {error.what}; {error.fix}")
        return []
    tflite_check.report(figures, list(dict.fromkeys(options.quantization)), options.nms)
    return [dataclasses.asdict(each) for each in figures]


class _Writer:
    """Writes the files of a detector.

    Attributes:
      labels: names of all classes, in the order of the ids.
    """

    def __init__(self, pipeline_config, detector, options, names, stack):
        self._config, self._detector, self._options, self._names = pipeline_config, detector, options, names
        self._stack, self._converters = stack, {}
        self._suppression = tflite_graph.choose_suppression(detector.single_shot_output().suppression, options)
        self.labels = [names.get(id, metadata.GAP) for id in range(1, detector.num_classes + 1)]
        self._inputs, self._outputs = {}, []
        if self._suppression.soft_sigma > 0 and options.nms != export_options.NO_NMS:
            console.warn("TFLite_Detection_PostProcess knows no Soft-NMS: overlapping boxes are left out instead")

    def write(self, folder, quantization):
        """Converts, and writes the file; returns its path."""
        with console.phase(f"convert to {quantization}"):
            converter = self._find_converter(has_integer_input=quantization == export_options.INT8)
            network = converter.network
            samples = self._make_samples(network) if quantization == export_options.INT8 else None
            model = converter.convert(quantization, samples)
        known, is_detecting = self._make_interface(network), network.outputs == tflite_graph.DETECTIONS
        model_file.add_metadata(model, interface.NAME, known.to_json().encode())
        standard = metadata.make_metadata(
            self._describe_model(), f"quantization: {quantization}", network.size, *_pixels_to(network), is_detecting
        )
        model_file.add_metadata(model, metadata.NAME, standard)
        path = folder / f"detector_{quantization}{model_file.SUFFIX}"
        with storage.open_whole(path, "wb") as file:
            file.write(metadata.append_labels(model_file.serialize(model), self.labels))
        self._remember(path.name, model, network)
        return path

    def _find_converter(self, has_integer_input):
        """The converter of a network; a large one takes a minute to build, and most kinds of numbers share it."""
        takes_pixels = has_integer_input and tflite_graph.normalizes_channels_apart(self._detector)
        if takes_pixels not in self._converters:
            network = tflite_graph.build_network(self._detector, self._suppression, self._options.nms, takes_pixels)
            converter = tflite_convert.Converter(network, self._suppression)
            self._converters[takes_pixels] = self._stack.enter_context(converter)
        return self._converters[takes_pixels]

    def _make_samples(self, network):
        count, read = tflite_images.find_training_images(
            *(self._config, self._detector, self._options.num_calibration_images, network.mean, network.std),
            self._options.jpeg_dct or jpeg_dct.ACCURATE,
        )
        console.say(f"calibration of int8: {spelling.count(count, 'training image')}")
        return tflite_convert.make_samples(read, network)

    def _make_interface(self, network):
        """What is in the file for the program itself."""
        resizer = families.architecture_of(self._config.model).image_resizer
        is_raw = network.outputs == tflite_graph.RAW
        fields = [field.name for field in dataclasses.fields(interface.Suppression)]
        mean, std = _pixels_to(network)
        return interface.Interface(
            image_resizer=text_format.MessageToString(resizer, as_one_line=True),
            mean=mean,
            std=std,
            class_names=self._names,
            suppression=interface.Suppression(**{f: getattr(self._suppression, f) for f in fields}) if is_raw else None,
            num_background_columns=self._detector.single_shot_output().num_background_columns,
        )

    def _describe_model(self):
        """A name such as "ssd_mobilenet_v1_keras 300x300"."""
        kind = families.architecture_of(self._config.model).feature_extractor.type
        height, width = tflite_graph.find_size(self._detector)
        return f"{kind} {width}x{height}"

    def _remember(self, name, model, network):
        """Collects what `describe` writes."""
        graph = model.subgraphs[0]
        (tensor,) = (graph.tensors[number] for number in graph.inputs)
        is_integer = name.endswith(f"_{export_options.INT8}{model_file.SUFFIX}")
        mean, std = _pixels_to(network)
        self._inputs[name] = {
            "name": tensor.name.decode(),
            "shape": [int(side) for side in tensor.shape],
            "type": "uint8" if is_integer else "float32",
            "channels": "RGB",
            "normalization": _UNCHANGED if is_integer else _NORMALIZED,
            **({} if is_integer else {"mean": mean, "std": std}),
        }
        texts = _RAW_OUTPUTS if network.outputs == tflite_graph.RAW else _OUTPUTS
        columns = self._detector.single_shot_output().num_background_columns
        self._outputs = [
            {"name": tensor_name, "name in signature": in_signature, "contains": texts[own].format(columns)}
            for own, tensor_name, in_signature in network.outputs
        ]

    def describe(self):
        """What is written next to the files, a dict."""
        resizer = families.architecture_of(self._config.model).image_resizer
        return {
            "model": self._describe_model(),
            "inputs": self._inputs,
            "image_resizer": text_format.MessageToString(resizer, as_one_line=True),
            "outputs": self._outputs,
            "nms": {"kind": self._options.nms, **dataclasses.asdict(self._suppression)},
            "classes": {str(id - 1): name for id, name in self._names.items()},
        }


def _pixels_to(network):
    """(mean, std) for those who prepare inputs: of pixels, where the network takes these."""
    return ((0.0,) * 3, (1.0,) * 3) if network.takes_pixels else (network.mean, network.std)
