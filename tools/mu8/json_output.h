// JSON on stdout: an interface, so keys keep their order and meaning.
#pragma once

#include <nlohmann/json.hpp>
#include <span>

namespace mu8::tool {

using Json = nlohmann::ordered_json;

// The double whose shortest decimal text is that of `value`: 0.1f prints as 0.1, and reads back as
// the same float. Infinity and NaN become null.
double ShortestDouble(float value);

// An array of such numbers.
Json FloatArray(std::span<const float> values);

// Bits of a layer's means: a number, or a list of one for each panel.
Json BitsJson(std::span<const int> bits);

// Prints `object`, indented by two, and a newline. Text that is no UTF-8 (a model's metadata is
// untrusted) gets replacement characters.
void PrintJson(const Json& object);

}  // namespace mu8::tool
