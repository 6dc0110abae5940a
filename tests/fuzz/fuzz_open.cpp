// libFuzzer entry: opens the bytes as they are and with their checksums repaired, so that mutations
// reach the rules behind them, and predicts with two passes whatever is accepted and small.
//
// Configure with CMAKE_CXX_COMPILER=clang++, MU8_BUILD_FUZZERS=ON, MU8_BUILD_HOST=OFF,
// MU8_SANITIZED=ON and CMAKE_CXX_FLAGS="-fsanitize=address,undefined,fuzzer-no-link
// -fno-sanitize-recover=all", then run
//   tests/mu8_fuzz_open -max_len=16384 CORPUS tests/data/golden tests/data/invalid
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "tests/support/damage.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static mu8::testing::Sandbox sandbox;
  if (size > mu8::testing::Sandbox::kMaxBytes) return 0;
  const auto bytes = std::as_bytes(std::span(data, size));
  sandbox.Run(bytes);
  std::vector<std::byte> repaired(bytes.begin(), bytes.end());
  mu8::testing::RepairDamaged(repaired);
  sandbox.Run(repaired);
  return 0;
}
