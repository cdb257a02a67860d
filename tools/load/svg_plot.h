// Line plots as inline SVG, without script or anything from outside the page.
//
// Plot: fill in, then render(). Colours are CSS classes s0..s7 of the page. A chart is always of
// the same size, so that its words stay readable: where the page is narrower it scrolls by itself.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::load {

struct PlotTick {
  double at = 0;
  std::string label;
};

struct PlotLine {
  std::string name;
  std::vector<std::pair<double, double>> points;
  unsigned colour = 0;
  bool dashed = false;
};

/// A stretch of the x axis that has a name: a fault.
struct PlotBand {
  std::string name;
  double from = 0, until = 0;
};

struct Plot {
  std::string title, x_label, y_label;
  bool log_y = false;
  std::vector<PlotTick> x_ticks;  // empty: made from the range
  std::function<std::string(double)> show_y;
  std::vector<PlotLine> lines;
  std::vector<PlotBand> bands;
  double x_until = 0;  // as far at least, so that charts below one another compare

  std::string render() const;
};

/// Text that is safe inside HTML.
std::string escape_html(std::string_view text);
/// 1, 2 or 5 times a power of ten, `about` steps over the range.
std::vector<double> round_steps(double low, double high, unsigned about);

}  // namespace waypost::load
