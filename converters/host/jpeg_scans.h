// Whether a JPEG file holds all of its image. stb_image 2.27 fills up with grey what is missing of
// a file that ends with the right marker, and JPEG has no checksums.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mu8::host {

// Why a file that WhyBadJpegTables lets pass cannot hold the image of its frame; empty when it can:
// the frame has 8 bits a sample and a size that is decoded, the scans hold every coefficient of
// every component to its last bit, none has fewer restart markers than its blocks need, and the
// file does not end before the image does.
std::string WhyBadJpegScans(std::span<const std::uint8_t> file);

// The file with bytes that mean nothing behind each scan's data. Decoders stop before them once
// they have all blocks: a file whose copy decodes to other pixels ends too early somewhere.
std::vector<std::uint8_t> PadJpegScans(std::span<const std::uint8_t> file);

}  // namespace mu8::host
