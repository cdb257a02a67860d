// The top level of the file, and its small sections.
#include "config/schema.h"

#include "config/scalars.h"

namespace waypost::config {
namespace {

constexpr std::pair<std::string_view, ops::LogFormat> kFormats[] = {{"text", ops::LogFormat::text},
                                                                    {"json", ops::LogFormat::json}};
constexpr std::pair<std::string_view, spdlog::level::level_enum> kLevels[] = {
    {"trace", spdlog::level::trace}, {"debug", spdlog::level::debug},
    {"info", spdlog::level::info},   {"warning", spdlog::level::warn},
    {"error", spdlog::level::err},   {"critical", spdlog::level::critical}};

void read_dns(Section& section, net::ResolverOptions& options) {
  section.texts({"servers", "name servers as address or address:port; empty: /etc/resolv.conf"},
                "list of addresses", options.servers);
  section.duration({"query_timeout", "wait this long for one answer"}, options.query_timeout,
                   {std::chrono::milliseconds(100), std::chrono::minutes(1)});
  section.number<std::uint32_t>({"tries", "ask so many times before giving up"}, options.tries,
                                {1, 10});
  section.duration({"max_ttl", "keep answers for this long at most"}, options.max_ttl,
                   {std::chrono::seconds(1), std::chrono::hours(168)});
  section.duration({"negative_ttl", "keep the answer 'does not exist' for this long at most"},
                   options.negative_ttl, {Duration::zero(), std::chrono::hours(24)});
  section.boolean({"ipv6", "connect to IPv6 addresses"}, options.ipv6);
  section.boolean({"ipv4", "connect to IPv4 addresses"}, options.ipv4);
  for (std::size_t i = 0; i < options.servers.size() && !section.describing(); ++i) {
    const auto server = parse_host_port(options.servers[i], 53);
    if (server && is_ip_address(server->host)) continue;
    section.reading().error(
        nearest_place(section.reading().places,
                      section.path_name() + ".servers[" + std::to_string(i) + "]"),
        "'" + options.servers[i] +
            "' is not the address of a name server; write one such as 10.0.0.53 or 127.0.0.1:5353");
  }
}

void read_log(Section& section, ops::LogOptions& options) {
  section.choice<spdlog::level::level_enum>({"level", "the least important lines to write"},
                                            options.level, kLevels);
  section.choice<ops::LogFormat>({"format", "lines for people or for programs"}, options.format,
                                 kFormats);
  section.path({"file", "write to this file; empty: standard error, which journald collects"},
               options.path);
  options.target = options.path.empty() ? ops::LogTarget::stderr_stream : ops::LogTarget::file;
}

void read_admin(Section& section, AdminOptions& options) {
  section.path({"socket", "Unix socket of the admin API, used by the subcommands"}, options.socket);
  section.text({"http_address", "address for /metrics, /healthz and /readyz (read-only, no TLS)"},
               options.http_address);
  section.number<std::uint16_t>({"http_port", "its port; 0: off"}, options.http_port);
  if (!section.describing() && !is_ip_address(options.http_address))
    section.reading().error(section.place_of("http_address"),
                            "'http_address' must be an IP address such as 127.0.0.1, not '" +
                                options.http_address + "'");
}

/// Their domains are those of the routing section, wherever it stands in the file.
void read_directories(Section& root, Config& config) {
  root.named_sections(
      {"directories", "LDAP servers, such as Active Directory, as sources of the routing table"},
      "NAME", [&](const std::string& name, Section& section) {
        routing::DirectoryOptions options;
        options.name = name;
        options.own_domains = config.routing.own_domains;
        for (const auto& alias : config.routing.domain_aliases)
          options.own_domains.push_back(alias.alias);
        for (const auto& target : config.routing.target_domains)
          options.target_domains.push_back(target.domain);
        read_directory(section, options);
        if (!section.describing()) config.directories.push_back(std::move(options));
      });
  // A directory is loaded from its snapshot.
  for (auto& source : config.routing.sources)
    for (const auto& directory : config.directories)
      if (source.kind == routing::TableSource::Kind::directory &&
          source.directory == directory.name)
        source.paths = {directory.snapshot};
}

void read_delivery_sections(Section& root, Config& config) {
  root.named_sections({"next_hops", "where mail can go, by name",
                       "next_hops: {workmail: {mx: orgname.awsapps.com}}"},
                      "NAME", [&](const std::string& name, Section& section) {
                        auto& hop = config.next_hops.emplace_back();
                        hop.name = name;
                        read_next_hop(section, hop);
                        if (section.describing()) config.next_hops.pop_back();
                      });
  root.section({"queue", "retries, expiry, reports"},
               [&](Section& section) { read_queue(section, config.queue); });
  root.section({"spool", "the store of accepted messages"},
               [&](Section& section) { read_spool(section, config.spool); });
  root.section({"dns", "name resolution"},
               [&](Section& section) { read_dns(section, config.dns); });
}

}  // namespace

void read_config(Section& root, Config& config) {
  root.text(
      {"own_name", "this gateway's host name, as in its certificate", "own_name: gw.corp.example"},
      config.inbound.own_name);
  root.number<unsigned>({"shards", "worker threads; 0: one per processor core"}, config.shards,
                        {0, 256});
  root.size(
      {"memory_for_content",
       "memory for message content in flight; when used up, clients wait. Recipients count in it: "
       "half of it for all, a quarter for one client address"},
      config.memory_for_content, {16ull << 20, 1ull << 40});
  const bool listed =
      root.sections({"listeners", "where clients connect; none given: 0.0.0.0:25 with STARTTLS"},
                    [&](Section& section) {
                      inbound::ListenerOptions listener;
                      read_listener(section, listener);
                      if (!section.describing()) config.inbound.listeners.push_back(listener);
                    });
  if (!listed && !root.describing()) config.inbound.listeners.emplace_back();
  root.section({"tls", "this gateway's certificates, for clients that connect"},
               [&](Section& section) { read_server_tls(section, config.inbound.tls); });
  root.section({"admission", "who may send through this gateway; one match is enough",
                "admission: {networks: [10.0.0.10]}"},
               [&](Section& section) { read_admission(section, config.inbound.admission); });
  root.section({"limits", "what one client may ask of this gateway"},
               [&](Section& section) { read_limits(section, config.inbound.limits); });
  root.section({"routing", "where each recipient's mail goes",
                "routing: {own_domains: [corp.example], tables: [table.csv]}"},
               [&](Section& section) { read_routing(section, config.routing); });
  root.named_sections({"waves", "groups of people who move together, by name"}, "NAME",
                      [&](const std::string& name, Section& section) {
                        routing::WaveOptions wave;
                        wave.name = name;
                        read_wave(section, wave);
                        if (!section.describing()) config.routing.waves.push_back(std::move(wave));
                      });
  read_directories(root, config);
  root.section(
      {"srs", "rewriting the sender of forwarded mail; without it senders stay as they are"},
      [&](Section& section) { read_srs(section, config.routing.srs); });
  read_delivery_sections(root, config);
  root.section({"log", "the service log"},
               [&](Section& section) { read_log(section, config.log); });
  root.section(
      {"tracking", "the tracking log: one JSON line per event of a message"},
      [&](Section& section) {
        section.path_or_none(
            {"file",
             "write to this file; none: no tracking log. The default is left out, with a "
             "warning, where it can't be written; a file that is named here must be there"},
            config.tracking.path);
        config.tracking_is_asked_for = section.has("file") && !config.tracking.path.empty();
      });
  root.section({"admin", "control and numbers"},
               [&](Section& section) { read_admin(section, config.admin); });
}

Place nearest_place(const std::map<std::string, Place>& places, std::string path) {
  for (;;) {
    if (const auto known = places.find(path); known != places.end()) return known->second;
    const auto end = path.find_last_of(".[");
    if (end == std::string::npos) return places.empty() ? Place{} : Place{1, 1};
    path.resize(end);
  }
}

}  // namespace waypost::config
