"""Compares the methods of `mu8 allocate`: average bits against accuracy, NLL, ECE and file size.

    tools/study_allocation --model M.onnx --posterior P.npz --calibration TRAINING_IMAGES \\
      --data TEST_IMAGES -o OUT [--methods LIST] [--bits LIST] [--unit panel] [--seeds N] \\
      [--samples T] [--ood IMAGES]... [--simulated]

Writes OUT/allocation.csv (a row a run), allocation.md (means over seeds), and, where matplotlib is
installed, allocation.png (curves; bars are deviations over seeds) and bits.png (bits by layer). INT8
(8 bits, all layers) is always among the rows. Plans are kept in OUT/plans, rows in OUT/runs: the same
command goes on where it was interrupted, and what other options made is made again. Equal plans are
judged once. `seconds` are those of finding the plan, without quantizing the layers.

--simulated also runs every file's weights in FP32 arithmetic (mu8 eval --engine-weights):
kl_simulated is mean KL(simulated || engine) over the images, in nats, kl_seeds that of the engine's
seed 1 from its seed 2, which chance alone makes.
"""

import argparse
import pathlib
import sys

from .judging import Failed
from .pictures import draw
from .runs import METHODS, rows_of
from .table import write_tables

ROOT = pathlib.Path(__file__).resolve().parents[2]


def parse():
    parser = argparse.ArgumentParser(
        prog="study_allocation", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    for name in ("model", "posterior", "calibration", "data"):
        add(f"--{name}", required=True)
    add("-o", "--output", type=pathlib.Path, required=True)
    add("--methods", default=",".join(METHODS))
    add("--bits", default="2,2.5,3,3.5,4,5,6,8")
    add("--seeds", type=int, default=3, help="of the random methods (3)")
    add("--samples", type=int, default=50)
    add("--sigma-bits", type=int, default=4)
    add("--evaluations", type=int, default=200, help="plans that the searches may judge (200)")
    add("--unit", choices=("layer", "panel"), default="layer", help="what has a width of its own")
    add("--limit", type=int, help="first N test images")
    add("--ood", action="append", default=[],
        help="images of something else: AUROC by entropy, mean over these sets")
    add("--simulated", action="store_true", help="see above; costs FP32 passes")
    add("--calibration-limit", type=int, default=512)
    add("--mean")
    add("--std")
    add("--jobs", type=int, default=1, help="plans converted and judged at a time (1)")
    add("--mu8", type=pathlib.Path, default=ROOT / "build" / "release" / "mu8")
    options = parser.parse_args()
    options.methods = options.methods.split(",")
    unknown = sorted(set(options.methods) - set(METHODS))
    if unknown:
        parser.error(f"--methods: '{unknown[0]}' is none of {', '.join(METHODS)}")
    if options.jobs < 1:
        parser.error("--jobs must be at least 1")
    try:
        options.bits = [float(part) for part in options.bits.split(",")]
    except ValueError:
        parser.error(f"--bits: is '{options.bits}', expected numbers with commas")
    if not options.mu8.is_file():
        parser.error(f"--mu8: there is no {options.mu8}")
    return options


def main():
    options = parse()
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        rows = rows_of(options)
    except Failed as e:
        sys.exit(f"study_allocation: {e}")
    write_tables(options.output, rows)
    draw(options.output, rows)
    print(options.output / "allocation.md")
    return 0
