#include "load/sender.h"

#include "load/identity.h"

#include <boost/asio/detached.hpp>

#include <arpa/inet.h>
#include <netdb.h>
#include <time.h>

#include <algorithm>
#include <charconv>

namespace waypost::load {
namespace asio = boost::asio;

struct Sender::Worker {
  explicit Worker(unsigned index) : shard(index, Clock::system()) {}
  net::Shard shard;
  std::unique_ptr<net::Connector> connector;
  Statistics statistics;
  std::vector<std::unique_ptr<Connection>> connections;
  std::size_t left = 0;
  double cpu_seconds = 0;
  std::thread thread;
};

namespace {

double thread_cpu_seconds() {
  timespec spent{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return static_cast<double>(spent.tv_sec) + static_cast<double>(spent.tv_nsec) / 1e9;
}

/// "HOST:PORT" or "[v6]:PORT"; both parts must be said.
Result<std::pair<std::string, std::string>> host_and_port(const std::string& target) {
  const auto colon = target.rfind(':');
  std::string host = target.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const std::string port = colon == std::string::npos ? "" : target.substr(colon + 1);
  unsigned number = 0;
  const char* end = port.data() + port.size();
  const auto parsed = std::from_chars(port.data(), end, number);
  if (host.empty() || parsed.ec != std::errc{} || parsed.ptr != end || number == 0 ||
      number > 65535) {
    return fail(ErrorKind::invalid, "--target '" + target + "': write HOST:PORT, both of them");
  }
  return std::pair(host, port);
}

Result<net::Endpoint> look_up(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (code != 0) {
    return fail(ErrorKind::dns, "--target " + host + ": " + ::gai_strerror(code));
  }
  char name[INET6_ADDRSTRLEN] = "";
  const void* address =
      found->ai_family == AF_INET6
          ? static_cast<const void*>(&reinterpret_cast<sockaddr_in6*>(found->ai_addr)->sin6_addr)
          : static_cast<const void*>(&reinterpret_cast<sockaddr_in*>(found->ai_addr)->sin_addr);
  ::inet_ntop(found->ai_family, address, name, sizeof name);
  ::freeaddrinfo(found);
  return net::Endpoint{name, static_cast<std::uint16_t>(std::stoul(port))};
}

net::Task<void> run_one(Connection& connection, std::size_t& left, net::Shard& shard) {
  co_await connection.run();
  if (--left == 0) shard.io.stop();
}

}  // namespace

Sender::Sender(SendOptions options) : options_(std::move(options)), schedule_(options_.schedule) {}

Result<> Sender::resolve() {
  if (options_.targets.empty()) {
    return fail(ErrorKind::invalid,
                "no --target HOST:PORT: there is no default, so that no run "
                "meets a server that nobody has named");
  }
  for (const auto& target : options_.targets) {
    const auto parts = host_and_port(target);
    if (!parts) return fail(parts.error());
    auto endpoint = look_up(parts->first, parts->second);
    if (!endpoint) return fail(std::move(endpoint).error());
    targets_.push_back({std::move(*endpoint), parts->first});
  }
  return {};
}

Result<std::unique_ptr<Sender>> Sender::make(SendOptions options) {
  std::unique_ptr<Sender> sender(new Sender(std::move(options)));
  const SendOptions& o = sender->options_;
  if (auto good = sender->resolve(); !good) return fail(std::move(good).error());
  auto mix = RecipientMix::make(o.recipients);
  if (!mix) return fail(std::move(mix).error());
  sender->mix_ = std::make_unique<RecipientMix>(std::move(*mix));
  auto contents = Contents::make(o.content);
  if (!contents) return fail(std::move(contents).error());
  sender->contents_ = std::make_unique<Contents>(std::move(*contents));
  if (o.tls.policy != net::TlsPolicy::none) {
    auto tls = net::TlsContext::for_client(o.tls);
    if (!tls) return fail(std::move(tls).error());
    sender->tls_ = std::move(*tls);
  }
  if (!o.log_file.empty()) {
    std::string head(kSendMagic);
    add_field(head, hex(o.run_id));
    auto journal = JournalWriter::open(o.log_file, head);
    if (!journal) return fail(std::move(journal).error());
    sender->journal_ = std::move(*journal);
  }
  sender->context_ = std::make_unique<SendContext>(
      SendContext{o, *sender->contents_, *sender->mix_, sender->schedule_, sender->totals_,
                  sender->journal_.get(), sender->targets_, sender->tls_});
  return sender;
}

Sender::~Sender() {
  stop();
  join();
}

void Sender::start() {
  const unsigned connections = options_.servers * options_.connections_per_server;
  const unsigned threads = std::clamp(options_.threads, 1u, std::max(1u, connections));
  for (unsigned i = 0; i < threads; ++i) {
    auto worker = std::make_unique<Worker>(i);
    worker->connector = net::make_tcp_connector(worker->shard.io, worker->shard.timers);
    workers_.push_back(std::move(worker));
  }
  for (unsigned i = 0; i < connections; ++i) {
    Worker& worker = *workers_[i % threads];
    worker.connections.push_back(std::make_unique<Connection>(
        *context_, worker.shard, *worker.connector, worker.statistics, i));
  }
  running_.store(threads, std::memory_order_release);
  schedule_.start(Clock::system().steady_now());
  for (auto& worker : workers_) {
    worker->thread = std::thread([this, &one = *worker] { run_worker(one); });
  }
}

void Sender::run_worker(Worker& worker) {
  auto& io = worker.shard.io;
  worker.left = worker.connections.size();
  asio::co_spawn(io, worker.shard.timers.drive(), asio::detached);
  for (auto& connection : worker.connections) {
    asio::co_spawn(io, run_one(*connection, worker.left, worker.shard), asio::detached);
  }
  io.run();
  worker.cpu_seconds = thread_cpu_seconds();
  running_.fetch_sub(1, std::memory_order_acq_rel);
}

void Sender::join() {
  bool joined = false;
  for (auto& worker : workers_) {
    if (!worker->thread.joinable()) continue;
    worker->thread.join();
    results_.merge(worker->statistics);
    cpu_seconds_ += worker->cpu_seconds;
    joined = true;
  }
  if (!joined) return;
  const auto took = Clock::system().steady_now() - schedule_.start_time();
  seconds_ = std::chrono::duration<double>(took).count();
  if (journal_) journal_->flush();
}

Result<> Sender::log_health() const { return journal_ ? journal_->health() : Result<>(); }

}  // namespace waypost::load
