// The report as one page: no script, nothing from outside.
#include "waypost/base/counted.h"

#include "load/recipient_mix.h"
#include "load/report_page.h"
#include "load/svg_plot.h"
#include "load/units.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

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
.wide td{text-align:left;overflow-wrap:anywhere}.wide td:first-child{white-space:nowrap;color:var(--mute);width:12rem}
.mute{color:var(--mute)}.good{color:var(--good)}.bad{color:var(--bad)}.scroll,pre{overflow-x:auto}.scroll td{white-space:nowrap}
.verdict{font-weight:600;padding:.6rem .9rem;background:var(--soft);border-left:4px solid currentColor;margin:1rem 0}
.tiles{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0}.tiles div{background:var(--soft);padding:.6rem .9rem;flex:1 1 9rem}
.tiles b{display:block;font-size:1.25rem}
figure{margin:1rem 0}figcaption{font-weight:600}svg{display:block;max-width:none}
.band{fill:var(--s1);opacity:.18}
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

std::vector<std::string> waves_with_mail(const Report& report) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < report.statistics.waves.size() && i < report.wave_names.size(); ++i)
    if (report.statistics.waves[i].total.count() > 0) names.push_back(report.wave_names[i]);
  return names;
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
  if (waves_with_mail(report).size() < 2) return out;
  out += "<div class=\"scroll\"><table>" + histogram_head("wave");
  for (std::size_t i = 0; i < report.statistics.waves.size(); ++i) {
    if (report.statistics.waves[i].total.count() == 0) continue;
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

/// "2026-11-27T13:49:00Z" as "Friday, 27 November 2026, 13:49 UTC"; what is no time stays.
std::string date_in_words(const std::string& iso) {
  std::tm parts{};
  const char* end = ::strptime(iso.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (end == nullptr || *end != '\0') return iso;
  static constexpr const char* kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                          "Thursday", "Friday", "Saturday"};
  static constexpr const char* kMonths[] = {"January",   "February", "March",    "April",
                                            "May",       "June",     "July",     "August",
                                            "September", "October",  "November", "December"};
  char text[96];
  std::snprintf(text, sizeof text, "%s, %d %s %d, %02d:%02d UTC", kDays[parts.tm_wday],
                parts.tm_mday, kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour,
                parts.tm_min);
  return text;
}

/// "wave-3, Friday, 27 November 2026, 13:49 UTC": what an open tab shall say.
std::string headline(const Report& report) {
  constexpr std::size_t kMostNamed = 3;
  auto waves = waves_with_mail(report);
  std::erase(waves, kNoWave);
  std::string out;
  if (waves.empty()) {
    out = report.title;
  } else if (waves.size() > kMostNamed) {
    out = std::to_string(waves.size()) + " waves";
  } else {
    for (const auto& wave : waves)
      out += (out.empty() ? "" : &wave == &waves.back() ? " and " : ", ") + wave;
  }
  return report.started.empty() ? out : out + ", " + date_in_words(report.started);
}

/// Who has not got mail, where the eye is already.
std::string examples(const Accounting& accounting) {
  if (accounting.examples.empty()) return "";
  std::string out = "<ul class=\"examples\">";
  for (const auto& example : accounting.examples) out += "<li>" + escape_html(example) + "</li>";
  return out + "</ul>\n";
}

std::string head(const Report& report) {
  const Statistics& s = report.statistics;
  std::string out = "<h1>" + escape_html(headline(report)) + "</h1><p class=\"mute\">" +
                    escape_html(report.title) + ", " + escape_html(report.started) + ", run " +
                    escape_html(report.run_id) + "</p>\n";
  if (report.accounting) {
    const bool good = report.accounting->good();
    out += "<p class=\"verdict " + std::string(good ? "good" : "bad") + "\">";
    out += good ? "Every recipient is accounted for." : "";
    for (const auto& sentence : report.accounting->wrong) out += escape_html(sentence) + "<br>";
    out += "</p>\n" + examples(*report.accounting);
  }
  out += "<div class=\"tiles\">" + tile(with_commas(s.accepted), "messages accepted") +
         tile(show_fixed(report.rate(), 1), "messages a second") +
         tile(us(s.phase(Phase::total).at_percent(50)), "p50, due to 250") +
         tile(us(s.phase(Phase::total).at_percent(99)), "p99") +
         tile(us(s.phase(Phase::total).at_percent(99.99)), "p99.99") +
         tile(with_commas(s.refused - std::min(s.refused, s.refused_as_expected) +
                          s.unacknowledged + s.unsent),
              "not accepted");
  if (s.refused_as_expected > 0)
    out += tile(with_commas(s.refused_as_expected), "refused as expected");
  out += "</div>\n";
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
    row("TLS", with_commas(s.handshakes) + " " + noun(s.handshakes, "handshake") + ", " +
                   with_commas(s.resumed) + " resumed, " + with_commas(s.verified) + " verified, " +
                   s.tls_version + " " + s.tls_cipher);
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
      escape_html(headline(report)) + "</title>\n" + kStyle + "</head><body>\n";
  out += head(report) + charts(report, earlier) + tables(report);
  if (earlier != nullptr) out += comparison(report, *earlier);
  return out + accounting(report) + settings(report) + "</body></html>\n";
}

}  // namespace waypost::load
