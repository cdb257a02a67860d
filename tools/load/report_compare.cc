// Two runs side by side.
#include "load/report.h"
#include "load/units.h"

#include <algorithm>

namespace waypost::load {

std::vector<Comparison> compare(const Report& now, const Report& earlier) {
  std::vector<Comparison> rows;
  const auto add = [&](std::string name, double a, double b, std::string shown_a,
                       std::string shown_b, bool more_is_better) {
    Comparison row{std::move(name), std::move(shown_a), std::move(shown_b), 0, more_is_better};
    if (b > 0) row.ratio = a / b;
    rows.push_back(std::move(row));
  };
  add("messages/s", now.rate(), earlier.rate(), show_fixed(now.rate(), 1),
      show_fixed(earlier.rate(), 1), true);
  for (std::size_t i = 0; i < kPhases; ++i) {
    const Histogram& a = now.statistics.phases[i];
    const Histogram& b = earlier.statistics.phases[i];
    if (a.count() == 0 || b.count() == 0) continue;
    for (const double percent : {50.0, 99.0, 99.9}) {
      const auto x = static_cast<double>(a.at_percent(percent));
      const auto y = static_cast<double>(b.at_percent(percent));
      add(std::string(to_string(static_cast<Phase>(i))) + " p" +
              show_fixed(percent, percent == 99.9 ? 1 : 0),
          x, y, show_us(x), show_us(y), false);
    }
  }
  const auto cost = [](const Report& report) {
    const auto count = static_cast<double>(std::max<std::uint64_t>(1, report.statistics.messages));
    return report.sender_cpu_seconds * 1e6 / count;
  };
  add("sender's CPU/message", cost(now), cost(earlier), show_us(cost(now)), show_us(cost(earlier)),
      false);
  return rows;
}

std::string compare_text(const Report& now, const Report& earlier) {
  const auto pad = [](std::string text, std::size_t width) {
    if (text.size() < width) text.insert(0, width - text.size(), ' ');
    return text;
  };
  std::string out = "\n  compared with " + earlier.started + ", run " + earlier.run_id + "\n";
  out += pad("", 24) + pad("now", 14) + pad("earlier", 14) + pad("ratio", 9) + "\n";
  for (const auto& row : compare(now, earlier)) {
    std::string name = "  " + row.name;
    name.resize(std::max<std::size_t>(24, name.size()), ' ');
    out += name + pad(row.now, 14) + pad(row.earlier, 14) + pad(show_fixed(row.ratio, 2), 9) + "\n";
  }
  return out;
}

}  // namespace waypost::load
