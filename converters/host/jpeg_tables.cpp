#include "converters/host/jpeg_tables.h"

#include <cstddef>
#include <numeric>

namespace mu8::host {
namespace {

constexpr std::uint8_t kStart = 0xd8, kEnd = 0xd9, kTables = 0xc4, kScan = 0xda;
constexpr std::uint8_t kFirstRestart = 0xd0, kLastRestart = 0xd7, kRestartInterval = 0xdd;
constexpr std::uint8_t kFirstApplication = 0xe0, kLastApplication = 0xef, kComment = 0xfe;
constexpr std::uint8_t kProgressive = 0xc2;
constexpr std::size_t kMostCodes = 256;
constexpr std::uint8_t kMostDcCategory = 15;

bool IsFrame(std::uint8_t marker) { return marker >= 0xc0 && marker <= 0xc2; }
// Those that a decoder may meet between scans: tables, restart interval, number of lines,
// applications' segments and comments, frames and scans.
bool IsSegment(std::uint8_t marker) {
  return IsFrame(marker) || marker == kTables || (marker >= kScan && marker <= kRestartInterval) ||
         (marker >= kFirstApplication && marker <= kLastApplication) || marker == kComment;
}

// Which of the four tables of each class have been defined: bit 4 * class + number.
using Defined = std::uint32_t;

// One DHT segment's payload: tables one after the other, each a byte of class and number, 16 counts
// of codes by length, and the codes' values.
std::string ReadTables(std::span<const std::uint8_t> segment, Defined* defined) {
  while (!segment.empty()) {
    if (segment.size() < 17) return "a Huffman table is cut short";
    const std::uint32_t table_class = segment[0] >> 4;
    const std::uint32_t number = segment[0] & 15U;
    if (table_class > 1 || number > 3) return "a Huffman table has no valid number";
    const std::span<const std::uint8_t> counts = segment.subspan(1, 16);
    const std::size_t codes = std::accumulate(counts.begin(), counts.end(), std::size_t{0});
    if (codes > kMostCodes) {
      return "a Huffman table has " + std::to_string(codes) + " codes, expected at most 256";
    }
    std::uint32_t next = 0;  // the first code of each length
    for (std::size_t i = 0; i < counts.size(); ++i) {
      next += counts[i];
      if (next > 1U << (i + 1)) return "a Huffman table has more codes than fit their lengths";
      next *= 2;
    }
    if (segment.size() - 17 < codes) return "a Huffman table is cut short";
    for (const std::uint8_t value : segment.subspan(17, codes)) {
      if (table_class == 0 && value > kMostDcCategory) {
        return "a Huffman table has DC category " + std::to_string(value) + ", expected at most 15";
      }
    }
    *defined |= 1U << (4 * table_class + number);
    segment = segment.subspan(17 + codes);
  }
  return {};
}

// An SOS segment's payload: the number of components, for each its name and its two tables, then
// the first and last coefficient and the bit positions.
std::string CheckScan(std::span<const std::uint8_t> segment, bool progressive, Defined defined) {
  const std::size_t components = segment.empty() ? 0 : segment[0];
  if (segment.size() != 4 + 2 * components) return "a scan's header has another length";
  const bool reads_dc = segment[1 + 2 * components] == 0;
  const bool refines = (segment[3 + 2 * components] >> 4) != 0;
  for (std::size_t i = 0; i < components; ++i) {
    const std::uint8_t tables = segment[2 + 2 * i];
    const std::uint32_t dc = tables >> 4, ac = tables & 15U;
    const bool needs_dc = reads_dc && !(progressive && refines);
    const bool needs_ac = !progressive || !reads_dc;
    if (dc > 3 || ac > 3 || (needs_dc && (defined >> dc & 1U) == 0) ||
        (needs_ac && (defined >> (4 + ac) & 1U) == 0)) {
      return "a scan uses a Huffman table that the file does not define";
    }
  }
  return {};
}

// The place behind the entropy-coded data that begins at `at`: the next marker that is no restart.
std::size_t SkipData(std::span<const std::uint8_t> file, std::size_t at) {
  for (; at + 1 < file.size(); ++at) {
    const std::uint8_t next = file[at + 1];
    if (file[at] == 0xff && next != 0 && next != 0xff &&
        !(next >= kFirstRestart && next <= kLastRestart)) {
      return at;
    }
  }
  return file.size();
}

}  // namespace

bool IsJpeg(std::span<const std::uint8_t> file) {
  return file.size() >= 3 && file[0] == 0xff && file[1] == kStart && file[2] == 0xff;
}

std::string WhyBadJpegTables(std::span<const std::uint8_t> file) {
  if (!IsJpeg(file)) return {};
  Defined defined = 0;
  bool progressive = false;
  std::size_t at = 2;
  while (at < file.size()) {
    if (file[at] != 0xff) {  // what lies between segments is skipped, as decoders do
      ++at;
      continue;
    }
    while (at < file.size() && file[at] == 0xff) ++at;
    if (at == file.size()) return {};
    const std::uint8_t marker = file[at++];
    if (marker == kEnd) return {};
    if (!IsSegment(marker)) return "marker " + std::to_string(marker) + " has no place here";
    if (file.size() - at < 2) return {};  // cut: the decoder finds no image
    const std::size_t length = std::size_t{file[at]} << 8 | file[at + 1];
    if (length < 2 || length > file.size() - at) return "a segment is longer than the file";
    const std::span<const std::uint8_t> segment = file.subspan(at + 2, length - 2);
    at += length;
    std::string why;
    if (marker == kTables) why = ReadTables(segment, &defined);
    if (IsFrame(marker)) progressive = marker == kProgressive;
    if (marker == kScan) {
      why = CheckScan(segment, progressive, defined);
      at = SkipData(file, at);
    }
    if (!why.empty()) return why;
  }
  return {};
}

}  // namespace mu8::host
