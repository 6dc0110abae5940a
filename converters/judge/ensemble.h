// A data set through T sampled networks, as `mu8 eval` judges it: by the engine from a .mu8 file,
// by the FP32 reference from the posterior itself, or as something else wrote it down. All give the
// same figures for the same meaning.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "converters/host/metrics.h"
#include "converters/network/network.h"
#include "mu8/options.h"

namespace mu8::convert {

// How unsure a prediction is, in nats, and why: entropy is aleatoric + mutual_information, as
// precisely as float32 says it (Depeweg et al. 2018; Smith and Gal 2018). A row of
// `mu8 eval --uncertainty`.
struct Uncertainty {
  float entropy = 0;             // H(p) of the mean prediction: total
  float aleatoric = 0;           // mean over the passes of H(p_t)
  float mutual_information = 0;  // epistemic: what the passes disagree about; at least 0
};

struct EnsembleResult {
  Head head = Head::kSoftmax;
  std::size_t classes = 0;      // outputs, of whatever head, at each position
  std::size_t positions = 1;    // of an image's answer; where there are several, "images" are these
  std::vector<float> mean;      // images x classes, over the passes: probabilities, values
  std::vector<float> variance;  // images x classes, over the passes
  std::vector<float> noise;     // gaussian: images x classes, variance of observations
  std::vector<float> error, error_variance;  // reconstruction: images, squared error an output
  std::vector<Uncertainty> uncertainty;  // images; of labels the sums over them; none of numbers
  std::vector<std::uint32_t> clamped;    // images: inputs beyond what the file stores; the engine's
  std::vector<std::uint8_t> abstains;    // images (of several positions whole ones), where the file
                                         // has a threshold; or empty
  std::vector<std::uint32_t> used;       // samples of each image, where they may differ; or empty
  std::size_t by_moments = 0;            // of these images: decided by moments, without samples
  std::size_t undecided = 0;             // of these images: without a decision after all samples
  std::size_t clipped = 0;               // of their passes: Prediction::clipped_passes
  // Of a stop rule about several outputs: what was decided of them, over all images.
  std::size_t outputs_above = 0, outputs_below = 0, outputs_undecided = 0;
  std::string kernels;  // what ran: "scalar", ..., "fp32", or "recorded"
  Method method = Method::kSampling;
  std::uint32_t samples = 0;  // at most; 0: by moments
  double seconds = 0;         // prediction alone, sampling included; not loading. 0: not known

  host::Probabilities view() const { return {mean, classes}; }
  std::size_t images() const { return mean.size() / classes; }
  bool has_numbers() const { return head != Head::kSoftmax && head != Head::kSigmoid; }
  std::vector<double> Column(float Uncertainty::*field) const {  // one value per image
    std::vector<double> values;
    for (const Uncertainty& image : uncertainty) {
      values.push_back(static_cast<double>(image.*field));
    }
    return values;
  }
};

}  // namespace mu8::convert
