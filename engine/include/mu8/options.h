// What a session is asked to do: how many weight samples, from which noise, when an image has had
// enough of them, and who runs them.
#pragma once

#include <cstdint>
#include <span>

#include "mu8/version.h"

namespace mu8 {

// Which kernels run. All give the same bytes; kAuto takes the fastest that this processor has.
enum class KernelSet : std::uint8_t {
  kAuto = 0,
  kScalar = 1,
  kAvx2 = 2,
  kAvx512Vnni = 3,  // AVX-512 F, CD, BW, DQ, VL and VNNI: Cascade Lake and later
  kAvx512Vbmi = 4,  // and VBMI, which draws weights faster: Ice Lake, Zen 4 and later
  kAvxVnni = 5,     // AVX2 and AVX-VNNI, without AVX-512: Alder Lake and later
  kPortable = 6,    // tuned C++ for processors without vectors
  kNeon = 7,        // AArch64, and ARMv7 with NEON
  kNeonDot = 8,     // AArch64 with SDOT: Cortex-A55, A75 and later
  kNeonI8mm = 9,    // AArch64 with USMMLA: Cortex-A510, A710, Neoverse N2 and later
  kArmDsp = 10,     // Cortex-M4, M7, M33
  kHelium = 11,     // Cortex-M55, M85
  kWasm128 = 12,    // WebAssembly with 128-bit vectors
};

// How the passes of a prediction draw their noise.
enum class Noise : std::uint8_t {
  kIndependent = 0,  // each its own: p_t are independent and identically distributed
  // Passes 2k and 2k + 1 are a pair, w = mu + n and w = mu - n with the noise of pass 2k (before
  // rounding and clamping). The mean of p_t is unbiased as before and usually closer to its limit.
  // The passes are not independent: the pair is the unit of every error estimate, and mutual
  // information and variance have another distribution than without pairs. Never share a threshold
  // on them between the two modes.
  kAntithetic = 1,
};

// How a prediction is made.
enum class Method : std::uint8_t {
  kSampling = 0,  // mc_samples networks, their weights drawn (FORMAT.md 9)
  // One pass with the mean and variance of each activation (FORMAT.md 13), of files that have what
  // it needs, and of heads softmax, sigmoid, values and gaussian, else kNoMoments. Some 3 to
  // 13 times the work of a pass with fixed weights, by processor and network. It approximates what
  // infinitely many passes would say: how well, docs/MOMENTS.md tells. mc_samples, seed and noise
  // do not matter, keep_going is not asked, one worker runs it, and `profile` is not told of the
  // last layer; a stop rule and check_products are refused (kBadOption). keep_logits keeps the
  // logits' mean and covariance.
  kMoments = 1,
  // Moments first, then sampling of the images that they leave in doubt (SessionOptions::doubt),
  // under the stop rule, if there is one. An image that moments decide has Ended::kMoments and
  // their prediction; no promise is made about it (engine/STOPPING.md). Any other has what
  // kSampling would give it, and the rule's promise. Needs a rule, kWithin excepted, or a band of
  // entropies; keep_logits and check_products are refused (kBadOption).
  kAuto = 2,
};

// Of Method::kAuto: which images moments leave to sampling.
struct Doubt {
  // An image is in doubt where the mean by moments is less than `margin` away from another
  // decision of the stop rule: kLabel, the most probable class from the next one; kThreshold,
  // kThresholds, an output in question from the threshold, in probability, of values in shares of
  // the range. 1e-6 to 1. docs/MOMENTS.md shows what the default costs and finds.
  float margin = 0.2F;
  // And where its predictive entropy by moments, in nats, is in [entropy_from, entropy_to]: around
  // a threshold of yours, for example. 0 and 0: no such band. Heads softmax and sigmoid.
  float entropy_from = 0.0F, entropy_to = 0.0F;
};

// What has to be decided before an image's passes may end early.
enum class StopRule : std::uint8_t {
  kNone = 0,       // nothing: every image gets mc_samples passes
  kLabel = 1,      // that the most probable class is the most probable one
  kThreshold = 2,  // that the probability (or value) of an output is above, or below, a threshold
  kWithin = 3,     // values: an output's mean, up to a tolerance
  // That the probability of each of several labels or classes is above, or below, the threshold.
  kThresholds = 4,
};

// A sequential rule that holds at any stopping time. Let q be the mean prediction of infinitely
// many passes. An image ends early with a wrong decision (a label that is not the largest of q;
// "above" though q[class_index] <= threshold, or "below" though it is >=) with probability at most
// `error` over the seeds. kThreshold holds for one label of a sigmoid head as well.
// Values and gaussian heads at one position: kThreshold and kWithin hold for one output of a file
// that has a range for it, and for the mean of the value clipped to that range; kWithin ends when
// the mean of the passes is within `within` of that limit but for `error`.
// kThresholds, sigmoid and softmax heads at one position: each chosen output is decided by itself,
// with the error divided by their number, and keeps its decision; the image ends once all are
// decided. `error` bounds the probability that any decision of an image is wrong ("above" though
// q < threshold, or "below" though q > threshold), those of images that end otherwise too.
// engine/STOPPING.md has the theorems, and how many passes it takes. Mutual information grows with
// the number of passes: compare it at equal samples_used only.
struct Stop {
  StopRule rule = StopRule::kNone;
  float error = 0.05F;            // 1e-6 to 0.5
  std::uint32_t class_index = 0;  // kThreshold, kWithin: the output
  // kThreshold: 1e-6 to 1 - 1e-6; of values in their unit, from a millionth of the range above its
  // low end to as much below its high end.
  float threshold = 0.5F;
  float within = 0.0F;  // kWithin: in the value's unit, a millionth to a half of the range
  // kThresholds: [class_count], not 0 for each output to decide about, one at least; empty: all.
  // Read by every call: must outlive the session.
  std::span<const std::uint8_t> chosen = {};
};

// Calls task(job, i) for every i below `count`, in any order, on any threads, and returns when all
// have returned. One call runs at a time.
using Task = void (*)(void* job, std::uint32_t index);
using ParallelFor = void (*)(void* context, std::uint32_t count, Task task, void* job);

// Asked on the calling thread before every round of passes but the first (of Method::kAuto the
// first, too: there is a prediction then); a round is one pass at most of each worker. A single
// worker asks before every layer of those passes as well. False ends the call with the passes that
// are done.
using KeepGoing = bool (*)(void* context);

// Told that layer `layer` of the file begins, or ends, in pass `pass`, for a profile by layer.
// Layers that are the same in every pass run once, in pass 0. What happens between an end and the
// next beginning (reading the input, adding a pass to the sums) is in no layer. In steps, a layer
// may begin in one step and end in a later one. With several workers it is called on any of their
// threads, and each of them has its own part of the images, or of the passes.
using Profile = void (*)(void* context, std::uint32_t layer, std::uint32_t pass, bool begins);

struct SessionOptions {
  // T, weight samples per prediction: 1 to 65,536. A weight is drawn from 256 equiprobable values,
  // at most 2.91 standard deviations from its mean; variance .998, kurtosis 2.93 (a Gaussian's 3).
  std::uint32_t mc_samples = 50;
  std::uint64_t seed = 1;    // names the ensemble of T networks
  std::uint32_t batch = 1;   // most images that one Predict takes: 1 to 65,536
  bool keep_logits = false;  // keep each pass's logits
  KernelSet kernels = KernelSet::kAuto;
  Method method = Method::kSampling;
  Doubt doubt = {};  // Method::kAuto
  Noise noise = Noise::kIndependent;
  Stop stop = {};
  // How many tasks may run at a time, 1 to 1,024. Each has its own activations or its own images;
  // the predictions are the same bytes for any number. Without parallel_for they run in turn.
  std::uint32_t workers = 1;
  ParallelFor parallel_for = nullptr;
  void* parallel_context = nullptr;
  // Of one image (batch 1, one worker): most bytes of drawn weights in memory at a time, at least
  // 64, where a layer has one output position, as dense layers do; panels that are larger are drawn
  // in pieces, with 256 bytes for the sampler, unless the whole is no larger than both. Less
  // memory, and more calls; other layers hold a panel, of 16 output channels. Does not change a
  // prediction.
  std::uint32_t panel_bytes = 16384;
  // Compute the sum over each panel's channels of every convolution's and dense layer's
  // accumulators a second time, in exact integers; kComputationFault if they differ
  // (docs/FAULTS.md). The same predictions, slower: a pass of ResNet-20 by 16 times with AVX-512.
  bool check_products = false;
  KeepGoing keep_going = nullptr;  // a deadline, for example
  void* keep_going_context = nullptr;
  Profile profile = nullptr;
  void* profile_context = nullptr;
};

}  // namespace mu8
