// directories: what is read from LDAP servers, as sources of the routing table.
#include "config/scalars.h"
#include "config/schema.h"

namespace waypost::config {
namespace {

using std::chrono::hours, std::chrono::minutes, std::chrono::seconds;

constexpr std::pair<std::string_view, routing::DirectoryTls> kTls[] = {
    {"verify", routing::DirectoryTls::verify}, {"none", routing::DirectoryTls::none}};
constexpr std::pair<std::string_view, routing::DirectoryBind> kBinds[] = {
    {"simple", routing::DirectoryBind::simple}, {"gssapi", routing::DirectoryBind::gssapi}};

class Check {
 public:
  Check(Section& section, const routing::DirectoryOptions& options)
      : section_(section), options_(options) {}

  void all() {
    check_servers();
    check_credentials();
    check_filter();
    check_attributes();
    if (options_.interval > options_.full_interval)
      error("full_interval", "'full_interval' must not be shorter than 'interval'");
  }

 private:
  void error(const std::string& key, std::string message) {
    section_.reading().error(
        nearest_place(section_.reading().places, section_.path_name() + "." + key),
        std::move(message));
  }

  void check_servers() {
    for (std::size_t i = 0; i < options_.servers.size(); ++i) {
      const auto key = "servers[" + std::to_string(i) + "]";
      const auto server = routing::parse_directory_server(options_.servers[i]);
      if (!server) {
        error(key, "'servers': " + server.error().message);
        continue;
      }
      if (options_.tls != routing::DirectoryTls::none) continue;
      if (server->ldaps)
        error(key, "'tls: none' and ldaps:// contradict each other; remove 'tls: none'");
      else if (options_.bind == routing::DirectoryBind::simple && !routing::is_loopback(*server))
        error(key,
              "the password would cross the network in plain text; remove 'tls: none' (then "
              "StartTLS is used) or write ldaps://" +
                  server->host);
    }
  }

  void check_credentials() {
    const bool simple = options_.bind == routing::DirectoryBind::simple;
    if (simple && options_.bind_dn.empty())
      error("bind_dn",
            "'bind: simple' needs the account; add a line such as: bind_dn: "
            "svc-waypost@corp.example");
    if (simple && options_.password_file.empty())
      error("password_file",
            "'bind: simple' needs a password; add a line such as: password_file: "
            "/etc/waypost/directory.password");
    if (!simple && (!options_.bind_dn.empty() || !options_.password_file.empty()))
      error(options_.bind_dn.empty() ? "password_file" : "bind_dn",
            "'bind: gssapi' uses a Kerberos ticket; remove 'bind_dn' and 'password_file'");
  }

  void check_filter() {
    const auto& filter = options_.filter;
    if (filter.empty()) return;
    int depth = 0;
    bool good = filter.front() == '(' && filter.back() == ')';
    for (std::size_t i = 0; i < filter.size() && good; ++i) {
      if (filter[i] == '\\') {
        good = i + 2 < filter.size() && is_hex(filter[i + 1]) && is_hex(filter[i + 2]);
        i += 2;
      } else {
        depth += filter[i] == '(' ? 1 : filter[i] == ')' ? -1 : 0;
        good = depth > 0 || (depth == 0 && i + 1 == filter.size());
      }
    }
    if (!good || depth != 0)
      error("filter",
            "'filter' is no LDAP filter (RFC 4515): it must be in brackets that match, "
            "such as (&(objectClass=user)(targetAddress=*))");
  }

  static bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  }

  void check_attributes() {
    for (const auto& [key, name] :
         {std::pair{"addresses", &options_.addresses_attribute},
          std::pair{"target", &options_.target_attribute},
          std::pair{"mail", &options_.mail_attribute}, std::pair{"wave", &options_.wave_attribute},
          std::pair{"state", &options_.state_attribute}}) {
      const bool needed = key == std::string_view("addresses") || key == std::string_view("target");
      const bool good = name->find_first_not_of(
                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") ==
                        std::string::npos;
      if (good && !(needed && name->empty())) continue;
      error(std::string("attributes.") + key,
            "'" + std::string(key) +
                "' must be the name of an attribute such as proxyAddresses, not '" + *name + "'");
    }
  }

  Section& section_;
  const routing::DirectoryOptions& options_;
};

void read_attributes(Section& section, routing::DirectoryOptions& options) {
  section.text({"addresses", "all addresses of a person: SMTP:ann@..., smtp:..., or bare"},
               options.addresses_attribute);
  section.text({"target", "where the person's mail goes"}, options.target_attribute);
  section.text({"mail", "one more address; empty: not read"}, options.mail_attribute);
  section.text({"wave", "name of the migration wave; empty: none"}, options.wave_attribute);
  section.text({"state", "pending, migrating, active or rolled_back; empty: none"},
               options.state_attribute);
}

void read_times(Section& section, routing::DirectoryOptions& options) {
  section.duration({"interval", "look for changes so often"}, options.interval,
                   {seconds(10), hours(24)});
  section.duration({"full_interval", "read everything again so often"}, options.full_interval,
                   {minutes(1), hours(24 * 30)});
  section.duration({"stale_after",
                    "not read for so long: addresses that no table knows are deferred (451 4.3.0), "
                    "not refused"},
                   options.stale_after, {minutes(1), hours(24 * 365)});
  section.duration({"connect_timeout", "for name, TCP and TLS of one server"},
                   options.connect_timeout, {seconds(1), minutes(5)});
  section.duration({"operation_timeout", "for one request: a bind, a page"},
                   options.operation_timeout, {seconds(1), minutes(10)});
  section.duration({"total_timeout", "for one synchronisation"}, options.total_timeout,
                   {seconds(5), hours(1)});
}

}  // namespace

void read_directory(Section& section, routing::DirectoryOptions& options) {
  section.texts({"servers", "ldaps://HOST[:PORT] or ldap://HOST[:PORT], tried in this order",
                 "servers: [\"ldaps://dc1.corp.example\"]"},
                "list of servers", options.servers);
  section.choice<routing::DirectoryTls>(
      {"tls",
       "verify: ldaps or StartTLS, certificate and name must be right; none: plain text, without a "
       "password"},
      options.tls, kTls);
  section.file({"ca_file", "trust these CAs (PEM); empty: those of the system"}, options.ca_file,
               FileUse::shared);
  section.choice<routing::DirectoryBind>(
      {"bind", "how to log in: with a password, or with Kerberos"}, options.bind, kBinds);
  section.text({"bind_dn", "the account: a DN or, in Active Directory, user@domain"},
               options.bind_dn);
  section.file({"password_file", "its first line is the password"}, options.password_file,
               FileUse::secret);
  section.text({"base", "the DN below which people are", "base: DC=corp,DC=example"}, options.base);
  section.text({"filter",
                "which objects are people that have moved; empty: mail users with a "
                "target in a target domain and without a mailbox"},
               options.filter);
  section.section({"attributes", "where in an object things stand"},
                  [&](Section& inner) { read_attributes(inner, options); });
  section.path({"snapshot",
                "the file from which the table is loaded; empty: "
                "/var/lib/waypost/directory/NAME.csv"},
               options.snapshot);
  section.number<std::uint32_t>({"page_size", "objects in one answer; Active Directory gives 1000"},
                                options.page_size, {1, 100'000});
  section.share({"most_removed", "a larger share of the entries leaves only when confirmed"},
                options.most_removed, 0, 1);
  read_times(section, options);
  if (section.describing()) return;
  if (options.snapshot.empty())
    options.snapshot = "/var/lib/waypost/directory/" + options.name + ".csv";
  Check(section, options).all();
}

}  // namespace waypost::config
