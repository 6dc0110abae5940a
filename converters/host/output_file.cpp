#include "converters/host/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <random>
#include <system_error>
#include <utility>

#include "converters/host/error.h"
#include "converters/host/files_read.h"

namespace mu8::host {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as Linux follows

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { Close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  // False when what was written could not be kept, as on some network disks.
  bool Close() {
    const int number = number_;
    number_ = -1;
    return number < 0 || ::close(number) == 0;
  }

 private:
  int number_;
};

[[noreturn]] void Fail(const std::string& path, const std::string& what) {
  const int reason = errno;
  throw Error(path + ": " + what + ": " + std::strerror(reason));
}

// The descriptor of this process that the name stands for: /dev/fd/3, /proc/self/fd/3. What is
// there looks like a link, to a name that need not exist or may be that of another file by now.
std::optional<int> DescriptorOf(const fs::path& target) {
  const std::string digits = target.filename().string();
  std::error_code problem;
  if (digits.empty() || digits.size() > 9 ||
      digits.find_first_not_of("0123456789") != std::string::npos ||
      !fs::equivalent(target.parent_path(), "/proc/self/fd", problem) || problem) {
    return std::nullopt;
  }
  return std::stoi(digits);
}

// What the name leads to, links followed up to an open descriptor, whether that exists or not.
fs::path FollowLinks(const std::string& path) {
  fs::path target(path);
  for (int links = 0; links < kMostLinks; ++links) {
    std::error_code problem;
    if (DescriptorOf(target)) return target;
    if (!fs::is_symlink(fs::symlink_status(target, problem))) return target;
    const fs::path next = fs::read_symlink(target, problem);
    if (problem) break;
    target = target.parent_path() / next;  // an absolute `next` replaces the folder
  }
  throw Error(path + ": too many links, or a circle of them");
}

fs::path FolderOf(const fs::path& target) {
  return target.has_parent_path() ? target.parent_path() : fs::path(".");
}

enum class Kind { kNew, kFile, kStream };

// What stands where the file is to be. Throws Error for what cannot be replaced.
Kind KindOf(const std::string& path, const fs::path& target, mode_t* mode) {
  if (const std::optional<int> descriptor = DescriptorOf(target)) {
    const int flags = ::fcntl(*descriptor, F_GETFL);
    if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY) return Kind::kStream;
    throw Error(path + ": cannot be written: descriptor " + std::to_string(*descriptor) +
                " is not open for writing");
  }
  struct stat found {};
  if (::stat(target.c_str(), &found) != 0) {
    if (errno != ENOENT) Fail(path, "cannot be written");
    if (!fs::is_directory(FolderOf(target))) {
      throw Error(path + ": cannot be written: there is no folder " + FolderOf(target).string());
    }
    return Kind::kNew;
  }
  if (S_ISDIR(found.st_mode)) {
    throw Error(path + ": cannot be written: is a folder, expected a file name");
  }
  if (S_ISCHR(found.st_mode) || S_ISFIFO(found.st_mode)) return Kind::kStream;
  if (!S_ISREG(found.st_mode)) {
    throw Error(path + ": cannot be written: is a block device or a socket, expected a file name");
  }
  // To root everything is writable: a file whose owner has taken the permission away is not.
  if ((found.st_mode & (S_IWUSR | S_IWGRP | S_IWOTH)) == 0 || ::access(target.c_str(), W_OK) != 0) {
    throw Error(path + ": cannot be written: the file that is there is read-only");
  }
  *mode = found.st_mode & static_cast<mode_t>(07777);
  return Kind::kFile;
}

void WriteAll(const std::string& path, int file, const void* data, std::size_t bytes) {
  const auto* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(file, at, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) Fail(path, "cannot be written");
    at += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void WriteStream(const std::string& path, const fs::path& target, const void* data,
                 std::size_t bytes) {
  if (const std::optional<int> descriptor = DescriptorOf(target)) {
    if (*descriptor == STDOUT_FILENO) std::fflush(stdout);  // what was printed comes first
    return WriteAll(path, *descriptor, data, bytes);
  }
  Descriptor file(::open(target.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.is_open()) Fail(path, "cannot be opened");
  WriteAll(path, file.number(), data, bytes);
  if (!file.Close()) Fail(path, "cannot be written");
}

// A name in `folder` that no other process has.
fs::path TemporaryName(const fs::path& folder) {
  std::random_device random;
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), ".mu8-%08x%08x.partial", random(), random());
  return folder / name.data();
}

