// What only shows when all sections are read: names that lead nowhere, values that contradict.
#include "waypost/base/spelling.h"

#include "config/networks.h"
#include "config/scalars.h"
#include "config/schema.h"

#include <algorithm>
#include <filesystem>
#include <set>

namespace waypost::config {
namespace {

class Consistency {
 public:
  Consistency(const Config& config, Reading& reading) : config_(config), reading_(reading) {}

  void run() {
    check_own_name();
    check_listeners();
    check_admin();
    check_admission();
    check_next_hops();
    check_next_hop_names();
    check_domains();
    check_aliases();
    check_directories();
    check_srs();
    check_times();
    check_logs();
  }

 private:
  Place at(const std::string& path) const { return nearest_place(reading_.places, path); }
  void error(const std::string& path, std::string message) {
    reading_.error(at(path), std::move(message));
  }
  void warning(const std::string& path, std::string message) {
    reading_.warning(at(path), std::move(message));
  }

  void check_own_name() {
    const auto& name = config_.inbound.own_name;
    if (name.empty()) return;  // reported as missing
    if (is_ip_address(name) || !routing::normalise_domain(name))
      error("own_name",
            "'own_name' must be a host name such as gw.corp.example, not '" + name + "'");
    else if (name.find('.') == std::string::npos)
      warning("own_name",
              "'" + name +
                  "' is not a full host name; other servers may refuse it in EHLO; write "
                  "it with its domain, such as " +
                  name + ".corp.example");
  }

  /// Files that nobody could write to without waiting for somebody.
  void check_logs() {
    const std::pair<std::string, const std::string*> files[] = {
        {"log.file", &config_.log.path}, {"tracking.file", &config_.tracking.path}};
    for (const auto& [key, path] : files) {
      if (path->empty()) continue;
      if (const auto fit = ops::LineFile::examine(*path, key); !fit)
        error(key, fit.error().message);
      check_own_place(key, *path);
    }
    const std::string& log = config_.log.path;
    if (config_.log.target == ops::LogTarget::file && is_same(log, config_.tracking.path))
      error("tracking.file", "'tracking.file' is 'log.file' too; give each a file of its own");
    for (const auto& [key, path] : files)
      if (is_same(*path, config_.admin.socket))
        error(key, "'" + key + "' is 'admin.socket' too; give each a place of its own");
  }

  /// Lines are appended to it: it must be nothing that is read for what it says.
  void check_own_place(const std::string& key, const std::string& path) {
    namespace fs = std::filesystem;
    for (const std::string& file : reading_.files) {
      if (is_same(file, path))
        error(key, "'" + path +
                       "' is a file that Waypost reads for its configuration or its routing, and "
                       "lines would be written to its end; name another one");
    }
    std::error_code failed;
    const auto folder = fs::weakly_canonical(fs::path(path), failed).parent_path();
    const auto spool = fs::weakly_canonical(fs::path(config_.spool.directory), failed);
    if (!failed && folder == spool)
      error(key, "'" + path + "' lies in the spool; name a file in another folder");
  }

  static bool is_same(const std::string& one, const std::string& other) {
    if (one.empty() || other.empty() || other.starts_with("/dev/")) return false;
    std::error_code failed;
    return one == other || std::filesystem::equivalent(one, other, failed);
  }

  /// IPv6 sockets do not cover IPv4, so the two wildcards get along.
  static bool overlap(const inbound::ListenerOptions& one, const inbound::ListenerOptions& other) {
    const auto a = parse_network(one.address), b = parse_network(other.address);
    if (!a || !b || one.port != other.port || a->v6 != b->v6) return false;
    const auto any = [](const Network& n) {
      return std::all_of(n.address.begin(), n.address.end(),
                         [](unsigned char c) { return c == 0; });
    };
    return a->address == b->address || any(*a) || any(*b);
  }

  /// The doors for operators and their machines.
  void check_admin() {
    const auto& admin = config_.admin;
    if (admin.socket.empty())
      error("admin.socket",
            "'admin.socket' is empty: no command could reach the gateway; leave it out or name a "
            "file in a folder that is there");
    if (admin.http_port == 0) return;
    inbound::ListenerOptions http;
    http.address = admin.http_address;
    http.port = admin.http_port;
    for (const auto& listener : config_.inbound.listeners)
      if (overlap(listener, http))
        error("admin.http_port", "'admin.http_port' is the port of the listener " +
                                     listener.address + ":" + std::to_string(listener.port) +
                                     " too; give one of them another");
  }

