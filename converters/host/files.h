// Whole files, read: the one place where bytes come from a disk (output_file.h writes them). What
// is read is untrusted: a file is refused when it is no regular file, larger than its reader can
// use, or a Git LFS pointer in place of the data, and memory follows what was really read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "converters/host/aligned_buffer.h"

namespace mu8::host {

// A file's bytes as they are. `expected` completes the sentence "expected ..." of the messages.
// Throws Error (with the path, what was found and what was expected) when the file cannot be read,
// is not a regular file, is empty, is larger than `limit_bytes`, or is a Git LFS pointer.
std::vector<std::uint8_t> ReadRawFile(const std::string& path, const std::string& expected,
                                      std::size_t limit_bytes);

// The same at an address that a model may lie at.
AlignedBuffer ReadAlignedFile(const std::string& path, const std::string& expected,
                              std::size_t limit_bytes);

// The same as text.
std::string ReadTextFile(const std::string& path, const std::string& expected,
                         std::size_t limit_bytes);

// A file's bytes, .gz and .xz decompressed (told by content, not by name), up to `max_bytes` of the
// decompressed bytes. Throws Error as ReadRawFile does, but for empty files, and when the file is
// truncated or damaged or decompresses to 4 GiB or more.
std::vector<std::uint8_t> ReadUnpackedFile(
    const std::string& path, std::size_t max_bytes = std::numeric_limits<std::size_t>::max());

}  // namespace mu8::host
