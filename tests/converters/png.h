// PNG images that tests write themselves.
#pragma once

#include <doctest/doctest.h>
#include <zlib.h>

#include <cstdint>
#include <string>

#include "tests/converters/temp_folder.h"

namespace mu8::testing {

inline void Append32(std::uint32_t value, Bytes* out) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out->push_back(static_cast<std::uint8_t>(value >> shift));
  }
}

inline void AppendChunk(const std::string& type, const Bytes& data, Bytes* png) {
  Append32(static_cast<std::uint32_t>(data.size()), png);
  const std::size_t start = png->size();
  png->insert(png->end(), type.begin(), type.end());
  png->insert(png->end(), data.begin(), data.end());
  const auto size = static_cast<uInt>(png->size() - start);
  Append32(static_cast<std::uint32_t>(crc32(0, png->data() + start, size)), png);
}

// An 8-bit PNG, grey or RGB; pixel i of the row-major, channel-last image is (first + i) mod 256.
inline Bytes Png(std::uint32_t width, std::uint32_t height, std::uint32_t channels,
                 unsigned first) {
  Bytes png{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  Bytes header;
  Append32(width, &header);
  Append32(height, &header);
  header.insert(header.end(), {8, static_cast<std::uint8_t>(channels == 3 ? 2 : 0), 0, 0, 0});
  AppendChunk("IHDR", header, &png);
  Bytes rows;
  for (std::uint32_t y = 0; y < height; ++y) {
    rows.push_back(0);  // no filter
    for (std::uint32_t i = 0; i < width * channels; ++i) {
      rows.push_back(static_cast<std::uint8_t>(first + y * width * channels + i));
    }
  }
  Bytes packed(compressBound(rows.size()));
  uLongf size = packed.size();
  REQUIRE(compress(packed.data(), &size, rows.data(), rows.size()) == Z_OK);
  packed.resize(size);
  AppendChunk("IDAT", packed, &png);
  AppendChunk("IEND", {}, &png);
  return png;
}

}  // namespace mu8::testing
