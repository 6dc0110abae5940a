#include "converters/allocate.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "converters/ensemble_judge.h"
#include "converters/error.h"
#include "converters/lower.h"
#include "converters/prepare.h"
#include "formats/writer.h"

namespace mu8::convert {
namespace {

// Networks drawn for a divergence: candidates share their random numbers, so few tell them apart.
constexpr std::uint32_t kPasses = 16;
constexpr double kLeastSigma = 1e-12;

// The network quantized with every width, so that any plan is put together layer by layer.
struct Widths {
  Prepared prepared;
  std::vector<std::string> notices;
  QuantizerSettings settings;
  StoredLayers stored;
  std::vector<LayerCosts> layers;
  std::vector<std::size_t> steps;  // by layer

  Lowered Lower(const Plan& plan) {
    std::vector<int> bits(prepared.steps.size(), kMostMuBits);
    for (std::size_t l = 0; l < plan.size(); ++l) bits[steps[l]] = plan[l];
    return convert::Lower(prepared.network, prepared.steps, prepared.calibration, prepared.input,
                          settings, bits, &stored);
  }
};

void Check(const AllocateOptions& options, const std::vector<Request>& requests) {
  std::vector<std::string> problems;
  if (options.convert.posterior_path.empty()) {
    problems.push_back("bits are allocated by the posterior's uncertainty: there is no posterior");
  }
  const bool is_range =
      1 <= options.least && options.least <= options.most && options.most <= kMostMuBits;
  if (!is_range) {
    problems.push_back("layer bits are " + std::to_string(options.least) + " to " +
                       std::to_string(options.most) + ", expected a range within 1 to 8");
  }
  const auto& methods = AllocationMethods();
  for (const Request& request : requests) {
    if (std::find(methods.begin(), methods.end(), request.method) == methods.end()) {
      problems.push_back("there is no method '" + request.method + "'");
    }
    if (is_range && !(request.average_bits >= options.least)) {
      problems.push_back("average bits are " + std::to_string(request.average_bits) +
                         ", each layer has at least " + std::to_string(options.least));
    }
  }
  if (!problems.empty()) throw convert::Error(problems);
}

Widths QuantizeWidths(const AllocateOptions& options) {
  Widths widths;
  widths.prepared = Prepare(options.convert, &widths.notices);
  const Prepared& prepared = widths.prepared;
  for (std::size_t i = 0; i < prepared.steps.size(); ++i) {
    const Node& node = prepared.network.nodes[static_cast<std::size_t>(prepared.steps[i].node)];
    if (!IsWeighted(node.op)) continue;
    if (node.weights.sigma.empty()) {
      throw convert::Error("layer '" + node.name +
                           "' has no sigmas: bits are allocated by the posterior's uncertainty");
    }
    widths.steps.push_back(i);
    widths.layers.push_back({node.name, node.weights.mu.size(), {}});
  }
  widths.settings = {options.convert.sigma_bits, options.convert.sigma_quantizer,
                     SigmaImportance::kFisher};
  for (int bits = options.least; bits <= options.most; ++bits) {
    if (options.convert.progress) {
      options.convert.progress("quantize with " + std::to_string(bits) + " bits", 0.0);
    }
    const Lowered lowered = widths.Lower(Plan(widths.layers.size(), bits));
    const auto index = static_cast<std::size_t>(bits);
    for (std::size_t l = 0; l < widths.layers.size(); ++l) {
      const LayerReport& report = lowered.reports[widths.steps[l]];
      widths.layers[l].stored[index] = report.mu_bits;
      widths.layers[l].error[index] = report.posterior_error;
    }
  }
  return widths;
}

// KL(FP32, plan) on the calibration images.
class Judge {
 public:
  Judge(Widths* widths, std::uint64_t seed)
      : widths_(*widths), judge_(widths->prepared.network, widths->prepared.data, seed, kPasses) {}

  double Divergence(const Plan& plan) {
    ++evaluations_;
    return judge_.Divergence(format::Write(widths_.Lower(plan).content));
  }
  int evaluations() const { return evaluations_; }

 private:
  Widths& widths_;
  EnsembleJudge judge_;
  int evaluations_ = 0;
};

double Quantile(std::vector<double> values, double p) {
  std::sort(values.begin(), values.end());
  const double at = p * static_cast<double>(values.size() - 1);
  return values[static_cast<std::size_t>(std::nearbyint(at))];
}

std::vector<double> Ratios(const GaussianTensor& weights) {  // |mu| / sigma
  std::vector<double> ratios;
  for (std::size_t i = 0; i < weights.mu.size(); ++i) {
    ratios.push_back(std::abs(double{weights.mu[i]}) /
                     std::max(double{weights.sigma[i]}, kLeastSigma));
  }
  return ratios;
}

double Range(const GaussianTensor& weights) {  // R: the largest |mu|
  double largest = kLeastSigma;
  for (const float mu : weights.mu) largest = std::max(largest, std::abs(double{mu}));
  return largest;
}

// Bits that a layer wants, but for a constant that all share.
double Score(const std::string& method, const GaussianTensor& weights, double quantile) {
  if (method == "quantile-inform") {
    const std::vector<double> sigma(weights.sigma.begin(), weights.sigma.end());
    return std::log2(2 * Range(weights) / std::max(Quantile(sigma, quantile), kLeastSigma));
  }
  if (method == "snr") return std::log2(std::max(Quantile(Ratios(weights), 0.5), kLeastSigma));
  double variance = 0;  // posterior-variance
  for (const float sigma : weights.sigma) variance += double{sigma} * double{sigma};
  variance /= static_cast<double>(weights.sigma.size());
  return std::log2(2 * Range(weights) / std::sqrt(std::max(variance, kLeastSigma)));
}

}  // namespace

const std::vector<std::string>& AllocationMethods() {
  static const std::vector<std::string> methods = {
      "quantile-inform",    "random-bits", "uniform",     "snr",
      "posterior-variance", "greedy",      "sensitivity", "random-search"};
  return methods;
}

class Allocator::Work {
 public:
  explicit Work(const AllocateOptions& options)
      : options_(options),
        widths_(QuantizeWidths(options)),
        judge_(&widths_, options.convert.seed) {}

