// Packing against its readers: the offsets of formats/layout.h, and the scalar sampler, which must
// draw from the packed bytes exactly what the quantized arrays say.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

#include "converters/lower/pack.h"
#include "converters/quantize/noise_moments.h"
#include "kernels/kernel_table.h"
#include "tests/support/effort.h"
#include "tests/support/random.h"

namespace mu8::convert {
namespace {

using format::LayerRecord;
using format::PanelLayout;
using format::ParameterLayout;
using testing::Random;

constexpr std::uint8_t kBits[] = {8, 4, 2, 1, 0};

struct Packed {
  LayerRecord layer{};
  QuantizedWeights weights;
  PanelLayout panels{};
  ParameterLayout layout{};
  std::vector<std::uint8_t> bytes;

  std::size_t length() const { return std::size_t{panels.runs} * panels.run_length; }
  // Group by group, panels of 16 channels: counted here without formats/layout.h.
  std::uint32_t PanelOf(std::uint32_t channel) const {
    const std::uint32_t per_group = layer.output_channels / layer.groups;
    return channel / per_group * ((per_group + 15) / 16) + channel % per_group / 16;
  }
  int MuBitsOf(std::uint32_t panel) const {
    return weights.mu_bits.size() == 1 ? weights.mu_bits.front() : weights.mu_bits[panel];
  }
  // One of the values that the channel's means may take.
  std::int8_t AnyMean(Random* random, std::uint32_t channel) const {
    const auto bits = static_cast<std::uint32_t>(MuBitsOf(PanelOf(channel)));
    if (bits <= 4) {
      return weights.mu_table[std::size_t{16} * PanelOf(channel) + random->Below(1U << bits)];
    }
    const int most = (1 << (bits - 1)) - 1;
    return static_cast<std::int8_t>(random->Between(-most, most) * (1 << (8 - bits)));
  }
  std::int32_t Level(std::uint32_t channel, std::size_t i) const {
    const std::uint8_t code = weights.code[channel * length() + i];
    if (layer.sigma_bits == 8) return code;
    if (layer.sigma_bits == 4) return weights.codebook[PanelOf(channel) * 16 + code];
    return weights.codebook[(channel << layer.sigma_bits) + code];
  }
};

template <typename T>
T Get(const std::vector<std::uint8_t>& bytes, std::uint64_t offset) {
  REQUIRE(offset + sizeof(T) <= bytes.size());
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

// A layer with every number random and different from its neighbours.
Packed Pack(Random* random, std::uint32_t channels, std::uint32_t groups, std::uint32_t runs,
            std::uint32_t run_length, bool bayesian, std::uint8_t sigma_bits,
            std::uint8_t mu_bits = 8) {
  Packed packed;
  LayerRecord& layer = packed.layer;
  layer.op = static_cast<std::uint8_t>(format::OpCode::kConv2d);
  layer.flags = bayesian ? format::kLayerBayesian : std::uint8_t{0};
  layer.mu_bits = mu_bits;
  layer.sigma_bits = sigma_bits;
  layer.groups = groups;
  layer.output_channels = channels;
  layer.runs = runs;
  layer.run_length = run_length;
  packed.panels = format::MakePanelLayout(layer);
  QuantizedWeights& w = packed.weights;
  w.mu_bits = {mu_bits};
  if (mu_bits == format::kMuBitsByPanel) {
    w.mu_bits.clear();
    for (std::uint32_t p = 0; p < packed.panels.panel_count(); ++p) {
      w.mu_bits.push_back(random->Between(1, 8));
    }
    if (w.mu_bits.size() == 1) layer.mu_bits = static_cast<std::uint8_t>(w.mu_bits.front());
  }
  SetMuBits(w, &layer);
  packed.layout = format::MakeParameterLayout(layer);
  if (*std::min_element(w.mu_bits.begin(), w.mu_bits.end()) <= 4) {
    w.mu_table.resize(std::size_t{16} * packed.panels.panel_count());
    for (std::size_t i = 0; i < w.mu_table.size(); ++i) {
      const int bits = packed.MuBitsOf(static_cast<std::uint32_t>(i / 16));
      if (bits <= 4 && i % 16 < std::size_t{1} << bits) {
        w.mu_table[i] = static_cast<std::int8_t>(random->Between(-127, 127));
      }
    }
  }
  const std::size_t count = channels * packed.length();
  for (std::size_t i = 0; i < count; ++i) {
    w.mu.push_back(packed.AnyMean(random, static_cast<std::uint32_t>(i / packed.length())));
    w.code.push_back(static_cast<std::uint8_t>(random->Below(1U << sigma_bits)));
  }
  for (std::uint32_t c = 0; c < channels; ++c) {
    w.weight_scale.push_back(static_cast<float>(random->Unit() + 0.1));
    w.shift.push_back(static_cast<std::uint8_t>(random->Between(5, 15)));
    w.bias_mu.push_back(random->Between(-1000000, 1000000));
    w.bias_level.push_back(static_cast<std::uint16_t>(random->Below(65536)));
    w.bias_shift.push_back(static_cast<std::uint8_t>(random->Between(1, 15)));
  }
  const std::size_t books = sigma_bits == 4  ? packed.PanelOf(channels - 1) + 1
                            : sigma_bits < 4 ? channels
                                             : 0;
  w.codebook.resize(bayesian ? books << sigma_bits : 0);
  random->Fill(std::span(w.codebook), 0, 255);
  packed.bytes = PackParameters(layer, w);
  return packed;
}

void CheckLayout(const Packed& packed) {
  REQUIRE(packed.bytes.size() == packed.layout.bytes);
  for (std::uint32_t c = 0; c < packed.layer.output_channels; ++c) {
    const std::uint32_t slot = format::SlotOf(packed.panels, c);
    CHECK(Get<float>(packed.bytes, packed.layout.weight_scale + slot * 4) ==
          packed.weights.weight_scale[c]);
    CHECK(Get<std::int32_t>(packed.bytes, packed.layout.bias_mu + slot * 4) ==
          packed.weights.bias_mu[c]);
    for (std::uint32_t i = 0; i < packed.length(); ++i) {
      const std::uint64_t at = format::WeightOffset(packed.panels, c, i / packed.panels.run_length,
                                                    i % packed.panels.run_length);
      if (packed.layer.mu_bits != 8) continue;  // CheckSampled unpacks them
      REQUIRE(Get<std::int8_t>(packed.bytes, packed.layout.mu + at) ==
              packed.weights.mu[c * packed.length() + i]);
    }
  }
}

// Samples panel by panel with the scalar kernel and compares every weight and bias with the
// definition applied to the unpacked arrays. Returns the weights compared.
std::size_t CheckSampled(const Packed& packed) {
  const PanelLayout& panels = packed.panels;
  const ParameterLayout& layout = packed.layout;
  const std::uint8_t* bytes = packed.bytes.data();
  std::size_t compared = 0;
  std::uint64_t mu_at = layout.mu;
  for (std::uint32_t panel = 0; panel < panels.panel_count(); ++panel) {
    const std::uint32_t slot = panels.slot(panel);
    const std::uint32_t width = panels.width(panel);
    const std::uint64_t offset = panels.panel_offset(panel);
    const std::uint32_t bits = packed.layer.sigma_bits;
    std::vector<std::int8_t> sampled(panels.panel_bytes(panel));
    std::vector<std::int32_t> bias_mu(width), bias(width);
    std::vector<std::uint16_t> bias_level(width);
    std::memcpy(bias_mu.data(), bytes + layout.bias_mu + slot * 4, width * 4);
    std::memcpy(bias_level.data(), bytes + layout.bias_level + slot * 2, width * 2);
    kernels::SampleArgs args{};
    args.stream = {.seed = 5, .pass = 2, .layer = 1, .panel = panel};
    args.width = width;
    args.runs = panels.runs;
    args.run_length = panels.run_length;
    args.padded_run = panels.padded_run;
    args.sigma_bits = bits;
    args.mu_bits = static_cast<std::uint32_t>(packed.MuBitsOf(panel));
    args.mu = bytes + mu_at;
    mu_at += panels.panel_bytes(panel) * args.mu_bits / 8;
    args.mu_table = reinterpret_cast<const std::int8_t*>(bytes + layout.mu_table) + 16 * panel;
    args.sigma = bytes + layout.sigma + offset * bits / 8;
    args.codebook = bytes + layout.codebook + (bits == 4 ? panel * 16 : slot);
    args.codebook_stride = panels.padded_channels;
    args.shift = bytes + layout.shift + slot;
    args.bias_mu = bias_mu.data();
    args.bias_level = bias_level.data();
    args.bias_shift = bytes + layout.bias_shift + slot;
    args.weights = sampled.data();
    args.bias = bias.data();
    args.end_block = kernels::BlockCount(args);
    kernels::TableAt(0).sample_panel(args);

    // The panel's random bytes in order; the biases take byte 0 of each lane in the next block.
    std::vector<std::uint8_t> random_bytes(sampled.size() + kernels::kBlockBytes);
    for (std::uint32_t lane = 0; lane < kernels::kLanes; ++lane) {
      kernels::Xoshiro state = kernels::MakeLane(args.stream, lane);
      for (std::size_t block = 0; block < random_bytes.size(); block += kernels::kBlockBytes) {
        const std::uint32_t word = state.Next();
        std::memcpy(random_bytes.data() + block + lane * 4, &word, 4);
      }
    }
    for (std::uint32_t c = 0; c < panels.channels(panel); ++c) {
      const std::uint32_t channel = panels.channel(panel) + c;
      REQUIRE(packed.PanelOf(channel) == panel);
      const std::int32_t shift = packed.weights.shift[channel];
      for (std::uint32_t i = 0; i < packed.length(); ++i) {
        const std::uint64_t at =
            format::WeightOffset(panels, channel, i / panels.run_length, i % panels.run_length) -
            offset;
        const std::int32_t noise = NoiseValue(packed.Level(channel, i), shift, random_bytes[at]);
        const std::int32_t mu = packed.weights.mu[channel * packed.length() + i];
        CAPTURE(channel);
        CAPTURE(i);
        REQUIRE(sampled[at] == std::clamp(mu + noise, -127, 127));
        ++compared;
      }
      const std::int32_t noise =
          NoiseValue(packed.weights.bias_level[channel], packed.weights.bias_shift[channel],
                     random_bytes[sampled.size() + c * 4]);
      CHECK(bias[c] == packed.weights.bias_mu[channel] + noise);
    }
  }
  return compared;
}

TEST_CASE("pack: the scalar sampler draws from the file what the quantized arrays say") {
  Random random(1);
  std::size_t compared = 0;
  std::size_t expected = 0;
  for (int round = 0; round < testing::Effort(120, 20); ++round) {
    const std::uint32_t groups = random.OneOf({1U, 1U, 2U, 3U, 5U});
    const std::uint32_t group_channels = 1 + random.Below(40);
    const std::uint8_t bits = kBits[random.Below(5)];
    const Packed packed = Pack(&random, groups * group_channels, groups, 1 + random.Below(5),
                               1 + random.Below(13), true, bits);
    CAPTURE(round);
    CAPTURE(groups);
    CAPTURE(group_channels);
    CAPTURE(int{bits});
    CheckLayout(packed);
    compared += CheckSampled(packed);
    expected += packed.weights.mu.size();
  }
  CHECK(compared == expected);
}

TEST_CASE("pack: every width of a group's last panel") {
  Random random(2);
  for (std::uint32_t channels = 1; channels <= 33; ++channels) {
    for (const std::uint8_t bits : kBits) {
      const Packed packed = Pack(&random, channels, 1, 2, 5, true, bits);
      CAPTURE(channels);
      CAPTURE(int{bits});
      CheckLayout(packed);
      CHECK(CheckSampled(packed) == packed.weights.mu.size());
    }
  }
}

TEST_CASE("pack: means of every width, and of a width for each panel") {
  Random random(5);
  int widths = 0;
  for (int width = 1; width <= 9; ++width) {
    const std::uint8_t mu_bits =
        width <= 8 ? static_cast<std::uint8_t>(width) : format::kMuBitsByPanel;
    for (int round = 0; round < 8; ++round) {
      const std::uint32_t groups = random.OneOf({1U, 1U, 2U, 3U});
      const Packed packed =
          Pack(&random, groups * (1 + random.Below(50)), groups, 1 + random.Below(5),
               1 + random.Below(13), true, kBits[random.Below(5)], mu_bits);
      CAPTURE(int{mu_bits});
      CAPTURE(round);
      CheckLayout(packed);
      CHECK(CheckSampled(packed) == packed.weights.mu.size());
      widths += packed.layer.mu_bits == mu_bits;
    }
  }
  CHECK(widths > 8 * 8);  // a layer of one panel has but one width
}

TEST_CASE("pack: unused slots and padded inputs hold zeros, and a shift that kernels accept") {
  Random random(3);
  for (const std::uint8_t bits : kBits) {
    const Packed packed = Pack(&random, 2 * 5, 2, 3, 6, true, bits);  // slots of 8, runs of 8
    CAPTURE(int{bits});
    REQUIRE(packed.panels.padded_channels == 16);
    REQUIRE(packed.panels.padded_run == 8);
    std::vector<bool> used(packed.panels.padded_channels);
    std::vector<bool> filled(packed.panels.mu_bytes());
    for (std::uint32_t c = 0; c < 10; ++c) {
      used[format::SlotOf(packed.panels, c)] = true;
      for (std::uint32_t i = 0; i < 18; ++i) {
        const std::uint64_t at = format::WeightOffset(packed.panels, c, i / 6, i % 6);
        CHECK_FALSE(filled[at]);  // no two weights share a byte
        filled[at] = true;
      }
    }
    for (std::uint32_t slot = 0; slot < used.size(); ++slot) {
      if (used[slot]) continue;
      CHECK(Get<float>(packed.bytes, packed.layout.weight_scale + slot * 4) == 0.0F);
      CHECK(Get<std::int32_t>(packed.bytes, packed.layout.bias_mu + slot * 4) == 0);
      CHECK(packed.bytes[packed.layout.shift + slot] == 1);
      CHECK(packed.bytes[packed.layout.bias_shift + slot] == 1);
    }
    for (std::size_t i = 0; i < filled.size(); ++i) {
      if (!filled[i]) CHECK(packed.bytes[packed.layout.mu + i] == 0);
    }
  }
}

TEST_CASE("pack: a deterministic layer stores means, steps and biases, nothing else") {
  Random random(4);
  const Packed packed = Pack(&random, 21, 1, 3, 7, false, 0);
  CheckLayout(packed);
  CHECK(packed.layout.sigma == packed.layout.mu + packed.panels.mu_bytes());
  CHECK(packed.bytes.size() == format::RoundUp(packed.layout.sigma, 64));
  CHECK(packed.layout.mu == format::RoundUp(packed.panels.padded_channels * 8, 64));
}

}  // namespace
}  // namespace mu8::convert
