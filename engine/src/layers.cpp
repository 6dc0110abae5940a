#include "engine/src/layers.h"

#include <cstring>

namespace mu8 {
namespace {

using format::LayerRecord;
using format::OpCode;
using format::TensorRecord;

std::uint8_t* FirstPixel(std::uint8_t* activations, const TensorRecord& tensor) {
  return activations + tensor.offset + std::size_t{tensor.pad_top} * tensor.row_stride +
         std::size_t{tensor.pad_left} * tensor.channels;
}

// Writes the physical padding: tensors share memory, so it is stale whenever its tensor is new.
void FillPadding(const TensorRecord& tensor, std::uint8_t* activations) {
  const std::size_t stride = tensor.row_stride;
  const std::size_t left = std::size_t{tensor.pad_left} * tensor.channels;
  const std::size_t row = std::size_t{tensor.width} * tensor.channels;
  const int z = tensor.zero_point;
  std::uint8_t* at = activations + tensor.offset;
  std::memset(at, z, tensor.pad_top * stride);
  at += tensor.pad_top * stride;
  if (stride != row) {
    for (std::uint32_t y = 0; y < tensor.height; ++y) {
      std::memset(at + y * stride, z, left);
      std::memset(at + y * stride + left + row, z, stride - left - row);
    }
  }
  std::memset(at + tensor.height * stride, z, tensor.pad_bottom * stride);
}

// Everything about the layer at hand that does not depend on panel or image.
struct Layer {
  std::uint32_t index;
  LayerRecord record;
  TensorRecord input;
  TensorRecord output;  // zero for the logits
  bool logits;
};

kernels::ConvolveArgs WindowArgs(const Layer& layer, const format::PanelLayout& panels) {
  const LayerRecord& record = layer.record;
  const TensorRecord& in = layer.input;
  kernels::ConvolveArgs args{};
  const bool rows = record.runs == record.kernel_h;
  args.outer_runs = rows ? record.runs : record.kernel_h;
  args.inner_runs = rows ? 1 : record.kernel_w;
  if (static_cast<OpCode>(record.op) == OpCode::kDense) args.outer_runs = args.inner_runs = 1;
  args.padded_run = panels.padded_run;
  args.outer_step = std::ptrdiff_t{record.dilation_h} * in.row_stride;
  args.inner_step = std::ptrdiff_t{record.dilation_w} * static_cast<std::ptrdiff_t>(in.channels);
  args.input_row_step = std::ptrdiff_t{record.stride_h} * in.row_stride;
  args.input_col_step = std::ptrdiff_t{record.stride_w} * static_cast<std::ptrdiff_t>(in.channels);
  args.zero_point = in.zero_point;
  args.output_height = args.output_width = 1;
  if (!layer.logits) {
    args.output_height = layer.output.height;
    args.output_width = layer.output.width;
    args.output_row_step = layer.output.row_stride;
    args.output_col_step = layer.output.channels;
    args.zero_out = layer.output.zero_point;
    args.clamp_min = record.clamp_min;
    args.clamp_max = record.clamp_max;
  }
  return args;
}

// The arrays of one weighted layer.
struct Parameters {
  format::PanelLayout panels;
  format::ParameterLayout layout;
  const std::uint8_t* base;
  bool bayesian;

