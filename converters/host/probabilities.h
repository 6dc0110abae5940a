// Softmax, entropy and divergence of single distributions, in double, natural logarithms. Metrics
// of whole data sets are in metrics.h.
#pragma once

#include <span>
#include <vector>

namespace mu8::host {

// Both distributions of a KL divergence are clipped to at least this, and not renormalized.
inline constexpr double kKlFloor = 1e-9;

// p_c = exp(l_c - max l) / sum. `logits` are finite and at least one.
std::vector<double> Softmax(std::span<const float> logits);
std::vector<double> Softmax(std::span<const double> logits);

// 1 / (1 + exp(-x)).
double Sigmoid(double x);

// KL between two Bernoullis, p and q clipped to [kKlFloor, 1 - kKlFloor], nats.
double BernoulliDivergence(double p, double q);

// -sum_c p_c ln p_c in nats; 0 ln 0 = 0 (Shannon 1948).
double Entropy(std::span<const float> distribution);
double Entropy(std::span<const double> distribution);

// sum += KL(p || q) = sum_c p_c ln(p_c / q_c), each clipped to at least kKlFloor, nats (Kullback
// and Leibler 1951). Clipping without renormalizing can make it negative, by at most classes *
// kKlFloor.
void AddDivergence(std::span<const float> p, std::span<const float> q, double* sum);
void AddDivergence(std::span<const double> p, std::span<const double> q, double* sum);

}  // namespace mu8::host
