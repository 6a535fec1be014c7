"""Updates convert only what changed; several jobs or processes give the same result as one."""

import json
import shutil

import pytest
from PIL import Image

from tests.dataset.scan.picture_set import save_image, save_pair, save_set
from tests.records.conversions import contents, convert_set, read_examples
from tfodhelper import errors
from tfodhelper.annotations.structures import Box
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset.scan import discover, entry
from tfodhelper.records import convert, result, update, writer

BOX = Box("cat", 1, 1, 20, 20)


@pytest.fixture
def made(tmp_path):
    data = save_set(tmp_path / "data", ["cat", "dog"], 10)
    return data, tmp_path / "out", convert_set(data, tmp_path / "out")


def watch(monkeypatch):
    """Collects the names of the images whose records are made."""
    names, old = [], writer._make_record

    def make(item, label_map):
        names.append(item.name)
        return old(item, label_map)

    monkeypatch.setattr(writer, "_make_record", make)
    return names


def all_examples(made):
    return read_examples([*made.train_shards, *made.validate_shards])


def test_only_new_and_changed_images_are_converted(made, monkeypatch):
    data, output, before = made
    old, sides = all_examples(before), {i["path"]: i["split"] for i in manifests.read_manifest(output).images}
    save_pair(data, "bird_1", [Box("bird", 2, 2, 30, 30)], seed=900)
    save_pair(data, "cat_new", [BOX], seed=901)
    save_pair(data, "cat_003", [Box("dog", 5, 5, 25, 25)], seed=3)  # the image stays, its box does not
    (data / "dog_004.jpg").unlink()
    (data / "dog_004.xml").unlink()
    names = watch(monkeypatch)
    after = convert_set(data, output, update=True)
    assert sorted(names) == ["bird_1.jpg", "cat_003.jpg", "cat_new.jpg"]
    new = all_examples(after)
    assert set(new) == (set(old) | {"bird_1.jpg", "cat_new.jpg"}) - {"dog_004.jpg"}
    assert all(str(new[name]) == str(old[name]) for name in set(old) & set(new) - {"cat_003.jpg"})
    assert [item.name for item in after.label_map] == ["cat", "dog", "bird"]  # ids do not change
    assert new["cat_003.jpg"]["image/object/class/label"].int64_list.value == [2]
    manifest = manifests.read_manifest(output)
    assert {i["path"]: i["split"] for i in manifest.images if i["path"] in sides}.items() <= sides.items()
    assert len({i["source_id"] for i in manifest.images}) == len(manifest.images)
    assert convert_set(data, output).reused
    assert not (output / ".update").exists()


def test_a_second_update_continues_the_first(made, monkeypatch):
    data, output, _ = made
    for number in (1, 2):
        save_pair(data, f"more_{number}", [BOX], seed=950 + number)
        names = watch(monkeypatch)
        updated = convert_set(data, output, update=True)
        assert names == [f"more_{number}.jpg"]
        monkeypatch.undo()
    assert len(all_examples(updated)) == 22


def test_without_the_flag_a_changed_dataset_is_rejected(made):
    data, output, _ = made
    save_pair(data, "new", [BOX], seed=999)
    with pytest.raises(errors.DatasetError, match="--update"):
        convert_set(data, output)


def test_a_stopped_update_is_finished_or_discarded(made, monkeypatch):
    data, output, _ = made
    before = contents(output)
    save_pair(data, "new", [BOX], seed=999)
    recover = update.recover
    calls = []

    def stop(folder):
        calls.append(folder)
        if len(calls) == 2:
            raise KeyboardInterrupt
        recover(folder)

    monkeypatch.setattr(update, "recover", stop)
    with pytest.raises(KeyboardInterrupt):
        convert_set(data, output, update=True)
    monkeypatch.undo()
    assert contents(output) == before and (output / ".update" / manifests.NAME).exists()
    shutil.copytree(output, output.parent / "discarded")
    (output.parent / "discarded" / ".update" / manifests.NAME).unlink()
    assert len(all_examples(convert_set(data, output))) == 21
    assert len(all_examples(convert_set(data, output.parent / "discarded", update=True))) == 21