  Allocation Find(const Request& request) {
    const auto start = std::chrono::steady_clock::now();
    const int evaluations = judge_.evaluations();
    Allocation out;
    if (request.method == "sensitivity" && sensitivities_.layers.empty()) MeasureSensitivities();
    out.plan = FindPlan(request, &out.scores);
    for (std::size_t l = 0; l < out.plan.size(); ++l) {
      out.plan[l] = layers()[l].stored[static_cast<std::size_t>(out.plan[l])];
    }
    out.average_bits = AverageBits(layers(), out.plan);
    out.posterior_error = PosteriorError(layers(), out.plan);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    out.seconds = taken.count();
    if (request.method == "sensitivity") {  // every budget shares them, each would need them
      out.evaluations = sensitivities_.evaluations;
      out.seconds = sensitivities_.seconds;
    } else {
      out.evaluations = judge_.evaluations() - evaluations;
    }
    out.divergence = judge_.Divergence(out.plan);
    ++out.evaluations;
    return out;
  }

  const std::vector<LayerCosts>& layers() const { return widths_.layers; }
  const std::vector<std::string>& notices() const { return widths_.notices; }

 private:
  Plan FindPlan(const Request& request, std::vector<double>* scores) {
    const Budget budget{request.average_bits, options_.least, options_.most};
    const SearchOptions search{.evaluations = options_.evaluations, .seed = request.seed};
    const Plan least(layers().size(), budget.least);
    const Loss loss = [this](const Plan& plan) { return LossOf(plan); };
    if (request.method == "uniform") {
      return Plan(layers().size(), std::min(static_cast<int>(budget.average), budget.most));
    }
    if (request.method == "greedy") return Fill(layers(), budget, least);
    if (request.method == "sensitivity") return Fill(sensitivities_.layers, budget, least);
    if (request.method == "random-search") return RandomSearch(layers(), budget, search, loss);
    const bool is_random = request.method == "random-bits";
    *scores = Scores(is_random ? "quantile-inform" : request.method);
    const Plan plan = FromScores(layers(), budget, *scores);
    return is_random ? RandomBits(layers(), budget, plan, search, loss) : plan;
  }

  std::vector<double> Scores(const std::string& method) const {
    std::vector<double> found;
    const Prepared& prepared = widths_.prepared;
    for (const std::size_t step : widths_.steps) {
      const auto node = static_cast<std::size_t>(prepared.steps[step].node);
      found.push_back(Score(method, prepared.network.nodes[node].weights, options_.quantile));
    }
    return found;
  }

  double LossOf(const Plan& plan) {
    if (options_.convert.progress) options_.convert.progress("judge plans", 0.0);
    const double posterior = options_.training_images > 0
                                 ? PosteriorError(layers(), plan) / options_.training_images
                                 : 0.0;
    return judge_.Divergence(plan) + posterior;
  }

  // The divergence of one layer at a time with b bits, the others with as many as they may have.
  void MeasureSensitivities() {
    const auto start = std::chrono::steady_clock::now();
    const int evaluations = judge_.evaluations();
    std::vector<LayerCosts> costs = layers();
    const Plan most(costs.size(), options_.most);
    const double floor = judge_.Divergence(most);
    for (std::size_t l = 0; l < costs.size(); ++l) {
      for (int bits = options_.least; bits <= options_.most; ++bits) {
        Plan plan = most;
        plan[l] = bits;
        costs[l].error[static_cast<std::size_t>(bits)] =
            bits == options_.most ? 0.0 : std::max(judge_.Divergence(plan) - floor, 0.0);
      }
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    sensitivities_ = {std::move(costs), judge_.evaluations() - evaluations, taken.count()};
  }

  AllocateOptions options_;
  Widths widths_;
  Judge judge_;
  struct {
    std::vector<LayerCosts> layers;  // empty until they are asked for
    int evaluations = 0;
    double seconds = 0;
  } sensitivities_;
};

Allocator::Allocator(const AllocateOptions& options, const std::vector<Request>& requests) {
  Check(options, requests);
  work_ = std::make_unique<Work>(options);
}
Allocator::~Allocator() = default;

Allocation Allocator::Find(const Request& request) { return work_->Find(request); }
const std::vector<LayerCosts>& Allocator::layers() const { return work_->layers(); }
const std::vector<std::string>& Allocator::notices() const { return work_->notices(); }

}  // namespace mu8::convert
