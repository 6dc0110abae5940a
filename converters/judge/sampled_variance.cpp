#include "converters/judge/sampled_variance.h"

#include <algorithm>

#include "converters/judge/engine_trace.h"
#include "formats/limits.h"
#include "formats/reader.h"

namespace mu8::convert {
namespace {

// Codes of one tensor over the passes: sums are exact, since 65,536 squares of 255 stay below 2^32.
static_assert(std::uint64_t{format::kMaxSamples} * 255 * 255 < std::uint64_t{1} << 32);
class CodeSums {
 public:
  void Start(std::size_t elements) {
    sum_.assign(elements, 0);
    square_.assign(elements, 0);
  }
  void Add(const std::vector<std::uint8_t>& codes) {
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const std::uint32_t code = codes[i];
      sum_[i] += code;
      square_[i] += code * code;
    }
  }
  // passes^2 times the variance, 1/passes; the sum over the elements, and the largest.
  void Finish(std::uint64_t passes, double* sum, std::uint64_t* largest) const {
    for (std::size_t i = 0; i < sum_.size(); ++i) {
      const std::uint64_t spread = passes * square_[i] - std::uint64_t{sum_[i]} * sum_[i];
      *sum += static_cast<double>(spread);
      *largest = std::max(*largest, spread);
    }
  }

 private:
  std::vector<std::uint32_t> sum_, square_;
};

std::uint64_t Elements(const format::TensorRecord& tensor) {
  return std::uint64_t{tensor.height} * tensor.width * tensor.channels;
}

}  // namespace

std::uint64_t SampledVarianceBytes(const host::ModelFile& file) {
  const format::View view = format::Reopen(file.bytes.span());
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < view.tensor_count(); ++i) {
    const format::TensorRecord tensor = view.tensor(i);
    bytes += tensor.bytes + 2 * sizeof(std::uint32_t) * Elements(tensor);
  }
  return bytes;
}

std::vector<TensorVariance> SampledVariances(const host::ModelFile& file, const host::Dataset& data,
                                             std::uint32_t passes, std::uint64_t seed,
                                             std::uint64_t most_bytes,
                                             const std::function<void(double)>& progress) {
  const auto batch = static_cast<std::uint32_t>(std::min<std::uint64_t>(
      {data.count, kPassGroup,
       std::max<std::uint64_t>(most_bytes / SampledVarianceBytes(file), 1)}));
  EngineTrace trace(file, batch, seed, *kernels::SelectKernels(kernels::DetectFeatures()));
  const format::View& view = trace.view();
  const std::uint32_t tensors = view.tensor_count(), first_pass = view.first_pass_layer();
  std::vector<CodeSums> sums(tensors);
  std::vector<double> total(tensors, 0.0);
  std::vector<std::uint64_t> largest(tensors, 0);
  // Tensor t is written by layer t - 1; what the passes share does not vary.
  const std::uint32_t first_tensor = first_pass + 1;
  for (std::size_t first = 0; first < data.count;) {
    const std::size_t group = first / kPassGroup;
    const auto images = static_cast<std::uint32_t>(
        std::min<std::size_t>(batch, std::min((group + 1) * kPassGroup, data.count) - first));
    trace.Load(data, first, images);
    for (std::uint32_t t = first_tensor; t < tensors; ++t) {
      sums[t].Start(images * Elements(view.tensor(t)));
    }
    for (std::uint32_t pass = 0; pass < passes; ++pass) {
      trace.RunPass(static_cast<std::uint32_t>(group * passes) + pass);
      for (std::uint32_t t = first_tensor; t < tensors; ++t) sums[t].Add(trace.Stored(t));
    }
    for (std::uint32_t t = first_tensor; t < tensors; ++t) {
      sums[t].Finish(passes, &total[t], &largest[t]);
    }
    first += images;
    if (progress) progress(static_cast<double>(first) / static_cast<double>(data.count));
  }
  const double unit = static_cast<double>(passes) * (passes - 1);
  std::vector<TensorVariance> found(tensors);
  for (std::uint32_t t = first_tensor; t < tensors; ++t) {
    const double count =
        static_cast<double>(data.count) * static_cast<double>(Elements(view.tensor(t)));
    found[t] = {total[t] / count / unit, static_cast<double>(largest[t]) / unit};
  }
  return found;
}

}  // namespace mu8::convert
