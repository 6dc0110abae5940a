// Rows as JSON and as a Markdown table.
#include <cstdio>

#include "bench/peers/comparison.h"

namespace mu8::bench {
namespace {

using Json = nlohmann::json;

constexpr double kMicro = 1e6;

std::string Format(const char* format, double value) {
  char text[32];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

// Null where a side lacks the part.
const std::vector<double>* Find(const Row& row, const std::string& side, const std::string& part) {
  const auto found = row.sides.find(side);
  if (found == row.sides.end()) return nullptr;
  const auto seconds = found->second.seconds.find(part);
  return seconds == found->second.seconds.end() ? nullptr : &seconds->second;
}

std::string TimeCell(const Row& row, const std::string& side, const std::string& part) {
  const std::vector<double>* seconds = Find(row, side, part);
  return seconds == nullptr ? "" : Format("%.1f", Minimum(*seconds) * kMicro);
}

std::string RatioCell(const Row& row, const std::string& peer, const std::string& part) {
  const std::vector<double>* theirs = Find(row, peer, part);
  const std::vector<double>* ours = Find(row, "mu8", part);
  if (theirs == nullptr || ours == nullptr) return "";
  return Format("%.2f", Median(Ratios(*theirs, *ours)));
}

std::vector<std::string> PeersOf(const std::vector<Row>& rows) {
  std::vector<std::string> peers;
  if (rows.empty()) return peers;
  for (const auto& [side, times] : rows[0].sides) {
    if (side != "mu8") peers.push_back(side);
  }
  return peers;
}

}  // namespace

Json ToJson(const Row& row) {
  Json json = {{"name", row.name}, {"macs", row.macs}, {"checked", row.checked}};
  for (const auto& [side, times] : row.sides) {
    Json& entry = json["sides"][side];
    entry["kernels"] = times.kernels;
    entry["largest_difference"] = row.largest.at(side);
    for (const auto& [part, seconds] : times.seconds) {
      entry[part] = {{"us_min", Minimum(seconds) * kMicro},
                     {"us_median", Median(seconds) * kMicro}};
      const std::vector<double>* ours = Find(row, "mu8", part);
      if (side == "mu8" || ours == nullptr) continue;
      const std::vector<double> ratios = Ratios(seconds, *ours);
      json["ratios"][side][part] = {{"median", Median(ratios)},
                                    {"of_minima", Minimum(seconds) / Minimum(*ours)},
                                    {"p10", Percentile(ratios, 0.1)},
                                    {"p90", Percentile(ratios, 0.9)}};
    }
  }
  return json;
}

std::string ToMarkdown(const std::vector<Row>& rows, const std::string& table) {
  const std::vector<std::string> peers = PeersOf(rows);
  std::string head = "| us a pass | mu8 " + table + " compute | weights | both |";
  std::string rule = "|---|---|---|---|";
  for (const std::string& peer : peers) {
    head += " " + peer + " compute | weights | both | " + peer + " / mu8 compute | both |";
    rule += "---|---|---|---|---|";
  }
  std::string text = head + "\n" + rule + "\n";
  for (const Row& row : rows) {
    text += "| " + row.name + " |";
    for (const char* part : kParts) text += " " + TimeCell(row, "mu8", part) + " |";
    for (const std::string& peer : peers) {
      for (const char* part : kParts) text += " " + TimeCell(row, peer, part) + " |";
      text += " " + RatioCell(row, peer, "compute") + " | " + RatioCell(row, peer, "both") + " |";
    }
    text += "\n";
  }
  return text;
}

std::string MomentsToMarkdown(const std::vector<Row>& rows, const std::string& table) {
  std::string head = "| us a prediction | mu8 " + table +
                     " moments | deterministic pass | T = " + std::to_string(kPasses) + " |";
  std::string rule = "|---|---|---|---|";
  std::vector<std::string> sides = {"mu8"};
  for (const std::string& peer : PeersOf(rows)) {
    head += " " + peer + " T = " + std::to_string(kPasses) + " |";
    rule += "---|";
    sides.push_back(peer);
  }
  for (const std::string& side : sides) {
    head += " " + side + " T / moments |";
    rule += "---|";
  }
  std::string text;
  for (const Row& row : rows) {
    const std::vector<double>* moments = Find(row, "mu8", kMoments);
    if (moments == nullptr) continue;
    text += "| " + row.name + " | " + TimeCell(row, "mu8", kMoments) + " | " +
            TimeCell(row, "mu8", "compute") + " |";
    std::string ratios;
    for (const std::string& side : sides) {
      const std::vector<double>* both = Find(row, side, "both");
      if (both == nullptr) return "";
      text += " " + Format("%.1f", kPasses * Minimum(*both) * kMicro) + " |";
      ratios += " " + Format("%.1f", kPasses * Median(Ratios(*both, *moments))) + " |";
    }
    text += ratios + "\n";
  }
  return text.empty() ? "" : head + "\n" + rule + "\n" + text;
}

}  // namespace mu8::bench
