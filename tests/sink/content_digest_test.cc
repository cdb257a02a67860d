#include "sink/content_digest.h"

#include <gtest/gtest.h>

namespace waypost::sink {
namespace {

constexpr std::string_view kField = "Received: from a\r\n\tby b id 1;\r\n Mon\r\n";

std::string whole_digest(std::string_view bytes) {
  ContentDigest digest;
  digest.feed(bytes);
  digest.finish();
  return digest.whole();
}

/// Fed in pieces of each size, the result must be the same.
void expect_below(std::string_view content, std::string_view below, std::string_view field) {
  for (std::size_t piece = 1; piece <= content.size() + 1; ++piece) {
    ContentDigest digest;
    for (std::size_t at = 0; at < content.size(); at += piece)
      digest.feed(content.substr(at, piece));
    digest.finish();
    EXPECT_EQ(digest.whole(), whole_digest(content));
    EXPECT_EQ(digest.below(), whole_digest(below)) << "pieces of " << piece;
    EXPECT_EQ(digest.top_field(), field) << "pieces of " << piece;
    EXPECT_EQ(digest.octets(), content.size());
  }
}

TEST(ContentDigest, KnownValue) {
  EXPECT_EQ(whole_digest("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(ContentDigest, LeavesOutTheTopReceivedField) {
  expect_below(std::string(kField) + "Subject: x\r\n\r\nbody\r\n", "Subject: x\r\n\r\nbody\r\n",
               kField);
  expect_below(std::string(kField) + std::string(kField) + "\r\n", std::string(kField) + "\r\n",
               kField);
}

TEST(ContentDigest, FieldNamesCompareWithoutCase) {
  expect_below("RECEIVED: x\r\nA: b\r\n", "A: b\r\n", "RECEIVED: x\r\n");
}

TEST(ContentDigest, ContentWithoutTheFieldIsAllBelow) {
  for (const std::string_view content :
       {"Subject: x\r\n\r\n", "", "\r\n", "Rec", "Receive: x\r\n"}) {
    expect_below(content, content, "");
  }
}

TEST(ContentDigest, NothingBelowTheField) { expect_below(kField, "", kField); }

TEST(ContentDigest, CanBeUsedAgain) {
  ContentDigest digest;
  digest.feed("something else");
  digest.restart();
  digest.feed("abc");
  digest.finish();
  EXPECT_EQ(digest.whole(), whole_digest("abc"));
  EXPECT_EQ(digest.octets(), 3u);
}

}  // namespace
}  // namespace waypost::sink
