// How long work tells whoever waits for it: the stage's name and the fraction of it that is done,
// 0 to 1. May be empty; it is asked from the calling thread alone.
#pragma once

#include <functional>
#include <string>

namespace mu8::host {

using Progress = std::function<void(const std::string& stage, double fraction)>;

}  // namespace mu8::host
