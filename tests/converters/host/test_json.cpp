// JSON of files: what is refused, with the place, and that cost follows length.
#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "converters/host/error.h"
#include "converters/host/json.h"

namespace mu8::host {
namespace {

using Json = nlohmann::json;

std::string Failure(std::string_view text) {
  try {
    ParseJson("a.json: ", text, "a list");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string Repeated(const std::string& text, std::size_t times) {
  std::string result;
  for (std::size_t i = 0; i < times; ++i) result += text;
  return result;
}

TEST_CASE("json: every kind of value is what the library makes of it") {
  for (const char* text :
       {R"({"a": [1, -2, 2.5, 1e3, true, false, null, "b\u00e9"], "c": {"a": {}}, "": []})",
        "[[], [[]], {}, [{}]]", " 7 ", "\"text\"", "null", "18446744073709551615",
        "-9223372036854775808", "\xef\xbb\xbf[1]", R"([{"a": 1}, {"a": 2}])"}) {
    CAPTURE(text);
    CHECK(ParseJson("", text, "") == Json::parse(text));
  }
}

TEST_CASE("json: what is none is refused with its place") {
  CHECK(Failure("[1, 2") ==
        "a.json: is no JSON (line 1, column 6: it ends there), expected a list");
  CHECK(Failure("") == "a.json: is no JSON (line 1, column 1: it ends there), expected a list");
  CHECK(Failure("[1,\n 2,\n x]") == "a.json: is no JSON (line 3, column 2: 'x'), expected a list");
  CHECK(Failure("[1] [2]") == "a.json: is no JSON (line 1, column 5: '['), expected a list");
  CHECK(Failure("[\"\xff\"]") ==
        "a.json: is no JSON (line 1, column 3: byte 0xff), expected a list");
  CHECK(Failure("[1e999]") ==
        "a.json: has a number beyond the range of double (line 1, column 6: '9'), expected a list");
}

TEST_CASE("json: a zero byte is not the end") {
  using std::string_view_literals::operator""sv;
  CHECK(Failure("[1]\0"sv) == "a.json: is no JSON (line 1, column 4: byte 0x00), expected a list");
  CHECK(Failure("[1]\0[2]"sv).starts_with("a.json: is no JSON (line 1, column 4"));
}

TEST_CASE("json: a key twice in one object is refused at any depth") {
  CHECK(Failure(R"({"a": 1, "b": 2, "a": 1})") ==
        "a.json: names \"a\" twice in one object, expected a list");
  CHECK(Failure(R"([{"b": {"a": [], "\u0061": 1}}])") ==
        "a.json: names \"a\" twice in one object, expected a list");
  CHECK(Failure(R"({"a": {"a": 1}, "b": {"a": 1}})").empty());
}

TEST_CASE("json: the deepest is accepted, one more and a million more are refused") {
  const auto nested = [](std::size_t depth, const char* open, const char* close) {
    return Repeated(open, depth) + "1" + Repeated(close, depth);
  };
  CHECK(Failure(nested(kDeepestJson, "[", "]")).empty());
  CHECK(Failure(nested(kDeepestJson, "{\"a\":", "}")).empty());
  const std::string refusal =
      "a.json: has more than 64 lists and objects within each other, which is the limit, expected "
      "a list";
  CHECK(Failure(nested(kDeepestJson + 1, "[", "]")) == refusal);
  CHECK(Failure(nested(1'000'000, "[", "]")) == refusal);
  CHECK(Failure(nested(1'000'000, "{\"a\":", "}")) == refusal);
}

// The library's callbacks walked all members of an object for each of them: 100'000 took minutes.
TEST_CASE("json: many keys cost time in proportion") {
  std::string text = "{\"k\": {}";
  for (int i = 0; i < 200'000; ++i) text += ",\"k" + std::to_string(i) + "\": {\"a\": [1]}";
  const auto start = std::chrono::steady_clock::now();
  CHECK(ParseJson("", text + "}", "").size() == 200'001);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
}

TEST_CASE("json: quotes are ASCII and short") {
  CHECK(QuotedJson(Json{{"a", {1, 2.5, "\xc3\xa9"}}}) == R"({"a":[1,2.5,"\u00e9"]})");
  CHECK(QuotedJson("\xff") == R"("\ufffd")");
  CHECK(QuotedJson(std::string(1000, 'x')) == "\"" + std::string(79, 'x') + "...");
}

}  // namespace
}  // namespace mu8::host
