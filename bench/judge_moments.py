#!/usr/bin/python3
"""Could moments judge plans of few bits (converters/ALLOCATION.md) in place of sampled networks?

    bench/judge_moments.py --mu8 build/release/mu8 --data DIR --work DIR -o bench/results/judge_moments.md

Plans are random widths of 2 to 5 bits a layer, the same ones each time. Each plan's file is judged three
ways on calibration images, all by KL from FP32: by 16 networks with the same random numbers, as `mu8
allocate` does; by moments with the plan's own records; and by moments with the records of the file with 8
bits, which is what a search could afford, as measuring records takes more passes than the judge. The truth is
the divergence of 200 networks from 200 of FP32. --data has mnist and cifar10. --quick runs in a minute, its
figures say nothing. Needs Debian's python3-torch, python3-numpy, python3-scipy and python3-onnx.
"""

import argparse
import json
import pathlib
import random
import struct
import sys
import tempfile

import moments
from moments import call

try:
    from scipy.stats import spearmanr
except ModuleNotFoundError as missing:
    sys.exit(f"judge_moments: {missing}; tools/setup study installs what it needs")

sys.path.insert(0, str(moments.ROOT / "tools"))
from second_reader.file_format import crc32c, read_header, read_sections  # noqa: E402

PASSES, TRUE_PASSES = 16, 200
MOMENTS_SECTION = 10
MEASURING = ("--moments-images", "16", "--moments-passes", "30")  # ResNet-20: a quarter of the defaults
WIDTHS = (2, 3, 4, 5)
WAYS = ("16 networks", "moments", "moments, records of 8 bits")


def records_of(data):
    """The bytes of section 10, and its place in the table of sections."""
    count = read_header(data)[2]
    for index, section in enumerate(read_sections(data, count)):
        if section.id == MOMENTS_SECTION:
            return data[section.offset:section.offset + section.bytes], index, section.offset
    raise ValueError("a file without section 10")


def with_records(data, records):
    """The file with another's section 10; both have the same layers."""
    own, index, offset = records_of(data)
    if len(own) != len(records):
        raise ValueError("the files have other layers")
    data = bytearray(data)
    data[offset:offset + len(records)] = records
    struct.pack_into("<I", data, 64 + 32 * index + 24, crc32c(records))
    count = struct.unpack_from("<I", data, 24)[0]
    struct.pack_into("<I", data, 60, crc32c(bytes(data[:60] + data[64:64 + 32 * count])))
    return bytes(data)


class Judge:
    """A posterior's plans, and what each way says of them."""

    def __init__(self, options, kept, name, calibration, images, plans, measuring=()):
        self.mu8, self.kept, self.name, self.folder = options.mu8, kept, name, kept.folder
        self.calibration, self.images, self.plans, self.measuring = calibration, images, plans, measuring
        prefix = moments.COMMITTED / name
        self.source = ("--model", prefix.with_suffix(".onnx"), "--posterior", prefix.with_suffix(".npz"))
        self.threads = options.threads

    def convert(self, what, *how):
        file = self.folder / f"{self.name}_{what}.mu8"

        def make():
            return call(self.mu8, "convert", *self.source, "--calibration", self.calibration,
                        "--calibration-limit", self.images, "--sigma-bits", 4, "--moments", *self.measuring,
                        *how, "--accept", "-o", file)
        return file, self.kept.get(file.stem, [*self.measuring, *map(str, how)], make)

    def eval(self, what, made_of, *how):
        """(what `mu8 eval` says, the file of its predictions)"""
        predictions = self.folder / f"{self.name}_{what}.f32"

        def make():
            return call(self.mu8, "eval", *how, "--data", self.calibration, "--limit", self.images,
                        "--predictions", predictions, "--threads", self.threads)
        return self.kept.get(f"{self.name}_{what}", [*made_of, *map(str, how)], make), predictions

    def random_plan(self, layers, seed):
        generator, path = random.Random(seed), self.folder / f"{self.name}_plan{seed}.json"
        path.write_text(json.dumps({"layers": [{"name": layer["name"], "mu_bits": generator.choice(WIDTHS)}
                                               for layer in layers]}))
        return path

    def rows(self):
        """[(average bits, truth, *divergences in the order of WAYS, seconds of each)] over the plans"""
        references = {count: self.eval(f"fp32_{count}", [], *self.source, "--samples", count)[1]
                      for count in (PASSES, TRUE_PASSES)}
        eight, report = self.convert("eight")
        layers = [layer for layer in report["layers"] if layer["weights"]]
        records, found = records_of(eight.read_bytes())[0], []
        for seed in range(1, self.plans + 1):
            plan = self.random_plan(layers, seed)
            file, report = self.convert(f"p{seed}", "--bits", plan)
            shared = file.with_suffix(".shared.mu8")
            shared.write_bytes(with_records(file.read_bytes(), records))
            against = ("--against", references[PASSES])
            made_of = moments.digest(file, eight)
            said = [self.eval(f"{what}{seed}", made_of, model, *how)[0] for what, model, how in (
                ("truth", file, ("--samples", TRUE_PASSES, "--seed", 2, "--against",
                                 references[TRUE_PASSES])),
                ("sampled", file, ("--samples", PASSES, *against)),
                ("own", file, ("--method", "moments", *against)),
                ("shared", shared, ("--method", "moments", *against)))]
            found.append((report["average_mu_bits"], *(each["kl_against"] for each in said),
                          *(each["seconds"] for each in said[1:])))
        return found


