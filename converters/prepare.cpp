#include "converters/prepare.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "converters/calibrate/equalize.h"
#include "converters/host/error.h"
#include "converters/host/labels.h"
#include "converters/lower/limits.h"
#include "converters/network/head.h"
#include "converters/network/input.h"
#include "converters/network/rewrites.h"
#include "converters/onnx/import.h"
#include "formats/noise.h"

namespace mu8::convert {
namespace {

void Report(const ConvertOptions& options, const std::string& stage, double fraction) {
  if (options.progress) options.progress(stage, fraction);
}

// The outputs' names: those of the options, else the ONNX file's, which the importer has checked.
// Throws Error unless each class has one that a line can hold.
void CheckLabels(const Network& network, std::vector<std::string>* notices) {
  const std::vector<std::string>& labels = network.labels;
  if (labels.empty()) return;
  std::vector<std::string> problems;
  const Value& output = network.values[static_cast<std::size_t>(network.output)];
  const auto positions =
      static_cast<std::size_t>(output.height) * static_cast<std::size_t>(output.width);
  const std::size_t classes = OutputCount(network) / positions;
  if (labels.size() != classes) {
    problems.push_back("there are " + std::to_string(labels.size()) + " labels for " +
                       std::to_string(classes) + " classes");
  }
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (!labels[i].empty() && labels[i].find('\n') == std::string::npos) continue;
    problems.push_back("label " + std::to_string(i) +
                       (labels[i].empty() ? " is empty" : " holds a line break") +
                       ", expected the name of a class");
  }
  if (!problems.empty()) throw host::Error(problems);
  const std::string shared = host::SharedLabel(labels);
  if (!shared.empty()) notices->push_back(shared);
}

// Of a float, short: "1e-30", "-0.25".
std::string Short(float value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", static_cast<double>(value));
  return text;
}

// Throws Error unless the variances fit the head.
void SetNoise(const ConvertOptions& options, Network* network) {
  if (options.noise.empty() && !options.fit_noise) return;
  const auto outputs =
      static_cast<std::size_t>(network->values[static_cast<std::size_t>(network->output)].channels);
  if (network->head != Head::kValues) {
    throw host::Error(std::string("--noise: belongs to values, the head is ") +
                      HeadName(network->head));
  }
  const bool positive = std::ranges::all_of(
      options.noise, [](float variance) { return variance > 0.0F && std::isnormal(variance); });
  if (!options.fit_noise && (options.noise.size() != outputs || !positive)) {
    throw host::Error("--noise: expected " + std::to_string(outputs) +
                      " variances above zero, one for each output, none closer to it than 1.2e-38");
  }
  network->noise_variance = options.noise;
}

// How many numbers a network has whose outputs are values or gaussians, at one position.
std::size_t NumberCount(const Network& network) {
  const auto channels =
      static_cast<std::size_t>(network.values[static_cast<std::size_t>(network.output)].channels);
  return network.head == Head::kGaussian ? channels / 2 : channels;
}

// Throws Error unless ranges are in order and fit the outputs.
void SetRanges(const ConvertOptions& options, Network* network) {
  if (options.output_range.empty() && !options.calibrate_range) return;
  if (!format::HasRanges(network->head)) {
    throw host::Error(std::string("--output-range: belongs to values and gaussian, the head is ") +
                      HeadName(network->head));
  }
  const Value& output = network->values[static_cast<std::size_t>(network->output)];
  if (output.height * output.width > 1) {
    throw host::Error(
        "--output-range: is for decisions about one answer, the network gives one at each "
        "position");
  }
  if (options.calibrate_range) return;
  const std::vector<float>& given = options.output_range;
  const std::size_t count = NumberCount(*network);
  if (given.size() != 2 && given.size() != 2 * count) {
    throw host::Error("--output-range: has " + std::to_string(given.size()) +
                      " numbers, expected LOW,HIGH, or these of each of the " +
                      std::to_string(count) + " outputs");
  }
  for (std::size_t k = 0; k < count; ++k) {
    const std::size_t at = given.size() == 2 ? 0 : 2 * k;
    const format::OutputRange range{given[at], given[at + 1]};
    if (!std::isnormal(range.high - range.low) || range.high < range.low) {
      throw host::Error(
          "--output-range: output " + std::to_string(k) + " has " + Short(range.low) + " to " +
          Short(range.high) +
          ", expected a low end below the high one, and 1.2e-38 to 3.4e38 between them");
    }
    network->ranges.push_back(range);
  }
}

// The ranges of all FP32 passes over the calibration data, and kMargin of their widths more on each
// side. Throws Error for an output that never moves.
void CalibrateRanges(const ConvertOptions& options, const Calibration& calibration,
                     Network* network) {
  if (!options.calibrate_range) return;
  constexpr float kMargin = 0.25F;
  for (std::size_t k = 0; k < NumberCount(*network); ++k) {
    const float low = calibration.output_least[k], high = calibration.output_greatest[k];
    const float more = kMargin * (high - low);
    if (!std::isnormal(more)) {
      throw host::Error("--output-range calibrated: output " + std::to_string(k) + " is " +
                        Short(low) + " for all of the calibration data, which gives no " +
                        "range: give LOW,HIGH");
    }
    network->ranges.push_back({low - more, high + more});
  }
}

// Bounds of a gaussian's scales: what calibration has seen, and kMargin more on each side.
void SetScaleBounds(const Calibration& calibration, Network* network) {
  if (network->head != Head::kGaussian) return;
  constexpr float kMargin = 4.0F;  // of log-variances: a factor of 55
  // Variances between these are normal floats.
  const bool softplus = network->scale_form == format::ScaleForm::kSoftplus;
  const float least = softplus ? -40.0F : -80.0F, most = softplus ? 1e18F : 80.0F;
  const auto channels =
      static_cast<std::size_t>(network->values[static_cast<std::size_t>(network->output)].channels);
  for (std::size_t k = channels / 2; k < channels; ++k) {
    float low = most, high = least;
    for (std::size_t i = k; i < calibration.output_least.size(); i += channels) {
      low = std::min(low, calibration.output_least[i]);
      high = std::max(high, calibration.output_greatest[i]);
    }
    low = std::clamp(low - kMargin, least, most / 2);
    high = std::clamp(high + kMargin, low + 1.0F, most);
    // The sum of variances is exact over so many binades (FORMAT.md 8.1).
    const auto variance = [&](float scale) {
      return format::VarianceOf(network->scale_form, scale);
    };
    while (format::NoiseShift(variance(low), variance(high)) > format::kMaxVarianceShift) {
      low += 1.0F;
    }
    network->scale_bounds.push_back({low, high});
  }
}

// What the outputs of a reconstruction are held against: the normalized input, before its channels
// are scaled. Squared errors are counted in a millionth of what the mean network leaves.
void SetTargets(const host::Dataset& data, Network* network) {
  if (network->head != Head::kReconstruction) return;
  const float full = data.is_numbers() ? 1.0F : 255.0F;
  for (std::size_t c = 0; c < network->std.size(); ++c) {
    network->targets.push_back(
        {1.0F / (full * network->std[c]), -network->mean[c] / network->std[c]});
  }
  const std::vector<float> inputs = Normalize(*network, data, 0, data.count);
  const std::vector<float> outputs = MeanOutputs(*network, inputs);
  double error = 0.0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const double d = static_cast<double>(outputs[i]) - static_cast<double>(inputs[i]);
    error += d * d / static_cast<double>(inputs.size());
  }
  constexpr int kBits = 20;
  const int exponent = error > 0.0 ? std::ilogb(error) - kBits : -kBits;
  network->error_unit = std::ldexp(1.0F, std::clamp(exponent, -100, 60));
}

