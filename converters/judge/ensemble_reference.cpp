#include "converters/judge/ensemble_reference.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <span>

#include "converters/fp32/executor.h"
#include "converters/host/error.h"
#include "converters/judge/engine_noise.h"
#include "converters/judge/engine_trace.h"
#include "converters/judge/file_network.h"
#include "converters/network/head.h"
#include "converters/network/rewrites.h"
#include "converters/onnx/import.h"
#include "kernels/kernel_table.h"

namespace mu8::convert {
namespace {

using Clock = std::chrono::steady_clock;

// Pixel value -> network input, [channels][256].
std::vector<float> InputTable(int channels, std::vector<float> mean, std::vector<float> std) {
  const auto count = static_cast<std::size_t>(channels);
  if (mean.empty()) mean.assign(count, 0.0f);
  if (std.empty()) std.assign(count, 1.0f);
  if (mean.size() != count || std.size() != count) {
    throw host::Error("--mean, --std: there are " + std::to_string(mean.size()) + " means and " +
                      std::to_string(std.size()) + " stds, the network's input has " +
                      std::to_string(count) + " channels");
  }
  std::vector<float> table;
  for (std::size_t c = 0; c < count; ++c) {
    for (int pixel = 0; pixel < 256; ++pixel) {
      table.push_back((static_cast<float>(pixel) / 255.0f - mean[c]) / std[c]);
    }
  }
  return table;
}

// Sums over the passes, double so that neither order nor count of passes matters.
struct Sums {
  std::vector<double> probabilities;     // images x classes
  std::vector<double> expected_entropy;  // images
  std::size_t classes = 0;

  // Adds softmax(logits) of one image; false when the logits are not finite.
  bool Add(std::size_t image, std::span<const float> logits) {
    for (const float logit : logits) {
      if (!std::isfinite(logit)) return false;
    }
    const std::vector<double> p = host::Softmax(logits);
    for (std::size_t c = 0; c < classes; ++c) probabilities[image * classes + c] += p[c];
    expected_entropy[image] += host::Entropy(p);
    return true;
  }
};

}  // namespace

struct Reference::Impl {
  ReferenceOptions options;
  Network network;
  std::vector<Step> steps;              // for the engine's noise or weights
  std::unique_ptr<EngineTrace> engine;  // for the engine's weights
  std::vector<float> input_table;
  std::vector<std::string> notices;

