"""Shows what tiles gain on large pictures with small objects: mAP of the same detector with and without them.

  python scripts/benchmark_tiles.py --output_dir=runs/tiles

Draws labelled images, trains a small detector on them (or takes --model_dir, the folder of a training for the drawn
classes), draws large pictures whose objects are smaller than 1 % of the longer side, and evaluates the detector on them
with `eval`, without and with --tiles. Everything is drawn and trained with fixed seeds. The exit status is 1 if tiles
gain less than 0.05 of mAP.
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfodhelper import tensorflow_setup

TAGS = ("DetectionBoxes_Precision/mAP", "DetectionBoxes_Precision/mAP@.50IOU")
LEAST_GAIN = 0.05
SIDE = 160  # of the model input; a tile is as large, so that the model sees pixels as they are
OBJECT = (14.0, 24.0)  # diameter of the shapes in pixels
LARGE = (2560, 1920)  # width and height: 24 pixels are 0.94 % of the longer side


def draw(folder, options):
    """Draws the images to train on and the large pictures; returns their folders."""
    from tfodhelper.dataset import shapes

    patches = shapes.Scene(6, OBJECT[0] / SIDE, OBJECT[1] / SIDE, 0.1, ((SIDE, SIDE),))
    large = shapes.Scene(150, OBJECT[0] / LARGE[1], OBJECT[1] / LARGE[1], 0.0, (LARGE,))
    shapes.draw_dataset(folder / "patches", options.num_patches, 1, patches)
    shapes.draw_dataset(folder / "large", options.num_large, 2, large)
    return folder / "patches", folder / "large"


def train(folder, patches, options):
    """Trains a small detector from scratch; returns the folder of the run."""
    from tfodhelper import run_folder, run_options

    size = "model.ssd.image_resizer.fixed_shape_resizer"
    schedule = f"learning_rate_base: 0.003 total_steps: {options.num_steps} warmup_steps: 100"
    schedule += " warmup_learning_rate: 0.0003"
    run_folder.run(
        run_options.RunOptions(
            data_dir=patches,
            output_dir=folder / "run",
            model="ssd_mobilenet_v2_fpnlite_320x320",
            fine_tune_checkpoint="none",
            num_steps=options.num_steps,
            eval_every=options.num_steps // 2,
            batch_size=16,
            seed=1,
            overrides=(
                f"{size}.height={SIDE}",
                f"{size}.width={SIDE}",
                "model.ssd.anchor_generator.multiscale_anchor_generator.anchor_scale=2",
                "train_config.optimizer.adam_optimizer={learning_rate {cosine_decay_learning_rate {" + schedule + "}}}",
            ),
        )
    )
    return folder / "run"


def measure(folder, run, large):
    """Evaluates without and with tiles on all large pictures; returns {name: {tag: value}}."""
    import tfodhelper
    from tfodhelper.records import convert

    data = convert.convert(
        convert.ConvertOptions(
            data_dir=large,
            output_dir=folder / "large_records",
            val_fraction=0.9,
            label_map=run / "data/label_map.pbtxt",
            seed=1,
        )
    )
    pattern = str(data.output_dir / data.validate_pattern)
    changes = (f"eval_input_reader[0].tf_record_input_reader.input_path={pattern}",)
    common = {"model_dir": run, "overrides": changes}
    return {
        "whole pictures": tfodhelper.evaluate(**common).metrics,
        f"--tiles={SIDE}": tfodhelper.evaluate(**common, tiles=SIDE).metrics,
        f"--tiles={SIDE} --tiles_only": tfodhelper.evaluate(**common, tiles=SIDE, tiles_only=True).metrics,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", required=True, type=pathlib.Path)
    parser.add_argument("--model_dir", type=pathlib.Path, help="run folder of a detector for the drawn classes")
    parser.add_argument("--num_patches", type=int, default=600)
    parser.add_argument("--num_large", type=int, default=10)
    parser.add_argument("--num_steps", type=int, default=400)
    options = parser.parse_args()
    tensorflow_setup.prepare_training()
    from tfodhelper import console

    patches, large = draw(options.output_dir, options)
    run = options.model_dir or train(options.output_dir, patches, options)
    figures = measure(options.output_dir, run, large)
    rows = [(name, *(f"{values[tag]:.3f}" for tag in TAGS)) for name, values in figures.items()]
    console.say(console.format_table(("pictures of 2560 x 1920", "mAP", "mAP@0.5"), rows, numbers=(1, 2)))
    without, tiled, _ = (values[TAGS[0]] for values in figures.values())
    console.say(f"tiles gain {tiled - without:.3f} of mAP")
    return tiled - without < LEAST_GAIN


if __name__ == "__main__":
    sys.exit(main())
