#include "converters/judge/fidelity.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "converters/fp32/executor.h"
#include "converters/host/decibels.h"
#include "converters/judge/engine_noise.h"
#include "converters/judge/engine_trace.h"
#include "converters/judge/expected_outputs.h"
#include "converters/network/input.h"

namespace mu8::convert {
namespace {

constexpr std::size_t kBatch = 16;
constexpr std::size_t kMostStored = std::size_t{1} << 26;   // activations of a batch
constexpr std::size_t kMostOutputs = std::size_t{1} << 18;  // of all inputs: each pass's are kept

// What one layer's channels give, and how far the engine is from it.
class LayerPower {
 public:
  explicit LayerPower(std::size_t channels)
      : sum_(channels, 0.0), square_(channels, 0.0), error_(channels, 0.0) {}

  void Add(std::span<const float> reference, std::span<const float> engine) {
    const std::size_t channels = sum_.size();
    for (std::size_t i = 0; i < reference.size(); i += channels, ++count_) {
      for (std::size_t c = 0; c < channels; ++c) {
        const double r = static_cast<double>(reference[i + c]);
        const double e = static_cast<double>(engine[i + c]) - r;
        sum_[c] += r;
        square_[c] += r * r;
        error_[c] += e * e;
      }
    }
  }

  LayerFidelity Report() const {
    LayerFidelity layer;
    double signal = 0.0, noise = 0.0;
    std::vector<double> drowned;  // deviations
    for (std::size_t c = 0; c < sum_.size(); ++c) {
      const auto count = static_cast<double>(count_);
      const double mean = sum_[c] / count, power = square_[c] / count;
      const double variance = power - mean * mean;
      noise += error_[c] / count;
      layer.mean += mean * mean / static_cast<double>(sum_.size());
      if (!(variance > kRounding * power)) continue;
      signal += variance;
      ++layer.channels;
      layer.largest = std::max(layer.largest, std::sqrt(variance));
      if (error_[c] / count > variance) drowned.push_back(std::sqrt(variance));
    }
    layer.mean = std::sqrt(layer.mean);
    layer.constant = layer.channels == 0;
    if (layer.constant) return layer;
    layer.sqnr = host::Decibels(signal, noise);
    layer.drowned = drowned.size();
    std::ranges::sort(drowned);
    if (!drowned.empty()) layer.small = drowned[drowned.size() / 2];
    return layer;
  }

 private:
  static constexpr double kRounding = 1e-10;  // of the power: what float32 makes of a constant
  std::vector<double> sum_, square_, error_;  // by channel
  std::size_t count_ = 0;
};

// The outputs of all passes.
class Ensemble {
 public:
  Ensemble(const Network& network, std::size_t inputs, std::uint32_t passes)
      : reader_(network),
        sums_(network, inputs),
        inputs_(inputs),
        values_(passes),
        entropies_(passes, 0.0),
        input_entropies_(inputs, 0.0) {}

  // In each pass the inputs in their order.
  void Add(std::uint32_t pass, std::size_t input, std::span<const float> raw) {
    const std::vector<double> found = sums_.Add(input, raw).value;
    for (const double value : found) values_[pass].push_back(static_cast<float>(value));
    for (const double entropy : reader_.Entropies(found)) {
      entropies_[pass] += entropy;
      input_entropies_[input] += entropy;
    }
  }
  std::vector<ExpectedOutputs> Finish() const {
    return sums_.Finish(static_cast<std::uint32_t>(values_.size()));
  }

  static constexpr std::size_t kAll = static_cast<std::size_t>(-1);
  // Of all passes, or all but one. Of numbers the mutual information is the sum of all outputs'
  // variances over the passes, each in units of its spread.
  MeanUncertainty Uncertainty(const std::vector<double>& spread, std::size_t without = kAll) const {
    const auto count = static_cast<double>(values_.size() - (without == kAll ? 0 : 1));
    MeanUncertainty sum;
    std::size_t rows = 0;
    double pass_entropy = 0.0;
    for (std::size_t p = 0; p < values_.size(); ++p) {
      if (p != without) pass_entropy += entropies_[p] / count;
    }
    for (std::size_t input = 0; input < inputs_; ++input) {
      const OfInput of = Look(input, spread, without);
      sum.mutual_information += of.variance;
      for (const double entropy : reader_.Entropies(of.mean)) sum.entropy += entropy, ++rows;
    }
    if (rows == 0) return sum;  // numbers
    const double mutual = std::max(sum.entropy - pass_entropy, 0.0);
    return {sum.entropy / static_cast<double>(rows), mutual / static_cast<double>(rows)};
  }

  // Input by input what Uncertainty's mutual information is the mean, or sum, of.
  std::vector<double> MutualInformation(const std::vector<double>& spread) const {
    std::vector<double> found;
    for (std::size_t input = 0; input < inputs_; ++input) {
      const OfInput of = Look(input, spread, kAll);
      const std::vector<double> entropies = reader_.Entropies(of.mean);
      const double entropy = std::accumulate(entropies.begin(), entropies.end(), 0.0);
      found.push_back(entropies.empty() ? of.variance
                                        : entropy - input_entropies_[input] /
                                                        static_cast<double>(values_.size()));
    }
    return found;
  }

