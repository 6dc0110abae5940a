#include "converters/allocate/allocate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include "converters/host/error.h"
#include "converters/judge/ensemble_judge.h"
#include "converters/judge/set_moments.h"
#include "converters/lower/limits.h"
#include "converters/lower/lower.h"
#include "converters/lower/records.h"
#include "converters/lower/refusal.h"
#include "converters/prepare.h"
#include "formats/layout.h"
#include "formats/writer.h"

namespace mu8::convert {
namespace {

// Networks drawn for a divergence: candidates share their random numbers, so few tell them apart.
constexpr std::uint32_t kPasses = 16;
constexpr double kLeastSigma = 1e-12;

// A layer, or one panel of it: what gets a width of its own.
struct Unit {
  std::size_t step;
  std::size_t first, last;  // its weights in their node
};

// The network quantized with every width, so that any plan is put together unit by unit.
struct Widths {
  Prepared prepared;
  std::vector<std::string> notices;
  QuantizerSettings settings;
  QuantizedLayers known;
  std::vector<Unit> units;
  std::vector<UnitCosts> costs;  // by unit

  std::vector<MuBits> BitsBySteps(const Plan& plan) const {
    std::vector<MuBits> bits(prepared.steps.size());
    for (std::size_t u = 0; u < plan.size(); ++u) bits[units[u].step].push_back(plan[u]);
    return bits;
  }
  Lowered Lower(const Plan& plan) {
    return convert::Lower(prepared.network, prepared.steps, prepared.calibration, prepared.input,
                          settings, BitsBySteps(plan), &known);
  }
  const Node& NodeOf(std::size_t step) const {
    return prepared.network.nodes[static_cast<std::size_t>(prepared.steps[step].node)];
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
                         ", each unit has at least " + std::to_string(options.least));
    }
  }
  if (!problems.empty()) throw host::Error(problems);
}

std::vector<Unit> UnitsOf(const Widths& widths, std::size_t step, bool by_panel) {
  const Node& node = widths.NodeOf(step);
  const std::size_t weights = node.weights.mu.size();
  if (!by_panel) return {{step, 0, weights}};
  const format::LayerRecord shape =
      LayerShape(widths.prepared.network, widths.prepared.steps[step]);
  const format::PanelLayout panels = format::MakePanelLayout(shape);
  const std::size_t k = weights / shape.output_channels;
  std::vector<Unit> units;
  for (std::uint32_t p = 0; p < panels.panel_count(); ++p) {
    const std::size_t first = panels.channel(p) * k;
    units.push_back({step, first, first + panels.channels(p) * k});
  }
  return units;
}

// Bits and errors of all units with one width.
void MeasureWidth(int bits, Widths* widths) {
  const Lowered lowered = widths->Lower(Plan(widths->units.size(), bits));
  const auto index = static_cast<std::size_t>(bits);
  std::size_t in_step = 0;
  for (std::size_t u = 0; u < widths->units.size(); ++u) {
    const std::size_t step = widths->units[u].step;
    const bool same_step = u > 0 && widths->units[u - 1].step == step;
    in_step = same_step ? in_step + 1 : 0;
    const LayerReport& report = lowered.reports[step];
    const std::vector<double>& errors = report.panel_errors;
    const bool whole = widths->costs[u].weights == report.weights;
    widths->costs[u].stored[index] = report.mu_bits.front();
    widths->costs[u].error[index] =
        whole ? std::accumulate(errors.begin(), errors.end(), 0.0) : errors[in_step];
  }
}

// Before anything is measured: bits can be allocated, and with the fewest the file is not too
// large.
void CheckImported(const AllocateOptions& options, const Imported& imported) {
  if (options.convert.moments) CheckMoments(imported.network);
  std::vector<std::string> problems;
  CheckFileSize(imported.network, imported.steps,
                std::vector<MuBits>(imported.steps.size(), {options.least}),
                options.convert.sigma_bits, &problems);
  for (const Step& step : imported.steps) {
    const Node& node = imported.network.nodes[static_cast<std::size_t>(step.node)];
    if (!IsWeighted(node.op) || !node.weights.sigma.empty()) continue;
    problems.push_back("layer '" + node.name +
                       "' has no sigmas: bits are allocated by the posterior's uncertainty");
  }
  if (!problems.empty()) throw host::Error(problems);
}

