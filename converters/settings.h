// What a conversion can be told: the vocabulary of every stage. convert.h runs them all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/progress.h"
#include "converters/network/head.h"
#include "formats/layout.h"

namespace mu8::convert {

enum class SigmaQuantizer {
  kWeighted,  // codebooks fitted with each weight's error weighted by its importance
  kAffine,    // evenly spaced between min and max (Subedar 2021, Algorithm 1), for comparison
};

// What an error of a weight's sigma is weighed with when many sigmas share few levels: the power of
// the weight's input, times the Fisher information that the posterior itself tells where training
// has converged. kMeasured tries both on the calibration images.
enum class SigmaImportance { kMeasured, kPower, kFisher };

// Bits of a layer's means, 1 to 8: one number, or one for each of its panels (up to 16 output
// channels; FORMAT.md 6.2).
using MuBits = std::vector<int>;

// When the file's predictions abstain (FORMAT.md 8.3): above given thresholds, one or one for each
// output, or such that a share of the calibration inputs would.
struct AbstainOptions {
  format::AbstainMeasure measure = format::AbstainMeasure::kPredictiveEntropy;
  std::vector<float> thresholds;
  double fraction = 0.0;          // 0 to 1, where there are no thresholds
  std::uint32_t mc_samples = 50;  // to measure it with
};

// What predictions by moments (FORMAT.md 8.4, 13) are calibrated with.
struct MomentsOptions {
  std::size_t images = 64;    // of the calibration data
  std::uint32_t passes = 60;  // sampled, 2 to 65536
};

struct ConvertOptions {
  std::string model_path;        // ONNX, the mean network
  std::string posterior_path;    // .npz or .safetensors, "<initializer>.sigma"; empty: no sigmas
  std::string calibration_path;  // see datasets.h
  host::DataOptions data;        // how to read it, where it holds numbers
  int mu_bits = 8;               // 1 to 8, of layers that layer_mu_bits does not name
  std::map<std::string, MuBits> layer_mu_bits;  // by layer name, as in LayerReport
  int sigma_bits = 8;                           // 8, 4, 2, 1 or 0
  SigmaQuantizer sigma_quantizer = SigmaQuantizer::kWeighted;
  SigmaImportance sigma_importance = SigmaImportance::kMeasured;
  std::size_t calibration_limit = 512;  // images
  int calibration_passes = 10;          // weight samples drawn for the activation statistics
  std::uint64_t seed = 1;
  // About the most memory that calibration may take; a network that needs more is refused before.
  std::uint64_t max_memory_bytes = std::uint64_t{2} << 30;
  // Input normalization x = (u8 / 255 - mean[c]) / std[c], of numbers (v - mean[c]) / std[c];
  // empty: for pixels the ONNX file's own, else 0 and 1.
  std::vector<float> mean, std;
  HeadOptions head;
  std::vector<std::string> labels;  // empty: the ONNX file's own; class 0 first
  std::string output_name;          // of several ONNX outputs; empty: there is one
  std::string name;                 // empty: the ONNX file's stem
  std::vector<float> noise;         // values: variance of an observation's noise, one each output
  bool fit_noise = false;           // or fitted to the calibration data's targets
  // Values and gaussians: low and high of an output, of which a stop rule's promise speaks; one
  // pair each output, or one for all; empty: none.
  std::vector<float> output_range;
  bool calibrate_range = false;           // or what calibration has seen, and more
  std::optional<AbstainOptions> abstain;  // none: never
  std::optional<MomentsOptions> moments;  // none: predictions by sampling alone
  host::Progress progress;
};

}  // namespace mu8::convert