// A new file in `folder`, without a name where the file system can do that: nothing is left behind
// then, whenever the process ends. Otherwise `name` is where it is.
int OpenTemporary(const fs::path& folder, fs::path* name) {
#if defined(O_TMPFILE)
  const int unnamed = ::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  if (unnamed >= 0) return unnamed;
#endif
  *name = TemporaryName(folder);
  return ::open(name->c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
}

// Gives a file without a name one.
bool Link(int file, const fs::path& name) {
  const std::string self = "/proc/self/fd/" + std::to_string(file);
  return ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

// Removes the file unless it has been renamed.
class Temporary {
 public:
  ~Temporary() {
    if (!name.empty()) ::unlink(name.c_str());
  }
  fs::path name;
};

void SyncFolder(const fs::path& folder) {
  const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.is_open()) ::fsync(opened.number());  // some file systems cannot, and need not
}

}  // namespace

// A file on the disk that does not have its name yet.
struct OutputFiles::Waiting {
  Waiting(std::string file_path, fs::path file_target)
      : path(std::move(file_path)),
        target(std::move(file_target)),
        file(OpenTemporary(FolderOf(target), &temporary.name)) {}

  std::string path;  // for messages
  fs::path target;
  Temporary temporary;
  Descriptor file;
};

OutputFiles::OutputFiles() = default;
OutputFiles::~OutputFiles() = default;

void OutputFiles::Add(const std::string& path, const void* data, std::size_t bytes) {
  CheckNotRead(path);
  AddUnchecked(path, data, bytes);
}

void OutputFiles::AddUnchecked(const std::string& path, const void* data, std::size_t bytes) {
  const fs::path target = FollowLinks(path);
  mode_t mode = 0;
  const Kind kind = KindOf(path, target, &mode);
  if (kind == Kind::kStream) return WriteStream(path, target, data, bytes);
  auto waiting = std::make_unique<Waiting>(path, target);
  const int file = waiting->file.number();
  if (!waiting->file.is_open()) {
    waiting->temporary.name.clear();
    Fail(path, "cannot be written");
  }
  WriteAll(path, file, data, bytes);
  if (kind == Kind::kFile && ::fchmod(file, mode) != 0) {
    Fail(path, "cannot be given the permissions of the file that is there");
  }
  if (::fsync(file) != 0) Fail(path, "cannot be written");
  waiting_.push_back(std::move(waiting));
}

void OutputFiles::Commit() {
  for (const std::unique_ptr<Waiting>& each : waiting_) {  // what may fail, first
    if (each->temporary.name.empty()) {
      const fs::path name = TemporaryName(FolderOf(each->target));
      if (!Link(each->file.number(), name)) Fail(each->path, "cannot be written");
      each->temporary.name = name;
    }
    if (!each->file.Close()) Fail(each->path, "cannot be written");
  }
  for (const std::unique_ptr<Waiting>& each : waiting_) {
    if (::rename(each->temporary.name.c_str(), each->target.c_str()) != 0) {
      Fail(each->path, "the finished file cannot take its name");
    }
    each->temporary.name.clear();
    SyncFolder(FolderOf(each->target));
  }
  waiting_.clear();
}

void WriteFileAtomically(const std::string& path, const void* data, std::size_t bytes) {
  OutputFiles file;
  file.AddUnchecked(path, data, bytes);
  file.Commit();
}

void CheckNotRead(const std::string& path) {
  const std::optional<std::string> name = NameRead(path);
  if (!name) return;
  throw Error(path + ": is the file of " + *name +
              ", which is read: it would be lost; name another output");
}

void CheckOutput(const std::string& path) {
  const fs::path target = FollowLinks(path);
  mode_t mode = 0;
  if (KindOf(path, target, &mode) == Kind::kStream) return;
  if (::access(FolderOf(target).c_str(), W_OK | X_OK) != 0) Fail(path, "cannot be written");
}

bool SameFile(const std::string& a, const std::string& b) {
  const fs::path first = FollowLinks(a);
  const fs::path second = FollowLinks(b);
  std::error_code problem;
  const fs::file_status status = fs::status(first, problem);
  if (fs::is_character_file(status) || fs::is_fifo(status)) return false;
  if (fs::equivalent(first, second, problem) && !problem) return true;
  return fs::weakly_canonical(first, problem) == fs::weakly_canonical(second, problem) && !problem;
}

}  // namespace mu8::host
