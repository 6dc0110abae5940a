// The FP32 reference with the engine's own bytes: each weight gets the eps that the engine's
// sampler draws for it.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "converters/judge/engine_noise.h"
#include "converters/lower/records.h"
#include "formats/layout.h"
#include "kernels/gaussian_table.h"
#include "kernels/scalar/kernels.h"

using namespace mu8::convert;

namespace {

// A 5x5 convolution of one channel to 21 (panels of 16 and 8 slots, runs of 5 padded to 8).
Network TestNetwork() {
  Network network;
  network.values = {{"x", 7, 7, 1}, {"y", 3, 3, 21}};
  Node node{.op = Op::kConv2d, .name = "conv", .inputs = {0}, .output = 1};
  node.window = {.kernel_h = 5, .kernel_w = 5};
  node.weights.mu.assign(21 * 25, 0.5F);
  node.weights.sigma.assign(21 * 25, 2.0F);
  node.bias.mu.assign(21, -1.0F);
  node.bias.sigma.assign(21, 3.0F);
  network.nodes = {node};
  network.output = 1;
  return network;
}

// The engine's weights for mu = 0 and a level that makes n = eps: (2 eps + 1) >> 1.
void DrawEpsilons(std::uint64_t seed, std::uint32_t pass, std::uint32_t panel, std::uint32_t width,
                  std::vector<std::int8_t>* weights, std::int32_t* bias) {
  const std::vector<std::uint8_t> mu(1024, 0);
  const std::vector<std::uint8_t> levels(16, 2), shifts(16, 1);
  const std::vector<std::int32_t> bias_mu(16, 0);
  const std::vector<std::uint16_t> bias_levels(16, 2);
  weights->assign(1024, 0);
  mu8::kernels::SampleArgs args{};
  args.stream = {seed, pass, 0, panel};
  args.width = width;
  args.runs = 5;
  args.run_length = 5;
  args.padded_run = 8;
  args.mu_bits = 8;
  args.mu = mu.data();
  args.codebook = levels.data();
  args.codebook_stride = 16;
  args.shift = shifts.data();
  args.bias_mu = bias_mu.data();
  args.bias_level = bias_levels.data();
  args.bias_shift = shifts.data();
  args.weights = weights->data();
  args.bias = bias;
  args.end_block = mu8::kernels::BlockCount(args);
  mu8::kernels::scalar::SamplePanel(args);
}

}  // namespace

TEST_CASE("engine noise: weights and biases carry the sampler's eps, layer, panel and position") {
  const Network network = TestNetwork();
  const std::vector<Step> steps = MakeSteps(network);
  SampledWeights drawn;
  SampleEngineNoise(network, steps, 77, 3, &drawn);
  const double unit = std::sqrt(256.0 / mu8::kernels::kEpsilonSumOfSquares);
  const auto panels = mu8::format::MakePanelLayout(LayerShape(network, steps[0]));
  REQUIRE(panels.panel_count() == 2);
  int checked = 0;
  for (std::uint32_t panel = 0; panel < 2; ++panel) {
    std::vector<std::int8_t> epsilon;
    std::int32_t bias[16];
    DrawEpsilons(77, 3, panel, panels.width(panel), &epsilon, bias);
    for (std::uint32_t c = 0; c < panels.channels(panel); ++c) {
      const std::uint32_t channel = panels.channel(panel) + c;
      for (std::uint32_t i = 0; i < 25; ++i) {
        const auto at =
            mu8::format::WeightOffset(panels, channel, i / 5, i % 5) - panels.panel_offset(panel);
        CHECK(double{drawn.weights[0][channel * 25 + i]} ==
              doctest::Approx(0.5 + 2.0 * unit * epsilon[at]));
        ++checked;
      }
      CHECK(double{drawn.biases[0][channel]} == doctest::Approx(-1.0 + 3.0 * unit * bias[c]));
    }
  }
  CHECK(checked == 21 * 25);
}
