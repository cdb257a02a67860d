// What only shows when a table is complete: chains and circles, people who are torn apart, members
// of waves whom nobody knows.
#include "routing/table_builder_impl.h"

#include <algorithm>

namespace waypost::routing {

bool TableBuilder::Impl::is_address(const CompactTable::Target& target) {
  const auto domain = table->normal_of(target.domain);
  if (!table->normal_has_entries(domain)) return false;
  lower_.clear();
  append_lower(lower_, target.local);
  return table->find_record(lower_, domain).has_value();
}

void TableBuilder::Impl::check_chains() {
  std::vector<CompactTable::Record> chained;
  table->for_each_record([&](const CompactTable::Record& record, std::uint32_t) {
    bool chain = is_address({record.target_local, record.target_domain});
    CompactTable::for_each_copy(
        record, [&](const CompactTable::Target& copy) { chain = chain || is_address(copy); });
    if (chain) chained.push_back(record);
  });
  std::sort(chained.begin(), chained.end(),
            [](const auto& one, const auto& other) { return one.place() < other.place(); });
  for (const auto& record : chained) {
    check_chain(record, {record.target_local, record.target_domain});
    CompactTable::for_each_copy(
        record, [&](const CompactTable::Target& copy) { check_chain(record, copy); });
  }
}

void TableBuilder::Impl::check_chain(const CompactTable::Record& record,
                                     const CompactTable::Target& target) {
  const auto domain = table->normal_of(target.domain);
  if (!table->normal_has_entries(domain)) return;
  lower_.clear();
  append_lower(lower_, target.local);
  const auto next = table->find_record(lower_, domain);
  if (!next) return;
  const auto entry = table->entry_of(record);
  const auto onward = table->entry_of(*next);
  const auto own_domain = table->normal_of(record.address_domain);
  const auto is_own = [&](const CompactTable::Target& one) {
    return table->normal_of(one.domain) == own_domain &&
           mail::ascii_lower(one.local) == record.key_local;
  };
  bool circle = is_own({next->target_local, next->target_domain});
  CompactTable::for_each_copy(
      *next, [&](const CompactTable::Target& copy) { circle = circle || is_own(copy); });
  const mail::Mailbox written{std::string(target.local), table->written_domain(target.domain)};
  auto message = "the target '" + written.to_string() + "' of '" + entry.address.to_string() +
                 "' is itself an address of the table (" + onward.place.to_string() + ", target '" +
                 onward.target.to_string() + "')";
  message += circle ? ": the two point at each other; correct one of them"
                    : ": mail is rewritten once, never on from there; write the last target here";
  report(Problem{circle, entry.place.source, entry.place.line, 0, std::move(message)});
}

/// Mail for one of the addresses would find the mailbox before mail for the other does.
void TableBuilder::Impl::report_split_people(const std::vector<CompactTable::SamePerson>& people) {
  const auto standing = [](const Entry& entry) {
    if (entry.has_state) return "state " + std::string(routing::to_string(entry.state));
    return entry.wave.empty() ? std::string("no wave") : "wave '" + entry.wave + "'";
  };
  for (const auto& [later, first] : people) {
    const auto entry = table->entry_of(table->record_at(later));
    const auto other = table->entry_of(table->record_at(first));
    warning(entry.place.source, entry.place.line, 0,
            "'" + entry.address.to_string() + "' (" + standing(entry) +
                ") has the same target as '" + other.address.to_string() + "' (" + standing(other) +
                ", " + other.place.to_string() +
                "): the addresses of one person should be in one wave and state");
  }
}

void TableBuilder::Impl::check_members() {
  std::vector<const Members::value_type*> unknown;
  for (const auto& one : members_)
    if (!one.second.known) unknown.push_back(&one);
  std::sort(unknown.begin(), unknown.end(), [](const auto* one, const auto* other) {
    return std::pair(one->second.source, one->second.line) <
           std::pair(other->second.source, other->second.line);
  });
  for (const auto* one : unknown)
    warning(table->source_name(one->second.source), one->second.line, 0,
            quoted_text(one->first) + " is a member of wave '" +
                table->wave_name(one->second.wave) +
                "', but no source has this address; it moves nobody");
  members_.clear();
}

}  // namespace waypost::routing
