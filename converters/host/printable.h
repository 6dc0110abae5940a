// Untrusted text for people: names from a model, a path or a table, which may hold anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mu8::host {

// The first character of a UTF-8 text; of a sequence that is none, its first byte.
struct Character {
  std::uint32_t code = 0;
  std::size_t bytes = 1;
  bool is_valid = false;
};
Character FirstCharacter(std::string_view text);

// Whether a character moves the cursor, changes colours or the direction of writing, or cannot be
// seen: a name with such ones could show what no program has written.
bool ActsOnTerminal(std::uint32_t code);

// The text on one line, for a terminal: control characters (C0, DEL, C1), marks that change the
// direction of writing, invisible characters and bytes that are no UTF-8 come as \x1b or \u202e,
// line feeds as \n.
std::string Printable(std::string_view text);

}  // namespace mu8::host
