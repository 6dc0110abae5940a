// Files that mu8 writes: whole or not at all, whatever stops the writing.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace mu8::host {

// Replaces the file `path` (what a link there leads to) by `bytes` bytes of `data`: they are
// written to a file without a name beside it, brought to the disk, and take its place in one step,
// so that readers and an interruption see the old file or the new one. An existing file's
// permissions stay. Pipes, character devices (/dev/null) and open descriptors (/dev/stdout,
// /dev/fd/3), whatever these are, are written to as they are. Throws Error, with the system's
// reason, and leaves the old file and nothing else behind: no folder, no room, a folder or a block
// device of that name, a file without permission to write.
void WriteFileAtomically(const std::string& path, const void* data, std::size_t bytes);

// The same for several files that belong together, all of them or none: what is added is on the
// disk, without a name, until Commit lets each take its place. Streams are written at once. What
// has not been committed is gone with the object.
class OutputFiles {
 public:
  OutputFiles();
  ~OutputFiles();
  OutputFiles(const OutputFiles&) = delete;
  OutputFiles& operator=(const OutputFiles&) = delete;

  // Throws Error as WriteFileAtomically does, and for a file that was read (files_read.h).
  void Add(const std::string& path, const void* data, std::size_t bytes);
  void Commit();

 private:
  friend void WriteFileAtomically(const std::string& path, const void* data, std::size_t bytes);
  void AddUnchecked(const std::string& path, const void* data, std::size_t bytes);

  struct Waiting;
  std::vector<std::unique_ptr<Waiting>> waiting_;
};

// Throws Error for a file that this process has read: it would be lost.
void CheckNotRead(const std::string& path);

// Throws Error where WriteFileAtomically would, as far as that can be known before the bytes are:
// better now than after minutes of work.
void CheckOutput(const std::string& path);

// Whether writing one would change the other: both exist and are the same file, or they are the
// same name. Pipes and devices never are.
bool SameFile(const std::string& a, const std::string& b);

}  // namespace mu8::host
