#include "config/config_fixture.h"

#include <gmock/gmock.h>

#include <unistd.h>

namespace waypost::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

TEST(NeedsRestart, NamesWhatNoReloadTakesOver) {
  Config running;
  running.inbound.own_name = "gw.corp.example";
  Config wanted = running;
  EXPECT_TRUE(needs_restart(running, wanted).empty());
  wanted.queue.expiry = std::chrono::hours(1);
  wanted.tracking.path = "/other";
  wanted.inbound.limits.idle = std::chrono::seconds(7);
  wanted.routing.default_next_hop = "elsewhere";
  wanted.next_hops.emplace_back().name = "more";
  EXPECT_TRUE(needs_restart(running, wanted).empty());
  wanted.inbound.own_name = "other.corp.example";
  wanted.shards = 3;
  wanted.spool.directory = "/elsewhere";
  wanted.dns.servers = {"10.0.0.53"};
  wanted.admin.socket = "/run/other.sock";
  wanted.memory_for_content = 1ull << 30;
  EXPECT_EQ(needs_restart(running, wanted),
            (std::vector<std::string>{"own_name", "shards", "memory_for_content", "spool.directory",
                                      "dns.servers", "admin.socket"}));
}

TEST(ChangedKeys, NamesWhatAReloadTakesOver) {
  Config running;
  running.next_hops.emplace_back().name = "workmail";
  running.next_hops.emplace_back().name = "old";
  running.routing.waves.emplace_back().name = "wave-3";
  Config wanted = running;
  EXPECT_TRUE(changed_keys(running, wanted).empty());
  wanted.shards = 3;  // needs a restart
  wanted.inbound.admission.networks = {"10.0.0.10"};
  wanted.queue.expiry = std::chrono::hours(1);
  wanted.next_hops[0].max_message_size = 5000;
  wanted.next_hops[1].name = "exchange";
  wanted.routing.waves[0].shadow = true;
  EXPECT_EQ(changed_keys(running, wanted),
            (std::vector<std::string>{"admission.networks", "next_hops.workmail.max_message_size",
                                      "queue.expiry", "waves.wave-3.shadow",
                                      "next_hops.exchange (new)", "next_hops.old (gone)"}));
}

/// Two files of one gateway; the second is taken over by a reload.
std::vector<std::string> changed_between(const std::string& before, const std::string& after) {
  return changed_keys(load_minimal_and(before).config, load_minimal_and(after).config);
}

TEST(ChangedKeys, NamesEveryValueThatCanChange) {
  using Keys = std::vector<std::string>;
  EXPECT_EQ(
      changed_between("waves: {w: {hold_at: 2026-12-01T00:00:00Z, at: 2026-12-01T02:00:00Z}}",
                      "waves: {w: {hold_at: 2026-12-01T00:30:00Z, at: 2026-12-01T03:00:00Z}}"),
      (Keys{"waves.w.at", "waves.w.hold_at"}));
  EXPECT_EQ(changed_between("waves: {w: {state: pending}}", "waves: {w: {state: active}}"),
            Keys{"waves.w.state"});
  EXPECT_EQ(changed_between("waves: {w: {shadow: no}}",
                            "waves: {w: {shadow: no, at: 2026-12-01T02:00:00Z}}"),
            Keys{"waves.w.at"});
  EXPECT_EQ(changed_between("waves: {w: {at: 2026-12-01T02:00:00Z}}",
                            "waves: {w: {at: '2026-12-01 03:00 Europe/Berlin'}}"),
            Keys{})
      << "the same time";
  EXPECT_EQ(changed_between("listeners: [{port: 2525}, {port: 2526}]",
                            "listeners: [{port: 2525, tls: none}]"),
            (Keys{"listeners[0].tls", "listeners[1] (gone)"}));
  EXPECT_EQ(changed_between("queue: {next_hops: {workmail: {expiry: 1 day}}}",
                            "queue: {next_hops: {workmail: {expiry: 2 days}, other: {}}}"),
            (Keys{"queue.next_hops.workmail.expiry", "queue.next_hops.other (new)"}));
}

