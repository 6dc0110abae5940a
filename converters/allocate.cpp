#include "converters/allocate.h"

#include <algorithm>
#include <cmath>

#include "converters/error.h"
#include "converters/prepare.h"
#include "converters/sigma_importance.h"

namespace mu8::convert {
namespace {

// Networks drawn for a divergence: candidates share their random numbers, so few tell them apart.
constexpr std::uint32_t kPasses = 16;
constexpr double kLeastSigma = 1e-12;

// The network quantized with every width, so that any plan is put together layer by layer.
struct Widths {
  Prepared prepared;
  std::vector<std::size_t> nodes;                    // by layer
  std::vector<std::vector<GaussianTensor>> weights;  // [bits][node], [0] unused
  std::vector<std::vector<GaussianTensor>> biases;
};

double Error(const GaussianTensor& produced, const GaussianTensor& posterior) {
  double error = 0;
  for (std::size_t i = 0; i < posterior.mu.size(); ++i) {
    const double off = double{produced.mu[i]} - double{posterior.mu[i]};
    const double sigma = std::max(double{posterior.sigma[i]}, kLeastSigma);
    error += 0.5 * off * off / (sigma * sigma);
  }
  return error;
}

void CheckOptions(const AllocateOptions& options) {
  std::vector<std::string> problems;
  const Budget& budget = options.budget;
  if (options.convert.posterior_path.empty()) {
    problems.push_back("bits are allocated by the posterior's uncertainty: there is no posterior");
  }
  const auto& methods = AllocationMethods();
  if (std::find(methods.begin(), methods.end(), options.method) == methods.end()) {
    problems.push_back("there is no method '" + options.method + "'");
  }
  if (budget.least < 1 || budget.most > kMostMuBits || budget.least > budget.most) {
    problems.push_back("layer bits are " + std::to_string(budget.least) + " to " +
                       std::to_string(budget.most) + ", expected a range within 1 to 8");
  } else if (!(budget.average >= budget.least)) {
    problems.push_back("average bits are " + std::to_string(budget.average) +
                       ", each layer has at least " + std::to_string(budget.least));
  }
  if (!problems.empty()) throw convert::Error(problems);
}

Widths QuantizeWidths(const AllocateOptions& options, Allocation* out) {
  Widths widths{Prepare(options.convert, &out->notices), {}, {}, {}};
  const Prepared& prepared = widths.prepared;
  for (const Step& step : prepared.steps) {
    const Node& node = prepared.network.nodes[static_cast<std::size_t>(step.node)];
    if (!IsWeighted(node.op)) continue;
    if (node.weights.sigma.empty()) {
      throw convert::Error("layer '" + node.name +
                           "' has no sigmas: bits are allocated by the posterior's uncertainty");
    }
    widths.nodes.push_back(static_cast<std::size_t>(step.node));
    out->layers.push_back({node.name, node.weights.mu.size(), {}});
  }
  widths.weights.resize(kMostMuBits + 1);
  widths.biases.resize(kMostMuBits + 1);
  for (int bits = options.budget.least; bits <= options.budget.most; ++bits) {
    if (options.convert.progress) {
      options.convert.progress("quantize with " + std::to_string(bits) + " bits", 0.0);
    }
    Lowered lowered = Lower(
        prepared.network, prepared.steps, prepared.calibration, prepared.input,
        {options.convert.sigma_bits, options.convert.sigma_quantizer, SigmaImportance::kFisher},
        std::vector<int>(prepared.steps.size(), bits));
    const auto index = static_cast<std::size_t>(bits);
    for (std::size_t l = 0; l < widths.nodes.size(); ++l) {
      const std::size_t node = widths.nodes[l];
      out->layers[l].error[index] =
          Error(lowered.produced_weights[node], prepared.network.nodes[node].weights);
    }
    widths.weights[index] = std::move(lowered.produced_weights);
    widths.biases[index] = std::move(lowered.produced_biases);
  }
  return widths;
}

// KL(FP32, plan) on the calibration images.
class Judge {
 public:
  Judge(const Widths& widths, std::uint64_t seed)
      : widths_(widths), judge_(widths.prepared.network, widths.prepared.data, seed, kPasses) {}

