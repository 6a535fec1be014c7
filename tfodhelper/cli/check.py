"""Looks for faults in images and LabelImg XML, and says what `convert` would do about each.

Nothing is changed. The exit status is 1 when an error was found, that is when something labelled would be left out, and
0 otherwise; with --strict also when something would be fixed. --output_dir writes all findings to report.json.
"""

from absl import flags

from tfodhelper import console, storage
from tfodhelper.cli import flagging

REPORT = "report.json"


def define_flags(fv):
    """Defines the verb's flags."""
    flagging.define_data_flags(fv)
    flagging.define_seed(fv)
    flagging.define_check_flags(fv)
    flags.DEFINE_integer(
        "max_shown", 10, "How many findings of one kind are shown; 0 shows all.", lower_bound=0, flag_values=fv
    )
    flagging.define_output_dir(fv, "Folder for report.json; nothing is written when left out.")


def main(fv, args):
    """Runs the verb; returns the exit status."""
    flagging.refuse_arguments(args)
    from tfodhelper.dataset import examine, plan, report

    names = [field for field in plan.SetOptions.__dataclass_fields__ if field in fv]
    planned = plan.make_plan(plan.SetOptions(**{name: fv[name].value for name in names}))
    for line in report.format_report(planned, fv.max_shown):
        console.say(line)
    if fv.output_dir:
        folder = storage.make_folder(fv.output_dir)
        storage.write_json(folder / REPORT, report.to_json(planned))
        console.say(f"all findings: {folder / REPORT}")
    if fv.strict:
        examine.check_strict(planned.findings)
    if planned.has_errors:
        return 1
    console.say_next("python -m tfodhelper convert --output_dir=FOLDER, with the flags of this command")
    return 0
