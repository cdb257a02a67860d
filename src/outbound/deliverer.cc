#include "waypost/base/text_file.h"
#include "waypost/mail/utf8_header_scan.h"
#include "waypost/ops/log.h"

#include "outbound/classify.h"
#include "outbound/smtp_deliverer.h"

#include <algorithm>
#include <set>

namespace waypost::outbound {
namespace {

Result<std::string> read_secret(const std::string& path) {
  if (path.empty()) return std::string();
  auto secret = first_line_of(path);
  if (!secret) return fail(secret.error().kind, "auth_password_file " + secret.error().message);
  while (secret->ends_with(' ')) secret->pop_back();
  return secret;
}

/// Empty: the envelope's.
std::string sender_of(const AttemptRecipient& recipient) {
  return recipient.rewritten_sender ? recipient.rewritten_sender->to_string() : std::string();
}

/// The next members that go together: with one sender, and as many as `server` takes (RFC 9422).
std::span<const std::size_t> next_part(const AttemptInput& input, std::span<const std::size_t> rest,
                                       std::size_t most, const smtp::Capabilities& server) {
  if (server.rcpt_max != 0) most = std::min<std::size_t>(most, server.rcpt_max);
  const auto& sender = input.recipients[rest.front()].rewritten_sender;
  std::set<std::string> domains;
  std::size_t size = 0;
  for (; size < std::min(most, rest.size()); ++size) {
    const AttemptRecipient& next = input.recipients[rest[size]];
    if (next.rewritten_sender != sender) break;
    if (server.rcpt_domain_max == 0) continue;
    domains.insert(mail::ascii_lower(next.target.domain));
    if (domains.size() > server.rcpt_domain_max) break;
  }
  return rest.first(size);
}

/// Where the header's need is known to be none, or the client has not declared any, there is none.
/// What was declared and not looked at yet (an older version stored it) counts as a need.
bool header_needs_smtputf8(const mail::Envelope& envelope) {
  return envelope.smtputf8 && envelope.header != mail::HeaderText::ascii;
}

/// Why this recipient can't go without SMTPUTF8 (RFC 6531 §3.4: a need, not a declaration); empty:
/// it can.
std::string_view need_of_smtputf8(const mail::ReversePath& sender, const AttemptRecipient& to,
                                  bool header) {
  if (header) return "its header is not ASCII";
  const auto& rewritten = to.rewritten_sender;
  if (rewritten ? rewritten->needs_smtputf8() : sender && sender->needs_smtputf8())
    return "its sender's address is not ASCII";
  return to.target.needs_smtputf8() ? "the address of the recipient is not ASCII" : "";
}

Outcome cancelled() {
  return deferred_because(mail::status::bad_connection, "the delivery was cut short");
}

}  // namespace

net::Task<AttemptResult> SmtpDeliverer::attempt(const AttemptInput& input) {
  ++active_;
  const SteadyTime begun = context_.shard.timers.now();
  metrics_.attempts.add();
  AttemptResult result;
  result.outcomes.resize(input.recipients.size());
  // Only with mx_of_recipient can there be more than one group.
  std::map<std::string, Group> groups;
  for (std::size_t i = 0; i < input.recipients.size(); ++i) {
    groups[options_.mx_of_recipient ? mail::ascii_lower(input.recipients[i].target.domain) : ""]
        .members.push_back(i);
  }
  // One transaction has one sender: those with the same one come together.
  const auto by_sender = [&](std::size_t a, std::size_t b) {
    return sender_of(input.recipients[a]) < sender_of(input.recipients[b]);
  };
  for (auto& entry : groups)
    std::stable_sort(entry.second.members.begin(), entry.second.members.end(), by_sender);
  for (auto& entry : groups) co_await deliver_group(input, std::move(entry.second), result);
  // Here the trouble is that of a recipient's domain: it must not stop mail to all the others.
  if (options_.mx_of_recipient)
    result.site_trouble = result.unreachable = result.asks_for_less = false;
  result.took = std::chrono::duration_cast<Duration>(context_.shard.timers.now() - begun);
  count(input, result);
  --active_;
  co_return result;
}

/// As many connections as it takes: each may carry only so many messages.
net::Task<void> SmtpDeliverer::deliver_group(const AttemptInput& input, Group group,
                                             AttemptResult& result) {
  const auto settle_rest = [&](const Outcome& outcome) {
    for (; group.done < group.members.size(); ++group.done)
      result.outcomes[group.members[group.done]] = outcome;
  };
  bool fresh = false;
  while (group.done < group.members.size()) {
    if (!group.has_turn) group.has_turn = co_await wait_turn();
    if (!group.has_turn) co_return settle_rest(cancelled());
    std::string domain = input.recipients[group.members[group.done]].target.domain;
    Opened opened = co_await connect(std::move(domain), fresh);
    result.remote_host = opened.remote_host;
    if (!opened.connection) {
      result.site_trouble = result.site_trouble || opened.site_trouble;
      result.unreachable = result.unreachable || opened.site_trouble;
      co_return settle_rest(opened.outcome);
    }
    Connection& connection = *opened.connection;
    result.tls = connection.tls();
    result.reused_connection = opened.reused;
    const auto lacking = unable(*input.envelope, connection.dialogue().capabilities());
    if (lacking) {
      put_back(opened.connection);
      co_return settle_rest(*lacking);
    }
    if (!connection.dialogue().capabilities().smtputf8) refuse_utf8(input, group, result);
    if (group.done == group.members.size()) co_return put_back(opened.connection);
    const bool trouble_before = result.site_trouble;
    busy_.push_back(&connection);
    const bool silent = co_await run_transactions(input, group, connection, result);
    std::erase(busy_, &connection);
    put_back(opened.connection);
    // A connection that died of old age is nobody's fault: once more on a new one.
    fresh = silent && opened.reused;
    if (fresh) {
      result.site_trouble = trouble_before;
      group.has_turn = true;
    } else if (silent) {
      const Outcome same = result.outcomes[group.members[group.done]];
      settle_rest(same);
    }
  }
}

/// Goes on until the group is done or the connection must not carry more. True if the connection
/// gave no reply at all to its first command; then the group has not advanced.
net::Task<bool> SmtpDeliverer::run_transactions(const AttemptInput& input, Group& group,
                                                Connection& connection, AttemptResult& result) {
  const smtp::Capabilities& server = connection.dialogue().capabilities();
  const std::uint32_t most_here = most_messages(connection);
  rcpt_max_ = server.rcpt_max;
  bool first = true;
  while (group.done < group.members.size() && connection.messages() < most_here) {
    if (!group.has_turn) group.has_turn = co_await wait_turn();
    const std::span<const std::size_t> rest =
        std::span<const std::size_t>(group.members).subspan(group.done);
    const std::span<const std::size_t> part = next_part(input, rest, recipients_at_once(), server);
    group.has_turn = false;
    const bool trouble_before = result.site_trouble, less_before = result.asks_for_less;
    const Ran ran = co_await run_transaction(input, part, connection, result);
    const bool gone = ran == Ran::silent && !connection.reusable();
    if (first && gone) co_return true;
    const smtp::TransactionOutcome& outcome = connection.dialogue().outcome();
    // It served, and then it refused RSET or went away; or it does not know what it offered: the
    // rest goes on another connection, and nobody is to blame.
    if ((gone && outcome.mail.code == 0) || (ran == Ran::answered && refused_bdat(connection))) {
      result.site_trouble = trouble_before;
      result.asks_for_less = less_before;
      group.has_turn = true;
      co_return false;
    }
    first = false;
    if (connection.reusable() && ran == Ran::answered) {
      group.done += settle_part(group, part.size(), outcome, result);
      continue;
    }
    group.done += part.size();
    if (connection.reusable()) continue;
    for (; group.done < group.members.size(); ++group.done) {
      const Error ended{ErrorKind::closed, connection.remote_host() + " ended the connection"};
      result.outcomes[group.members[group.done]] =
          judge_no_session(ended, {}, connection.candidate().host);
    }
  }
  co_return false;
}

/// How many of the first `size` members that are not done have their outcome. Those whom the server
/// did not want in this transaction stand behind them and follow in the next one, at once, as long
/// as each brings somebody further (RFC 5321 §4.5.3.1.10).
std::size_t SmtpDeliverer::settle_part(Group& group, std::size_t size,
                                       const smtp::TransactionOutcome& transaction,
                                       const AttemptResult& result) {
  bool any = false;
  for (std::size_t k = 0; k < size; ++k) any = any || wants_fewer(transaction, k);
  if (!any || !transaction.mail.positive()) return size;
  std::vector<std::size_t> settled, later;
  std::size_t first_later = size, last_accepted = 0;
  bool progress = false;
  for (std::size_t k = 0; k < size; ++k) {
    const std::size_t member = group.members[group.done + k];
    if (wants_fewer(transaction, k)) {
      if (later.empty()) first_later = k;
      later.push_back(member);
      continue;
    }
    settled.push_back(member);
    if (transaction.recipients[k].positive()) last_accepted = k;
    progress = progress || result.outcomes[member].fate != mail::Fate::deferred;
  }
  if (!progress) return size;
  // Behind the last that was accepted nobody was: then it is their number that counts.
  if (first_later > last_accepted && !options_.mx_of_recipient) {
    learned_max_ = static_cast<std::uint32_t>(first_later);
    learned_until_ = context_.shard.timers.in(options_.remember_failures);
  }
  const auto at = group.members.begin() + static_cast<std::ptrdiff_t>(group.done);
  std::copy(later.begin(), later.end(), std::copy(settled.begin(), settled.end(), at));
  return settled.size();
}

/// A server that offers CHUNKING and does not know BDAT takes what follows for commands: the
/// connection ends, and this address gets DATA from now on. True if it was such a server.
bool SmtpDeliverer::refused_bdat(Connection& connection) {
  const smtp::Reply& said = connection.dialogue().outcome().content;
  const bool unknown = said.code == 500 || said.code == 502;  // RFC 5321 §4.2.4
  if (!unknown || connection.dialogue().content_form() != smtp::ContentForm::bdat) return false;
  if (without_bdat_.size() >= HostMemory::kMost) without_bdat_.clear();
  without_bdat_.insert(HostMemory::key(connection.candidate().endpoint));
  if (context_.told->is_news("no BDAT " + options_.name + " " + connection.remote_host(),
                             context_.shard.timers.now()))
    ops::log().warn("next hop {}: {} offers CHUNKING but does not know BDAT ({}): DATA is used",
                    options_.name, connection.remote_host(), said.to_line());
  connection.quit();
  return true;
}

/// One message to some recipients.
net::Task<SmtpDeliverer::Ran> SmtpDeliverer::run_transaction(const AttemptInput& input,
                                                             std::span<const std::size_t> part,
                                                             Connection& connection,
                                                             AttemptResult& result) {
  const auto unreadable = [&](const Error& why) {
    for (const std::size_t i : part) {
      result.outcomes[i] = deferred_because(mail::status::spool_trouble,
                                            "the stored content can't be read: " + why.message);
    }
    ops::log().error("message {}: content can't be read: {}", input.message.id.to_string(),
                     why.message);
  };
  auto content = context_.spool.read(input.message);
  if (!content) {
    unreadable(content.error());
    co_return Ran::unreadable;
  }
  const smtp::ClientTransaction transaction = make_transaction(input, part);
  const auto ran = co_await connection.run(transaction, **content);
  Error broken;
  if (!ran) broken = ran.error();
  if (broken.kind == ErrorKind::io || broken.kind == ErrorKind::corrupt) {
    unreadable(broken);  // the connection had to end; its server has nothing whole
    co_return Ran::unreadable;
  }
  metrics_.repaired.add(connection.take_repaired_newlines());
  const smtp::TransactionOutcome& outcome = connection.dialogue().outcome();
  const bool has_dsn = connection.dialogue().capabilities().dsn;
  for (std::size_t k = 0; k < part.size(); ++k) {
    result.outcomes[part[k]] =
        judge_recipient(outcome, k, broken, connection.candidate().host, has_dsn);
    result.outcomes[part[k]].rewritten_sender = sender_of(input.recipients[part[k]]);
  }
  result.site_trouble = result.site_trouble || is_site_trouble(outcome, broken);
  result.asks_for_less = result.asks_for_less || asks_for_less(outcome, broken);
  co_return outcome.mail.code == 0 || outcome.mail.code == 421 ? Ran::silent : Ran::answered;
}

/// What the server can't do for this message, by the book.
std::optional<Outcome> SmtpDeliverer::unable(const mail::Envelope& envelope,
                                             const smtp::Capabilities& offered) const {
  std::uint64_t limit = offered.max_size;
  if (options_.max_message_size != 0)
    limit = limit == 0 ? options_.max_message_size : std::min(limit, options_.max_message_size);
  if (limit != 0 && envelope.content_size > limit) {  // RFC 1870 §6.1
    return failed_because(mail::status::message_too_big,
                          "the message has " + std::to_string(envelope.content_size) +
                              " octets; the next hop takes at most " + std::to_string(limit));
  }
  return std::nullopt;
}

/// RFC 6531 §3.2: those that need SMTPUTF8 fail where it is not offered; the others go.
void SmtpDeliverer::refuse_utf8(const AttemptInput& input, Group& group, AttemptResult& result) {
  const mail::Envelope& envelope = *input.envelope;
  bool header = header_needs_smtputf8(envelope);
  if (header && envelope.header == mail::HeaderText::unknown) header = find_utf8_header(input);
  const auto first = group.members.begin() + static_cast<std::ptrdiff_t>(group.done);
  const auto left = std::stable_partition(first, group.members.end(), [&](std::size_t i) {
    return !need_of_smtputf8(envelope.reverse_path, input.recipients[i], header).empty();
  });
  for (auto i = first; i != left; ++i, ++group.done) {
    const std::string why(need_of_smtputf8(envelope.reverse_path, input.recipients[*i], header));
    result.outcomes[*i] =
        failed_because(mail::status::non_ascii_not_permitted,
                       "the message needs SMTPUTF8, which the next hop does not offer: " + why);
  }
}

/// Content that was stored before the header was looked at. What can't be read is no reason to fail
/// for good: the transaction will meet the same trouble, and the message waits.
bool SmtpDeliverer::find_utf8_header(const AttemptInput& input) const {
  auto content = context_.spool.read(input.message);
  mail::Utf8HeaderScan scan;
  while (content && !scan.found()) {
    const auto piece = (*content)->next();
    if (!piece || piece->empty()) break;
    scan.feed(*piece);
  }
  return scan.found();
}

smtp::ClientTransaction SmtpDeliverer::make_transaction(const AttemptInput& input,
                                                        std::span<const std::size_t> part) const {
  const mail::Envelope& envelope = *input.envelope;
  smtp::ClientTransaction transaction;
  const auto& rewritten = input.recipients[part.front()].rewritten_sender;
  transaction.reverse_path = rewritten ? mail::ReversePath(rewritten) : envelope.reverse_path;
  transaction.size = envelope.content_size;
  transaction.body = envelope.body;
  transaction.ret = envelope.ret;
  transaction.envid = envelope.envid;
  const bool header = header_needs_smtputf8(envelope);
  transaction.smtputf8 = std::any_of(part.begin(), part.end(), [&](std::size_t i) {
    return !need_of_smtputf8(envelope.reverse_path, input.recipients[i], header).empty();
  });
  transaction.recipients.reserve(part.size());
  for (const std::size_t i : part) {
    const mail::Recipient& recipient = envelope.recipients[input.recipients[i].index];
    smtp::ClientRecipient sent{input.recipients[i].target, recipient.orcpt, recipient.notify};
    // RFC 3461 §5.2.1: who rewrites an address keeps the original for the sender's reports.
    if (sent.orcpt.empty() && recipient.original != sent.forward_path) {
      sent.orcpt = (recipient.original.needs_smtputf8() ? "utf-8;" : "rfc822;") +
                   recipient.original.to_string();
    }
    transaction.recipients.push_back(std::move(sent));
  }
  return transaction;
}

void SmtpDeliverer::count(const AttemptInput& input, const AttemptResult& result) {
  std::uint64_t delivered = 0;
  for (const Outcome& outcome : result.outcomes) {
    switch (outcome.fate) {
      case mail::Fate::delivered:
        ++delivered;
        break;
      case mail::Fate::deferred:
        metrics_.deferred.add();
        break;
      case mail::Fate::failed:
        metrics_.failed.add();
        break;
    }
  }
  metrics_.delivered.add(delivered);
  if (delivered > 0) metrics_.octets.add(input.envelope->content_size);
  metrics_.took.observe_us(
      static_cast<std::uint64_t>(std::max<std::int64_t>(result.took.count(), 0)));
}

Result<std::unique_ptr<Deliverer>> Deliverer::make(NextHopOptions options,
                                                   DelivererContext context) {
  std::shared_ptr<const net::TlsContext> tls;
  if (options.tls.policy != net::TlsPolicy::none || options.implicit_tls) {
    auto made = net::TlsContext::for_client(options.tls);
    if (!made) return fail(std::move(made).error());
    tls = std::move(*made);
  }
  auto password = read_secret(options.auth_password_file);
  if (!password) return fail(std::move(password).error());
  return std::unique_ptr<Deliverer>(std::make_unique<SmtpDeliverer>(
      std::move(options), std::move(context), std::move(tls), std::move(*password)));
}

}  // namespace waypost::outbound
