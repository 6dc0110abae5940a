// A PNG or JPEG image, as grey and as colour.
#include "converters/host/images.h"
#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const mu8::testing::MemoryFile file;
  file.Write({data, size});
  for (const int channels : {1, 3}) {
    mu8::testing::ReadOrRefuse([&] { mu8::host::LoadImageFile(file.path(), channels); });
  }
  return 0;
}
