// FP32 posterior -> .mu8: the whole offline path, from files to a validated image of the model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace mu8::convert {

enum class SigmaQuantizer {
  kWeighted,  // codebooks fitted with each weight's error weighted by its input's second moment
  kAffine,    // evenly spaced between min and max (Subedar 2021, Algorithm 1), for comparison
};

// What an error of a weight's sigma is weighed with when many sigmas share few levels: the power of
// the weight's input, times the Fisher information that the posterior itself tells where training
// has converged. kMeasured tries both on the calibration images.
enum class SigmaImportance { kMeasured, kPower, kFisher };

// Bits of a layer's means, 1 to 8: one number, or one for each of its panels (up to 16 output
// channels; FORMAT.md 6.2).
using MuBits = std::vector<int>;

struct ConvertOptions {
  std::string model_path;        // ONNX, the mean network
  std::string posterior_path;    // .npz or .safetensors, "<initializer>.sigma"; empty: no sigmas
  std::string calibration_path;  // see dataset.h
  int mu_bits = 8;               // 1 to 8, of layers that layer_mu_bits does not name
  std::map<std::string, MuBits> layer_mu_bits;  // by layer name, as in LayerReport
  int sigma_bits = 8;                           // 8, 4, 2, 1 or 0
  SigmaQuantizer sigma_quantizer = SigmaQuantizer::kWeighted;
  SigmaImportance sigma_importance = SigmaImportance::kMeasured;
  std::size_t calibration_limit = 512;  // images
  int calibration_passes = 10;          // weight samples drawn for the activation statistics
  std::uint64_t seed = 1;
  // Input normalization x = (u8 / 255 - mean[c]) / std[c]; empty: the ONNX file's own, else 0
  // and 1.
  std::vector<float> mean, std;
  std::vector<std::string> labels;  // empty: the ONNX file's own, else the data set's
  std::string name;                 // empty: the ONNX file's stem
  std::function<void(const std::string& stage, double fraction)> progress;  // may be empty
};

// One line of the table that `mu8 convert` prints.
struct LayerReport {
  std::string name;
  std::string op;
  std::string shape;        // "OHWI 6x5x5x1", "120x400", "28x28x6 -> 14x14x6"
  std::size_t weights = 0;  // 0 for layers without parameters; the fields below then do not apply
  MuBits mu_bits;           // as stored
  double average_mu_bits = 0;
  int sigma_bits = 0;
  bool bayesian = false;
  float weight_step_min = 0, weight_step_max = 0;  // s_w over the output channels
  double variance_kept = 0;                        // sum Var[w_q] / sum sigma^2
  double variance_kept_weighted = 0;               // the same with E[x^2] of each weight's input
  double saturation = 0;                           // fraction of draws at +-127
  double mean_sqnr_db = 0;           // 10 log10(sum E[x^2] mu^2 / sum E[x^2] (E[w_q] - mu)^2)
  double noise_sqnr_db = 0;          // 10 log10 of noise power over the noise's error, same draws
  std::vector<double> panel_errors;  // 1/2 sum (E[w_q] - mu)^2 / sigma^2, nats; see ALLOCATION.md
  double output_saturation = 0;      // fraction of calibration outputs above the stored range
};

struct ConvertResult {
  std::vector<std::byte> file;  // a complete .mu8 image that the reader has accepted
  std::vector<LayerReport> layers;
  std::vector<std::string> notices;  // assumptions that the user should know of
  std::size_t arena_bytes = 0;
  std::size_t calibration_images = 0;
  SigmaImportance sigma_importance = SigmaImportance::kFisher;  // what was used
};

// Throws Error (error.h) with every problem found. Same inputs, same bytes on the same machine.
ConvertResult Convert(const ConvertOptions& options);

// Writes to a temporary file beside `path` and renames it; throws Error and leaves nothing behind.
void WriteFileAtomically(const std::string& path, const void* data, std::size_t bytes);

}  // namespace mu8::convert
