// A posterior: .npz or .safetensors.
#include "converters/posterior/posterior.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const mu8::fuzz::Limits limits(size, {.bytes = std::size_t{16} << 20});
  static const mu8::testing::MemoryFile file;
  file.Write({data, size});
  mu8::testing::ReadOrRefuse([&] { mu8::convert::ReadPosterior(file.path(), 1 << 20); });
  return 0;
}
