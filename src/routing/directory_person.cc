#include "routing/directory_person.h"

#include "waypost/base/spelling.h"
#include "waypost/routing/unseen.h"

#include <algorithm>
#include <array>
#include <unordered_map>

namespace waypost::routing {
namespace {

constexpr std::array<std::string_view, 4> kStates = {"pending", "migrating", "active",
                                                     "rolled_back"};
constexpr std::size_t kMaxWave = 64;

std::string shown(std::string_view text) { return shown_text(text, 200); }

void add_hex(std::string& out, unsigned char octet) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += kHex[octet >> 4];
  out += kHex[octet & 15];
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

void DirectoryFindings::tell(std::string_view directory, std::string_view dn,
                             std::string_view what) {
  if (problems.size() >= kMaxDirectoryProblems) {
    ++more_problems;
    return;
  }
  problems.push_back(Problem{.error = false,
                             .file = "directory " + std::string(directory),
                             .line = 0,
                             .column = 0,
                             .message = shown(dn) + ": " + std::string(what)});
}

std::string guid_of_octets(std::string_view octets) {
  if (octets.size() != 16) return {};
  // [MS-DTYP] §2.3.4.2: the first three groups are little-endian.
  constexpr std::array<std::size_t, 16> kOrder = {3, 2, 1,  0,  5,  4,  7,  6,
                                                  8, 9, 10, 11, 12, 13, 14, 15};
  std::string out;
  for (std::size_t i = 0; i < kOrder.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    add_hex(out, static_cast<unsigned char>(octets[kOrder[i]]));
  }
  return out;
}

std::string guid_of(const LdapEntry& entry) {
  if (const auto octets = entry.first("objectGUID"); octets.size() == 16)
    return guid_of_octets(octets);
  const auto text = mail::ascii_lower(entry.first("entryUUID"));  // RFC 4530
  const bool good =
      text.size() == 36 && text.find_first_not_of("0123456789abcdef-") == std::string::npos;
  return good ? text : std::string();
}

std::optional<std::string_view> smtp_address(std::string_view proxy_address) {
  auto text = trimmed(proxy_address);
  const auto colon = text.find(':');
  // A colon in a quoted local part is no prefix: "a:b"@corp.example.
  if (colon == std::string_view::npos || text.front() == '"' || text.find('@') < colon) return text;
  if (mail::ascii_lower(text.substr(0, colon)) != "smtp") return std::nullopt;
  return trimmed(text.substr(colon + 1));
}

PersonReader::PersonReader(const DirectoryOptions& options) : options_(options) {
  for (const auto& domain : options.own_domains)
    if (auto normal = normalise_domain(domain)) own_.insert(std::move(*normal));
  for (const auto& domain : options.target_domains)
    if (auto normal = normalise_domain(domain)) targets_.insert(std::move(*normal));
}

std::vector<std::string> PersonReader::attributes() const {
  std::vector<std::string> names = {"objectGUID", "entryUUID", options_.addresses_attribute,
                                    options_.target_attribute};
  for (const auto& name :
       {options_.mail_attribute, options_.wave_attribute, options_.state_attribute})
    if (!name.empty()) names.push_back(name);
  return names;
}

bool PersonReader::read_target(const LdapEntry& entry, DirectoryRow& row,
                               DirectoryFindings& findings) const {
  const auto& name = options_.target_attribute;
  const auto& values = entry.values(name);
  if (values.size() != 1) {
    tell(entry, findings,
         values.empty() ? "has no " + name + "; left out" : "has several " + name + "; left out");
    return false;
  }
  const auto target = smtp_address(values.front());
  if (!target) {
    tell(entry, findings, name + " '" + shown(values.front()) + "' is no SMTP address; left out");
    return false;
  }
  const auto parsed = read_address(*target);
  const auto domain = parsed ? normalise_domain(parsed->domain) : Result<std::string>("");
  if (!parsed || !domain || domain->empty()) {
    tell(entry, findings,
         name + " '" + shown(*target) + "' is no mail address: " +
             (!parsed   ? parsed.error().message
              : !domain ? domain.error().message
                        : "it has no domain") +
             "; left out");
    return false;
  }
  if (!targets_.contains(*domain)) {
    tell(entry, findings, name + " '" + shown(*target) + "' is in no target domain; left out");
    return false;
  }
  row.target = *target;
  return true;
}

bool PersonReader::read_wave(const LdapEntry& entry, DirectoryRow& row,
                             DirectoryFindings& findings) const {
  if (options_.wave_attribute.empty()) return true;
  const auto& values = entry.values(options_.wave_attribute);
  if (values.empty()) return true;
  row.wave = trimmed(values.front());
  if (values.size() == 1 && row.wave.size() <= kMaxWave && !first_unseen(row.wave)) return true;
  // Without its wave it would be active at once.
  tell(entry, findings,
       options_.wave_attribute + " is no name of a wave (one value, at most 64 octets); left out");
  return false;
}

bool PersonReader::read_state(const LdapEntry& entry, DirectoryRow& row,
                              DirectoryFindings& findings) const {
  if (options_.state_attribute.empty()) return true;
  const auto& values = entry.values(options_.state_attribute);
  if (values.empty()) return true;
  row.state = mail::ascii_lower(trimmed(values.front()));
  if (values.size() == 1 && std::find(kStates.begin(), kStates.end(), row.state) != kStates.end())
    return true;
  tell(entry, findings,
       options_.state_attribute + " '" + shown(row.state) + "' is no state" +
           suggestion(row.state, kStates) + "; left out");
  return false;
}

std::optional<DirectoryPerson> PersonReader::read(const LdapEntry& entry,
                                                  DirectoryFindings& findings) const {
  DirectoryPerson person{.guid = guid_of(entry), .dn = entry.dn, .rows = {}};
  if (person.guid.empty()) {
    tell(entry, findings, "shows neither objectGUID nor entryUUID; left out");
    return std::nullopt;
  }
  DirectoryRow row;
  if (!read_target(entry, row, findings) || !read_wave(entry, row, findings) ||
      !read_state(entry, row, findings))
    return std::nullopt;
  const auto add = [&](std::string_view value) {
    const auto address = smtp_address(value);
    if (!address || address->empty()) return;
    const auto parsed = read_address(*address);
    auto key =
        parsed ? normalise_key(*parsed) : Result<std::string>(std::unexpected(parsed.error()));
    if (!key || parsed->domain.empty())
      return tell(entry, findings,
                  "'" + shown(*address) + "' is no mail address: " +
                      (key ? "it has no domain" : key.error().message) + "; left out");
    if (!own_.contains(std::string_view(*key).substr(key->rfind('@') + 1))) {
      ++findings.left_out;
      return;
    }
    for (const auto& known : person.rows)
      if (known.key == *key) return;
    row.key = std::move(*key);
    row.address = *address;
    person.rows.push_back(row);
  };
  for (const auto& value : entry.values(options_.addresses_attribute)) add(value);
  if (!options_.mail_attribute.empty())
    for (const auto& value : entry.values(options_.mail_attribute)) add(value);
  if (person.rows.empty()) {
    tell(entry, findings, "has no address in an own domain; left out");
    return std::nullopt;
  }
  std::sort(person.rows.begin(), person.rows.end(),
            [](const auto& one, const auto& other) { return one.key < other.key; });
  return person;
}

namespace {

struct Claim {
  DirectoryPerson* person;
  DirectoryRow* row;
};

/// True if `guid` had this address before, as its own.
bool had_before(const DirectoryPeople& before, const Claim& claim) {
  const auto known = before.find(claim.person->guid);
  if (known == before.end()) return false;
  return std::any_of(known->second.rows.begin(), known->second.rows.end(),
                     [&](const auto& row) { return row.key == claim.row->key && !row.contested; });
}

}  // namespace

void settle_contests(DirectoryPeople& people, const DirectoryPeople& before,
                     std::string_view directory, DirectoryFindings& findings) {
  std::unordered_map<std::string_view, Claim> owners;
  owners.reserve(2 * people.size());
  for (auto& [guid, person] : people) {
    for (auto& row : person.rows) {
      row.contested = false;
      const Claim claim{&person, &row};
      const auto [at, first] = owners.try_emplace(row.key, claim);
      if (first) continue;
      auto loser = claim;
      if (!had_before(before, at->second) && had_before(before, claim)) {
        loser = at->second;
        at->second = claim;
      }
      loser.row->contested = true;
      findings.tell(directory, loser.person->dn,
                    "the address " + shown(row.key) + " is also that of " +
                        shown(at->second.person->dn) +
                        ", which keeps it; take it away from one of the two");
    }
  }
}

}  // namespace waypost::routing
