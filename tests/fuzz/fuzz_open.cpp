// A .mu8 file: opened, and predicted with two passes where it is accepted and small. Read through a
// Source it must have the same diagnostic and predictions. mutate_model.h repairs checksums, so
// that mutations reach the rules behind them.
#include <cstdlib>
#include <span>

#include "tests/fuzz/target.h"
#include "tests/support/damage.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static mu8::testing::Sandbox sandbox;
  if (size > mu8::testing::Sandbox::kMaxBytes) return 0;
  const mu8::fuzz::Limits limits(size, {.bytes = std::size_t{16} << 20, .seconds = 20});
  const auto file = std::as_bytes(std::span(data, size));
  const mu8::testing::Outcome mapped = sandbox.Run(file), streamed = sandbox.RunStreamed(file);
  if (mapped.status == mu8::Status::kMisalignedFile) return 0;  // only of files in memory
  // Of a file that is accepted the arenas differ, and so does what is too large to run.
  if (mapped.ran && streamed.ran && mapped.predictions == streamed.predictions) return 0;
  const bool alike = mapped.status == streamed.status &&
                     mapped.diagnostic.offset == streamed.diagnostic.offset &&
                     mapped.diagnostic.layer == streamed.diagnostic.layer &&
                     mapped.diagnostic.tensor == streamed.diagnostic.tensor &&
                     mapped.diagnostic.found == streamed.diagnostic.found &&
                     mapped.diagnostic.expected == streamed.diagnostic.expected;
  if (!alike || (mapped.ran && streamed.ran)) std::abort();
  return 0;
}
