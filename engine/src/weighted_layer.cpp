// Convolutions and dense layers: panel by panel, drawn and used.
#include <cstring>

#include "engine/src/checked_products.h"
#include "engine/src/operators.h"
#include "engine/src/panel.h"
#include "engine/src/panel_place.h"
#include "engine/src/tensor.h"
#include "engine/src/unit_probes.h"
#include "formats/arithmetic.h"
#include "formats/recheck.h"
#include "formats/runs.h"

namespace mu8 {

float ProbeWeightedLayer(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

using format::LayerRecord;
using format::OpCode;
using format::TensorRecord;
using kernels::Signed;

void SetWindow(const Layer& layer, const format::RunLayout& runs, std::uint32_t padded_run,
               kernels::ConvolveArgs* out) {
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
}

// A multiplier that kernels may have; 0 where the file's scale has changed since Open so that it
// is none. Logits have larger ones.
float Sane(float multiplier, bool logits) {
  const float most = logits ? 0x1.fffffep63F : 0x1.fffffep-1F;
  return format::IsNormal(multiplier) && multiplier <= most ? multiplier : 0.0F;
}

// What does not depend on the panel: one shift for the largest factor. False if scales have changed
// since Open so that there is none.
bool SetResidual(const Parameters& parameters, const format::WeightedScales& scales,
                 const Layer& layer, kernels::ConvolveArgs* args) {
  const std::uint32_t largest =
      scales.LargestResidual(parameters.panels, layer.record.output_channels);
  const float factor = scales.ResidualFactor(largest);
  args->residual_shift = format::FixedPointShift(factor);
  if (!format::IsNormal(factor) || args->residual_shift < format::kMinFixedPointShift ||
      args->residual_shift > format::kMaxFixedPointShift) {
    return false;
  }
  args->residual_zero = layer.input2.zero_point;
  args->residual_row_step = Signed(layer.input2.row_stride);
  args->residual_col_step = Signed(layer.input2.channels);
  return true;
}

// FixedPoint of a slot's factor; 0 if that has become none since the largest was looked for.
std::int32_t ResidualFactor(const format::WeightedScales& scales, std::uint32_t slot,
                            std::int32_t shift) {
  const float factor = scales.ResidualFactor(slot);
  const bool fits = format::IsNormal(factor) && format::FixedPointShift(factor) >= shift;
  return fits ? format::FixedPoint(factor, shift) : 0;
}

// The layer's parameters, or tensors of other layers, have changed since Open so that it cannot
// run.
bool FailParameters(const Layer& layer, PassContext* context) {
  context->failed = true;
  if (context->fault != nullptr) {
    *context->fault = {.status = Status::kModelChanged,
                       .offset = context->view.parameters.offset + layer.record.parameter_offset,
                       .layer = static_cast<std::int32_t>(layer.index)};
  }
  return true;
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
        const float logit =
            static_cast<float>(acc) * Sane(scales.Multiplier(format::SlotOf(panels, c)), true);
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
  LayerRecord last;
  format::Operands operands;
  if (!format::LoadLayer(view, view.layer_count() - 1, &last, &operands, nullptr)) return;
  const Parameters parameters(view, last);
  panels_ = parameters.panels;
  input_ = operands.input;
  weight_scale_ = parameters.base + parameters.layout.weight_scale;
}

float OutputMultipliers::operator()(std::uint32_t output) const {
  if (weight_scale_ == nullptr) return 0.0F;
  const format::WeightedScales scales(weight_scale_, input_, nullptr, nullptr);
  return Sane(scales.Multiplier(format::SlotOf(panels_, output)), true);
}

namespace {

// A layer at work: what all its panels share, and the panel at hand.
struct WeightedLayer {
  const Layer& layer;
  PassContext* context;
  Parameters parameters;
  format::RunLayout runs;
  format::WeightedScales scales;
  kernels::ConvolveArgs convolve{};
  kernels::SampleArgs sample{};
  std::int8_t* weights;                    // drawn ones
  std::uint32_t piece_bytes = 0xffffffff;  // of these, at most
  // Of the panel at hand.
  std::int32_t bias[kernels::kPanelWidth];
  float multiplier[kernels::kPanelWidth];
  std::int32_t residual_factor[kernels::kPanelWidth];
  Shifts shifts;

  WeightedLayer(const Layer& l, PassContext* c)
      : layer(l),
        context(c),
        parameters(c->view, l.record),
        runs(format::MakeRunLayout(l.record, l.input)),
        scales(parameters.base + parameters.layout.weight_scale, l.input,
               l.logits ? nullptr : &l.output, l.has_input2() ? &l.input2 : nullptr),
        weights(c->panel) {}
};

bool Prepare(WeightedLayer* work) {
  const Layer& layer = work->layer;
  SetWindow(layer, work->runs, work->parameters.panels.padded_run, &work->convolve);
  if (layer.has_input2() && !SetResidual(work->parameters, work->scales, layer, &work->convolve)) {
    return false;
  }
  work->convolve.residual_factor = work->residual_factor;
  work->convolve.multiplier = work->multiplier;
  work->sample.stream = work->context->stream;
  work->sample.stream.layer = layer.index;
  work->sample.bias = work->bias;
  const format::View& view = work->context->view;
  if (work->weights != nullptr) return true;
  work->piece_bytes = PieceBytes(layer.record, layer, work->context->panel_bytes);
  if (work->piece_bytes == 0) return true;
  // Of a session's single image.
  const std::uint32_t memory = PanelMemory(layer.record, work->piece_bytes);
  const std::uint64_t place = PanelPlace(view, layer.index, memory);
  std::uint8_t* const panel = work->context->activations + place;
  if (memory > work->piece_bytes) {
    work->sample.lanes = reinterpret_cast<kernels::LaneStates*>(panel);
  }
  work->weights = reinterpret_cast<std::int8_t*>(panel + (memory - work->piece_bytes));
  // The arena was made for it, but tensors of other layers may have changed since.
  return place % format::kAlignment == 0 &&
         place + memory + sizeof(std::uint32_t) <= view.model.activation_bytes;
}

// What `convolve` needs of the panel at `mu`, for any image.
void SetChannels(const format::MuCursor& mu, WeightedLayer* work) {
  const format::PanelLayout& panels = work->parameters.panels;
  kernels::ConvolveArgs& args = work->convolve;
  const std::uint32_t index = mu.panel();
  args.width = panels.width(index);
  args.channels = panels.channels(index);
  for (std::uint32_t c = 0; c < args.channels; ++c) {
    const std::uint32_t slot = panels.slot(index) + c;
    work->multiplier[c] = Sane(work->scales.Multiplier(slot), work->layer.logits);
    if (work->layer.has_input2()) {
      work->residual_factor[c] = ResidualFactor(work->scales, slot, args.residual_shift);
    }
  }
}

// Where `convolve` finds an image's input and puts its output.
void SetImage(std::uint32_t panel, std::uint32_t image, WeightedLayer* work) {
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
  if (layer.has_input2()) {
    args.residual = FirstPixel(activations, layer.input2) + panels.channel(panel);
  }
}

// SessionOptions::check_products. False: a fault was found and told.
bool ConvolveCheckedProducts(const WeightedLayer& work, kernels::ConvolveArgs args) {
  PassContext* context = work.context;
  if (work.layer.logits) {
    args.output_height = work.layer.output.height;
    args.output_width = work.layer.output.width;
  }
  ProductFault fault;
  auto* const convolve =
      work.runs.depthwise ? context->kernels.convolve_depthwise : context->kernels.convolve;
  if (ConvolveChecked(args, work.runs.depthwise, work.parameters.panels.padded_channels, convolve,
                      &fault)) {
    return true;
  }
  context->failed = true;
  if (context->fault != nullptr) {
    *context->fault = {.status = Status::kComputationFault,
                       .offset = fault.pixel,
                       .layer = static_cast<std::int32_t>(work.layer.index),
                       .found = static_cast<std::uint64_t>(fault.found),
                       .expected = static_cast<std::uint64_t>(fault.expected)};
  }
  return false;
}

bool Convolve(const WeightedLayer& work) {
  if (work.context->check_products) return ConvolveCheckedProducts(work, work.convolve);
  const kernels::KernelTable& kernels = work.context->kernels;
  auto* const convolve = work.runs.depthwise ? kernels.convolve_depthwise : kernels.convolve;
  if (work.layer.logits) {
    Accumulate(work.layer, work.convolve, work.parameters.panels.padded_channels, convolve);
  } else {
    convolve(work.convolve);
  }
  return true;
}

// Draws or unpacks the blocks that work->sample names.
void Draw(WeightedLayer* work) {
  const kernels::KernelTable& kernels = work->context->kernels;
  work->sample.weights = work->weights;
  (work->parameters.bayesian ? kernels.sample_panel : kernels.unpack_panel)(work->sample);
}

// The panel at hand in pieces: draws one and adds its products to those of the pieces before, until
// the last call has all that makes an output. Partial sums fit as the whole does: Open bounds the
// sum of all magnitudes (FORMAT.md 6.4). Pieces may begin and end within a run.
bool RunInPieces(WeightedLayer* work) {
  kernels::ConvolveArgs& args = work->convolve;
  const kernels::ConvolveArgs whole = args;
  const std::uint32_t width = args.width, run_groups = whole.padded_run / 4;
  const std::uint32_t groups = whole.outer_runs * whole.inner_runs * run_groups;
  std::int32_t sum[kernels::kPanelWidth] = {};
  args.outer_runs = args.inner_runs = 1;
  const std::size_t blocks = work->sample.end_block;
  std::uint32_t group = 0;
  for (std::size_t block = 0; block < blocks; block = work->sample.end_block) {
    const std::uint32_t first = group;
    work->sample.first_block = block;
    work->sample.end_block = block + work->piece_bytes / kernels::kBlockBytes;
    if (work->sample.end_block > blocks) work->sample.end_block = blocks;
    Draw(work);
    const std::size_t drawn = work->sample.end_block * (kernels::kPanelWidth / width);
    while (group < drawn && group < groups) {
      const std::uint32_t run = group / run_groups, in_run = group % run_groups;
      const std::size_t left = drawn - group;
      const std::uint32_t count =
          left < run_groups - in_run ? static_cast<std::uint32_t>(left) : run_groups - in_run;
      args.input = whole.input + Signed(run / whole.inner_runs) * whole.outer_step +
                   Signed(run % whole.inner_runs) * whole.inner_step + Signed(in_run * 4);
      args.padded_run = count * 4;
      args.weights = work->weights + std::size_t{group - first} * 4 * width;
      group += count;
      args.bias = args.accumulators = sum;
      if (group == groups) {
        const std::int32_t* own = work->parameters.bayesian ? work->bias : work->sample.bias_mu;
        for (std::uint32_t c = 0; c < args.channels; ++c) {
          sum[c] = kernels::AddWrapping(sum[c], own[c]);
        }
        args.accumulators = whole.accumulators;
      }
      if (!work->context->check_products) {
        work->context->kernels.convolve(args);
      } else if (!ConvolveCheckedProducts(*work, args)) {
        return false;
      }
    }
  }
  args = whole;
  return true;
}

}  // namespace

bool RunWeighted(const Layer& layer, PassContext* context, std::uint32_t panel_count,
                 LayerCursor* at) {
  WeightedLayer work(layer, context);
  if (!Prepare(&work)) return FailParameters(layer, context);
  const bool as_it_lies = !work.parameters.bayesian && layer.record.mu_bits == 8;
  const std::uint32_t end = work.parameters.panels.panel_count();
  format::MuCursor mu = work.parameters.FirstMu(layer.record);
  mu.MoveTo(at->panel, at->mu_offset);
  for (; mu.panel() < end && panel_count > 0; mu.Next(), --panel_count) {
    if (!SetPanel(work.parameters, layer.record, mu, &work.shifts, &work.sample)) {
      return FailParameters(layer, context);
    }
    SetChannels(mu, &work);
    if (!as_it_lies && work.sample.end_block * kernels::kBlockBytes > work.piece_bytes) {
      SetImage(mu.panel(), context->images[0], &work);
      if (!RunInPieces(&work)) return true;
      continue;
    }
    if (!as_it_lies) Draw(&work);
    work.convolve.weights =
        as_it_lies ? reinterpret_cast<const std::int8_t*>(work.sample.mu) : work.weights;
    work.convolve.bias = work.parameters.bayesian ? work.bias : work.sample.bias_mu;
    for (std::uint32_t i = 0; i < context->images.count; ++i) {
      SetImage(mu.panel(), context->images[i], &work);
      if (!Convolve(work)) return true;
    }
  }
  at->panel = mu.panel();
  at->mu_offset = mu.offset();
  if (mu.panel() < end) return false;
  if (layer.logits && context->logits != nullptr) {
    WriteLogits(work.parameters, work.scales, layer, context);
  }
  return true;
}

}  // namespace mu8
