"""Reads, checks and runs .mu8 models: the second, independent implementation of formats/FORMAT.md.

    tools/read_mu8 MODEL.mu8                                 prints what the file holds
    tools/read_mu8 MODEL.mu8 --image FILE.idx#N [--samples T] [--seed S] [--antithetic] [--hash]
                                                             predicts one image
    tools/read_mu8 MODEL.mu8 --image FILE --method moments [--seed S] [--hash]
                                                             predicts it in one pass (section 13)

FILE is an IDX file (also .gz; #N is the image, default 0) or a .npy array: u8 pixels, or floats in
the network's own units. --hash prints the hex of the float32 bytes of the mean and nothing else.
Needs numpy only. Exit codes: 0 success, 1 a bad file, 2 bad usage.
"""

import argparse
import sys

from .file_format import (GAUSSIAN, MU_BITS_BY_PANEL, NO_TENSOR, OPERATOR_NAMES, RECONSTRUCTION,
                          SECTION_NAMES, SOFTMAX, VALUES, FormatError)
from .images import read_image
from .moments_prediction import predict_moments
from .prediction import abstains, predict
from .reader import read_model


MEASURE_NAMES = {1: "predictive entropy", 2: "mutual information", 3: "variance",
                 4: "total variance", 5: "error"}
HEAD_NAMES = ("classes", "labels", "values", "outputs of a gaussian head",
              "reconstructions")


def mu_bits_text(layer):
    """`8`, or of panels with a width of their own the range of these, `2-8`."""
    if layer.mu_bits != MU_BITS_BY_PANEL:
        return f"{layer.mu_bits}"
    bits = layer.parameters.panel_bits
    return f"{bits.min()}-{bits.max()}"


def print_summary(model):
    at_positions = f" at each of {model.positions} positions" if model.positions > 1 else ""
    print(f"mu8 {model.version[0]}.{model.version[1]}, {model.file_bytes} bytes, "
          f"{model.class_count} {HEAD_NAMES[model.head]}"
          f"{at_positions}; activations {model.activation_bytes}, "
          f"panel {model.panel_bytes}, arena {model.arena_bytes} bytes")
    print("\nsection         flags    offset     bytes  crc")
    for s in model.sections:
        name = SECTION_NAMES.get(s.id, "(skipped)")
        print(f"{s.id:3} {name:12} {s.flags:4} {s.offset:9} {s.bytes:9}  {s.crc:08x}")
    print("\ntensor  height x width x channels  pad t b l r  stride    offset     bytes  layers"
          "      zero  scale")
    for i, t in enumerate(model.tensors):
        shape = f"{t.height} x {t.width} x {t.channels}"
        pads = f"{t.pad_top} {t.pad_bottom} {t.pad_left} {t.pad_right}"
        first = "input" if i == 0 else t.first_layer
        lives = f"{first} to {t.last_layer}"
        print(f"{i:6}  {shape:25}  {pads:11} {t.row_stride:7} {t.offset:9} {t.bytes:9}  {lives:10} "
              f"{t.zero_point:5}  {t.scale:.9g}")
    print("\nlayer  operator      inputs     outputs  kernel  stride  groups  runs x length  bytes"
          "     mu/sigma bits")
    for i, layer in enumerate(model.layers):
        kernel = f"{layer.kernel_h}x{layer.kernel_w}"
        stride = f"{layer.stride_h}x{layer.stride_w}"
        runs = f"{layer.runs} x {layer.run_length}"
        bits = f"{mu_bits_text(layer)}/{layer.sigma_bits if layer.bayesian else '-'}"
        inputs = f"{layer.input}"
        if layer.input2 != NO_TENSOR:
            inputs += f" + {layer.input2}" if layer.weighted else f", {layer.input2}"
        print(f"{i:5}  {OPERATOR_NAMES[layer.op]:12}  {inputs:9} "
              f"{layer.output_channels:8}  {kernel:6}  {stride:6}  {layer.groups:6}  {runs:13}  "
              f"{layer.parameter_bytes:8}  {bits if layer.weighted else ''}")
    if model.ranges is not None:
        print("\nranges of the outputs")
        for k, (low, high) in enumerate(model.ranges):
            print(f"  {k}: {low:.9g} to {high:.9g}")
    if model.abstain is not None:
        print(f"\nabstains above {MEASURE_NAMES[model.abstain.measure]} "
              f"{' '.join(f'{t:.9g}' for t in model.abstain.thresholds)}, "
              f"measured with {model.abstain.mc_samples} passes")
    if model.moments is not None:
        print("\nmoments: step of a code of variance and factor, by layer")
        for i, (step, factor) in enumerate(model.moments):
            print(f"{i:5}  {step:.9g}  {factor:.9g}")
    print("\nmetadata")
    for key, value in model.metadata.items():
        text = value.decode("utf-8", "replace").replace("\n", ", ")
        print(f"  {key.decode('utf-8', 'replace')}: {text}")


