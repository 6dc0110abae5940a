#include "converters/host/probabilities.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace mu8::host {
namespace {

template <typename Logit>
std::vector<double> SoftmaxOf(std::span<const Logit> logits) {
  const auto top = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  std::vector<double> p;
  p.reserve(logits.size());
  double sum = 0.0;
  for (const Logit logit : logits) {
    p.push_back(std::exp(static_cast<double>(logit) - top));
    sum += p.back();
  }
  for (double& value : p) value /= sum;
  return p;
}

template <typename Probability>
double EntropyOf(std::span<const Probability> distribution) {
  double sum = 0.0;
  for (const Probability value : distribution) {
    const auto p = static_cast<double>(value);
    if (p > 0.0) sum -= p * std::log(p);
  }
  return sum;
}

template <typename P>
void AddDivergenceOf(std::span<const P> p, std::span<const P> q, double* sum) {
  for (std::size_t c = 0; c < p.size(); ++c) {
    const double p_value = std::max(static_cast<double>(p[c]), kKlFloor);
    const double q_value = std::max(static_cast<double>(q[c]), kKlFloor);
    *sum += p_value * std::log(p_value / q_value);
  }
}

}  // namespace

double Sigmoid(double x) {
  const double e = std::exp(-std::fabs(x));
  return x >= 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
}

double BernoulliDivergence(double p, double q) {
  p = std::clamp(p, kKlFloor, 1.0 - kKlFloor);
  q = std::clamp(q, kKlFloor, 1.0 - kKlFloor);
  return p * std::log(p / q) + (1.0 - p) * std::log((1.0 - p) / (1.0 - q));
}

std::vector<double> Softmax(std::span<const float> logits) { return SoftmaxOf(logits); }
std::vector<double> Softmax(std::span<const double> logits) { return SoftmaxOf(logits); }

double Entropy(std::span<const float> distribution) { return EntropyOf(distribution); }
double Entropy(std::span<const double> distribution) { return EntropyOf(distribution); }

void AddDivergence(std::span<const float> p, std::span<const float> q, double* sum) {
  AddDivergenceOf(p, q, sum);
}
void AddDivergence(std::span<const double> p, std::span<const double> q, double* sum) {
  AddDivergenceOf(p, q, sum);
}

}  // namespace mu8::host