  Parameters(const format::View& view, const LayerRecord& record)
      : panels(format::MakePanelLayout(record)),
        base(view.layer_parameters(record)),
        bayesian((record.flags & format::kLayerBayesian) != 0) {
    layout = format::MakeParameterLayout(panels, bayesian, record.sigma_bits);
  }
  // Sections start at multiples of 64 in 64-byte aligned memory, so typed access is aligned.
  template <typename T>
  const T* Slots(std::uint64_t offset, std::uint32_t panel) const {
    return reinterpret_cast<const T*>(base + offset) + panels.slot(panel);
  }
};

// Draws panel `index`, or points at the file's own weights in a deterministic layer.
void PreparePanel(const Parameters& parameters, const Layer& layer, std::uint32_t index,
                  PassContext* context, std::int32_t* bias, kernels::ConvolveArgs* args) {
  const format::PanelLayout& panels = parameters.panels;
  const format::ParameterLayout& layout = parameters.layout;
  const std::uint64_t offset = panels.panel_offset(index);
  const auto* mu = reinterpret_cast<const std::int8_t*>(parameters.base + layout.mu + offset);
  args->width = panels.width(index);
  args->channels = panels.channels(index);
  if (!parameters.bayesian) {
    args->weights = mu;
    args->bias = parameters.Slots<std::int32_t>(layout.bias_mu, index);
    return;
  }
  const std::uint32_t bits = layer.record.sigma_bits;
  const std::uint8_t* codebook = parameters.base + layout.codebook;
  kernels::SampleArgs sample{};
  sample.stream = context->stream;
  sample.stream.layer = layer.index;
  sample.stream.panel = index;
  sample.width = args->width;
  sample.runs = panels.runs;
  sample.run_length = panels.run_length;
  sample.padded_run = panels.padded_run;
  sample.sigma_bits = bits;
  sample.mu = mu;
  sample.sigma = parameters.base + layout.sigma + offset * bits / 8;
  sample.codebook = codebook + (bits == 4 ? std::size_t{16} * index : panels.slot(index));
  sample.codebook_stride = panels.padded_channels;
  sample.shift = parameters.Slots<std::uint8_t>(layout.shift, index);
  sample.bias_mu = parameters.Slots<std::int32_t>(layout.bias_mu, index);
  sample.bias_level = parameters.Slots<std::uint16_t>(layout.bias_level, index);
  sample.bias_shift = parameters.Slots<std::uint8_t>(layout.bias_shift, index);
  sample.weights = context->panel;
  sample.bias = bias;
  context->kernels.sample_panel(sample);
  args->weights = context->panel;
  args->bias = bias;
}

void RunWeighted(const Layer& layer, PassContext* context) {
  const Parameters parameters(context->view, layer.record);
  const format::PanelLayout& panels = parameters.panels;
  kernels::ConvolveArgs args = WindowArgs(layer, panels);
  const float ratio = layer.logits ? layer.input.scale : layer.input.scale / layer.output.scale;
  std::int32_t bias[kernels::kPanelWidth];
  float multiplier[kernels::kPanelWidth];
  args.multiplier = multiplier;
  for (std::uint32_t index = 0; index < panels.panel_count(); ++index) {
    PreparePanel(parameters, layer, index, context, bias, &args);
    const float* scale = parameters.Slots<float>(parameters.layout.weight_scale, index);
    for (std::uint32_t c = 0; c < args.channels; ++c) multiplier[c] = scale[c] * ratio;
    const std::uint32_t group = index / panels.panels_per_group;
    const std::ptrdiff_t input_offset =
        static_cast<std::ptrdiff_t>(group * (layer.input.channels / panels.groups)) -
        std::ptrdiff_t{layer.record.pad_top} * layer.input.row_stride -
        std::ptrdiff_t{layer.record.pad_left} * static_cast<std::ptrdiff_t>(layer.input.channels);
    for (std::uint32_t image = 0; image < context->images; ++image) {
      std::uint8_t* activations =
          context->activations + image * context->view.model.activation_bytes;
      args.input = FirstPixel(activations, layer.input) + input_offset;
      if (layer.logits) {
        args.accumulators = context->accumulators + std::size_t{image} * panels.padded_channels +
                            panels.channel(index);
      } else {
        args.output = FirstPixel(activations, layer.output) + panels.channel(index);
      }
      context->kernels.convolve(args);
    }
  }
  if (!layer.logits) return;
  // logit = float(acc) * (s_w * s_x). Rows shrink from slots to classes, front to back, so each
  // logit lands at or before its accumulator.
  for (std::uint32_t image = 0; image < context->images; ++image) {
    for (std::uint32_t c = 0; c < layer.record.output_channels; ++c) {
      const std::uint32_t slot = format::SlotOf(panels, c);
      const float scale =
          reinterpret_cast<const float*>(parameters.base + parameters.layout.weight_scale)[slot];
      std::int32_t acc;
      std::memcpy(&acc, context->accumulators + std::size_t{image} * panels.padded_channels + c,
                  sizeof(acc));
      const float logit = static_cast<float>(acc) * (scale * ratio);
      std::memcpy(context->logits + std::size_t{image} * layer.record.output_channels + c, &logit,
                  sizeof(logit));
    }
  }
}

void RunPool(const Layer& layer, PassContext* context) {
  const LayerRecord& record = layer.record;
  kernels::PoolArgs args{};
  args.input_row_stride = layer.input.row_stride;
  args.input_height = layer.input.height;
  args.input_width = layer.input.width;
  args.channels = layer.input.channels;
  args.kernel_h = record.kernel_h;
  args.kernel_w = record.kernel_w;
  args.stride_h = record.stride_h;
  args.stride_w = record.stride_w;
  args.pad_top = record.pad_top;
  args.pad_left = record.pad_left;
  args.output_row_stride = layer.output.row_stride;
  args.output_height = layer.output.height;
  args.output_width = layer.output.width;
  args.clamp_min = record.clamp_min;
  args.clamp_max = record.clamp_max;
  args.count_padding = (record.flags & format::kLayerCountPadding) != 0;
  args.scale_ratio = layer.input.scale / layer.output.scale;
  args.zero_in = layer.input.zero_point;
  args.zero_out = layer.output.zero_point;
  const bool max = static_cast<OpCode>(record.op) == OpCode::kMaxPool;
  for (std::uint32_t image = 0; image < context->images; ++image) {
    std::uint8_t* activations = context->activations + image * context->view.model.activation_bytes;
    args.input = FirstPixel(activations, layer.input);
    args.output = FirstPixel(activations, layer.output);
    max ? context->kernels.max_pool(args) : context->kernels.average_pool(args);
  }
}

void RunLookup(const Layer& layer, PassContext* context) {
  kernels::LookupArgs args{};
  args.table = context->view.layer_parameters(layer.record);
  args.input_row_stride = layer.input.row_stride;
  args.output_row_stride = layer.output.row_stride;
  args.rows = layer.input.height;
  args.row_bytes = layer.input.width * layer.input.channels;
  for (std::uint32_t image = 0; image < context->images; ++image) {
    std::uint8_t* activations = context->activations + image * context->view.model.activation_bytes;
    args.input = FirstPixel(activations, layer.input);
    args.output = FirstPixel(activations, layer.output);
    context->kernels.lookup(args);
  }
}

}  // namespace

void LoadPixels(const format::View& view, const std::uint8_t* pixels, std::uint8_t* activations) {
  const TensorRecord input = view.tensor(0);
  const std::uint8_t* tables = view.input_lookup();
  FillPadding(input, activations);
  for (std::uint32_t y = 0; y < input.height; ++y) {
    std::uint8_t* row = FirstPixel(activations, input) + std::size_t{y} * input.row_stride;
    for (std::uint32_t x = 0; x < input.width; ++x) {
      for (std::uint32_t c = 0; c < input.channels; ++c) *row++ = tables[c * 256 + *pixels++];
    }
  }
}

void LoadFloats(const format::View& view, const float* values, std::uint8_t* activations) {
  const TensorRecord input = view.tensor(0);
  const float low = -static_cast<float>(input.zero_point);
  const float high = static_cast<float>(255 - input.zero_point);
  FillPadding(input, activations);
  for (std::uint32_t y = 0; y < input.height; ++y) {
    std::uint8_t* row = FirstPixel(activations, input) + std::size_t{y} * input.row_stride;
    for (std::uint32_t i = 0; i < input.width * input.channels; ++i) {
      float value = *values++ / input.scale;
      value = value < low ? low : value > high ? high : value;
      constexpr float kMagic = 12582912.0F;  // rounds to even, see kernels/scalar/convolve.cpp
      const float rounded = (value + kMagic) - kMagic;
      *row++ = static_cast<std::uint8_t>(static_cast<std::int32_t>(rounded) + input.zero_point);
    }
  }
}

void RunPass(PassContext* context) {
  for (std::uint32_t index = 0; index < context->view.layer_count(); ++index) {
    Layer layer{index, context->view.layer(index), {}, {}, false};
    layer.input = context->view.tensor(layer.record.input);
    layer.logits = layer.record.output == format::kNoTensor;
    if (!layer.logits) {
      layer.output = context->view.tensor(layer.record.output);
      for (std::uint32_t image = 0; image < context->images; ++image) {
        FillPadding(layer.output,
                    context->activations + image * context->view.model.activation_bytes);
      }
    }
    switch (static_cast<OpCode>(layer.record.op)) {
      case OpCode::kConv2d:
      case OpCode::kDense:
        RunWeighted(layer, context);
        break;
      case OpCode::kMaxPool:
      case OpCode::kAveragePool:
        RunPool(layer, context);
        break;
      case OpCode::kLookup:
        RunLookup(layer, context);
        break;
    }
  }
}

}  // namespace mu8
