#include "load/reply_reader.h"

#include <gtest/gtest.h>

#include <cstring>

namespace waypost::load {
namespace {

void put(ReplyReader& reader, std::string_view bytes) {
  const auto room = reader.room();
  ASSERT_LE(bytes.size(), room.size());
  std::memcpy(room.data(), bytes.data(), bytes.size());
  reader.filled(bytes.size());
}

TEST(ReplyReader, TakesPipelinedRepliesOneByOne) {
  ReplyReader reader;
  put(reader, "250 2.1.0 ok\r\n550 5.1.1 no\r\n354\r\n250 par");
  auto reply = reader.next();
  ASSERT_TRUE(reply && *reply);
  EXPECT_EQ((*reply)->code, 250);
  EXPECT_EQ((*reply)->last_line, "2.1.0 ok");
  EXPECT_EQ((*reader.next())->code, 550);
  EXPECT_EQ((*reader.next())->code, 354);
  EXPECT_FALSE(*reader.next());
  put(reader, "tly\r\n");
  EXPECT_EQ((*reader.next())->last_line, "partly");
}

TEST(ReplyReader, JoinsTheLinesOfAReplyInWhateverPieces) {
  const std::string_view text = "250-gw.example hello\r\n250-PIPELINING\n250 CHUNKING\r\n";
  ReplyReader reader;
  reader.collect(true);
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    put(reader, text.substr(i, 1));
    const auto reply = reader.next();
    ASSERT_TRUE(reply);
    ASSERT_FALSE(*reply) << i;
  }
  put(reader, "\n");
  ASSERT_EQ((*reader.next())->code, 250);
  EXPECT_EQ(reader.lines(), "gw.example hello\nPIPELINING\nCHUNKING\n");
}

TEST(ReplyReader, RefusesWhatIsNoReply) {
  for (const char* text : {"hello\r\n", "25\r\n", "250_x\r\n", "\r\n"}) {
    ReplyReader reader;
    put(reader, text);
    EXPECT_FALSE(reader.next()) << text;
  }
}

TEST(ReplyReader, RefusesALineWithoutEnd) {
  ReplyReader reader;
  put(reader, std::string(ReplyReader::kBuffer - 1, '2'));
  EXPECT_FALSE(reader.next());
}

TEST(ReplyReader, NeverRunsOutOfRoom) {
  ReplyReader reader;
  const std::string line = "250 " + std::string(1'000, 'x') + "\r\n";
  for (int i = 0; i < 100; ++i) {
    put(reader, line.substr(0, 700));
    ASSERT_FALSE(*reader.next());
    put(reader, line.substr(700));
    ASSERT_TRUE(*reader.next());
  }
}

}  // namespace
}  // namespace waypost::load
