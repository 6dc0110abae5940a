#include "tools/mu8/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace mu8::tool {

std::string TimeLeft(double seconds, double fraction) {
  constexpr double kLeastSeconds = 3.0, kShort = 30.0;
  if (seconds < kLeastSeconds || !(fraction > 0.0) || seconds / fraction < kShort) return "";
  const double left = seconds * (1.0 - fraction) / fraction;
  if (left < 1.0) return "";
  if (left < 90.0) return "about " + std::to_string(std::lround(left)) + " s";
  return "about " + std::to_string(std::lround(left / 60.0)) + " min";
}

ProgressBar::ProgressBar() : on_terminal_(isatty(STDERR_FILENO) != 0) {}

void ProgressBar::Show(const std::string& stage, double fraction) {
  const double done = std::clamp(fraction, 0.0, 1.0);
  if (stage != stage_) {
    stage_ = stage;
    stage_start_ = Clock::now();
    stage_fraction_ = done;
    announced_ = false;
  }
  const std::chrono::duration<double> passed = Clock::now() - stage_start_;
  const std::string left =
      TimeLeft(passed.count(), (done - stage_fraction_) / std::max(1.0 - stage_fraction_, 1e-9));
  if (!on_terminal_) {
    if (!announced_ && !left.empty()) {
      std::fprintf(stderr, "mu8: %s: %s left\n", stage.c_str(), left.c_str());
      announced_ = true;
    }
    return;
  }
  constexpr int kBarWidth = 30;
  const auto filled = static_cast<std::size_t>(done * kBarWidth);
  const int percent = static_cast<int>(done * 100);
  std::string line(1, '[');
  line.append(filled, '#').append(kBarWidth - filled, '.').append("] ");
  line.append(std::to_string(percent)).append(" % ").append(stage);
  if (!left.empty()) line.append(", ").append(left).append(" left");
  if (line == shown_) return;
  shown_ = line;
  std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
  std::fflush(stderr);
}

void ProgressBar::Clear() {
  if (shown_.empty()) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  shown_.clear();
}

}  // namespace mu8::tool
