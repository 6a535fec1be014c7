"""The start of a run: cheap checks come before dear ones, and a start that failed leaves nothing in the way."""

import json
import shutil

import pytest

from tests.dataset.scan.picture_set import save_pair, save_set
from tests.zoo import servers
from tests.zoo.test_cache import NAME, make_archive
from tfodhelper import errors, run_folder, run_layout, run_options, storage
from tfodhelper.annotations.structures import Box
from tfodhelper.cli import main
from tfodhelper.records import result
from tfodhelper.zoo import digests


@pytest.fixture
def server(monkeypatch, tmp_path):
    """What a server is asked for, which is the only address of the model's archive."""
    monkeypatch.setattr(digests, "SHA256_OF_INDEX", {})
    with servers.serve({f"/{NAME}": make_archive()}) as (address, behaviour):
        from tfodhelper.zoo import cache

        monkeypatch.setattr(cache, "addresses_of", lambda model, mirrors=None: [f"{address}/{NAME}"])
        monkeypatch.setenv("TFODHELPER_CACHE", str(tmp_path / "cache"))
        yield behaviour


@pytest.fixture
def photos(tmp_path):
    return save_set(tmp_path / "photos", ["cat", "dog"], 12)


def start(*flags):
    """The exit status of a run of a model whose weights would have to be downloaded."""
    return main.main(["run", "--model=ssd_mobilenet_v1", "--num_steps=1", "--num_workers=1", *flags])


BEFORE_THE_FOLDER = {
    "no data": ([], "no labelled images were found"),
    "missing folder": (["--data_dir=nowhere"], "nowhere: does not exist"),
    "misspelt model": (["--data_dir=photos", "--model=ssd_mobilnet"], "ssd_mobilenet"),
    "no weights": (
        ["--data_dir=photos", "--model=faster_rcnn_resnet50_v1_fpn_640x640_coco17_tpu-8"],
        "no weights were published",
    ),
    "unknown field": (["--data_dir=photos", "--set=train_config.batchsize=4"], "batchsize"),
    "missing list": (["--data_dir=photos", "--train_list=no.txt"], "no.txt"),
    "missing label map": (["--data_dir=photos", "--label_map=no.pbtxt"], "no.pbtxt"),
    "fraction": (["--data_dir=photos", "--val_fraction=0.9", "--test_fraction=0.9"], "test_fraction"),
    "no GPU": (["--data_dir=photos", "--strategy=gpu"], "--strategy=gpu"),
}


@pytest.mark.parametrize("case", BEFORE_THE_FOLDER)
def test_what_is_wrong_with_the_command_costs_no_download_and_leaves_no_folder(
    case, photos, server, tmp_path, monkeypatch, capsys
):
    flags, words = BEFORE_THE_FOLDER[case]
    if case == "no data":
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
    else:
        monkeypatch.chdir(tmp_path)
    assert start(*flags, "--output_dir=out") in (1, 2)
    assert words in capsys.readouterr().err
    assert server.requests == []
    assert not (tmp_path / "out").exists() and not (tmp_path / "elsewhere" / "out").exists()
    assert start(*flags) in (1, 2)
    assert not (tmp_path / "runs").exists()


def write_label_map(path, *names):
    items = "".join(f"item {{ id: {number} name: '{name}' }}\n" for number, name in enumerate(names, start=1))
    path.write_text(items, encoding="utf-8")


WITH_THE_IMAGES = {
    "no annotations": (["--data_dir=bare"], "no annotation files"),
    "a class without boxes": (["--data_dir=photos", "--label_map=map.pbtxt"], "1 class without training boxes: 'fish'"),
    "a number of classes": (["--data_dir=photos", "--set=model.ssd.num_classes=7"], "num_classes"),
    "no validation": (["--data_dir=photos", "--val_fraction=0"], "there are no validation images"),
    "metrics": (["--data_dir=photos", "--set=eval_config.metrics_set=coco_mask_metrics"], "mask"),
}


@pytest.mark.parametrize("case", WITH_THE_IMAGES)
def test_what_is_wrong_with_the_images_costs_no_download_and_does_not_block_the_folder(
    case, photos, server, tmp_path, monkeypatch, capsys
):
    flags, words = WITH_THE_IMAGES[case]
    monkeypatch.chdir(tmp_path)
    save_pair(tmp_path / "bare", "a", [Box("cat", 1, 2, 30, 40)], seed=1)
    (tmp_path / "bare" / "a.xml").unlink()
    write_label_map(tmp_path / "map.pbtxt", "cat", "dog", "fish")
    assert start(*flags, "--output_dir=out") in (1, 2)
    assert words in capsys.readouterr().err
    assert server.requests == []
    if case == "no annotations":
        corrected(tmp_path, monkeypatch, "--data_dir=photos")


def corrected(folder, monkeypatch, *flags):
    """A corrected command takes the folder of one that finished no phase, and gets as far as the configuration."""

    class ReachedError(errors.TfodhelperError):
        pass

    def stop(*arguments):
        raise ReachedError("as far as the configuration")

    monkeypatch.setattr(run_folder, "_config", stop)
    assert start(*flags, "--output_dir=out") == 1
    state = run_layout.read_state(folder / "out")
    assert list(state["phases"]) == ["convert"]
    assert state["settings"]["data"]["data_dir"] == str(folder / "photos")


