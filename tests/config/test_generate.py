"""A complete configuration for a dataset."""

import pathlib

import pytest

from tests.shared_data import shared
from tfodhelper import errors
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.config import comparison, generate, pipeline, schedule_scaling, supported
from tfodhelper.config.overrides import apply_overrides
from tfodhelper.dataset import manifest as manifests
from tfodhelper.zoo import base_configs

QUARTERS = "ssd_mobilenet_v1_0.75_depth"


def make_facts(**changes):
    """Facts of a dataset of 200 training and 50 validation images with 3 classes."""
    values = {
        "folder": pathlib.Path("/data"),
        "label_map_path": "/data/label_map.pbtxt",
        "num_classes": 3,
        "train_pattern": "/data/train.record-?????-of-00002",
        "validate_pattern": "/data/validate.record-?????-of-00001",
        "num_train": 200,
        "num_validate": 50,
        "most_boxes": 10,
    }
    return generate.DataFacts(**(values | changes))


def make(model=QUARTERS, facts=None, **options):
    """(configuration, notes as one text)."""
    result, notes = generate.generate_pipeline(generate.find_base(model), facts or make_facts(), **options)
    return result, "\n".join(notes)


def test_data_is_filled_in():
    result, _ = make()
    assert result.model.ssd.num_classes == 3
    assert list(result.train_input_reader.tf_record_input_reader.input_path) == ["/data/train.record-?????-of-00002"]
    assert result.train_input_reader.label_map_path == "/data/label_map.pbtxt"
    reader = result.eval_input_reader[0]
    assert list(reader.tf_record_input_reader.input_path) == ["/data/validate.record-?????-of-00001"]
    assert reader.shuffle is False and reader.num_epochs == 1
    assert result.eval_config.num_examples == 50
    assert generate.UNFILLED not in pipeline.format_pipeline(result)


@pytest.mark.parametrize("name", base_configs.base_names())
@pytest.mark.parametrize("checkpoint", [None, "/zoo/checkpoint/ckpt-0"])
def test_result_is_supported_and_round_trips(name, checkpoint):
    result, _ = make(name, fine_tune_checkpoint=checkpoint)
    supported.check_supported(result)
    assert pipeline.parse_pipeline(pipeline.format_pipeline(result)) == result


def test_learning_rate_is_scaled_to_the_batch_size_and_noted():
    result, notes = make(batch_size=16)
    cosine = result.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    assert cosine.learning_rate_base == pytest.approx(0.9 * 16 / 2048)  # 0.00703125
    assert cosine.warmup_learning_rate == pytest.approx(0.3 * 16 / 2048)
    assert "learning rate: 0.00703125 (was 0.9), scaled linearly from batch size 2048 to 16" in notes


def test_given_learning_rate_is_kept_and_the_warmup_rate_is_scaled():
    result, notes = make(learning_rate=0.004, batch_size=8)
    cosine = result.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    assert cosine.learning_rate_base == pytest.approx(0.004)
    assert cosine.warmup_learning_rate == pytest.approx(0.004 / 3, rel=1e-5)
    assert "as given" in notes


def test_schedule_is_scaled_to_the_steps():
    result, notes = make(num_steps=2000)
    cosine = result.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    assert (cosine.total_steps, cosine.warmup_steps) == (2000, 60)
    assert "warmup_steps: 60 (was 300)" in notes
    short, _ = make(num_steps=600)
    cosine = short.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    assert (cosine.total_steps, cosine.warmup_steps) == (600, 50)
    other, _ = make("ssd_mobilenet_v1", num_steps=1000)
    decay = other.train_config.optimizer.rms_prop_optimizer.learning_rate.exponential_decay_learning_rate
    assert decay.decay_steps == 4004  # 800720 * 1000 / 200000, rounded


@pytest.mark.parametrize(("num_train", "steps"), [(10, 600), (200, 1250), (1000, 6250), (100_000, 20_000)])
def test_steps_are_derived_from_the_data(num_train, steps):
    result, notes = make(facts=make_facts(num_train=num_train))
    assert result.train_config.num_steps == steps
    assert "change it with --num_steps" in notes


def test_default_batch_is_not_larger_than_the_data():
    assert make(facts=make_facts(num_train=5))[0].train_config.batch_size == 5
    assert make()[0].train_config.batch_size == 8


