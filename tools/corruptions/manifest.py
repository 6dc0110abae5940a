"""manifest.json: what made the files of an output folder, and each file's SHA-256.

It holds nothing of the run itself (no time, no path), so equal settings give an equal manifest.
A folder serves one group of settings; a run with others is refused.
"""

import contextlib
import fcntl
import hashlib
import json
import platform

import cv2
import numpy
import PIL
import PIL.features
import scipy
import skimage

from data_files.atomic import write_atomic

NAME = "manifest.json"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def settings(source, images, labels, seed):
    """What every file of a folder has in common; `source` is the name of the data file."""
    return {
        "source": source,
        "images": len(images),
        "images_sha256": sha256(images.tobytes() + labels.tobytes()),
        "seed": seed,
        "generator": "PCG64(SeedSequence(seed, spawn_key=(crc32(type), severity, index)))",
        "versions": {
            "python": platform.python_version(), "numpy": numpy.__version__,
            "scipy": scipy.__version__, "scikit-image": skimage.__version__,
            "opencv": cv2.__version__, "pillow": PIL.__version__,
            "libjpeg-turbo": PIL.features.version_feature("libjpeg_turbo")},
    }


def read(folder):
    """The manifest of `folder`, empty where there is none."""
    path = folder / NAME
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text())
        if not isinstance(manifest["settings"], dict) or not isinstance(manifest["files"], dict):
            raise TypeError
    except (ValueError, KeyError, TypeError) as e:
        raise ValueError(f"{path}: not a manifest of tools/corrupt; delete it or use another "
                         "folder") from e
    return manifest


def check_settings(folder, manifest, wanted):
    """Raises where the folder's files were made with other settings."""
    had = manifest.get("settings", wanted)
    for key, value in wanted.items():
        if had.get(key) != value:
            raise ValueError(f"{folder / NAME}: its files were made with {key} = {had.get(key)}, "
                             f"this run has {value}; use another folder or delete this one")


@contextlib.contextmanager
def locked(folder):
    """Holds the folder's lock: several processes may fill one folder."""
    with open(folder / ".lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def add_file(folder, wanted, name, entry):
    """Adds one finished file to the manifest, which is read again first."""
    with locked(folder):
        manifest = read(folder)
        check_settings(folder, manifest, wanted)
        files = {**manifest.get("files", {}), name: entry}
        text = json.dumps({"settings": wanted, "files": dict(sorted(files.items()))}, indent=1)
        write_atomic(folder / NAME, (text + "\n").encode())


def is_complete(folder, manifest, name):
    """Whether `name` is there and has the bytes that the manifest says."""
    entry, path = manifest.get("files", {}).get(name), folder / name
    return entry is not None and path.is_file() and sha256(path.read_bytes()) == entry["sha256"]
