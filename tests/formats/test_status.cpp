// Status codes and the messages made of them.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "mu8/status.h"

namespace mu8::testing {
namespace {

std::string Message(const Diagnostic& diagnostic, std::size_t room = 256) {
  std::string text(room, '#');
  const std::size_t length = Explain(diagnostic, text);
  REQUIRE(length < room);
  CHECK(text[length] == '\0');
  text.resize(length);
  return text;
}

TEST_CASE("status: every code has its own sentence") {
  const std::string unknown = StatusText(static_cast<Status>(999));
  CHECK(unknown == "unknown status");
  std::set<std::string> texts;
  int codes = 0;
  for (int code = 0; code < 100; ++code) {
    const std::string text = StatusText(static_cast<Status>(code));
    if (text == unknown) continue;
    ++codes;
    texts.insert(text);
  }
  CHECK(codes == 1 + 17 + 20 + 18 + 15 + 4);
  CHECK(static_cast<int>(texts.size()) == codes);
}

TEST_CASE("status: numbers never change") {
  CHECK(static_cast<int>(Status::kTruncated) == 1);
  CHECK(static_cast<int>(Status::kSectionSize) == 17);
  CHECK(static_cast<int>(Status::kRecordCount) == 20);
  CHECK(static_cast<int>(Status::kPoolQuantization) == 36);
  CHECK(static_cast<int>(Status::kParameterLayout) == 40);
  CHECK(static_cast<int>(Status::kMetadata) == 50);
  CHECK(static_cast<int>(Status::kArenaTooSmall) == 60);
  CHECK(static_cast<int>(Status::kNotReady) == 67);
  CHECK(static_cast<int>(Status::kInputKind) == 70);
  CHECK(static_cast<int>(Status::kSelfTest) == 71);
  CHECK(static_cast<int>(Status::kModelChanged) == 73);
  CHECK(static_cast<int>(Status::kMoments) == 57);
  CHECK(static_cast<int>(Status::kNoMoments) == 78);
}

TEST_CASE("explain: says what, where, found and expected") {
  CHECK(Message({}) == "ok");
  CHECK(Message(
            {.status = Status::kShift, .offset = 1344, .layer = 2, .found = 16, .expected = 15}) ==
        "mu8 error 42: a noise shift must be 1 to 15; layer 2; byte 1344: found 16, expected 15");
  const std::string tensor = Message({.status = Status::kTensorOverlap,
                                      .offset = 5,
                                      .layer = 3,
                                      .tensor = 4,
                                      .found = 64,
                                      .expected = 128});
  CHECK(tensor.find("; layer 3; tensor 4; byte 5: found 64, expected 128") != std::string::npos);
  const std::string large =
      Message({.status = Status::kFileSize, .offset = 16, .found = ~std::uint64_t{0}});
  CHECK(large.find("18446744073709551615") != std::string::npos);
}

TEST_CASE("explain: what could not be read has a place") {
  CHECK(Message({.status = Status::kReadFailed, .offset = 640, .layer = 2, .expected = 64}) ==
        "mu8 error 72: the source could not read (expected: how many bytes); layer 2; byte 640: "
        "found 0, expected 64");
}

// A call is no place in a file.
TEST_CASE("explain: calls have no byte") {
  CHECK(Message({.status = Status::kBatchSize, .found = 3, .expected = 2}) ==
        "mu8 error 66: batch is empty or larger than the session's (expected: at most); found 3, "
        "expected 2");
  CHECK(Message({.status = Status::kNotReady}) ==
        "mu8 error 67: model or session has not been opened, or no run was begun");
  CHECK(Message({.status = Status::kArenaTooSmall,
                 .option = Option::kSlowArena,
                 .found = 64,
                 .expected = 128}) ==
        "mu8 error 60: arena is too small (found: its bytes, expected: at least); slow arena: "
        "found 64, expected 128");
}

TEST_CASE("explain: says which option and its whole range") {
  const auto message = [](Option option, std::uint64_t found, std::uint64_t expected) {
    const std::string text = Message(
        {.status = Status::kBadOption, .option = option, .found = found, .expected = expected});
    const std::string start = "mu8 error 62: an option is out of range; option ";
    CHECK(text.starts_with(start));
    return text.substr(std::min(text.size(), start.size()));
  };
  CHECK(message(Option::kMcSamples, 0, 65536) == "mc_samples: found 0, expected 1 to 65536");
  CHECK(message(Option::kBatch, 65537, 65536) == "batch: found 65537, expected 1 to 65536");
  CHECK(message(Option::kWorkers, 1025, 1024) == "workers: found 1025, expected 1 to 1024");
  CHECK(message(Option::kNoise, 2, 1) == "noise: found 2, expected 0 to 1");
  CHECK(message(Option::kStopRule, 3, 2) == "stop.rule: found 3, expected 0 to 2");
  CHECK(message(Option::kStopError, 750000, 500000) ==
        "stop.error: found 0.75, expected 0.000001 to 0.5");
  CHECK(message(Option::kStopError, 0, 500000) ==
        "stop.error: found less, or no number, expected 0.000001 to 0.5");
  CHECK(message(Option::kStopError, 12000000, 500000) ==
        "stop.error: found 12, expected 0.000001 to 0.5");
  CHECK(message(Option::kStopClass, 3, 2) == "stop.class_index: found 3, expected 0 to 2");
  CHECK(message(Option::kStopThreshold, 1000001, 999999) ==
        "stop.threshold: found 1.000001, expected 0.000001 to 0.999999");
  CHECK(message(Option::kStopChosen, 2, 3) == "stop.chosen: found 2, expected 3");
  CHECK(std::string(OptionName(Option::kNone)) == "none");
  CHECK(std::string(OptionName(static_cast<Option>(99))) == "unknown option");
}

TEST_CASE("status: numbers of options never change") {
  CHECK(static_cast<int>(Option::kNone) == 0);
  CHECK(static_cast<int>(Option::kMcSamples) == 1);
  CHECK(static_cast<int>(Option::kBatch) == 2);
  CHECK(static_cast<int>(Option::kWorkers) == 3);
  CHECK(static_cast<int>(Option::kNoise) == 4);
  CHECK(static_cast<int>(Option::kStopRule) == 5);
  CHECK(static_cast<int>(Option::kStopError) == 6);
  CHECK(static_cast<int>(Option::kStopClass) == 7);
  CHECK(static_cast<int>(Option::kStopThreshold) == 8);
  CHECK(static_cast<int>(Option::kStopWithin) == 9);
  CHECK(static_cast<int>(Option::kStopChosen) == 10);
  CHECK(static_cast<int>(Option::kFastArena) == 11);
  CHECK(static_cast<int>(Option::kSlowArena) == 12);
  CHECK(static_cast<int>(Option::kPanelBytes) == 13);
  CHECK(static_cast<int>(Option::kResident) == 14);
  CHECK(static_cast<int>(Option::kScratch) == 15);
  CHECK(static_cast<int>(Option::kStreamed) == 16);
}

TEST_CASE("explain: cuts to the buffer and always ends it") {
  const Diagnostic diagnostic{
      .status = Status::kWindow, .offset = 10, .layer = 1, .found = 2, .expected = 3};
  const std::string full = Message(diagnostic);
  CHECK(Explain(diagnostic, {}) == 0);
  for (std::size_t room = 1; room < full.size() + 5; ++room) {
    std::string text(room + 1, '#');
    const std::size_t length = Explain(diagnostic, std::span(text).first(room));
    CHECK(length == std::min(room - 1, full.size()));
    CHECK(text[length] == '\0');
    CHECK(text[room] == '#');
    CHECK(text.substr(0, length) == full.substr(0, length));
  }
}

}  // namespace
}  // namespace mu8::testing
