// Texts that a user or a file gives: class names, one a line, and how an array lies in memory.
#include <string_view>

#include "converters/host/input_layout.h"
#include "converters/host/labels.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const mu8::fuzz::Limits limits(size, {});
  static const mu8::testing::MemoryFile file;
  file.Write({data, size});
  mu8::testing::ReadOrRefuse([&] { mu8::host::SharedLabel(mu8::host::ReadLabels(file.path())); });
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  mu8::host::InputSpec spec;
  mu8::testing::ReadOrRefuse([&] {
    mu8::host::ReadLayoutText(text, &spec);
    mu8::host::ReadLayout("", spec.dims, spec, text.substr(0, text.find(':')));
  });
  return 0;
}
