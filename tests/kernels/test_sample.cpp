// Every table's panel sampler against the formula, byte for byte, with every array between guard
// pages.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"
#include "tests/kernels/tables.h"
#include "tests/support/effort.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/random.h"
#include "tests/support/reference_noise.h"

namespace mu8::testing {
namespace {

struct Shape {
  std::uint32_t runs, run_length;
  std::uint32_t padded_run() const { return (run_length + 3) / 4 * 4; }
};

// One run and many, every remainder of 4, below, at and past whole 64-byte blocks of each width.
constexpr Shape kShapes[] = {{1, 1},  {1, 2},  {1, 3},  {1, 4},   {1, 5},   {2, 2},  {3, 3},
                             {3, 7},  {5, 6},  {1, 16}, {1, 17},  {25, 1},  {3, 9},  {7, 33},
                             {4, 13}, {2, 64}, {9, 4},  {1, 127}, {1, 128}, {1, 400}};

// What is not random: 1..15 are that shift in all channels. From shift 8 on noise fits a byte, and
// kernels may take a shorter way where it does in all channels.
enum Variant {
  kMixedShifts = 0,
  kLargestShift = 15,
  kNarrowNoise,
  kNarrowButOne,
  kExtremes,
  kNoNoise,
  kVariantEnd
};

// The arguments of one call; arrays that the width does not use stay empty.
struct Panel {
  kernels::SampleArgs args{};
  std::size_t bytes = 0;  // of mu, whole blocks
  std::vector<std::int8_t> mu, mu_table;
  std::vector<std::uint8_t> mu_codes, sigma, codebook, shift, bias_shift;
  std::vector<std::int32_t> bias_mu;
  std::vector<std::uint16_t> bias_level;
};

void FillValues(int variant, Random* random, Panel* panel) {
  const bool extremes = variant == kExtremes;
  random->Fill(std::span(panel->mu), -127, 127);
  random->Fill(std::span(panel->sigma), 0, 255);
  random->Fill(std::span(panel->codebook), 0, 255);
  random->Fill(std::span(panel->shift), 1, 15);
  random->Fill(std::span(panel->bias_shift), 1, 15);
  random->Fill(std::span(panel->bias_level), 0, 65535);
  // A file that was checked has none whose sum wraps; memory that changed afterwards may.
  random->Fill(std::span(panel->bias_mu), -2147483647, 2147483647);
  if (extremes) random->Fill(std::span(panel->bias_mu), 2147400000, 2147483647);
  if (variant >= 1 && variant <= kLargestShift) {
    std::fill(panel->shift.begin(), panel->shift.end(), static_cast<std::uint8_t>(variant));
  }
  if (variant == kNarrowNoise || variant == kNarrowButOne) {
    random->Fill(std::span(panel->shift), 8, 15);
  }
  if (variant == kNarrowButOne) {
    panel->shift[random->Below(static_cast<std::uint32_t>(panel->shift.size()))] = 7;
  }
  if (extremes) {
    for (std::int8_t& mu : panel->mu) mu = random->OneOf<std::int8_t>({-127, 127, 0});
    for (auto* levels : {&panel->sigma, &panel->codebook}) {
      for (std::uint8_t& level : *levels) level = random->OneOf<std::uint8_t>({0, 255, 255, 1});
    }
    for (std::uint8_t& shift : panel->shift) shift = random->OneOf<std::uint8_t>({1, 1, 2, 15});
    for (std::uint16_t& level : panel->bias_level) level = 65535;
    for (std::uint8_t& shift : panel->bias_shift) shift = 1;
  }
  if (variant == kNoNoise) {
    std::fill(panel->sigma.begin(), panel->sigma.end(), std::uint8_t{0});
    std::fill(panel->codebook.begin(), panel->codebook.end(), std::uint8_t{0});
    std::fill(panel->bias_level.begin(), panel->bias_level.end(), std::uint16_t{0});
  }
}

Panel MakePanel(std::uint32_t bits, std::uint32_t width, Shape shape, int variant, Random* random) {
  Panel panel;
  kernels::SampleArgs& args = panel.args;
  args.stream = {random->Next(), static_cast<std::uint32_t>(random->Next()),
                 static_cast<std::uint32_t>(random->Next()),
                 static_cast<std::uint32_t>(random->Next()),
                 random->OneOf<std::uint8_t>({0, 0x80})};
  args.width = width;
  args.runs = shape.runs;
  args.run_length = shape.run_length;
  args.padded_run = shape.padded_run();
  args.mu_bits = 8;
  args.sigma_bits = bits;
  args.codebook_stride = width + random->Below(20);
  panel.bytes = (std::size_t{width} * shape.runs * shape.padded_run() + 63) / 64 * 64;
  panel.mu.resize(panel.bytes);
  panel.sigma.resize(panel.bytes * bits / 8);
  if (bits == 4) panel.codebook.resize(16);
  if (bits < 4) panel.codebook.resize(((1U << bits) - 1) * args.codebook_stride + width);
  panel.shift.resize(width);
  panel.bias_shift.resize(width);
  panel.bias_mu.resize(width);
  panel.bias_level.resize(width);
  FillValues(variant, random, &panel);
  return panel;
}

// Codes of 1 to 7 bits for the panel's means, and what they stand for: FORMAT.md 6.7, written as
// its planes are described there.
void PackMeans(std::uint32_t bits, Random* random, Panel* panel) {
  panel->mu_codes.assign(panel->bytes * bits / 8, 0);
  if (bits <= 4) {
    panel->mu_table.resize(16);
    random->Fill(std::span(panel->mu_table), -127, 127);
  }
  for (std::size_t i = 0; i < panel->bytes; ++i) {
    const std::uint32_t code = random->Below(1U << bits);
    std::size_t plane = i / 64 * 8 * bits;
    std::uint32_t left = bits;
    for (const std::uint32_t width : {4U, 2U, 1U}) {
      if ((bits & width) == 0) continue;
      left -= width;
      const std::uint32_t part = code >> left & ((1U << width) - 1);
      const std::size_t at = i % 64;
      const std::size_t byte = width == 1 ? at / 8 : at % (8 * width);
      const std::size_t first = width == 1 ? at % 8 : at / (8 * width) * width;
      panel->mu_codes[plane + byte] =
          static_cast<std::uint8_t>(panel->mu_codes[plane + byte] | part << first);
      plane += 8 * width;
    }
    panel->mu[i] = bits <= 4
                       ? panel->mu_table[code]
                       : static_cast<std::int8_t>(static_cast<std::uint8_t>(code << (8 - bits)));
  }
}

struct Drawn {
  std::vector<std::int8_t> weights;
  std::vector<std::int32_t> bias;
  bool operator==(const Drawn&) const = default;
};

// Sigma codes, FORMAT.md section 6: blocks of 64 weights, codes in parts of a register.
std::uint32_t Code(const Panel& panel, std::size_t i) {
  const std::uint32_t bits = panel.args.sigma_bits;
  const std::size_t block = i / 64 * 8 * bits;
  const std::size_t at = i % 64;
  if (bits == 0) return 0;
  // The first bit of the code, counted from the byte's lowest.
  const std::size_t byte = bits == 1 ? at / 8 : at % (8 * bits);
  const std::size_t first = bits == 1 ? at % 8 : at / (8 * bits) * bits;
  return (std::uint32_t{panel.sigma[block + byte]} >> first) & ((1U << bits) - 1);
}

Drawn Expected(const Panel& panel, const std::array<std::int32_t, 256>& epsilon) {
  const kernels::SampleArgs& args = panel.args;
  ReferenceStream stream(args.stream.seed, args.stream.pass, args.stream.layer, args.stream.panel);
  const int sign = args.stream.flip == 0 ? 1 : -1;
  Drawn drawn;
  for (std::size_t i = 0; i < panel.bytes; ++i) {
    const std::size_t channel = i / 4 % args.width;
    const std::size_t position = i / 4 / args.width * 4 + i % 4;
    const bool weight = position < std::size_t{args.runs} * args.padded_run;
    const bool padded = weight && position % args.padded_run >= args.run_length;
    const std::uint32_t code = Code(panel, i);
    const std::int32_t level = args.sigma_bits == 8 ? static_cast<std::int32_t>(code)
                               : args.sigma_bits == 4
                                   ? panel.codebook[code]
                                   : panel.codebook[code * args.codebook_stride + channel];
    const std::int64_t noise =
        ReferenceNoise(level, sign * epsilon[stream.Byte(i)], panel.shift[channel]);
    const std::int64_t value = std::clamp<std::int64_t>(panel.mu[i] + noise, -127, 127);
    drawn.weights.push_back(static_cast<std::int8_t>(padded ? 0 : value));
  }
  for (std::size_t c = 0; c < args.width; ++c) {
    const std::int64_t noise = ReferenceNoise(
        panel.bias_level[c], sign * epsilon[stream.Byte(panel.bytes + 4 * c)], panel.bias_shift[c]);
    drawn.bias.push_back(static_cast<std::int32_t>(panel.bias_mu[c] + noise));
  }
  return drawn;
}

// Guarded homes for every array; outputs are surrounded by a known byte.
class Guards {
 public:
  // Sampled, or only unpacked: then nothing is said of the bias. In one piece, or cut where `cuts`,
  // increasing blocks, say; each piece between guard pages of its own.
  Drawn Run(const kernels::KernelTable& table, const Panel& panel, bool unpack = false,
            std::vector<std::size_t> cuts = {}) {
    kernels::SampleArgs args = panel.args;
    if (panel.mu_codes.empty()) {
      args.mu = reinterpret_cast<const std::uint8_t*>(mu_.CopyLast(panel.mu));
    } else {
      args.mu = mu_.CopyLast(panel.mu_codes);
    }
    args.mu_table = panel.mu_table.empty() ? nullptr : mu_table_.CopyLast(panel.mu_table);
    args.sigma = panel.sigma.empty() ? nullptr : sigma_.CopyLast(panel.sigma);
    args.codebook = panel.codebook.empty() ? nullptr : codebook_.CopyLast(panel.codebook);
    args.shift = shift_.CopyLast(panel.shift);
    args.bias_mu = bias_mu_.CopyLast(panel.bias_mu);
    args.bias_level = bias_level_.CopyLast(panel.bias_level);
    args.bias_shift = bias_shift_.CopyLast(panel.bias_shift);
    args.bias = bias_.Last<std::int32_t>(args.width);
    untouched_ = true;
    if (!cuts.empty()) args.lanes = lanes_.Last<kernels::LaneStates>(1);
    cuts.push_back(panel.bytes / kernels::kBlockBytes);
    Drawn drawn;
    for (const std::size_t cut : cuts) {
      args.end_block = cut;
      const std::size_t bytes = (cut - args.first_block) * kernels::kBlockBytes;
      args.weights = weights_.Last<std::int8_t>(bytes);
      std::memset(args.weights - kMargin, kCanary, bytes + kMargin);
      std::memset(args.bias - kMargin, kCanary, (args.width + kMargin) * sizeof(std::int32_t));
      (unpack ? table.unpack_panel : table.sample_panel)(args);
      CheckUntouched(args);
      drawn.weights.insert(drawn.weights.end(), args.weights, args.weights + bytes);
      args.first_block = cut;
    }
    drawn.bias.assign(args.bias, args.bias + args.width);
    return drawn;
  }
  bool untouched() const { return untouched_; }

