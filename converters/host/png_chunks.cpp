#include "converters/host/png_chunks.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <string_view>

#include "converters/host/stb_image.h"

namespace mu8::host {
namespace {

constexpr std::uint8_t kSignature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr std::size_t kAroundData = 12;  // bytes of a chunk's length, type and CRC
constexpr std::size_t kHeaderBytes = 13;
constexpr std::size_t kDepthAt = 8, kColourAt = 9;  // in the header's data
constexpr std::uint8_t kGrey = 0, kPalette = 3;
constexpr std::size_t kMostColours = 256;

std::uint32_t BigEndian(const std::uint8_t* at) {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 |
         at[3];
}

struct Chunk {
  std::string_view type;
  std::span<const std::uint8_t> data;
};

// A type as it may be printed.
std::string Name(std::string_view type) {
  const bool is_letters = std::all_of(type.begin(), type.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
  return is_letters ? std::string(type) : "of a type that is not four letters";
}

// The chunk at `*at`, which moves behind it; nothing, and the reason in `why`, where none is whole.
std::optional<Chunk> ReadChunk(std::span<const std::uint8_t> file, std::size_t* at,
                               std::string* why) {
  const std::size_t left = file.size() - *at;
  if (left < kAroundData) {
    *why = "it ends before its last chunk, IEND: it was cut";
    return std::nullopt;
  }
  const std::uint8_t* const start = file.data() + *at;
  const std::size_t bytes = BigEndian(start);
  const std::string_view type(reinterpret_cast<const char*>(start + 4), 4);
  if (bytes > left - kAroundData) {
    *why = "it ends inside its chunk " + Name(type) + ": it was cut";
    return std::nullopt;
  }
  // The length fits: files are far below 4 GiB.
  if (crc32(0, start + 4, static_cast<uInt>(bytes + 4)) != BigEndian(start + 8 + bytes)) {
    *why = "its chunk " + Name(type) + " has another checksum (CRC) than its bytes";
    return std::nullopt;
  }
  *at += kAroundData + bytes;
  return Chunk{type, {start + 8, bytes}};
}

// The chunks up to IEND, which is left out.
std::vector<Chunk> ReadChunks(std::span<const std::uint8_t> file, std::string* why) {
  std::vector<Chunk> chunks;
  std::size_t at = std::size(kSignature);
  while (const std::optional<Chunk> chunk = ReadChunk(file, &at, why)) {
    if (chunk->type == "IEND") break;
    chunks.push_back(*chunk);
  }
  return chunks;
}

// The depths that each colour type can have (PNG, 11.2.2).
bool IsDepthOf(std::uint8_t colour, std::uint8_t depth) {
  const bool is_small = depth == 1 || depth == 2 || depth == 4;
  if (colour == kGrey) return is_small || depth == 8 || depth == 16;
  if (colour == kPalette) return is_small || depth == 8;
  return (colour == 2 || colour == 4 || colour == 6) && (depth == 8 || depth == 16);
}

std::string CheckHeader(std::span<const std::uint8_t> header) {
  if (header.size() != kHeaderBytes) return "damaged PNG image: its header has another length";
  const std::uint32_t width = BigEndian(header.data()), height = BigEndian(header.data() + 4);
  if (std::min(width, height) == 0 || std::max(width, height) > STBI_MAX_DIMENSIONS) {
    return "PNG image of " + std::to_string(width) + " x " + std::to_string(height) +
           " pixels (width x height), expected 1 to " + std::to_string(STBI_MAX_DIMENSIONS) +
           " each way";
  }
  if (!IsDepthOf(header[kColourAt], header[kDepthAt])) {
    return "PNG image of colour type " + std::to_string(header[kColourAt]) + " with " +
           std::to_string(header[kDepthAt]) +
           " bits a sample, expected type 0 with 1, 2, 4, 8 or 16, 3 with 1, 2, 4 or 8, or 2, 4 "
           "or 6 with 8 or 16";
  }
  if (header[10] != 0 || header[11] != 0 || header[12] > 1) {
    return "PNG image with a compression, filter or interlace method that is not in the standard";
  }
  return {};
}

std::string CheckPalette(const Chunk& palette) {
  const std::size_t bytes = palette.data.size();
  if (bytes != 0 && bytes % 3 == 0 && bytes <= 3 * kMostColours) return {};
  return "damaged PNG image: its palette (PLTE) has " + std::to_string(bytes) +
         " bytes, expected three for each of 1 to 256 colours";
}

// Of the chunks behind the header.
std::string CheckChunks(std::span<const Chunk> chunks, std::uint8_t colour) {
  bool has_palette = false, has_pixels = false;
  for (const Chunk& chunk : chunks) {
    if (chunk.type == "IHDR") return "damaged PNG image: it has two headers (IHDR)";
    if (chunk.type == "CgBI") {
      return "PNG image in Apple's own form (CgBI), expected standard PNG: save it anew";
    }
    if (chunk.type == "PLTE") {
      if (has_palette) return "damaged PNG image: it has two palettes (PLTE)";
      has_palette = true;
      std::string why = CheckPalette(chunk);
      if (!why.empty()) return why;
    }
    if (chunk.type != "IDAT") continue;
    has_pixels = true;
    if (colour == kPalette && !has_palette) {
      return "damaged PNG image: its colours are those of a palette (PLTE), which is not there";
    }
  }
  return has_pixels ? "" : "damaged PNG image: it has no pixels (IDAT)";
}

}  // namespace

bool IsPng(std::span<const std::uint8_t> file) {
  return file.size() >= std::size(kSignature) &&
         std::equal(std::begin(kSignature), std::end(kSignature), file.begin());
}

std::string WhyBadPng(std::span<const std::uint8_t> file) {
  std::string why;
  const std::vector<Chunk> chunks = ReadChunks(file, &why);
  if (!why.empty()) return "damaged PNG image: " + why;
  if (!chunks.empty() && chunks.front().type == "CgBI") return CheckChunks(chunks, kGrey);
  if (chunks.empty() || chunks.front().type != "IHDR") {
    return "damaged PNG image: it does not begin with a header (IHDR)";
  }
  const std::span<const std::uint8_t> header = chunks.front().data;
  why = CheckHeader(header);
  return why.empty() ? CheckChunks(std::span(chunks).subspan(1), header[kColourAt]) : why;
}

std::string WhyBadPngPixels(std::span<const std::uint8_t> file, std::size_t most_bytes,
                            bool* too_many) {
  z_stream stream{};
  const int started = inflateInit(&stream);
  if (started == Z_MEM_ERROR) throw std::bad_alloc();
  if (started != Z_OK) return "zlib does not start";
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, &inflateEnd);
  std::array<std::uint8_t, 1 << 16> row{};
  std::string why;
  for (const Chunk& chunk : ReadChunks(file, &why)) {
    if (chunk.type != "IDAT") continue;
    stream.next_in = const_cast<std::uint8_t*>(chunk.data.data());
    stream.avail_in = static_cast<uInt>(chunk.data.size());
    do {
      stream.next_out = row.data();
      stream.avail_out = static_cast<uInt>(row.size());
      const int status = inflate(&stream, Z_NO_FLUSH);
      *too_many = stream.total_out > most_bytes;
      if (*too_many) return "its pixels (IDAT) unpack to more than the image has";
      if (status == Z_STREAM_END) return {};
      if (status == Z_MEM_ERROR) throw std::bad_alloc();
      if (status == Z_BUF_ERROR) break;  // the next chunk continues
      if (status != Z_OK) {
        return std::string("its pixels (IDAT) cannot be unpacked: ") +
               (stream.msg != nullptr ? stream.msg : "zlib needs a dictionary");
      }
    } while (stream.avail_in > 0 || stream.avail_out == 0);
  }
  return "its pixels (IDAT) end early";
}

std::optional<PaletteIndices> FindShortPalette(std::span<const std::uint8_t> file) {
  std::string why;
  const std::vector<Chunk> chunks = ReadChunks(file, &why);
  const std::span<const std::uint8_t> header = chunks.front().data;
  if (header[kColourAt] != kPalette) return std::nullopt;
  const std::size_t colours = std::size_t{1} << header[kDepthAt];
  const auto palette = std::find_if(chunks.begin(), chunks.end(),
                                    [](const Chunk& chunk) { return chunk.type == "PLTE"; });
  PaletteIndices found{.as_grey = {file.begin(), file.end()},
                       .scale = (kMostColours - 1) / (colours - 1),
                       .entries = palette->data.size() / 3};
  if (found.entries >= colours) return std::nullopt;
  const auto place = [&](const void* at) {
    return &found.as_grey[static_cast<std::size_t>(static_cast<const std::uint8_t*>(at) -
                                                   file.data())];
  };
  *place(&header[kColourAt]) = kGrey;
  for (const Chunk& chunk : chunks) {  // "xRNS" is skipped: it would not fit a grey image
    if (chunk.type == "tRNS") *place(chunk.type.data()) = 'x';
  }
  return found;
}

}  // namespace mu8::host
