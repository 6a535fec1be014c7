"""Which checkpoint a path means; without TensorFlow."""

import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY
from tfodhelper import errors
from tfodhelper.checkpoints import find
from tfodhelper.config import generate
from tfodhelper.zoo import cache


def make_checkpoint(folder, *names):
    """Empty index files of checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.index").touch()
    return folder


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("zoo2", "zoo2/checkpoint/ckpt-0"),
        ("zoo2/checkpoint", "zoo2/checkpoint/ckpt-0"),
        ("zoo2\\checkpoint", "zoo2/checkpoint/ckpt-0"),
        ("zoo1", "zoo1/model.ckpt"),
        ("zoo1/model.ckpt", "zoo1/model.ckpt"),
        ("zoo1/model.ckpt.index", "zoo1/model.ckpt"),
        ("zoo1/model.ckpt.data-00000-of-00001", "zoo1/model.ckpt"),
        ("run", "run/ckpt-10"),
        ("run/ckpt-9", "run/ckpt-9"),
    ],
)
def test_finds_checkpoints(tmp_path, path, prefix):
    make_checkpoint(tmp_path / "zoo2" / "checkpoint", "ckpt-0")
    make_checkpoint(tmp_path / "zoo1", "model.ckpt")
    make_checkpoint(tmp_path / "run", "ckpt-9", "ckpt-10", "ckpt-2")
    assert find.find_checkpoint(f"{tmp_path}/{path}") == f"{tmp_path}/{prefix}"


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("ckpt-9", "ckpt-9"),
        ("/elsewhere/run/ckpt-9", "ckpt-9"),
        (r"C:\\old\\ckpt-9", "ckpt-9"),
        (r"/daten/m\303\266ve-1", "möve-1"),
        ("ckpt-7", "ckpt-10"),
    ],
)
def test_the_state_file_has_the_last_word_where_its_checkpoint_exists(tmp_path, named, found):
    make_checkpoint(tmp_path, "ckpt-9", "ckpt-10", "möve-1")
    (tmp_path / "checkpoint").write_text(f'model_checkpoint_path: "{named}"\nall_model_checkpoint_paths: "ckpt-10"\n')
    assert find.find_checkpoint(tmp_path) == find.find_checkpoint(tmp_path / "checkpoint") == str(tmp_path / found)


def test_every_verb_starts_from_the_same_weights(tmp_path, monkeypatch):
    """A folder's own checkpoints come before those of its subfolder, for `config` and `run` as for `train`."""
    make_checkpoint(tmp_path, "ckpt-5")
    make_checkpoint(tmp_path / "checkpoint", "ckpt-0")
    wanted = str(tmp_path / "ckpt-5")
    assert find.find_checkpoint(tmp_path) == wanted
    assert cache.resolve_checkpoint(str(tmp_path)) == wanted
    base = generate.find_base("ssd_mobilenet_v1")
    assert generate.find_fine_tune_checkpoint(base, str(tmp_path)) == wanted


def test_a_missing_checkpoint_is_an_error_that_says_what_is_there(tmp_path):
    (tmp_path / "notes.txt").touch()
    for path in (tmp_path, tmp_path / "ckpt-0"):
        with pytest.raises(errors.CheckpointError, match="notes.txt") as caught:
            find.find_checkpoint(path)
        assert str(tmp_path) in caught.value.what and caught.value.fix
    with pytest.raises(errors.CheckpointError, match="nor the folder .* exists"):
        find.find_checkpoint(tmp_path / "no" / "such" / "ckpt-0")
    with pytest.raises(errors.CheckpointError, match="a file that is not part of a checkpoint"):
        find.find_checkpoint(tmp_path / "notes.txt")


def test_versions():
    assert find.checkpoint_version("/a/model.ckpt") == "V1"
    assert find.checkpoint_version("/a/model.ckpt-200000") == "V1"
    assert find.checkpoint_version("/a/ckpt-0") == "V2"


def test_tensorflow_is_not_needed(tmp_path):
    make_checkpoint(tmp_path, "ckpt-1")
    code = "import sys; sys.modules['tensorflow'] = None\nfrom tfodhelper.checkpoints import find\n"
    code += "print(find.find_checkpoint(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout == f"{tmp_path}/ckpt-1\n", done.stderr
