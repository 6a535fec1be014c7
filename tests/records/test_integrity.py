"""A converted folder whose files were cut, edited or damaged is not used as it is."""

import json
import re

import pytest

from tests.dataset.scan.picture_set import save_pair, save_set
from tests.records.conversions import contents, convert_set
from tfodhelper import errors, run_folder, run_options
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations.structures import Box
from tfodhelper.config import generate
from tfodhelper.dataset import manifest as manifests
from tfodhelper.records import integrity, reader, result


@pytest.fixture
def made(tmp_path):
    data = save_set(tmp_path / "data", ["cat", "dog", "bird"], 4)
    return data, convert_set(data, tmp_path / "out")


def refusal(data, folder, **options):
    before = contents(folder)
    with pytest.raises(errors.DatasetError) as caught:
        convert_set(data, folder, **options)
    assert contents(folder) == before
    assert "fix: restore the file from a copy, or remove the folder and convert the images again" in str(caught.value)
    return str(caught.value)


def edit(path, old, new, count=1):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, count), encoding="utf-8")


def drop_last_class(path):
    label_map = label_maps.read_label_map(path)
    label_maps.write_label_map(path, label_maps.LabelMap(label_map.items[:-1]))


@pytest.mark.parametrize("update", [False, True])
def test_a_label_map_without_its_last_class_is_named(update, made, tmp_path):
    data, converted = made
    drop_last_class(converted.label_map_path)
    if update:
        save_pair(data, "more", [Box("cat", 1, 1, 20, 20)], seed=77)
    message = refusal(data, tmp_path / "out", update=update)
    assert f"{converted.label_map_path}: has changed since the conversion" in message
    assert "the 3 classes of the records" in message and "without id 3, 'dog'" in message
    with pytest.raises(errors.DatasetError, match="without id 3, 'dog'"):
        generate.read_data_facts(tmp_path / "out")
    with pytest.raises(errors.DatasetError, match="without id 3, 'dog'"):
        result.read_result(tmp_path / "out")


def test_renamed_swapped_and_added_classes_are_named(made, tmp_path):
    data, converted = made
    edit(converted.label_map_path, "cat", "lion")
    assert "id 2 is 'lion' instead of 'cat'" in refusal(data, tmp_path / "out")
    label_maps.write_label_map(converted.label_map_path, label_maps.number_names(["bird", "cat", "dog", "fish"]))
    assert "with id 4, 'fish', which is new" in refusal(data, tmp_path / "out")
    converted.label_map_path.unlink()
    assert "it is missing" in refusal(data, tmp_path / "out")


def test_a_label_map_of_an_earlier_version_is_compared_too(made, tmp_path):
    data, converted = made
    path = converted.manifest_path
    text = path.read_text(encoding="utf-8")
    stripped = re.sub(r',\n  "digests": \{.*?\n  \}', "", re.sub(r',\s*"checksums": "\w+"', "", text), flags=re.DOTALL)
    assert stripped != text and "digests" not in stripped
    path.write_text(stripped, encoding="utf-8")
    assert convert_set(data, tmp_path / "out").reused
    drop_last_class(converted.label_map_path)
    assert "without id 3" in refusal(data, tmp_path / "out")


@pytest.mark.parametrize("name", ["train.csv", "validate.csv", "label_map.pbtxt"])
def test_an_edited_or_cut_list_is_named(name, made, tmp_path):
    data, _ = made
    path = tmp_path / "out" / name
    content = path.read_bytes()
    path.write_bytes(content[:-5] + b"#" + content[-4:])
    assert f"{path}: " in refusal(data, tmp_path / "out") if name != "label_map.pbtxt" else True
    path.write_bytes(content + b"\n")
    assert f"{path}: has changed" in refusal(data, tmp_path / "out")
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(errors.TfodhelperError, match=name):
        convert_set(data, tmp_path / "out")
    path.write_bytes(content)
    assert convert_set(data, tmp_path / "out").reused


