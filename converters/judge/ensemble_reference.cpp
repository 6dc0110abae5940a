#include "converters/judge/ensemble_reference.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <span>

#include "converters/fp32/pass_runner.h"
#include "converters/host/error.h"
#include "converters/judge/engine_noise.h"
#include "converters/judge/engine_trace.h"
#include "converters/judge/expected_outputs.h"
#include "converters/judge/file_network.h"
#include "converters/network/head.h"
#include "converters/network/input.h"
#include "converters/network/rewrites.h"
#include "converters/network/transposed.h"
#include "converters/onnx/import.h"
#include "kernels/kernel_table.h"

namespace mu8::convert {
namespace {

using Clock = std::chrono::steady_clock;

// Sums over the passes, double so that neither order nor count of passes matters.
struct Sums {
  OutputReader reader;
  OutputSums outputs;
  std::vector<double> expected_entropy;     // images
  std::vector<double> error, error_square;  // images: of a reconstruction

  Sums(const Network& network, std::size_t images)
      : reader(network),
        outputs(network, images),
        expected_entropy(images * reader.positions(), 0.0),
        error(images, 0.0),
        error_square(images, 0.0) {}

  // Adds the outputs of one image; false when they are not finite.
  bool Add(std::size_t image, std::span<const float> raw) {
    if (!std::ranges::all_of(raw, [](float x) { return std::isfinite(x); })) return false;
    const std::vector<double> entropies = reader.Entropies(outputs.Add(image, raw).value);
    for (std::size_t i = 0; i < entropies.size(); ++i) {
      expected_entropy[image * entropies.size() + i] += entropies[i];
    }
    return true;
  }

  void AddError(std::size_t image, std::span<const float> raw, std::span<const float> input) {
    double sum = 0.0;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      sum += std::pow(static_cast<double>(raw[i]) - static_cast<double>(input[i]), 2);
    }
    const double of_output = sum / static_cast<double>(raw.size());
    error[image] += of_output;
    error_square[image] += of_output * of_output;
  }
};

void Append(const std::vector<double>& from, std::vector<float>* to) {
  for (const double value : from) to->push_back(static_cast<float>(value));
}

void AddResult(const Sums& sums, std::size_t image, double passes, const ExpectedOutputs& outputs,
               EnsembleResult* result) {
  Append(outputs.mean, &result->mean);
  Append(outputs.variance, &result->variance);
  Append(outputs.noise, &result->noise);
  if (result->head == Head::kReconstruction) {
    const double error = sums.error[image] / passes;
    result->error.push_back(static_cast<float>(error));
    result->error_variance.push_back(
        static_cast<float>(std::max(sums.error_square[image] / passes - error * error, 0.0)));
  }
  if (result->has_numbers()) return;
  // Of the double probabilities: float32 ones would drown a small difference.
  const std::vector<double> totals = sums.reader.Entropies(outputs.mean);
  for (std::size_t i = 0; i < totals.size(); ++i) {
    const std::size_t row = image * totals.size() + i;
    const double aleatoric = sums.expected_entropy[row] / passes;
    const float entropy = result->head == Head::kSoftmax
                              ? static_cast<float>(host::Entropy(result->view().row(row)))
                              : static_cast<float>(totals[i]);
    result->uncertainty.push_back(
        {.entropy = entropy,
         .aleatoric = static_cast<float>(aleatoric),
         .mutual_information = static_cast<float>(std::max(totals[i] - aleatoric, 0.0))});
  }
}

}  // namespace

struct Reference::Impl {
  ReferenceOptions options;
  Network network;
  std::vector<Step> steps;              // for the engine's noise or weights
  std::unique_ptr<EngineTrace> engine;  // for the engine's weights
  Normalization from_file;              // as the ONNX file says
  std::vector<std::string> notices;