 private:
  void CheckUntouched(const kernels::SampleArgs& args) {
    const auto is_untouched = [](std::int8_t byte) { return byte == kCanary; };
    const auto* bias = reinterpret_cast<const std::int8_t*>(args.bias);
    const bool is_last = args.end_block == kernels::BlockCount(args);
    const std::size_t biases = is_last ? 0 : args.width * sizeof(std::int32_t);
    untouched_ &= std::all_of(args.weights - kMargin, args.weights, is_untouched) &&
                  std::all_of(bias - kMargin * sizeof(std::int32_t), bias + biases, is_untouched);
  }

  static constexpr int kCanary = 0x55;
  static constexpr std::size_t kMargin = 64;
  GuardedBuffer mu_{16384}, mu_table_{64}, sigma_{16384}, codebook_{4096}, shift_{64}, bias_mu_{64},
      bias_level_{64}, bias_shift_{64}, weights_{16384}, bias_{4096}, lanes_{256};
  bool untouched_ = false;
};

TEST_CASE("sample: every table equals the formula for every width, layout and shift") {
  const std::array<std::int32_t, 256> epsilon = DeriveEpsilon();
  const auto tables = RunnableTables();
  Guards guards;
  Random random(3);
  std::size_t executed = 0;
  std::size_t weights = 0;
  for (const std::uint32_t bits : {8U, 4U, 2U, 1U, 0U}) {
    for (const std::uint32_t width : {4U, 8U, 16U}) {
      for (const Shape& shape : kShapes) {
        for (int variant = 0; variant < kVariantEnd; ++variant) {
          const Panel panel = MakePanel(bits, width, shape, variant, &random);
          const Drawn expected = Expected(panel, epsilon);
          for (const kernels::KernelTable* table : tables) {
            CAPTURE(std::string(table->name));
            CAPTURE(bits);
            CAPTURE(width);
            CAPTURE(shape.runs);
            CAPTURE(shape.run_length);
            CAPTURE(variant);
            const Drawn drawn = guards.Run(*table, panel);
            REQUIRE(drawn == expected);
            REQUIRE(guards.untouched());
            ++executed;
            weights += panel.bytes;
          }
        }
      }
    }
  }
  MESSAGE("panels drawn: " << executed << ", weights: " << weights);
  CHECK(executed == tables.size() * 5 * 3 * std::size(kShapes) * kVariantEnd);
}

TEST_CASE("sample: packed means of every width, drawn and unpacked") {
  const std::array<std::int32_t, 256> epsilon = DeriveEpsilon();
  const auto tables = RunnableTables();
  Guards guards;
  Random random(8);
  std::size_t executed = 0;
  for (std::uint32_t mu_bits = 1; mu_bits <= 8; ++mu_bits) {
    for (const std::uint32_t sigma_bits : {8U, 4U, 2U, 1U, 0U}) {
      for (const std::uint32_t width : {4U, 8U, 16U}) {
        for (const Shape& shape : kShapes) {
          const int variant = random.OneOf<int>({kMixedShifts, kNarrowNoise});
          Panel panel = MakePanel(sigma_bits, width, shape, variant, &random);
          panel.args.mu_bits = mu_bits;
          if (mu_bits < 8) PackMeans(mu_bits, &random, &panel);
          const Drawn expected = Expected(panel, epsilon);
          std::vector<std::int8_t> means = panel.mu;
          const std::size_t weights = std::size_t{width} * shape.runs * shape.padded_run();
          for (std::size_t i = 0; i < weights; ++i) {
            const std::size_t position = i / 4 / width * 4 + i % 4;
            if (position % shape.padded_run() >= shape.run_length) means[i] = 0;
          }
          for (const kernels::KernelTable* table : tables) {
            CAPTURE(std::string(table->name));
            CAPTURE(mu_bits);
            CAPTURE(sigma_bits);
            CAPTURE(width);
            CAPTURE(shape.run_length);
            REQUIRE(guards.Run(*table, panel) == expected);
            REQUIRE(guards.Run(*table, panel, true).weights == means);
            REQUIRE(guards.untouched());
            ++executed;
          }
        }
      }
    }
  }
  MESSAGE("panels: " << executed);
  CHECK(executed == 8 * 5 * 3 * std::size(kShapes) * tables.size());
}

// Increasing blocks below `end`, up to five of them.
std::vector<std::size_t> RandomCuts(std::size_t end, Random* random) {
  std::vector<std::size_t> cuts;
  for (std::uint32_t i = random->Below(6); i > 0; --i) {
    const std::size_t from = cuts.empty() ? 0 : cuts.back();
    if (end - from < 2) break;
    cuts.push_back(from + 1 + random->Below(static_cast<std::uint32_t>(end - from - 1)));
  }
  return cuts;
}

TEST_CASE("sample: a panel drawn or unpacked in pieces is the panel drawn at once") {
  const auto tables = RunnableTables();
  Guards guards;
  Random random(9);
  std::size_t pieces = 0, cut = 0;
  for (std::uint32_t mu_bits = 1; mu_bits <= 8; ++mu_bits) {
    for (const std::uint32_t sigma_bits : {8U, 4U, 2U, 1U, 0U}) {
      for (const std::uint32_t width : {4U, 8U, 16U}) {
        for (const Shape& shape : kShapes) {
          const int variant = random.OneOf<int>({kMixedShifts, kNarrowNoise});
          Panel panel = MakePanel(sigma_bits, width, shape, variant, &random);
          panel.args.mu_bits = mu_bits;
          if (mu_bits < 8) PackMeans(mu_bits, &random, &panel);
          const Drawn expected = guards.Run(*tables[0], panel);
          const Drawn means = guards.Run(*tables[0], panel, true);
          const std::vector<std::size_t> cuts = RandomCuts(panel.bytes / 64, &random);
          for (const kernels::KernelTable* table : tables) {
            CAPTURE(std::string(table->name));
            CAPTURE(mu_bits);
            CAPTURE(sigma_bits);
            CAPTURE(width);
            CAPTURE(shape.run_length);
            CAPTURE(cuts.size());
            REQUIRE(guards.Run(*table, panel, false, cuts) == expected);
            REQUIRE(guards.untouched());
            REQUIRE(guards.Run(*table, panel, true, cuts).weights == means.weights);
            REQUIRE(guards.untouched());
            pieces += cuts.size() + 1;
            cut += cuts.empty() ? 0U : 1U;
          }
        }
      }
    }
  }
  MESSAGE("panels cut: " << cut << ", pieces: " << pieces);
  CHECK(cut > tables.size() * 8 * 5 * 3 * std::size(kShapes) / 2);
}

TEST_CASE("sample: padded inputs weigh nothing, whatever mu and sigma say there") {
  Guards guards;
  Random random(4);
  std::size_t padded = 0;
  for (const kernels::KernelTable* table : RunnableTables()) {
    for (const std::uint32_t bits : {8U, 4U, 2U, 1U, 0U}) {
      for (const Shape& shape : kShapes) {
        Panel panel = MakePanel(bits, 8, shape, kExtremes, &random);
        const Drawn drawn = guards.Run(*table, panel);
        for (std::size_t i = 0; i < std::size_t{8} * shape.runs * shape.padded_run(); ++i) {
          const std::size_t position = i / 32 * 4 + i % 4;
          if (position % shape.padded_run() < shape.run_length) continue;
          ++padded;
          REQUIRE(drawn.weights[i] == 0);
        }
      }
    }
  }
  MESSAGE("padded inputs checked: " << padded);
  CHECK(padded > 0);
}

// Found by inverting Philox: one of these streams' lanes (6 and 10) would begin in xoshiro's only
// forbidden state, all zero.
TEST_CASE("sample: a lane in the forbidden state starts at 1, 0, 0, 0") {
  constexpr kernels::StreamId kStreams[] = {{210153238, 2842126016, 2512181759, 3164216293, 0},
                                            {173044924, 1833165078, 2605195269, 3489012560, 0}};
  const std::array<std::int32_t, 256> epsilon = DeriveEpsilon();
  CHECK(kernels::MakeLane(kStreams[0], 6).s == Words4{1, 0, 0, 0});
  CHECK(kernels::MakeLane(kStreams[1], 10).s == Words4{1, 0, 0, 0});
  Guards guards;
  Random random(6);
  for (const kernels::StreamId& stream : kStreams) {
    Panel panel = MakePanel(8, 16, {1, 40}, 4, &random);
    panel.args.stream = stream;
    const Drawn expected = Expected(panel, epsilon);
    for (const kernels::KernelTable* table : RunnableTables()) {
      CAPTURE(std::string(table->name));
      CHECK(guards.Run(*table, panel) == expected);
    }
  }
}

TEST_CASE("sample: weights stay within -127..127") {
  Guards guards;
  Random random(5);
  for (const kernels::KernelTable* table : RunnableTables()) {
    const Panel panel = MakePanel(8, 16, {1, 400}, kExtremes, &random);
    const Drawn drawn = guards.Run(*table, panel);
    CHECK(*std::min_element(drawn.weights.begin(), drawn.weights.end()) == -127);
    CHECK(*std::max_element(drawn.weights.begin(), drawn.weights.end()) == 127);
  }
}

}  // namespace
}  // namespace mu8::testing
