// Files that are written whole or not at all: what may stand in the way, and what must survive it.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/host/files_read.h"
#include "converters/host/output_file.h"
#include "tests/converters/temp_folder.h"

namespace mu8::host {
namespace {

namespace fs = std::filesystem;
using testing::Bytes;
using testing::Contains;
using testing::Folder;

std::string TextOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Write(const std::string& path, const std::string& text) {
  WriteFileAtomically(path, text.data(), text.size());
}

std::string WhyNot(const std::string& path, const std::string& text = "new") {
  try {
    Write(path, text);
  } catch (const Error& error) {
    return error.what();
  }
  return "written";
}

mode_t ModeOf(const std::string& path) {
  struct stat found {};
  REQUIRE(::stat(path.c_str(), &found) == 0);
  return found.st_mode & static_cast<mode_t>(07777);
}

std::size_t EntriesOf(const Folder& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()));
}

TEST_CASE("output file: a new file has the usual permissions, an old one keeps its own") {
  const Folder folder;
  const mode_t mask = ::umask(022);
  Write(folder.path("new"), "one");
  ::umask(mask);
  CHECK(TextOf(folder.path("new")) == "one");
  CHECK(ModeOf(folder.path("new")) == 0644);
  REQUIRE(::chmod(folder.path("new").c_str(), 0600) == 0);
  Write(folder.path("new"), "two");
  CHECK(TextOf(folder.path("new")) == "two");
  CHECK(ModeOf(folder.path("new")) == 0600);
  CHECK(EntriesOf(folder) == 1);
}

TEST_CASE("output file: a link stays, what it leads to is replaced") {
  const Folder folder;
  Write(folder.path("target"), "old");
  fs::create_symlink("target", folder.path("link"));
  fs::create_symlink(folder.path("link"), folder.path("second"));
  Write(folder.path("second"), "new");
  CHECK(fs::is_symlink(folder.path("second")));
  CHECK(fs::is_symlink(folder.path("link")));
  CHECK(TextOf(folder.path("target")) == "new");
  fs::create_symlink("nothing yet", folder.path("dangling"));
  Write(folder.path("dangling"), "made");
  CHECK(TextOf(folder.path("nothing yet")) == "made");
  fs::create_symlink("circle", folder.path("circle"));
  CHECK(Contains(WhyNot(folder.path("circle")), "circle: too many links"));
}

TEST_CASE("output file: the old temporary's name, waiting as a link, is not followed") {
  const Folder folder;
  Write(folder.path("victim"), "precious");
  fs::create_symlink("victim", folder.path("model.mu8.partial"));
  Write(folder.path("model.mu8"), "new");
  CHECK(TextOf(folder.path("victim")) == "precious");
}

