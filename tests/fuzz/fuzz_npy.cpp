// A .npy array, which in a .npz file lies behind a checksum that mutations do not get past.
#include "converters/host/npz.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const mu8::fuzz::Limits limits(size, {});
  mu8::testing::ReadOrRefuse([&] { mu8::host::ReadNpy("", {data, size}); });
  return 0;
}
