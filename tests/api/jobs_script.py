"""What a user's script may look like: TensorFlow comes first, with Keras 3, and nothing guards the main module."""

import json
import pathlib
import sys

import tensorflow as tf

tf.keras.layers.Dense(1)
assert tf.keras.__version__.startswith("3."), tf.keras.__version__

import tfodhelper  # noqa: E402
from tfodhelper.dataset.scan import discover  # noqa: E402

discover._MIN_FOR_PROCESSES = 2  # so that even this small set is read by processes
folder = pathlib.Path(sys.argv[1])
print("the script runs")

result = tfodhelper.run(
    data_dir=folder / "images",
    pipeline_config_path=folder / "tiny.config",
    num_steps=4,
    batch_size=4,
    eval_every=2,
    fine_tune_checkpoint="none",
    strategy="cpu",
    num_workers=2,
    output_dir=folder / "out",
)
trained = tfodhelper.train(
    pipeline_config_path=folder / "out/pipeline.config",
    model_dir=folder / "out/checkpoints",
    eval_every=2,
    strategy="cpu",
)
evaluation = tfodhelper.evaluate(model_dir=result, strategy="cpu")
exported = tfodhelper.export(
    trained_checkpoint_dir=result, output_directory=folder / "exported", input_type="float_image_tensor"
)
predictions = [
    list(tfodhelper.Predictor(path, score_threshold=0).predict_folder(folder / "images"))[0].to_dict()
    for path in (result, exported)
]


def numbers(found):
    return found.step, found.mean_ap, found.mean_ap_50, len(found.metrics)


print(
    json.dumps(
        {
            "run": [str(result.folder), numbers(result.best), numbers(result.last), result.seconds_per_step],
            "exports": [str(result.best_export), str(result.last_export), str(exported)],
            "train": [str(trained.folder), trained.step, numbers(trained.best), numbers(trained.last)],
            "checkpoints": [trained.best_checkpoint, trained.last_checkpoint],
            "evaluate": numbers(evaluation),
            "predict": predictions,
        }
    )
)
