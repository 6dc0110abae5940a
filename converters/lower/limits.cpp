#include "converters/lower/limits.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "converters/lower/placement.h"
#include "converters/lower/records.h"
#include "formats/limits.h"

namespace mu8::convert {
namespace {

using Problems = std::vector<std::string>;

std::string Most(std::uint64_t limit) {
  return ", a .mu8 file holds at most " + std::to_string(limit);
}

const Value& ValueAt(const Network& network, int value) {
  return network.values[static_cast<std::size_t>(value)];
}

// Height, width and channels of a value. `what` begins the message.
bool ExtentsFit(const Value& value, const std::string& what, Problems* problems) {
  const int largest = std::max({value.height, value.width, value.channels});
  if (largest <= static_cast<int>(format::kMaxDimension)) return true;
  problems->push_back(what + ShapeText(value) + " (height x width x channels)" +
                      Most(format::kMaxDimension) + " each");
  return false;
}

bool WindowFits(const Network& network, const Step& step, const Node& node, Problems* problems) {
  const Window window = WindowOf(network, step);
  struct Extent {
    const char* name;
    int height, width;
  };
  bool fits = true;
  for (const Extent& extent : {Extent{"kernel", window.kernel_h, window.kernel_w},
                               Extent{"stride", window.stride_h, window.stride_w},
                               Extent{"dilation", window.dilation_h, window.dilation_w}}) {
    if (std::max(extent.height, extent.width) <= static_cast<int>(format::kMaxWindow)) continue;
    problems->push_back(NodePlace(node) + "its " + extent.name + " is " +
                        std::to_string(extent.height) + " x " + std::to_string(extent.width) +
                        (step.spatial ? ", the whole of an image that has padding" : "") +
                        Most(format::kMaxWindow) + " each way");
    fits = false;
  }
  return fits;
}

bool PaddingFits(const Network& network, const Node& node, Problems* problems) {
  const Window padding = ReadPadding(network, node);
  const int largest =
      std::max({padding.pad_top, padding.pad_left, padding.pad_bottom, padding.pad_right});
  if (largest <= static_cast<int>(format::kMaxPadding)) return true;
  problems->push_back(NodePlace(node) + "reads " + std::to_string(largest) +
                      " pixels of padding on one side" + Most(format::kMaxPadding));
  return false;
}

bool OffsetsFit(const Node& node, Problems* problems) {
  for (const int offset : {node.offset_h, node.offset_w, node.offset_c}) {
    if (std::abs(offset) <= format::kMaxOffset) continue;
    problems->push_back(NodePlace(node) + "starts at offset " + std::to_string(offset) +
                        ", a .mu8 file holds " + std::to_string(-format::kMaxOffset) + " to " +
                        std::to_string(format::kMaxOffset));
    return false;
  }
  return true;
}

// Bytes of a value with its padding and tail.
bool BytesFit(const Network& network, int index, const std::string& what, Problems* problems) {
  const Value& value = ValueAt(network, index);
  const Window padding = PaddingOf(network, index);
  const auto sum = [](int a, int b, int c) {
    return static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b) +
           static_cast<std::uint64_t>(c);
  };
  const std::uint64_t bytes = sum(padding.pad_top, value.height, padding.pad_bottom) *
                                  sum(padding.pad_left, value.width, padding.pad_right) *
                                  static_cast<std::uint64_t>(value.channels) +
                              format::kTensorTailBytes;
  const std::uint64_t rounded = format::RoundUp(bytes, format::kAlignment);
  if (rounded <= format::kMaxTensorBytes) return true;
  problems->push_back(what + ShapeText(value) + ", with padding " + std::to_string(rounded) +
                      " bytes" + Most(format::kMaxTensorBytes));
  return false;
}

// 255 * 127 * K must leave room in an accumulator, and a Bayesian bias takes at least one unit.
bool InputsFit(const Network& network, const Step& step, const Node& node, Problems* problems) {
  const format::LayerRecord shape = LayerShape(network, step);
  const std::uint64_t inputs = shape.runs * format::RoundUp(shape.run_length, 4);
  if (inputs <= format::kMaxInputs) return true;
  problems->push_back(NodePlace(node) + "adds " + std::to_string(inputs) +
                      " products to one value, each run of " + std::to_string(shape.run_length) +
                      " rounded up to a multiple of 4" + Most(format::kMaxInputs));
  return false;
}

// What must hold before the records of layers and tensors can be made.
bool RecordsFit(const Network& network, const std::vector<Step>& steps, Problems* problems) {
  if (steps.size() > format::kMaxLayers) {
    problems->push_back("the network has " + std::to_string(steps.size()) + " layers" +
                        Most(format::kMaxLayers));
    return false;
  }
  const Value& input = ValueAt(network, network.input);
  bool fits = ExtentsFit(input, "input \"" + input.name + "\" is ", problems);
  for (const Step& step : steps) {
    const Node& node = network.nodes[static_cast<std::size_t>(step.node)];
    const bool extents_fit =
        ExtentsFit(ValueAt(network, step.output), NodePlace(node) + "its output is ", problems);
    const bool window_fits = WindowFits(network, step, node, problems);
    const bool padding_fits = PaddingFits(network, node, problems);
    const bool offsets_fit = OffsetsFit(node, problems);
    fits = fits && extents_fit && window_fits && padding_fits && offsets_fit;
  }
  return fits;
}

bool MemoryFits(const Network& network, const std::vector<Step>& steps, Problems* problems) {
  const Value& input = ValueAt(network, network.input);
  bool fits = BytesFit(network, network.input, "input \"" + input.name + "\" is ", problems);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Node& node = network.nodes[static_cast<std::size_t>(steps[i].node)];
    const bool is_logits = i + 1 == steps.size();
    const bool bytes_fit = is_logits || BytesFit(network, steps[i].output,
                                                 NodePlace(node) + "its output is ", problems);
    const bool inputs_fit = !IsWeighted(node.op) || InputsFit(network, steps[i], node, problems);
    fits = fits && bytes_fit && inputs_fit;
  }
  return fits;
}

}  // namespace

