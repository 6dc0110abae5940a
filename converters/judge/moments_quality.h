// How near predictions by moments (FORMAT.md 13) are to sampled ones of the same .mu8 file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/model_file.h"
#include "converters/host/progress.h"
#include "converters/judge/ensemble.h"

namespace mu8::convert {

// By image (position of an image, where there are several): what the networks disagree about.
// Mutual information, nats; of numbers the mean over the outputs of the variance over its own mean
// over the images of `unit`.
std::vector<double> Epistemic(const EnsembleResult& result, const EnsembleResult& unit);

// Images of `data` by their index.
host::Dataset Choose(const host::Dataset& data, const std::vector<std::size_t>& chosen);

// Sampled predictions, a few images each of passes of their own (seed, seed + 1, ...): if all had
// the same networks, what these happen to be would not average out over the images.
EnsembleResult SampleInGroups(const host::ModelFile& file, const host::Dataset& data,
                              std::uint32_t passes, std::uint64_t seed, std::uint32_t batch,
                              const host::Progress& progress = {});

// P passes tell (P - 1) / P of a variance, and, to first order, of mutual information.
double AllOfPasses(std::uint32_t passes);

// How many images at a time so that a session by moments takes about `most_bytes`.
std::uint32_t MomentsBatch(const host::ModelFile& file, std::uint64_t most_bytes);

struct MomentsQuality {
  std::size_t images = 0;  // that it was measured on; 0: not measured
  std::uint32_t passes = 0;
  // Mean Distance (expected_outputs.h) from so many sampled passes to moments, and to as many other
  // passes: no other prediction can be expected to be much nearer.
  double divergence = 0, divergence_of_passes = 0;
  // Pearson's, over the images, of what Epistemic says; and that of the two samplings. 0 where
  // either never varies.
  double correlation = 0, correlation_of_passes = 0;
  // Mean of it by moments over that of infinitely many passes, as these tell it, and the standard
  // error of that over other images: the mean is often that of a few.
  double ratio = 0, ratio_error = 0;
};

// `passes` is 2 to 65536.
MomentsQuality MeasureMoments(const host::ModelFile& file, const host::Dataset& data,
                              std::uint32_t passes, std::uint64_t seed, std::uint32_t batch,
                              const host::Progress& progress = {});

}  // namespace mu8::convert
