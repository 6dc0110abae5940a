// Numbers in the bytes of untrusted files, and words about such bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mu8::host {

// The first bytes as hex and text, for messages about wrong magics: `50 4b 03 04 "PK.."`.
std::string DescribeStart(std::span<const std::uint8_t> bytes);

// Little-endian unsigned integer of sizeof(T) bytes; the caller has checked the bounds.
template <typename T>
T LoadLittleEndian(const std::uint8_t* bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value |= std::uint64_t{bytes[i]} << (8 * i);
  return static_cast<T>(value);
}

// How files store floating-point numbers: IEEE 754 of 16, 32 or 64 bits, or the upper half of 32.
enum class FloatFormat { kFloat16, kBfloat16, kFloat32, kFloat64 };
std::size_t BytesOf(FloatFormat format);

// Exact: a float has more bits of everything.
float Float16Value(std::uint16_t bits);
float Bfloat16Value(std::uint16_t bits);

// Values of that format, one behind the other, as floats.
std::vector<float> LoadFloats(std::span<const std::uint8_t> bytes, FloatFormat format,
                              bool big_endian = false);

// Product of `dims`; false when it exceeds `limit`. Dimensions of 0 are allowed, and do not hide a
// later overflow: every partial product without them is checked.
bool CheckedProduct(std::span<const std::uint64_t> dims, std::uint64_t limit, std::size_t* product);

}  // namespace mu8::host
