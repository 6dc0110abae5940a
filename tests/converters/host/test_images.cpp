// Folders of PNG images written by the test itself, and single images.
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/error.h"
#include "tests/converters/png.h"
#include "tests/converters/temp_folder.h"

namespace mu8::host {

using testing::Append32;
using testing::Bytes;
using testing::Contains;
using testing::Failure;
using testing::Folder;
using testing::Png;
namespace {

// What Png(width, height, channels, first) decodes to.
Bytes Pixels(std::size_t count, unsigned first) {
  Bytes pixels;
  for (unsigned i = 0; i < count; ++i) pixels.push_back(static_cast<std::uint8_t>(first + i));
  return pixels;
}

}  // namespace

TEST_CASE("image folder: one class per sub-folder, sorted by name, taking turns") {
  const Folder folder;
  folder.Write("dog/b.png", Png(4, 3, 3, 40));
  folder.Write("dog/a.PNG", Png(4, 3, 3, 30));
  folder.Write("cat/z.png", Png(4, 3, 3, 20));
  folder.Write("empty/readme.txt", {'x'});
  folder.Write("owl/1.png", Png(4, 3, 3, 50));
  folder.Write(".hidden/1.png", Png(9, 9, 1, 0));
  folder.Write("notes.txt", {'x'});
  const Dataset set = LoadDataset(folder.path());
  CHECK(set.height == 3);
  CHECK(set.width == 4);
  CHECK(set.channels == 3);
  REQUIRE(set.count == 4);
  CHECK(set.label_names == std::vector<std::string>{"cat", "dog", "empty", "owl"});
  CHECK(set.labels == std::vector<int>{0, 1, 3, 1});
  const unsigned first[] = {20, 30, 50, 40};
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(Bytes(set.Pixels(i, 1).data(), set.Pixels(i, 1).data() + 36) == Pixels(36, first[i]));
  }
  const Dataset two = LoadDataset(folder.path(), 2);
  CHECK(two.labels == std::vector<int>{0, 1});
  CHECK(two.pixels == Bytes(set.pixels.begin(), set.pixels.begin() + 72));
  CHECK(two.label_names.size() == 4);
}

TEST_CASE("image folder: a flat folder has no labels") {
  const Folder folder;
  folder.Write("2.png", Png(2, 2, 1, 9));
  folder.Write("1.png", Png(2, 2, 1, 5));
  const Dataset set = LoadDataset(folder.path());
  CHECK(set.channels == 1);
  CHECK(set.count == 2);
  CHECK(set.pixels == Bytes{5, 6, 7, 8, 9, 10, 11, 12});
  CHECK(set.labels.empty());
  CHECK(set.label_names.empty());
}

TEST_CASE("image folder: grey images among coloured ones get three channels") {
  const Folder folder;
  folder.Write("1.png", Png(1, 2, 1, 5));
  folder.Write("2.png", Png(1, 2, 3, 9));
  const Dataset set = LoadDataset(folder.path());
  CHECK(set.channels == 3);
  CHECK(set.pixels == Bytes{5, 5, 5, 6, 6, 6, 9, 10, 11, 12, 13, 14});
}

TEST_CASE("image folder: every image that does not fit is named") {
  const Folder folder;
  folder.Write("a/1.png", Png(4, 4, 1, 0));
  folder.Write("a/2.png", Png(4, 5, 1, 0));
  folder.Write("b/3.png", {1, 2, 3});
  folder.Write("b/4.png", Png(3, 4, 1, 0));
  try {
    LoadDataset(folder.path());
    FAIL("expected an error");
  } catch (const Error& error) {
    REQUIRE(error.problems().size() == 3);
    CHECK(Contains(error.what(), "a/2.png: image is 4 x 5 (width x height), expected 4 x 4"));
    CHECK(Contains(error.what(), "b/3.png: not a PNG or JPEG image"));
    CHECK(Contains(error.what(), "b/4.png: image is 3 x 4"));
  }
}

