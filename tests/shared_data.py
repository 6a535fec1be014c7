"""Large reference data that is next to the checkout, not in it.

`TFODHELPER_SHARED` names the folder; without it, a folder `shared` next to the checkout is used. Tests that need it are
skipped if it does not exist; the numbers that are always checked are in tests/golden.
"""

import os
import pathlib
import tarfile

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]


def shared(name=""):
    """Returns the path of a shared file or folder, or skips the calling test.

    Args:
      name: POSIX path inside the shared folder, as in "zoo/photos".
    """
    folder = pathlib.Path(os.environ.get("TFODHELPER_SHARED") or REPOSITORY.parent / "shared")
    path = folder / name
    if not path.exists():
        pytest.skip(f"needs the shared data {name!r} (set TFODHELPER_SHARED to its folder)")
    return path


def unpack_shared(name, folder):
    """Unpacks a shared .tar.gz into a folder; skips the calling test as `shared` does.

    Returns:
      Path of the folder in it that has the archive's name, as the archives of the zoo have.
    """
    path = shared(name)
    with tarfile.open(path) as file:
        file.extractall(folder, filter="data")
    return folder / path.name.removesuffix(".tar.gz")
