"""A page of samples: every type at every severity, for one image."""

import io
import pathlib

import numpy as np
from PIL import Image, ImageDraw

from data_files.atomic import write_atomic

from . import SEVERITIES, TYPES, apply

SCALE = 2  # each pixel is shown as SCALE x SCALE
TILE = 32 * SCALE
GAP = 4
LABEL = 112  # width of a row's name
HEADER = 16
PANEL_ROWS = 10  # types per panel; the panels stand side by side


def sample_page(image, seed, index):
    """The page as a Pillow image: one row per type, the clean image first, then severities."""
    columns = ["clean"] + [str(s) for s in SEVERITIES]
    panels = -(-len(TYPES) // PANEL_ROWS)
    panel_width = LABEL + len(columns) * (TILE + GAP) + 2 * GAP
    page = Image.new("RGB", (panels * panel_width, HEADER + PANEL_ROWS * (TILE + GAP)), "white")
    draw = ImageDraw.Draw(page)
    for row, name in enumerate(TYPES):
        left = row // PANEL_ROWS * panel_width + GAP
        top = HEADER + row % PANEL_ROWS * (TILE + GAP)
        draw.text((left, top + TILE // 2 - 6), name, fill="black")
        tiles = [image] + [apply(image, name, s, seed, index) for s in SEVERITIES]
        for column, tile in enumerate(tiles):
            x = left + LABEL + column * (TILE + GAP)
            if row % PANEL_ROWS == 0:
                draw.text((x + GAP, 2), columns[column], fill="black")
            page.paste(Image.fromarray(np.repeat(np.repeat(tile, SCALE, 0), SCALE, 1)), (x, top))
    return page


def write_samples(path, images, seed, index):
    """Writes the page of images[index] to `path`, a .png, .jpg or .jpeg."""
    kind = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}.get(pathlib.Path(path).suffix.lower())
    if kind is None:
        raise ValueError(f"{path}: expected a name ending in .png, .jpg or .jpeg")
    if not 0 <= index < len(images):
        raise ValueError(f"image {index}: the data has images 0 to {len(images) - 1}")
    file = io.BytesIO()
    sample_page(images[index], seed, index).save(file, kind, quality=90, optimize=True)
    write_atomic(path, file.getvalue())
