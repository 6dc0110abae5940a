#include "converters/prepare.h"

#include <cmath>
#include <utility>

#include "converters/host/error.h"
#include "converters/lower/limits.h"
#include "converters/network/head.h"
#include "converters/network/rewrites.h"
#include "converters/onnx/import.h"

namespace mu8::convert {
namespace {

// Fills in what the file or the caller did not say about the input, and says so.
void ResolveInput(const ConvertOptions& options, Network* network,
                  std::vector<std::string>* notices, std::vector<std::string>* problems) {
  const auto channels =
      static_cast<std::size_t>(network->values[static_cast<std::size_t>(network->input)].channels);
  if (!options.mean.empty()) network->mean = options.mean;
  if (!options.std.empty()) network->std = options.std;
  if (network->mean.empty() && network->std.empty()) {
    notices->push_back(
        "the model file says nothing about input normalization: assuming x = u8 / 255 "
        "(give --mean and --std if the network was trained with others)");
  }
  if (network->mean.empty()) network->mean.assign(channels, 0.0F);
  if (network->std.empty()) network->std.assign(channels, 1.0F);
  for (const auto* values : {&network->mean, &network->std}) {
    if (values->size() != channels) {
      problems->push_back("mean and std have " + std::to_string(values->size()) +
                          " values, expected one for each of the " + std::to_string(channels) +
                          " input channels");
    }
  }
  for (const float mean : network->mean) {
    if (!std::isfinite(mean)) problems->push_back("mean must be finite");
  }
  for (const float std : network->std) {
    if (!(std > 0.0F) || std::isinf(std)) problems->push_back("std must be positive and finite");
  }
}

host::Dataset LoadCalibration(const ConvertOptions& options, const Network& network) {
  const Value& input = network.values[static_cast<std::size_t>(network.input)];
  return host::LoadDataset(options.calibration_path, options.calibration_limit,
                           {input.height, input.width, input.channels});
}

void Report(const ConvertOptions& options, const std::string& stage, double fraction) {
  if (options.progress) options.progress(stage, fraction);
}

}  // namespace

Imported Import(const ConvertOptions& options, std::vector<std::string>* notices) {
  Report(options, "import", 0.0);
  Imported imported;
  imported.network =
      ImportOnnx(options.model_path, ReadPosteriorOf(options.model_path, options.posterior_path),
                 options.output_name);
  PrepareNetwork(&imported.network);
  imported.steps = MakeSteps(imported.network);
  std::vector<std::string> problems;
  ResolveInput(options, &imported.network, notices, &problems);
  if (!options.labels.empty()) imported.network.labels = options.labels;
  imported.head_reason = ResolveHead(options.head, &imported.network, notices, &problems);
  CheckLimits(imported.network, imported.steps, &problems);
  if (!problems.empty()) throw host::Error(problems);
  return imported;
}

Prepared Prepare(const ConvertOptions& options, Imported imported) {
  Prepared prepared{.network = std::move(imported.network),
                    .steps = std::move(imported.steps),
                    .data = {},
                    .calibration = {},
                    .input = {}};
  const std::size_t images = CalibrationImages(prepared.network, options.max_memory_bytes);
  prepared.data = LoadCalibration(options, prepared.network);
  // Without sigmas all passes are the same.
  const int passes = options.posterior_path.empty() ? 1 : options.calibration_passes;
  prepared.calibration = Calibrate(
      prepared.network, prepared.data, passes, options.seed,
      [&](double f) { Report(options, "calibrate", f); }, images);
  prepared.input = QuantizeInput(prepared.network, prepared.data);
  return prepared;
}

}  // namespace mu8::convert
