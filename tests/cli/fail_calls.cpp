// Preloaded into a program by test_faults.py: of the calls that write files (open for writing,
// write, fchmod, fsync, linkat, rename, close of what was written) one fails, a write after half of
// its bytes.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>

#include "tests/cli/fail_at.h"

namespace {

std::atomic<int> written{-1};  // the file that is being written

template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

int Open(const char* name, const char* path, int flags, unsigned mode) {
  const bool writes = (flags & O_ACCMODE) != O_RDONLY;
  if (writes && Fails(EROFS)) return -1;
  const int file = Next<int(const char*, int, ...)>(name)(path, flags, mode);
  if (writes) written = file;
  return file;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const unsigned mode = va_arg(arguments, unsigned);
  va_end(arguments);
  return Open("open", path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const unsigned mode = va_arg(arguments, unsigned);
  va_end(arguments);
  return Open("open64", path, flags, mode);
}
ssize_t write(int file, const void* data, std::size_t bytes) {
  const auto real = Next<ssize_t(int, const void*, std::size_t)>("write");
  if (file != written || !Fails(ENOSPC)) return real(file, data, bytes);
  if (bytes > 1) (void)real(file, data, bytes / 2);
  errno = ENOSPC;
  return -1;
}
int fchmod(int file, mode_t mode) {
  return Fails(EPERM) ? -1 : Next<int(int, mode_t)>("fchmod")(file, mode);
}
int fsync(int file) { return Fails(EIO) ? -1 : Next<int(int)>("fsync")(file); }
int linkat(int from_folder, const char* from, int folder, const char* to, int flags) {
  if (Fails(EMLINK)) return -1;
  return Next<int(int, const char*, int, const char*, int)>("linkat")(from_folder, from, folder, to,
                                                                      flags);
}
int rename(const char* from, const char* to) {
  return Fails(EXDEV) ? -1 : Next<int(const char*, const char*)>("rename")(from, to);
}
int close(int file) {
  const auto real = Next<int(int)>("close");
  if (file != written) return real(file);
  written = -1;
  if (!Fails(EDQUOT)) return real(file);
  real(file);
  errno = EDQUOT;
  return -1;
}
}
