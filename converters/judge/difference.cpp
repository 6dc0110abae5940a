#include "converters/judge/difference.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>

#include "converters/fp32/executor.h"
#include "converters/host/decibels.h"
#include "converters/host/error.h"
#include "converters/judge/engine_noise.h"
#include "converters/judge/engine_trace.h"
#include "converters/judge/expected_outputs.h"
#include "converters/judge/file_network.h"
#include "converters/network/input.h"
#include "converters/network/steps.h"

namespace mu8::convert {
namespace {

// One layer's activations over the passes of a batch, and the powers of all batches so far.
class LayerSums {
 public:
  void Start(std::size_t elements) {
    for (auto* sums : {&reference_, &reference_squares_, &engine_, &engine_squares_}) {
      sums->assign(elements, 0.0);
    }
  }
  void AddPass(std::span<const float> reference, std::span<const float> engine) {
    for (std::size_t i = 0; i < reference.size(); ++i) {
      const double r = static_cast<double>(reference[i]);
      const double e = static_cast<double>(engine[i]);
      reference_[i] += r;
      reference_squares_[i] += r * r;
      engine_[i] += e;
      engine_squares_[i] += e * e;
      signal_ += r * r;
      noise_ += (e - r) * (e - r);
    }
  }
  void AddStored(std::span<const std::uint8_t> stored, std::uint8_t zero_point) {
    for (const std::uint8_t q : stored) saturated_ += q == 255 || (q == 0 && zero_point > 0);
    stored_ += stored.size();
  }
  void Finish(std::uint32_t samples) {
    for (std::size_t i = 0; i < reference_.size(); ++i) {
      const double r = reference_[i] / samples;
      const double e = engine_[i] / samples;
      const double r_variance = std::max(0.0, reference_squares_[i] / samples - r * r);
      const double e_variance = std::max(0.0, engine_squares_[i] / samples - e * e);
      mean_signal_ += r * r;
      mean_noise_ += (e - r) * (e - r);
      variance_signal_ += r_variance * r_variance;
      variance_noise_ += (e_variance - r_variance) * (e_variance - r_variance);
      reference_variance_ += r_variance;
      engine_variance_ += e_variance;
    }
  }
  void Report(LayerDifference* layer) const {
    layer->sqnr = host::Decibels(signal_, noise_);
    layer->sqnr_of_mean = host::Decibels(mean_signal_, mean_noise_);
    layer->sqnr_of_variance = host::Decibels(variance_signal_, variance_noise_);
    layer->variance_kept = reference_variance_ > 0 ? engine_variance_ / reference_variance_ : 1.0;
    layer->saturation =
        stored_ == 0 ? 0.0 : static_cast<double>(saturated_) / static_cast<double>(stored_);
  }

 private:
  std::vector<double> reference_, reference_squares_, engine_, engine_squares_;  // over passes
  double signal_ = 0, noise_ = 0, mean_signal_ = 0, mean_noise_ = 0;
  double variance_signal_ = 0, variance_noise_ = 0, reference_variance_ = 0, engine_variance_ = 0;
  std::size_t saturated_ = 0, stored_ = 0;
};

// The engine's copy of one value, as its tensor stores it.
void RoundTo(const format::TensorRecord& tensor, const format::LayerRecord& layer,
             std::span<float> values) {
  for (float& x : values) {
    const float q = std::nearbyint(x / tensor.scale) + static_cast<float>(tensor.zero_point);
    const float stored =
        std::clamp(q, static_cast<float>(layer.clamp_min), static_cast<float>(layer.clamp_max));
    x = (stored - static_cast<float>(tensor.zero_point)) * tensor.scale;
  }
}

class Comparer {
 public:
  Comparer(const host::ModelFile& file, const Network& network, const host::Dataset& data,
           const DifferenceOptions& options)
      : network_(network),
        data_(data),
        options_(options),
        steps_(MakeSteps(network)),
        batch_(static_cast<std::uint32_t>(std::min<std::size_t>(options.batch, data.count))),
        trace_(file, batch_, options.seed, *kernels::SelectKernels(kernels::DetectFeatures())),
        executor_(network, static_cast<int>(batch_)),
        outputs_(ValueAt(network.output).size()),
        sums_(steps_.size()),
        reference_(network, data.count),
        engine_(reference_),
        with_input_(reference_),
        with_weights_(steps_.size(), reference_),
        with_values_(steps_.size(), reference_) {
    CheckLayers(file.path, trace_.view(), network_, steps_);
  }

  Difference Run(const host::Progress& progress) {
    for (std::size_t first = 0; first < data_.count; first += batch_) {
      images_ = std::min<std::size_t>(batch_, data_.count - first);
      RunBatch(first);
      if (progress) {
        progress("comparing",
                 static_cast<double>(first + batch_) / static_cast<double>(data_.count));
      }
    }
    return Report();
  }

 private:
  const Value& ValueAt(int value) const { return network_.values[static_cast<std::size_t>(value)]; }
  bool IsLogits(std::size_t step) const { return step + 1 == steps_.size(); }

