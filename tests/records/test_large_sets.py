"""Large datasets: files and memory give the same results, and memory does not grow with the dataset."""

import random
import tracemalloc

import pytest

from tests.dataset.scan.picture_set import save_image, save_pair
from tests.records.conversions import contents, convert_set
from tfodhelper import errors
from tfodhelper.annotations.structures import Box
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset import plan
from tfodhelper.dataset.scan import discover, entry_store, usable_images
from tfodhelper.dataset.split import stratification
from tfodhelper.outofcore import columns, sorting
from tfodhelper.records import image_lists

SMALL = [(columns, {"_HELD": 16, "_BLOCK": 16, "_READS": 5, "_TEXTS": 4})]
SMALL += [(sorting, {"_RUN": 16, "_BUCKET": 16, "_READS": 5})]
SMALL += [
    (entry_store, {"_KNOWN_KINDS": 2, "_BLOCK": 3}),
    (usable_images, {"_MAX_KINDS": 2}),
    (plan, {"_MAX_KINDS": 2}),
]
SMALL += [
    (stratification, {"_MAX_KINDS": 2, "_BLOCK": 4}),
    (discover, {"_CHUNK": 5}),
    (image_lists, {"_CHUNK": 5, "_BLOCK_BYTES": 99}),
]


@pytest.fixture
def in_files(monkeypatch):
    """Everything that is known about a dataset is moved to files immediately."""
    for module, sizes in SMALL:
        for name, value in sizes.items():
            assert hasattr(module, name)
            monkeypatch.setattr(module, name, value)


def save_mixed_set(folder):
    """Images of several kinds, in folders: negatives, copies, other names in the XML, no XML, images to re-encode."""
    chance = random.Random(0)
    for number in range(60):
        boxes = [Box(chance.choice("abc"), 2 + n, 3, 20 + chance.randrange(20), 40) for n in range(number % 4)]
        given = {"filename": f"old_{number}.jpg"} if number % 9 == 0 else {}
        save_pair(folder / f"f{number % 3}", f"{number:03d}", boxes, seed=number if number % 10 else 1, **given)
    for number in range(20):
        save_image(folder / "pool" / f"{number}.jpg", seed=5000 + number)
    for number in range(6):
        save_pair(folder, f"grey_{number}", [Box("a", 1, 1, 30, 30)], seed=700 + number)
        save_image(folder / f"grey_{number}.jpg", seed=700 + number, format="BMP")
    return folder


@pytest.mark.parametrize(
    "options", [{}, {"test_fraction": 0.2, "seed": 3}, {"fold": "2/3"}, {"group_by": "folder"}, {"group_by": r"\d"}]
)
def test_files_and_memory_give_the_same_result(tmp_path, options, request):
    data = save_mixed_set(tmp_path / "data")
    convert_set(data, tmp_path / "memory", **options)
    request.getfixturevalue("in_files")
    convert_set(data, tmp_path / "files", **options)
    assert contents(tmp_path / "memory") == contents(tmp_path / "files")
    manifest = manifests.read_manifest(tmp_path / "files")
    assert (len(manifest.images), len(manifest.unlabelled)) == (66, 20)
    assert sum("encoded_sha256" in image for image in manifest.images) == 6
    assert convert_set(data, tmp_path / "files", **options).reused


def test_files_and_memory_give_the_same_update(tmp_path, request):
    data, folders = save_mixed_set(tmp_path / "data"), (tmp_path / "memory", tmp_path / "files")
    for folder in folders:
        convert_set(data, folder, test_fraction=0.2)
    for number in range(70, 80):
        save_pair(data, f"{number:03d}", [Box("d", 1, 1, 30, 30)], seed=number)
    save_pair(data / "f1", "004", [Box("c", 1, 1, 9, 9)], seed=4)
    (data / "f2" / "005.xml").unlink()
    convert_set(data, folders[0], test_fraction=0.2, update=True)
    request.getfixturevalue("in_files")
    convert_set(data, folders[1], test_fraction=0.2, update=True)
    assert contents(folders[0]) == contents(folders[1])
    assert manifests.read_manifest(folders[1]).findings["unlabelled"] == 21


@pytest.mark.slow
def test_memory_does_not_grow_with_the_dataset(tmp_path, in_files, monkeypatch):
    """Measured in the main process; a worker keeps some hundred files in memory."""
    monkeypatch.setattr(discover, "_MIN_FOR_PROCESSES", 0)

    def peak_of(count):
        data, output = tmp_path / str(count), tmp_path / f"out_{count}"
        for number in range(count):
            save_pair(data, f"{number:05d}", [Box("ab"[number % 2], 2, 3, 20 + number % 30, 40)], seed=number)
            save_image(data / "pool" / f"{number:05d}.jpg", size=(8, 8), seed=number)
        tracemalloc.start()
        try:
            convert_set(data, output, num_workers=2, num_shards=20)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_of(50)  # allocates what is made only once
    few, many = peak_of(400), peak_of(1000)
    # Bytes; the rest are file buffers that are not full yet. A path, a name and a side would take five times as much.
    assert many - few < 600 * 100


def test_a_manifest_in_another_layout_is_read_too(tmp_path):
    data = save_mixed_set(tmp_path / "data")
    convert_set(data, tmp_path / "out")
    path = tmp_path / "out" / manifests.NAME
    stored = manifests.read_manifest(tmp_path / "out")
    images, unlabelled = list(stored.images), list(stored.unlabelled)
    assert isinstance(stored.images, manifests.StoredList) and images[-1] == stored.images[-1]
    assert stored.images[3:5] == images[3:5] and unlabelled[0].startswith("pool/")
    text = path.read_text(encoding="utf-8")
    for other in (
        text.replace("\n", "\r\n"),
        text.replace("    {", "{"),
        text.replace(", ", ",\n      "),
        text.replace("\n", " "),
    ):
        path.write_text(other, encoding="utf-8", newline="")
        manifest = manifests.read_manifest(tmp_path / "out")
        assert (list(manifest.images), list(manifest.unlabelled)) == (images, unlabelled)
    path.write_text(text, encoding="utf-8")
    manifest = manifests.read_manifest(tmp_path / "out")
    path.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(errors.StorageError, match="was changed by another process"):
        list(manifest.images)
