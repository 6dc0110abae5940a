// What `mu8 eval` says about predictions: every metric as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "converters/judge/ensemble.h"
#include "tools/mu8/eval_targets.h"
#include "tools/mu8/json_output.h"

namespace mu8::tool {

struct OodSet {
  std::string data;
  convert::EnsembleResult result;
};

struct Report {
  std::string model;
  std::vector<std::string> members;  // .mu8 files: `model` and, of an ensemble, the others
  std::string data;
  std::uint64_t seed = 0;
  convert::EnsembleResult result;
  std::vector<std::string> names;  // of the outputs, or empty
  Targets targets;
  std::vector<double> noise;  // of values: variance of observations, one an output or one a number
  std::string against;
  std::optional<double> kl_against, label_agreement;
  std::vector<OodSet> ood;
  bool curves = false;
};

// README.md documents the keys.
Json ReportJson(const Report& report);

}  // namespace mu8::tool
