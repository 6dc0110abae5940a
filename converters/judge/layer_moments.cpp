#include "converters/judge/layer_moments.h"

#include <algorithm>
#include <cmath>

#include "converters/judge/engine_trace.h"
#include "formats/reader.h"

namespace mu8::convert {
namespace {

using format::MomentsRecord;

constexpr double kMostCode = 255.0;
// The largest variance that calibration has seen gets this code: other images have larger ones.
constexpr double kSeenCode = kMostCode / 1.25;
// A range from half of that on is as good to measure with.
constexpr std::uint32_t kLeastSeenCode = 96;
constexpr int kStepRounds = 12;
// What clamps do to a variance is not linear in the factor: it is approached.
constexpr int kFactorRounds = 4;
// In squared codes. Less is hardly a code that ever changes: the factor would be one of rounding.
constexpr double kLeastMeasured = 0x1p-14;

float AsStep(double step) {
  return std::clamp(static_cast<float>(step), format::kLeastMomentsStep, format::kMostMomentsStep);
}
float AsFactor(double factor) {
  return std::clamp(static_cast<float>(factor), format::kLeastMomentsFactor,
                    format::kMostMomentsFactor);
}

class LayerFit {
 public:
  LayerFit(const host::ModelFile& file, const host::Dataset& data)
      : trace_(file, static_cast<std::uint32_t>(data.count), 0,
               *kernels::SelectKernels(kernels::DetectFeatures())) {
    trace_.Load(data, 0, static_cast<std::uint32_t>(data.count));
  }

  const format::View& view() const { return trace_.view(); }

  // Of a layer that only moves its input's codes.
  MomentsRecord Move(std::uint32_t layer, float input_step) {
    const MomentsRecord record{input_step, 1.0F};
    Run(layer, record);
    return record;
  }

  MomentsRecord Fit(std::uint32_t layer, const TensorVariance& sampled) {
    MomentsRecord record{AsStep(std::max(sampled.largest, 0x1p-10) / kSeenCode), 1.0F};
    Predicted predicted = RunInRange(layer, &record);
    if (predicted.largest == 0) return {};
    for (int round = 0; round < kFactorRounds && sampled.mean > kLeastMeasured; ++round) {
      if (!(predicted.mean > 0.0)) break;
      record.factor = AsFactor(static_cast<double>(record.factor) * sampled.mean / predicted.mean);
      predicted = RunInRange(layer, &record);
    }
    record.step =
        AsStep(static_cast<double>(record.step) * std::max(predicted.largest, 1U) / kSeenCode);
    Run(layer, record);
    return record;
  }

 private:
  // Over elements and images: the mean variance, in squared codes, and the largest code of one.
  struct Predicted {
    double mean = 0;
    std::uint32_t largest = 0;
  };

  Predicted Run(std::uint32_t layer, const MomentsRecord& record) {
    trace_.SetMoments(layer, record);
    trace_.RunMoments(layer);
    Predicted predicted;
    std::uint64_t sum = 0;
    const std::vector<std::uint8_t> codes = trace_.StoredVariances(layer + 1);
    for (const std::uint8_t code : codes) {
      sum += code;
      predicted.largest = std::max<std::uint32_t>(predicted.largest, code);
    }
    predicted.mean = static_cast<double>(record.step) * static_cast<double>(sum) /
                     static_cast<double>(codes.size());
    return predicted;
  }

  // With the step changed until the largest code tells the largest variance.
  Predicted RunInRange(std::uint32_t layer, MomentsRecord* record) {
    Predicted predicted = Run(layer, *record);
    for (int round = 0; round < kStepRounds; ++round) {
      const bool is_low = predicted.largest < kLeastSeenCode;
      if (!is_low && predicted.largest < 255) break;
      const double by = is_low ? std::max(predicted.largest, 1U) / kSeenCode : 4.0;
      const float step = AsStep(static_cast<double>(record->step) * by);
      if (step == record->step) break;
      record->step = step;
      predicted = Run(layer, *record);
    }
    return predicted;
  }

  EngineTrace trace_;
};

bool OnlyMoves(format::OpCode op) {
  return op == format::OpCode::kSlice || op == format::OpCode::kGather;
}

}  // namespace

std::uint64_t LayerMomentsBytes(const host::ModelFile& file) {
  const format::View view = format::Reopen(file.bytes.span());
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < view.tensor_count(); ++i) bytes += 2 * view.tensor(i).bytes;
  return bytes;
}

std::vector<MomentsRecord> FitLayerMoments(const host::ModelFile& file, const host::Dataset& data,
                                           const std::vector<TensorVariance>& sampled,
                                           const std::function<void(double)>& progress) {
  LayerFit fit(file, data);
  const std::uint32_t layers = fit.view().layer_count();
  std::vector<MomentsRecord> records(layers);
  for (std::uint32_t i = fit.view().first_pass_layer(); i + 1 < layers; ++i) {
    const format::LayerRecord layer = fit.view().layer(i);
    if (OnlyMoves(static_cast<format::OpCode>(layer.op))) {
      records[i] = fit.Move(i, layer.input == 0 ? 1.0F : records[layer.input - 1U].step);
    } else {
      records[i] = fit.Fit(i, sampled[i + 1]);
    }
    if (progress) progress(static_cast<double>(i + 1) / layers);
  }
  return records;
}

}  // namespace mu8::convert
