// What a .mu8 file keeps of the FP32 network that it was made from, on the calibration data: the
// figures of `mu8 convert`'s verdict (verdict.h). Both draw the same random bytes, so few passes
// are enough: what differs is quantization, not Monte-Carlo noise.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/progress.h"
#include "converters/network/network.h"
#include "converters/network/steps.h"

namespace mu8::convert {

// At most so much is run. The default is about a tenth of what calibration runs.
struct FidelityOptions {
  std::size_t inputs = 128;
  std::uint32_t passes = 8;
  std::uint64_t seed = 1;
};

// Means over the inputs (and positions), nats; of labels the sums over them. As T passes tell them.
struct MeanUncertainty {
  double entropy = 0;  // of the mean prediction
  double mutual_information = 0;
};

// One layer's result, pass by pass. Its signal is what varies over inputs, passes and positions,
// channel by channel: a constant tells nothing.
struct LayerFidelity {
  double sqnr =
      std::numeric_limits<double>::infinity();  // dB: power of the signal over the error's
  bool constant = false;                        // there is no signal; sqnr then means nothing
  std::size_t channels = 0;                     // with a signal
  std::size_t drowned = 0;                      // of these: the error's power exceeds the signal's
  double largest = 0;                           // deviation of the channel that varies most,
  double small = 0;  // and of the one in the middle of those that have drowned
  double mean = 0;   // root mean square of the channels' means
  double step = 0;   // of the stored values; 0 for the logits
};

struct Fidelity {
  std::size_t inputs = 0;  // of these, spread over the data
  std::uint32_t passes = 0;
  Head head = Head::kSoftmax;
  double divergence = 0;  // mean Distance (expected_outputs.h) from FP32 to the file
  // The same from FP32 to its own average over the inputs: what it tells of an input beyond that.
  double information = 0;
  double agreement = 0;  // as in Difference; not of values
  MeanUncertainty fp32, file;
  // Mutual information, of numbers the variance over the passes: the file's over FP32's, and its
  // standard error over other draws and other inputs. NaN: FP32 has none.
  double epistemic_ratio = std::numeric_limits<double>::quiet_NaN();
  double epistemic_error = std::numeric_limits<double>::quiet_NaN();
  double epistemic = 0;  // what the ratio is to, a mean over the inputs, in the divergence's unit
  std::vector<LayerFidelity> layers;  // as in the file

  bool has_decisions() const { return head == Head::kSoftmax || head == Head::kSigmoid; }
  // The part of it that is gone. Where FP32 hardly tells inputs apart, a divergence of a thousandth
  // counts as a tenth: no more than rounding does to any network.
  double lost() const { return divergence / std::max(information, kLeastInformation); }
  static constexpr double kLeastInformation = 0.01;  // nats, or of the outputs' variance
  // What is wrong with predictions and with their disagreement; to compare files of one network by.
  double loss() const {
    return divergence + (epistemic > 0.0 ? std::fabs(epistemic_ratio - 1.0) * epistemic : 0.0);
  }
};

// `network` and `steps` are those that `file`, which the reader has accepted, was lowered from.
// `passes`: 1 for a network without sigmas.
Fidelity MeasureFidelity(const Network& network, const std::vector<Step>& steps,
                         const host::Dataset& data, const std::vector<std::byte>& file,
                         const FidelityOptions& options, const host::Progress& progress = {});

}  // namespace mu8::convert
