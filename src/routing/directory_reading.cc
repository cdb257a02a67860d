#include "routing/directory_reading.h"

#include <algorithm>
#include <charconv>

namespace waypost::routing {
namespace {

constexpr std::string_view kShowDeleted = "1.2.840.113556.1.4.417";
constexpr std::string_view kDomainScope = "1.2.840.113556.1.4.1339";
/// More pages than any directory has: a server that repeats itself for ever.
constexpr std::size_t kMaxPages = 100'000;

std::string folded_dn(std::string_view dn) {
  std::string out;
  for (const char c : mail::ascii_lower(dn))
    if (c != ' ') out += c;
  return out;
}

bool holds(std::string_view context, std::string_view dn) {
  const auto suffix = folded_dn(context), whole = folded_dn(dn);
  return whole == suffix || whole.ends_with("," + suffix);
}

bool lists(const LdapEntry& root, std::string_view control) {
  const auto& all = root.values("supportedControl");
  return std::find(all.begin(), all.end(), control) != all.end();
}

}  // namespace

std::string directory_filter(const DirectoryOptions& options) {
  return options.filter.empty() ? default_directory_filter(options) : options.filter;
}

Result<LdapPage> DirectoryReading::page(const LdapSearch& search) {
  return wire_.search(search, patience_.at_most(options_.operation_timeout));
}

Result<> DirectoryReading::each(LdapSearch search,
                                const std::function<void(const LdapEntry&)>& visit) {
  search.page_size = options_.page_size;
  search.domain_scope = can_scope_;
  for (std::size_t pages = 0; pages < kMaxPages; ++pages) {
    auto got = page(search);
    if (!got)
      return fail(
          {got.error().kind, "page " + std::to_string(pages + 1) + ": " + got.error().message});
    for (const auto& entry : got->entries) visit(entry);
    if (got->cookie.empty()) return {};
    search.cookie = std::move(got->cookie);
  }
  return fail(ErrorKind::protocol, "the server sends pages without end");
}

Result<DirectoryServerFacts> DirectoryReading::facts() {
  LdapSearch search{.subtree = false};
  search.attributes = {"defaultNamingContext", "namingContexts", "dsServiceName",
                       "highestCommittedUSN", "supportedControl"};
  auto root = page(search);
  if (!root) return fail({root.error().kind, "reading the rootDSE: " + root.error().message});
  DirectoryServerFacts facts;
  if (root->entries.empty()) return facts;
  const auto& entry = root->entries.front();
  for (const auto* name : {"namingContexts", "defaultNamingContext"})
    for (const auto& context : entry.values(name))
      if (holds(context, options_.base) && context.size() > facts.naming_context.size())
        facts.naming_context = context;
  facts.can_show_deleted = lists(entry, kShowDeleted);
  facts.can_scope = can_scope_ = lists(entry, kDomainScope);
  const auto usn = entry.first("highestCommittedUSN");
  std::uint64_t number = 0;
  const auto* end = usn.data() + usn.size();
  if (const auto [at, trouble] = std::from_chars(usn.data(), end, number);
      !usn.empty() && trouble == std::errc() && at == end)
    facts.highest_usn = number;
  const std::string service(entry.first("dsServiceName"));
  if (service.empty()) return facts;
  // Not everybody may read it; the server's name has to do then.
  LdapSearch ntds{.base = service, .subtree = false};
  ntds.attributes = {"invocationId"};
  const auto settings = page(ntds);
  if (settings && !settings->entries.empty())
    facts.invocation_id = guid_of_octets(settings->entries.front().first("invocationId"));
  else if (!settings && settings.error().kind != ErrorKind::not_found &&
           settings.error().kind != ErrorKind::protocol)
    return fail(settings.error());
  return facts;
}

LdapSearch DirectoryReading::people_search(std::string filter) const {
  LdapSearch search{.base = options_.base};
  search.filter = std::move(filter);
  search.attributes = reader_.attributes();
  return search;
}

void DirectoryReading::take(const LdapEntry& entry, DirectoryPeople& people,
                            DirectoryFindings& findings) const {
  if (auto person = reader_.read(entry, findings)) {
    auto guid = person->guid;
    people.insert_or_assign(std::move(guid), std::move(*person));
  }
}

Result<> DirectoryReading::complete(LdapEntry& entry) {
  const auto told = [&](const std::string& what) { return entry.dn + ": " + what; };
  for (std::size_t parts = 0; parts < kMaxPages; ++parts) {
    const auto range = entry.cut_short();
    if (!range) return {};
    LdapSearch search{.base = entry.dn, .subtree = false};
    search.attributes = {range->name + ";range=" + std::to_string(range->next) + "-*"};
    auto got = page(search);
    if (!got)
      return fail({got.error().kind, told("more " + range->name + ": " + got.error().message)});
    if (got->entries.size() != 1 || !entry.take_range(*range, got->entries.front()))
      return fail(ErrorKind::protocol, told("the server does not give " + range->name +
                                            " from value " + std::to_string(range->next) + " on"));
  }
  return fail(ErrorKind::protocol, told("the server sends values without end"));
}

/// Pages come first: a search between two of them would end the first with some servers.
Result<> DirectoryReading::take_all(LdapSearch search, DirectoryPeople& people,
                                    DirectoryFindings& findings) {
  std::vector<LdapEntry> cut;
  auto read = each(std::move(search), [&](const LdapEntry& entry) {
    if (entry.cut_short())
      cut.push_back(entry);
    else
      take(entry, people, findings);
  });
  if (!read) return read;
  for (auto& entry : cut) {
    if (auto whole = complete(entry); !whole) return whole;
    take(entry, people, findings);
  }
  return {};
}

Result<DirectoryPeople> DirectoryReading::everybody(DirectoryFindings& findings) {
  DirectoryPeople people;
  auto read = take_all(people_search(directory_filter(options_)), people, findings);
  if (!read) return fail(std::move(read).error());
  return people;
}

Result<DirectoryPeople> DirectoryReading::one_page(DirectoryFindings& findings, bool& more) {
  auto search = people_search(directory_filter(options_));
  search.page_size = options_.page_size;
  search.domain_scope = can_scope_;
  auto got = page(search);
  if (!got) return fail(got.error());
  more = !got->cookie.empty();
  DirectoryPeople people;
  for (auto& entry : got->entries) {
    if (auto whole = complete(entry); !whole) return fail(std::move(whole).error());
    take(entry, people, findings);
  }
  return people;
}

/// First everything that was touched, by whatever change: what is not found again by the filter
/// below has left. In this order an object that changes meanwhile is seen as it is now, and again
/// next time. Deleted objects have moved out of the base, so the whole naming context is searched.
Result<std::size_t> DirectoryReading::changes(const DirectoryServerFacts& facts, std::uint64_t usn,
                                              DirectoryPeople& people,
                                              DirectoryFindings& findings) {
  const std::string since = "(uSNChanged>=" + std::to_string(usn) + ")";
  LdapSearch touched{.base = facts.naming_context.empty() ? options_.base : facts.naming_context};
  touched.filter = since;
  touched.attributes = {"objectGUID", "entryUUID"};
  touched.show_deleted = facts.can_show_deleted;
  std::set<std::string> gone;
  auto read = each(touched, [&](const LdapEntry& entry) {
    if (auto guid = guid_of(entry); !guid.empty()) gone.insert(std::move(guid));
  });
  if (!read) return fail({read.error().kind, "changed objects: " + read.error().message});
  const auto count = gone.size();
  for (const auto& guid : gone) people.erase(guid);
  if (count == 0) return count;
  read = take_all(people_search("(&" + directory_filter(options_) + since + ")"), people, findings);
  if (!read) return fail({read.error().kind, "changed entries: " + read.error().message});
  return count;
}

bool DirectoryReading::shows_deleted(const DirectoryServerFacts& facts) {
  if (!facts.can_show_deleted || facts.naming_context.empty()) return false;
  LdapSearch search{.base = "CN=Deleted Objects," + facts.naming_context, .subtree = false};
  search.attributes = {"objectClass"};
  search.show_deleted = true;
  const auto got = page(search);
  return got && !got->entries.empty();
}

}  // namespace waypost::routing
