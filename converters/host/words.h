// Pieces of text, as every reader of it cuts and every message joins them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mu8::host {

// Without spaces, tabs and line ends around it.
std::string_view Trim(std::string_view text);

// With small letters for A to Z.
std::string ToLower(std::string_view text);

// The parts between separators, one more than there are of these.
std::vector<std::string_view> Split(std::string_view text, char separator);

// `"a", "b"`; of more than 16 names the first ones: `"a", "b", ... "p" and 44 more`.
std::string NameList(const std::vector<std::string>& names);

}  // namespace mu8::host
