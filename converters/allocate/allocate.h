// How many bits the means of each layer, or panel, get, from the posterior's uncertainty:
// converters/ALLOCATION.md describes the methods, and which of it is reconstruction.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "converters/allocate/bit_allocation.h"
#include "converters/settings.h"

namespace mu8::convert {

struct AllocateOptions {
  // Files, calibration and sigma bits; its own mu bits do not count. With `moments` plans are
  // judged by them, with the records that are measured once, of the file with the most bits.
  ConvertOptions convert;
  int least = 1, most = kMostMuBits;  // bits of each unit
  bool by_panel = false;  // units are panels of up to 16 output channels, not whole layers
  double quantile = 0.1;  // of quantile-inform
  // The posterior's error counts 1 / training_images beside the divergence; 0 leaves it out.
  double training_images = 0;
  int evaluations = 400;  // plans that the searches may judge
};

// The methods' names, in the order of their description.
const std::vector<std::string>& AllocationMethods();

struct Request {
  std::string method = "quantile-inform";
  double average_bits = 8;  // most bits per weight on average
  std::uint64_t seed = 1;   // of the searches
};

struct PlannedLayer {
  std::string name;
  std::size_t weights = 0;
  MuBits mu_bits;
  std::vector<double> scores;  // of its units, from the methods that have one; else empty
};

struct Allocation {
  std::vector<PlannedLayer> layers;
  double average_bits = 0;
  double posterior_error = 0;  // nats
  double divergence = 0;       // KL(FP32, plan) on the calibration images, nats
  int evaluations = 0;         // of the divergence
  double seconds = 0;          // to find the plan, once the widths are quantized
};

// Quantizes a network with every width, once, and finds any number of plans from that.
class Allocator {
 public:
  // Throws Error for bad files, for bounds that are no range, and if one of `requests` names an
  // unknown method or a budget that the bounds do not allow.
  Allocator(const AllocateOptions& options, const std::vector<Request>& requests);
  ~Allocator();

  // Throws Error, with the reader's reason, when no plan was found whose file the reader accepts.
  Allocation Find(const Request& request);
  const std::vector<std::string>& notices() const;

 private:
  class Work;
  std::unique_ptr<Work> work_;
};

}  // namespace mu8::convert
