#include "app/gateway.h"

#include "waypost/base/counted.h"
#include "waypost/ops/log.h"

#include "app/descriptor_limit.h"
#include "app/next_hop_summary.h"
#include "app/waves_on_disk.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <malloc.h>

#include <algorithm>
#include <filesystem>
#include <thread>
#include <unordered_set>

namespace waypost::app {
namespace {

/// A question may name as many people as a command about them, whose body has 1 MiB.
constexpr std::size_t kMostQuestion = 4 * 1024 * 1024;

constexpr std::chrono::seconds kEndOfThreads{5};
constexpr std::chrono::seconds kEndOfControl{10};

unsigned shard_count(const config::Config& config) {
  // A queue id has room for 16 shards.
  const unsigned wanted = config.shards != 0 ? config.shards : std::thread::hardware_concurrency();
  return std::clamp(wanted, 1u, 16u);
}

std::vector<std::string> interface_addresses() {
  std::vector<std::string> addresses;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return addresses;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    char text[INET6_ADDRSTRLEN] = {};
    const int family = entry->ifa_addr->sa_family;
    const void* address = nullptr;
    if (family == AF_INET) {
      address = &reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr;
    } else if (family == AF_INET6) {
      address = &reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr)->sin6_addr;
    }
    if (address != nullptr && ::inet_ntop(family, address, text, sizeof text) != nullptr) {
      addresses.emplace_back(text);
    }
  }
  ::freeifaddrs(list);
  return addresses;
}

/// Where a connection to it really goes: IPv4 in the clothes of IPv6, and "any", which is this
/// host.
std::string destination(std::string address) {
  constexpr std::string_view kMapped = "::ffff:";
  if (address.starts_with(kMapped) && address.find('.') != std::string::npos)
    address.erase(0, kMapped.size());
  if (address == "0.0.0.0") return "127.0.0.1";
  return address == "::" ? "::1" : address;
}

bool is_loopback(const std::string& address) {
  return address.starts_with("127.") || address == "::1";
}

}  // namespace

Gateway::Gateway(config::Config config, boost::asio::io_context& main_io)
    : config_(std::move(config)),
      main_io_(main_io),
      budget_(config_.memory_for_content),
      router_(routing::Router::unavailable(config_.routing, "the routing table is not loaded yet")),
      own_addresses_(interface_addresses()),
      control_(std::make_unique<ControlWorker>(main_io, [this] { publish(); })) {}

Gateway::~Gateway() {
  control_->halt();  // the watch and the loader still speak to it
  directory_watch_.reset();
  if (loader_.joinable()) loader_.join();
}

Result<std::unique_ptr<Gateway>> Gateway::start(config::Config config,
                                                boost::asio::io_context& main_io,
                                                const std::function<void()>& before_mail) {
  raise_descriptor_limit();
  std::unique_ptr<Gateway> gateway(new Gateway(std::move(config), main_io));
  gateway->started_at_ = Clock::system().now();
  if (auto opened = gateway->open_storage(); !opened) return fail(std::move(opened).error());
  gateway->load_first_table();
  if (auto made = gateway->make_shards(); !made) return fail(std::move(made).error());
  before_mail();
  if (auto opened = gateway->open_doors(); !opened) return fail(std::move(opened).error());
  for (auto& shard : gateway->shards_) shard->start();
  gateway->apply_due_waves();
  gateway->watch_directories();
  gateway->publish();
  gateway->control_->start();
  if (const auto advice = advice_on_reports(gateway->config_); !advice.empty())
    ops::log().warn("{}", advice);
  return gateway;
}

Result<> Gateway::open_storage() {
  auto tracking = ops::TrackingLog::open(config_.tracking);
  if (!tracking && !config_.tracking_is_asked_for) {
    tell_no_tracking(tracking.error().message);
    tracking = ops::TrackingLog::open({});
  }
  if (!tracking) return fail(std::move(tracking).error());
  tracking_ = std::move(*tracking);
  spool::RecoveryReport report;
  // The queues that take what is found need the spool first: it hands over in make_shards().
  auto spool = spool::Spool::open(config_.spool, Disk::system(), Clock::system(), budget_, metrics_,
                                  nullptr, report);
  if (!spool) return fail(std::move(spool).error());
  spool_ = std::move(*spool);
  highest_stored_id_ = report.highest_id;
  watch_spool();
  for (const auto& found : report.set_aside) ops::log().error("spool: {}", found);
  if (report.messages > 0) {
    ops::log().info("spool: {} with {} found in {}, {} of them by their index",
                    counted(report.messages, "message"),
                    counted(report.recipients_open, "open recipient"),
                    counted(report.segments, "segment"), report.segments_indexed);
  }
  open_control_journal();
  std::error_code ignored;
  spool_knows_gateway_ = std::filesystem::exists(wave_journal_file(config_) + ".mark", ignored);
  open_wave_journal();
  return {};
}

void Gateway::open_control_journal() {
  std::vector<std::string> next_hops;
  for (const auto& one : config_.next_hops) next_hops.push_back(one.name);
  journal_ =
      queue::Journal::open(Disk::system(), config_.spool.directory + "/control.journal", next_hops,
                           [](const std::string& what) { ops::log().error("{}", what); });
  if (journal_->damage().empty()) return;
  for (const std::string& one : journal_->damage()) ops::log().error("{}", one);
  ops::log().critical("{}", control_damage());
}

