#include "converters/judge/ensemble_judge.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>

#include "converters/fp32/pass_runner.h"
#include "converters/host/aligned_buffer.h"
#include "converters/host/error.h"
#include "converters/network/input.h"
#include "mu8/mu8.h"

namespace mu8::convert {
namespace {

constexpr std::size_t kMostImages = 512;
constexpr std::size_t kBatch = 16;  // activations stay in the caches

void MustBeOk(Status status, const Diagnostic& diagnostic) {
  if (status == Status::kOk) return;
  char message[256];
  Explain(diagnostic, message);
  throw host::Error(std::string("the engine refuses the converted model: ") + message);
}

}  // namespace

std::vector<ExpectedOutputs> PredictFp32(const Network& network, const host::Dataset& data,
                                         std::size_t count, std::uint64_t seed,
                                         std::uint32_t passes) {
  const std::size_t outputs = network.values[static_cast<std::size_t>(network.output)].size();
  OutputSums sums(network, count);
  PassRunner runner(network, count, [&](std::size_t first, std::size_t inputs) {
    return Normalize(network, data, first, inputs);
  });
  SampledWeights weights;
  for (std::uint32_t pass = 0; pass < passes; ++pass) {
    SampleGaussian(network, seed, pass, &weights);
    runner.Run(weights, [&](int value, std::size_t first, std::span<const float> rows) {
      if (value != network.output) return;
      for (std::size_t at = 0; at < rows.size(); at += outputs) {
        sums.Add(first + at / outputs, rows.subspan(at, outputs));
      }
    });
  }
  return sums.Finish(passes);
}

EnsembleJudge::EnsembleJudge(const Network& network, const host::Dataset& data, std::uint64_t seed,
                             std::uint32_t passes)
    : data_(data),
      count_(std::min(data.count, kMostImages)),
      seed_(seed),
      passes_(passes),
      head_(network.head),
      reference_(PredictFp32(network, data, count_, seed, passes)),
      spread_(SpreadOf(head_, reference_)) {}

Judgement EnsembleJudge::Judge(const std::vector<std::byte>& file, Method method) const {
  host::AlignedBuffer bytes(file.size());
  std::memcpy(bytes.data(), file.data(), file.size());
  Model model;
  Diagnostic diagnostic;
  if (Model::Open(bytes.span(), &model, &diagnostic) != Status::kOk) {
    return {std::numeric_limits<double>::max(), diagnostic};
  }
  const SessionOptions options{.mc_samples = passes_,
                               .seed = seed_,
                               .batch = static_cast<std::uint32_t>(std::min(kBatch, count_)),
                               .method = method};
  host::AlignedBuffer arena(ArenaBytes(model, options));
  Session session;
  MustBeOk(Session::Create(model, options, arena.span(), &session, &diagnostic), diagnostic);
  double sum = 0.0;
  for (std::size_t first = 0; first < count_; first += kBatch) {
    const std::size_t count = std::min(kBatch, count_ - first);
    MustBeOk(data_.is_numbers() ? session.Run(data_.Values(first, count), count, &diagnostic)
                                : session.Run(data_.Pixels(first, count), count, &diagnostic),
             diagnostic);
    for (std::size_t image = 0; image < count; ++image) {
      const Prediction found = session.Result(image);
      const ExpectedOutputs outputs{{found.mean.begin(), found.mean.end()},
                                    {found.variance.begin(), found.variance.end()},
                                    {found.noise_variance.begin(), found.noise_variance.end()}};
      sum += Distance(head_, reference_[first + image], outputs, spread_);
    }
  }
  return {sum / static_cast<double>(count_), {}};
}

}  // namespace mu8::convert
