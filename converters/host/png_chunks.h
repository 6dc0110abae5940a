// What stb_image 2.27 does not check of a PNG file: it takes chunks and pixels for whole whatever
// their checksums are, and reads colours behind the end of a palette, from memory never written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mu8::host {

bool IsPng(std::span<const std::uint8_t> file);

// Why a PNG file must not be decoded, as far as its chunks say; empty when it may. Every chunk up
// to IEND is there and has its CRC; the header gives a size, a depth and a colour type that are
// decoded; an image of type palette has one before its pixels; no chunk says that this is not
// standard PNG.
std::string WhyBadPng(std::span<const std::uint8_t> file);

// Of a file that WhyBadPng lets pass, why its pixels do not unpack to at most `most_bytes`
// (`too_many` says whether it is that), whole and with their Adler-32; empty when they do.
std::string WhyBadPngPixels(std::span<const std::uint8_t> file, std::size_t most_bytes,
                            bool* too_many);

// Of a file that WhyBadPng lets pass, an image of type palette with fewer entries than its pixels
// can ask for: the file as a grey image, whose samples are index * `scale`. It is for stb_image,
// which does not look at the CRCs that no longer fit.
struct PaletteIndices {
  std::vector<std::uint8_t> as_grey;
  std::size_t scale = 1, entries = 0;
};
std::optional<PaletteIndices> FindShortPalette(std::span<const std::uint8_t> file);

}  // namespace mu8::host
