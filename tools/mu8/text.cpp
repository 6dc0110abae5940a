#include "tools/mu8/text.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <utility>

namespace mu8::tool {
namespace {

std::size_t Width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u;  // no UTF-8 continuation byte
  }));
}

// Beyond 16 bits as the two halves that JSON knows.
std::string JsonEscape(std::uint32_t code) {
  char escape[16];
  if (code < 0x10000) {
    std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(code));
  } else {
    const std::uint32_t offset = code - 0x10000;
    std::snprintf(escape, sizeof escape, "\\u%04x\\u%04x",
                  static_cast<unsigned>(0xd800 + (offset >> 10)),
                  static_cast<unsigned>(0xdc00 + (offset & 0x3ff)));
  }
  return escape;
}

}  // namespace

std::string Fixed(double value, int decimals) {
  char text[400];  // the largest double has 309 digits
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

std::string Significant(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

std::string Percent(double fraction, int decimals) {
  return Fixed(100.0 * fraction, decimals) + " %";
}

std::string ByteCount(std::size_t bytes) {
  std::string digits = std::to_string(bytes);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits + (bytes == 1 ? " byte" : " bytes");
}

std::string Dimensions(std::size_t height, std::size_t width, std::size_t channels) {
  return std::to_string(height) + " x " + std::to_string(width) + " x " + std::to_string(channels);
}

std::string PrintableJson(std::string_view json) {
  std::string result;
  while (!json.empty()) {
    const host::Character character = host::FirstCharacter(json);
    // JSON's own line feeds stay; those of strings are escapes already.
    if (character.code >= 0x7f && host::ActsOnTerminal(character.code)) {
      result += JsonEscape(character.code);
    } else {
      result += json.substr(0, character.bytes);
    }
    json.remove_prefix(character.bytes);
  }
  return result;
}

void Table::Add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::ToString(std::string_view indent) const {
  std::vector<std::string> header;
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) {
    header.push_back(column.header);
    widths.push_back(Width(column.header));
  }
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  std::string text;
  const auto append = [&](const std::vector<std::string>& row) {
    std::string line(indent);
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string fill(widths[i] - Width(row[i]), ' ');
      if (i > 0) line += "  ";
      line += columns_[i].align == Align::kLeft ? row[i] + fill : fill + row[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  const auto has_text = [](const std::string& cell) { return !cell.empty(); };
  if (std::any_of(header.begin(), header.end(), has_text)) append(header);
  for (const auto& row : rows_) append(row);
  return text;
}

Table Fields() { return Table({{"", Table::Align::kLeft}, {"", Table::Align::kLeft}}); }

}  // namespace mu8::tool
