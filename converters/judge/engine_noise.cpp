#include "converters/judge/engine_noise.h"

#include <cmath>

#include "converters/lower/records.h"
#include "formats/layout.h"
#include "kernels/gaussian_table.h"
#include "kernels/random.h"

namespace mu8::convert {
namespace {

// The random bytes of one panel, weights first, and of its biases.
struct PanelBytes {
  std::vector<std::uint8_t> weights;
  std::uint8_t bias[kernels::kLanes];
};

PanelBytes DrawBytes(const kernels::StreamId& id, std::uint64_t bytes) {
  PanelBytes drawn;
  drawn.weights.resize(bytes);
  for (std::uint32_t lane = 0; lane < kernels::kLanes; ++lane) {
    kernels::Xoshiro state = kernels::MakeLane(id, lane);
    for (std::uint64_t at = lane * 4; at < bytes; at += 64) {
      const std::uint32_t random = state.Next();
      for (std::uint32_t j = 0; j < 4; ++j) {
        drawn.weights[at + j] = static_cast<std::uint8_t>(random >> (8 * j));
      }
    }
    drawn.bias[lane] = static_cast<std::uint8_t>(state.Next());
  }
  return drawn;
}

float Normal(std::uint8_t byte) {
  const double scale = std::sqrt(256.0 / kernels::kEpsilonSumOfSquares);
  return static_cast<float>(kernels::Epsilon(byte) * scale);
}

void AddPanel(const Node& node, const format::PanelLayout& panels, std::uint32_t panel,
              const PanelBytes& bytes, std::vector<float>* weights, std::vector<float>* biases) {
  const std::uint32_t k = panels.runs * panels.run_length;
  for (std::uint32_t c = 0; c < panels.channels(panel); ++c) {
    const std::uint32_t channel = panels.channel(panel) + c;
    for (std::uint32_t i = 0; i < k && !node.weights.sigma.empty(); ++i) {
      const std::uint64_t at =
          format::WeightOffset(panels, channel, i / panels.run_length, i % panels.run_length) -
          panels.panel_offset(panel);
      const std::size_t index = std::size_t{channel} * k + i;
      (*weights)[index] += node.weights.sigma[index] * Normal(bytes.weights[at]);
    }
    if (!node.bias.sigma.empty()) {
      (*biases)[channel] += node.bias.sigma[channel] * Normal(bytes.bias[c]);
    }
  }
}

}  // namespace

void SampleEngineNoise(const Network& network, const std::vector<Step>& steps, std::uint64_t seed,
                       std::uint32_t pass, SampledWeights* out) {
  MeanWeights(network, out);
  for (std::size_t layer = 0; layer < steps.size(); ++layer) {
    const auto index = static_cast<std::size_t>(steps[layer].node);
    const Node& node = network.nodes[index];
    if (node.weights.sigma.empty() && node.bias.sigma.empty()) continue;
    const format::PanelLayout panels = format::MakePanelLayout(LayerShape(network, steps[layer]));
    for (std::uint32_t panel = 0; panel < panels.panel_count(); ++panel) {
      const PanelBytes bytes = DrawBytes({seed, pass, static_cast<std::uint32_t>(layer), panel},
                                         panels.panel_bytes(panel));
      AddPanel(node, panels, panel, bytes, &out->weights[index], &out->biases[index]);
    }
  }
}

}  // namespace mu8::convert
