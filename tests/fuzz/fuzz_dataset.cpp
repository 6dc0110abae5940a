// Labelled images: IDX and CIFAR-10 files, plain, .gz or .xz; all of them, and the first two.
#include "converters/host/datasets.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const mu8::fuzz::Limits limits(
      size, {.bytes = (16 << 20) + mu8::fuzz::XzBytes({data, size}), .bytes_each = 8192});
  static const mu8::testing::MemoryFile file;
  file.Write({data, size});
  mu8::testing::ReadOrRefuse([&] { mu8::host::LoadDataset(file.path()); });
  mu8::testing::ReadOrRefuse([&] { mu8::host::LoadDataset(file.path(), 2); });
  return 0;
}
