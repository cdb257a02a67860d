#include "waypost/base/counted.h"

#include "load/report.h"
#include "load/units.h"

#include <algorithm>

namespace waypost::load {
namespace {

std::string pad(std::string text, std::size_t width) {
  if (text.size() < width) text.insert(0, width - text.size(), ' ');
  return text;
}

std::string pad_right(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string histogram_line(std::string_view name, const Histogram& histogram) {
  std::string line =
      "  " + pad_right(std::string(name), 12) + pad(with_commas(histogram.count()), 12);
  for (const double percent : kPercents) {
    line += pad(show_us(static_cast<double>(histogram.at_percent(percent))), 11);
  }
  return line + pad(show_us(static_cast<double>(histogram.max())), 11) + "\n";
}

std::string percent_head(std::string_view what) {
  std::string head = "  " + pad_right(std::string(what), 12) + pad("count", 12);
  for (const double percent : kPercents) {
    head += pad("p" + show_fixed(percent, percent == 99.99 ? 2 : percent == 99.9 ? 1 : 0), 11);
  }
  return head + pad("max", 11) + "\n";
}

std::string many(std::uint64_t count, std::string_view one) {
  return with_commas(count) + " " + noun(count, one);
}

std::string row(std::string_view name, const std::string& value) {
  return "  " + pad_right(std::string(name), 24) + value + "\n";
}

std::string counts(const Report& report) {
  const Statistics& s = report.statistics;
  const auto done = static_cast<double>(std::max<std::uint64_t>(1, s.messages));
  std::string out;
  out += row("accepted",
             many(s.accepted, "message") + ", " + many(s.recipients_accepted, "recipient"));
  if (s.refused > 0)
    out += row("refused", many(s.refused, "message") +
                              (s.refused_as_expected > 0
                                   ? ", " + with_commas(s.refused_as_expected) + " as expected"
                                   : ""));
  if (s.recipients_refused > 0) {
    out += row("", many(s.recipients_refused, "recipient") + " not accepted");
  }
  if (s.unacknowledged > 0) {
    out += row("unacknowledged", many(s.unacknowledged, "message") +
                                     ": the connection broke inside or behind the content");
  }
  if (s.unsent > 0) out += row("unsent", many(s.unsent, "message"));
  out += row("time", show_seconds(report.seconds));
  out +=
      row("rate", show_fixed(report.rate(), 1) + " messages/s, " +
                      show_octets(static_cast<double>(s.octets) / std::max(report.seconds, 1e-9)) +
                      "/s");
  out += row("connections", with_commas(s.connections) + " opened, " +
                                with_commas(s.connections_failed) + " failed, " +
                                with_commas(s.connections_lost) + " lost");
  if (s.handshakes > 0) {
    out += row("TLS", many(s.handshakes, "handshake") + ", " + with_commas(s.resumed) +
                          " resumed, " + with_commas(s.verified) + " verified; " + s.tls_version +
                          " " + s.tls_cipher);
  }
  out += row("sender's CPU", show_fixed(report.sender_cpu_seconds, 2) + " s, " +
                                 show_us(report.sender_cpu_seconds * 1e6 / done) + " a message");
  return out;
}

}  // namespace

double Report::rate() const {
  return seconds <= 0 ? 0 : static_cast<double>(statistics.accepted) / seconds;
}

std::string to_text(const Report& report) {
  std::string out = report.title + ", " + report.started + ", run " + report.run_id + "\n";
  for (const auto& [name, value] : report.settings) out += row(name, value);
  out += "\n" + counts(report);
  out += "\n" + percent_head("phase");
  for (std::size_t i = 0; i < kPhases; ++i) {
    const auto& histogram = report.statistics.phases[i];
    if (histogram.count() > 0) out += histogram_line(to_string(static_cast<Phase>(i)), histogram);
  }
  if (report.accounting && report.accounting->delivery.count() > 0) {
    out += histogram_line("delivery", report.accounting->delivery);
  }
  std::string waves;  // those that got mail
  std::size_t count = 0;
  for (std::size_t i = 0; i < report.statistics.waves.size(); ++i) {
    const auto& total = report.statistics.waves[i].total;
    if (total.count() == 0) continue;
    waves += histogram_line(i < report.wave_names.size() ? report.wave_names[i] : "?", total);
    ++count;
  }
  if (count > 1) out += "\n" + percent_head("wave") + waves;
  if (!report.statistics.troubles.empty()) {
    out += "\n  what was refused or broke\n";
    std::vector<std::pair<std::string, std::uint64_t>> list(report.statistics.troubles.begin(),
                                                            report.statistics.troubles.end());
    std::stable_sort(list.begin(), list.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    if (list.size() > 15) list.resize(15);
    for (const auto& [what, times] : list) out += pad(with_commas(times), 12) + " x " + what + "\n";
  }
  if (report.accounting) out += "\n" + to_text(*report.accounting);
  return out;
}

std::string to_text(const Accounting& a) {
  std::string out = "  accounting of " + many(a.messages, "message") + ", " +
                    many(a.recipients, "recipient") + "\n";
  const auto count = [&](std::string_view name, std::uint64_t number, bool always = false) {
    if (number > 0 || always) {
      out += "  " + pad_right(std::string(name), 36) + pad(with_commas(number), 14) + "\n";
    }
  };
  count("arrived once", a.arrived_once, true);
  count("arrived at the old system", a.at_old_system);
  count("refused as expected", a.refused_as_expected);
  count("reported as expected", a.bounced_as_expected);
  count("unacknowledged, arrived", a.unacknowledged_arrived);
  count("unacknowledged, not arrived", a.unacknowledged_missing);
  count("arrived more than once", a.arrived_twice, true);
  count("at a wrong address", a.wrong_address, true);
  count("changed", a.changed, true);
  count("bounced", a.bounced, true);
  count("refused", a.refused, true);
  count("still queued", a.queued, true);
  count("lost", a.lost, true);
  count("not judged, perhaps queued", a.unjudged);
  count("missing, no report asked for", a.unreported);
  count("never sent", a.unsent);
  count("delivered although not accepted", a.uninvited);
  count("unknown address, delivered", a.unknown_delivered);
  count("foreign address, accepted", a.foreign_delivered);
  count("foreign address, refused", a.foreign_refused);
  count("other mail at the sink", a.other_mail);
  for (const auto& example : a.examples) out += "    " + example + "\n";
  if (a.good()) return out + "  GOOD: every recipient is accounted for\n";
  for (const auto& sentence : a.wrong) out += "  WRONG: " + sentence + "\n";
  return out;
}

}  // namespace waypost::load
