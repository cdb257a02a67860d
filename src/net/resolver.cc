#include "waypost/net/resolver.h"

#include "net/dns_answer.h"

#include <ares.h>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include <arpa/inet.h>
#include <netdb.h>

#include <list>
#include <mutex>
#include <random>

namespace waypost::net {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Descriptor = asio::posix::basic_stream_descriptor<Executor>;
using AsioTimer =
    asio::basic_waitable_timer<std::chrono::steady_clock,
                               asio::wait_traits<std::chrono::steady_clock>, Executor>;

constexpr std::size_t kMaxCached = 10'000;

struct Addresses {
  std::vector<std::string> list;
};

/// One look-up in flight; everybody who asks for the same waits for it.
template <class Answer>
struct Pending {
  bool done = false;
  Result<Answer> answer = fail(ErrorKind::dns, "");
  std::list<Timers::Sleeper*> waiting;
  void finish(Result<Answer> result) {
    answer = std::move(result);
    done = true;
    for (auto* sleeper : waiting) sleeper->wake();
  }
};

template <class Answer>
struct Cache {
  struct Entry {
    SteadyTime until;
    Result<Answer> answer;
  };
  std::unordered_map<std::string, Entry> entries;
  std::unordered_map<std::string, std::shared_ptr<Pending<Answer>>> pending;

