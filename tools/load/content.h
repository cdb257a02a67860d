// The messages that are sent: built once, before the first connection, and only patched later.
//
// Contents: immutable after make(), shared by all threads. Each template is everything below the
// identity field; its digest is known in advance. Sizes come from a fixed number, a weighted list,
// a log-normal distribution (drawn in equal shares of probability, so that 256 templates have the
// shape of the whole) or a folder of .eml files.
#pragma once

#include "waypost/base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::load {

/// "10KiB" | "1KiB*70,10KiB*25,1MiB*5" | "lognormal:median=20KiB,sigma=1.5[,min=..][,max=..]"
class SizeDistribution {
 public:
  static Result<SizeDistribution> parse(std::string_view text);
  struct Share {
    std::uint64_t octets = 0;
    double weight = 1;
  };
  const std::vector<Share>& shares() const { return shares_; }

 private:
  std::vector<Share> shares_;
};

/// "Message-ID: <RUN.SEQUENCE@waypost-load> CRLF", put on top of messages that have none.
inline constexpr std::size_t kMessageIdLine = 13 + 16 + 1 + 12 + 14 + 2;

struct Content {
  std::string text;     // below the identity field; ends with CRLF
  std::string stuffed;  // for DATA, if some line begins with a dot; else empty
  std::uint64_t digest = 0;
  bool own_message_id = false;  // the .eml has one
  bool eight_bit = false;
  std::string name;  // "10.0 KiB" or the file's name

  std::string_view for_data() const { return stuffed.empty() ? text : stuffed; }
};

struct ContentOptions {
  std::string size = "10KiB";
  std::string folder;             // of .eml files, instead of size
  std::string sender, recipient;  // for From: and To: of made-up messages
  std::uint64_t seed = 1;
};

class Contents {
 public:
  /// ErrorKind::invalid | not_found name the option, file or folder.
  static Result<Contents> make(const ContentOptions& options);
  const Content& draw(std::uint64_t random) const;
  const std::vector<Content>& all() const { return contents_; }
  double mean_octets() const;

 private:
  std::vector<Content> contents_;
  std::vector<std::uint64_t> limits_;  // cumulated weights, scaled to 2^64
};

}  // namespace waypost::load
