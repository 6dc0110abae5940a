#include "converters/allocate/bit_allocation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "converters/host/probabilities.h"

namespace mu8::convert {
namespace {

constexpr double kRate = 0.5;  // of the logits, for losses of unit deviation
constexpr int kBisections = 60;

double TotalBits(const std::vector<UnitCosts>& units, const Plan& plan) {
  double bits = 0;
  for (std::size_t l = 0; l < units.size(); ++l) {
    bits +=
        static_cast<double>(units[l].weights) * units[l].stored[static_cast<std::size_t>(plan[l])];
  }
  return bits;
}

double Allowed(const std::vector<UnitCosts>& units, const Budget& budget) {
  double weights = 0;
  for (const UnitCosts& unit : units) weights += static_cast<double>(unit.weights);
  return budget.average * weights * (1 + 1e-12);
}

// What the step from `bits` to one more costs in stored bits, and the error that it takes away per
// bit. A step that costs nothing has endless gain.
struct StepUp {
  double cost, gain;
};
StepUp Above(const UnitCosts& unit, int bits) {
  const auto at = static_cast<std::size_t>(bits);
  const double cost = static_cast<double>(unit.weights) * (unit.stored[at + 1] - unit.stored[at]);
  if (!(cost > 0)) return {0.0, std::numeric_limits<double>::infinity()};
  return {cost, (unit.error[at] - unit.error[at + 1]) / cost};
}

// Plans and their losses: none is judged twice.
class Search {
 public:
  Search(const Loss& loss, int evaluations) : loss_(loss), left_(evaluations) {}

  double Judge(const Plan& plan) {
    const auto [place, is_new] = seen_.try_emplace(plan, 0.0);
    if (is_new) {
      --left_;
      place->second = loss_(plan);
      if (place->second < best_loss_) {
        best_loss_ = place->second;
        best_ = plan;
      }
    }
    return place->second;
  }
  bool is_over() const { return left_ <= 0; }
  const Plan& best() const { return best_; }

