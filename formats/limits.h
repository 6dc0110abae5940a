// What a .mu8 file can hold: every bound of FORMAT.md that is a number of its own, as its section
// 12 lists them. The reader refuses a file that exceeds one; the converter refuses a network that
// would, before it is calibrated (converters/lower/limits.h).
#pragma once

#include <cstdint>

namespace mu8::format {

// Limits come before arithmetic: with them no product in layout.h exceeds 2^62.
inline constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 31;
inline constexpr std::uint32_t kMaxSections = 16;
inline constexpr std::uint32_t kMaxTensors = 4096;
inline constexpr std::uint32_t kMaxLayers = 4096;
inline constexpr std::uint32_t kMaxLiveTensors = 64;   // in one layer
inline constexpr std::uint32_t kMaxDimension = 65535;  // height, width, channels, classes
inline constexpr std::uint32_t kMaxPadding = 65535;    // on one side of a tensor: a u16
inline constexpr std::uint32_t kMaxWindow = 1024;      // kernel, stride, dilation
inline constexpr std::int32_t kMaxOffset = 65535;      // of a slice, either way
inline constexpr std::uint64_t kMaxTensorBytes = std::uint64_t{1} << 30;  // padding included
inline constexpr std::uint64_t kMaxTensorOffset = 0xffffffc0;  // a u32, and a multiple of 64
inline constexpr std::uint64_t kMaxAccumulator = 0x7fffffff;   // an s32
// Inputs of one output value, each run of them rounded up to 4: 255 * 127 * K is an accumulator.
inline constexpr std::uint32_t kMaxInputs =
    static_cast<std::uint32_t>(kMaxAccumulator / (255 * 127) / 4 * 4);
// Logits of a pass, of all positions: with 2^16 images and passes 2^62 bytes of them.
inline constexpr std::uint64_t kMaxOutputs = std::uint64_t{1} << 28;
inline constexpr std::uint32_t kMaxMuBits = 8;
inline constexpr std::uint32_t kMinNoiseShift = 1;
inline constexpr std::uint32_t kMaxNoiseShift = 15;
// Between the exponents of an output's least and largest variance of noise: 24 bits, so far apart,
// 2^16 times, are a sum below 2^120.
inline constexpr std::uint32_t kMaxVarianceShift = 80;
inline constexpr std::uint32_t kMaxSamples = 65536;  // passes of a prediction

}  // namespace mu8::format