Widths QuantizeWidths(const AllocateOptions& options) {
  Widths widths;
  Imported imported = Import(options.convert, &widths.notices);
  CheckImported(options, imported);
  widths.prepared = Prepare(options.convert, std::move(imported));
  for (std::size_t step = 0; step < widths.prepared.steps.size(); ++step) {
    const Node& node = widths.NodeOf(step);
    if (!IsWeighted(node.op)) continue;
    for (const Unit& unit : UnitsOf(widths, step, options.by_panel)) {
      widths.units.push_back(unit);
      widths.costs.push_back({node.name, unit.last - unit.first, {}});
    }
  }
  widths.settings = {options.convert.sigma_bits, options.convert.sigma_quantizer,
                     SigmaImportance::kFisher};
  for (int bits = options.least; bits <= options.most; ++bits) {
    if (options.convert.progress) {
      options.convert.progress("quantize with " + std::to_string(bits) + " bits", 0.0);
    }
    MeasureWidth(bits, &widths);
  }
  return widths;
}

// What moments need of each layer, measured on the file with `bits` bits everywhere.
std::vector<format::MomentsRecord> MeasureRecords(const ConvertOptions& options, int bits,
                                                  Widths* widths) {
  Lowered lowered = widths->Lower(Plan(widths->units.size(), bits));
  const std::vector<std::byte> file = format::Write(lowered.content);
  return SetMoments(*options.moments, options.seed, options.max_memory_bytes, file,
                    widths->prepared.data, options.progress, &lowered.content)
      .layers;
}

// Compares plans with FP32 on the calibration images.
class Judge {
 public:
  Judge(const AllocateOptions& options, Widths* widths)
      : widths_(*widths),
        judge_(widths->prepared.network, widths->prepared.data, options.convert.seed, kPasses) {
    if (options.convert.moments) records_ = MeasureRecords(options.convert, options.most, widths);
  }

  // KL(FP32, plan); of a plan whose file the reader refuses the largest that there can be.
  double Divergence(const Plan& plan) { return Of(plan).divergence; }

  // The same, but throws Error if the reader refuses the file. A search counts a refused plan as
  // the worst: when the one that it found is refused, every plan that it judged was.
  double AcceptedDivergence(const Plan& plan) {
    const Judgement judgement = Of(plan);
    if (!judgement.is_refused()) return judgement.divergence;
    throw host::Error("no bits can be allocated: " +
                      RefusalText(judgement.refusal, widths_.Lower(plan).reports));
  }
  int evaluations() const { return evaluations_; }

 private:
  Judgement Of(const Plan& plan) {
    ++evaluations_;
    Lowered lowered = widths_.Lower(plan);
    lowered.content.outputs.moments = records_;
    return judge_.Judge(format::Write(lowered.content),
                        records_.empty() ? Method::kSampling : Method::kMoments);
  }

  Widths& widths_;
  EnsembleJudge judge_;
  std::vector<format::MomentsRecord> records_;  // by layer; empty: plans are judged by sampling
  int evaluations_ = 0;
};

double Quantile(std::vector<double> values, double p) {
  std::sort(values.begin(), values.end());
  const double at = p * static_cast<double>(values.size() - 1);
  return values[static_cast<std::size_t>(std::nearbyint(at))];
}

// The posterior of one unit.
struct Posterior {
  std::span<const float> mu, sigma;

  double Range() const {  // R: the largest |mu|
    double largest = kLeastSigma;
    for (const float m : mu) largest = std::max(largest, std::abs(double{m}));
    return largest;
  }
  std::vector<double> Ratios() const {  // |mu| / sigma
    std::vector<double> ratios;
    for (std::size_t i = 0; i < mu.size(); ++i) {
      ratios.push_back(std::abs(double{mu[i]}) / std::max(double{sigma[i]}, kLeastSigma));
    }
    return ratios;
  }
  double Rms() const {  // of sigma
    double variance = 0;
    for (const float s : sigma) variance += double{s} * double{s};
    return std::sqrt(std::max(variance / static_cast<double>(sigma.size()), kLeastSigma));
  }
};

