// Predictions by moments: the last layer's logits with their covariance, and what follows from them
// (FORMAT.md 13.5, 13.6).
#include "engine/src/moments.h"
#include "engine/src/moments_panel.h"
#include "engine/src/tensor.h"
#include "engine/src/unit_probes.h"
#include "formats/noise.h"
#include "formats/real_math.h"
#include "kernels/row_numbers.h"

namespace mu8 {

float ProbeMomentsOutputs(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

using format::RoundUp;
using kernels::Bound;
using kernels::ConvolveArgs;
using kernels::kPanelWidth;
using kernels::Signed;

float Root(float x) { return x >= 0x1p-126F ? format::SqrtPositive(x) : 0.0F; }

// The last layer's memory, and where in the last piece its parts lie: accumulators first.
struct Places {
  std::uint64_t gains, covariance, row;
  MomentsScratch needed;

  Places(const format::View& view, const MomentsPanels& panels, const format::LayerRecord& record,
         const format::Operands& operands) {
    const std::uint64_t classes = record.output_channels;
    const std::uint64_t slots = format::MakePanelLayout(record).padded_channels;
    const std::uint64_t positions = std::uint64_t{operands.output.height} * operands.output.width;
    // f32 [slots][2]: k_spread and k_bias of each.
    gains = panels.bayesian ? positions * slots * sizeof(std::int32_t) : 0;
    covariance = gains + slots * 2 * sizeof(float);
    row = covariance + CovariancesOf(view) * sizeof(float);
    needed.bytes[kSquaresPiece] = panels.squares_end;
    needed.bytes[kSecondsPiece] = panels.bayesian ? operands.input.bytes : 0;
    needed.bytes[kSpreadPiece] = panels.spread_end;
    needed.bytes[kAccumulatorsPiece] =
        RoundUp(row + 3 * classes * sizeof(float), format::kAlignment);
  }
};

// The last layer over one image.
class Outputs {
 public:
  Outputs(MomentsLayer* layer, std::uint32_t image)
      : layer_(*layer),
        context_(*layer->work.context),
        file_(layer->work.layer),
        layout_(layer->work.parameters.panels),
        places_(context_.view, layer->panels, file_.record, file_),
        image_at_(static_cast<std::size_t>(image * context_.view.model.activation_bytes)),
        image_(image),
        classes_(file_.record.output_channels),
        positions_(std::size_t{file_.output.height} * file_.output.width),
        correlated_(HasCovariance(context_.view)),
        multipliers_(context_.view) {}

  // Accumulators of all positions, and what each slot's variances are multiplied with. False: the
  // layer cannot run.
  bool Accumulate() {
    if (layer_.panels.bayesian) {
      const std::size_t at = image_at_ + file_.input.offset;
      layer_.FindSecondMoments(context_.activations + at, context_.variances + at,
                               file_.input.bytes - format::kTensorTailBytes,
                               layer_.pieces[kSecondsPiece]);
    }
    format::MuCursor mu = layer_.work.parameters.FirstMu(file_.record);
    means_ = nullptr;
    for (; mu.panel() < layout_.panel_count(); mu.Next()) {
      MomentsPanel panel;
      if (!panel.Set(mu, &layer_)) return false;
      if (means_ == nullptr) means_ = panel.means;
      AccumulatePanel(mu.panel(), panel);
    }
    return true;
  }

  // Mean, covariance and what they give, position by position.
  void Predict(const Sums& sums, const Results& results, const KeptLogits& kept,
               std::uint32_t* clamped) {
    for (std::size_t p = 0; p < positions_; ++p) {
      FindCovariance(p);
      if (!kept.means.empty()) Keep(p, kept);
      if (correlated_) Factorize();
      switch (context_.view.head()) {
        case format::Head::kSoftmax:
        case format::Head::kSigmoid:
          AddRows(p, sums);
          break;
        case format::Head::kValues:
        case format::Head::kGaussian:
          SetValues(p, results, clamped);
          break;
        case format::Head::kReconstruction:  // refused by Session::Create
          break;
      }
    }
  }

 private:
  template <typename T>
  T* Scratch(std::uint64_t at) const {
    return reinterpret_cast<T*>(layer_.pieces[kAccumulatorsPiece] + at);
  }
  std::int32_t* Accumulators() const {
    return context_.accumulators + image_ * positions_ * layout_.padded_channels;
  }
  float* Covariance(std::size_t i, std::size_t j) const {
    return Scratch<float>(places_.covariance) + (correlated_ ? i * classes_ + j : i);
  }
  float* Gains(std::uint32_t slot) const { return Scratch<float>(places_.gains) + slot * 2; }

  void AccumulatePanel(std::uint32_t index, const MomentsPanel& panel) {
    SetImage(index, image_, &layer_.work);
    const std::uint32_t slot = layout_.slot(index);
    ConvolveArgs args = layer_.work.convolve;
    args.output_height = args.output_width = 1;
    args.weights = panel.means;
    args.bias = panel.bias;
    ForPositions(args, Accumulators() + slot);
    for (std::uint32_t c = 0; c < args.channels; ++c) {
      Gains(slot + c)[0] = panel.k_spread[c];
      Gains(slot + c)[1] = panel.k_bias[c];
    }
    if (!layer_.panels.bayesian) return;
    const std::uint8_t* const tensor = context_.activations + image_at_ + file_.input.offset;
    args.input = layer_.pieces[kSecondsPiece] + (args.input - tensor);
    args.zero_point = 0;
    args.weights = panel.spread;
    args.bias = kNoBias;
    ForPositions(args, Scratch<std::int32_t>(0) + slot);
  }

  void ForPositions(ConvolveArgs args, std::int32_t* to) const {
    const std::uint8_t* row = args.input;
    for (std::uint32_t y = 0; y < file_.output.height; ++y, row += args.input_row_step) {
      args.input = row;
      for (std::uint32_t x = 0; x < file_.output.width; ++x, to += layout_.padded_channels) {
        args.accumulators = to;
        layer_.convolve(args);
        args.input += args.input_col_step;
      }
    }
  }

  float Logit(std::size_t p, std::uint32_t c) const {
    const std::size_t at = p * layout_.padded_channels + format::SlotOf(layout_, c);
    return static_cast<float>(Accumulators()[at]) * multipliers_(c);
  }

  // Where the weights of a channel begin, and the window that it reads among the variances.
  const std::int8_t* Weights(std::uint32_t c) const {
    return means_ + format::WeightOffset(layout_, c, 0, 0);
  }
  const std::uint8_t* Window(std::size_t p, std::uint32_t c) const {
    const ConvolveArgs& args = layer_.work.convolve;
    const std::uint32_t group = c / (classes_ / file_.record.groups);
    const std::uint32_t channel =
        layer_.work.runs.depthwise ? c : group * (file_.input.channels / file_.record.groups);
    const auto y = Signed(p / file_.output.width), x = Signed(p % file_.output.width);
    return FirstPixel(context_.variances + image_at_, file_.input) + Signed(channel) -
           Signed(std::size_t{file_.record.pad_top} * file_.input.row_stride) -
           Signed(std::size_t{file_.record.pad_left} * file_.input.channels) +
           y * args.input_row_step + x * args.input_col_step;
  }

  // tap(its input's variance, where its weight lies behind the channel's first) for the taps of a
  // channel; of a run's padding weights are 0.
  template <typename Tap>
  void ForTaps(std::size_t p, std::uint32_t c, const Tap& tap) const {
    const ConvolveArgs& args = layer_.work.convolve;
    const std::uint8_t* const window = Window(p, c);
    const std::uint32_t run = layer_.work.runs.depthwise ? 1 : args.padded_run;
    const std::size_t step = Width(c) * 4;
    std::size_t k = 0;
    for (std::uint32_t outer = 0; outer < args.outer_runs; ++outer) {
      for (std::uint32_t inner = 0; inner < args.inner_runs; ++inner) {
        const std::uint8_t* const from =
            window + Signed(outer) * args.outer_step + Signed(inner) * args.inner_step;
        for (std::uint32_t i = 0; i < run; ++i, ++k) tap(from[i], k / 4 * step + k % 4);
      }
    }
  }

  // B of a channel with itself.
  std::int64_t Own(std::size_t p, std::uint32_t c) const {
    std::int64_t sum = 0;
    if (!layer_.panels.uncertain) return sum;
    const std::int8_t* const weights = Weights(c);
    ForTaps(p, c, [&](std::int32_t v, std::size_t at) { sum += v * weights[at] * weights[at]; });
    return sum;
  }

  // B of channel a with itself and those before it: those of its group, the others are 0.
  void FindCommon(std::size_t p, std::uint32_t a, std::int64_t* common) const {
    for (std::uint32_t b = 0; b <= a; ++b) common[b] = 0;
    if (!layer_.panels.uncertain) return;
    if (layer_.work.runs.depthwise) {
      common[a] = Own(p, a);
      return;
    }
    const std::int8_t* const weights = Weights(a);
    std::int16_t x[kernels::kMostWeightedTaps];
    std::uint32_t taps = 0, done = 0;
    const auto add = [&] {
      AddCommon(a, x, done, taps, common);
      done += taps;
      taps = 0;
    };
    ForTaps(p, a, [&](std::int32_t v, std::size_t at) {
      x[taps++] = static_cast<std::int16_t>(v * weights[at]);
      if (taps == kernels::kMostWeightedTaps) add();
    });
    if (taps > 0) add();
  }

  // Of `taps` taps from tap `done` on, multiples of 4.
  void AddCommon(std::uint32_t a, const std::int16_t* x, std::uint32_t done, std::uint32_t taps,
                 std::int64_t* common) const {
    for (std::uint32_t b = a - a % layout_.group_channels; b <= a; b += kPanelWidth) {
      std::int32_t sums[kPanelWidth];
      const auto width = static_cast<std::uint32_t>(Width(b));
      const kernels::WeightedSumsArgs args{.x = x,
                                           .taps = taps,
                                           .width = width,
                                           .weights = Weights(b) + std::size_t{done} * width,
                                           .sums = sums};
      if (const auto kernel = context_.kernels.moments->weighted_sums; kernel != nullptr) {
        kernel(args);
      } else {
        FindSums(args);
      }
      for (std::uint32_t i = 0; i < width && b + i <= a; ++i) common[b + i] += sums[i];
    }
  }

  static void FindSums(const kernels::WeightedSumsArgs& args) {
    for (std::uint32_t c = 0; c < args.width; ++c) {
      args.sums[c] = 0;
      for (std::uint32_t k = 0; k < args.taps; ++k) {
        args.sums[c] += args.x[k] * args.weights[(k / 4 * args.width + c) * 4 + k % 4];
      }
    }
  }

  std::size_t Width(std::uint32_t c) const {
    const std::uint32_t in_group = c % layout_.group_channels;
    return layout_.width(c / layout_.group_channels * layout_.panels_per_group +
                         in_group / kPanelWidth);
  }

  void FindCovariance(std::size_t p) {
    for (std::uint32_t a = 0; a < classes_; ++a) {
      std::int64_t common[kernels::kMostCorrelated];
      if (correlated_) FindCommon(p, a, common);
      const float m = multipliers_(a);
      for (std::uint32_t b = correlated_ ? 0 : a; b <= a; ++b) {
        const float gain = Bound(layer_.factor * ((m * multipliers_(b)) * layer_.step_in));
        float variance = static_cast<float>(correlated_ ? common[b] : Own(p, a)) * gain;
        if (a == b) {
          const std::uint32_t slot = format::SlotOf(layout_, a);
          const std::size_t at = p * layout_.padded_channels + slot;
          const std::int32_t spread = layer_.panels.bayesian ? Scratch<std::int32_t>(0)[at] : 0;
          variance = variance + (static_cast<float>(spread) * Gains(slot)[0] + Gains(slot)[1]);
        }
        *Covariance(a, b) = variance;
      }
    }
  }

  void Keep(std::size_t p, const KeptLogits& kept) const {
    for (std::uint32_t c = 0; c < classes_; ++c) kept.means[p * classes_ + c] = Logit(p, c);
    const std::size_t width = correlated_ ? classes_ : 1;
    float* const to = kept.covariance.data() + p * classes_ * width;
    for (std::uint32_t a = 0; a < classes_; ++a) {
      for (std::uint32_t b = 0; b < width; ++b) {
        to[a * width + b] = b > a ? *Covariance(b, a) : *Covariance(a, b);
      }
    }
  }

  // L of K = L L^T in its place. Bounds of K's gains can leave a K that is no covariance: below
  // kMostFactor every sum here and of AddRows stays finite.
  void Factorize() {
    constexpr float kMostFactor = 0x1p60F;
    for (std::uint32_t j = 0; j < classes_; ++j) {
      const float variance = *Covariance(j, j);
      float left = variance;
      for (std::uint32_t k = 0; k < j; ++k) left -= *Covariance(j, k) * *Covariance(j, k);
      const float root = left > variance * 0x1p-20F ? Root(left) : 0.0F;
      *Covariance(j, j) = root;
      for (std::uint32_t i = j + 1; i < classes_; ++i) {
        float sum = *Covariance(i, j);
        for (std::uint32_t k = 0; k < j; ++k) sum -= *Covariance(i, k) * *Covariance(j, k);
        const float factor = root == 0.0F ? 0.0F : sum / root;
        *Covariance(i, j) = factor > kMostFactor    ? kMostFactor
                            : factor < -kMostFactor ? -kMostFactor
                                                    : factor;
      }
    }
  }

  // The logits of one position, drawn.
  void AddRows(std::size_t p, const Sums& sums) {
    float* const means = Scratch<float>(places_.row);
    float* const x = means + classes_;
    float* const logits = x + classes_;
    for (std::uint32_t c = 0; c < classes_; ++c) means[c] = Logit(p, c);
    const std::size_t first = p * classes_;
    const bool softmax = context_.view.head() == format::Head::kSoftmax;
    const Sums here{
        .sum = sums.sum.subspan(first, classes_),
        .square = sums.square.subspan(first, classes_),
        .entropy = softmax ? sums.entropy.subspan(p, 1) : sums.entropy.subspan(first, classes_)};
    if (correlated_ && context_.kernels.moments->add_softmax_rows != nullptr) {
      return context_.kernels.moments->add_softmax_rows({.classes = classes_,
                                                         .means = means,
                                                         .factor = Covariance(0, 0),
                                                         .sum = here.sum.data(),
                                                         .square = here.square.data(),
                                                         .entropy = here.entropy.data()});
    }
    for (std::uint32_t row = 0; row < MomentsRows(classes_); ++row) {
      for (std::uint32_t c = 0; c < classes_; ++c) {
        x[c] = row % 2 == 0 ? kernels::RowNumber(classes_, row / 2, c) : -x[c];
      }
      for (std::uint32_t c = 0; c < classes_; ++c) {
        float sum = 0.0F;
        if (correlated_) {
          for (std::uint32_t k = 0; k <= c; ++k) sum += *Covariance(c, k) * x[k];
        } else {
          sum = Root(*Covariance(c, c)) * x[c];
        }
        logits[c] = means[c] + sum;
      }
      const std::span<const float> all(logits, classes_);
      softmax ? AddSoftmax(all, here, nullptr) : AddSigmoid(all, here, nullptr);
    }
  }

  void SetValues(std::size_t p, const Results& results, std::uint32_t* clamped) {
    const format::View& view = context_.view;
    const std::uint32_t channels = format::OutputChannels(view.model);
    for (std::uint32_t k = 0; k < channels; ++k) {
      results.mean[p * channels + k] = Logit(p, k);
      results.variance[p * channels + k] = *Covariance(k, k);
    }
    if (view.head() != format::Head::kGaussian) return;
    for (std::uint32_t k = 0; k < channels; ++k) {
      const format::NoiseScale scale(view.scale_form(), view.scale_bounds(k));
      const float r = Logit(p, channels + k);
      const float width = Root(*Covariance(channels + k, channels + k)) * kernels::kRootOfThree;
      results.noise_variance[p * channels + k] =
          ((scale.variance(r - width) + scale.variance(r + width)) + 4.0F * scale.variance(r)) *
          kernels::kSixth;
      if (scale.clamps(r)) ++*clamped;
    }
  }

  MomentsLayer& layer_;
  const PassContext& context_;
  const Layer& file_;
  const format::PanelLayout& layout_;
  const Places places_;
  std::size_t image_at_;
  std::uint32_t image_, classes_;
  std::size_t positions_;
  bool correlated_;
  OutputMultipliers multipliers_;
  const std::int8_t* means_ = nullptr;
};

}  // namespace

MomentsScratch OutputsScratch(const format::View& view, const MomentsPanels& panels,
                              const format::LayerRecord& record, const format::Operands& operands) {
  return Places(view, panels, record, operands).needed;
}

void RunMomentsOutputs(const Layer& layer, std::uint32_t image, const Sums& sums,
                       const Results& results, const KeptLogits& kept, std::uint32_t* clamped,
                       PassContext* context) {
  MomentsLayer work(layer, context);
  LayerCursor at{.layer = layer.index};
  if (context->failed || !Prepare(&at, &work.work) || !work.FindScratch()) return;
  Outputs outputs(&work, image);
  if (outputs.Accumulate()) outputs.Predict(sums, results, kept, clamped);
}

}  // namespace mu8
