// JPEG files whose Huffman tables stb_image would write and read past, and the memory that pictures
// may take.
#include <doctest/doctest.h>
#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/error.h"
#include "converters/host/jpeg_tables.h"
#include "tests/converters/temp_folder.h"

namespace mu8::host {
namespace {

using testing::Bytes;
using testing::Contains;
using testing::Folder;

Bytes Committed(const std::string& name) {
  std::ifstream file("tests/data/images/" + name, std::ios::binary);
  Bytes bytes((std::istreambuf_iterator<char>(file)), {});
  REQUIRE(bytes.size() > 100);
  return bytes;
}

// Where the payload of the n-th segment of that marker begins.
std::size_t SegmentAt(const Bytes& file, std::uint8_t marker, int n = 0) {
  for (std::size_t at = 2; at + 4 < file.size(); ++at) {
    if (file[at] == 0xff && file[at + 1] == marker && n-- == 0) return at + 4;
  }
  FAIL("no such segment");
  return 0;
}

std::string WhyNot(const Bytes& file) {
  const Folder folder;
  try {
    LoadImage(folder.Write("a.jpg", file), {0, 0, 3});
  } catch (const Error& error) {
    return error.what();
  }
  return "loaded";
}

TEST_CASE("jpeg tables: baseline and progressive files are decoded") {
  for (const std::string name : {"baseline.jpg", "progressive.jpg"}) {
    CAPTURE(name);
    CHECK(WhyBadJpegTables(Committed(name)) == "");
    const Dataset image = LoadImage("tests/data/images/" + name, {7, 9, 3});
    CHECK(image.pixels.size() == 7 * 9 * 3);
    CHECK(Contains(WhyNot(Committed(name)), "loaded"));
  }
}

TEST_CASE("jpeg tables: more codes than a table can have (stb_image 2.27 wrote past its own)") {
  // 68 bytes that a fuzzer found.
  const Bytes found = {0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10, 0x4a, 0x46, 0x32, 0x32, 0x32, 0x32,
                       0x32, 0x32, 0x32, 0x33, 0x32, 0x32, 0x23, 0x1c, 0x1c, 0x28, 0x18, 0x0d,
                       0x0d, 0x18, 0x32, 0x21, 0x1c, 0x21, 0x32, 0x2c, 0x23, 0x1c, 0x1c, 0x28,
                       0x37, 0x29, 0x2c, 0x03, 0x11, 0x01, 0xff, 0xc4, 0x00, 0x15, 0x00, 0x01,
                       0x30, 0x31, 0x34, 0x34, 0x34, 0x1f, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
                       0x00, 0x00, 0x27, 0x30, 0x3d, 0x38, 0x01, 0x32};
  CHECK(WhyBadJpegTables(found) == "a Huffman table has 325 codes, expected at most 256");
  CHECK(Contains(WhyNot(found), "a.jpg: damaged JPEG image: a Huffman table has 325 codes"));
  for (int table = 0; table < 4; ++table) {
    Bytes file = Committed("baseline.jpg");
    file[SegmentAt(file, 0xc4, table) + 16] = 255;
    CHECK(Contains(WhyNot(file), "damaged JPEG image: a Huffman table"));
  }
}

TEST_CASE("jpeg tables: what the decoder would read otherwise than the check is refused") {
  // Bytes of 0xff before the first marker: the decoder skips them, and the check saw no JPEG.
  Bytes filled = Committed("baseline.jpg");
  filled.insert(filled.begin(), 8, 0xff);
  CHECK(Contains(WhyNot(filled), "not a PNG or JPEG image"));
  // Markers that have no segment, or none that the decoder knows.
  int refused = 0;
  for (const int marker :
       {0x00, 0x01, 0x02, 0xbf, 0xc3, 0xc5, 0xc8, 0xcf, 0xd0, 0xd7, 0xd8, 0xf0, 0xfd}) {
    CAPTURE(marker);
    Bytes file = Committed("baseline.jpg");
    const Bytes inserted = {0xff, static_cast<std::uint8_t>(marker), 0x00, 0x02};
    file.insert(file.begin() + 2, inserted.begin(), inserted.end());
    CHECK(Contains(WhyNot(file), "has no place here"));
    ++refused;
  }
  CHECK(refused == 13);
}

TEST_CASE("jpeg tables: a long file is looked at whole") {
  // A comment lies across the first mebibyte, and the size behind it.
  Bytes file = Committed("baseline.jpg");
  Bytes comments;
  for (int i = 0; i < 20; ++i) {
    const std::size_t at = comments.size();
    comments.resize(at + 2 + 65535);
    comments[at] = 0xff, comments[at + 1] = 0xfe, comments[at + 2] = comments[at + 3] = 0xff;
  }
  file.insert(file.begin() + 2, comments.begin(), comments.end());
  const Folder folder;
  folder.Write("set/a/a.jpg", file);
  const Dataset set = LoadDataset(folder.path("set"), 10, {.size = {7, 9, 3}});
  CHECK(set.count == 1);
  CHECK(set.pixels == LoadImage("tests/data/images/baseline.jpg", {7, 9, 3}).pixels);
}

TEST_CASE("jpeg tables: codes that do not fit their lengths, a table cut short, a bad category") {
  Bytes file = Committed("baseline.jpg");
  const std::size_t at = SegmentAt(file, 0xc4);
  file[at + 1] = 3;  // three codes of one bit
  CHECK(WhyBadJpegTables(file) == "a Huffman table has more codes than fit their lengths");
  file = Committed("baseline.jpg");
  file[at - 1] = 18;  // the segment's length
  CHECK(WhyBadJpegTables(file) == "a Huffman table is cut short");
  file = Committed("baseline.jpg");
  file[at + 17] = 16;  // the first value of DC table 0
  CHECK(WhyBadJpegTables(file) == "a Huffman table has DC category 16, expected at most 15");
  file = Committed("baseline.jpg");
  file[at] = 0x24;
  CHECK(WhyBadJpegTables(file) == "a Huffman table has no valid number");
}

TEST_CASE("jpeg tables: a scan that uses a table which the file does not define") {
  for (const std::string name : {"baseline.jpg", "progressive.jpg"}) {
    Bytes file = Committed(name);
    file[SegmentAt(file, 0xda) + 2] = 0x33;
    CHECK(WhyBadJpegTables(file) == "a scan uses a Huffman table that the file does not define");
    CHECK(Contains(WhyNot(file), "a scan uses a Huffman table"));
  }
}

TEST_CASE("jpeg tables: files cut anywhere are refused or decoded, and never trusted") {
  const Bytes whole = Committed("progressive.jpg");
  int loaded = 0;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    loaded +=
        WhyNot(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))) == "loaded";
  }
  CHECK(loaded < 200);  // decoders fill up what is missing of the last scans
}