def print_prediction(model, p):
    labels = model.metadata.get(b"labels", b"").decode("utf-8", "replace").split("\n")
    if model.head == SOFTMAX and model.positions == 1:
        name = f" ({labels[p.label]})" if len(labels) == model.class_count else ""
        print(f"label               {p.label}{name}")
    if p.clamped_inputs:
        print(f"clamped_inputs      {p.clamped_inputs}")
    if model.abstain is not None:
        print(f"abstains            {'yes' if abstains(model, p) else 'no'}")
    print("mean               ", " ".join(f"{value:.6f}" for value in p.mean))
    if model.head in (VALUES, GAUSSIAN, RECONSTRUCTION):
        print("standard deviation ", " ".join(f"{value ** .5:.6f}" for value in p.variance))
        if p.noise_variance is not None:
            print("noise's deviation  ", " ".join(f"{v ** .5:.6f}" for v in p.noise_variance))
        if p.error is not None:
            print(f"error               {p.error:.6g}, variance {p.error_variance:.6g}")
        if p.clamped_scales:
            print(f"clamped_scales      {p.clamped_scales}")
        return
    print(f"predictive_entropy  {p.predictive_entropy:.6f} nats")
    print(f"expected_entropy    {p.expected_entropy:.6f} nats")
    print(f"mutual_information  {p.mutual_information:.6f} nats")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="read_mu8", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL.mu8")
    parser.add_argument("--image", metavar="FILE", help="FILE.idx#N, FILE.idx.gz#N or FILE.npy")
    parser.add_argument("--samples", type=int, metavar="T", help="passes, 1 to 65536; default 50")
    parser.add_argument("--seed", type=int, metavar="S", help="names the ensemble; default 1")
    parser.add_argument("--method", choices=("sampling", "moments"), default="sampling")
    parser.add_argument("--antithetic", action="store_true", help="passes in mirrored pairs")
    parser.add_argument("--hash", action="store_true", help="print the bytes of the mean only")
    options = parser.parse_args(arguments)
    by_moments = options.method == "moments"
    if not options.image and (options.hash or options.antithetic or options.samples is not None
                              or options.seed is not None or by_moments):
        parser.error("--samples, --seed, --antithetic, --method and --hash need --image")
    if by_moments and (options.antithetic or options.samples is not None):
        parser.error("--method moments draws no networks: no --samples, no --antithetic")
    samples = 50 if options.samples is None else options.samples
    seed = 1 if options.seed is None else options.seed
    if not 1 <= samples <= 65536 or not 0 <= seed < 2 ** 64:
        parser.error("--samples is 1 to 65536, --seed 0 to 2^64 - 1")

    try:
        with open(options.model, "rb") as file:
            model = read_model(file.read())
        if not options.image:
            print_summary(model)
            return 0
        image = read_image(options.image)
        prediction = (predict_moments(model, image) if by_moments
                      else predict(model, image, samples, seed, options.antithetic))
    except (FormatError, OSError, EOFError, ValueError, IndexError) as error:
        print(f"read_mu8: {error}", file=sys.stderr)
        return 1
    if options.hash:
        print(prediction.mean.astype("<f4").tobytes().hex())
    else:
        print_prediction(model, prediction)
    return 0
