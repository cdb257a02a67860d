// A new connection to a next hop: which host, which address, and what to make of a refusal.
#include "waypost/ops/log.h"

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
  Opening opening;
  auto connection = co_await open(with, std::move(stream), opening);
  // A session was our idea: a server that can't resume it gets a handshake without, and no blame.
  if (!connection && opening.offered && opening.said.code == 0 && !cancelled_) {
    opening.resume = false;
    connection = co_await open_again(with, opening);
  }
  const bool tls_failed =
      !connection && connection.error().kind == ErrorKind::tls && opening.said.code == 0;
  if (tls_failed && options_.tls.policy == net::TlsPolicy::opportunistic &&
      !options_.implicit_tls && !cancelled_) {
    opening.plain = true;
    connection = co_await open_again(with, opening);
  }
  if (!connection) {
    metrics_.failed_open.add();
    opened.outcome = judge_no_session(connection.error(), opening.said, with.host);
    co_return false;
  }
  memory_.succeeded(HostMemory::key(with.endpoint));
  memory_.succeeded(with.host);
  if (same_name((*connection)->dialogue().capabilities().greeting_name, context_.own_name)) {
    (*connection)->quit();
    opened.outcome = greets_like_us(opened.remote_host);
    opened.ourselves = true;
    co_return true;
  }
  metrics_.opened.add();
  opened.connection = std::move(*connection);
  co_return true;
}

/// A name proves less than an address: two machines behind one public name are no loop. Mail waits,
/// and somebody is told (a loop that is one is ended by its Received fields).
Outcome SmtpDeliverer::greets_like_us(const std::string& remote_host) {
  if (context_.told->is_news("our own name " + options_.name + " " + remote_host,
                             context_.shard.timers.now()))
    ops::log().error(
        "next hop {}: {} greets with our own name {}: mail for it waits. If it is another machine, "
        "give this gateway a name of its own (own_name); if it leads back to this gateway, correct "
        "the next hop",
        options_.name, remote_host, context_.own_name);
  return deferred_because({4, 4, 6}, "mail loop: " + remote_host + " greets with our own name " +
                                         context_.own_name + "; waiting until that is corrected");
}

net::Task<Result<std::shared_ptr<Connection>>> SmtpDeliverer::open(
    Candidate candidate, std::unique_ptr<net::Stream> stream, Opening& opening) {
  smtp::ClientOptions dialogue = dialogue_options(candidate, opening.plain);
  auto connection = std::make_shared<Connection>(context_.shard, options_, tls_,
                                                 std::move(dialogue), std::move(candidate));
  busy_.push_back(connection.get());
  auto opened = co_await connection->open(std::move(stream), opening.resume);
  std::erase(busy_, connection.get());
  opening.said = connection->failure_reply();
  opening.offered = connection->offered_session();
  if (!opened) co_return fail(std::move(opened).error());
  co_return connection;
}

/// A new connection to the same address.
net::Task<Result<std::shared_ptr<Connection>>> SmtpDeliverer::open_again(Candidate candidate,
                                                                         Opening& opening) {
  std::vector<net::Endpoint> once_more{candidate.endpoint};
  net::RaceResult again = co_await race(std::move(once_more));
  if (!again.stream) co_return fail(std::move(again.error));
  co_return co_await open(std::move(candidate), std::move(again.stream), opening);
}

smtp::ClientOptions SmtpDeliverer::dialogue_options(const Candidate& candidate, bool plain) const {
  smtp::ClientOptions options;
  options.own_name = options_.helo_name.empty() ? context_.own_name : options_.helo_name;
  const net::TlsPolicy policy = options_.tls.policy;
  options.want_starttls = !plain && !options_.implicit_tls && policy != net::TlsPolicy::none;
  options.require_starttls = !options_.implicit_tls && (policy == net::TlsPolicy::verify ||
                                                        policy == net::TlsPolicy::require);
  options.implicit_tls = options_.implicit_tls;
  options.use_chunking =
      options_.use_chunking && !without_bdat_.contains(HostMemory::key(candidate.endpoint));
  options.use_pipelining = options_.use_pipelining;
  options.auth_user = options_.auth_user;
  options.auth_password = password_;
  return options;
}

}  // namespace waypost::outbound
