// The arithmetic of formats/layout.h against counting by hand.
#include <doctest/doctest.h>

#include <set>
#include <vector>

#include "formats/arena.h"
#include "formats/layout.h"
#include "tests/support/random.h"

namespace mu8::testing {
namespace {

using format::LayerRecord;
using format::MakePanelLayout;
using format::PanelLayout;

LayerRecord Layer(std::uint32_t channels, std::uint32_t groups, std::uint32_t runs,
                  std::uint32_t run_length) {
  LayerRecord layer{};
  layer.output_channels = channels;
  layer.groups = groups;
  layer.runs = runs;
  layer.run_length = run_length;
  return layer;
}

TEST_CASE("layout: the last panel of a group is 4, 8 or 16 channels wide") {
  const std::uint32_t widths[] = {4, 4, 4, 4, 8, 8, 8, 8, 16, 16, 16, 16, 16, 16, 16, 16};
  for (std::uint32_t channels = 1; channels <= 48; ++channels) {
    const PanelLayout panels = MakePanelLayout(Layer(channels, 1, 1, 4));
    CAPTURE(channels);
    CHECK(panels.panel_count() == (channels + 15) / 16);
    CHECK(panels.last_width == widths[(channels - 1) % 16]);
    CHECK(panels.width(panels.panel_count() - 1) == panels.last_width);
    std::uint32_t real = 0;
    for (std::uint32_t p = 0; p < panels.panel_count(); ++p) real += panels.channels(p);
    CHECK(real == channels);
  }
}

TEST_CASE("layout: LeNet-5's first convolution and classifier") {
  // conv1: 6 channels, 5 x 5 x 1: five runs of 5 inputs padded to 8; one panel of 8 channels.
  const PanelLayout conv = MakePanelLayout(Layer(6, 1, 5, 5));
  CHECK(conv.inputs == 40);
  CHECK(conv.mu_bytes() == 320);
  CHECK(conv.padded_channels == 8);
  // fc3: 84 -> 10: one panel of 16 channels.
  const PanelLayout dense = MakePanelLayout(Layer(10, 1, 1, 84));
  CHECK(dense.mu_bytes() == 1344);
  CHECK(dense.padded_channels == 16);
}

// Where a weight lies, counted: panels one behind the other, in each the groups of 4 inputs, in
// each the channels, in each the 4 inputs.
TEST_CASE("layout: every weight has its own byte, in the order of the format") {
  Random random(41);
  std::size_t weights = 0;
  for (int i = 0; i < 200; ++i) {
    const std::uint32_t groups = 1 + random.Below(3);
    const PanelLayout panels = MakePanelLayout(
        Layer(groups * (1 + random.Below(40)), groups, 1 + random.Below(4), 1 + random.Below(11)));
    std::uint64_t panel_start = 0;
    for (std::uint32_t panel = 0; panel < panels.panel_count(); ++panel) {
      CHECK(panels.panel_offset(panel) == panel_start);
      for (std::uint32_t c = 0; c < panels.channels(panel); ++c) {
        for (std::uint32_t run = 0; run < panels.runs; ++run) {
          for (std::uint32_t input = 0; input < panels.run_length; ++input) {
            const std::uint32_t k = run * panels.padded_run + input;
            const std::uint64_t expected =
                panel_start + (std::uint64_t{k} / 4 * panels.width(panel) + c) * 4 + k % 4;
            REQUIRE(format::WeightOffset(panels, panels.channel(panel) + c, run, input) ==
                    expected);
            REQUIRE(expected < panel_start + panels.panel_bytes(panel));
            ++weights;
          }
        }
        REQUIRE(format::SlotOf(panels, panels.channel(panel) + c) == panels.slot(panel) + c);
      }
      panel_start += (std::uint64_t{panels.width(panel)} * panels.inputs + 63) / 64 * 64;
    }
    CHECK(panels.mu_bytes() == panel_start);
  }
  MESSAGE("weights placed: " << weights);
}

TEST_CASE("layout: groups do not share panels or slots") {
  const PanelLayout panels = MakePanelLayout(Layer(3 * 18, 3, 1, 4));
  CHECK(panels.panel_count() == 6);
  CHECK(panels.padded_channels == 3 * 20);
  std::set<std::uint32_t> slots;
  for (std::uint32_t channel = 0; channel < 54; ++channel) {
    slots.insert(format::SlotOf(panels, channel));
  }
  CHECK(slots.size() == 54);
  CHECK(format::SlotOf(panels, 18) == 20);
  CHECK(panels.channel(2) == 18);
  CHECK(panels.slot(2) == 20);
}

TEST_CASE("layout: a layer's arrays follow each other; mu and sigma start at multiples of 64") {
  Random random(42);
  std::size_t layouts = 0;
  for (int i = 0; i < 100; ++i) {
    format::LayerRecord layer =
        Layer(1 + random.Below(70), 1, 1 + random.Below(5), 1 + random.Below(30));
    const PanelLayout panels = MakePanelLayout(layer);
    const std::uint64_t slots = panels.padded_channels;
    for (std::uint8_t mu_bits = 1; mu_bits <= 8; ++mu_bits) {
      layer.mu_bits = mu_bits;
      const std::uint64_t table = mu_bits <= 4 ? 16 * panels.panel_count() : 0;
      const std::uint64_t mu_bytes = panels.mu_bytes() * mu_bits / 8;
      for (const std::uint32_t bits : {8U, 4U, 2U, 1U, 0U}) {
        layer.flags = format::kLayerBayesian;
        layer.sigma_bits = static_cast<std::uint8_t>(bits);
        const auto layout = format::MakeParameterLayout(layer);
        const std::uint64_t codebook = bits == 8   ? 0
                                       : bits == 4 ? 16 * panels.panel_count()
                                                   : slots << bits;
        CHECK(layout.bias_mu == 4 * slots);
        CHECK(layout.bias_level == 8 * slots);
        CHECK(layout.bias_shift == 10 * slots);
        CHECK(layout.shift == 11 * slots);
        CHECK(layout.codebook == 12 * slots);
        CHECK(layout.mu_table == 12 * slots + codebook);
        CHECK(layout.mu == (12 * slots + codebook + table + 63) / 64 * 64);
        CHECK(layout.sigma == (layout.mu + mu_bytes + 63) / 64 * 64);
        CHECK(layout.bytes == (layout.sigma + panels.mu_bytes() * bits / 8 + 63) / 64 * 64);
        ++layouts;
      }
      layer.flags = 0;
      layer.sigma_bits = 0;
      const auto plain = format::MakeParameterLayout(layer);
      CHECK(plain.mu == (8 * slots + table + 63) / 64 * 64);
      CHECK(plain.bytes == (plain.mu + mu_bytes + 63) / 64 * 64);
    }
  }
  CHECK(layouts == 100 * 8 * 5);
}

TEST_CASE(
    "layout: with a width for each panel, widths and tables lie before mu, panels side by side") {
  format::LayerRecord layer = Layer(70, 2, 5, 13);  // per group 3 panels, the last of 4 slots
  layer.flags = format::kLayerBayesian;
  layer.sigma_bits = 4;
  layer.mu_bits = format::kMuBitsByPanel;
  const PanelLayout panels = MakePanelLayout(layer);
  const std::vector<std::uint8_t> bits = {8, 1, 3, 5, 2, 7};
  REQUIRE(panels.panel_count() == bits.size());
  std::uint64_t bytes = 0;
  format::MuCursor mu(layer, panels, bits.data());
  for (; mu.panel() < panels.panel_count(); mu.Next()) {
    CHECK(mu.bits() == bits[mu.panel()]);
    CHECK(mu.offset() == bytes);
    // Runs of 13 inputs are stored as 16.
    const std::uint64_t width = mu.panel() % 3 == 2 ? 4 : 16;
    const std::uint64_t blocks = (5 * 16 * width + 63) / 64;
    bytes += blocks * 8 * bits[mu.panel()];
  }
  layer.mu_bytes = static_cast<std::uint32_t>(bytes);
  const auto layout = format::MakeParameterLayout(layer);
  CHECK(layout.panel_bits == layout.codebook + 16 * 6);
  CHECK(layout.mu_table == layout.panel_bits + 6);
  CHECK(layout.mu == (layout.mu_table + 16 * 6 + 63) / 64 * 64);
  CHECK(layout.sigma == (layout.mu + bytes + 63) / 64 * 64);
  CHECK(layout.bytes == (layout.sigma + panels.mu_bytes() / 2 + 63) / 64 * 64);
}

TEST_CASE("layout: a tensor has its padded rows and a readable tail of 64 bytes") {
  format::TensorRecord tensor{};
  tensor.height = 3;
  tensor.width = 5;
  tensor.channels = 2;
  tensor.row_stride = 10;
  CHECK(format::TensorBytes(tensor) == 128);  // 30 + 64, rounded up
  tensor.pad_top = 1;
  tensor.pad_bottom = 2;
  tensor.row_stride = 11;
  CHECK(format::TensorBytes(tensor) == 192);  // 66 + 64
}

// What there is of one kind, for `batch` images.
void CheckArena(const format::ModelRecord& model, std::uint32_t batch, bool stored_noise) {
  const auto head = static_cast<format::Head>(model.head);
  const bool softmax = head == format::Head::kSoftmax, sigmoid = head == format::Head::kSigmoid;
  const bool gaussian = head == format::Head::kGaussian, numbers = !softmax && !sigmoid;
  const bool reconstruction = head == format::Head::kReconstruction;
  const auto arena = format::MakeArenaSizes(model, 16, batch, 5, stored_noise);
  const std::uint64_t positions = model.output_height == 0 ? batch : std::uint64_t{batch} * 12;
  const std::uint64_t values = positions * (gaussian ? 5 : 10);
  const std::uint64_t entropies = numbers ? 0 : sigmoid ? values : positions;
  const std::uint64_t by_output = sigmoid                               ? values * 4
                                  : softmax && model.output_height != 0 ? positions * 4
                                                                        : 0;
  const bool noise = gaussian || stored_noise;
  const std::uint64_t parts[] = {batch * std::uint64_t{4096},
                                 6464,
                                 positions * 16 * 4,
                                 values * 8,
                                 values * (numbers ? 16 : 8),
                                 entropies * 8,
                                 gaussian ? values * 16 : 0,
                                 gaussian ? batch * 8 : 0,
                                 reconstruction ? batch * 24 : 0,
                                 values * 4,
                                 values * 4,
                                 by_output,
                                 by_output,
                                 noise ? values * 4 : 0,
                                 reconstruction ? values * 4 : 0,
                                 positions * 10 * 5 * 4};
  REQUIRE(std::size(parts) == format::kArenaParts);
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < format::kArenaParts; ++i) {
    CAPTURE(i);
    CHECK(arena[i] == parts[i]);
    sum += (parts[i] + 63) / 64 * 64;
  }
  CHECK(format::SumOfParts(arena) == sum);
  CHECK(format::MakeArenaSizes(model, 16, batch, 0, stored_noise)[format::kLogitsPart] == 0);
}

TEST_CASE("layout: the arena's parts have the sizes of what they hold") {
  format::ModelRecord model{};
  model.class_count = 10;
  model.panel_bytes = 6464;
  model.activation_bytes = 4096;
  for (std::uint32_t head = 0; head < format::kHeadCount; ++head) {
    model.head = head;
    CAPTURE(head);
    for (const bool several : {false, true}) {
      model.output_height = several ? 3 : 0;
      model.output_width = several ? 4 : 0;
      for (const std::uint32_t batch : {1U, 3U, 64U}) {
        CheckArena(model, batch, false);
        if (head == static_cast<std::uint32_t>(format::Head::kValues)) {
          CheckArena(model, batch, true);
        }
      }
    }
  }
}

// The comment of MakeArenaSizes.
TEST_CASE("layout: the largest arena is a number of 63 bits") {
  format::ModelRecord model{};
  model.activation_bytes = format::kMaxTensorOffset + format::kMaxTensorBytes;
  model.panel_bytes = 16 * format::kMaxInputs;
  model.output_height = 65535;
  model.output_width = 4096;
  for (std::uint32_t head = 0; head < format::kHeadCount; ++head) {
    model.head = head;
    model.class_count = 1;
    REQUIRE(format::OutputPositions(model) * model.class_count <= format::kMaxOutputs);
    const auto arena = format::MakeArenaSizes(model, 4, 65536, 65536, true);
    // No sum has wrapped round: each part is below the limit as well.
    for (const std::uint64_t part : arena) CHECK(part < 0x8000000000000000U);
    CHECK(format::SumOfParts(arena) < 0x8000000000000000U);
    CHECK(format::SumOfParts(arena) > arena[format::kLogitsPart]);
  }
}

}  // namespace
}  // namespace mu8::testing
