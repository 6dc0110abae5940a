// What a model's inputs and outputs are, and what the passes say about one image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "mu8/options.h"

namespace mu8 {

// What the network's outputs are; the file says so.
enum class Head : std::uint8_t {
  kSoftmax = 0,         // classes that exclude each other: a prediction is their probabilities
  kSigmoid = 1,         // labels, each true or not: a prediction is the probability of each
  kValues = 2,          // numbers, in the network's own units
  kGaussian = 3,        // such numbers, each with the variance of its noise as the network sees it
  kReconstruction = 4,  // numbers that ought to be the input again
};

// What the network's inputs are; the file says so.
enum class InputKind : std::uint8_t {
  kPixels = 0,   // u8, or floats in the network's own (normalized) units
  kNumbers = 1,  // floats as they were measured; the file normalizes them, channel by channel
};

// Prediction::label where there is none: every head but kSoftmax.
inline constexpr std::uint32_t kNoLabel = 0xffffffff;

// Why an image got no more passes.
enum class Ended : std::uint8_t {
  kAllSamples = 0,
  kLabel = 1,  // StopRule::kLabel decided
  kAbove = 2,  // StopRule::kThreshold decided: the probability is above the threshold
  kBelow = 3,
  kDeadline = 4,  // keep_going said no
  kWithin = 5,    // StopRule::kWithin decided
  kDecided = 6,   // StopRule::kThresholds decided every chosen output
  kMoments = 7,   // Method::kAuto: moments left no doubt
};

// What StopRule::kThresholds says of one output.
enum class Decision : std::uint8_t {
  kNotChosen = 0,
  kUndecided = 1,
  kAbove = 2,
  kBelow = 3,
};

// All that a prediction is a function of beside its image: enough to compute it again, bit for bit.
// ReplayOptions makes a session's options of it. What a rule does not use is 0. Plain data of fixed
// size, to be kept beside a prediction or sent away; two records of the same bytes are of the same
// computation. It says nothing of the image, which the caller keeps, and nothing of kernels, batch
// and workers, which change no byte.
struct ReplayRecord {
  std::uint64_t model_hash = 0;  // Model::hash()
  std::uint64_t seed = 0;
  std::uint32_t mc_samples = 0;    // T of the session
  std::uint32_t samples_used = 0;  // of this image
  float stop_error = 0, stop_threshold = 0, stop_within = 0;
  std::uint32_t stop_class = 0;
  // kThresholds: the CRC-32C of Stop::chosen, each entry as a byte 0 or 1, or 0 if it is empty. The
  // list itself is in Prediction::decisions: all but kNotChosen.
  std::uint32_t stop_chosen_crc = 0;
  std::uint32_t library_version = 0;  // kLibraryVersion of what predicted
  std::uint16_t format_major = 0, format_minor = 0;
  Method method = Method::kSampling;  // which made the prediction: never kAuto
  Noise noise = Noise::kIndependent;
  StopRule stop_rule = StopRule::kNone;
  Ended ended = Ended::kAllSamples;
};
static_assert(sizeof(ReplayRecord) == 56);  // without padding

// What a file's threshold of abstaining is compared with. All are of the whole prediction, of a
// position where there are several their mean, but variances, which are of each output.
enum class AbstainMeasure : std::uint8_t {
  kNone = 0,               // the file has no threshold: no prediction abstains
  kPredictiveEntropy = 1,  // nats
  kMutualInformation = 2,  // nats; grows with T
  kVariance = 3,           // of each number, over the networks
  kTotalVariance = 4,      // variance + noise_variance: of an observation
  kError = 5,              // kReconstruction
};

// What the passes say about one image. The spans lie in the session's arena and hold until its
// next Predict. T is samples_used; a session with mc_samples = samples_used, the same noise and no
// stop rule gives the same bytes again. Entropies are in nats: predictive_entropy = H(mean_t p_t),
// expected_entropy = mean_t H(p_t) (aleatoric), mutual_information = their difference (epistemic;
// Houlsby 2011, eq. 1). It grows with T for the same network: compare at equal T.
// kSigmoid: mean and variance are those of each label's probability, output_entropy and
// output_expected_entropy its entropies (their difference is epistemic), and the three entropies
// the sums over the labels. kValues: mean and variance are those of each number over the networks
// (epistemic; the noise of observations is not in it), in its own unit and its square; all
// entropies are 0. kGaussian: the same, and noise_variance is the mean over the networks of the
// noise's variance (aleatoric; Kendall and Gal 2017, eq. 9): that of an observation is the sum.
// kReconstruction: that of kValues, and how far each network is from the input.
// At several positions [outputs] is NHWC, Model::output_size() of them. kSoftmax then has entropies
// of each position, the three scalars are their means over the positions, and there is no label.
struct Prediction {
  std::uint32_t label = 0;          // the most probable class, the lowest index among equals; or
                                    // kNoLabel
  std::span<const float> mean;      // [outputs] mean probabilities, or values
  std::span<const float> variance;  // [outputs] variance of p_t over the passes, 1/T
  std::span<const float> output_entropy;           // [outputs], kSigmoid; kSoftmax: [positions] if
  std::span<const float> output_expected_entropy;  // there are several; else empty
  float predictive_entropy = 0;
  float expected_entropy = 0;
  float mutual_information = 0;
  std::uint32_t samples_used = 0;  // 0: the prediction is one by moments
  Ended ended = Ended::kAllSamples;
  // [T] rows of `logits_stride`; of Method::kMoments one, their mean. Empty unless kept.
  std::span<const float> logits;
  // Floats from one pass to the next. A row has one for each output; of kGaussian, at each position
  // the numbers, then their scales before the clamp.
  std::size_t logits_stride = 0;
  // Method::kMoments, where logits are kept: kSoftmax up to 64 classes [positions][classes]
  // [classes] their covariance over the networks, else [positions][row] the variance of each, which
  // then count as independent of each other.
  std::span<const float> logit_covariance;
  // How many of the image's values lay beyond the range that the file can store, by more than
  // rounding, and were clamped (FORMAT.md 5.1). Many: the image is not like those that the model
  // was calibrated with, and the prediction is about another one. 0 for u8 images.
  std::uint32_t clamped_inputs = 0;
  // [outputs] variance of an observation's noise, in the square of the output's unit: of kGaussian
  // the mean over the passes, of kValues what the file says, if it says so; else empty.
  std::span<const float> noise_variance;
  // kGaussian: how many of the T x outputs variances the file's bounds have clamped, at most
  // 2^32 - 1. Many: noise_variance is no more than a bound.
  std::uint32_t clamped_scales = 0;
  // kReconstruction: a network's squared error is the mean over its outputs of the squared
  // difference to the input, in the square of the output's unit; these are its mean and variance
  // (1/T) over the networks. A pass counts 2^40 units of the file at most for one output, and 2^47
  // for all.
  float error = 0;
  float error_variance = 0;
  // kReconstruction: [outputs] what each ought to have been, the input in the outputs' unit; else
  // empty. SquaredError says how far each was from it.
  std::span<const float> target;
  // Of a stop rule for values: how many passes gave a value outside the output's range, which the
  // rule clipped. More than a few: the promise is about another mean than `mean`.
  std::uint32_t clipped_passes = 0;
  // StopRule::kThresholds: [outputs], by whichever way the image ended; else empty. A decision
  // stays as the passes made it, so `mean`, that of later ones too, may lie on the other side. Of
  // Ended::kMoments they say on which side the mean lies.
  std::span<const Decision> decisions;
  // The file's measure of uncertainty is above its threshold (FORMAT.md 10.6): let somebody else
  // decide. Every other field is what it is without. Thresholds hold for the T and the noise that
  // they were measured with (Model::abstain_samples); mutual information and variances depend on
  // both.
  bool abstains = false;
  ReplayRecord replay;
};

// Options that compute a prediction again: a session's with the record's seed, noise, rule and
// passes (those used, where a deadline ended them: `ended` is then kAllSamples, all else the same;
// so it is where moments decided an image of kAuto, which has no decisions then).
// `chosen` is Stop::chosen, to outlive the session.
SessionOptions ReplayOptions(const ReplayRecord& record, std::span<const std::uint8_t> chosen = {});

// kReconstruction: output i's squared difference to its target, the mean over the networks, in the
// square of its unit: (mean - target)^2 + variance. Not bounded as `error` is, which is else the
// mean of these up to rounding. NaN for other heads and beyond the outputs.
float SquaredError(const Prediction& prediction, std::size_t i);

}  // namespace mu8
