"""tables, plots and a page of all rounds; the T/F/N sheet of a test folder

    tfodhelper active report --workspace=growing
    tfodhelper active report --workspace=growing --test_dir=unseen --image_labels=folder

Writes WORKSPACE/report: index.html (one page with the images adopted, refused and most doubtful), tables.txt, CSV
files, plots, and curves over rounds for TensorBoard. Every round ends with it; this verb writes it again.

With --test_dir, the newest model is compared with images whose classes are known from their folder or from a CSV: for
each class so many cells of T (right), F (wrong) or N (nothing found); of several detections, the one with the highest
score decides. The sheet stays on the page until the next one is made; it is also in tally.csv and tally_classes.csv.
"""

from tfodhelper import console, invocation
from tfodhelper.active_learning.options import ReportOptions
from tfodhelper.cli import flagging, option_flags


def define_flags(fv):
    """Defines the flags of this verb."""
    option_flags.define_flags(fv, ReportOptions)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, ReportOptions)
    from tfodhelper.active_learning.report import newest_sheet, report, tfn_sheet

    sheet = newest_sheet.make_newest_sheet(options) if options.test_dir else None
    made = report.write_report(options.workspace)
    console.say(made.text)
    if sheet is not None:
        console.say("")
        console.say(f"T/F/N sheet: model of round {sheet.round_number} on {options.test_dir}")
        console.say(tfn_sheet.format_sheet(sheet.rows))
    console.say("")
    console.say(f"the page: {made.page}")
    console.say_next(
        invocation.tensorboard_command(made.tensorboard),
        invocation.format_command("active round", workspace=options.workspace),
    )
