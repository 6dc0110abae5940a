// Names from files on a terminal: nothing in them may act on it, or look like a line of mu8's own.
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "tools/mu8/json_output.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

TEST_CASE("printable: letters of any script stay") {
  for (const std::string_view text :
       {"cat", "Fl\u00f6he", "\u732b \u0643\u0644\u0628", "\U0001f408", ""}) {
    CHECK(Printable(text) == text);
    CHECK(PrintableJson(text) == text);
  }
}

TEST_CASE("printable: escape sequences, line feeds and C1 controls are shown, not done") {
  CHECK(Printable("\x1b[2Jred\x07") == "\\x1b[2Jred\\x07");
  CHECK(Printable("a\nmu8: written ok\r") == "a\\nmu8: written ok\\x0d");
  CHECK(Printable("\xc2\x9b"
                  "31m") == "\\u009b31m");
  CHECK(Printable("\x7f") == "\\x7f");
}

TEST_CASE("printable: marks of direction and invisible characters are shown") {
  CHECK(Printable("\u202egnp.exe\u2069") == "\\u202egnp.exe\\u2069");
  CHECK(Printable("a\u200bb\ufeff\u2028\u00ad") == "a\\u200bb\\ufeff\\u2028\\u00ad");
  CHECK(Printable("\U000e0041") == "\\ue0041");
}

TEST_CASE("printable: bytes that are no UTF-8 are shown one by one") {
  // A lone continuation, a long form of '/', a surrogate, a code beyond the last, a cut sequence.
  CHECK(Printable("\x9b") == "\\x9b");
  CHECK(Printable("\xc0\xaf") == "\\xc0\\xaf");
  CHECK(Printable("\xed\xa0\x80") == "\\xed\\xa0\\x80");
  CHECK(Printable("\xf5\x80\x80\x80") == "\\xf5\\x80\\x80\\x80");
  CHECK(Printable("a\xe7\x8c") == "a\\xe7\\x8c");
}

TEST_CASE("printable JSON: says the same to a parser, without what acts on a terminal") {
  const Json json = {{"label", "\x1b[0m\u009b\u202e\U000e0041\u732b\n"}, {"mean", {0.5, 1}}};
  const std::string text = PrintableJson(json.dump(2));
  CHECK(Json::parse(text) == json);
  CHECK(text.find("\u009b") == std::string::npos);
  CHECK(text.find("\u202e") == std::string::npos);
  CHECK(text.find("\U000e0041") == std::string::npos);
  CHECK(text.find("\u732b") != std::string::npos);
}

}  // namespace
}  // namespace mu8::tool
