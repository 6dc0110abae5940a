#include "converters/sigma_importance.h"

#include <algorithm>
#include <cmath>

#include "converters/calibration.h"
#include "converters/fp32_executor.h"

namespace mu8::convert {
namespace {

constexpr std::size_t kMostImages = 512;
constexpr double kLeastProbability = 1e-9;

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
  Fp32Executor executor(network, count_, false);
  SampledWeights weights;
  for (std::uint32_t pass = 0; pass < passes_; ++pass) {
    SampleGaussian(network, seed, pass, &weights);
    executor.SetWeights(weights);
    executor.Run(images_.data());
    const float* logits = executor.value(network.output);
    for (std::size_t image = 0; image < mean.size(); image += classes, logits += classes) {
      const double top = double{*std::max_element(logits, logits + classes)};
      double total = 0.0;
      for (std::size_t c = 0; c < classes; ++c) total += std::exp(double{logits[c]} - top);
      for (std::size_t c = 0; c < classes; ++c) {
        mean[image + c] += std::exp(double{logits[c]} - top) / total / passes_;
      }
    }
  }
  return mean;
}

}  // namespace mu8::convert
