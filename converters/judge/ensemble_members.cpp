#include "converters/judge/ensemble_members.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace mu8::convert {
namespace {

using Values = std::vector<float> EnsembleResult::*;

// The mean over the members of one of their columns; empty where one of them has none (a file of
// values need not say its noise).
std::vector<float> MeanOf(const std::vector<EnsembleResult>& members, Values column) {
  for (const EnsembleResult& member : members) {
    if ((member.*column).empty()) return {};
  }
  std::vector<float> mean((members.front().*column).size());
  for (std::size_t i = 0; i < mean.size(); ++i) {
    double sum = 0;
    for (const EnsembleResult& member : members) sum += static_cast<double>((member.*column)[i]);
    mean[i] = static_cast<float>(sum / static_cast<double>(members.size()));
  }
  return mean;
}

// The law of total variance.
std::vector<float> VarianceOf(const std::vector<EnsembleResult>& members, Values mean_column,
                              Values variance_column) {
  std::vector<float> variance = MeanOf(members, variance_column);
  for (std::size_t i = 0; i < variance.size(); ++i) {
    double sum = 0, squares = 0;
    for (const EnsembleResult& member : members) {
      sum += static_cast<double>((member.*mean_column)[i]);
    }
    const double center = sum / static_cast<double>(members.size());
    for (const EnsembleResult& member : members) {
      const double off = static_cast<double>((member.*mean_column)[i]) - center;
      squares += off * off;
    }
    variance[i] += static_cast<float>(squares / static_cast<double>(members.size()));
  }
  return variance;
}

double BernoulliEntropy(double p) {
  return p > 0 && p < 1 ? -p * std::log(p) - (1 - p) * std::log1p(-p) : 0.0;
}

// Of the members' mean, which is not rounded to a float: that would drown what they differ by.
double EntropyOf(const std::vector<EnsembleResult>& members, std::size_t image) {
  std::vector<double> mean(members.front().classes);
  for (const EnsembleResult& member : members) {
    const std::span<const float> row = member.view().row(image);
    for (std::size_t c = 0; c < mean.size(); ++c) {
      mean[c] += static_cast<double>(row[c]) / static_cast<double>(members.size());
    }
  }
  if (members.front().head == Head::kSoftmax) return host::Entropy(mean);
  double sum = 0;
  for (const double p : mean) sum += BernoulliEntropy(p);
  return sum;
}

std::vector<Uncertainty> UncertaintyOf(const std::vector<EnsembleResult>& members) {
  std::vector<Uncertainty> all(members.front().uncertainty.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    double aleatoric = 0;
    for (const EnsembleResult& member : members) {
      aleatoric += static_cast<double>(member.uncertainty[i].aleatoric);
    }
    aleatoric /= static_cast<double>(members.size());
    const double entropy = EntropyOf(members, i);
    all[i] = {.entropy = static_cast<float>(entropy),
              .aleatoric = static_cast<float>(aleatoric),
              .mutual_information = static_cast<float>(std::max(entropy - aleatoric, 0.0))};
  }
  return all;
}

}  // namespace

EnsembleResult Together(const std::vector<EnsembleResult>& members) {
  EnsembleResult all = members.front();
  all.mean = MeanOf(members, &EnsembleResult::mean);
  all.variance = VarianceOf(members, &EnsembleResult::mean, &EnsembleResult::variance);
  all.noise = MeanOf(members, &EnsembleResult::noise);
  all.error = MeanOf(members, &EnsembleResult::error);
  all.error_variance = VarianceOf(members, &EnsembleResult::error, &EnsembleResult::error_variance);
  all.uncertainty = UncertaintyOf(members);
  all.abstains.clear();
  all.samples = 0;
  all.seconds = 0;
  for (const EnsembleResult& member : members) {
    for (std::size_t i = 0; i < all.clamped.size(); ++i) {
      all.clamped[i] = std::max(all.clamped[i], member.clamped[i]);
    }
    all.samples += member.samples;
    all.seconds += member.seconds;
  }
  return all;
}

}  // namespace mu8::convert