def test_overrides_take_precedence_and_the_schedule_follows_them():
    result, notes = make(overrides=["train_config.batch_size=4", "train_config.num_steps=1000"])
    cosine = result.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    assert result.train_config.batch_size == 4 and result.train_config.num_steps == 1000
    assert cosine.learning_rate_base == pytest.approx(0.9 * 4 / 2048, rel=1e-5)
    assert cosine.total_steps == 1000
    assert "set: train_config.batch_size=4" in notes
    path = "train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate.learning_rate_base"
    result, _ = make(overrides=[f"{path}=0.5"])
    cosine = result.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    assert cosine.learning_rate_base == 0.5


def test_overridden_batch_size_that_is_the_base_files_own_counts_too():
    result, _ = make(overrides=["train_config.batch_size=2048"])
    cosine = result.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    assert result.train_config.batch_size == 2048
    assert cosine.learning_rate_base == pytest.approx(0.9)
    with pytest.raises(errors.ConfigError, match="at least 1"):
        make(overrides=["train_config.batch_size=0"])


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_invalid_learning_rates(rate):
    with pytest.raises(errors.ConfigError, match="above 0"):
        make(learning_rate=rate)


def test_further_evaluation_sets_are_removed_and_noted(tmp_path):
    own = apply_overrides(generate.find_base(QUARTERS).pipeline, ["eval_input_reader+={label_map_path: 'x'}"])
    pipeline.write_pipeline(tmp_path / "own.config", own)
    result, notes = generate.generate_pipeline(generate.find_base(None, str(tmp_path / "own.config")), make_facts())
    assert len(result.eval_input_reader) == 1
    assert any("the other eval_input_readers are removed" in note for note in notes)


def test_small_batches_keep_batch_norm_frozen_when_fine_tuning():
    fine_tuned, notes = make(fine_tune_checkpoint="/zoo/checkpoint/ckpt-0")
    assert fine_tuned.model.ssd.freeze_batchnorm
    assert "batch norm: frozen" in notes
    assert not make(fine_tune_checkpoint="/zoo/checkpoint/ckpt-0", batch_size=32)[0].model.ssd.freeze_batchnorm
    scratch, notes = make(fine_tune_checkpoint=None)
    assert not scratch.model.ssd.freeze_batchnorm
    assert "from scratch" in notes


@pytest.mark.parametrize(("path", "version"), [("/zoo/checkpoint/ckpt-0", 2), ("/zoo/model.ckpt", 1)])
def test_checkpoint_and_its_version(path, version):
    train = make(fine_tune_checkpoint=path)[0].train_config
    assert (train.fine_tune_checkpoint, train.fine_tune_checkpoint_version) == (path, version)
    assert train.fine_tune_checkpoint_type == "detection"


def test_from_scratch_leaves_no_checkpoint():
    train = make()[0].train_config
    assert not train.HasField("fine_tune_checkpoint") and not train.HasField("fine_tune_checkpoint_type")


def test_crowded_images_keep_all_their_boxes():
    assert make(facts=make_facts(most_boxes=250))[0].train_input_reader.max_number_of_boxes == 250
    assert make(facts=make_facts(most_boxes=100))[0].train_input_reader.max_number_of_boxes == 100


def test_overridden_class_count_that_does_not_fit_is_an_error():
    with pytest.raises(errors.ConfigError, match="num_classes"):
        make(overrides=["model.ssd.num_classes=4"])


@pytest.mark.parametrize("empty", ["num_train", "num_validate"])
def test_no_images_on_a_side_is_an_error(empty):
    with pytest.raises(errors.ConfigError, match="images"):
        make(facts=make_facts(**{empty: 0}))


def test_own_config_keeps_its_training_settings(tmp_path):
    own = apply_overrides(generate.find_base(QUARTERS).pipeline, ["train_config.batch_size=64"])
    pipeline.write_pipeline(tmp_path / "own.config", own)
    base = generate.find_base(None, str(tmp_path / "own.config"))
    result, notes = generate.generate_pipeline(base, make_facts(), fine_tune_checkpoint=None)
    assert result.train_config.batch_size == 64 and result.train_config.num_steps == 10000
    assert "learning rate: 0.9" in notes
    assert generate.find_base(str(tmp_path / "own.config")).is_own


@pytest.mark.parametrize(
    "name",
    [
        "ssd_mobilenet_v2_coco__slim",
        "ssd_resnet50_v1_fpn_640x640_coco17_tpu-8__reduced256",
        "ssd_inception_v2_coco__slim",
    ],
)
def test_published_config_as_own_one(name):
    """As in `config --pipeline_config_path=FILE --fine_tune_checkpoint=none`: only the data changes."""
    published = shared(f"odapi_parity/{name}/pipeline.config")
    result, _ = generate.generate_pipeline(generate.find_base(None, str(published)), make_facts())
    supported.check_supported(result)
    before = pipeline.read_pipeline(published)
    assert result.train_config.batch_size == before.train_config.batch_size
    assert result.train_config.optimizer == before.train_config.optimizer
    assert [path for path, _, _ in comparison.differences(result.model, before.model)] == []


