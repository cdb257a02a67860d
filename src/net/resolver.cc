#include "waypost/net/resolver.h"

#include "net/dns_answer.h"
#include "net/dns_cache.h"
#include "net/dns_channel.h"
#include "net/host_name.h"

#include <boost/asio/ip/address.hpp>

#include <list>
#include <random>
#include <unordered_map>

namespace waypost::net {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

/// How long one address family waits for the other once it has addresses (RFC 8305 §3 speaks of
/// racing them; some servers never answer AAAA).
constexpr std::chrono::seconds kPatience{2};
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
struct Known {
  DnsCache<Answer> answers;
  std::unordered_map<std::string, std::shared_ptr<Pending<Answer>>> pending;
};

constexpr std::string_view kNoSuchRecord = "the name has no such record";

Error describe(int status, const std::string& what, const std::string& name) {
  const std::string text = what + " look-up of " + name + ": ";
  switch (status) {
    case ARES_ENOTFOUND:
      return {ErrorKind::not_found, text + "the name does not exist (NXDOMAIN)"};
    case ARES_ENODATA:
      return {ErrorKind::not_found, text + std::string(kNoSuchRecord)};
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

/// Host names are compared without case (RFC 1035 §2.3.3), and asked for in ASCII (RFC 5891).
/// Nothing if it can't be a domain name.
std::optional<std::string> normalised(const std::string& written) {
  auto ascii = ascii_host_name(written);
  if (!ascii) return std::nullopt;
  std::string name = std::move(*ascii);
  if (name.ends_with('.')) name.pop_back();
  if (name.empty() || name.size() > 253 || name.find('\0') != std::string::npos)
    return std::nullopt;
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return name;
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
      : timers_(timers),
        options_(std::move(options)),
        random_(std::random_device()()),
        channel_(io) {}

  Result<> open() { return channel_.open(options_); }

  Task<Result<MxAnswer>> mx(std::string domain, SteadyTime deadline) override {
    const bool literal = domain.starts_with('[');
    if (literal) {
      MxAnswer answer;
      answer.implicit = true;
      answer.hosts.push_back({0, domain});
      co_return answer;
    }
    const auto name = normalised(domain);
    if (!name) co_return fail(describe(ARES_EBADNAME, "MX", domain));
    auto found = co_await look_up(mx_, *name, deadline, &AresResolver::start_mx);
    if (!found) co_return fail(std::move(found).error());
    shuffle_equals(found->hosts);
    co_return found;
  }

  Task<Result<std::vector<std::string>>> addresses(std::string host, SteadyTime deadline) override {
    if (auto literal = read_literal(host)) co_return std::vector<std::string>{*literal};
    const auto name = normalised(host);
    if (!name) co_return fail(describe(ARES_EBADNAME, "address", host));
    auto found = co_await look_up(addresses_, *name, deadline, &AresResolver::start_addresses);
    if (!found) co_return fail(std::move(found).error());
    co_return std::move(found->list);
  }

  void flush() override {
    mx_.answers.clear();
    addresses_.answers.clear();
  }

 private:
  /// A host's two questions, which are one look-up.
  struct AddressQuestion {
    AddressQuestion(AresResolver& resolver_, std::string name_,
                    std::shared_ptr<Pending<Addresses>> pending_)
        : resolver(resolver_),
          name(std::move(name_)),
          pending(std::move(pending_)),
          patience(resolver.timers_) {}
    AresResolver& resolver;
    std::string name;
    std::shared_ptr<Pending<Addresses>> pending;
    Deadline patience;
    Result<DnsAddressRecords> v6, v4;
    unsigned open = 0;
    bool concluded = false;
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
  Task<Result<Answer>> look_up(Known<Answer>& known, const std::string& name, SteadyTime deadline,
                               void (AresResolver::*start)(const std::string&,
                                                           std::shared_ptr<Pending<Answer>>)) {
    if (const auto* answer = known.answers.find(name, timers_.now())) co_return *answer;
    auto& slot = known.pending[name];
    const bool first = slot == nullptr;
    if (first) slot = std::make_shared<Pending<Answer>>();
    const auto pending = slot;
    Timers::Sleeper sleeper(timers_);
    const auto place = pending->waiting.insert(pending->waiting.end(), &sleeper);
    if (first) {
      (this->*start)(name, pending);
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
  void settle(Known<Answer>& known, const std::string& name, Pending<Answer>& pending,
              Result<Answer> answer, std::uint32_t ttl_seconds) {
    if (answer || is_negative(answer.error())) {
      const Duration ttl =
          answer ? Duration(std::chrono::seconds(ttl_seconds)) : options_.negative_ttl;
      known.answers.keep(name, timers_.now(), std::min(ttl, options_.max_ttl), answer);
    }
    known.pending.erase(name);
    pending.finish(std::move(answer));
  }

  void start_mx(const std::string& name, std::shared_ptr<Pending<MxAnswer>> pending) {
    channel_.query(name, DnsType::mx,
                   [this, name, pending](int status, std::span<const unsigned char> message) {
                     std::uint32_t ttl = 0;
                     Result<MxAnswer> answer = judge_mx(name, status, message, ttl);
                     settle(mx_, name, *pending, std::move(answer), ttl);
                   });
  }

  Result<MxAnswer> judge_mx(const std::string& name, int status,
                            std::span<const unsigned char> message, std::uint32_t& ttl) const {
    MxAnswer answer;
    if (status == ARES_ENODATA) {  // RFC 5321 §5.1: the implicit MX
      answer.implicit = true;
      answer.hosts.push_back({0, name});
      ttl = negative_seconds();
      return answer;
    }
    if (status != ARES_SUCCESS) return fail(describe(status, "MX", name));
    auto records = read_mx_answer(message);
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
    const auto v6 =
        options_.ipv6 ? channel_.in_hosts_file(name, DnsType::aaaa) : std::vector<std::string>();
    const auto v4 =
        options_.ipv4 ? channel_.in_hosts_file(name, DnsType::a) : std::vector<std::string>();
    if (!v6.empty() || !v4.empty()) {
      settle(addresses_, name, *pending, Result<Addresses>(Addresses{interleave(v6, v4)}),
             negative_seconds());
      return;
    }
    auto question = std::make_shared<AddressQuestion>(*this, name, std::move(pending));
    question->open = (options_.ipv6 ? 1u : 0u) + (options_.ipv4 ? 1u : 0u);
    if (options_.ipv6) ask(question, DnsType::aaaa);
    if (options_.ipv4) ask(question, DnsType::a);
    if (question->open == 0 && !question->concluded) conclude(*question);
  }

  void ask(const std::shared_ptr<AddressQuestion>& question, DnsType type) {
    channel_.query(question->name, type,
                   [question, type](int status, std::span<const unsigned char> message) {
                     const bool ipv6 = type == DnsType::aaaa;
                     auto& part = ipv6 ? question->v6 : question->v4;
                     if (status == ARES_SUCCESS) {
                       part = read_address_answer(message, ipv6);
                     } else {
                       part = fail(describe(status, "address", question->name));
                     }
                     AresResolver& resolver = question->resolver;
                     if (--question->open == 0) {
                       resolver.conclude(*question);
                     } else if (part && !part->addresses.empty()) {
                       question->patience.arm(resolver.timers_.in(kPatience), &on_patience_lost,
                                              question.get());
                     }
                   });
  }

  static void on_patience_lost(void* argument) {
    auto* question = static_cast<AddressQuestion*>(argument);
    question->resolver.conclude(*question);
  }

  /// What one family has is enough. Without any address a failure that may pass outweighs "there is
  /// none": it must not turn into a bounce.
  void conclude(AddressQuestion& question) {
    if (std::exchange(question.concluded, true)) return;
    question.patience.disarm();
    std::vector<std::string> lists[2];
    std::uint32_t ttl = std::numeric_limits<std::uint32_t>::max();
    std::optional<Error> negative;
    std::optional<Error> passing;
    for (const auto* part : {&question.v6, &question.v4}) {
      if (*part && !(*part)->addresses.empty()) {
        lists[part == &question.v6 ? 0 : 1] = (*part)->addresses;
        ttl = std::min(ttl, (*part)->ttl_seconds);
      } else if (!*part) {
        (is_negative(part->error()) ? negative : passing) = part->error();
      }
    }
    if (passing || question.open > 0) ttl = std::min(ttl, negative_seconds());
    Result<Addresses> answer = Addresses{interleave(lists[0], lists[1])};
    if (answer->list.empty()) {
      answer = fail(passing    ? *passing
                    : negative ? *negative
                               : describe(ARES_ENODATA, "address", question.name));
    }
    // The addresses of the family that isn't asked for may be there: not the name's fault.
    const bool half_asked = !options_.ipv4 || !options_.ipv6;
    if (!answer && half_asked && answer.error().message.ends_with(kNoSuchRecord)) {
      answer = fail(ErrorKind::network,
                    answer.error().message + (options_.ipv4 ? " of IPv4, and dns.ipv6 is off"
                                                            : " of IPv6, and dns.ipv4 is off"));
    }
    settle(addresses_, question.name, *question.pending, std::move(answer), ttl);
  }

  std::uint32_t negative_seconds() const {
    return static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::seconds>(options_.negative_ttl).count());
  }

  Timers& timers_;
  ResolverOptions options_;
  std::mt19937_64 random_;
  Known<MxAnswer> mx_;
  Known<Addresses> addresses_;
  DnsChannel channel_;  // last: what it still asks for lets go of the rest when it is destroyed
};

}  // namespace

Result<std::unique_ptr<Resolver>> make_resolver(asio::io_context& io, Timers& timers,
                                                ResolverOptions options) {
  auto resolver = std::make_unique<AresResolver>(io, timers, std::move(options));
  if (auto opened = resolver->open(); !opened) return fail(std::move(opened).error());
  return std::unique_ptr<Resolver>(std::move(resolver));
}

}  // namespace waypost::net
