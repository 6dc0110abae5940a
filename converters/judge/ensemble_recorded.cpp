#include "converters/judge/ensemble_recorded.h"

#include <cmath>
#include <cstring>

#include "converters/host/error.h"
#include "converters/host/files.h"

namespace mu8::convert {
namespace {

constexpr std::size_t kMostBytes = std::size_t{4} << 30;
constexpr double kLargestSumError = 1e-3;      // of a row of probabilities
constexpr float kLargestEntropyError = 1e-3F;  // nats, between columns that must agree

std::vector<float> ReadColumns(const std::string& path, const char* what, std::size_t images,
                               std::size_t columns, const char* column_name) {
  const std::vector<std::uint8_t> bytes = host::ReadRawFile(path, what, kMostBytes);
  if (bytes.size() != images * columns * sizeof(float)) {
    throw host::Error(path + ": has " + std::to_string(bytes.size()) + " bytes, expected " +
                      std::to_string(images * columns * sizeof(float)) + " = " +
                      std::to_string(images) + " images x " + std::to_string(columns) + " " +
                      column_name + " x 4");
  }
  std::vector<float> values(images * columns);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

// NaN, which no row may hold, fails every comparison.
bool Near(float a, float b) { return std::abs(a - b) <= kLargestEntropyError; }

}  // namespace

std::vector<float> ReadPredictions(const std::string& path, Head head, std::size_t images,
                                   std::size_t classes) {
  std::vector<float> values =
      ReadColumns(path, "predictions of another run", images, classes, "classes");
  for (std::size_t i = 0; i < images; ++i) {
    double sum = 0;
    for (std::size_t c = 0; c < classes; ++c) {
      const auto p = static_cast<double>(values[i * classes + c]);
      sum += p >= 0 && p <= 1 + kLargestSumError ? p : std::nan("");
    }
    if (head == Head::kSigmoid && std::isnan(sum)) {
      throw host::Error(path + ": row " + std::to_string(i) +
                        " holds numbers that are no probabilities, expected float32, inputs x "
                        "labels");
    }
    if (head == Head::kSoftmax && !(std::abs(sum - 1.0) < kLargestSumError)) {
      throw host::Error(path + ": row " + std::to_string(i) +
                        " holds no probabilities that sum to one, expected float32, images x "
                        "classes");
    }
  }
  return values;
}

EnsembleResult ReadRecorded(const std::string& predictions_path,
                            const std::string& uncertainty_path, std::size_t images,
                            std::size_t classes) {
  EnsembleResult result;
  result.classes = classes;
  result.kernels = "recorded";
  result.mean = ReadPredictions(predictions_path, Head::kSoftmax, images, classes);
  for (std::size_t i = 0; i < images; ++i) {
    const auto entropy = static_cast<float>(host::Entropy(result.view().row(i)));
    result.uncertainty.push_back({.entropy = entropy, .aleatoric = entropy});
  }
  if (uncertainty_path.empty()) return result;

  const std::vector<float> rows =
      ReadColumns(uncertainty_path, "uncertainties of another run", images, 3, "entropies");
  for (std::size_t i = 0; i < images; ++i) {
    Uncertainty& image = result.uncertainty[i];
    const float entropy = rows[3 * i], aleatoric = rows[3 * i + 1], mutual = rows[3 * i + 2];
    if (!(Near(entropy, image.entropy) && Near(entropy, aleatoric + mutual) && aleatoric >= 0 &&
          mutual >= 0)) {
      throw host::Error(uncertainty_path + ": row " + std::to_string(i) + " holds " +
                        std::to_string(entropy) + ", " + std::to_string(aleatoric) + ", " +
                        std::to_string(mutual) +
                        ", expected entropy = aleatoric + mutual information, the entropy of "
                        "the prediction (" +
                        std::to_string(image.entropy) + ")");
    }
    image = {.entropy = entropy, .aleatoric = aleatoric, .mutual_information = mutual};
  }
  return result;
}

}  // namespace mu8::convert
