#include "converters/lower/lower.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "converters/lower/function_ranges.h"
#include "converters/lower/pack.h"
#include "converters/lower/records.h"

namespace mu8::convert {
namespace {

using format::LayerRecord;

const Value& At(const Network& network, int value) {
  return network.values[static_cast<std::size_t>(value)];
}
const Node& NodeOf(const Network& network, const Step& step) {
  return network.nodes[static_cast<std::size_t>(step.node)];
}

// Everything that is known while the records are made.
struct Lowering {
  const Network& network;
  const std::vector<Step>& steps;
  const Calibration& calibration;
  const QuantizerSettings& settings;
  const std::vector<MuBits>& mu_bits;      // per step, or empty
  std::vector<Quantization> quantization;  // per value
  TensorRecords tensors;
  Lowered out;
  FunctionRanges ranges;

  const ValueStatistics& Statistics(int value) const {
    return calibration.values[static_cast<std::size_t>(value)];
  }
  std::uint16_t TensorOf(int value) const {
    return tensors.of_value[static_cast<std::size_t>(value)];
  }
  const Quantization& QuantizationOf(int value) const {
    return quantization[static_cast<std::size_t>(value)];
  }
  float ResidualScale(const Step& step) const {
    return step.add < 0 ? 0.0F : QuantizationOf(step.input2).scale;
  }
  const MuBits& MuBitsOf(std::size_t step) const {
    static const MuBits eight = {8};
    return mu_bits.empty() ? eight : mu_bits[step];
  }
};

// FORMAT.md 5.5, 5.8 and 5.10: these copy stored values.
bool KeepsQuantization(Op op) {
  return op == Op::kMaxPool || op == Op::kSlice || op == Op::kGather;
}

void QuantizeActivations(Lowering* lowering, const InputQuantization& input) {
  const Network& network = lowering->network;
  lowering->quantization.resize(network.values.size());
  lowering->quantization[static_cast<std::size_t>(network.input)] = input.quantization;
  for (const Step& step : lowering->steps) {
    auto& quantization = lowering->quantization[static_cast<std::size_t>(step.output)];
    if (KeepsQuantization(NodeOf(network, step).op)) {
      quantization = lowering->QuantizationOf(step.input);
    } else {
      quantization = lowering->ranges.Of(step.output);
    }
  }
}

// One accumulator step of a convolution is at most an output step, and at most 2^10 of its
// residual's (FORMAT.md 6.6): a residual far smaller than the sum is stored more coarsely. It comes
// from a copy of stored values where the operator is one.
void RaiseResidualScales(Lowering* lowering) {
  const Network& network = lowering->network;
  for (const Step& step : lowering->steps) {
    if (step.add < 0) continue;
    const float least = 0x1p-10F * lowering->QuantizationOf(step.output).scale;
    float& scale = lowering->quantization[static_cast<std::size_t>(step.input2)].scale;
    if (scale >= least || step.input2 == network.input) continue;
    const auto writer = std::ranges::find(lowering->steps, step.input2, &Step::output);
    if (!KeepsQuantization(NodeOf(network, *writer).op)) scale = least;
  }
}

// The tensors' records with the scales that they have so far: RaiseOutputScale may change them.
void MakeTensors(Lowering* lowering) {
  lowering->tensors = MakeTensorRecords(lowering->network, lowering->steps);
  lowering->out.content.tensors = lowering->tensors.records;
  for (std::size_t value = 0; value < lowering->quantization.size(); ++value) {
    const std::uint16_t tensor = lowering->tensors.of_value[value];
    if (tensor == format::kNoTensor) continue;
    lowering->out.content.tensors[tensor].scale = lowering->quantization[value].scale;
    lowering->out.content.tensors[tensor].zero_point = lowering->quantization[value].zero_point;
  }
}

LayerRecord MakeLayer(const Lowering& lowering, std::size_t index) {
  const Step& step = lowering.steps[index];
  const Node& node = NodeOf(lowering.network, step);
  const bool last = index + 1 == lowering.steps.size();
  LayerRecord layer = LayerShape(lowering.network, step);
  layer.input = lowering.TensorOf(step.input);
  layer.input2 = step.input2 >= 0 ? lowering.TensorOf(step.input2) : format::kNoTensor;
  layer.output = last ? format::kNoTensor : lowering.TensorOf(step.output);
  if (IsWeighted(node.op) && IsBayesian(node)) {
    layer.sigma_bits = static_cast<std::uint8_t>(lowering.settings.sigma_bits);
  }
  layer.clamp_max = 255;
  return layer;
}

// The stored value of a real number, NaN as 0.0.
std::uint8_t Stored(double x, const Quantization& quantization) {
  if (std::isnan(x)) return quantization.zero_point;
  const double q = std::nearbyint(x / double{quantization.scale}) + quantization.zero_point;
  return static_cast<std::uint8_t>(std::clamp(q, 0.0, 255.0));
}

// After the output's scale is final.
void SetClamps(Lowering* lowering, std::size_t index) {
  const Step& step = lowering->steps[index];
  if (step.clip < 0) return;
  const Node& clip = lowering->network.nodes[static_cast<std::size_t>(step.clip)];
  const Quantization& quantization = lowering->QuantizationOf(step.output);
  LayerRecord& layer = lowering->out.content.layers[index];
  layer.clamp_min = Stored(double{clip.low}, quantization);
  layer.clamp_max = Stored(double{clip.high}, quantization);
}

// The u8 -> u8 table of a function between two quantizations.
std::vector<std::uint8_t> Tabulate(const std::function<double(double)>& function,
                                   const Quantization& in, const Quantization& out) {
  std::vector<std::uint8_t> table(format::kLookupBytes);
  for (std::size_t q = 0; q < table.size(); ++q) {
    const double x = (static_cast<double>(q) - in.zero_point) * double{in.scale};
    table[q] = Stored(function(x), out);
  }
  return table;
}

// A gather's places, one table behind the other.
std::vector<std::uint8_t> PackPlaces(const Node& node) {
  std::vector<std::uint8_t> bytes;
  for (const auto* places : {&node.rows, &node.columns, &node.channels}) {
    const auto* first = reinterpret_cast<const std::uint8_t*>(places->data());
    bytes.insert(bytes.end(), first, first + places->size() * sizeof(format::GatherPlace));
  }
  bytes.resize(format::RoundUp(bytes.size(), format::kAlignment));
  return bytes;
}

std::vector<std::uint8_t> StoreValues(const Node& node, const Quantization& out) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(node.values.size());
  for (const float value : node.values) bytes.push_back(Stored(double{value}, out));
  bytes.resize(format::RoundUp(bytes.size(), format::kAlignment));
  return bytes;
}

// The parameters of layers without weights.
std::vector<std::uint8_t> MakeTables(const Lowering& lowering, const Step& step) {
  const Node& node = NodeOf(lowering.network, step);
  const Quantization& in = lowering.QuantizationOf(step.input);
  const Quantization& out = lowering.QuantizationOf(step.output);
  const auto identity = [](double x) { return x; };
  if (node.op == Op::kGather) return PackPlaces(node);
  if (node.op == Op::kConstant) return StoreValues(node, out);
  if (node.op == Op::kLookup && !node.functions.empty()) {
    std::vector<std::uint8_t> all;
    for (const auto& function : node.functions) {
      const std::vector<std::uint8_t> table = Tabulate(function, in, out);
      all.insert(all.end(), table.begin(), table.end());
    }
    return all;
  }
  if (node.op == Op::kLookup) return Tabulate(node.function, in, out);
  if (node.op == Op::kClip) {
    return Tabulate(
        [&node](double x) { return std::min(std::max(x, double{node.low}), double{node.high}); },
        in, out);
  }
  if (node.op != Op::kConcat && node.op != Op::kMaximum && node.op != Op::kMinimum) return {};
  std::vector<std::uint8_t> tables = Tabulate(identity, in, out);
  const auto second = Tabulate(identity, lowering.QuantizationOf(step.input2), out);
  tables.insert(tables.end(), second.begin(), second.end());
  return tables;
}

std::string WeightText(const Node& node, const Value& in, const Value& out) {
  if (node.op == Op::kDense) {
    return std::to_string(out.channels) + "x" + std::to_string(in.size());
  }
  return std::to_string(out.channels) + "x" + std::to_string(node.window.kernel_h) + "x" +
         std::to_string(node.window.kernel_w) + "x" + std::to_string(in.channels / node.groups);
}

// The least scale that the output may have: requantization multipliers lie below 1 (FORMAT.md), so
// a range far narrower than what is accumulated is stored more coarsely than it could be. That
// is still as fine as the accumulators themselves, or the sum of a pool.
float LeastOutputScale(const Lowering& lowering, const Step& step, float largest_weight_scale) {
  const Node& node = NodeOf(lowering.network, step);
  const float input_scale = lowering.QuantizationOf(step.input).scale;
  constexpr float kMargin = 1.0001F;  // covers the roundings of the quotient
  switch (node.op) {
    case Op::kConv2d:
    case Op::kDense:
      return kMargin * input_scale * largest_weight_scale;
    case Op::kAveragePool:
      return kMargin * input_scale /
             static_cast<float>(node.window.kernel_h * node.window.kernel_w);
    case Op::kMultiply:
      return kMargin * input_scale * lowering.QuantizationOf(step.input2).scale;
    case Op::kMaxPool:
    case Op::kSlice:
    case Op::kGather:
      return input_scale;
    case Op::kAdd:  // both factors are below 2^20
      return kMargin * 0x1p-20F * std::max(input_scale, lowering.QuantizationOf(step.input2).scale);
    case Op::kAffine:
    case Op::kClip:
    case Op::kLookup:
    case Op::kConcat:
    case Op::kConvTranspose:
    case Op::kMaximum:
    case Op::kMinimum:
    case Op::kConstant:
      break;
  }
  return 0.0F;
}

void RaiseOutputScale(Lowering* lowering, std::size_t index, float least) {
  const LayerRecord& layer = lowering->out.content.layers[index];
  if (layer.output == format::kNoTensor) return;
  float& scale =
      lowering->quantization[static_cast<std::size_t>(lowering->steps[index].output)].scale;
  scale = std::max(scale, least);
  lowering->out.content.tensors[layer.output].scale = scale;
}

// A layer with Bayesian weights and plain biases (or the reverse) is stored as Bayesian with the
// missing sigmas 0.
Node WithSigmas(const Node& node) {
  Node full = node;
  if (full.weights.sigma.empty() && !full.bias.sigma.empty()) {
    full.weights.sigma.assign(full.weights.mu.size(), 0.0F);
  }
  return full;
}

QuantizedLayer QuantizeAlike(const Lowering& lowering, std::size_t index, int mu_bits) {
  const Step& step = lowering.steps[index];
  const Node& node = NodeOf(lowering.network, step);
  InputStatistics inputs = WeightInputs(lowering.network, node, lowering.Statistics(step.input));
  inputs.covariance = lowering.calibration.covariance[static_cast<std::size_t>(step.node)];
  QuantizedLayer layer;
  const bool is_output = index + 1 == lowering.steps.size();
  const LayerPlace place{
      .input_scale = lowering.QuantizationOf(step.input).scale,
      .is_output = is_output,
      .output_scale = is_output ? 0.0F : lowering.QuantizationOf(step.output).scale,
      .residual_scale = lowering.ResidualScale(step)};
  layer.weights = QuantizeWeights(WithSigmas(node), At(lowering.network, step.output).channels,
                                  inputs, place, mu_bits, lowering.settings, &layer.report);
  return layer;
}

QuantizedLayer Quantize(const Lowering& lowering, std::size_t index, QuantizedLayers* known) {
  const Step& step = lowering.steps[index];
  const Node& node = NodeOf(lowering.network, step);
  const auto alike = [&](int mu_bits) -> const QuantizedLayer& {
    const auto key = std::tuple(index, mu_bits, lowering.QuantizationOf(step.input).scale,
                                lowering.ResidualScale(step));
    auto found = known->find(key);
    if (found == known->end()) {
      found = known->emplace(key, QuantizeAlike(lowering, index, mu_bits)).first;
    }
    return found->second;
  };
  const MuBits& mu_bits = lowering.MuBitsOf(index);
  if (mu_bits.size() == 1) return alike(mu_bits.front());
  std::vector<const QuantizedWeights*> by_panel;
  for (const int bits : mu_bits) by_panel.push_back(&alike(bits).weights);
  QuantizedLayer joined;
  joined.weights = JoinPanels(WithSigmas(node), At(lowering.network, step.output).channels,
                              WeightInputs(lowering.network, node, lowering.Statistics(step.input)),
                              by_panel, lowering.settings, &joined.report);
  return joined;
}

void MakeParameters(Lowering* lowering, std::size_t index, QuantizedLayers* known) {
  const Step& step = lowering->steps[index];
  const Node& node = NodeOf(lowering->network, step);
  const Value& in = At(lowering->network, step.input);
  const Value& out = At(lowering->network, step.output);
  LayerRecord& layer = lowering->out.content.layers[index];
  LayerReport report;
  std::vector<std::uint8_t> parameters;
  if (IsWeighted(node.op)) {
    const QuantizedLayer quantized = Quantize(*lowering, index, known);
    report = quantized.report;
    report.shape = WeightText(node, in, out);
    SetMuBits(quantized.weights, &layer);
    parameters = PackParameters(layer, quantized.weights);
    const std::vector<float>& scales = quantized.weights.weight_scale;
    RaiseOutputScale(
        lowering, index,
        LeastOutputScale(*lowering, step, *std::max_element(scales.begin(), scales.end())));
  } else {
    RaiseOutputScale(lowering, index, LeastOutputScale(*lowering, step, 0.0F));
    report.shape = ShapeText(in) + " -> " + ShapeText(out);
    parameters = MakeTables(*lowering, step);
  }
  report.name = node.name;
  report.op = Describe(lowering->network, step);
  SetClamps(lowering, index);
  if (layer.output != format::kNoTensor) {
    report.output_saturation =
        lowering->ranges.Saturation(step.output, lowering->QuantizationOf(step.output));
  }
  lowering->out.content.parameters.push_back(std::move(parameters));
  lowering->out.reports.push_back(std::move(report));
}

}  // namespace