def test_own_config_determines_the_checkpoint(tmp_path):
    (tmp_path / "ckpt-0.index").write_bytes(b"")
    own = generate.find_base(QUARTERS).pipeline
    own.train_config.fine_tune_checkpoint = str(tmp_path / "ckpt-0")
    pipeline.write_pipeline(tmp_path / "pipeline.config", own)
    base = generate.find_base(str(tmp_path))
    assert generate.find_fine_tune_checkpoint(base, "zoo") == str(tmp_path / "ckpt-0")
    assert generate.find_fine_tune_checkpoint(base, "none") is None
    own.train_config.fine_tune_checkpoint = generate.UNFILLED
    pipeline.write_pipeline(tmp_path / "pipeline.config", own)
    with pytest.raises(errors.ConfigError, match="is not filled in yet"):
        generate.find_fine_tune_checkpoint(generate.find_base(str(tmp_path)), "zoo")


MASKS = [name for name in base_configs.base_names() if name.startswith("mask_rcnn")]


@pytest.mark.parametrize("name", MASKS)
def test_mask_layers_keep_the_shape_of_the_published_weights(name):
    """These have 256 channels for 90 classes; for 3 classes, the configuration would choose 32 or 64."""
    for checkpoint, facts, depth in (("/zoo/ckpt-0", make_facts(), 256), (None, make_facts(), 0)):
        result, notes = make(name, facts, fine_tune_checkpoint=checkpoint)
        predictor = result.model.faster_rcnn.second_stage_box_predictor.mask_rcnn_box_predictor
        assert predictor.mask_prediction_conv_depth == depth
        assert ("mask_prediction_conv_depth: 256 (was 0" in notes) == bool(depth)
    same, notes = make(name, make_facts(num_classes=90), fine_tune_checkpoint="/zoo/ckpt-0")
    assert "mask_prediction_conv_depth" not in notes and len(MASKS) == 5


def test_unknown_and_untrainable_models():
    with pytest.raises(errors.ZooError, match="ssd_mobilenet_v1"):
        generate.find_base("ssd_mobilnet_v1")
    with pytest.raises(errors.ConfigError, match="cannot be trained here yet"):
        generate.find_base("centernet_hourglass104_512x512")
    with pytest.raises(errors.UsageError, match="--model"):
        generate.find_base()


def test_facts_of_a_converted_folder(tmp_path):
    label_maps.write_label_map(tmp_path / "label_map.pbtxt", label_maps.make_label_map(["a", "b"]))
    images = [{"split": "train", "boxes": 7}, {"split": "train", "boxes": 130}, {"split": "validate", "boxes": 999}]
    manifests.write_manifest(
        tmp_path,
        manifests.Manifest(
            fingerprint="",
            options={},
            classes=[],
            shards={
                "train": [{"name": "train.record-00000-of-00001", "records": 2, "bytes": 1}],
                "validate": [{"name": "validate.record-00000-of-00001", "records": 1, "bytes": 1}],
            },
            files={"label_map": "label_map.pbtxt", "train_csv": "train.csv", "validate_csv": "validate.csv"},
            images=images,
            left_out=[],
            unlabelled=[],
            findings={},
        ),
    )
    facts = generate.read_data_facts(tmp_path)
    assert (facts.num_classes, facts.num_train, facts.num_validate, facts.most_boxes) == (2, 2, 1, 130)
    assert facts.train_pattern == f"{tmp_path.as_posix()}/train.record-?????-of-00001"
    result, _ = generate.generate_pipeline(generate.find_base(QUARTERS), str(tmp_path))
    assert result.model.ssd.num_classes == 2


def test_a_different_network_of_the_checkpoint_is_noted(tmp_path):
    (tmp_path / "checkpoint").mkdir()
    own = generate.find_base("ssd_mobilenet_v1").pipeline
    pipeline.write_pipeline(tmp_path / "pipeline.config", own)
    _, notes = make(fine_tune_checkpoint=str(tmp_path / "checkpoint" / "ckpt-0"))
    assert "model.ssd.feature_extractor.depth_multiplier is 1 there, 0.75 here" in notes
    _, notes = make("ssd_mobilenet_v1", fine_tune_checkpoint=str(tmp_path / "checkpoint" / "ckpt-0"))
    assert "differs" not in notes


