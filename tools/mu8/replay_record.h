// A prediction's replay record as JSON, with the checksum of what it computed (prediction_crc.h).
#pragma once

#include <cstdint>
#include <vector>

#include "mu8/mu8.h"
#include "tools/mu8/json_output.h"

namespace mu8::tool {

// Enough to compute the prediction again, but for its image.
Json ReplayJson(const Prediction& prediction);

struct Recorded {
  ReplayRecord record;
  std::vector<std::uint8_t> chosen;  // Stop::chosen; empty: all
  std::uint32_t prediction_crc = 0;
};

// Of ReplayJson's object. Throws host::Error for anything else.
Recorded ParseReplay(const Json& json);

}  // namespace mu8::tool
