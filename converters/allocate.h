// How many bits the means of each layer get, from the posterior's uncertainty:
// converters/ALLOCATION.md describes the methods, and which of it is reconstruction.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "converters/bit_allocation.h"
#include "converters/convert.h"

namespace mu8::convert {

struct AllocateOptions {
  ConvertOptions convert;  // files, calibration and sigma bits; its own mu bits do not count
  std::string method = "quantile-inform";
  Budget budget;
  double quantile = 0.1;  // of quantile-inform
  // The posterior's error counts 1 / training_images beside the divergence; 0 leaves it out.
  double training_images = 0;
  SearchOptions search;
};

// The methods' names, in the order of their description.
const std::vector<std::string>& AllocationMethods();

struct Allocation {
  std::vector<LayerCosts> layers;
  std::vector<double> scores;  // by layer, of the methods that have one; else empty
  Plan plan;
  double average_bits = 0;
  double posterior_error = 0;  // nats
  double divergence = 0;       // KL(FP32, plan) on the calibration images, nats
  int evaluations = 0;         // of the divergence
  std::vector<std::string> notices;
};

// Throws Error for bad files, an unknown method or a budget that the bounds do not allow.
Allocation Allocate(const AllocateOptions& options);

}  // namespace mu8::convert
