"""Writes files that are never seen half written: to a temporary beside them, which is renamed."""

import os
import pathlib
import threading


def write_atomically(path, write):
    """Calls write(temporary path), then renames: `path` is whole or as it was."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path, content):
    """Writes text or bytes."""
    data = content.encode() if isinstance(content, str) else content
    write_atomically(path, lambda temporary: temporary.write_bytes(data))
