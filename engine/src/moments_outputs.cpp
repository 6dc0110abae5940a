// Predictions by moments: the last layer's logits with their covariance, and what follows from them
// (FORMAT.md 13.5, 13.6).
#include "engine/src/moments.h"
#include "engine/src/moments_panel.h"
#include "engine/src/tensor.h"
#include "engine/src/unit_probes.h"
#include "formats/noise.h"
#include "formats/real_math.h"
#include "kernels/gaussian_table.h"

namespace mu8 {

float ProbeMomentsOutputs(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

using format::RoundUp;
using kernels::Bound;
using kernels::ConvolveArgs;
using kernels::kPanelWidth;
using kernels::Signed;

constexpr std::uint32_t kPairsAtOnce = 128;  // of rows, for a kernel
constexpr std::uint32_t kDrawsPass = 0x80000000U;

bool HasCovariance(const format::View& view) {
  return view.head() == format::Head::kSoftmax &&
         view.model.class_count <= kernels::kMostCorrelated;
}

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
    row = covariance + classes * (HasCovariance(view) ? classes : 1) * sizeof(float);
    needed.bytes[kSquaresPiece] = panels.squares_end;
    needed.bytes[kSecondsPiece] = panels.bayesian ? operands.input.bytes : 0;
    needed.bytes[kSpreadPiece] = panels.spread_end;
    needed.bytes[kAccumulatorsPiece] =
        RoundUp(row + 3 * classes * sizeof(float), format::kAlignment);
  }
};

// The random bytes of section 9, one after the other.
class RandomBytes {
 public:
  explicit RandomBytes(const kernels::StreamId& stream) {
    for (std::uint32_t lane = 0; lane < kernels::kLanes; ++lane) {
      lanes_[lane] = kernels::MakeLane(stream, lane);
    }
  }
  std::uint8_t Next() {
    if (at_ == kernels::kBlockBytes) Fill();
    return block_[at_++];
  }

 private:
  void Fill() {
    for (std::uint32_t lane = 0; lane < kernels::kLanes; ++lane) {
      const std::uint32_t four = lanes_[lane].Next();
      for (std::uint32_t j = 0; j < 4; ++j) {
        block_[lane * 4 + j] = static_cast<std::uint8_t>(four >> (8 * j));
      }
    }
    at_ = 0;
  }

