// Metadata: u32 count, then per pair u16 key bytes, u16 zero, u32 value bytes, key, value
// (FORMAT.md section 7). Keys are sorted and unique.
#include "formats/check.h"

namespace mu8::format {
namespace {

struct Pair {
  std::string_view key;
  std::string_view value;
};
constexpr std::uint64_t kPairHeaderBytes = 8;

// Reads the pair at `offset` (from the file's start) and moves on; false if it leaves the section.
bool NextPair(const View& view, std::uint64_t* offset, Pair* pair) {
  const std::uint64_t end = std::uint64_t{view.metadata.offset} + view.metadata.bytes;
  if (end - *offset < kPairHeaderBytes) return false;
  const auto key_bytes = view.LoadBehind<std::uint16_t>(*offset);
  const auto zero = view.LoadBehind<std::uint16_t>(*offset + 2);
  const auto value_bytes = view.LoadBehind<std::uint32_t>(*offset + 4);
  const std::uint64_t bytes = std::uint64_t{key_bytes} + value_bytes;
  if (zero != 0 || key_bytes == 0 || end - *offset - kPairHeaderBytes < bytes) return false;
  const auto* text = reinterpret_cast<const char*>(view.BytesBehind(*offset + kPairHeaderBytes));
  *pair = {{text, key_bytes}, {text + key_bytes, value_bytes}};
  *offset += kPairHeaderBytes + bytes;
  return true;
}

// Which field of the pair at `start`, the i-th of `count`, NextPair stumbled over.
bool FailPair(std::uint64_t start, std::uint32_t i, std::uint32_t count, Checker* check) {
  const View& view = check->view;
  const std::uint64_t room = std::uint64_t{view.metadata.offset} + view.metadata.bytes - start;
  if (room <= kPairHeaderBytes) {  // no pair has less than one byte of key
    return check->Fail(Status::kMetadata, view.metadata.offset, count, i);
  }
  const std::uint64_t left = room - kPairHeaderBytes;
  const auto key_bytes = view.LoadBehind<std::uint16_t>(start);
  const auto zero = view.LoadBehind<std::uint16_t>(start + 2);
  if (zero != 0) return check->Fail(Status::kMetadata, start + 2, zero, 0);
  if (key_bytes == 0) return check->Fail(Status::kMetadata, start, key_bytes, 1);
  if (key_bytes > left) return check->Fail(Status::kMetadata, start, key_bytes, left);
  return check->Fail(Status::kMetadata, start + 4, view.LoadBehind<std::uint32_t>(start + 4),
                     left - key_bytes);
}

// The key of the pair at `start` is not above the one before: its first lower byte, or its length.
bool FailOrder(std::uint64_t start, std::string_view key, std::string_view previous,
               Checker* check) {
  std::size_t i = 0;
  while (i < key.size() && key[i] == previous[i]) ++i;  // at most the key's bytes
  if (i == key.size()) {
    return check->Fail(Status::kMetadata, start, key.size(), previous.size() + 1);
  }
  return check->Fail(Status::kMetadata, start + kPairHeaderBytes + i,
                     static_cast<std::uint8_t>(key[i]), static_cast<std::uint8_t>(previous[i]));
}

}  // namespace

bool CheckMetadata(Checker* check) {
  const View& view = check->view;
  check->layer = check->tensor = -1;
  if (view.metadata.bytes < 4) {
    return check->FailSection(Status::kMetadata, SectionId::kMetadata,
                              offsetof(SectionRecord, bytes), view.metadata.bytes, 4);
  }
  const auto count = view.LoadBehind<std::uint32_t>(view.metadata.offset);
  std::uint64_t offset = view.metadata.offset + 4;
  std::string_view previous;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t start = offset;
    Pair pair;
    if (!NextPair(view, &offset, &pair)) return FailPair(start, i, count, check);
    if (pair.key <= previous) return FailOrder(start, pair.key, previous, check);
    previous = pair.key;
  }
  const std::uint64_t bytes = offset - view.metadata.offset;
  if (bytes != view.metadata.bytes) {
    return check->FailSection(Status::kMetadata, SectionId::kMetadata,
                              offsetof(SectionRecord, bytes), view.metadata.bytes, bytes);
  }
  return true;
}

std::uint32_t MetadataCount(const View& view) {
  return view.LoadBehind<std::uint32_t>(view.metadata.offset);
}

void NextMetadata(const View& view, std::uint64_t* place, std::string_view* key,
                  std::string_view* value) {
  if (*place == 0) *place = view.metadata.offset + 4;
  Pair pair;
  if (!NextPair(view, place, &pair)) pair = {};
  *key = pair.key;
  *value = pair.value;
}

bool FindMetadata(const View& view, std::string_view key, std::string_view* value) {
  std::uint64_t offset = view.metadata.offset + 4;
  Pair pair;
  for (std::uint32_t i = MetadataCount(view); i > 0; --i) {
    if (!NextPair(view, &offset, &pair)) return false;  // changed since Open
    if (pair.key == key) {
      *value = pair.value;
      return true;
    }
  }
  return false;
}

std::string_view Line(std::string_view text, std::uint32_t index) {
  for (; index > 0; --index) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  const std::size_t end = text.find('\n');
  return {text.data(), end == std::string_view::npos ? text.size() : end};
}

}  // namespace mu8::format
