// What `mu8 predict` says of one prediction, as JSON and for people, by head.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "mu8/mu8.h"
#include "tools/mu8/json_output.h"

namespace mu8::tool {

using Names = std::vector<std::string>;  // of the outputs

// `name` is the input's; `top`: how many classes or labels to list. README.md documents the keys.
Json PredictionJson(const std::string& name, const Prediction& prediction, Head head,
                    const Names& names, std::size_t top);

// On stdout. `stop` is the rule that the session had.
void PrintPrediction(const std::string& name, const Prediction& prediction, Head head,
                     const Names& names, std::size_t top, const Stop& stop);

}  // namespace mu8::tool