TEST(ChangedKeys, NamesWhatTheTableIsMadeOf) {
  Config running;
  auto& options = running.routing;
  options.target_domains = {{"orgname.awsapps.com", "workmail"}};
  options.sources.emplace_back().paths = {"people.csv"};
  auto& by_hand = options.sources.emplace_back();
  by_hand.kind = routing::TableSource::Kind::inline_yaml;
  by_hand.entries.emplace_back().address = {"bob", "corp.example"};
  const auto changed = [&](const auto& change) {
    Config wanted = running;
    change(wanted.routing);
    return changed_keys(running, wanted);
  };
  using Keys = std::vector<std::string>;
  EXPECT_EQ(changed([](routing::Options& wanted) { wanted.target_domains[0].next_hop = "old"; }),
            Keys{"routing.target_domains"});
  EXPECT_EQ(changed([](routing::Options& wanted) {
              wanted.domain_aliases.push_back({"old.example", "corp.example"});
            }),
            Keys{"routing.domain_aliases"});
  EXPECT_EQ(changed([](routing::Options& wanted) { wanted.sources[0].paths = {"other.csv"}; }),
            Keys{"routing.sources"});
  EXPECT_EQ(changed([](routing::Options& wanted) {
              wanted.sources[0].state = routing::EntryState::pending;
            }),
            Keys{"routing.sources"});
  EXPECT_EQ(changed([](routing::Options& wanted) {
              wanted.sources[1].entries[0].target = {"bob", "orgname.awsapps.com"};
            }),
            Keys{"routing.entries"});
  std::swap(options.sources[0], options.sources[1]);  // as they are read
  running.places["routing.tables[0]"] = {1, 1};
  EXPECT_EQ(changed([](routing::Options& wanted) { wanted.sources[1].paths = {"other.csv"}; }),
            Keys{"routing.tables"});
}

TEST(ChangedKeys, NamesWhatHasLeftTheFile) {
  const auto running = load_minimal_and(
      "queue: {expiry: 1 day}\nlog: {level: info}\nlimits: {idle: 90s, sessions: 10}\n"
      "waves: {w: {shadow: true}, x: {state: active}}\ndns: {ipv6: no}\n");
  const auto wanted = load_minimal_and("limits: {sessions: 10}\nwaves: {w: {}}\n");
  EXPECT_EQ(changed_keys(running.config, wanted.config),
            (std::vector<std::string>{"waves.x (gone)", "limits.idle (removed)", "log (removed)",
                                      "queue (removed)", "waves.w.shadow (removed)"}))
      << "log was at its default, and dns needs a restart";
  EXPECT_TRUE(changed_keys(running.config, running.config).empty());
}

TEST(Load, MinimalFileHasNoComplaints) {
  const auto loaded = load_minimal_and("");
  EXPECT_EQ(listed(loaded.diagnostics), "");
  EXPECT_TRUE(loaded.usable());
  ASSERT_EQ(loaded.config.inbound.listeners.size(), 1u) << "the default listener";
  EXPECT_EQ(loaded.config.inbound.listeners[0].address, "0.0.0.0");
  EXPECT_EQ(loaded.config.inbound.listeners[0].port, 25);
}

