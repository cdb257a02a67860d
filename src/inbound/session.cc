#include "inbound/session.h"

#include "waypost/ops/log.h"

namespace waypost::inbound {
namespace {

/// RFC 5321 §4.5.3.2.6 lets clients wait for 10 minutes; who is let go sooner tries elsewhere.
constexpr std::chrono::seconds kStorageTime{120};

smtp::ServerOptions dialogue_options(const Settings& settings, const ListenerOptions& listener) {
  smtp::ServerOptions options;
  options.own_name = settings.options.own_name;
  options.max_message_size = settings.options.limits.message_size;
  options.max_recipients = settings.options.limits.recipients;
  options.max_errors = settings.options.limits.errors_per_session;
  options.max_commands_without_mail = settings.options.limits.commands_without_mail;
  const Limits& limits = settings.options.limits;
  options.max_commands_per_message =
      limits.commands_per_message != 0 ? limits.commands_per_message : 2 * limits.recipients + 200;
  options.bare_newline = listener.bare_newline;
  options.offer_starttls = listener.tls == ListenerTls::starttls;
  options.require_tls = listener.require_tls;
  options.offer_auth = settings.has_passwords();
  return options;
}

}  // namespace

Session::Session(ShardDoor& door, std::shared_ptr<const Settings> settings, std::size_t listener,
                 std::unique_ptr<net::Stream> stream)
    : door_(door),
      settings_(std::move(settings)),
      listener_(listener),
      stream_(std::move(stream)),
      client_address_(stream_->remote().address),
      options_(dialogue_options(*settings_, settings_->options.listeners[listener])),
      dialogue_(options_, *this),
      pause_(door.timers()) {
  door_.sessions.insert(this);
}

Session::~Session() {
  transaction_.reset();  // it counts in the account
  if (account_ != nullptr) door_.clients.leave(client_address_);
  door_.sessions.erase(this);
  door_.context.shard.sessions.fetch_sub(1, std::memory_order_relaxed);
}

net::Task<void> run_session(std::unique_ptr<Session> session) { co_await session->run(); }

net::Task<void> Session::run() {
  door_.metrics.connections.add();
  const bool opened = co_await open();
  if (opened) co_await converse();
  if (dialogue_.in_transaction()) {
    door_.metrics.abandoned.add();
    if (transaction_ && dialogue_.in_content()) {
      const std::string why = std::string(lost_) + " inside the content; nothing was queued";
      ops::log().info("{}: {}", facts().to_string(), why);
      transaction_->track_lost(facts(), why);
    }
  }
  transaction_.reset();
  close();
}

/// Unread octets at close() make the kernel send a reset, which can overtake our last reply.
void Session::close() {
  if (!stream_) return;
  constexpr int kMostDrained = 8;
  for (int i = 0; i < kMostDrained && !cut_; ++i) {
    if (stream_->try_read(door_.buffer).state != net::IoState::done) break;
  }
  stream_->close();
}

smtp::Reply Session::closing() const {
  return {421, mail::status::system_not_accepting, own_name() + " is shutting down; try again"};
}

net::Task<void> Session::converse() {
  std::string carried;  // octets that came behind a step and must survive a suspension
  std::string_view input;
  while (!cut_) {
    if (door_.stopping && !dialogue_.in_transaction()) dialogue_.shut_down(closing());
    const smtp::Step step = dialogue_.advance(input);
    bool goes_on = true;
    switch (step) {
      case smtp::Step::close:
        goes_on = co_await write_output();
        co_return;
      case smtp::Step::commit:
        keep_behind(input, carried);
        goes_on = co_await finish_message();
        break;
      case smtp::Step::authenticate:
        keep_behind(input, carried);
        co_await authenticate();
        break;
      case smtp::Step::start_tls:
        goes_on = co_await start_tls(!input.empty());
        break;
      case smtp::Step::need_input: {
        carried = std::string();  // an idle session holds no memory for it
        goes_on = co_await write_output();
        if (!goes_on) co_return;
        const std::size_t octets = co_await read();
        input = {door_.buffer.data(), octets};
        goes_on = octets > 0;
        break;
      }
    }
    if (!goes_on) co_return;
  }
}

/// The shard's buffer is others' as soon as we suspend.
void Session::keep_behind(std::string_view& input, std::string& carried) const {
  const bool in_buffer = input.data() >= door_.buffer.data() &&
                         input.data() < door_.buffer.data() + door_.buffer.size();
  if (!in_buffer) return;  // carried already, or nothing
  carried.assign(input);
  input = carried;
}

net::Task<bool> Session::start_tls(bool input_left) {
  const bool written = co_await write_output();
  if (!written) co_return false;
  // RFC 3207 §5: what came in the clear behind STARTTLS is an attack.
  if (input_left) {
    ops::log().warn("{}: sent commands behind STARTTLS in the clear; closing", facts().to_string());
    co_return false;
  }
  const bool secured = co_await upgrade();
  if (secured) dialogue_.tls_started();
  command_deadline_ = door_.timers().in(limits().idle);
  co_return secured;
}

net::Task<bool> Session::finish_message() {
  const bool bare = dialogue_.used_bdat() && dialogue_.content_had_bare_newline();
  const ClientFacts client = facts();
  const auto transaction = std::move(transaction_);
  const StoragePatience patience(*this);
  const smtp::Reply verdict = co_await transaction->commit(client, bare);
  dialogue_.committed(verdict);
  command_deadline_ = door_.timers().in(limits().idle);
  // A client that does not take its 250 does not hold up what is stored, nor do we ask whether it
  // heard: what is stored is delivered.
  const bool written = write_now();
  const auto took = std::chrono::duration_cast<Duration>(door_.timers().now() - last_octet_);
  if (transaction->stored()) transaction->hand_over(client, took);
  if (written) co_return true;
  co_return co_await write_output();
}

Session::StoragePatience::StoragePatience(Session& session) : deadline_(session.door_.timers()) {
  deadline_.arm(session.door_.timers().in(kStorageTime), &StoragePatience::on_lost, &session);
}

void Session::StoragePatience::on_lost(void* argument) {
  auto& session = *static_cast<Session*>(argument);
  ops::log().error("{}: the disk has not answered for {} s; closing without a verdict",
                   session.facts().to_string(), kStorageTime.count());
  session.door_.metrics.unanswered.add();
  session.lost_ = "the disk did not answer";
  session.stream_->close();
}

ClientFacts Session::facts() const {
  return {dialogue_.helo(), client_address_, dialogue_.user(), tls_words_, dialogue_.esmtp()};
}

void Session::stop() {
  // A transaction, or what else is under way, may finish; converse() sees door_.stopping then.
  if (!idle_) {
    if (command_deadline_ == SteadyTime{}) cut();  // not greeted yet
    return;
  }
  dialogue_.last_word(closing());
  write_now();
  cut();
}

void Session::cut() {
  cut_ = true;
  lost_ = "the connection was cut by our shutdown";
  pause_.wake();
  if (stream_) stream_->close();
  if (handshaking_ != nullptr) handshaking_->close();
}

std::optional<smtp::Reply> Session::storage_refusal() const {
  const spool::Spool& spool = door_.server.spool;
  if (spool.read_only() || spool.stuck()) {
    return smtp::Reply{452, mail::status::spool_trouble,
                       "mail can't be stored safely at the moment"};
  }
  if (!spool.has_room())
    return smtp::Reply{452, mail::status::disk_full, "no room for mail at the moment"};
  return std::nullopt;
}

smtp::Reply Session::on_mail(const smtp::MailCommand& command) {
  if (auto refusal = storage_refusal()) return std::move(*refusal);
  transaction_ = std::make_unique<Transaction>(door_, limits(), own_name(), *account_, command);
  message_deadline_ = {};
  return {250, mail::status::sender_ok, "sender OK"};
}

smtp::Reply Session::on_rcpt(const smtp::RcptCommand& command) {
  return transaction_->add_recipient(command, facts());
}

std::optional<smtp::Reply> Session::on_content_start() {
  message_deadline_ = door_.timers().in(limits().whole_message);
  if (auto refusal = storage_refusal()) return refusal;
  transaction_->begin_content(facts());
  return std::nullopt;
}

void Session::on_content(std::string_view bytes) {
  if (auto refusal = transaction_->take_content(bytes, facts()))
    dialogue_.refuse_content(std::move(*refusal));
}

void Session::on_abandon() { transaction_.reset(); }

}  // namespace waypost::inbound
