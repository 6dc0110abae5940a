// Image sets written to a temporary folder by the test itself, sound and damaged.
#include <doctest/doctest.h>
#include <lzma.h>
#include <zlib.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/error.h"
#include "converters/host/files.h"
#include "tests/converters/temp_folder.h"

namespace mu8::host {

using testing::Bytes;
using testing::Contains;
using testing::Failure;
using testing::Folder;
namespace {

Bytes Gzip(const Bytes& bytes) {
  z_stream stream{};
  constexpr int kGzip = 16;
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + kGzip, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  Bytes out(deflateBound(&stream, bytes.size()) + 64);
  Bytes in = bytes;
  stream.next_in = in.data();
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Bytes Xz(const Bytes& bytes) {
  Bytes out(lzma_stream_buffer_bound(bytes.size()));
  std::size_t size = 0;
  REQUIRE(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, nullptr, bytes.data(), bytes.size(),
                                  out.data(), &size, out.size()) == LZMA_OK);
  out.resize(size);
  return out;
}

void Append32(std::uint32_t value, Bytes* out) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out->push_back(static_cast<std::uint8_t>(value >> shift));
  }
}

// Bytes 0, 1, 2, ... (mod 251) after a header of big-endian numbers.
Bytes Idx(const std::vector<std::uint32_t>& header, std::size_t count) {
  Bytes bytes;
  for (const std::uint32_t number : header) Append32(number, &bytes);
  for (std::size_t i = 0; i < count; ++i) bytes.push_back(static_cast<std::uint8_t>(i % 251));
  return bytes;
}

// Record n: label n mod 10, red = position mod 100 + n, green 100 more, blue 200.
Bytes Cifar(int count) {
  Bytes bytes;
  for (int n = 0; n < count; ++n) {
    bytes.push_back(static_cast<std::uint8_t>(n % 10));
    for (int i = 0; i < 1024; ++i) bytes.push_back(static_cast<std::uint8_t>(i % 100 + n));
    for (int i = 0; i < 1024; ++i) bytes.push_back(static_cast<std::uint8_t>(i % 100 + n + 100));
    bytes.insert(bytes.end(), 1024, 200);
  }
  return bytes;
}

}  // namespace

TEST_CASE("ReadUnpackedFile: plain, gzip and xz files give the same bytes whatever their names") {
  const Folder folder;
  Bytes bytes;
  for (std::uint32_t i = 0; i < 300000; ++i) bytes.push_back(static_cast<std::uint8_t>(i * i >> 7));
  Bytes members = Gzip(bytes);
  const Bytes second = Gzip({1, 2, 3});
  members.insert(members.end(), second.begin(), second.end());
  Bytes both = bytes;
  both.insert(both.end(), {1, 2, 3});

  CHECK(ReadUnpackedFile(folder.Write("plain", bytes)) == bytes);
  CHECK(ReadUnpackedFile(folder.Write("packed", Gzip(bytes))) == bytes);
  CHECK(ReadUnpackedFile(folder.Write("packed.gz", Xz(bytes))) == bytes);
  CHECK(ReadUnpackedFile(folder.Write("members.gz", members)) == both);
  CHECK(ReadUnpackedFile(folder.Write("empty", {})).empty());
  CHECK(ReadUnpackedFile(folder.Write("empty.gz", Gzip({}))).empty());
  for (const char* name : {"plain", "packed", "packed.gz"}) {
    const Bytes prefix = ReadUnpackedFile(folder.path(name), 270000);
    CHECK(prefix == Bytes(bytes.begin(), bytes.begin() + 270000));
  }
}

TEST_CASE("ReadUnpackedFile: damaged, truncated and absent files are errors that name the file") {
  const Folder folder;
  const Bytes bytes = Cifar(3);
  for (Bytes packed : {Gzip(bytes), Xz(bytes)}) {
    const std::size_t size = packed.size();
    for (const std::size_t kept : {size - 1, size - 9, size / 2, std::size_t{8}}) {
      const std::string path =
          folder.Write("short", Bytes(packed.begin(), packed.begin() + static_cast<long>(kept)));
      INFO("kept ", kept, " of ", size);
      CHECK(Contains(Failure(path), path + ": truncated"));
    }
    packed[size / 2] ^= 0x55;
    CHECK_THROWS_AS(ReadUnpackedFile(folder.Write("damaged", packed)), Error);
    packed[size / 2] ^= 0x55;
    packed.insert(packed.end(), {'j', 'u', 'n', 'k'});
    CHECK_THROWS_AS(ReadUnpackedFile(folder.Write("junk behind", packed)), Error);
  }
  CHECK(Contains(Failure(folder.path("absent")), "absent: no such file"));
}

