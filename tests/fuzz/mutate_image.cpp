// Mutations of PNG and JPEG files by bytes, after which most PNG files get right CRCs again: with
// wrong ones no decoder sees them.
#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace {

constexpr std::uint8_t kSignature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

std::uint32_t Load(std::span<const std::uint8_t> bytes) {
  return static_cast<std::uint32_t>(bytes[0]) << 24 | static_cast<std::uint32_t>(bytes[1]) << 16 |
         static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3];
}

// A chunk: its length, 4 letters, so many bytes, the CRC of letters and bytes.
void RepairCrcs(std::span<std::uint8_t> file) {
  constexpr std::size_t kAround = 12;
  for (std::size_t at = sizeof(kSignature); file.size() - at >= kAround;) {
    const std::size_t bytes = Load(file.subspan(at));
    if (bytes > file.size() - at - kAround) return;
    const uLong crc = crc32_z(0, file.data() + at + 4, bytes + 4);
    for (std::size_t i = 0; i < 4; ++i) {
      file[at + 8 + bytes + i] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
    }
    at += bytes + kAround;
  }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned int seed) {
  size = LLVMFuzzerMutate(data, size, most);
  const bool is_png =
      size >= sizeof(kSignature) && std::equal(kSignature, std::end(kSignature), data);
  if (is_png && seed % 8 != 0) RepairCrcs({data, size});
  return size;
}
