// Convolutions and dense layers: panel by panel, drawn and used.
#include <cstring>

#include "engine/src/operators.h"
#include "engine/src/panel.h"
#include "engine/src/tensor.h"
#include "formats/arithmetic.h"
#include "formats/runs.h"

namespace mu8 {
namespace {

using format::LayerRecord;
using format::OpCode;
using format::TensorRecord;
using kernels::Signed;

kernels::ConvolveArgs WindowArgs(const Layer& layer, const format::RunLayout& runs,
                                 std::uint32_t padded_run) {
  const LayerRecord& record = layer.record;
  const TensorRecord& in = layer.input;
  kernels::ConvolveArgs args{};
  args.outer_runs = runs.outer;
  args.inner_runs = runs.inner;
  args.padded_run = padded_run;
  args.outer_step = Signed(std::size_t{record.dilation_h} * in.row_stride);
  args.inner_step = Signed(std::size_t{record.dilation_w} * in.channels);
  args.input_row_step = Signed(std::size_t{record.stride_h} * in.row_stride);
  args.input_col_step = Signed(std::size_t{record.stride_w} * in.channels);
  args.zero_point = in.zero_point;
  args.output_height = args.output_width = 1;
  if (!layer.logits) {
    args.output_height = layer.output.height;
    args.output_width = layer.output.width;
    args.output_row_step = Signed(layer.output.row_stride);
    args.output_col_step = Signed(layer.output.channels);
    args.zero_out = layer.output.zero_point;
    args.clamp_min = record.clamp_min;
    args.clamp_max = record.clamp_max;
  }
  return args;
}

// What does not depend on the panel: one shift for the largest factor.
void SetResidual(const Parameters& parameters, const format::WeightedScales& scales,
                 const Layer& layer, kernels::ConvolveArgs* args) {
  const std::uint32_t largest =
      scales.LargestResidual(parameters.panels, layer.record.output_channels);
  args->residual_shift = format::FixedPointShift(scales.ResidualFactor(largest));
  args->residual_zero = layer.input2.zero_point;
  args->residual_row_step = Signed(layer.input2.row_stride);
  args->residual_col_step = Signed(layer.input2.channels);
}

// logit = float(acc) * m, at or before its own accumulator, front to back: positions have `slots`
// accumulators, and classes logits without gaps.
void WriteLogits(const Parameters& parameters, const format::WeightedScales& scales,
                 const Layer& layer, PassContext* context) {
  const format::PanelLayout& panels = parameters.panels;
  const std::size_t positions = std::size_t{layer.output.height} * layer.output.width;
  for (std::uint32_t i = 0; i < context->images.count; ++i) {
    const std::uint32_t image = context->images[i];
    const std::int32_t* from = context->accumulators + image * positions * panels.padded_channels;
    float* to = context->logits + image * context->logits_stride;
    for (std::size_t p = 0; p < positions; ++p, from += panels.padded_channels) {
      for (std::uint32_t c = 0; c < layer.record.output_channels; ++c, ++to) {
        std::int32_t acc;
        std::memcpy(&acc, from + c, sizeof(acc));
        const float logit = static_cast<float>(acc) * scales.Multiplier(format::SlotOf(panels, c));
        std::memcpy(to, &logit, sizeof(logit));
      }
    }
  }
}

// A panel of the last layer over one image. Kernels leave the accumulators of one pixel, so each
// position is a call of its own: where windows are small, as of a 1 x 1 convolution, the calls and
// not the products take the time.
void Accumulate(const Layer& layer, kernels::ConvolveArgs args, std::uint32_t slots,
                void (*convolve)(const kernels::ConvolveArgs&)) {
  const std::uint8_t* row = args.input;
  for (std::uint32_t y = 0; y < layer.output.height; ++y, row += args.input_row_step) {
    args.input = row;
    for (std::uint32_t x = 0; x < layer.output.width; ++x, args.accumulators += slots) {
      convolve(args);
      args.input += args.input_col_step;
    }
  }
}

}  // namespace

OutputMultipliers::OutputMultipliers(const format::View& view) {
  const LayerRecord last = view.layer(view.layer_count() - 1);
  const Parameters parameters(view, last);
  panels_ = parameters.panels;
  input_ = view.tensor(last.input);
  weight_scale_ = parameters.base + parameters.layout.weight_scale;
}

float OutputMultipliers::operator()(std::uint32_t output) const {
  const format::WeightedScales scales(weight_scale_, input_, nullptr, nullptr);
  return scales.Multiplier(format::SlotOf(panels_, output));
}

bool RunWeighted(const Layer& layer, PassContext* context, std::uint32_t panel_count,
                 LayerCursor* at) {
  const Parameters parameters(context->view, layer.record);
  const format::PanelLayout& panels = parameters.panels;
  const format::RunLayout runs = format::MakeRunLayout(layer.record, layer.input);
  kernels::ConvolveArgs args = WindowArgs(layer, runs, panels.padded_run);
  const format::WeightedScales scales(parameters.base + parameters.layout.weight_scale, layer.input,
                                      layer.logits ? nullptr : &layer.output,
                                      layer.has_input2() ? &layer.input2 : nullptr);
  if (layer.has_input2()) SetResidual(parameters, scales, layer, &args);
  std::int32_t residual_factor[kernels::kPanelWidth] = {};
  args.residual_factor = residual_factor;
  kernels::StreamId stream = context->stream;
  stream.layer = layer.index;
  kernels::LaneStates lanes;
  std::int32_t bias[kernels::kPanelWidth];
  float multiplier[kernels::kPanelWidth];
  args.multiplier = multiplier;
  auto* const convolve =
      runs.depthwise ? context->kernels.convolve_depthwise : context->kernels.convolve;
  const std::size_t positions = std::size_t{layer.output.height} * layer.output.width;
  format::MuCursor mu = parameters.FirstMu(layer.record);
  mu.MoveTo(at->panel, at->mu_offset);
  for (; mu.panel() < panels.panel_count() && panel_count > 0; mu.Next(), --panel_count) {
    const std::uint32_t index = mu.panel();
    const Panel panel = DrawPanel(parameters, layer.record, mu, stream, context->kernels, &lanes,
                                  context->panel, bias);
    args.weights = panel.weights;
    args.bias = panel.bias;
    args.width = panels.width(index);
    args.channels = panels.channels(index);
    for (std::uint32_t c = 0; c < args.channels; ++c) {
      const std::uint32_t slot = panels.slot(index) + c;
      multiplier[c] = scales.Multiplier(slot);
      if (layer.has_input2()) {
        residual_factor[c] = format::FixedPoint(scales.ResidualFactor(slot), args.residual_shift);
      }
    }
    const std::uint32_t group = index / panels.panels_per_group;
    const std::uint32_t input_channel =
        runs.depthwise ? panels.channel(index) : group * (layer.input.channels / panels.groups);
    const std::ptrdiff_t input_offset =
        Signed(input_channel) - Signed(std::size_t{layer.record.pad_top} * layer.input.row_stride) -
        Signed(std::size_t{layer.record.pad_left} * layer.input.channels);
    for (std::uint32_t i = 0; i < context->images.count; ++i) {
      const std::uint32_t image = context->images[i];
      std::uint8_t* activations =
          context->activations + image * context->view.model.activation_bytes;
      args.input = FirstPixel(activations, layer.input) + input_offset;
      if (layer.logits) {
        args.accumulators = context->accumulators + image * positions * panels.padded_channels +
                            panels.channel(index);
        Accumulate(layer, args, panels.padded_channels, convolve);
        continue;
      }
      args.output = FirstPixel(activations, layer.output) + panels.channel(index);
      if (layer.has_input2()) {
        args.residual = FirstPixel(activations, layer.input2) + panels.channel(index);
      }
      convolve(args);
    }
  }
  at->panel = mu.panel();
  at->mu_offset = mu.offset();
  if (mu.panel() < panels.panel_count()) return false;
  if (layer.logits && context->logits != nullptr) WriteLogits(parameters, scales, layer, context);
  return true;
}

}  // namespace mu8
