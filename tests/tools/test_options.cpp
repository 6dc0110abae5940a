// Option values and text: what is accepted, what is refused, how it prints.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tools/mu8/command.h"
#include "tools/mu8/json_output.h"
#include "tools/mu8/options.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

TEST_CASE("whole numbers: signs, fractions, overflow and range are refused") {
  const CLI::Validator one_to_ten = WholeNumber(1, 10);
  for (const char* text : {"-1", "+1", "0", "11", "1.5", "1e1", "", " 1", "0x5",
                           "18446744073709551617", "99999999999999999999"}) {
    CAPTURE(text);
    std::string value = text;
    CHECK_FALSE(one_to_ten(value).empty());
  }
}

TEST_CASE("whole numbers: leading zeros are decimal, not octal") {
  std::string value = "010";
  CHECK(WholeNumber(1, 10)(value).empty());
  CHECK(value == "10");
}

TEST_CASE("kernels: the names of the sets and nothing else") {
  CHECK(ParseKernels("auto") == KernelSet::kAuto);
  CHECK(ParseKernels("scalar") == KernelSet::kScalar);
  CHECK(ParseKernels("avx2") == KernelSet::kAvx2);
  CHECK(ParseKernels("avx512vnni") == KernelSet::kAvx512Vnni);
  CHECK(ParseKernels("avxvnni") == KernelSet::kAvxVnni);
  CHECK(ParseKernels("avx512vbmi") == KernelSet::kAvx512Vbmi);
  CHECK(ParseKernels("portable") == KernelSet::kPortable);
  CHECK(ParseKernels("neon") == KernelSet::kNeon);
  CHECK(ParseKernels("neondot") == KernelSet::kNeonDot);
  CHECK(ParseKernels("neoni8mm") == KernelSet::kNeonI8mm);
  CHECK(ParseKernels("armdsp") == KernelSet::kArmDsp);
  CHECK(ParseKernels("helium") == KernelSet::kHelium);
  CHECK(ParseKernels("wasm128") == KernelSet::kWasm128);
  CHECK_THROWS_AS(ParseKernels("AVX2"), UsageError);
}

TEST_CASE("float lists: numbers between commas") {
  CHECK(ParseFloats("--mean", "0.5") == std::vector<float>{0.5f});
  CHECK(ParseFloats("--mean", "0.5,-1,2e-1") == std::vector<float>{0.5f, -1.0f, 0.2f});
  for (const char* text : {"", ",", "1,", ",1", "1;2", "1 2", "one", "nan", "inf", "1e99"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(ParseFloats("--mean", text), UsageError);
  }
}

TEST_CASE("normalization: a std of zero or less is refused") {
  std::vector<float> mean, std;
  ParseNormalization("0.1", "0.3", &mean, &std);
  CHECK(mean == std::vector<float>{0.1f});
  CHECK(std == std::vector<float>{0.3f});
  CHECK_THROWS_AS(ParseNormalization("", "0.3,0", &mean, &std), UsageError);
}

TEST_CASE("text: numbers, sizes and percentages") {
  CHECK(Fixed(0.12345, 3) == "0.123");
  CHECK(Significant(0.000012345, 3) == "1.23e-05");
  CHECK(Percent(0.985, 2) == "98.50 %");
  CHECK(ByteCount(0) == "0 bytes");
  CHECK(ByteCount(1) == "1 byte");
  CHECK(ByteCount(999) == "999 bytes");
  CHECK(ByteCount(1000) == "1,000 bytes");
  CHECK(ByteCount(1234567) == "1,234,567 bytes");
}

TEST_CASE("text: control characters of an untrusted file cannot reach the terminal") {
  CHECK(Printable("a\x1b[2Jb\nc\x7f") == "a\\x1b[2Jb\\nc\\x7f");
  CHECK(Printable("caf\xc3\xa9") == "caf\xc3\xa9");
}

TEST_CASE("table: columns are aligned by characters, not bytes") {
  Table table({{"name", Table::Align::kLeft}, {"n"}});
  table.Add({"caf\xc3\xa9s", "7"});
  table.Add({"x", "123"});
  CHECK(table.ToString() == "name     n\ncaf\xc3\xa9s    7\nx      123\n");
  CHECK(table.ToString("> ").substr(0, 7) == "> name ");
}

TEST_CASE("table: without headers there is no header line") {
  Table fields = Fields();
  fields.Add({"file", "a"});
  CHECK(fields.ToString() == "file  a\n");
}

TEST_CASE("json: floats print shortest") {
  CHECK(Json(ShortestDouble(0.1f)).dump() == "0.1");
  CHECK(static_cast<float>(ShortestDouble(0.1f)) == 0.1f);
  CHECK(FloatArray(std::vector<float>{0.5f, 0.7f}).dump() == "[0.5,0.7]");
}

}  // namespace
}  // namespace mu8::tool