  const Value& input() const { return network.values[static_cast<std::size_t>(network.input)]; }
  const Value& output() const { return network.values[static_cast<std::size_t>(network.output)]; }
  void Draw(std::uint32_t pass, SampledWeights* weights) const;
  // Adds the outputs of inputs `first` and on.
  void Add(const host::Dataset& data, std::uint32_t pass, std::size_t first,
           std::span<const float> rows, Sums* sums) const;
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

void Reference::Impl::Add(const host::Dataset& data, std::uint32_t pass, std::size_t first,
                          std::span<const float> rows, Sums* sums) const {
  const std::size_t count = rows.size() / output().size();
  std::vector<float> targets;
  if (network.head == Head::kReconstruction) targets = Normalize(network, data, first, count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::span<const float> row = rows.subspan(i * output().size(), output().size());
    if (!sums->Add(first + i, row)) {
      throw host::Error(options.onnx_path + ": image " + std::to_string(first + i) + ", pass " +
                        std::to_string(pass) + ": an output is not finite");
    }
    if (targets.empty()) continue;
    sums->AddError(first + i, row, {targets.data() + i * input().size(), input().size()});
  }
}

Reference::Reference(const ReferenceOptions& options) : impl_(std::make_unique<Impl>()) {
  impl_->options = options;
  impl_->network =
      ImportWithPosterior(options.onnx_path, options.posterior_path, options.output_name);
  CheckParameters(impl_->network);
  impl_->notices = impl_->network.notices;
  std::vector<std::string> problems;
  ResolveOutputs(options.head, &impl_->network, &impl_->notices, &problems);
  for (std::string& problem : problems) problem = options.onnx_path + ": " + problem;
  if (!problems.empty()) throw host::Error(problems);
  impl_->from_file = {impl_->network.mean, impl_->network.std};
  if (options.engine_noise) {
    // The file's layers, and with them the random streams, are those of the folded network.
    PrepareNetwork(&impl_->network);
    impl_->steps = MakeSteps(impl_->network);
  } else if (!options.engine_weights.empty()) {
    PrepareLikeFile(&impl_->network);
    impl_->steps = MakeSteps(impl_->network);
    const host::ModelFile file = host::OpenModel(options.engine_weights);
    impl_->engine = std::make_unique<EngineTrace>(
        file, 1, options.seed, *kernels::SelectKernels(kernels::DetectFeatures()));
    CheckLayers(file.path, impl_->engine->view(), impl_->network, impl_->steps);
    EqualizeLikeFile(impl_->engine->view(), &impl_->network);
  } else {
    ExpandTransposed(&impl_->network);  // the rest runs as the graph has it
  }
}

Reference::~Reference() = default;

host::InputSpec Reference::input() const { return InputSpecOf(impl_->network); }
std::size_t Reference::classes() const { return OutputCount(impl_->network) / positions(); }
std::size_t Reference::positions() const {
  return static_cast<std::size_t>(impl_->output().height) *
         static_cast<std::size_t>(impl_->output().width);
}
host::ImageSize Reference::output_size() const {
  return {impl_->output().height, impl_->output().width, static_cast<int>(classes())};
}
Head Reference::head() const { return impl_->network.head; }
const std::vector<std::string>& Reference::labels() const { return impl_->network.labels; }
const std::vector<std::string>& Reference::notices() const { return impl_->notices; }

std::vector<std::string> Reference::Fit(const host::Dataset& data) {
  Network& network = impl_->network;
  const ReferenceOptions& options = impl_->options;
  network.mean = impl_->from_file.mean;
  network.std = impl_->from_file.std;
  std::vector<std::string> notices, problems;
  if (impl_->engine != nullptr) FitInput(data, &network, &problems);
  ResolveNormalization({options.mean, options.std}, data, &network, &notices, &problems);
  if (problems.empty()) CheckTargets(network, data, &notices, &problems);
  for (std::string& problem : problems) problem = options.onnx_path + ": " + problem;
  if (!problems.empty()) throw host::Error(problems);
  if (impl_->engine == nullptr) return notices;
  // The engine's weights are those of the scaled input already.
  const std::vector<float> scales = FileInputScales(impl_->engine->view(), network);
  for (std::size_t c = 0; c < scales.size(); ++c) network.std[c] *= scales[c];
  return notices;
}

EnsembleResult Reference::Run(const host::Dataset& data, const host::Progress& progress) const {
  const ReferenceOptions& options = impl_->options;
  const std::uint32_t passes = options.mean_weights ? 1 : options.samples;
  Sums sums(impl_->network, data.count);
  PassRunner runner(
      impl_->network, data.count,
      [&](std::size_t first, std::size_t count) {
        return Normalize(impl_->network, data, first, count);
      },
      options.batch,
      impl_->engine == nullptr ? PassRunner::Varying::kWithSigmas : PassRunner::Varying::kAll);
  SampledWeights weights;
  const Clock::time_point start = Clock::now();
  for (std::uint32_t pass = 0; pass < passes; ++pass) {
    impl_->Draw(pass, &weights);
    runner.Run(weights, [&](int value, std::size_t first, std::span<const float> rows) {
      if (value == impl_->network.output) impl_->Add(data, pass, first, rows, &sums);
    });
    if (progress) progress("FP32 passes", (pass + 1.0) / passes);
  }
  EnsembleResult result;
  result.head = head();
  result.classes = classes();
  result.positions = positions();
  result.kernels = "fp32";
  result.samples = passes;
  const std::vector<ExpectedOutputs> outputs = sums.outputs.Finish(passes);
  for (std::size_t i = 0; i < data.count; ++i) AddResult(sums, i, passes, outputs[i], &result);
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return result;
}

}  // namespace mu8::convert
