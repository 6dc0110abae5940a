// An ONNX model, imported without a posterior.
#include "converters/onnx/import.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A graph may make parameters of 512 MiB (ImportGraph), and hold one layer's twice.
  const mu8::fuzz::Limits limits(
      size, {.bytes = std::size_t{1} << 30, .bytes_each = 8192, .seconds = 20});
  static const mu8::testing::MemoryFile file;
  file.Write({data, size});
  mu8::testing::ReadOrRefuse([&] { mu8::convert::ImportOnnx(file.path(), {}); });
  return 0;
}
