#include "tools/mu8/prediction_crc.h"

#include "formats/crc32c.h"

namespace mu8::tool {

std::uint32_t PredictionCrc(const Prediction& p) {
  std::uint32_t crc = 0;
  const auto add = [&](auto values) {
    crc = format::Crc32c(values.data(), values.size_bytes(), crc);
  };
  for (const auto values :
       {p.mean, p.variance, p.output_entropy, p.output_expected_entropy, p.noise_variance}) {
    add(values);
  }
  const float floats[] = {p.predictive_entropy, p.expected_entropy, p.mutual_information, p.error,
                          p.error_variance};
  const std::uint32_t words[] = {p.label, p.samples_used, p.clamped_inputs, p.clamped_scales,
                                 p.clipped_passes};
  add(std::span<const float>(floats));
  add(std::span<const std::uint32_t>(words));
  // Where moments decided they follow from the mean.
  if (p.replay.stop_rule == StopRule::kThresholds) add(p.decisions);
  return crc;
}

}  // namespace mu8::tool
