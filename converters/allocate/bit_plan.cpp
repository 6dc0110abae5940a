#include "converters/allocate/bit_plan.h"

#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/host/json.h"

namespace mu8::convert {

using Json = nlohmann::json;

namespace {

// A width for each of eight million panels, as `mu8 allocate` writes them.
constexpr std::size_t kMostPlanBytes = std::size_t{64} << 20;

constexpr const char* kExpected =
    "{\"layers\": [{\"name\": ..., \"mu_bits\": 1 to 8, or a list of these by panel}, ...]}";

}  // namespace

std::map<std::string, MuBits> ReadPlan(const std::string& path) {
  const std::string text = host::ReadTextFile(path, "a bit plan (JSON)", kMostPlanBytes);
  const Json plan = host::ParseJson(path + ": ", text, kExpected);
  const auto fail = [&](const std::string& what) -> host::Error {
    return host::Error(path + ": " + what + ", expected " + kExpected);
  };
  if (!plan.is_object() || !plan.contains("layers") || !plan["layers"].is_array()) {
    throw fail("has no list of layers");
  }
  std::map<std::string, MuBits> bits;
  for (std::size_t i = 0; i < plan["layers"].size(); ++i) {
    const Json& layer = plan["layers"][i];
    const std::string where = "layer " + std::to_string(i);
    if (!layer.is_object() || !layer.contains("name") || !layer["name"].is_string() ||
        !layer.contains("mu_bits")) {
      throw fail(where + " lacks name or mu_bits");
    }
    const bool is_list = layer["mu_bits"].is_array() && !layer["mu_bits"].empty();
    MuBits widths;
    for (const Json& value : is_list ? layer["mu_bits"] : Json::array({layer["mu_bits"]})) {
      const auto width = value.is_number_unsigned() ? value.get<std::uint64_t>() : 0;
      if (width < 1 || width > 8) throw fail(where + " has " + host::QuotedJson(value) + " bits");
      widths.push_back(static_cast<int>(width));
    }
    if (!bits.emplace(layer["name"].get<std::string>(), std::move(widths)).second) {
      throw fail(where + " names '" + layer["name"].get<std::string>() + "' again");
    }
  }
  return bits;
}

}  // namespace mu8::convert
