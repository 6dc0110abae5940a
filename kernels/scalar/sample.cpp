// Drawing a panel's weights: the definition (FORMAT.md section 9).
#include <cstring>

#include "kernels/gaussian_table.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::scalar {
namespace {

// Code of byte i of a 64-byte block whose codes of `bits` bits fill 8 * bits bytes. For 8, 4 and 2
// bits the block is cut into 8 / bits equal parts and byte b holds code b of each part, the first
// part lowest; for 1 bit the 8 bytes are one little-endian mask. Either way a register's worth
// unpacks by whole-register shifts.
std::uint32_t Code(const std::uint8_t* codes, std::uint32_t bits, std::size_t i) {
  if (bits == 1) return (std::uint32_t{codes[i / 8]} >> (i % 8)) & 1U;
  const std::size_t code_bytes = 8 * bits;
  const auto part = static_cast<std::uint32_t>(i / code_bytes);
  return (std::uint32_t{codes[i % code_bytes]} >> (part * bits)) & ((1U << bits) - 1);
}

std::uint32_t SigmaCode(const SampleArgs& args, std::size_t i) {
  if (args.sigma_bits == 0) return 0;
  const std::uint8_t* block = args.sigma + i / kBlockBytes * 8 * args.sigma_bits;
  return Code(block, args.sigma_bits, i % kBlockBytes);
}

// Mean of panel byte i: its code's planes of 4, 2 and 1 bits lie one behind the other.
std::int32_t Mu(const SampleArgs& args, std::size_t i) {
  const std::uint32_t bits = args.mu_bits;
  const std::uint8_t* plane = args.mu + i / kBlockBytes * 8 * bits;
  if (bits == 8) return static_cast<std::int8_t>(plane[i % kBlockBytes]);
  std::uint32_t code = 0;
  for (std::uint32_t plane_bits = 4; plane_bits != 0; plane_bits /= 2) {
    if ((bits & plane_bits) == 0) continue;
    code = code << plane_bits | Code(plane, plane_bits, i % kBlockBytes);
    plane += 8 * plane_bits;
  }
  if (bits <= 4) return args.mu_table[code];
  return static_cast<std::int8_t>(static_cast<std::uint8_t>(code << (8 - bits)));
}

}  // namespace

std::int32_t SigmaLevel(const SampleArgs& args, std::size_t i, std::uint32_t channel) {
  const std::uint32_t code = SigmaCode(args, i);
  if (args.sigma_bits == 8) return static_cast<std::int32_t>(code);
  if (args.sigma_bits == 4) return args.codebook[code];
  return args.codebook[code * args.codebook_stride + channel];
}

void SilencePadding(const SampleArgs& args) {
  const std::uint32_t padding = args.padded_run - args.run_length;
  if (padding == 0) return;
  // Byte j of a channel's 4 weights belongs to input j: little-endian, so padding is on top.
  const std::uint32_t mask = 0xffffffffU >> (8 * padding);
  const std::size_t run_bytes = std::size_t{args.padded_run} * args.width;
  const std::size_t begin = args.first_block * kBlockBytes, end = args.end_block * kBlockBytes;
  // Blocks hold whole groups of 4 inputs. The first run that ends in the piece:
  for (std::size_t run = begin / run_bytes; run < args.runs; ++run) {
    const std::size_t last = (run + 1) * run_bytes - std::size_t{args.width} * 4;
    if (last >= end) return;
    std::int8_t* group = args.weights + (last - begin);
    for (std::uint32_t c = 0; c < args.width; ++c) {
      std::uint32_t four;
      std::memcpy(&four, group + c * 4, 4);
      four &= mask;
      std::memcpy(group + c * 4, &four, 4);
    }
  }
}

void UnpackPanel(const SampleArgs& args) {
  const std::size_t begin = args.first_block * kBlockBytes;
  for (std::size_t i = begin; i < args.end_block * kBlockBytes; ++i) {
    args.weights[i - begin] = static_cast<std::int8_t>(Mu(args, i));
  }
  SilencePadding(args);
}

void SamplePanel(const SampleArgs& args) {
  LaneStates own;  // of a whole panel
  Xoshiro* lanes = (args.lanes != nullptr ? args.lanes : &own)->lanes;
  if (args.first_block == 0) {
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) lanes[lane] = MakeLane(args.stream, lane);
  }
  const std::size_t begin = args.first_block * kBlockBytes;
  for (std::size_t block = begin; block < args.end_block * kBlockBytes; block += kBlockBytes) {
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
      const std::uint32_t random = lanes[lane].Next();
      const std::uint32_t channel = lane % args.width;
      for (std::uint32_t j = 0; j < 4; ++j) {
        const std::size_t i = block + lane * 4 + j;
        const std::int32_t epsilon =
            Epsilon(static_cast<std::uint8_t>(random >> (8 * j)) ^ args.stream.flip);
        const std::int32_t noise =
            RoundShift(SigmaLevel(args, i, channel) * epsilon, args.shift[channel]);
        const std::int32_t weight = Mu(args, i) + noise;
        args.weights[i - begin] = static_cast<std::int8_t>(weight < -127  ? -127
                                                           : weight > 127 ? 127
                                                                          : weight);
      }
    }
  }
  SilencePadding(args);
  if (args.end_block < BlockCount(args)) return;

  // The biases take the step after the weights: byte 0 of lane c.
  for (std::uint32_t c = 0; c < args.width; ++c) {
    DrawBias(args, c, Epsilon(static_cast<std::uint8_t>(lanes[c].Next()) ^ args.stream.flip));
  }
}

}  // namespace mu8::kernels::scalar
