// Drawing a panel's weights in plain C++: one lane of random bytes at a time over a chunk of
// blocks, so that the lane's state and its channel's constants stay in registers.
#include <array>
#include <cstring>

#include "kernels/gaussian_table.h"
#include "kernels/portable/kernels.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::portable {
namespace {

// Blocks that a lane goes through before the next lane does: 1 KiB of weights, so that what the 16
// lanes touch stays in a small cache.
constexpr std::size_t kChunkBlocks = 16;

struct EpsilonTable {
  std::int8_t of_byte[256];
};

constexpr EpsilonTable MakeEpsilonTable() {
  EpsilonTable table{};
  for (int b = 0; b < 256; ++b) {
    table.of_byte[b] = static_cast<std::int8_t>(Epsilon(static_cast<std::uint8_t>(b)));
  }
  return table;
}

constexpr EpsilonTable kEpsilon = MakeEpsilonTable();

std::uint32_t Load32(const std::uint8_t* bytes) {
  std::uint32_t word;
  std::memcpy(&word, bytes, 4);
  return word;
}

// Where a lane's 4 codes of sigma are within each block, and how they become 4 bytes: a word, its
// bits from `shift` on under `mask`. Of 8, 4 and 2 bits they are bytes then; 4 single bits are
// spread over 4 bytes by a multiplication.
struct CodePlace {
  std::uint32_t offset, shift, mask;
  bool single_bits;

  CodePlace(std::uint32_t bits, std::uint32_t lane) : single_bits(bits == 1) {
    if (bits <= 1) {
      offset = bits * (lane / 8 * 4);
      shift = lane % 8 * 4;
      mask = bits * 15;
    } else {
      offset = lane * 4 % (8 * bits);
      shift = lane * 4 / (8 * bits) * bits;
      mask = ((1U << bits) - 1) * 0x01010101U;
    }
  }

  std::uint32_t Codes(const std::uint8_t* block) const {
    const std::uint32_t codes = (Load32(block + offset) >> shift) & mask;
    return single_bits ? codes * 0x00204081U & 0x01010101U : codes;
  }
};

// The piece's codes of sigma. Without any a word will do: its mask is 0.
const std::uint8_t* FirstCodes(const SampleArgs& args) {
  if (args.sigma_bits == 0) return reinterpret_cast<const std::uint8_t*>(kEpsilon.of_byte);
  return args.sigma + args.first_block * 8 * args.sigma_bits;
}

// The level of each code of a channel; of 8 bits not used.
struct Levels {
  std::uint8_t own[4] = {};
  const std::uint8_t* of_code;

  Levels(const SampleArgs& args, std::uint32_t channel)
      : of_code(args.sigma_bits < 4 ? own : args.codebook) {
    if (args.sigma_bits >= 4) return;
    const std::uint32_t codes = 1U << args.sigma_bits;
    for (std::uint32_t code = 0; code < 4 && code < codes; ++code) {
      own[code] = args.codebook[code * args.codebook_stride + channel];
    }
  }
};

// One lane's weights of `blocks` blocks. `mu` and `weights` may be the same bytes. kDirect: levels
// are the codes (8 bits), else levels[code].
template <bool kDirect>
void DrawLane(const CodePlace& place, const std::uint8_t* levels, std::int32_t shift,
              std::uint32_t flip, std::size_t blocks, const std::uint8_t* sigma,
              std::size_t sigma_step, const std::int8_t* mu, std::int8_t* weights, Xoshiro* lane) {
  Xoshiro state = *lane;
  const std::int32_t half = 1 << (shift - 1);
  for (; blocks != 0; --blocks) {
    const std::uint32_t random = state.Next() ^ flip;
    const std::uint32_t codes = place.Codes(sigma);
#pragma GCC unroll 4
    for (std::uint32_t j = 0; j < 4; ++j) {
      const std::uint32_t code = codes >> (8 * j) & 255;
      const std::int32_t level = static_cast<std::int32_t>(kDirect ? code : levels[code]);
      const std::int32_t noise =
          (level * kEpsilon.of_byte[random >> (8 * j) & 255] + half) >> shift;
      std::int32_t weight = mu[j] + noise;
      if (static_cast<std::uint32_t>(weight + 127) > 254) weight = weight < 0 ? -127 : 127;
      weights[j] = static_cast<std::int8_t>(weight);
    }
    sigma += sigma_step;
    mu += kBlockBytes;
    weights += kBlockBytes;
  }
  *lane = state;
}

// The codes of `bits` bits of a block, as scalar/sample.cpp describes their places.
std::uint32_t Code(const std::uint8_t* codes, std::uint32_t bits, std::uint32_t i) {
  if (bits == 1) return std::uint32_t{codes[i / 8]} >> (i % 8) & 1U;
  const std::uint32_t part_bytes = 8 * bits;  // 32 or 16
  return std::uint32_t{codes[i & (part_bytes - 1)]} >> (i / part_bytes * bits) & ((1U << bits) - 1);
}

// The piece's means of 1 to 7 bits as bytes, in the place of the weights.
void UnpackMeans(const SampleArgs& args) {
  const std::uint32_t bits = args.mu_bits;
  const std::uint8_t* block = args.mu + args.first_block * 8 * bits;
  std::int8_t* out = args.weights;
  for (std::size_t left = args.end_block - args.first_block; left != 0;
       --left, out += kBlockBytes) {
    for (std::uint32_t i = 0; i < kBlockBytes; ++i) {
      const std::uint8_t* plane = block;
      std::uint32_t code = 0;
      for (std::uint32_t plane_bits = 4; plane_bits != 0; plane_bits /= 2) {
        if ((bits & plane_bits) == 0) continue;
        code = code << plane_bits | Code(plane, plane_bits, i);
        plane += 8 * plane_bits;
      }
      out[i] = bits <= 4 ? args.mu_table[code]
                         : static_cast<std::int8_t>(static_cast<std::uint8_t>(code << (8 - bits)));
    }
    block += 8 * bits;
  }
}

}  // namespace

