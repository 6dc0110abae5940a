#include "converters/judge/moments_difference.h"

#include <algorithm>
#include <cmath>

#include "converters/host/decibels.h"
#include "converters/judge/engine_trace.h"
#include "converters/judge/sampled_variance.h"
#include "formats/reader.h"

namespace mu8::convert {
namespace {

// One layer: the codes of a batch over the passes, and what all batches have come to.
class LayerSums {
 public:
  void Start(std::size_t elements) {
    sum_.assign(elements, 0.0);
    square_.assign(elements, 0.0);
  }
  void AddPass(const std::vector<std::uint8_t>& codes) {
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const double code = codes[i];
      sum_[i] += code;
      square_[i] += code * code;
    }
  }
  void AddMoments(const std::vector<std::uint8_t>& means,
                  const std::vector<std::uint8_t>& variances, double step, double zero_point,
                  double samples) {
    for (std::size_t i = 0; i < means.size(); ++i) {
      const double mean = sum_[i] / samples;
      const double sampled =
          std::max(square_[i] / samples - mean * mean, 0.0) * samples / (samples - 1.0);
      const double found = step * variances[i];
      signal_ += (mean - zero_point) * (mean - zero_point);
      error_ += (mean - means[i]) * (mean - means[i]);
      s_ += sampled;
      m_ += found;
      ss_ += sampled * sampled;
      mm_ += found * found;
      sm_ += sampled * found;
      saturated_ += variances[i] == 255 ? 1 : 0;
    }
    count_ += static_cast<double>(means.size());
  }
  LayerMomentsDifference Report() const {
    const double ss = ss_ - s_ * s_ / count_, mm = mm_ - m_ * m_ / count_;
    const double sm = sm_ - s_ * m_ / count_;
    return {.sqnr_of_mean = host::Decibels(signal_, error_),
            .variance = s_ / count_,
            .variance_ratio = s_ > 0.0 ? m_ / s_ : 1.0,
            .variance_correlation = ss > 0.0 && mm > 0.0 ? sm / std::sqrt(ss * mm) : 0.0,
            .saturation = saturated_ / count_};
  }

 private:
  std::vector<double> sum_, square_;  // over the passes
  double signal_ = 0, error_ = 0, saturated_ = 0, count_ = 0;
  double s_ = 0, m_ = 0, ss_ = 0, mm_ = 0, sm_ = 0;  // sampled variances, those of moments
};

}  // namespace

std::vector<LayerMomentsDifference> CompareMoments(const host::ModelFile& file,
                                                   const host::Dataset& data, std::uint32_t samples,
                                                   std::uint64_t seed,
                                                   const host::Progress& progress) {
  const auto batch = static_cast<std::uint32_t>(std::min(data.count, kPassGroup));
  EngineTrace trace(file, batch, seed, *kernels::SelectKernels(kernels::DetectFeatures()));
  const format::View& view = trace.view();
  const std::uint32_t begin = view.first_pass_layer(), end = view.layer_count() - 1;
  std::vector<LayerSums> sums(end - begin);
  for (std::size_t first = 0; first < data.count; first += batch) {
    const auto images =
        static_cast<std::uint32_t>(std::min<std::size_t>(batch, data.count - first));
    trace.Load(data, first, images);
    for (std::uint32_t i = begin; i < end; ++i) {
      const format::TensorRecord tensor = view.tensor(i + 1);
      sums[i - begin].Start(std::size_t{images} * tensor.height * tensor.width * tensor.channels);
    }
    for (std::uint32_t pass = 0; pass < samples; ++pass) {
      trace.RunPass(static_cast<std::uint32_t>(first / kPassGroup * samples) + pass);
      for (std::uint32_t i = begin; i < end; ++i) sums[i - begin].AddPass(trace.Stored(i + 1));
    }
    for (std::uint32_t i = begin; i < end; ++i) {
      trace.RunMoments(i);
      sums[i - begin].AddMoments(trace.Stored(i + 1), trace.StoredVariances(i + 1),
                                 static_cast<double>(view.layer_moments(i).step),
                                 view.tensor(i + 1).zero_point, samples);
    }
    if (progress) {
      progress("comparing", static_cast<double>(first + images) / static_cast<double>(data.count));
    }
  }
  std::vector<LayerMomentsDifference> layers;
  for (const LayerSums& layer : sums) layers.push_back(layer.Report());
  return layers;
}

}  // namespace mu8::convert
