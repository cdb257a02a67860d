// The report as one page: no script, nothing from outside.
#include "load/report.h"
#include "load/svg_plot.h"
#include "load/units.h"

#include <algorithm>
#include <cmath>

namespace waypost::load {
namespace {

const char* const kStyle = R"(<style>
:root{--ink:#1b2430;--paper:#fff;--soft:#f3f5f8;--line:#d9dee6;--mute:#5b6675;--good:#0f7b46;--bad:#b3261e;
--s0:#1f6feb;--s1:#d9730d;--s2:#0f7b46;--s3:#9333a8;--s4:#b3261e;--s5:#0e8a94;--s6:#7a6a00;--s7:#5b6675}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--paper:#12161c;--soft:#1b212a;--line:#313a46;--mute:#9aa6b5;
--good:#4cc38a;--bad:#ff8a80;--s0:#6ea8ff;--s1:#ffb066;--s2:#4cc38a;--s3:#d58be8;--s4:#ff8a80;--s5:#5fd0da;--s6:#d6c65a;--s7:#9aa6b5}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:940px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
td,th{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:right}
td:first-child,th:first-child{text-align:left}th{color:var(--mute);font-weight:600}
.wide td{text-align:left}.wide td:first-child{white-space:nowrap;color:var(--mute);width:12rem}
.mute{color:var(--mute)}.good{color:var(--good)}.bad{color:var(--bad)}.scroll{overflow-x:auto}
.verdict{font-weight:600;padding:.6rem .9rem;background:var(--soft);border-left:4px solid currentColor;margin:1rem 0}
.tiles{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0}.tiles div{background:var(--soft);padding:.6rem .9rem;flex:1 1 9rem}
.tiles b{display:block;font-size:1.25rem}
figure{margin:1rem 0}figcaption{font-weight:600}svg{width:100%;height:auto}
svg text{font:12px system-ui,sans-serif;fill:var(--mute)}.grid{stroke:var(--line);fill:none}.line{fill:none;stroke-width:1.8}
.legend{margin:0;font-size:.85rem}.legend span{margin-right:1rem;white-space:nowrap}
.legend i{display:inline-block;width:1.4rem;border-top:3px solid;margin-right:.35rem;vertical-align:middle}
.legend .dash i{border-top-style:dashed}path.dash{stroke-dasharray:6 4}
.s0{stroke:var(--s0);--c:var(--s0)}.s1{stroke:var(--s1);--c:var(--s1)}.s2{stroke:var(--s2);--c:var(--s2)}
.s3{stroke:var(--s3);--c:var(--s3)}.s4{stroke:var(--s4);--c:var(--s4)}.s5{stroke:var(--s5);--c:var(--s5)}
.s6{stroke:var(--s6);--c:var(--s6)}.s7{stroke:var(--s7);--c:var(--s7)}.legend i{border-color:var(--c)}
</style>
)";

std::string cell(const std::string& text) { return "<td>" + escape_html(text) + "</td>"; }

std::string tile(const std::string& value, const std::string& name) {
  return "<div><b>" + escape_html(value) + "</b><span class=\"mute\">" + escape_html(name) +
         "</span></div>";
}

std::string us(std::uint64_t value) { return show_us(static_cast<double>(value)); }

std::string percent_name(double percent) {
  return "p" + show_fixed(percent, percent > 99.95 ? 2 : percent > 99.5 ? 1 : 0);
}

/// x: how many nines (log10 of 1/(1-p)), so that the tail has room.
std::vector<std::pair<double, double>> curve(const Histogram& histogram) {
  std::vector<std::pair<double, double>> points;
  for (double nines = 0; nines <= 4.001; nines += 0.05) {
    const double percent = 100 * (1 - std::pow(10.0, -nines));
    // Beyond the last value a curve would only repeat the maximum.
    if (static_cast<double>(histogram.count()) * std::pow(10.0, -nines) < 0.5) break;
    points.emplace_back(
        nines, static_cast<double>(std::max<std::uint64_t>(1, histogram.at_percent(percent))));
  }
  return points;
}

Plot distribution(const std::string& title) {
  Plot plot;
  plot.title = title;
  plot.x_label = "percent of messages that were at least as fast";
  plot.log_y = true;
  plot.x_ticks = {{0, "0 %"},  {0.30103, "50 %"}, {1, "90 %"},
                  {2, "99 %"}, {3, "99.9 %"},     {4, "99.99 %"}};
  plot.show_y = [](double value) { return show_us(value); };
  return plot;
}

std::string by_phase(const Report& report, const Report* earlier) {
  Plot plot = distribution("Latency by phase");
  unsigned colour = 0;
  const auto add = [&](const std::string& name, const Histogram& now, const Histogram* before) {
    if (now.count() == 0) return;
    plot.lines.push_back({name, curve(now), colour, false});
    if (before != nullptr && before->count() > 0) {
      plot.lines.push_back({name + ", earlier", curve(*before), colour, true});
    }
    ++colour;
  };
  for (const Phase phase : {Phase::total, Phase::verdict, Phase::envelope, Phase::connect,
                            Phase::tls, Phase::greeting}) {
    add(std::string(to_string(phase)), report.statistics.phase(phase),
        earlier != nullptr ? &earlier->statistics.phase(phase) : nullptr);
  }
  if (report.accounting) {
    const bool both = earlier != nullptr && earlier->accounting;
    add("delivery", report.accounting->delivery, both ? &earlier->accounting->delivery : nullptr);
  }
  return plot.lines.empty() ? "" : plot.render();
}

std::string by_wave(const Report& report) {
  if (report.statistics.waves.size() < 2) return "";
  Plot plot = distribution("Latency (total) by wave");
  for (std::size_t i = 0; i < report.statistics.waves.size() && i < 8; ++i) {
    const auto& wave = report.statistics.waves[i];
    if (wave.total.count() == 0) continue;
    plot.lines.push_back(
        {report.wave_names[i], curve(wave.total), static_cast<unsigned>(i), false});
  }
  return plot.lines.empty() ? "" : plot.render();
}

/// At most this many points; longer runs are averaged.
constexpr std::size_t kMostPoints = 400;

std::string over_time(const Report& report, const Report* earlier) {
  Plot rate;
  rate.title = "Throughput over time";
  rate.x_label = "seconds since the start";
  rate.y_label = "messages/s";
  Plot latency;
  latency.title = "Latency (total) over time";
  latency.x_label = rate.x_label;
  latency.log_y = true;
  latency.show_y = [](double value) { return show_us(value); };
  const auto add = [&](const Report& run, bool old) {
    const auto& seconds = run.statistics.seconds;
    // A last second that was cut short would look like a break-in.
    const auto whole = std::min<std::size_t>(seconds.size(), static_cast<std::size_t>(run.seconds));
    const std::size_t count = std::max<std::size_t>(1, whole);
    const std::size_t step = (count + kMostPoints - 1) / kMostPoints;
    const std::string suffix = old ? ", earlier" : "";
    PlotLine accepted{"accepted" + suffix, {}, 0, old}, failed{"failed" + suffix, {}, 4, old};
    PlotLine mean{"mean" + suffix, {}, 0, old}, most{"longest" + suffix, {}, 1, old};
    for (std::size_t at = 0; at < count && at < seconds.size(); at += step) {
      Second sum;
      const std::size_t end = std::min(at + step, std::min(count, seconds.size()));
      for (std::size_t i = at; i < end; ++i) {
        sum.accepted += seconds[i].accepted;
        sum.failed += seconds[i].failed;
        sum.latency_sum_us += seconds[i].latency_sum_us;
        sum.latency_max_us = std::max(sum.latency_max_us, seconds[i].latency_max_us);
      }
      const auto x = static_cast<double>(at);
      const auto width = static_cast<double>(end - at);
      accepted.points.emplace_back(x, static_cast<double>(sum.accepted) / width);
      failed.points.emplace_back(x, static_cast<double>(sum.failed) / width);
      if (sum.accepted == 0) continue;
      mean.points.emplace_back(
          x, static_cast<double>(sum.latency_sum_us) / static_cast<double>(sum.accepted));
      most.points.emplace_back(x, static_cast<double>(sum.latency_max_us));
    }
    const bool any_failed = std::any_of(failed.points.begin(), failed.points.end(),
                                        [](const auto& point) { return point.second > 0; });
    rate.lines.push_back(std::move(accepted));
    if (any_failed) rate.lines.push_back(std::move(failed));
    latency.lines.push_back(std::move(mean));
    if (!old) latency.lines.push_back(std::move(most));
  };
  add(report, false);
  if (earlier != nullptr) add(*earlier, true);
  return rate.render() + latency.render();
}

std::string histogram_row(const std::string& name, const Histogram& histogram) {
  std::string row = "<tr>" + cell(name) + cell(with_commas(histogram.count()));
  for (const double percent : kPercents) row += cell(us(histogram.at_percent(percent)));
  return row + cell(us(histogram.max())) + "</tr>";
}

std::string histogram_head(const std::string& what) {
  std::string head = "<tr><th>" + what + "</th><th>count</th>";
  for (const double percent : kPercents) head += "<th>" + percent_name(percent) + "</th>";
  return head + "<th>max</th></tr>";
}

std::string tables(const Report& report) {
  std::string out = "<div class=\"scroll\"><table>" + histogram_head("phase");
  for (std::size_t i = 0; i < kPhases; ++i) {
    const auto& histogram = report.statistics.phases[i];
    if (histogram.count() == 0) continue;
    out += histogram_row(std::string(to_string(static_cast<Phase>(i))), histogram);
  }
  if (report.accounting && report.accounting->delivery.count() > 0) {
    out += histogram_row("delivery", report.accounting->delivery);
  }
  out += "</table></div>\n";
  if (report.statistics.waves.size() < 2) return out;
  out += "<div class=\"scroll\"><table>" + histogram_head("wave");
  for (std::size_t i = 0; i < report.statistics.waves.size(); ++i) {
    out += histogram_row(report.wave_names[i], report.statistics.waves[i].total);
  }
  return out + "</table></div>\n";
}

std::string comparison(const Report& report, const Report& earlier) {
  std::string out = "<h2>Compared with " + escape_html(earlier.started) +
                    "</h2><div class=\"scroll\"><table><tr><th></th><th>now</th><th>earlier</th>"
                    "<th>ratio</th></tr>";
  for (const auto& row : compare(report, earlier)) {
    const bool better = row.more_is_better ? row.ratio >= 1.05 : row.ratio <= 0.95;
    const bool worse = row.more_is_better ? row.ratio <= 0.95 : row.ratio >= 1.05;
    out += "<tr>" + cell(row.name) + cell(row.now) + cell(row.earlier) + "<td class=\"" +
           (better  ? "good"
            : worse ? "bad"
                    : "") +
           "\">" + show_fixed(row.ratio, 2) + "</td></tr>";
  }
  return out + "</table></div>\n";
}

std::string accounting(const Report& report) {
  if (!report.accounting) return "";
  return "<h2>Every recipient accounted for</h2><pre>" + escape_html(to_text(*report.accounting)) +
         "</pre>\n";
}

std::string head(const Report& report) {
  const Statistics& s = report.statistics;
  std::string out = "<h1>" + escape_html(report.title) + "</h1><p class=\"mute\">" +
                    escape_html(report.started) + ", run " + escape_html(report.run_id) + "</p>\n";
  if (report.accounting) {
    const bool good = report.accounting->good();
    out += "<p class=\"verdict " + std::string(good ? "good" : "bad") + "\">";
    out += good ? "Every recipient is accounted for." : "";
    for (const auto& sentence : report.accounting->wrong) out += escape_html(sentence) + "<br>";
    out += "</p>\n";
  }
  out += "<div class=\"tiles\">" + tile(with_commas(s.accepted), "messages accepted") +
         tile(show_fixed(report.rate(), 1), "messages a second") +
         tile(us(s.phase(Phase::total).at_percent(50)), "p50, due to 250") +
         tile(us(s.phase(Phase::total).at_percent(99)), "p99") +
         tile(us(s.phase(Phase::total).at_percent(99.99)), "p99.99") +
         tile(with_commas(s.refused + s.unacknowledged + s.unsent), "not accepted") + "</div>\n";
  return out;
}

std::string settings(const Report& report) {
  std::string out = "<h2>Settings and counts</h2><table class=\"wide\">";
  for (const auto& [name, value] : report.settings)
    out += "<tr>" + cell(name) + cell(value) + "</tr>";
  const Statistics& s = report.statistics;
  const auto row = [&](const char* name, const std::string& value) {
    out += "<tr>" + cell(name) + cell(value) + "</tr>";
  };
  row("time", show_seconds(report.seconds));
  row("octets", show_octets(static_cast<double>(s.octets)));
  row("connections", with_commas(s.connections) + " opened, " + with_commas(s.connections_failed) +
                         " failed, " + with_commas(s.connections_lost) + " lost");
  if (s.handshakes > 0) {
    row("TLS", with_commas(s.handshakes) + " handshakes, " + with_commas(s.resumed) + " resumed, " +
                   with_commas(s.verified) + " verified, " + s.tls_version + " " + s.tls_cipher);
  }
  row("sender's CPU", show_fixed(report.sender_cpu_seconds, 2) + " s");
  for (const auto& [what, times] : s.troubles)
    row("refused or broke", with_commas(times) + " x " + what);
  return out + "</table>\n";
}

}  // namespace

std::string to_html(const Report& report, const Report* earlier) {
  std::string out =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\"><title>" +
      escape_html(report.title + " " + report.started) + "</title>\n" + kStyle + "</head><body>\n";
  out += head(report) + over_time(report, earlier) + by_phase(report, earlier) + by_wave(report) +
         tables(report);
  if (earlier != nullptr) out += comparison(report, *earlier);
  return out + accounting(report) + settings(report) + "</body></html>\n";
}

}  // namespace waypost::load
