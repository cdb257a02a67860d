// A DNS server on 127.0.0.1, UDP and TCP on one port, that answers from a table.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace waypost::net::testing {

inline constexpr int kTypeA = 1, kTypeCname = 5, kTypeMx = 15, kTypeAaaa = 28;

inline std::string dns16(unsigned value) {
  return {static_cast<char>(value >> 8 & 255), static_cast<char>(value & 255)};
}
inline std::string dns32(unsigned value) { return dns16(value >> 16) + dns16(value & 0xFFFF); }
/// "mail.example" as labels.
inline std::string dns_name(const std::string& name) {
  std::string wire;
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t dot = std::min(name.find('.', at), name.size());
    wire += static_cast<char>(dot - at);
    wire += name.substr(at, dot - at);
    at = dot + 1;
  }
  return wire + '\0';
}

struct DnsRecord {
  std::string owner;  // empty: the name that was asked for
  int type = kTypeA;
  unsigned ttl = 300;
  std::string data;  // as on the wire
};
inline DnsRecord mx_record(unsigned preference, const std::string& host, unsigned ttl = 300) {
  return {"", kTypeMx, ttl, dns16(preference) + dns_name(host)};
}
inline DnsRecord address_record(const std::string& address, unsigned ttl = 300) {
  const auto parsed = boost::asio::ip::make_address(address);
  std::string octets;
  if (parsed.is_v4()) {
    for (const auto octet : parsed.to_v4().to_bytes()) octets += static_cast<char>(octet);
  } else {
    for (const auto octet : parsed.to_v6().to_bytes()) octets += static_cast<char>(octet);
  }
  return {"", parsed.is_v4() ? kTypeA : kTypeAaaa, ttl, octets};
}
inline DnsRecord cname_record(const std::string& target, unsigned ttl = 300) {
  return {"", kTypeCname, ttl, dns_name(target)};
}

struct DnsReply {
  int rcode = 0;  // 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED
  std::vector<DnsRecord> records = {};
  bool silent = false;
  bool truncated = false;    // over UDP: an empty answer with TC
  std::string garbage = {};  // instead of everything behind the header
};

/// A whole answer to `query` (the header's two octets of id and the question are copied from it).
inline std::string dns_message(const std::string& query, const DnsReply& reply, bool tcp = true) {
  const std::size_t question_end = query.find('\0', 12) + 5;
  const bool cut = reply.truncated && !tcp;
  const unsigned flags = 0x8180u | (cut ? 0x0200u : 0u) | static_cast<unsigned>(reply.rcode);
  std::string message = query.substr(0, 2) + dns16(flags) + dns16(1) +
                        dns16(cut ? 0 : static_cast<unsigned>(reply.records.size())) + dns32(0) +
                        query.substr(12, question_end - 12);
  if (!reply.garbage.empty()) return message.substr(0, 12) + reply.garbage;
  if (cut) return message;
  for (const auto& record : reply.records) {
    message += record.owner.empty() ? dns16(0xC00C) : dns_name(record.owner);
    message += dns16(static_cast<unsigned>(record.type)) + dns16(1) + dns32(record.ttl) +
               dns16(static_cast<unsigned>(record.data.size())) + record.data;
  }
  return message;
}

inline std::string dns_query(const std::string& name, int type) {
  return dns16(0x1234) + dns16(0x0100) + dns16(1) + dns16(0) + dns32(0) + dns_name(name) +
         dns16(static_cast<unsigned>(type)) + dns16(1);
}

/// Lives on the same io_context as the resolver; names not in the table do not exist.
class TestDnsServer {
 public:
  explicit TestDnsServer(boost::asio::io_context& io) : udp_(io), acceptor_(io) {
    bind_both();
    receive();
    accept();
  }
  std::string place() const { return "127.0.0.1:" + std::to_string(udp_.local_endpoint().port()); }
  void set(const std::string& name, int type, DnsReply reply) {
    table_[{name, type}] = std::move(reply);
  }
  void set_mx(const std::string& name, std::vector<DnsRecord> records) {
    set(name, kTypeMx, DnsReply{.records = std::move(records)});
  }
  int asked(const std::string& name, int type) const {
    const auto found = asked_.find({name, type});
    return found == asked_.end() ? 0 : found->second;
  }
  int asked_by_tcp() const { return asked_by_tcp_; }

