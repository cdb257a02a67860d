#include "sink/session.h"

#include "waypost/mail/status.h"

#include "sink/failure_report.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <span>

namespace waypost::sink {
namespace {

constexpr std::size_t kBuffer = 64 * 1024;

smtp::ServerOptions dialogue_options(const Settings& settings) {
  smtp::ServerOptions options;
  options.own_name = settings.name;
  options.max_message_size = settings.max_message_size;
  options.max_recipients = settings.max_recipients;
  options.max_errors = 100'000;
  options.max_commands_without_mail = 100'000;
  options.offer_starttls = settings.tls == TlsMode::starttls && settings.offers("STARTTLS");
  options.offer_auth = !settings.auth_user.empty();
  return options;
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

std::string first_word(std::string_view line) {
  return upper(line.substr(0, line.find_first_of(" \r\n")));
}

std::string_view argument(std::string_view line) {
  const auto blank = line.find(' ');
  if (blank == std::string_view::npos) return {};
  line.remove_prefix(blank + 1);
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// Stages that a rule may take over before the dialogue sees the command.
std::optional<Stage> command_stage(std::string_view verb) {
  static constexpr std::array<std::pair<std::string_view, Stage>, 7> kVerbs = {
      {{"EHLO", Stage::ehlo},
       {"HELO", Stage::helo},
       {"STARTTLS", Stage::starttls},
       {"AUTH", Stage::auth},
       {"RSET", Stage::rset},
       {"NOOP", Stage::noop},
       {"QUIT", Stage::quit}}};
  for (const auto& [name, stage] : kVerbs) {
    if (name == verb) return stage;
  }
  return std::nullopt;
}

/// The extension that a MAIL or RCPT parameter belongs to.
std::string_view extension_of(std::string_view parameter) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kParameters = {
      {{"SIZE", "SIZE"},
       {"BODY", "8BITMIME"},
       {"SMTPUTF8", "SMTPUTF8"},
       {"RET", "DSN"},
       {"ENVID", "DSN"},
       {"NOTIFY", "DSN"},
       {"ORCPT", "DSN"}}};
  for (const auto& [name, extension] : kParameters) {
    if (name == parameter) return extension;
  }
  return {};
}

}  // namespace

bool Settings::offers(std::string_view keyword) const {
  return std::find(hidden_extensions.begin(), hidden_extensions.end(), keyword) ==
         hidden_extensions.end();
}

Session::Session(net::Shard& shard, const Settings& settings, Behaviour& behaviour,
                 Recorder& recorder, std::unique_ptr<net::Stream> stream, std::uint64_t number)
    : shard_(shard),
      settings_(settings),
      behaviour_(behaviour),
      recorder_(recorder),
      stream_(std::move(stream)),
      number_(number),
      client_(stream_->remote().to_string()),
      options_(dialogue_options(settings)),
      dialogue_(options_, *this),
      buffer_(new char[kBuffer]),
      scan_(settings.name) {}

net::Task<void> Session::serve(net::Shard& shard, const Settings& settings, Behaviour& behaviour,
                               Recorder& recorder, std::unique_ptr<net::Stream> stream,
                               std::uint64_t number) {
  Session session(shard, settings, behaviour, recorder, std::move(stream), number);
  recorder.counters().open_sessions.fetch_add(1, std::memory_order_relaxed);
  co_await session.converse();
  if (session.stream_) session.stream_->close();
  recorder.counters().open_sessions.fetch_sub(1, std::memory_order_relaxed);
  shard.sessions.fetch_sub(1, std::memory_order_relaxed);
}

net::Task<void> Session::converse() {
  bool open = co_await begin();
  while (open) {
    if (filled_ == kBuffer) break;  // the dialogue takes less than this as one line
    const std::span<char> room(buffer_.get() + filled_, kBuffer - filled_);
    const SteadyTime deadline = shard_.timers.in(settings_.idle);
    const auto got = co_await net::read_some(*stream_, room, deadline);
    if (!got) break;
    filled_ += *got;
    open = co_await consume_buffer();
  }
}

net::Task<bool> Session::begin() {
  if (settings_.tls == TlsMode::implicit) {
    const bool secured = co_await start_tls(false);
    if (!secured) co_return false;
    dialogue_.assume_tls();
  }
  const bool refused = look(Stage::connect, stream_->remote().address);
  if (refused && misdeed_->reply) {
    dialogue_.greet(misdeed_->reply);
  } else {
    dialogue_.greet();
  }
  out_.swap(dialogue_.output());
  if (refused) {
    if (!misdeed_->raw.empty()) out_.clear();
    const bool go_on = co_await misbehave();
    if (!go_on) co_return false;
  }
  const bool written = co_await flush();
  co_return written;
}

bool Session::in_octets() const {
  return dialogue_.in_content() && (!dialogue_.used_bdat() || dialogue_.chunk_remaining() > 0);
}

/// One command line, or as much content as the dialogue may take; empty: more must arrive first.
std::string_view Session::next_piece(std::string_view input) const {
  if (in_octets()) {
    if (!dialogue_.used_bdat()) return input;
    return input.substr(0, std::min<std::uint64_t>(input.size(), dialogue_.chunk_remaining()));
  }
  const auto end = input.find('\n');
  if (end != std::string_view::npos) return input.substr(0, end + 1);
  return input.size() >= options_.max_command_line ? input : std::string_view();
}

net::Task<bool> Session::consume_buffer() {
  std::string_view input(buffer_.get(), filled_);
  bool open = true;
  while (open && !input.empty()) {
    std::string_view piece = next_piece(input);
    if (piece.empty()) break;
    const std::size_t offered = piece.size();
    const bool command = !in_octets();
    misdeed_.reset();
    smtp::Step step = smtp::Step::need_input;
    if (command && answered_here(piece)) {
      piece = {};
    } else {
      const bool ehlo = command && first_word(piece) == "EHLO";
      if (!command && look_for_recipients(Stage::content, octets_) && misdeed_->reply) {
        dialogue_.refuse_content(*misdeed_->reply);
      }
      step = dialogue_.advance(piece);
      const std::size_t at = out_.size();
      out_ += dialogue_.output();
      dialogue_.output().clear();
      if (ehlo) edit_ehlo_reply(at);
      if (misdeed_ && !misdeed_->raw.empty()) out_.resize(at);
    }
    input.remove_prefix(offered - piece.size());
    if (!input.empty() && command && !in_octets() && !settings_.offers("PIPELINING")) {
      violation("pipelining");
    }
    if (misdeed_) open = co_await misbehave();
    if (open) open = co_await take_step(step, !input.empty());
  }
  std::copy(input.begin(), input.end(), buffer_.get());
  filled_ = input.size();
  if (open) open = co_await flush();
  co_return open;
}

net::Task<bool> Session::take_step(smtp::Step step, bool input_left) {
  bool open = true;
  switch (step) {
    case smtp::Step::need_input:
      break;
    case smtp::Step::start_tls:
      open = co_await start_tls(input_left);
      break;
    case smtp::Step::commit:
      open = co_await finish_message();
      break;
    case smtp::Step::authenticate: {
      const auto& given = dialogue_.credentials();
      const bool good =
          given.user == settings_.auth_user && given.password == settings_.auth_password;
      dialogue_.authenticated(good ? smtp::Reply{235, mail::status::auth_ok, "Accepted"}
                                   : smtp::Reply{535, mail::status::auth_failed, "Refused"});
      out_ += dialogue_.output();
      dialogue_.output().clear();
      break;
    }
    case smtp::Step::close: {
      co_await flush();
      open = false;
      break;
    }
  }
  co_return open;
}

net::Task<bool> Session::start_tls(bool input_left) {
  if (input_left) co_return false;  // plain text behind STARTTLS
  const bool written = co_await flush();
  if (!written) co_return false;
  auto plain = std::move(stream_);
  auto context = settings_.tls_context;
  const SteadyTime deadline = shard_.timers.in(std::chrono::seconds(30));
  auto secured = co_await net::tls_accept(std::move(plain), std::move(context), deadline);
  if (!secured) co_return false;
  tls_ = &(*secured)->tls();
  auto& counters = recorder_.counters();
  counters.handshakes.fetch_add(1, std::memory_order_relaxed);
  if (tls_->resumed) counters.resumed.fetch_add(1, std::memory_order_relaxed);
  stream_ = std::move(*secured);
  if (settings_.tls == TlsMode::starttls) dialogue_.tls_started();
  co_return true;
}

/// What is kept of a message that is received.
Result<> Session::keep_message() {
  Arrival arrival{&mail_.reverse_path, &recipients_, &identity_, {}, octets_};
  if (!mail_.reverse_path) arrival.content = content_;
  Result<> kept;
  if (recorder_.wants_records()) {
    digest_.finish();
    kept = recorder_.record(receipt());
  }
  if (kept) recorder_.count(arrival);
  return kept;
}

net::Task<bool> Session::finish_message() {
  misdeed_.reset();
  look_for_recipients(Stage::end);
  const bool spoilt = misdeed_ && replaces_reply();
  smtp::Reply verdict{250, mail::status::queued, "Ok"};
  if (!spoilt || misdeed_->keep) {
    const auto recorded = keep_message();
    if (!recorded) {
      verdict = smtp::Reply{451, mail::status::spool_trouble, recorded.error().message};
    }
  }
  if (misdeed_ && misdeed_->reply) verdict = *misdeed_->reply;
  const std::size_t before = out_.size();
  dialogue_.committed(verdict);
  forget_transaction();
  out_ += dialogue_.output();
  dialogue_.output().clear();
  if (!misdeed_) co_return true;
  if (!misdeed_->raw.empty()) out_.resize(before);
  const bool go_on = co_await misbehave();
  co_return go_on;
}

/// Waits, drops or adds raw octets; a reply is in out_ already.
net::Task<bool> Session::misbehave() {
  const Misdeed misdeed = std::move(*misdeed_);
  misdeed_.reset();
  recorder_.counters().misdeeds.fetch_add(1, std::memory_order_relaxed);
  if (misdeed.delay.count() > 0) {
    const SteadyTime until = shard_.timers.in(misdeed.delay);
    const auto slept = co_await shard_.timers.sleep_until(until);
    if (!slept) co_return false;
  }
  if (misdeed.drop) co_return false;
  out_ += misdeed.raw;
  if (misdeed.reply && misdeed.reply->code == 421) {
    co_await flush();
    co_return false;
  }
  co_return true;
}

net::Task<bool> Session::flush() {
  if (out_.empty()) co_return true;
  std::string bytes;
  bytes.swap(out_);
  const SteadyTime deadline = shard_.timers.in(settings_.idle);
  const auto written = co_await net::write_all(*stream_, bytes, deadline);
  co_return written.has_value();
}

bool Session::look(Stage stage, std::string_view subject) {
  if (!behaviour_.any()) return false;
  const std::string name(subject);
  misdeed_ = behaviour_.look(stage, std::span(&name, 1));
  return misdeed_.has_value();
}

bool Session::look_for_recipients(Stage stage, std::uint64_t octets) {
  if (!behaviour_.any()) return false;
  std::vector<std::string> names;
  names.reserve(recipients_.size());
  for (const auto& recipient : recipients_) names.push_back(recipient.forward_path.to_string());
  misdeed_ = behaviour_.look(stage, names, octets);
  return misdeed_.has_value();
}

/// True if the misdeed takes the place of the reply; a delay alone does not.
bool Session::replaces_reply() const {
  return misdeed_->reply || misdeed_->drop || !misdeed_->raw.empty();
}

smtp::Reply Session::refusal() const {
  if (misdeed_->reply) return *misdeed_->reply;
  return {451, mail::status::spool_trouble, "As told"};  // drop and raw: never seen by the client
}

bool Session::answered_here(std::string_view line) {
  const std::string verb = first_word(line);
  if (const auto missing = not_offered(verb, line)) {
    violation(*missing);
    out_ += verb == "BDAT" ? "500 5.5.1 " : "555 5.5.4 ";
    out_ += *missing + " was not offered\r\n";
    return true;
  }
  const auto stage = command_stage(verb);
  if (!stage || !look(*stage, argument(line))) return false;
  if (misdeed_->reply) misdeed_->reply->append_to(out_);
  // With a delay alone the command is obeyed, later.
  return replaces_reply();
}

std::optional<std::string> Session::not_offered(std::string_view verb,
                                                std::string_view line) const {
  if (settings_.hidden_extensions.empty()) return std::nullopt;
  if (verb == "BDAT" && !settings_.offers("CHUNKING")) return "CHUNKING";
  if (verb != "MAIL" && verb != "RCPT") return std::nullopt;
  const auto path_end = line.rfind('>');
  std::string_view rest = path_end == std::string_view::npos ? "" : line.substr(path_end + 1);
  while (!rest.empty()) {
    const auto start = rest.find_first_not_of(" \r\n");
    if (start == std::string_view::npos) break;
    rest.remove_prefix(start);
    const auto word = rest.substr(0, rest.find_first_of(" \r\n"));
    const auto extension = extension_of(upper(word.substr(0, word.find('='))));
    if (!extension.empty() && !settings_.offers(extension)) return std::string(word);
    rest.remove_prefix(word.size());
  }
  return std::nullopt;
}

/// Takes hidden extensions out of the EHLO answer that stands in out_ behind `from`.
void Session::edit_ehlo_reply(std::size_t from) {
  if (settings_.hidden_extensions.empty() && !settings_.bare_ok) return;
  std::vector<std::string> kept;
  std::string_view rest = std::string_view(out_).substr(from);
  if (!rest.starts_with("250")) return;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    while (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() < 4) continue;
    line.remove_prefix(4);
    if (kept.empty() || settings_.offers(first_word(line))) kept.emplace_back(line);
  }
  if (settings_.bare_ok) kept.emplace_back("Ok");
  out_.resize(from);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    out_ += (i + 1 == kept.size() ? "250 " : "250-") + kept[i] + "\r\n";
  }
}

