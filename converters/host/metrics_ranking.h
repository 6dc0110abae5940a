// How well a score orders images: errors or foreign images above the rest (detection), and correct
// answers first (selective prediction). Only the order counts, so monotonic changes of a score
// change nothing. Equal scores are one threshold: no result depends on the order of the data.
// METRICS.md compares definitions.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace mu8::host {

// ---- Detection: `positives` ought to score higher than `negatives`. Both hold at least one score
// and no NaN.

// Probability that a positive scores above a negative, ties counting half: the rank statistic
// (Hanley and McNeil 1982; Fawcett 2006, sec. 7).
double Auroc(std::span<const double> negatives, std::span<const double> positives);

// Area under precision over recall by steps, sum_n (R_n - R_(n-1)) P_n over the distinct scores
// from the highest down: average precision (Davis and Goadrich 2006 on why not by trapezoids).
double AveragePrecision(std::span<const double> negatives, std::span<const double> positives);

// Fraction of the negatives at or above the highest threshold that at least `recall` of the
// positives reach: FPR95 with recall 0.95 (Hendrycks, Mazeika and Dietterich 2019).
double FalsePositiveRate(std::span<const double> negatives, std::span<const double> positives,
                         double recall = 0.95);

struct Detection {
  double auroc = 0;
  double aupr_positive = 0;  // average precision of the positives by the score
  double aupr_negative = 0;  // of the negatives by the score turned around
  double fpr95 = 0;
};

// All four; nothing when a set is empty.
std::optional<Detection> Detect(std::span<const double> negatives,
                                std::span<const double> positives);

// ---- Selective prediction: answer only where `confidence` is highest. `correct` is 1 or 0; one
// value of each per image, at least one image.

struct Ranked {
  double score = 0;
  double value = 0;
};

// From the highest score down. Images of equal score all get their mean value, which is what a
// random order among them would give on average.
std::vector<Ranked> SortDescending(std::span<const double> scores, std::span<const double> values);

// risk[k - 1]: fraction of errors among the k most confident images, k = 1 to N (El-Yaniv and
// Wiener 2010; Geifman and El-Yaniv 2017).
std::vector<double> RiskCoverage(std::span<const double> confidence,
                                 std::span<const double> correct);

// Area under it: the mean of risk over the N coverages (Geifman, Uziel and El-Yaniv 2019).
double Aurc(std::span<const double> risk);

// Risk of the ceil(coverage * N) most confident images; coverage in (0, 1].
double RiskAtCoverage(std::span<const double> risk, double coverage);

// The images whose confidence is at least `threshold` (Lakshminarayanan et al. 2017,
// "accuracy as a function of confidence").
struct Answered {
  std::size_t images = 0;
  double correct = 0;  // how many of them are right
};
Answered AtConfidence(std::span<const double> confidence, std::span<const double> correct,
                      double threshold);

// Fraction times count, rounded up; a product that arithmetic lifts just above a whole number is
// that number.
std::size_t CountOf(double fraction, std::size_t count);

}  // namespace mu8::host
