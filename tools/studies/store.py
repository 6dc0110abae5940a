"""The files of a study: hashes, and records that are never seen half written."""

import functools
import hashlib
import json
import os
import pathlib

from data_files.atomic import write_atomic


class StudyError(Exception):
    """Bad input or a failed command; the message says what, where and what was expected."""


@functools.lru_cache(maxsize=None)
def hash_of_version(path, size, modified):
    del size, modified  # a new version of the file is another key
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256(path):
    """SHA-256 of a file as hexadecimal digits; read again only when the file has changed."""
    status = os.stat(path)
    return hash_of_version(str(path), status.st_size, status.st_mtime_ns)


def sha256_of_files(paths):
    """One hash of several files' contents, in the order given."""
    return hashlib.sha256("\n".join(map(sha256, paths)).encode()).hexdigest()


def write_file(path, content):
    """Writes text or bytes whole, in a folder that is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content)


def write_json(path, value):
    write_file(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path):
    """The object in a file; None where there is no such file or it is damaged."""
    try:
        value = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None
