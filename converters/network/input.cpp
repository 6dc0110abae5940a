#include "converters/network/input.h"

#include <algorithm>
#include <cmath>

#include "converters/host/shape_text.h"

namespace mu8::convert {
namespace {

Value& InputOf(Network* network) {
  return network->values[static_cast<std::size_t>(network->input)];
}
const Value& InputOf(const Network& network) {
  return network.values[static_cast<std::size_t>(network.input)];
}

bool OnlyDenseReads(const Network& network) {
  const std::vector<int> readers = network.Consumers(network.input);
  return std::ranges::all_of(readers, [&](int reader) {
    return network.nodes[static_cast<std::size_t>(reader)].op == Op::kDense;
  });
}

// One number for all channels where they are all the same.
void Collapse(std::vector<float>* numbers) {
  if (numbers->empty()) return;
  const float first = numbers->front();
  if (std::ranges::all_of(*numbers, [&](float number) { return number == first; })) {
    numbers->resize(1);
  }
}

void CheckNormalization(std::size_t channels, const Network& network,
                        std::vector<std::string>* problems) {
  if (network.mean.size() != channels || network.std.size() != channels) {
    problems->push_back("mean and std have " + std::to_string(network.mean.size()) + " and " +
                        std::to_string(network.std.size()) +
                        " values, expected one, or one for each of the " +
                        std::to_string(channels) + " input channels");
  }
  for (const float mean : network.mean) {
    if (!std::isfinite(mean)) problems->push_back("mean must be finite");
  }
  for (const float std : network.std) {
    if (!(std > 0.0F) || std::isinf(std)) problems->push_back("std must be positive and finite");
  }
}

// Calls visit(input channel, weight index) for every weight of a node that reads the input.
template <typename Visit>
void ForWeights(const Node& node, std::size_t input_channels, std::size_t count,
                const Visit& visit) {
  const auto groups = static_cast<std::size_t>(node.groups);
  const std::size_t in_group = node.op == Op::kConv2d ? input_channels / groups : input_channels;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t group = node.op == Op::kConv2d ? i / (count / groups) : 0;
    visit(group * in_group + i % in_group, i);
  }
}

}  // namespace

void ResolveNormalization(const Normalization& given, const host::Dataset& data, Network* network,
                          std::vector<std::string>* notices, std::vector<std::string>* problems) {
  const bool is_given = !given.mean.empty() || !given.std.empty();
  const bool file_says = !network->mean.empty() || !network->std.empty();
  if (data.is_numbers() && file_says) {
    if (!is_given) {
      notices->push_back(
          "the model file's mean and std are those of pixels: the numbers are taken in the "
          "network's own input units (give --mean and --std if they are not)");
    }
    network->mean.clear();
    network->std.clear();
  }
  if (!given.mean.empty()) network->mean = given.mean;
  if (!given.std.empty()) network->std = given.std;
  if (!data.is_numbers() && network->mean.empty() && network->std.empty()) {
    notices->push_back(
        "the model file says nothing about input normalization: assuming x = u8 / 255 "
        "(give --mean and --std if the network was trained with others)");
  }
  const auto channels = static_cast<std::size_t>(InputOf(*network).channels);
  if (network->mean.empty()) network->mean = {0.0F};
  if (network->std.empty()) network->std = {1.0F};
  for (auto* values : {&network->mean, &network->std}) {
    if (values->size() == 1) values->assign(channels, values->front());
  }
  CheckNormalization(channels, *network, problems);
}

void CheckTargets(const Network& network, const host::Dataset& data,
                  std::vector<std::string>* notices, std::vector<std::string>* problems) {
  if (network.head != Head::kReconstruction || !network.head_hint.sigmoid_end) return;
  constexpr float kRounding = 1e-4F;
  const auto is_outside = [](float x) { return !(x >= -kRounding && x <= 1.0F + kRounding); };
  const std::string what =
      "head reconstruction: the outputs are a Sigmoid's, between 0 and 1, and are held against the "
      "normalized input; ";
  if (!data.is_numbers()) {
    for (std::size_t c = 0; c < network.std.size(); ++c) {
      const float low = -network.mean[c] / network.std[c];
      const float high = (1.0F - network.mean[c]) / network.std[c];
      if (!is_outside(low) && !is_outside(high)) continue;
      problems->push_back(
          what + "with mean " + std::to_string(network.mean[c]) + " and std " +
          std::to_string(network.std[c]) + " pixels lie between " + std::to_string(low) + " and " +
          std::to_string(high) +
          ": expected pixels of 0 to 1 (--mean 0 --std 1, and a network trained so)");
      return;
    }
    return;
  }
  const std::vector<float> inputs = Normalize(network, data, 0, data.count);
  const auto outside = static_cast<std::size_t>(std::ranges::count_if(inputs, is_outside));
  if (outside == 0) return;
  const std::string count =
      std::to_string(outside) + " of " + std::to_string(inputs.size()) + " numbers lie beyond";
  if (outside * 10 > inputs.size()) {
    problems->push_back(what + count +
                        ": expected --mean and --std that bring them to 0 to 1, and a network "
                        "trained so");
  } else {
    notices->push_back(what + count + ", which no output can reach");
  }
}

