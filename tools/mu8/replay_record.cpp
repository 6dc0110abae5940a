#include "tools/mu8/replay_record.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <utility>

#include "converters/host/error.h"
#include "converters/host/json.h"
#include "formats/crc32c.h"
#include "tools/mu8/prediction_crc.h"

namespace mu8::tool {
namespace {

std::string Hex(std::uint64_t value, int digits) {
  char text[20];
  std::snprintf(text, sizeof text, "%0*llx", digits, static_cast<unsigned long long>(value));
  return text;
}

// The fields of one record. Whatever is wrong with one is an Error that names it.
class Fields {
 public:
  Fields(const nlohmann::json& json, std::string where) : json_(json), where_(std::move(where)) {}

  host::Error Wrong(const char* key, const std::string& expected) const {
    return host::Error(where_ + key + " is " + host::QuotedJson(At(key)) + ", expected " +
                       expected);
  }

  const nlohmann::json& At(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) {
      throw host::Error(where_ + "has no " + key +
                        "; expected all that `mu8 predict --json` printed");
    }
    return *found;
  }

  bool Has(const char* key) const { return json_.contains(key); }

  // As many digits as Hex writes.
  std::uint64_t Hexadecimal(const char* key, std::size_t digits) const {
    const std::string text = At(key).is_string() ? At(key).get<std::string>() : "";
    std::uint64_t value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (text.size() != digits || problem != std::errc() || end != text.data() + text.size()) {
      throw Wrong(key, std::to_string(digits) + " hexadecimal digits, as text");
    }
    return value;
  }

  // A whole number of the field's width, at most `most`.
  template <typename To>
  To Number(const char* key, std::uint64_t most) const {
    const nlohmann::json& value = At(key);
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most) {
      throw Wrong(key, "a whole number from 0 to " + std::to_string(most));
    }
    return static_cast<To>(value.get<std::uint64_t>());
  }

  float Float(const char* key) const {
    const nlohmann::json& value = At(key);
    constexpr double kMost = std::numeric_limits<float>::max();
    if (!value.is_number() || std::abs(value.get<double>()) > kMost) {
      throw Wrong(key, "a number within the range of float");
    }
    return value.get<float>();
  }

  // A list of 0 and 1.
  std::vector<std::uint8_t> Choices(const char* key) const {
    const nlohmann::json& list = At(key);
    std::vector<std::uint8_t> choices;
    bool is_good = list.is_array();
    for (const nlohmann::json& entry : list) {
      is_good = is_good && entry.is_number_unsigned() && entry.get<std::uint64_t>() <= 1;
      if (is_good) choices.push_back(entry.get<std::uint8_t>());
    }
    if (!is_good) throw Wrong(key, "a list of 0 and 1");
    return choices;
  }

 private:
  const nlohmann::json& json_;
  std::string where_;
};

// What no prediction can have: found before as many passes are made as a damaged record asks for.
void CheckSamples(const Fields& fields, const ReplayRecord& record) {
  if (record.method == Method::kMoments) return;
  const std::string of = std::to_string(record.mc_samples) + " (mc_samples)";
  if (record.ended == Ended::kMoments) {
    throw fields.Wrong("ended", "another way: method says that passes were made");
  }
  if (record.ended == Ended::kAllSamples && record.samples_used != record.mc_samples) {
    throw fields.Wrong("samples_used", of + ", since ended says that all were made");
  }
  if (record.ended == Ended::kDeadline && record.samples_used >= record.mc_samples) {
    throw fields.Wrong("samples_used", "less than " + of + ", since ended names a deadline");
  }
  if (record.samples_used > record.mc_samples) {
    throw fields.Wrong("samples_used", "at most " + of);
  }
}

// stop_chosen, which goes with its checksum.
std::vector<std::uint8_t> ParseChosen(const Fields& fields, std::uint32_t recorded_crc) {
  if (recorded_crc == 0 && !fields.Has("stop_chosen")) return {};
  std::vector<std::uint8_t> chosen = fields.Choices("stop_chosen");
  const std::uint32_t crc = format::Crc32c(chosen.data(), chosen.size());
  if (crc != recorded_crc) {
    throw fields.Wrong("stop_chosen_crc", "\"" + Hex(crc, 8) + "\", that of stop_chosen");
  }
  return chosen;
}

