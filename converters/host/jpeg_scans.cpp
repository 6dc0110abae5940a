#include "converters/host/jpeg_scans.h"

#include <algorithm>
#include <cstddef>

#include "converters/host/jpeg_segments.h"
#include "converters/host/stb_image.h"

namespace mu8::host {
namespace {

// Longer than what a decoder reads ahead; no byte is 0xff, which would begin a marker.
constexpr std::size_t kPaddingBytes = 64;
constexpr std::uint8_t kPadding[] = {0xa5, 0x3c, 0x96, 0xd2};

struct Component {
  std::uint8_t name = 0;
  std::size_t horizontal = 1, vertical = 1;  // samples for each of the coarsest component
  std::uint64_t started = 0, whole = 0;      // bit k: some scan has coefficient k; its last bit
};

struct Frame {
  std::size_t width = 0, height = 0;
  bool progressive = false;
  std::vector<Component> components;
};

constexpr std::uint64_t kAllCoefficients = ~std::uint64_t{0};

std::size_t DivideUp(std::size_t value, std::size_t by) { return (value + by - 1) / by; }

// An SOF segment's payload: bits, height, width, the number of components, for each its name, its
// two sampling factors and its quantization table.
std::string ReadFrame(std::span<const std::uint8_t> segment, Frame* frame) {
  if (segment.size() < 6 || segment.size() != 6 + std::size_t{3} * segment[5]) {
    return "damaged JPEG image: the frame's header has another length";
  }
  if (segment[0] != 8) {
    return "JPEG image of " + std::to_string(segment[0]) + " bits a sample, expected 8";
  }
  frame->height = std::size_t{segment[1]} << 8 | segment[2];
  frame->width = std::size_t{segment[3]} << 8 | segment[4];
  if (std::min(frame->height, frame->width) == 0 ||
      std::max(frame->height, frame->width) > STBI_MAX_DIMENSIONS) {
    return "JPEG image of " + std::to_string(frame->width) + " x " + std::to_string(frame->height) +
           " pixels (width x height), expected 1 to " + std::to_string(STBI_MAX_DIMENSIONS) +
           " each way";
  }
  const std::size_t components = segment[5];
  if (components != 1 && components != 3 && components != 4) {
    return "JPEG image of " + std::to_string(components) + " components, expected 1, 3 or 4";
  }
  for (std::size_t i = 0; i < components; ++i) {
    const std::uint8_t* const fields = &segment[6 + 3 * i];
    const Component component{.name = fields[0],
                              .horizontal = std::size_t{fields[1]} >> 4,
                              .vertical = fields[1] & std::size_t{15}};
    if (component.horizontal < 1 || component.horizontal > 4 || component.vertical < 1 ||
        component.vertical > 4) {
      return "damaged JPEG image: a component's sampling factors are not 1 to 4";
    }
    frame->components.push_back(component);
  }
  return {};
}

// How many units of a scan restart markers are counted in: blocks of the only component, or one
// of each pattern of blocks of all of them (T.81, A.2).
std::size_t CountUnits(const Frame& frame, const std::vector<const Component*>& scanned) {
  std::size_t horizontal = 1, vertical = 1;
  for (const Component& component : frame.components) {
    horizontal = std::max(horizontal, component.horizontal);
    vertical = std::max(vertical, component.vertical);
  }
  if (scanned.size() > 1) {
    return DivideUp(frame.width, 8 * horizontal) * DivideUp(frame.height, 8 * vertical);
  }
  const Component& only = *scanned.front();
  return DivideUp(DivideUp(frame.width * only.horizontal, horizontal), 8) *
         DivideUp(DivideUp(frame.height * only.vertical, vertical), 8);
}

std::size_t CountRestarts(std::span<const std::uint8_t> data) {
  std::size_t count = 0;
  for (std::size_t at = 0; at + 1 < data.size(); ++at) {
    count += static_cast<std::size_t>(data[at] == 0xff && data[at + 1] >= jpeg::kFirstRestart &&
                                      data[at + 1] <= jpeg::kLastRestart);
  }
  return count;
}

// The coefficients of a scan, its payload's last three bytes: first, last, bits to come.
std::uint64_t CoefficientsOf(const Frame& frame, std::span<const std::uint8_t> limits) {
  if (!frame.progressive || limits[0] > limits[1] || limits[1] > 63) return kAllCoefficients;
  return kAllCoefficients << limits[0] & kAllCoefficients >> (63 - limits[1]);
}

// Notes which coefficients of which components the scan holds; `interval` is 0 where there are no
// restart markers.
std::string CheckScan(const JpegSegment& scan, std::size_t interval, Frame* frame) {
  std::vector<const Component*> scanned;
  const std::size_t components = scan.payload[0];
  const std::span<const std::uint8_t> limits = scan.payload.last(3);
  const std::uint64_t coefficients = CoefficientsOf(*frame, limits);
  for (std::size_t i = 0; i < components; ++i) {
    const auto found = std::find_if(
        frame->components.begin(), frame->components.end(),
        [&](const Component& component) { return component.name == scan.payload[1 + 2 * i]; });
    if (found == frame->components.end()) return "a scan is of a component that is not there";
    found->started |= coefficients;
    if (!frame->progressive || (limits[2] & 15U) == 0) found->whole |= coefficients;
    scanned.push_back(&*found);
  }
  if (scanned.empty()) return "a scan is of no component";
  if (interval == 0) return {};
  const std::size_t expected = DivideUp(CountUnits(*frame, scanned), interval) - 1;
  const std::size_t restarts = CountRestarts(scan.data);
  if (restarts >= expected) return {};
  return "a scan has " + std::to_string(restarts) + " restart markers, expected " +
         std::to_string(expected) + ": data are missing";
}

std::string CheckScans(const JpegSegments& file, Frame* frame) {
  std::size_t interval = 0;
  for (const JpegSegment& segment : file.segments) {
    if (segment.marker == jpeg::kRestartInterval && segment.payload.size() == 2) {
      interval = std::size_t{segment.payload[0]} << 8 | segment.payload[1];
    }
    if (segment.marker != jpeg::kScan) continue;
    std::string why = CheckScan(segment, interval, frame);
    if (!why.empty()) return why;
  }
  for (std::size_t i = 0; i < frame->components.size(); ++i) {
    if (frame->components[i].whole == kAllCoefficients) continue;
    return (frame->components[i].started == 0 ? "there is no scan of component "
                                              : "there are no scans of the details of component ") +
           std::to_string(i + 1) + " of " + std::to_string(frame->components.size()) +
           ": its data are missing";
  }
  return file.ended ? "" : "the file ends before the image does";
}

}  // namespace

std::string WhyBadJpegScans(std::span<const std::uint8_t> file) {
  const JpegSegments segments = ReadJpegSegments(file);
  const auto first =
      std::find_if(segments.segments.begin(), segments.segments.end(),
                   [](const JpegSegment& segment) { return jpeg::IsFrame(segment.marker); });
  if (first == segments.segments.end()) return "damaged JPEG image: it has no frame's header";
  Frame frame;
  frame.progressive = first->marker == jpeg::kProgressive;
  std::string why = ReadFrame(first->payload, &frame);
  if (!why.empty()) return why;
  why = CheckScans(segments, &frame);
  return why.empty() ? why : "damaged JPEG image: " + why;
}

std::vector<std::uint8_t> PadJpegScans(std::span<const std::uint8_t> file) {
  std::vector<std::uint8_t> padded;
  const std::uint8_t* at = file.data();
  const JpegSegments found = ReadJpegSegments(file);
  for (const JpegSegment& segment : found.segments) {
    if (segment.marker != jpeg::kScan) continue;
    const std::uint8_t* end = segment.data.data() + segment.data.size();
    while (end > segment.data.data() && end[-1] == 0xff) --end;  // filled up before the marker
    padded.insert(padded.end(), at, end);
    for (std::size_t i = 0; i < kPaddingBytes; ++i) {
      padded.push_back(kPadding[i % std::size(kPadding)]);
    }
    at = end;
  }
  padded.insert(padded.end(), at, file.data() + file.size());
  return padded;
}

}  // namespace mu8::host
