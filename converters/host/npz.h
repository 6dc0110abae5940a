// Arrays of an .npz file: a ZIP archive of .npy members, as numpy.savez and savez_compressed write.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mu8::host {

// One stored file of the archive; `compressed` points into the archive's bytes.
struct ZipMember {
  std::string name;
  std::uint16_t method = 0;  // 0 stored, 8 deflated
  std::uint32_t crc32 = 0;   // of the uncompressed bytes
  std::size_t uncompressed_bytes = 0;
  std::span<const std::uint8_t> compressed;
};

// A numeric .npy array, elements in C order.
struct NpyArray {
  std::vector<std::size_t> shape;
  std::vector<float> values;
  bool is_bytes = false;  // elements are u8
};

// What elements an array may have: '<f4' and '<f8', or truth values and integers of any width too,
// each rounded to the nearest float.
enum class NpyElements { kFloats, kNumbers };

// The central directory, every size checked against `archive`. Throws Error; `path` names the
// archive in messages.
std::vector<ZipMember> ReadZipDirectory(const std::string& path,
                                        std::span<const std::uint8_t> archive);

// The member's bytes, inflated if need be and compared with its CRC-32. Throws Error, its problem
// starting with `where`.
std::vector<std::uint8_t> ExtractMember(const std::string& where, const ZipMember& member);

// Parses a .npy file (format 1.0 and 2.0; C or Fortran order, the latter transposed). Throws Error,
// its problem starting with `where`.
NpyArray ReadNpy(const std::string& where, std::span<const std::uint8_t> bytes,
                 NpyElements elements = NpyElements::kFloats);

}  // namespace mu8::host
