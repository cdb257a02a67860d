#include "waypost/inbound/passwords.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <filesystem>
#include <fstream>

namespace waypost::inbound {
namespace {

class PasswordFile : public testing::Test {
 protected:
  std::string write(const std::string& content) {
    std::ofstream(path_, std::ios::binary) << content;
    return path_;
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::string path_ = testing::TempDir() + "waypost-passwords-" + std::to_string(::getpid());
};

std::string scrypt_hash(const std::string& password) {
  EXPECT_GE(::sodium_init(), 0);
  char hash[crypto_pwhash_scryptsalsa208sha256_STRBYTES] = {};
  EXPECT_EQ(
      ::crypto_pwhash_scryptsalsa208sha256_str(hash, password.data(), password.size(),
                                               crypto_pwhash_scryptsalsa208sha256_OPSLIMIT_MIN,
                                               crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_MIN),
      0);
  return hash;
}

TEST_F(PasswordFile, BothKindsOfHashOpenToTheirPasswordOnly) {
  const auto line = make_password_line("ex1", "correct horse");
  ASSERT_TRUE(line) << line.error().message;
  ASSERT_TRUE(line->starts_with("ex1:$argon2id$")) << *line;
  const auto hashes = read_password_file(
      write("# made by hand\r\n\n" + *line + "\r\nex2:" + scrypt_hash("battery") + "  \n"));
  ASSERT_TRUE(hashes) << hashes.error().message;
  EXPECT_EQ(hashes->size(), 2u);
  EXPECT_TRUE(verify_password(*hashes, "ex1", "correct horse"));
  EXPECT_FALSE(verify_password(*hashes, "ex1", "correct horsE"));
  EXPECT_FALSE(verify_password(*hashes, "ex1", ""));
  EXPECT_TRUE(verify_password(*hashes, "ex2", "battery"));
  EXPECT_FALSE(verify_password(*hashes, "ex2", "correct horse"));
  EXPECT_FALSE(verify_password(*hashes, "EX1", "correct horse"));
}

TEST_F(PasswordFile, UnknownUserIsNobodyEvenWithTheDummysPassword) {
  EXPECT_FALSE(verify_password({}, "ex1", "a password that nobody has"));
  EXPECT_FALSE(verify_password({}, "", ""));
}

TEST_F(PasswordFile, BrokenHashesOpenToNothing) {
  const PasswordHashes hashes = {{"a", "$argon2id$"},
                                 {"b", "$7$"},
                                 {"c", "$argon2id$v=19$m=65536,t=2,p=1$AAAA$"},
                                 {"d", "$7$" + std::string(500, '.')}};
  for (const char* user : {"a", "b", "c", "d"}) EXPECT_FALSE(verify_password(hashes, user, "x"));
}

TEST_F(PasswordFile, MistakesAreNamedByLine) {
  struct {
    const char* content;
    const char* place;
    const char* says;
  } const wrong[] = {
      {"ex1:$argon2id$x\nex2 $argon2id$y\n", ":2: ", "user:hash"},
      {":$argon2id$x\n", ":1: ", "user:hash"},
      {"ex1:secret\n", ":1: ", "neither $argon2id$ nor $7$"},
      {"# c\n\nex1:$2b$12$bcrypt\n", ":3: ", "waypost passwd"},
      {"ex1:$7$a\nex1:$7$b\n", ":2: ", "twice"},
  };
  for (const auto& one : wrong) {
    const auto hashes = read_password_file(write(one.content));
    ASSERT_FALSE(hashes) << one.content;
    EXPECT_EQ(hashes.error().kind, ErrorKind::invalid);
    EXPECT_NE(hashes.error().message.find(path_ + one.place), std::string::npos)
        << hashes.error().message;
    EXPECT_NE(hashes.error().message.find(one.says), std::string::npos) << hashes.error().message;
    EXPECT_EQ(hashes.error().message.find("secret"), std::string::npos);
  }
}

TEST_F(PasswordFile, AnEditorsByteOrderMarkIsNoPartOfTheFirstUser) {
  const auto hashes =
      read_password_file(write("\xEF\xBB\xBF"
                               "ex1:$argon2id$x\r\n"));
  ASSERT_TRUE(hashes) << hashes.error().message;
  EXPECT_TRUE(hashes->contains("ex1"));
  EXPECT_TRUE(read_password_file(write("\xEF\xBB\xBF# users\r\n")));
}

TEST_F(PasswordFile, MissingFileIsAnIoError) {
  const auto hashes = read_password_file("/nowhere/passwords");
  ASSERT_FALSE(hashes);
  EXPECT_EQ(hashes.error().kind, ErrorKind::io);
  EXPECT_NE(hashes.error().message.find("/nowhere/passwords"), std::string::npos);
}

TEST_F(PasswordFile, NamesThatWouldBreakTheFileAreRefused) {
  for (const char* user : {"", "a:b", "#a", "a\nb", "a\x7F"})
    EXPECT_FALSE(make_password_line(user, "x")) << user;
  EXPECT_FALSE(make_password_line("a", ""));
}

TEST_F(PasswordFile, WipedPasswordIsGone) {
  std::string secret = "correct horse battery staple";
  const char* where = secret.data();
  wipe_password(secret);
  EXPECT_TRUE(secret.empty());
  EXPECT_EQ(where[0], '\0');
}

}  // namespace
}  // namespace waypost::inbound
