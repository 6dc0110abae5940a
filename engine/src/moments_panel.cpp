#include "engine/src/moments_panel.h"

#include "engine/src/unit_probes.h"
#include "formats/arithmetic.h"
#include "kernels/gaussian_table.h"

namespace mu8 {

float ProbeMomentsPanel(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

using kernels::Bound;

constexpr float kEpsilonVariance = 1021.5625F;  // kEpsilonSumOfSquares / 256
constexpr float kTwelfth = 0x1.555556p-4F;
constexpr float kSpreadUnit = 0x1p-6F;  // 1 / kMostSquare

// 2^-shift, of a shift of 1 to 15.
float TwoToMinus(std::uint32_t shift) { return format::BitCast<float>((127 - shift) << 23); }

// The variance of n (FORMAT.md 9.3), in squared weight steps.
float DrawnVariance(std::uint32_t level, std::uint32_t shift) {
  const float ratio = static_cast<float>(level) * TwoToMinus(shift);
  const float variance = (ratio * ratio) * kEpsilonVariance;
  if (variance >= 0.25F) return variance + kTwelfth;
  std::uint32_t sum = 0;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const std::int32_t e = kernels::Epsilon(static_cast<std::uint8_t>(byte));
    const std::int32_t n =
        (static_cast<std::int32_t>(level) * e + (std::int32_t{1} << (shift - 1))) >> shift;
    sum += static_cast<std::uint32_t>(n * n);
  }
  return static_cast<float>(sum) * 0x1p-8F;
}

// What stands for each code of sigma in place of its level, and each slot's largest level.
struct SpreadCodes {
  std::uint8_t codebook[4 * kernels::kPanelWidth];  // [codes][16], of 4 bits [16]
  std::uint8_t top[kernels::kPanelWidth];

  void Set(const kernels::SampleArgs& args) {
    if (args.sigma_bits == 8) {
      for (std::uint8_t& level : top) level = 255;
    } else if (args.sigma_bits == 4) {
      const std::uint8_t largest = Replace(args.codebook, 1, 16, codebook, 1);
      for (std::uint8_t& level : top) level = largest;
    } else {
      for (std::uint32_t c = 0; c < args.width; ++c) {
        top[c] = Replace(args.codebook + c, args.codebook_stride, 1U << args.sigma_bits,
                         codebook + c, kernels::kPanelWidth);
      }
    }
  }

 private:
  // Of `count` levels, `stride` apart; returns the largest.
  static std::uint8_t Replace(const std::uint8_t* levels, std::size_t stride, std::uint32_t count,
                              std::uint8_t* codes, std::size_t step) {
    std::uint8_t largest = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint8_t level = levels[i * stride];
      if (level > largest) largest = level;
    }
    const std::uint32_t square = std::uint32_t{largest} * largest;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t level = levels[i * stride];
      codes[i * step] = static_cast<std::uint8_t>(
          square == 0 ? 0 : (level * level * kernels::kMostSquare + square / 2) / square);
    }
    return largest;
  }
};

}  // namespace

MomentsPanels::MomentsPanels(const format::View& view, const format::LayerRecord& record,
                             bool all_means)
    : bayesian((record.flags & format::kLayerBayesian) != 0),
      uncertain(!IsCertain(view, record.input)),
      unpacked(record.mu_bits != 8) {
  const format::PanelLayout layout = format::MakePanelLayout(record);
  const std::uint64_t panel = layout.panel_bytes(0);
  squares = unpacked ? (all_means ? layout.mu_bytes() : panel) : 0;
  // The last layer's covariance comes from the means themselves.
  squares_end = squares + (uncertain && !all_means ? panel : 0);
  spread_end = bayesian ? panel : 0;
}

MomentsLayer::MomentsLayer(const Layer& layer, PassContext* context)
    : work(layer, context),
      panels(context->view, layer.record, layer.logits),
      is_dense(static_cast<format::OpCode>(layer.record.op) == format::OpCode::kDense),
      convolve(work.runs.depthwise ? context->kernels.convolve_depthwise
                                   : context->kernels.convolve),
      accumulate(work.runs.depthwise ? nullptr : context->kernels.moments->accumulate),
      accumulate_squares(!work.runs.depthwise && context->kernels.moments->accumulate_squares
                             ? context->kernels.moments->accumulate_squares
                             : accumulate),
      factor(context->view.layer_moments(layer.index).factor),
      step_in(StepOf(context->view, layer.record.input)) {
  const std::uint32_t zero = layer.input.zero_point;
  const std::uint32_t range = zero > 255 - zero ? zero : 255 - zero;
  gain = 255U * 65536U / (range * range);
  const float scaled = step_in * 128.0F;
  const float inside = !(scaled > 0.0F) ? 0.0F : scaled < 65535.0F ? scaled : 65535.0F;
  variance_gain = static_cast<std::uint32_t>(kernels::NearestCode(inside));
}

