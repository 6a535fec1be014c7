"""The verbs that need a model read each of their flags while they work, or refuse it; see `test_flags_are_used`."""

import pytest

from tests.cli.test_flags_are_used import options_by_flag, reads, unread, value_of  # noqa: F401 - reads is a fixture
from tfodhelper.active_learning.oracles import build
from tfodhelper.cli import main
from tfodhelper.dataset import shapes

pytestmark = pytest.mark.slow

RESIZER, NETWORK = "model.ssd.image_resizer.fixed_shape_resizer", "model.ssd.feature_extractor"
TINY = (
    *("--model=ssd_mobilenet_v1", "--fine_tune_checkpoint=none", "--num_steps=2", "--batch_size=2", "--strategy=cpu"),
    "--learning_rate=0.001",
    *(f"--set={RESIZER}.{side}=96" for side in ("height", "width")),
    *(f"--set={NETWORK}.depth_multiplier=0.25", f"--set={NETWORK}.min_depth=8"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Drawn images, a few without XML, and a run over them."""
    folder = tmp_path_factory.mktemp("models")
    shapes.draw_dataset(folder / "set", 10, seed=1)
    shapes.draw_dataset(folder / "pool", 4, seed=2)
    for path in (folder / "pool").glob("*.xml"):
        path.unlink()
    images = sorted(path.name for path in (folder / "pool").iterdir())
    (folder / "classes.csv").write_text("image,class\n" + "".join(f"{name},circle\n" for name in images))
    assert main.main(["run", f"--data_dir={folder / 'set'}", *TINY, f"--output_dir={folder / 'run'}"]) == 0
    return folder


RUNS = {
    "run": ["--data_dir={0}/set", *TINY, "--output_dir={1}"],
    "train": ["--pipeline_config_path={0}/run/pipeline.config", "--model_dir={1}", "--strategy=cpu"],
    "eval": ["--model_dir={0}/run", "--strategy=cpu"],
    "export": ["--trained_checkpoint_dir={0}/run", "--output_directory={1}"],
    "predict": ["--saved_model_dir={0}/run", "--output_dir={1}", "--draw", "--write_xml", "{0}/set"],
    "explain": [
        *("--trained_checkpoint_dir={0}/run", "--output_dir={1}", "--layer=backbone.blocks.4", "--filter=0"),
        *("--filter_steps=2", "--score_threshold=0", "{0}/pool"),
    ],
    "report": ["{0}/run"],
    "compare": ["{0}/run", "{0}/run", "--output_dir={1}"],
    "benchmark": ["{0}/run", "--data_dir={0}/run", "--num_images=1", "--output_dir={1}"],
    "check": ["--data_dir={0}/set", "--model={0}/run", "--output_dir={1}"],
    "stats": ["--data_dir={0}/set", "--features={0}/run", "--output_dir={1}"],
}
# What only acts on a converted folder that exists already; `convert` shows that it does.
ELSEWHERE = {"run": {"shard", "update"}}


def check_refused(verb, argv, names, capsys):
    """Checks that a verb refuses options that it has not used."""
    by_name = {option.name: option for option in options_by_flag(verb).values()}
    capsys.readouterr()
    for name in names:
        assert main.main([*argv, value_of(by_name[name])]) == 2, by_name[name].flag
        assert by_name[name].flag in capsys.readouterr().err


@pytest.mark.parametrize("verb", RUNS)
def test_verbs_with_a_model_use_all_of_their_flags(folder, tmp_path, reads, capsys, verb):  # noqa: F811
    argv = [verb, *(flag.format(folder, tmp_path / "out") for flag in RUNS[verb])]
    assert main.main(argv) == 0
    check_refused(verb, argv, set(unread(verb, reads)) - ELSEWHERE.get(verb, set()), capsys)


def test_eval_of_an_export_uses_all_of_its_flags(folder, tmp_path, reads, capsys):  # noqa: F811
    argv = ["eval", f"--saved_model_dir={folder / 'run'}", f"--data_dir={folder / 'set'}"]
    argv.append(f"--output_dir={tmp_path / 'out'}")
    assert main.main(argv) == 0
    check_refused("eval", argv, unread("eval", reads), capsys)


def test_export_for_tflite_uses_all_of_its_flags(folder, tmp_path, reads, capsys):  # noqa: F811
    argv = ["export", f"--trained_checkpoint_dir={folder / 'run'}", f"--output_directory={tmp_path / 'out'}"]
    argv += ["--format=tflite", "--quantization=int8", "--num_check_images=2"]
    assert main.main(argv) == 0
    check_refused("export", argv, unread("export", reads), capsys)


def test_the_verbs_of_active_use_all_of_their_flags(folder, tmp_path, reads, capsys):  # noqa: F811
    where = f"--workspace={tmp_path / 'space'}"
    argv = ["active", "init", where, f"--data_dir={folder / 'set'}", f"--pool_dir={folder / 'pool'}", *TINY]
    argv += ["--budget=2", "--val_fraction=0.3", "--oracle=image_label", f"--image_labels={folder / 'classes.csv'}"]
    assert main.main(argv) == 0
    for verb in ("round", "report", "status"):
        assert main.main(["active", verb, where]) == 0
    for verb in ("init", "round", "report", "status"):
        given = argv if verb == "init" else ["active", verb, where]
        # Of the first round; what the second one or an adopted image needs is tested in `tests/active_learning`.
        later = {"retrain", "trial", "min_box_worth", "adopted_share", "oracle", *build.names_of("image_label")}
        unused = set(unread(f"active {verb}", reads)) - later
        check_refused(f"active {verb}", given, unused, capsys)
