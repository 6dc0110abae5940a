// The options of `mu8 eval`, and which of them go together.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "tools/mu8/eval_targets.h"
#include "tools/mu8/options.h"

namespace mu8::tool {

struct EvalOptions {
  std::vector<std::string> model_paths;                // .mu8 files, or
  std::string onnx_path, posterior_path, output_name;  // the FP32 reference
  HeadArguments head;
  bool mean_weights = false;
  bool engine_noise = false;
  std::string engine_weights;
  std::vector<std::string> recorded, recorded_uncertainty;  // of --data, then of each --ood
  std::string mean, std, noise;
  std::string data_path;
  host::DataOptions data;
  bool sorted_folders = false;
  std::size_t limit = std::numeric_limits<std::size_t>::max();
  SamplingOptions sampling;
  std::optional<std::uint32_t> batch;
  std::vector<std::string> ood_paths;
  std::size_t ood_limit = std::numeric_limits<std::size_t>::max();
  std::string predictions_path;
  std::string uncertainty_path;
  std::string against_path;
  std::string report_path;
  bool json = false;
  bool curves = false;
};

// All of them but --report, --json and --curves, and what the help says below.
void AddEvalOptions(CLI::App* app, EvalOptions* options);

// Throw UsageError where options exclude each other, or belong to another head than the model's.
void CheckUsage(const EvalOptions& options);
void CheckHead(const EvalOptions& options, convert::Head head);

// --noise: one variance for each output; empty: not given. Throws UsageError.
std::vector<double> ParseNoise(const std::string& text, const Outputs& outputs);

}  // namespace mu8::tool
