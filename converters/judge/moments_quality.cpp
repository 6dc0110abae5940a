#include "converters/judge/moments_quality.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "converters/judge/ensemble_quantized.h"
#include "converters/judge/expected_outputs.h"
#include "converters/judge/sampled_variance.h"

namespace mu8::convert {
namespace {

constexpr std::uint64_t kMostBatch = 16;  // more are not faster

std::vector<ExpectedOutputs> ByImage(const EnsembleResult& result) {
  std::vector<ExpectedOutputs> images(result.images());
  for (std::size_t i = 0; i < result.mean.size(); ++i) {
    ExpectedOutputs& image = images[i / result.classes];
    image.mean.push_back(static_cast<double>(result.mean[i]));
    image.variance.push_back(static_cast<double>(result.variance[i]));
    if (result.head == Head::kGaussian) {
      image.noise.push_back(static_cast<double>(result.noise[i]));
    }
  }
  return images;
}

double MeanDistance(const EnsembleResult& expected, const EnsembleResult& found) {
  const std::vector<ExpectedOutputs> from = ByImage(expected), to = ByImage(found);
  const std::vector<double> spread = SpreadOf(expected.head, from);
  double sum = 0.0;
  for (std::size_t i = 0; i < from.size(); ++i) {
    sum += Distance(expected.head, from[i], to[i], spread);
  }
  return sum / static_cast<double>(from.size());
}

double MeanOf(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double Correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const double mean_a = MeanOf(a), mean_b = MeanOf(b);
  double ab = 0.0, aa = 0.0, bb = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return aa > 0.0 && bb > 0.0 ? ab / std::sqrt(aa * bb) : 0.0;
}

// Of a ratio of two means over the same images, to first order; `mean` is what it is to. Images of
// a group have the same passes.
double RatioError(const std::vector<double>& expected, const std::vector<double>& found,
                  double ratio, double mean, std::size_t group) {
  if (!(mean > 0.0)) return 0.0;
  const double scale = mean / MeanOf(expected);
  double sum = 0.0;
  for (std::size_t first = 0; first < found.size(); first += group) {
    double off = 0.0;
    for (std::size_t i = first; i < std::min(first + group, found.size()); ++i) {
      off += found[i] - ratio * scale * expected[i];
    }
    sum += off * off;
  }
  return std::sqrt(sum) / (static_cast<double>(found.size()) * mean);
}

template <typename T>
void Append(const std::vector<T>& from, std::vector<T>* to) {
  to->insert(to->end(), from.begin(), from.end());
}

}  // namespace

double AllOfPasses(std::uint32_t passes) {
  return static_cast<double>(passes) / static_cast<double>(passes - 1);
}

std::vector<double> Epistemic(const EnsembleResult& result, const EnsembleResult& unit) {
  if (!result.has_numbers()) return result.Column(&Uncertainty::mutual_information);
  std::vector<double> mean(result.classes, 0.0);
  for (std::size_t i = 0; i < unit.variance.size(); ++i) {
    mean[i % unit.classes] +=
        static_cast<double>(unit.variance[i]) / static_cast<double>(unit.images());
  }
  std::vector<double> sums(result.images(), 0.0);
  for (std::size_t i = 0; i < result.variance.size(); ++i) {
    const double of = mean[i % result.classes];
    if (!(of > 0.0)) continue;
    sums[i / result.classes] += static_cast<double>(result.variance[i]) / of;
  }
  for (double& sum : sums) sum /= static_cast<double>(result.classes);
  return sums;
}

host::Dataset Choose(const host::Dataset& data, const std::vector<std::size_t>& chosen) {
  host::Dataset images{.height = data.height,
                       .width = data.width,
                       .channels = data.channels,
                       .count = chosen.size()};
  for (const std::size_t i : chosen) {
    if (data.is_numbers()) {
      const auto values = data.Values(i, 1);
      images.values.insert(images.values.end(), values.begin(), values.end());
    } else {
      const auto pixels = data.Pixels(i, 1);
      images.pixels.insert(images.pixels.end(), pixels.begin(), pixels.end());
    }
  }
  return images;
}

EnsembleResult SampleInGroups(const host::ModelFile& file, const host::Dataset& data,
                              std::uint32_t passes, std::uint64_t seed, std::uint32_t batch,
                              const host::Progress& progress) {
  EnsembleResult all;
  for (std::size_t first = 0; first < data.count; first += kPassGroup) {
    std::vector<std::size_t> group;
    while (group.size() < kPassGroup && first + group.size() < data.count) {
      group.push_back(first + group.size());
    }
    EnsembleResult some = RunQuantized(
        file, {.mc_samples = passes, .seed = seed + first / kPassGroup, .batch = batch},
        Choose(data, group));
    if (first == 0) {
      all = std::move(some);
      continue;
    }
    Append(some.mean, &all.mean);
    Append(some.variance, &all.variance);
    Append(some.noise, &all.noise);
    Append(some.uncertainty, &all.uncertainty);
    if (progress) {
      progress("sampling", static_cast<double>(first) / static_cast<double>(data.count));
    }
  }
  return all;
}

std::uint32_t MomentsBatch(const host::ModelFile& file, std::uint64_t most_bytes) {
  const std::uint64_t one = ArenaBytes(file.model, {.method = Method::kMoments});
  return static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(most_bytes / std::max<std::uint64_t>(one, 1), 1, kMostBatch));
}

MomentsQuality MeasureMoments(const host::ModelFile& file, const host::Dataset& data,
                              std::uint32_t passes, std::uint64_t seed, std::uint32_t batch,
                              const host::Progress& progress) {
  constexpr std::uint64_t kOther = std::uint64_t{1} << 32;
  const EnsembleResult sampled = SampleInGroups(file, data, passes, seed, batch, progress);
  const EnsembleResult others = SampleInGroups(file, data, passes, seed + kOther, batch, progress);
  const EnsembleResult moments = RunQuantized(
      file, {.seed = seed, .batch = batch, .method = Method::kMoments}, data, progress);
  const std::vector<double> expected = Epistemic(sampled, sampled);
  const std::vector<double> found = Epistemic(moments, sampled);
  const double mean = MeanOf(expected) * AllOfPasses(passes);
  const double ratio = mean > 0.0 ? MeanOf(found) / mean : 1.0;
  return {.images = data.count,
          .passes = passes,
          .divergence = MeanDistance(sampled, moments),
          .divergence_of_passes = MeanDistance(sampled, others),
          .correlation = Correlation(expected, found),
          .correlation_of_passes = Correlation(expected, Epistemic(others, sampled)),
          .ratio = ratio,
          .ratio_error = RatioError(expected, found, ratio, mean, kPassGroup * sampled.positions)};
}

}  // namespace mu8::convert
