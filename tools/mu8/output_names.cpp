#include "tools/mu8/output_names.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

#include "tools/mu8/command.h"

namespace mu8::tool {
namespace {

using Names = std::vector<std::string>;

constexpr std::string_view kAll = "all", kIndex = "index:", kName = "name:";

// "3 ("cat")", or the index alone.
std::string Described(std::uint32_t output, const Names& names) {
  const std::string index = std::to_string(output);
  return names[output].empty() ? index : index + " (\"" + names[output] + "\")";
}

std::string OutputList(const Names& names) {
  constexpr std::size_t kMostListed = 50;
  const bool named =
      std::any_of(names.begin(), names.end(), [](const auto& n) { return !n.empty(); });
  if (!named) return "0 to " + std::to_string(names.size() - 1) + ", without names";
  std::string list;
  for (std::uint32_t i = 0; i < std::min(names.size(), kMostListed); ++i) {
    list += (i == 0 ? "" : ", ") + Described(i, names);
  }
  if (names.size() <= kMostListed) return list;
  return list + " and " + std::to_string(names.size() - kMostListed) +
         " more, which mu8 inspect lists";
}

std::optional<std::uint32_t> ParseIndex(std::string_view text, std::size_t count) {
  std::uint32_t index = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, problem] = std::from_chars(text.data(), end, index);
  if (problem != std::errc() || stop != end || index >= count) return {};
  return index;
}

// Every output that `text` may mean, in increasing order.
std::vector<std::uint32_t> Readings(std::string_view text, const Names& names) {
  std::vector<std::uint32_t> found;
  const auto add_named = [&](std::string_view name) {
    for (std::uint32_t i = 0; i < names.size() && !name.empty(); ++i) {
      if (names[i] == name) found.push_back(i);
    }
  };
  add_named(text);
  if (text.starts_with(kName)) add_named(text.substr(kName.size()));
  const std::string_view digits = text.starts_with(kIndex) ? text.substr(kIndex.size()) : text;
  if (const auto index = ParseIndex(digits, names.size())) found.push_back(*index);
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

[[noreturn]] void Ambiguous(const std::string& option, const std::string& text,
                            const std::vector<std::uint32_t>& readings, const Names& names) {
  std::string outputs, spellings;
  for (const std::uint32_t output : readings) {
    const std::string_view separator = outputs.empty() ? "" : " or ";
    outputs.append(separator).append(Described(output, names));
    spellings.append(separator).append(kIndex).append(std::to_string(output));
  }
  throw UsageError(option + ": \"" + text + "\" may be output " + outputs + ", expected " +
                   spellings);
}

std::uint32_t OutputOf(const std::string& option, const std::string& text, const Names& names) {
  const std::vector<std::uint32_t> readings = Readings(text, names);
  if (readings.size() == 1) return readings.front();
  if (readings.size() > 1) Ambiguous(option, text, readings, names);
  throw UsageError(option + ": is \"" + text +
                   "\", expected all, or names or indices with commas; the outputs are " +
                   OutputList(names));
}

std::vector<std::uint32_t> OutputsOf(const std::string& option, std::string_view text,
                                     const Names& names) {
  std::vector<std::uint32_t> outputs;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string item(text.substr(0, comma));
    const std::uint32_t output = OutputOf(option, item, names);
    if (std::find(outputs.begin(), outputs.end(), output) != outputs.end()) {
      throw UsageError(option + ": output " + Described(output, names) +
                       " is there twice, expected each once");
    }
    outputs.push_back(output);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  std::sort(outputs.begin(), outputs.end());
  return outputs;
}

// Whether every item of a list can be read.
bool IsList(const std::string& text, const Names& names) {
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    if (Readings(std::string_view(text).substr(at, comma - at), names).empty()) return false;
    at = comma + 1;
  }
  return true;
}

}  // namespace

ChosenOutputs ParseOutputs(const std::string& option, const std::string& text,
                           const std::vector<std::string>& names) {
  const std::vector<std::uint32_t> whole = Readings(text, names);
  if (text == kAll) {
    if (!whole.empty()) {
      throw UsageError(option + ": \"all\" may be every output or output " +
                       Described(whole.front(), names) + ", expected name:all or a list");
    }
    ChosenOutputs all{.indices = {}, .several = true};
    for (std::uint32_t i = 0; i < names.size(); ++i) all.indices.push_back(i);
    return all;
  }
  if (text.find(',') == std::string::npos) {
    return {.indices = {OutputOf(option, text, names)}, .several = false};
  }
  // A name may have commas itself.
  if (whole.empty()) return {.indices = OutputsOf(option, text, names), .several = true};
  if (IsList(text, names)) {
    throw UsageError(option + ": \"" + text + "\" may be output " +
                     Described(whole.front(), names) + " or a list, expected indices");
  }
  return {.indices = {OutputOf(option, text, names)}, .several = false};
}

}  // namespace mu8::tool