  kernels::Xoshiro lanes_[kernels::kLanes];
  std::uint8_t block_[kernels::kBlockBytes];
  std::uint32_t at_ = kernels::kBlockBytes;
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
  void Predict(const Sums& sums, const Results& results, std::uint32_t* clamped) {
    for (std::size_t p = 0; p < positions_; ++p) {
      FindCovariance(p);
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

  // B of two channels: they read the same inputs, or have nothing in common.
  std::int64_t Common(std::size_t p, std::uint32_t a, std::uint32_t b) const {
    const std::uint8_t* const window = Window(p, a);
    if (!layer_.panels.uncertain || window != Window(p, b)) return 0;
    const ConvolveArgs& args = layer_.work.convolve;
    const std::int8_t *of_a = Weights(a), *of_b = Weights(b);
    const std::size_t step_a = Width(a) * 4, step_b = Width(b) * 4;
    std::int64_t sum = 0;
    if (layer_.work.runs.depthwise) {
      std::uint32_t tap = 0;
      for (std::uint32_t outer = 0; outer < args.outer_runs; ++outer) {
        for (std::uint32_t inner = 0; inner < args.inner_runs; ++inner, ++tap) {
          const std::int32_t w = of_a[tap / 4 * step_a + tap % 4];
          sum += window[Signed(outer) * args.outer_step + Signed(inner) * args.inner_step] * w * w;
        }
      }
      return sum;
    }
    for (std::uint32_t outer = 0; outer < args.outer_runs; ++outer) {
      for (std::uint32_t inner = 0; inner < args.inner_runs; ++inner) {
        const std::uint8_t* run =
            window + Signed(outer) * args.outer_step + Signed(inner) * args.inner_step;
        for (std::uint32_t k = 0; k < args.padded_run; k += 4, of_a += step_a, of_b += step_b) {
          const std::uint32_t left = file_.record.run_length - k;
          for (std::uint32_t j = 0; j < 4 && j < left; ++j) {
            sum += run[k + j] * of_a[j] * of_b[j];
          }
        }
      }
    }
    return sum;
  }
  std::size_t Width(std::uint32_t c) const {
    const std::uint32_t in_group = c % layout_.group_channels;
    return layout_.width(c / layout_.group_channels * layout_.panels_per_group +
                         in_group / kPanelWidth);
  }

  void FindCovariance(std::size_t p) {
    for (std::uint32_t a = 0; a < classes_; ++a) {
      const float m = multipliers_(a);
      for (std::uint32_t b = correlated_ ? 0 : a; b <= a; ++b) {
        const float gain = Bound(layer_.factor * ((m * multipliers_(b)) * layer_.step_in));
        float variance = static_cast<float>(Common(p, a, b)) * gain;
        if (a == b) {
          const std::uint32_t slot = format::SlotOf(layout_, a);
          const std::size_t at = p * layout_.padded_channels + slot;
          const std::int32_t spread = layer_.panels.bayesian ? Scratch<std::int32_t>(0)[at] : 0;
          variance = variance + (static_cast<float>(spread) * Gains(slot)[0] + Gains(slot)[1]);
        }
        *Covariance(a, b) = variance;
      }
    }
    if (correlated_) Factorize();
  }

  // L of K = L L^T in its place.
  void Factorize() {
    for (std::uint32_t j = 0; j < classes_; ++j) {
      const float variance = *Covariance(j, j);
      float left = variance;
      for (std::uint32_t k = 0; k < j; ++k) left -= *Covariance(j, k) * *Covariance(j, k);
      const float root = left > variance * 0x1p-20F ? Root(left) : 0.0F;
      *Covariance(j, j) = root;
      for (std::uint32_t i = j + 1; i < classes_; ++i) {
        float sum = *Covariance(i, j);
        for (std::uint32_t k = 0; k < j; ++k) sum -= *Covariance(i, k) * *Covariance(j, k);
        *Covariance(i, j) = root == 0.0F ? 0.0F : sum / root;
      }
    }
  }

  // The logits of one position, drawn.
  void AddRows(std::size_t p, const Sums& sums) {
    RandomBytes bytes({.seed = context_.stream.seed, .pass = kDrawsPass, .layer = file_.index});
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
      return AddRowsSideBySide(means, here);
    }
    for (std::uint32_t row = 0; row < kMomentsRows; ++row) {
      for (std::uint32_t c = 0; c < classes_; ++c) {
        if (row % 2 == 0) {
          x[c] = static_cast<float>(kernels::Epsilon(bytes.Next())) * kernels::kDrawUnit;
        } else {
          x[c] = -x[c];
        }
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

  // The same by a kernel: kMomentsRows rows in a few calls, each with its random bytes.
  void AddRowsSideBySide(const float* means, const Sums& here) {
    RandomBytes random({.seed = context_.stream.seed, .pass = kDrawsPass, .layer = file_.index});
    std::uint8_t bytes[kPairsAtOnce * kernels::kMostCorrelated];
    for (std::uint32_t pair = 0; pair < kMomentsRows / 2; pair += kPairsAtOnce) {
      for (std::uint32_t i = 0; i < kPairsAtOnce * classes_; ++i) bytes[i] = random.Next();
      context_.kernels.moments->add_softmax_rows({.classes = classes_,
                                                  .pairs = kPairsAtOnce,
                                                  .bytes = bytes,
                                                  .means = means,
                                                  .factor = Covariance(0, 0),
                                                  .sum = here.sum.data(),
                                                  .square = here.square.data(),
                                                  .entropy = here.entropy.data()});
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
                       const Results& results, std::uint32_t* clamped, PassContext* context) {
  MomentsLayer work(layer, context);
  LayerCursor at{.layer = layer.index};
  if (context->failed || !Prepare(&at, &work.work) || !work.FindScratch()) return;
  Outputs outputs(&work, image);
  if (outputs.Accumulate()) outputs.Predict(sums, results, clamped);
}

}  // namespace mu8