Lowered Lower(const Network& network, const std::vector<Step>& steps,
              const Calibration& calibration, const InputQuantization& input,
              const QuantizerSettings& settings, const std::vector<MuBits>& mu_bits,
              QuantizedLayers* known) {
  Lowering lowering{network, steps, calibration,           settings, mu_bits, {},
                    {},      {},    {network, calibration}};
  QuantizeActivations(&lowering, input);
  RaiseResidualScales(&lowering);
  MakeTensors(&lowering);
  lowering.out.content.input_table = input.table;
  lowering.out.content.input_affine = input.affine;
  lowering.out.content.head = network.head;
  format::OutputParameters& outputs = lowering.out.content.outputs;
  const Value& output = network.values[static_cast<std::size_t>(network.output)];
  if (output.height * output.width > 1) {
    lowering.out.content.output_height = static_cast<std::uint32_t>(output.height);
    lowering.out.content.output_width = static_cast<std::uint32_t>(output.width);
  }
  outputs.noise_variance = network.noise_variance;
  outputs.ranges = network.ranges;
  outputs.scale_form = network.scale_form;
  outputs.scale_bounds = network.scale_bounds;
  outputs.targets = network.targets;
  if (network.error_unit > 0.0F) outputs.error_unit = network.error_unit;
  QuantizedLayers own;
  if (known == nullptr) known = &own;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    lowering.out.content.layers.push_back(MakeLayer(lowering, i));
    MakeParameters(&lowering, i, known);
  }
  return std::move(lowering.out);
}

}  // namespace mu8::convert
