// A journal of JSON lines that shows when something of it is missing.
//
// Each line carries a check sum of itself and one of all lines so far ("sum":"OWN-CHAIN"), and
// PATH.mark says how many lines were acknowledged and what they add up to. So a line that was
// changed, cut out or cut off, an emptied file and a missing one all show; both files gone, or both
// put back from one older copy, do not.
//
// One thread at a time, blocking.
#pragma once

#include "waypost/base/durable.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace waypost {

class SealedJournal {
 public:
  /// An Error says why the object makes no sense.
  using Take = std::function<Result<>(std::string_view object)>;

  /// REQUIRES: `disk` outlives it.
  SealedJournal(Disk& disk, std::string path, unsigned mode = 0600);
  const std::string& path() const { return journal_.path(); }

  /// Once, before anything else. Gives what is wrong, each with its place; empty: all that was
  /// acknowledged is there. `remark` is told of a last line that was never acknowledged. Lines
  /// without sums are taken where there is no mark: an older version wrote them.
  std::vector<std::string> read(const Take& take, const std::function<void(std::string)>& remark);
  Result<> usable() const;
  /// One JSON object without a line break. Returns when it is acknowledged; on an Error it did not
  /// happen. REQUIRES: read() found nothing wrong, or rewrite() succeeded since.
  Result<> append(std::string_view object);
  /// These in place of all that is there. On an Error the old lines stay in use.
  Result<> rewrite(const std::vector<std::string>& objects);
  /// A copy of what is there for a person, beside it; its path, empty if there is no file.
  Result<std::string> copy_aside();

 private:
  struct Sum {
    std::uint64_t lines = 0;
    std::uint32_t chain = 0;
    bool operator==(const Sum&) const = default;
  };
  struct Mark {
    Sum sum;
    std::optional<Sum> or_sum;  // a rewrite was under way: these or those
  };
  Result<> take_line(std::string_view line, const Take& take);
  std::vector<std::string> compare(const std::string& torn) const;
  bool is_all(const Sum& marked) const;
  void read_mark();
  Result<> keep_mark(const Mark& mark);
  std::string sealed(std::string_view object, const Sum& before, Sum& after) const;
  Sum all() const;

  Disk& disk_;
  AppendJournal journal_;
  DurableFile mark_file_;
  std::optional<Mark> mark_;
  std::string mark_trouble_;           // it is there and can't be read
  std::vector<std::uint32_t> chains_;  // after each line
  bool has_sealed_ = false, has_plain_ = false;
  std::vector<std::string> wrong_;
};

}  // namespace waypost
