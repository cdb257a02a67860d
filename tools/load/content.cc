#include "load/content.h"

#include "load/identity.h"
#include "load/units.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

namespace waypost::load {
namespace {

constexpr std::size_t kTemplates = 256;
constexpr std::uint64_t kMostMemory = 1ull << 30;

/// The inverse of the normal distribution (Acklam's approximation, good to 1e-9 of the value).
double normal_quantile(double p) {
  static constexpr std::array<double, 6> a = {-39.69683028665376, 220.9460984245205,
                                              -275.9285104469687, 138.3577518672690,
                                              -30.66479806614716, 2.506628277459239};
  static constexpr std::array<double, 5> b = {-54.47609879822406, 161.5858368580409,
                                              -155.6989798598866, 66.80131188771972,
                                              -13.28068155288572};
  static constexpr std::array<double, 6> c = {-0.007784894002430293, -0.3223964580411365,
                                              -2.400758277161838,    -2.549732539343734,
                                              4.374664141464968,     2.938163982698783};
  static constexpr std::array<double, 4> d = {0.007784695709041462, 0.3224671290700398,
                                              2.445134137142996, 3.754408661907416};
  if (p > 0.5) return -normal_quantile(1 - p);
  if (p < 0.02425) {
    const double q = std::sqrt(-2 * std::log(p));
    return (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
           ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
  }
  const double q = p - 0.5, r = q * q;
  return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
         (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
}

Result<std::vector<SizeDistribution::Share>> parse_lognormal(std::string_view text) {
  double sigma = 1, median = 0;
  std::uint64_t least = 512, most = 25ull << 20;
  for (const auto word : split(text, ',')) {
    const auto equals = word.find('=');
    const auto key = word.substr(0, equals);
    const auto value = equals == std::string_view::npos ? "" : word.substr(equals + 1);
    if (key == "sigma") {
      const auto number = parse_number(value);
      if (!number) return fail(number.error());
      sigma = *number;
      continue;
    }
    const auto size = parse_size(value);
    if (!size) return fail(size.error());
    if (key == "median") {
      median = static_cast<double>(*size);
    } else if (key == "min") {
      least = *size;
    } else if (key == "max") {
      most = *size;
    } else {
      return fail(ErrorKind::invalid, "lognormal: unknown word '" + std::string(key) + "'");
    }
  }
  if (median <= 0) return fail(ErrorKind::invalid, "lognormal needs median=SIZE");
  if (least > most) return fail(ErrorKind::invalid, "lognormal: min is above max");
  std::vector<SizeDistribution::Share> shares;
  for (std::size_t i = 0; i < kTemplates; ++i) {
    const double z = normal_quantile((static_cast<double>(i) + 0.5) / kTemplates);
    const double size = std::min(median * std::exp(sigma * z), 1e15);
    shares.push_back({std::clamp(static_cast<std::uint64_t>(size), least, most), 1});
  }
  return shares;
}

/// Lines of 76 letters; `octets` exactly, ended by CRLF.
std::string body_text(std::uint64_t octets, Random& random) {
  static constexpr char kLetters[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/";
  std::string out(octets, '\0');
  std::uint64_t bits = 0;
  for (std::size_t at = 0; at < octets; ++at) {
    if (at % 10 == 0) bits = random.next();
    out[at] = kLetters[bits & 63];
    bits >>= 6;
  }
  for (std::size_t end = 78; end + 2 < octets; end += 78) {
    out[end - 2] = '\r';
    out[end - 1] = '\n';
  }
  out[octets - 2] = '\r';
  out[octets - 1] = '\n';
  return out;
}

std::string crlf_lines(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 40 + 2);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool pair = text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
    if (text[i] != '\r' && text[i] != '\n') {
      out += text[i];
      continue;
    }
    out += "\r\n";
    if (pair) ++i;
  }
  if (!out.ends_with("\r\n")) out += "\r\n";
  return out;
}

void finish(Content& content) {
  content.digest = BodyDigest::of(content.text);
  content.eight_bit = std::any_of(content.text.begin(), content.text.end(),
                                  [](char c) { return static_cast<unsigned char>(c) > 127; });
  if (!content.text.starts_with('.') && content.text.find("\n.") == std::string::npos) return;
  bool line_start = true;
  for (const char c : content.text) {
    if (line_start && c == '.') content.stuffed += '.';
    content.stuffed += c;
    line_start = c == '\n';
  }
}

Content made_up(std::uint64_t octets, const ContentOptions& options, Random& random) {
  Content content;
  content.text = "Date: Mon, 01 Dec 2025 10:00:00 +0000\r\nFrom: " + options.sender +
                 "\r\nTo: " + options.recipient +
                 "\r\nSubject: rehearsal\r\nMIME-Version: 1.0\r\n"
                 "Content-Type: text/plain; charset=us-ascii\r\n\r\n";
  // The fields that are patched in (identity, Message-ID) belong to the size too.
  constexpr std::uint64_t kPatched = kIdentityLine + kMessageIdLine;
  const std::uint64_t taken = content.text.size() + kPatched;
  content.text += body_text(octets > taken + 2 ? octets - taken : 2, random);
  content.name = show_octets(static_cast<double>(octets));
  finish(content);
  return content;
}

bool has_message_id(std::string_view text) {
  const auto end = text.find("\r\n\r\n");
  std::string_view head = text.substr(0, end);
  while (!head.empty()) {
    std::string name(head.substr(0, 11));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (name == "message-id:") return true;
    const auto next = head.find('\n');
    if (next == std::string_view::npos) break;
    head.remove_prefix(next + 1);
  }
  return false;
}

Result<std::vector<Content>> read_folder(const std::string& folder) {
  std::error_code error;
  std::vector<std::filesystem::path> files;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".eml") files.push_back(it->path());
  }
  if (error) return fail(ErrorKind::not_found, "--from-folder " + folder + ": " + error.message());
  if (files.empty()) {
    return fail(ErrorKind::not_found, "--from-folder " + folder + ": there is no .eml file in it");
  }
  std::sort(files.begin(), files.end());
  std::vector<Content> contents;
  std::uint64_t memory = 0;
  for (const auto& path : files) {
    std::ifstream file(path, std::ios::binary);
    const std::string raw((std::istreambuf_iterator<char>(file)), {});
    if (!file || raw.empty()) {
      return fail(ErrorKind::io, path.string() + ": empty, or it can't be read");
    }
    memory += raw.size();
    if (memory > kMostMemory) {
      return fail(ErrorKind::exhausted,
                  "--from-folder " + folder + ": more than 1 GiB of messages; take fewer files");
    }
    Content content;
    content.text = crlf_lines(raw);
    content.own_message_id = has_message_id(content.text);
    content.name = path.filename().string();
    finish(content);
    contents.push_back(std::move(content));
  }
  return contents;
}

}  // namespace

