#include "converters/judge/ensemble_judge.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "converters/calibrate/calibration.h"
#include "converters/fp32/executor.h"
#include "converters/host/aligned_buffer.h"
#include "converters/host/error.h"
#include "converters/host/probabilities.h"
#include "mu8/mu8.h"

namespace mu8::convert {
namespace {

using Expected = ExpectedOutputs;

constexpr std::size_t kMostImages = 512;
constexpr std::size_t kBatch = 16;  // activations stay in the caches

// Adds one pass's outputs: probabilities, or values and their squares.
void AddPass(Head head, std::span<const float> outputs, Expected* to) {
  const std::vector<double> p =
      head == Head::kSoftmax ? host::Softmax(outputs) : std::vector<double>();
  for (std::size_t c = 0; c < outputs.size(); ++c) {
    const auto output = static_cast<double>(outputs[c]);
    const double value = head == Head::kSoftmax   ? p[c]
                         : head == Head::kSigmoid ? host::Sigmoid(output)
                                                  : output;
    to->mean[c] += value;
    to->variance[c] += value * value;
  }
}

void Finish(std::uint32_t passes, Expected* of) {
  for (std::size_t c = 0; c < of->mean.size(); ++c) {
    of->mean[c] /= passes;
    of->variance[c] = std::max(of->variance[c] / passes - of->mean[c] * of->mean[c], 0.0);
  }
}

// What FP32 passes give, by image.
std::vector<Expected> PredictFp32(const Network& network, const host::Dataset& data,
                                  std::size_t count, std::uint64_t seed, std::uint32_t passes) {
  const std::size_t outputs = network.values[static_cast<std::size_t>(network.output)].size();
  const std::vector<float> images = Normalize(network, data, 0, count);
  const std::size_t input = images.size() / count;
  const std::vector<double> zeros(outputs, 0.0);
  std::vector<Expected> expected(count, Expected{zeros, zeros});
  const std::size_t batch = std::min(kBatch, count);
  Fp32Executor executor(network, static_cast<int>(batch), false);
  SampledWeights weights;
  for (std::uint32_t pass = 0; pass < passes; ++pass) {
    SampleGaussian(network, seed, pass, &weights);
    executor.SetWeights(weights);
    for (std::size_t first = 0; first < count; first += batch) {
      // The last batch reaches back, so that all have one size; only new images count.
      const std::size_t begin = std::min(first, count - batch);
      executor.Run(images.data() + begin * input);
      const float* row = executor.value(network.output);
      for (std::size_t image = first; image < begin + batch; ++image) {
        AddPass(network.head, {row + (image - begin) * outputs, outputs}, &expected[image]);
      }
    }
  }
  for (Expected& image : expected) Finish(passes, &image);
  return expected;
}

constexpr double kLeastSpread = 1e-8;  // of a value's mean square

// The spread of each value over images and passes, which its errors are measured in.
std::vector<double> PowerOf(const std::vector<Expected>& expected) {
  Expected total;
  const std::size_t outputs = expected[0].mean.size();
  total.mean.assign(outputs, 0.0), total.variance.assign(outputs, 0.0);
  double within = 0.0;
  std::vector<double> power(outputs, 0.0);
  for (std::size_t c = 0; c < outputs; ++c) {
    within = 0.0;
    for (const Expected& image : expected) {
      total.mean[c] += image.mean[c];
      total.variance[c] += image.mean[c] * image.mean[c];
      within += image.variance[c];
    }
    const auto count = static_cast<double>(expected.size());
    const double mean = total.mean[c] / count;
    const double spread = std::max(total.variance[c] / count - mean * mean, 0.0) + within / count;
    // An output that hardly varies would count for more than all others together.
    power[c] = std::max(spread, kLeastSpread * (mean * mean + spread));
  }
  return power;
}

// How far one image's prediction is from what was expected of it.
double Distance(Head head, const Expected& expected, const Prediction& found,
                const std::vector<double>& power) {
  double sum = 0.0;
  if (head == Head::kSoftmax) {
    host::AddDivergence(expected.mean, found.mean, &sum);
    return sum;
  }
  for (std::size_t c = 0; c < expected.mean.size(); ++c) {
    const auto mean = static_cast<double>(found.mean[c]);
    if (head == Head::kSigmoid) {
      sum += host::BernoulliDivergence(expected.mean[c], mean);
    } else if (power[c] > 0.0) {
      const double deviation = std::sqrt(static_cast<double>(found.variance[c]));
      const double of_mean = mean - expected.mean[c];
      const double of_deviation = deviation - std::sqrt(expected.variance[c]);
      sum += (of_mean * of_mean + of_deviation * of_deviation) / power[c];
    }
  }
  return sum;
}

void MustBeOk(Status status, const Diagnostic& diagnostic) {
  if (status == Status::kOk) return;
  char message[256];
  Explain(diagnostic, message);
  throw host::Error(std::string("the engine refuses the converted model: ") + message);
}

}  // namespace

EnsembleJudge::EnsembleJudge(const Network& network, const host::Dataset& data, std::uint64_t seed,
                             std::uint32_t passes)
    : data_(data),
      count_(std::min(data.count, kMostImages)),
      seed_(seed),
      passes_(passes),
      head_(network.head),
      reference_(PredictFp32(network, data, count_, seed, passes)),
      power_(PowerOf(reference_)) {}

Judgement EnsembleJudge::Judge(const std::vector<std::byte>& file) const {
  host::AlignedBuffer bytes(file.size());
  std::memcpy(bytes.data(), file.data(), file.size());
  Model model;
  Diagnostic diagnostic;
  if (Model::Open(bytes.span(), &model, &diagnostic) != Status::kOk) {
    return {std::numeric_limits<double>::max(), diagnostic};
  }
  const SessionOptions options{.mc_samples = passes_,
                               .seed = seed_,
                               .batch = static_cast<std::uint32_t>(std::min(kBatch, count_))};
  host::AlignedBuffer arena(ArenaBytes(model, options));
  Session session;
  MustBeOk(Session::Create(model, options, arena.span(), &session, &diagnostic), diagnostic);
  double sum = 0.0;
  for (std::size_t first = 0; first < count_; first += kBatch) {
    const std::size_t count = std::min(kBatch, count_ - first);
    const std::span images(data_.image(first), count * data_.image_bytes());
    MustBeOk(session.Run(images, count, &diagnostic), diagnostic);
    for (std::size_t image = 0; image < count; ++image) {
      sum += Distance(head_, reference_[first + image], session.Result(image), power_);
    }
  }
  return {sum / static_cast<double>(count_), {}};
}

}  // namespace mu8::convert