TEST_CASE("output file: devices and pipes are written to, not replaced") {
  Write("/dev/null", "gone");
  CHECK(fs::is_character_file("/dev/null"));
  const Folder folder;
  const std::string pipe = folder.path("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  std::string read;
  std::thread reader([&] { read = TextOf(pipe); });
  Write(pipe, "through");
  reader.join();
  CHECK(read == "through");
  CHECK(fs::is_fifo(pipe));
}

TEST_CASE("output file: what cannot be replaced is refused with its reason and stays") {
  const Folder folder;
  Write(folder.path("read-only"), "old");
  REQUIRE(::chmod(folder.path("read-only").c_str(), 0444) == 0);
  CHECK(Contains(WhyNot(folder.path("read-only")),
                 "read-only: cannot be written: the file that is "
                 "there is read-only"));
  CHECK(TextOf(folder.path("read-only")) == "old");
  CHECK(Contains(WhyNot(folder.path("no/such/file")), "there is no folder"));
  CHECK(Contains(WhyNot(folder.path()), "is a folder, expected a file name"));
  CHECK(Contains(WhyNot("/dev/full"), "/dev/full: cannot be written: No space left on device"));
  CHECK(EntriesOf(folder) == 1);
}

TEST_CASE("output file: over the size limit the old file stays and nothing is left behind") {
  const Folder folder;
  Write(folder.path("model"), "old");
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const std::string why = WhyNot(folder.path("model"), std::string(5000, 'x'));
    ::_exit(Contains(why, "model: cannot be written: File too large") ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(TextOf(folder.path("model")) == "old");
  CHECK(EntriesOf(folder) == 1);
}

TEST_CASE("output file: two writers at once leave one of the two whole") {
  const Folder folder;
  const std::string path = folder.path("model");
  const std::string texts[] = {std::string(300000, 'a'), std::string(200000, 'b')};
  std::vector<std::thread> writers;
  for (const std::string& text : texts) {
    writers.emplace_back([&] {
      for (int i = 0; i < 50; ++i) Write(path, text);
    });
  }
  for (std::thread& writer : writers) writer.join();
  const std::string found = TextOf(path);
  CHECK((found == texts[0] || found == texts[1]));
  CHECK(EntriesOf(folder) == 1);
}

TEST_CASE("output files: none takes its name before all do, and without Commit none is left") {
  const Folder folder;
  Write(folder.path("old"), "old");
  {
    OutputFiles files;
    files.Add(folder.path("old"), "new", 3);
    files.Add(folder.path("other"), "two", 3);
    CHECK(TextOf(folder.path("old")) == "old");
    CHECK_THROWS_AS(files.Add("/dev/full", "x", 1), Error);
  }
  CHECK(TextOf(folder.path("old")) == "old");
  CHECK(EntriesOf(folder) == 1);
  OutputFiles files;
  files.Add(folder.path("old"), "new", 3);
  files.Add(folder.path("other"), "two", 3);
  files.Commit();
  CHECK(TextOf(folder.path("old")) == "new");
  CHECK(TextOf(folder.path("other")) == "two");
  CHECK(EntriesOf(folder) == 2);
  files.Commit();  // nothing waits
  CHECK(EntriesOf(folder) == 2);
}

TEST_CASE("output files: a file that was read is refused by any of its names") {
  const Folder folder;
  const std::string read = folder.path("read");
  Write(read, "precious");
  fs::create_symlink("read", folder.path("link"));
  fs::create_hard_link(read, folder.path("hard"));
  ForgetFilesRead();
  CHECK(!NameRead(read));
  ReadTextFile(read, "a text", 100);
  OutputFiles files;
  for (const char* name : {"read", "link", "hard"}) {
    CHECK(NameRead(folder.path(name)) == read);
    CHECK_THROWS_WITH_AS(files.Add(folder.path(name), "x", 1),
                         (folder.path(name) + ": is the file of " + read +
                          ", which is read: it would be lost; name another output")
                             .c_str(),
                         Error);
  }
  files.Add(folder.path("new"), "x", 1);
  ForgetFilesRead();
  CHECK(!NameRead(read));
  CHECK(TextOf(read) == "precious");
}

TEST_CASE("output file: an open descriptor is written to where it is, not replaced") {
  const Folder folder;
  const std::string path = folder.path("file");
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
  REQUIRE(file >= 0);
  const std::string number = std::to_string(file);
  fs::create_symlink("/dev/fd/" + number, folder.path("link"));
  for (const std::string& name :
       {"/dev/fd/" + number, "/proc/self/fd/" + number, folder.path("link")}) {
    CheckOutput(name);
    Write(name, "one ");
  }
  CHECK(TextOf(path) == "one one one ");
  ::close(file);
  CHECK(Contains(WhyNot("/dev/fd/" + number),
                 "cannot be written: descriptor " + number + " is not open for writing"));
}

TEST_CASE("output file: the same file is known by any of its names") {
  const Folder folder;
  Write(folder.path("model"), "x");
  fs::create_symlink("model", folder.path("link"));
  fs::create_hard_link(folder.path("model"), folder.path("hard"));
  CHECK(SameFile(folder.path("model"), folder.path("link")));
  CHECK(SameFile(folder.path("hard"), folder.path("model")));
  CHECK(SameFile(folder.path("new"), folder.path() + "/./new"));
  CHECK_FALSE(SameFile(folder.path("new"), folder.path("model")));
  CHECK_FALSE(SameFile("/dev/null", "/dev/null"));
}

}  // namespace
}  // namespace mu8::host
