#include "tests/fuzz/mutate_model.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "formats/layout.h"
#include "formats/writer.h"
#include "tests/support/damage.h"
#include "tests/support/random.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

// Files open in `read`, `open` and other targets alike.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  return mu8::fuzz::MutateModel(data, size, most, seed);
}

namespace mu8::fuzz {
namespace {

using format::FileHeader;
using format::SectionId;
using format::SectionRecord;
using testing::Random;

struct Place {
  std::size_t at, bytes;
  std::size_t record;  // the bytes after which fields repeat
};

std::size_t RecordBytes(std::uint32_t id) {
  switch (static_cast<SectionId>(id)) {
    case SectionId::kTensors:
      return sizeof(format::TensorRecord);
    case SectionId::kLayers:
      return format::kLayerRecordBytes;
    case SectionId::kMoments:
      return sizeof(format::MomentsRecord);
    default:
      return 8;
  }
}

// Sections whose records say where they are, as far as they lie in the file.
std::vector<SectionRecord> Sections(std::span<const std::uint8_t> file) {
  std::vector<SectionRecord> sections;
  if (file.size() < sizeof(FileHeader)) return sections;
  FileHeader header;
  std::memcpy(&header, file.data(), sizeof(header));
  const std::size_t room = (file.size() - sizeof(FileHeader)) / sizeof(SectionRecord);
  const std::size_t count =
      std::min({std::size_t{header.section_count}, room, std::size_t{format::kMaxSections}});
  for (std::size_t i = 0; i < count; ++i) {
    SectionRecord section;
    std::memcpy(&section, file.data() + sizeof(FileHeader) + i * sizeof(section), sizeof(section));
    if (section.offset > file.size() || section.bytes > file.size() - section.offset) continue;
    sections.push_back(section);
  }
  return sections;
}

std::vector<Place> Places(std::span<const std::uint8_t> file,
                          const std::vector<SectionRecord>& sections) {
  std::vector<Place> places = {{0, std::min(sizeof(FileHeader), file.size()), 8}};
  const std::size_t table = std::min(file.size() - places[0].bytes, sections.size() * 32);
  if (table != 0) places.push_back({sizeof(FileHeader), table, sizeof(SectionRecord)});
  for (const SectionRecord& section : sections) {
    if (section.bytes == 0) continue;
    const Place place = {section.offset, section.bytes, RecordBytes(section.id)};
    // Records are what most rules are about.
    const int share = place.record >= sizeof(format::TensorRecord) ? 4 : 1;
    places.insert(places.end(), static_cast<std::size_t>(share), place);
  }
  return places;
}

// One field, by width and alignment, becomes another value: an extreme one, one near the old, or
// that of the same field elsewhere.
void SetField(std::span<std::uint8_t> file, const Place& place, Random* random) {
  const std::size_t width =
      std::min<std::size_t>(random->OneOf<std::size_t>({1, 1, 2, 4, 4, 8}), place.bytes);
  const std::size_t count = place.bytes / width;
  const auto pick = [&] { return random->Next() % count; };
  std::size_t slot = pick();
  std::uint8_t* const at = file.data() + place.at + slot * width;
  std::uint64_t value = 0;
  std::memcpy(&value, at, width);
  switch (random->Below(8)) {
    case 0:
      value = random->OneOf<std::uint64_t>({0, 1, 2, 3, 4, 16, 63, 64, 65, 255, 256});
      break;
    case 1:
      value = ~std::uint64_t{0} >> random->Below(64);
      break;
    case 2:
      value = std::uint64_t{1} << random->Below(64);
      break;
    case 3:
      value ^= std::uint64_t{1} << random->Below(static_cast<std::uint32_t>(8 * width));
      break;
    case 4: {  // the same field of another record
      const std::size_t within = (slot * width) % place.record;
      const std::size_t other = random->Next() % (place.bytes / place.record + 1) * place.record;
      if (other + within + width > place.bytes) break;
      std::memcpy(&value, file.data() + place.at + other + within, width);
      break;
    }
    case 5:
      value = random->Next();
      break;
    default:
      value += static_cast<std::uint64_t>(random->Between(-4, 4));
      break;
  }
  std::memcpy(at, &value, width);
}

// Records or whole sections are taken out, doubled or moved, and the file is laid out anew.
std::vector<std::byte> Rebuilt(std::span<const std::uint8_t> file,
                               const std::vector<SectionRecord>& records, Random* random) {
  FileHeader header;
  std::memcpy(&header, file.data(), sizeof(header));
  std::vector<format::Section> sections;
  for (const SectionRecord& record : records) {
    const auto bytes = std::as_bytes(file.subspan(record.offset, record.bytes));
    sections.push_back({record.id, record.flags, {bytes.begin(), bytes.end()}});
  }
  const auto pick = [&] { return random->Below(static_cast<std::uint32_t>(sections.size())); };
  const std::uint32_t a = pick(), b = pick();
  std::vector<std::byte>& bytes = sections[a].bytes;
  const std::size_t unit = RecordBytes(sections[a].id);
  const std::size_t at = random->Next() % (bytes.size() / unit + 1) * unit;
  const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(std::min(at, bytes.size()));
  const std::size_t some =
      std::min<std::size_t>(unit, static_cast<std::size_t>(bytes.end() - begin));
  const std::vector<std::byte> record(begin, begin + static_cast<std::ptrdiff_t>(some));
  switch (random->Below(6)) {
    case 0:
      bytes.erase(begin, begin + static_cast<std::ptrdiff_t>(some));
      break;
    case 1:
      bytes.insert(begin, record.begin(), record.end());
      break;
    case 2:
      bytes.resize(random->Next() % (bytes.size() + 65));
      break;
    case 3:
      std::swap(sections[a], sections[b]);
      break;
    case 4:
      sections.erase(sections.begin() + a);
      break;
    default: {
      format::Section copy = sections[a];
      copy.id = random->Below(format::kLastSection + 3);
      if (random->OneIn(2)) copy.flags ^= format::kSectionRequired;
      sections.insert(sections.begin() + b, std::move(copy));
      break;
    }
  }
  return format::Assemble(sections, header.version_minor);
}

}  // namespace

std::size_t MutateModel(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  Random random(seed);
  if (size < sizeof(FileHeader) || random.OneIn(16)) return LLVMFuzzerMutate(data, size, most);
  const std::vector<SectionRecord> sections = Sections({data, size});
  if (!sections.empty() && random.OneIn(8)) {
    const std::vector<std::byte> file = Rebuilt({data, size}, sections, &random);
    if (file.size() <= most) {
      std::memcpy(data, file.data(), file.size());
      return file.size();
    }
  }
  const std::vector<Place> places = Places({data, size}, sections);
  for (int n = random.Between(1, 4); n > 0; --n) {
    const Place& place = places[random.Below(static_cast<std::uint32_t>(places.size()))];
    if (random.OneIn(8)) {
      LLVMFuzzerMutate(data + place.at, place.bytes, place.bytes);
    } else {
      SetField({data, size}, place, &random);
    }
  }
  testing::RepairDamaged(std::as_writable_bytes(std::span(data, size)));
  return size;
}

}  // namespace mu8::fuzz