void FitInput(const host::Dataset& data, Network* network, std::vector<std::string>* problems) {
  Value& input = InputOf(network);
  const bool flat = input.height == 1 && input.width == 1;
  if (data.is_numbers()) {
    if (flat || !OnlyDenseReads(*network)) return;
    const auto channels = static_cast<std::size_t>(input.channels);
    for (auto* numbers : {&network->mean, &network->std}) {
      if (numbers->size() != channels || channels == 1) continue;
      numbers->resize(input.size());
      for (std::size_t i = channels; i < numbers->size(); ++i) {
        (*numbers)[i] = (*numbers)[i % channels];
      }
    }
    input.channels = static_cast<int>(input.size());
    input.height = input.width = 1;
    return;
  }
  if (!flat || data.channels == input.channels) return;
  Collapse(&network->mean);
  Collapse(&network->std);
  if (!OnlyDenseReads(*network) || network->mean.size() > 1 || network->std.size() > 1) {
    problems->push_back(
        "the data are pictures of " + host::ShapeText(data.height, data.width, data.channels) +
        ", the network's input is flat and treats its " + std::to_string(input.channels) +
        " numbers differently before a layer mixes them: export it with an input "
        "of the picture's shape, or give the data as arrays");
    return;
  }
  input.height = data.height;
  input.width = data.width;
  input.channels = data.channels;
}

std::vector<float> Normalize(const Network& network, const host::Dataset& data, std::size_t first,
                             std::size_t count) {
  const auto channels = static_cast<std::size_t>(InputOf(network).channels);
  std::vector<float> out(count * data.image_size());
  if (data.is_numbers()) {
    const std::span<const float> values = data.Values(first, count);
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = (values[i] - network.mean[i % channels]) / network.std[i % channels];
    }
    return out;
  }
  const std::span<const std::uint8_t> pixels = data.Pixels(first, count);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t c = i % channels;
    out[i] = (static_cast<float>(pixels[i]) / 255.0F - network.mean[c]) / network.std[c];
  }
  return out;
}

std::vector<float> InputScales(const Network& network, const host::Dataset& data) {
  const auto channels = static_cast<std::size_t>(InputOf(network).channels);
  std::vector<float> scales(channels, 1.0F);
  const std::vector<int> readers = network.Consumers(network.input);
  const bool movable = std::ranges::all_of(readers, [&](int reader) {
    const Op op = network.nodes[static_cast<std::size_t>(reader)].op;
    return IsWeighted(op) || op == Op::kAffine;
  });
  if (!data.is_numbers() || !movable) return scales;
  std::vector<float> greatest(channels, 0.0F);
  const std::vector<float> inputs = Normalize(network, data, 0, data.count);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    greatest[i % channels] = std::max(greatest[i % channels], std::fabs(inputs[i]));
  }
  const float all = *std::ranges::max_element(greatest);
  for (std::size_t c = 0; c < channels; ++c) {
    if (greatest[c] > 0.0F) scales[c] = greatest[c] / all;
  }
  return scales;
}

void ScaleInput(const std::vector<float>& scales, Network* network) {
  for (std::size_t c = 0; c < scales.size(); ++c) network->std[c] *= scales[c];
  for (const int reader : network->Consumers(network->input)) {
    Node& node = network->nodes[static_cast<std::size_t>(reader)];
    if (node.op == Op::kAffine) {
      for (std::size_t i = 0; i < node.scale.size(); ++i)
        node.scale[i] *= scales[i % scales.size()];
      continue;
    }
    for (std::vector<float>* weights : {&node.weights.mu, &node.weights.sigma}) {
      ForWeights(node, scales.size(), weights->size(),
                 [&](std::size_t channel, std::size_t i) { (*weights)[i] *= scales[channel]; });
    }
  }
}

}  // namespace mu8::convert
