#include "engine/src/check_options.h"

#include "engine/src/real.h"
#include "engine/src/stopping.h"
#include "engine/src/unit_probes.h"
#include "formats/limits.h"
#include "mu8/config.h"

namespace mu8 {

float ProbeCheckOptions(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

using format::kMaxSamples;
constexpr std::uint32_t kMaxBatch = 65536;
constexpr std::uint32_t kMaxWorkers = 1024;
constexpr std::uint32_t kLeastPanelBytes = 64;  // a block of the sampler

BadOption CheckCount(Option option, std::uint32_t value, std::uint32_t most) {
  if (value >= 1 && value <= most) return {};
  return {option, value, most};
}

template <typename Enumeration>
std::uint64_t Number(Enumeration value) {
  return static_cast<std::uint64_t>(value);
}

template <typename Enumeration>
BadOption CheckChoice(Option option, Enumeration value, Enumeration last) {
  if (value <= last) return {};
  return {option, Number(value), Number(last)};
}

// From a millionth to `most`, so that the fixed-point sums of a prediction resolve it; NaN is bad.
BadOption CheckShare(Option option, float value, float most) {
  if (value >= 1e-6F && value <= most) return {};
  constexpr float kMillion = 1e6F;
  const auto expected = ToInteger(most * kMillion);
  if (!(value > 0.0F)) return {option, 0, expected};
  if (value >= kMillion) return {option, 1000000000000, expected};
  return {option, ToInteger(value * kMillion), expected};
}

// Of values: their range is the measure of thresholds and tolerances.
BadOption CheckStopOfValues(const Model& model, const Stop& stop) {
  Share share{};
  if (!model.OutputRange(stop.class_index, &share.low, &share.high)) {
    return {Option::kStopRule, Number(stop.rule), 0};
  }
  const Stop shares = InShares(stop, share);
  return stop.rule == StopRule::kWithin
             ? CheckShare(Option::kStopWithin, shares.within, 0.5F)
             : CheckShare(Option::kStopThreshold, shares.threshold, 1.0F - 1e-6F);
}

// Which outputs are chosen: all, or as a list of the right size says, which has one at least.
BadOption CheckChosen(const Model& model, const Stop& stop) {
  const std::size_t found = stop.chosen.size(), outputs = model.class_count();
  if (found != 0 && found != outputs) return {Option::kStopChosen, found, outputs};
  if (ChosenCount(stop, outputs) == 0) return {Option::kStopChosen, 0, outputs};
  return {};
}

// Unused without config::kEarlyEndings.
[[maybe_unused]] BadOption CheckStop(const Model& model, const Stop& stop) {
  BadOption bad = CheckChoice(Option::kStopRule, stop.rule, StopRule::kThresholds);
  if (bad.bad() || stop.rule == StopRule::kNone) return bad;
  const Head head = model.head();
  const bool several = model.output_height() * std::uint64_t{model.output_width()} > 1;
  if (head == Head::kReconstruction || several) return {Option::kStopRule, Number(stop.rule), 0};
  const bool of_label = stop.rule == StopRule::kLabel, of_mean = stop.rule == StopRule::kWithin;
  const bool of_several = stop.rule == StopRule::kThresholds;
  if ((head != Head::kSoftmax && of_label) || (!HasNumbers(head) && of_mean)) {
    return {Option::kStopRule, Number(stop.rule), Number(StopRule::kThreshold)};
  }
  if (HasNumbers(head) && of_several) {
    return {Option::kStopRule, Number(stop.rule), Number(StopRule::kWithin)};
  }
  bad = CheckShare(Option::kStopError, stop.error, 0.5F);
  if (bad.bad() || of_label) return bad;
  if (of_several) bad = CheckChosen(model, stop);
  if (bad.bad()) return bad;
  if (!of_several && stop.class_index >= model.class_count()) {
    return {Option::kStopClass, stop.class_index, model.class_count() - 1};
  }
  if (HasNumbers(head)) return CheckStopOfValues(model, stop);
  return CheckShare(Option::kStopThreshold, stop.threshold, 1.0F - 1e-6F);
}

// What sampling alone has.
BadOption CheckMoments(const SessionOptions& options) {
  if (options.stop.rule != StopRule::kNone) {
    return {Option::kStopRule, Number(options.stop.rule), Number(StopRule::kNone)};
  }
  if (options.keep_logits) return {Option::kKeepLogits, 1, 0};
  if (options.check_products) return {Option::kCheckProducts, 1, 0};
  return {};
}

}  // namespace

BadOption CheckOptions(const Model& model, const SessionOptions& options) {
  constexpr std::uint32_t kMost = 0xffffffff;
  constexpr Noise kLastNoise = config::kAntithetic ? Noise::kAntithetic : Noise::kIndependent;
  BadOption bad = CheckCount(Option::kMcSamples, options.mc_samples, kMaxSamples);
  if (!bad.bad()) bad = CheckCount(Option::kBatch, options.batch, kMaxBatch);
  if (!bad.bad()) {
    bad = CheckCount(Option::kWorkers, options.workers, config::kWorkers ? kMaxWorkers : 1);
  }
  if constexpr (config::kEarlyEndings) {
    if (!bad.bad()) bad = CheckStop(model, options.stop);
  } else if (!bad.bad() &&
             (options.stop.rule != StopRule::kNone || options.keep_going != nullptr)) {
    bad = {Option::kStopRule, Number(options.stop.rule), 0};
  }
  if (!bad.bad()) bad = CheckChoice(Option::kNoise, options.noise, kLastNoise);
  constexpr Method kLastMethod = config::kMoments ? Method::kMoments : Method::kSampling;
  if (!bad.bad()) bad = CheckChoice(Option::kMethod, options.method, kLastMethod);
  if (!bad.bad() && options.method == Method::kMoments) bad = CheckMoments(options);
  if (!bad.bad() && options.panel_bytes < kLeastPanelBytes) {
    bad = {Option::kPanelBytes, options.panel_bytes, kMost};
  }
  if (!config::kCheckProducts && !bad.bad() && options.check_products) {
    bad = {Option::kCheckProducts, 1, 0};
  }
  return bad;
}

}  // namespace mu8
