#include "formats/crc32c.h"

#include <array>

namespace mu8::format {
namespace {

// Built for size: a table of the 16 remainders of 4 bits, 64 bytes; else of the 256 of a byte, in
// half the steps.
#if defined(__OPTIMIZE_SIZE__)
constexpr int kBits = 4;
#else
constexpr int kBits = 8;
#endif

constexpr auto MakeTable() {
  std::array<std::uint32_t, 1 << kBits> table{};
  for (std::uint32_t start = 0; start < table.size(); ++start) {
    std::uint32_t crc = start;
    for (int bit = 0; bit < kBits; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    table[start] = crc;
  }
  return table;
}
constexpr auto kTable = MakeTable();

}  // namespace

std::uint32_t Crc32c(const void* data, std::size_t bytes, std::uint32_t crc) {
  const auto* p = static_cast<const unsigned char*>(data);
  crc = ~crc;
  for (std::size_t i = 0; i < bytes; ++i) {
    crc ^= p[i];
    for (int bit = 0; bit < 8; bit += kBits) {
      crc = (crc >> kBits) ^ kTable[crc & (kTable.size() - 1)];
    }
  }
  return ~crc;
}

}  // namespace mu8::format
