#include "waypost/base/sealed_journal.h"

#include "waypost/base/counted.h"
#include "waypost/base/crc32c.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace waypost {
namespace {

constexpr std::size_t kDigits = 8;  // of one sum
constexpr std::string_view kSeal = ",\"sum\":\"";
constexpr std::size_t kSealOctets = kSeal.size() + 2 * kDigits + 1 + 2;  // OWN-CHAIN"}
constexpr const char* kMarkLine = "%" PRIu64 " %08" PRIx32;
constexpr int kMostCopies = 1000;

std::string in_digits(std::uint32_t sum) {
  char text[16];
  std::snprintf(text, sizeof text, "%08" PRIx32, sum);
  return text;
}

/// A line in its parts.
struct Sealed {
  std::string object;
  std::string own, chain;  // empty: an old line
};

Sealed unseal(std::string_view line) {
  if (line.size() > kSealOctets && line.ends_with("\"}")) {
    const auto seal = line.substr(line.size() - kSealOctets);
    if (seal.starts_with(kSeal) && seal[kSeal.size() + kDigits] == '-')
      return {std::string(line.substr(0, line.size() - kSealOctets)) + "}",
              std::string(seal.substr(kSeal.size(), kDigits)),
              std::string(seal.substr(kSeal.size() + kDigits + 1, kDigits))};
  }
  return {std::string(line), {}, {}};
}

Result<std::optional<std::string>> text_at(Disk& disk, const std::string& path) {
  auto opened = disk.open(path, false);
  if (!opened && opened.error().kind == ErrorKind::not_found) return std::nullopt;
  if (!opened) return fail(std::move(opened).error());
  auto text = content_of(**opened);
  if (!text) return fail(std::move(text).error());
  return std::move(*text);
}

}  // namespace

SealedJournal::SealedJournal(Disk& disk, std::string path, unsigned mode)
    : disk_(disk), journal_(disk, path, mode), mark_file_(disk, path + ".mark", mode) {}

SealedJournal::Sum SealedJournal::all() const {
  return {chains_.size(), chains_.empty() ? 0 : chains_.back()};
}

/// What a crash leaves: all of these lines, and at most one more, which was not acknowledged.
bool SealedJournal::is_all(const Sum& marked) const {
  if (chains_.size() < marked.lines || chains_.size() > marked.lines + 1) return false;
  return marked.lines == 0 || chains_[marked.lines - 1] == marked.chain;
}

std::vector<std::string> SealedJournal::read(const Take& take,
                                             const std::function<void(std::string)>& remark) {
  read_mark();
  std::string torn;
  const auto done =
      journal_.read([&](std::string_view line) { return take_line(line, take); },
                    [&](const AppendJournal::Defect& defect) {
                      auto text = path() + ":" + std::to_string(defect.line) + ": " + defect.why;
                      if (defect.last)
                        torn = std::move(text);
                      else
                        wrong_.push_back(std::move(text));
                    });
  if (!done) {
    wrong_.push_back(path() + ": " + done.error().message);
    return wrong_;
  }
  for (auto& one : compare(torn)) wrong_.push_back(std::move(one));
  if (wrong_.empty() && !torn.empty())
    remark(torn + "; whoever gave the command was not told that it is done; the line is left out");
  return wrong_;
}

Result<> SealedJournal::take_line(std::string_view line, const Take& take) {
  line = line.substr(0, line.find_last_not_of(" \t\r") + 1);
  const Sealed parts = unseal(line);
  std::uint32_t chain = crc32c(all().chain, parts.object);
  if (!parts.own.empty() && parts.own != in_digits(crc32c(0, parts.object)))
    return fail(ErrorKind::corrupt, "the line was changed after it was written");
  if (auto taken = take(parts.object); !taken) return taken;
  if (!parts.chain.empty() && parts.chain != in_digits(chain)) {
    wrong_.push_back(path() + ": a line before the line number " +
                     std::to_string(chains_.size() + 1) + " is missing or was changed");
    chain = static_cast<std::uint32_t>(std::strtoul(parts.chain.c_str(), nullptr, 16));
  }
  chains_.push_back(chain);
  (parts.own.empty() ? has_plain_ : has_sealed_) = true;
  return {};
}

std::vector<std::string> SealedJournal::compare(const std::string& torn) const {
  const std::string mark = path() + ".mark";
  const std::string not_known =
      ": whether " + path() + " has all that was acknowledged is not known";
  if (!mark_trouble_.empty()) return {mark + ": " + mark_trouble_ + not_known};
  if (!mark_) {
    if (has_sealed_) return {mark + ": the file is gone" + not_known};
    if (journal_.exists() && !has_plain_ && torn.empty() && wrong_.empty())
      return {path() + ": nothing in it can be read, and there is no " + mark};
    return {};
  }
  if (is_all(mark_->sum) || (mark_->or_sum && is_all(*mark_->or_sum))) return {};
  std::vector<std::string> wrong;
  if (!torn.empty()) wrong.push_back(torn);
  wrong.push_back(path() + ": " + counted(mark_->sum.lines, "line was", "lines were") +
                  " acknowledged, " + std::to_string(chains_.size()) + " can be read" +
                  (journal_.exists() ? "" : ": the file is gone"));
  return wrong;
}