def test_the_download_comes_after_the_images_and_before_the_configuration(
    photos, server, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    corrected(tmp_path, monkeypatch, "--data_dir=photos")
    assert [path for path, _ in server.requests] == [f"/{NAME}"]
    printed = capsys.readouterr().out
    assert printed.index("== convert: end") < printed.index("downloaded from") < printed.index("== config: start")
    # the same command resumes it, without a second download
    assert start("--data_dir=photos", "--output_dir=out") == 1
    assert len(server.requests) == 1
    # other settings would lose the conversion
    assert start("--data_dir=photos", "--output_dir=out", "--val_fraction=0.5") == 2
    assert "holds a run with other settings" in capsys.readouterr().err


def test_an_unnamed_folder_of_a_failed_start_is_used_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = run_options.RunOptions(data_dir="photos", model="ssd_mobilenet_v1")
    other = run_options.settings_of(run_options.RunOptions(data_dir="photos", model="ssd_mobilenet_v1", num_steps=9))
    folder = tmp_path / "runs" / "ssd_mobilenet_v1"
    folder.mkdir(parents=True)
    state = {"settings": other, "phases": {}, "finished": False}
    (folder / "run.json").write_text(json.dumps(state))
    settings = run_options.settings_of(options)
    assert run_options.choose_folder(options, settings).name == "ssd_mobilenet_v1"
    monkeypatch.setattr(storage, "is_held", lambda path: True)  # by a process that is at work in it
    assert run_options.choose_folder(options, settings).name == "ssd_mobilenet_v1-2"
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    # with its images converted, it makes room for a run with the same images
    (folder / "run.json").write_text(json.dumps(state | {"phases": {"convert": {"seconds": 1.0}}}))
    assert run_options.choose_folder(options, settings).name == "ssd_mobilenet_v1"
    for change in ({"val_fraction": 0.5}, {"seed": 3}):
        changed = run_options.RunOptions(data_dir="photos", model="ssd_mobilenet_v1", **change)
        assert run_options.choose_folder(changed, run_options.settings_of(changed)).name == "ssd_mobilenet_v1-2"
    (folder / "run.json").write_text(
        json.dumps(state | {"phases": {name: {"seconds": 1.0} for name in ("convert", "config")}})
    )
    assert run_options.choose_folder(options, settings).name == "ssd_mobilenet_v1-2"


def test_whether_a_folder_is_held(tmp_path):
    assert not storage.is_held(tmp_path)
    with storage.hold(tmp_path):
        assert storage.is_held(tmp_path)
    assert not storage.is_held(tmp_path)


def test_what_an_unfinished_conversion_left_is_removed(photos, tmp_path):
    folder = tmp_path / "out"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / result.UNFINISHED).touch()
    former = run_options.settings_of(run_options.RunOptions(data_dir=photos, model="a"))
    (folder / "run.json").write_text(json.dumps({"settings": former, "phases": {}, "finished": False}))
    assert run_folder._read_or_begin(folder, former)["settings"] == former and (folder / "data").exists()
    later = run_options.settings_of(run_options.RunOptions(data_dir=photos, model="b"))
    assert run_folder._read_or_begin(folder, later) == {"settings": later, "phases": {}, "finished": False}
    assert not (folder / "data").exists()


def free_bytes(monkeypatch, number):
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=number))


def test_an_archive_that_does_not_fit_is_not_received(photos, server, tmp_path, monkeypatch, capsys):
    server.files[f"/{NAME}"] = make_archive() + bytes(1 << 22)
    monkeypatch.chdir(tmp_path)
    free_bytes(monkeypatch, 6 << 20)
    assert start("--data_dir=photos", "--output_dir=out") == 1
    said = capsys.readouterr().err
    assert "not enough disk space: 9 MB for the archive and its content, 6 MB free" in said and "--cache_dir" in said
    assert not list((tmp_path / "cache").glob("*.part"))


def test_a_training_whose_checkpoints_do_not_fit_does_not_begin(tmp_path, monkeypatch):
    for ending, size in ((".index", 1 << 10), (".data-00000-of-00001", 1 << 20)):
        (tmp_path / f"ckpt-0{ending}").write_bytes(bytes(size))
    (tmp_path / "ckpt-01.index").write_bytes(bytes(1 << 22))
    free_bytes(monkeypatch, 13 << 20)
    run_folder._check_space(tmp_path, str(tmp_path / "ckpt-0"))
    run_folder._check_space(tmp_path, None)
    free_bytes(monkeypatch, 12 << 20)
    with pytest.raises(errors.StorageError, match="not enough disk space") as caught:
        run_folder._check_space(tmp_path, str(tmp_path / "ckpt-0"))
    assert caught.value.expected == "12 MB for the checkpoints and exports"
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "ckpt-5.index").touch()
    run_folder._check_space(tmp_path, str(tmp_path / "ckpt-0"))  # a resumed training has written most of them


def test_after_a_failed_download_the_corrected_command_uses_the_converted_images(
    photos, server, tmp_path, monkeypatch, capsys
):
    server.status[f"/{NAME}"] = 403
    monkeypatch.chdir(tmp_path)
    assert start("--data_dir=photos", "--output_dir=out") == 1
    assert "could not be downloaded" in capsys.readouterr().err
    corrected(tmp_path, monkeypatch, "--data_dir=photos", "--fine_tune_checkpoint=none")
    printed = capsys.readouterr().out
    assert "takes the place of an earlier start with other settings, with its converted images" in printed
    assert "already converted from the same files" in printed
    assert run_layout.read_state(tmp_path / "out")["settings"]["fine_tune_checkpoint"] == "none"