TEST(Load, ReadsEveryKindOfValue) {
  const auto loaded = load_minimal_and(
      "listeners:\n"
      "  - {address: '::', port: 465, tls: implicit, proxy_networks: [10.9.0.0/16], bare_newline: "
      "reject}\n"
      "shards: 3\n"
      "memory_for_content: 1 GiB\n"
      "limits: {sessions: 50_000, message_size: 25 MB, idle: 90s, greeting_delay: 250ms}\n"
      "queue: {backoff: [10s, 2m], jitter: 10%, expiry: 1 day, postmaster: pm@corp.example}\n"
      "spool: {directory: spool, segment_size: 16 MiB}\n"
      "dns: {servers: ['127.0.0.1:5353', '::1'], ipv6: no}\n"
      "log: {level: debug, format: json, file: log/w.log}\n"
      "tracking: {file: /var/log/t.jsonl}\n"
      "admin: {http_port: 0, socket: a.sock}\n");
  EXPECT_EQ(listed(loaded.diagnostics), "");
  const auto& config = loaded.config;
  ASSERT_EQ(config.inbound.listeners.size(), 1u);
  EXPECT_EQ(config.inbound.listeners[0].tls, inbound::ListenerTls::implicit);
  EXPECT_EQ(config.inbound.listeners[0].bare_newline, smtp::BareNewline::reject);
  EXPECT_THAT(config.inbound.listeners[0].proxy_networks, ElementsAre("10.9.0.0/16"));
  EXPECT_EQ(config.shards, 3u);
  EXPECT_EQ(config.memory_for_content, 1ull << 30);
  EXPECT_EQ(config.inbound.limits.sessions, 50'000u);
  EXPECT_EQ(config.inbound.limits.message_size, 25'000'000u);
  EXPECT_EQ(config.inbound.limits.idle, 90s);
  EXPECT_EQ(config.inbound.limits.greeting_delay, 250ms);
  EXPECT_THAT(config.queue.backoff, ElementsAre(Duration(10s), Duration(2min)));
  EXPECT_DOUBLE_EQ(config.queue.jitter, 0.1);
  EXPECT_EQ(config.queue.expiry, 24h);
  EXPECT_EQ(config.spool.directory, "spool");
  EXPECT_EQ(config.spool.segment_octets, 16u << 20);
  EXPECT_FALSE(config.dns.ipv6);
  EXPECT_EQ(config.log.level, spdlog::level::debug);
  EXPECT_EQ(config.log.target, ops::LogTarget::file);
  EXPECT_EQ(config.tracking.path, "/var/log/t.jsonl");
  EXPECT_EQ(config.admin.http_port, 0);
}

TEST(Load, TheTrackingLogIsOnUnlessSomebodySaysNone) {
  const auto tracking = [](const std::string& section) {
    auto loaded = load_text("own_name: gw.corp.example\n" + section, "etc/w.yaml");
    return std::pair(loaded.config.tracking.path, loaded.config.tracking_is_asked_for);
  };
  EXPECT_EQ(tracking(""), std::pair(std::string("/var/log/waypost/tracking.jsonl"), false));
  EXPECT_EQ(tracking("tracking: {}\n"),
            std::pair(std::string("/var/log/waypost/tracking.jsonl"), false));
  EXPECT_EQ(tracking("tracking: {file: none}\n"), std::pair(std::string(), false));
  EXPECT_EQ(tracking("tracking: {file: \"\"}\n"), std::pair(std::string(), false));
  EXPECT_EQ(tracking("tracking: {file: t.jsonl}\n"), std::pair(std::string("etc/t.jsonl"), true));
}

TEST(Load, ReadsNextHops) {
  const auto loaded = load_text(
      "own_name: gw.corp.example\n"
      "listeners: [{port: 2525, tls: none}]\n"
      "admission: {networks: 10.0.0.10}\n"
      "routing: {own_domains: corp.example, tables: t.csv, target_domains: {t.example: a, "
      "u.example: b}}\n"
      "next_hops:\n"
      "  a: {hosts: [mail.example, 'other.example:2525', '[2001:db8::1]:26'], tls_names: "
      "['*.example', mail.example.], "
      "chunking: off, max_recipients: 5}\n"
      "  b: {mx_of_recipient: true, mx_port: 2525, tls: require, auth_user: u, auth_password_file: "
      "p}\n",
      "w.yaml", {.check_files = false});
  EXPECT_TRUE(loaded.usable()) << listed(loaded.diagnostics);
  ASSERT_EQ(loaded.config.next_hops.size(), 2u);
  const auto& a = loaded.config.next_hops[0];
  EXPECT_EQ(a.name, "a");
  ASSERT_EQ(a.hosts.size(), 3u);
  EXPECT_EQ(a.hosts[1].host, "other.example");
  EXPECT_EQ(a.hosts[1].port, 2525);
  EXPECT_EQ(a.hosts[2].host, "2001:db8::1");
  EXPECT_EQ(a.tls.names, (std::vector<std::string>{"*.example", "mail.example"}));
  EXPECT_FALSE(a.use_chunking);
  EXPECT_EQ(a.max_recipients, 5u);
  const auto& b = loaded.config.next_hops[1];
  EXPECT_TRUE(b.mx_of_recipient);
  EXPECT_EQ(b.tls.policy, net::TlsPolicy::require);
  EXPECT_EQ(b.auth_user, "u");
}

TEST(Load, ReadsRouting) {
  const auto loaded = load_text(
      "own_name: gw.corp.example\n"
      "tls: {certificates: [{chain: c, key: k}]}\n"
      "admission: {networks: [10.0.0.10]}\n"
      "routing:\n"
      "  own_domains: [corp.example]\n"
      "  domain_aliases: {old.example: corp.example}\n"
      "  target_domains: {t.example: out}\n"
      "  target_pass_unlisted: false\n"
      "  entries:\n"
      "    - {address: bob@corp.example, target: b@t.example, state: migrating, wave: w1}\n"
      "  plus_separator: '-'\n"
      "  pending_next_hop: old\n"
      "  unknown: defer\n"
      "next_hops: {out: {mx: t.example}, old: {mx: u.example}}\n",
      "dir/w.yaml", {.check_files = false});
  EXPECT_EQ(listed(loaded.diagnostics), "");
  const auto& routing = loaded.config.routing;
  ASSERT_EQ(routing.sources.size(), 1u);
  ASSERT_EQ(routing.sources[0].entries.size(), 1u);
  const auto& entry = routing.sources[0].entries[0];
  EXPECT_EQ(entry.address.to_string(), "bob@corp.example");
  EXPECT_EQ(entry.state, routing::EntryState::migrating);
  EXPECT_TRUE(entry.has_state);
  EXPECT_EQ(entry.place.to_string(), "dir/w.yaml:10");
  EXPECT_FALSE(routing.target_pass_unlisted);
  EXPECT_EQ(routing.plus_separator, "-");
  EXPECT_EQ(routing.unknown, routing::UnknownPolicy::defer);
}

TEST(Load, RelativePathsStartAtTheFile) {
  const auto loaded = load_text(std::string(kMinimal) + "spool: {directory: /abs}\n",
                                "/etc/waypost/w.yaml", {.check_files = false});
  EXPECT_EQ(loaded.config.inbound.tls.certificates[0].chain_file, "/etc/waypost/c.pem");
  EXPECT_EQ(loaded.config.routing.sources[0].paths.at(0), "/etc/waypost/t.csv");
  EXPECT_EQ(loaded.config.spool.directory, "/abs");
}

TEST(Load, AnchorsAndMergeKeysWork) {
  const auto loaded = load_text(
      "own_name: gw.corp.example\n"
      "tls: {certificates: [{chain: c, key: k}]}\n"
      "admission: {networks: [10.0.0.10]}\n"
      "routing: {own_domains: [corp.example], tables: [t.csv], target_domains: {t.example: a, "
      "u.example: b}}\n"
      "next_hops:\n"
      "  a: &usual {mx: t.example, max_recipients: 7, max_connections: 3}\n"
      "  b:\n"
      "    <<: *usual\n"
      "    mx: u.example\n"
      "    max_connections: 4\n",
      "w.yaml", {.check_files = false});
  EXPECT_EQ(listed(loaded.diagnostics), "");
  const auto& b = loaded.config.next_hops[1];
  EXPECT_EQ(b.mx_domain, "u.example");
  EXPECT_EQ(b.max_recipients, 7u);
  EXPECT_EQ(b.max_connections, 4u);
}

TEST(Load, AliasesCannotMultiplyWithoutEnd) {
  std::string yaml = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    const auto name = "a" + std::to_string(i), below = "*a" + std::to_string(i - 1);
    yaml += name + ": &" + name + " [";
    for (int k = 0; k < 10; ++k) yaml += (k ? "," : "") + below;
    yaml += "]\n";
  }
  const auto loaded = load_text(yaml, "w.yaml", {.check_files = false});
  EXPECT_FALSE(loaded.usable());
  EXPECT_THAT(listed(loaded.diagnostics), HasSubstr("too large (aliases may multiply it)"));
}

