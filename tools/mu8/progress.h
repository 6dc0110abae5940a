// A one-line progress bar on stderr, only if that is a terminal; silent otherwise.
#pragma once

#include <string>

namespace mu8::tool {

class Progress {
 public:
  Progress();
  ~Progress() { Clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `fraction` of `stage` is done, 0 to 1. Cheap when nothing visible has changed.
  void Show(const std::string& stage, double fraction);

  // Wipes the line, so that other output starts on a clean one.
  void Clear();

 private:
  bool on_terminal_ = false;
  std::string shown_;
};

}  // namespace mu8::tool
