// PNG files that are damaged, or ask for colours that are not there: each is refused and says why.
#include <doctest/doctest.h>
#include <zlib.h>

#include <cstdint>
#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/error.h"
#include "converters/host/png_chunks.h"
#include "tests/converters/png.h"
#include "tests/converters/temp_folder.h"

namespace mu8::host {
namespace {

using testing::Append32;
using testing::AppendChunk;
using testing::Bytes;
using testing::Contains;
using testing::Folder;

const Bytes kSignature = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

struct Piece {
  std::string type;
  Bytes data;
};

Bytes File(const std::vector<Piece>& pieces) {
  Bytes file = kSignature;
  for (const Piece& piece : pieces) AppendChunk(piece.type, piece.data, &file);
  return file;
}

Piece Header(std::uint32_t width, std::uint32_t height, std::uint8_t depth, std::uint8_t colour) {
  Bytes data;
  Append32(width, &data);
  Append32(height, &data);
  data.insert(data.end(), {depth, colour, 0, 0, 0});
  return {"IHDR", data};
}

Piece Pixels(const Bytes& rows) {
  Bytes packed(compressBound(rows.size()));
  uLongf size = packed.size();
  REQUIRE(compress(packed.data(), &size, rows.data(), rows.size()) == Z_OK);
  packed.resize(size);
  return {"IDAT", packed};
}

const Piece kEnd = {"IEND", {}};

// What LoadImage says of the file, or "loaded".
std::string Says(const Bytes& file) {
  const Folder folder;
  try {
    LoadImage(folder.Write("a.png", file), {0, 0, 3});
  } catch (const Error& error) {
    return error.what();
  }
  return "loaded";
}

TEST_CASE("png: a palette gives its colours, whatever the depth") {
  const Piece palette = {"PLTE", {1, 2, 3, 40, 50, 60}};
  const Folder folder;
  const auto pixels = [&](const std::vector<Piece>& pieces) {
    return LoadImage(folder.Write("a.png", File(pieces)), {0, 0, 3}).pixels;
  };
  const Bytes expected = {40, 50, 60, 1, 2, 3};
  CHECK(pixels({Header(2, 1, 8, 3), palette, Pixels({0, 1, 0}), kEnd}) == expected);
  CHECK(pixels({Header(2, 1, 8, 3), palette, {"tRNS", {9}}, Pixels({0, 1, 0}), kEnd}) == expected);
  CHECK(pixels({Header(2, 1, 4, 3), palette, Pixels({0, 0x10}), kEnd}) == expected);
  CHECK(pixels({Header(2, 1, 2, 3), palette, Pixels({0, 0x40}), kEnd}) == expected);
  CHECK(pixels({Header(2, 1, 1, 3), palette, Pixels({0, 0x80}), kEnd}) == expected);
  // Each row adds up what is left of a pixel: 1, 1 + 255.
  CHECK(pixels({Header(2, 1, 8, 3), palette, Pixels({1, 1, 255}), kEnd}) == expected);
}

TEST_CASE("png: a pixel behind the palette's end (stb_image 2.27 read memory never written)") {
  const Piece palette = {"PLTE", {1, 2, 3, 40, 50, 60}};
  int refused = 0;
  for (const std::vector<Piece>& pieces : std::vector<std::vector<Piece>>{
           {Header(2, 1, 8, 3), palette, Pixels({0, 1, 2}), kEnd},
           {Header(2, 1, 8, 3), palette, {"tRNS", {9}}, Pixels({0, 1, 2}), kEnd},
           {Header(2, 1, 8, 3), palette, Pixels({1, 1, 1}), kEnd},
           {Header(2, 1, 4, 3), palette, Pixels({0, 0x12}), kEnd},
           {Header(2, 1, 2, 3), palette, Pixels({0, 0x60}), kEnd}}) {
    ++refused;
    CAPTURE(refused);
    CHECK(Contains(Says(File(pieces)),
                   "a.png: damaged PNG image: a pixel has colour 2, its palette (PLTE) has only "
                   "0 to 1"));
  }
  CHECK(refused == 5);
}

TEST_CASE("png: checksums that do not fit, files that are cut") {
  const Bytes whole = File({Header(2, 1, 8, 0), Pixels({0, 7, 8}), kEnd});
  CHECK(Says(whole) == "loaded");
  for (std::size_t at = kSignature.size(); at < whole.size(); ++at) {
    CAPTURE(at);
    Bytes damaged = whole;
    damaged[at] ^= 1;
    CHECK(Contains(Says(damaged), "damaged PNG image: "));
  }
  for (std::size_t size = kSignature.size(); size < whole.size(); ++size) {
    CAPTURE(size);
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(Contains(Says(cut), "it was cut"));
  }
  Bytes longer = whole;
  longer.insert(longer.end(), {'m', 'o', 'r', 'e'});
  CHECK(Says(longer) == "loaded");
}

TEST_CASE("png: pixels that do not unpack, and their Adler-32") {
  Piece pixels = Pixels({0, 7, 8});
  pixels.data.back() ^= 1;
  CHECK(Contains(Says(File({Header(2, 1, 8, 0), pixels, kEnd})),
                 "its pixels (IDAT) cannot be unpacked: incorrect data check"));
  pixels.data.resize(pixels.data.size() - 4);
  CHECK(Contains(Says(File({Header(2, 1, 8, 0), pixels, kEnd})), "its pixels (IDAT) end early"));
  // In several chunks, one of them empty.
  const Piece all = Pixels({0, 7, 8});
  std::vector<Piece> pieces = {Header(2, 1, 8, 0), {"IDAT", {}}};
  for (const std::uint8_t byte : all.data) pieces.push_back({"IDAT", {byte}});
  pieces.push_back(kEnd);
  CHECK(Says(File(pieces)) == "loaded");
}

TEST_CASE("png: what is wrong with a header or a palette is said") {
  const Piece pixels = Pixels({0, 7, 8});
  CHECK(Contains(Says(File({Header(65535, 65534, 8, 0), pixels, kEnd})),
                 "a.png: PNG image of 65535 x 65534 pixels (width x height), expected 1 to 16384"));
  CHECK(Contains(Says(File({Header(0, 1, 8, 0), pixels, kEnd})), "PNG image of 0 x 1 pixels"));
  CHECK(Contains(Says(File({Header(2, 1, 3, 0), pixels, kEnd})),
                 "PNG image of colour type 0 with 3 bits a sample, expected"));
  CHECK(Contains(Says(File({Header(2, 1, 16, 3), pixels, kEnd})), "colour type 3 with 16 bits"));
  CHECK(Contains(Says(File({Header(2, 1, 8, 9), pixels, kEnd})), "colour type 9 with 8 bits"));
  CHECK(Contains(Says(File({Header(2, 1, 8, 3), pixels, kEnd})), "(PLTE), which is not there"));
  CHECK(Contains(Says(File({Header(2, 1, 8, 3), {"PLTE", {1, 2}}, pixels, kEnd})),
                 "its palette (PLTE) has 2 bytes, expected three"));
  CHECK(Contains(Says(File({Header(2, 1, 8, 3), {"PLTE", {}}, pixels, kEnd})), "has 0 bytes"));
  CHECK(Contains(Says(File({Header(2, 1, 8, 0), kEnd})), "it has no pixels (IDAT)"));
  CHECK(Contains(Says(File({pixels, kEnd})), "does not begin with a header (IHDR)"));
  CHECK(
      Contains(Says(File({Header(2, 1, 8, 0), Header(2, 1, 8, 0), pixels, kEnd})), "two headers"));
  CHECK(Contains(Says(File({{"CgBI", {0, 0, 0, 0}}, Header(2, 1, 8, 0), pixels, kEnd})),
                 "in Apple's own form (CgBI)"));
}

}  // namespace
}  // namespace mu8::host