// What computing it again must say: ReplayOptions has what becomes of a deadline, and of images
// that moments decided. Another version of the library has to compute the same.
ReplayRecord Expected(const ReplayRecord& recorded) {
  ReplayRecord expected = recorded;
  expected.library_version = kLibraryVersion;
  if (recorded.ended == Ended::kDeadline && recorded.samples_used != 0) {
    expected.mc_samples = recorded.samples_used;
  }
  if (recorded.ended == Ended::kDeadline || recorded.ended == Ended::kMoments) {
    expected.ended = Ended::kAllSamples;
  }
  return expected;
}

Json FieldsJson(const ReplayRecord& record) {
  return {{"model_hash", Hex(record.model_hash, 16)},
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
          {"format_minor", record.format_minor}};
}

}  // namespace

Json ReplayJson(const Prediction& prediction) {
  const ReplayRecord& record = prediction.replay;
  Json json = FieldsJson(record);
  json["prediction_crc"] = Hex(PredictionCrc(prediction), 8);
  if (record.stop_chosen_crc != 0) {
    json["stop_chosen"] = Json::array();
    for (const Decision decision : prediction.decisions) {
      json["stop_chosen"].push_back(decision == Decision::kNotChosen ? 0 : 1);
    }
  }
  return json;
}

Recorded ParseReplay(const std::string& path, const nlohmann::json& json) {
  constexpr std::uint64_t kMost16 = 0xffff, kMost32 = 0xffffffff;
  if (!json.is_object()) {
    throw host::Error(path + ": replay record: is " + host::QuotedJson(json) +
                      ", expected the object that `mu8 predict --json` printed");
  }
  const Fields fields(json, path + ": replay record: ");
  Recorded recorded;
  ReplayRecord& record = recorded.record;
  record.model_hash = fields.Hexadecimal("model_hash", 16);
  record.seed = fields.Number<std::uint64_t>("seed", ~std::uint64_t{0});
  record.mc_samples = fields.Number<std::uint32_t>("mc_samples", kMost32);
  record.samples_used = fields.Number<std::uint32_t>("samples_used", kMost32);
  record.method = fields.Number<Method>("method", 1);
  record.noise = fields.Number<Noise>("noise", 1);
  record.stop_rule = fields.Number<StopRule>("stop_rule", 4);
  record.ended = fields.Number<Ended>("ended", 7);
  record.stop_error = fields.Float("stop_error");
  record.stop_threshold = fields.Float("stop_threshold");
  record.stop_within = fields.Float("stop_within");
  record.stop_class = fields.Number<std::uint32_t>("stop_class", kMost32);
  record.stop_chosen_crc = static_cast<std::uint32_t>(fields.Hexadecimal("stop_chosen_crc", 8));
  record.library_version = fields.Number<std::uint32_t>("library_version", kMost32);
  record.format_major = fields.Number<std::uint16_t>("format_major", kMost16);
  record.format_minor = fields.Number<std::uint16_t>("format_minor", kMost16);
  recorded.prediction_crc = static_cast<std::uint32_t>(fields.Hexadecimal("prediction_crc", 8));
  recorded.chosen = ParseChosen(fields, record.stop_chosen_crc);
  CheckSamples(fields, record);
  return recorded;
}

std::vector<std::string> RecordDifferences(const ReplayRecord& recorded,
                                           const ReplayRecord& computed) {
  const Json expected = FieldsJson(Expected(recorded)), found = FieldsJson(computed);
  std::vector<std::string> differences;
  for (const auto& [key, value] : expected.items()) {
    if (value == found[key]) continue;
    differences.push_back(key + " is " + value.dump() + ", computed again it is " +
                          found[key].dump());
  }
  return differences;
}

}  // namespace mu8::tool
