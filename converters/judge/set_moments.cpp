#include "converters/judge/set_moments.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "converters/host/error.h"
#include "converters/judge/ensemble_quantized.h"
#include "converters/judge/layer_moments.h"
#include "converters/judge/sampled_variance.h"

namespace mu8::convert {
namespace {

using format::MomentsRecord;

// Times as many as layers are fitted to. The mean mutual information is often that of a few images.
constexpr std::size_t kOutputImages = 4, kOtherImages = 2;
// Other passes than those that the layers are fitted to.
constexpr std::uint64_t kOtherSeed = 0x6d6f6d656e7473;
constexpr int kFactorRounds = 8;
constexpr double kFactorError = 0.003;  // of the logarithm of what it is fitted to
constexpr double kCertain = 2.0;        // standard errors
// Less mutual information is rounding.
constexpr double kLeastEpistemic = 1e-6;

// Which images layers and the last factor are fitted to, and by which others both are judged; all
// spread over data that may be sorted by class.
struct Parts {
  std::vector<std::size_t> layers, outputs, others;
};
Parts Divide(std::size_t count, std::size_t wanted) {
  const std::size_t outputs =
      std::min(kOutputImages * wanted, std::max<std::size_t>(count * 2 / 3, 1));
  const std::size_t layers = std::min(wanted, outputs);
  const std::size_t all = outputs + std::min(count - outputs, kOtherImages * wanted);
  const auto takes = [](std::size_t i, std::size_t some, std::size_t of) {
    return (i + 1) * some / of > i * some / of;
  };
  Parts parts;
  for (std::size_t i = 0; i < all; ++i) {
    const std::size_t image = i * count / all;
    if (!takes(i, outputs, all)) {
      parts.others.push_back(image);
      continue;
    }
    if (takes(parts.outputs.size(), layers, outputs)) parts.layers.push_back(image);
    parts.outputs.push_back(image);
  }
  return parts;
}

host::ModelFile Open(const format::FileContent& content) {
  return host::OpenBytes("the new file", format::Write(content));
}

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

// What the networks disagree about on average, as the factor of the last layer makes it, against
// what sampled passes say.
class LastFactor {
 public:
  LastFactor(const host::Dataset& data, std::uint32_t passes, std::uint64_t seed,
             std::uint64_t most_bytes, format::FileContent* content)
      : data_(data), content_(*content), batch_(MomentsBatch(Open(*content), most_bytes)) {
    sampled_ = SampleInGroups(Open(content_), data, passes, seed, batch_);
    wanted_ = MeanOf(sampled_) * AllOfPasses(passes);
  }

  // Moves the factor until both agree; about a power of it, so logarithms are a line. False: there
  // is nothing to fit.
  bool Fit() {
    if (!(wanted_ > kLeastEpistemic)) return false;
    double factor = 1.0, off = OffBy(factor), slope = 1.0;
    double best = factor, best_off = off;
    for (int round = 0; round < kFactorRounds && std::fabs(best_off) > kFactorError; ++round) {
      const double next =
          std::clamp(factor * std::exp(-off / slope), double{format::kLeastMomentsFactor},
                     double{format::kMostMomentsFactor});
      if (next == factor || !std::isfinite(off)) break;
      const double next_off = OffBy(next);
      const double rise = (next_off - off) / std::log(next / factor);
      if (rise > kLeastSlope && rise < kMostSlope) slope = rise;
      factor = next;
      off = next_off;
      if (std::fabs(off) < std::fabs(best_off)) {
        best = factor;
        best_off = off;
      }
    }
    Set(best);
    return true;
  }

 private:
  static constexpr double kLeastSlope = 0.1, kMostSlope = 4.0;

  double MeanOf(const EnsembleResult& result) const {
    double sum = 0.0;
    const std::vector<double> values = Epistemic(result, sampled_);
    for (const double value : values) sum += value;
    return sum / static_cast<double>(values.size());
  }
  void Set(double factor) { content_.outputs.moments.back().factor = static_cast<float>(factor); }
  // The logarithm of what moments say over what is wanted.
  double OffBy(double factor) {
    Set(factor);
    const EnsembleResult moments =
        RunQuantized(Open(content_), {.batch = batch_, .method = Method::kMoments}, data_);
    return std::log(MeanOf(moments) / wanted_);
  }

