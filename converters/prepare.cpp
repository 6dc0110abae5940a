#include "converters/prepare.h"

#include <utility>

#include "converters/host/error.h"
#include "converters/host/labels.h"
#include "converters/lower/limits.h"
#include "converters/network/head.h"
#include "converters/network/input.h"
#include "converters/network/rewrites.h"
#include "converters/onnx/import.h"

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
  const auto classes =
      static_cast<std::size_t>(network.values[static_cast<std::size_t>(network.output)].channels);
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

}  // namespace

Imported Import(const ConvertOptions& options, std::vector<std::string>* notices) {
  Report(options, "import", 0.0);
  Imported imported;
  Network& network = imported.network;
  network =
      ImportOnnx(options.model_path, ReadPosteriorOf(options.model_path, options.posterior_path),
                 options.output_name);
  PrepareNetwork(&network);
  if (!options.labels.empty()) network.labels = options.labels;
  CheckLabels(network, notices);
  imported.data = host::LoadDataset(options.calibration_path, options.calibration_limit,
                                    InputSpecOf(network), options.data);
  notices->insert(notices->end(), imported.data.notices.begin(), imported.data.notices.end());
  std::vector<std::string> problems;
  FitInput(imported.data, &network, &problems);
  ResolveNormalization({options.mean, options.std}, imported.data, &network, notices, &problems);
  imported.steps = MakeSteps(network);
  imported.head_reason = ResolveHead(options.head, &network, notices, &problems);
  CheckLimits(network, imported.steps, &problems);
  if (!problems.empty()) throw host::Error(problems);
  return imported;
}

Prepared Prepare(const ConvertOptions& options, Imported imported) {
  Prepared prepared{.network = std::move(imported.network),
                    .steps = std::move(imported.steps),
                    .data = std::move(imported.data),
                    .normalization = {},
                    .calibration = {},
                    .input = {}};
  const std::size_t images = CalibrationImages(prepared.network, options.max_memory_bytes);
  prepared.normalization = {prepared.network.mean, prepared.network.std};
  ScaleInput(InputScales(prepared.network, prepared.data), &prepared.network);
  // Without sigmas all passes are the same.
  const int passes = options.posterior_path.empty() ? 1 : options.calibration_passes;
  prepared.calibration = Calibrate(
      prepared.network, prepared.data, passes, options.seed,
      [&](double f) { Report(options, "calibrate", f); }, images);
  prepared.input = QuantizeInput(prepared.network, prepared.data);
  return prepared;
}

}  // namespace mu8::convert