def test_a_flipped_bit_in_a_shard_names_file_and_record(made, tmp_path, monkeypatch):
    data, converted = made
    path = converted.train_shards[0]
    content = bytearray(path.read_bytes())
    offset, length = list(reader.iterate_spans(path))[1]
    content[offset + length // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(errors.DatasetError, match=rf"{path}: record 1 \(from 0\) is damaged"):
        convert_set(data, tmp_path / "out")
    monkeypatch.setattr(integrity, "MOST_BYTES", 100)  # the records are then not read
    assert convert_set(data, tmp_path / "out").reused


def test_exchanged_and_repeated_records_are_noticed_without_reading_them(made, tmp_path, monkeypatch):
    monkeypatch.setattr(integrity, "MOST_BYTES", 0)
    data, converted = made
    path = converted.train_shards[0]
    content = path.read_bytes()
    spans = [(offset - 12, offset + length + 4) for offset, length in reader.iterate_spans(path)]
    records = [content[start:stop] for start, stop in spans]
    path.write_bytes(b"".join(records[::-1]))
    assert "other records, or another order" in refusal(data, tmp_path / "out")
    path.write_bytes(b"".join(records[:-1]))
    assert f"{path.stat().st_size} bytes" in refusal(data, tmp_path / "out")


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: lines[:-3],
        lambda lines: lines[:-1],
        lambda lines: [*lines[:2], lines[2].replace(b"bird", b"fish"), *lines[3:]],
        lambda lines: [*lines, lines[1]],
        lambda lines: [lines[0], *lines[2:]],
    ],
)
def test_an_edited_cache_is_not_used(damage, made, tmp_path, capsys):
    """An update would take the boxes of unchanged files from it."""
    data, converted = made
    path = tmp_path / "out" / result.NOTES
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(damage(lines)))
    assert convert_set(data, tmp_path / "out").reused
    assert "missing, changed or of a different version; all images are read again" in capsys.readouterr().out
    save_pair(data, "more", [Box("cat", 1, 1, 20, 20)], seed=77)
    updated = convert_set(data, tmp_path / "out", update=True)
    clean = convert_set(data, tmp_path / "clean")
    assert updated.num_train + updated.num_validate == 13
    assert {name: sum(counts) for name, counts in updated.counts.items()} == {
        name: sum(counts) for name, counts in clean.counts.items()
    }
    assert convert_set(data, tmp_path / "out").reused


def test_an_untouched_cache_is_used(made, tmp_path, capsys):
    data, _ = made
    assert convert_set(data, tmp_path / "out").reused
    assert "read again" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value | {"shards": {"train": ["x"]}},
        lambda value: value | {"shards": {"train": [{"name": "a"}]}},
        lambda value: value | {"classes": [{"id": "1", "name": "cat"}]},
        lambda value: value | {"files": {}},
        lambda value: value | {"files": {"label_map": "../x"}},
        lambda value: value | {"options": []},
        lambda value: value | {"images": 3},
        lambda value: value | {"digests": 3},
        lambda value: {key: value[key] for key in value if key != "classes"},
        lambda value: value | {"format": 99},
        lambda value: {},
    ],
)
def test_an_edited_manifest_is_explained(change, made, tmp_path):
    data, converted = made
    value = json.loads(converted.manifest_path.read_text(encoding="utf-8"))
    converted.manifest_path.write_text(json.dumps(change(value)), encoding="utf-8")
    with pytest.raises(errors.DatasetError, match=r"manifest.json: (.|\n)*fix: ") as caught:
        manifests.read_manifest(tmp_path / "out")
    with pytest.raises(errors.DatasetError, match="manifest.json"):
        convert_set(data, tmp_path / "out")
    assert "remove the folder and convert the images again" in str(caught.value)


def test_a_run_does_not_go_past_a_cut_label_map(tmp_path, monkeypatch):
    """Stopped after the conversion; then the label map loses its last class."""
    data = save_set(tmp_path / "data", ["cat", "dog", "bird"], 4)
    options = run_options.RunOptions(
        data_dir=data, model="ssd_mobilenet_v1", fine_tune_checkpoint="none", num_steps=1, output_dir=tmp_path / "run"
    )

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_folder, "_config", stop)
    with pytest.raises(KeyboardInterrupt):
        run_folder.run(options)
    drop_last_class(tmp_path / "run" / "data" / "label_map.pbtxt")
    with pytest.raises(errors.DatasetError, match="without id 3, 'dog'"):
        run_folder.run(options)