Result<SizeDistribution> SizeDistribution::parse(std::string_view text) {
  SizeDistribution out;
  constexpr std::string_view kLogNormal = "lognormal:";
  if (text.starts_with(kLogNormal)) {
    auto shares = parse_lognormal(text.substr(kLogNormal.size()));
    if (!shares) return fail(std::move(shares).error());
    out.shares_ = std::move(*shares);
    return out;
  }
  for (const auto word : split(text, ',')) {
    const auto star = word.find('*');
    const auto size = parse_size(word.substr(0, star));
    if (!size) return fail(ErrorKind::invalid, "--size: " + size.error().message);
    Share share{*size, 1};
    if (star != std::string_view::npos) {
      const auto weight = parse_number(word.substr(star + 1));
      if (!weight || *weight <= 0) {
        return fail(ErrorKind::invalid,
                    "--size: the weight in '" + std::string(word) + "' is not a number above 0");
      }
      share.weight = *weight;
    }
    out.shares_.push_back(share);
  }
  return out;
}

Result<Contents> Contents::make(const ContentOptions& options) {
  Contents out;
  std::vector<double> weights;
  if (!options.folder.empty()) {
    auto read = read_folder(options.folder);
    if (!read) return fail(std::move(read).error());
    out.contents_ = std::move(*read);
    weights.assign(out.contents_.size(), 1.0);
  } else {
    const auto sizes = SizeDistribution::parse(options.size);
    if (!sizes) return fail(sizes.error());
    Random random(options.seed);
    std::uint64_t memory = 0;
    for (const auto& share : sizes->shares()) {
      memory += share.octets;
      if (memory > kMostMemory) {
        return fail(ErrorKind::exhausted,
                    "--size " + options.size + ": needs more than 1 GiB; lower max=");
      }
      out.contents_.push_back(made_up(share.octets, options, random));
      weights.push_back(share.weight);
    }
  }
  double total = 0, so_far = 0;
  for (const double weight : weights) total += weight;
  for (const double weight : weights) {
    so_far += weight;
    out.limits_.push_back(so_far >= total ? std::numeric_limits<std::uint64_t>::max()
                                          : static_cast<std::uint64_t>(so_far / total * 0x1.0p64));
  }
  out.limits_.back() = std::numeric_limits<std::uint64_t>::max();
  return out;
}

const Content& Contents::draw(std::uint64_t random) const {
  const auto at = std::lower_bound(limits_.begin(), limits_.end(), random);
  return contents_[static_cast<std::size_t>(at - limits_.begin())];
}

double Contents::mean_octets() const {
  double mean = 0, before = 0;
  for (std::size_t i = 0; i < contents_.size(); ++i) {
    const double limit = static_cast<double>(limits_[i]) / 0x1.0p64;
    mean += (limit - before) * static_cast<double>(contents_[i].text.size());
    before = limit;
  }
  return mean;
}

}  // namespace waypost::load
