#include "tools/mu8/bit_plan.h"

#include <fstream>

#include "converters/error.h"
#include "tools/mu8/json_output.h"

namespace mu8::tool {

std::map<std::string, int> ReadPlan(const std::string& path) {
  std::ifstream stream(path);
  if (!stream) throw convert::Error(path + ": cannot be read, expected a bit plan (JSON)");
  const Json plan = Json::parse(stream, nullptr, false);
  const auto fail = [&](const std::string& what) -> convert::Error {
    return convert::Error(path + ": " + what +
                          ", expected {\"layers\": [{\"name\": ..., \"mu_bits\": 1 to 8}, ...]}");
  };
  if (plan.is_discarded()) throw fail("is no JSON");
  if (!plan.is_object() || !plan.contains("layers") || !plan["layers"].is_array()) {
    throw fail("has no list of layers");
  }
  std::map<std::string, int> bits;
  for (std::size_t i = 0; i < plan["layers"].size(); ++i) {
    const Json& layer = plan["layers"][i];
    const std::string where = "layer " + std::to_string(i);
    if (!layer.is_object() || !layer.contains("name") || !layer["name"].is_string() ||
        !layer.contains("mu_bits") || !layer["mu_bits"].is_number_integer()) {
      throw fail(where + " lacks name or mu_bits");
    }
    const auto value = layer["mu_bits"].get<std::int64_t>();
    if (value < 1 || value > 8) throw fail(where + " has " + std::to_string(value) + " bits");
    if (!bits.emplace(layer["name"].get<std::string>(), static_cast<int>(value)).second) {
      throw fail(where + " names '" + layer["name"].get<std::string>() + "' again");
    }
  }
  return bits;
}

}  // namespace mu8::tool
