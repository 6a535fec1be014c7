"""Images with LabelImg XML to COCO JSON, YOLO text or a CSV of boxes.

  tfodhelper export-annotations --to=coco --data_dir=photos --output_dir=FOLDER

Everything is checked and mended first, and split as `convert` splits it with the same flags. COCO: instances_train.json
and instances_validate.json; YOLO: images/, labels/ and data.yaml; CSV: train.csv and validate.csv, as `convert` writes
them, and train_negatives.csv for images without objects. Boxes of an image that EXIF turns are those of the turned
image where its XML says so. `tfodhelper import` reads all three back.
"""

from absl import flags

from tfodhelper import console
from tfodhelper.cli import flagging


def define_flags(fv):
    """Defines the verb's flags."""
    flags.DEFINE_enum("to", None, ["coco", "yolo", "csv"], "Format to write.", flag_values=fv)
    flagging.define_data_flags(fv)
    flagging.define_seed(fv)
    flagging.define_check_flags(fv)
    flagging.define_images_flag(fv, "link")
    flagging.define_max_shown(fv)
    flagging.define_output_dir(fv, "New folder for the result.")


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    flagging.require(fv, "to", "output_dir")
    from tfodhelper.dataset import plan, report
    from tfodhelper.formats import exporting

    names = [field for field in plan.SetOptions.__dataclass_fields__ if field in fv]
    planned = plan.make_plan(plan.SetOptions(**{name: fv[name].value for name in names}))
    for line in report.format_report(planned, fv.max_shown):
        console.say(line)
    planned.check(fv.strict)
    counts = exporting.export_set(planned, fv.to, fv.output_dir, fv.images)
    console.say(", ".join(f"{side} {count} images" for side, count in counts.items()) + f" in {fv.output_dir}")
    console.say(f"not kept by this format: {exporting.LOST[fv.to]}")
    console.say_next(f"tfodhelper import --from={fv.to} --help")
