#include <doctest/doctest.h>

#include <cstring>

#include "converters/host/error.h"
#include "converters/host/number_files.h"
#include "tests/converters/temp_folder.h"

namespace mu8::testing {
namespace {

using host::Dataset;
using host::InputSpec;

constexpr std::size_t kAll = 1000;

Bytes Text(const std::string& text) { return {text.begin(), text.end()}; }

template <typename T>
Bytes Npy(const std::string& descr, const std::string& shape, const std::vector<T>& values) {
  std::string header =
      "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
  header += std::string(63 - (header.size() + 10) % 64, ' ') + "\n";
  Bytes bytes = Text(std::string("\x93NUMPY\x01\x00", 8));
  bytes.push_back(static_cast<std::uint8_t>(header.size() & 255));
  bytes.push_back(static_cast<std::uint8_t>(header.size() >> 8));
  bytes.insert(bytes.end(), header.begin(), header.end());
  const std::size_t at = bytes.size();
  bytes.resize(at + values.size() * sizeof(T));
  std::memcpy(bytes.data() + at, values.data(), values.size() * sizeof(T));
  return bytes;
}

std::string Refusal(const std::string& path, const InputSpec& wanted,
                    const host::DataOptions& options = {}) {
  try {
    host::LoadDataset(path, kAll, wanted, options);
  } catch (const host::Error& error) {
    return error.what();
  }
  return "";
}

const InputSpec kTwo{.size = {1, 1, 2}};

TEST_CASE("number files: a table, its targets by name") {
  const Folder folder;
  const std::string path =
      folder.Write("t.csv", Text("a,\"y_speed\", b\r\n1,10,-2.5e1\n3,20,4\n\n"));
  const Dataset set = host::LoadDataset(path, kAll, kTwo);
  CHECK(set.values == std::vector<float>{1, -25, 3, 4});
  CHECK(set.targets == std::vector<float>{10, 20});
  CHECK(set.target_width() == 1);
  REQUIRE(set.notices.size() == 1);
  CHECK(Contains(set.notices[0], "the targets are taken from \"y_speed\""));
  const Dataset named = host::LoadDataset(path, 1, kTwo, {.targets = {"a"}});
  CHECK(named.values == std::vector<float>{10, -25});
  CHECK(named.targets == std::vector<float>{1});
  CHECK(named.notices.empty());
}

TEST_CASE("number files: a table that is none, by line and column") {
  const Folder folder;
  const auto refusal = [&](const std::string& text) {
    return Refusal(folder.Write("t.csv", Text(text)), kTwo);
  };
  CHECK(Contains(refusal("1,2\n3,4\n"), "t.csv:1: \"1\" is no column name"));
  CHECK(Contains(refusal("a,a\n3,4\n"), "column \"a\" is there twice"));
  CHECK(Contains(refusal("a,b\n1,2\n3\n"), "t.csv:3: has 1 fields, expected 2"));
  CHECK(Contains(refusal("a,b\n1,x\n"), "t.csv:2: column \"b\": \"x\" is not a finite number"));
  CHECK(Contains(refusal("a,b\n1,nan\n"), "is not a finite number"));
  CHECK(Contains(refusal("a,b\n1,\n"), "column \"b\" has no value, expected a finite number"));
  CHECK(Contains(refusal("a,\"b\n1,2\n"), "a quote is not closed"));
  CHECK(Contains(refusal("a;b\n1;2\n"), "t.csv:1: its columns are separated by semicolons"));
  CHECK(Contains(refusal("a\tb\n1\t2\n"), "t.csv:1: its columns are separated by tabs"));
  CHECK(Contains(refusal(",a,b\n0,1,2\n"), "t.csv:1: column 0 (from 0) of the header has no name"));
  CHECK(Contains(refusal("\xff\xfe"
                         "a,b\n1,2\n"),
                 "t.csv: is UTF-16 text"));
  CHECK(Contains(refusal("a,b\n+1,+-2\n"), "\"+-2\" is not a finite number"));
  CHECK(Contains(refusal("a,b\n"), "holds no rows"));
  CHECK(Contains(refusal("a,b,c\n1,2,3\n"),
                 "has 3 input columns, the model expects 2 (its columns "
                 "are \"a\", \"b\", \"c\"; --targets names"));
  const std::string path = folder.Write("t.csv", Text("a,b\n1,2\n"));
  CHECK(Contains(Refusal(path, kTwo, {.targets = {"z"}}), "has no column \"z\" (--targets)"));
}

TEST_CASE("number files: targets are in the order that names them, inputs in the calibration's") {
  const Folder folder;
  const std::string path = folder.Write("T.CSV", Text("b,q,a,p\n1,2,+3,4\n5,6,7,8\n"));
  const Dataset named = host::LoadDataset(path, kAll, kTwo, {.targets = {"p", "q"}});
  CHECK(named.targets == std::vector<float>{4, 2, 8, 6});
  CHECK(named.values == std::vector<float>{1, 3, 5, 7});
  CHECK(named.columns == std::vector<std::string>{"b", "a"});
  CHECK(Contains(Refusal(path, kTwo, {.targets = {"p", "p"}}), "names the column \"p\" twice"));

  const InputSpec known{.size = {1, 1, 2}, .columns = {"a", "b"}};
  const Dataset sorted = host::LoadDataset(path, kAll, known, {.targets = {"p", "q"}});
  CHECK(sorted.values == std::vector<float>{3, 1, 7, 5});
  REQUIRE(sorted.notices.size() == 1);
  CHECK(Contains(sorted.notices[0], "taken by their names"));
  CHECK(Contains(Refusal(path, {.size = {1, 1, 2}, .columns = {"a", "c"}}, {.targets = {"p", "q"}}),
                 "has no column \"c\" (as the model's calibration data had)"));
  CHECK(Contains(Refusal(path, known, {.targets = {"a", "p"}}), "column \"a\" is a target"));
}

TEST_CASE("number files: elements of every type, and uint8 are pixels") {
  const Folder folder;
  const auto load = [&](const Bytes& bytes) {
    return host::LoadDataset(folder.Write("x.npy", bytes), kAll, kTwo);
  };
  const std::vector<float> expected = {1, 2, 3, 4};
  CHECK(load(Npy<double>("<f8", "(2, 2)", {1, 2, 3, 4})).values == expected);
  CHECK(load(Npy<std::int64_t>("<i8", "(2, 2)", {1, 2, 3, 4})).values == expected);
  CHECK(load(Npy<std::int8_t>("|i1", "(2, 2)", {-1, 2, 3, 4})).values ==
        std::vector<float>{-1, 2, 3, 4});
  CHECK(load(Npy<std::uint16_t>("<u2", "(2, 2)", {1, 2, 65535, 4})).values ==
        std::vector<float>{1, 2, 65535, 4});
  const Dataset pixels = load(Npy<std::uint8_t>("|u1", "(2, 2)", {1, 2, 255, 4}));
  CHECK(pixels.pixels == Bytes{1, 2, 255, 4});
  CHECK(!pixels.is_numbers());
  REQUIRE(pixels.notices.size() == 1);
  CHECK(Contains(pixels.notices[0], "its elements are uint8: taken as pixels"));
  CHECK(Contains(Refusal(folder.Write("x.npy", Npy<float>("<c8", "(2, 2)", {1, 2, 3, 4})), kTwo),
                 "element type '<c8' is not supported"));
  CHECK(Contains(
      Refusal(folder.Write("x.npy", Npy<float>("<f4", "(1, 2)",
                                               {1, std::numeric_limits<float>::infinity()})),
              kTwo),
      "number 1 of entry 0 is not finite"));
}

TEST_CASE("number files: raw floats lie as the model's file says") {
  const Folder folder;
  Bytes bytes(4 * 6);
  const float values[6] = {0, 1, 2, 3, 4, 5};
  std::memcpy(bytes.data(), values, sizeof(values));
  InputSpec series{.size = {1, 3, 2}};
  host::ReadLayoutText("ncw:2,3", &series);
  const Dataset set = host::LoadDataset(folder.Write("x.f32", bytes), kAll, series);
  CHECK(set.count == 1);
  CHECK(set.values == std::vector<float>{0, 3, 1, 4, 2, 5});
  CHECK(Contains(Refusal(folder.Write("y.f32", Bytes(20)), series),
                 "holds 20 bytes, expected a multiple of 24"));
}

TEST_CASE("number files: a series is cut into windows, the target that of the last step") {
  const Folder folder;
  const std::string path =
      folder.Write("s.csv", Text("u,v,y\n0,1,10\n2,3,11\n4,5,12\n6,7,13\n8,9,14\n"));
  const InputSpec window{.size = {1, 3, 2}};
  const Dataset set = host::LoadDataset(path, kAll, window, {.window_step = 2});
  CHECK(set.count == 2);
  CHECK(set.values == std::vector<float>{0, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9});
  CHECK(set.targets == std::vector<float>{12, 14});
  const InputSpec flat{.size = {1, 1, 4}};
  CHECK(host::LoadDataset(path, kAll, flat, {.window_step = 3}).values ==
        std::vector<float>{0, 1, 2, 3, 6, 7, 8, 9});
  CHECK(Contains(Refusal(path, {.size = {1, 6, 2}}, {.window_step = 1}),
                 "a series of 5 steps is shorter than a window of 6"));
  CHECK(Contains(Refusal(path, {.size = {1, 3, 3}}, {.window_step = 1}), "--window-step cuts"));
  CHECK(Contains(Refusal(folder.Write("a.png", Text("x")), window, {.window_step = 1}),
                 "is no file of numbers"));
}

TEST_CASE("number files: one input may be without a batch where that is asked for") {
  const Folder folder;
  const std::string path = folder.Write("x.npy", Npy<float>("<f4", "(2,)", {5, 6}));
  CHECK(host::LoadDataset(path, kAll, kTwo, {.may_be_one = true}).values ==
        std::vector<float>{5, 6});
  CHECK(Contains(Refusal(path, kTwo), "an input of the array is (1,), the model expects"));
}

}  // namespace
}  // namespace mu8::testing
