#include "converters/sigma_importance.h"

#include <algorithm>
#include <cmath>

#include "converters/calibration.h"
#include "converters/fp32_executor.h"

namespace mu8::convert {
namespace {

constexpr std::size_t kMostImages = 512;
constexpr int kBatch = 16;  // activations stay in the caches
constexpr double kLeastProbability = 1e-9;

// mean += softmax(logits) / passes
void AddSoftmax(const float* logits, std::size_t classes, std::uint32_t passes, double* mean) {
  const double top = double{*std::max_element(logits, logits + classes)};
  double total = 0.0;
  for (std::size_t c = 0; c < classes; ++c) total += std::exp(double{logits[c]} - top);
  for (std::size_t c = 0; c < classes; ++c) {
    mean[c] += std::exp(double{logits[c]} - top) / total / passes;
  }
}

}  // namespace

SigmaJudge::SigmaJudge(const Network& network, const Dataset& data, std::uint64_t seed,
                       std::uint32_t passes)
    : network_(network),
      images_(Normalize(network, data, 0, std::min(data.count, kMostImages))),
      count_(static_cast<int>(std::min(data.count, kMostImages))),
      seed_(seed),
      passes_(passes),
      reference_(Predict(network, seed)) {}

double SigmaJudge::Divergence(const std::vector<GaussianTensor>& weights,
                              const std::vector<GaussianTensor>& biases) const {
  Network produced = network_;
  for (std::size_t i = 0; i < produced.nodes.size(); ++i) {
    if (weights[i].mu.empty()) continue;
    produced.nodes[i].weights = weights[i];
    produced.nodes[i].bias = biases[i];
  }
  const std::vector<double> found = Predict(produced, seed_ + 1);
  double sum = 0.0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double p = std::max(reference_[i], kLeastProbability);
    sum += p * std::log(p / std::max(found[i], kLeastProbability));
  }
  return sum / count_;
}

// Mean softmax over the passes, images x classes.
std::vector<double> SigmaJudge::Predict(const Network& network, std::uint64_t seed) const {
  const std::size_t classes = network.values[static_cast<std::size_t>(network.output)].size();
  std::vector<double> mean(static_cast<std::size_t>(count_) * classes, 0.0);
  const std::size_t input = images_.size() / static_cast<std::size_t>(count_);
  const int batch = std::min(kBatch, count_);
  Fp32Executor executor(network, batch, false);
  SampledWeights weights;
  for (std::uint32_t pass = 0; pass < passes_; ++pass) {
    SampleGaussian(network, seed, pass, &weights);
    executor.SetWeights(weights);
    for (int first = 0; first < count_; first += batch) {
      // The last batch reaches back, so that all have one size; only new images count.
      const int begin = std::min(first, count_ - batch);
      executor.Run(images_.data() + static_cast<std::size_t>(begin) * input);
      const float* logits = executor.value(network.output);
      for (int image = first; image < begin + batch; ++image) {
        AddSoftmax(logits + static_cast<std::size_t>(image - begin) * classes, classes, passes_,
                   mean.data() + static_cast<std::size_t>(image) * classes);
      }
    }
  }
  return mean;
}

}  // namespace mu8::convert