  void check_listeners() {
    const auto& listeners = config_.inbound.listeners;
    for (std::size_t i = 0; i < listeners.size(); ++i) {
      const auto path = "listeners[" + std::to_string(i) + "]";
      for (std::size_t j = 0; j < i; ++j)
        if (overlap(listeners[i], listeners[j])) {
          const auto first = at("listeners[" + std::to_string(j) + "]");
          error(path, "two listeners want port " + std::to_string(listeners[i].port) + " of " +
                          listeners[i].address + ": the other one is in line " +
                          std::to_string(first.line) + "; remove one or change its port");
        }
      if (listeners[i].tls != inbound::ListenerTls::none &&
          config_.inbound.tls.certificates.empty())
        error(reading_.places.contains(path) ? path + ".tls" : "tls",
              "the listener on port " + std::to_string(listeners[i].port) +
                  " offers TLS but there is no certificate; add tls: {certificates: [{chain: "
                  "/etc/waypost/tls/fullchain.pem, key: /etc/waypost/tls/privkey.pem}]}, or set "
                  "tls: none for this listener");
    }
    if (listeners.empty())
      error("listeners", "'listeners' is empty: nobody could connect; add one");
  }

  void check_admission() {
    const auto& admission = config_.inbound.admission;
    if (admission.networks.empty() && admission.password_file.empty() &&
        admission.client_certificate_names.empty()) {
      if (reading_.places.contains("admission"))
        error("admission",
              "nobody may send: 'admission' names no network, no password file and no "
              "client certificate; add a line such as: networks: [10.0.0.10]");
      return;
    }
    const bool tls = std::any_of(
        config_.inbound.listeners.begin(), config_.inbound.listeners.end(),
        [](const auto& listener) { return listener.tls != inbound::ListenerTls::none; });
    if (!admission.password_file.empty() && !tls)
      error("admission.password_file",
            "AUTH is offered under TLS only, and no listener has TLS; set tls: starttls for one");
    if (!admission.client_certificate_names.empty() && config_.inbound.tls.client_ca_file.empty())
      error("admission.client_certificates",
            "'client_certificates' needs tls.client_ca_file: without it no client is asked for a "
            "certificate; add to 'tls' a line such as: client_ca_file: "
            "/etc/waypost/tls/clients-ca.pem");
  }

  void check_destination(const outbound::NextHopOptions& hop, const std::string& path) {
    const int ways = !hop.mx_domain.empty() + hop.mx_of_recipient + !hop.hosts.empty();
    if (ways == 0 && !reading_.places.contains(path + ".hosts"))
      error(path, "next hop '" + hop.name +
                      "' has no destination; add one of: mx: orgname.awsapps.com, or hosts: "
                      "[mail.example:25], or mx_of_recipient: true");
    else if (ways == 0)
      error(path + ".hosts", "next hop '" + hop.name + "' has no usable host; write host:port");
    if (ways > 1)
      error(path, "next hop '" + hop.name +
                      "' has more than one destination; keep one of mx, hosts and mx_of_recipient");
    if (!hop.mx_domain.empty() &&
        (is_ip_address(hop.mx_domain) || !routing::normalise_domain(hop.mx_domain)))
      error(path + ".mx", "'mx' must be a domain, not '" + hop.mx_domain +
                              "'; for a host use hosts: [" + hop.mx_domain + ":25]");
    if (!hop.source_address.empty() && !is_ip_address(hop.source_address))
      error(path + ".source_address",
            "'source_address' must be an IP address of this machine, not '" + hop.source_address +
                "'");
  }

  static bool is_local(const outbound::NextHopOptions& hop) {
    return !hop.hosts.empty() &&
           std::all_of(hop.hosts.begin(), hop.hosts.end(), [](const auto& host) {
             return host.host == "localhost" || host.host == "::1" || host.host.starts_with("127.");
           });
  }

  void check_protection(const outbound::NextHopOptions& hop, const std::string& path) {
    const bool weak =
        hop.tls.policy == net::TlsPolicy::none || hop.tls.policy == net::TlsPolicy::opportunistic;
    const auto policy =
        std::string(hop.tls.policy == net::TlsPolicy::none ? "none" : "opportunistic");
    const bool is_default = hop.name == config_.routing.default_next_hop;
    if (weak && !is_local(hop) && !hop.implicit_tls)
      warning(path + ".tls", std::string("mail to ") +
                                 (is_default ? "the default next hop '" : "next hop '") + hop.name +
                                 "' may cross the network in plain text (tls: " + policy +
                                 "); set tls: verify, or at least require");
    if (hop.implicit_tls && weak)
      error(path + ".implicit_tls",
            "'implicit_tls' contradicts tls: " + policy + "; set tls: verify or require");
    if (!hop.tls.names.empty() && hop.tls.policy != net::TlsPolicy::verify)
      warning(path + ".tls_names", "'tls_names' is checked with tls: verify only");
    if (hop.tls.client_chain_file.empty() != hop.tls.client_key_file.empty())
      error(path, "next hop '" + hop.name +
                      "' has only one of tls_client_certificate and tls_client_key; give both");
    if (hop.auth_user.empty() != hop.auth_password_file.empty())
      error(path, "next hop '" + hop.name +
                      "' has only one of auth_user and auth_password_file; give both");
    if (!hop.auth_user.empty() && weak && !is_local(hop))
      error(path + ".auth_user",
            "next hop '" + hop.name + "' would get its password in plain text; set tls: verify");
    if (hop.tls.policy == net::TlsPolicy::verify && hop.tls.names.empty())
      for (const auto& host : hop.hosts)
        if (is_ip_address(host.host))
          warning(path + ".hosts", "the certificate of '" + host.host +
                                       "' must hold that address; to check a name instead, add "
                                       "tls_names: [mail.example]");
  }

