// A bit plan: how many bits the means of each layer get. JSON, {"layers": [{"name": "conv1",
// "mu_bits": 3}, {"name": "conv2", "mu_bits": [3, 2]}, ...]}; a list has a width for each panel;
// other keys say where it comes from and are not read.
#pragma once

#include <map>
#include <string>

#include "converters/settings.h"

namespace mu8::convert {

// Bits by layer name. Throws Error for a file that is no such plan, or has more than 64 MiB.
std::map<std::string, MuBits> ReadPlan(const std::string& path);

}  // namespace mu8::convert
