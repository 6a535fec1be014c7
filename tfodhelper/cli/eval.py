"""evaluate a checkpoint on the validation set, or an exported model on any labelled images

    tfodhelper eval --model_dir=FOLDER [--pipeline_config_path=pipeline.config] [--checkpoint=PATH]
    tfodhelper eval --saved_model_dir=MODEL --data_dir=FOLDER [--output_dir=FOLDER]

Evaluates the newest checkpoint of the model folder unless --checkpoint names another (a prefix such as
FOLDER/best/ckpt-600, or a folder). With --eval_timeout it waits for further checkpoints, as a second process next to a
training. evaluation/step-N in the model folder receives what was found and all figures.

With --tiles, the checkpoint is exported to a temporary folder, and the objects in the validation images are found as
`predict` with the same flags finds them. Losses, which only whole images have, are then not computed.

With --saved_model_dir, an exported model is evaluated: a SavedModel of this program, of the Object Detection API or of
the zoo (also its packed archive), or a .tflite file. Its images are a folder with LabelImg XML (--data_dir), or
TFRecords (--records). Classes are matched by name, and judged if both know them. --output_dir receives
  detections.npz     what was found, with the labels
  analysis.json      all figures
"""

from tfodhelper import console, invocation, run_layout, tensorflow_setup
from tfodhelper.cli import flagging, option_flags
from tfodhelper.evaluation_options import EvalOptions


def define_flags(fv):
    """Defines the flags of this verb."""
    option_flags.define_flags(fv, EvalOptions)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, EvalOptions)
    options.check_model()
    tensorflow_setup.prepare_training()
    from tfodhelper.metrics import analysis_text
    from tfodhelper.training import jobs

    if options.saved_model_dir is not None:
        from tfodhelper import export_evaluation

        figures, analysis = export_evaluation.evaluate(options)
        jobs.say_figures(figures)
        say_lines(analysis_text.format_analysis(analysis))
        if options.output_dir:
            console.say(f"what was found, and all figures: {options.output_dir}")
        else:
            console.say_next(_with_output(options))
        return
    from tfodhelper import tile_evaluation
    from tfodhelper.metrics import analysis_file

    evaluate = jobs.evaluate if options.tiles is None else tile_evaluation.evaluate
    for step, metrics in evaluate(options):
        jobs.say_evaluation(step, metrics)
        name = f"step-{step}" if options.tiles is None else f"step-{step}-tiles"
        folder = run_layout.evaluation_of(options.model_dir, name)
        say_lines(analysis_text.format_analysis(analysis_file.read_analysis(folder)))
        console.say(f"what was found, and all figures: {folder}")
    console.say_next(invocation.tensorboard_command(run_layout.to_training(options.model_dir)))


def say_lines(lines):
    """Prints lines, after a blank one."""
    for line in ("", *lines):
        console.say(line)


def _with_output(options):
    """The command that keeps what was found."""
    given = {name: getattr(options, name) for name in ("saved_model_dir", "data_dir", "image_dir", "annotation_dir")}
    given |= {"records": options.records, "label_map": options.label_map, "output_dir": "evaluation"}
    return invocation.format_command("eval", **{name: value for name, value in given.items() if value is not None})
