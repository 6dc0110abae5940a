#include "engine/src/check_options.h"

#include "engine/src/float_state.h"
#include "engine/src/real.h"
#include "engine/src/stopping.h"
#include "engine/src/unit_probes.h"
#include "engine/src/workspace.h"
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
  if (found != 0 && stop.chosen.data() == nullptr) return {Option::kStopChosen, 0, outputs};
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

// What is in doubt after moments.
BadOption CheckDoubt(const Model& model, const SessionOptions& options) {
  const Doubt& doubt = options.doubt;
  const StopRule rule = options.stop.rule;
  if (rule == StopRule::kWithin) {
    return {Option::kStopRule, Number(rule), Number(StopRule::kThreshold)};
  }
  if (options.keep_logits) return {Option::kKeepLogits, 1, 0};
  // Nats: no entropy of 65,535 classes or labels is above.
  constexpr float kMost = 65536.0F;
  if (doubt.entropy_to != 0.0F || doubt.entropy_from != 0.0F) {
    if (HasNumbers(model.head())) return {Option::kDoubtEntropy, 1000000, 0};
    const BadOption bad = CheckShare(Option::kDoubtEntropy, doubt.entropy_to, kMost);
    if (bad.bad()) return bad;
    if (!(doubt.entropy_from >= 0.0F && doubt.entropy_from <= doubt.entropy_to)) {
      return {Option::kDoubtEntropy, 0, ToInteger(doubt.entropy_to * 1e6F)};
    }
  } else if (rule == StopRule::kNone) {
    return {Option::kMethod, Number(options.method), Number(Method::kMoments)};
  }
  return CheckShare(Option::kDoubtMargin, doubt.margin, 1.0F);
}

// What sampling alone has.
BadOption CheckMoments(const Model& model, const SessionOptions& options) {
  if (options.check_products) return {Option::kCheckProducts, 1, 0};
  if (IsAuto(options)) return CheckDoubt(model, options);
  if (options.stop.rule != StopRule::kNone) {
    return {Option::kStopRule, Number(options.stop.rule), Number(StopRule::kNone)};
  }
  return {};
}

}  // namespace

BadOption CheckOptions(const Model& model, const SessionOptions& options) {
  const FloatState ieee;
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
  constexpr Method kLastMethod = !config::kMoments       ? Method::kSampling
                                 : config::kEarlyEndings ? Method::kAuto
                                                         : Method::kMoments;
  if (!bad.bad()) bad = CheckChoice(Option::kMethod, options.method, kLastMethod);
  if (!bad.bad() && HasMoments(options)) bad = CheckMoments(model, options);
  if (!bad.bad() && options.panel_bytes < kLeastPanelBytes) {
    bad = {Option::kPanelBytes, options.panel_bytes, kMost};
  }
  if (!config::kCheckProducts && !bad.bad() && options.check_products) {
    bad = {Option::kCheckProducts, 1, 0};
  }
  return bad;
}

}  // namespace mu8
