// How long work tells a user: a one-line progress bar on stderr if that is a terminal; otherwise a
// line for each stage that takes long, as soon as that can be told.
#pragma once

#include <chrono>
#include <string>

#include "converters/host/progress.h"

namespace mu8::tool {

// "about 3 min", from the seconds that a fraction of the work took; "" as long as that says little,
// or if the whole is short.
std::string TimeLeft(double seconds, double fraction);

class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar() { Clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // `fraction` of `stage` is done, 0 to 1. Cheap when nothing visible has changed.
  void Show(const std::string& stage, double fraction);

  // Show, for work that reports its progress; the bar must outlive it.
  host::Progress Function() {
    return [this](const std::string& stage, double fraction) { Show(stage, fraction); };
  }

  // Wipes the line, so that other output starts on a clean one.
  void Clear();

 private:
  using Clock = std::chrono::steady_clock;

  bool on_terminal_ = false;
  std::string shown_;
  std::string stage_;
  Clock::time_point stage_start_;
  double stage_fraction_ = 0.0;  // that was done at its start
  bool announced_ = false;
};

}  // namespace mu8::tool
