#include "converters/host/jpeg_segments.h"

namespace mu8::host {
namespace {

constexpr std::uint8_t kStart = 0xd8, kEnd = 0xd9;
constexpr std::uint8_t kFirstApplication = 0xe0, kLastApplication = 0xef, kComment = 0xfe;

// Those that a decoder may meet between scans: tables, restart interval, number of lines,
// applications' segments and comments, frames and scans.
bool IsSegment(std::uint8_t marker) {
  return jpeg::IsFrame(marker) || marker == jpeg::kTables ||
         (marker >= jpeg::kScan && marker <= jpeg::kRestartInterval) ||
         (marker >= kFirstApplication && marker <= kLastApplication) || marker == kComment;
}

// The place behind the entropy-coded data that begins at `at`: the next marker that is no restart.
std::size_t SkipData(std::span<const std::uint8_t> file, std::size_t at) {
  for (; at + 1 < file.size(); ++at) {
    const std::uint8_t next = file[at + 1];
    if (file[at] == 0xff && next != 0 && next != 0xff &&
        !(next >= jpeg::kFirstRestart && next <= jpeg::kLastRestart)) {
      return at;
    }
  }
  return file.size();
}

}  // namespace

bool IsJpeg(std::span<const std::uint8_t> file) {
  return file.size() >= 3 && file[0] == 0xff && file[1] == kStart && file[2] == 0xff;
}

JpegSegments ReadJpegSegments(std::span<const std::uint8_t> file) {
  JpegSegments found;
  std::size_t at = 2;
  while (at < file.size()) {
    if (file[at] != 0xff) {  // what lies between segments is skipped, as decoders do
      ++at;
      continue;
    }
    while (at < file.size() && file[at] == 0xff) ++at;
    if (at == file.size()) break;
    const std::uint8_t marker = file[at++];
    if (marker == kEnd) {
      found.ended = true;
      break;
    }
    if (!IsSegment(marker)) {
      found.wrong = "marker " + std::to_string(marker) + " has no place here";
      break;
    }
    if (file.size() - at < 2) break;
    const std::size_t length = std::size_t{file[at]} << 8 | file[at + 1];
    if (length < 2 || length > file.size() - at) {
      found.wrong = "a segment is longer than the file";
      break;
    }
    JpegSegment segment{.marker = marker, .payload = file.subspan(at + 2, length - 2), .data = {}};
    at += length;
    if (marker == jpeg::kScan) {
      const std::size_t end = SkipData(file, at);
      segment.data = file.subspan(at, end - at);
      at = end;
    }
    found.segments.push_back(segment);
  }
  return found;
}

}  // namespace mu8::host