  // Images [first, first + images_); the executor's batch is filled up with zeros.
  void RunBatch(std::size_t first) {
    std::vector<float> input = Normalize(network_, data_, first, images_);
    input.resize(batch_ * ValueAt(network_.input).size());
    trace_.Load(data_, first, static_cast<std::uint32_t>(images_));
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      sums_[i].Start(images_ * ValueAt(steps_[i].output).size());
    }
    for (std::uint32_t pass = 0; pass < options_.samples; ++pass) {
      SampledWeights weights;
      SampleEngineNoise(network_, steps_, options_.seed, pass, &weights);
      RunBoth(first, pass, input, weights);
      RunVariants(first, pass, input, &weights);
    }
    for (LayerSums& sums : sums_) sums.Finish(options_.samples);
  }

  std::span<const float> Values(int value) const {
    return {executor_.value(value), images_ * ValueAt(value).size()};
  }

  void Add(std::size_t first, std::span<const float> raw, OutputSums* sums) const {
    for (std::size_t i = 0; i < images_; ++i) {
      sums->Add(first + i, raw.subspan(i * outputs_, outputs_));
    }
  }

  void RunBoth(std::size_t first, std::uint32_t pass, const std::vector<float>& input,
               const SampledWeights& weights) {
    executor_.SetWeights(weights);
    executor_.Run(input.data());
    trace_.RunPass(pass);
    for (std::uint32_t i = 0; i < steps_.size(); ++i) {
      sums_[i].AddPass(Values(steps_[i].output), trace_.Real(i + 1));
      if (IsLogits(i)) continue;
      sums_[i].AddStored(trace_.Stored(i + 1), trace_.view().tensor(i + 1).zero_point);
    }
    Add(first, Values(network_.output), &reference_);
    Add(first, trace_.Real(static_cast<std::uint32_t>(steps_.size())), &engine_);
  }

  // FP32 with one thing quantized at a time.
  void RunVariants(std::size_t first, std::uint32_t pass, const std::vector<float>& input,
                   SampledWeights* weights) {
    std::vector<float> stored_input = trace_.Real(0);
    stored_input.resize(input.size());
    executor_.Run(stored_input.data());
    Add(first, Values(network_.output), &with_input_);
    for (std::uint32_t i = 0; i + 1 < steps_.size(); ++i) {
      const int rounded = steps_[i].output;
      const std::size_t size = ValueAt(rounded).size();
      executor_.Run(input.data(), [&](int value, float* x, std::size_t images) {
        if (value != rounded) return;
        RoundTo(trace_.view().tensor(i + 1), trace_.view().layer(i), {x, images * size});
      });
      Add(first, Values(network_.output), &with_values_[i]);
    }
    for (std::uint32_t i = 0; i < steps_.size(); ++i) {
      const auto node = static_cast<std::size_t>(steps_[i].node);
      if (network_.nodes[node].weights.mu.empty()) continue;
      RealWeights drawn = trace_.Draw(i, pass);
      std::swap(drawn.weights, weights->weights[node]);
      std::swap(drawn.biases, weights->biases[node]);
      executor_.SetWeights(*weights);
      executor_.Run(input.data());
      Add(first, Values(network_.output), &with_weights_[i]);
      std::swap(drawn.weights, weights->weights[node]);
      std::swap(drawn.biases, weights->biases[node]);
    }
  }

  Difference Report() const {
    const std::uint32_t samples = options_.samples;
    const std::vector<ExpectedOutputs> reference = reference_.Finish(samples);
    const std::vector<double> spread = SpreadOf(network_.head, reference);
    const auto divergence = [&](const OutputSums& other) {
      const std::vector<ExpectedOutputs> found = other.Finish(samples);
      double sum = 0.0;
      for (std::size_t i = 0; i < found.size(); ++i) {
        sum += Distance(network_.head, reference[i], found[i], spread);
      }
      return sum / static_cast<double>(found.size());
    };
    Difference difference;
    difference.head = network_.head;
    difference.images = data_.count;
    difference.divergence = divergence(engine_);
    difference.divergence_of_input = divergence(with_input_);
    difference.agreement = Agreement(network_.head, reference, engine_.Finish(samples));
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const Node& node = network_.nodes[static_cast<std::size_t>(steps_[i].node)];
      LayerDifference layer;
      layer.name = node.name;
      layer.op = Describe(network_, steps_[i]);
      sums_[i].Report(&layer);
      if (!node.weights.mu.empty()) layer.divergence_of_weights = divergence(with_weights_[i]);
      if (!IsLogits(i)) layer.divergence_of_activations = divergence(with_values_[i]);
      difference.layers.push_back(std::move(layer));
    }
    return difference;
  }

  const Network& network_;
  const host::Dataset& data_;
  const DifferenceOptions& options_;
  std::vector<Step> steps_;
  std::uint32_t batch_;
  std::size_t images_ = 0;  // of the batch at hand
  EngineTrace trace_;
  Fp32Executor executor_;
  std::size_t outputs_;
  std::vector<LayerSums> sums_;
  OutputSums reference_, engine_, with_input_;
  std::vector<OutputSums> with_weights_, with_values_;
};

}  // namespace

Difference Compare(const host::ModelFile& file, Network network, const host::Dataset& data,
                   const DifferenceOptions& options, const host::Progress& progress) {
  PrepareLikeFile(&network);
  const format::View view = format::Reopen(file.bytes.span());
  ScaleInput(FileInputScales(view, network), &network);
  EqualizeLikeFile(view, &network);
  return Comparer(file, network, data, options).Run(progress);
}

}  // namespace mu8::convert
