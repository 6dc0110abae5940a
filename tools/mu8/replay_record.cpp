#include "tools/mu8/replay_record.h"

#include <charconv>
#include <cstdio>
#include <string>

#include "converters/host/error.h"
#include "tools/mu8/prediction_crc.h"

namespace mu8::tool {
namespace {

std::string Hex(std::uint64_t value, int digits) {
  char text[20];
  std::snprintf(text, sizeof text, "%0*llx", digits, static_cast<unsigned long long>(value));
  return text;
}

std::uint64_t FromHex(const Json& json, const char* key) {
  const auto text = json.at(key).get<std::string>();
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (problem != std::errc() || end != text.data() + text.size()) {
    throw host::Error(std::string("replay record: ") + key + " is '" + text +
                      "', expected hexadecimal digits");
  }
  return value;
}

// An unsigned number of the field's width, at most `most`.
template <typename To>
To Number(const Json& json, const char* key, std::uint64_t most) {
  const Json& value = json.at(key);
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most) {
    throw host::Error(std::string("replay record: ") + key + " is " + value.dump() +
                      ", expected a whole number up to " + std::to_string(most));
  }
  return static_cast<To>(value.get<std::uint64_t>());
}

Recorded Parse(const Json& json) {
  constexpr std::uint64_t kMost32 = 0xffffffff;
  Recorded recorded;
  ReplayRecord& record = recorded.record;
  record.model_hash = FromHex(json, "model_hash");
  record.seed = Number<std::uint64_t>(json, "seed", ~std::uint64_t{0});
  record.mc_samples = Number<std::uint32_t>(json, "mc_samples", kMost32);
  record.samples_used = Number<std::uint32_t>(json, "samples_used", kMost32);
  record.method = Number<Method>(json, "method", 1);
  record.noise = Number<Noise>(json, "noise", 1);
  record.stop_rule = Number<StopRule>(json, "stop_rule", 4);
  record.ended = Number<Ended>(json, "ended", 7);
  record.stop_error = json.at("stop_error").get<float>();
  record.stop_threshold = json.at("stop_threshold").get<float>();
  record.stop_within = json.at("stop_within").get<float>();
  record.stop_class = Number<std::uint32_t>(json, "stop_class", kMost32);
  record.stop_chosen_crc = static_cast<std::uint32_t>(FromHex(json, "stop_chosen_crc"));
  record.library_version = Number<std::uint32_t>(json, "library_version", kMost32);
  record.format_major = Number<std::uint16_t>(json, "format_major", 0xffff);
  record.format_minor = Number<std::uint16_t>(json, "format_minor", 0xffff);
  recorded.prediction_crc = static_cast<std::uint32_t>(FromHex(json, "prediction_crc"));
  if (json.contains("stop_chosen")) {
    recorded.chosen = json.at("stop_chosen").get<std::vector<std::uint8_t>>();
  }
  return recorded;
}

}  // namespace

Json ReplayJson(const Prediction& prediction) {
  const ReplayRecord& record = prediction.replay;
  Json json{{"model_hash", Hex(record.model_hash, 16)},
            {"seed", record.seed},
            {"mc_samples", record.mc_samples},
            {"samples_used", record.samples_used},
            {"method", static_cast<unsigned>(record.method)},
            {"noise", static_cast<unsigned>(record.noise)},
            {"stop_rule", static_cast<unsigned>(record.stop_rule)},
            {"ended", static_cast<unsigned>(record.ended)},
            {"stop_error", ShortestDouble(record.stop_error)},
            {"stop_threshold", ShortestDouble(record.stop_threshold)},
            {"stop_within", ShortestDouble(record.stop_within)},
            {"stop_class", record.stop_class},
            {"stop_chosen_crc", Hex(record.stop_chosen_crc, 8)},
            {"library_version", record.library_version},
            {"format_major", record.format_major},
            {"format_minor", record.format_minor},
            {"prediction_crc", Hex(PredictionCrc(prediction), 8)}};
  if (record.stop_chosen_crc != 0) {
    json["stop_chosen"] = Json::array();
    for (const Decision decision : prediction.decisions) {
      json["stop_chosen"].push_back(decision == Decision::kNotChosen ? 0 : 1);
    }
  }
  return json;
}

Recorded ParseReplay(const Json& json) {
  try {
    return Parse(json);
  } catch (const Json::exception& problem) {
    throw host::Error(std::string("replay record: ") + problem.what());
  }
}

}  // namespace mu8::tool
