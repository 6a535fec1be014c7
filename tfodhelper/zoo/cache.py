"""The zoo's archives: the cache, the addresses to try, and the meaning of --fine_tune_checkpoint.

The cache is --cache_dir, else $TFODHELPER_CACHE, else $XDG_CACHE_HOME/tfodhelper, else ~/.cache/tfodhelper. It contains
one folder per model; archives are deleted after unpacking, but their sha256 is kept (NAME.tar.gz.sha256) and later
downloads must match it. An archive that is damaged, empty or another model's is refused, and the next address is tried.
$TFODHELPER_MIRRORS lists sources to try before the published one: URLs or folders that contain NAME.tar.gz, separated
by spaces.
"""

import contextlib
import functools
import os
import pathlib
import re
import shutil
import time

from tfodhelper import console, errors, storage
from tfodhelper.checkpoints import find
from tfodhelper.zoo import archive as archives
from tfodhelper.zoo import digests, transfer

_BUCKET = re.compile(r"^https?://download\.tensorflow\.org/")
_FIX_CACHE = "set $TFODHELPER_CACHE or --cache_dir to a folder that can be written"
_FIX = (
    "use --fine_tune_checkpoint=PATH with another checkpoint or archive (.tar.gz), or "
    "--fine_tune_checkpoint=none to train from scratch; $TFODHELPER_MIRRORS can list further sources"
)


def cache_folder(cache_dir=None):
    """The folder for downloaded models, created if it does not exist.

    Raises:
      StorageError: the folder cannot be made, or there is no home folder to make it in.
    """
    chosen = cache_dir or os.environ.get("TFODHELPER_CACHE") or _default_cache()
    try:
        return storage.make_folder(pathlib.Path(chosen).expanduser().absolute())
    except RuntimeError:
        raise errors.StorageError(
            f"{chosen}: there is no home folder, so downloads cannot be cached there", fix=_FIX_CACHE
        ) from None
    except errors.StorageError as error:
        raise errors.StorageError(f"the cache of downloads: {error.what}", fix=_FIX_CACHE) from error


def _default_cache():
    """The usual folder of caches; the standard demands that a relative $XDG_CACHE_HOME is ignored."""
    folder = os.environ.get("XDG_CACHE_HOME") or ""
    return os.path.join(folder if os.path.isabs(folder) else "~/.cache", "tfodhelper")


def addresses_of(model, mirrors=None):
    """The addresses of a model's archive, in the order in which to try them.

    Args:
      model: a `catalogue.ZooModel`.
      mirrors: URLs or folders that contain archives named like models; by default $TFODHELPER_MIRRORS.
    """
    if mirrors is None:
        mirrors = os.environ.get("TFODHELPER_MIRRORS", "").split()
    name = model.url.rpartition("/")[2]
    addresses = []
    for mirror in mirrors:
        if not re.match(r"[a-z]{2,}://", mirror):
            mirror = pathlib.Path(mirror).expanduser().resolve().as_uri()
        addresses.append(f"{mirror.rstrip('/')}/{name}")
    if _BUCKET.match(model.url):
        addresses.append(_BUCKET.sub("https://storage.googleapis.com/download.tensorflow.org/", model.url))
    return list(dict.fromkeys([*addresses, model.url]))


def fetch_archive(model, cache_dir=None, mirrors=None, sha256=None):
    """Makes sure that a model of the zoo is in the cache.

    Args:
      model: a `catalogue.ZooModel`.
      cache_dir: see `cache_folder`.
      mirrors: see `addresses_of`.
      sha256: hex digest of the archive, if known; otherwise that of the first download is used.

    Returns:
      The folder with the archive's content: checkpoint and pipeline.config.

    Raises:
      ZooError: it cannot be obtained; the message lists what was tried and how to fix it.
      StorageError: the cache cannot be written.
    """
    cache = cache_folder(cache_dir)
    folder = cache / model.name
    with _hold_or_wait(cache):
        if archives.is_complete(folder):
            console.note(f"{model.name}: from the cache, {folder}")
            return folder
        if folder.exists():
            shutil.rmtree(folder)
        archive = cache / f"{model.name}.tar.gz"
        recorded = archive.with_name(archive.name + ".sha256")
        expected = sha256 or _read_digest(recorded)
        try:
            accept = functools.partial(_unpack_model, model, folder)
            address, digest = transfer.download(addresses_of(model, mirrors), archive, expected, accept)
        except errors.ZooError as error:
            received = error.received
            if expected and "sha256" in str(received):
                received += f"\n    (the expected digest is in {recorded})" if not sha256 else ""
            raise errors.ZooError(error.what, received=received, fix=_FIX) from error
        finally:
            archive.unlink(missing_ok=True)
        storage.write_text(recorded, f"{digest}  {archive.name}\n")
    console.say(f"{model.name}: downloaded from {address}, sha256 {digest}, unpacked to {folder}")
    return folder