 private:
  const Loss& loss_;
  int left_;
  std::map<Plan, double> seen_;
  Plan best_;
  double best_loss_ = std::numeric_limits<double>::infinity();
};

// In [0, 1), the same with every standard library.
double Unit(std::mt19937_64* random) { return static_cast<double>((*random)() >> 11) * 0x1p-53; }

std::size_t Draw(const std::vector<double>& probabilities, std::mt19937_64* random) {
  double left = Unit(random);
  for (std::size_t i = 0; i + 1 < probabilities.size(); ++i) {
    left -= probabilities[i];
    if (left < 0) return i;
  }
  return probabilities.size() - 1;
}

// Losses less the mean of the others, over their deviation.
std::vector<double> Advantages(const std::vector<double>& losses) {
  const auto count = static_cast<double>(losses.size());
  double sum = 0, squares = 0;
  for (const double loss : losses) sum += loss;
  for (const double loss : losses) squares += (loss - sum / count) * (loss - sum / count);
  const double deviation = std::sqrt(squares / count);
  std::vector<double> advantages;
  for (const double loss : losses) {
    const double others = (sum - loss) / (count - 1);
    advantages.push_back(deviation > 0 ? (loss - others) / deviation : 0.0);
  }
  return advantages;
}

}  // namespace

double AverageBits(const std::vector<UnitCosts>& units, const Plan& plan) {
  double weights = 0;
  for (const UnitCosts& unit : units) weights += static_cast<double>(unit.weights);
  return TotalBits(units, plan) / weights;
}

double PosteriorError(const std::vector<UnitCosts>& units, const Plan& plan) {
  double error = 0;
  for (std::size_t l = 0; l < units.size(); ++l) {
    error += units[l].error[static_cast<std::size_t>(plan[l])];
  }
  return error;
}

Plan Fill(const std::vector<UnitCosts>& units, const Budget& budget, Plan plan) {
  double left = Allowed(units, budget) - TotalBits(units, plan);
  while (true) {
    std::size_t best = units.size();
    double best_gain = 0;
    for (std::size_t l = 0; l < units.size(); ++l) {
      if (plan[l] >= budget.most) continue;
      const StepUp step = Above(units[l], plan[l]);
      if (step.cost > left) continue;
      if (best == units.size() || step.gain > best_gain) {
        best = l;
        best_gain = step.gain;
      }
    }
    if (best == units.size()) return plan;
    left -= Above(units[best], plan[best]).cost;
    ++plan[best];
  }
}

Plan Repair(const std::vector<UnitCosts>& units, const Budget& budget, Plan plan) {
  const double allowed = Allowed(units, budget);
  while (TotalBits(units, plan) > allowed) {
    std::size_t best = units.size();
    double least = 0;
    for (std::size_t l = 0; l < units.size(); ++l) {
      if (plan[l] <= budget.least) continue;
      const StepUp step = Above(units[l], plan[l] - 1);
      const double loss = step.cost > 0 ? step.gain : -std::numeric_limits<double>::infinity();
      if (best == units.size() || loss < least) {
        best = l;
        least = loss;
      }
    }
    if (best == units.size()) break;
    --plan[best];
  }
  return Fill(units, budget, plan);
}

Plan FromScores(const std::vector<UnitCosts>& units, const Budget& budget,
                const std::vector<double>& scores) {
  const auto at = [&](double offset) {
    Plan plan;
    for (const double score : scores) {
      plan.push_back(static_cast<int>(std::clamp(
          std::nearbyint(score + offset), double{1} * budget.least, double{1} * budget.most)));
    }
    return plan;
  };
  const auto [lowest, highest] = std::minmax_element(scores.begin(), scores.end());
  double below = budget.least - *highest - 1;  // all at least
  double above = budget.most - *lowest + 1;    // all at most
  for (int i = 0; i < kBisections; ++i) {
    const double middle = 0.5 * (below + above);
    (TotalBits(units, at(middle)) <= Allowed(units, budget) ? below : above) = middle;
  }
  return Fill(units, budget, at(below));
}

Plan RandomBits(const std::vector<UnitCosts>& units, const Budget& budget, const Plan& start,
                const SearchOptions& options, const Loss& loss) {
  std::mt19937_64 random(options.seed);
  std::vector<std::vector<double>> logits(units.size());  // of a categorical distribution for each
  for (std::size_t l = 0; l < units.size(); ++l) {
    for (int b = budget.least; b <= budget.most; ++b) {
      logits[l].push_back(-std::abs(b - start[l]));
    }
  }
  Search search(loss, options.evaluations);
  search.Judge(Repair(units, budget, start));
  const Plan uniform(units.size(), std::min(static_cast<int>(budget.average), budget.most));
  search.Judge(Fill(units, budget, uniform));
  // Once the distribution has settled all plans have been seen: steps are bounded, too.
  for (int step = 0; step < options.evaluations && !search.is_over(); ++step) {
    std::vector<std::vector<std::size_t>> drawn;
    std::vector<double> losses;
    for (int k = 0; k < options.samples; ++k) {
      std::vector<std::size_t> indices;
      Plan plan;
      for (const std::vector<double>& unit : logits) {
        indices.push_back(Draw(host::Softmax(unit), &random));
        plan.push_back(budget.least + static_cast<int>(indices.back()));
      }
      losses.push_back(search.Judge(Repair(units, budget, plan)));
      drawn.push_back(std::move(indices));
    }
    const std::vector<double> advantages = Advantages(losses);
    for (std::size_t l = 0; l < units.size(); ++l) {
      const std::vector<double> p = host::Softmax(logits[l]);
      for (std::size_t k = 0; k < drawn.size(); ++k) {
        const double rate = kRate * advantages[k] / static_cast<double>(drawn.size());
        for (std::size_t i = 0; i < p.size(); ++i) {
          logits[l][i] -= rate * ((drawn[k][l] == i ? 1.0 : 0.0) - p[i]);
        }
      }
    }
  }
  return search.best();
}

Plan RandomSearch(const std::vector<UnitCosts>& units, const Budget& budget,
                  const SearchOptions& options, const Loss& loss) {
  std::mt19937_64 random(options.seed);
  Search search(loss, options.evaluations);
  const int widths = budget.most - budget.least + 1;
  for (int step = 0; step < 20 * options.evaluations && !search.is_over(); ++step) {
    Plan plan;
    for (std::size_t l = 0; l < units.size(); ++l) {
      plan.push_back(budget.least + static_cast<int>(Unit(&random) * widths));
    }
    search.Judge(Repair(units, budget, plan));
  }
  return search.best();
}

}  // namespace mu8::convert
