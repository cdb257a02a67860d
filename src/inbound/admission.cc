#include "inbound/admission.h"

#include "waypost/mail/address.h"

#include <boost/asio/post.hpp>

namespace waypost::inbound {
namespace {
constexpr std::chrono::seconds kJudgementTime{60};
}  // namespace

std::string ListenerOptions::to_string() const { return net::Endpoint{address, port}.to_string(); }

Result<std::shared_ptr<const Settings>> Settings::load(Options options) {
  auto settings = std::make_shared<Settings>();
  auto networks = NetworkSet::parse(options.admission.networks);
  if (!networks)
    return fail(networks.error().kind, "admission.networks: " + networks.error().message);
  settings->networks = std::move(*networks);
  for (const auto& listener : options.listeners) {
    auto proxies = NetworkSet::parse(listener.proxy_networks);
    if (!proxies)
      return fail(proxies.error().kind,
                  "listener " + listener.to_string() + ": " + proxies.error().message);
    settings->proxies.push_back(std::move(*proxies));
  }
  if (!options.admission.password_file.empty()) {
    auto passwords = read_password_file(options.admission.password_file);
    if (!passwords) return fail(std::move(passwords).error());
    settings->passwords = std::move(*passwords);
  }
  if (!options.tls.certificates.empty()) {
    auto tls = net::TlsContext::for_server(options.tls);
    if (!tls) return fail(std::move(tls).error());
    settings->tls = std::move(*tls);
  }
  for (const auto& listener : options.listeners) {
    if (listener.tls != ListenerTls::none && !settings->tls) {
      return fail(ErrorKind::tls, "listener " + listener.to_string() +
                                      " wants TLS, but no certificate is configured");
    }
  }
  settings->options = std::move(options);
  return std::shared_ptr<const Settings>(std::move(settings));
}

bool Settings::admits_certificate(const net::TlsInfo& tls_info) const {
  if (!tls_info.verified) return false;
  const auto& names = options.admission.client_certificate_names;
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    const std::string lower = mail::ascii_lower(name);
    if (lower.starts_with("sha256:")) return lower.substr(7) == tls_info.peer_fingerprint;
    return std::any_of(tls_info.peer_names.begin(), tls_info.peer_names.end(),
                       [&](const std::string& own) { return mail::ascii_lower(own) == lower; });
  });
}

PasswordWorker::PasswordWorker() : thread_([this] { run(); }) {}

PasswordWorker::~PasswordWorker() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_one();
  thread_.join();
}

void PasswordWorker::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    PasswordQueue::Job job = jobs_.pop();
    lock.unlock();
    const bool good = job.judge();
    lock.lock();
    jobs_.judged(job, good, newest_);
  }
}

void PasswordWorker::submit(PasswordQueue::Job job, SteadyTime now) {
  std::optional<PasswordQueue::Job> turned_away;
  {
    const std::lock_guard lock(mutex_);
    newest_ = std::max(newest_, now);
    turned_away = jobs_.push(std::move(job), now);
  }
  work_.notify_one();
  if (turned_away) turned_away->turn_away();
}

namespace {

/// Outlives the waiting session: one that was cut leaves the worker nothing dangling.
struct Judgement {
  std::optional<PasswordVerdict> verdict;
  net::Timers::Sleeper* waiting = nullptr;
};

struct Detached {
  std::shared_ptr<Judgement> judgement;
  ~Detached() { judgement->waiting = nullptr; }
};

}  // namespace

net::Task<PasswordVerdict> PasswordWorker::verify(net::Shard& shard,
                                                  std::shared_ptr<const Settings> settings,
                                                  std::string client,
                                                  smtp::Credentials credentials) {
  const auto judgement = std::make_shared<Judgement>();
  net::Timers::Sleeper sleeper(shard.timers);
  judgement->waiting = &sleeper;
  const Detached detached{judgement};
  const auto secret = std::make_shared<smtp::Credentials>(std::move(credentials));
  const auto answer = [judgement, &shard](PasswordVerdict verdict) {
    boost::asio::post(shard.io, [judgement, verdict] {
      judgement->verdict = verdict;
      if (judgement->waiting != nullptr) judgement->waiting->wake();
    });
  };
  PasswordQueue::Job job;
  job.client = client_key(client);
  job.user = secret->user;
  job.judge = [answer, settings, secret] {
    const bool good = verify_password(settings->passwords, secret->user, secret->password);
    wipe_password(secret->password);
    answer(good ? PasswordVerdict::good : PasswordVerdict::bad);
    return good;
  };
  job.turn_away = [answer, secret] {
    wipe_password(secret->password);
    answer(PasswordVerdict::busy);
  };
  submit(std::move(job), shard.timers.now());
  const auto deadline = shard.timers.in(kJudgementTime);
  bool cancelled = false;
  while (!judgement->verdict && !cancelled && shard.timers.now() < deadline) {
    const auto slept = co_await sleeper.sleep_until(deadline);
    cancelled = !slept.has_value();
  }
  co_return judgement->verdict.value_or(PasswordVerdict::busy);
}

}  // namespace waypost::inbound
