// SHA-256 of a message as it arrives: of all its octets, and of those below its first Received
// field.
//
// The second one is what must equal the digest of what the author's server sent.
#pragma once

#include <openssl/evp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace waypost::sink {

class ContentDigest {
 public:
  ContentDigest();
  void restart();
  void feed(std::string_view bytes);
  /// Ends both digests; call once per message.
  void finish();

  std::uint64_t octets() const { return octets_; }
  const std::string& whole() const { return whole_; }  // lower-case hex
  const std::string& below() const { return below_; }  // the same as whole() without a field
  const std::string& top_field() const { return top_field_; }  // with its line ends; may be empty

 private:
  void feed_head(std::string_view bytes);
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  using Context = std::unique_ptr<EVP_MD_CTX, Free>;
  Context all_, rest_;
  std::string top_field_;  // while head_ is true: what may still be the field
  bool head_ = true;
  std::uint64_t octets_ = 0;
  std::string whole_, below_;
};

}  // namespace waypost::sink