void UnpackPanel(const SampleArgs& args) {
  if (args.mu_bits == 8) {
    std::memcpy(args.weights, args.mu + args.first_block * kBlockBytes,
                (args.end_block - args.first_block) * kBlockBytes);
  } else {
    UnpackMeans(args);
  }
  scalar::SilencePadding(args);
}

void SquareMeans(const SampleArgs& args) {
  UnpackPanel(args);
  std::int8_t* const end = args.weights + (args.end_block - args.first_block) * kBlockBytes;
  for (std::int8_t* at = args.weights; at != end; ++at) {
    *at = SquareCode(*at);
  }
}

void UnpackSpread(const SampleArgs& args) {
  const std::uint32_t bits = args.sigma_bits;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    const CodePlace place(bits, lane);
    const Levels levels(args, lane % args.width);
    const std::uint8_t* sigma = FirstCodes(args);
    std::int8_t* out = args.weights + lane * 4;
    for (std::size_t left = args.end_block - args.first_block; left != 0; --left) {
      const std::uint32_t codes = place.Codes(sigma);
#pragma GCC unroll 4
      for (std::uint32_t j = 0; j < 4; ++j) {
        const std::uint32_t code = codes >> (8 * j) & 255;
        out[j] = bits == 8 ? SpreadCode(code) : static_cast<std::int8_t>(levels.of_code[code]);
      }
      sigma += std::size_t{8} * bits;
      out += kBlockBytes;
    }
  }
  scalar::SilencePadding(args);
}

void SamplePanel(const SampleArgs& args) {
  LaneStates own;  // of a whole panel
  Xoshiro* lanes = (args.lanes != nullptr ? args.lanes : &own)->lanes;
  if (args.first_block == 0) {
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) lanes[lane] = MakeLane(args.stream, lane);
  }
  const auto* mu = reinterpret_cast<const std::int8_t*>(args.mu) + args.first_block * kBlockBytes;
  if (args.mu_bits != 8) {
    UnpackMeans(args);
    mu = args.weights;
  }
  const std::uint32_t bits = args.sigma_bits;
  const std::size_t sigma_step = std::size_t{8} * bits;
  const std::uint8_t* sigma = FirstCodes(args);
  const std::uint32_t flip = args.stream.flip * 0x01010101U;
  std::int8_t* weights = args.weights;
  std::size_t left = args.end_block - args.first_block;
  while (left != 0) {  // at most once a block
    const std::size_t blocks = left < kChunkBlocks ? left : kChunkBlocks;
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
      const std::uint32_t channel = lane % args.width;
      const CodePlace place(bits, lane);
      const Levels levels(args, channel);
      (bits == 8 ? DrawLane<true> : DrawLane<false>)(place, levels.of_code, args.shift[channel],
                                                     flip, blocks, sigma, sigma_step, mu + lane * 4,
                                                     weights + lane * 4, &lanes[lane]);
    }
    sigma += blocks * sigma_step;
    mu += blocks * kBlockBytes;
    weights += blocks * kBlockBytes;
    left -= blocks;
  }
  scalar::SilencePadding(args);
  if (args.end_block < BlockCount(args)) return;

  // The biases take the step after the weights: byte 0 of lane c.
  for (std::uint32_t c = 0; c < args.width; ++c) {
    scalar::DrawBias(args, c, kEpsilon.of_byte[(lanes[c].Next() ^ flip) & 255]);
  }
}

}  // namespace mu8::kernels::portable