TEST(Load, DeepNestingIsAnErrorNotACrash) {
  const auto loaded = load_text("a: " + std::string(300, '[') + std::string(300, ']'), "w.yaml",
                                {.check_files = false});
  EXPECT_THAT(listed(loaded.diagnostics), HasSubstr("nested too deeply"));
  EXPECT_FALSE(load_text(std::string(100'000, '['), "w.yaml", {.check_files = false}).usable());
  EXPECT_FALSE(load_text(std::string(100'000, '{'), "w.yaml", {.check_files = false}).usable());
}

// yaml-cpp's LoadAll loops for ever here; found by fuzzing.
TEST(Load, ACommaWhereADocumentShouldBeginIsAnError) {
  const auto loaded = load_text(",base: &b {mx: t.example}\nown_name: gw.corp.example\n", "w.yaml");
  EXPECT_FALSE(loaded.usable());
}

TEST(Load, OtherDocumentsAndRootsAreErrors) {
  EXPECT_THAT(listed(load_text("a: 1\n---\nb: 2\n", "w.yaml").diagnostics),
              HasSubstr("more than one YAML document"));
  EXPECT_THAT(listed(load_text("- a\n- b\n", "w.yaml").diagnostics),
              HasSubstr("must be a section with keys"));
  EXPECT_THAT(listed(load_text("just words", "w.yaml").diagnostics),
              HasSubstr("must be a section with keys"));
  EXPECT_THAT(listed(load_text("", "w.yaml").diagnostics),
              HasSubstr("w.yaml:1:1: error: the key 'own_name' is missing"));
}

TEST(Load, FileThatIsNotThere) {
  const EnteredFolder folder;
  EXPECT_EQ(listed(load_file("none.yaml").diagnostics),
            "none.yaml: error: cannot read the configuration: No such file or directory (errno 2); "
            "name the file with "
            "--config\n");
  std::filesystem::create_directory("d");
  EXPECT_THAT(listed(load_file("d").diagnostics), HasSubstr("not a regular file"));
}

void write_file(const std::string& name, const std::string& text) { std::ofstream(name) << text; }

TEST(Load, FileWhoseLastLineHasNoLineBreakIsStillBeingWritten) {
  const EnteredFolder folder;
  const std::string whole = std::string(kMinimal) + "log: {level: info}\n";
  write_file("w.yaml", whole);
  EXPECT_EQ(listed(load_file("w.yaml", {.check_files = false}).diagnostics), "");
  write_file("w.yaml", whole.substr(0, whole.size() - 1));
  EXPECT_EQ(listed(load_file("w.yaml", {.check_files = false}).diagnostics),
            "w.yaml:6:1: error: the last line has no line break: is the file still being written? "
            "Write it beside and rename it into place; if it is whole, end its last line with a "
            "line break\n");
}

TEST(Load, TheDoorsOfOperatorsAreTheirOwn) {
  const auto said = [](const std::string& more) {
    return listed(load_minimal_and(more).diagnostics);
  };
  EXPECT_THAT(said("admin: {http_port: 25}\n"),
              HasSubstr("is the port of the listener 0.0.0.0:25"));
  EXPECT_EQ(said("admin: {http_port: 26}\n"), "");
  EXPECT_THAT(said("admin: {socket: ''}\n"), HasSubstr("'admin.socket' is empty"));
  EXPECT_THAT(said("admin: {socket: /run/x}\nlog: {file: /run/x}\n"),
              HasSubstr("'log.file' is 'admin.socket' too"));
}

TEST(Load, APlusSeparatorCutsNoNames) {
  for (const auto* wrong : {"a", "@", "7", "+x"})
    EXPECT_THAT(
        listed(load_minimal_and("").diagnostics) +
            listed(load_text("own_name: gw.corp.example\nadmission: {networks: [10.0.0.1]}\n"
                             "next_hops: {workmail: {mx: orgname.awsapps.com}}\n"
                             "routing: {own_domains: [corp.example], plus_separator: '" +
                                 std::string(wrong) + "'}\n",
                             "w.yaml", {.check_files = false})
                       .diagnostics),
        HasSubstr("'plus_separator' can't be '" + std::string(wrong) + "'"))
        << wrong;
}

TEST(Load, SocketIsKnownWhateverElseIsWrong) {
  const auto known = [](const std::string& more) { return load_minimal_and(more).socket_known; };
  EXPECT_TRUE(known(""));
  EXPECT_TRUE(known("admin: {socket: /a.sock}\nqueue: {expiry: never}\nadmim: 1\n"));
  EXPECT_TRUE(known("queue: {expiry: never}\n"));
  EXPECT_TRUE(known("admin: {http_port: 0}\n"));
  // What no daemon could ever have been started with.
  for (const auto* text : {"", "\n", "# nothing\n", "own_name: x\n", "own_name: x\nadmin:\n",
                           "own_name: x\nrouting: {own_domains: [a.example]}\nadmin: {}\n"})
    EXPECT_FALSE(load_text(text, "w.yaml", {.check_files = false}).socket_known) << text;
  EXPECT_TRUE(load_text("# mine\nadmin: {socket: /a.sock}\n", "w.yaml", {.check_files = false})
                  .socket_known);
  EXPECT_FALSE(known("admim: {socket: /a.sock}\n"));
  EXPECT_FALSE(known("admin: {sokcet: /a.sock}\n"));
  EXPECT_FALSE(known("admin: /a.sock\n"));
  EXPECT_FALSE(known("admin: {socket: [/a.sock]}\n"));
  EXPECT_FALSE(known("admin: {socket: /a.sock}\nadmin: {socket: /b.sock}\n"));
  EXPECT_FALSE(known("{broken: ["));
  EXPECT_FALSE(load_file("/nowhere/w.yaml").socket_known);
  const EnteredFolder folder;
  write_file("w.yaml", std::string(kMinimal) + "admin:\n  socket: /run/a.so");
  EXPECT_FALSE(load_file("w.yaml", {.check_files = false}).socket_known);
  write_file("w.yaml", std::string(kMinimal) + "admin:\n  socket: /a.sock\nlog:\n  level: in");
  EXPECT_TRUE(load_file("w.yaml", {.check_files = false}).socket_known);
}

TEST(Load, WhatTheTableIsReadFromMayComeLater) {
  const EnteredFolder folder;
  const std::string yaml =
      "own_name: gw.corp.example\n"
      "listeners: [{port: 25, tls: none}]\n"
      "admission: {networks: [10.0.0.10], password_file: passwords}\n"
      "routing:\n"
      "  own_domains: [corp.example]\n"
      "  tables: [t.csv]\n"
      "  sources: [{type: exchange, file: e.csv}, {type: workmail, users: [u.json], aliases: "
      "[a.json]}]\n"
      "  target_domains: {t.example: out}\n"
      "next_hops: {out: {mx: t.example}}\n"
      "waves: {w: {members: m.txt}}\n";
  const auto all = listed(load_text(yaml, "w.yaml").diagnostics);
  const auto later = listed(load_text(yaml, "w.yaml", {.check_table_files = false}).diagnostics);
  for (const char* file : {"t.csv", "e.csv", "u.json", "a.json", "m.txt"}) {
    EXPECT_THAT(all, HasSubstr(file));
    EXPECT_THAT(later, ::testing::Not(HasSubstr(file)));
  }
  EXPECT_THAT(later, HasSubstr("the file 'passwords' does not exist"));
}

TEST(Load, FilesAreNotLookedAtUnlessAsked) {
  EXPECT_TRUE(load_text(kMinimal, "/none/w.yaml", {.check_files = false}).usable());
  const auto checked = load_text(kMinimal, "/none/w.yaml");
  EXPECT_THAT(listed(checked.diagnostics), HasSubstr("the file '/none/c.pem' does not exist"));
}

/// Root may read every file, so the look is taken as somebody else.
class AsNobody {
 public:
  AsNobody() : before_(::geteuid()) {
    if (before_ == 0) {
      EXPECT_EQ(::seteuid(65534), 0);
    }
  }
  ~AsNobody() {
    if (before_ == 0) {
      EXPECT_EQ(::seteuid(0), 0);
    }
  }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;

 private:
  ::uid_t before_;
};

TEST(Load, FileThatMayNotBeReadIsNamed) {
  const EnteredFolder folder;
  std::ofstream("t.csv") << "a@corp.example,a@t.example\n";
  std::filesystem::permissions("t.csv", std::filesystem::perms::none);
  const auto said = [] {
    const AsNobody nobody;
    return listed(load_text(kMinimal, "w.yaml").diagnostics);
  }();
  EXPECT_THAT(said,
              HasSubstr("'t.csv' may not be read by this user; give the waypost user access"));
}

TEST(Load, PlacesOfValuesAreKept) {
  const auto loaded = load_minimal_and("log:\n  level: info\n");
  ASSERT_TRUE(loaded.config.places.contains("log.level"));
  EXPECT_EQ(loaded.config.places.at("log.level").line, 7u);
  EXPECT_EQ(loaded.config.places.at("log.level").column, 3u);
}

TEST(Load, ComplaintsComeInTheOrderOfTheFile) {
  const auto loaded = load_minimal_and("zzz: 1\nlimits: {idle: 1}\naaa: 1\n");
  std::uint32_t line = 0;
  for (const auto& diagnostic : loaded.diagnostics) {
    EXPECT_GE(diagnostic.line, line);
    line = diagnostic.line;
  }
  EXPECT_EQ(loaded.diagnostics.size(), 3u);
}

TEST(Load, ControlCharactersAreRefused) {
  EXPECT_THAT(listed(load_minimal_and("log: {file: \"a\\nb\"}\n").diagnostics),
              HasSubstr("control character"));
  EXPECT_THAT(listed(load_minimal_and("queue: {postmaster: \"a\\rb@c.example\"}\n").diagnostics),
              HasSubstr("control character"));
}

TEST(Load, KeysWithControlCharactersDoNotBreakTheLine) {
  const auto said = listed(load_minimal_and("\"a\\nb\": 1\n\"a\\nb\": 2\n").diagnostics);
  EXPECT_THAT(said, HasSubstr("unknown key 'a?b'"));
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 2);
}

TEST(Load, NamesOfNextHopsAreWords) {
  const auto loaded = load_text(
      "own_name: gw.corp.example\n"
      "next_hops: {'a b': {mx: t.example}, '': {mx: t.example}, \"c\\nd\": {mx: t.example}}\n",
      "w.yaml", {.check_files = false});
  EXPECT_TRUE(loaded.config.next_hops.empty());
  EXPECT_THAT(listed(loaded.diagnostics),
              HasSubstr("w.yaml:2:13: error: 'a b' is no good name in 'next_hops'"));
}

TEST(Diagnostics, AreShownWithTheirPlace) {
  EXPECT_EQ((Diagnostic{Diagnostic::Level::error, "w.yaml", 12, 5, "unknown key"}.to_string()),
            "w.yaml:12:5: error: unknown key");
  EXPECT_EQ((Diagnostic{Diagnostic::Level::warning, "w.yaml", 0, 0, "hm"}.to_string()),
            "w.yaml: warning: hm");
}

}  // namespace
}  // namespace waypost::config
