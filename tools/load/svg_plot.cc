#include "load/svg_plot.h"

#include "load/units.h"

#include <algorithm>
#include <cmath>

namespace waypost::load {
namespace {

constexpr double kWidth = 860, kHeight = 300, kLeft = 76, kRight = 16, kTop = 34, kBottom = 44;
constexpr double kCharacter = 6.6;  // about as wide as one is at 12 px

struct Range {
  double low = 0, high = 1;
  double part(double value) const { return high > low ? (value - low) / (high - low) : 0; }
};

struct Frame {
  Range x, y;
  bool log_y = false;
  double px(double value) const { return kLeft + x.part(value) * (kWidth - kLeft - kRight); }
  double py(double value) const {
    const double v = log_y ? std::log10(std::max(value, 1e-9)) : value;
    return kHeight - kBottom - std::clamp(y.part(v), 0.0, 1.0) * (kHeight - kTop - kBottom);
  }
};

std::string number(double value) { return show_fixed(value, 1); }

std::string text_at(double x, double y, std::string_view anchor, std::string_view words) {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" +
         std::string(anchor) + "\">" + escape_html(words) + "</text>";
}

/// In the middle above x, but never beyond the edges.
std::string text_around(double x, double y, std::string_view words) {
  const double half = kCharacter * static_cast<double>(words.size()) / 2;
  if (x + half > kWidth - 2) return text_at(kWidth - 2, y, "end", words);
  if (x - half < 2) return text_at(2, y, "start", words);
  return text_at(x, y, "middle", words);
}

std::string rule(double x1, double y1, double x2, double y2) {
  return "<path class=\"grid\" d=\"M" + number(x1) + " " + number(y1) + "L" + number(x2) + " " +
         number(y2) + "\"/>";
}

Frame frame_of(const Plot& plot) {
  Frame frame;
  frame.log_y = plot.log_y;
  bool first = true;
  for (const auto& line : plot.lines) {
    for (const auto& [x, y] : line.points) {
      const double v = plot.log_y ? std::log10(std::max(y, 1.0)) : y;
      if (first) {
        frame.x = {x, x};
        frame.y = {plot.log_y ? v : 0, v};
        first = false;
      }
      frame.x.low = std::min(frame.x.low, x);
      frame.x.high = std::max(frame.x.high, x);
      frame.y.low = std::min(frame.y.low, v);
      frame.y.high = std::max(frame.y.high, v);
    }
  }
  for (const auto& tick : plot.x_ticks) {
    frame.x.low = std::min(frame.x.low, tick.at);
    frame.x.high = std::max(frame.x.high, tick.at);
  }
  frame.x.high = std::max(frame.x.high, plot.x_until);
  if (plot.log_y) {
    frame.y.low = std::floor(frame.y.low);
    frame.y.high = std::max(std::ceil(frame.y.high), frame.y.low + 1);
  } else {
    frame.y.high = frame.y.high > 0 ? frame.y.high * 1.05 : 1;
  }
  if (frame.x.high <= frame.x.low) frame.x.high = frame.x.low + 1;
  return frame;
}

std::string axes(const Plot& plot, const Frame& frame) {
  std::string out;
  std::vector<double> heights;
  if (plot.log_y) {
    for (double power = frame.y.low; power <= frame.y.high + 0.01; ++power) {
      heights.push_back(std::pow(10.0, power));
    }
  } else {
    heights = round_steps(frame.y.low, frame.y.high, 5);
  }
  for (const double value : heights) {
    const double y = frame.py(value);
    out += rule(kLeft, y, kWidth - kRight, y);
    out +=
        text_at(kLeft - 8, y + 4, "end", plot.show_y ? plot.show_y(value) : show_fixed(value, 0));
  }
  std::vector<PlotTick> ticks = plot.x_ticks;
  if (ticks.empty()) {
    for (const double value : round_steps(frame.x.low, frame.x.high, 8)) {
      ticks.push_back({value, show_fixed(value, frame.x.high - frame.x.low < 5 ? 1 : 0)});
    }
  }
  for (const auto& tick : ticks) {
    const double x = frame.px(tick.at);
    out += rule(x, kTop, x, kHeight - kBottom);
    out += text_around(x, kHeight - kBottom + 16, tick.label);
  }
  out += text_at((kLeft + kWidth - kRight) / 2, kHeight - 8, "middle", plot.x_label);
  out += text_at(4, 16, "start", plot.y_label);
  return out;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::vector<double> round_steps(double low, double high, unsigned about) {
  std::vector<double> steps;
  if (!(high > low) || about == 0) return {low};
  const double raw = (high - low) / about;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw) {
      step = factor * power;
      break;
    }
  }
  for (double at = std::ceil(low / step) * step; at <= high + step * 1e-6; at += step) {
    steps.push_back(at);
  }
  return steps;
}

namespace {

std::string bands_of(const Plot& plot, const Frame& frame) {
  constexpr double kThinnest = 2;
  std::string out;
  for (const auto& band : plot.bands) {
    const double left = frame.px(std::clamp(band.from, frame.x.low, frame.x.high));
    const double right = frame.px(std::clamp(band.until, frame.x.low, frame.x.high));
    out += "<rect class=\"band\" x=\"" + number(left) + "\" y=\"" + number(kTop) + "\" width=\"" +
           number(std::max(right - left, kThinnest)) + "\" height=\"" +
           number(kHeight - kTop - kBottom) + "\"><title>" + escape_html(band.name) +
           "</title></rect>" + text_around((left + right) / 2, kTop - 4, band.name);
  }
  return out;
}

}  // namespace

std::string Plot::render() const {
  const Frame frame = frame_of(*this);
  std::string out = "<figure><figcaption>" + escape_html(title) +
                    "</figcaption><div class=\"scroll\" tabindex=\"0\"><svg width=\"" +
                    show_fixed(kWidth, 0) + "\" height=\"" + show_fixed(kHeight, 0) +
                    "\" role=\"img\" aria-label=\"" + escape_html(title) + "\">";
  out += bands_of(*this, frame) + axes(*this, frame);
  for (const auto& line : lines) {
    if (line.points.empty()) continue;
    out += "<path class=\"line s" + std::to_string(line.colour % 8) + (line.dashed ? " dash" : "") +
           "\" d=\"";
    bool first = true;
    for (const auto& [x, y] : line.points) {
      out += (first ? "M" : "L") + number(frame.px(x)) + " " + number(frame.py(y));
      first = false;
    }
    out += "\"><title>" + escape_html(line.name) + "</title></path>";
  }
  out += "</svg></div><p class=\"legend\">";
  for (const auto& line : lines) {
    out += "<span class=\"s" + std::to_string(line.colour % 8) + (line.dashed ? " dash" : "") +
           "\"><i></i>" + escape_html(line.name) + "</span> ";
  }
  return out + "</p></figure>\n";
}

}  // namespace waypost::load