  double Divergence(const Plan& plan) {
    ++evaluations_;
    const std::size_t nodes = widths_.prepared.network.nodes.size();
    std::vector<GaussianTensor> weights(nodes), biases(nodes);
    for (std::size_t l = 0; l < plan.size(); ++l) {
      const std::size_t node = widths_.nodes[l];
      weights[node] = widths_.weights[static_cast<std::size_t>(plan[l])][node];
      biases[node] = widths_.biases[static_cast<std::size_t>(plan[l])][node];
    }
    return judge_.Divergence(weights, biases);
  }
  int evaluations() const { return evaluations_; }

 private:
  const Widths& widths_;
  SigmaJudge judge_;
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

// The divergence of one layer at a time with b bits, the others with as many as they may have.
std::vector<LayerCosts> Sensitivities(const std::vector<LayerCosts>& layers, const Budget& budget,
                                      Judge* judge) {
  std::vector<LayerCosts> costs = layers;
  const Plan most(layers.size(), budget.most);
  const double floor = judge->Divergence(most);
  for (std::size_t l = 0; l < layers.size(); ++l) {
    for (int bits = budget.least; bits <= budget.most; ++bits) {
      Plan plan = most;
      plan[l] = bits;
      costs[l].error[static_cast<std::size_t>(bits)] =
          bits == budget.most ? 0.0 : std::max(judge->Divergence(plan) - floor, 0.0);
    }
  }
  return costs;
}

}  // namespace

const std::vector<std::string>& AllocationMethods() {
  static const std::vector<std::string> methods = {
      "quantile-inform",    "random-bits", "uniform",     "snr",
      "posterior-variance", "greedy",      "sensitivity", "random-search"};
  return methods;
}

Allocation Allocate(const AllocateOptions& options) {
  CheckOptions(options);
  Allocation out;
  const Widths widths = QuantizeWidths(options, &out);
  const Budget& budget = options.budget;
  Judge judge(widths, options.convert.seed);
  const auto scores = [&](const std::string& method) {
    std::vector<double> found;
    for (const std::size_t node : widths.nodes) {
      found.push_back(Score(method, widths.prepared.network.nodes[node].weights, options.quantile));
    }
    return found;
  };
  const Loss loss = [&](const Plan& plan) {
    if (options.convert.progress) {
      options.convert.progress("judge plans", static_cast<double>(judge.evaluations()) /
                                                  (options.search.evaluations + 1));
    }
    const double posterior = options.training_images > 0
                                 ? PosteriorError(out.layers, plan) / options.training_images
                                 : 0.0;
    return judge.Divergence(plan) + posterior;
  };
  const Plan least(out.layers.size(), budget.least);
  if (options.method == "uniform") {
    out.plan.assign(out.layers.size(), std::min(static_cast<int>(budget.average), budget.most));
  } else if (options.method == "greedy") {
    out.plan = Fill(out.layers, budget, least);
  } else if (options.method == "sensitivity") {
    out.plan = Fill(Sensitivities(out.layers, budget, &judge), budget, least);
  } else if (options.method == "random-search") {
    out.plan = RandomSearch(out.layers, budget, options.search, loss);
  } else if (options.method == "random-bits") {
    out.scores = scores("quantile-inform");
    out.plan = RandomBits(out.layers, budget, FromScores(out.layers, budget, out.scores),
                          options.search, loss);
  } else {
    out.scores = scores(options.method);
    out.plan = FromScores(out.layers, budget, out.scores);
  }
  out.average_bits = AverageBits(out.layers, out.plan);
  out.posterior_error = PosteriorError(out.layers, out.plan);
  out.divergence = judge.Divergence(out.plan);
  out.evaluations = judge.evaluations();
  return out;
}

}  // namespace mu8::convert