def lines_of(judge):
    rows = judge.rows()
    columns = list(zip(*rows))
    ranks = [spearmanr(column, columns[1])[0] for column in columns[2:5]]
    best = min(columns[1])
    losses = [columns[1][min(range(len(rows)), key=column.__getitem__)] / best for column in columns[2:5]]
    speed = [sum(columns[5]) / sum(column) for column in columns[5:]]

    def cells(values, digits):
        return " | ".join(f"{value:.{digits}f}" for value in values)
    return ["", f"## {judge.name}", "", f"{len(rows)} plans, {judge.images} calibration images.", "",
            f"| | {' | '.join(WAYS)} |", "|---" * 4 + "|",
            f"| rank correlation with the truth | {cells(ranks, 3)} |",
            f"| truth of the plan that it calls best, over that of the best | {cells(losses, 2)} |",
            f"| times faster | {cells(speed, 1)} |", "",
            f"| average bits | truth, T = {TRUE_PASSES} | {' | '.join(WAYS)} |", "|---" * 5 + "|",
            *(f"| {row[0]:.2f} | {cells(row[1:5], 5)} |" for row in sorted(rows))]


def page(options, folder):
    kept = moments.Kept(folder)
    if options.quick:
        digits = moments.COMMITTED / "mnist" / "calibration-images-idx3-ubyte.gz"
        judges = [Judge(options, kept, "lenet5_mnist", digits, 40, 3)]
    else:
        find = moments.packed.find
        digits = find(options.data / "mnist", "train-images-idx3-ubyte")
        pictures = find(options.data / "cifar10", "data_batch_1.bin")
        judges = [Judge(options, kept, "lenet5_mnist", digits, 512, 16),
                  Judge(options, kept, "resnet20_cifar10", pictures, 128, 8, MEASURING)]
    lines = [line for judge in judges if options.only in (None, judge.name) for line in lines_of(judge)]
    return "\n".join([*HEADER, *lines]) + "\n"


HEADER = [
    "# Moments as the judge of plans", "",
    "`bench/judge_moments.py`: random plans of 2 to 5 bits of mu a layer, 4 bits of sigma. Divergences are KL "
    "from FP32 on calibration images, nats: of 16 networks from 16 of FP32 with the same random numbers, as `mu8 "
    "allocate` judges, and of moments from the same 16; the truth is 200 from 200. Times are `mu8 eval`'s "
    "seconds, of one run beside other work: only their ratio is shown. Measuring a plan's own records is not in "
    f"them; that of ResNet-20 is cut short ({' '.join(MEASURING)})."]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mu8", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, help="kept: a rerun goes on from there")
    parser.add_argument("--only", choices=("lenet5_mnist", "resnet20_cifar10"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="its figures say nothing")
    parser.add_argument("-o", "--output", metavar="OUT.md", type=pathlib.Path)
    options = parser.parse_args()
    if not options.quick and not options.data:
        parser.error("expected --data DIR, or --quick")
    options.mu8 = options.mu8.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.work or pathlib.Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            text = page(options, folder)
        except (OSError, ValueError) as error:
            sys.exit(f"judge_moments: {error}")
    print(text, end="")
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