  void keep(const std::string& name, SteadyTime until, const Result<Answer>& answer) {
    if (entries.size() >= kMaxCached) entries.clear();
    entries.insert_or_assign(name, Entry{until, answer});
  }
};

Error describe(int status, const std::string& what, const std::string& name) {
  const std::string text = what + " look-up of " + name + ": ";
  switch (status) {
    case ARES_ENOTFOUND:
      return {ErrorKind::not_found, text + "the name does not exist (NXDOMAIN)"};
    case ARES_ENODATA:
      return {ErrorKind::not_found, text + "the name has no such record"};
    case ARES_ETIMEOUT:
      return {ErrorKind::timeout, text + "the DNS servers did not answer in time"};
    case ARES_ESERVFAIL:
      return {ErrorKind::dns, text + "the DNS servers could not answer (SERVFAIL)"};
    case ARES_ECONNREFUSED:
      return {ErrorKind::dns, text + "no DNS server could be reached"};
    case ARES_EBADNAME:
      return {ErrorKind::not_found, text + "that is no domain name"};
    default:
      return {ErrorKind::dns, text + ::ares_strerror(status)};
  }
}

bool is_negative(const Error& error) { return error.kind == ErrorKind::not_found; }

int library_status() {
  static const int status = ::ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

/// RFC 8305 §4: IPv6 and IPv4 take turns, IPv6 first.
std::vector<std::string> interleave(const std::vector<std::string>& v6,
                                    const std::vector<std::string>& v4) {
  std::vector<std::string> mixed;
  for (std::size_t i = 0; i < std::max(v6.size(), v4.size()); ++i) {
    if (i < v6.size()) mixed.push_back(v6[i]);
    if (i < v4.size()) mixed.push_back(v4[i]);
  }
  return mixed;
}

class AresResolver final : public Resolver {
 public:
  AresResolver(asio::io_context& io, Timers& timers, ResolverOptions options)
      : io_(io),
        timers_(timers),
        options_(std::move(options)),
        timeout_(io.get_executor()),
        random_(std::random_device()()) {}

  ~AresResolver() override {
    closing_ = true;
    if (channel_ != nullptr) ::ares_destroy(channel_);
    for (auto& [fd, watched] : sockets_) {
      if (watched->descriptor.is_open()) watched->descriptor.release();
    }
  }

  Result<> open() {
    if (library_status() != ARES_SUCCESS)
      return fail(ErrorKind::dns, "the DNS library can't be started");
    ares_options options{};
    options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
    options.timeout = static_cast<int>(
        std::chrono::duration_cast<std::chrono::milliseconds>(options_.query_timeout).count());
    options.tries = static_cast<int>(options_.tries);
    options.sock_state_cb = &AresResolver::on_socket_state;
    options.sock_state_cb_data = this;
    const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    int status = ::ares_init_options(&channel_, &options, mask);
    if (status != ARES_SUCCESS)
      return fail(ErrorKind::dns, std::string("DNS: ") + ::ares_strerror(status));
    if (options_.servers.empty()) return {};
    std::string list;
    for (const auto& server : options_.servers) list += (list.empty() ? "" : ",") + server;
    status = ::ares_set_servers_ports_csv(channel_, list.c_str());
    if (status != ARES_SUCCESS) {
      return fail(ErrorKind::invalid,
                  "dns.servers: '" + list +
                      "' is not a list of ADDRESS or ADDRESS:PORT: " + ::ares_strerror(status));
    }
    return {};
  }

  Task<Result<MxAnswer>> mx(std::string domain, SteadyTime deadline) override {
    const bool literal = domain.starts_with('[');
    if (literal) {
      MxAnswer answer;
      answer.implicit = true;
      answer.hosts.push_back({0, domain});
      co_return answer;
    }
    auto found = co_await look_up(mx_, domain, deadline, &AresResolver::start_mx);
    if (!found) co_return fail(std::move(found).error());
    shuffle_equals(found->hosts);
    co_return found;
  }

  Task<Result<std::vector<std::string>>> addresses(std::string host, SteadyTime deadline) override {
    if (auto literal = read_literal(host)) co_return std::vector<std::string>{*literal};
    auto found = co_await look_up(addresses_, host, deadline, &AresResolver::start_addresses);
    if (!found) co_return fail(std::move(found).error());
    co_return std::move(found->list);
  }

  void flush() override {
    mx_.entries.clear();
    addresses_.entries.clear();
  }

 private:
  struct Watched {
    explicit Watched(Executor executor) : descriptor(executor) {}
    Descriptor descriptor;
    bool want_read = false, want_write = false, reading = false, writing = false, gone = false;
  };
  template <class Answer>
  struct Query {
    AresResolver* resolver;
    std::string name;
    std::shared_ptr<Pending<Answer>> pending;
  };

  static std::optional<std::string> read_literal(std::string host) {
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
      host = host.substr(1, host.size() - 2);
      if (host.size() > 5 && ::strncasecmp(host.c_str(), "ipv6:", 5) == 0) host.erase(0, 5);
    }
    error_code error;
    const auto address = asio::ip::make_address(host, error);
    if (error) return std::nullopt;
    return address.to_string();
  }

  template <class Answer>
  Task<Result<Answer>> look_up(Cache<Answer>& cache, const std::string& name, SteadyTime deadline,
                               void (AresResolver::*start)(const std::string&,
                                                           std::shared_ptr<Pending<Answer>>)) {
    const auto cached = cache.entries.find(name);
    if (cached != cache.entries.end()) {
      if (cached->second.until > timers_.now()) co_return cached->second.answer;
      cache.entries.erase(cached);
    }
    auto& slot = cache.pending[name];
    const bool first = slot == nullptr;
    if (first) slot = std::make_shared<Pending<Answer>>();
    const auto pending = slot;
    Timers::Sleeper sleeper(timers_);
    const auto place = pending->waiting.insert(pending->waiting.end(), &sleeper);
    if (first) {
      (this->*start)(name, pending);
      rearm();
    }
    bool late = false;
    bool cancelled = false;
    while (!pending->done && !late && !cancelled) {
      auto slept = co_await sleeper.sleep_until(deadline);
      cancelled = !slept;
      late = !pending->done && timers_.now() >= deadline;
    }
    pending->waiting.erase(place);
    if (!pending->done) {
      co_return fail(cancelled ? ErrorKind::cancelled : ErrorKind::timeout,
                     "look-up of " + name + ": the DNS servers did not answer in time");
    }
    co_return pending->answer;
  }

  template <class Answer>
  void settle(Cache<Answer>& cache, Query<Answer>& query, Result<Answer> answer,
              std::uint32_t ttl_seconds) {
    if (answer || is_negative(answer.error())) {
      Duration ttl = answer ? Duration(std::chrono::seconds(ttl_seconds)) : options_.negative_ttl;
      ttl = std::min(ttl, options_.max_ttl);
      cache.keep(query.name, timers_.now() + ttl, answer);
    }
    cache.pending.erase(query.name);
    query.pending->finish(std::move(answer));
  }

  void start_mx(const std::string& name, std::shared_ptr<Pending<MxAnswer>> pending) {
    auto* query = new Query<MxAnswer>{this, name, std::move(pending)};
    ::ares_query(channel_, name.c_str(), 1, 15, &AresResolver::on_mx, query);
  }

  static void on_mx(void* argument, int status, int, unsigned char* message, int length) {
    const std::unique_ptr<Query<MxAnswer>> query(static_cast<Query<MxAnswer>*>(argument));
    if (query->resolver->closing_) return;
    std::uint32_t ttl = 0;
    Result<MxAnswer> answer = query->resolver->judge_mx(query->name, status, message, length, ttl);
    query->resolver->settle(query->resolver->mx_, *query, std::move(answer), ttl);
  }

  Result<MxAnswer> judge_mx(const std::string& name, int status, const unsigned char* message,
                            int length, std::uint32_t& ttl) const {
    MxAnswer answer;
    if (status == ARES_ENODATA) {  // RFC 5321 §5.1: the implicit MX
      answer.implicit = true;
      answer.hosts.push_back({0, name});
      ttl = static_cast<std::uint32_t>(
          std::chrono::duration_cast<std::chrono::seconds>(options_.negative_ttl).count());
      return answer;
    }
    if (status != ARES_SUCCESS) return fail(describe(status, "MX", name));
    auto records = read_mx_answer({message, static_cast<std::size_t>(length)});
    if (!records)
      return fail(ErrorKind::dns, "MX look-up of " + name + ": " + records.error().message);
    ttl = records->ttl_seconds;
    answer.hosts = std::move(records->hosts);
    const auto root = [](const MxHost& host) { return host.name.empty() || host.name == "."; };
    if (answer.hosts.size() == 1 && root(answer.hosts.front())) {  // RFC 7505
      answer.null_mx = true;
      answer.hosts.clear();
      return answer;
    }
    std::erase_if(answer.hosts, root);
    if (answer.hosts.empty()) {
      answer.implicit = true;
      answer.hosts.push_back({0, name});
    }
    return answer;
  }

  void shuffle_equals(std::vector<MxHost>& hosts) {
    std::shuffle(hosts.begin(), hosts.end(), random_);
    std::stable_sort(hosts.begin(), hosts.end(),
                     [](const MxHost& a, const MxHost& b) { return a.preference < b.preference; });
  }

  void start_addresses(const std::string& name, std::shared_ptr<Pending<Addresses>> pending) {
    auto* query = new Query<Addresses>{this, name, std::move(pending)};
    ares_addrinfo_hints hints{};
    hints.ai_family = options_.ipv4 && options_.ipv6 ? AF_UNSPEC
                      : options_.ipv6                ? AF_INET6
                                                     : AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = ARES_AI_NOSORT;
    ::ares_getaddrinfo(channel_, name.c_str(), nullptr, &hints, &AresResolver::on_addresses, query);
  }

  static void on_addresses(void* argument, int status, int, ares_addrinfo* info) {
    const std::unique_ptr<Query<Addresses>> query(static_cast<Query<Addresses>*>(argument));
    if (query->resolver->closing_) {
      if (info != nullptr) ::ares_freeaddrinfo(info);
      return;
    }
    Result<Addresses> answer = fail(describe(status, "address", query->name));
    std::uint32_t ttl = 0;
    if (status == ARES_SUCCESS && info != nullptr) answer = read_addresses(*info, ttl);
    if (answer && answer->list.empty())
      answer = fail(describe(ARES_ENODATA, "address", query->name));
    if (info != nullptr) ::ares_freeaddrinfo(info);
    query->resolver->settle(query->resolver->addresses_, *query, std::move(answer), ttl);
  }

  static Addresses read_addresses(const ares_addrinfo& info, std::uint32_t& ttl) {
    std::vector<std::string> v6;
    std::vector<std::string> v4;
    int lowest = std::numeric_limits<int>::max();
    for (const ares_addrinfo_node* node = info.nodes; node != nullptr; node = node->ai_next) {
      char text[INET6_ADDRSTRLEN] = {};
      if (node->ai_family == AF_INET) {
        const auto* address = reinterpret_cast<const sockaddr_in*>(node->ai_addr);
        ::inet_ntop(AF_INET, &address->sin_addr, text, sizeof text);
        v4.emplace_back(text);
      } else if (node->ai_family == AF_INET6) {
        const auto* address = reinterpret_cast<const sockaddr_in6*>(node->ai_addr);
        ::inet_ntop(AF_INET6, &address->sin6_addr, text, sizeof text);
        v6.emplace_back(text);
      }
      lowest = std::min(lowest, node->ai_ttl);
    }
    ttl = lowest < 0 || lowest == std::numeric_limits<int>::max()
              ? 0
              : static_cast<std::uint32_t>(lowest);
    return {interleave(v6, v4)};
  }

  // c-ares tells which sockets it waits on; Asio watches them.
  static void on_socket_state(void* argument, ares_socket_t fd, int readable, int writable) {
    static_cast<AresResolver*>(argument)->socket_state(fd, readable != 0, writable != 0);
  }

  void socket_state(ares_socket_t fd, bool readable, bool writable) {
    auto found = sockets_.find(fd);
    if (!readable && !writable) {
      if (found == sockets_.end()) return;
      found->second->gone = true;
      if (found->second->descriptor.is_open())
        found->second->descriptor.release();  // c-ares closes it
      sockets_.erase(found);
      return;
    }
    if (closing_) return;
    if (found == sockets_.end()) {
      found = sockets_.emplace(fd, std::make_shared<Watched>(io_.get_executor())).first;
      error_code ignored;
      found->second->descriptor.assign(fd, ignored);
    }
    found->second->want_read = readable;
    found->second->want_write = writable;
    watch(fd, found->second);
  }

  void watch(ares_socket_t fd, const std::shared_ptr<Watched>& watched) {
    if (watched->want_read && !watched->reading) {
      watched->reading = true;
      watched->descriptor.async_wait(Descriptor::wait_read, [this, fd, watched](error_code error) {
        watched->reading = false;
        if (!error && !watched->gone) process(fd, ARES_SOCKET_BAD, watched);
      });
    }
    if (watched->want_write && !watched->writing) {
      watched->writing = true;
      watched->descriptor.async_wait(Descriptor::wait_write, [this, fd, watched](error_code error) {
        watched->writing = false;
        if (!error && !watched->gone) process(ARES_SOCKET_BAD, fd, watched);
      });
    }
  }

  void process(ares_socket_t read_fd, ares_socket_t write_fd,
               const std::shared_ptr<Watched>& watched) {
    ::ares_process_fd(channel_, read_fd, write_fd);
    if (!watched->gone) watch(read_fd == ARES_SOCKET_BAD ? write_fd : read_fd, watched);
    rearm();
  }

  /// Wakes c-ares for its retransmissions.
  void rearm() {
    timeval limit{};
    timeval* const next = ::ares_timeout(channel_, nullptr, &limit);
    if (next == nullptr) {
      timeout_.cancel();
      return;
    }
    const auto wait = std::chrono::seconds(next->tv_sec) + std::chrono::microseconds(next->tv_usec);
    timeout_.expires_after(wait + std::chrono::milliseconds(1));
    timeout_.async_wait([this](error_code error) {
      if (error) return;
      ::ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
      rearm();
    });
  }

  asio::io_context& io_;
  Timers& timers_;
  ResolverOptions options_;
  ares_channel channel_ = nullptr;
  AsioTimer timeout_;
  std::mt19937_64 random_;
  std::map<ares_socket_t, std::shared_ptr<Watched>> sockets_;
  Cache<MxAnswer> mx_;
  Cache<Addresses> addresses_;
  bool closing_ = false;
};

}  // namespace

Result<std::unique_ptr<Resolver>> make_resolver(asio::io_context& io, Timers& timers,
                                                ResolverOptions options) {
  auto resolver = std::make_unique<AresResolver>(io, timers, std::move(options));
  if (auto opened = resolver->open(); !opened) return fail(std::move(opened).error());
  return std::unique_ptr<Resolver>(std::move(resolver));
}

}  // namespace waypost::net
