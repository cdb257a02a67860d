// c-ares on Asio: one channel, its sockets watched and its retransmissions timed by an io_context.
//
// One thread. Answers may come before query() returns; none comes any more once the channel is
// being destroyed.
#pragma once

#include "waypost/net/resolver.h"

#include <ares.h>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace waypost::net {

enum class DnsType : int { a = 1, mx = 15, aaaa = 28 };

class DnsChannel {
 public:
  /// `status` is c-ares' own; the message is empty unless it is ARES_SUCCESS.
  using Answered =
      std::move_only_function<void(int status, std::span<const unsigned char> message)>;

  explicit DnsChannel(boost::asio::io_context& io);
  ~DnsChannel();
  DnsChannel(const DnsChannel&) = delete;
  DnsChannel& operator=(const DnsChannel&) = delete;

  /// ErrorKind::invalid: the server list is wrong. ErrorKind::dns: the library refuses.
  Result<> open(const ResolverOptions& options);
  void query(const std::string& name, DnsType type, Answered answered);
  /// What /etc/hosts says; empty if nothing.
  std::vector<std::string> in_hosts_file(const std::string& name, DnsType type);

 private:
  using Descriptor = boost::asio::posix::basic_stream_descriptor<Executor>;
  using AsioTimer = boost::asio::basic_waitable_timer<
      std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;
  struct Watched;
  struct Question;

  static void on_answer(void* argument, int status, int timeouts, unsigned char* message,
                        int length);
  static void on_socket_state(void* argument, ares_socket_t fd, int readable, int writable);
  void socket_state(ares_socket_t fd, bool readable, bool writable);
  void watch(ares_socket_t fd, const std::shared_ptr<Watched>& watched);
  void process(ares_socket_t read_fd, ares_socket_t write_fd,
               const std::shared_ptr<Watched>& watched);
  void rearm();

  boost::asio::io_context& io_;
  ares_channel channel_ = nullptr;
  AsioTimer timeout_;
  std::map<ares_socket_t, std::shared_ptr<Watched>> sockets_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for handlers already queued
};

}  // namespace waypost::net
