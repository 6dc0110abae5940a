// JPEG files that do not hold all of their image. Their segments are found by the tests themselves.
#include <doctest/doctest.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/error.h"
#include "converters/host/jpeg_scans.h"
#include "tests/converters/temp_folder.h"

namespace mu8::host {
namespace {

using testing::Bytes;
using testing::Contains;
using testing::Folder;

const std::vector<std::string> kFiles = {"baseline.jpg", "progressive.jpg"};

Bytes Committed(const std::string& name) {
  std::ifstream file("tests/data/images/" + name, std::ios::binary);
  Bytes bytes((std::istreambuf_iterator<char>(file)), {});
  REQUIRE(bytes.size() > 100);
  return bytes;
}

// Where the n-th marker of that kind begins; the file's size where there is none.
std::size_t MarkerAt(const Bytes& file, std::uint8_t marker, int n = 0) {
  for (std::size_t at = 2; at + 1 < file.size(); ++at) {
    if (file[at] == 0xff && file[at + 1] == marker && n-- == 0) return at;
  }
  return file.size();
}

Bytes::iterator Place(Bytes* file, std::size_t at) {
  return file->begin() + static_cast<std::ptrdiff_t>(at);
}

// Where the entropy-coded data of the n-th scan begin.
std::size_t DataAt(const Bytes& file, int n = 0) {
  const std::size_t at = MarkerAt(file, 0xda, n);
  REQUIRE(at + 4 < file.size());
  return at + 2 + (std::size_t{file[at + 2]} << 8 | file[at + 3]);
}

std::string Says(const Bytes& file) {
  const Folder folder;
  try {
    LoadImage(folder.Write("a.jpg", file), {0, 0, 3});
  } catch (const Error& error) {
    return error.what();
  }
  return "loaded";
}

TEST_CASE("jpeg scans: whole files are loaded, also with fill bytes and comments behind the data") {
  for (const std::string& name : kFiles) {
    CAPTURE(name);
    const Bytes whole = Committed(name);
    CHECK(WhyBadJpegScans(whole) == "");
    CHECK(Says(whole) == "loaded");
    Bytes filled = whole;
    filled.insert(filled.end() - 2, 3, 0xff);  // before the end's marker
    CHECK(Says(filled) == "loaded");
    Bytes longer = whole;
    longer.insert(longer.end(), {'m', 'o', 'r', 'e'});
    CHECK(Says(longer) == "loaded");
    Bytes junk = whole;
    junk.insert(junk.end() - 2, {1, 2, 3});
    CHECK(Says(junk) == "loaded");
  }
}

TEST_CASE("jpeg scans: data that end early were filled up with grey") {
  for (const std::string& name : kFiles) {
    const Bytes whole = Committed(name);
    const std::size_t data = DataAt(whole);
    std::size_t end = data;  // of the first scan's data
    while (whole[end] != 0xff || whole[end + 1] == 0) ++end;
    int refused = 0;
    for (std::size_t kept = data; kept + 2 < end; ++kept) {
      CAPTURE(name);
      CAPTURE(kept - data);
      Bytes cut = whole;
      cut.erase(Place(&cut, kept), Place(&cut, end));
      if (cut[kept - 1] == 0xff) continue;  // half of a stuffed byte: another marker
      CHECK(Contains(Says(cut), "a.jpg: damaged JPEG image: a scan's data end before the image"));
      ++refused;
    }
    CHECK(refused > 0);
  }
}

TEST_CASE("jpeg scans: no scan, a component without one, no end") {
  for (const std::string& name : kFiles) {
    CAPTURE(name);
    Bytes none = Committed(name);
    none.erase(Place(&none, MarkerAt(none, 0xda)), none.end());
    none.insert(none.end(), {0xff, 0xd9});
    CHECK(Contains(Says(none), "damaged JPEG image: there is no scan of component 1 of 3"));
    Bytes cut = Committed(name);
    cut.resize(cut.size() - 2);
    CHECK(Contains(Says(cut), "damaged JPEG image: the file ends before the image does"));
    Bytes headless = Committed(name);
    headless.resize(MarkerAt(headless, name == "baseline.jpg" ? 0xc0 : 0xc2));
    headless.insert(headless.end(), {0xff, 0xd9});
    CHECK(Contains(Says(headless), "it has no frame's header"));
  }
  Bytes first = Committed("baseline.jpg");  // a scan of the first component only
  const std::size_t scan = MarkerAt(first, 0xda);
  const Bytes header = {0xff, 0xda, 0, 8, 1, first[scan + 5], first[scan + 6], 0, 63, 0};
  first.erase(Place(&first, scan), Place(&first, DataAt(first)));
  first.insert(Place(&first, scan), header.begin(), header.end());
  CHECK(Contains(Says(first), "there is no scan of component 2 of 3"));
}

TEST_CASE("jpeg scans: a progressive file without its later scans is a coarse image") {
  const Bytes whole = Committed("progressive.jpg");
  int refused = 0;
  for (int scans = 1; MarkerAt(whole, 0xda, scans) < whole.size(); ++scans) {
    CAPTURE(scans);
    Bytes coarse(whole.begin(),
                 whole.begin() + static_cast<std::ptrdiff_t>(DataAt(whole, scans - 1)));
    std::size_t at = coarse.size();
    while (whole[at] != 0xff || whole[at + 1] == 0) coarse.push_back(whole[at++]);
    coarse.insert(coarse.end(), {0xff, 0xd9});
    CHECK(Contains(Says(coarse),
                   "damaged JPEG image: there are no scans of the details of component"));
    ++refused;
  }
  CHECK(refused > 2);
}

TEST_CASE("jpeg scans: fewer restart markers than the blocks need") {
  Bytes file = Committed("baseline.jpg");
  const Bytes every_unit = {0xff, 0xdd, 0, 4, 0, 1};
  file.insert(file.begin() + 2, every_unit.begin(), every_unit.end());
  // 9 x 7 pixels are one unit of two by two blocks, or two units of one block.
  const std::size_t frame = MarkerAt(file, 0xc0);
  file[frame + 5] = 0;
  file[frame + 6] = 70;  // height
  CHECK(Contains(Says(file), "a scan has 0 restart markers, expected"));
}

TEST_CASE("jpeg scans: what is wrong with a frame is said") {
  const Bytes whole = Committed("baseline.jpg");
  const std::size_t frame = MarkerAt(whole, 0xc0);
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Bytes file = whole;
    file[frame + at] = value;
    return Says(file);
  };
  CHECK(Contains(with(4, 12), "a.jpg: JPEG image of 12 bits a sample, expected 8"));
  CHECK(Contains(with(6, 0), "JPEG image of 9 x 0 pixels (width x height), expected 1 to 16384"));
  CHECK(Contains(with(7, 255), "JPEG image of 65289 x 7 pixels"));
  CHECK(Contains(with(9, 2), "damaged JPEG image: the frame's header has another length"));
  CHECK(Contains(with(11, 0), "damaged JPEG image: a component's sampling factors"));
}

}  // namespace
}  // namespace mu8::host
