"""Files that may be packed: plain, or with .gz or .xz behind the name."""

import gzip
import lzma
import pathlib
import zlib

OPENERS = {"": open, ".gz": gzip.open, ".xz": lzma.open}  # by what follows the plain name


def find(folder, name):
    """The file of that name, plain or packed; raises FileNotFoundError."""
    for suffix in OPENERS:
        path = pathlib.Path(folder) / f"{name}{suffix}"
        if path.is_file():
            return path
    raise FileNotFoundError(f"{folder}: holds no {name}, {name}.gz or {name}.xz")


def read(path):
    """The bytes of a file, unpacked; raises ValueError where it is damaged."""
    path = pathlib.Path(path)
    try:
        with OPENERS.get(path.suffix, open)(path, "rb") as file:
            return file.read()
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as e:
        raise ValueError(f"{path}: cannot be unpacked: {e}") from e
