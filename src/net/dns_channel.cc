#include "net/dns_channel.h"

#include <boost/asio/error.hpp>

#include <arpa/inet.h>
#include <netdb.h>

namespace waypost::net {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

int library_status() {
  static const int status = ::ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

}  // namespace

struct DnsChannel::Watched {
  explicit Watched(Executor executor) : descriptor(executor) {}
  Descriptor descriptor;
  bool want_read = false, want_write = false, reading = false, writing = false, gone = false;
};

struct DnsChannel::Question {
  std::shared_ptr<bool> alive;
  Answered answered;
};

DnsChannel::DnsChannel(asio::io_context& io) : io_(io), timeout_(io.get_executor()) {}

DnsChannel::~DnsChannel() {
  *alive_ = false;
  if (channel_ != nullptr) ::ares_destroy(channel_);
  for (auto& [fd, watched] : sockets_) {
    watched->gone = true;
    if (watched->descriptor.is_open()) watched->descriptor.release();
  }
}

Result<> DnsChannel::open(const ResolverOptions& settings) {
  if (library_status() != ARES_SUCCESS)
    return fail(ErrorKind::dns, "the DNS library can't be started");
  ares_options options{};
  options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
  options.timeout = static_cast<int>(
      std::chrono::duration_cast<std::chrono::milliseconds>(settings.query_timeout).count());
  options.tries = static_cast<int>(settings.tries);
  options.sock_state_cb = &DnsChannel::on_socket_state;
  options.sock_state_cb_data = this;
  const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
  int status = ::ares_init_options(&channel_, &options, mask);
  if (status != ARES_SUCCESS)
    return fail(ErrorKind::dns, std::string("DNS: ") + ::ares_strerror(status));
  if (settings.servers.empty()) return {};
  std::string list;
  for (const auto& server : settings.servers) list += (list.empty() ? "" : ",") + server;
  status = ::ares_set_servers_ports_csv(channel_, list.c_str());
  if (status != ARES_SUCCESS) {
    return fail(ErrorKind::invalid,
                "dns.servers: '" + list +
                    "' is not a list of ADDRESS or ADDRESS:PORT: " + ::ares_strerror(status));
  }
  return {};
}

void DnsChannel::query(const std::string& name, DnsType type, Answered answered) {
  static constexpr int kClassIn = 1;
  auto* question = new Question{alive_, std::move(answered)};
  ::ares_query(channel_, name.c_str(), kClassIn, static_cast<int>(type), &DnsChannel::on_answer,
               question);
  rearm();
}

void DnsChannel::on_answer(void* argument, int status, int, unsigned char* message, int length) {
  const std::unique_ptr<Question> question(static_cast<Question*>(argument));
  if (!*question->alive) return;
  std::span<const unsigned char> bytes;
  if (status == ARES_SUCCESS && message != nullptr && length > 0)
    bytes = {message, static_cast<std::size_t>(length)};
  question->answered(status, bytes);
}

std::vector<std::string> DnsChannel::in_hosts_file(const std::string& name, DnsType type) {
  const int family = type == DnsType::aaaa ? AF_INET6 : AF_INET;
  std::vector<std::string> found;
  hostent* entry = nullptr;
  if (::ares_gethostbyname_file(channel_, name.c_str(), family, &entry) != ARES_SUCCESS)
    return found;
  for (char** address = entry->h_addr_list; address != nullptr && *address != nullptr; ++address) {
    char text[INET6_ADDRSTRLEN] = {};
    if (entry->h_addrtype == family &&
        ::inet_ntop(family, *address, text, sizeof text) != nullptr) {
      found.emplace_back(text);
    }
  }
  ::ares_free_hostent(entry);
  return found;
}

// c-ares tells which sockets it waits on; Asio watches them.
void DnsChannel::on_socket_state(void* argument, ares_socket_t fd, int readable, int writable) {
  static_cast<DnsChannel*>(argument)->socket_state(fd, readable != 0, writable != 0);
}

void DnsChannel::socket_state(ares_socket_t fd, bool readable, bool writable) {
  auto found = sockets_.find(fd);
  if (!readable && !writable) {
    if (found == sockets_.end()) return;
    found->second->gone = true;
    if (found->second->descriptor.is_open())
      found->second->descriptor.release();  // c-ares closes it
    sockets_.erase(found);
    return;
  }
  if (!*alive_) return;
  if (found == sockets_.end()) {
    found = sockets_.emplace(fd, std::make_shared<Watched>(io_.get_executor())).first;
    error_code ignored;
    found->second->descriptor.assign(fd, ignored);
  }
  found->second->want_read = readable;
  found->second->want_write = writable;
  watch(fd, found->second);
}

void DnsChannel::watch(ares_socket_t fd, const std::shared_ptr<Watched>& watched) {
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

/// An answer may lead anywhere but to our destruction: whoever waits is resumed later, by a post.
void DnsChannel::process(ares_socket_t read_fd, ares_socket_t write_fd,
                         const std::shared_ptr<Watched>& watched) {
  ::ares_process_fd(channel_, read_fd, write_fd);
  if (!watched->gone) watch(read_fd == ARES_SOCKET_BAD ? write_fd : read_fd, watched);
  rearm();
}

/// Wakes c-ares for its retransmissions.
void DnsChannel::rearm() {
  timeval limit{};
  timeval* const next = ::ares_timeout(channel_, nullptr, &limit);
  if (next == nullptr) {
    timeout_.cancel();
    return;
  }
  const auto wait = std::chrono::seconds(next->tv_sec) + std::chrono::microseconds(next->tv_usec);
  timeout_.expires_after(wait + std::chrono::milliseconds(1));
  timeout_.async_wait([this, alive = alive_](error_code error) {
    if (error || !*alive) return;
    ::ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    rearm();
  });
}

}  // namespace waypost::net
