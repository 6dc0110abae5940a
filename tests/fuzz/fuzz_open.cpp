// libFuzzer entry: opens the bytes as they are and with their checksums repaired, so that mutations
// reach the rules behind them, and predicts with two passes whatever is accepted and small. A file
// that is read through a Source must have the same diagnostic and predictions.
//
// Configure with CMAKE_CXX_COMPILER=clang++, MU8_BUILD_FUZZERS=ON, MU8_BUILD_HOST=OFF,
// MU8_SANITIZED=ON and CMAKE_CXX_FLAGS="-fsanitize=address,undefined,fuzzer-no-link
// -fno-sanitize-recover=all", then run
//   tests/mu8_fuzz_open -max_len=16384 CORPUS tests/data/golden tests/data/invalid
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "tests/support/damage.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void RunBothWays(mu8::testing::Sandbox* sandbox, std::span<const std::byte> file) {
  const mu8::testing::Outcome mapped = sandbox->Run(file), streamed = sandbox->RunStreamed(file);
  if (mapped.status == mu8::Status::kMisalignedFile) return;  // only of files in memory
  // Of a file that is accepted the arenas differ, and so does what is too large to run.
  if (mapped.ran && streamed.ran && mapped.predictions == streamed.predictions) return;
  const bool alike = mapped.status == streamed.status &&
                     mapped.diagnostic.offset == streamed.diagnostic.offset &&
                     mapped.diagnostic.layer == streamed.diagnostic.layer &&
                     mapped.diagnostic.tensor == streamed.diagnostic.tensor &&
                     mapped.diagnostic.found == streamed.diagnostic.found &&
                     mapped.diagnostic.expected == streamed.diagnostic.expected;
  if (!alike || (mapped.ran && streamed.ran)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static mu8::testing::Sandbox sandbox;
  if (size > mu8::testing::Sandbox::kMaxBytes) return 0;
  const auto bytes = std::as_bytes(std::span(data, size));
  RunBothWays(&sandbox, bytes);
  std::vector<std::byte> repaired(bytes.begin(), bytes.end());
  mu8::testing::RepairDamaged(repaired);
  RunBothWays(&sandbox, repaired);
  return 0;
}
