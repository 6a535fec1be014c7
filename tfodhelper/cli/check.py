"""look for faults in images and annotations

    tfodhelper check --data_dir=FOLDER

Looks for faults in images and LabelImg XML, and says what `convert` would do about each.

Nothing is changed. The exit status is 1 if an error was found, that is, if something labelled would be left out, and 0
otherwise; with --strict also if something would be corrected.

--output_dir receives report.json with all findings, and report.html with pictures of the images concerned and their
boxes. With --fix it also receives the folder fixed/: copies of all usable images with corrected XML, ready for
`convert`; the originals are never changed.

--model names an exported detector and looks for disagreements with the labels: confident detections without a box, or
on a box of another class, and boxes that no detection matches. Incomplete labels teach a detector that objects are
background. The suspicions are ranked; suspects/ receives LabelImg drafts of these images with the detections added as
boxes, the most important first, and suspects.csv says what belongs to what. Look through them in LabelImg, delete what
is wrong, and mark each as verified with the space bar. Then --fix --reviewed=FOLDER/suspects, with another
--output_dir, writes fixed/ with the annotations of the verified drafts.
"""

from tfodhelper import console
from tfodhelper.cli import flagging, option_flags
from tfodhelper.review.options import ReviewOptions


def define_flags(fv):
    """Defines the verb's flags."""
    option_flags.define_flags(fv, ReviewOptions, without=("validate", "num_workers"))


def main(fv, args):
    """Runs the verb; returns the exit status."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, ReviewOptions)
    from tfodhelper.review import check_set

    if check_set.check_set(options).has_errors:
        return 1
    console.say_next("tfodhelper convert --output_dir=FOLDER, with the flags of this command")
    return 0
