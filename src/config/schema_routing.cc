// routing: domains, tables, and addresses written in the file itself.
#include "waypost/routing/unseen.h"

#include "config/schema.h"

#include <algorithm>

namespace waypost::config {
namespace {

constexpr std::pair<std::string_view, routing::UnknownPolicy> kUnknown[] = {
    {"refuse", routing::UnknownPolicy::refuse}, {"defer", routing::UnknownPolicy::defer}};
constexpr std::pair<std::string_view, routing::EntryState> kStates[] = {
    {"pending", routing::EntryState::pending},
    {"migrating", routing::EntryState::migrating},
    {"active", routing::EntryState::active},
    {"rolled_back", routing::EntryState::rolled_back}};

bool read_address(Section& section, Key key, mail::Mailbox& out) {
  std::string text;
  section.text(key, text);
  if (section.describing() || text.empty()) return false;
  auto parsed = routing::read_address(text);
  std::string trouble;
  if (!parsed)
    trouble = parsed.error().message;
  else if (parsed->domain.empty())
    trouble = "it has no domain";
  if (trouble.empty()) {
    out = std::move(*parsed);
    return true;
  }
  section.reading().error(section.place_of(key.name),
                          "'" + std::string(key.name) + "' is not a mail address: " + trouble);
  return false;
}

void add_copy(Section& section, const std::string& text, std::size_t at,
              std::vector<mail::Mailbox>& copies) {
  auto parsed = routing::read_address(text);
  if (parsed && !parsed->domain.empty()) return copies.push_back(std::move(*parsed));
  section.reading().error(
      nearest_place(section.reading().places,
                    section.path_name() + ".copies[" + std::to_string(at) + "]"),
      "'" + routing::shown_text(text) + "' in 'copies' is not a mail address: " +
          (parsed ? "it has no domain" : parsed.error().message));
}

void read_entry(Section& section, std::vector<routing::Entry>& entries) {
  routing::Entry entry;
  const bool address = read_address(
      section, {"address", "the address that mail comes for", "address: bob@corp.example"},
      entry.address);
  const bool target = read_address(
      section, {"target", "the address that it goes to", "target: bob@orgname.awsapps.com"},
      entry.target);
  std::vector<std::string> copies;
  section.texts({"copies", "further addresses that get a copy of this mail, at most 11"},
                "list of addresses", copies);
  for (std::size_t i = 0; i < copies.size() && !section.describing(); ++i)
    add_copy(section, copies[i], i, entry.copies);
  section.choice<routing::EntryState>({"state", "whether this mailbox has moved yet"}, entry.state,
                                      kStates);
  entry.has_state = section.has("state");
  section.text({"wave", "name of the migration wave; its state counts where none is written here"},
               entry.wave);
  entry.place = {section.reading().file, section.place().line};
  if (address && target) entries.push_back(std::move(entry));
}

void check_domain(Section& section, Place place, std::string_view key, const std::string& domain) {
  if (domain.find('@') != std::string::npos) {
    section.reading().error(place,
                            "'" + domain + "' in '" + std::string(key) +
                                "' is an address; only the domain behind the '@' belongs here");
    return;
  }
  if (const auto normal = routing::normalise_domain(domain); !normal)
    section.reading().error(place, "'" + std::string(key) + "': " + normal.error().message);
}

/// RFC 5233 has '+' as its example; what stands in names would cut them.
void check_separator(Section& section, const std::string& separator) {
  if (section.describing()) return;
  const auto cuts = [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return c == '@' || c == ' ' || u >= 0x80 || std::isalnum(u) != 0;
  };
  if (std::any_of(separator.begin(), separator.end(), cuts))
    section.reading().error(section.place_of("plus_separator"),
                            "'plus_separator' can't be '" + separator +
                                "', which stands in names and addresses; write '+', '-' or ''");
}

void check_domains(Section& section, const routing::Options& options) {
  if (section.describing()) return;
  const auto& places = section.reading().places;
  const auto at = [&](const std::string& path) {
    return nearest_place(places, section.path_name() + "." + path);
  };
  for (std::size_t i = 0; i < options.own_domains.size(); ++i)
    check_domain(section, at("own_domains[" + std::to_string(i) + "]"), "own_domains",
                 options.own_domains[i]);
  for (const auto& alias : options.domain_aliases) {
    check_domain(section, at("domain_aliases." + alias.alias), "domain_aliases", alias.alias);
    check_domain(section, at("domain_aliases." + alias.alias), "domain_aliases", alias.domain);
  }
  for (const auto& target : options.target_domains)
    check_domain(section, at("target_domains." + target.domain), "target_domains", target.domain);
}

}  // namespace

void read_routing(Section& section, routing::Options& options) {
  section.texts({"own_domains",
                 "the domains whose mail comes to this gateway; an address there that no table "
                 "knows is refused, never sent back",
                 "own_domains: [corp.example]"},
                "list of domains", options.own_domains);
  section.pairs({"domain_aliases", "further names of own domains: ALIAS: OWN-DOMAIN"},
                "section of ALIAS: DOMAIN",
                [&](const std::string& alias, const std::string& domain) {
                  options.domain_aliases.push_back({alias, domain});
                });
  section.pairs({"target_domains", "which next hop takes the mail of a target domain"},
                "section of DOMAIN: NEXT-HOP",
                [&](const std::string& domain, const std::string& hop) {
                  options.target_domains.push_back({domain, hop});
                });
  section.boolean({"target_pass_unlisted",
                   "pass mail for a target domain on even if no table has the address as a target"},
                  options.target_pass_unlisted);
  // An entry written by hand is an exception to what the sources say: it comes first.
  routing::TableSource by_hand;
  by_hand.kind = routing::TableSource::Kind::inline_yaml;
  section.sections({"entries", "single entries, written here; they come before all sources"},
                   [&](Section& entry) { read_entry(entry, by_hand.entries); });
  if (!by_hand.entries.empty()) options.sources.push_back(std::move(by_hand));
  section.sections({"sources",
                    "where the table's entries come from, in order of precedence: an address that "
                    "two of them know is the earlier one's"},
                   [&](Section& source) { read_source(source, options.sources); });
  std::vector<std::string> tables;
  section.files(
      {"tables", "short for sources of type csv (address,target[,state[,wave]]), behind 'sources'"},
      tables);
  for (auto& table : tables) options.sources.emplace_back().paths = {table};
  section.share({"most_removed",
                 "a reload that removes a larger share of the entries, or all of one source, is "
                 "refused until confirmed"},
                options.most_removed, 0.0, 1.0);
  section.text({"plus_separator", "bob+lists@ is bob@; empty: no such addresses"},
               options.plus_separator);
  check_separator(section, options.plus_separator);
  section.boolean({"plus_keep_in_target", "keep the +lists in the target address"},
                  options.plus_keep_in_target);
  section.text(
      {"default_next_hop",
       "next hop for all other domains; empty: they are refused, this is no relay for them"},
      options.default_next_hop);
  section.text({"pending_next_hop",
                "next hop for entries that are pending or rolled back; empty: deferred with 4.2.1"},
               options.pending_next_hop);
  section.choice<routing::UnknownPolicy>(
      {"unknown", "an address of an own domain that no table knows: refuse (550) or defer (451)"},
      options.unknown, kUnknown);
  check_domains(section, options);
}

void read_srs(Section& section, routing::SrsOptions& options) {
  using std::chrono::hours;
  section.text({"domain",
                "the domain of rewritten senders, such as srs.corp.example; its mail must come to "
                "this gateway; empty: no sender is rewritten"},
               options.domain);
  section.file(
      {"secret_file", "a secret of 16 or more characters a line: the first signs, each verifies"},
      options.secret_file, FileUse::secret);
  section.texts({"own_domains",
                 "senders of these domains stay; empty: routing.own_domains and their aliases"},
                "list of domains", options.own_domains);
  section.text({"return_next_hop",
                "next hop for mail that returns, such as Exchange; empty: routed as any mail to "
                "that sender"},
               options.return_next_hop);
  section.duration({"max_age", "mail may return for so long, in whole days"}, options.max_age,
                   {hours(24), hours(24 * 500)});
  section.number<std::uint32_t>(
      {"max_local_part",
       "a sender whose rewritten local part would be longer stays (RFC 5321: 64); many servers "
       "take more"},
      options.max_local_part, {64, 240});
  if (section.describing()) return;
  if (!options.domain.empty())
    check_domain(section, section.place_of("domain"), "domain", options.domain);
  for (const auto& own : options.own_domains)
    check_domain(section, section.place_of("own_domains"), "own_domains", own);
}

}  // namespace waypost::config