  void check_next_hops() {
    if (config_.next_hops.empty() && reading_.places.contains("next_hops"))
      error("next_hops",
            "'next_hops' is empty: mail could go nowhere; add one such as: workmail: "
            "{mx: orgname.awsapps.com}");
    for (const auto& hop : config_.next_hops) {
      const auto path = "next_hops." + hop.name;
      check_destination(hop, path);
      check_protection(hop, path);
    }
  }

  void check_reference(const std::string& name, const std::string& path, std::string_view key) {
    used_.insert(name);
    std::vector<std::string_view> names;
    names.reserve(config_.next_hops.size());
    for (const auto& hop : config_.next_hops) names.push_back(hop.name);
    if (std::find(names.begin(), names.end(), name) != names.end()) return;
    error(path, "'" + std::string(key) + "' names the next hop '" + name +
                    "', which is not in next_hops" + suggestion(name, names));
  }

  void check_next_hop_names() {
    const auto& routing = config_.routing;
    for (const auto& target : routing.target_domains)
      check_reference(target.next_hop, "routing.target_domains." + target.domain, "target_domains");
    if (!routing.default_next_hop.empty())
      check_reference(routing.default_next_hop, "routing.default_next_hop", "default_next_hop");
    if (!routing.pending_next_hop.empty())
      check_reference(routing.pending_next_hop, "routing.pending_next_hop", "pending_next_hop");
    if (!routing.srs.return_next_hop.empty())
      check_reference(routing.srs.return_next_hop, "srs.return_next_hop", "return_next_hop");
    const auto& report = config_.queue.report_next_hop;
    if (!report.empty()) check_reference(report, "queue.report_next_hop", "report_next_hop");
    for (const auto& [name, policy] : config_.queue.next_hops)
      check_reference(name, "queue.next_hops." + name, "next_hops");
    for (const auto& hop : config_.next_hops)
      if (!used_.contains(hop.name))
        warning("next_hops." + hop.name,
                "next hop '" + hop.name +
                    "' is never used; name it in routing.target_domains, such "
                    "as: orgname.awsapps.com: " +
                    hop.name);
    if (routing.target_domains.empty() && routing.default_next_hop.empty() &&
        reading_.places.contains("routing"))
      error("routing",
            "no mail could go anywhere: 'routing' has neither target_domains nor "
            "default_next_hop; add such as: target_domains: {orgname.awsapps.com: " +
                (config_.next_hops.empty() ? "workmail" : config_.next_hops[0].name) + "}");
  }

  void check_domains() {
    const auto& routing = config_.routing;
    std::set<std::string> own;
    for (std::size_t i = 0; i < routing.own_domains.size(); ++i)
      if (auto normal = routing::normalise_domain(routing.own_domains[i]))
        if (!own.insert(*normal).second)
          warning("routing.own_domains[" + std::to_string(i) + "]",
                  "own domain '" + routing.own_domains[i] + "' is there twice; remove one");
    std::set<std::string> targets;
    for (const auto& target : routing.target_domains) {
      const auto normal = routing::normalise_domain(target.domain);
      if (!normal) continue;
      const auto path = "routing.target_domains." + target.domain;
      if (own.contains(*normal))
        error(path, "'" + target.domain +
                        "' is both an own domain and a target domain: mail for it would be both "
                        "looked up and passed on; a target domain is that of the new mail system, "
                        "such as orgname.awsapps.com");
      if (!targets.insert(*normal).second)
        error(path, "target domain '" + target.domain + "' is there twice; remove one");
    }
    if (!routing.own_domains.empty() && routing.sources.empty() &&
        !reading_.places.contains("routing.tables"))
      warning("routing.own_domains",
              "there is no table: every address of '" + routing.own_domains[0] +
                  (routing.own_domains.size() > 1 ? "' and the other own domains" : "'") + " is " +
                  (routing.unknown == routing::UnknownPolicy::refuse ? "refused" : "deferred") +
                  "; add to 'routing' a line such as: tables: [table.csv]");
  }