  const host::Dataset& data_;
  format::FileContent& content_;
  std::uint32_t batch_;
  EnsembleResult sampled_;
  double wanted_ = 0;
};

void AddNotices(const MomentsQuality& quality, Head head, std::vector<std::string>* notices) {
  const auto poor = [&](const std::string& what) {
    notices->push_back("moments are poor on " + std::to_string(quality.images) +
                       " other calibration inputs: " + what);
  };
  const bool decides = head == Head::kSoftmax || head == Head::kSigmoid;
  const std::string measure = decides ? "mutual information" : "variance";
  if (quality.divergence > kFewNats &&
      quality.divergence > kMostMomentsDivergence * quality.divergence_of_passes) {
    poor("the divergence of sampled predictions from them is " + Number(quality.divergence) +
         ", from other passes " + Number(quality.divergence_of_passes) + ", expected at most " +
         Number(kMostMomentsDivergence) + " times that");
  }
  if (quality.correlation < kLeastMomentsCorrelation &&
      quality.correlation_of_passes >= kLeastMomentsCorrelation) {
    poor("their " + measure + " has correlation " + Number(quality.correlation) +
         " with that of sampling, expected at least " + Number(kLeastMomentsCorrelation));
  }
  const double margin = kCertain * quality.ratio_error;
  if (quality.ratio < kLeastMomentsRatio - margin || quality.ratio > kMostMomentsRatio + margin) {
    poor("their mean " + measure + " is " + Number(quality.ratio) +
         " times that of sampling, standard error " + Number(quality.ratio_error) + ", expected " +
         Number(kLeastMomentsRatio) + " to " + Number(kMostMomentsRatio));
  }
}

}  // namespace

void CheckMoments(const Network& network) {
  if (network.head == Head::kReconstruction) {
    throw host::Error(
        "--moments: a reconstruction has no predictions by moments, the variance of a sum of "
        "squared errors does not follow from variances");
  }
  const bool bayesian = std::ranges::any_of(network.nodes, [](const Node& node) {
    return !node.weights.sigma.empty() || !node.bias.sigma.empty();
  });
  if (!bayesian) {
    throw host::Error("--moments: no weight has a deviation, all passes are the same");
  }
}

MomentsReport SetMoments(const MomentsOptions& options, std::uint64_t seed,
                         std::uint64_t most_bytes, const std::vector<std::byte>& file,
                         const host::Dataset& data, const host::Progress& progress,
                         format::FileContent* content) {
  MomentsReport report;
  report.passes = options.passes;
  const host::ModelFile plain = host::OpenBytes("the new file", file);
  const std::size_t fits = std::max<std::uint64_t>(most_bytes / LayerMomentsBytes(plain), 1);
  if (fits < options.images) {
    report.notices.push_back("moments are fitted on " + std::to_string(fits) +
                             " inputs, more would take more than --max-memory");
  }
  const Parts parts = Divide(data.count, std::min(options.images, fits));
  const auto stage = [&](double from, double to) {
    return [&progress, from, to](double fraction) {
      if (progress) progress("moments", from + (to - from) * fraction);
    };
  };
  const host::Dataset of_layers = Choose(data, parts.layers);
  report.images = of_layers.count;
  report.output_images = parts.outputs.size();
  const std::vector<TensorVariance> sampled =
      SampledVariances(plain, of_layers, options.passes, seed, most_bytes, stage(0.0, 0.3));
  content->outputs.moments.assign(content->layers.size(), {});
  content->outputs.moments = FitLayerMoments(Open(*content), of_layers, sampled, stage(0.3, 0.6));
  const host::Dataset of_outputs = Choose(data, parts.outputs);
  if (!LastFactor(of_outputs, options.passes, seed, most_bytes, content).Fit()) {
    report.notices.push_back(
        "moments: sampled passes agree on all inputs, there is no uncertainty to fit");
  }
  stage(0.6, 1.0)(1.0);
  report.layers = content->outputs.moments;
  if (parts.others.empty()) {
    report.notices.push_back("moments: no calibration inputs are left to measure their quality on");
    return report;
  }
  const host::ModelFile file_with = Open(*content);
  report.quality = MeasureMoments(file_with, Choose(data, parts.others), options.passes,
                                  seed ^ kOtherSeed, MomentsBatch(file_with, most_bytes), progress);
  AddNotices(report.quality, content->head, &report.notices);
  return report;
}

}  // namespace mu8::convert