 private:
  struct Connection {
    explicit Connection(boost::asio::ip::tcp::socket socket_) : socket(std::move(socket_)) {}
    boost::asio::ip::tcp::socket socket;
    std::array<unsigned char, 2> size{};
    std::string query, answer;
  };

  /// A port that is free for TCP need not be free for UDP.
  void bind_both() {
    const auto here = boost::asio::ip::address_v4::loopback();
    boost::system::error_code taken;
    for (int attempt = 0; attempt < 100; ++attempt) {
      acceptor_ = boost::asio::ip::tcp::acceptor(acceptor_.get_executor(), {here, 0});
      udp_ = boost::asio::ip::udp::socket(udp_.get_executor(), boost::asio::ip::udp::v4());
      udp_.bind({here, acceptor_.local_endpoint().port()}, taken);
      if (!taken) return;
    }
    throw boost::system::system_error(taken);
  }
  /// Empty: say nothing.
  std::string answer_to(const std::string& query, bool tcp) {
    std::string name;
    std::size_t at = 12;
    while (at < query.size() && query[at] != 0) {
      name +=
          (name.empty() ? "" : ".") + query.substr(at + 1, static_cast<unsigned char>(query[at]));
      at += 1 + static_cast<unsigned char>(query[at]);
    }
    if (at + 3 > query.size()) return "";
    const int type = static_cast<unsigned char>(query[at + 2]);
    ++asked_[{name, type}];
    if (tcp) ++asked_by_tcp_;
    const auto found = table_.find({name, type});
    if (found != table_.end() && found->second.silent) return "";
    if (found != table_.end()) return dns_message(query, found->second, tcp);
    // RFC 2308 §2: a name that has other records exists.
    for (const auto& [key, reply] : table_) {
      if (key.first == name) return dns_message(query, DnsReply{}, tcp);
    }
    return dns_message(query, DnsReply{.rcode = 3}, tcp);
  }
  void receive() {
    udp_.async_receive_from(boost::asio::buffer(datagram_), sender_,
                            [this](boost::system::error_code error, std::size_t size) {
                              if (error) return;
                              const std::string answer =
                                  answer_to(std::string(datagram_.data(), size), false);
                              boost::system::error_code ignored;
                              if (!answer.empty())
                                udp_.send_to(boost::asio::buffer(answer), sender_, 0, ignored);
                              receive();
                            });
  }
  void accept() {
    acceptor_.async_accept(
        [this](boost::system::error_code error, boost::asio::ip::tcp::socket socket) {
          if (error) return;
          read(std::make_shared<Connection>(std::move(socket)));
          accept();
        });
  }
  void read(std::shared_ptr<Connection> connection) {
    auto* const raw = connection.get();
    boost::asio::async_read(
        raw->socket, boost::asio::buffer(raw->size),
        [this, connection](boost::system::error_code error, std::size_t) {
          if (error) return;
          connection->query.resize(connection->size[0] * 256u + connection->size[1]);
          boost::asio::async_read(
              connection->socket, boost::asio::buffer(connection->query),
              [this, connection](boost::system::error_code failed, std::size_t) {
                if (!failed) write(connection);
              });
        });
  }
  void write(const std::shared_ptr<Connection>& connection) {
    const std::string answer = answer_to(connection->query, true);
    connection->answer = dns16(static_cast<unsigned>(answer.size())) + answer;
    boost::asio::async_write(connection->socket, boost::asio::buffer(connection->answer),
                             [this, connection](boost::system::error_code error, std::size_t) {
                               if (!error) read(connection);
                             });
  }

  boost::asio::ip::udp::socket udp_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::ip::udp::endpoint sender_;
  std::array<char, 2048> datagram_{};
  std::map<std::pair<std::string, int>, DnsReply> table_;
  std::map<std::pair<std::string, int>, int> asked_;
  int asked_by_tcp_ = 0;
};

}  // namespace waypost::net::testing
