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

// The first character of a UTF-8 text; of a sequence that is none, its first byte.
struct Character {
  std::uint32_t code = 0;
  std::size_t bytes = 1;
  bool is_valid = false;
};

Character FirstCharacter(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};  // by length: no longer forms
  if (lead < 0xc0 || lead > 0xf7 || text.size() < bytes) return {lead, 1, false};
  std::uint32_t code = lead & (0xffU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return {lead, 1, false};
    code = code << 6 | (byte(i) & 0x3fU);
  }
  const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kLeast[bytes] || code > 0x10ffff || is_surrogate) return {lead, 1, false};
  return {code, bytes, true};
}

// Characters that move the cursor, change colours or the direction of writing, or cannot be seen: a
// name with them could show what no program has written.
bool ActsOnTerminal(std::uint32_t code) {
  const auto within = [code](std::uint32_t first, std::uint32_t last) {
    return code >= first && code <= last;
  };
  return code < 0x20 || within(0x7f, 0x9f) || code == 0xad || code == 0x61c ||
         within(0x200b, 0x200f) || within(0x2028, 0x202e) || within(0x2060, 0x206f) ||
         code == 0xfeff || within(0xfff9, 0xfffb) || within(0xe0000, 0xe007f);
}

// "\\x1b" for each byte that is no valid UTF-8 or one of ASCII, "\\u202e" for characters.
std::string Escaped(const Character& character, std::string_view text) {
  char escape[16];
  if (character.is_valid && character.bytes > 1) {
    std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(character.code));
  } else {
    std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned char>(text.front()));
  }
  return escape;
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

std::string Printable(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const Character character = FirstCharacter(text);
    if (character.code == '\n') {
      result += "\\n";
    } else if (!character.is_valid || ActsOnTerminal(character.code)) {
      result += Escaped(character, text);
    } else {
      result += text.substr(0, character.bytes);
    }
    text.remove_prefix(character.bytes);
  }
  return result;
}

std::string PrintableJson(std::string_view json) {
  std::string result;
  while (!json.empty()) {
    const Character character = FirstCharacter(json);
    // JSON's own line feeds stay; those of strings are escapes already.
    if (character.code >= 0x7f && ActsOnTerminal(character.code)) {
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
