// Labelled images: IDX and CIFAR-10 files, plain, .gz or .xz; all of them, and the first two.
#include "converters/host/datasets.h"
#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const mu8::testing::MemoryFile file;
  file.Write({data, size});
  mu8::testing::ReadOrRefuse([&] { mu8::host::LoadDataset(file.path()); });
  mu8::testing::ReadOrRefuse([&] { mu8::host::LoadDataset(file.path(), 2); });
  return 0;
}
