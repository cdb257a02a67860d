#include "waypost/routing/router.h"

#include <algorithm>

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

TableDiff diff(const Table& before, const Table& after) {
  TableDiff out;
  after.for_each([&](const Entry& now) {
    auto was = before.find(key_of(now.address));
    if (!was)
      out.added.push_back(now);
    else if (!same_route(*was, now))
      out.changed.emplace_back(std::move(*was), now);
  });
  before.for_each([&](const Entry& was) {
    if (!after.find(key_of(was.address))) out.removed.push_back(was);
  });
  std::sort(out.added.begin(), out.added.end(), before_in_order);
  std::sort(out.removed.begin(), out.removed.end(), before_in_order);
  std::sort(out.changed.begin(), out.changed.end(), [](const auto& one, const auto& other) {
    return before_in_order(one.first, other.first);
  });
  return out;
}

std::string TableDiff::summary() const {
  if (added.empty() && removed.empty() && changed.empty()) return "no change";
  std::size_t targets = 0;
  for (const auto& [was, now] : changed) targets += !same_targets(was, now);
  const auto states = changed.size() - targets;
  const auto counted = [](std::size_t n, const char* one, const char* many) {
    return std::to_string(n) + " " + (n == 1 ? one : many) + " changed";
  };
  auto out = std::to_string(added.size()) + " added, " + std::to_string(removed.size()) +
             " removed, " + counted(targets, "target", "targets");
  if (states > 0) out += ", " + counted(states, "state or wave", "states or waves");
  return out;
}

}  // namespace waypost::routing
