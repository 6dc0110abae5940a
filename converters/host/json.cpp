#include "converters/host/json.h"

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "converters/host/error.h"

namespace mu8::host {
namespace {

using Json = nlohmann::json;

// `position` counts the bytes that were read, the wrong one included.
std::string DescribePlace(std::string_view text, std::size_t position) {
  const std::size_t at = std::min(position == 0 ? 0 : position - 1, text.size());
  const std::string_view before = text.substr(0, at);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t column = at - (before.rfind('\n') + 1);  // npos + 1 is 0
  std::string place = "line " + std::to_string(line) + ", column " + std::to_string(column + 1);
  if (at == text.size()) return place + ": it ends there";
  const auto byte = static_cast<unsigned char>(text[at]);
  char found[16];
  std::snprintf(found, sizeof found, byte > 0x20 && byte < 0x7f ? "'%c'" : "byte 0x%02x", byte);
  return place + ": " + found;
}

// Builds the value from the parser's events. The library's own builder keeps the last of equal
// keys, and its callbacks walk an object's members once for each of them.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(std::string_view text) : text_(text) {}

  Json& root() { return root_; }
  const std::string& problem() const { return problem_; }

  bool null() override { return Leaf(nullptr); }
  bool boolean(bool value) override { return Leaf(value); }
  bool number_integer(std::int64_t value) override { return Leaf(value); }
  bool number_unsigned(std::uint64_t value) override { return Leaf(value); }
  bool number_float(double value, const std::string&) override { return Leaf(value); }
  bool string(std::string& value) override { return Leaf(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }  // is in no text
  bool start_object(std::size_t) override { return Open(Json::object()); }
  bool start_array(std::size_t) override { return Open(Json::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(std::string& name) override {
    const auto [member, is_new] = open_.back()->emplace(name, nullptr);
    if (!is_new) problem_ = "names " + QuotedJson(name) + " twice in one object";
    member_ = &*member;
    return is_new;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const Json::exception& error) override {
    constexpr int kOutOfRange = 406;
    problem_ =
        (error.id == kOutOfRange ? "has a number beyond the range of double (" : "is no JSON (") +
        DescribePlace(text_, position) + ")";
    return false;
  }

 private:
  Json* Add(Json&& value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    *member_ = std::move(value);
    return member_;
  }

  bool Leaf(Json&& value) {
    Add(std::move(value));
    return true;
  }

  bool Open(Json&& value) {
    if (open_.size() == kDeepestJson) {
      problem_ = "has more than " + std::to_string(kDeepestJson) +
                 " lists and objects within each other, which is the limit";
      return false;
    }
    open_.push_back(Add(std::move(value)));
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  std::string_view text_;
  std::string problem_;
  Json root_;
  // From the root to where values go: only the last can grow, so that none of them moves.
  std::vector<Json*> open_;
  Json* member_ = nullptr;  // of the last one, if that is an object
};

}  // namespace

Json ParseJson(const std::string& subject, std::string_view text, const std::string& expected) {
  const auto fail = [&](const std::string& problem) {
    return Error(subject + problem + ", expected " + expected);
  };
  // The library takes a zero for the end.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    throw fail("is no JSON (" + DescribePlace(text, zero + 1) + ")");
  }
  Builder builder(text);
  if (!Json::sax_parse(text, &builder)) throw fail(builder.problem());
  return std::move(builder.root());
}

std::string QuotedJson(const Json& value) {
  constexpr std::size_t kMost = 80;
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kMost) text.replace(kMost, std::string::npos, "...");
  return text;
}

}  // namespace mu8::host
