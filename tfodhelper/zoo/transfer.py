"""Downloads one file from the first of several addresses that provides it completely.

An interrupted download leaves `NAME.part` and `NAME.part.json` (its address and validator), from which the next try
resumes with an HTTP range request; if the file has changed on the server, or ranges are not supported, the download
starts over. The file appears under its name only when its length and every known digest are right.

A server is not trusted: neither what it announces, nor that its body ends or arrives at a useful speed, nor where it
redirects to. A redirect is followed to web servers only, and never from https to http; a different host is said.
"""

import base64
import binascii
import hashlib
import http.client
import os
import pathlib
import re
import time
import urllib.error
import urllib.parse
import urllib.request

from tfodhelper import console, errors, own_files, plain_text, storage

_TRIES = 3
_TIMEOUT_S = 30
_PIECE = 1 << 18
_UNPACKED = 1.2  # bytes on the disk per byte of an archive: weights are hardly compressed
_FIX_SPACE = "set $TFODHELPER_CACHE or --cache_dir to a folder on another disk"
_MOST_BYTES = 4 << 30  # of a file; the largest published archive has 1 GiB
_WINDOW_S = 60
_LEAST_BYTES_PER_S = 1024  # over a window
_SCHEMES = ("http", "https", "file")


_LENGTH = re.compile(r"[0-9]{1,15}")
_RANGE = re.compile(r"bytes ([0-9]{1,15})-[0-9]{1,15}/([0-9]{1,15})")
_VALIDATOR = re.compile(r"[\x20-\x7e]{1,1000}")


class _RefusedError(Exception):
    """This address does not provide the file; the next one may."""


class _BrokenError(Exception):
    """The connection broke; resuming may help."""


def download(addresses, target, sha256=None, check=None, pause_s=1.0):
    """Downloads a file.

    Args:
      addresses: http, https or file URLs, tried in turn.
      target: path of the file.
      sha256: its hex digest, if known.
      check: called with (path of the received file, its address, its sha256); raises `ZooError` if it is not the
        wanted one, after which the next address is tried.
      pause_s: seconds before a broken download is resumed; doubled each time.

    Returns:
      (address that provided the file, hex sha256 of the file).

    Raises:
      ZooError: no address provides it; the message lists all answers.
      StorageError: it cannot be written.
    """
    target = pathlib.Path(target)
    answers = []
    for address in addresses:
        try:
            return address, _download_from(address, target, sha256, check, pause_s)
        except _RefusedError as refusal:
            answers.append(f"{address}: {refusal}")
            console.note(f"download: {answers[-1]}")
        except OSError as error:
            raise storage.explain_os_error(error, target) from error
    raise errors.ZooError(f"{target.name} could not be downloaded", received="\n    ".join(answers) or "no address")


def _download_from(address, target, sha256, check, pause_s):
    """Downloads from one address, resuming after interruptions; returns the sha256."""
    part = target.with_name(target.name + ".part")
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(pause_s * 2 ** (attempt - 1))
        try:
            digests = _receive(address, part)
            break
        except _BrokenError as broken:
            reason = str(broken)
    else:
        raise _RefusedError(f"{reason}, {_TRIES} times")
    received = storage.sha256_of(part)
    problem = _digest_problem(part, received, sha256, digests) or _check_problem(part, check, address, received)
    if problem:
        _discard(part)
        raise _RefusedError(problem)
    os.replace(part, target)
    _discard(part)
    return received


