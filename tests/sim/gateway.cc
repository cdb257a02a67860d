#include "sim/gateway.h"

#include <boost/asio/detached.hpp>

#include <algorithm>
#include <set>

namespace waypost::sim {
namespace {

constexpr const char* kOwnName = "gw.corp.example";
constexpr queue::Slice kEverything{0, ~std::uint32_t{0} / 2};
net::Endpoint exchange_address() { return {"192.0.2.10", 50000}; }

/// Metrics and the password thread take no part; one of each for the whole program.
ops::Metrics& metrics() {
  static ops::Metrics all;
  return all;
}
inbound::InboundMetrics& inbound_metrics() {
  static inbound::InboundMetrics all(metrics());
  return all;
}
inbound::PasswordWorker& passwords() {
  static inbound::PasswordWorker worker;
  return worker;
}

inbound::Options inbound_options() {
  inbound::Options options;
  options.own_name = kOwnName;
  options.admission.networks = {"192.0.2.0/24"};
  inbound::ListenerOptions listener;
  listener.tls = inbound::ListenerTls::none;
  options.listeners = {listener};
  return options;
}

}  // namespace

Settings Settings::drawn(Chance& chance, std::uint64_t seed) {
  Settings settings;
  settings.spool.directory = "/spool";
  settings.spool.segment_octets = 64 * 1024;
  settings.spool.spare_segments = static_cast<std::uint32_t>(chance.between(1, 3));
  settings.spool.minimum_free_octets = 1024;
  settings.spool.batch_messages = static_cast<std::uint32_t>(chance.between(1, 16));
  settings.spool.stream_threshold = chance.odds(0.5) ? 2000 : 1024 * 1024;
  settings.spool.own_threads = false;
  settings.spool.salt = seed | 1;
  settings.queue.jitter_seed = seed | 1;
  if (chance.odds(0.4)) settings.queue.expiry = chance.span(minutes(10), hours(48));
  if (chance.odds(0.4)) settings.queue.unknown_grace = chance.span(minutes(1), hours(4));
  if (chance.odds(0.4)) settings.queue.delay_notice = chance.span(minutes(1), hours(4));
  if (chance.odds(0.8)) settings.queue.report_next_hop = "exchange";
  if (chance.odds(0.3)) {
    queue::Policy& own = settings.queue.next_hops["workmail"];
    own = settings.queue;
    own.expiry = chance.span(minutes(10), hours(48));
    own.delay_notice = chance.span(minutes(1), hours(4));
    own.backoff = {chance.span(seconds(10), minutes(5)), chance.span(minutes(1), minutes(30))};
  }
  settings.queue.concurrency = static_cast<std::uint32_t>(chance.between(1, 5));
  if (chance.odds(0.1)) settings.memory = 32 * 1024;
  for (const char* name : {"workmail", "exchange", "internet"}) {
    outbound::NextHopOptions hop;
    hop.name = name;
    hop.tls.policy = net::TlsPolicy::none;
    if (hop.name == "workmail" && chance.odds(0.5)) {
      hop.mx_domain = "workmail.example";
    } else if (hop.name == "internet") {
      hop.mx_of_recipient = true;
    } else {
      hop.hosts = {{"a." + hop.name, 25}, {"b." + hop.name, 25}};
    }
    hop.max_recipients = static_cast<std::uint32_t>(chance.between(1, 5));
    hop.max_connections = static_cast<std::uint32_t>(chance.between(1, 4));
    hop.max_messages_per_connection = static_cast<std::uint32_t>(chance.between(1, 5));
    hop.use_chunking = chance.odds(0.8);
    hop.use_pipelining = chance.odds(0.8);
    settings.next_hops.push_back(std::move(hop));
  }
  return settings;
}

Gateway::Gateway(Stage& stage, Ledger& ledger, const Settings& settings,
                 SimulatedConnector::Peers& peers)
    : stage_(stage),
      ledger_(ledger),
      settings_(settings),
      shard_(0, stage.clock),
      budget_(settings.memory),
      tracking_(ledger),
      router_(nullptr),
      dns_(stage, shard_.timers),
      connector_(stage, ledger, shard_.timers, peers, links_) {}

Result<std::unique_ptr<Gateway>> Gateway::start(Stage& stage, Ledger& ledger, FaultDisk& disk,
                                                const Settings& settings, const Routes& routes,
                                                SimulatedConnector::Peers& peers) {
  std::unique_ptr<Gateway> made(new Gateway(stage, ledger, settings, peers));
  std::vector<spool::StoredMessage> found;
  spool::RecoveryReport report;
  auto opened = spool::Spool::open(
      settings.spool, disk, stage.clock, made->budget_, metrics(),
      [&found](spool::StoredMessage stored) { found.push_back(std::move(stored)); }, report);
  if (!opened) return fail(std::move(opened).error());
  auto journal =
      queue::Journal::open(disk, settings.spool.directory + "/control.journal", {},
                           [&stage](const std::string& line) { stage.journal.note("{}", line); });
  if (!disk.power_gone()) {
    for (const std::string& damage : journal->damage())
      ledger.accuse("the operators' journal: " + damage);
    made->open_waves(disk, report.highest_id);
    made->use_table(routes);
  }
  if (disk.power_gone()) {
    (*opened)->close();
    return fail(ErrorKind::io, "the power was cut during recovery");
  }
  made->journal_ = std::move(journal);
  stage.journal.note("the gateway starts: {} messages found", found.size());
  for (const std::string& aside : report.set_aside) stage.journal.note("set aside: {}", aside);
  made->spool_ = std::make_unique<WatchedSpool>(std::move(*opened), ledger);
  ledger.waves_found(made->wave_journal_->commands(), !made->waves_known());
  ledger.routes_are(routes);
  ledger.recovered(found);
  made->begin(std::move(found), report.highest_id);
  made->look_at_clock();
  return made;
}

void Gateway::begin(std::vector<spool::StoredMessage> found, QueueId floor) {
  ids_ = std::make_unique<QueueIdSource>(stage_.clock, 0, floor);
  deliverers_ = make_deliverers();
  for (auto& [name, deliverer] : deliverers_) by_name_[name] = deliverer.get();
  queue_ = queue::Queue::make(
      settings_.queue, queue::Context{shard_, *spool_, router_, by_name_, metrics(), tracking_,
                                      *ids_, kOwnName, &journal_->state()});
  const auto committed =
      [this](spool::MessageRef message, std::shared_ptr<const mail::Envelope> envelope,
             SteadyTime decided) { queue_->submit(message, std::move(envelope), decided); };
  inbound_ = std::make_unique<inbound::Context>(
      inbound::Context{{inbound::ShardContext{shard_, *ids_, committed}},
                       *spool_,
                       router_,
                       budget_,
                       metrics(),
                       tracking_});
  auto loaded = inbound::Settings::load(inbound_options());
  WAYPOST_INVARIANT(loaded.has_value());
  inbound_settings_ = *loaded;
  door_ = std::make_unique<inbound::ShardDoor>(inbound_->shards.front(), *inbound_, passwords(),
                                               clients_, inbound_metrics());
  std::set<std::uint64_t> known;
  for (auto& stored : found) {
    known.insert(stored.ref.id.value);
    queue_->restore(std::move(stored));
  }
  if (auto compacted = journal_->compact([&](std::uint64_t id) { return known.contains(id); });
      !compacted)
    stage_.journal.note("{}", compacted.error().message);
  boost::asio::co_spawn(shard_.io, run_queue(), boost::asio::detached);
  spool_has_work();
}

Gateway::Deliverers Gateway::make_deliverers() {
  Deliverers made;
  for (const auto& options : settings_.next_hops) {
    auto deliverer = outbound::Deliverer::make(
        options,
        outbound::DelivererContext{shard_, connector_, dns_, *spool_, metrics(), kOwnName, {}});
    WAYPOST_INVARIANT(deliverer.has_value());
    made[options.name] = std::move(*deliverer);
  }
  return made;
}

net::Task<void> Gateway::run_queue() {
  co_await queue_->run();
  queue_ended_ = true;
}

bool Gateway::run_one() {
  shard_.io.restart();
  if (shard_.io.poll_one() == 0) return false;
  spool_has_work();
  return true;
}

/// The spool's thread wakes up some time after it was given something.
void Gateway::spool_has_work() {
  const Duration late = stage_.chance.span(Duration(20), stage_.weather.disk_latency);
  spool_due_ = std::min(spool_due_, stage_.in(late));
}

SteadyTime Gateway::next_due() const {
  return std::min({shard_.timers.next_due(), spool_due_, look_due_});
}

void Gateway::run_due() {
  if (look_due_ <= stage_.clock.steady_now()) return look_at_clock();
  if (spool_due_ > stage_.clock.steady_now()) return shard_.timers.run_due();
  spool_due_ = SteadyTime::max();
  SteadyTime again = spool_->step();
  // An idle spool looks at the disk each second; a simulated day has too many of them.
  const SteadyTime now = stage_.clock.steady_now();
  if (again >= now + seconds(1)) again = now + minutes(1);
  spool_spins_ = again > now ? 0 : spool_spins_ + 1;
  constexpr unsigned kAtMost = 3000;
  if (spool_spins_ > kAtMost) ledger_.accuse("the spool works on and on, and nobody asked it to");
  spool_due_ = std::min(spool_due_, again);
}

void Gateway::accept(const std::shared_ptr<Link>& link) {
  links_.push_back(link);
  auto stream = link->open(shard_.timers, {"192.0.2.1", 25}, exchange_address());
  shard_.sessions.fetch_add(1);
  auto session =
      std::make_unique<inbound::Session>(*door_, inbound_settings_, 0, std::move(stream));
  std::erase(born_, session.get());
  born_.push_back(session.get());
  boost::asio::co_spawn(shard_.io, inbound::run_session(std::move(session)), boost::asio::detached);
}

/// As GatewayShard::replace_deliverers does it.
void Gateway::reload(const Routes& routes) {
  auto fresh = make_deliverers();
  use_table(routes);
  ledger_.routes_are(routes);
  std::erase_if(retired_, [](const Deliverers& old) {
    return std::all_of(old.begin(), old.end(), [](const auto& one) { return one.second->idle(); });
  });
  for (auto& [name, old] : deliverers_) old->close_idle();
  retired_.push_back(std::move(deliverers_));
  deliverers_ = std::move(fresh);
  by_name_.clear();
  for (auto& [name, deliverer] : deliverers_) by_name_[name] = deliverer.get();
  queue_->routes_changed();
  note_idle();
  look_at_clock_later();
  spool_has_work();
}

void Gateway::say(const queue::Command& command) {
  const bool standing = command.verb == queue::Verb::suspend || command.verb == queue::Verb::resume;
  if (queue::must_survive(command.verb) && !journal_->usable()) return;
  if (standing) {
    if (!journal_->append(command, {})) {
      // Told to have failed, it may still be found after a crash: no suspension is sure any more.
      if (command.verb == queue::Verb::resume) ledger_.all_is_resumed();
      return;
    }
    stand(command);
  }
  // The ledger must know before: the events come while it is done.
  queue::Command asked = command;
  asked.dry_run = true;
  const auto wanted = queue_->control(asked, kEverything).touched;
  ledger_.operator_says(command, wanted);
  const auto done = queue_->control(command, kEverything);
  std::uint64_t recipients = 0;
  for (const queue::Touched& one : wanted) recipients += one.recipients.size();
  for (const queue::Touched& one : wanted) {
    if (done.recipients != recipients &&
        std::none_of(done.touched.begin(), done.touched.end(),
                     [&](const queue::Touched& other) { return other.id == one.id; }))
      stage_.journal.note("nothing is done about {}", one.id.to_string());
  }
  if (done.recipients != recipients)
    ledger_.accuse("a dry run tells of " + std::to_string(recipients) + " recipients, done are " +
                   std::to_string(done.recipients));
  if (!standing && journal_->append(command, done.touched))
    ledger_.operator_was_promised(command, done.touched);
  spool_has_work();
}

void Gateway::inspect() {
  ledger_.waits(queue_->list({}, kEverything).messages);
  if (!waves_known()) return;
  const auto router = router_.get();
  std::map<std::string, routing::EntryState> told;
  for (const auto& [name, wave] : router->waves().all())
    told[name] = wave.state_at(stage_.clock.now());
  ledger_.waves_told(told);
}

/// What is in no delivery now was asked now or will be asked.
void Gateway::note_idle() { ledger_.in_no_delivery(queue_->list({}, kEverything).messages); }

void Gateway::stand(const queue::Command& command) {
  ledger_.said();
  queue_->stand(command);
  spool_has_work();
  const queue::Selector& what = command.selector;
  queue::Selector only_domain;
  only_domain.domain = what.domain;
  if (command.verb == queue::Verb::resume) {
    if (what.everything()) return ledger_.all_is_resumed();
    if (what.only_next_hop()) ledger_.hop_is_resumed(what.next_hop);
    if (what == only_domain) ledger_.domain_is_resumed(what.domain);
    return;
  }
  const bool by_domain = !what.domain.empty() && what == only_domain;
  if (!by_domain && (!what.only_next_hop() || what.next_hop.empty())) return;
  // Attempts that run may come to their end.
  std::uint64_t active = 0;
  for (const auto& hop : queue_->stats().next_hops)
    active += by_domain || hop.name == what.next_hop ? hop.active : 0;
  const SteadyTime when = stage_.in(active == 0 ? hours(0) : hours(2));
  if (by_domain) return ledger_.domain_is_suspended(what.domain, when);
  ledger_.hop_is_suspended(what.next_hop, when);
}

std::vector<inbound::Session*> Gateway::sessions() const {
  std::vector<inbound::Session*> alive;
  for (inbound::Session* session : born_) {
    if (door_->sessions.contains(session)) alive.push_back(session);
  }
  return alive;
}

void Gateway::stop() {
  door_->stopping = true;
  for (inbound::Session* session : sessions()) session->stop();
  queue_->stop();
}

void Gateway::cancel() {
  for (inbound::Session* session : sessions()) session->cut();
  for (auto& [name, deliverer] : deliverers_) deliverer->cancel();
  for (auto& old : retired_) {
    for (auto& [name, deliverer] : old) deliverer->cancel();
  }
}

void Gateway::run_until_quiet() {
  shard_.io.restart();
  while (shard_.io.poll_one() != 0) {
  }
}

void Gateway::finish() {
  spool_->close();
  run_until_quiet();
  for (auto& [name, deliverer] : deliverers_) deliverer->close_idle();
  shard_.timers.stop();
  run_until_quiet();
}

void Gateway::crash() {
  spool_->silent = tracking_.silent = true;
  for (const auto& link : links_) link->gateway_died();
  stop();
  cancel();
  run_until_quiet();
  finish();
  WAYPOST_INVARIANT(stopped());
}

net::Task<Result<>> SimulatedDns::wait(SteadyTime deadline) {
  const SteadyTime answered = stage_.in(stage_.chance.odds(stage_.weather.slow)
                                            ? stage_.chance.span(seconds(1), minutes(1))
                                            : stage_.chance.span(Duration(10), milliseconds(100)));
  auto slept = co_await timers_.sleep_until(std::min(answered, deadline));
  if (!slept) co_return slept;
  if (answered > deadline) co_return fail(ErrorKind::timeout, "no DNS server answers");
  if (stage_.chance.odds(stage_.weather.dns)) co_return fail(ErrorKind::dns, "SERVFAIL");
  co_return Result<>();
}

net::Task<Result<net::MxAnswer>> SimulatedDns::mx(std::string domain, SteadyTime deadline) {
  const auto waited = co_await wait(deadline);
  if (!waited) co_return fail(waited.error());
  net::MxAnswer answer;
  if (domain == "away1.example") co_return fail(ErrorKind::not_found, "no such domain");
  answer.null_mx = domain == "away2.example";
  if (!answer.null_mx) answer.hosts = {{10, "a." + domain}, {20, "b." + domain}};
  co_return answer;
}

net::Task<Result<std::vector<std::string>>> SimulatedDns::addresses(std::string host,
                                                                    SteadyTime deadline) {
  const auto waited = co_await wait(deadline);
  if (!waited) co_return fail(waited.error());
  // The address tells the connector which next hop was meant.
  const auto dot = host.find('.');
  const std::string owner = host.substr(dot + 1);
  std::vector<std::string> found;
  if (owner.starts_with("workmail")) found = {"198.51.100.1", "198.51.100.2"};
  if (owner == "exchange") found = {"198.51.100.3"};
  if (found.empty()) found = {"198.51.100.4"};
  co_return found;
}

net::Task<Result<std::unique_ptr<net::Stream>>> SimulatedConnector::connect(net::Endpoint to,
                                                                            std::string,
                                                                            SteadyTime deadline) {
  Chance& chance = stage_.chance;
  const SteadyTime opened =
      stage_.in(chance.odds(stage_.weather.slow) ? chance.span(seconds(1), minutes(2))
                                                 : chance.span(Duration(50), milliseconds(300)));
  const auto slept = co_await timers_.sleep_until(std::min(opened, deadline));
  if (!slept) co_return fail(slept.error());
  if (opened > deadline) co_return fail(ErrorKind::timeout, "no answer");
  if (chance.odds(stage_.weather.no_connection)) co_return fail(ErrorKind::network, "refused");
  const char last = to.address.back();
  const std::string hop = last == '4' ? "internet" : last == '3' ? "exchange" : "workmail";
  auto& peer = peers_.emplace_back(std::make_unique<Receiver>(stage_, ledger_, hop));
  auto link = std::make_shared<Link>(stage_, *peer);
  links_.push_back(link);
  auto stream = link->open(timers_, {"192.0.2.1", 40000}, to);
  peer->connect(std::move(link));
  co_return stream;
}

}  // namespace waypost::sim