bool MomentsLayer::FindScratch() {
  PassContext* const context = work.context;
  const format::View& view = context->view;
  const MomentsScratch needed = ScratchOf(view, work.layer.record, work.layer);
  bool fits = true;
  if (context->panel != nullptr) {  // a region of its own
    auto* at = reinterpret_cast<std::uint8_t*>(context->panel);
    for (std::uint32_t i = 0; i < MomentsScratch::kPieces; ++i) {
      pieces[i] = at;
      at += context->scratch->bytes[i];
      fits = fits && needed.bytes[i] <= context->scratch->bytes[i];
    }
    return fits || FailParameters(work.layer, context);
  }
  for (std::uint32_t i = 0; i < MomentsScratch::kPieces; i += 2) {
    std::uint8_t* const memory = i == 0 ? context->activations : context->variances;
    const MomentsPlaces places =
        PlaceMoments(view, work.layer.index, needed.bytes[i], needed.bytes[i + 1]);
    pieces[i] = memory + places.first;
    pieces[i + 1] = memory + places.second;
    fits = fits && (places.first | places.second) % format::kAlignment == 0 &&
           places.end + sizeof(std::uint32_t) <= view.model.activation_bytes;
  }
  return fits || FailParameters(work.layer, context);
}

void MomentsLayer::FindSecondMoments(const std::uint8_t* of_means, const std::uint8_t* variances,
                                     std::size_t bytes, std::uint8_t* to) const {
  const kernels::SecondMomentsArgs args{.means = of_means,
                                        .variances = panels.uncertain ? variances : nullptr,
                                        .bytes = bytes,
                                        .zero_point = work.layer.input.zero_point,
                                        .gain = gain,
                                        .variance_gain = variance_gain,
                                        .output = to};
  work.context->kernels.moments->second_moments(args);
}

bool MomentsPanel::Set(const format::MuCursor& mu, MomentsLayer* layer) {
  WeightedLayer& work = layer->work;
  PassContext* const context = work.context;
  const kernels::MomentsKernels& kernels = *context->kernels.moments;
  std::int8_t* const of_means = reinterpret_cast<std::int8_t*>(layer->pieces[kSquaresPiece]);
  const std::uint32_t index = mu.panel();
  kernels::SampleArgs sample{};
  Shifts shifts;
  if (!SetPanel(work.parameters, work.layer.record, mu, &shifts, &sample)) {
    return FailParameters(work.layer, context);
  }
  SetChannels(index, &work);
  bias = sample.bias_mu;
  // As it lies in the file, unless there it is packed.
  means = reinterpret_cast<const std::int8_t*>(sample.mu);
  if (layer->panels.unpacked) {
    const std::uint64_t before = work.layer.logits ? work.parameters.panels.panel_offset(index) : 0;
    sample.weights = of_means + before;
    context->kernels.unpack_panel(sample);
    means = sample.weights;
  }
  if (layer->panels.uncertain && !work.layer.logits) {
    sample.weights = of_means + layer->panels.squares;
    kernels.square_means(sample);
    squares = sample.weights;
  }
  SpreadCodes codes;
  if (layer->panels.bayesian) {
    codes.Set(sample);
    sample.codebook = codes.codebook;
    sample.codebook_stride = kernels::kPanelWidth;
    sample.weights = reinterpret_cast<std::int8_t*>(layer->pieces[kSpreadPiece]);
    kernels.unpack_spread(sample);
    spread = sample.weights;
  }
  const float second_unit = 65536.0F / static_cast<float>(layer->gain);
  for (std::uint32_t c = 0; c < work.convolve.channels; ++c) {
    const float square = Bound(work.multiplier[c] * work.multiplier[c]);
    k_spread[c] = k_bias[c] = 0.0F;
    if (layer->panels.bayesian) {
      const float drawn = DrawnVariance(codes.top[c], sample.shift[c]);
      k_spread[c] = Bound(layer->factor * (square * ((drawn * kSpreadUnit) * second_unit)));
      const float level =
          static_cast<float>(sample.bias_level[c]) * TwoToMinus(sample.bias_shift[c]);
      k_bias[c] = Bound(layer->factor * (square * ((level * level) * kEpsilonVariance)));
    }
    k_input[c] = Bound(layer->factor * (square * (kernels::kMeanSquareUnit * layer->step_in)));
  }
  if (work.layer.logits) return true;
  clip.channels = work.convolve.channels;
  clip.multiplier = work.multiplier;
  clip.k_spread = k_spread;
  clip.k_input = k_input;
  clip.k_bias = k_bias;
  clip.zero_out = work.convolve.zero_out;
  clip.clamp_min = work.convolve.clamp_min;
  clip.clamp_max = work.convolve.clamp_max;
  clip.inverse_step = 1.0F / context->view.layer_moments(work.layer.index).step;
  clip.output_col_step = work.convolve.output_col_step;
  if (work.layer.has_residual()) {
    clip.residual_col_step = work.convolve.residual_col_step;
    clip.residual_factor = work.residual_factor;
    clip.residual_zero = work.convolve.residual_zero;
    clip.residual_shift = work.convolve.residual_shift;
    const float ratio = format::ScaleRatio(work.layer.input2, &work.layer.output);
    clip.k_residual =
        Bound(layer->factor * ((ratio * ratio) * StepOf(context->view, work.layer.record.input2)));
  }
  return true;
}

}  // namespace mu8
