// A PNG or JPEG image, as grey and as colour, by a network that wants its own size: another one is
// refused before anything is decoded.
#include <algorithm>
#include <string>

#include "converters/host/images.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr int kMostPixels = 1 << 16;  // of a network's input; keeps a run short
  const mu8::fuzz::Limits limits(size, {.bytes = (8 << 20) + mu8::fuzz::XzBytes({data, size})});
  static const mu8::testing::MemoryFile file;
  std::string why;
  mu8::host::ImageSize wanted =
      mu8::host::FindImageSize({data, size}, &why).value_or(mu8::host::ImageSize{28, 28, 1});
  if (wanted.width > kMostPixels / std::max(wanted.height, 1)) wanted = {28, 28, 1};
  file.Write({data, size});
  for (const int channels : {1, 3}) {
    wanted.channels = channels;
    mu8::testing::ReadOrRefuse([&] { mu8::host::LoadImageFile(file.path(), wanted); });
  }
  return 0;
}
