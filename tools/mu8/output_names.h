// Which outputs of a model the user means: names and indices, never guessed where both fit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mu8::tool {

struct ChosenOutputs {
  std::vector<std::uint32_t> indices;  // increasing
  bool several = false;                // "all" or a list was asked for, be it of one
};

// "all", or outputs with commas between them, each by its name or its index. `names` has one for
// each output, empty where it has none. "index:3" and "name:3" say which of the two is meant.
// Throws UsageError for what is no output, or more than one.
ChosenOutputs ParseOutputs(const std::string& option, const std::string& text,
                           const std::vector<std::string>& names);

}  // namespace mu8::tool
