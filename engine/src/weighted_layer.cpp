// Convolutions and dense layers: panel by panel, drawn and used.
#include "engine/src/weighted_layer.h"

#include <cstring>
#include <new>

#include "engine/src/operators.h"
#include "engine/src/panel.h"
#include "engine/src/tensor.h"
#include "engine/src/unit_probes.h"
#include "formats/arithmetic.h"
#include "formats/recheck.h"
#include "formats/runs.h"
#include "formats/stream.h"

namespace mu8 {

float ProbeWeightedLayer(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

using format::LayerRecord;
using format::OpCode;
using format::TensorRecord;
using kernels::Signed;

void SetWindow(const Layer& layer, const format::RunLayout& runs, std::uint32_t padded_run,
               bool check_products, kernels::ConvolveArgs* out) {
  const LayerRecord& record = layer.record;
  const TensorRecord& in = layer.input;
  kernels::ConvolveArgs& args = *out;
  args.outer_runs = runs.outer;
  args.inner_runs = runs.inner;
  args.padded_run = padded_run;
  args.outer_step = Signed(std::size_t{record.dilation_h} * in.row_stride);
  args.inner_step = Signed(std::size_t{record.dilation_w} * in.channels);
  args.input_row_step = Signed(std::size_t{record.stride_h} * in.row_stride);
  args.input_col_step = Signed(std::size_t{record.stride_w} * in.channels);
  args.zero_point = in.zero_point;
  args.output_height = args.output_width = 1;  // of logits: Accumulate
  if (!layer.logits || check_products) {
    args.output_height = layer.output.height;
    args.output_width = layer.output.width;
  }
  if (!layer.logits) {
    args.output_row_step = Signed(layer.output.row_stride);
    args.output_col_step = Signed(layer.output.channels);
    args.zero_out = layer.output.zero_point;
    args.clamp_min = record.clamp_min;
    args.clamp_max = record.clamp_max;
  }
}

// A multiplier that kernels may have; 0 where the file's scale has changed since Open so that it
// is none. Logits have larger ones.
float Sane(float multiplier, bool logits) {
  const float most = logits ? 0x1.fffffep63F : 0x1.fffffep-1F;
  return format::IsNormal(multiplier) && multiplier <= most ? multiplier : 0.0F;
}

// FixedPoint of a slot's factor; 0 if that has become none since the largest was looked for.
std::int32_t ResidualFactor(const format::WeightedScales& scales, float weight_scale,
                            std::int32_t shift) {
  const float factor = scales.ResidualFactor(weight_scale);
  const bool fits = format::IsNormal(factor) && format::FixedPointShift(factor) >= shift;
  return fits ? format::FixedPoint(factor, shift) : 0;
}

// A panel of the last layer over one image. Kernels leave the accumulators of one pixel, so each
// position is a call of its own: where windows are small, as of a 1 x 1 convolution, the calls and
// not the products take the time.
void Accumulate(const Layer& layer, std::uint32_t slots,
                void (*convolve)(const kernels::ConvolveArgs&), kernels::ConvolveArgs* all) {
  kernels::ConvolveArgs& args = *all;  // SetImage sets anew what this changes
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

bool ReadOutputScales(const format::View& view, std::uint8_t* to, Diagnostic* fault) {
  LayerRecord last;
  format::Operands operands;
  return format::LoadLayer(view, view.layer_count() - 1, &last, &operands, fault) &&
         format::ReadSource(view, view.parameters_at(last), to, view.output_slots * sizeof(float),
                            fault);
}

OutputMultipliers::OutputMultipliers(const format::View& view) {
  LayerRecord last;
  format::Operands operands;
  if (!format::LoadLayer(view, view.layer_count() - 1, &last, &operands, nullptr)) return;
  panels_ = format::MakePanelLayout(last);
  input_scale_ = operands.input.scale;
  // The first of its parameters.
  weight_scale_ = view.is_streamed() ? view.output_scales : view.layer_parameters(last);
}

float OutputMultipliers::operator()(std::uint32_t output) const {
  if (weight_scale_ == nullptr) return 0.0F;
  const std::uint32_t slot = format::SlotOf(panels_, output);
  float scale;
  std::memcpy(&scale, weight_scale_ + std::size_t{slot} * sizeof(scale), sizeof(scale));
  return Sane(scale * input_scale_, true);
}

namespace {

// What does not depend on the panel: one shift for the largest factor. False if scales cannot be
// read, or have changed since Open so that there is none.
bool FindResidualShift(const WeightedLayer& work, std::int32_t* shift) {
  const format::PanelLayout& panels = work.parameters.panels;
  float largest = 0.0F;
  for (std::uint32_t panel = 0; panel < panels.panel_count(); ++panel) {
    if (work.parameters.is_staged() &&
        !ReadParameters(work.layer, std::uint64_t{panels.slot(panel)} * sizeof(float),
                        work.staged()->weight_scale, panels.width(panel) * sizeof(float),
                        work.context)) {
      return false;
    }
    for (std::uint32_t c = 0; c < panels.channels(panel); ++c) {
      const float factor = work.scales.ResidualFactor(work.Scale(panel, c));
      if (factor > largest) largest = factor;
    }
  }
  *shift = format::FixedPointShift(largest);
  return (format::IsNormal(largest) && *shift >= format::kMinFixedPointShift &&
          *shift <= format::kMaxFixedPointShift) ||
         FailParameters(work.layer, work.context);
}

}  // namespace

[[gnu::noinline]] bool Prepare(LayerCursor* at, WeightedLayer* work) {
  const Layer& layer = work->layer;
  kernels::ConvolveArgs& args = work->convolve;
  SetWindow(layer, work->runs, work->parameters.panels.padded_run, work->context->check_products,
            &args);
  args.multiplier = work->multiplier;
  if (!layer.has_residual()) return true;
  if (at->residual_shift == 0 && !FindResidualShift(*work, &at->residual_shift)) return false;
  args.residual_shift = at->residual_shift;
  args.residual_zero = layer.input2.zero_point;
  args.residual_row_step = Signed(layer.input2.row_stride);
  args.residual_col_step = Signed(layer.input2.channels);
  args.residual_factor = work->residual_factor;
  return true;
}

[[gnu::noinline]] void SetChannels(std::uint32_t panel, WeightedLayer* work) {
  kernels::ConvolveArgs& args = work->convolve;
  args.width = work->parameters.panels.width(panel);
  args.channels = work->parameters.panels.channels(panel);
  for (std::uint32_t c = 0; c < args.channels; ++c) {
    const float scale = work->Scale(panel, c);
    work->multiplier[c] = Sane(work->scales.Multiplier(scale), work->layer.logits);
    if (work->layer.has_residual()) {
      work->residual_factor[c] = ResidualFactor(work->scales, scale, args.residual_shift);
    }
  }
}

[[gnu::noinline]] void SetImage(std::uint32_t panel, std::uint32_t image, WeightedLayer* work) {
  const Layer& layer = work->layer;
  const format::PanelLayout& panels = work->parameters.panels;
  const PassContext& context = *work->context;
  kernels::ConvolveArgs& args = work->convolve;
  const std::uint32_t group = panel / panels.panels_per_group;
  const std::uint32_t input_channel =
      work->runs.depthwise ? panels.channel(panel) : group * (layer.input.channels / panels.groups);
  std::uint8_t* activations = context.activations + image * context.view.model.activation_bytes;
  args.input = FirstPixel(activations, layer.input) + Signed(input_channel) -
               Signed(std::size_t{layer.record.pad_top} * layer.input.row_stride) -
               Signed(std::size_t{layer.record.pad_left} * layer.input.channels);
  if (layer.logits) {
    const std::size_t positions = std::size_t{layer.output.height} * layer.output.width;
    args.accumulators =
        context.accumulators + image * positions * panels.padded_channels + panels.channel(panel);
    return;
  }
  args.output = FirstPixel(activations, layer.output) + panels.channel(panel);
  if (layer.has_residual()) {
    args.residual = FirstPixel(activations, layer.input2) + panels.channel(panel);
  }
}

namespace {

bool Convolve(WeightedLayer* layer_at_work) {
  WeightedLayer& work = *layer_at_work;
  if (work.context->check_products) return ConvolveCheckedProducts(work);
  const kernels::KernelTable& kernels = work.context->kernels;
  auto* const convolve = work.runs.depthwise ? kernels.convolve_depthwise : kernels.convolve;
  if (work.layer.logits) {
    Accumulate(work.layer, work.parameters.panels.padded_channels, convolve, &work.convolve);
  } else {
    convolve(work.convolve);
  }
  return true;
}

// Whether logits take the place of the accumulators that they are made of.
bool OverwritesAccumulators(const PassContext& context) {
  return static_cast<const void*>(context.logits) == context.accumulators;
}

// logit = float(acc) * m, of the panel at hand for one image: in the accumulator's own place, or
// where the caller wants it.
[[gnu::noinline]] void WriteLogits(std::uint32_t panel, std::uint32_t image,
                                   const WeightedLayer& work) {
  const PassContext& context = *work.context;
  if (!work.layer.logits || context.logits == nullptr) return;
  const format::PanelLayout& panels = work.parameters.panels;
  const std::size_t positions = std::size_t{work.layer.output.height} * work.layer.output.width;
  const std::size_t slots = panels.padded_channels;
  const bool in_place = OverwritesAccumulators(context);
  const std::size_t step = in_place ? slots : work.layer.record.output_channels;
  const std::int32_t* from =
      context.accumulators + image * positions * slots + panels.channel(panel);
  float* to = context.logits + image * context.logits_stride + panels.channel(panel);
  for (std::size_t p = 0; p < positions; ++p, from += slots, to += step) {
    for (std::uint32_t c = 0; c < work.convolve.channels; ++c) {
      std::int32_t acc;
      std::memcpy(&acc, from + c, sizeof(acc));
      const float logit = static_cast<float>(acc) * work.multiplier[c];
      std::memcpy(to + c, &logit, sizeof(logit));
    }
  }
}

// Logits in the accumulators' places close up: a position has `slots` of those, and a class no gap.
[[gnu::noinline]] void CloseUpLogits(const WeightedLayer& work) {
  const PassContext& context = *work.context;
  const std::size_t classes = work.layer.record.output_channels;
  const std::size_t slots = work.parameters.panels.padded_channels;
  const std::size_t positions = std::size_t{work.layer.output.height} * work.layer.output.width;
  if (!work.layer.logits || !OverwritesAccumulators(context) || classes == slots) return;
  for (std::uint32_t i = 0; i < context.images.count; ++i) {
    float* to = context.logits + context.images[i] * context.logits_stride;
    const float* from = to;
    for (std::size_t p = 0; p < positions; ++p, from += slots) {
      for (std::size_t c = 0; c < classes; ++c) *to++ = from[c];
    }
  }
}

// Draws the panel at `mu` and uses it for all images. False: the layer cannot run to its end.
bool RunOnePanel(format::MuCursor* mu, WeightedLayer* work) {
  PassContext* const context = work->context;
  const std::uint32_t panel = mu->panel();
  if (work->parameters.is_staged() &&
      !StagePanel(context->view, work->layer.record, work->parameters.panels, mu, work->staged(),
                  context->fault)) {
    return FailRead(work->layer, context);
  }
  SetChannels(panel, work);
  const bool in_pieces =
      !work->as_they_lie() && work->parameters.panels.panel_bytes(panel) > work->memory.piece_bytes;
  if (!in_pieces && !DrawBlocks(*mu, 0, kAllBlocks, work)) return false;
  for (std::uint32_t i = 0; i < context->images.count; ++i) {
    SetImage(panel, context->images[i], work);
    if (!(in_pieces ? RunInPieces(*mu, work) : Convolve(work))) return false;
    WriteLogits(panel, context->images[i], *work);
  }
  return true;
}

}  // namespace

bool RunWeighted(const Layer& layer, PassContext* context, std::uint32_t panel_count,
                 LayerCursor* at, void* memory) {
  WeightedLayer& work = *new (memory) WeightedLayer(layer, context);
  if (context->failed || !Prepare(at, &work)) return true;
  const std::uint32_t end = work.parameters.panels.panel_count();
  format::MuCursor mu = work.parameters.FirstMu(layer.record);
  mu.MoveTo(at->panel, at->mu_offset);
  for (; mu.panel() < end && panel_count > 0; mu.Next(), --panel_count) {
    if (!RunOnePanel(&mu, &work)) return true;
  }
  at->panel = mu.panel();
  at->mu_offset = mu.offset();
  if (mu.panel() < end) return false;
  CloseUpLogits(work);
  return true;
}

}  // namespace mu8
