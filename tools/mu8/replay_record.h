// A prediction's replay record as JSON, with the checksum of what it computed (prediction_crc.h).
#pragma once

#include <cstdint>
#include <string>
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

// Of ReplayJson's object, of the file `path`. Throws host::Error, which names the field, for
// anything else, and for what no prediction can have.
Recorded ParseReplay(const std::string& path, const nlohmann::json& json);

// What a record says otherwise than that of the same prediction computed again, one text for each
// field. Another library_version is no difference.
std::vector<std::string> RecordDifferences(const ReplayRecord& recorded,
                                           const ReplayRecord& computed);

}  // namespace mu8::tool