smtp::Reply Session::on_mail(const smtp::MailCommand& command) {
  forget_transaction();
  if (look(Stage::mail, mail::to_string(command.reverse_path)) && replaces_reply()) {
    return refusal();
  }
  mail_ = command;
  return {250, mail::status::sender_ok, "Ok"};
}

smtp::Reply Session::on_rcpt(const smtp::RcptCommand& command) {
  if (look(Stage::rcpt, command.forward_path.to_string()) && replaces_reply()) {
    return refusal();
  }
  recipients_.push_back(command);
  return {250, mail::status::recipient_ok, "Ok"};
}

std::optional<smtp::Reply> Session::on_content_start() {
  if (recorder_.wants_records()) {
    digest_.restart();
    scan_ = mail::HeaderScan(settings_.name);
  }
  identity_.restart();
  content_.clear();
  octets_ = 0;
  if (look_for_recipients(Stage::data) && replaces_reply()) {
    return refusal();
  }
  return std::nullopt;
}

void Session::on_content(std::string_view bytes) {
  octets_ += bytes.size();
  identity_.feed(bytes);
  if (recorder_.wants_records()) {
    digest_.feed(bytes);
    if (!scan_.header_complete()) scan_.feed(bytes);
  }
  const bool report = !mail_.reverse_path && content_.size() < kReportOctets;
  if (recorder_.wants_content() || (report && recorder_.has_journal())) content_ += bytes;
}

void Session::on_abandon() { forget_transaction(); }

void Session::forget_transaction() {
  mail_ = {};
  recipients_.clear();
  content_.clear();
  violations_.clear();
}

void Session::violation(std::string what) {
  recorder_.counters().violations.fetch_add(1, std::memory_order_relaxed);
  violations_.push_back(std::move(what));
}

Receipt Session::receipt() const {
  Receipt receipt;
  receipt.session = number_;
  receipt.client = client_;
  receipt.helo = dialogue_.helo();
  receipt.user = dialogue_.user();
  receipt.esmtp = dialogue_.esmtp();
  receipt.bdat = dialogue_.used_bdat();
  receipt.tls = tls_;
  receipt.mail = mail_;
  receipt.recipients = recipients_;
  receipt.violations = violations_;
  receipt.digest = &digest_;
  receipt.identity = &identity_;
  receipt.content = &content_;
  receipt.message_id = scan_.message_id();
  receipt.received_fields = scan_.received_count();
  return receipt;
}

}  // namespace waypost::sink
