// Section 10 of a .mu8 file (FORMAT.md 8.4): what predictions by moments need, measured by sampled
// passes of the file itself on calibration images, and how good they are on others.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/progress.h"
#include "converters/judge/moments_quality.h"
#include "converters/network/network.h"
#include "converters/settings.h"
#include "formats/writer.h"

namespace mu8::convert {

// Below or beyond these a figure is called poor.
inline constexpr double kLeastMomentsCorrelation = 0.8;
inline constexpr double kLeastMomentsRatio = 0.67, kMostMomentsRatio = 1.5;
// Of the divergence, over that of other passes; where it is more than kFewNats, too.
inline constexpr double kMostMomentsDivergence = 4.0, kFewNats = 0.001;

struct MomentsReport {
  std::size_t images = 0;         // that layers were fitted to
  std::size_t output_images = 0;  // and the factor of the last one: these and others
  std::uint32_t passes = 0;
  std::vector<format::MomentsRecord> layers;
  MomentsQuality quality;            // on other calibration images, where there are any
  std::vector<std::string> notices;  // what is poor, or could not be measured
};

// Throws Error for a head without predictions by moments and for a network without deviations.
void CheckMoments(const Network& network);

// Puts section 10 into `content`, of which `file` is the file without it. `most_bytes`: about what
// it may take; with less than `options.images` need, layers are fitted to fewer, which a notice
// says. The factor of the last layer is fitted to up to four times as many, two thirds of `data` at
// most, and the quality measured on up to twice as many others. All are spread over `data`.
MomentsReport SetMoments(const MomentsOptions& options, std::uint64_t seed,
                         std::uint64_t most_bytes, const std::vector<std::byte>& file,
                         const host::Dataset& data, const host::Progress& progress,
                         format::FileContent* content);

}  // namespace mu8::convert
