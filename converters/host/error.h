// What the converter throws: every problem of the input at once, not the first one found.
// A problem names where it is (file, node, tensor), what was found and what was expected.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace mu8::host {

// Thrown with at least one problem; what() is one line per problem.
class Error : public std::runtime_error {
 public:
  explicit Error(std::string problem) : Error(std::vector<std::string>{std::move(problem)}) {}
  explicit Error(std::vector<std::string> problems)
      : std::runtime_error(Join(problems)), problems_(std::move(problems)) {}

  const std::vector<std::string>& problems() const { return problems_; }

 private:
  static std::string Join(const std::vector<std::string>& problems) {
    std::string text;
    for (const std::string& problem : problems) text += (text.empty() ? "" : "\n") + problem;
    return text;
  }
  std::vector<std::string> problems_;
};

}  // namespace mu8::host