/// Empty: all that operators said of the queue is known.
std::string Gateway::control_damage() const {
  if (journal_->damage().empty()) return {};
  return "what operators held, suspended and rerouted is not known for sure (" +
         journal_->damage().front() +
         "): every next hop is suspended; give the commands again that are missing, then 'waypost "
         "queue resume --next-hop NAME' or '--all'";
}

Result<> Gateway::make_shards() {
  parts_ = std::make_unique<SharedParts>(SharedParts{
      Clock::system(), *spool_, router_, metrics_, *tracking_, config_.inbound.own_name,
      [this](const net::Endpoint& remote) { return is_self(remote); }, &journal_->state()});
  for (unsigned i = 0; i < shard_count(config_); ++i) {
    auto shard = GatewayShard::make(i, config_, *parts_, highest_stored_id_);
    if (!shard) return fail(std::move(shard).error());
    shards_.push_back(std::move(*shard));
  }
  restore_queues();
  return {};
}

/// No shard runs yet: each queue is filled by a thread of its own.
void Gateway::restore_queues() {
  const queue::ControlState& said = journal_->state();
  std::vector<std::vector<std::uint64_t>> spoken_of(shards_.size());  // by a taker: an operator's
  std::vector<spool::Spool::Taker> takers;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    takers.emplace_back(
        [&said, queue = &shards_[i]->queue(), &ids = spoken_of[i]](spool::StoredMessage message) {
          const std::uint64_t id = message.ref.id.value;
          if (said.held.contains(id) || said.rerouted.contains(id)) ids.push_back(id);
          queue->restore(std::move(message));
        });
  }
  for (const std::string& trouble : spool_->hand_over(takers))
    ops::log().error("spool: {}", trouble);
  // What a million envelopes took for a moment goes back to the system.
  ::malloc_trim(0);
  std::unordered_set<std::uint64_t> ids;
  for (const auto& some : spoken_of) ids.insert(some.begin(), some.end());
  const auto compacted = journal_->compact([&ids](std::uint64_t id) { return ids.contains(id); });
  if (!compacted)  // it is longer than it need be, no more
    ops::log().error("control.journal can't be written anew: {}", compacted.error().message);
  tell_resting_reroutes();
}

Result<> Gateway::open_doors() {
  std::vector<inbound::ShardContext> shards;
  for (auto& shard : shards_) {
    queue::Queue* queue = &shard->queue();
    shards.push_back(
        {shard->shard(), shard->ids(),
         [queue](spool::MessageRef message, std::shared_ptr<const mail::Envelope> envelope,
                 SteadyTime decided) { queue->submit(message, std::move(envelope), decided); }});
  }
  auto server = inbound::Server::start(
      within_descriptors(config_.inbound),
      inbound::Context{std::move(shards), *spool_, router_, budget_, metrics_, *tracking_});
  if (!server) return fail(std::move(server).error());
  server_ = std::move(*server);
  own_endpoints_ = server_->endpoints();
  admin::Options options{config_.admin.socket, config_.admin.http_address, config_.admin.http_port,
                         config_.admin.http_port != 0};
  options.socket_limits.head = kMostQuestion;
  auto admin = admin::Server::start(options, actions(), main_io_);
  if (!admin) return fail(std::move(admin).error());
  admin_ = std::move(*admin);
  for (const auto& endpoint : own_endpoints_) {
    ops::log().info("listening on {} as {}", endpoint.to_string(), config_.inbound.own_name);
  }
  return {};
}

bool Gateway::is_self(const net::Endpoint& remote) const {
  const std::string address = destination(remote.address);
  return std::any_of(own_endpoints_.begin(), own_endpoints_.end(), [&](const net::Endpoint& own) {
    if (own.port != remote.port) return false;
    if (own.address == address) return true;
    const bool any_address = own.address == "0.0.0.0" || own.address == "::";
    return any_address &&
           (is_loopback(address) || std::find(own_addresses_.begin(), own_addresses_.end(),
                                              address) != own_addresses_.end());
  });
}

void Gateway::stop_accepting() {
  stopping_ = true;
  server_->stop_accepting();
  for (auto& shard : shards_) shard->stop_queue();
}

bool Gateway::finished() const {
  return server_->sessions() == 0 &&
         std::all_of(shards_.begin(), shards_.end(),
                     [](const auto& shard) { return shard->queue_finished(); });
}

void Gateway::cancel() {
  server_->cancel();
  for (auto& shard : shards_) shard->cancel_deliveries();
}

Gateway::End Gateway::close() {
  admin_->stop();
  const bool ended = control_->finish_by(Clock::system().steady_now() + kEndOfControl, [this] {
    directory_watch_.reset();
    if (loader_.joinable()) loader_.join();
  });
  if (!ended) {
    ops::log().error("stopping: a disk or a directory does not answer");
    return End::threads_left;
  }
  if (spool_->stuck()) return End::threads_left;  // it would wait for the disk
  // Sessions that were cut may still wait for a commit: the spool answers them before it closes.
  spool_->close();
  if (const auto left = unwritten_ends(); !left.empty()) ops::log().error("stopping: {}", left);
  if (const auto why = spool_->health().displaced; !why.empty())
    ops::log().error("stopping: the next start does not find all mail: {}", why);
  for (auto& shard : shards_) shard->release();
  const auto deadline = Clock::system().steady_now() + kEndOfThreads;
  for (auto& shard : shards_) {
    if (!shard->join_by(deadline)) return End::threads_left;
  }
  return flush_tracking() ? End::whole : End::without_tracking;
}

}  // namespace waypost::app
