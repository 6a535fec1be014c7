"""How JPEGs are decoded is kept with a training, and its evaluations do the same."""

import pytest

from tests.training import tiny
from tfodhelper import errors, jpeg_dct
from tfodhelper.config import pipeline as pipelines
from tfodhelper.evaluation_options import EvalOptions
from tfodhelper.training import jobs, task


def test_a_training_is_not_resumed_with_the_other_transform(tmp_path, monkeypatch):
    jobs.keep_jpeg_dct(tmp_path, "fast")
    jobs.keep_jpeg_dct(tmp_path, "accurate")  # nothing has been trained yet
    jobs.keep_jpeg_dct(tmp_path, "fast")
    monkeypatch.setattr(jobs.find, "find_newest_in", lambda folder: folder / "ckpt-3")
    jobs.keep_jpeg_dct(tmp_path, "fast")
    with pytest.raises(errors.UsageError) as caught:
        jobs.keep_jpeg_dct(tmp_path, "accurate")
    assert (caught.value.expected, caught.value.received) == ("--jpeg_dct=fast", "--jpeg_dct=accurate")
    assert jpeg_dct.find(tmp_path) == "fast"


@pytest.mark.parametrize(("given", "used"), [(None, "fast"), ("accurate", "accurate")])
def test_an_evaluation_decodes_as_the_training_unless_it_is_told_otherwise(tmp_path, monkeypatch, given, used):
    jobs.keep_jpeg_dct(tmp_path, "fast")
    pipelines.write_pipeline(tmp_path / "pipeline.config", tiny.make_pipeline(tiny.make_data(tmp_path / "data")))
    monkeypatch.setattr(jobs, "evaluate_model", lambda pipeline, model_dir, options, *_: iter([options.jpeg_dct]))
    assert list(jobs.evaluate(EvalOptions(model_dir=tmp_path, jpeg_dct=given))) == [used]


def test_the_task_gives_the_transform_to_both_inputs(tmp_path, monkeypatch):
    used = []
    for name in ("build_train_dataset", "build_eval_dataset"):
        monkeypatch.setattr(task.inputs_build, name, lambda *_, dct, **__: used.append(dct))
    from official.core import config_definitions

    pipeline = tiny.make_pipeline(tiny.make_data(tmp_path))
    made = task.DetectionTask(config_definitions.TaskConfig(), pipeline, task.StartingPoint(), dct="fast")
    for is_training in (True, False):
        made.build_inputs(config_definitions.DataConfig(is_training=is_training, global_batch_size=2))
    assert used == ["fast", "fast"]
