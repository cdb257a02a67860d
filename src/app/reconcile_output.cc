#include "app/reconcile_output.h"

#include "waypost/base/counted.h"
#include "waypost/base/printable.h"

#include <boost/json.hpp>

#include <algorithm>
#include <array>

namespace waypost::app {
namespace {

using routing::Finding;
using routing::kFindingKinds;
using routing::Mend;
using routing::Reconciliation;
constexpr std::size_t kWidestPerson = 40;

std::array<std::size_t, kFindingKinds.size()> counts_of(const Reconciliation& result) {
  std::array<std::size_t, kFindingKinds.size()> counts{};
  for (const auto& finding : result.findings) ++counts.at(static_cast<std::size_t>(finding.kind));
  return counts;
}

std::string places_of(const Finding& finding) {
  std::string out;
  for (const auto& place : finding.places) out += (out.empty() ? "" : ", ") + place.to_string();
  return out;
}

/// In characters, as far as UTF-8 tells them.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string padded(std::string_view text, std::size_t width) {
  const auto own = width_of(text);
  return std::string(text) + std::string(own < width ? width - own : 0, ' ') + "  ";
}

/// For text, never for a command line: in there an apostrophe may end what is quoted.
/// Where a spreadsheet's cell would begin with a formula, an apostrophe comes before it: at the
/// beginning, and behind everything that some spreadsheet somewhere takes for the end of a cell
/// (Excel's separator is ';' in much of Europe). Quotes and blanks between do not matter.
std::string csv_field(std::string_view text) {
  constexpr std::string_view kFormula = "=+-@\t\r", kSeparators = ",;|\t", kPassedOver = "\"' ";
  std::string out = "\"";
  bool begins = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (begins) {
      const auto first = text.find_first_not_of(kPassedOver, i);
      if (first != std::string_view::npos && kFormula.find(text[first]) != std::string_view::npos)
        out += '\'';
    }
    out += text[i] == '"' ? std::string("\"\"") : std::string(1, text[i]);
    begins = kSeparators.find(text[i]) != std::string_view::npos;
  }
  return out + "\"";
}

std::string quoted_field(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

/// A line is there as it is or not at all: whoever copies it out of the cell runs it.
bool is_fit_for_csv(const std::string& line) {
  return line.empty() || (!routing::cells_begin_formula(line) && printable(line) == line);
}

}  // namespace

std::string summarise(const Reconciliation& result) {
  if (result.findings.empty())
    return "nothing to do: " + counted(result.people, "Exchange recipient") + ", " +
           counted(result.entities, "WorkMail user") + " and " + counted(result.targets, "target") +
           " agree";
  const auto counts = counts_of(result);
  std::string out = counted(result.findings.size(), "finding") + ": ";
  bool first = true;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts.at(i) == 0) continue;
    out +=
        (first ? "" : ", ") + std::to_string(counts.at(i)) + " " + std::string(kFindingKinds.at(i));
    first = false;
  }
  const bool placeholder =
      std::any_of(result.findings.begin(), result.findings.end(), [](const Finding& finding) {
        return finding.mend.line.find(routing::kUnknownOrganisation) != std::string::npos;
      });
  if (placeholder)
    out += "\n" + std::string(routing::kUnknownOrganisation) +
           " stands for your organisation's id; aws workmail list-organizations shows it, "
           "--organisation ID puts it in";
  return out;
}

std::string as_table(const Reconciliation& result) {
  if (result.findings.empty()) return {};
  std::size_t kind_width = 4, person_width = 6;
  for (const auto& finding : result.findings) {
    kind_width = std::max(kind_width, to_string(finding.kind).size());
    person_width = std::max(person_width, std::min(width_of(finding.person), kWidestPerson));
  }
  std::string out =
      padded("KIND", kind_width) + padded("PERSON", person_width) + "WHAT, WHERE, AND THE LINE\n";
  for (const auto& finding : result.findings) {
    out += padded(to_string(finding.kind), kind_width) + padded(finding.person, person_width) +
           finding.details + "\n";
    if (!finding.places.empty()) out += "    at " + places_of(finding) + "\n";
    if (!finding.mend.caution.empty()) out += "    caution: " + finding.mend.caution + "\n";
    if (finding.mend.where == Mend::Where::table) out += "    row of the table:\n";
    if (!finding.mend.line.empty()) out += "    " + finding.mend.line + "\n";
  }
  return out;
}

std::string as_csv(const Reconciliation& result) {
  std::string out = "kind,person,details,places,where,line,caution\r\n";
  for (const auto& finding : result.findings) {
    const auto& mend = finding.mend;
    const bool fit = is_fit_for_csv(mend.line);
    const std::string hint =
        fit ? std::string()
            : "the line is left out: a spreadsheet would take a part of it for a formula, or not "
              "show all of it; 'waypost reconcile --format json' has it";
    const auto caution = hint + (hint.empty() || mend.caution.empty() ? "" : "; ") + mend.caution;
    for (const auto& text : {std::string(to_string(finding.kind)), finding.person, finding.details,
                             places_of(finding), std::string(to_string(mend.where))})
      out += csv_field(text) + ",";
    out += quoted_field(fit ? mend.line : std::string()) + "," + csv_field(caution) + "\r\n";
  }
  return out;
}

std::string as_json(const Reconciliation& result) {
  namespace json = boost::json;
  json::array findings;
  for (const auto& finding : result.findings) {
    json::array places;
    for (const auto& place : finding.places)
      places.push_back(json::object{{"source", place.source}, {"line", place.line}});
    json::object one{{"kind", to_string(finding.kind)},
                     {"person", finding.person},
                     {"details", finding.details},
                     {"places", std::move(places)}};
    if (finding.mend.where != Mend::Where::nowhere) {
      json::object mend{{"where", to_string(finding.mend.where)}, {"line", finding.mend.line}};
      if (!finding.mend.caution.empty()) mend["caution"] = finding.mend.caution;
      one["mend"] = std::move(mend);
    }
    findings.push_back(std::move(one));
  }
  json::object counts;
  const auto numbers = counts_of(result);
  for (std::size_t i = 0; i < numbers.size(); ++i) counts[kFindingKinds.at(i)] = numbers.at(i);
  json::array notes;
  for (const auto& note : result.notes) notes.emplace_back(note.without_level());
  return json::serialize(json::object{{"total", result.findings.size()},
                                      {"counts", std::move(counts)},
                                      {"looked_at",
                                       {{"exchange_recipients", result.people},
                                        {"workmail_users", result.entities},
                                        {"targets", result.targets}}},
                                      {"notes", std::move(notes)},
                                      {"findings", std::move(findings)}}) +
         "\n";
}

}  // namespace waypost::app
