#include "converters/host/files_read.h"

#include <sys/stat.h>

#include <map>
#include <mutex>
#include <utility>

namespace mu8::host {
namespace {

struct FilesRead {
  std::mutex mutex;
  std::map<std::pair<dev_t, ino_t>, std::string> names;
};

FilesRead& All() {
  static FilesRead files;
  return files;
}

}  // namespace

void NoteFileRead(const std::string& path, int descriptor) {
  struct stat found {};
  if (::fstat(descriptor, &found) != 0) return;
  const std::lock_guard lock(All().mutex);
  All().names.try_emplace({found.st_dev, found.st_ino}, path);
}

std::optional<std::string> NameRead(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0 || !S_ISREG(found.st_mode)) return std::nullopt;
  const std::lock_guard lock(All().mutex);
  const auto read = All().names.find({found.st_dev, found.st_ino});
  if (read == All().names.end()) return std::nullopt;
  // A file that is gone by now may have left its number to a new one.
  struct stat there {};
  if (::stat(read->second.c_str(), &there) != 0 || there.st_dev != found.st_dev ||
      there.st_ino != found.st_ino) {
    return std::nullopt;
  }
  return read->second;
}

void ForgetFilesRead() {
  const std::lock_guard lock(All().mutex);
  All().names.clear();
}

}  // namespace mu8::host