def test_base_of_three_quarters_is_the_network_of_the_real_checkpoint():
    import tarfile

    with tarfile.open(shared("zoo/ssd_mobilenet_v1_0.75_depth_300x300_coco.tar.gz")) as archive:
        member = next(member for member in archive if member.name.endswith("pipeline.config"))
        other = pipeline.parse_pipeline(archive.extractfile(member).read().decode())
    assert comparison.differences(generate.find_base(QUARTERS).pipeline.model, other.model) == []


def test_manual_steps_and_plateau_are_scaled():
    message = pipeline.parse_pipeline(
        """train_config { optimizer { adam_optimizer { learning_rate { manual_step_learning_rate {
        initial_learning_rate: 0.1 schedule { step: 100 learning_rate: 0.01 }
        schedule { step: 200 learning_rate: 0.001 } } } } } }"""
    )
    optimizer = message.train_config.optimizer
    schedule_scaling.scale_rates(optimizer, 0.5)
    notes = schedule_scaling.scale_steps(optimizer, 300, 3000)
    manual = optimizer.adam_optimizer.learning_rate.manual_step_learning_rate
    assert manual.initial_learning_rate == pytest.approx(0.05)
    assert [(item.step, round(item.learning_rate, 6)) for item in manual.schedule] == [(1000, 0.005), (2000, 0.0005)]
    assert len(notes) == 2


def test_cosine_with_plateau_always_fits():
    for new in (1, 2, 3, 7, 11, 99, 1000):
        message = pipeline.parse_pipeline(
            """train_config { optimizer { momentum_optimizer { learning_rate { cosine_decay_learning_rate {
            total_steps: 10 warmup_steps: 3 hold_base_rate_steps: 7 } } } } }"""
        )
        cosine = message.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
        schedule_scaling.scale_steps(message.train_config.optimizer, 10, new)
        assert cosine.total_steps == new
        assert cosine.warmup_steps + cosine.hold_base_rate_steps <= cosine.total_steps


@pytest.mark.parametrize(
    ("model", "batch_size", "eval_batch_size", "rate"),
    [
        ("faster_rcnn_resnet50", 2, 2, 0.04 * 2 / 64),
        ("faster_rcnn_resnet50_v1_1024x1024", 1, 1, 0.04 / 64),
        ("faster_rcnn_resnet101_v1_800x1333", 1, 1, 0.01 / 16),
        ("faster_rcnn_resnet50_coco", 1, 1, 0.0003),
    ],
)
def test_two_stage_detectors_have_small_batches(model, batch_size, eval_batch_size, rate):
    result, notes = make(model, fine_tune_checkpoint="/zoo/checkpoint/ckpt-0")
    assert result.train_config.batch_size == batch_size
    assert result.eval_config.batch_size == eval_batch_size
    optimizer = result.train_config.optimizer
    assert schedule_scaling.base_rate(optimizer) == pytest.approx(rate, rel=1e-5)
    assert result.model.faster_rcnn.num_classes == 3
    assert result.train_config.fine_tune_checkpoint_type == "full"
    assert not result.model.faster_rcnn.feature_extractor.batch_norm_trainable
    assert ("batch norm: frozen" in notes) == ("640" in str(result.model) or "1024x" in model)


def test_evaluation_of_images_of_many_sizes_goes_one_by_one():
    assert make("faster_rcnn_resnet50_coco", batch_size=4)[0].eval_config.batch_size == 1
    assert make("faster_rcnn_resnet50", batch_size=16)[0].eval_config.batch_size == 8  # padded to one size


def test_two_stage_detector_from_scratch_trains_its_batch_norm():
    result, notes = make("faster_rcnn_resnet50_coco")
    assert result.model.faster_rcnn.feature_extractor.batch_norm_trainable
    assert "batch norm: trained" in notes


def test_configuration_without_weights_says_so():
    with pytest.raises(errors.ZooError, match="no weights were published") as caught:
        generate.find_fine_tune_checkpoint(generate.find_base("faster_rcnn_resnet50_v1_fpn_640x640"))
    assert "--fine_tune_checkpoint=" in caught.value.fix
    result, _ = make("faster_rcnn_resnet50_v1_fpn_640x640", fine_tune_checkpoint="/resnet50/ckpt-1")
    assert result.train_config.fine_tune_checkpoint_type == "classification"