TEST_CASE("ReadUnpackedFile: a Git LFS pointer is recognised") {
  const Folder folder;
  const std::string_view text =
      "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 7840016\n";
  const std::string path = folder.Write("images-idx3-ubyte", Bytes(text.begin(), text.end()));
  CHECK(Contains(Failure(path), path + ": is a Git LFS pointer"));
}

TEST_CASE("dataset: IDX images with labels beside them") {
  const Folder folder;
  const Bytes images = Idx({0x803, 5, 3, 4}, 5 * 12);
  const Bytes labels = Idx({0x801, 5}, 5);
  const std::string plain = folder.Write("a-images-idx3-ubyte", images);
  folder.Write("a-labels-idx1-ubyte.gz", Gzip(labels));
  const std::string packed = folder.Write("b-images.idx3-ubyte.gz", Gzip(images));
  folder.Write("b-labels.idx1-ubyte", labels);
  const std::string alone = folder.Write("c-images-idx3-ubyte", Xz(images));

  for (const std::string& path : {plain, packed, alone}) {
    INFO(path);
    const Dataset set = LoadDataset(path);
    CHECK(set.height == 3);
    CHECK(set.width == 4);
    CHECK(set.channels == 1);
    CHECK(set.count == 5);
    CHECK(set.image_size() == 12);
    CHECK(set.pixels == Bytes(images.begin() + 16, images.end()));
    CHECK(set.Pixels(2, 1).data()[1] == 25);
    CHECK(set.labels == (path == alone ? std::vector<int>{} : std::vector<int>{0, 1, 2, 3, 4}));
    CHECK(set.label_names.empty());

    const Dataset two = LoadDataset(path, 2);
    CHECK(two.count == 2);
    CHECK(two.pixels == Bytes(images.begin() + 16, images.begin() + 40));
    CHECK(two.labels.size() == (path == alone ? 0 : 2));
  }
}

TEST_CASE("dataset: IDX images with channels last") {
  const Folder folder;
  const Bytes images = Idx({0x804, 2, 2, 2, 3}, 24);
  const Dataset set = LoadDataset(folder.Write("images", images));
  CHECK(set.channels == 3);
  CHECK(set.pixels == Bytes(images.begin() + 20, images.end()));
}

TEST_CASE(
    "dataset: grey pictures for a network of colours, and the reverse, are converted and said") {
  const Folder folder;
  const std::string grey = folder.Write("grey", Idx({0x803, 2, 2, 2}, 8));
  const Dataset colours = LoadDataset(grey, 2, {.size = {2, 2, 3}});
  CHECK(colours.channels == 3);
  CHECK(colours.pixels[3] == 1);
  CHECK(colours.pixels.size() == 24);
  REQUIRE(colours.notices.size() == 1);
  CHECK(Contains(colours.notices[0], "grey, the model takes three channels"));
  const std::string colour = folder.Write("colour", Idx({0x804, 1, 2, 2, 3}, 12));
  const Dataset brightness = LoadDataset(colour, 1, {.size = {2, 2, 1}});
  CHECK(brightness.pixels == Bytes{0, 3, 6, 9});  // (77 r + 150 g + 29 b) / 256
  CHECK(Contains(brightness.notices.at(0), "takes one channel"));
  CHECK(LoadDataset(grey, 2, {.size = {2, 2, 1}}).notices.empty());
}

TEST_CASE("dataset: IDX files that disagree with their headers") {
  const Folder folder;
  const auto failure = [&folder](const Bytes& bytes) {
    return Failure(folder.Write("images-idx3-ubyte", bytes));
  };
  CHECK(Contains(failure(Idx({0x803, 0, 3, 4}, 0)), "holds no images"));
  CHECK(Contains(failure(Idx({0x803, 5, 0, 4}, 0)), "images are 0 x 4 x 1"));
  CHECK(Contains(failure(Idx({0x803, 5, 3, 4}, 59)), "truncated: holds 75 bytes, expected 76"));
  CHECK(Contains(failure(Idx({0x803, 5, 3, 4}, 61)), "more bytes follow the 5 images"));
  CHECK(
      Contains(failure(Idx({0x803, 0xffffffff, 60000, 60000}, 9)), "more than the limit of 4 GiB"));
  CHECK(Contains(failure(Idx({0x803, 5}, 0)), "neither an IDX image file"));
  CHECK(Contains(failure(Idx({0x802, 5}, 5)), "magic number is 0x00000802, expected 0x00000803"));
  CHECK(Contains(failure({}), "is empty"));

  folder.Write("labels-idx1-ubyte", Idx({0x801, 4}, 4));
  CHECK(Contains(failure(Idx({0x803, 5, 3, 4}, 60)), "header says 4 labels, expected 5"));
  folder.Write("labels-idx1-ubyte", Idx({0x801, 5}, 4));
  CHECK(Contains(failure(Idx({0x803, 5, 3, 4}, 60)), "fewer labels than the 5"));
  folder.Write("labels-idx1-ubyte", Idx({0x801, 5}, 6));
  CHECK(Contains(failure(Idx({0x803, 5, 3, 4}, 60)), "more labels than the 5"));
  folder.Write("labels-idx1-ubyte", Idx({0x803, 5}, 6));
  CHECK(Contains(failure(Idx({0x803, 5, 3, 4}, 60)), "expected 0x00000801 (IDX labels)"));
}

