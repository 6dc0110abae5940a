#include "converters/judge/file_network.h"

#include "converters/host/error.h"
#include "converters/network/channel_scales.h"
#include "converters/network/rewrites.h"

namespace mu8::convert {

void PrepareLikeFile(Network* network) {
  PrepareNetwork(network);
  for (Node& node : network->nodes) {
    const auto channels =
        static_cast<std::size_t>(network->values[static_cast<std::size_t>(node.output)].channels);
    if (!node.weights.mu.empty() && node.bias.mu.empty()) node.bias.mu.assign(channels, 0.0F);
  }
}

std::vector<float> FileInputScales(const format::View& view, const Network& network) {
  std::vector<float> scales(network.std.size(), 1.0F);
  const format::TensorRecord input = view.tensor(0);
  if (view.input_kind() != format::InputKind::kNumbers || scales.size() != input.channels) {
    return scales;
  }
  for (std::uint32_t c = 0; c < input.channels; ++c) {
    const double step = 1.0 / double{view.input_affine(c).gain};  // of the stored value
    scales[c] = static_cast<float>(step / (double{input.scale} * double{network.std[c]}));
  }
  return scales;
}

void EqualizeLikeFile(const format::View& view, Network* network) {
  std::string_view text;
  if (!format::FindMetadata(view, "equalization", &text)) return;
  EqualizeLikeText(text, MakeSteps(*network), network);
}

void CheckLayers(const std::string& path, const format::View& view, const Network& network,
                 const std::vector<Step>& steps) {
  bool same = view.layer_count() == steps.size();
  for (std::uint32_t i = 0; same && i < steps.size(); ++i) {
    const Value& value = network.values[static_cast<std::size_t>(steps[i].output)];
    same = view.layer(i).output_channels == static_cast<std::uint32_t>(value.channels);
    if (i + 1 == steps.size()) continue;  // the logits are no tensor
    const format::TensorRecord tensor = view.tensor(i + 1);
    same = same && tensor.height == static_cast<std::uint32_t>(value.height) &&
           tensor.width == static_cast<std::uint32_t>(value.width);
  }
  if (same) return;
  throw host::Error(path + ": has " + std::to_string(view.layer_count()) +
                    " layers that are not the " + std::to_string(steps.size()) +
                    " of the given network, expected the file made from it");
}

}  // namespace mu8::convert
