// The classes' names as people write them down: one per line, class 0 first.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mu8::host {

// The lines of `text`, which end with LF or CRLF; empty lines at its end are none. Spaces around a
// name do not belong to it. Adds a problem, which begins with `where`, for each line that is empty.
std::vector<std::string> ParseLabels(const std::string& where, std::string_view text,
                                     std::vector<std::string>* problems);

// A file of them, at most 16 MiB; it may begin with a UTF-8 byte order mark. Throws Error when it
// cannot be read, names no class, or has an empty line before its end.
std::vector<std::string> ReadLabels(const std::string& path);

// Names may be equal: ImageNet has a crane that flies and one that lifts. Which are, first of all:
// "classes 134 and 517 are both named 'crane'"; empty when no two are.
std::string SharedLabel(const std::vector<std::string>& labels);

}  // namespace mu8::host
