"""run a SavedModel on images: JSON lines, LabelImg XML, pictures

The SavedModel may be this program's, the Object Detection API's or one of the zoo. Images are given as arguments after
the flags, files or folders; folders are searched with their folders.

  tfodhelper predict --saved_model_dir=exported --output_dir=predictions --write_xml --draw photos more/photo.jpg

--output_dir gets
  detections.jsonl   one line an image: path, width, height, and detections with class, id, score and box in pixels
  annotations/       with --write_xml: LabelImg XML to correct by hand and to train from
  pictures/          with --draw: the images with their boxes
  unreadable.txt     where there were any: images that could not be read, and why

An image that cannot be read is reported and left out; the exit status is then 1.
"""

from absl import flags

from tfodhelper import console, errors, tensorflow_setup
from tfodhelper.cli import flagging, label_map_flag
from tfodhelper.prediction import saved_models, sources, write


def define_flags(fv):
    """Defines the verb's flags."""
    flagging.define_path(fv, "saved_model_dir", None, "Folder of the SavedModel, or of the export around it.")
    flagging.define_path(fv, "image_dir", None, "Folder with images; the same as an argument.")
    flagging.define_output_dir(fv, "Folder for the results; must not be there, or be empty.")
    label_map_flag.define(fv, "the one beside the SavedModel")
    flags.DEFINE_float(
        "score_threshold",
        0.5,
        "Detections of a lower score are left out.",
        lower_bound=0.0,
        upper_bound=1.0,
        flag_values=fv,
    )
    flags.DEFINE_integer(
        "batch_size", 8, "Images a call, where the SavedModel takes several.", lower_bound=1, flag_values=fv
    )
    flags.DEFINE_bool("write_xml", False, "Write LabelImg XML.", flag_values=fv)
    flags.DEFINE_bool("draw", False, "Write pictures with boxes.", flag_values=fv)


def main(fv, args):
    """Predicts; returns the exit status."""
    flagging.require(fv, "saved_model_dir", "output_dir")
    paths = ([fv.image_dir] if fv.image_dir else []) + args
    if not paths:
        raise errors.UsageError(
            "no image is named", fix="name images or folders after the flags, or a folder with --image_dir"
        )
    saved_models.find_saved_model(fv.saved_model_dir)
    images = sources.find_images(paths)
    label_map_path = label_map_flag.resolve(fv.label_map)
    write.check_output_dir(fv.output_dir)
    tensorflow_setup.quiet_tensorflow()
    from tfodhelper.prediction import predictor

    model = predictor.Predictor(fv.saved_model_dir, label_map_path)
    if model.label_map is None:
        console.warn("no label map beside the SavedModel: classes go by their ids; --label_map gives them names")
    with write.ResultWriter(fv.output_dir, write_xml=fv.write_xml, write_pictures=fv.draw) as writer:
        _predict(fv, model, images, writer)
    _summarize(fv, writer, len(images))
    return 1 if writer.num_unreadable else 0


def _predict(fv, model, images, writer):
    """Predicts all images and hands them to the writer, in order."""
    by_path = {str(source.path): source for source in images}
    with console.Progress("images", len(images)) as progress:

        def report(path, reason):
            writer.count_unreadable(path, reason)
            progress.advance()

        found = model.predict_with_images(
            [str(source.path) for source in images],
            batch_size=fv.batch_size,
            score_threshold=fv.score_threshold,
            on_unreadable=report,
        )
        for detections, image in found:
            writer.write(by_path[detections.path], detections, image)
            progress.advance()


def _summarize(fv, writer, num_images):
    """Says what was found and where it is."""
    console.say(
        f"{writer.num_images} of {num_images} images, {writer.num_detections} detections of score "
        f"{fv.score_threshold:g} or more"
    )
    if writer.num_unreadable:
        console.warn(f"{writer.num_unreadable} images could not be read: see {fv.output_dir}/{write.UNREADABLE}")
    console.say(f"{fv.output_dir}/{write.DETECTIONS}: one line an image")
    if fv.draw:
        console.say(f"{fv.output_dir}/{write.PICTURES}: pictures with boxes")
    if fv.write_xml:
        console.say(f"{fv.output_dir}/{write.ANNOTATIONS}: LabelImg XML, to be corrected by hand")
        console.say_next(
            f"tfodhelper check --image_dir={fv.image_dir or 'IMAGES'} "
            f"--annotation_dir={fv.output_dir}/{write.ANNOTATIONS}"
        )
    else:
        console.say_next(
            f"tfodhelper predict --saved_model_dir={fv.saved_model_dir} --output_dir=OTHER_FOLDER --write_xml "
            f"{fv.image_dir or 'IMAGES_OR_FOLDERS'}"
        )