  const Value& input() const { return network.values[static_cast<std::size_t>(network.input)]; }
  const Value& output() const { return network.values[static_cast<std::size_t>(network.output)]; }
  void Fill(const host::Dataset& data, std::size_t first, std::size_t count,
            std::vector<float>* batch) const;
  void Draw(std::uint32_t pass, SampledWeights* weights) const;
  void RunPass(const host::Dataset& data, std::uint32_t pass, Fp32Executor* executor,
               std::vector<float>* batch, Sums* sums) const;
};

void Reference::Impl::Draw(std::uint32_t pass, SampledWeights* weights) const {
  if (options.mean_weights) return MeanWeights(network, weights);
  if (options.engine_noise) {
    return SampleEngineNoise(network, steps, options.seed, pass, weights);
  }
  if (engine == nullptr) return SampleGaussian(network, options.seed, pass, weights);
  MeanWeights(network, weights);
  for (std::uint32_t i = 0; i < steps.size(); ++i) {
    const auto node = static_cast<std::size_t>(steps[i].node);
    if (network.nodes[node].weights.mu.empty()) continue;
    RealWeights drawn = engine->Draw(i, pass);
    weights->weights[node] = std::move(drawn.weights);
    weights->biases[node] = std::move(drawn.biases);
  }
}

// Normalized images at the start of `batch`; what is left of an earlier chunk stays behind them.
void Reference::Impl::Fill(const host::Dataset& data, std::size_t first, std::size_t count,
                           std::vector<float>* batch) const {
  const auto channels = static_cast<std::size_t>(data.channels);
  const std::uint8_t* pixels = data.image(first);
  float* to = batch->data();
  for (std::size_t i = 0; i < count * data.image_bytes(); i += channels) {
    for (std::size_t c = 0; c < channels; ++c) *to++ = input_table[c * 256 + pixels[i + c]];
  }
}

void Reference::Impl::RunPass(const host::Dataset& data, std::uint32_t pass, Fp32Executor* executor,
                              std::vector<float>* batch, Sums* sums) const {
  const std::size_t batch_images = batch->size() / input().size();
  for (std::size_t first = 0; first < data.count; first += batch_images) {
    const std::size_t count = std::min(batch_images, data.count - first);
    Fill(data, first, count, batch);
    executor->Run(batch->data());
    const float* logits = executor->value(network.output);
    for (std::size_t i = 0; i < count; ++i, logits += sums->classes) {
      if (!sums->Add(first + i, {logits, sums->classes})) {
        throw host::Error(options.onnx_path + ": image " + std::to_string(first + i) + ", pass " +
                          std::to_string(pass) + ": a logit is not finite");
      }
    }
  }
}

Reference::Reference(const ReferenceOptions& options) : impl_(std::make_unique<Impl>()) {
  impl_->options = options;
  const Posterior posterior = ReadPosteriorOf(options.onnx_path, options.posterior_path);
  impl_->network = ImportOnnx(options.onnx_path, posterior, options.output_name);
  CheckParameters(impl_->network);
  std::vector<std::string> problems;
  ResolveHead(options.head, &impl_->network, &impl_->notices, &problems);
  for (std::string& problem : problems) problem = options.onnx_path + ": " + problem;
  if (!problems.empty()) throw host::Error(problems);
  MustBeSoftmax(impl_->network.head, options.onnx_path, "mu8 eval");
  if (options.engine_noise) {
    // The file's layers, and with them the random streams, are those of the folded network.
    PrepareNetwork(&impl_->network);
    impl_->steps = MakeSteps(impl_->network);
  } else if (!options.engine_weights.empty()) {
    PrepareLikeFile(&impl_->network);
    impl_->steps = MakeSteps(impl_->network);
    const host::ModelFile file = host::OpenModel(options.engine_weights);
    impl_->engine = std::make_unique<EngineTrace>(
        file, 1, options.seed, kernels::SelectKernels(kernels::DetectFeatures()));
    CheckLayers(file.path, impl_->engine->view(), impl_->network, impl_->steps);
  }
  const Network& network = impl_->network;
  impl_->input_table =
      InputTable(impl_->input().channels, options.mean.empty() ? network.mean : options.mean,
                 options.std.empty() ? network.std : options.std);
}

Reference::~Reference() = default;

int Reference::height() const { return impl_->input().height; }
int Reference::width() const { return impl_->input().width; }
int Reference::channels() const { return impl_->input().channels; }
std::size_t Reference::classes() const { return impl_->output().size(); }
const std::vector<std::string>& Reference::labels() const { return impl_->network.labels; }
const std::vector<std::string>& Reference::notices() const { return impl_->notices; }
bool Reference::has_normalization() const {
  return !impl_->options.mean.empty() || !impl_->options.std.empty() ||
         !impl_->network.mean.empty() || !impl_->network.std.empty();
}

EnsembleResult Reference::Run(const host::Dataset& data, const host::Progress& progress) const {
  const ReferenceOptions& options = impl_->options;
  const std::uint32_t passes = options.mean_weights ? 1 : options.samples;
  const std::size_t batch_images = std::min<std::size_t>(options.batch, data.count);
  Sums sums{.probabilities = std::vector<double>(data.count * classes(), 0.0),
            .expected_entropy = std::vector<double>(data.count, 0.0),
            .classes = classes()};
  std::vector<float> batch(batch_images * impl_->input().size(), 0.0f);
  Fp32Executor executor(impl_->network, static_cast<int>(batch_images), false);
  SampledWeights weights;
  const Clock::time_point start = Clock::now();
  for (std::uint32_t pass = 0; pass < passes; ++pass) {
    impl_->Draw(pass, &weights);
    executor.SetWeights(weights);
    impl_->RunPass(data, pass, &executor, &batch, &sums);
    if (progress) progress("FP32 passes", (pass + 1.0) / passes);
  }

  EnsembleResult result;
  result.classes = classes();
  result.kernels = "fp32";
  result.samples = passes;
  for (std::size_t i = 0; i < data.count; ++i) {
    const std::span<double> row = std::span(sums.probabilities).subspan(i * classes(), classes());
    for (double& p : row) {
      p /= passes;
      result.probabilities.push_back(static_cast<float>(p));
    }
    // Of the double probabilities: float32 ones would drown a small difference.
    const double aleatoric = sums.expected_entropy[i] / passes;
    const double mutual_information = std::max(host::Entropy(row) - aleatoric, 0.0);
    result.uncertainty.push_back(
        {.entropy = static_cast<float>(host::Entropy(result.view().row(i))),
         .aleatoric = static_cast<float>(aleatoric),
         .mutual_information = static_cast<float>(mutual_information)});
  }
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return result;
}

}  // namespace mu8::convert
