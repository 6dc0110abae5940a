// What `mu8 eval` says about predictions: every metric as JSON, and the same figures for people.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/mu8/ensemble.h"
#include "tools/mu8/json_output.h"

namespace mu8::tool {

struct OodSet {
  std::string data;
  EnsembleResult result;
};

struct Report {
  std::string model, data;
  std::uint64_t seed = 0;
  EnsembleResult result;
  std::vector<int> labels;  // one per image, or empty
  std::string against;
  std::optional<double> kl_against, label_agreement;
  std::vector<OodSet> ood;
  bool curves = false;
};

// README.md documents the keys.
Json ReportJson(const Report& report);

// Grouped text on stdout; `json` is the report's.
void PrintReport(const Report& report, const Json& json);

}  // namespace mu8::tool