 private:
  struct OfInput {
    std::vector<double> mean;
    double variance = 0.0;  // over the passes: the sum of the outputs', in units of their spread
  };
  OfInput Look(std::size_t input, const std::vector<double>& spread, std::size_t without) const {
    const std::size_t outputs = reader_.outputs();
    const auto count = static_cast<double>(values_.size() - (without == kAll ? 0 : 1));
    OfInput of{.mean = std::vector<double>(outputs)};
    for (std::size_t c = 0; c < outputs; ++c) {
      double first = 0.0, square = 0.0;
      for (std::size_t p = 0; p < values_.size(); ++p) {
        if (p == without) continue;
        const auto value = static_cast<double>(values_[p][input * outputs + c]);
        first += value;
        square += value * value;
      }
      of.mean[c] = first / count;
      if (spread[c] > 0.0) {
        of.variance += std::max(square / count - of.mean[c] * of.mean[c], 0.0) / spread[c];
      }
    }
    return of;
  }

  OutputReader reader_;
  OutputSums sums_;
  std::size_t inputs_;
  std::vector<std::vector<float>> values_;  // by pass: inputs x outputs
  std::vector<double> entropies_;           // by pass: summed over inputs and positions
  std::vector<double> input_entropies_;     // by input: summed over passes and positions
};

double MeanDistance(Head head, const std::vector<ExpectedOutputs>& expected,
                    const std::vector<ExpectedOutputs>& found) {
  const std::vector<double> spread = SpreadOf(head, expected);
  double sum = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    sum += Distance(head, expected[i], found[i], spread);
  }
  return sum / static_cast<double>(expected.size());
}

// What somebody would say of every input who has seen none.
std::vector<ExpectedOutputs> Averages(const std::vector<ExpectedOutputs>& expected) {
  ExpectedOutputs mean = expected.front();
  const auto average = [&](std::vector<double> ExpectedOutputs::*of) {
    for (std::size_t c = 0; c < (mean.*of).size(); ++c) {
      double sum = 0.0;
      for (const ExpectedOutputs& input : expected) sum += (input.*of)[c];
      (mean.*of)[c] = sum / static_cast<double>(expected.size());
    }
  };
  average(&ExpectedOutputs::mean);
  average(&ExpectedOutputs::variance);
  average(&ExpectedOutputs::noise);
  return std::vector<ExpectedOutputs>(expected.size(), mean);
}

class Measurement {
 public:
  Measurement(const Network& network, const std::vector<Step>& steps, const host::Dataset& data,
              const std::vector<std::byte>& file, const FidelityOptions& options)
      : network_(network),
        steps_(steps),
        data_(data),
        seed_(options.seed),
        batch_(std::min(BatchOf(network), data.count)),
        batches_(std::min(MostInputs(network, options), data.count) / batch_),
        passes_(IsBayesian() ? options.passes : 1),
        trace_(host::OpenBytes("the converted model", file), static_cast<std::uint32_t>(batch_),
               options.seed, *kernels::SelectKernels(kernels::DetectFeatures())),
        executor_(network, static_cast<int>(batch_), false),
        step_of_(network.values.size(), steps.size()),
        fp32_(network, inputs(), passes_),
        engine_(network, inputs(), passes_) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      step_of_[static_cast<std::size_t>(steps[i].output)] = i;
      layers_.emplace_back(static_cast<std::size_t>(ValueAt(steps[i].output).channels));
    }
  }

  Fidelity Run(const host::Progress& progress) {
    for (std::size_t batch = 0; batch < batches_; ++batch) {
      RunBatch(batch);
      if (progress) {
        progress("judge", static_cast<double>(batch + 1) / static_cast<double>(batches_));
      }
    }
    Fidelity fidelity = Report();
    if (passes_ > 1) SetRatio(&fidelity);
    return fidelity;
  }

 private:
  const Value& ValueAt(int value) const { return network_.values[static_cast<std::size_t>(value)]; }
  bool IsBayesian() const {
    return std::ranges::any_of(network_.nodes, [](const Node& node) {
      return !node.weights.sigma.empty() || !node.bias.sigma.empty();
    });
  }
  std::size_t inputs() const { return batches_ * batch_; }
  static std::size_t MostInputs(const Network& network, const FidelityOptions& options) {
    return std::clamp(kMostOutputs / OutputCount(network), kBatch,
                      std::max(options.inputs, kBatch));
  }

  static std::size_t BatchOf(const Network& network) {
    std::size_t stored = 1;
    for (const Value& value : network.values) stored += value.size();
    return std::clamp<std::size_t>(kMostStored / stored, 1, kBatch);
  }

  // What comes before the first sigma runs once.
  void RunBatch(std::size_t batch) {
    // Spread over the data: they may be sorted by class.
    const std::size_t first = batches_ == 1 ? 0 : batch * (data_.count - batch_) / (batches_ - 1);
    trace_.Load(data_, first, static_cast<std::uint32_t>(batch_));
    std::vector<float> features(batch_ * executor_.feature_size());
    const auto compare = [&](int value, const float* x, std::size_t images) {
      const std::size_t step = step_of_[static_cast<std::size_t>(value)];
      if (step == steps_.size()) return;
      layers_[step].Add({x, images * ValueAt(value).size()},
                        trace_.Real(static_cast<std::uint32_t>(step) + 1));
    };
    const std::size_t outputs = ValueAt(network_.output).size();
    SampledWeights weights;
    for (std::uint32_t pass = 0; pass < passes_; ++pass) {
      SampleEngineNoise(network_, steps_, seed_, pass, &weights);
      executor_.SetWeights(weights);
      trace_.RunPass(pass);
      if (pass == 0) {
        executor_.RunAndKeep(Normalize(network_, data_, first, batch_).data(), features.data(),
                             compare);
      } else {
        executor_.RunFrom(features.data(), compare);
      }
      const std::vector<float> logits = trace_.Real(static_cast<std::uint32_t>(steps_.size()));
      for (std::size_t i = 0; i < batch_; ++i) {
        const std::size_t input = batch * batch_ + i;
        fp32_.Add(pass, input, {executor_.value(network_.output) + i * outputs, outputs});
        engine_.Add(pass, input, {logits.data() + i * outputs, outputs});
      }
    }
  }

  Fidelity Report() const {
    const std::vector<ExpectedOutputs> expected = fp32_.Finish();
    const std::vector<ExpectedOutputs> found = engine_.Finish();
    Fidelity fidelity;
    fidelity.inputs = inputs();
    fidelity.passes = passes_;
    fidelity.head = network_.head;
    fidelity.divergence = MeanDistance(network_.head, expected, found);
    fidelity.information = MeanDistance(network_.head, expected, Averages(expected));
    if (fidelity.has_decisions()) {
      fidelity.agreement = Agreement(network_.head, expected, found);
      fidelity.fp32 = fp32_.Uncertainty(SpreadOf(network_.head, expected));
      fidelity.file = engine_.Uncertainty(SpreadOf(network_.head, expected));
    }
    for (std::uint32_t i = 0; i < steps_.size(); ++i) {
      fidelity.layers.push_back(layers_[i].Report());
      if (i + 1 == steps_.size()) continue;  // the logits are no tensor
      fidelity.layers.back().step = static_cast<double>(trace_.view().tensor(i + 1).scale);
    }
    return fidelity;
  }

  // Other draws would give another ratio, and so would other inputs: where most are certain, it is
  // that of a few. The former's standard error by leaving out one pass after the other (the
  // jackknife; Efron 1982), the latter's that of a ratio of sums (Cochran 1977, 6.3).
  void SetRatio(Fidelity* fidelity) const {
    const std::vector<double> spread = SpreadOf(network_.head, fp32_.Finish());
    const auto ratio = [&](std::size_t without) {
      return engine_.Uncertainty(spread, without).mutual_information /
             fp32_.Uncertainty(spread, without).mutual_information;
    };
    fidelity->epistemic_ratio = ratio(Ensemble::kAll);
    double sum = 0.0, square = 0.0;
    for (std::uint32_t pass = 0; pass < passes_; ++pass) {
      const double left = ratio(pass);
      sum += left;
      square += left * left;
    }
    const double mean = sum / passes_;
    const double of_passes =
        std::max(square - passes_ * mean * mean, 0.0) * (passes_ - 1.0) / passes_;
    const std::vector<double> fp32 = fp32_.MutualInformation(spread),
                              file = engine_.MutualInformation(spread);
    const double total = std::accumulate(fp32.begin(), fp32.end(), 0.0);
    double of_inputs = 0.0;
    for (std::size_t input = 0; input < fp32.size(); ++input) {
      of_inputs += std::pow((file[input] - fidelity->epistemic_ratio * fp32[input]) / total, 2);
    }
    fidelity->epistemic_error = std::sqrt(of_passes + of_inputs);
    fidelity->epistemic = total / static_cast<double>(fp32.size());
  }

  const Network& network_;
  const std::vector<Step>& steps_;
  const host::Dataset& data_;
  std::uint64_t seed_;
  std::size_t batch_, batches_;
  std::uint32_t passes_;
  EngineTrace trace_;
  Fp32Executor executor_;
  std::vector<std::size_t> step_of_;  // by value: the step that stores it, or how many there are
  std::vector<LayerPower> layers_;
  Ensemble fp32_, engine_;
};

}  // namespace

Fidelity MeasureFidelity(const Network& network, const std::vector<Step>& steps,
                         const host::Dataset& data, const std::vector<std::byte>& file,
                         const FidelityOptions& options, const host::Progress& progress) {
  return Measurement(network, steps, data, file, options).Run(progress);
}

}  // namespace mu8::convert
