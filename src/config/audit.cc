// The safety check: nothing that would relay for strangers, nothing that sends mail in a circle.
#include "waypost/config/config.h"

#include "config/networks.h"
#include "config/scalars.h"
#include "config/schema.h"

#include <arpa/inet.h>

#include <algorithm>

namespace waypost::config {
namespace {

class Audit {
 public:
  explicit Audit(const Config& config) : config_(config) {}

  std::vector<Diagnostic> run() {
    check_admitted_networks();
    check_certificate_names();
    check_proxy_networks();
    check_loops();
    check_waiting_people();
    return std::move(findings_);
  }

 private:
  void find(Diagnostic::Level level, const std::string& path, std::string message) {
    const auto place = nearest_place(config_.places, path);
    findings_.push_back(
        Diagnostic{level, config_.file, place.line, place.column, std::move(message)});
  }
  void error(const std::string& path, std::string message) {
    find(Diagnostic::Level::error, path, std::move(message));
  }
  void warning(const std::string& path, std::string message) {
    find(Diagnostic::Level::warning, path, std::move(message));
  }

  static std::vector<Network> parsed(const std::vector<std::string>& texts) {
    std::vector<Network> out;
    for (const auto& text : texts)
      if (const auto network = parse_network(text)) out.push_back(*network);
    return out;
  }

  /// The network that lets in most of the public Internet.
  static std::size_t widest(const std::vector<std::string>& texts) {
    std::size_t best = 0;
    double most = -1;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto network = parse_network(texts[i]);
      if (!network) continue;
      const auto space = public_space({*network});
      // A /16 of IPv4 weighs as much as a /32 of IPv6.
      const double size = std::max(space.v4_addresses, space.v6_slash_48s);
      if (size > most) {
        best = i;
        most = size;
      }
    }
    return best;
  }

  /// Why mail of strangers would leave for other people's domains; empty: it would not.
  std::string way_out() const {
    if (config_.routing.default_next_hop.empty()) return {};
    return "routing.default_next_hop '" + config_.routing.default_next_hop +
           "' relays to every domain";
  }

  void check_admitted_networks() {
    const auto& networks = config_.inbound.admission.networks;
    const auto space = public_space(parsed(networks));
    if (!space.wide()) return;
    const auto i = widest(networks);
    const auto path = "admission.networks[" + std::to_string(i) + "]";
    const auto others = networks.size() > 1 ? " (together with the other networks)" : "";
    const auto way = way_out();
    if (!way.empty())
      return error(path,
                   "open relay: '" + networks[i] + "'" + others + " lets " +
                       (space.nearly_everybody() ? "strangers" : "each of " + how_many(space)) +
                       " send, and " + way +
                       "; name the networks of your mail servers only, or remove "
                       "default_next_hop");
    if (space.nearly_everybody())
      return warning(path, "'" + networks[i] + "'" + others +
                               " lets strangers on the Internet send to your domains; name the "
                               "networks of your mail servers only");
    warning(path, "'" + networks[i] + "'" + others + " is a large public network: each of " +
                      how_many(space) + " may send; name your mail servers only");
  }

  static std::string how_many(const PublicSpace& space) {
    if (space.v4_addresses > 65'536)
      return std::to_string(static_cast<std::uint64_t>(space.v4_addresses)) + " public addresses";
    return "the hosts of public IPv6 networks shorter than /32";
  }

  // Admission compares whole names: a pattern would admit nobody, and must not look as if it did.
  void check_certificate_names() {
    const auto& names = config_.inbound.admission.client_certificate_names;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto& name = names[i];
      const auto path = "admission.client_certificates[" + std::to_string(i) + "]";
      if (name.find('*') == std::string::npos && !name.starts_with('.')) continue;
      error(path, "'" + name +
                      "' is a pattern, but a certificate is admitted by its exact name, or by "
                      "sha256:FINGERPRINT; name the certificates of your mail servers one by one");
    }
  }

  // A PROXY header names the client address that admission believes.
  void check_proxy_networks() {
    for (std::size_t i = 0; i < config_.inbound.listeners.size(); ++i) {
      const auto& networks = config_.inbound.listeners[i].proxy_networks;
      const auto space = public_space(parsed(networks));
      if (!space.wide()) continue;
      const auto worst = widest(networks);
      error("listeners[" + std::to_string(i) + "].proxy_networks[" + std::to_string(worst) + "]",
            "open relay: every host in '" + networks[worst] +
                "' may claim any client address in a PROXY header and so be admitted; name your "
                "load balancers only");
    }
  }