void CheckLimits(const Network& network, const std::vector<Step>& steps, Problems* problems) {
  if (!RecordsFit(network, steps, problems) || !MemoryFits(network, steps, problems)) return;
  const TensorRecords tensors = MakeTensorRecords(network, steps);
  const BusiestLayer busiest = FindBusiestLayer(tensors.first_pass_layer, tensors.records);
  if (busiest.live_tensors > format::kMaxLiveTensors) {
    const Node& node = network.nodes[static_cast<std::size_t>(steps[busiest.layer].node)];
    problems->push_back(NodePlace(node) + std::to_string(busiest.live_tensors) +
                        " values must be kept while it runs" + Most(format::kMaxLiveTensors));
  }
  if (tensors.last_offset > format::kMaxTensorOffset) {
    problems->push_back("a value must lie at byte " + std::to_string(tensors.last_offset) +
                        " of the activations" + Most(format::kMaxTensorOffset));
  }
}

void CheckFileSize(const Network& network, const std::vector<Step>& steps,
                   const std::vector<MuBits>& mu_bits, int sigma_bits, Problems* problems) {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (!IsWeighted(network.nodes[static_cast<std::size_t>(steps[i].node)].op)) continue;
    format::LayerRecord layer = LayerShape(network, steps[i]);
    int least = *std::min_element(mu_bits[i].begin(), mu_bits[i].end());
    if (least < static_cast<int>(format::kMaxMuBits)) {
      least = std::min(least, static_cast<int>(format::kMostTableBits));
    }
    layer.mu_bits = static_cast<std::uint8_t>(least);
    layer.sigma_bits = static_cast<std::uint8_t>(sigma_bits);
    bytes += format::MakeParameterLayout(layer).bytes;
  }
  if (bytes <= format::kMaxFileBytes) return;
  problems->push_back("the layers' parameters take " + std::to_string(bytes) + " bytes" +
                      Most(format::kMaxFileBytes) + "; fewer bits make them smaller");
}

}  // namespace mu8::convert
