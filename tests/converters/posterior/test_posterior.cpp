// ReadPosterior: what numpy and safetensors write is read; what is damaged is named.
#include <doctest/doctest.h>

#include "tests/converters/onnx/onnx_builder.h"

namespace mu8::convert {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 33;

using namespace testing;

std::string Safetensors(const std::string& header, const std::string& data) {
  return LittleEndian(header.size(), 8) + header + data;
}

Posterior Read(const std::string& content) {
  const TempFile file("posterior", content);
  return ReadPosterior(file.path(), kMostBytes);
}

std::vector<std::string> Problems(const std::string& content) {
  return ProblemsOf([&] { Read(content); });
}

std::string OneArray() {
  return Zip({{"w.sigma.npy", Npy("<f4", "(2, 3)", Float32Bytes(Count(6)))}});
}

TEST_CASE("posterior: stored .npz with float32 and float64 arrays") {
  const Posterior posterior =
      Read(Zip({{"conv1.weight.sigma.npy", Npy("<f4", "(2, 3)", Float32Bytes(Count(6)))},
                {"fc.bias.sigma.npy", Npy("<f8", "(2,)", Float64Bytes({0.5, 0.25}))},
                {"s.sigma.npy", Npy("<f4", "()", Float32Bytes({7.0f}))}}));
  REQUIRE(posterior.size() == 3);
  CHECK(posterior.at("conv1.weight").shape == std::vector<std::size_t>{2, 3});
  CHECK(posterior.at("conv1.weight").values == Count(6));
  CHECK(posterior.at("fc.bias").values == Floats{0.5f, 0.25f});
  CHECK(posterior.at("s").shape.empty());
  CHECK(posterior.at("s").values == Floats{7.0f});
}

TEST_CASE("posterior: half precision, and numbers of the other byte order") {
  const std::string big_floats("\x3f\x80\0\0\xc0\0\0\0", 8);
  const std::string big_halves("\x3c\0\x38\0", 4);
  const Posterior npz = Read(Zip({{"a.sigma.npy", Npy(">f4", "(2,)", big_floats)},
                                  {"b.sigma.npy", Npy(">f2", "(2,)", big_halves)},
                                  {"c.sigma.npy", Npy("<f2", "(1,)", std::string("\0\x3c", 2))}}));
  CHECK(npz.at("a").values == Floats{1, -2});
  CHECK(npz.at("b").values == Floats{1, 0.5f});
  CHECK(npz.at("c").values == Floats{1});
  const Posterior tensors =
      Read(Safetensors(R"({"h.sigma":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},)"
                       R"("b.sigma":{"dtype":"BF16","shape":[1],"data_offsets":[4,6]}})",
                       std::string("\0\x3c\x01\0\x80\x3f", 6)));
  CHECK(tensors.at("h").values == Floats{1, 0x1p-24f});
  CHECK(tensors.at("b").values == Floats{1});
}

TEST_CASE("posterior: means beside the sigmas") {
  const std::string two = Float32Bytes({1, -2});
  const Posterior posterior = Read(
      Zip({{"w.mean.npy", Npy("<f4", "(2,)", two)}, {"w.sigma.npy", Npy("<f4", "(2,)", two)}}));
  REQUIRE(posterior.size() == 1);
  CHECK(posterior.at("w").means == Floats{1, -2});
  const Posterior tensors =
      Read(Safetensors(R"({"w.sigma":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                       R"("w.mean":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                       two));
  CHECK(tensors.at("w").means == Floats{-2});
  CheckOneProblem(Problems(Zip({{"w.mean.npy", Npy("<f4", "(2,)", two)}})),
                  {"\"w.mean\"", "no \"w.sigma\" beside it"});
  CheckOneProblem(Problems(Zip({{"w.mean.npy", Npy("<f4", "(2, 1)", two)},
                                {"w.sigma.npy", Npy("<f4", "(2,)", two)}})),
                  {"another shape than \"w.sigma\""});
}

TEST_CASE("posterior: checkpoints are named, and what makes a posterior of them") {
  CheckOneProblem(Problems(Zip({{"archive/data.pkl", "x"}, {"archive/data/0", "1234"}})),
                  {"PyTorch checkpoint", "tools/export_posterior.py"});
  CheckOneProblem(Problems(Zip({{"p/data.pkl", "x"}}, false, true)), {"PyTorch checkpoint"});
  CheckOneProblem(Problems("\x80\x02}q\x01."), {"Python pickle", "tools/export_posterior.py"});
}

TEST_CASE("posterior: deflated .npz and .npy format 2.0") {
  const Posterior posterior = Read(
      Zip({{"w.sigma.npy", Npy("<f4", "(100, 10)", Float32Bytes(Count(1000)), false, 2)}}, true));
  CHECK(posterior.at("w").shape == std::vector<std::size_t>{100, 10});
  CHECK(posterior.at("w").values == Count(1000));
}

TEST_CASE("posterior: ZIP64 records that say what the others say") {
  const std::string bytes =
      Zip({{"w.sigma.npy", Npy("<f4", "(2,)", Float32Bytes({1, 2}))}}, false, true);
  CHECK(Read(bytes).at("w").values == Floats{1, 2});
}

TEST_CASE("posterior: Fortran order is transposed to C order") {
  // [[0, 1, 2], [3, 4, 5]] column by column.
  const Posterior posterior =
      Read(Zip({{"w.sigma.npy", Npy("<f4", "(2, 3)", Float32Bytes({0, 3, 1, 4, 2, 5}), true)}}));
  CHECK(posterior.at("w").values == Count(6));
}

TEST_CASE("posterior: names without .sigma are errors, those with __ are not read") {
  const std::vector<std::string> problems =
      Problems(Zip({{"w.mu.npy", Npy("<f4", "(1,)", Float32Bytes({1}))},
                    {"__note__.npy", Npy("<U5", "()", "hello")},
                    {".sigma.npy", Npy("<f4", "(1,)", Float32Bytes({1}))},
                    {"readme.txt", "hello"}}));
  REQUIRE(problems.size() == 3);
  CHECK(problems[0].find("w.mu.npy") != std::string::npos);
  CHECK(problems[2].find("readme.txt") != std::string::npos);
}

TEST_CASE("posterior: problems of all arrays at once") {
  const std::vector<std::string> problems =
      Problems(Zip({{"a.sigma.npy", Npy("<c8", "(1,)", Float32Bytes({1, 0}))},
                    {"b.sigma.npy", Npy("<f4", "(2,)", Float32Bytes({1}))},
                    {"c.sigma.npy", "\x93NUMPX and more"},
                    {"d.sigma.npy", Npy("<f4", "(1,)", Float32Bytes({1}), false, 3)},
                    {"e.sigma.npy", Npy("<f4", "(1,)", Float32Bytes({1}))},
                    {"e.sigma.npy", Npy("<f4", "(1,)", Float32Bytes({1}))}}));
  REQUIRE(problems.size() == 5);
  CHECK(problems[0].find("'<c8' is not supported") != std::string::npos);
  CHECK(problems[1].find("do not match the 4 bytes") != std::string::npos);
  CHECK(problems[2].find("expected 93 4e 55 4d 50 59") != std::string::npos);
  CHECK(problems[3].find("format 3.0") != std::string::npos);
  CHECK(problems[4].find("twice") != std::string::npos);
}

TEST_CASE("posterior: a shape whose product wraps is rejected") {
  for (const char* shape : {"(4294967296, 4294967296)", "(0, 4294967296, 4294967296)",
                            "(18446744073709551616,)", "(-1,)", "(1, 2"}) {
    CAPTURE(shape);
    CHECK(Problems(Zip({{"w.sigma.npy", Npy("<f4", shape, "")}})).size() == 1);
  }
}

TEST_CASE("posterior: files that are something else are named") {
  CheckOneProblem(ProblemsOf([] { ReadPosterior("/nonexistent.npz", kMostBytes); }),
                  {"no such file"});
  CheckOneProblem(ProblemsOf([] { ReadPosterior("/", kMostBytes); }), {"is a folder"});
  CheckOneProblem(Problems(""), {"empty"});
  CheckOneProblem(Problems("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4242\n"),
                  {"Git LFS pointer", "4242", "git lfs pull"});
  CheckOneProblem(Problems("hello, world"), {"12 bytes", "68 65 6c 6c", "expected"});
  CheckOneProblem(Problems(Npy("<f4", "(1,)", Float32Bytes({1}))), {".npy file", "numpy.savez"});
}

TEST_CASE("posterior: every truncation of a .npz is an error") {
  const std::string archive = OneArray();
  std::size_t rejected = 0;
  for (std::size_t size = 0; size < archive.size(); ++size) {
    rejected += Problems(archive.substr(0, size)).empty() ? 0U : 1U;
  }
  CHECK(rejected == archive.size());
}

TEST_CASE("posterior: no changed byte of a .npz is read past or crashes") {
  for (const bool deflated : {false, true}) {
    const std::string archive =
        Zip({{"w.sigma.npy", Npy("<f4", "(2, 3)", Float32Bytes(Count(6)))}}, deflated);
    std::size_t accepted = 0, tried = 0;
    for (std::size_t at = 0; at < archive.size(); ++at) {
      for (const unsigned flip : {0x01u, 0x80u, 0xffu}) {
        std::string damaged = archive;
        damaged[at] = static_cast<char>(static_cast<unsigned char>(damaged[at]) ^ flip);
        ++tried;
        // Bytes that carry nothing here (time stamps, versions) may change; sizes may not.
        if (!Problems(damaged).empty()) continue;
        ++accepted;
        const Posterior posterior = Read(damaged);
        if (posterior.contains("w")) CHECK(posterior.at("w").values == Count(6));
      }
    }
    CAPTURE(tried);
    CHECK(accepted < tried / 2);
  }
}

TEST_CASE("posterior: ZIP damage is named") {
  std::string crc = OneArray();
  crc[crc.find("NUMPY") + 100 + 25] ^= 1;
  CHECK(Problems(crc).size() == 1);

  const std::string archive = OneArray();
  const std::size_t directory = archive.find("PK\x01\x02");
  std::string zip64 = archive;
  for (std::size_t i = 20; i < 24; ++i) zip64[directory + i] = '\xff';
  CheckOneProblem(Problems(zip64), {"ZIP64"});
  std::string encrypted = archive;
  encrypted[directory + 8] = 1;
  CheckOneProblem(Problems(encrypted), {"encrypted"});
  std::string method = archive;
  method[directory + 10] = 12;
  CheckOneProblem(Problems(method), {"method 12"});
}

TEST_CASE("posterior: a member that promises more than deflate can hold is rejected") {
  std::string archive = Zip({{"w.sigma.npy", Npy("<f4", "(2, 3)", Float32Bytes(Count(6)))}}, true);
  const std::size_t directory = archive.find("PK\x01\x02");
  archive.replace(directory + 24, 4, LittleEndian(std::uint32_t{0xfffffff0}));
  CheckOneProblem(Problems(archive), {"cannot come from"});
}

TEST_CASE("posterior: safetensors with F32 and F64") {
  const Posterior posterior =
      Read(Safetensors(R"({"__metadata__":{"format":"pt"},)"
                       R"("w.sigma":{"dtype":"F32","shape":[2,3],"data_offsets":[16,40]},)"
                       R"("b.sigma":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}}   )",
                       Float64Bytes({0.5, 0.25}) + Float32Bytes(Count(6))));
  REQUIRE(posterior.size() == 2);
  CHECK(posterior.at("w").shape == std::vector<std::size_t>{2, 3});
  CHECK(posterior.at("w").values == Count(6));
  CHECK(posterior.at("b").values == Floats{0.5f, 0.25f});
}

TEST_CASE("posterior: safetensors headers that lie") {
  const std::string data = Float32Bytes(Count(4));
  const auto entry = [](const std::string& range, const std::string& shape = "[4]",
                        const std::string& dtype = "F32") {
    return R"("w.sigma":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" +
           range + "}";
  };
  const auto one = [&](const std::string& inside) {
    return Problems(Safetensors("{" + inside + "}", data));
  };
  CHECK(one(entry("[0,16]")).empty());
  CheckOneProblem(one(entry("[0,20]")), {"not inside"});
  CheckOneProblem(one(entry("[16,0]")), {"not inside"});
  CheckOneProblem(one(entry("[0,18446744073709551615]")), {"not inside"});
  CheckOneProblem(one(entry("[0,-1]")), {"expected {"});
  CheckOneProblem(one(entry("[0,16]", "[5]")), {"do not match"});
  CheckOneProblem(one(entry("[0,16]", "[4294967296,4294967297]")), {"do not match"});
  CheckOneProblem(one(entry("[0,16]", "[4]", "I32")), {"I32", "F32 and F64"});
  CheckOneProblem(one(entry("[0,16]", "[4]", "BF16")), {"do not match"});
  CheckOneProblem(one(entry("[0,12]", "[3]")), {"4 bytes after the last tensor"});
  CheckOneProblem(one(entry("[4,16]", "[3]")), {"there is a hole"});
  CheckOneProblem(one(entry("[0,16]") + "," + entry("[0,16]")), {"names \"w.sigma\" twice"});
  CheckOneProblem(
      one(entry("[0,16]") + R"(,"b.sigma":{"dtype":"F32","shape":[1],"data_offsets":[4,8]})"),
      {"overlap"});
  CheckOneProblem(one(R"("w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]})"),
                  {"<initializer>.sigma"});
  CheckOneProblem(one(R"("w.sigma":[[[[[[1]]]]]])"), {"expected {"});
  CheckOneProblem(Problems(Safetensors("{\"w", data)), {"header of 3 bytes is no JSON"});
  CheckOneProblem(
      one(R"("w.sigma":{"dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]})"),
      {"names \"dtype\" twice"});
  CheckOneProblem(one(entry("[0,16]") + R"(,"w":)" + std::string(100'000, '[')),
                  {"more than 64 lists"});
  CheckOneProblem(Problems(LittleEndian(std::uint64_t{1000}) + "{}" + data), {"1000", "truncated"});
  CheckOneProblem(Problems(LittleEndian(~std::uint64_t{0}) + "{}" + data), {"truncated"});
}

TEST_CASE("posterior: every truncation of a .safetensors is an error") {
  const std::string file = Safetensors(
      R"({"w.sigma":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}})", Float32Bytes(Count(6)));
  std::size_t rejected = 0;
  for (std::size_t size = 0; size < file.size(); ++size) {
    rejected += Problems(file.substr(0, size)).empty() ? 0U : 1U;
  }
  CHECK(rejected == file.size());
}

}  // namespace
}  // namespace mu8::convert