def test_unchanged_files_are_not_read_again(made, monkeypatch):
    data, output, _ = made
    read, old = [], entry._read_annotation

    def read_and_note(path, name):
        read.append(name)
        return old(path, name)

    monkeypatch.setattr(entry, "_read_annotation", read_and_note)
    assert convert_set(data, output).reused
    assert read == []
    (data / "cat_000.xml").touch()
    assert convert_set(data, output).reused
    assert read == ["cat_000.xml"]


@pytest.mark.parametrize("count", [1, 3])
def test_jobs_give_the_result_of_one_conversion(tmp_path, count):
    data = save_set(tmp_path / "data", ["cat", "dog"], 8)
    save_image(data / "pool.jpg", seed=77)
    convert_set(data, tmp_path / "one")
    parts = [f"{number}/{count}" for number in range(1, count + 1)]
    first = [convert_set(data, tmp_path / "many", shard=part) for part in parts]
    assert count == 1 or first[0] is None
    if count > 1:
        with pytest.raises(errors.DatasetError, match="seed"):
            convert_set(data, tmp_path / "many", shard=parts[0], seed=5)
    second = [convert_set(data, tmp_path / "many", shard=part) for part in parts]
    assert second[-1].num_train == 12
    assert {n: c for n, c in contents(tmp_path / "many").items() if not n.startswith("process")} == contents(
        tmp_path / "one"
    )
    assert not (tmp_path / "many" / result.PARTS).exists()


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "a/b", "1/9999999999", "\u00b9/3"])
def test_an_invalid_part_is_rejected(tmp_path, shard):
    with pytest.raises(errors.UsageError, match=f"--shard={shard}: invalid value"):
        convert_set(save_set(tmp_path / "data", ["cat"]), tmp_path / "out", shard=shard)


def test_the_result_does_not_depend_on_processes(tmp_path, monkeypatch):
    data = save_set(tmp_path / "data", ["cat", "dog"], 10)
    convert_set(data, tmp_path / "one", num_workers=1)
    monkeypatch.setattr(discover, "_MIN_FOR_PROCESSES", 2)
    convert_set(data, tmp_path / "two", num_workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_test_side_and_folds(tmp_path):
    data = save_set(tmp_path / "data", ["cat", "dog"], 10)
    made = convert_set(data, tmp_path / "out", test_fraction=0.2)
    assert (made.num_train, made.num_validate, made.num_test) == (12, 4, 4)
    assert json.loads((tmp_path / "out" / manifests.NAME).read_text())["files"]["test_csv"] == "test.csv"
    sides = []
    for fold in (1, 2, 3):
        made = convert_set(data, tmp_path / f"fold{fold}", fold=f"{fold}/3")
        sides.append(set(read_examples(made.validate_shards)))
    assert sum(map(len, sides)) == len(set.union(*sides)) == 20


def test_full_validation_finds_what_a_header_does_not_show(tmp_path):
    data = save_set(tmp_path / "data", ["cat"], 5)
    (data / "cat_002.jpg").unlink()
    Image.new("RGB", (64, 48)).save(data / "cat_002.png")  # a camera with its lens cap on
    for validate, count in (("header", 0), ("full", 1)):
        convert_set(data, tmp_path / validate, validate=validate)
        assert manifests.read_manifest(tmp_path / validate).findings.get("image-blank", 0) == count


@pytest.mark.parametrize("name", [".update", ".parts"])
def test_a_link_in_the_place_of_an_own_folder_is_refused(tmp_path, name):
    data = save_set(tmp_path / "data", ["cat"], 4)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.json").write_text("{}")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(tmp_path / "mine")
    shard = "1/2" if name == ".parts" else None
    options = convert.ConvertOptions(data_dir=data, output_dir=tmp_path / "out", shard=shard)
    with pytest.raises(errors.StorageError, match="symbolic link"):
        convert.convert(options)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["manifest.json"]
