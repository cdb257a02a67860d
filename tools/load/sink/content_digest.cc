#include "sink/content_digest.h"

#include <array>

namespace waypost::sink {
namespace {

constexpr std::size_t kMaxTopField = 16 * 1024;
constexpr std::string_view kReceived = "received:";

bool may_be_received(std::string_view head) {
  for (std::size_t i = 0; i < head.size() && i < kReceived.size(); ++i) {
    if ((head[i] | 0x20) != kReceived[i]) return false;
  }
  return true;
}

std::string finish_hex(EVP_MD_CTX* context) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
  unsigned length = 0;
  EVP_DigestFinal_ex(context, raw.data(), &length);
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * length);
  for (unsigned i = 0; i < length; ++i) {
    hex += kDigits[raw[i] >> 4];
    hex += kDigits[raw[i] & 15];
  }
  return hex;
}

/// Where the first field ends: behind the first line break that no blank follows; npos: not yet.
std::size_t end_of_field(std::string_view head) {
  for (std::size_t at = head.find('\n'); at != std::string_view::npos;
       at = head.find('\n', at + 1)) {
    if (at + 1 == head.size()) return std::string_view::npos;
    if (head[at + 1] != ' ' && head[at + 1] != '\t') return at + 1;
  }
  return std::string_view::npos;
}

}  // namespace

ContentDigest::ContentDigest() : all_(EVP_MD_CTX_new()), rest_(EVP_MD_CTX_new()) { restart(); }

void ContentDigest::restart() {
  EVP_DigestInit_ex(all_.get(), EVP_sha256(), nullptr);
  EVP_DigestInit_ex(rest_.get(), EVP_sha256(), nullptr);
  top_field_.clear();
  head_ = true;
  octets_ = 0;
}

void ContentDigest::feed(std::string_view bytes) {
  octets_ += bytes.size();
  EVP_DigestUpdate(all_.get(), bytes.data(), bytes.size());
  if (head_) {
    feed_head(bytes);
  } else {
    EVP_DigestUpdate(rest_.get(), bytes.data(), bytes.size());
  }
}

void ContentDigest::feed_head(std::string_view bytes) {
  top_field_ += bytes;
  const std::size_t end = end_of_field(top_field_);
  const bool wanted = may_be_received(top_field_);
  if (wanted && end == std::string_view::npos && top_field_.size() <= kMaxTopField) return;
  const std::size_t keep = wanted && end != std::string_view::npos ? end : 0;
  EVP_DigestUpdate(rest_.get(), top_field_.data() + keep, top_field_.size() - keep);
  top_field_.resize(keep);
  head_ = false;
}

void ContentDigest::finish() {
  const bool field = may_be_received(top_field_) && top_field_.size() > kReceived.size();
  if (head_ && !field) {
    EVP_DigestUpdate(rest_.get(), top_field_.data(), top_field_.size());
    top_field_.clear();
  }
  head_ = false;
  whole_ = finish_hex(all_.get());
  below_ = finish_hex(rest_.get());
}

}  // namespace waypost::sink