  void check_directories() {
    std::vector<std::string_view> names;
    for (const auto& directory : config_.directories) names.push_back(directory.name);
    const std::size_t by_hand =
        !config_.routing.sources.empty() &&
                config_.routing.sources.front().kind == routing::TableSource::Kind::inline_yaml
            ? 1
            : 0;
    for (std::size_t i = by_hand; i < config_.routing.sources.size(); ++i) {
      const auto& source = config_.routing.sources[i];
      if (source.kind != routing::TableSource::Kind::directory || source.directory.empty())
        continue;
      if (std::find(names.begin(), names.end(), source.directory) == names.end())
        error("routing.sources[" + std::to_string(i - by_hand) + "].directory",
              "there is no directory '" + source.directory + "'" +
                  (names.empty() ? "; describe it in a section 'directories'"
                                 : suggestion(source.directory, names)));
    }
  }

  void check_aliases() {
    const auto& routing = config_.routing;
    for (const auto& alias : routing.domain_aliases) {
      const auto path = "routing.domain_aliases." + alias.alias;
      const auto name = routing::normalise_domain(alias.alias);
      const auto domain = routing::normalise_domain(alias.domain);
      if (!name || !domain) continue;
      const auto is_own = [&](const std::string& wanted) {
        return std::any_of(routing.own_domains.begin(), routing.own_domains.end(),
                           [&](const std::string& own) {
                             const auto normal = routing::normalise_domain(own);
                             return normal && *normal == wanted;
                           });
      };
      if (*name == *domain)
        error(path, "'" + alias.alias +
                        "' is an alias of itself; name the domain whose mailboxes "
                        "it shares");
      else if (!is_own(*domain))
        error(path, "alias '" + alias.alias + "' stands for '" + alias.domain +
                        "', which is not in own_domains; add it there or correct the name");
      for (const auto& target : routing.target_domains) {
        const auto normal = routing::normalise_domain(target.domain);
        if (normal && *normal == *name)
          error(path,
                "'" + alias.alias + "' is both a domain alias and a target domain; remove one");
      }
    }
  }

  void check_policy(const queue::Policy& policy, const std::string& path) {
    if (!policy.backoff.empty() && policy.expiry < policy.backoff.front())
      error(path + ".expiry",
            "'expiry' is shorter than the first wait of 'backoff': nothing would be "
            "tried twice");
    if (policy.delay_notice >= policy.expiry)
      warning(path + ".delay_notice",
              "is not shorter than 'expiry': nobody will be told of a delay; 0 says so too");
  }

  void check_srs() {
    const auto& srs = config_.routing.srs;
    if (srs.domain.empty()) {
      if (!srs.secret_file.empty())
        error("srs.secret_file",
              "'srs' has a secret but no domain; add a line such as: domain: srs.corp.example");
      return;
    }
    if (srs.secret_file.empty())
      error("srs.domain",
            "'srs' has a domain but no secret; make one with: openssl rand -hex 24, and add a "
            "line such as: secret_file: /etc/waypost/srs.secret");
    else if (reading_.check_files) {
      const auto secrets = routing::read_srs_secrets(srs.secret_file);
      if (!secrets && secrets.error().kind == ErrorKind::invalid)
        error("srs.secret_file", secrets.error().message);
    }
    const auto domain = routing::normalise_domain(srs.domain);
    for (const auto& target : config_.routing.target_domains)
      if (const auto name = routing::normalise_domain(target.domain);
          domain && name && *name == *domain)
        error("srs.domain", "'" + srs.domain +
                                "' is a target domain: returned mail would go there; use a domain "
                                "of its own, such as srs.corp.example");
    if (srs.return_next_hop.empty() && config_.routing.default_next_hop.empty())
      warning("srs.domain",
              "mail that returns to senders outside would be refused, for no next hop takes it; "
              "add a line such as: return_next_hop: exchange");
  }

  void check_times() {
    const auto& queue = config_.queue;
    if (queue.expiry > std::chrono::hours(48))
      warning("queue.expiry",
              "mail waits longer here than on Exchange, which returns it after 2 "
              "days; its sender hears late");
    check_policy(queue, "queue");
    for (const auto& [name, policy] : queue.next_hops)
      check_policy(policy, "queue.next_hops." + name);
    if (config_.inbound.limits.message_size > config_.memory_for_content * 64)
      warning("memory_for_content",
              "is small for messages of limits.message_size; clients will wait");
    if (!config_.dns.ipv4 && !config_.dns.ipv6)
      error("dns.ipv4", "'ipv4' and 'ipv6' are both off: no host could be reached; turn one on");
  }

  const Config& config_;
  Reading& reading_;
  std::set<std::string> used_;
};

}  // namespace

void check_consistency(const Config& config, Reading& reading) {
  Consistency(config, reading).run();
}

}  // namespace waypost::config