// Throws Error, with what calibration would need, if that is more than it may.
void CheckMemory(const ConvertOptions& options, const Network& network, std::size_t images) {
  constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
  const std::uint64_t bytes = CalibrationBytes(network, images);
  if (bytes <= options.max_memory_bytes) return;
  throw host::Error("calibrating this network needs about " + std::to_string(bytes / kMiB + 1) +
                    " MiB, " + std::to_string(options.max_memory_bytes / kMiB) +
                    " MiB are allowed; give --max-memory if the network is meant to be so large");
}

}  // namespace

Imported Import(const ConvertOptions& options, std::vector<std::string>* notices) {
  Report(options, "import", 0.0);
  Imported imported;
  Network& network = imported.network;
  network = ImportWithPosterior(options.model_path, options.posterior_path, options.output_name);
  notices->insert(notices->end(), network.notices.begin(), network.notices.end());
  PrepareNetwork(&network);
  if (!options.labels.empty()) network.labels = options.labels;
  std::vector<std::string> problems;
  imported.head_reason = ResolveOutputs(options.head, &network, notices, &problems);
  if (!problems.empty()) throw host::Error(problems);
  CheckLabels(network, notices);
  SetNoise(options, &network);
  SetRanges(options, &network);
  imported.data = host::LoadDataset(options.calibration_path, options.calibration_limit,
                                    InputSpecOf(network), options.data);
  notices->insert(notices->end(), imported.data.notices.begin(), imported.data.notices.end());
  FitInput(imported.data, &network, &problems);
  ResolveNormalization({options.mean, options.std}, imported.data, &network, notices, &problems);
  if (problems.empty()) CheckTargets(network, imported.data, notices, &problems);
  imported.steps = MakeSteps(network);
  CheckLimits(network, imported.steps, &problems);
  if (!problems.empty()) throw host::Error(problems);
  return imported;
}

Prepared Prepare(const ConvertOptions& options, Imported imported) {
  Prepared prepared{.network = std::move(imported.network),
                    .steps = std::move(imported.steps),
                    .data = std::move(imported.data),
                    .normalization = {},
                    .channel_exponents = {},
                    .calibration = {},
                    .input = {},
                    .notices = {}};
  CheckMemory(options, prepared.network, prepared.data.count);
  prepared.normalization = {prepared.network.mean, prepared.network.std};
  SetTargets(prepared.data, &prepared.network);
  ScaleInput(InputScales(prepared.network, prepared.data), &prepared.network);
  prepared.channel_exponents =
      Equalize(prepared.data, options.seed, &prepared.network, &prepared.notices);
  // Without sigmas all passes are the same.
  const int passes = options.posterior_path.empty() ? 1 : options.calibration_passes;
  prepared.calibration = Calibrate(prepared.network, prepared.data, passes, options.seed,
                                   [&](double f) { Report(options, "calibrate", f); });
  SetScaleBounds(prepared.calibration, &prepared.network);
  CalibrateRanges(options, prepared.calibration, &prepared.network);
  prepared.input = QuantizeInput(prepared.network, prepared.data);
  return prepared;
}

}  // namespace mu8::convert
