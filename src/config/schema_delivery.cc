// next_hops, queue, spool.
#include "config/scalars.h"
#include "config/schema.h"

namespace waypost::config {
namespace {

constexpr std::pair<std::string_view, net::TlsPolicy> kPolicies[] = {
    {"verify", net::TlsPolicy::verify},
    {"require", net::TlsPolicy::require},
    {"opportunistic", net::TlsPolicy::opportunistic},
    {"none", net::TlsPolicy::none}};
constexpr std::pair<std::string_view, net::TlsMinimum> kMinimum[] = {
    {"1.2", net::TlsMinimum::tls1_2}, {"1.3", net::TlsMinimum::tls1_3}};

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

void read_destination(Section& section, outbound::NextHopOptions& options) {
  section.text({"mx", "deliver to the MX hosts of this domain"}, options.mx_domain);
  section.boolean({"mx_of_recipient", "deliver to the MX hosts of each recipient's own domain"},
                  options.mx_of_recipient);
  section.number<std::uint16_t>({"mx_port", "port of the MX hosts"}, options.mx_port, {1, 65'535});
  std::vector<std::string> hosts;
  section.texts({"hosts", "or deliver to these, in order: host or host:port"}, "list of host:port",
                hosts);
  for (std::size_t i = 0; i < hosts.size() && !section.describing(); ++i) {
    auto host = parse_host_port(hosts[i], 25);
    if (host)
      options.hosts.push_back(std::move(*host));
    else
      section.reading().error(
          nearest_place(section.reading().places,
                        section.path_name() + ".hosts[" + std::to_string(i) + "]"),
          "'" + hosts[i] + "' in 'hosts': " + host.error().message);
  }
}

void read_protection(Section& section, outbound::NextHopOptions& options) {
  section.choice<net::TlsPolicy>(
      {"tls",
       "verify: STARTTLS, certificate and name must be right; require: STARTTLS; "
       "opportunistic: if offered; none: plain text"},
      options.tls.policy, kPolicies);
  section.texts({"tls_names",
                 "names of which the certificate must have one (*.example.com is allowed); empty: "
                 "the name of the host"},
                "list of names", options.tls.names);
  for (std::string& name : options.tls.names) {
    if (name.size() > 1 && name.ends_with('.')) name.pop_back();  // the root's dot: no part of it
  }
  section.file({"tls_ca_file", "trust these CAs; empty: those of the system"}, options.tls.ca_file,
               FileUse::shared);
  section.file({"tls_client_certificate", "show this certificate (PEM chain); empty: none"},
               options.tls.client_chain_file, FileUse::shared);
  section.file({"tls_client_key", "its private key"}, options.tls.client_key_file, FileUse::secret);
  section.choice<net::TlsMinimum>({"tls_minimum", "the oldest TLS version that is spoken"},
                                  options.tls.minimum, kMinimum);
  section.boolean(
      {"tls_old_ciphers", "with TLS 1.2 also CBC and RSA key exchange (RFC 9325 is against them)"},
      options.tls.old_ciphers);
  section.boolean({"implicit_tls", "begin with TLS instead of STARTTLS (port 465)"},
                  options.implicit_tls);
  section.text({"auth_user", "log in as this user; empty: no AUTH"}, options.auth_user);
  section.file({"auth_password_file", "file whose first line is the password"},
               options.auth_password_file, FileUse::secret);
}

void read_patience(Section& section, outbound::NextHopOptions& options) {
  section.duration({"connect_timeout", "for connecting to one address"}, options.connect_timeout,
                   {milliseconds(100), minutes(10)});
  section.duration({"connect_stagger",
                    "until the host's next address is tried beside the first (RFC 8305: 250 ms)"},
                   options.connect_stagger, {milliseconds(10), seconds(30)});
  section.duration({"remember_failures", "a host or address that failed is tried last for so long"},
                   options.remember_failures, {Duration::zero(), hours(24)});
  section.duration({"greeting_timeout", "for its greeting (RFC 5321: 5 minutes)"},
                   options.greeting_timeout, {seconds(1), hours(1)});
  section.duration({"handshake_timeout", "for the TLS handshake"}, options.handshake_timeout,
                   {seconds(1), hours(1)});
  section.duration({"command_timeout", "for the reply to a command (RFC 5321: 5 minutes)"},
                   options.command_timeout, {seconds(1), hours(1)});
  section.duration({"data_timeout", "for the reply to DATA (RFC 5321: 2 minutes)"},
                   options.data_timeout, {seconds(1), hours(1)});
  section.duration({"content_timeout", "for each 64 KiB of content (RFC 5321: 3 minutes)"},
                   options.content_timeout, {seconds(1), hours(1)});
  section.duration({"verdict_timeout", "for the reply to a whole message (RFC 5321: 10 minutes)"},
                   options.verdict_timeout, {seconds(1), hours(2)});
}

void read_pace(Section& section, outbound::NextHopOptions& options) {
  using Count = Bounds<std::uint32_t>;
  section.number<std::uint32_t>({"max_recipients", "recipients per transaction"},
                                options.max_recipients, Count{1, 100'000});
  section.number<std::uint32_t>({"max_connections", "connections per shard"},
                                options.max_connections, Count{1, 10'000});
  section.number<std::uint32_t>({"max_messages_per_connection", "then a new one is made"},
                                options.max_messages_per_connection, Count{1, 1'000'000});
  section.number<std::uint32_t>(
      {"max_messages_per_second", "over all shards, evenly spaced; more wait; 0: no limit"},
      options.max_messages_per_second, Count{0, 100'000});
  section.size({"max_message_size", "larger messages are returned; 0: what its SIZE says"},
               options.max_message_size, {0, 1ull << 40});
  section.boolean({"chunking", "use BDAT if offered"}, options.use_chunking);
  section.boolean({"pipelining", "use PIPELINING if offered"}, options.use_pipelining);
  section.duration({"idle_connection", "keep a connection open for reuse"}, options.idle_connection,
                   {Duration::zero(), minutes(30)});
  read_patience(section, options);
}

}  // namespace

void read_next_hop(Section& section, outbound::NextHopOptions& options) {
  read_destination(section, options);
  read_protection(section, options);
  section.text({"helo_name", "name in EHLO; empty: own_name"}, options.helo_name);
  section.text({"source_address", "connect from this local address; empty: any"},
               options.source_address);
  read_pace(section, options);
}

void read_policy(Section& section, queue::Policy& policy) {
  section.durations({"backoff", "waits between attempts; the last one repeats"}, policy.backoff,
                    {seconds(1), hours(24)});
  section.duration({"expiry", "then undelivered mail is returned to its sender"}, policy.expiry,
                   {minutes(1), hours(24 * 14)});
  section.duration({"delay_notice", "then the sender is told, once, that it is late; 0: never"},
                   policy.delay_notice, {Duration::zero(), hours(24 * 14)});
  section.number<std::uint32_t>({"concurrency", "attempts at once per next hop and shard, at most"},
                                policy.concurrency, {1, 10'000});
}

void read_queue(Section& section, queue::Options& options) {
  read_policy(section, options);
  section.named_sections({"next_hops", "next hops for which these are different"}, "NAME",
                         [&](const std::string& name, Section& differs) {
                           queue::Policy policy = static_cast<const queue::Policy&>(options);
                           read_policy(differs, policy);
                           if (!differs.describing()) options.next_hops[name] = policy;
                         });
  section.share({"jitter", "random share by which each wait is longer or shorter"}, options.jitter,
                0, 0.9);
  section.duration(
      {"unknown_grace", "keep queued mail for this long whose recipient has left the table"},
      options.unknown_grace, {Duration::zero(), hours(24 * 14)});
  section.text({"postmaster", "named in failure reports; empty: postmaster@ own_name"},
               options.postmaster);
  section.text(
      {"report_next_hop",
       "where reports go whose addressee is in no table, such as senders still on Exchange"},
      options.report_next_hop);
  section.size({"report_full_limit", "a failure report returns at most this much of the message"},
               options.report_full_limit, {0, 64ull << 20});
  section.text(
      {"undeliverable_to",
       "address that is told of failed mail that nobody else can be told of; empty: it is only "
       "logged"},
      options.undeliverable_to);
  if (section.describing()) return;
  for (const auto& [key, address] : {std::pair{"postmaster", &options.postmaster},
                                     std::pair{"undeliverable_to", &options.undeliverable_to}}) {
    if (address->empty()) continue;
    if (const auto parsed = mail::parse_mailbox(*address); parsed && !parsed->domain.empty())
      continue;
    section.reading().error(section.place_of(key),
                            "'" + std::string(key) +
                                "' must be a mail address such as postmaster@corp.example, not '" +
                                *address + "'");
  }
}

void read_spool(Section& section, spool::Options& options) {
  section.path({"directory", "the spool's folder, on a local disk, for this gateway alone"},
               options.directory);
  section.size({"segment_size", "size of one log segment"}, options.segment_octets,
               {4ull << 20, 1ull << 30});
  section.number<std::uint32_t>({"spare_segments", "prepared segments that wait for use"},
                                options.spare_segments, {0, 64});
  section.size({"minimum_free", "free space below which no mail is taken (452 4.3.1)"},
               options.minimum_free_octets, {0, 1ull << 50});
  section.number<std::uint32_t>({"batch_messages", "messages per sync at most"},
                                options.batch_messages, {1, 4096});
  section.size({"stream_threshold", "content above this goes to disk while it arrives"},
               options.stream_threshold, {64 * 1024, 1ull << 30});
  section.duration({"settle_delay", "finished recipients are written down within this time"},
                   options.settle_delay, {milliseconds(1), seconds(10)});
  if (!section.describing() && options.directory.empty())
    section.reading().error(section.place_of("directory"),
                            "'directory' is empty; write something like: directory: "
                            "/var/lib/waypost/spool");
}

}  // namespace waypost::config
