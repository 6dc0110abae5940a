// What stb_image 2.27 does not check of a JPEG file, and relies on.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace mu8::host {

// Why the tables of a JPEG file cannot be trusted; empty when they can, or when it is no JPEG.
// Checked: every DHT segment holds whole tables (ITU-T T.81, B.2.4.2) of at most 256 codes that fit
// their lengths, with DC categories of at most 15; every scan names tables that were defined; there
// is no marker that the decoder could read otherwise than this does.
std::string WhyBadJpegTables(std::span<const std::uint8_t> file);

}  // namespace mu8::host