TEST_CASE("dataset: an IDX label file is no CIFAR-10 batch, with a limit neither") {
  const Folder folder;
  Bytes labels = Idx({0x801, 9000}, 0);
  labels.resize(8 + 9000, 5);
  const std::string path = folder.Write("labels-idx1-ubyte.gz", Gzip(labels));
  CHECK(Contains(Failure(path), "is an IDX label file"));
  CHECK_THROWS_AS(LoadDataset(path, 1), Error);
}

TEST_CASE("dataset: CIFAR-10 batches become NHWC") {
  const Folder folder;
  const Bytes batch = Cifar(12);
  for (const std::string& path :
       {folder.Write("a.bin", batch), folder.Write("a.bin.gz", Gzip(batch)),
        folder.Write("a.bin.xz", Xz(batch))}) {
    INFO(path);
    const Dataset set = LoadDataset(path);
    REQUIRE(set.count == 12);
    CHECK(set.image_size() == 3072);
    CHECK(set.pixels.size() == 12 * 3072);
    CHECK(set.labels == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1});
    const std::uint8_t* pixel = set.Pixels(11, 1).data() + 3 * 1023;  // 1023 % 100 = 23
    CHECK(pixel[0] == 23 + 11);
    CHECK(pixel[1] == 23 + 11 + 100);
    CHECK(pixel[2] == 200);
    const Dataset three = LoadDataset(path, 3);
    CHECK(three.count == 3);
    CHECK(three.pixels == Bytes(set.pixels.begin(), set.pixels.begin() + 3 * 3072));
    CHECK(three.labels == std::vector<int>{0, 1, 2});
  }
}

TEST_CASE("dataset: a dark CIFAR-10 record that begins like IDX is still CIFAR-10") {
  const Folder folder;
  Bytes batch = Cifar(2);
  batch[2] = 8;
  batch[3] = 3;
  REQUIRE(batch[0] == 0);
  REQUIRE(batch[1] == 0);
  CHECK(LoadDataset(folder.Write("a.bin", batch)).count == 2);
}

TEST_CASE("dataset: an IDX file of floats is told apart from a damaged batch") {
  const Folder folder;
  CHECK(Contains(Failure(folder.Write("images", Idx({0xd03, 1, 2, 2}, 16))),
                 "an IDX file of 32-bit floats, expected one of unsigned bytes"));
}

TEST_CASE("dataset: a pickle is told apart from a damaged batch") {
  const Folder folder;
  Bytes pickle(3072, 0);
  pickle[0] = 0x80, pickle[1] = 2;
  CHECK(Contains(Failure(folder.Write("data_batch_1", pickle)), "Python pickle"));
}

TEST_CASE("dataset: damaged CIFAR-10 batches") {
  const Folder folder;
  Bytes batch = Cifar(3);
  batch.pop_back();
  CHECK(Contains(Failure(folder.Write("a.bin", batch)), "size is 9218 bytes, expected a multiple"));
  CHECK_THROWS_AS(LoadDataset(folder.path("a.bin"), 1), Error);
  CHECK(Contains(Failure(folder.Write("a.bin.gz", Gzip(batch))), "size is 9218 bytes"));
  batch = Cifar(3);
  batch[2 * 3073] = 10;
  CHECK(
      Contains(Failure(folder.Write("a.bin", batch)), "label of record 2 is 10, expected 0 to 9"));
  CHECK(Contains(Failure(folder.Write("empty.gz", Gzip({}))), "is empty, holds no images"));
  CHECK_THROWS_AS(LoadDataset(folder.Write("b.bin", Cifar(1)), 0), Error);
}

}  // namespace mu8::host
