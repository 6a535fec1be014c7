"""Training and evaluation that XLA compiles: the same numbers, from labels of a fixed width."""

import numpy as np
import pytest
import tensorflow as tf
from official.core import config_definitions

from tests.training import tiny
from tfodhelper import errors, resizers
from tfodhelper.config import overrides
from tfodhelper.fields import Groundtruth, Inputs, Losses
from tfodhelper.inputs import build as inputs_build
from tfodhelper.training import compilation, jobs, optimizers, task
from tfodhelper.training.options import TrainOptions

NUM_STEPS = 12


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """Batch norm is frozen: statistics of four images would amplify the last bit."""
    made = tiny.make_pipeline(tiny.make_data(tmp_path_factory.mktemp("jit")))
    return overrides.apply_overrides(made, ["model.ssd.freeze_batchnorm=true"])


def train(pipeline, compiles):
    """The losses of the first steps from scratch, by name."""
    chosen = task.DetectionTask(
        config_definitions.TaskConfig(), pipeline, task.StartingPoint(), seed=3, compiles=compiles
    )
    model = chosen.build_model()
    optimizer, _ = optimizers.build_optimizer(pipeline.train_config.optimizer, averages=False)
    data = config_definitions.DataConfig(global_batch_size=pipeline.train_config.batch_size, is_training=True)

    @tf.function(autograph=False)
    def step(features, labels):
        return chosen.train_step((features, labels), model, optimizer)

    names = (Inputs.IMAGE, Inputs.TRUE_IMAGE_SHAPE)
    batches = chosen.build_inputs(data).take(NUM_STEPS)
    return [step({name: features[name] for name in names}, labels) for features, labels in batches]


@pytest.mark.slow
def test_a_compiled_training_has_the_same_losses(pipeline):
    plain, compiled = train(pipeline, False), train(pipeline, True)
    for ours, reference in zip(compiled, plain):
        assert ours.keys() == reference.keys()
        for name, value in reference.items():
            np.testing.assert_allclose(ours[name], value, rtol=1e-4, err_msg=name)
    assert float(plain[-1][Losses.TOTAL]) < float(plain[0][Losses.TOTAL])


@pytest.mark.slow
def test_a_training_and_its_evaluation_are_compiled(pipeline, tmp_path, capsys):
    pipeline = overrides.apply_overrides(pipeline, ["train_config.num_steps=4", "eval_config.batch_size=3"])
    jobs.train_model(pipeline, tmp_path, TrainOptions(strategy="cpu", jit=True, eval_every=4))
    assert "compiled by XLA" in capsys.readouterr().out
    plain, compiled = (
        dict(jobs.evaluate_model(pipeline, tmp_path, TrainOptions(strategy="cpu", jit=jit))) for jit in (False, True)
    )
    assert list(compiled) == [4]
    for name, value in plain[4].items():
        np.testing.assert_allclose(compiled[4][name], value, rtol=1e-4, atol=1e-4, err_msg=name)


def test_labels_of_evaluation_have_one_width(pipeline):
    num_rows = compilation.count_label_rows(pipeline)
    resizer = resizers.build_resizer(pipeline.model.ssd.image_resizer)
    plain, fixed = (
        list(inputs_build.build_eval_dataset(pipeline, resizer, 2, num_label_rows=rows)) for rows in (None, num_rows)
    )
    assert max(int(labels[Groundtruth.NUM_BOXES].numpy().max()) for _, labels in plain) == num_rows
    assert len({labels[Groundtruth.BOXES].shape[1] for _, labels in plain}) > 1  # else nothing would be shown
    assert {labels[Groundtruth.BOXES].shape[1] for _, labels in fixed} == {num_rows}
    for (_, few), (_, all_rows) in zip(plain, fixed):
        width = few[Groundtruth.BOXES].shape[1]
        np.testing.assert_array_equal(all_rows[Groundtruth.BOXES][:, :width], few[Groundtruth.BOXES])
        assert not np.any(all_rows[Groundtruth.BOXES][:, width:])
        assert np.all(all_rows[Groundtruth.CLASSES][:, width:] == -1)


def test_images_of_several_sizes_are_refused(pipeline):
    changed = overrides.apply_overrides(
        pipeline, ["model.ssd.image_resizer={keep_aspect_ratio_resizer {min_dimension: 96 max_dimension: 128}}"]
    )
    with pytest.raises(errors.ConfigError, match="--jit needs images of one size") as caught:
        compilation.check_images(TrainOptions(jit=True), changed)
    compilation.check_images(TrainOptions(), changed)
    padded = overrides.apply_overrides(changed, [str(caught.value).partition("--set ")[2].partition(",")[0]])
    compilation.check_images(TrainOptions(jit=True), padded)
