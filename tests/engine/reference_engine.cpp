#include "tests/engine/reference_engine.h"

#include <algorithm>
#include <cmath>

#include "tests/support/reference_noise.h"

namespace mu8::testing {
namespace {

using format::LayerRecord;
using format::OpCode;
using format::TensorRecord;

// A u8 activation without padding, HWC.
struct Activation {
  TensorRecord tensor;
  std::vector<std::uint8_t> values;

  bool Inside(std::int64_t y, std::int64_t x) const {
    return y >= 0 && x >= 0 && y < tensor.height && x < tensor.width;
  }
  std::int64_t At(std::int64_t y, std::int64_t x, std::int64_t c) const {
    return values[static_cast<std::size_t>((y * tensor.width + x) * tensor.channels + c)];
  }
  // The byte at that place of a row.
  std::uint8_t InRow(std::uint64_t y, std::uint64_t offset) const {
    return values.at(static_cast<std::size_t>(y * tensor.width * tensor.channels + offset));
  }
  // x - z; 0 in the padding.
  std::int64_t Centered(std::int64_t y, std::int64_t x, std::int64_t c) const {
    return Inside(y, x) ? At(y, x, c) - tensor.zero_point : 0;
  }
};

// One pass's weights and biases by output channel.
struct Sampled {
  std::vector<std::int64_t> weights;  // [output channel][run][input of the run]
  std::vector<std::int64_t> biases;
};

const std::array<std::int32_t, 256>& Epsilon() {
  static const std::array<std::int32_t, 256> epsilon = DeriveEpsilon();
  return epsilon;
}

// Where an output channel lies: channels of a group in blocks of 16, the last block 4, 8 or 16
// wide.
struct Place {
  std::uint32_t panel, channel, width;
};

Place PlaceOf(const LayerRecord& layer, std::uint32_t channel) {
  const bool depthwise = (layer.flags & format::kLayerDepthwise) != 0;
  const std::uint32_t per_group =
      depthwise ? layer.output_channels : layer.output_channels / layer.groups;
  const std::uint32_t blocks = (per_group + 15) / 16;
  const std::uint32_t in_group = channel % per_group;
  const std::uint32_t left = per_group - in_group / 16 * 16;
  return {channel / per_group * blocks + in_group / 16, in_group % 16,
          left <= 4   ? 4U
          : left <= 8 ? 8U
                      : 16U};
}

std::int64_t Level(const LayerRecord& layer, const LayerWeights& weights, std::uint32_t channel,
                   std::uint32_t panel, std::size_t index) {
  if (layer.sigma_bits == 8) return weights.sigma[index];
  if (layer.sigma_bits == 4)
    return weights.codebook[std::size_t{panel} * 16 + weights.sigma[index]];
  const std::size_t codes = std::size_t{1} << layer.sigma_bits;
  const std::size_t code = layer.sigma_bits == 0 ? 0 : weights.sigma[index];
  return weights.codebook[channel * codes + code];
}

Sampled Draw(const LayerRecord& layer, std::uint32_t layer_index, const LayerWeights& weights,
             std::uint64_t seed, std::uint32_t pass, Mirror mirror) {
  const std::int64_t sign = mirror == Mirror::kYes ? -1 : 1;
  Sampled sampled;
  sampled.weights.assign(weights.mu.begin(), weights.mu.end());
  sampled.biases.assign(weights.bias_mu.begin(), weights.bias_mu.end());
  if ((layer.flags & format::kLayerBayesian) == 0) return sampled;
  const std::uint32_t padded_run = (layer.run_length + 3) / 4 * 4;
  std::size_t index = 0;
  std::uint32_t stream_panel = format::kMaxDimension;
  ReferenceStream stream(seed, pass, layer_index, stream_panel);
  for (std::uint32_t channel = 0; channel < layer.output_channels; ++channel) {
    const Place place = PlaceOf(layer, channel);
    if (place.panel != stream_panel) {
      stream_panel = place.panel;
      stream = ReferenceStream(seed, pass, layer_index, stream_panel);
    }
    for (std::uint32_t run = 0; run < layer.runs; ++run) {
      for (std::uint32_t input = 0; input < layer.run_length; ++input, ++index) {
        const std::size_t k = std::size_t{run} * padded_run + input;
        const std::size_t byte = (k / 4 * place.width + place.channel) * 4 + k % 4;
        const std::int64_t noise =
            ReferenceNoise(Level(layer, weights, channel, place.panel, index),
                           sign * Epsilon()[stream.Byte(byte)], weights.shift[channel]);
        sampled.weights[index] =
            std::clamp<std::int64_t>(sampled.weights[index] + noise, -127, 127);
      }
    }
    const std::size_t panel_bytes = std::size_t{layer.runs} * padded_run * place.width;
    const std::size_t bias_byte = (panel_bytes + 63) / 64 * 64 + std::size_t{place.channel} * 4;
    sampled.biases[channel] +=
        ReferenceNoise(weights.bias_level[channel], sign * Epsilon()[stream.Byte(bias_byte)],
                       weights.bias_shift[channel]);
  }
  return sampled;
}

// q = z + rint(clamp(float(acc) * m, lo - z, hi - z)).
std::uint8_t Quantize(std::int64_t accumulator, float multiplier, const LayerRecord& layer,
                      const TensorRecord& out) {
  const auto low = static_cast<float>(int{layer.clamp_min} - int{out.zero_point});
  const auto high = static_cast<float>(int{layer.clamp_max} - int{out.zero_point});
  const float value = std::min(std::max(static_cast<float>(accumulator) * multiplier, low), high);
  return static_cast<std::uint8_t>(out.zero_point + std::lrintf(value));
}

// The accumulator of one output value.
std::int64_t Sum(const LayerRecord& layer, const Sampled& sampled, const Activation& in,
                 std::int64_t y, std::int64_t x, std::uint32_t channel) {
  std::int64_t sum = sampled.biases[channel];
  std::size_t index = std::size_t{channel} * layer.runs * layer.run_length;
  if (static_cast<OpCode>(layer.op) == OpCode::kDense) {
    for (const std::uint8_t value : in.values) {
      sum += (value - in.tensor.zero_point) * sampled.weights[index++];
    }
    return sum;
  }
  const std::uint32_t group_inputs = in.tensor.channels / layer.groups;
  const std::uint32_t group = channel / (layer.output_channels / layer.groups);
  for (std::int64_t ky = 0; ky < layer.kernel_h; ++ky) {
    for (std::int64_t kx = 0; kx < layer.kernel_w; ++kx) {
      const std::int64_t row = y * layer.stride_h - layer.pad_top + ky * layer.dilation_h;
      const std::int64_t col = x * layer.stride_w - layer.pad_left + kx * layer.dilation_w;
      for (std::uint32_t c = 0; c < group_inputs; ++c) {
        sum += in.Centered(row, col, group * group_inputs + c) * sampled.weights[index++];
      }
    }
  }
  return sum;
}

// The common shift of a sum's factors: the largest gets 21 bits.
int CommonShift(float largest) { return 20 - std::ilogb(largest); }
std::int64_t Factor(float factor, int shift) {
  return std::llrint(std::ldexp(static_cast<double>(factor), shift));
}
std::int64_t RoundShift(std::int64_t value, int shift) {
  return (value + (std::int64_t{1} << (shift - 1))) >> shift;
}

// What the residual adds to the accumulator of one output value.
std::int64_t Residual(const LayerRecord& layer, const LayerWeights& weights, float input_scale,
                      const Activation* residual, std::uint32_t y, std::uint32_t x,
                      std::uint32_t channel) {
  if (residual == nullptr) return 0;
  std::vector<float> factors;
  for (std::uint32_t c = 0; c < layer.output_channels; ++c) {
    const float unit = weights.scale[c] * input_scale;
    factors.push_back(residual->tensor.scale / unit);
  }
  const int shift = CommonShift(*std::max_element(factors.begin(), factors.end()));
  return RoundShift(residual->Centered(y, x, channel) * Factor(factors[channel], shift), shift);
}

// add and multiply; a second operand of one pixel serves all.
std::uint8_t Elementwise(const LayerRecord& layer, const Activation& a, const Activation& b,
                         const TensorRecord& out, std::uint32_t y, std::uint32_t x,
                         std::uint32_t c) {
  const bool pixel = b.tensor.height == 1 && b.tensor.width == 1;
  const std::int64_t qa = a.Centered(y, x, c);
  const std::int64_t qb = pixel ? b.Centered(0, 0, c) : b.Centered(y, x, c);
  if (static_cast<OpCode>(layer.op) == OpCode::kMultiply) {
    const float product = a.tensor.scale * b.tensor.scale;
    return Quantize(qa * qb, product / out.scale, layer, out);
  }
  const float factor_a = a.tensor.scale / out.scale;
  const float factor_b = b.tensor.scale / out.scale;
  const int shift = CommonShift(std::max(factor_a, factor_b));
  const std::int64_t sum =
      RoundShift(qa * Factor(factor_a, shift) + qb * Factor(factor_b, shift), shift);
  return static_cast<std::uint8_t>(
      std::clamp<std::int64_t>(out.zero_point + sum, layer.clamp_min, layer.clamp_max));
}

// The input where it lies inside, else 0.0.
std::uint8_t Slice(const LayerRecord& layer, const Activation& in, std::uint32_t y, std::uint32_t x,
                   std::uint32_t c) {
  const std::int64_t row = std::int64_t{y} * layer.stride_h + layer.offset_h;
  const std::int64_t col = std::int64_t{x} * layer.stride_w + layer.offset_w;
  const std::int64_t channel = std::int64_t{c} + layer.offset_c;
  const bool inside = in.Inside(row, col) && channel >= 0 && channel < in.tensor.channels;
  return inside ? static_cast<std::uint8_t>(in.At(row, col, channel)) : in.tensor.zero_point;
}

// The value to which the places of a row, a column and a channel add up.
std::uint8_t Gather(const std::vector<std::uint8_t>& parameters, const Activation& in,
                    const TensorRecord& out, std::uint32_t y, std::uint32_t x, std::uint32_t c) {
  const auto number = [&](std::size_t at) {
    std::uint64_t value = 0;
    for (std::size_t byte = 4; byte-- > 0;) value = value * 256 + parameters[at + byte];
    return value;
  };
  std::uint64_t row = 0;
  std::uint64_t offset = 0;
  for (const std::size_t index :
       {std::size_t{y}, std::size_t{out.height} + x, std::size_t{out.height} + out.width + c}) {
    if (number(8 * index) == 0xffffffffU) return in.tensor.zero_point;
    row += number(8 * index);
    offset += number(8 * index + 4);
  }
  return in.InRow(row, offset);
}

// maximum and minimum of what two tables say; a second operand of one pixel serves all.
std::uint8_t Extremum(const LayerRecord& layer, const std::vector<std::uint8_t>& tables,
                      const Activation& a, const Activation& b, std::uint32_t y, std::uint32_t x,
                      std::uint32_t c) {
  const bool pixel = b.tensor.height == 1 && b.tensor.width == 1;
  const std::uint8_t left = tables[static_cast<std::size_t>(a.At(y, x, c))];
  const std::uint8_t right =
      tables[256 + static_cast<std::size_t>(pixel ? b.At(0, 0, c) : b.At(y, x, c))];
  return static_cast<OpCode>(layer.op) == OpCode::kMaximum ? std::max(left, right)
                                                           : std::min(left, right);
}

// Max or average over the real pixels of a window.
std::uint8_t Pool(const LayerRecord& layer, const Activation& in, const TensorRecord& out,
                  std::int64_t y, std::int64_t x, std::int64_t c) {
  std::int64_t most = 0;
  std::int64_t sum = 0;
  int taps = 0;
  for (std::int64_t ky = 0; ky < layer.kernel_h; ++ky) {
    for (std::int64_t kx = 0; kx < layer.kernel_w; ++kx) {
      const std::int64_t row = y * layer.stride_h - layer.pad_top + ky;
      const std::int64_t col = x * layer.stride_w - layer.pad_left + kx;
      if (!in.Inside(row, col)) continue;
      ++taps;
      most = std::max(most, in.At(row, col, c));
      sum += in.Centered(row, col, c);
    }
  }
  if (static_cast<OpCode>(layer.op) == OpCode::kMaxPool) {
    return static_cast<std::uint8_t>(
        std::clamp<std::int64_t>(most, layer.clamp_min, layer.clamp_max));
  }
  const bool all = (layer.flags & format::kLayerCountPadding) != 0;
  const int area = all ? layer.kernel_h * layer.kernel_w : taps;
  const float ratio = in.tensor.scale / out.scale;
  return Quantize(sum, ratio / static_cast<float>(area), layer, out);
}

std::uint8_t Value(const TestModel& model, std::size_t index, const Sampled& sampled,
                   const Activation& in, const Activation* in2, const TensorRecord& out,
                   std::uint32_t y, std::uint32_t x, std::uint32_t c) {
  const LayerRecord& layer = model.content.layers[index];
  const std::vector<std::uint8_t>& table = model.content.parameters[index];
  switch (static_cast<OpCode>(layer.op)) {
    case OpCode::kConv2d:
    case OpCode::kDense: {
      const float ratio = in.tensor.scale / out.scale;
      const LayerWeights& weights = model.weights[index];
      const std::int64_t sum = Sum(layer, sampled, in, y, x, c) +
                               Residual(layer, weights, in.tensor.scale, in2, y, x, c);
      return Quantize(sum, weights.scale[c] * ratio, layer, out);
    }
    case OpCode::kMaxPool:
    case OpCode::kAveragePool:
      return Pool(layer, in, out, y, x, c);
    case OpCode::kAdd:
    case OpCode::kMultiply:
      return Elementwise(layer, in, *in2, out, y, x, c);
    case OpCode::kSlice:
      return Slice(layer, in, y, x, c);
    case OpCode::kGather:
      return Gather(table, in, out, y, x, c);
    case OpCode::kMaximum:
    case OpCode::kMinimum:
      return Extremum(layer, table, in, *in2, y, x, c);
    case OpCode::kConstant:
      return table[(std::size_t{y} * out.width + x) * out.channels + c];
    case OpCode::kConcat:
      if (c >= in.tensor.channels) {
        return table[256 + static_cast<std::size_t>(in2->At(y, x, c - in.tensor.channels))];
      }
      break;
    case OpCode::kLookup:
      if ((layer.flags & format::kLayerByChannel) != 0) {
        return table[std::size_t{256} * c + static_cast<std::size_t>(in.At(y, x, c))];
      }
      break;
  }
  return table[static_cast<std::size_t>(in.At(y, x, c))];
}

}  // namespace

std::vector<float> ReferenceLogits(const TestModel& model, std::span<const std::uint8_t> pixels,
                                   std::uint64_t seed, std::uint32_t pass, Mirror mirror) {
  const format::FileContent& content = model.content;
  std::vector<Activation> activations = {{content.tensors[0], {}}};
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const std::size_t channel = i % content.tensors[0].channels;
    activations[0].values.push_back(content.input_table[channel * 256 + pixels[i]]);
  }
  std::vector<float> logits;
  for (std::uint32_t index = 0; index < content.layers.size(); ++index) {
    const LayerRecord& layer = content.layers[index];
    const Activation& in = activations[layer.input];
    const Activation* in2 =
        layer.input2 == format::kNoTensor ? nullptr : &activations[layer.input2];
    const Sampled sampled = Draw(layer, index, model.weights[index], seed, pass, mirror);
    if (layer.output == format::kNoTensor) {
      for (std::uint32_t y = 0; y < std::max(1U, content.output_height); ++y) {
        for (std::uint32_t x = 0; x < std::max(1U, content.output_width); ++x) {
          for (std::uint32_t c = 0; c < layer.output_channels; ++c) {
            const auto sum = static_cast<float>(Sum(layer, sampled, in, y, x, c));
            logits.push_back(sum * (model.weights[index].scale[c] * in.tensor.scale));
          }
        }
      }
      break;
    }
    Activation out{content.tensors[layer.output], {}};
    for (std::uint32_t y = 0; y < out.tensor.height; ++y) {
      for (std::uint32_t x = 0; x < out.tensor.width; ++x) {
        for (std::uint32_t c = 0; c < out.tensor.channels; ++c) {
          out.values.push_back(Value(model, index, sampled, in, in2, out.tensor, y, x, c));
        }
      }
    }
    activations.push_back(std::move(out));
  }
  return logits;
}

}  // namespace mu8::testing
