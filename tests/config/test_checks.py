"""What is known to be wrong at the start is refused at the start, in the same words by every verb."""

import pytest

from tfodhelper import errors, families, run_folder, run_options
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.config import augmentation_values, checks, configuration, pipeline
from tfodhelper.config import options as config_options
from tfodhelper.config.overrides import apply_overrides
from tfodhelper.dataset import manifest as manifests
from tfodhelper.metrics import build
from tfodhelper.zoo import base_configs, cache

SSD = "ssd_mobilenet_v1_coco_2018_01_28"
PYRAMID = "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8"
EFFICIENT = "efficientdet_d0_coco17_tpu-32"
TWO_STAGES = "faster_rcnn_resnet50_v1_640x640_coco17_tpu-8"
TWO_STAGE_PYRAMID = "faster_rcnn_resnet50_v1_fpn_640x640_coco17_tpu-8"
RATE = "train_config.optimizer.rms_prop_optimizer.learning_rate"
AUGMENTATION = "train_config.data_augmentation_options"

# (base, changes of fields, what the message names)
WRONG = {
    "metric of masks": (SSD, ["eval_config.metrics_set=[coco_mask_metrics]"], "instance masks"),
    "metric misspelt": (SSD, ["eval_config.metrics_set=[coco_metrics]"], "coco_metrics"),
    "recall bounds": (
        SSD,
        [
            "eval_config.metrics_set=[precision_at_recall_detection_metrics]",
            "eval_config.recall_lower_bound=0.9",
            "eval_config.recall_upper_bound=0.1",
        ],
        "recall_lower_bound",
    ),
    "step 0": (
        SSD,
        [f"{RATE}.manual_step_learning_rate={{schedule {{step: 0 learning_rate: 0.1}}}}"],
        "manual_step_learning_rate.schedule",
    ),
    "steps that fall": (
        SSD,
        [f"{RATE}.manual_step_learning_rate={{schedule {{step: 9}} schedule {{step: 7}}}}"],
        "step: 9, step: 7",
    ),
    "decay in no steps": (SSD, [f"{RATE}.exponential_decay_learning_rate={{decay_steps: 0}}"], "decay_steps"),
    "warm-up beyond the end": (
        SSD,
        [f"{RATE}.cosine_decay_learning_rate={{total_steps: 5 warmup_steps: 6}}"],
        "total_steps",
    ),
    "a negative rate": (SSD, [f"{RATE}.constant_learning_rate={{learning_rate: -0.1}}"], "learning_rate"),
    "no rate": (SSD, [f"{RATE}.constant_learning_rate={{learning_rate: nan}}"], "nan"),
    "no schedule": (SSD, ["train_config.optimizer.momentum_optimizer={}"], "no learning_rate"),
    "averages of everything": (
        SSD,
        ["train_config.optimizer.use_moving_average=true", "train_config.optimizer.moving_average_decay=1.5"],
        "moving_average_decay",
    ),
    "expression": (SSD, ["train_config.freeze_variables=['BoxPredictor_(0']"], "freeze_variables"),
    "type of checkpoint": (SSD, ["train_config.fine_tune_checkpoint_type=everything"], "fine_tune_checkpoint_type"),
    "chance above 1": (SSD, [f"{AUGMENTATION}=[{{random_horizontal_flip {{probability: 1.5}}}}]"], "probability"),
    "range upside down": (
        SSD,
        [f"{AUGMENTATION}=[{{random_jpeg_quality {{min_jpeg_quality: 90 max_jpeg_quality: 20}}}}]"],
        "min_jpeg_quality",
    ),
    "empty operation": (SSD, [f"{AUGMENTATION}=[{{}}]"], "no operation"),
    "policy": (SSD, [f"{AUGMENTATION}=[{{autoaugment_image {{policy_name: 'v9'}}}}]"], "policy_name"),
    "maps without anchors": (SSD, ["model.ssd.anchor_generator.ssd_anchor_generator.num_layers=5"], "feature maps"),
    "too small": (SSD, ["model.ssd.image_resizer.fixed_shape_resizer={height: 32 width: 64}"], "33 pixels"),
    "thresholds": (SSD, ["model.ssd.matcher.argmax_matcher.unmatched_threshold=0.9"], "matched_threshold"),
    "suppression": (
        SSD,
        ["model.ssd.post_processing.batch_non_max_suppression.iou_threshold=2"],
        "batch_non_max_suppression.iou_threshold",
    ),
    "no loss": (SSD, ["model.ssd.loss.localization_loss={}"], "localization_loss"),
    "levels": (PYRAMID, ["model.ssd.feature_extractor.fpn.max_level=6"], "other levels"),
    "levels that do not exist": (PYRAMID, ["model.ssd.feature_extractor.fpn.min_level=1"], "2 <= min_level"),
    "levels of a bifpn": (EFFICIENT, ["model.ssd.feature_extractor.bifpn.max_level=8"], "other levels"),
    "no pyramid at all": (EFFICIENT, ["model.ssd.feature_extractor.bifpn={}"], "num_iterations"),
    "anchors per place": (
        PYRAMID,
        ["model.ssd.anchor_generator.ssd_anchor_generator={num_layers: 5 aspect_ratios: 1}"],
        "as many anchors",
    ),
    "dropout": (
        SSD,
        [
            "model.ssd.box_predictor.convolutional_box_predictor.use_dropout=true",
            "model.ssd.box_predictor.convolutional_box_predictor.dropout_keep_probability=0",
        ],
        "dropout_keep_probability",
    ),
    "anchors without width": (
        SSD,
        ["model.ssd.anchor_generator.ssd_anchor_generator.aspect_ratios=[1.0, -2.0]"],
        "aspect_ratios",
    ),
    "overlap above 1": (SSD, ["model.ssd.matcher.argmax_matcher.matched_threshold=1.5"], "matched_threshold"),
    "clipping": (SSD, ["train_config.gradient_clipping_by_norm=-1"], "gradient_clipping_by_norm"),
    "no image of any": (SSD, ["train_input_reader.sample_1_of_n_examples=0"], "sample_1_of_n_examples"),
    "no boxes": (SSD, ["train_input_reader.max_number_of_boxes=0"], "max_number_of_boxes"),
    "stages": (TWO_STAGES, ["model.faster_rcnn.second_stage_batch_size=301"], "second_stage_batch_size"),
    "stride": (TWO_STAGES, ["model.faster_rcnn.feature_extractor.first_stage_features_stride=32"], "8 or 16"),
    "crops": (TWO_STAGES, ["model.faster_rcnn.maxpool_kernel_size=99"], "maxpool_kernel_size"),
    "levels of two stages": (
        TWO_STAGE_PYRAMID,
        ["model.faster_rcnn.first_stage_anchor_generator.multiscale_anchor_generator.min_level=3"],
        "feature maps",
    ),
    "shifted levels of two stages": (
        TWO_STAGE_PYRAMID,
        [
            "model.faster_rcnn.feature_extractor.fpn={min_level: 3 max_level: 7}",
        ],
        "other levels",
    ),
}
EACH_WRONG = pytest.mark.parametrize(("base", "changes", "words"), WRONG.values(), ids=WRONG)


