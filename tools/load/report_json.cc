// The report as JSON, and back.
#include "load/report.h"

#include <boost/json.hpp>

namespace waypost::load {
namespace {

namespace json = boost::json;

constexpr std::int64_t kFormat = 1;

template <class T>
struct Named {
  const char* name;
  std::uint64_t T::* member;
};

constexpr Named<Statistics> kCounts[] = {
    {"messages", &Statistics::messages},
    {"accepted", &Statistics::accepted},
    {"refused", &Statistics::refused},
    {"unacknowledged", &Statistics::unacknowledged},
    {"unsent", &Statistics::unsent},
    {"recipients_accepted", &Statistics::recipients_accepted},
    {"recipients_refused", &Statistics::recipients_refused},
    {"octets", &Statistics::octets},
    {"connections", &Statistics::connections},
    {"connections_failed", &Statistics::connections_failed},
    {"connections_lost", &Statistics::connections_lost},
    {"handshakes", &Statistics::handshakes},
    {"resumed", &Statistics::resumed},
    {"verified", &Statistics::verified},
    {"refused_as_expected", &Statistics::refused_as_expected},
};

constexpr Named<Accounting> kFates[] = {
    {"messages", &Accounting::messages},
    {"recipients", &Accounting::recipients},
    {"arrived_once", &Accounting::arrived_once},
    {"refused_as_expected", &Accounting::refused_as_expected},
    {"bounced_as_expected", &Accounting::bounced_as_expected},
    {"unacknowledged_arrived", &Accounting::unacknowledged_arrived},
    {"unacknowledged_missing", &Accounting::unacknowledged_missing},
    {"arrived_twice", &Accounting::arrived_twice},
    {"wrong_address", &Accounting::wrong_address},
    {"changed", &Accounting::changed},
    {"bounced", &Accounting::bounced},
    {"refused", &Accounting::refused},
    {"queued", &Accounting::queued},
    {"lost", &Accounting::lost},
    {"unreported", &Accounting::unreported},
    {"unjudged", &Accounting::unjudged},
    {"at_old_system", &Accounting::at_old_system},
    {"unsent", &Accounting::unsent},
    {"uninvited", &Accounting::uninvited},
    {"unknown_delivered", &Accounting::unknown_delivered},
    {"foreign_delivered", &Accounting::foreign_delivered},
    {"foreign_refused", &Accounting::foreign_refused},
    {"other_mail", &Accounting::other_mail},
};

json::object show(const Histogram& histogram) {
  json::object out{{"count", histogram.count()},
                   {"min_us", histogram.min()},
                   {"max_us", histogram.max()},
                   {"mean_us", histogram.mean()}};
  static constexpr const char* kNames[] = {"p50_us", "p90_us", "p99_us", "p99_9_us", "p99_99_us"};
  for (std::size_t i = 0; i < std::size(kPercents); ++i) {
    out[kNames[i]] = histogram.at_percent(kPercents[i]);
  }
  json::array buckets;
  for (const auto& [index, count] : histogram.sparse()) buckets.push_back({index, count});
  out["buckets"] = std::move(buckets);
  return out;
}

Histogram read_histogram(const json::value& value) {
  std::vector<std::pair<std::uint32_t, std::uint64_t>> buckets;
  for (const auto& bucket : value.at("buckets").as_array()) {
    buckets.emplace_back(bucket.at(0).to_number<std::uint32_t>(),
                         bucket.at(1).to_number<std::uint64_t>());
  }
  return Histogram::restore(buckets, value.at("min_us").to_number<std::uint64_t>(),
                            value.at("max_us").to_number<std::uint64_t>(),
                            value.at("mean_us").to_number<double>());
}

json::object show(const Accounting& accounting) {
  json::object out;
  for (const auto& [name, member] : kFates) out[name] = accounting.*member;
  out["delivery"] = show(accounting.delivery);
  out["good"] = accounting.good();
  out["arrived_each_second"] = json::value_from(accounting.arrived_each_second);
  json::array faults;
  for (const auto& fault : accounting.faults)
    faults.push_back(
        json::object{{"name", fault.name}, {"from", fault.from}, {"until", fault.until}});
  out["faults"] = std::move(faults);
  out["wrong"] = json::value_from(accounting.wrong);
  out["examples"] = json::value_from(accounting.examples);
  return out;
}

Accounting read_accounting(const json::value& value) {
  Accounting out;
  for (const auto& [name, member] : kFates) {
    out.*member = value.at(name).to_number<std::uint64_t>();
  }
  out.delivery = read_histogram(value.at("delivery"));
  if (const auto* arrived = value.as_object().if_contains("arrived_each_second"))
    out.arrived_each_second = json::value_to<std::vector<std::uint64_t>>(*arrived);
  if (const auto* faults = value.as_object().if_contains("faults"))
    for (const auto& fault : faults->as_array())
      out.faults.push_back({json::value_to<std::string>(fault.at("name")),
                            fault.at("from").to_number<double>(),
                            fault.at("until").to_number<double>()});
  out.wrong = json::value_to<std::vector<std::string>>(value.at("wrong"));
  out.examples = json::value_to<std::vector<std::string>>(value.at("examples"));
  return out;
}

json::object show(const Statistics& s, const std::vector<std::string>& wave_names) {
  json::object out, counts, phases, troubles;
  for (const auto& [name, member] : kCounts) counts[name] = s.*member;
  for (std::size_t i = 0; i < kPhases; ++i) {
    const auto name = to_string(static_cast<Phase>(i));
    phases[json::string_view(name.data(), name.size())] = show(s.phases[i]);
  }
  json::array waves, seconds;
  for (std::size_t i = 0; i < s.waves.size(); ++i) {
    waves.push_back(json::object{{"name", i < wave_names.size() ? wave_names[i] : "?"},
                                 {"recipients", s.waves[i].recipients},
                                 {"total", show(s.waves[i].total)}});
  }
  for (const auto& one : s.seconds) {
    seconds.push_back({one.accepted, one.failed, one.octets, one.latency_sum_us, one.latency_max_us,
                       one.refused_as_expected});
  }
  for (const auto& [what, times] : s.troubles) troubles[what] = times;
  out["counts"] = std::move(counts);
  out["tls"] = json::object{{"version", s.tls_version}, {"cipher", s.tls_cipher}};
  out["phases"] = std::move(phases);
  out["waves"] = std::move(waves);
  out["each_second"] = std::move(seconds);
  out["troubles"] = std::move(troubles);
  return out;
}

Statistics read_statistics(const json::value& value, std::vector<std::string>& wave_names) {
  Statistics s;
  for (const auto& [name, member] : kCounts) {
    // Reports of earlier versions lack some.
    if (const auto* count = value.at("counts").as_object().if_contains(name))
      s.*member = count->to_number<std::uint64_t>();
  }
  for (std::size_t i = 0; i < kPhases; ++i) {
    const auto name = to_string(static_cast<Phase>(i));
    s.phases[i] = read_histogram(value.at("phases").at({name.data(), name.size()}));
  }
  for (const auto& wave : value.at("waves").as_array()) {
    wave_names.push_back(json::value_to<std::string>(wave.at("name")));
    s.waves.push_back(
        {wave.at("recipients").to_number<std::uint64_t>(), read_histogram(wave.at("total"))});
  }
  for (const auto& one : value.at("each_second").as_array()) {
    const auto at = [&](std::size_t i) { return one.at(i).to_number<std::uint64_t>(); };
    s.seconds.push_back({at(0), at(1), at(2), at(3), at(4), one.as_array().size() > 5 ? at(5) : 0});
  }
  for (const auto& [what, times] : value.at("troubles").as_object()) {
    s.troubles[std::string(what)] = times.to_number<std::uint64_t>();
  }
  s.tls_version = json::value_to<std::string>(value.at("tls").at("version"));
  s.tls_cipher = json::value_to<std::string>(value.at("tls").at("cipher"));
  return s;
}

}  // namespace

std::string to_json(const Report& report) {
  json::object settings;
  for (const auto& [name, value] : report.settings) settings[name] = value;
  json::object out{{"format", kFormat},
                   {"title", report.title},
                   {"started", report.started},
                   {"run_id", report.run_id},
                   {"settings", std::move(settings)},
                   {"seconds", report.seconds},
                   {"messages_per_second", report.rate()},
                   {"sender_cpu_seconds", report.sender_cpu_seconds},
                   {"sent", show(report.statistics, report.wave_names)}};
  if (report.accounting) out["accounting"] = show(*report.accounting);
  return json::serialize(out) + "\n";
}

Result<Report> report_from_json(const std::string& text, const std::string& where) {
  try {
    const json::value value = json::parse(text);
    if (value.at("format").as_int64() != kFormat) {
      return fail(ErrorKind::unsupported, where + ": a report of another version of waypost-load");
    }
    Report report;
    report.title = json::value_to<std::string>(value.at("title"));
    report.started = json::value_to<std::string>(value.at("started"));
    report.run_id = json::value_to<std::string>(value.at("run_id"));
    for (const auto& [name, setting] : value.at("settings").as_object()) {
      report.settings.emplace_back(std::string(name), json::value_to<std::string>(setting));
    }
    report.seconds = value.at("seconds").to_number<double>();
    report.sender_cpu_seconds = value.at("sender_cpu_seconds").to_number<double>();
    report.statistics = read_statistics(value.at("sent"), report.wave_names);
    if (const auto* accounting = value.as_object().if_contains("accounting")) {
      report.accounting = read_accounting(*accounting);
    }
    return report;
  } catch (const std::exception& error) {
    return fail(ErrorKind::invalid,
                where + ": not a report of waypost-load (--json): " + error.what());
  }
}

}  // namespace waypost::load
