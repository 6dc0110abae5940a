#include "tools/mu8/json_output.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <string>

#include "tools/mu8/text.h"

namespace mu8::tool {

double ShortestDouble(float value) {
  if (!std::isfinite(value)) return static_cast<double>(value);
  char text[64];
  const auto [end, problem] = std::to_chars(text, text + sizeof text, value);
  double result = static_cast<double>(value);
  if (problem == std::errc()) std::from_chars(text, end, result);
  return result;
}

Json FloatArray(std::span<const float> values) {
  Json array = Json::array();
  for (const float value : values) array.push_back(ShortestDouble(value));
  return array;
}

Json BitsJson(std::span<const int> bits) {
  if (bits.size() == 1) return bits.front();
  Json list = Json::array();
  for (const int b : bits) list.push_back(b);
  return list;
}

void PrintJson(const Json& object) {
  const std::string text =
      PrintableJson(object.dump(2, ' ', false, Json::error_handler_t::replace));
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
}

}  // namespace mu8::tool
