// Drawing a panel with the DSP extension: lane by lane, so that a lane's random state, levels and
// channel stay in registers over all blocks of the panel.
#include "kernels/built_tables.h"

#if MU8_HAVE_ARMDSP
#include <array>

#include "kernels/armdsp/instructions.h"
#include "kernels/armdsp/kernels.h"
#include "kernels/gaussian_table.h"
#include "kernels/scalar/kernels.h"
#include "mu8/config.h"

namespace mu8::kernels::armdsp {
namespace {

// 256 eps of every random byte. With a level scaled by 2^(24 - shift) one instruction multiplies,
// rounds and shifts: (level * 2^(24 - shift) * 256 eps + 2^31) >> 32.
constexpr std::array<std::int16_t, 256> kEpsilon = [] {
  std::array<std::int16_t, 256> table{};
  for (std::size_t byte = 0; byte < table.size(); ++byte) {
    table[byte] = static_cast<std::int16_t>(256 * Epsilon(static_cast<std::uint8_t>(byte)));
  }
  return table;
}();

constexpr std::uint32_t Byte(std::uint32_t word, std::uint32_t index) {
  return word >> (8 * index) & 255;
}

// Where the codes of a lane's 4 weights lie in a block's plane of codes: in 4 neighbouring bytes
// from `byte` on, `shift` bits up; of 1 bit in one byte, side by side.
struct CodePlace {
  std::uint32_t byte, shift;
  CodePlace(std::uint32_t bits, std::uint32_t lane)
      : byte(bits == 1 ? lane / 2 : lane * 4 & (8 * bits - 1)),
        shift(bits == 1 ? lane % 2 * 4 : lane * 4 / (8 * bits) * bits) {}
};

// Each of a word's bytes begins with a code of 4 weights; above it anything.
inline std::uint32_t LoadCodes(std::uint32_t bits, const std::uint8_t* codes, std::uint32_t shift) {
  if (bits != 1) return Load(codes) >> shift;
  return (std::uint32_t{*codes} >> shift & 15) * 0x00204081;  // bit j of the nibble to bit 8 j
}

constexpr std::uint32_t kLevels = 16;  // of a table

// One lane of a panel.
struct Lane {
  const std::uint8_t* sigma;  // its codes of the first block
  std::uint32_t sigma_shift;
  const std::uint8_t* mu;
  std::int8_t* weights;
  std::size_t blocks;
  std::int32_t unit;  // 2^(24 - shift), negative in the mirror
  // In it the level of each value of 4 bits that begin with a code; of codes of 8 bits itself.
  std::int32_t levels[kLevels];
};

// Not inlined, where the table would be a place of the stack that every look-up adds anew. There
// are registers for one address of the two that run in step, and the other is told by its distance.
template <std::uint32_t kBits>
[[gnu::noinline, gnu::flatten]] void DrawLane(const Lane& lane, const std::int32_t* levels,
                                              Xoshiro* random) {
  Xoshiro state = *random;
  const std::uint8_t* sigma = lane.sigma;
  const std::uint32_t shift = lane.sigma_shift;
  const std::ptrdiff_t mu = reinterpret_cast<const std::int8_t*>(lane.mu) - lane.weights;
  std::int8_t* const end = lane.weights + lane.blocks * kBlockBytes;
  for (std::int8_t* out = lane.weights; out != end; out += kBlockBytes) {
    const std::uint32_t bytes = state.Next();
    const std::uint32_t codes = LoadCodes(kBits, sigma, shift);
    sigma += 8 * kBits;
    const auto noise = [&](std::uint32_t j) {
      const std::uint32_t code = Byte(codes, j);
      const std::int32_t level =
          kBits == 8 ? static_cast<std::int32_t>(code) * levels[0] : levels[code % kLevels];
      return RoundedHigh(level, kEpsilon[Byte(bytes, j)]);
    };
    const std::uint32_t means = Load(out + mu);
    const std::uint32_t even = AddSignedEven(Pack(noise(0), noise(2)), means);
    const std::uint32_t odd = AddSignedOdd(Pack(noise(1), noise(3)), means);
    const std::uint32_t word = Even(Saturate(even)) | Even(Saturate(odd)) << 8;
    // -128 becomes -127: 1 less and 1 more, each saturated.
    Store(out, SaturatedSubtract(SaturatedAdd(word, ~0U), ~0U));
  }
  *random = state;
}

// Its place in sigma, and the levels of its channel.
void SetLane(const SampleArgs& args, std::uint32_t index, Lane* lane) {
  const std::uint32_t bits = args.sigma_bits;
  const std::uint32_t channel = index & (args.width - 1);
  if (bits == 0) {  // drawn as if of 4 bits; any bytes will do, all codes name the same level
    lane->sigma = lane->mu;
  } else {
    const CodePlace place(bits, index);
    lane->sigma = args.sigma + args.first_block * 8 * bits + place.byte;
    lane->sigma_shift = place.shift;
  }
  // The mirror of an antithetic pair negates every eps.
  const std::int32_t unit =
      (args.stream.flip == 0 ? 1 : -1) * (1 << (24 - std::int32_t{args.shift[channel]}));
  // Channels of 4 bits differ in nothing but the unit.
  if (bits == 4 && index != 0 && unit == lane->unit) return;
  lane->unit = unit;
  lane->levels[0] = unit;
  if (bits == 8) return;
  const std::uint8_t* book = args.codebook + (bits == 4 ? 0 : channel);
  const std::size_t stride = bits == 4 ? 1 : args.codebook_stride;
  const std::uint32_t mask = (1U << bits) - 1;  // bits above the code repeat the table
  for (std::uint32_t name = 0; name < kLevels; ++name) {
    lane->levels[name] = unit * book[(name & mask) * stride];
  }
}

// Codes of a lane's 4 means of block after block, in the place of the weights.
void AppendPlane(std::uint32_t bits, const std::uint8_t* plane, std::size_t plane_step,
                 std::uint32_t index, std::int8_t* weights, std::size_t blocks) {
  const CodePlace place(bits, index);
  const std::uint32_t mask = ((1U << bits) - 1) * kOnes;
  plane += place.byte;
  for (; blocks != 0; --blocks, plane += plane_step, weights += kBlockBytes) {
    const std::uint32_t codes = LoadCodes(bits, plane, place.shift) & mask;
    Store(weights, Load(weights) << bits | codes);
  }
}

std::size_t PieceBlocks(const SampleArgs& args) { return args.end_block - args.first_block; }

// Packed means as bytes in the place of the weights.
void Unpack(const SampleArgs& args) {
  const std::uint32_t bits = args.mu_bits;
  const std::size_t blocks = PieceBlocks(args);
  std::memset(args.weights, 0, blocks * kBlockBytes);
  const std::uint8_t* plane = args.mu + args.first_block * 8 * bits;
  for (std::uint32_t plane_bits = 4; plane_bits != 0; plane_bits /= 2) {
    if ((bits & plane_bits) == 0) continue;
    for (std::uint32_t index = 0; index < kLanes; ++index) {
      AppendPlane(plane_bits, plane, std::size_t{8} * bits, index, args.weights + index * 4,
                  blocks);
    }
    plane += 8 * plane_bits;
  }
  for (std::int8_t* four = args.weights; four != args.weights + blocks * kBlockBytes; four += 4) {
    const std::uint32_t codes = Load(four);
    if (bits > 4) {
      Store(four, codes << (8 - bits));
      continue;
    }
    for (std::uint32_t j = 0; j < 4; ++j) four[j] = args.mu_table[Byte(codes, j)];
  }
}

}  // namespace

void UnpackPanel(const SampleArgs& args) {
  if (!config::kMeanCodes || args.mu_bits == 8) {
    std::memcpy(args.weights, args.mu + args.first_block * kBlockBytes,
                PieceBlocks(args) * kBlockBytes);
  } else {
    Unpack(args);
  }
  scalar::SilencePadding(args);
}

void SquareMeans(const SampleArgs& args) {
  UnpackPanel(args);
  std::int8_t* const end = args.weights + PieceBlocks(args) * kBlockBytes;
  for (std::int8_t* at = args.weights; at != end; ++at) {
    *at = SquareCode(*at);
  }
}

void UnpackSpread(const SampleArgs& args) {
  const std::uint32_t bits = args.sigma_bits;
  for (std::uint32_t index = 0; index < kLanes; ++index) {
    const CodePlace place(bits == 0 ? 8 : bits, index);
    const std::uint8_t* sigma =
        bits == 0 ? args.mu : args.sigma + args.first_block * 8 * bits + place.byte;
    const std::uint8_t* book = args.codebook + (bits >= 4 ? 0 : index & (args.width - 1));
    const std::size_t stride = bits == 4 ? 1 : args.codebook_stride;
    const std::uint32_t mask = (1U << bits) - 1;
    std::int8_t* out = args.weights + index * 4;
    for (std::size_t left = PieceBlocks(args); left != 0; --left, out += kBlockBytes) {
      const std::uint32_t codes = LoadCodes(bits, sigma, place.shift);
      for (std::uint32_t j = 0; j < 4; ++j) {
        const std::uint32_t code = Byte(codes, j) & mask;
        out[j] = bits == 8 ? SpreadCode(code) : static_cast<std::int8_t>(book[code * stride]);
      }
      sigma += 8 * bits;
    }
  }
  scalar::SilencePadding(args);
}

void SamplePanel(const SampleArgs& args) {
  const bool is_last = args.end_block == BlockCount(args);
  Xoshiro own;  // of a whole panel
  Lane lane;
  lane.sigma_shift = 0;
  lane.mu = args.mu + args.first_block * kBlockBytes;
  lane.weights = args.weights;
  lane.blocks = PieceBlocks(args);
  if (config::kMeanCodes && args.mu_bits != 8) {
    Unpack(args);
    lane.mu = reinterpret_cast<const std::uint8_t*>(args.weights);
  }
  for (std::uint32_t index = 0; index < kLanes; ++index, lane.mu += 4, lane.weights += 4) {
    Xoshiro* random = args.lanes != nullptr ? &args.lanes->lanes[index] : &own;
    if (args.first_block == 0) *random = MakeLane(args.stream, index);
    SetLane(args, index, &lane);
    switch (args.sigma_bits) {
      case 8:
        if constexpr (config::kSigma8) DrawLane<8>(lane, lane.levels, random);
        break;
      case 2:
        if constexpr (config::kSigma2) DrawLane<2>(lane, lane.levels, random);
        break;
      case 1:
        if constexpr (config::kSigma1) DrawLane<1>(lane, lane.levels, random);
        break;
      default:
        DrawLane<4>(lane, lane.levels, random);
    }
    if (!is_last || index >= args.width) continue;
    // The biases take the step after the weights: byte 0 of lane c.
    scalar::DrawBias(args, index, kEpsilon[(random->Next() & 255) ^ args.stream.flip] / 256);
  }
  scalar::SilencePadding(args);
}

}  // namespace mu8::kernels::armdsp
#endif  // MU8_HAVE_ARMDSP
