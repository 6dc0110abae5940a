// A bit plan for `mu8 convert --bits`.
#include "converters/allocate/bit_plan.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const mu8::fuzz::Limits limits(size, {.bytes_each = 256});
  static const mu8::testing::MemoryFile file;
  file.Write({data, size});
  mu8::testing::ReadOrRefuse([&] { mu8::convert::ReadPlan(file.path()); });
  return 0;
}
