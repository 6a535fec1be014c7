"""run a SavedModel or a TFLite file on images or a film: JSON lines, LabelImg XML, pictures

The model may come from this program, the Object Detection API or the zoo. Images are given as arguments after the
flags, as files or as folders; subfolders are searched, too.

  tfodhelper predict --saved_model_dir=exported --output_dir=predictions --write_xml --draw photos more/photo.jpg

--output_dir receives
  detections.jsonl   one line per image: path, width, height, and detections with class, id, score and box in pixels
  annotations/       with --write_xml: LabelImg XML to correct by hand and to train from
  pictures/          with --draw: the images with their boxes
  unreadable.txt     if there are any: images that could not be read, and why

An image that cannot be read is reported and left out; the exit status is then 1. This includes images in a format that
is not read, such as HEIC; broken links and named pipes that are called like images; and names that are not UTF-8.

A film, or a camera until Ctrl-C (needs PyAV, the extra "video"):

  tfodhelper predict --saved_model_dir=exported --output_dir=predictions --draw film.mp4
  tfodhelper predict --saved_model_dir=exported --output_dir=predictions --draw --camera=0

--output_dir receives
  detections.jsonl   one line per frame, with the number of the frame and its time in seconds, too
  film.mp4           with --draw: the film with its boxes
  unreadable.txt     if the film is damaged or cut off: why; what could be read is there, and the exit status is 1
"""

from tfodhelper import console, invocation
from tfodhelper.cli import option_flags
from tfodhelper.prediction.options import PredictOptions


def define_flags(fv):
    """Defines the verb's flags."""
    option_flags.define_flags(fv, PredictOptions)


def main(fv, args):
    """Runs the verb; returns the exit status."""
    options = option_flags.read_options(fv, PredictOptions)
    from tfodhelper.prediction import films, predict_film, predict_images, write

    if options.camera is not None or any(map(films.is_film, args)):
        return 1 if predict_film.predict_film(options, args).problem else 0
    writer = predict_images.predict_images(options, args)
    if options.write_xml:
        folder = f"{options.output_dir}/{write.ANNOTATIONS}"
        flags = {"image_dir": options.image_dir or "IMAGES", "annotation_dir": folder}
        console.say_next(invocation.format_command("check", **flags))
    else:
        flags = {"saved_model_dir": options.saved_model_dir, "output_dir": "OTHER_FOLDER", "write_xml": True}
        console.say_next(invocation.format_command("predict", options.image_dir or "IMAGES_OR_FOLDERS", **flags))
    return 1 if writer.num_unreadable else 0
