// A new connection to a next hop: which host, which address, and what to make of a refusal.
#include "outbound/classify.h"
#include "outbound/smtp_deliverer.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace waypost::outbound {
namespace {

constexpr unsigned kMaxConversations = 8;  // with servers that answer and then don't serve
constexpr unsigned kMostMxHosts = 5;       // of one domain: the others are for later attempts
/// After this no further host or address is tried: whoever drips through every deadline must not
/// keep an attempt for hours. What is under way has its own deadlines.
constexpr std::chrono::minutes kConnectingTime{10};

bool same_name(const std::string& a, const std::string& b) {
  return mail::ascii_lower(a) == mail::ascii_lower(b);
}

std::string shown(const Candidate& candidate) {
  return candidate.host + "[" + candidate.endpoint.address +
         "]:" + std::to_string(candidate.endpoint.port);
}

void erase_at(std::vector<Candidate>& candidates, std::vector<std::size_t> which) {
  std::sort(which.begin(), which.end(), std::greater<>());
  for (const std::size_t i : which)
    candidates.erase(candidates.begin() + static_cast<std::ptrdiff_t>(i));
}

}  // namespace

net::Task<Opened> SmtpDeliverer::connect_fresh(std::string domain) {
  Opened opened;
  HostPlan plan(options_, domain, context_.resolver, context_.shard.timers, memory_);
  opened.outcome = deferred_because(mail::status::no_answer,
                                    "no host of next hop " + options_.name + " could be reached");
  bool tried = false;
  unsigned conversations = 0;
  unsigned hosts = 0;
  const bool by_mx = options_.mx_of_recipient || !options_.mx_domain.empty();
  const SteadyTime until = context_.shard.timers.in(kConnectingTime);
  std::optional<Opened> loop;
  std::size_t our_rank = 0;
  while (conversations < kMaxConversations && !cancelled_) {
    if (hosts > 0 && context_.shard.timers.now() >= until) break;
    if (by_mx && hosts == kMostMxHosts) break;
    ++hosts;
    auto candidates = co_await plan.next();
    if (cancelled_) break;
    if (!candidates) {
      if (plan.permanent()) {
        opened.outcome = failed_because(plan.permanent(), plan.trouble().message);
        opened.site_trouble = false;
      } else if (!tried) {
        opened.outcome = judge_no_session(plan.trouble(), {}, "");
      }
      break;
    }
    tried = true;
    const Opened before = opened;
    const bool settled = co_await try_host(std::move(*candidates), until, conversations, opened);
    if (opened.ourselves) {
      loop = std::exchange(opened, before);
      our_rank = plan.rank();
      plan.drop_behind();
    } else if (settled) {
      break;
    }
  }
  // A loop, unless somebody stands before us: then we wait for that one.
  if (loop && !opened.connection && plan.best_rank() >= our_rank) opened = std::move(*loop);
  if (opened.connection) opened.connection->pool_key = pool_key(mail::ascii_lower(domain));
  co_return opened;
}

/// True if no other host needs to be tried: there is a connection, or a reason to stop.
net::Task<bool> SmtpDeliverer::try_host(std::vector<Candidate> addresses, SteadyTime until,
                                        unsigned& conversations, Opened& opened) {
  const std::string host = addresses.front().host;
  // RFC 5321 §5.1: whoever stands behind ourselves in the list is not for us to ask.
  const auto self = std::find_if(addresses.begin(), addresses.end(), [&](const Candidate& one) {
    return context_.is_self && context_.is_self(one.endpoint);
  });
  std::string ourselves;
  if (self != addresses.end()) ourselves = shown(*self);
  addresses.erase(self, addresses.end());
  while (!addresses.empty() && conversations < kMaxConversations) {
    std::vector<net::Endpoint> endpoints;
    for (const Candidate& one : addresses) endpoints.push_back(one.endpoint);
    net::RaceResult ran = co_await race(std::move(endpoints));
    if (cancelled_) co_return true;
    remember(ran, addresses);
    if (!ran.stream) {
      opened.remote_host = shown(addresses[ran.failed.empty() ? 0 : ran.failed.back()]);
      opened.outcome = judge_no_session(ran.error, {}, host);
      break;
    }
    ++conversations;
    const Candidate winner = addresses[ran.winner];
    opened.remote_host = shown(winner);
    const bool settled = co_await converse(winner, std::move(ran.stream), opened);
    if (settled || cancelled_) co_return true;
    memory_.failed(HostMemory::key(winner.endpoint), context_.shard.timers.now());
    ran.failed.push_back(ran.winner);
    erase_at(addresses, std::move(ran.failed));
    if (context_.shard.timers.now() >= until) break;
  }
  if (!ourselves.empty()) {
    opened.remote_host = ourselves;
    opened.outcome = failed_because(
        mail::status::routing_loop,
        "mail loop: next hop " + options_.name + " leads to " + ourselves + ", which is ourselves");
    opened.site_trouble = false;
    opened.ourselves = true;
    co_return true;
  }
  memory_.failed(host, context_.shard.timers.now());
  co_return false;
}

