// --stop-*: when an image has had enough passes, as the command line says it.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mu8/mu8.h"

namespace mu8::tool {

struct StopOptions {
  std::optional<float> error;
  std::optional<std::string> outputs;  // --stop-class; output_names.h reads it
  std::optional<float> threshold, within;

  void AddTo(CLI::App* app);
  // Without a rule if none is asked for. `*chosen` is the memory of Stop::chosen and must outlive
  // the session. Throws UsageError for a rule that is not whole or that `model` does not have.
  Stop Parse(const Model& model, std::vector<std::uint8_t>* chosen) const;
};

// The rules that hold for a model, as Stop::rule and by the options that ask for them.
struct StopRuleName {
  StopRule rule;
  const char* name;     // of JSON
  const char* options;  // for people
};
std::vector<StopRuleName> StopRulesOf(const Model& model);

}  // namespace mu8::tool
