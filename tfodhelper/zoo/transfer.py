"""Downloads one file from the first of several addresses that gives it whole.

A broken download leaves `NAME.part` and `NAME.part.json` (its address and validator), from which the next try goes on
by an HTTP range request; a server that has changed the file, or knows no ranges, is read from the start. The file
appears under its name only when its length and every known digest are right.
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
import urllib.request

from tfodhelper import console, errors, storage

_TRIES = 3
_TIMEOUT_S = 30
_PIECE = 1 << 18


class _RefusedError(Exception):
    """This address does not give the file; the next one may."""


class _BrokenError(Exception):
    """The connection broke; going on may help."""


def download(addresses, target, sha256=None, check=None, pause_s=1.0):
    """Downloads a file.

    Args:
      addresses: http, https or file URLs, tried in turn.
      target: where the file appears.
      sha256: its hex digest, where it is known.
      check: called with the path of the received file; a `ZooError` from it means that the file is damaged.
      pause_s: seconds before a broken connection is taken up again; doubled each time.

    Returns:
      (address that gave the file, hex sha256 of the file).

    Raises:
      ZooError: when no address gives it, with what each answered.
      StorageError: when it cannot be written.
    """
    target = pathlib.Path(target)
    answers = []
    for address in addresses:
        try:
            return address, _from_one(address, target, sha256, check, pause_s)
        except _RefusedError as refusal:
            answers.append(f"{address}: {refusal}")
            console.note(f"download: {answers[-1]}")
        except OSError as error:
            raise storage.explain_os_error(error, target) from error
    raise errors.ZooError(f"{target.name} could not be downloaded", received="\n    ".join(answers) or "no address")


def _from_one(address, target, sha256, check, pause_s):
    """Downloads from one address, going on after breaks. Returns the sha256."""
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
    found = storage.sha256_of(part)
    problem = _digest_problem(part, found, sha256, digests) or _check_problem(part, check)
    if problem:
        _forget(part)
        raise _RefusedError(problem)
    os.replace(part, target)
    _forget(part)
    return found


def _digest_problem(part, found, sha256, digests):
    """What is wrong with the received file, or None."""
    if sha256 and found != sha256.lower():
        return f"the file is not the one expected: sha256 {found} instead of {sha256.lower()}"
    if digests.get("md5"):
        digest = hashlib.md5(usedforsecurity=False)
        with open(part, "rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
        if digest.digest() != digests["md5"]:
            return "the file arrived damaged: its MD5 is not the one that the server announced"
    return None


def _check_problem(part, check):
    """What the caller's check finds wrong with the received file, or None."""
    try:
        if check is not None:
            check(part)
    except errors.ZooError as error:
        return error.what
    return None


def _receive(address, part):
    """Fetches what is missing of a partial file.

    Returns:
      The digests that the server announces: {"md5": bytes} or {}.
    """
    start, validator = _state(address, part)
    request = urllib.request.Request(address, headers={"User-Agent": "tfodhelper"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", validator)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:
            _forget(part)
            raise _BrokenError("the server has a shorter file than before") from None
        kind = _BrokenError if error.code >= 500 or error.code in (408, 429) else _RefusedError
        raise kind(f"HTTP {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        kind = _BrokenError if isinstance(error.reason, (ConnectionResetError, TimeoutError)) else _RefusedError
        raise kind(f"{error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        kind = _RefusedError if isinstance(error, ValueError) else _BrokenError
        raise kind(f"{type(error).__name__}: {error}") from None
    with response:
        return _store(response, address, part, start)


def _store(response, address, part, start):
    """Writes a response's body behind what is there, and checks that nothing is missing at its end."""
    content_range = re.match(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range") or "")
    resumed = getattr(response, "status", None) == 206 and content_range and int(content_range[1]) == start
    if not resumed:
        if getattr(response, "status", None) == 206:
            _forget(part)
            raise _BrokenError("the server sent another part of the file than was asked for")
        start = 0
    length = response.headers.get("Content-Length")
    total = int(content_range[2]) if resumed else int(length) if length else None
    headers = response.headers
    storage.write_json(
        _state_path(part), {"address": address, "validator": headers.get("ETag") or headers.get("Last-Modified")}
    )
    done = start
    title = f"downloading {part.name.removesuffix('.part')}, MB"
    with open(part, "ab" if resumed else "wb") as file, console.Progress(title, _megabytes(total)) as progress:
        while True:
            try:
                piece = response.read(_PIECE)
            except (OSError, http.client.HTTPException) as error:
                raise _BrokenError(f"the connection broke after {done} bytes ({type(error).__name__})") from None
            if not piece:
                break
            file.write(piece)
            progress.advance(len(piece) / 1e6)
            done += len(piece)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done != total:
        raise _BrokenError(f"the connection broke after {done} of {total} bytes")
    return _announced(headers)


def _megabytes(size):
    return None if size is None else round(size / 1e6, 1)


def _announced(headers):
    """MD5 of the body, as Google's storage and some other servers announce it."""
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
    """(bytes that are there, validator) of a partial file of this very address; else (0, None)."""
    try:
        state = storage.read_json(_state_path(part))
        size = part.stat().st_size
    except (errors.StorageError, OSError):
        return 0, None
    if isinstance(state, dict) and state.get("address") == address and state.get("validator"):
        return size, state["validator"]
    return 0, None


def _forget(part):
    part.unlink(missing_ok=True)
    _state_path(part).unlink(missing_ok=True)