void PutBigEndian(std::uint32_t value, Bytes* bytes) {
  for (const int shift : {24, 16, 8, 0})
    bytes->push_back(static_cast<std::uint8_t>(value >> shift));
}

void PutChunk(const std::string& type, const Bytes& data, Bytes* png) {
  PutBigEndian(static_cast<std::uint32_t>(data.size()), png);
  Bytes body(type.begin(), type.end());
  body.insert(body.end(), data.begin(), data.end());
  png->insert(png->end(), body.begin(), body.end());
  PutBigEndian(static_cast<std::uint32_t>(crc32(0, body.data(), static_cast<uInt>(body.size()))),
               png);
}

// A grey PNG of that size whose data unpack to `unpacked` zeros.
Bytes Png(std::uint32_t width, std::uint32_t height, std::size_t unpacked) {
  Bytes png = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  Bytes header;
  PutBigEndian(width, &header);
  PutBigEndian(height, &header);
  header.insert(header.end(), {8, 0, 0, 0, 0});
  PutChunk("IHDR", header, &png);
  const Bytes zeros(unpacked);
  uLongf bytes = compressBound(static_cast<uLong>(unpacked));
  Bytes packed(bytes);
  REQUIRE(compress(packed.data(), &bytes, zeros.data(), static_cast<uLong>(unpacked)) == Z_OK);
  packed.resize(bytes);
  PutChunk("IDAT", packed, &png);
  PutChunk("IEND", {}, &png);
  return png;
}

TEST_CASE("png: data that unpack to far more than the picture holds are refused") {
  const Folder folder;
  CHECK(LoadImage(folder.Write("good.png", Png(28, 28, 29 * 28)), {28, 28, 1}).pixels.size() ==
        784);
  const std::string bomb = folder.Write("bomb.png", Png(28, 28, std::size_t{64} << 20));
  CHECK_THROWS_WITH_AS(
      LoadImage(bomb, {28, 28, 1}),
      (bomb + ": cannot decode image: its data are far larger than 28 x 28 pixels").c_str(), Error);
}

TEST_CASE("png: a picture of another size than the model's is refused before it is decoded") {
  const Folder folder;
  const std::string large = folder.Write("large.png", Png(16000, 16000, 100));
  CHECK_THROWS_WITH_AS(LoadImage(large, {28, 28, 1}),
                       (large + ": the image is 16000 x 16000, the model expects 28 x 28 (height x "
                                "width); images are not resized")
                           .c_str(),
                       Error);
}

}  // namespace
}  // namespace mu8::host
