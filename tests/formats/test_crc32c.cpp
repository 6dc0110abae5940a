// CRC-32C against published answers (RFC 3720, appendix B.4) and its own definition.
#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <numeric>

#include "formats/crc32c.h"

namespace mu8::testing {
namespace {

using format::Crc32c;

TEST_CASE("crc32c: known answers") {
  CHECK(Crc32c("123456789", 9) == 0xe3069283U);
  CHECK(Crc32c("", 0) == 0);
  std::array<std::uint8_t, 32> bytes{};
  CHECK(Crc32c(bytes.data(), 32) == 0x8a9136aaU);
  bytes.fill(0xff);
  CHECK(Crc32c(bytes.data(), 32) == 0x62a8ab43U);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  CHECK(Crc32c(bytes.data(), 32) == 0x46dd794eU);
}

TEST_CASE("crc32c: continues over pieces") {
  const char* text = "a model in pieces";
  const std::size_t size = std::strlen(text);
  for (std::size_t cut = 0; cut <= size; ++cut) {
    CHECK(Crc32c(text + cut, size - cut, Crc32c(text, cut)) == Crc32c(text, size));
  }
}

}  // namespace
}  // namespace mu8::testing
