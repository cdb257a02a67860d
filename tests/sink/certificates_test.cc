#include "sink/certificates.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

namespace waypost::sink {
namespace {

struct FreeCertificate {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Certificate = std::unique_ptr<X509, FreeCertificate>;

Certificate read(const std::string& path) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "r"), std::fclose);
  return Certificate(file ? PEM_read_X509(file.get(), nullptr, nullptr, nullptr) : nullptr);
}

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class Certificates : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "certificates-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(Certificates, LeafIsSignedByTheAuthorityAndHasItsNames) {
  const auto files = make_certificates({.directory = folder_, .names = {"mx.local", "127.0.0.1"}});
  ASSERT_TRUE(files) << files.error().message;
  const auto authority = read(files->ca_file), leaf = read(files->chain_file);
  ASSERT_TRUE(authority && leaf);
  EXPECT_EQ(X509_verify(leaf.get(), X509_get0_pubkey(authority.get())), 1);
  EXPECT_EQ(X509_check_host(leaf.get(), "mx.local", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_ip_asc(leaf.get(), "127.0.0.1", 0), 1);
  EXPECT_NE(X509_check_host(leaf.get(), "mx.other", 0, 0, nullptr), 1);
  EXPECT_GT(X509_cmp_current_time(X509_get0_notAfter(leaf.get())), 0);
  EXPECT_EQ(std::filesystem::status(files->key_file).permissions() & std::filesystem::perms::all,
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(Certificates, TheAuthorityIsKept) {
  const auto first = make_certificates({.directory = folder_, .names = {"a.local"}});
  ASSERT_TRUE(first);
  const std::string authority = text_of(first->ca_file);
  const auto second = make_certificates({.directory = folder_, .names = {"b.local"}, .rsa = true});
  ASSERT_TRUE(second);
  EXPECT_EQ(text_of(second->ca_file), authority);
  EXPECT_EQ(
      X509_verify(read(second->chain_file).get(), X509_get0_pubkey(read(second->ca_file).get())),
      1);
}

TEST_F(Certificates, ExpiredAndSelfSignedOnRequest) {
  const auto expired =
      make_certificates({.directory = folder_, .names = {"old.local"}, .days = -2});
  ASSERT_TRUE(expired);
  EXPECT_LT(X509_cmp_current_time(X509_get0_notAfter(read(expired->chain_file).get())), 0);
  const auto lonely =
      make_certificates({.directory = folder_, .names = {"lonely.local"}, .self_signed = true});
  ASSERT_TRUE(lonely);
  const auto leaf = read(lonely->chain_file);
  EXPECT_EQ(X509_verify(leaf.get(), X509_get0_pubkey(leaf.get())), 1);
  EXPECT_NE(X509_verify(leaf.get(), X509_get0_pubkey(read(lonely->ca_file).get())), 1);
}

TEST_F(Certificates, TroubleNamesTheFile) {
  const auto files = make_certificates({.directory = "/proc/nowhere", .names = {"x.local"}});
  ASSERT_FALSE(files);
  EXPECT_NE(files.error().message.find("/proc/nowhere"), std::string::npos)
      << files.error().message;
  EXPECT_FALSE(make_certificates({.directory = folder_, .names = {}}));
}

}  // namespace
}  // namespace waypost::sink
