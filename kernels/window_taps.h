// The walk over the taps of a depthwise window, for kernels that take 4 at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

namespace mu8::kernels {

// In each source by itself: the linker must not give one instruction set's copy to another.
namespace {

class Taps {
 public:
  Taps(const ConvolveArgs& args, const std::uint8_t* window)
      : args_(args), first_(window), row_(window), tap_(window), inner_(args.inner_runs) {}
  // Behind the last tap some tap, for weights that are 0.
  const std::uint8_t* Next() {
    const std::uint8_t* const tap = tap_;
    tap_ += args_.inner_step;
    if (--inner_ == 0) {
      inner_ = args_.inner_runs;
      row_ += args_.outer_step;
      tap_ = row_;
      if (++outer_ >= args_.outer_runs) tap_ = row_ = first_;
    }
    return tap;
  }

 private:
  const ConvolveArgs& args_;
  const std::uint8_t *first_, *row_, *tap_;
  std::uint32_t inner_, outer_ = 0;
};

}  // namespace
}  // namespace mu8::kernels
