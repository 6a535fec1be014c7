"""What is known about the content of published archives.

The index file of a checkpoint holds the name, type, shape and CRC-32C of every variable, and TensorFlow compares the
data with them when it restores. An archive with the published index therefore has the published weights. The digests
are those of index files as they are found in public repositories that contain the unpacked archives; for the other
models nothing independent of a download is known, and the digest of the first download is kept (`cache`).
"""

import pathlib

from tfodhelper import errors, storage

SHA256_OF_INDEX = {
    "efficientdet_d0_coco17_tpu-32": "5e760211ac9a07a583c2792366a2e8bff92a4e404f8e700cf45ac744ecc06ee1",
    "ssd_mobilenet_v1_coco_2018_01_28": "d5f1842b9c21c9f2d643a79cbfc0be8504e802bb5ff02e68cfb129396977d958",
    "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8": "834034266e707154e342b0d21b96e9def568444485f8075953bac4d065131510",
    "ssdlite_mobilenet_v2_coco_2018_05_09": "2cefe97b549c23a9c915b5daa938781261f2123ec3e4ab50778bdd8445915445",
}


def check_checkpoint(model_name, prefix):
    """Compares the index file of a model's checkpoint with the published one.

    Args:
      model_name: name of the archive.
      prefix: of the checkpoint.

    Returns:
      Whether the published index is known.

    Raises:
      ZooError: the index is a different one, so that the weights are not those that were published.
    """
    known = SHA256_OF_INDEX.get(model_name)
    index = pathlib.Path(f"{prefix}.index")
    received = storage.sha256_of(index) if known else None
    if received != known:
        raise errors.ZooError(
            f"{index.name}: the archive does not contain the weights that were published as {model_name}",
            expected=f"sha256 {known}",
            received=f"sha256 {received}",
            fix="give the file with --fine_tune_checkpoint=PATH if these are the weights to start from",
        )
    return known is not None
