// Replies, dots and bare newlines.
#include "waypost/smtp/dot_stuffer.h"
#include "waypost/smtp/reply.h"

#include "smtp/base64.h"
#include "smtp/data_decoder.h"

#include <gtest/gtest.h>

#include <random>

namespace waypost::smtp {
namespace {

struct Sink final : ServerHandler {
  Reply on_mail(const MailCommand&) override { return {}; }
  Reply on_rcpt(const RcptCommand&) override { return {}; }
  std::optional<Reply> on_content_start() override { return std::nullopt; }
  void on_content(std::string_view bytes) override { content += bytes; }
  void on_abandon() override {}
  std::string content;
};

std::string stuffed(std::string_view content, std::size_t piece,
                    std::uint64_t* repaired = nullptr) {
  DotStuffer stuffer;
  std::vector<iovec> out;
  for (std::size_t at = 0; at < content.size(); at += piece) {
    stuffer.feed(content.substr(at, piece), out);
  }
  stuffer.finish(out);
  if (repaired != nullptr) *repaired = stuffer.repaired();
  std::string text;
  for (const auto& part : out) text.append(static_cast<const char*>(part.iov_base), part.iov_len);
  return text;
}

TEST(DotStuffer, StuffsRepairsAndEnds) {
  std::uint64_t repaired = 0;
  EXPECT_EQ(stuffed("", 9), ".\r\n");
  EXPECT_EQ(stuffed("a\r\n", 9), "a\r\n.\r\n");
  EXPECT_EQ(stuffed("a", 9), "a\r\n.\r\n");
  EXPECT_EQ(stuffed(".\r\n..b\r\n", 9), "..\r\n...b\r\n.\r\n");
  EXPECT_EQ(stuffed("a\n.\nb\rc\r", 9, &repaired), "a\r\n..\r\nb\r\nc\r\n.\r\n");
  EXPECT_EQ(repaired, 4u);
}

TEST(Dots, WhatIsStuffedIsUnstuffedTheSameHoweverItIsCut) {
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    std::string content;
    for (unsigned n = random() % 24; n > 0; --n) content += ".\r\na"[random() % 4];
    const std::string wire = stuffed(content, content.size() + 1);
    std::string normal;
    std::uint64_t repaired = 0;
    for (std::size_t piece : {1u, 2u, 3u}) {
      ASSERT_EQ(stuffed(content, piece, &repaired), wire);
      DataDecoder decoder;
      Sink sink;
      bool ended = false;
      for (std::size_t at = 0; at < wire.size(); at += piece) {
        ASSERT_FALSE(ended);
        std::string_view input = std::string_view(wire).substr(at, piece);
        ended = decoder.feed(input, sink, true);
      }
      ASSERT_TRUE(ended);
      EXPECT_FALSE(decoder.had_bare_newline());
      EXPECT_EQ(decoder.octets(), sink.content.size());
      if (piece == 1) normal = sink.content;
      EXPECT_EQ(normal, sink.content);
    }
    BareNewlineScan scan;
    for (const char& c : content) scan.feed({&c, 1});
    BareNewlineScan whole;
    whole.feed(content);
    EXPECT_EQ(scan.finish(), whole.finish());
    EXPECT_EQ(scan.finish(), repaired > 0) << ::testing::PrintToString(content);
    if (repaired == 0 && content.ends_with("\r\n")) {
      EXPECT_EQ(normal, content);
    }
  }
}

TEST(Reply, IsSafeOnTheWire) {
  std::string out;
  Reply{550, {5, 1, 1}, std::string("no\r here") + '\0' + "\nsecond"}.append_to(out);
  EXPECT_EQ(out, "550-5.1.1 no here\r\n550 5.1.1 second\r\n");
  out.clear();
  Reply{250, {}, std::string(2000, 'x')}.append_to(out);
  EXPECT_EQ(out.size(), 512u);
}

TEST(ReplyParser, ReadsEveryLegalShape) {
  ReplyParser parser;
  std::string_view input = "250-2.0.0 a\r\n250 2.0.0 b\n550\r\n450 5.1.1 not his class\r\n25";
  auto first = parser.feed(input);
  ASSERT_TRUE(first && *first);
  EXPECT_EQ((*first)->text, "a\nb");
  EXPECT_EQ((*first)->status, mail::status::ok);
  auto second = parser.feed(input);
  ASSERT_TRUE(second && *second);
  EXPECT_EQ((*second)->code, 550);
  auto third = parser.feed(input);
  ASSERT_TRUE(third && *third);
  EXPECT_FALSE((*third)->status);
  auto fourth = parser.feed(input);
  ASSERT_TRUE(fourth);
  EXPECT_FALSE(*fourth);
  EXPECT_FALSE(parser.idle());
}

TEST(ReplyParser, RefusesAnEndlessReply) {
  ReplyParser parser;
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += "250-x\r\n";
  std::string_view input = many;
  EXPECT_FALSE(parser.feed(input));
}

TEST(Base64, IsStrict) {
  EXPECT_EQ(decode_base64("dXNlcg=="), "user");
  EXPECT_EQ(encode_base64("user"), "dXNlcg==");
  EXPECT_EQ(decode_base64(""), "");
  for (const char* bad : {"a", "ab", "abc", "a===", "====", "dX\nl", "dXNlcg=a", "!!!!"}) {
    EXPECT_FALSE(decode_base64(bad)) << bad;
  }
}

}  // namespace
}  // namespace waypost::smtp