void SealedJournal::read_mark() {
  const auto text = text_at(disk_, mark_file_.path());
  if (!text) {
    mark_trouble_ = text.error().message;
    return;
  }
  if (!*text) return;
  // "LINES CHAIN[ or LINES CHAIN] SUM\n"
  const std::string& line = **text;
  const auto space = line.rfind(' ');
  const bool whole = space != std::string::npos && line.ends_with('\n') &&
                     line.substr(space + 1) ==
                         in_digits(crc32c(0, std::string_view(line).substr(0, space))) + "\n";
  Mark mark;
  Sum other;
  const int got =
      whole ? std::sscanf(line.c_str(), "%" SCNu64 " %8" SCNx32 " or %" SCNu64 " %8" SCNx32,
                          &mark.sum.lines, &mark.sum.chain, &other.lines, &other.chain)
            : 0;
  if (got != 2 && got != 4) {
    mark_trouble_ = line.empty() ? "it is empty" : "it makes no sense";
    return;
  }
  if (got == 4) mark.or_sum = other;
  mark_ = mark;
}

Result<> SealedJournal::keep_mark(const Mark& mark) {
  char text[128];
  int octets = std::snprintf(text, sizeof text, kMarkLine, mark.sum.lines, mark.sum.chain);
  std::string line(text, static_cast<std::size_t>(octets));
  if (mark.or_sum) {
    octets = std::snprintf(text, sizeof text, kMarkLine, mark.or_sum->lines, mark.or_sum->chain);
    line += " or " + std::string(text, static_cast<std::size_t>(octets));
  }
  line += " " + in_digits(crc32c(0, line)) + "\n";
  if (auto kept = mark_file_.replace(line); !kept) return kept;
  mark_ = mark;
  mark_trouble_.clear();
  return {};
}

Result<> SealedJournal::usable() const {
  if (!wrong_.empty())
    return fail(ErrorKind::corrupt, wrong_.front() + ": nothing more is written there");
  if (auto can = journal_.usable(); !can) return can;
  return mark_file_.usable();
}

std::string SealedJournal::sealed(std::string_view object, const Sum& before, Sum& after) const {
  after = {before.lines + 1, crc32c(before.chain, object)};
  std::string line(object.substr(0, object.size() - 1));
  return line + std::string(kSeal) + in_digits(crc32c(0, object)) + "-" + in_digits(after.chain) +
         "\"}";
}

Result<> SealedJournal::append(std::string_view object) {
  if (auto can = usable(); !can) return can;
  // Else a journal of which the first line is lost would look like one that never was.
  if (!mark_) {
    if (auto kept = keep_mark({all(), {}}); !kept) return kept;
  }
  Sum after;
  if (auto written = journal_.append(sealed(object, all(), after)); !written) return written;
  if (auto kept = keep_mark({after, {}}); !kept) {
    read_mark();
    if (!mark_ || mark_->sum != after) {
      journal_.take_back();
      return kept;
    }
    // It has its new content, though perhaps not on the disk: a line less would be damage.
  }
  chains_.push_back(after.chain);
  return {};
}

Result<> SealedJournal::rewrite(const std::vector<std::string>& objects) {
  if (objects.empty() && !journal_.exists() && !mark_ && wrong_.empty()) return {};
  if (auto can = journal_.usable(); !can) return can;
  std::string text;
  Sum after;
  std::vector<std::uint32_t> chains;
  for (const std::string& object : objects) {
    text += sealed(object, after, after) + "\n";
    chains.push_back(after.chain);
  }
  // While it is damaged the old mark is what shows it.
  const bool sound = wrong_.empty();
  if (sound) {
    if (auto kept = keep_mark({all(), after}); !kept) return kept;
  }
  if (auto written = journal_.rewrite(text); !written) return written;
  if (auto kept = keep_mark({after, {}}); !kept && !sound) return kept;
  chains_ = std::move(chains);
  wrong_.clear();
  return {};
}

Result<std::string> SealedJournal::copy_aside() {
  const auto content = text_at(disk_, path());
  if (content && !*content) return std::string();
  std::string name = path() + ".damaged";
  for (int more = 2; more < kMostCopies && disk_.open(name, false); ++more)
    name = path() + ".damaged-" + std::to_string(more);
  if (!content) {  // what can't be read can be moved
    if (auto moved = disk_.rename(path(), name); !moved) return fail(std::move(moved).error());
    return name;
  }
  DurableFile copy(disk_, name);
  if (auto kept = copy.replace(**content); !kept) return fail(std::move(kept).error());
  return name;
}

}  // namespace waypost
