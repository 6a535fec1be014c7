"""Runs a model on images and writes the results: the verb `predict`."""

from tfodhelper import console, errors, provenance, spelling, tensorflow_setup
from tfodhelper.config import label_maps
from tfodhelper.prediction import classes_of_zoo, saved_models, sources, write
from tfodhelper.tiling import windows


def predict_images(options, paths=()):
    """Predicts images and writes the detections.

    Args:
      options: `PredictOptions`.
      paths: of images and folders, besides the folder that the options name.

    Returns:
      The `write.ResultWriter`, closed, with its counts.

    Raises:
      UsageError: no image is given.
      PredictionError, AnnotationError, ConfigError, StorageError.
    """
    paths = ([options.image_dir] if options.image_dir else []) + list(paths)
    if not paths:
        raise errors.UsageError("no image given", fix="give images or folders, or use --image_dir")
    _refuse_film_options(options)
    saved_models.find_model(options.saved_model_dir)
    skipped = []
    images = sources.find_images(paths, skipped.append)
    label_map_path = label_maps.find_label_map(options.label_map)
    maker = provenance.of_command("predict", options, "output_dir", paths)
    write.check_output_dir(options.output_dir, maker)
    tensorflow_setup.quiet_tensorflow()
    model = load_model(options, label_map_path)
    wanted = {"write_xml": options.write_xml, "write_pictures": options.draw}
    with write.ResultWriter(options.output_dir, maker=maker, **wanted) as writer:
        sources.warn_of_skipped(skipped)
        for finding in skipped:
            writer.list_unreadable(finding.file, finding.message)
        _predict(options, model, images, writer)
    _summarize(options, writer, len(images) + len(skipped))
    return writer


def _refuse_film_options(options):
    for name, is_given in (("every", options.every != 1), ("max_frames", options.max_frames is not None)):
        if is_given:
            raise errors.UsageError(f"--{name} has no effect with images", fix=f"give a film, or leave out --{name}")


def load_model(options, label_map_path):
    """A `StreamPredictor` for whole pictures or for tiles, as the options say."""
    from tfodhelper.prediction import tiled_predictor

    tiling = windows.make_tiling(options)
    if tiling is not None:
        console.say(tiling.describe())
    more = {"trust_model": options.trust_model, "dct": options.jpeg_dct}
    label_map = label_map_path or classes_of_zoo.find_label_map(options.saved_model_dir)
    model = tiled_predictor.load(options.saved_model_dir, label_map, tiling=tiling, **more)
    if model.label_map is None:
        console.warn("no label map next to the model: classes are named after their ids; use --label_map for names")
    return model


def _predict(options, model, images, writer):
    """Predicts all images and passes them to the writer, in order."""
    by_path = {str(source.path): source for source in images}
    with console.Progress("images", len(images)) as progress:

        def report(path, reason):
            writer.count_unreadable(path, reason)
            progress.advance()

        pairs = model.predict_with_images(
            [str(source.path) for source in images],
            batch_size=options.batch_size,
            score_threshold=options.score_threshold,
            on_unreadable=report,
        )
        for detections, image in pairs:
            writer.write(by_path[detections.path], detections, image)
            progress.advance()


def _summarize(options, writer, num_images):
    """Prints what was found and where it is."""
    folder = options.output_dir
    images, detections = spelling.count(num_images, "image"), spelling.count(writer.num_detections, "detection")
    console.say(f"{writer.num_images} of {images}, {detections} with a score of {options.score_threshold:g} or more")
    if writer.num_unreadable:
        unreadable = spelling.count(writer.num_unreadable, "image")
        console.warn(f"{unreadable} could not be read: see {folder}/{write.UNREADABLE}")
    console.say(f"{folder}/{write.DETECTIONS}: one line per image")
    if options.draw:
        console.say(f"{folder}/{write.PICTURES}: pictures with boxes")
    if options.write_xml:
        console.say(f"{folder}/{write.ANNOTATIONS}: LabelImg XML, to be corrected by hand")
