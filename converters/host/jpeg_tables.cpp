#include "converters/host/jpeg_tables.h"

#include <cstddef>
#include <numeric>

#include "converters/host/jpeg_segments.h"

namespace mu8::host {
namespace {

constexpr std::size_t kMostCodes = 256;
constexpr std::uint8_t kMostDcCategory = 15;

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

}  // namespace

std::string WhyBadJpegTables(std::span<const std::uint8_t> file) {
  if (!IsJpeg(file)) return {};
  Defined defined = 0;
  bool progressive = false;
  const JpegSegments found = ReadJpegSegments(file);
  for (const JpegSegment& segment : found.segments) {
    std::string why;
    if (segment.marker == jpeg::kTables) why = ReadTables(segment.payload, &defined);
    if (jpeg::IsFrame(segment.marker)) progressive = segment.marker == jpeg::kProgressive;
    if (segment.marker == jpeg::kScan) why = CheckScan(segment.payload, progressive, defined);
    if (!why.empty()) return why;
  }
  return found.wrong;
}

}  // namespace mu8::host
