// Where a .mu8 file's predictions leave those of the network that it was made from. Both draw the
// same random bytes, so what differs is quantization and nothing else.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/model_file.h"
#include "converters/host/progress.h"
#include "converters/network/network.h"

namespace mu8::convert {

struct LayerDifference {
  std::string name, op;
  // Power of the FP32 activations over that of the engine's error, in dB: of each pass's values, of
  // their means over the passes and of their variances over the passes (one figure per element and
  // image, summed over both).
  double sqnr = 0, sqnr_of_mean = 0, sqnr_of_variance = 0;
  double variance_kept = 1;  // summed variance of the engine's values over that of FP32's
  double saturation = 0;     // fraction of stored values at the end of the range: 255, or 0 below
                             // the zero point; 0 for the logits
  // From FP32 to FP32 with this layer alone quantized: its weights and biases as the engine draws
  // them, and its stored values. Divergences are means over the images of Distance
  // (expected_outputs.h).
  double divergence_of_weights = 0, divergence_of_activations = 0;
};

struct Difference {
  std::vector<LayerDifference> layers;  // as in the file
  Head head = Head::kSoftmax;
  double divergence = 0;           // from FP32 to the engine
  double divergence_of_input = 0;  // with the input alone quantized
  double agreement = 0;            // fraction of images with the same most probable class, or of
                                   // labels on the same side of one half; not of values
  std::size_t images = 0;
};

struct DifferenceOptions {
  std::uint32_t samples = 10;
  std::uint64_t seed = 1;
  std::uint32_t batch = 16;  // images at a time; memory grows with it
};

// `network` is what the file was made from, as imported, its mean and std set. Throws
// host::Error when the file's layers are not those that the network gives.
Difference Compare(const host::ModelFile& file, Network network, const host::Dataset& data,
                   const DifferenceOptions& options, const host::Progress& progress = {});

}  // namespace mu8::convert
