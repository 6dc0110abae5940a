// The segments of a JPEG file (ITU-T T.81, B.1.1), in order, as checks of it need them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mu8::host {

namespace jpeg {
constexpr std::uint8_t kTables = 0xc4, kScan = 0xda, kRestartInterval = 0xdd, kProgressive = 0xc2;
constexpr std::uint8_t kFirstRestart = 0xd0, kLastRestart = 0xd7;
// The frames that are decoded: baseline, extended and progressive, all with Huffman codes.
constexpr bool IsFrame(std::uint8_t marker) { return marker >= 0xc0 && marker <= kProgressive; }
}  // namespace jpeg

struct JpegSegment {
  std::uint8_t marker = 0;
  std::span<const std::uint8_t> payload;  // behind its length
  std::span<const std::uint8_t> data;     // of a scan: its entropy-coded data, with restart markers
};

struct JpegSegments {
  std::vector<JpegSegment> segments;
  bool ended = false;  // by the marker of an image's end
  std::string wrong;   // why the segments behind the last one cannot be told; else empty
};

// Whether stb_image may take a file for a JPEG image, all of which begin so. (It would skip any
// number of 0xff before the first marker.)
bool IsJpeg(std::span<const std::uint8_t> file);

// Wrong are segments longer than the file, and markers that the decoder could read otherwise.
JpegSegments ReadJpegSegments(std::span<const std::uint8_t> file);

}  // namespace mu8::host
