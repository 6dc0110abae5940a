// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), as in iSCSI (RFC 3720) and ext4:
// Crc32c("123456789") == 0xe3069283.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mu8::format {

// Continues `crc` (0 at the start) over `bytes` bytes.
std::uint32_t Crc32c(const void* data, std::size_t bytes, std::uint32_t crc = 0);

}  // namespace mu8::format