def _unpack_model(model, folder, archive, address, digest):
    """Unpacks a model's archive, of which nothing remains if it is not that of this model.

    Raises:
      ZooError: it is damaged, or contains no checkpoint or another model's.
      StorageError: the cache cannot be written.
    """

    def check(content):
        try:
            prefix = find.find_checkpoint(content)
        except errors.CheckpointError as error:
            raise errors.ZooError("the archive contains no checkpoint", received=error.received) from error
        if digests.check_checkpoint(model.name, prefix):
            console.note(f"{model.name}: its checkpoint is the published one")

    archives.unpack(archive, folder, {"model": model.name, "address": address, "sha256": digest}, check)


def resolve_checkpoint(value, model=None, cache_dir=None):
    """Finds the checkpoint given by --fine_tune_checkpoint.

    Args:
      value: "zoo", "none", or a path: a checkpoint's prefix, a folder that contains one, or an archive (.tar.gz).
      model: the `catalogue.ZooModel` that "zoo" refers to.
      cache_dir: see `cache_folder`.

    Returns:
      The prefix of a checkpoint as a string, or None for "none".

    Raises:
      ZooError: the model cannot be obtained; training never silently starts from scratch.
      CheckpointError: the path contains no checkpoint.
    """
    if value == "none":
        return None
    if value == "zoo":
        if model is None:
            raise errors.ZooError("this pipeline.config does not belong to a model of the zoo", fix=_FIX)
        check_published(model)
        return find.find_checkpoint(fetch_archive(model, cache_dir))
    path = pathlib.Path(value).expanduser()
    if is_archive(path):
        path = unpack_local(path, cache_dir)
    return find.find_checkpoint(path.absolute())


def check_published(model):
    """Raises ZooError for a model of the zoo without weights."""
    if not model.url:
        raise errors.ZooError(
            f"no weights were published for {model.name}, only its configuration",
            fix="use --fine_tune_checkpoint=PATH with a classification checkpoint of its backbone, or none to "
            "train from scratch",
        )


def is_archive(path):
    """Whether a path is that of a packed archive."""
    return path.is_file() and path.name.endswith((".tar.gz", ".tgz"))


def unpack_local(path, cache_dir=None):
    """Unpacks an archive from the user's disk into the cache, under its digest, unless it is there.

    Args:
      path: of the archive, a pathlib.Path.
      cache_dir: see `cache_folder`.

    Returns:
      The folder with its content.

    Raises:
      ZooError, StorageError: see `archive.unpack`.
    """
    facts = path.stat()
    digest = _digest_of(path.absolute(), facts.st_size, facts.st_mtime_ns)
    cache = cache_folder(cache_dir)
    folder = cache / f"{re.sub(r'[.](tar[.]gz|tgz)$', '', path.name)}-{digest[:16]}"
    with _hold_or_wait(cache):
        if not archives.is_complete(folder):
            archives.unpack(path, folder, {"archive": str(path), "sha256": digest})
    return folder


@functools.lru_cache
def _digest_of(path, size, time_ns):
    """SHA-256 of a file, read once as long as it does not change: a command looks at a path several times."""
    del size, time_ns
    return storage.sha256_of(path)


def _read_digest(path):
    """The digest of a .sha256 file, or None."""
    try:
        match = re.match(r"\s*([0-9a-fA-F]{64})\b", path.read_text(encoding="utf-8"))
    except OSError:
        return None
    return match[1].lower() if match else None


@contextlib.contextmanager
def _hold_or_wait(cache, longest_s=3600):
    """Locks the cache; waits if another process has locked it, which may be downloading the same model."""
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        said = False
        while True:
            try:
                stack.enter_context(storage.hold(cache))
                break
            except errors.StorageError:
                if time.monotonic() - start > longest_s:
                    raise
            if not said:
                console.say(f"waiting for another process that is using {cache}")
                said = True
            time.sleep(0.5)
        yield
