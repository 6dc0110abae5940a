#include "tools/mu8/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace mu8::tool {

ProgressBar::ProgressBar() : on_terminal_(isatty(STDERR_FILENO) != 0) {}

void ProgressBar::Show(const std::string& stage, double fraction) {
  if (!on_terminal_) return;
  constexpr int kBarWidth = 30;
  const double done = std::clamp(fraction, 0.0, 1.0);
  const auto filled = static_cast<std::size_t>(done * kBarWidth);
  const int percent = static_cast<int>(done * 100);
  std::string line(1, '[');
  line.append(filled, '#').append(kBarWidth - filled, '.').append("] ");
  line.append(std::to_string(percent)).append(" % ").append(stage);
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