def read_base(name):
    return pipeline.read_pipeline(base_configs.base_pipeline_path(name))


@EACH_WRONG
def test_values_that_cannot_be_used_are_refused(base, changes, words):
    checks.check_pipeline(read_base(base))
    with pytest.raises(errors.ConfigError, match=words):
        checks.check_pipeline(apply_overrides(read_base(base), changes))


@pytest.fixture
def no_download(monkeypatch):
    """Fails when a checkpoint is looked for."""

    def refuse(*arguments):
        pytest.fail(f"a download was tried: {arguments}")

    monkeypatch.setattr(cache, "resolve_checkpoint", refuse)


@EACH_WRONG
def test_config_and_run_refuse_before_any_work(base, changes, words, tmp_path, no_download):
    chosen = {"model": base, "overrides": tuple(changes)}
    with pytest.raises(errors.ConfigError, match=words):
        configuration.write_config(config_options.WriteConfigOptions(data_dir=tmp_path / "nowhere", **chosen))
    with pytest.raises(errors.ConfigError, match=words):
        configuration.check_start(config_options.ConfigOptions(**chosen))
    with pytest.raises(errors.ConfigError, match=words):
        run_folder.run(run_options.RunOptions(data_dir=tmp_path / "no images", output_dir=tmp_path / "run", **chosen))


