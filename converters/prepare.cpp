#include "converters/prepare.h"

#include "converters/host/error.h"
#include "converters/host/shape_text.h"
#include "converters/network/rewrites.h"
#include "converters/onnx/import.h"

namespace mu8::convert {
namespace {

// Fills in what the file or the caller did not say about the input, and says so.
void ResolveInput(const ConvertOptions& options, Network* network,
                  std::vector<std::string>* notices) {
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
  std::vector<std::string> problems;
  for (const auto* values : {&network->mean, &network->std}) {
    if (values->size() != channels) {
      problems.push_back("mean and std have " + std::to_string(values->size()) +
                         " values, expected one for each of the " + std::to_string(channels) +
                         " input channels");
    }
  }
  for (const float std : network->std) {
    if (!(std > 0.0F)) problems.push_back("std must be positive");
  }
  if (!problems.empty()) throw host::Error(problems);
}

host::Dataset LoadCalibration(const ConvertOptions& options, const Network& network) {
  host::Dataset data = host::LoadDataset(options.calibration_path, options.calibration_limit);
  const Value& input = network.values[static_cast<std::size_t>(network.input)];
  if (data.count == 0) throw host::Error(options.calibration_path + ": holds no images");
  if (data.height != input.height || data.width != input.width || data.channels != input.channels) {
    throw host::Error(options.calibration_path + ": images are " +
                      host::ShapeText(data.height, data.width, data.channels) +
                      ", the model expects " + ShapeText(input));
  }
  return data;
}

}  // namespace

Prepared Prepare(const ConvertOptions& options, std::vector<std::string>* notices) {
  const auto stage = [&](const std::string& name, double fraction) {
    if (options.progress) options.progress(name, fraction);
  };
  stage("import", 0.0);
  const bool bayesian = !options.posterior_path.empty();
  Prepared prepared;
  prepared.network = ImportOnnx(options.model_path,
                                bayesian ? ReadPosterior(options.posterior_path) : Posterior{});
  CheckParameters(prepared.network);
  PrepareNetwork(&prepared.network);
  prepared.steps = MakeSteps(prepared.network);
  ResolveInput(options, &prepared.network, notices);
  prepared.data = LoadCalibration(options, prepared.network);
  // Without sigmas all passes are the same.
  const int passes = bayesian ? options.calibration_passes : 1;
  prepared.calibration = Calibrate(prepared.network, prepared.data, passes, options.seed,
                                   [&](double f) { stage("calibrate", f); });
  prepared.input = QuantizeInput(prepared.network, prepared.data);
  return prepared;
}

}  // namespace mu8::convert
