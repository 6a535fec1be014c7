"""What `active init` makes of labelled images and a pool: which image goes where, and what is kept out."""

import os
import shutil

import pytest
from PIL import Image

from tfodhelper import errors, sheets
from tfodhelper.active_learning import create_workspace, workspace
from tfodhelper.active_learning.options import InitOptions
from tfodhelper.dataset import shapes

SETTINGS = {"training": {}, "retrain": "continue", "prediction": {}, "selection": {}, "oracle": {}, "seed": 0}


@pytest.fixture
def photos(tmp_path):
    """24 drawn images; the last 8 have no XML."""
    folder = tmp_path / "photos"
    shapes.draw_dataset(folder, 24, seed=3)
    for path in sorted(folder.glob("*.xml"))[16:]:
        path.unlink()
    return folder


def init(tmp_path, data, **more):
    options = {"val_fraction": 0.25, "seed": 1, **data}
    return create_workspace.init(InitOptions(workspace=tmp_path / "w", settings=SETTINGS, **options, **more))


def snapshot(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.rglob("*"))}


def test_images_without_xml_are_the_pool(photos, tmp_path):
    before = snapshot(photos)
    started = init(tmp_path, {"data_dir": photos})
    space = started.workspace
    assert started.num_labelled + started.num_validation == 16
    assert 3 <= started.num_validation <= 5 and started.num_pool == 8
    stems = sorted(path.name for path in photos.iterdir() if path.suffix != ".xml")
    assert [image.name for image in space.pool()] == [f"pool/{name}" for name in stems[16:]]
    assert all(image.classes is None for image in space.pool())
    assert len(set(space.validation()) | {name for name, _ in space.labelled()}) == 16
    for name in space.validation():
        assert (space.set_dir / name).resolve().parent == photos.resolve()
        assert (space.set_dir / name).with_suffix(".xml").is_file()
    assert snapshot(photos) == before
    assert space.settings == SETTINGS


def test_a_pool_image_that_looks_like_the_validation_is_kept_out(photos, tmp_path):
    pool = tmp_path / "pool"
    pool.mkdir()
    first = init(tmp_path, {"data_dir": photos})
    shown = (first.workspace.set_dir / first.workspace.validation()[0]).resolve()
    shutil.rmtree(tmp_path / "w")
    with Image.open(shown) as image:
        image.convert("RGB").resize((image.width - 3, image.height - 2)).save(pool / "frame.jpg", quality=60)
    labelled = sorted(photos.glob("*.xml"))[0]
    shutil.copy(next(path for path in photos.glob(f"{labelled.stem}.*") if path.suffix != ".xml"), pool / "twin.jpg")
    os.link(sorted(photos.iterdir())[-1], pool / "new.jpg")
    started = init(tmp_path, {"data_dir": photos}, pool_dir=pool)
    assert [image.name for image in started.workspace.pool()] == ["pool/new.jpg"]
    reasons = {os.path.basename(row["path"]): row["reason"] for row in refused_of(started)}
    assert reasons["frame.jpg"].startswith("looks almost the same as a validation image: ")
    assert reasons["twin.jpg"].startswith("is the same file as a ")
    assert sum(started.refused.values()) == 2


def refused_of(started):
    return list(sheets.read_csv(started.workspace.folder / "pool_refused.csv"))


def test_a_separate_validation_folder_and_classes_of_folders(photos, tmp_path):
    other = tmp_path / "val"
    shapes.draw_dataset(other, 6, seed=9)
    pool = tmp_path / "pool"
    for name in ("circle", "square"):
        shapes.draw_dataset(pool / name, 2, seed=len(name) + 20)
    started = init(tmp_path, {"data_dir": photos}, val_dir=other, pool_dir=pool, image_labels="folder")
    assert (started.num_labelled, started.num_validation, started.num_pool) == (16, 6, 4)
    names = {image.name: image.classes for image in started.workspace.pool()}
    assert sorted(names.values()) == [("circle",), ("circle",), ("square",), ("square",)]
    stems = [os.path.splitext(name)[0] for name in names]
    assert len(set(stems)) == 4
    assert all(name.split("/")[1] == classes[0] for name, classes in names.items())


def test_validation_images_of_an_unlabelled_class_are_reported_and_left_out(photos, tmp_path, capsys):
    other = tmp_path / "val"
    shapes.draw_dataset(other, 6, seed=9)
    text = sorted(other.glob("*.xml"))[0].read_text(encoding="utf-8")
    name = text.split("<name>")[1].split("</name>")[0]
    sorted(other.glob("*.xml"))[0].write_text(text.replace(f"<name>{name}<", "<name>zebra<"), encoding="utf-8")
    started = init(tmp_path, {"data_dir": photos}, val_dir=other)
    assert started.num_validation == 5
    assert "'zebra'" in capsys.readouterr().err


