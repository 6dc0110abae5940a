#include "converters/host/printable.h"

#include <cstdio>

namespace mu8::host {
namespace {

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

}  // namespace

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

bool ActsOnTerminal(std::uint32_t code) {
  const auto within = [code](std::uint32_t first, std::uint32_t last) {
    return code >= first && code <= last;
  };
  return code < 0x20 || within(0x7f, 0x9f) || code == 0xad || code == 0x61c ||
         within(0x200b, 0x200f) || within(0x2028, 0x202e) || within(0x2060, 0x206f) ||
         code == 0xfeff || within(0xfff9, 0xfffb) || within(0xe0000, 0xe007f);
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

}  // namespace mu8::host
