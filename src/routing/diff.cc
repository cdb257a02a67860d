#include "waypost/base/counted.h"

#include "routing/diff_visitor.h"

#include <algorithm>
#include <utility>

namespace waypost::routing {
namespace {

/// Addresses of a table are normalisable; an empty key can't be found.
std::string key_of(const mail::Mailbox& address) {
  auto key = normalise_key(address);
  return key ? std::move(*key) : std::string();
}

bool same_targets(const Entry& one, const Entry& other) {
  return key_of(one.target) == key_of(other.target) &&
         std::equal(one.copies.begin(), one.copies.end(), other.copies.begin(), other.copies.end(),
                    [](const auto& copy, const auto& its) { return key_of(copy) == key_of(its); });
}

bool same_route(const Entry& one, const Entry& other) {
  return one.has_state == other.has_state && one.state == other.state && one.wave == other.wave &&
         same_targets(one, other);
}

bool before_in_order(const Entry& one, const Entry& other) {
  return key_of(one.address) < key_of(other.address);
}

}  // namespace

TableDiff diff(const Table& before, const Table& after, std::size_t most_names,
               DiffVisitor& visitor) {
  TableDiff out;
  const auto keep = [most_names](auto& list, auto&&... what) {
    if (list.size() < most_names) list.emplace_back(std::forward<decltype(what)>(what)...);
  };
  after.for_each([&](const Entry& now) {
    auto was = before.find(key_of(now.address));
    if (!was) {
      ++out.added_count;
      keep(out.added, now);
    } else if (!same_route(*was, now)) {
      ++out.changed_count;
      if (!same_targets(*was, now)) ++out.targets_changed;
      visitor.changed(*was, now);
      keep(out.changed, std::move(*was), now);
    }
  });
  before.for_each([&](const Entry& was) {
    if (after.find(key_of(was.address))) return;
    ++out.removed_count;
    visitor.removed(was);
    keep(out.removed, was);
  });
  std::sort(out.added.begin(), out.added.end(), before_in_order);
  std::sort(out.removed.begin(), out.removed.end(), before_in_order);
  std::sort(out.changed.begin(), out.changed.end(), [](const auto& one, const auto& other) {
    return before_in_order(one.first, other.first);
  });
  return out;
}

TableDiff diff(const Table& before, const Table& after, std::size_t most_names) {
  struct Deaf final : DiffVisitor {
    void removed(const Entry& /*was*/) override {}
    void changed(const Entry& /*was*/, const Entry& /*now*/) override {}
  } deaf;
  return diff(before, after, most_names, deaf);
}

std::string TableDiff::summary() const {
  if (added_count + removed_count + changed_count == 0) return "no change";
  auto out = std::to_string(added_count) + " added, " + std::to_string(removed_count) +
             " removed, " + counted(targets_changed, "target") + " changed";
  if (const auto states = changed_count - targets_changed; states > 0)
    out += ", " + counted(states, "state or wave", "states or waves") + " changed";
  return out;
}

}  // namespace waypost::routing
