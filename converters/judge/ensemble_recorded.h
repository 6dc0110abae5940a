// Predictions that something else made, or an earlier run: read, and checked for what they claim.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "converters/judge/ensemble.h"

namespace mu8::convert {

// Predictions that were written before: float32, images x classes. Throws host::Error unless the
// file has that size and every row is a probability distribution, or of a sigmoid probabilities.
std::vector<float> ReadPredictions(const std::string& path, Head head, std::size_t images,
                                   std::size_t classes);

// The same with the rows of Uncertainty beside them; without that file (an empty path) predictions
// are those of one pass. Throws host::Error unless entropy = aleatoric + mutual information and
// it is that of the prediction, within what float32 can say. samples and seconds stay 0.
EnsembleResult ReadRecorded(const std::string& predictions_path,
                            const std::string& uncertainty_path, std::size_t images,
                            std::size_t classes);

}  // namespace mu8::convert