@pytest.mark.parametrize(
    ("model", "batch_size", "rate"),
    [
        ("ssd_mobilenet_v2", 8, 0.8 / 512),
        ("ssd_mobilenet_v2_fpnlite_320x320", 8, 0.08 / 128),
        ("ssd_mobilenet_v2_fpnlite_640x640", 4, 0.08 / 128),
        ("ssd_mobilenet_v1_fpn", 4, 0.04 / 64),
        ("ssd_resnet50_v1_fpn", 4, 0.04 / 64),
        ("retinanet152_1024x1024", 1, 0.04 / 64),
        ("efficientdet_d0", 4, 0.08 / 128),
        ("efficientdet_d2", 2, 0.08 / 128),
        ("efficientdet_d7", 1, 0.08 / 128),
        ("ssd_mobilenet_v1_ppn", 8, 0.7 / 512),
        ("ssd_mobilenet_v1_quantized", 8, 0.2 / 128),
        ("ssd_mobilenet_v2_coco", 8, 0.004 / 24),
        ("ssdlite_mobilenet_v2", 8, 0.004 / 24),
        ("facessd_mobilenet_v2_quantized", 8, 0.004 / 32),
        ("ssd_resnet101_v1_fpn_512x512", 4, 0.04 / 64),
    ],
)
def test_schedules_of_large_batches_fit_small_ones(model, batch_size, rate):
    """The base rate is the published one per image of a batch, and the schedule ends with the training."""
    result, _ = make(model, fine_tune_checkpoint="/zoo/checkpoint/ckpt-0")
    train = result.train_config
    assert train.batch_size == batch_size
    assert schedule_scaling.base_rate(train.optimizer) == pytest.approx(rate * batch_size, rel=1e-5)
    assert train.fine_tune_checkpoint_type == "full" and result.model.ssd.freeze_batchnorm
    cosine = train.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    if train.optimizer.HasField("momentum_optimizer"):
        assert cosine.total_steps == train.num_steps and 50 <= cosine.warmup_steps < train.num_steps / 5
        assert 0 < cosine.warmup_learning_rate < cosine.learning_rate_base


@pytest.mark.parametrize(
    ("side", "batch_size"), [(300, 8), (320, 8), (400, 8), (512, 4), (640, 4), (768, 2), (896, 1), (1536, 1)]
)
def test_large_inputs_have_small_batches(side, batch_size):
    """The size that --set asks for counts, not that of the base file."""
    size = [f"model.ssd.image_resizer.fixed_shape_resizer.{name}={side}" for name in ("height", "width")]
    result, _ = make(overrides=size)
    assert result.train_config.batch_size == result.eval_config.batch_size == batch_size
    assert schedule_scaling.base_rate(result.train_config.optimizer) == pytest.approx(0.9 * batch_size / 2048, rel=1e-5)


def test_augmentation_follows_the_input_size():
    jitter = "train_config.data_augmentation_options+={random_scale_crop_and_pad_to_square {output_size: 300}}"
    side = "model.ssd.image_resizer={keep_aspect_ratio_resizer {min_dimension: 256 max_dimension: 256 %s}}"
    own = generate.find_base(QUARTERS)
    own.pipeline.CopyFrom(apply_overrides(own.pipeline, [jitter]))

    def jitter_size(*overrides):
        result, notes = generate.generate_pipeline(own, make_facts(), overrides=overrides)
        crop = result.train_config.data_augmentation_options[-1].random_scale_crop_and_pad_to_square
        return crop.output_size, [note for note in notes if note.startswith("random_scale")]

    assert jitter_size() == (300, [])
    note = "random_scale_crop_and_pad_to_square.output_size: 256 (was 300)"
    assert jitter_size(side % "pad_to_max_dimension: true") == (256, [note])
    own.pipeline.train_config.data_augmentation_options[-1].random_scale_crop_and_pad_to_square.output_size = 200
    assert jitter_size(side % "") == (200, [])


def test_a_batch_size_of_zero_becomes_that_of_the_family(tmp_path):
    own = pipeline.read_pipeline(base_configs.base_pipeline_path("ssd_mobilenet_v1_coco_2018_01_28"))
    own.train_config.batch_size = 0
    pipeline.write_pipeline(tmp_path / "own.config", own)
    base = generate.find_base(pipeline_config_path=tmp_path / "own.config")
    for given, expected in ((None, 8), (4, 4)):
        result, _ = generate.generate_pipeline(base, make_facts(), batch_size=given)
        assert result.train_config.batch_size == expected
        rates = (schedule_scaling.base_rate(message.train_config.optimizer) for message in (result, own))
        assert next(rates) == next(rates)