def _digest_problem(part, received, sha256, digests):
    """The problem with the received file, or None."""
    if sha256 and received != sha256.lower():
        return f"the file is not the expected one: sha256 {received} instead of {sha256.lower()}"
    if digests.get("md5"):
        digest = hashlib.md5(usedforsecurity=False)
        with open(part, "rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
        if digest.digest() != digests["md5"]:
            return "the file was damaged in transit: its MD5 is not the one announced by the server"
    return None


def _check_problem(part, check, address, sha256):
    """The problem that the caller's check finds in the received file, or None."""
    try:
        if check is not None:
            check(part, address, sha256)
    except errors.ZooError as error:
        return error.what + (f" (received: {error.received})" if error.received else "")
    return None


def _receive(address, part):
    """Fetches the missing part of a file.

    Returns:
      The digests that the server announces: {"md5": bytes} or {}.
    """
    start, validator = _state(address, part)
    request = _make_request(address)
    if start:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", validator)
    try:
        response = urllib.request.build_opener(_Redirects).open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:
            _discard(part)
            raise _BrokenError("the file on the server is shorter than before") from None
        kind = _BrokenError if error.code >= 500 or error.code in (408, 429) else _RefusedError
        raise kind(f"HTTP {error.code} {plain_text.shorten(error.reason, 80)}") from None
    except urllib.error.URLError as error:
        kind = _BrokenError if isinstance(error.reason, (ConnectionResetError, TimeoutError)) else _RefusedError
        raise kind(plain_text.shorten(error.reason)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        kind = _RefusedError if isinstance(error, ValueError) else _BrokenError
        raise kind(plain_text.shorten(f"{type(error).__name__}: {error}")) from None
    with response:
        return _store(response, address, part, start)


def _make_request(address):
    """The request for an address, which must be that of a web server or a file."""
    try:
        scheme = urllib.parse.urlsplit(address).scheme
        if scheme in _SCHEMES:
            return urllib.request.Request(address, headers={"User-Agent": "tfodhelper"})
    except ValueError as error:
        raise _RefusedError(f"is not an address: {error}") from None
    raise _RefusedError(f"is not an address that begins with {', '.join(f'{scheme}:' for scheme in _SCHEMES)}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects within the web, never from https to http, and says when they lead to a different host."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """The request to the new address; called by `urllib`."""
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if new.scheme not in ("http", "https") or (old.scheme, new.scheme) == ("https", "http"):
            raise _RefusedError(
                f"it redirects from {old.scheme} to {plain_text.shorten(newurl)}, which is not followed"
            )
        if new.hostname != old.hostname:
            console.say(f"download: {old.hostname} redirects to {plain_text.shorten(new.hostname, 80)}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Pace:
    """Notices a connection that is alive, but too slow to ever provide the file."""

    def __init__(self):
        self._start, self._count = time.monotonic(), 0

    def advance(self, count):
        """Counts received bytes.

        Raises:
          _BrokenError: fewer than the least number arrived in the last window.
        """
        self._count += count
        elapsed = time.monotonic() - self._start
        if elapsed >= _WINDOW_S:
            if self._count < _LEAST_BYTES_PER_S * elapsed:
                raise _BrokenError(f"slower than {_LEAST_BYTES_PER_S} bytes per second for {_WINDOW_S} seconds")
            self._start, self._count = time.monotonic(), 0


def _store(response, address, part, start):
    """Appends the body of a response to the partial file, and checks that it is complete."""
    content_range = _RANGE.fullmatch((response.headers.get("Content-Range") or "").strip())
    resumed = getattr(response, "status", None) == 206 and content_range and int(content_range[1]) == start
    if not resumed:
        if getattr(response, "status", None) == 206:
            _discard(part)
            raise _BrokenError("the server sent a different part of the file than requested")
        start = 0
    total = int(content_range[2]) if resumed else _announced_length(response.headers)
    if total is not None and total > _MOST_BYTES:
        raise _RefusedError(f"it announces {total} bytes; no model's archive has more than {_MOST_BYTES >> 30} GiB")
    _check_space(part.parent, start, total)
    headers = response.headers
    storage.write_json(
        _state_path(part), {"address": address, "validator": headers.get("ETag") or headers.get("Last-Modified")}
    )
    done, pace = start, _Pace()
    title = f"downloading {part.name.removesuffix('.part')}, MB"
    with _open_part(part, start) as file, console.Progress(title, _megabytes(total)) as progress:
        while True:
            try:
                piece = response.read1(_PIECE)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise _BrokenError(f"the connection broke after {done} bytes ({type(error).__name__})") from None
            if not piece:
                break
            file.write(piece)
            progress.advance(len(piece) / 1e6)
            done += len(piece)
            pace.advance(len(piece))
            if done > (_MOST_BYTES if total is None else total):
                _discard(part)
                raise _RefusedError(f"the body does not end after {done} bytes")
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done != total:
        raise _BrokenError(f"the connection broke after {done} of {total} bytes")
    return _announced(headers)


def _check_space(folder, start, total):
    """Refuses an archive that would not fit on the disk together with its content, before its body is received."""
    if total is None:
        return
    try:
        storage.check_space(folder, total - start + _UNPACKED * total, "the archive and its content", fix=_FIX_SPACE)
    except errors.StorageError as error:
        raise _RefusedError(f"{error.what}: {error.expected}, {error.received}; {error.fix}") from None


def _announced_length(headers):
    """The announced number of bytes, or None; what is not a number does not count."""
    text = (headers.get("Content-Length") or "").strip()
    return int(text) if _LENGTH.fullmatch(text) else None


def _open_part(part, start):
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if start else os.O_TRUNC)
    return open(own_files.open_careful(part, flags), "ab" if start else "wb")


def _megabytes(size):
    return None if size is None else round(size / 1e6, 1)


def _announced(headers):
    """The MD5 of the body, if announced, as by Google Cloud Storage and some other servers."""
    text = ",".join(headers.get_all("x-goog-hash") or []) + f",md5={headers.get('Content-MD5') or ''}"
    for value in re.findall(r"md5=([A-Za-z0-9+/]+={0,2})", text):
        try:
            return {"md5": base64.b64decode(value, validate=True)}
        except binascii.Error:
            continue
    return {}


def _state_path(part):
    return part.with_name(part.name + ".json")


def _state(address, part):
    """(existing bytes, validator) of a partial file from this address; otherwise (0, None)."""
    try:
        state = storage.read_json(_state_path(part))
        size = part.stat().st_size
    except (errors.StorageError, OSError):
        return 0, None
    if not isinstance(state, dict) or state.get("address") != address:
        return 0, None
    validator = state.get("validator")
    return (size, validator) if isinstance(validator, str) and _VALIDATOR.fullmatch(validator) else (0, None)


def _discard(part):
    part.unlink(missing_ok=True)
    _state_path(part).unlink(missing_ok=True)