net::Task<net::RaceResult> SmtpDeliverer::race(std::vector<net::Endpoint> addresses) {
  net::ConnectRace run(
      context_.shard, context_.connector,
      {options_.source_address, options_.connect_timeout, options_.connect_stagger});
  races_.push_back(&run);
  net::RaceResult result = co_await run.run(std::move(addresses));
  std::erase(races_, &run);
  co_return result;
}

/// An address that was overtaken comes last, too: else each connection would wait for it again.
void SmtpDeliverer::remember(const net::RaceResult& ran, const std::vector<Candidate>& addresses) {
  const SteadyTime present = context_.shard.timers.now();
  for (const std::size_t i : ran.failed) {
    metrics_.failed_open.add();
    memory_.failed(HostMemory::key(addresses[i].endpoint), present);
  }
  for (const std::size_t i : ran.overtaken)
    memory_.failed(HostMemory::key(addresses[i].endpoint), present);
}

/// From the greeting on. True if no other address needs to be tried.
net::Task<bool> SmtpDeliverer::converse(Candidate with, std::unique_ptr<net::Stream> stream,
                                        Opened& opened) {
  smtp::Reply said;
  auto connection = co_await open(with, std::move(stream), false, said);
  const bool tls_failed =
      !connection && connection.error().kind == ErrorKind::tls && said.code == 0;
  if (!cancelled_ && tls_failed && options_.tls.policy == net::TlsPolicy::opportunistic &&
      !options_.implicit_tls) {
    std::vector<net::Endpoint> once_more{with.endpoint};
    net::RaceResult again = co_await race(std::move(once_more));
    if (again.stream) connection = co_await open(with, std::move(again.stream), true, said);
  }
  if (!connection) {
    metrics_.failed_open.add();
    opened.outcome = judge_no_session(connection.error(), said, with.host);
    co_return false;
  }
  memory_.succeeded(HostMemory::key(with.endpoint));
  memory_.succeeded(with.host);
  if (same_name((*connection)->dialogue().capabilities().greeting_name, context_.own_name)) {
    (*connection)->quit();
    opened.outcome = failed_because(
        mail::status::routing_loop,
        "mail loop: " + opened.remote_host + " greets with our own name " + context_.own_name);
    opened.site_trouble = false;
    opened.ourselves = true;
    co_return true;
  }
  metrics_.opened.add();
  opened.connection = std::move(*connection);
  co_return true;
}

net::Task<Result<std::shared_ptr<Connection>>> SmtpDeliverer::open(
    Candidate candidate, std::unique_ptr<net::Stream> stream, bool plain, smtp::Reply& said) {
  auto connection = std::make_shared<Connection>(context_.shard, options_, tls_,
                                                 dialogue_options(plain), std::move(candidate));
  busy_.push_back(connection.get());
  auto opened = co_await connection->open(std::move(stream));
  std::erase(busy_, connection.get());
  said = connection->failure_reply();
  if (!opened) co_return fail(std::move(opened).error());
  co_return connection;
}

smtp::ClientOptions SmtpDeliverer::dialogue_options(bool plain) const {
  smtp::ClientOptions options;
  options.own_name = options_.helo_name.empty() ? context_.own_name : options_.helo_name;
  const net::TlsPolicy policy = options_.tls.policy;
  options.want_starttls = !plain && !options_.implicit_tls && policy != net::TlsPolicy::none;
  options.require_starttls = !options_.implicit_tls && (policy == net::TlsPolicy::verify ||
                                                        policy == net::TlsPolicy::require);
  options.implicit_tls = options_.implicit_tls;
  options.use_chunking = options_.use_chunking;
  options.use_pipelining = options_.use_pipelining;
  options.auth_user = options_.auth_user;
  options.auth_password = password_;
  return options;
}

}  // namespace waypost::outbound
