// JSON of files, which are untrusted: read in time and memory proportional to its length, in one
// pass, and refused where readers would differ or would have to recurse deeply.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mu8::host {

// How many lists and objects may lie within each other: what is read here needs five.
inline constexpr std::size_t kDeepestJson = 64;

// The value that `text` is. Throws Error where it is no JSON, something lies behind the value, an
// object names a key twice, or it is deeper than kDeepestJson. The message is `subject`, which ends
// in a space, the problem, and ", expected " with `expected`.
nlohmann::json ParseJson(const std::string& subject, std::string_view text,
                         const std::string& expected);

// A value as messages quote it, in ASCII: its start if it is long.
std::string QuotedJson(const nlohmann::json& value);

}  // namespace mu8::host