@EACH_WRONG
def test_train_and_eval_refuse_the_same_file(base, changes, words, tmp_path):
    jobs = pytest.importorskip("tfodhelper.training.jobs")
    from tfodhelper.evaluation_options import EvalOptions
    from tfodhelper.training.options import TrainJobOptions

    path = tmp_path / "pipeline.config"
    pipeline.write_pipeline(path, apply_overrides(read_base(base), changes))
    options = {"pipeline_config_path": path, "model_dir": tmp_path / "model"}
    with pytest.raises(errors.ConfigError, match=words):
        jobs.train(TrainJobOptions(**options))
    with pytest.raises(errors.ConfigError, match=words):
        list(jobs.evaluate(EvalOptions(**options)))
    assert not (tmp_path / "model").exists()


def test_super_categories_are_compared_with_the_label_map(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    label_maps.write_label_map(folder / "label_map.pbtxt", label_maps.make_label_map(["cat", "dog"]))
    shards = {
        side: [{"name": f"{side}.record-00000-of-00001", "records": 9, "bytes": 1}] for side in ("train", "validate")
    }
    values = {name: [] for name in ("classes", "images", "left_out", "unlabelled")}
    files = {"label_map": "label_map.pbtxt", "train_csv": "train.csv", "validate_csv": "validate.csv"}
    manifests.write_manifest(
        folder, manifests.Manifest(fingerprint="", options={}, shards=shards, files=files, findings={}, **values)
    )
    change = "eval_config.super_categories=[{key: 'pet' value: 'cat, dgo'}]"
    options = config_options.WriteConfigOptions(
        model=SSD, fine_tune_checkpoint="none", data_dir=folder, overrides=(change,)
    )
    with pytest.raises(errors.ConfigError, match="super_categories"):
        configuration.write_config(options)


@pytest.mark.parametrize(
    "name", ["oid_V2_detection_metrics", "oid_challenge_detection_metrics", "open_images_V2_detection_metrics"]
)
def test_metrics_of_open_images_are_computed(name, capsys):
    pipeline = apply_overrides(read_base(SSD), [f"eval_config.metrics_set=[{name}]"])
    checks.check_pipeline(pipeline)
    assert capsys.readouterr().err == ""
    tags = build.build_metrics(pipeline.eval_config, {1: "cat"}, always=()).result()
    assert len(tags) == 2 and all(tag.startswith("OpenImages") for tag in tags)


@pytest.mark.parametrize("name", base_configs.base_names())
def test_base_files_pass(name):
    checks.check_pipeline(read_base(name))


def test_an_efficientdet_without_bifpn_has_the_pyramid_of_its_type():
    """The values that the Object Detection API's classes take then, which published files repeat."""
    for name in base_configs.base_names():
        if name.startswith("efficientdet"):
            extractor = read_base(name).model.ssd.feature_extractor
            published = extractor.bifpn
            extractor.ClearField("bifpn")
            pyramid = families.pyramids.pyramid_of(extractor)
            for field in ("min_level", "max_level", "num_iterations", "num_filters", "combine_method"):
                of_published = getattr(published, field)
                assert getattr(pyramid, field) == of_published or (field, of_published) == ("combine_method", "sum")
            changed = apply_overrides(read_base(name), ["model.ssd.feature_extractor.bifpn="])
            checks.check_pipeline(changed)


def test_a_two_stage_pyramid_without_fpn_has_other_levels_than_the_schema():
    changed = apply_overrides(read_base(TWO_STAGE_PYRAMID), ["model.faster_rcnn.feature_extractor.fpn="])
    pyramid = families.pyramids.pyramid_of(changed.model.faster_rcnn.feature_extractor)
    assert (pyramid.min_level, pyramid.max_level, pyramid.additional_layer_depth) == (2, 6, 256)
    checks.check_pipeline(changed)


def test_policies_are_those_of_the_input_pipeline():
    policies = pytest.importorskip("tfodhelper.inputs.autoaugment_policies").POLICIES
    assert tuple(policies) == augmentation_values.AUTOAUGMENT_POLICIES
