// FP32 posterior -> .mu8: the whole offline path, from files to a validated image of the model.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "converters/judge/set_moments.h"
#include "converters/judge/verdict.h"
#include "converters/network/network.h"
#include "converters/report.h"
#include "converters/settings.h"

namespace mu8::convert {

struct ConvertResult {
  std::vector<std::byte> file;  // a complete .mu8 image that the reader has accepted
  std::vector<LayerReport> layers;
  std::vector<std::string> notices;  // assumptions that the user should know of
  std::size_t arena_bytes = 0;
  std::size_t calibration_images = 0;
  bool is_numbers = false;                  // the calibration data: numbers, not pixels
  double input_room = 1.0;                  // InputQuantization::room
  double input_error = 0.0;                 // InputQuantization::output_error
  std::vector<float> noise_variance;        // of values, where it is known
  std::vector<format::OutputRange> ranges;  // of outputs, where the file has them
  format::AbstainRecord abstain{};          // section 9, where the file has it
  std::vector<float> abstain_thresholds;
  std::optional<double> abstain_share;  // of the calibration inputs, where they were measured
  MomentsReport moments;                // of ConvertOptions::moments; else without layers
  Head head = Head::kSoftmax;
  std::string head_reason;                                      // who says that
  SigmaImportance sigma_importance = SigmaImportance::kFisher;  // what was used
  double sigma_gain = 1.0;                                      // QuantizerSettings::noise_gain
  Fidelity fidelity;  // of the file to the FP32 network, on the calibration data
  Judged judged;
};

// Throws Error (error.h) with every problem found. Same inputs, same bytes on the same machine.
ConvertResult Convert(const ConvertOptions& options);

}  // namespace mu8::convert