def test_pool_images_with_one_stem_get_xml_files_of_their_own(photos, tmp_path):
    pool = tmp_path / "pool"
    shapes.draw_dataset(pool, 3, seed=30)
    first, second, third = sorted(path for path in pool.iterdir() if path.suffix != ".xml")
    first.rename(pool / "1.jpg")
    with Image.open(second) as image:
        image.save(pool / "1.PNG")
    second.unlink()
    third.rename(pool / "1_2.jpg")
    space = init(tmp_path, {"data_dir": photos}, pool_dir=pool).workspace
    assert sorted(image.name for image in space.pool()) == ["pool/1.PNG", "pool/1_2.jpg", "pool/1_2_2.jpg"]


def test_a_second_init_and_a_folder_with_other_files_are_refused(photos, tmp_path):
    init(tmp_path, {"data_dir": photos})
    with pytest.raises(errors.UsageError, match="is already a workspace"):
        init(tmp_path, {"data_dir": photos})
    (tmp_path / "w" / workspace.NAME).unlink()
    (tmp_path / "w" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(errors.UsageError, match="contains other files"):
        init(tmp_path, {"data_dir": photos})
    assert (tmp_path / "w" / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_an_interrupted_init_is_done_again(photos, tmp_path):
    before = init(tmp_path, {"data_dir": photos})
    names = before.workspace.validation()
    (tmp_path / "w" / workspace.NAME).unlink()  # as if it had been killed before the last file
    (tmp_path / "w" / "set" / "labelled" / "left.jpg").symlink_to("nowhere")
    again = init(tmp_path, {"data_dir": photos})
    assert again.workspace.validation() == names
    assert not (tmp_path / "w" / "set" / "labelled" / "left.jpg").is_symlink()
    assert all(path.exists() for path in photos.iterdir())


def test_a_folder_without_pool_says_so(photos, tmp_path):
    for path in photos.iterdir():
        if not path.with_suffix(".xml").exists():
            path.unlink()
    with pytest.raises(errors.DatasetError, match="every image has an XML file"):
        init(tmp_path, {"data_dir": photos})
    assert not (tmp_path / "w" / workspace.NAME).exists()


@pytest.mark.parametrize(
    ("pool", "labels", "message"),
    [
        ("nowhere", None, "no such file or folder"),
        ("empty", None, "no image found"),
        ("pool", "nofile.csv", "nofile.csv: cannot be read"),
        ("pool", "folder", "none of the images is in a folder named after its class"),
        (None, "nofile.csv", "nofile.csv: cannot be read"),
    ],
)
def test_pool_and_image_labels_are_checked_before_the_labelled_images_are_read(
    photos, tmp_path, monkeypatch, pool, labels, message
):
    (tmp_path / "empty").mkdir()
    shapes.draw_dataset(tmp_path / "pool", 1, seed=2)
    monkeypatch.setattr(
        create_workspace.plan, "make_plan", lambda options: pytest.fail("reads all labelled images first")
    )
    more = {"pool_dir": tmp_path / pool} if pool else {}
    with pytest.raises(errors.TfodhelperError, match=message):
        init(tmp_path, {"data_dir": photos}, image_labels=labels, **more)
    assert not (tmp_path / "w").exists()


def test_labels_of_other_classes_are_reported_and_a_broken_image_is_left_to_the_prediction(photos, tmp_path, capsys):
    pool = tmp_path / "pool"
    shapes.draw_dataset(pool, 2, seed=2)
    first, second = sorted(path.name for path in pool.iterdir() if path.suffix != ".xml")
    (pool / second).write_bytes((pool / second).read_bytes()[:200])
    table = tmp_path / "labels.csv"
    table.write_text(f"image,classes\n{first},zebra\n{second},circle|square\nelse.jpg,circle\n", encoding="utf-8")
    started = init(tmp_path, {"data_dir": photos}, pool_dir=pool, image_labels=str(table))
    assert [image.classes for image in started.workspace.pool()] == [("zebra",), ("circle", "square")]
    said = capsys.readouterr().err
    assert "class 'zebra': 1 image of the pool shows it, but no labelled image does" in said
    assert "1 row names an image not in the folder: else.jpg" in said


def test_a_missing_workspace_is_reported(tmp_path):
    with pytest.raises(errors.DatasetError, match="is not a workspace") as caught:
        workspace.Workspace(tmp_path)
    assert "active init" in caught.value.fix


@pytest.mark.parametrize("classes", [None, (), ("cat",), ("cat", "dog")])
def test_classes_come_back_from_a_cell(classes):
    assert workspace.split_classes(workspace.join_classes(classes)) == classes


def test_entries_of_the_pool_that_cannot_be_used_are_reported_and_the_rest_is_taken(photos, tmp_path, capsys):
    pool = tmp_path / "pool"
    shapes.draw_dataset(pool, 3, seed=50)
    os.mkfifo(pool / "pipe.jpg")
    (pool / "loop.jpg").symlink_to("loop.jpg")
    (pool / "phone.heic").write_bytes(b"x")
    (pool / "caf\udce9.jpg").write_bytes(b"x")
    started = init(tmp_path, {"data_dir": photos}, pool_dir=pool)
    assert started.num_pool == 3
    said = capsys.readouterr().err
    assert "images that are not used: 4" in said
    assert all(word in said for word in ("a named pipe", "cannot be followed", "HEIC", r"caf\xe9.jpg"))