  static bool is_loopback(const std::string& host) {
    if (host == "localhost") return true;
    const auto network = parse_network(host);
    if (!network) return false;
    if (!network->v6) return network->address[0] == 127;
    return host == "::1" || network->to_string() == "::1/128";
  }

  bool listens_at(const inbound::ListenerOptions& listener, const outbound::HostPort& host) const {
    if (listener.port != host.port) return false;
    const auto name = routing::normalise_domain(host.host);
    const auto own = routing::normalise_domain(config_.inbound.own_name);
    if (name && own && *name == *own) return true;
    const bool every = listener.address == "0.0.0.0" || listener.address == "::";
    if (is_loopback(host.host)) return every || is_loopback(listener.address);
    if (host.host == "0.0.0.0" || host.host == "::") return true;
    const auto one = parse_network(listener.address), other = parse_network(host.host);
    return one && other && one->v6 == other->v6 && one->address == other->address;
  }

  void check_loops() {
    const auto& routing = config_.routing;
    if (!routing.default_next_hop.empty() && routing.default_next_hop == routing.pending_next_hop)
      warning(
          "routing.default_next_hop",
          "'" + routing.default_next_hop +
              "' is both default_next_hop and pending_next_hop: if it is the Exchange that sends "
              "here, mail for other domains goes in a circle; give other domains a next hop of "
              "their own");
    for (const auto& hop : config_.next_hops) {
      for (std::size_t i = 0; i < hop.hosts.size(); ++i)
        for (const auto& listener : config_.inbound.listeners)
          if (listens_at(listener, hop.hosts[i])) {
            error("next_hops." + hop.name + ".hosts[" + std::to_string(i) + "]",
                  "mail loop: next hop '" + hop.name + "' is this gateway itself (listener " +
                      listener.address + ":" + std::to_string(listener.port) +
                      "); name the host that takes the mail");
            break;
          }
      check_mx_of_own_domain(hop);
    }
  }

  /// Mail of people who have not moved yet must not go where the moved ones are.
  void check_waiting_people() {
    const auto& pending = config_.routing.pending_next_hop;
    if (pending.empty()) return;
    for (const auto& target : config_.routing.target_domains) {
      if (target.next_hop == pending)
        return warning("routing.pending_next_hop",
                       "'" + pending + "' takes the mail of target domain '" + target.domain +
                           "' too: mail of people who have not moved yet would go to the new "
                           "system; name the next hop of the old one");
      if (const auto host = host_of_both(pending, target.next_hop); !host.empty())
        return warning("routing.pending_next_hop",
                       "'" + pending + "' and '" + target.next_hop + "' (target domain '" +
                           target.domain + "') are both " + host +
                           ": mail of people who have not moved yet would go to the new system; "
                           "correct the hosts of one of them");
    }
  }

  /// "192.0.2.1:25"; empty: they have no host in common.
  std::string host_of_both(const std::string& one, const std::string& other) const {
    for (const auto& a : config_.next_hops)
      for (const auto& b : config_.next_hops)
        for (const auto& host : a.hosts)
          for (const auto& another : b.hosts)
            if (a.name == one && b.name == other && host.port == another.port &&
                mail::ascii_lower(host.host) == mail::ascii_lower(another.host))
              return host.host + ":" + std::to_string(host.port);
    return {};
  }

  // The MX of an own domain is Exchange until the cutover: mail sent there comes back.
  void check_mx_of_own_domain(const outbound::NextHopOptions& hop) {
    const auto mx = routing::normalise_domain(hop.mx_domain);
    if (!mx || hop.name == config_.routing.pending_next_hop) return;
    for (const auto& own : config_.routing.own_domains) {
      const auto domain = routing::normalise_domain(own);
      if (!domain || *domain != *mx) continue;
      error("next_hops." + hop.name + ".mx",
            "mail loop: the MX of own domain '" + own +
                "' is where this mail comes from; give the domain of the new mail system");
    }
  }

  const Config& config_;
  std::vector<Diagnostic> findings_;
};

}  // namespace

std::vector<Diagnostic> audit(const Config& config) { return Audit(config).run(); }

}  // namespace waypost::config
