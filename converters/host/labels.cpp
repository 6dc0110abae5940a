#include "converters/host/labels.h"

#include <algorithm>
#include <cstddef>
#include <map>

#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/host/words.h"

namespace mu8::host {
namespace {

// A file has at most 65,535 classes; this is 256 bytes for the name of each.
constexpr std::size_t kMostLabelBytes = std::size_t{16} << 20;
constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

std::string_view WithoutEnd(std::string_view text) {
  const std::size_t last = text.find_last_not_of(kSpace);
  return last == std::string_view::npos ? std::string_view{} : text.substr(0, last + 1);
}

}  // namespace

std::vector<std::string> ParseLabels(const std::string& where, std::string_view text,
                                     std::vector<std::string>* problems) {
  std::vector<std::string> labels;
  text = WithoutEnd(text);
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    labels.emplace_back(Trim(text.substr(0, end)));
    if (labels.back().empty()) {
      problems->push_back(where + "line " + std::to_string(labels.size()) +
                          " is empty, expected a class name");
    }
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return labels;
}

std::vector<std::string> ReadLabels(const std::string& path) {
  const std::string text = ReadTextFile(path, "class names, one per line", kMostLabelBytes);
  std::string_view names = text;
  if (names.starts_with(kByteOrderMark)) names.remove_prefix(kByteOrderMark.size());
  std::vector<std::string> problems;
  std::vector<std::string> labels = ParseLabels(path + ": ", names, &problems);
  if (labels.empty()) problems.push_back(path + ": names no class, expected one name per line");
  if (!problems.empty()) throw Error(problems);
  return labels;
}

std::string SharedLabel(const std::vector<std::string>& labels) {
  std::map<std::string_view, std::size_t> class_of;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto [first, is_new] = class_of.emplace(labels[i], i);
    if (is_new) continue;
    return "classes " + std::to_string(first->second) + " and " + std::to_string(i) +
           " are both named '" + labels[i] + "'";
  }
  return {};
}

}  // namespace mu8::host
