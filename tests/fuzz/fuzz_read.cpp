// The reader alone: Open of bytes that end at a guard page, what it says of those that it refuses,
// and all texts of those that it accepts. `open` goes on from there; this one is for many
// executions.
#include <array>
#include <cstring>
#include <span>
#include <string_view>

#include "formats/reader.h"
#include "tests/fuzz/target.h"
#include "tests/support/guarded_buffer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 20;
  static mu8::testing::GuardedBuffer memory(kMostBytes);
  if (size > kMostBytes) return 0;
  // Nothing is allocated, and time is linear in the file's size.
  const mu8::fuzz::Limits limits(size, {.bytes = 0, .bytes_each = 0, .seconds = 0.5});
  std::byte* const file = memory.Last(size);
  if (size != 0) std::memcpy(file, data, size);
  mu8::format::View view;
  mu8::Diagnostic diagnostic;
  if (mu8::format::Open({file, size}, &view, &diagnostic) != mu8::Status::kOk) {
    std::array<char, 256> text{};
    if (mu8::Explain(diagnostic, text) == 0) __builtin_trap();
    return 0;
  }
  view = mu8::format::Reopen({file, size});
  std::uint64_t place = 0;
  std::size_t length = 0;
  std::string_view key, value;
  for (std::uint32_t left = mu8::format::MetadataCount(view); left > 0; --left) {
    mu8::format::NextMetadata(view, &place, &key, &value);
    length += key.size() + value.size();
  }
  if (length > size) __builtin_trap();
  if (length != 0 && !mu8::format::FindMetadata(view, key, &value)) __builtin_trap();
  if (mu8::format::Line(value, 1).size() > value.size()) __builtin_trap();
  return 0;
}
