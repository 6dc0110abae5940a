// When a file's predictions abstain: thresholds as they are given, or such that a share of the
// calibration inputs is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/progress.h"
#include "converters/settings.h"
#include "formats/writer.h"

namespace mu8::convert {

// "predictive_entropy", "mutual_information", "variance", "total_variance", "error".
const char* AbstainMeasureName(format::AbstainMeasure measure);
std::optional<format::AbstainMeasure> ParseAbstainMeasure(std::string_view name);

// Puts section 9 into `content`, of which `file` is the file without it, as `options` ask. With a
// fraction the engine predicts all of `data`, and at most that share of it is above: of one value a
// prediction its quantile; of variances, which have outputs in units of their own, the same
// multiple of each output's mean for all. Returns the share of `data` that is above; nothing where
// thresholds were given. Throws Error for a measure that the head does not have and a wrong number
// of thresholds.
std::optional<double> SetAbstain(const AbstainOptions& options, std::uint64_t seed,
                                 const std::vector<std::byte>& file, const host::Dataset& data,
                                 const host::Progress& progress, format::FileContent* content);

}  // namespace mu8::convert
