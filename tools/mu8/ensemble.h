// A data set through T sampled networks, as `mu8 eval` judges it: by the engine from a .mu8 file,
// by the FP32 reference from the posterior itself, or as something else wrote it down. All give the
// same figures for the same meaning.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "converters/dataset.h"
#include "tools/mu8/metrics.h"
#include "tools/mu8/model_file.h"

namespace mu8::tool {

// How unsure a prediction is, in nats, and why: entropy is aleatoric + mutual_information, as
// precisely as float32 says it (Depeweg et al. 2018; Smith and Gal 2018). A row of
// `mu8 eval --uncertainty`.
struct Uncertainty {
  float entropy = 0;             // H(p) of the mean prediction: total
  float aleatoric = 0;           // mean over the passes of H(p_t)
  float mutual_information = 0;  // epistemic: what the passes disagree about; at least 0
};

struct EnsembleResult {
  std::size_t classes = 0;
  std::vector<float> probabilities;      // images x classes, means over the passes
  std::vector<Uncertainty> uncertainty;  // images
  std::vector<std::uint32_t> used;       // samples of each image, where they may differ; or empty
  std::size_t undecided = 0;             // of these images: without a decision after all samples
  std::string kernels;                   // what ran: "scalar", ..., "fp32", or "recorded"
  std::uint32_t samples = 0;
  double seconds = 0;  // prediction alone, sampling included; not loading. 0: not known

  Probabilities view() const { return {probabilities, classes}; }
  std::size_t images() const { return uncertainty.size(); }
  std::vector<double> Column(float Uncertainty::*field) const {  // one value per image
    std::vector<double> values;
    for (const Uncertainty& image : uncertainty) {
      values.push_back(static_cast<double>(image.*field));
    }
    return values;
  }
};

// Through Session::Predict, `options.batch` images a call.
EnsembleResult RunQuantized(const ModelFile& file, const SessionOptions& options,
                            const convert::Dataset& data);

// Predictions that were written before: float32, images x classes. Throws convert::Error unless the
// file has that size and every row is a probability distribution.
std::vector<float> ReadPredictions(const std::string& path, std::size_t images,
                                   std::size_t classes);

// The same with the rows of Uncertainty beside them; without that file (an empty path) predictions
// are those of one pass. Throws convert::Error unless entropy = aleatoric + mutual information and
// it is that of the prediction, within what float32 can say. samples and seconds stay 0.
EnsembleResult ReadRecorded(const std::string& predictions_path,
                            const std::string& uncertainty_path, std::size_t images,
                            std::size_t classes);

struct ReferenceOptions {
  std::string onnx_path;
  std::string posterior_path;  // empty: a network without sigmas
  std::uint32_t samples = 50;
  std::uint64_t seed = 1;
  std::uint32_t batch = 16;
  bool mean_weights = false;     // one pass with mu itself
  bool engine_noise = false;     // the engine's own random bytes, on the folded network
  std::string engine_weights;    // the weights that the engine draws from this .mu8 file
  std::vector<float> mean, std;  // x = (u8 / 255 - mean) / std; empty: the ONNX file's own, or 0, 1
};

// The network that the reference runs, ready to say what input and classes it has.
class Reference {
 public:
  explicit Reference(const ReferenceOptions& options);
  ~Reference();
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

  int height() const;
  int width() const;
  int channels() const;
  std::size_t classes() const;
  const std::vector<std::string>& labels() const;
  // False when neither the options nor the ONNX file say how pixels become inputs: mean 0, std 1.
  bool has_normalization() const;

  // T passes, each one weight sample for all images: sum of softmax in double.
  EnsembleResult Run(const convert::Dataset& data) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mu8::tool