// Bits that a unit wants, but for a constant that all share.
double Score(const std::string& method, const Posterior& posterior, double quantile) {
  if (method == "quantile-inform") {
    const std::vector<double> sigma(posterior.sigma.begin(), posterior.sigma.end());
    return std::log2(2 * posterior.Range() / std::max(Quantile(sigma, quantile), kLeastSigma));
  }
  if (method == "snr") {
    return std::log2(std::max(Quantile(posterior.Ratios(), 0.5), kLeastSigma));
  }
  return std::log2(2 * posterior.Range() / posterior.Rms());  // posterior-variance
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
      : options_(options), widths_(QuantizeWidths(options)), judge_(options, &widths_) {}

  Allocation Find(const Request& request) {
    const auto start = std::chrono::steady_clock::now();
    const int evaluations = judge_.evaluations();
    if (request.method == "sensitivity" && sensitivities_.units.empty()) MeasureSensitivities();
    std::vector<double> scores;
    Plan plan = FindPlan(request, &scores);
    for (std::size_t u = 0; u < plan.size(); ++u) {
      plan[u] = costs()[u].stored[static_cast<std::size_t>(plan[u])];
    }
    Allocation out;
    out.layers = Layers(plan, scores);
    out.average_bits = AverageBits(costs(), plan);
    out.posterior_error = PosteriorError(costs(), plan);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    out.seconds = taken.count();
    if (request.method == "sensitivity") {  // every budget shares them, each would need them
      out.evaluations = sensitivities_.evaluations;
      out.seconds = sensitivities_.seconds;
    } else {
      out.evaluations = judge_.evaluations() - evaluations;
    }
    out.divergence = judge_.AcceptedDivergence(plan);
    ++out.evaluations;
    return out;
  }

  const std::vector<std::string>& notices() const { return widths_.notices; }

 private:
  Plan FindPlan(const Request& request, std::vector<double>* scores) {
    const Budget budget{request.average_bits, options_.least, options_.most};
    const SearchOptions search{.evaluations = options_.evaluations, .seed = request.seed};
    const Plan least(costs().size(), budget.least);
    const Loss loss = [this](const Plan& plan) { return LossOf(plan); };
    if (request.method == "uniform") {
      return Plan(costs().size(), std::min(static_cast<int>(budget.average), budget.most));
    }
    if (request.method == "greedy") return Fill(costs(), budget, least);
    if (request.method == "sensitivity") return Fill(sensitivities_.units, budget, least);
    if (request.method == "random-search") return RandomSearch(costs(), budget, search, loss);
    const bool is_random = request.method == "random-bits";
    *scores = Scores(is_random ? "quantile-inform" : request.method);
    const Plan plan = FromScores(costs(), budget, *scores);
    return is_random ? RandomBits(costs(), budget, plan, search, loss) : plan;
  }

  const std::vector<UnitCosts>& costs() const { return widths_.costs; }

  std::vector<PlannedLayer> Layers(const Plan& plan, const std::vector<double>& scores) const {
    std::vector<PlannedLayer> layers;
    for (std::size_t u = 0; u < plan.size(); ++u) {
      if (u == 0 || widths_.units[u].step != widths_.units[u - 1].step) {
        layers.push_back({costs()[u].name, 0, {}, {}});
      }
      layers.back().weights += costs()[u].weights;
      layers.back().mu_bits.push_back(plan[u]);
      if (!scores.empty()) layers.back().scores.push_back(scores[u]);
    }
    return layers;
  }

  std::vector<double> Scores(const std::string& method) const {
    std::vector<double> found;
    for (const Unit& unit : widths_.units) {
      const GaussianTensor& weights = widths_.NodeOf(unit.step).weights;
      const std::size_t count = unit.last - unit.first;
      const Posterior posterior{std::span(weights.mu).subspan(unit.first, count),
                                std::span(weights.sigma).subspan(unit.first, count)};
      found.push_back(Score(method, posterior, options_.quantile));
    }
    return found;
  }

  double LossOf(const Plan& plan) {
    if (options_.convert.progress) options_.convert.progress("judge plans", 0.0);
    const double posterior = options_.training_images > 0
                                 ? PosteriorError(costs(), plan) / options_.training_images
                                 : 0.0;
    return judge_.Divergence(plan) + posterior;
  }

  // The divergence of one unit at a time with b bits, the others with as many as they may have.
  void MeasureSensitivities() {
    const auto start = std::chrono::steady_clock::now();
    const int evaluations = judge_.evaluations();
    std::vector<UnitCosts> costs = widths_.costs;
    const Plan most(costs.size(), options_.most);
    const double floor = judge_.AcceptedDivergence(most);
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
    std::vector<UnitCosts> units;  // empty until they are asked for
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
const std::vector<std::string>& Allocator::notices() const { return work_->notices(); }

}  // namespace mu8::convert
