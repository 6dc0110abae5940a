// A bit plan: how many bits the means of each layer get. JSON, {"layers": [{"name": "conv1",
// "mu_bits": 3}, ...]}; other keys say where it comes from and are not read.
#pragma once

#include <map>
#include <string>

namespace mu8::tool {

// Bits by layer name. Throws convert::Error for a file that is no such plan.
std::map<std::string, int> ReadPlan(const std::string& path);

}  // namespace mu8::tool
