// Committed files below tests/data. Tests read them; with MU8_UPDATE_GOLDEN=1 in the environment
// they are written first.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mu8::testing {

inline bool UpdateGolden() {
  const char* value = std::getenv("MU8_UPDATE_GOLDEN");
  return value != nullptr && std::string_view(value) == "1";
}

// Every byte of a file; empty if there is none.
inline std::vector<std::byte> ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> text{std::istreambuf_iterator<char>(file), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

inline void WriteFile(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

}  // namespace mu8::testing
