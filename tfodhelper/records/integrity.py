"""Whether the files of a converted folder are as they were written, before the folder is used again.

Small files are compared with their digests. Of record files, the lengths and checksums of the records are compared,
which takes microseconds per record; the contents are read where that is a matter of seconds. In larger sets, a damaged
content is found when the record is read, by training and evaluation for example.
"""

import pathlib

from tfodhelper import errors
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset.split.split import SPLITS
from tfodhelper.records import framing, reader

MOST_BYTES = (2 << 30) if framing.google_crc32c is not None else (256 << 20)  # of records that are read


def check_folder(folder, manifest, is_fresh=False):
    """Checks the files of a converted folder.

    Args:
      folder: the folder.
      manifest: its `Manifest`.
      is_fresh: whether this process has just written them; nothing is checked then.

    Raises:
      DatasetError: a file is missing, damaged or changed; it says what has changed and what to do.
    """
    if is_fresh:
        return
    folder = pathlib.Path(folder)
    manifests.check_files(folder, manifest)
    shards = [shard for side in SPLITS for shard in manifest.shards.get(side, [])]
    is_small = sum(shard["bytes"] for shard in shards) <= MOST_BYTES
    for shard in shards:
        path = folder / shard["name"]
        if "checksums" in shard and reader.digest_checksums(path) != shard["checksums"]:
            raise errors.DatasetError(
                f"{path}: has changed since the conversion",
                expected=f"the {shard['records']} records that were written",
                received="other records, or another order",
                fix="restore the file from a copy, or remove the folder and convert the images again",
            )
        if is_small:
            reader.check_contents(path)
