// A one-line progress bar on stderr, only if that is a terminal; silent otherwise.
#pragma once

#include <string>

#include "converters/host/progress.h"

namespace mu8::tool {

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
  bool on_terminal_ = false;
  std::string shown_;
};

}  // namespace mu8::tool