TEST_CASE("image folder: nothing to load, or no way to tell what") {
  const Folder folder;
  CHECK(Contains(Failure(folder.path()), "holds no images"));
  std::filesystem::create_directory(folder.path("class"));
  CHECK(Contains(Failure(folder.path()), "holds no images"));
  folder.Write("class/1.png", Png(2, 2, 1, 0));
  folder.Write("stray.png", Png(2, 2, 1, 0));
  CHECK(Contains(Failure(folder.path()), "stray.png: image beside class folders"));
}

TEST_CASE("image folder: a damaged image is named") {
  const Folder folder;
  Bytes png = Png(40, 40, 3, 0);
  png.resize(60);
  const std::string path = folder.Write("1.png", png);
  CHECK(Contains(Failure(folder.path()),
                 path + ": damaged PNG image: it ends inside its chunk IDAT"));
}

TEST_CASE("LoadImage: a PNG file in the channels that the model wants") {
  const Folder folder;
  const std::string grey = folder.Write("grey#1.png", Png(3, 2, 1, 7));
  Dataset set = LoadImage(grey, {0, 0, 1});
  CHECK(set.count == 1);
  CHECK(set.height == 2);
  CHECK(set.width == 3);
  CHECK(set.pixels == Pixels(6, 7));
  CHECK(set.labels.empty());
  set = LoadImage(grey, {0, 0, 3});
  CHECK(set.channels == 3);
  CHECK(Bytes(set.pixels.begin(), set.pixels.begin() + 6) == Bytes{7, 7, 7, 8, 8, 8});

  const std::string colour = folder.Write("colour.png", Png(1, 1, 3, 100));
  CHECK(LoadImage(colour, {0, 0, 3}).pixels == Bytes{100, 101, 102});
  CHECK(LoadImage(colour, {0, 0, 1}).pixels == Bytes{(77 * 100 + 150 * 101 + 29 * 102) >> 8});
  CHECK_THROWS_AS(LoadImage(colour, {0, 0, 2}), Error);
}

TEST_CASE("LoadImage: an entry of a file") {
  const Folder folder;
  Bytes images;
  for (const std::uint32_t number : {0x803U, 3U, 2U, 2U}) Append32(number, &images);
  const Bytes pixels = Pixels(12, 0);
  images.insert(images.end(), pixels.begin(), pixels.end());
  Bytes labels;
  for (const std::uint32_t number : {0x801U, 3U}) Append32(number, &labels);
  labels.insert(labels.end(), {7, 8, 9});
  const std::string path = folder.Write("images-idx3-ubyte", images);
  folder.Write("labels-idx1-ubyte", labels);

  const Dataset set = LoadImage(path + "#1", {0, 0, 1});
  CHECK(set.count == 1);
  CHECK(set.pixels == Bytes{4, 5, 6, 7});
  CHECK(set.labels == std::vector<int>{8});
  CHECK(LoadImage(path + "#2", {0, 0, 3}).pixels ==
        Bytes{8, 8, 8, 9, 9, 9, 10, 10, 10, 11, 11, 11});

  Bytes record(3073, 50);
  record[0] = 3;
  const Dataset cifar = LoadImage(folder.Write("a.bin", record) + "#0", {0, 0, 1});
  CHECK(cifar.channels == 1);
  CHECK(cifar.pixels == Bytes(1024, 50));  // 77 + 150 + 29 = 256
  CHECK(cifar.labels == std::vector<int>{3});

  for (const char* entry : {"#3", "#", "#-1", "#1x", "#99999999999999999999999", ""}) {
    INFO(entry);
    CHECK_THROWS_AS(LoadImage(path + entry, {0, 0, 1}), Error);
  }
  CHECK_THROWS_WITH_AS(LoadImage(path + "#3", {0, 0, 1}),
                       (path + ": has no entry 3, expected 0 to 2").c_str(), Error);
}

}  // namespace mu8::host
