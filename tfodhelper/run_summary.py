"""What is said at the end of a run."""

from tfodhelper import console, invocation, run_layout


def say_summary(folder, state):
    """Prints the result of a finished run, how long its phases took, and what to type next.

    Args:
      folder: of the run.
      state: the content of its run.json.
    """
    rows = [
        (
            *(name, numbers["step"], _figure(numbers["mAP"]), _figure(numbers["mAP@.50IOU"])),
            run_layout.export_of(folder, name),
        )
        for name, numbers in run_layout.result_of(folder, state).items()
        if name in ("best", "last")
    ]
    console.say("")
    console.say(console.format_table(("", "step", "mAP", "mAP@.50IOU", "exported to"), rows, numbers=(1, 2, 3)))
    if any("-" in row[2:4] for row in rows):
        console.say("mAP -: the validation images have no objects to measure it by; the best weights are the last ones")
    result = state["result"]
    if result.get("best_reason"):
        console.say(result["best_reason"])
    if result.get("ended") == "patience":
        console.say(f"the training ended early: {result['reason']}")
    times = [(name, console.format_seconds(phase["seconds"])) for name, phase in state["phases"].items()]
    console.say("")
    console.say(console.format_table(("phase", "time"), times, numbers=(1,)))
    console.say("")
    console.say(
        f"everything is in {folder}: report.html, data, pipeline.config, checkpoints (with results.csv and "
        "results.png), export, figures, process.log"
    )
    console.say_next(
        invocation.format_command(
            "predict", "IMAGES_OR_FOLDER", saved_model_dir=f"{folder}/export/best", output_dir="predictions", draw=True
        ),
        invocation.tensorboard_command(f"{folder}/checkpoints"),
    )


def _figure(value):
    return "-" if value is None or value < 0 else f"{value:.4f}"  # -1: not measured, in runs of the first versions
